//! Instruments: what can be traded or watched.

use std::fmt;

use chrono::NaiveDate;

use super::money::{Price, Quantity};

/// An exchange segment by Kite's name. Prices of the currency and commodity
/// exchanges are not supported for trading; their rows still parse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exchange {
    /// NSE cash and NSE indices.
    Nse,
    /// BSE cash and BSE indices.
    Bse,
    /// NSE derivatives.
    Nfo,
    /// BSE derivatives.
    Bfo,
    /// NSE currency derivatives.
    Cds,
    /// BSE currency derivatives.
    Bcd,
    /// Commodities.
    Mcx,
    /// NSE commodities.
    Nco,
}

impl Exchange {
    /// Kite's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Exchange::Nse => "NSE",
            Exchange::Bse => "BSE",
            Exchange::Nfo => "NFO",
            Exchange::Bfo => "BFO",
            Exchange::Cds => "CDS",
            Exchange::Bcd => "BCD",
            Exchange::Mcx => "MCX",
            Exchange::Nco => "NCO",
        }
    }

    /// Reads Kite's word.
    pub fn parse(text: &str) -> Option<Exchange> {
        match text {
            "NSE" => Some(Exchange::Nse),
            "BSE" => Some(Exchange::Bse),
            "NFO" => Some(Exchange::Nfo),
            "BFO" => Some(Exchange::Bfo),
            "CDS" => Some(Exchange::Cds),
            "BCD" => Some(Exchange::Bcd),
            "MCX" => Some(Exchange::Mcx),
            "NCO" => Some(Exchange::Nco),
            _ => None,
        }
    }

    /// True for the derivatives exchanges.
    pub const fn is_derivatives(self) -> bool {
        match self {
            Exchange::Nfo | Exchange::Bfo => true,
            Exchange::Nse
            | Exchange::Bse
            | Exchange::Cds
            | Exchange::Bcd
            | Exchange::Mcx
            | Exchange::Nco => false,
        }
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The lasting name of an instrument: exchange and trading symbol. Tokens are
/// reused by exchanges after expiry and name nothing beyond one day.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstrumentKey {
    /// Where it trades.
    pub exchange: Exchange,
    /// Its symbol there, such as `SENSEX` or `NIFTY26NOV25000CE`.
    pub symbol: String,
}

impl InstrumentKey {
    /// Names an instrument.
    pub fn new(exchange: Exchange, symbol: impl Into<String>) -> InstrumentKey {
        InstrumentKey { exchange, symbol: symbol.into() }
    }

    /// Reads `EXCHANGE:SYMBOL`.
    pub fn parse(text: &str) -> Option<InstrumentKey> {
        let (exchange, symbol) = text.split_once(':')?;
        let exchange = Exchange::parse(exchange)?;
        (!symbol.is_empty()).then(|| InstrumentKey::new(exchange, symbol))
    }
}

impl fmt::Display for InstrumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.exchange, self.symbol)
    }
}

/// What kind of thing an instrument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstrumentKind {
    /// An index: watched, never traded.
    Index,
    /// A share (or anything else of the cash segment).
    Equity,
    /// A future.
    Future,
    /// A call option.
    Call,
    /// A put option.
    Put,
}

impl InstrumentKind {
    /// `CE` and `PE` for options, as in trading symbols.
    pub const fn option_type(self) -> Option<&'static str> {
        match self {
            InstrumentKind::Call => Some("CE"),
            InstrumentKind::Put => Some("PE"),
            InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => None,
        }
    }
}

/// One instrument of the day's dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Its lasting name.
    pub key: InstrumentKey,
    /// The number that the ticker and the history use today.
    pub token: u32,
    /// The underlying's name on derivatives (`NIFTY`), a company name on shares.
    pub name: String,
    /// What it is.
    pub kind: InstrumentKind,
    /// Expiry date of a derivative.
    pub expiry: Option<NaiveDate>,
    /// Strike of an option; zero otherwise.
    pub strike: Price,
    /// Smallest price step; zero for an index.
    pub tick: Price,
    /// Units of one lot; 1 for shares, 0 for an index.
    pub lot: Quantity,
}
