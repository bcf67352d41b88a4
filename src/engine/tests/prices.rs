//! Prices of entries, exits and stops, for options and for what has a
//! narrower band.

use super::fixture::*;
use crate::engine::order_terms;
use crate::engine::settings::Ppm;
use crate::market::{BookLevel, InstrumentKind, Price, Quote, Side};

const TICK: Price = Price::from_paise(5);
const CALL: InstrumentKind = InstrumentKind::Call;
const FUTURE: InstrumentKind = InstrumentKind::Future;

/// A quote with one side of the book.
fn one_sided(reference: &str, bid: Option<&str>, ask: Option<&str>) -> Quote {
    let level = |price: &str| BookLevel { price: p(price), quantity: 5_000 };
    let mut quote = quote(&option("X"), clock("10:00"), reference, None);
    quote.bid = bid.map(level);
    quote.ask = ask.map(level);
    quote
}

#[test]
fn a_sale_that_opens_reaches_two_ticks_or_a_share_but_not_beyond_the_cap() {
    for (bid, last, limit) in [
        (Some("1394.90"), "1395", Some("1387.90")), // the share
        (Some("4"), "4", Some("3.90")),             // two ticks
        (Some("900"), "999.97", Some("970")),       // the cap, up to a tick
        (None, "1395", None),
    ] {
        let price = order_terms::entry(&one_sided(last, bid, None), Side::Sell, TICK, &risk());
        assert_eq!(price, limit.map(p), "{bid:?} {last}");
    }
    assert_eq!(
        order_terms::entry(&one_sided("4", Some("4"), None), Side::Buy, TICK, &risk()),
        None
    );
}

#[test]
fn what_closes_goes_below_the_bid_or_above_the_ask_and_stays_in_the_band() {
    let check = |kind, side, touch: Option<&str>, reference, below, limit: &str| {
        let quote = match side {
            Side::Sell => one_sided(reference, touch, None),
            Side::Buy => one_sided(reference, None, touch),
        };
        let price = order_terms::exit(Some(&quote), p("77"), side, kind, Ppm(below), TICK);
        assert_eq!(price, p(limit), "{kind:?} {side:?} {touch:?} {reference} {below}");
    };
    check(CALL, Side::Sell, Some("400"), "400", 5_000, "398");
    check(CALL, Side::Sell, None, "300", 5_000, "180.10");
    check(FUTURE, Side::Sell, Some("1000"), "1000", 5_000, "995");
    check(FUTURE, Side::Sell, Some("10"), "10", 5_000, "9.90");
    check(FUTURE, Side::Sell, Some("1000"), "1000", 200_000, "985");
    check(FUTURE, Side::Sell, None, "1000", 5_000, "995");
    check(FUTURE, Side::Sell, Some("0.05"), "0.05", 5_000, "0.05");
    check(FUTURE, Side::Buy, Some("1000"), "1000", 5_000, "1005");
    check(FUTURE, Side::Buy, Some("1000"), "1000", 200_000, "1015");
    check(CALL, Side::Buy, Some("100"), "100", 200_000, "120");
    check(CALL, Side::Buy, Some("200"), "100", 200_000, "140");
    check(CALL, Side::Buy, Some("4"), "4", 5_000, "4.10");
    let blind = order_terms::exit(None, p("1000"), Side::Sell, FUTURE, Ppm(5_000), TICK);
    assert_eq!(blind, p("995"), "by what was paid");
}

#[test]
fn a_stop_rests_by_the_premium_of_an_option_and_by_the_risk_of_anything_else() {
    for (average, close, kind, trigger, limit) in [
        ("412", Side::Sell, CALL, "288.40", "259.55"),
        ("100", Side::Buy, CALL, "115", "116.70"),
        ("1000.03", Side::Sell, FUTURE, "985", "970.20"),
        ("1000.03", Side::Buy, FUTURE, "1015.05", "1030.25"),
    ] {
        let stop = order_terms::resting_stop(p(average), close, kind, p("10"), TICK, &risk());
        assert_eq!(stop, (p(trigger), p(limit)), "{average} {close:?} {kind:?}");
    }
}
