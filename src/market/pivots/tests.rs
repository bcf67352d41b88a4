use chrono::NaiveDate;
use proptest::prelude::*;

use super::*;

fn bar(open: &str, high: &str, low: &str, close: &str) -> Bar {
    let level = |text: &str| text.parse().expect("a level");
    Bar { open: Some(level(open)), high: level(high), low: level(low), close: level(close) }
}

fn check(family: Family, expected: &str) {
    let base = bar("80700", "81200", "80600", "81050");
    let today = "81080".parse().ok();
    let levels = Levels::of(family, &base, today).expect("levels");
    let shown: Vec<String> = levels.iter().map(|(name, level)| format!("{name} {level}")).collect();
    assert_eq!(shown.join(", "), expected, "{family}");
}

#[test]
fn each_family_has_its_own_levels() {
    check(
        Family::Traditional,
        "R5 82600.00, R4 82250.00, R3 81900.00, R2 81550.00, R1 81300.00, PP 80950.00, \
         S1 80700.00, S2 80350.00, S3 80100.00, S4 79850.00, S5 79600.00",
    );
    check(
        Family::Kite,
        "R4 82750.00, R3 82150.00, R2 81550.00, R1 81300.00, PP 80950.00, S1 80700.00, \
         S2 80350.00, S3 79750.00, S4 79150.00",
    );
    check(
        Family::Premium,
        "R5 82500.00, R4 82150.00, R3 81900.00, R2 81550.00, R1 81300.00, PP 80950.00, \
         S1 80700.00, S2 80350.00, S3 80100.00",
    );
    check(
        Family::Fibonacci,
        "R3 81550.00, R2 81320.80, R1 81179.20, PP 80950.00, S1 80720.80, S2 80579.20, \
         S3 80350.00",
    );
    check(
        Family::CamarillaA,
        "H6 81972.62, H5 81653.35, H4 81380.00, H3 81215.00, H2 81160.00, H1 81105.00, \
         L1 80995.00, PP 80950.00, L2 80940.00, L3 80885.00, L4 80720.00, L5 80446.65, L6 80127.38",
    );
    check(
        Family::CamarillaB,
        "H6 81653.35, H5 81572.72, H4 81380.00, H3 81215.00, H2 81160.00, H1 81105.00, \
         L1 80995.00, PP 80950.00, L2 80940.00, L3 80885.00, L4 80720.00, L5 80527.28, L6 80446.65",
    );
    check(
        Family::Woodie,
        "R4 82580.00, R3 81980.00, R2 81590.00, R1 81380.00, PP 80990.00, S1 80780.00, \
         S2 80390.00, S3 80180.00, S4 79580.00",
    );
    check(
        Family::WoodieClose,
        "R4 82550.00, R3 81950.00, R2 81575.00, R1 81350.00, PP 80975.00, S1 80750.00, \
         S2 80375.00, S3 80150.00, S4 79550.00",
    );
    check(Family::DeMark, "R1 81425.00, PP 81012.50, S1 80825.00");
}

#[test]
fn demark_depends_on_the_colour_of_the_candle() {
    for (open, pp) in [("81100", "80862.5000"), ("81050", "80975.0000"), ("81000", "81012.5000")] {
        let levels = Levels::of(Family::DeMark, &bar(open, "81200", "80600", "81050"), None);
        assert_eq!(levels.expect("levels").get("PP").expect("PP").to_decimal(4), pp, "{open}");
    }
}

#[test]
fn values_stay_exact_beyond_the_paisa() {
    let levels = Levels::of(Family::Traditional, &bar("196", "200.29", "195.21", "198.45"), None)
        .expect("levels");
    let shown = |name: &str| levels.get(name).expect(name).to_decimal(5);
    assert_eq!(shown("PP"), "197.98333");
    assert_eq!(shown("R5"), "211.38333");
    assert_eq!(shown("S3"), "190.59667");
    assert!(levels.get("R6").is_none());
}

#[test]
fn what_cannot_be_computed_is_an_error() {
    let sound = bar("80700", "81200", "80600", "81050");
    let no_open = Bar { open: None, ..sound };
    let error = |family, bar: &Bar| Levels::of(family, bar, None).expect_err("refused").to_string();
    assert_eq!(error(Family::Woodie, &sound), "woodie levels need today's open");
    assert_eq!(error(Family::DeMark, &no_open), "demark levels need the previous session's open");
    assert_eq!(
        error(Family::Kite, &bar("1", "80", "81", "80")),
        "the high 80.00 is below the low 81.00"
    );
    assert_eq!(
        error(Family::CamarillaA, &bar("1", "80", "0", "80")),
        "the low 0.00 is not a price between 0 and 100000000.00"
    );
}

#[test]
fn names_of_families_parse_back() {
    for family in Family::ALL {
        assert_eq!(Family::parse(family.as_str()), Some(family));
    }
    assert_eq!(Family::parse("classic"), None);
}

/// A day candle with L ≤ O, C ≤ H and H > L.
fn candles() -> impl Strategy<Value = DayCandle> {
    (1_i64..20_000_000, 1_i64..2_000_000, 0..=1000_i64, 0..=1000_i64).prop_map(
        |(low, range, open, close)| DayCandle {
            date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
            open: Price::from_paise(low + range * open / 1000),
            high: Price::from_paise(low + range),
            low: Price::from_paise(low),
            close: Price::from_paise(low + range * close / 1000),
        },
    )
}

proptest! {
    #[test]
    fn traditional_levels_and_the_band_are_ordered(candle in candles()) {
        let levels = Levels::compute(Family::Traditional, &candle, None).expect("levels");
        let cpr = Cpr::of(&candle);
        let level = |name: &str| *levels.get(name).expect("a level");
        let rising = [
            level("S4"), level("S3"), level("S2"), level("S1"), cpr.lo, cpr.pp, cpr.hi,
            level("R1"), level("R2"), level("R3"), level("R4"),
        ];
        prop_assert!(rising.is_sorted(), "{rising:?}");
    }

    #[test]
    fn the_families_differ_by_known_amounts(candle in candles()) {
        let of = |family, name: &str| {
            *Levels::compute(family, &candle, None).expect("levels").get(name).expect("a level")
        };
        let above = Level::from(candle.high) - of(Family::Traditional, "PP");
        prop_assert_eq!(of(Family::Kite, "R3") - of(Family::Traditional, "R3"), above);
        prop_assert_eq!(of(Family::Premium, "R4"), of(Family::Kite, "R3"));
    }

    #[test]
    fn every_family_computes_at_the_edges_of_its_range(
        low in prop_oneof![Just(1_i64), 9_999_999_000..=10_000_000_000_i64],
        high in 9_999_999_999..=10_000_000_000_i64,
        close in 1_i64..=10_000_000_000,
    ) {
        let price = Price::from_paise;
        let candle = DayCandle {
            date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
            open: price(close), high: price(high.max(low)), low: price(low), close: price(close),
        };
        for family in Family::ALL {
            let levels = Levels::compute(family, &candle, Some(price(close))).expect("levels");
            let falling: Vec<Level> = levels.iter().rev().map(|(_, level)| *level).collect();
            prop_assert!(falling.is_sorted());
            prop_assert!(levels.iter().all(|(_, level)| level.scaled((1_000_200, 1_000_000)).to_decimal(4).len() > 4));
        }
    }
}
