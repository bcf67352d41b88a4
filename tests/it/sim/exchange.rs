//! Orders through the API, and what is told of them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use pivot_trading::sim::server::SimOptions;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::client::{Client, DEADLINE, best, fast, on_tick};

#[tokio::test]
async fn an_order_lives_rests_changes_and_ends() {
    let client = Client::start(fast()).await;
    let contract = client.option().await;
    let bid = best(&client.quote(&contract).await, "buy");
    let price = on_tick(bid * 0.9);
    let order_id = client.place_limit(&contract, "BUY", price, "life1").await;
    let row = client.until_status(&order_id, "OPEN").await;
    assert_eq!(row["tag"], "life1");
    assert_eq!(row["price"].as_f64(), Some(price));

    let path = format!("/orders/regular/{order_id}");
    let lower = on_tick(price - 1.0);
    client.data(Method::PUT, &path, &format!("price={lower:.2}")).await;
    let deadline = std::time::Instant::now() + DEADLINE;
    while client.order(&order_id).await["price"].as_f64() != Some(lower) {
        assert!(std::time::Instant::now() < deadline, "the change never came");
    }
    assert_eq!(client.data(Method::DELETE, &path, "").await["order_id"], order_id.as_str());
    client.until_status(&order_id, "CANCELLED").await;
    let history = client.get(&format!("/orders/{order_id}")).await;
    let states: Vec<&str> =
        history.as_array().unwrap().iter().filter_map(|row| row["status"].as_str()).collect();
    assert_eq!(states.last(), Some(&"CANCELLED"), "{states:?}");
    assert_eq!(client.call(Method::DELETE, &path, "").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_fill_shows_in_trades_positions_books_and_on_the_socket() {
    let client = Client::start(fast()).await;
    let contract = client.option().await;
    let mut ticker = client.ticker().await;
    let ask = best(&client.quote(&contract).await, "sell");
    let order_id = client.place_limit(&contract, "BUY", on_tick(ask * 1.04), "fill1").await;
    let row = client.until_status(&order_id, "COMPLETE").await;
    assert_eq!(row["filled_quantity"], contract.lot);

    let trades = client.get(&format!("/orders/{order_id}/trades")).await;
    let units: i64 =
        trades.as_array().unwrap().iter().filter_map(|fill| fill["quantity"].as_i64()).sum();
    assert_eq!(units, contract.lot);
    let positions = client.get("/portfolio/positions").await;
    assert_eq!(positions["net"][0]["quantity"], contract.lot);
    let books = client.own("books").await;
    assert_eq!(books["orders"][0]["order_id"], order_id.as_str());

    loop {
        let update = ticker.text("order").await;
        assert_eq!(update["order_id"], order_id.as_str());
        if update["status"] == "COMPLETE" {
            assert_eq!(update["unfilled_quantity"], 0);
            assert_eq!(update["checksum"], "");
            break;
        }
    }
}

#[tokio::test]
async fn postbacks_are_signed() {
    let received: Arc<Mutex<Vec<Value>>> = Arc::default();
    let inbox = Arc::clone(&received);
    let routes = Router::new().route(
        "/postback",
        post(async move |body: String| {
            inbox.lock().unwrap().push(serde_json::from_str(&body).unwrap());
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/postback", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });

    let client = Client::start(SimOptions { postback_url: Some(url), ..fast() }).await;
    let contract = client.option().await;
    let ask = best(&client.quote(&contract).await, "sell");
    let order_id = client.place_limit(&contract, "BUY", on_tick(ask * 1.04), "post1").await;
    client.until_status(&order_id, "COMPLETE").await;
    let deadline = std::time::Instant::now() + DEADLINE;
    let postback = loop {
        let found =
            received.lock().unwrap().iter().find(|row| row["status"] == "COMPLETE").cloned();
        if let Some(found) = found {
            break found;
        }
        assert!(std::time::Instant::now() < deadline, "no postback");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(postback["order_id"], order_id.as_str());
    let stamp = postback["order_timestamp"].as_str().unwrap();
    let digest = Sha256::digest(format!("{order_id}{stamp}demo_secret").as_bytes());
    let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(postback["checksum"], checksum);
    assert!(postback.get("tags").is_none() && postback.get("modified").is_none());
    server.abort();
}

#[tokio::test]
async fn a_trade_by_hand_is_told_apart() {
    let client = Client::start(fast()).await;
    let contract = client.option().await;
    let wish = json!({
        "exchange": "BFO", "tradingsymbol": contract.symbol, "transaction_type": "BUY",
        "quantity": contract.lot, "product": "MIS",
    });
    let (status, body) = client.post_own("manual_trade", wish).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let row = client.until_status(body["order_id"].as_str().unwrap(), "COMPLETE").await;
    assert_eq!(row["tag"], Value::Null);
    let (status, body) = client.post_own("manual_trade", json!({ "exchange": "BFO" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["message"].as_str().unwrap().contains("tradingsymbol"), "{body}");
}
