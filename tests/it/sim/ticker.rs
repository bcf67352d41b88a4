//! The ticker: handshake, modes, and one frame for every market second.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use pivot_trading::clock::Conductor;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::sim::server::SimOptions;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use super::client::{Client, DEADLINE, Heard, NIFTY, SENSEX, Ticker, fast, int_at};

#[tokio::test]
async fn the_handshake_wants_a_living_token_and_few_sockets() {
    let client = Client::start(fast()).await;
    let refused = async |url: &str| match Ticker::connect(url).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("the door was open"),
    };
    assert_eq!(refused(&client.ticker_url("wrong")).await, 403);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(client.ticker().await);
    }
    assert_eq!(refused(&client.ticker_url(&client.token)).await, 429);
    drop(open);
}

#[tokio::test]
async fn each_mode_has_its_packets() {
    let client = Client::start(fast()).await;
    let option = client.option().await;
    let mut ticker = client.ticker().await;
    let Heard::Text(greeting) = ticker.hear().await else { panic!("no greeting") };
    assert_eq!(greeting["type"], "instruments_meta");
    assert!(greeting["data"]["count"].as_u64().unwrap() > 100);

    let mut check = async |mode: &str, option_bytes: usize, index_bytes: usize| {
        ticker.watch(mode, &[option.token, SENSEX]).await;
        // Frames of the mode before may still be on their way.
        let deadline = Instant::now() + DEADLINE;
        loop {
            let packets = ticker.frame().await;
            let length =
                |token| packets.iter().find(|packet| int_at(packet, 0) == token).map(Vec::len);
            if length(option.token) == Some(option_bytes) && length(SENSEX) == Some(index_bytes) {
                break;
            }
            assert!(Instant::now() < deadline, "{mode}");
        }
    };
    check("ltp", 8, 8).await;
    check("quote", 44, 28).await;
    check("full", 184, 32).await;
}

#[tokio::test]
async fn wrong_wishes_are_complained_about() {
    let client = Client::start(fast()).await;
    let mut ticker = client.ticker().await;
    ticker.say(json!({ "a": "subscribe", "v": ["265"] })).await;
    assert_eq!(ticker.text("error").await, "Error parsing instrument token");
    ticker.say(json!({ "a": "subscribe", "v": [1, 2, 3] })).await;
    ticker.watch("ltp", &[NIFTY]).await;
    assert_eq!(ticker.frame().await.len(), 1);
}

#[tokio::test]
async fn too_many_instruments_are_complained_about_and_the_rest_goes_on() {
    let client = Client::start(fast()).await;
    let mut ticker = client.ticker().await;
    ticker.watch("ltp", &[SENSEX]).await;
    let strangers: Vec<u32> = (1..=3_000).map(|number| number * 256 + 2).collect();
    ticker.watch("ltp", &strangers).await;
    let complaint = ticker.text("error").await;
    assert_eq!(complaint, "Can't subscribe to more than 3000 instruments.");
    ticker.frame().await;
}

/// Runs market time from half past nine at the fastest pace and collects the
/// frames of the seconds, without the snapshot before them.
async fn record(seed: u64, seconds: i64) -> Vec<Vec<Vec<u8>>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clock");
    let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    let start = from_ist(date, hms(9, 30, 0));
    let mut conductor = Conductor::create(&path, start).unwrap();
    let options = SimOptions { seed, clock_file: Some(path), ..SimOptions::local() };
    let client = Client::start(options).await;
    let option = client.option().await;
    let mut ticker = client.ticker().await;
    ticker.watch("full", &[option.token, SENSEX, NIFTY]).await;
    ticker.frame().await;

    let end = start + TimeDelta::seconds(seconds);
    conductor.run(2_000.0, end).unwrap();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let progress = conductor.progress("sim");
        if progress == Some((end, false)) {
            break;
        }
        assert!(Instant::now() < deadline, "progress stands at {progress:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // The snapshot of another mode marks the end.
    ticker.watch("ltp", &[SENSEX]).await;
    let mut frames = Vec::new();
    loop {
        let frame = ticker.frame().await;
        if frame.iter().any(|packet| packet.len() == 8) {
            break;
        }
        frames.push(frame);
    }
    client.sim.stop().await;
    frames
}

/// The market second of a frame of full packets.
fn second_of(frame: &[Vec<u8>]) -> u32 {
    let stamp = |packet: &Vec<u8>| match packet.len() {
        32 => int_at(packet, 28),
        184 => int_at(packet, 60),
        other => panic!("a packet of {other} bytes"),
    };
    let seconds: Vec<u32> = frame.iter().map(stamp).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] == pair[1]), "{seconds:?}");
    seconds[0]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_market_second_has_its_frame_however_fast_the_clock() {
    let frames = record(1, 300).await;
    let seconds: Vec<u32> = frames.iter().map(|frame| second_of(frame)).collect();
    assert!(seconds.windows(2).all(|pair| pair[0] < pair[1]), "out of order or doubled");
    assert!(seconds.len() > 200, "an index moves in most seconds: {}", seconds.len());
    assert_eq!(frames, record(1, 300).await, "same seed, another day");
    assert_ne!(frames, record(2, 300).await, "another seed, same day");
}
