//! Lives of orders, from placing to the books.

use chrono::{NaiveDate, TimeDelta};
use proptest::prelude::*;

use super::*;
use crate::market::time::{from_ist, hms};
use crate::market::{Exchange as Venue, Money, OrderStatus, OrderType, Product, Quantity, Side};
use crate::sim::model::ScriptPoint;

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

/// What a client does at random.
#[derive(Debug, Clone)]
enum Act {
    Place { buy: bool, lots: Quantity, percent: i64, stop: bool, ioc: bool },
    Modify { which: usize, percent: i64, lots: Quantity },
    Cancel { which: usize },
    Wait { millis: i64 },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (any::<bool>(), 1i64..8, 90i64..110, any::<bool>(), any::<bool>()).prop_map(
            |(buy, lots, percent, stop, ioc)| Act::Place { buy, lots, percent, stop, ioc }
        ),
        (0usize..8, 90i64..110, 1i64..8).prop_map(|(which, percent, lots)| Act::Modify {
            which,
            percent,
            lots
        }),
        (0usize..8).prop_map(|which| Act::Cancel { which }),
        (1i64..90_000).prop_map(|millis| Act::Wait { millis }),
    ]
}

fn perform(exchange: &mut Exchange, acts: &[Act], polled: bool) {
    for act in acts {
        let now = exchange.now;
        let id = |which: usize| exchange.orders.get(which).map(|order| order.row.order_id.clone());
        // Refusals are part of the game.
        match act {
            Act::Place { buy, lots, percent, stop, ioc } => {
                let price = exchange.share_of_last(*percent);
                let side = if *buy { Side::Buy } else { Side::Sell };
                let trigger = exchange.share_of_last(if *buy { percent + 1 } else { percent - 1 });
                let _ = exchange.place(
                    now,
                    NewOrder {
                        order_type: if *stop { OrderType::StopLimit } else { OrderType::Limit },
                        trigger_price: trigger,
                        validity: if *ioc { Validity::Ioc } else { Validity::Day },
                        ..order(side, lots * LOT, price)
                    },
                );
            }
            Act::Modify { which, percent, lots } => {
                let change = Modification {
                    price: Some(exchange.share_of_last(*percent)),
                    quantity: Some(lots * LOT),
                    ..Modification::default()
                };
                if let Some(id) = id(*which) {
                    let _ = exchange.modify(now, &id, &change);
                }
            }
            Act::Cancel { which } => {
                if let Some(id) = id(*which) {
                    let _ = exchange.cancel(now, &id);
                }
            }
            Act::Wait { millis } => {
                let end = now + TimeDelta::milliseconds(*millis);
                while polled && exchange.now < end {
                    exchange.advance(end.min(exchange.now + TimeDelta::milliseconds(333)));
                }
                exchange.advance(end);
            }
        }
    }
}

fn check_books(exchange: &Exchange) {
    let books = exchange.books();
    let mut cash = books.opening_cash;
    let mut held = 0;
    for trade in &books.trades {
        let order = books.orders.iter().find(|row| row.order_id == trade.order_id).unwrap();
        let value = trade.price * trade.quantity;
        match trade.side {
            Side::Buy => (cash, held) = (cash - value, held + trade.quantity),
            Side::Sell => (cash, held) = (cash + value, held - trade.quantity),
        }
        let limits: Vec<Price> =
            exchange.order_history(&order.order_id).unwrap().iter().map(|row| row.price).collect();
        assert!(limits.iter().any(|limit| match trade.side {
            Side::Buy => trade.price <= *limit,
            Side::Sell => trade.price >= *limit,
        }));
        assert_eq!(trade.quantity % LOT, 0);
    }
    assert_eq!(books.cash, cash);
    assert_eq!(books.positions.iter().map(|row| row.quantity).sum::<Quantity>(), held);
    for row in &books.orders {
        let fills = books.trades.iter().filter(|trade| trade.order_id == row.order_id);
        let (units, value) = fills.fold((0, Money::ZERO), |(units, value), trade| {
            (units + trade.quantity, value + trade.price * trade.quantity)
        });
        assert_eq!((row.filled_quantity, row.filled_value), (units, value));
        assert!(row.filled_quantity <= row.quantity);
        assert_eq!(row.status == OrderStatus::Complete, row.filled_quantity == row.quantity);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn books_add_up_however_often_somebody_asks(acts in prop::collection::vec(act(), 1..25)) {
        let mut config = ExchangeConfig::new(7, date());
        config.opening_cash = Money::from_rupees(1_500_000);
        let mut once = exchange_with(config.clone());
        let mut often = exchange_with(config);
        perform(&mut once, &acts, false);
        perform(&mut often, &acts, true);
        check_books(&once);
        prop_assert_eq!(once.books(), often.books());
    }
}
