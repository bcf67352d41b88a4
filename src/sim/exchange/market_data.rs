//! Quotes, instruments and history: the calls that need no account.

use std::fmt::Write as _;

use super::{ApiError, Exchange};
use crate::market::time::ist_date;
use crate::market::{Exchange as Venue, InstrumentKey, InstrumentKind, Timestamp};
use crate::sim::model::{HistoryCandle, InstrumentRow, Interval, Market, MarketQuote};

/// First line of the instruments file.
const CSV_HEADER: &str = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n";

/// Rows that nothing can be asked about: what a reader of the real file must
/// live with (quoted commas, other exchanges, odd ticks).
const CSV_EXTRAS: &[(Venue, &str)] = &[
    (Venue::Nse, "779521,3045,SBIN,STATE BANK OF INDIA,0,,0,0.05,1,EQ,NSE,NSE\n"),
    (Venue::Nse, "2796801,10925,ABC-RE,\"ABC, RIGHTS \"\"E\"\" LTD\",0,,0,0.01,1,EQ,NSE,NSE\n"),
    (Venue::Bse, "128083204,500325,RELIANCE,RELIANCE INDUSTRIES,0,,0,0.05,1,EQ,BSE,BSE\n"),
    (
        Venue::Mcx,
        "114743815,448218,GOLDPETAL26DECFUT,GOLDPETAL,0,2026-12-31,0,1,1,FUT,MCX-FUT,MCX\n",
    ),
    (Venue::Cds, "270595,1057,USDINR26NOVFUT,USDINR,0,2026-11-26,0,0.0025,1,FUT,CDS-FUT,CDS\n"),
];

impl Exchange {
    /// The market that the account trades in.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// All instruments of the day.
    pub fn instruments(&self) -> &[InstrumentRow] {
        self.market.instruments()
    }

    /// The instrument with this token.
    pub fn instrument(&self, token: u32) -> Option<&InstrumentRow> {
        self.market.by_token(token)
    }

    /// The token of an instrument.
    pub fn token(&self, instrument: &InstrumentKey) -> Option<u32> {
        self.market.by_key(instrument).map(|row| row.instrument.token)
    }

    /// What the market shows of an instrument at an instant.
    pub fn quote(&self, token: u32, at: Timestamp) -> Option<MarketQuote> {
        let mut quote = self.market.quote(token, at)?;
        if self.config.faults.empty_book {
            quote.bids = Default::default();
            quote.asks = Default::default();
        }
        Some(quote)
    }

    /// History candles that start within `[from, to]`, up to the present
    /// instant; the last one may still be forming.
    ///
    /// # Errors
    /// The broker's refusal: unknown token, span too long.
    pub fn historical(
        &self,
        token: u32,
        interval: Interval,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<HistoryCandle>, ApiError> {
        let days = (ist_date(to) - ist_date(from)).num_days();
        if days > interval.days_max() {
            let days_max = interval.days_max();
            let words = format!("interval exceeds max limit: {days_max} days");
            return Err(match self.config.faults.history_cap_general {
                true => ApiError::general(400, words),
                false => ApiError::input(words),
            });
        }
        self.market
            .history(token, interval, from, to, self.now)
            .ok_or_else(|| ApiError::input("invalid token"))
    }

    /// Kite's instruments file, of one exchange or of all.
    pub fn instruments_csv(&self, exchange: Option<Venue>) -> String {
        let wanted = |venue: Venue| exchange.is_none_or(|only| only == venue);
        let mut csv = CSV_HEADER.to_string();
        for row in self.instruments().iter().filter(|row| wanted(row.instrument.key.exchange)) {
            write_row(&mut csv, row);
        }
        for (_, line) in CSV_EXTRAS.iter().filter(|(venue, _)| wanted(*venue)) {
            csv.push_str(line);
        }
        csv
    }
}

fn write_row(csv: &mut String, row: &InstrumentRow) {
    let instrument = &row.instrument;
    let kind = match instrument.kind {
        InstrumentKind::Index | InstrumentKind::Equity => "EQ",
        InstrumentKind::Future => "FUT",
        InstrumentKind::Call => "CE",
        InstrumentKind::Put => "PE",
    };
    let expiry = instrument.expiry.map(|date| date.to_string()).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(
        csv,
        "{},{},{},{},0,{},{},{},{},{},{},{}",
        instrument.token,
        row.exchange_token(),
        instrument.key.symbol,
        instrument.name,
        expiry,
        instrument.strike.to_f64_rupees(),
        instrument.tick.to_f64_rupees(),
        instrument.lot,
        kind,
        row.segment,
        instrument.key.exchange
    );
}
