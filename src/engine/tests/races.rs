//! Other people trade the units of the bot while its own orders are on their
//! way.

use chrono::TimeDelta;

use super::fixture::*;
use super::scenarios::s1_open;
use super::truth::{footer, placed, told};
use crate::engine::Event;
use crate::engine::event::{CommandId, OperatorAction, Snapshot};
use crate::engine::notice::Severity;
use crate::market::{OrderStatus, Side};

#[test]
fn a_stop_that_outgrew_what_is_held_and_is_stuck_is_told_by_name() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let stop = rig.last_id();
    rig.broker.put(rig.at, &stop, OrderStatus::Pending("MODIFY PENDING".into()));
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("420.00"));
    rig.send(Event::Order(row));
    rig.run_to("10:10:25");
    let headline = "SELL 20 SENSEX26NOV81300CE is at work while 0 are held (MODIFY PENDING)";
    assert!(told(&rig, headline).is_empty(), "a change may take its time");
    rig.run_to("10:10:40");
    let alarms = told(&rig, headline);
    assert_eq!(alarms.len(), 1, "{:?}", rig.headlines());
    let tag = rig.broker.row(&stop).and_then(|row| row.tag.clone()).unwrap();
    let text = format!("Tag {tag}. In the Kite app: Orders, cancel it.");
    assert!(footer(alarms[0]).ends_with(&text), "{}", footer(alarms[0]));
    assert_eq!(alarms[0].severity, Severity::Critical);
    rig.run_to("10:12:40");
    assert_eq!(told(&rig, headline).len(), 3, "and again each minute");
    rig.broker.put(rig.at, &stop, OrderStatus::TriggerPending);
    rig.run_to("10:14");
    assert_eq!(rig.broker.working(&key, Side::Sell), 0);
    assert_eq!(told(&rig, headline).len(), 3);
    assert_eq!((rig.broker.held(&key), placed(&rig).len()), (0, 2));
    rig.check_replay();
}

#[test]
fn positions_that_trail_our_exit_are_not_sold_again_by_a_panic_over_all() {
    let (mut rig, key) = s1_open();
    let other = option("NIFTY26DEC25000PE");
    rig.broker.foreign(rig.at, &other, Side::Buy, 75, p("90"));
    rig.run_to("10:10");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:10:02");
    let old = rig.broker.positions();
    let exit = rig.broker.rows.iter().find(|row| row.instrument == key && row.side == Side::Sell);
    let exit = exit.map(|row| row.order_id.clone()).unwrap();
    rig.fill(&exit, 20, "410.00");
    rig.run_to("10:10:04");
    assert_eq!(rig.last_trade().closed_quantity, 20);
    let before = placed(&rig).len();
    let late = |rig: &super::rig::Rig| Snapshot {
        command: CommandId { seq: 1, index: 0 },
        taken_at: rig.at,
        complete: true,
        orders: Some(rig.broker.rows.clone()),
        positions: Some(old.clone()),
        available: None,
    };
    let snapshot = late(&rig);
    rig.send(Event::Snapshot(snapshot));
    assert_eq!(placed(&rig).len(), before, "{:?}", rig.sent_text());
    // What is still shown when nothing can trail any more is somebody's.
    rig.at += TimeDelta::seconds(12);
    let snapshot = late(&rig);
    rig.send(Event::Snapshot(snapshot));
    assert_eq!(placed(&rig).len(), before + 1, "{:?}", rig.sent_text());
}
