//! Calls that read, against the simulated Kite.

use chrono::TimeDelta;
use pivot_trading::kite::{Interval, KiteError};
use pivot_trading::market::instrument::InstrumentKind;
use pivot_trading::market::{Exchange, InstrumentKey, Price};
use pivot_trading::sim::server::SimOptions;
use secrecy::{ExposeSecret, SecretString};

use super::{Desk, client};

#[tokio::test]
async fn every_read_is_understood() {
    let desk = Desk::open().await;
    let client = &desk.client;
    assert_eq!(client.profile().await.unwrap().user_id, "SIM001");
    let margins = client.margins().await.unwrap();
    assert_eq!(margins.equity.unwrap().net.paise(), 100_000_000);
    assert!(client.orders().await.unwrap().rows.is_empty());
    assert!(client.trades().await.unwrap().complete());
    assert!(client.positions().await.unwrap().net.complete());
    assert!(client.holdings().await.unwrap().complete());

    let index = InstrumentKey::new(Exchange::Bse, "SENSEX");
    let share = InstrumentKey::new(Exchange::Nse, "RELIANCE");
    let nobody = InstrumentKey::new(Exchange::Nse, "NOBODY");
    let keys = [index.clone(), share.clone(), nobody];
    let quotes = client.quote(&keys).await.unwrap();
    assert!(quotes.complete(), "{quotes:?}");
    assert_eq!(quotes.rows.len(), 2, "an unknown instrument is absent");
    let of_share = quotes.rows.iter().find(|row| row.quote.instrument == share).unwrap();
    let (bid, ask) = (of_share.quote.bid.unwrap().price, of_share.quote.ask.unwrap().price);
    assert!(bid < ask && of_share.quote.last > Price::ZERO);
    let of_index = quotes.rows.iter().find(|row| row.quote.instrument == index).unwrap();
    assert_eq!(of_index.quote.bid, None);
    let ohlc = client.ohlc(&keys).await.unwrap();
    assert!(ohlc.rows.iter().all(|(_, row)| row.low <= row.last && row.last <= row.high));
    assert_eq!(client.ltp(&keys).await.unwrap().rows.len(), 2);

    let bse = client.instruments(Some(Exchange::Bse)).await.unwrap();
    assert_eq!(bse.bad_rows, []);
    let sensex = bse.find(&index).unwrap();
    assert_eq!(sensex.kind, InstrumentKind::Index);
    let now = desk.sim.clock().now();
    let candles = client
        .historical(sensex.token, Interval::Minute, now - TimeDelta::days(70), now, true)
        .await
        .unwrap();
    assert!(candles.windows(2).all(|pair| pair[0].candle.start < pair[1].candle.start));
    assert_eq!(desk.requests("GET", "/instruments/historical").await, 2, "two pieces");
    let last = now.date_naive();
    let days = client.day_candles(sensex.token, last - TimeDelta::days(7), last).await.unwrap();
    assert!(days.len() >= 4, "{days:?}");
}

#[tokio::test]
async fn a_passing_trouble_is_asked_again_once() {
    let desk = Desk::open().await;
    desk.fault("http_next", "502:1:/orders").await;
    desk.client.orders().await.unwrap();
    assert_eq!(desk.requests("GET", "/orders").await, 2);
    desk.fault("http_next", "503:2:/positions").await;
    desk.fault("http_next", "503:2:/portfolio").await;
    let error = desk.client.positions().await.unwrap_err();
    assert_eq!(error.http(), Some(503));
    assert!(!error.is_session_dead());
    assert_eq!(desk.requests("GET", "/portfolio").await, 2);
    // Refusals are not asked again.
    desk.fault("rate_limit_429_next", 1).await;
    assert_eq!(desk.client.trades().await.unwrap_err().http(), Some(429));
    assert_eq!(desk.requests("GET", "/trades").await, 1);
}

#[tokio::test]
async fn a_dead_session_is_told_from_other_refusals() {
    let desk = Desk::open().await;
    let stranger = client(desk.sim.kite_url());
    assert_eq!(stranger.profile().await.unwrap_err(), KiteError::NoSession);
    stranger.set_session(SecretString::from("made-up"));
    let error = stranger.profile().await.unwrap_err();
    assert!(error.is_session_dead(), "{error}");
    assert!(!format!("{error:?} {error} {stranger:?}").contains("made-up"));

    let wrong_secret = SecretString::from("wrong");
    let token = desk.request_token().await;
    let error = stranger.exchange_token(&token, &wrong_secret).await.unwrap_err();
    assert!(!error.to_string().contains(token.expose_secret()), "{error}");

    let unknown = pivot_trading::market::OrderId("404".into());
    let error = desk.client.order_history(&unknown).await.unwrap_err();
    assert!(!error.is_session_dead(), "{error}");

    desk.client.logout().await.unwrap();
    assert!(!desk.client.has_session());
}

#[tokio::test]
async fn the_documented_limits_are_kept() {
    let local = SimOptions::local();
    let start = local.start + TimeDelta::minutes(30);
    let desk = Desk::open_with(SimOptions { start, rate_limits: Some(true), ..local }).await;
    let key = [InstrumentKey::new(Exchange::Nse, "RELIANCE")];
    for _ in 0..3 {
        desk.client.ltp(&key).await.unwrap();
    }
    let mut reads = Vec::new();
    for _ in 0..15 {
        let client = desk.client.clone();
        reads.push(tokio::spawn(async move { client.orders().await }));
    }
    for read in reads {
        read.await.unwrap().unwrap();
    }
    assert!(desk.client.clock_skew_ms().is_some());
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let client = client("http://127.0.0.1:1");
    client.set_session(SecretString::from("x"));
    let error = client.profile().await.unwrap_err();
    assert!(matches!(error, KiteError::NoAnswer { .. }), "{error}");
    assert!(!error.to_string().contains("127.0.0.1:1/"), "{error}");
}
