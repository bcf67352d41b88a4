//! Whatever arrives from outside, nothing here panics, and what cannot be
//! read is said to be so: answers of the broker, postbacks, the ticker's
//! texts and frames, arbitrary or made from good ones by mutation.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::client::data_of;
use super::decode::{self, Decoded};
use super::error::ApiError;
use super::history;
use super::outcome::{OrderCall, Reply, classify};
use super::quotes::QuoteBook;
use super::ticker::{frame, text};
use crate::engine::event::Outcome;
use crate::market::{Exchange, InstrumentKey};

/// Good answers of every kind, as the broker gives them.
fn samples() -> Vec<Value> {
    let order = json!({
        "order_id": "1953341975595868160", "exchange_order_id": "1100000012345", "status": "OPEN",
        "status_message": null, "order_timestamp": "2026-11-23 10:03:01",
        "exchange_update_timestamp": "2026-11-23 10:03:02", "variety": "regular",
        "exchange": "BFO", "tradingsymbol": "SENSEX26NOV81300CE", "instrument_token": 218968069,
        "order_type": "SL", "transaction_type": "SELL", "validity": "DAY", "product": "MIS",
        "quantity": 40, "filled_quantity": 20, "pending_quantity": 20, "cancelled_quantity": 0,
        "price": 259.55, "trigger_price": 288.4, "average_price": 288.4125, "tag": "P1123I002S1",
        "tags": ["P1123I002S1", "autoslice"], "meta": {}, "guid": null,
    });
    let position = json!({
        "tradingsymbol": "SENSEX26NOV81300CE", "exchange": "BFO", "product": "MIS", "quantity": 20,
        "overnight_quantity": 0, "average_price": 412, "last_price": 411.2, "day_buy_quantity": 20,
        "day_buy_value": 8240, "day_sell_quantity": 0, "day_sell_value": 0,
    });
    let trade = json!({
        "trade_id": "10000000", "order_id": "1", "exchange": "NSE", "tradingsymbol": "SBIN",
        "product": "CNC", "average_price": 420.65, "quantity": 1, "transaction_type": "BUY",
        "fill_timestamp": "2026-11-23 09:16:39", "order_timestamp": "09:16:39",
    });
    let level = json!({ "price": 411.2, "quantity": 40, "orders": 2 });
    let quote = json!({
        "instrument_token": 218968069, "timestamp": "2026-11-23 10:03:01", "last_price": 411.6,
        "volume": 12345, "oi": 500000, "ohlc": {"open": 400, "high": 420, "low": 390, "close": 401},
        "depth": { "buy": [level, level], "sell": [level] },
    });
    vec![
        json!([order.clone(), order.clone()]),
        order,
        json!({ "net": [position.clone()], "day": [position.clone()] }),
        position,
        json!([trade.clone()]),
        trade,
        json!({ "BFO:SENSEX26NOV81300CE": quote.clone() }),
        quote,
        json!({ "equity": { "enabled": true, "net": 99725.05, "available": { "cash": 245431.6 } } }),
        json!({ "user_id": "AB1234", "user_name": "A B", "access_token": "x", "login_time": "2026-11-23 08:00:00" }),
        json!({ "candles": [["2026-11-23T09:15:00+0530", 1.05, 2, 0.5, 1.5, 100, 7]] }),
        json!({ "order_id": "2", "children": [{ "order_id": "3" }, { "error": { "code": 400 } }] }),
        json!([{ "order_id": "3" }, { "error": { "error_type": "MarginException" } }]),
        json!({ "exchange": "NFO", "tradingsymbol": "X", "total": 5.5, "charges": { "total": 1 } }),
        json!({ "tradingsymbol": "SBIN", "exchange": "NSE", "quantity": 5, "t1_quantity": 1, "pnl": -2 }),
    ]
}

/// Values that no field expects.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(true)),
        Just(json!({})),
        Just(json!([[[]]])),
        any::<i64>().prop_map(|number| json!(number)),
        any::<u64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        Just(json!(1e300)),
        Just(json!("NaN")),
        Just(json!("-0")),
        Just(json!("9223372036854775808")),
        Just(json!("0001-01-01 00:00:00")),
        Just(json!("2026-02-30 25:61:61")),
        ".{0,12}".prop_map(|text| json!(text)),
    ]
}

/// Every place in a value.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_string());
    match value {
        Value::Array(list) => {
            for (index, inner) in list.iter().enumerate() {
                places(inner, &format!("{at}/{index}"), found);
            }
        }
        Value::Object(fields) => {
            for (name, inner) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                places(inner, &format!("{at}/{name}"), found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A good value with up to three odd ones in it.
fn mutated() -> impl Strategy<Value = Value> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), odd()), 0..4);
    (any::<prop::sample::Index>(), changes).prop_map(|(which, changes)| {
        let samples = samples();
        let mut value = which.get(&samples).clone();
        for (place, odd) in changes {
            let mut found = Vec::new();
            places(&value, "", &mut found);
            if let Some(slot) = value.pointer_mut(place.get(&found).as_str()) {
                *slot = odd;
            }
        }
        value
    })
}

/// Good bytes that were cut, flipped, doubled or stuffed.
fn mangled(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0_u8..4);
    prop::collection::vec(change, 1..6).prop_map(move |changes| {
        let mut bytes = good.clone();
        for (place, byte, how) in changes {
            if bytes.is_empty() {
                break;
            }
            let at = place.index(bytes.len());
            match how {
                0 => bytes[at] ^= byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

fn says_where<T>(result: Result<Decoded<T>, String>) {
    match result {
        Ok(decoded) => {
            for bad in decoded.bad {
                assert!(!bad.reason.is_empty());
            }
        }
        Err(reason) => assert!(!reason.is_empty()),
    }
}

fn says_why<T>(result: Result<T, String>) -> Option<T> {
    result.map_err(|reason| assert!(!reason.is_empty())).ok()
}

/// Shows a value to every decoder.
fn decode_all(value: &Value) {
    if let Some(order) = says_why(decode::order(value)) {
        assert!((0..=order.quantity).contains(&order.filled), "{order:?}");
    }
    says_why(decode::trade(value));
    says_why(decode::position(value));
    says_why(decode::holding(value));
    says_why(decode::positions(value, decode::position_row));
    says_why(decode::margins(value));
    says_why(decode::profile(value));
    says_why(decode::session_info(value));
    says_why(decode::order_margin(value));
    says_why(decode::order_charge(value));
    says_why(decode::ohlc_row(value));
    says_why(history::candles(value));
    says_where(decode::rows(value, decode::order));
    says_where(decode::rows(value, decode::trade));
    says_where(decode::rows(value, decode::position));
    let at = chrono::DateTime::UNIX_EPOCH;
    let key = InstrumentKey::new(Exchange::Bfo, "X");
    says_where(decode::entries(value, |_, row| decode::quote_row(key.clone(), row, at)));
}

/// Shows bytes to everything that reads bytes.
fn read_all(bytes: &[u8]) {
    for http in [200, 400, 403, 429, 502] {
        let _ = ApiError::parse(http, bytes);
        for call in [OrderCall::Place, OrderCall::Change] {
            match classify(call, Reply::Answer { http, body: bytes }) {
                Outcome::Accepted { order_id } => assert!(http == 200 && !order_id.0.is_empty()),
                Outcome::Refused { message, .. } => assert!(http != 200 && !message.is_empty()),
                Outcome::Unknown { message } => assert!(!message.is_empty()),
            }
        }
    }
    let text = String::from_utf8_lossy(bytes);
    says_why(super::read_postback(&text));
    let _ = text::read(&text);
    if let Err(error) = data_of(bytes) {
        assert!(!error.to_string().is_empty());
    }
}

/// Shows bytes to everything that reads bytes, and what they hold to every
/// decoder.
fn read_answer(bytes: &[u8]) {
    read_all(bytes);
    if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
        decode_all(&value);
        decode_all(value.get("data").unwrap_or(&Value::Null));
    }
}

fn read_frame(bytes: &[u8]) {
    let mut ticks = Vec::new();
    let report = frame::decode(bytes, &mut ticks);
    assert_eq!(report.decoded, ticks.len());
    assert!(ticks.len() * 10 <= bytes.len());
    let mut book = QuoteBook::new();
    let key = InstrumentKey::new(Exchange::Bfo, "X");
    book.set_instruments(ticks.iter().map(|tick| (tick.token, key.clone())));
    let quotes = book.apply(chrono::DateTime::UNIX_EPOCH, &ticks);
    assert!(quotes.len() <= ticks.len());
}

/// A frame of one full and one index packet.
fn good_frame() -> Vec<u8> {
    let mut bytes = vec![0, 2];
    for length in [184_u16, 32] {
        bytes.extend(length.to_be_bytes());
        bytes.extend((0..length).map(|place| place.to_le_bytes()[0]));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn odd_values_are_survived_and_named(value in mutated()) {
        decode_all(&value);
        let body = json!({ "status": "success", "data": value }).to_string();
        read_all(body.as_bytes());
        let told = json!({ "type": "order", "data": value }).to_string();
        let _ = text::read(&told);
        says_why(super::read_postback(&value.to_string()));
    }

    #[test]
    fn mangled_answers_are_survived_and_named(
        bytes in any::<prop::sample::Index>().prop_flat_map(|which| {
            let samples = samples();
            let value = which.get(&samples);
            mangled(json!({ "status": "success", "data": value }).to_string().into_bytes())
        }),
    ) {
        read_answer(&bytes);
    }

    #[test]
    fn mangled_frames_become_quotes_or_nothing(bytes in mangled(good_frame())) {
        read_frame(&bytes);
    }
}

#[test]
fn arbitrary_answers_are_survived_and_named() {
    bolero::check!().for_each(read_answer);
}

#[test]
fn arbitrary_frames_become_quotes_or_nothing() {
    bolero::check!().for_each(read_frame);
}

#[test]
fn good_answers_are_read() {
    for sample in samples() {
        decode_all(&sample);
    }
    assert!(decode::order(&samples()[1]).is_ok());
    assert!(
        decode::quote_row(
            InstrumentKey::new(Exchange::Bfo, "X"),
            &samples()[7],
            chrono::DateTime::UNIX_EPOCH
        )
        .is_ok()
    );
    let mut ticks = Vec::new();
    assert_eq!(frame::decode(&good_frame(), &mut ticks).decoded, 2);
}
