//! Tests of the model as a whole.

use chrono::NaiveDate;

use super::*;
use crate::market::calendar::Calendar;
use crate::market::time::{from_ist, hms};
use crate::market::{InstrumentKind, Timestamp};

const SENSEX: u32 = 265;
const NIFTY: u32 = 256_265;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

fn market_on(seed: u64, date: NaiveDate) -> Market {
    Market::new(seed, date, Calendar::india()).unwrap()
}

fn market(seed: u64) -> Market {
    market_on(seed, date())
}

fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    from_ist(date(), hms(hour, minute, second))
}

fn evening() -> Timestamp {
    at(16, 0, 0)
}

#[test]
fn same_seed_same_market() {
    let (one, two, other) = (market(1), market(1), market(2));
    let mut differs = false;
    for row in one.instruments() {
        let token = row.instrument.token;
        for instant in [at(9, 0, 0), at(9, 15, 0), at(11, 7, 33), at(15, 20, 0)] {
            assert_eq!(one.quote(token, instant), two.quote(token, instant));
            differs |= one.quote(token, instant) != other.quote(token, instant);
        }
    }
    assert!(differs);
}

#[test]
fn history_equals_the_ticks() {
    let market = market(3);
    let option = |kind: InstrumentKind| {
        let row = market.instruments().iter().find(|row| row.instrument.kind == kind);
        row.unwrap().instrument.token
    };
    let tokens = [SENSEX, 738_561, option(InstrumentKind::Future), option(InstrumentKind::Put)];
    for token in tokens {
        let candles = market
            .history(token, Interval::Minutes(1), at(9, 15, 0), evening(), evening())
            .unwrap();
        for candle in &candles {
            let ticks: Vec<_> = (0..60)
                .map(|second| {
                    market.last(token, candle.start + chrono::TimeDelta::seconds(second)).unwrap()
                })
                .collect();
            assert_eq!(candle.open, ticks[0]);
            assert_eq!(candle.close, ticks[59]);
            assert_eq!(candle.high, *ticks.iter().max().unwrap(), "{token} {}", candle.start);
            assert_eq!(candle.low, *ticks.iter().min().unwrap());
        }
        let day = market
            .history(token, Interval::Day, from_ist(date(), hms(0, 0, 0)), evening(), evening())
            .unwrap();
        let quote = market.quote(token, evening()).unwrap();
        assert_eq!(day[0].high, candles.iter().map(|candle| candle.high).max().unwrap());
        assert_eq!(day[0].low, candles.iter().map(|candle| candle.low).min().unwrap());
        assert_eq!(day[0].close, candles.last().unwrap().close);
        assert_eq!((quote.open, quote.high, quote.low), (day[0].open, day[0].high, day[0].low));
        assert_eq!(quote.last_price, day[0].close);
        assert_eq!(day[0].volume, quote.volume);
    }
}

#[test]
fn days_join() {
    let market = market(4);
    let tomorrow = market_on(4, NaiveDate::from_ymd_opt(2026, 11, 25).unwrap());
    let from = from_ist(NaiveDate::from_ymd_opt(2026, 9, 1).unwrap(), hms(0, 0, 0));
    for token in [SENSEX, NIFTY, 738_561] {
        let days = market.history(token, Interval::Day, from, evening(), evening()).unwrap();
        for pair in days.windows(2) {
            let gap = pair[1].open.paise() as f64 / pair[0].close.paise() as f64 - 1.0;
            assert!(gap.abs() < 0.03, "{gap} {}", pair[1].start);
        }
        let close = market.last(token, evening()).unwrap();
        let quote = tomorrow.quote(token, at(9, 0, 0)).unwrap();
        assert_eq!(quote.close, close);
        assert_eq!(quote.last_price, close);
        let again =
            tomorrow.history(token, Interval::Day, from, evening(), tomorrow.opens_at()).unwrap();
        assert_eq!(again, days, "yesterday looks the same tomorrow");
    }
}

#[test]
fn quotes_are_sane_all_day() {
    let market = market(5);
    let tokens: Vec<u32> =
        market.instruments().iter().step_by(7).map(|row| row.instrument.token).collect();
    for token in tokens {
        let mut before = market.quote(token, at(9, 15, 0)).unwrap();
        for step in 0..200 {
            let instant = at(9, 15, 0) + chrono::TimeDelta::seconds(step * 117);
            let quote = market.quote(token, instant).unwrap();
            assert!(quote.low <= quote.last_price && quote.last_price <= quote.high);
            assert!(quote.low <= quote.average_price || quote.is_index);
            assert!(quote.volume >= before.volume);
            assert!(quote.high >= before.high && quote.low <= before.low);
            if quote.bids[0].level.quantity > 0 && quote.asks[0].level.quantity > 0 {
                assert!(quote.bids[0].level.price <= quote.last_price);
                assert!(quote.last_price <= quote.asks[0].level.price);
                assert!(quote.bids[0].level.price < quote.asks[0].level.price);
            }
            before = quote;
        }
    }
}

#[test]
fn money_options_trade_tightly_and_in_parity() {
    let market = market(6);
    let instant = at(11, 0, 0);
    let spot = market.last(SENSEX, instant).unwrap();
    let strike = spot.round_to(crate::market::Price::from_rupees(100));
    let expiry = NaiveDate::from_ymd_opt(2026, 11, 26).unwrap();
    let quote = |kind| {
        let row = market.instruments().iter().find(|row| {
            row.instrument.kind == kind
                && row.instrument.strike == strike
                && row.instrument.expiry == Some(expiry)
                && row.instrument.name == "SENSEX"
        });
        market.quote(row.unwrap().instrument.token, instant).unwrap()
    };
    let (call, put) = (quote(InstrumentKind::Call), quote(InstrumentKind::Put));
    let spread = (call.asks[0].level.price - call.bids[0].level.price).paise();
    assert!((20..=120).contains(&spread), "{spread}");
    assert!((25_000..65_000).contains(&call.last_price.paise()), "{}", call.last_price);
    let parity = (call.last_price - put.last_price - (spot - strike)).to_f64_rupees();
    assert!((0.0..90.0).contains(&parity), "{parity}");
    assert!(call.open_interest >= 10_000 && call.volume > 0);
}

#[test]
fn closed_days_are_refused() {
    let holiday = NaiveDate::from_ymd_opt(2026, 11, 24).unwrap();
    let closed = Market::new(1, holiday, Calendar::india());
    assert_eq!(closed.err(), Some(ModelError::Closed(holiday)));
}

#[test]
fn sizes_of_days_are_those_of_an_index() {
    let mut ranges = Vec::new();
    let from = from_ist(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(), hms(0, 0, 0));
    for seed in 0..2 {
        let days = market(seed).history(SENSEX, Interval::Day, from, evening(), evening());
        ranges.extend(days.unwrap().iter().map(|day| {
            let range = (day.high - day.low).paise() as f64 / day.open.paise() as f64 * 100.0;
            assert!((0.3..3.0).contains(&range), "seed {seed} {}: {range}", day.start);
            range
        }));
    }
    for seed in 0..20 {
        let last = market(seed).last(SENSEX, at(9, 15, 0)).unwrap();
        assert!((79_000..83_000).contains(&(last.paise() / 100)), "{last}");
    }
    let mean = ranges.iter().sum::<f64>() / ranges.len() as f64;
    let usual = ranges.iter().filter(|range| (0.4..2.5).contains(*range)).count();
    assert!((0.7..1.3).contains(&mean), "{mean}");
    assert!(usual * 100 >= ranges.len() * 97, "{usual} of {}", ranges.len());
}

#[test]
fn scripted_prices_are_met() {
    let points = [
        ScriptPoint { token: SENSEX, at: hms(9, 15, 0), price: "81080".parse().unwrap() },
        ScriptPoint { token: SENSEX, at: hms(10, 0, 0), price: "81265".parse().unwrap() },
        ScriptPoint { token: SENSEX, at: hms(10, 3, 0), price: "81335".parse().unwrap() },
    ];
    let calendar = Calendar::india();
    let market = Market::with_script(1, date(), calendar, DayProfile::DEFAULT, &points).unwrap();
    assert_eq!(market.last(SENSEX, at(10, 0, 0)), Some(points[1].price));
    assert_eq!(market.last(SENSEX, at(14, 0, 0)), Some(points[2].price));
    let candles = market
        .history(SENSEX, Interval::Minutes(3), at(10, 0, 0), at(10, 0, 0), evening())
        .unwrap();
    assert_eq!(candles[0].open, points[1].price);
}
