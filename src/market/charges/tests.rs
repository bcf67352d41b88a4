use proptest::prelude::*;

use super::*;

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

fn leg(text: &str) -> Leg {
    let (side, rest) = text.split_once(' ').expect("a side");
    let (rest, orders) = rest.split_once('x').unwrap_or((rest, "1"));
    let (quantity, price) = rest.split_once('@').expect("a price");
    let side = if side == "B" { Side::Buy } else { Side::Sell };
    Leg::at(
        side,
        quantity.parse().expect("a quantity"),
        price.parse().expect("a price"),
        orders.parse().expect("orders"),
    )
}

/// Compares `turnover brokerage stt txn sebi stamp gst total gross net`.
fn check(segment: ChargeSegment, exchange: Exchange, day: &str, legs: &str, expected: &str) {
    let legs: Vec<Leg> = legs.split(", ").map(leg).collect();
    let got = estimate(segment, exchange, date(day), &legs);
    let Charges { turnover, brokerage, stt, txn, sebi, stamp, gst, total, gross, net } = got;
    let shown =
        [turnover, brokerage, stt, txn, sebi, stamp, gst, total, gross, net].map(|m| m.to_string());
    assert_eq!(shown.join(" "), expected, "{segment:?} {exchange} {day}");
}

#[test]
fn equity_pays_by_how_long_it_is_held() {
    use ChargeSegment::{EquityDelivery, EquityIntraday};
    let day = "2026-11-23";
    let legs = "B 100@1400.00, S 100@1412.50";
    check(
        EquityIntraday,
        Exchange::Nse,
        day,
        legs,
        "281250.00 40.00 35.00 8.63 0.28 4.00 8.80 96.71 1250.00 1153.29",
    );
    check(
        EquityIntraday,
        Exchange::Bse,
        day,
        legs,
        "281250.00 40.00 35.00 10.55 0.28 4.00 9.15 98.98 1250.00 1151.02",
    );
    check(
        EquityIntraday,
        Exchange::Nse,
        day,
        "B 20@103.30, S 20@103.55",
        "4137.00 1.24 1.00 0.13 0.00 0.00 0.25 2.62 5.00 2.38",
    );
    let legs = "B 10@1400, S 10@1450";
    check(
        EquityDelivery,
        Exchange::Nse,
        day,
        legs,
        "28500.00 0.00 29.00 0.87 0.03 2.00 0.16 32.06 500.00 467.94",
    );
    check(
        EquityDelivery,
        Exchange::Bse,
        day,
        legs,
        "28500.00 0.00 29.00 1.07 0.03 2.00 0.20 32.30 500.00 467.70",
    );
}

#[test]
fn derivatives_pay_on_notional_or_premium() {
    use ChargeSegment::{Futures, Options};
    let day = "2026-11-23";
    check(
        Futures,
        Exchange::Nfo,
        day,
        "B 65@25000, S 65@25080",
        "3255200.00 40.00 815.00 59.57 3.26 33.00 18.51 969.34 5200.00 4230.66",
    );
    check(
        Futures,
        Exchange::Bfo,
        day,
        "B 20@81300, S 20@81500",
        "3256000.00 40.00 815.00 0.00 3.26 33.00 7.79 899.05 4000.00 3100.95",
    );
    check(
        Options,
        Exchange::Bfo,
        day,
        "B 20@412.00, S 20@668.20",
        "21604.00 40.00 20.00 7.02 0.02 0.00 8.47 75.51 5124.00 5048.49",
    );
    check(
        Options,
        Exchange::Bfo,
        day,
        "B 200@412, S 200@400x2",
        "162400.00 60.00 120.00 52.78 0.16 2.00 20.33 255.27 -2400.00 -2655.27",
    );
}

#[test]
fn the_tax_on_options_has_risen_three_times() {
    let stt = |day| {
        let legs = [leg("B 65@120.00"), leg("S 65@151.50")];
        estimate(ChargeSegment::Options, Exchange::Nfo, date(day), &legs).stt.to_string()
    };
    for (day, expected) in [
        ("2026-04-01", "15.00"),
        ("2026-03-31", "10.00"),
        ("2024-10-01", "10.00"),
        ("2024-09-30", "6.00"),
        ("2023-03-31", "5.00"),
        ("2012-11-01", "5.00"),
    ] {
        assert_eq!(stt(day), expected, "{day}");
    }
}

#[test]
fn what_was_not_traded_costs_nothing() {
    let none = estimate(ChargeSegment::Options, Exchange::Nfo, date("2026-11-23"), &[]);
    assert_eq!(none, Charges::default());
    let unfilled = Leg { side: Side::Buy, value: Money::ZERO, orders: 0 };
    let one = estimate(ChargeSegment::Options, Exchange::Nfo, date("2026-11-23"), &[unfilled]);
    assert_eq!(one, Charges::default());
}

fn segments() -> impl Strategy<Value = ChargeSegment> {
    prop_oneof![
        Just(ChargeSegment::EquityIntraday),
        Just(ChargeSegment::EquityDelivery),
        Just(ChargeSegment::Futures),
        Just(ChargeSegment::Options),
    ]
}

proptest! {
    #[test]
    fn charges_are_never_negative_and_add_up(
        segment in segments(), bse in any::<bool>(), days in 0_u64..4000,
        bought in 0_i64..10_000_000_000, sold in 0_i64..10_000_000_000, orders in 1_u32..5,
    ) {
        let exchange = if bse { Exchange::Bfo } else { Exchange::Nfo };
        let day = date("2018-01-01") + chrono::Days::new(days);
        let leg = |side, paise| Leg { side, value: Money::from_paise(paise), orders };
        let legs = [leg(Side::Buy, bought), leg(Side::Sell, sold)];
        let both = estimate(segment, exchange, day, &legs);
        let parts = [both.brokerage, both.stt, both.txn, both.sebi, both.stamp, both.gst];
        prop_assert!(parts.iter().all(|part| *part >= Money::ZERO));
        prop_assert_eq!(parts.iter().copied().sum::<Money>(), both.total);
        prop_assert_eq!(both.gross - both.total, both.net);
        // Charging legs apart differs by rounding only: at most a rupee for
        // each tax and a paisa for each fee.
        let apart: Money = legs.iter().map(|leg| estimate(segment, exchange, day, &[*leg]).total).sum();
        prop_assert!((apart - both.total).abs() <= Money::from_paise(205), "{apart} {}", both.total);
    }
}
