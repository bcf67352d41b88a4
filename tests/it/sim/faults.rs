//! The broker misbehaves on demand.

use pivot_trading::clock::Conductor;
use pivot_trading::sim::server::SimOptions;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::client::{Client, DEADLINE, Heard, SENSEX, Ticker, best, fast, limit_form, on_tick};

/// Placements in the request log with this tag.
async fn placements(client: &Client, tag: &str) -> Vec<Value> {
    let log = client.own("log?since=0").await;
    let entries = log.as_array().unwrap().iter();
    entries
        .filter(|entry| entry["method"] == "POST" && entry["params"]["tag"] == tag)
        .cloned()
        .collect()
}

#[tokio::test]
async fn an_answer_can_be_lost_while_the_order_exists() {
    let client = Client::start(fast()).await;
    let contract = client.option().await;
    let price = on_tick(best(&client.quote(&contract).await, "buy") * 0.9);
    client.set_faults(json!({ "response_lost_after_place": 1 })).await;
    let form = limit_form(&contract, "BUY", price, "lost1");
    let lost = client.try_call(Method::POST, "/orders/regular", &form).await;
    assert!(lost.is_err(), "an answer came: {lost:?}");

    let entries = placements(&client, "lost1").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["status"], 0);
    let order_id = entries[0]["order_id"].as_str().unwrap();
    assert_eq!(client.until_status(order_id, "OPEN").await["tag"], "lost1");

    // The fault counts down: the next order is answered.
    client.place_limit(&contract, "BUY", price, "lost2").await;
}

#[tokio::test]
async fn any_answer_can_be_lost_delayed_or_spoiled() {
    let client = Client::start(fast()).await;
    client.set_faults(json!({ "answer_lost_next": "1:/trades" })).await;
    assert!(client.try_call(Method::GET, "/trades", "").await.is_err());
    client.get("/trades").await;

    client.set_faults(json!({ "answer_delay_ms": 120 })).await;
    let start = std::time::Instant::now();
    client.get("/trades").await;
    assert!(start.elapsed() >= std::time::Duration::from_millis(120));
    client.set_faults(json!({ "answer_delay_ms": 0, "http_next": "503:1:/orders" })).await;

    client.get("/trades").await;
    let spoiled = client.try_call(Method::GET, "/orders", "").await.unwrap();
    assert_eq!(spoiled.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(spoiled.text().await.unwrap().starts_with("<html>"));
    client.get("/orders").await;

    client.set_faults(json!({ "rate_limit_429_next": 1 })).await;
    let (status, body) = client.call(Method::GET, "/orders", "").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["error_type"], "NetworkException");

    client.set_faults(json!({ "token_expired": true })).await;
    assert_eq!(client.call(Method::GET, "/orders", "").await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn switches_are_listed_and_wrong_ones_refused() {
    let client = Client::start(fast()).await;
    let list = client.own("faults").await;
    let names: Vec<&str> =
        list.as_array().unwrap().iter().filter_map(|row| row["name"].as_str()).collect();
    for name in ["response_lost_after_place", "ticker_drop", "answer_lost_next"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(list.as_array().unwrap().iter().all(|row| row["does"].is_string()));
    let (status, body) = client.post_own("faults", json!({ "no_such_switch": 1 })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["message"].as_str().unwrap().contains("no_such_switch"), "{body}");
}

#[tokio::test]
async fn a_ticker_can_be_cut_silenced_and_refused() {
    let client = Client::start(fast()).await;
    let mut ticker = client.ticker().await;
    ticker.watch("ltp", &[SENSEX]).await;
    ticker.frame().await;
    client.set_faults(json!({ "ticker_drop": 1 })).await;
    while !matches!(ticker.hear().await, Heard::End) {}

    client.set_faults(json!({ "ticker_silent": true })).await;
    let mut silent = client.ticker().await;
    silent.watch("ltp", &[SENSEX]).await;
    silent.frame().await;
    assert!(matches!(silent.hear().await, Heard::Heartbeat));

    client.set_faults(json!({ "ticker_refuse": true })).await;
    assert!(Ticker::connect(&client.ticker_url(&client.token)).await.is_err());
}

#[tokio::test]
async fn a_caller_who_hangs_up_leaves_nobody_busy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clock");
    let start = fast().start;
    let conductor = Conductor::create(&path, start).unwrap();
    let client = Client::start(SimOptions { clock_file: Some(path), ..fast() }).await;
    client.set_faults(json!({ "answer_delay_ms": 60_000 })).await;
    let impatient = tokio::time::timeout(
        std::time::Duration::from_millis(100),
        client.try_call(Method::GET, "/orders", ""),
    );
    assert!(impatient.await.is_err(), "the answer is not late");
    let deadline = std::time::Instant::now() + DEADLINE;
    while conductor.progress("sim") != Some((start, false)) {
        assert!(std::time::Instant::now() < deadline, "busy for ever");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
