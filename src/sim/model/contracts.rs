//! The day's instruments: indices, shares, futures and option chains, with
//! the broker's symbols and numbers.

use chrono::{Datelike, Days, NaiveDate, Weekday};

use super::days::TradingDays;
use super::rows::InstrumentRow;
use super::underlying::{Chain, SPECS, Spec};
use crate::market::{Instrument, InstrumentKey, InstrumentKind, Price, Quantity};

/// Largest order in shares.
const SHARE_FREEZE: Quantity = 100_000;
/// Tick of an option in paise.
const OPTION_TICK: i64 = 5;
/// Expiries of options and of futures that are listed.
const EXPIRIES: usize = 2;
/// Weeks that are searched for an expiry.
const WEEKS_MAX: usize = 60;

/// An expiry: the date of trading's end, and whether it is the month's last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) date: NaiveDate,
    /// The day by the rule; a holiday moves the date before it.
    nominal: NaiveDate,
    pub(super) monthly: bool,
}

/// An instrument with what it is priced on.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    pub(super) row: InstrumentRow,
    /// Position in [`SPECS`].
    pub(super) underlying: usize,
}

/// Everything that trades or is shown on a date. `reference` gives the
/// previous close of each underlying, in paise.
pub(super) fn listings(
    date: NaiveDate,
    calendar: &TradingDays,
    reference: impl Fn(usize) -> i64,
) -> Vec<Listing> {
    let mut all: Vec<Listing> = Vec::new();
    for (underlying, spec) in SPECS.iter().enumerate() {
        all.push(Listing { row: cash(spec), underlying });
    }
    for (underlying, spec) in SPECS.iter().enumerate() {
        let Some(chain) = &spec.chain else { continue };
        let ahead = expiries(date, chain.expiry, calendar);
        let months = ahead.iter().filter(|expiry| expiry.monthly).take(EXPIRIES);
        for expiry in months {
            all.push(Listing { row: future(spec, chain, *expiry), underlying });
        }
        let centre = (reference(underlying) / 100 + chain.step / 2) / chain.step * chain.step;
        for expiry in ahead.iter().take(EXPIRIES) {
            let mut strike = centre - chain.reach;
            while strike <= centre + chain.reach {
                for kind in [InstrumentKind::Call, InstrumentKind::Put] {
                    let row = option(spec, chain, *expiry, strike, kind);
                    all.push(Listing { row, underlying });
                }
                strike += chain.step;
            }
        }
    }
    all
}

/// Expiries on or after `date`, nearest first.
pub(super) fn expiries(date: NaiveDate, weekday: Weekday, calendar: &TradingDays) -> Vec<Expiry> {
    let ahead = (7 + weekday.num_days_from_monday() - date.weekday().num_days_from_monday()) % 7;
    let mut nominal = date + Days::new(u64::from(ahead));
    let mut found = Vec::new();
    for _ in 0..WEEKS_MAX {
        let week_later = nominal + Days::new(7);
        let expiry = calendar.on_or_before(nominal);
        if expiry >= date {
            let monthly = week_later.month() != nominal.month();
            found.push(Expiry { date: expiry, nominal, monthly });
        }
        nominal = week_later;
        if found.iter().filter(|expiry| expiry.monthly).count() > EXPIRIES {
            break;
        }
    }
    found
}

/// The symbol's middle part: `26NOV` for the month's last expiry, `26D03` else.
fn expiry_code(expiry: Expiry) -> String {
    if expiry.monthly {
        return expiry.nominal.format("%y%b").to_string().to_uppercase();
    }
    let month = match expiry.date.month() {
        10 => "O".to_string(),
        11 => "N".to_string(),
        12 => "D".to_string(),
        month => month.to_string(),
    };
    format!("{}{month}{}", expiry.date.format("%y"), expiry.date.format("%d"))
}

/// A number that a contract keeps for life: days, strike and side packed
/// above the segment byte.
fn derivative_token(chain: &Chain, expiry: NaiveDate, strike: i64, side: u32) -> u32 {
    let segment = match chain.exchange {
        crate::market::Exchange::Bfo => 5,
        crate::market::Exchange::Nse
        | crate::market::Exchange::Bse
        | crate::market::Exchange::Nfo
        | crate::market::Exchange::Cds
        | crate::market::Exchange::Bcd
        | crate::market::Exchange::Mcx
        | crate::market::Exchange::Nco => 2,
    };
    let days = expiry.num_days_from_ce().unsigned_abs() % 1024;
    let strikes = (strike / 50).unsigned_abs() as u32 % 4096;
    (((days << 12) | strikes) << 1 | side) << 8 | segment
}

fn cash(spec: &Spec) -> InstrumentRow {
    let index = spec.tick == 0;
    InstrumentRow {
        instrument: Instrument {
            key: InstrumentKey::new(spec.exchange, spec.symbol),
            token: spec.token,
            // On derivatives the name is the underlying's; on an index its own.
            name: if index { spec.symbol } else { spec.name }.to_string(),
            kind: if index { InstrumentKind::Index } else { InstrumentKind::Equity },
            expiry: None,
            strike: Price::ZERO,
            tick: Price::from_paise(spec.tick),
            lot: if index { 0 } else { 1 },
        },
        segment: if index { "INDICES" } else { spec.exchange.as_str() },
        freeze_quantity: SHARE_FREEZE,
    }
}

fn future(spec: &Spec, chain: &Chain, expiry: Expiry) -> InstrumentRow {
    let symbol = format!("{}{}FUT", spec.name, expiry_code(expiry));
    InstrumentRow {
        instrument: Instrument {
            key: InstrumentKey::new(chain.exchange, symbol),
            token: derivative_token(chain, expiry.date, 0, 0),
            name: spec.name.to_string(),
            kind: InstrumentKind::Future,
            expiry: Some(expiry.date),
            strike: Price::ZERO,
            tick: Price::from_paise(chain.future_tick),
            lot: chain.lot,
        },
        segment: segment_name(chain, "FUT"),
        freeze_quantity: chain.freeze,
    }
}

fn option(
    spec: &Spec,
    chain: &Chain,
    expiry: Expiry,
    strike: i64,
    kind: InstrumentKind,
) -> InstrumentRow {
    let side = kind.option_type().unwrap_or_default();
    let symbol = format!("{}{}{strike}{side}", spec.name, expiry_code(expiry));
    InstrumentRow {
        instrument: Instrument {
            key: InstrumentKey::new(chain.exchange, symbol),
            token: derivative_token(
                chain,
                expiry.date,
                strike,
                u32::from(kind == InstrumentKind::Put),
            ),
            name: spec.name.to_string(),
            kind,
            expiry: Some(expiry.date),
            strike: Price::from_rupees(strike),
            tick: Price::from_paise(OPTION_TICK),
            lot: chain.lot,
        },
        segment: segment_name(chain, "OPT"),
        freeze_quantity: chain.freeze,
    }
}

fn segment_name(chain: &Chain, kind: &str) -> &'static str {
    match (chain.exchange == crate::market::Exchange::Bfo, kind == "OPT") {
        (true, true) => "BFO-OPT",
        (true, false) => "BFO-FUT",
        (false, true) => "NFO-OPT",
        (false, false) => "NFO-FUT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).unwrap()
    }

    #[test]
    fn expiries_step_back_from_holidays() {
        let calendar = TradingDays::of(crate::market::calendar::Calendar::india());
        let check = |from, weekday, expected: &[(NaiveDate, bool)]| {
            let found: Vec<(NaiveDate, bool)> = expiries(from, weekday, &calendar)
                .iter()
                .take(2)
                .map(|expiry| (expiry.date, expiry.monthly))
                .collect();
            assert_eq!(found, expected);
        };
        let monday = date(2026, 11, 23);
        check(monday, Weekday::Tue, &[(monday, true), (date(2026, 12, 1), false)]);
        check(monday, Weekday::Thu, &[(date(2026, 11, 26), true), (date(2026, 12, 3), false)]);
        check(
            date(2026, 11, 25),
            Weekday::Tue,
            &[(date(2026, 12, 1), false), (date(2026, 12, 8), false)],
        );
    }

    #[test]
    fn symbols_and_tokens_are_kites() {
        let calendar = TradingDays::of(crate::market::calendar::Calendar::india());
        let all = listings(date(2026, 11, 23), &calendar, |underlying| {
            (SPECS[underlying].base * 100.0) as i64
        });
        for symbol in [
            "SENSEX26NOV81300CE",
            "SENSEX26D0381300PE",
            "NIFTY26NOV25000CE",
            "NIFTY26D0125000PE",
            "NIFTY26NOVFUT",
            "NIFTY26DECFUT",
            "SENSEX26NOVFUT",
            "NIFTY 50",
        ] {
            assert!(
                all.iter().any(|listing| listing.row.instrument.key.symbol == symbol),
                "{symbol}"
            );
        }
        let mut tokens: Vec<u32> = all.iter().map(|listing| listing.row.instrument.token).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), all.len());
        assert!(tokens.iter().all(|&token| i32::try_from(token).is_ok()));
    }
}
