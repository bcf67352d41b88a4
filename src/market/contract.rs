//! Choosing an option contract from the day's instruments.

use chrono::NaiveDate;

use super::Quantity;
use super::instrument::{Instrument, InstrumentKey, InstrumentKind};
use super::money::Price;

/// The strike nearest to the spot, a spot halfway between two strikes going
/// to the higher: 80,150 with a step of 100 is 80,200.
pub fn atm(spot: Price, step: Price) -> Price {
    spot.round_to(step)
}

/// The smallest distance between neighbouring strikes among those nearest to
/// the spot. `None` when the chain has fewer than two strikes.
pub fn strike_step(chain: &[Instrument], spot: Price) -> Option<Price> {
    let mut strikes: Vec<Price> = options(chain).map(|option| option.strike).collect();
    strikes.sort_unstable();
    strikes.dedup();
    let at = strikes.partition_point(|strike| *strike < spot);
    let near =
        strikes.get(at.saturating_sub(STRIKES_NEAR)..(at + STRIKES_NEAR).min(strikes.len()))?;
    near.windows(2).map(|pair| pair[1] - pair[0]).min()
}

/// Strikes on each side of the spot that [`strike_step`] looks at: far from
/// it exchanges list wider steps.
const STRIKES_NEAR: usize = 10;

/// The first expiry of the options on `name` that is not before
/// `on_or_after`. For a smallest number of days to expiry, pass today plus
/// that number.
pub fn nearest_expiry(
    chain: &[Instrument],
    name: &str,
    on_or_after: NaiveDate,
) -> Option<NaiveDate> {
    options(chain)
        .filter(|option| option.name == name)
        .filter_map(|option| option.expiry)
        .filter(|expiry| *expiry >= on_or_after)
        .min()
}

/// The contract with exactly this expiry, strike and kind.
pub fn find(
    chain: &[Instrument],
    expiry: NaiveDate,
    strike: Price,
    kind: InstrumentKind,
) -> Option<&Instrument> {
    chain.iter().find(|row| row.kind == kind && row.expiry == Some(expiry) && row.strike == strike)
}

/// The options on `name` that expire on `expiry`: one chain.
pub fn chain(instruments: &[Instrument], name: &str, expiry: NaiveDate) -> Vec<Instrument> {
    options(instruments)
        .filter(|option| option.name == name && option.expiry == Some(expiry))
        .cloned()
        .collect()
}

fn options(instruments: &[Instrument]) -> impl Iterator<Item = &Instrument> {
    instruments.iter().filter(|row| row.kind.option_type().is_some())
}

/// Units that the exchange takes in one order, and units of a lot, of the
/// contracts on an index, as of August 2026. For contracts that no list of
/// today describes; exchanges review both.
const USUAL_FREEZE: [(&str, Quantity, Quantity); 6] = [
    ("NIFTY", 1_800, 65),
    ("BANKNIFTY", 600, 30),
    ("FINNIFTY", 1_800, 60),
    ("MIDCPNIFTY", 2_800, 120),
    ("SENSEX", 1_000, 20),
    ("BANKEX", 900, 30),
];

/// Freeze quantity and lot of an index contract by its symbol; `None` for
/// anything else.
pub fn usual_freeze(key: &InstrumentKey) -> Option<(Quantity, Quantity)> {
    let is_of = |name: &str| {
        let expiry = key.symbol.strip_prefix(name);
        expiry.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    USUAL_FREEZE
        .iter()
        .find(|(name, _, _)| key.exchange.is_derivatives() && is_of(name))
        .map(|(_, freeze, lot)| (*freeze, *lot))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{Exchange, InstrumentKey};

    fn date(day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, day).expect("a date")
    }

    fn option(name: &str, expiry: NaiveDate, strike: i64, kind: InstrumentKind) -> Instrument {
        let suffix = kind.option_type().unwrap_or("FUT");
        Instrument {
            key: InstrumentKey::new(Exchange::Nfo, format!("{name}{expiry}{strike}{suffix}")),
            token: 1,
            name: name.to_string(),
            kind,
            expiry: Some(expiry),
            strike: Price::from_rupees(strike),
            tick: Price::from_paise(5),
            lot: 65,
        }
    }

    #[test]
    fn halves_go_to_the_higher_strike() {
        for (spot, step, strike) in [
            ("80150", 100, 80_200),
            ("80050", 100, 80_100),
            ("80149.99", 100, 80_100),
            ("25175", 50, 25_200),
            ("25174.95", 50, 25_150),
            ("58250", 100, 58_300),
        ] {
            let spot = spot.parse().expect("a price");
            assert_eq!(atm(spot, Price::from_rupees(step)), Price::from_rupees(strike), "{spot}");
        }
    }

    #[test]
    fn the_step_is_that_around_the_spot() {
        let strikes = (0..10).map(|n| 20_000 + 500 * n).chain((0..40).map(|n| 25_000 + 50 * n));
        let chain: Vec<Instrument> =
            strikes.map(|strike| option("NIFTY", date(24), strike, InstrumentKind::Call)).collect();
        assert_eq!(strike_step(&chain, Price::from_rupees(26_010)), Some(Price::from_rupees(50)));
        assert_eq!(strike_step(&chain, Price::from_rupees(19_000)), Some(Price::from_rupees(500)));
        assert_eq!(strike_step(&chain, Price::from_rupees(90_000)), Some(Price::from_rupees(50)));
        assert_eq!(strike_step(&chain[..1], Price::from_rupees(20_000)), None);
        assert_eq!(strike_step(&[], Price::from_rupees(20_000)), None);
    }

    #[test]
    fn a_holiday_moves_the_monthly_expiry_and_its_day_is_not_bought() {
        use InstrumentKind::Call;
        let december = NaiveDate::from_ymd_opt(2026, 12, 1).expect("a date");
        let rows = [
            option("NIFTY", date(23), 25_150, Call),
            option("NIFTY", december, 25_150, Call),
            option("SENSEX", date(26), 80_200, Call),
        ];
        let tomorrow = date(23) + chrono::TimeDelta::days(1);
        assert_eq!(nearest_expiry(&rows, "NIFTY", tomorrow), Some(december));
        assert_eq!(nearest_expiry(&rows, "SENSEX", tomorrow), Some(date(26)));
    }

    #[test]
    fn expiry_and_contract_come_from_the_list() {
        use InstrumentKind::{Call, Future, Put};
        let rows = [
            option("NIFTY", date(23), 25_150, Call),
            option("NIFTY", date(26), 25_150, Future),
            option("SENSEX", date(26), 25_150, Call),
            option("NIFTY", date(30), 25_150, Call),
            option("NIFTY", date(30), 25_150, Put),
        ];
        assert_eq!(nearest_expiry(&rows, "NIFTY", date(23)), Some(date(23)));
        assert_eq!(nearest_expiry(&rows, "NIFTY", date(24)), Some(date(30)));
        assert_eq!(nearest_expiry(&rows, "SENSEX", date(27)), None);
        let found = find(&rows, date(30), Price::from_rupees(25_150), Put).expect("listed");
        assert_eq!(found, &rows[4]);
        assert_eq!(find(&rows, date(30), Price::from_rupees(25_200), Put), None);
        assert_eq!(chain(&rows, "NIFTY", date(30)).len(), 2);
    }

    #[test]
    fn freeze_quantities_are_those_of_the_index() {
        use crate::market::Exchange;
        let check = |exchange, symbol: &str, expected| {
            assert_eq!(usual_freeze(&InstrumentKey::new(exchange, symbol)), expected, "{symbol}");
        };
        check(Exchange::Nfo, "NIFTY26NOV25150CE", Some((1_800, 65)));
        check(Exchange::Nfo, "BANKNIFTY26DECFUT", Some((600, 30)));
        check(Exchange::Bfo, "SENSEX26NOV81300PE", Some((1_000, 20)));
        check(Exchange::Nfo, "NIFTYNXT5026NOV70000CE", None);
        check(Exchange::Nfo, "RELIANCE26NOVFUT", None);
        check(Exchange::Nse, "NIFTY26", None);
    }
}
