//! Every prepared answer of the broker's own collection is understood, played
//! back over HTTP. Skipped where the collection is not at hand.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use pivot_trading::kite::ticker::frame::{self, TickKind};
use pivot_trading::kite::{Client, Interval, read_postback};
use pivot_trading::market::{
    Exchange, InstrumentKey, OrderId, OrderRequest, OrderType, Price, Product, Side, Tag,
};
use secrecy::SecretString;
use serde_json::Value;

use super::client;

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/kite-mocks");
    if !folder.join("orders.json").exists() {
        eprintln!("skipped: there is no {}", folder.display());
        return None;
    }
    Some(folder)
}

/// A server that answers every request with one file.
async fn playing(folder: &Path, file: &str) -> Client {
    let bytes = std::fs::read(folder.join(file)).unwrap();
    let kind = if file.ends_with(".csv") { "text/csv" } else { "application/json" };
    let answer =
        move || async move { (StatusCode::OK, [(CONTENT_TYPE, kind)], bytes).into_response() };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = client(&format!("http://{}", listener.local_addr().unwrap()));
    client.set_session(SecretString::from("token"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    client
}

fn order() -> OrderRequest {
    OrderRequest {
        instrument: InstrumentKey::new(Exchange::Nse, "INFY"),
        side: Side::Buy,
        order_type: OrderType::Limit,
        product: Product::Cnc,
        quantity: 1,
        price: Price::from_rupees(1498),
        trigger: None,
        tag: Tag::new("X").unwrap(),
    }
}

#[tokio::test]
async fn account_and_portfolio() {
    let Some(folder) = folder() else { return };
    let secret = SecretString::from("secret");
    let client = playing(&folder, "generate_session.json").await;
    let info = client.exchange_token(&"token".into(), &secret).await.unwrap();
    assert_eq!(info.profile.user_id, "XX0000");
    assert!(info.login_time.is_some());
    assert!(playing(&folder, "profile.json").await.profile().await.unwrap().exchanges.len() > 3);
    let margins = playing(&folder, "margins.json").await.margins().await.unwrap();
    assert_eq!(margins.equity.unwrap().net.paise(), 9_972_505);
    let holdings = playing(&folder, "holdings.json").await.holdings().await.unwrap();
    assert!(holdings.complete() && !holdings.rows.is_empty(), "{:?}", holdings.bad);
    let positions = playing(&folder, "positions.json").await.positions().await.unwrap();
    assert!(positions.net.complete() && positions.day.complete(), "{positions:?}");
    assert_eq!(positions.net.rows.len(), 3);
    playing(&folder, "session_logout.json").await.logout().await.unwrap();
}

#[tokio::test]
async fn orders_and_trades() {
    let Some(folder) = folder() else { return };
    let orders = playing(&folder, "orders.json").await.orders().await.unwrap();
    assert!(orders.complete() && orders.rows.len() > 5, "{:?}", orders.bad);
    let id = OrderId("171229000724687".into());
    let history = playing(&folder, "order_info.json").await.order_history(&id).await.unwrap();
    assert!(history.complete() && history.rows.len() > 5, "{:?}", history.bad);
    let trades = playing(&folder, "trades.json").await.trades().await.unwrap();
    assert!(trades.complete() && !trades.rows.is_empty(), "{:?}", trades.bad);
    let trades = playing(&folder, "order_trades.json").await.order_trades(&id).await.unwrap();
    assert!(trades.complete() && !trades.rows.is_empty(), "{:?}", trades.bad);
    for (file, id) in [
        ("order_response.json", "151220000000000"),
        ("order_modify.json", "151220000000000"),
        ("order_cancel.json", "151220000000000"),
        ("autoslice_response.json", "1914227164488687616"),
    ] {
        let body = std::fs::read(folder.join(file)).unwrap();
        let found = pivot_trading::kite::decode::placed_order_id(&body).unwrap();
        let data: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(data["data"]["order_id"], found.0, "{file}");
        assert_eq!(found.0.len(), id.len(), "{file}");
    }
    let margins = playing(&folder, "order_margins.json").await.order_margins(&[order()]).await;
    assert_eq!(margins.unwrap().rows[0].total.paise(), 149_800);
    let file = "virtual_contract_note.json";
    let charges = playing(&folder, file).await.order_charges(&[order()]).await.unwrap();
    assert!(charges.complete() && charges.rows.len() > 1, "{:?}", charges.bad);
    let postback = std::fs::read_to_string(folder.join("postback.json")).unwrap();
    assert_eq!(read_postback(&postback).unwrap().filled, 1);
}

#[tokio::test]
async fn quotes_instruments_and_candles() {
    let Some(folder) = folder() else { return };
    let keys = [InstrumentKey::new(Exchange::Nse, "INFY")];
    let quotes = playing(&folder, "quote.json").await.quote(&keys).await.unwrap();
    assert!(quotes.complete(), "{:?}", quotes.bad);
    assert_eq!(quotes.rows[0].quote.ask.unwrap().price.paise(), 141_295);
    assert_eq!(quotes.rows[0].quote.bid, None);
    assert!(playing(&folder, "ohlc.json").await.ohlc(&keys).await.unwrap().complete());
    assert!(playing(&folder, "ltp.json").await.ltp(&keys).await.unwrap().complete());
    for file in ["instruments_all.csv", "instruments_nse.csv"] {
        let master = playing(&folder, file).await.instruments(None).await.unwrap();
        assert!(!master.instruments.is_empty(), "{file}");
    }
    let from = "2017-12-15T03:45:00Z".parse().unwrap();
    for (file, oi) in [("historical_minute.json", false), ("historical_oi.json", true)] {
        let client = playing(&folder, file).await;
        let candles = client.historical(1, Interval::Minute, from, from, oi).await.unwrap();
        assert!(!candles.is_empty(), "{file}");
        assert_eq!(candles[0].open_interest.is_some(), oi, "{file}");
    }
}

#[test]
fn packets_of_the_ticker() {
    use base64::Engine;
    let Some(folder) = folder() else { return };
    for (file, kind) in [("ticker_full", TickKind::Full), ("ticker_quote", TickKind::Quote)] {
        let text = std::fs::read_to_string(folder.join(format!("{file}.packet"))).unwrap();
        let packet = base64::engine::general_purpose::STANDARD.decode(text.trim()).unwrap();
        let tick = frame::tick(&packet).unwrap();
        assert_eq!(tick.kind, kind);
        let json = std::fs::read_to_string(folder.join(format!("{file}.json"))).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let told = json.pointer("/data").unwrap_or(&json);
        let told = told.as_array().map_or(told, |list| &list[0]);
        assert_eq!(told["instrument_token"], tick.token, "{file}: {json}");
        let last = Price::from_f64_rupees(told["last_price"].as_f64().unwrap()).unwrap();
        assert_eq!(tick.price(tick.last), last);
    }
}
