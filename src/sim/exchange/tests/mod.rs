//! Lives of orders, from placing to the books.

use chrono::{NaiveDate, TimeDelta};

use super::*;
use crate::market::time::{from_ist, hms};
use crate::market::{Exchange as Venue, Money, OrderStatus, OrderType, Product, Quantity, Side};
use crate::sim::model::ScriptPoint;

mod books;
mod day;

const SENSEX: u32 = 265;
const LOT: Quantity = 20;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    from_ist(date(), hms(hour, minute, second))
}

fn rupees(text: &str) -> Price {
    text.parse().unwrap()
}

/// An exchange at 10:00 on a day whose index stands at 81,000 until 10:10,
/// falls to 80,400 by 10:20, and climbs to 81,600 by 11:00.
fn exchange() -> Exchange {
    exchange_with(ExchangeConfig::new(7, date()))
}

fn exchange_with(mut config: ExchangeConfig) -> Exchange {
    for (time, price) in [
        (hms(9, 15, 0), "81000"),
        (hms(10, 10, 0), "81000"),
        (hms(10, 20, 0), "80400"),
        (hms(11, 0, 0), "81600"),
    ] {
        config.script.push(ScriptPoint { token: SENSEX, at: time, price: rupees(price) });
    }
    let mut exchange = Exchange::new(config).unwrap();
    exchange.advance(at(10, 0, 0));
    exchange
}

/// A call near the money of the later weekly expiry.
fn call() -> InstrumentKey {
    InstrumentKey::new(Venue::Bfo, "SENSEX26D0381000CE")
}

fn order(side: Side, quantity: Quantity, price: Price) -> NewOrder {
    NewOrder {
        variety: Variety::Regular,
        instrument: call(),
        side,
        order_type: OrderType::Limit,
        quantity,
        product: Product::Mis,
        price,
        trigger_price: Price::ZERO,
        disclosed_quantity: 0,
        validity: Validity::Day,
        validity_ttl: 0,
        market_protection: Protection::NONE,
        autoslice: false,
        tag: Some("T1".to_string()),
    }
}

fn stop(quantity: Quantity, trigger: Price, price: Price) -> NewOrder {
    NewOrder {
        order_type: OrderType::StopLimit,
        trigger_price: trigger,
        ..order(Side::Sell, quantity, price)
    }
}

impl Exchange {
    fn last_of(&self, key: &InstrumentKey) -> Price {
        self.market.last(self.token(key).unwrap(), self.now).unwrap()
    }

    fn share_of_last(&self, percent: i64) -> Price {
        self.last_of(&call()).scale_floor(percent, 100).floor_to(Price::from_paise(5))
    }

    fn put(&mut self, order: NewOrder) -> String {
        self.place(self.now, order).unwrap().order_id
    }

    fn row(&self, id: &str) -> OrderRow {
        self.orders.iter().find(|order| order.row.order_id == id).unwrap().row.clone()
    }

    fn statuses(&self, id: &str) -> Vec<String> {
        let history = self.order_history(id).unwrap();
        history.iter().map(|row| row.status.to_string()).collect()
    }

    fn wait(&mut self, seconds: i64) -> Vec<ExchangeEvent> {
        self.advance(self.now + TimeDelta::seconds(seconds))
    }

    /// Buys lots and waits until they are held.
    fn hold(&mut self, quantity: Quantity) {
        let limit = self.share_of_last(103);
        let id = self.put(order(Side::Buy, quantity, limit));
        self.wait(30);
        assert_eq!(self.row(&id).status, OrderStatus::Complete);
    }
}

#[test]
fn a_marketable_limit_fills_within_its_limit() {
    let mut exchange = exchange();
    let limit = exchange.share_of_last(102);
    let id = exchange.put(order(Side::Buy, LOT, limit));
    assert_eq!(exchange.row(&id).status.as_str(), "OPEN PENDING");
    assert_eq!(exchange.row(&id).exchange_order_id, None);
    assert_eq!(id.len(), 19);
    let events = exchange.wait(1);
    assert_eq!(exchange.statuses(&id), ["OPEN PENDING", "OPEN", "COMPLETE"]);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].kind, EventKind::Complete);
    let row = exchange.row(&id);
    assert!(row.average_price() <= limit.to_f64_rupees());
    assert!(row.exchange_order_id.is_some() && row.pending_quantity == 0);
    assert_eq!(exchange.positions().net[0].quantity, LOT);
    assert_eq!(exchange.order_trades(&id).unwrap().len(), 1);
}

#[test]
fn a_resting_limit_is_cancelled() {
    let mut exchange = exchange();
    let id = exchange.put(order(Side::Buy, LOT, exchange.share_of_last(80)));
    exchange.wait(5);
    exchange.cancel(exchange.now, &id).unwrap();
    assert_eq!(exchange.row(&id).status.as_str(), "CANCEL PENDING");
    let events = exchange.wait(1);
    assert_eq!(events[0].kind, EventKind::Cancelled);
    assert_eq!(exchange.statuses(&id), ["OPEN PENDING", "OPEN", "CANCEL PENDING", "CANCELLED"]);
    let row = exchange.row(&id);
    assert_eq!((row.pending_quantity, row.cancelled_quantity), (LOT, LOT));
    assert_eq!(row.status_message, None);
    let again = exchange.cancel(exchange.now, &id).unwrap_err();
    assert!(again.message.contains("cannot be cancelled"), "{again}");
}

#[test]
fn a_stop_wakes_and_fills_no_worse_than_its_limit() {
    let mut exchange = exchange();
    exchange.hold(LOT);
    let (trigger, limit) = (exchange.share_of_last(80), exchange.share_of_last(70));
    let id = exchange.put(stop(LOT, trigger, limit));
    exchange.wait(60);
    assert_eq!(exchange.row(&id).status, OrderStatus::TriggerPending);
    let events = exchange.advance(at(10, 25, 0));
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Open, EventKind::Complete]);
    assert_eq!(exchange.statuses(&id), ["OPEN PENDING", "TRIGGER PENDING", "OPEN", "COMPLETE"]);
    let fill = &exchange.order_trades(&id).unwrap()[0];
    assert!(fill.price >= limit && fill.price <= trigger, "{}", fill.price);
    assert_eq!(exchange.positions().net[0].quantity, 0);
}

#[test]
fn a_stop_becomes_a_limit_by_modification() {
    let mut exchange = exchange();
    exchange.hold(LOT);
    let id = exchange.put(stop(LOT, exchange.share_of_last(70), exchange.share_of_last(63)));
    exchange.wait(2);
    let price = exchange.share_of_last(98);
    let change = Modification {
        order_type: Some(OrderType::Limit),
        price: Some(price),
        ..Modification::default()
    };
    exchange.modify(exchange.now, &id, &change).unwrap();
    let busy = exchange.modify(exchange.now, &id, &change).unwrap_err();
    assert!(busy.message.starts_with("Order cannot be modified as it is being processed"));
    exchange.wait(1);
    assert_eq!(
        exchange.statuses(&id),
        [
            "OPEN PENDING",
            "TRIGGER PENDING",
            "MODIFY VALIDATION PENDING",
            "MODIFY PENDING",
            "MODIFIED",
            "OPEN",
            "COMPLETE"
        ]
    );
    let row = exchange.row(&id);
    assert!(row.modified && row.trigger_price == Price::ZERO);
    assert!(exchange.order_trades(&id).unwrap()[0].price >= price);
}

#[test]
fn a_cancel_that_comes_too_late_changes_nothing() {
    let mut exchange = exchange();
    exchange.hold(LOT);
    exchange.advance(at(10, 14, 0));
    let id = exchange.put(stop(LOT, exchange.share_of_last(98), exchange.share_of_last(90)));
    exchange.wait(1);
    exchange.faults_mut().extra_latency_ms = 120_000;
    exchange.cancel(exchange.now, &id).unwrap();
    exchange.wait(180);
    let statuses = exchange.statuses(&id);
    assert_eq!(statuses.last().map(String::as_str), Some("COMPLETE"), "{statuses:?}");
    assert_eq!(exchange.positions().net[0].quantity, 0);
}

#[test]
fn a_partial_fill_rests_until_it_is_modified_or_cancelled() {
    let mut exchange = exchange();
    exchange.faults_mut().partial_fill_next = 1;
    let limit = exchange.share_of_last(103);
    let id = exchange.put(order(Side::Buy, 4 * LOT, limit));
    exchange.wait(60);
    let row = exchange.row(&id);
    assert_eq!((row.status.as_str(), row.filled_quantity), ("OPEN", 2 * LOT));
    assert_eq!(row.pending_quantity, 2 * LOT);
    let change = Modification { quantity: Some(3 * LOT), ..Modification::default() };
    exchange.modify(exchange.now, &id, &change).unwrap();
    exchange.wait(60);
    let row = exchange.row(&id);
    assert_eq!((row.status.as_str(), row.filled_quantity), ("COMPLETE", 3 * LOT));
}

#[test]
fn refusals_have_the_brokers_words() {
    let mut exchange = exchange();
    let last = exchange.last_of(&call());
    let base = order(Side::Buy, LOT, exchange.share_of_last(100));
    let key = |symbol: &str| InstrumentKey::new(Venue::Bfo, symbol);
    let cases: Vec<(NewOrder, &str, &str)> = vec![
        (
            NewOrder { instrument: key("NOPE"), ..base.clone() },
            "InputException",
            "expired or does not exist",
        ),
        (
            NewOrder { instrument: InstrumentKey::new(Venue::Bse, "SENSEX"), ..base.clone() },
            "InputException",
            "expired or does not exist",
        ),
        (
            NewOrder { product: Product::Cnc, ..base.clone() },
            "InputException",
            "Trading in BFO is not allowed using CNC product type. Try placing an order in NRML/MIS.",
        ),
        (NewOrder { quantity: 30, ..base.clone() }, "InputException", "multiples of 20"),
        (
            NewOrder { quantity: 1_020, ..base.clone() },
            "InputException",
            "The order quantity 1020 (51 lots) is higher than the maximum quantity of 1000 (50 lots)",
        ),
        (
            NewOrder { price: Price::from_paise(last.paise() / 5 * 5 + 2), ..base.clone() },
            "InputException",
            "Tick size for this script is 0.05",
        ),
        (
            NewOrder { order_type: OrderType::Market, ..base.clone() },
            "InputException",
            "Market orders without market protection are not allowed via API",
        ),
        (
            NewOrder { quantity: 1_000, ..base.clone() },
            "MarginException",
            "Insufficient funds. Required margin is ",
        ),
        (
            NewOrder { side: Side::Sell, ..base.clone() },
            "MarginException",
            "Check the orderbook for open orders.",
        ),
        (
            stop(LOT, exchange.share_of_last(101), exchange.share_of_last(90)),
            "InputException",
            "Trigger price for stoploss sell orders should be lower than the last traded price",
        ),
        (
            NewOrder { price: exchange.share_of_last(160), ..base.clone() },
            "InputException",
            "too far from the last traded price",
        ),
    ];
    for (order, error_type, words) in cases {
        let error = exchange.place(exchange.now, order.clone()).unwrap_err();
        assert_eq!(error.error_type, error_type, "{order:?}");
        assert!(error.message.contains(words), "{error}");
    }
    assert!(exchange.orders().is_empty());
    let late = exchange.place(at(15, 45, 0), base).unwrap_err();
    assert!(late.message.contains("closed"), "{late}");
}

#[test]
fn the_exchange_rejects_what_the_broker_let_through() {
    let mut exchange = exchange();
    exchange.hold(LOT);
    let wide = stop(LOT, exchange.share_of_last(70), exchange.share_of_last(50));
    let far = order(Side::Buy, LOT, exchange.share_of_last(145));
    let stop_market = NewOrder {
        order_type: OrderType::StopMarket,
        market_protection: Protection::AUTO,
        ..stop(LOT, exchange.share_of_last(70), Price::ZERO)
    };
    for (order, words) in [
        (wide, "Stop limit order price range check failed"),
        (far, "LPP range"),
        (stop_market, "16052: Function not available"),
    ] {
        let id = exchange.put(order);
        let events = exchange.wait(1);
        assert_eq!(events[0].kind, EventKind::Rejected);
        let row = exchange.row(&id);
        assert_eq!(row.status, OrderStatus::Rejected);
        assert!(row.status_message.unwrap().contains(words));
        assert_eq!((row.exchange_order_id, row.pending_quantity), (None, 0));
    }
}

#[test]
fn a_protected_market_order_is_a_limit() {
    let mut exchange = exchange();
    let last = exchange.last_of(&call());
    let id = exchange.put(NewOrder {
        order_type: OrderType::Market,
        market_protection: Protection(200),
        ..order(Side::Buy, LOT, Price::ZERO)
    });
    let row = exchange.row(&id);
    assert_eq!(row.order_type, OrderType::Limit);
    assert!(row.price > last && row.price <= last.scale_floor(102, 100));
    assert_eq!(row.tags, ["T1", "mktp", "mktp:2.00"]);
    exchange.wait(1);
    assert_eq!(exchange.row(&id).status, OrderStatus::Complete);
}

#[test]
fn a_resting_stop_keeps_its_units_from_a_second_sale() {
    let mut exchange = exchange();
    exchange.hold(LOT);
    let id = exchange.put(stop(LOT, exchange.share_of_last(70), exchange.share_of_last(63)));
    exchange.wait(1);
    let sale = order(Side::Sell, LOT, exchange.share_of_last(99));
    let refused = exchange.place(exchange.now, sale.clone()).unwrap_err();
    assert_eq!(refused.error_type, "MarginException");
    exchange.cancel(exchange.now, &id).unwrap();
    exchange.wait(1);
    exchange.put(sale);
    exchange.wait(1);
    assert_eq!(exchange.positions().net[0].quantity, 0);
}

#[test]
fn modifications_are_counted() {
    let mut exchange = exchange();
    let id = exchange.put(order(Side::Buy, LOT, exchange.share_of_last(80)));
    for step in 0..MODIFICATIONS_MAX {
        exchange.wait(1);
        let price = exchange.share_of_last(70 + i64::from(step % 5));
        let change = Modification { price: Some(price), ..Modification::default() };
        exchange.modify(exchange.now, &id, &change).unwrap();
    }
    exchange.wait(1);
    let change = Modification { quantity: Some(2 * LOT), ..Modification::default() };
    let refused = exchange.modify(exchange.now, &id, &change).unwrap_err();
    assert!(refused.message.contains("exceeded"), "{refused}");
}
