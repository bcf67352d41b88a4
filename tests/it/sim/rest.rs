//! Login, sessions, envelopes and shapes.

use std::collections::BTreeSet;
use std::io::Read as _;

use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::client::{Client, DEADLINE, fast};

#[tokio::test]
async fn the_login_page_leads_to_a_session_once() {
    let client = Client::start(fast()).await;
    let page = format!("{}/connect/login?v=3&api_key=demo_key", client.sim.kite_url());
    let page = client.http.get(page).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<form") && page.contains("name=\"totp\""), "{page}");

    let unknown = format!("{}/connect/login?v=3&api_key=other", client.sim.kite_url());
    assert_eq!(client.http.get(unknown).send().await.unwrap().status(), StatusCode::BAD_REQUEST);

    let stranger = client.post_login("api_key=other&user_id=SIM001&password=x&totp=1").await;
    assert_eq!(stranger.status(), StatusCode::BAD_REQUEST);
    let bare = client.post_login("user_id=SIM001&password=x&totp=123456").await;
    assert_eq!(bare.status(), StatusCode::FOUND);
    let location = bare.headers()["location"].to_str().unwrap();
    let granted = location.split("request_token=").nth(1).unwrap();
    assert_eq!(client.exchange_token(granted, "demo_secret").await.0, StatusCode::OK);

    let cancelled = client.post_login("api_key=demo_key&cancel=1&redirect_params=state%3D1").await;
    assert_eq!(cancelled.headers()["location"], "http://127.0.0.1:8001/callback?status=cancelled");

    let empty = client.post_login("api_key=demo_key&user_id=&password=&totp=").await;
    assert_eq!(empty.status(), StatusCode::OK);

    let request_token = client.request_token().await;
    let (status, body) = client.exchange_token(&request_token, "wrong").await;
    assert_eq!((status, &body["error_type"]), (StatusCode::FORBIDDEN, &"TokenException".into()));
    assert_eq!(client.exchange_token(&request_token, "demo_secret").await.0, StatusCode::OK);
    let (status, body) = client.exchange_token(&request_token, "demo_secret").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["message"], "Token is invalid or has expired.");
}

#[tokio::test]
async fn a_session_ends_by_logout_by_another_login_and_at_six() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clock");
    let start = fast().start;
    let mut conductor = pivot_trading::clock::Conductor::create(&path, start).unwrap();
    conductor.run(1.0, start + chrono::TimeDelta::hours(1)).unwrap();
    let mut client =
        Client::start(pivot_trading::sim::server::SimOptions { clock_file: Some(path), ..fast() })
            .await;
    let profile = client.get("/user/profile").await;
    assert_eq!(profile["user_id"], "SIM001");

    let first = client.token.clone();
    client.token = client.login().await;
    let second = std::mem::replace(&mut client.token, first);
    let (status, body) = client.call(Method::GET, "/user/profile", "").await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["error_type"], "TokenException");

    client.token = second;
    let goodbye = format!("api_key=demo_key&access_token={}", client.token);
    assert_eq!(client.data(Method::DELETE, "/session/token", &goodbye).await, true);
    assert_eq!(client.call(Method::GET, "/orders", "").await.0, StatusCode::FORBIDDEN);

    client.token = client.login().await;
    client.get("/orders").await;
    conductor.run(200_000.0, start + chrono::TimeDelta::hours(21)).unwrap();
    let deadline = std::time::Instant::now() + DEADLINE;
    while client.call(Method::GET, "/orders", "").await.0 != StatusCode::FORBIDDEN {
        assert!(std::time::Instant::now() < deadline, "the token outlives the night");
    }
    let night = client.own("time").await;
    assert!(night["ist"].as_str().unwrap() >= "2026-11-24 06:00:00", "{night}");
}

#[tokio::test]
async fn refusals_come_in_kites_envelope() {
    let client = Client::start(fast()).await;
    let check = async |method: Method, path: &str, params: &str, status: u16, kind: &str| {
        let (found, body) = client.call(method, path, params).await;
        assert_eq!(found.as_u16(), status, "{path} {body}");
        assert_eq!(body["status"], "error", "{path}");
        assert_eq!(body["error_type"], kind, "{path}");
        assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{path}");
    };
    check(Method::GET, "/gtt/triggers", "", 404, "GeneralException").await;
    check(Method::GET, "/alerts", "", 404, "GeneralException").await;
    check(Method::GET, "/user/margins/moon", "", 400, "InputException").await;
    check(Method::GET, "/quote", "", 400, "InputException").await;
    check(Method::GET, "/instruments/NOWHERE", "", 400, "InputException").await;
    check(Method::GET, "/orders/1", "", 400, "OrderException").await;
    check(Method::POST, "/orders/regular", "exchange=NSE", 400, "InputException").await;
    check(Method::POST, "/orders/co", "exchange=NSE", 400, "InputException").await;
    check(Method::POST, "/session/token", "api_key=demo_key", 400, "InputException").await;
    let day = "from=2026-11-23&to=2026-11-23";
    check(Method::GET, "/instruments/historical/265/7minute", day, 400, "InputException").await;
    check(Method::GET, "/instruments/historical/x/minute", day, 400, "InputException").await;
    check(Method::GET, "/instruments/historical/265/minute", "from=x&to=y", 400, "InputException")
        .await;
}

#[tokio::test]
async fn the_instruments_file_comes_compressed_or_plain() {
    let client = Client::start(fast()).await;
    let url = format!("{}/instruments", client.sim.kite_url());
    let plain = client.http.get(&url).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/csv");
    assert!(!plain.headers().contains_key("content-encoding"), "nobody asked for it");
    let etag = plain.headers()["etag"].to_str().unwrap().to_string();
    let plain = plain.text().await.unwrap();
    assert!(plain.starts_with("instrument_token,exchange_token,tradingsymbol,name,last_price,"));

    let packed = client.http.get(&url).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed.as_ref()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain);

    let known = client.http.get(&url).header("if-none-match", etag).send().await.unwrap();
    assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn request_limits_are_kept_when_asked_for() {
    let options = pivot_trading::sim::server::SimOptions { rate_limits: Some(true), ..fast() };
    let client = Client::start(options).await;
    let quote = "i=BSE:SENSEX";
    client.data(Method::GET, "/quote/ltp", quote).await;
    let (status, body) = client.call(Method::GET, "/quote", quote).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(body["error_type"], "NetworkException");
    assert_eq!(body["message"], "Too many requests");
}

/// Keys of an object, those of nested objects included.
fn keys(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Value::Object(fields) = value {
        for (name, inner) in fields {
            found.insert(name.clone());
            found.extend(keys(inner).into_iter().map(|key| format!("{name}.{key}")));
        }
    }
    found
}

/// Checks that an answer has at least the keys of the official sample.
fn check_shape(answer: &Value, file: &str, pointer: &str) {
    let path = format!("{}/../shared/data/kite-mocks/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("skipped: no official sample {file}");
        return;
    };
    let sample: Value = serde_json::from_str(&text).unwrap();
    let sample = sample.pointer(pointer).unwrap_or_else(|| panic!("{file} {pointer}"));
    let (have, want) = (keys(answer), keys(sample));
    let missing: Vec<&String> = want.difference(&have).collect();
    assert!(missing.is_empty(), "{file}: missing {missing:?} in {answer}");
}

#[tokio::test]
async fn answers_have_the_keys_of_the_official_samples() {
    let client = Client::start(fast()).await;
    check_shape(&client.get("/user/profile").await, "profile.json", "/data");
    check_shape(&client.get("/user/profile/full").await, "full_profile.json", "/data");
    check_shape(&client.get("/user/margins").await, "margins.json", "/data");
    check_shape(&client.get("/user/margins/equity").await, "margins_equity.json", "/data");
    let summary = client.get("/portfolio/holdings/summary").await;
    check_shape(&summary, "holdings_summary.json", "/data");

    let request_token = client.request_token().await;
    let (_, session) = client.exchange_token(&request_token, "demo_secret").await;
    check_shape(&session["data"], "generate_session.json", "/data");
}

#[tokio::test]
async fn orders_and_quotes_have_the_keys_of_the_official_samples() {
    let client = Client::start(fast()).await;
    let contract = client.option().await;
    let quote = client.quote(&contract).await;
    check_shape(&quote, "quote.json", "/data/NSE:INFY");
    let key = format!("i=BFO:{}", contract.symbol);
    let ohlc = client.data(Method::GET, "/quote/ohlc", &key).await;
    check_shape(ohlc.as_object().unwrap().values().next().unwrap(), "ohlc.json", "/data/NSE:INFY");

    let order_id = client
        .place_limit(
            &contract,
            "BUY",
            super::client::on_tick(super::client::best(&quote, "sell") * 1.04),
            "shape1",
        )
        .await;
    let order = client.until_status(&order_id, "COMPLETE").await;
    check_shape(&order, "orders.json", "/data/0");
    let trades = client.get("/trades").await;
    check_shape(&trades[0], "trades.json", "/data/0");
    let positions = client.get("/portfolio/positions").await;
    check_shape(&positions["net"][0], "positions.json", "/data/net/0");
    check_shape(&positions["day"][0], "positions.json", "/data/day/0");

    let query = serde_json::json!([{
        "exchange": "BFO", "tradingsymbol": contract.symbol, "transaction_type": "BUY",
        "variety": "regular", "product": "MIS", "order_type": "LIMIT",
        "quantity": contract.lot, "price": 100.0, "trigger_price": 0,
    }]);
    let calculate = async |path: &str| {
        let url = format!("{}{path}", client.sim.kite_url());
        let key = format!("token demo_key:{}", client.token);
        let request = client.http.post(url).header("authorization", key).json(&query);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["status"], "success", "{answer}");
        answer["data"].clone()
    };
    let margins = calculate("/margins/orders").await;
    check_shape(&margins[0], "order_margins.json", "/data/0");
    let basket = calculate("/margins/basket?consider_positions=true").await;
    check_shape(&basket, "basket_margins.json", "/data");
    let charges = calculate("/charges/orders").await;
    check_shape(&charges[0], "virtual_contract_note.json", "/data/0");
}
