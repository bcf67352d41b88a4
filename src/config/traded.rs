//! What `trading.instrument` names, and the usual figures of each.

use crate::market::{Exchange, InstrumentKey, Price, Quantity};

/// What is traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Traded {
    /// Options of an index.
    Index(&'static IndexFacts),
    /// A share.
    Share(InstrumentKey),
    /// A future, by its symbol.
    Future(InstrumentKey),
}

/// The usual figures of an index whose options are traded. The day's
/// instrument list overrules what it knows itself (lots, strikes, expiries).
#[derive(Debug, PartialEq, Eq)]
pub struct IndexFacts {
    /// Its name in settings, and on its derivatives.
    pub name: &'static str,
    /// Where the index itself is published.
    pub exchange: Exchange,
    /// Its symbol there.
    pub symbol: &'static str,
    /// Where its options trade.
    pub options: Exchange,
    /// Usual step between strikes.
    pub strike_step: Price,
    /// Units that the exchange takes in one order.
    pub freeze_quantity: Quantity,
    /// Cheapest premium that is bought.
    pub min_premium: Price,
    /// Dearest premium that is bought.
    pub max_premium_price: Price,
    /// Widest spread.
    pub max_spread: Price,
}

impl IndexFacts {
    /// The index itself.
    pub fn key(&self) -> InstrumentKey {
        InstrumentKey::new(self.exchange, self.symbol)
    }
}

/// The indices whose options can be traded.
pub(super) const INDICES: [IndexFacts; 6] = [
    index("SENSEX", Exchange::Bse, "SENSEX", [100, 1000, 40, 1500, 6]),
    index("NIFTY", Exchange::Nse, "NIFTY 50", [50, 1800, 20, 600, 2]),
    index("BANKNIFTY", Exchange::Nse, "NIFTY BANK", [100, 600, 40, 1200, 4]),
    index("FINNIFTY", Exchange::Nse, "NIFTY FIN SERVICE", [50, 1800, 20, 600, 2]),
    index("MIDCPNIFTY", Exchange::Nse, "NIFTY MID SELECT", [25, 2800, 20, 400, 2]),
    index("BANKEX", Exchange::Bse, "BANKEX", [100, 900, 40, 1500, 6]),
];

/// Step, freeze quantity, cheapest and dearest premium, spread.
const fn index(
    name: &'static str,
    exchange: Exchange,
    symbol: &'static str,
    [step, freeze_quantity, min, max, spread]: [i64; 5],
) -> IndexFacts {
    let options = match exchange {
        Exchange::Bse | Exchange::Bfo => Exchange::Bfo,
        Exchange::Nse
        | Exchange::Nfo
        | Exchange::Cds
        | Exchange::Bcd
        | Exchange::Mcx
        | Exchange::Nco => Exchange::Nfo,
    };
    IndexFacts {
        name,
        exchange,
        symbol,
        options,
        strike_step: Price::from_rupees(step),
        freeze_quantity,
        min_premium: Price::from_rupees(min),
        max_premium_price: Price::from_rupees(max),
        max_spread: Price::from_rupees(spread),
    }
}

impl Traded {
    /// Reads `SENSEX`, `NIFTY`, `NSE:RELIANCE`, `NFO:NIFTY26DECFUT`, …
    ///
    /// # Errors
    /// Says what can be written.
    pub fn parse(text: &str) -> Result<Traded, String> {
        let index = |facts: &&IndexFacts| facts.name == text || facts.key().to_string() == text;
        if let Some(facts) = INDICES.iter().find(index) {
            return Ok(Traded::Index(facts));
        }
        let names = INDICES.map(|facts| facts.name).join(", ");
        let wrong = || {
            format!(
                "expected {names}, a share such as NSE:RELIANCE or a future such as \
                     NFO:NIFTY26DECFUT, was {text:?}"
            )
        };
        let key = InstrumentKey::parse(text).ok_or_else(wrong)?;
        match key.exchange {
            Exchange::Nse | Exchange::Bse => Ok(Traded::Share(key)),
            Exchange::Nfo | Exchange::Bfo if key.symbol.ends_with("FUT") => Ok(Traded::Future(key)),
            Exchange::Nfo
            | Exchange::Bfo
            | Exchange::Cds
            | Exchange::Bcd
            | Exchange::Mcx
            | Exchange::Nco => Err(wrong()),
        }
    }

    /// The instrument whose prices decide: the index, the share, the future.
    pub fn signal(&self) -> InstrumentKey {
        match self {
            Traded::Index(facts) => facts.key(),
            Traded::Share(key) | Traded::Future(key) => key.clone(),
        }
    }

    /// The figures of the index whose derivatives are traded, when known.
    pub fn index(&self) -> Option<&'static IndexFacts> {
        match self {
            Traded::Index(facts) => Some(facts),
            Traded::Share(_) => None,
            Traded::Future(key) => {
                let digits = key.symbol.find(|letter: char| letter.is_ascii_digit())?;
                INDICES.iter().find(|facts| facts.name == &key.symbol[..digits])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let check = |text: &str, signal: Option<&str>| {
            let traded = Traded::parse(text).ok();
            assert_eq!(traded.map(|traded| traded.signal().to_string()).as_deref(), signal);
        };
        check("SENSEX", Some("BSE:SENSEX"));
        check("NIFTY", Some("NSE:NIFTY 50"));
        check("NSE:NIFTY BANK", Some("NSE:NIFTY BANK"));
        check("NSE:RELIANCE", Some("NSE:RELIANCE"));
        check("NFO:NIFTY26DECFUT", Some("NFO:NIFTY26DECFUT"));
        for wrong in ["", "sensex", "RELIANCE", "MCX:GOLD26DECFUT", "NFO:NIFTY26NOV25000CE"] {
            check(wrong, None);
        }
        let future = Traded::parse("NFO:BANKNIFTY26DECFUT").unwrap();
        assert_eq!(future.index().unwrap().freeze_quantity, 600);
        assert_eq!(Traded::parse("NFO:RELIANCE26DECFUT").unwrap().index(), None);
    }
}
