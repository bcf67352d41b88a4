//! What the broker and the day do to orders, and what is read of them.

use super::*;

#[test]
fn faults_of_placing() {
    let mut exchange = exchange();
    let resting = order(Side::Buy, LOT, exchange.share_of_last(80));
    exchange.faults_mut().place_times_out_not_placed = 1;
    let error = exchange.place(exchange.now, resting.clone()).unwrap_err();
    assert!(error.message.starts_with("Order request timed out"));
    assert_eq!(exchange.orders().len(), 0);

    exchange.faults_mut().place_times_out_but_exists = 1;
    exchange.faults_mut().late_visibility_s = 3;
    let error = exchange.place(exchange.now, resting.clone()).unwrap_err();
    assert!(error.message.starts_with("Order request timed out"));
    assert_eq!(exchange.orders().len(), 0);
    exchange.wait(3);
    assert_eq!(exchange.orders().len(), 1);
    exchange.faults_mut().late_visibility_s = 0;

    exchange.faults_mut().response_lost_after_place = 1;
    assert!(exchange.place(exchange.now, resting.clone()).unwrap().response_lost);
    assert!(!exchange.place(exchange.now, resting.clone()).unwrap().response_lost);

    exchange.faults_mut().stuck_pending = 1;
    let id = exchange.put(resting.clone());
    exchange.wait(600);
    assert_eq!(exchange.row(&id).status.as_str(), "OPEN PENDING");
    assert!(exchange.cancel(exchange.now, &id).is_err());
    exchange.faults_mut().set("stuck_pending", "release").unwrap();
    exchange.wait(2);
    assert_ne!(exchange.row(&id).status.as_str(), "OPEN PENDING");

    exchange.faults_mut().set("reject_next", "RMS: no").unwrap();
    let id = exchange.put(resting.clone());
    exchange.wait(1);
    assert_eq!(exchange.row(&id).status_message.as_deref(), Some("RMS: no"));

    exchange.faults_mut().set("ip_refused", "permission").unwrap();
    assert_eq!(exchange.place(exchange.now, resting).unwrap_err().http, 403);
}

#[test]
fn the_broker_squares_off_and_the_close_cancels() {
    let mut exchange = exchange();
    exchange.hold(2 * LOT);
    let intraday = exchange.put(stop(LOT, exchange.share_of_last(40), exchange.share_of_last(35)));
    let carried = exchange.put(NewOrder {
        product: Product::Nrml,
        ..order(Side::Buy, LOT, exchange.share_of_last(55))
    });
    exchange.wait(1);
    exchange.advance(at(15, 26, 0));
    assert_eq!(exchange.row(&intraday).status, OrderStatus::Cancelled);
    assert_eq!(exchange.positions().net[0].quantity, 0);
    let last = exchange.orders().pop().unwrap();
    assert_eq!((last.placed_by.as_str(), last.source), ("RMS", Source::Broker));
    assert_eq!(exchange.row(&carried).status, OrderStatus::Open);
    exchange.advance(at(15, 41, 0));
    assert_eq!(exchange.row(&carried).status, OrderStatus::Cancelled);
}

#[test]
fn a_manual_sale_shows_in_the_book() {
    let mut exchange = exchange();
    exchange.hold(2 * LOT);
    let id = exchange.manual_trade(exchange.now, &call(), Side::Sell, LOT, Product::Mis).unwrap();
    let row = exchange.row(&id);
    assert_eq!((row.status, row.tag, row.source), (OrderStatus::Complete, None, Source::App));
    assert_eq!(exchange.positions().net[0].quantity, LOT);
    let events = exchange.wait(0);
    assert!(!events[0].is_posted());
}

#[test]
fn slices_stay_below_the_freeze_quantity() {
    let mut config = ExchangeConfig::new(7, date());
    config.opening_cash = Money::from_rupees(20_000_000);
    let mut exchange = exchange_with(config);
    let whole = NewOrder { autoslice: true, ..order(Side::Buy, 2_200, exchange.share_of_last(90)) };
    let placed = exchange.place(exchange.now, whole).unwrap();
    let slices = placed.slices.unwrap();
    let quantities: Vec<Quantity> =
        slices.iter().map(|id| exchange.row(id.as_ref().unwrap()).quantity).collect();
    assert_eq!(quantities, [1_000, 1_000, 200]);
    let row = exchange.row(slices[0].as_ref().unwrap());
    assert_eq!(row.parent_order_id.as_deref(), Some(placed.order_id.as_str()));
    assert!(row.tags.contains(&format!("autoslice:{}", placed.order_id)));
}

#[test]
fn carried_positions_count() {
    let mut config = ExchangeConfig::new(7, date());
    config.carried.push(CarriedPosition {
        instrument: call(),
        product: Product::Nrml,
        quantity: LOT,
        price: rupees("400"),
    });
    let exchange = exchange_with(config);
    let positions = exchange.positions();
    assert_eq!(positions.net[0].overnight_quantity, LOT);
    assert!(positions.day.is_empty());
}

#[test]
fn an_after_market_order_waits_for_the_open() {
    let mut exchange = Exchange::new(ExchangeConfig::new(7, date())).unwrap();
    exchange.advance(at(8, 0, 0));
    let limit = exchange.share_of_last(80);
    let id = exchange.put(NewOrder { variety: Variety::Amo, ..order(Side::Buy, LOT, limit) });
    exchange.advance(at(9, 14, 59));
    assert_eq!(exchange.row(&id).status.as_str(), "AMO REQ RECEIVED");
    exchange.advance(at(9, 15, 2));
    assert_eq!(exchange.statuses(&id)[..3], ["AMO REQ RECEIVED", "OPEN PENDING", "OPEN"]);
}

#[test]
fn history_is_capped_and_ends_now() {
    let exchange = exchange();
    let from = at(9, 15, 0);
    let long = exchange.historical(SENSEX, Interval::Minutes(1), from - TimeDelta::days(61), from);
    assert_eq!(long.unwrap_err().message, "interval exceeds max limit: 60 days");
    assert_eq!(
        exchange.historical(1, Interval::Day, from, from).unwrap_err().message,
        "invalid token"
    );
    let candles = exchange.historical(SENSEX, Interval::Minutes(3), from, at(15, 30, 0)).unwrap();
    assert_eq!(candles.last().unwrap().start, at(10, 0, 0));
    let csv = exchange.instruments_csv(Some(Venue::Bfo));
    assert!(csv.lines().any(|line| {
        line.contains(",SENSEX26D0381000CE,SENSEX,0,2026-12-03,81000,0.05,20,CE,BFO-OPT,BFO")
    }));
}
