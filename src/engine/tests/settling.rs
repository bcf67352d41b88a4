//! How trades, strays and panics end, and what is taken in afterwards.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::trouble::{before_entry, entry_that_never_arrived};
use super::truth::{placed, told};
use crate::engine::Event;
use crate::engine::event::{CommandId, OperatorAction, Snapshot};
use crate::engine::intents::Stage;
use crate::engine::ledger::{ExitReason, IntentId};
use crate::engine::settle::per_unit;
use crate::market::{
    BrokerPosition, Exchange, InstrumentKey, InstrumentKind, Money, OrderRequest, OrderStatus,
    Price, Product, Quantity, Side,
};

fn exit_and_fill(rig: &mut Rig, price: &str) {
    rig.ask(OperatorAction::Exit);
    let exit = rig.last_id();
    rig.fill(&exit, 20, price);
}

fn later_candle() -> crate::market::Candle {
    candle("10:30", ["81265", "81345", "81258", "81335"])
}

/// The first trade of the day over, the second's entry at work at 10:33.
fn second_entry() -> (Rig, InstrumentKey) {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    exit_and_fill(&mut rig, "415");
    rig.run_to("10:33");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.close_candle(later_candle());
    (rig, key)
}

#[test]
fn a_stray_is_closed_when_the_broker_shows_it_and_told_once() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = option("SENSEX26NOV80000CE");
    rig.run_to("10:00");
    rig.book(&key, "900", "899", "901");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("900"));
    rig.run_to("10:05");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05:01");
    let exit = rig.last_id();
    rig.broker.fill(rig.at, &exit, 20, p("895"));
    let row = rig.broker.row(&exit).cloned().unwrap();
    rig.step(Event::Order(row));
    assert!(rig.engine.strays[0].open, "our fill alone is no proof");
    rig.run_to("10:10");
    assert!(!rig.engine.strays[0].open);
    assert_eq!(told(&rig, "SENSEX26NOV80000CE is closed").len(), 1);
    assert_eq!(told(&rig, "PANIC: flat").len(), 1);
    rig.check_replay();
}

#[test]
fn a_position_that_somebody_sold_during_our_exit_was_closed_by_hand() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.spot("81910");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("425"));
    rig.send(Event::Order(row));
    rig.run_to("10:11");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    rig.check_replay();
}

#[test]
fn a_late_fill_of_a_given_up_entry_leaves_the_trades_of_the_day_in_the_book() {
    let (mut rig, key) = second_entry();
    let late = rig.last_id();
    rig.run_to("10:34");
    assert_eq!(rig.broker.working(&key, Side::Buy), 0, "given up");
    let mut row = rig.broker.row(&late).cloned().unwrap();
    (row.filled, row.filled_value) = (20, p("412") * 20);
    *rig.broker.rows.iter_mut().find(|row| row.order_id == late).unwrap() = row.clone();
    rig.step(Event::Order(row));
    assert_eq!(rig.engine.book.closed.len(), 1);
    assert_eq!(rig.engine.figures().trades, 2);
    let trade = rig.engine.trade.as_ref().unwrap();
    assert_eq!(trade.leg.exit_reason(), Some(ExitReason::Unprotected));
    assert_eq!(told(&rig, "Late fill: BUY 20 SENSEX26NOV81300CE").len(), 1);
}

#[test]
fn a_late_fill_beside_an_open_trade_is_closed_and_does_not_replace_it() {
    for late_contract in ["SENSEX26NOV81300CE", "SENSEX26NOV81400CE"] {
        let (mut rig, key) = entry_that_never_arrived();
        rig.run_to("10:04");
        assert!(rig.ask(OperatorAction::Enable { confirmed: true }).0);
        // The order that nobody found was for this contract.
        let intent = rig.engine.intents.get_mut(&IntentId(1)).unwrap();
        intent.instrument = option(late_contract);
        let ghost = rig.engine.ghosts.last_mut().unwrap();
        ghost.leg.instrument = option(late_contract);
        ghost.record.contract = option(late_contract);
        rig.run_to("10:33");
        rig.book(&key, "411.60", "411.20", "412.00");
        rig.book(&option(late_contract), "411.60", "411.20", "412.00");
        rig.close_candle(later_candle());
        let entry = rig.last_id();
        rig.fill(&entry, 20, "412.00");
        let open = rig.engine.trade.as_ref().unwrap().record.trade_id.clone();
        let order = OrderRequest { instrument: option(late_contract), ..placed(&rig)[0].clone() };
        let late = rig.broker.place(rig.at, &order);
        rig.broker.fill(rig.at, &late, 20, p("412"));
        rig.run_to("10:33:20");
        let exit = rig.last_id();
        assert!(rig.sent_text()[3].starts_with("SELL 20 LIMIT"), "{:?}", rig.sent_text());
        rig.fill(&exit, 20, "410");
        rig.run_to("10:34");
        assert_eq!(rig.engine.trade.as_ref().unwrap().record.trade_id, open);
        assert_eq!(rig.engine.trade.as_ref().unwrap().leg.exit_reason(), None, "{late_contract}");
        assert_eq!(told(&rig, "Late fill: BUY 20").len(), 1);
        assert_eq!(rig.engine.permission().reason, "MISMATCH");
        assert_eq!(rig.broker.held(&key), 20, "{late_contract}");
        assert_eq!(rig.broker.working(&key, Side::Sell), 20, "{late_contract}");
        let result = rig.engine.book.closed.last().unwrap();
        assert_eq!((result.contract.symbol.as_str(), result.gross), (late_contract, p("-2") * 20));
        assert_eq!(result.exit_reason, Some(ExitReason::Unprotected));
    }
}

#[test]
fn a_late_entry_that_fills_in_pieces_is_closed_as_one() {
    let (mut rig, key, breakout) = before_entry();
    rig.answers.dead = true;
    rig.close_candle(breakout);
    rig.answers.dead = false;
    rig.run_to("10:04");
    assert!(rig.ask(OperatorAction::Enable { confirmed: true }).0);
    rig.run_to("10:33");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.close_candle(later_candle());
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    let late = rig.broker.place(rig.at, &placed(&rig)[0].clone());
    for (units, filled) in [(8, 8), (12, 20)] {
        rig.broker.fill(rig.at, &late, units, p("412"));
        let row = rig.broker.row(&late).cloned().unwrap();
        rig.step(Event::Order(row));
        let strays = rig.engine.strays.iter().map(|stray| stray.leg.opened);
        assert_eq!(strays.collect::<Vec<_>>(), [filled]);
    }
}

#[test]
fn an_entry_that_a_person_gave_up_and_that_turns_up_is_cancelled() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("10:04");
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done, "{text}");
    let order = placed(&rig)[0].clone();
    let late = rig.broker.place(rig.at, &order);
    rig.run_to("10:06");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05", "cancel"]);
    assert_eq!(rig.broker.working(&key, Side::Buy), 0);
    assert_eq!(rig.broker.row(&late).unwrap().status, OrderStatus::Cancelled);
    rig.check_replay();
}

#[test]
fn only_a_missing_entry_is_given_up() {
    let (mut rig, _) = s1_rig();
    rig.engine.release_missing_entries();
    assert!(rig.engine.trade.is_some(), "its entry is at work");
    assert!(!rig.engine.intents[&IntentId(1)].released);
    let (mut rig, _) = s1_open();
    rig.engine.intents.get_mut(&IntentId(2)).unwrap().stage = Stage::Missing;
    rig.engine.release_missing_entries();
    assert!(!rig.engine.intents[&IntentId(2)].released, "a stop is looked for on and on");
    assert!(rig.engine.trade.is_some());
}

#[test]
fn a_panic_over_all_closes_what_is_intraday_and_leaves_holdings() {
    for (exchange, product, closed) in [
        (Exchange::Nse, Product::Mis, true),
        (Exchange::Nse, Product::Cnc, false),
        (Exchange::Nfo, Product::Nrml, true),
    ] {
        let (mut rig, _) = s1_open();
        let row = position(exchange, "NIFTY26DEC25000PE", product.clone(), -30);
        rig.engine.adopt_foreign(&row, rig.at);
        let sides: Vec<_> =
            rig.engine.strays.iter().map(|stray| (stray.leg.close, stray.leg.opened)).collect();
        let expected = if closed { vec![(Side::Buy, 30)] } else { Vec::new() };
        assert_eq!(sides, expected, "{exchange:?} {product:?}");
    }
}

fn position(
    exchange: Exchange,
    symbol: &str,
    product: Product,
    quantity: Quantity,
) -> BrokerPosition {
    BrokerPosition {
        instrument: InstrumentKey::new(exchange, symbol),
        product,
        quantity,
        bought: 0,
        bought_value: Money::ZERO,
        sold: 0,
        sold_value: Money::ZERO,
        last_price: p("100"),
    }
}

#[test]
fn what_a_foreign_contract_is_follows_from_its_name() {
    for (exchange, symbol, kind) in [
        (Exchange::Nfo, "NIFTY26DEC25000PE", InstrumentKind::Put),
        (Exchange::Nfo, "NIFTY26DEC25000CE", InstrumentKind::Call),
        (Exchange::Nfo, "NIFTY26DECFUT", InstrumentKind::Future),
        (Exchange::Nse, "PEACE", InstrumentKind::Equity),
    ] {
        let (mut rig, _) = s1_open();
        rig.engine.adopt_foreign(&position(exchange, symbol, Product::Mis, 30), rig.at);
        let leg = &rig.engine.strays[0].leg;
        assert_eq!((leg.kind, leg.opened_value), (kind, Money::from_rupees(3_000)), "{symbol}");
    }
}

#[test]
fn a_foreign_contract_is_priced_in_a_tick_that_the_broker_takes() {
    for (exchange, symbol, last, tick) in [
        (Exchange::Nse, "PEACE", "212.35", "0.05"),
        (Exchange::Nse, "PEACE", "940", "0.10"),
        (Exchange::Nse, "PEACE", "1519.60", "0.10"),
        (Exchange::Nse, "PEACE", "4800", "0.50"),
        (Exchange::Nse, "PEACE", "9000", "1"),
        (Exchange::Nfo, "NIFTY26DECFUT", "25000", "5"),
        (Exchange::Nfo, "NIFTY26DEC25000CE", "600", "0.05"),
    ] {
        let (mut rig, _) = s1_open();
        let row =
            BrokerPosition { last_price: p(last), ..position(exchange, symbol, Product::Mis, 30) };
        rig.engine.adopt_foreign(&row, rig.at);
        assert_eq!(rig.engine.strays[0].leg.tick, p(tick), "{symbol} {last}");
    }
}

/// S1 closed by hand; then what somebody else does in the same contract
/// before the end of the day. How often a different result is told.
fn result_told(before: fn(&mut Rig, &InstrumentKey), after: fn(&mut Rig, &InstrumentKey)) -> usize {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    before(&mut rig, &key);
    rig.run_to("10:12");
    exit_and_fill(&mut rig, "411.20");
    rig.run_to("10:13");
    after(&mut rig, &key);
    rig.run_to("16:00");
    told(&rig, "The broker's result of SENSEX26NOV81300CE differs").len()
}

fn round_trip(rig: &mut Rig, key: &InstrumentKey, sold_at: &str) {
    rig.broker.foreign(rig.at, key, Side::Buy, 1, p("100"));
    rig.broker.foreign(rig.at, key, Side::Sell, 1, p(sold_at));
}

#[test]
fn results_are_compared_beyond_three_rupees_when_the_contract_was_ours_alone() {
    let nothing: fn(&mut Rig, &InstrumentKey) = |_, _| {};
    assert_eq!(result_told(nothing, |rig, key| round_trip(rig, key, "103")), 0);
    assert_eq!(result_told(nothing, |rig, key| round_trip(rig, key, "103.05")), 1);
    assert_eq!(result_told(nothing, |rig, key| round_trip(rig, key, "96.95")), 1);
    let still_open = |rig: &mut Rig, key: &InstrumentKey| {
        rig.broker.foreign(rig.at, key, Side::Buy, 1, p("100"));
    };
    assert_eq!(result_told(nothing, still_open), 0, "it has no result yet");
    let theirs_too = |rig: &mut Rig, key: &InstrumentKey| {
        rig.broker.foreign(rig.at, key, Side::Buy, 20, p("420"));
    };
    let they_leave = |rig: &mut Rig, key: &InstrumentKey| {
        rig.broker.foreign(rig.at, key, Side::Sell, 20, p("300"));
    };
    assert_eq!(result_told(theirs_too, they_leave), 0, "the result is shared");
}

#[test]
fn a_panic_ends_once_nothing_is_held_or_works() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    rig.ask(OperatorAction::Panic { all: false });
    rig.run_to("10:10:20");
    assert!(!rig.engine.is_panic_over(), "its sale works");
    let exit = rig.last_id();
    rig.broker.fill(rig.at, &exit, 20, p("405"));
    let row = rig.broker.row(&exit).cloned().unwrap();
    rig.step(Event::Order(row));
    assert!(!rig.engine.is_panic_over(), "our fill alone is no proof");
    rig.run_to("10:15");
    assert!(rig.engine.is_panic_over());
    assert_eq!(told(&rig, "PANIC: flat").len(), 1);
}

#[test]
fn the_end_of_a_panic_names_what_was_left_alone() {
    for (theirs, left) in [(0, None), (60, Some("60 SENSEX26NOV80000CE MIS"))] {
        let (mut rig, _) = s1_open();
        rig.run_to("10:05");
        rig.broker.foreign(rig.at, &option("SENSEX26NOV80000CE"), Side::Buy, theirs, p("900"));
        rig.run_to("10:10");
        rig.ask(OperatorAction::Panic { all: false });
        let exit = rig.last_id();
        rig.fill(&exit, 20, "411");
        rig.run_to("10:11");
        let fields = &told(&rig, "PANIC: flat")[0].fields;
        let named = fields.iter().find(|(name, _)| name.starts_with("Left alone"));
        assert_eq!(named.map(|(_, rows)| rows.as_str()), left);
    }
}

#[test]
fn a_panic_over_all_waits_for_what_is_intraday_and_not_for_holdings() {
    let over = |exchange, product: Product| {
        let (mut rig, _) = s1_open();
        rig.run_to("10:10");
        exit_and_fill(&mut rig, "411");
        rig.run_to("10:11");
        // Bought a moment ago: it is not closed before its fill is old.
        let fresh = position(exchange, "SOMETHING", product, 30);
        let key = &fresh.instrument;
        rig.broker.foreign(rig.at, key, Side::Buy, 30, p("100"));
        rig.answers.dead = true;
        rig.ask(OperatorAction::Panic { all: true });
        rig.at += TimeDelta::seconds(1);
        let taken_at = rig.at;
        rig.step(Event::Snapshot(Snapshot {
            command: CommandId { seq: 1, index: 0 },
            taken_at,
            complete: true,
            orders: Some(rig.broker.rows.clone()),
            positions: Some(vec![fresh]),
            available: None,
        }));
        assert!(rig.engine.strays.is_empty());
        rig.engine.is_panic_over()
    };
    assert!(!over(Exchange::Nse, Product::Mis));
    assert!(!over(Exchange::Nfo, Product::Nrml));
    assert!(over(Exchange::Nse, Product::Cnc));
}

#[test]
fn money_is_shared_by_units() {
    assert_eq!(per_unit(m("8240"), 20), p("412"));
    assert_eq!(per_unit(m("8240"), 0), Price::ZERO);
}
