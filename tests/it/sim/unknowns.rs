//! What the broker does not document: the simulator's choice, and the other
//! one behind a switch.

use std::time::{Duration, Instant};

use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::sim::server::SimOptions;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::client::{Client, DEADLINE, Heard, SENSEX, Ticker, fast};

/// A morning before the market: nothing changes, so that whatever a ticker
/// gets, it gets for having asked.
fn early() -> SimOptions {
    let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    SimOptions { start: from_ist(date, hms(8, 0, 0)), speed: 1.0, ..fast() }
}

/// Lengths of the packets that a ticker got up to the answer to a wish that
/// cannot be fulfilled.
async fn lengths_so_far(ticker: &mut Ticker) -> Vec<usize> {
    ticker.say(json!({ "a": "sing", "v": [] })).await;
    let mut lengths = Vec::new();
    loop {
        match ticker.hear().await {
            Heard::Frame(packets) => lengths.extend(packets.iter().map(Vec::len)),
            Heard::Text(text) if text["type"] == "error" => return lengths,
            Heard::Text(_) | Heard::Heartbeat => {}
            Heard::End => panic!("the ticker ended"),
        }
    }
}

#[tokio::test]
async fn a_bare_subscription_has_the_mode_of_the_switch() {
    let client = Client::start(early()).await;
    let subscribe = json!({ "a": "subscribe", "v": [SENSEX] });
    for (mode, expected) in [("quote", vec![28]), ("ltp", vec![8]), ("nothing", vec![])] {
        client.set_faults(json!({ "bare_subscribe": mode })).await;
        let mut ticker = client.ticker().await;
        ticker.say(subscribe.clone()).await;
        assert_eq!(lengths_so_far(&mut ticker).await, expected, "{mode}");
        ticker.watch("full", &[SENSEX]).await;
        assert_eq!(lengths_so_far(&mut ticker).await, [32], "{mode}");
        // A mode once set outlasts another subscription.
        ticker.say(subscribe.clone()).await;
        assert_eq!(lengths_so_far(&mut ticker).await, [32], "{mode}");
    }
}

#[tokio::test]
async fn nothing_comes_of_a_bare_subscription_while_prices_change() {
    let client = Client::start(fast()).await;
    client.set_faults(json!({ "bare_subscribe": "nothing" })).await;
    let mut ticker = client.ticker().await;
    ticker.say(json!({ "a": "subscribe", "v": [SENSEX] })).await;
    loop {
        match ticker.hear().await {
            Heard::Heartbeat => break,
            Heard::Text(_) => {}
            heard @ (Heard::Frame(_) | Heard::End) => panic!("{heard:?}"),
        }
    }
}

#[tokio::test]
async fn the_first_packet_can_wait_for_a_change() {
    let client = Client::start(early()).await;
    client.set_faults(json!({ "ticker_no_snapshot": true })).await;
    let mut ticker = client.ticker().await;
    ticker.watch("full", &[SENSEX]).await;
    assert!(lengths_so_far(&mut ticker).await.is_empty());

    let client = Client::start(fast()).await;
    client.set_faults(json!({ "ticker_no_snapshot": true })).await;
    let mut ticker = client.ticker().await;
    ticker.watch("full", &[SENSEX]).await;
    assert_eq!(ticker.frame().await[0].len(), 32);
}

#[tokio::test]
async fn tickers_can_get_texts_of_unknown_types() {
    let client = Client::start(fast()).await;
    client.set_faults(json!({ "ticker_texts": "app_code,message,unknown" })).await;
    let mut ticker = client.ticker().await;
    // At this speed a market minute lasts two seconds.
    for round in 0..2 {
        let mut types = Vec::new();
        while types.len() < if round == 0 { 4 } else { 3 } {
            match ticker.hear().await {
                Heard::Text(text) => {
                    let is_app_code = text["type"] == "app_code";
                    assert_eq!(is_app_code, text["timestamp"].is_string(), "{text}");
                    types.push(text["type"].as_str().unwrap().to_string());
                }
                Heard::Heartbeat => {}
                heard @ (Heard::Frame(_) | Heard::End) => panic!("{heard:?}"),
            }
        }
        let greeting = (round == 0).then_some("instruments_meta");
        let expected: Vec<&str> =
            greeting.into_iter().chain(["app_code", "message", "sim_unknown"]).collect();
        assert_eq!(types, expected);
    }
}

#[tokio::test]
async fn sockets_outlive_their_session_unless_switched() {
    let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    for cuts in [false, true] {
        let start = from_ist(date, hms(5, 59, 0));
        let client = Client::start(SimOptions { start, ..fast() }).await;
        client.set_faults(json!({ "session_end_cuts_tickers": cuts })).await;
        let mut ticker = client.ticker().await;
        let deadline = Instant::now() + DEADLINE;
        while client.call(Method::GET, "/orders", "").await.0 != StatusCode::FORBIDDEN {
            assert!(Instant::now() < deadline, "six o'clock never comes");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut last = ticker.hear().await;
        while matches!(last, Heard::Text(_)) {
            last = ticker.hear().await;
        }
        // Heartbeats before six may still be there to be read.
        while cuts && matches!(last, Heard::Heartbeat) {
            last = ticker.hear().await;
        }
        assert_eq!(matches!(last, Heard::End), cuts, "{last:?}");
        assert!(Ticker::connect(&client.ticker_url(&client.token)).await.is_err());
    }
}

#[tokio::test]
async fn a_logout_cuts_sockets_when_switched() {
    let client = Client::start(fast()).await;
    client.set_faults(json!({ "session_end_cuts_tickers": true })).await;
    let mut ticker = client.ticker().await;
    assert!(matches!(ticker.hear().await, Heard::Text(_)));
    client.post_own("logout", json!({})).await;
    while !matches!(ticker.hear().await, Heard::End) {}
}

#[tokio::test]
async fn a_429_comes_with_a_header_or_without() {
    let client = Client::start(SimOptions { rate_limits: Some(true), ..fast() }).await;
    let refused = async || {
        client.set_faults(json!({ "rate_limit_429_next": 1 })).await;
        let answer = client.try_call(Method::GET, "/orders", "").await.unwrap();
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        answer
    };
    assert!(!refused().await.headers().contains_key("retry-after"));
    client.set_faults(json!({ "rate_limit_retry_after_s": 7, "rate_limit_html": true })).await;
    let answer = refused().await;
    assert_eq!(answer.headers()["retry-after"], "7");
    assert!(answer.text().await.unwrap().starts_with("<html>"));

    // Limits that are really exceeded look the same.
    let quote = "i=BSE:SENSEX";
    client.try_call(Method::GET, "/quote/ltp", quote).await.unwrap();
    let answer = client.try_call(Method::GET, "/quote/ltp", quote).await.unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "7");
    assert!(answer.text().await.unwrap().starts_with("<html>"));
}

#[tokio::test]
async fn an_index_has_no_depth_or_zeros() {
    let client = Client::start(fast()).await;
    let index =
        async || client.data(Method::GET, "/quote", "i=BSE:SENSEX").await["BSE:SENSEX"].clone();
    let short = index().await;
    assert!(short.get("depth").is_none() && short.get("volume").is_none(), "{short}");
    client.set_faults(json!({ "index_quote_zeros": true })).await;
    let full = index().await;
    for name in ["volume", "last_quantity", "average_price", "buy_quantity", "oi"] {
        assert_eq!(full[name], 0, "{name}");
    }
    assert_eq!(full["upper_circuit_limit"], 0);
    assert_eq!(full["depth"]["sell"].as_array().unwrap().len(), 5);
    assert_eq!(full["depth"]["buy"][0], json!({ "price": 0, "quantity": 0, "orders": 0 }));
    assert!(full["ohlc"]["high"].as_f64() >= full["last_price"].as_f64(), "{full}");
}
