//! A given-up entry that turns up beside another trade in the same contract.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::trouble::entry_that_never_arrived;
use super::truth::{placed, told};
use crate::engine::event::OperatorAction;
use crate::engine::{Command, Event};
use crate::market::{BrokerPosition, InstrumentKey, Money, OrderId, OrderStatus, Side};

/// A trade of 20 with its stop, and the late entry at work.
struct Beside {
    rig: Rig,
    key: InstrumentKey,
    late: OrderId,
    stop: OrderId,
}

fn beside() -> Beside {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("10:04");
    assert!(rig.ask(OperatorAction::Enable { confirmed: true }).0);
    rig.run_to("10:33");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.close_candle(candle("10:30", ["81265", "81345", "81258", "81335"]));
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    let stop = rig.last_id();
    let order = placed(&rig)[0].clone();
    let late = rig.broker.place(rig.at, &order);
    Beside { rig, key, late, stop }
}

/// Lets six seconds pass in which the positions stay as they were.
fn six_seconds_with(rig: &mut Rig, positions: &[BrokerPosition]) {
    let until = rig.at + TimeDelta::seconds(6);
    while let Some(due) = rig.engine.next_deadline().filter(|due| *due <= until) {
        rig.at = due;
        let mut events = VecDeque::from([Event::Deadline]);
        while let Some(event) = events.pop_front() {
            for (id, command) in rig.step(event) {
                if let Command::Fetch(fetch) = command {
                    let mut snapshot = rig.snapshot(id, fetch);
                    snapshot.positions = Some(positions.to_vec());
                    events.push_back(Event::Snapshot(snapshot));
                } else {
                    rig.answer(id, command, &mut events);
                }
            }
        }
    }
}

#[test]
fn the_rest_of_a_late_entry_is_closed_once_although_the_trade_is_over() {
    let Beside { mut rig, key, late, stop } = beside();
    rig.broker.fill(rig.at, &late, 10, p("412"));
    rig.broker.put(rig.at, &late, OrderStatus::Pending("CANCEL PENDING".into()));
    rig.run_to("10:33:20");
    let exit = rig.last_id();
    assert_ne!(exit, stop);
    rig.fill(&exit, 10, "410");
    rig.run_to("10:34");
    rig.fill(&stop, 20, "288");
    rig.run_to("10:34:30");
    assert!(rig.engine.trade.is_none());
    rig.broker.fill(rig.at, &late, 10, p("412"));
    let row = rig.broker.row(&late).cloned().unwrap();
    rig.send(Event::Order(row));
    assert!(rig.broker.working(&key, Side::Sell) <= rig.broker.held(&key));
    rig.run_to("10:35");
    assert_eq!((rig.broker.held(&key), rig.broker.working(&key, Side::Sell)), (10, 10));
    let exit = rig.last_id();
    rig.fill(&exit, 10, "409");
    rig.run_to("10:36");
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    let value = |side: Side| -> Money {
        let rows = rig.broker.rows.iter().filter(|row| row.side == side);
        rows.map(|row| row.filled_value).sum()
    };
    let gross: Money = rig.engine.book.closed.iter().map(|trade| trade.gross).sum();
    assert_eq!(gross, value(Side::Sell) - value(Side::Buy), "every fill is in a trade");
    assert_eq!(rig.engine.book.closed.len(), 2);
    rig.check_replay();
}

#[test]
fn what_somebody_sold_of_both_is_no_short_and_nothing_is_sold_for_it() {
    for sold_after in [None, Some("10:33:02")] {
        let Beside { mut rig, key, late, .. } = beside();
        rig.broker.fill(rig.at, &late, 20, p("412"));
        if let Some(time) = sold_after {
            rig.run_to(time);
        }
        rig.broker.foreign(rig.at, &key, Side::Sell, 40, p("410"));
        rig.run_to("10:34");
        assert_eq!(rig.broker.held(&key), 0);
        assert_eq!(rig.broker.working(&key, Side::Sell), 0, "{:?}", rig.sent_text());
        assert_eq!(told(&rig, "The broker shows").len(), 0, "{:?}", rig.headlines());
        assert_eq!(rig.broker.lowest, 0);
    }
}

#[test]
fn positions_that_trail_the_close_of_the_late_entry_are_nobody_elses() {
    let Beside { mut rig, late, .. } = beside();
    rig.broker.fill(rig.at, &late, 20, p("412"));
    rig.run_to("10:33:20");
    let exit = rig.last_id();
    let before = rig.broker.positions();
    rig.broker.fill(rig.at, &exit, 20, p("410"));
    six_seconds_with(&mut rig, &before);
    assert_eq!(told(&rig, "SYMBOL_CONTAMINATED").len(), 0, "{:?}", rig.headlines());
}
