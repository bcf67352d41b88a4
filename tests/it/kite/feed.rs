//! The live feed against the simulated Kite.

use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::engine::event::Outcome;
use pivot_trading::kite::Lane;
use pivot_trading::kite::quotes::QuoteBook;
use pivot_trading::kite::ticker::{TickMode, Ticker, TickerEvent, TickerOptions, Wanted};
use pivot_trading::market::{
    Exchange, InstrumentKey, OrderRequest, OrderStatus, OrderType, Price, Product, Quote, Side, Tag,
};
use secrecy::SecretString;
use tokio::sync::mpsc::Receiver;

use super::{API_KEY, Desk};

const DEADLINE: Duration = Duration::from_secs(20);

fn start(desk: &Desk) -> (Ticker, Receiver<TickerEvent>) {
    Ticker::start(TickerOptions {
        url: desk.sim.ticker_url().to_string(),
        api_key: API_KEY.to_string(),
        clock: Clock::system(),
    })
}

/// The next event that `wanted` takes; others are passed over.
async fn next<T>(
    events: &mut Receiver<TickerEvent>,
    wanted: impl Fn(&TickerEvent) -> Option<T>,
) -> T {
    let search = async {
        loop {
            let event = events.recv().await.expect("the feed ended");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, search).await.expect("the event did not come")
}

fn is_up(event: &TickerEvent) -> Option<()> {
    matches!(event, TickerEvent::Up).then_some(())
}

fn is_down(event: &TickerEvent) -> Option<String> {
    let TickerEvent::Down { reason } = event else { return None };
    Some(reason.clone())
}

fn is_login(event: &TickerEvent) -> Option<()> {
    matches!(event, TickerEvent::LoginNeeded).then_some(())
}

/// A quote of the instrument, from the next ticks that have one.
async fn quote(events: &mut Receiver<TickerEvent>, key: &InstrumentKey, token: u32) -> Quote {
    next(events, |event| {
        let TickerEvent::Ticks { at, ticks } = event else { return None };
        let mut book = QuoteBook::new();
        book.set_instruments([(token, key.clone())]);
        book.apply(*at, ticks).pop()
    })
    .await
}

#[tokio::test]
async fn ticks_come_and_come_back_after_a_cut() {
    let desk = Desk::open().await;
    let key = InstrumentKey::new(Exchange::Nse, "RELIANCE");
    let ltp = desk.client.ltp(std::slice::from_ref(&key)).await.unwrap();
    let token = ltp.rows[0].1.token;
    let (ticker, mut events) = start(&desk);
    ticker.want(Wanted::from([(token, TickMode::Full)]));
    ticker.set_session(desk.log_in().await);
    next(&mut events, is_up).await;
    let first = quote(&mut events, &key, token).await;
    assert!(first.bid.unwrap().price < first.ask.unwrap().price);

    desk.fault("ticker_drop", 1).await;
    next(&mut events, is_down).await;
    next(&mut events, is_up).await;
    let second = quote(&mut events, &key, token).await;
    assert!(second.at >= first.at);

    // What is wanted changes while connected.
    let other = InstrumentKey::new(Exchange::Bse, "SENSEX");
    let ltp = desk.client.ltp(std::slice::from_ref(&other)).await.unwrap();
    let index = ltp.rows[0].1.token;
    ticker.want(Wanted::from([(index, TickMode::Full)]));
    assert_eq!(quote(&mut events, &other, index).await.bid, None);
}

#[tokio::test]
async fn a_refused_session_waits_for_another() {
    let desk = Desk::open().await;
    let (ticker, mut events) = start(&desk);
    ticker.set_session(SecretString::from("made-up"));
    next(&mut events, is_login).await;
    ticker.set_session(desk.log_in().await);
    next(&mut events, is_up).await;
    ticker.clear_session();
    next(&mut events, is_down).await;
}

#[tokio::test]
async fn silence_is_noticed() {
    let desk = Desk::open().await;
    let (ticker, mut events) = start(&desk);
    ticker.set_session(desk.log_in().await);
    next(&mut events, is_up).await;
    desk.fault("ticker_dead", true).await;
    let suspect = next(&mut events, is_down).await;
    assert!(suspect.contains("nothing heard for 5 s"), "{suspect}");
    let dead = next(&mut events, is_down).await;
    assert!(dead.contains("nothing heard for 10 s"), "{dead}");
    desk.fault("ticker_dead", false).await;
    next(&mut events, is_up).await;
}

#[tokio::test]
async fn orders_of_the_account_are_told() {
    let desk = Desk::open().await;
    let (ticker, mut events) = start(&desk);
    ticker.set_session(desk.log_in().await);
    next(&mut events, is_up).await;
    let key = InstrumentKey::new(Exchange::Nse, "RELIANCE");
    let quote = desk.client.quote(std::slice::from_ref(&key)).await.unwrap().rows.remove(0);
    let order = OrderRequest {
        instrument: key,
        side: Side::Buy,
        order_type: OrderType::Limit,
        product: Product::Mis,
        quantity: 1,
        price: quote.quote.last.scale_floor(101, 100).floor_to(Price::from_rupees(1)),
        trigger: None,
        tag: Tag::new("P1123T001E1").unwrap(),
    };
    let outcome = desk.client.submit(&order, Lane::Entry).await;
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    let told = next(&mut events, |event| {
        let TickerEvent::Order(order) = event else { return None };
        (order.status == OrderStatus::Complete).then(|| order.clone())
    })
    .await;
    assert_eq!((told.filled, told.quantity), (1, 1));
}
