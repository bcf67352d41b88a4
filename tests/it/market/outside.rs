//! Comparison with published values and recorded market data, which are not
//! part of the project: each test says so when they are absent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use chrono::{Datelike, NaiveDate};
use pivot_trading::market::calendar::{Calendar, DayKind};
use pivot_trading::market::charges::{ChargeSegment, Leg, estimate};
use pivot_trading::market::contract;
use pivot_trading::market::master::{Master, parse_instruments};
use pivot_trading::market::order_price::{catastrophe_stop, entry_limit, exit_limit};
use pivot_trading::market::pivots::{Bar, Cpr, Family, Level, Levels};
use pivot_trading::market::{Exchange, InstrumentKey, InstrumentKind, Price, Side};
use serde_json::Value;

/// The file's bytes, unpacked; `None`, with a message, when it is absent.
fn outside(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data")).join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("skipped: no {name}");
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).expect("gzip");
    Some(text)
}

fn vectors(key: &str) -> Option<Vec<Value>> {
    let bytes = outside("domain_fixtures.json")?;
    let mut all: Value = serde_json::from_slice(&bytes).expect("JSON");
    let Value::Array(list) = all[key].take() else { panic!("no {key}") };
    assert!(!list.is_empty(), "{key}");
    Some(list)
}

fn price(value: &Value) -> Price {
    value.as_str().expect("text").parse().expect("a price")
}

fn level(value: &Value) -> Option<Level> {
    value.as_str().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a level"))
}

#[test]
fn levels_equal_the_reference() {
    let Some(cases) = vectors("pivots") else { return };
    let mut checked = 0;
    for case in cases {
        let input = &case["in"];
        let bar = Bar {
            open: level(&input["O_prev"]),
            high: level(&input["H"]).expect("H"),
            low: level(&input["L"]).expect("L"),
            close: level(&input["C"]).expect("C"),
        };
        let today = level(&input["O_today"]);
        for (method, expected) in case["out"].as_object().expect("methods") {
            let expected = expected.as_object().expect("levels");
            if method == "cpr" {
                check_cpr(&Cpr::of_bar(&bar), expected);
                continue;
            }
            let levels = Levels::of(family(method), &bar, today).expect("levels");
            for (name, value) in
                expected.iter().filter(|(name, _)| !["C", "X"].contains(&name.as_str()))
            {
                let got = levels.get(name).unwrap_or_else(|| panic!("{method} {name}"));
                assert_eq!(got.to_decimal(2), value.as_str().expect("text"), "{method} {name}");
                checked += 1;
            }
        }
    }
    assert!(checked > 400, "{checked}");
}

fn check_cpr(cpr: &Cpr, expected: &serde_json::Map<String, Value>) {
    for (name, got) in [
        ("BC", cpr.bc.to_decimal(2)),
        ("PP", cpr.pp.to_decimal(2)),
        ("TC", cpr.tc.to_decimal(2)),
        ("lo", cpr.lo.to_decimal(2)),
        ("hi", cpr.hi.to_decimal(2)),
        ("signed", cpr.signed.to_decimal(2)),
        ("width", cpr.width().to_decimal(2)),
        ("width_pct", cpr.width_percent(2)),
    ] {
        assert_eq!(expected[name], got, "{name}");
    }
    assert_eq!(expected["inverted"], cpr.tc < cpr.bc);
}

fn family(method: &str) -> Family {
    match method {
        "traditional" | "standard" => Family::Traditional,
        "classic_kite" => Family::Kite,
        "original_bot" => Family::Premium,
        "fibonacci" => Family::Fibonacci,
        "camarilla_A" | "camarilla" => Family::CamarillaA,
        "camarilla_B" => Family::CamarillaB,
        "woodie_open" | "woodie" => Family::Woodie,
        "woodie_close" => Family::WoodieClose,
        "demark" => Family::DeMark,
        other => panic!("unknown method {other}"),
    }
}

#[test]
fn levels_equal_those_of_other_libraries() {
    let Some(csv) = outside("market/pivots/pivot_vectors.csv") else { return };
    let mut checked = 0;
    for row in csv::Reader::from_reader(csv.as_slice()).deserialize() {
        let row: BTreeMap<String, String> = row.expect("a row");
        let field = |name: &str| row.get(name).map_or("", String::as_str);
        let level = |name: &str| field(name).parse::<Level>().ok();
        let (high, low) = (level("prev_high").expect("high"), level("prev_low").expect("low"));
        let close = level("prev_close").unwrap_or(low);
        let bar = Bar { open: level("prev_open"), high, low, close };
        let family = family(field("method"));
        let name = match (family, field("level")) {
            // Some draw the close in the middle.
            (Family::CamarillaA, "pp") => continue,
            (Family::CamarillaA, name) => name.replace('r', "H").replace('s', "L"),
            (_, name) => name.to_uppercase(),
        };
        let levels = Levels::of(family, &bar, level("cur_open")).expect("levels");
        let got: f64 = levels.get(&name).expect("level").to_decimal(6).parse().expect("a number");
        let expected: f64 = field("expected").parse().expect("a number");
        let tolerance: f64 = field("tol").parse().expect("a number");
        // Six decimals are compared.
        assert!((got - expected).abs() <= tolerance.max(0.000_000_6), "{row:?}: {got}");
        checked += 1;
    }
    assert!(checked > 2_000, "{checked}");
}

#[test]
fn order_prices_equal_the_reference() {
    let tick = |case: &Value| case.get("tick").map_or(Price::from_paise(5), price);
    let Some(cases) = vectors("entry_limit") else { return };
    for case in cases {
        let (ask, last) = (price(&case["ask"]), price(&case["ltp"]));
        let got = entry_limit(ask, last, tick(&case), (5, 1_000), (30, 1_000));
        assert_eq!(got, price(&case["limit"]), "{case}");
    }
    const LADDER: [(i64, i64); 5] =
        [(5, 1_000), (20, 1_000), (50, 1_000), (100, 1_000), (200, 1_000)];
    for case in vectors("exit_limit").expect("present") {
        let attempt = case["attempt"].as_u64().expect("a number") as usize;
        let (bid, reference) = (price(&case["bid"]), price(&case["ref"]));
        let got = exit_limit(bid, reference, LADDER[attempt], tick(&case));
        assert_eq!(got, price(&case["limit"]), "{case}");
    }
    for case in vectors("catastrophe_sl").expect("present") {
        let got = catastrophe_stop(price(&case["avg"]), (30, 100), (10, 100), tick(&case));
        assert_eq!(got, (price(&case["trigger"]), price(&case["limit"])), "{case}");
    }
    for case in vectors("atm_half_up").expect("present") {
        let step = Price::from_rupees(case["step"].as_i64().expect("a number"));
        let atm = Price::from_rupees(case["atm"].as_i64().expect("a number"));
        assert_eq!(contract::atm(price(&case["spot"]), step), atm, "{case}");
    }
}

#[test]
fn charges_equal_the_reference() {
    let Some(cases) = vectors("charges") else { return };
    for case in cases {
        let segment = match case["segment"].as_str().expect("text") {
            "EQ_INTRA" => ChargeSegment::EquityIntraday,
            "EQ_DELIV" => ChargeSegment::EquityDelivery,
            "FUT" => ChargeSegment::Futures,
            "OPT" => ChargeSegment::Options,
            other => panic!("unknown segment {other}"),
        };
        let exchange = Exchange::parse(case["exchange"].as_str().expect("text")).expect("known");
        let date = case["date"].as_str().expect("text").parse().expect("a date");
        let legs: Vec<Leg> = case["legs"].as_array().expect("legs").iter().map(leg).collect();
        let got = estimate(segment, exchange, date, &legs);
        for (name, money) in [
            ("turnover", got.turnover),
            ("brokerage", got.brokerage),
            ("stt", got.stt),
            ("txn", got.txn),
            ("sebi", got.sebi),
            ("stamp", got.stamp),
            ("gst", got.gst),
            ("total", got.total),
            ("gross", got.gross),
            ("net", got.net),
        ] {
            let expected = case["expect"][name].as_str().expect(name).parse();
            assert_eq!(Ok(money), expected, "{name} of {case}");
        }
    }
}

fn leg(value: &Value) -> Leg {
    let side = if value["side"] == "B" { Side::Buy } else { Side::Sell };
    let number = |name: &str| value[name].as_i64().expect("a number");
    Leg::at(side, number("qty"), price(&value["price"]), number("orders") as u32)
}

#[test]
fn the_calendar_agrees_with_what_traded() {
    let name = "market/calendar/trading_days_observed_2012_2026.csv";
    let Some(csv) = outside(name) else { return };
    let calendar = Calendar::india();
    let mut observed = BTreeMap::new();
    for row in csv::Reader::from_reader(csv.as_slice()).deserialize() {
        let row: BTreeMap<String, String> = row.expect("a row");
        let date: NaiveDate = row["date"].parse().expect("a date");
        if date.year() >= 2024 {
            observed.insert(date, row["session"].clone());
        }
    }
    let last = *observed.keys().next_back().expect("days");
    assert!(observed.len() > 600, "{}", observed.len());
    let first = NaiveDate::from_ymd_opt(2024, 1, 1).expect("a date");
    for date in first.iter_days().take_while(|date| *date <= last) {
        let kind = calendar.day(date);
        match observed.get(&date).map(String::as_str) {
            None => assert!(matches!(kind, DayKind::Closed(_)), "{date} did not trade: {kind:?}"),
            Some("regular") => assert!(matches!(kind, DayKind::Trading(_)), "{date}: {kind:?}"),
            Some(session) => {
                assert!(matches!(kind, DayKind::Special(_)), "{date} {session}: {kind:?}");
                let full = ["special_saturday", "budget_saturday", "budget_sunday"];
                assert_eq!(kind.is_regular(), full.contains(&session), "{date} {session}");
            }
        }
    }
}

#[test]
fn a_real_instrument_list_is_read_whole() {
    let name = "market/instruments/kite_instruments_NFO_BFO_2026-08.csv.gz";
    let Some(csv) = outside(name) else { return };
    let Master { instruments, bad_rows } = parse_instruments(&csv);
    assert_eq!(bad_rows, []);
    assert_eq!(instruments.len(), 39_941);
    let options = |key: &str| {
        let key = InstrumentKey::parse(key).expect("a key");
        instruments
            .iter()
            .filter(|row| row.name == key.symbol && row.key.exchange == key.exchange)
            .filter(|row| row.kind != InstrumentKind::Future)
            .cloned()
            .collect::<Vec<_>>()
    };
    for (key, spot, step, lot) in [
        ("NFO:NIFTY", 24_500, 50, 65),
        ("NFO:BANKNIFTY", 55_000, 100, 30),
        ("BFO:SENSEX", 80_000, 100, 20),
    ] {
        let rows = options(key);
        let name = key.split_once(':').expect("a key").1;
        let first = NaiveDate::from_ymd_opt(2026, 8, 1).expect("a date");
        let expiry = contract::nearest_expiry(&rows, name, first).expect("an expiry");
        let chain = contract::chain(&rows, name, expiry);
        let spot = Price::from_rupees(spot);
        assert_eq!(contract::strike_step(&chain, spot), Some(Price::from_rupees(step)), "{key}");
        let found = contract::find(&chain, expiry, spot, InstrumentKind::Call).expect("listed");
        assert_eq!((found.lot, found.tick), (lot, Price::from_paise(5)), "{key}");
    }
}

#[test]
fn the_brokers_sample_lists_are_read() {
    for (name, count) in [("instruments_all.csv", 99), ("instruments_nse.csv", 99)] {
        let Some(csv) = outside(&format!("kite-mocks/{name}")) else { return };
        let Master { instruments, bad_rows } = parse_instruments(&csv);
        let lines = csv.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!((instruments.len(), bad_rows), (lines - 1, vec![]), "{name}");
        assert!(instruments.len() >= count, "{name}: {}", instruments.len());
    }
}
