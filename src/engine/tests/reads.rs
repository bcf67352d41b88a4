//! When orders and positions are read, and which read counts.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::trouble::before_entry;
use super::truth::told;
use crate::engine::command::{Command, Fetch};
use crate::engine::event::{CommandId, FeedState, OperatorAction, Outcome, Snapshot};
use crate::engine::intents::{Intent, Stage};
use crate::engine::ledger::IntentId;
use crate::engine::permission::Hold;
use crate::engine::position::{LegId, Stray};
use crate::engine::{Engine, Event};
use crate::market::{BrokerPosition, Side, Tag, Timestamp};

/// Reads up to an instant, in milliseconds from now; each is answered at
/// once, or not at all.
fn reads(rig: &mut Rig, until: Timestamp, answered: bool) -> Vec<(i64, Fetch)> {
    let (from, mut reads) = (rig.at, Vec::new());
    while let Some(due) = rig.engine.next_deadline().filter(|due| *due <= until) {
        rig.at = due;
        let mut events = std::collections::VecDeque::from([Event::Deadline]);
        while let Some(event) = events.pop_front() {
            for (id, command) in rig.step(event) {
                if let Command::Fetch(fetch) = &command {
                    reads.push(((rig.at - from).num_milliseconds(), *fetch));
                }
                if answered {
                    rig.answer(id, command, &mut events);
                }
            }
        }
    }
    reads
}

fn times(reads: &[(i64, Fetch)]) -> Vec<i64> {
    reads.iter().map(|read| read.0).collect()
}

#[test]
fn nothing_held_is_read_each_minute_from_a_quarter_of_an_hour_before_the_opening() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    assert_eq!(rig.at, clock("08:45"));
    let reads = reads(&mut rig, clock("09:02"), true);
    // The first was at the start, the second when the feed came.
    assert_eq!(times(&reads), [250, 900_000, 960_000, 1_020_000]);
    assert!(reads.iter().all(|(_, fetch)| fetch.margins));
}

#[test]
fn what_is_held_is_read_every_fifteen_seconds_and_every_three_without_a_feed() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let until = rig.at + TimeDelta::seconds(40);
    let held = times(&reads(&mut rig, until, true));
    assert!(held.windows(2).all(|pair| pair[1] - pair[0] == 15_000), "{held:?}");
    assert!(held.len() >= 2, "{held:?}");
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    rig.send(Event::Feed(FeedState::Down));
    let until = rig.at + TimeDelta::seconds(20);
    let dark = times(&reads(&mut rig, until, true));
    assert!(dark.windows(2).all(|pair| pair[1] - pair[0] == 3_000), "{dark:?}");
    assert!(dark.len() >= 5, "{dark:?}");
}

#[test]
fn an_order_at_work_is_no_doubt_and_one_on_its_way_is_read_every_two_seconds() {
    let (mut rig, _) = s1_rig();
    let until = rig.at + TimeDelta::milliseconds(9_900);
    assert_eq!(times(&reads(&mut rig, until, true)), [0; 0], "the entry is open");
    let (mut rig, _) = s1_rig();
    rig.run_to("10:03:01");
    let id = rig.last_id();
    let pending = crate::market::OrderStatus::Pending("OPEN PENDING".into());
    rig.broker.put(rig.at, &id, pending.clone());
    let row = rig.broker.row(&id).cloned().unwrap();
    rig.step(Event::Order(row));
    let until = rig.at + TimeDelta::milliseconds(8_500);
    let waits = times(&reads(&mut rig, until, true));
    assert!(waits.windows(2).all(|pair| pair[1] - pair[0] == 2_000), "{waits:?}");
    assert!(waits.len() >= 4, "{waits:?}");
}

#[test]
fn doubt_is_read_at_growing_pauses_and_margins_once() {
    let (mut rig, _, breakout) = before_entry();
    rig.answers.dead = true;
    let event = Event::Candle { instrument: index(), candle: breakout, sound: true };
    let sent = rig.step(event);
    let (id, _) = sent.iter().find(|(_, command)| command.is_order()).unwrap();
    rig.run_until(rig.at + TimeDelta::seconds(1));
    let outcome = Outcome::Unknown { message: "lost".into() };
    let first: Vec<_> = rig
        .step(Event::Outcome { command: *id, outcome })
        .into_iter()
        .filter(|(_, command)| matches!(command, Command::Fetch(_)))
        .collect();
    assert_eq!(first.len(), 1);
    let Command::Fetch(fetch) = first[0].1.clone() else { panic!("a read") };
    assert!(fetch.margins && fetch.orders && fetch.positions);
    let snapshot = rig.snapshot(first[0].0, fetch);
    rig.step(Event::Snapshot(snapshot));
    let until = rig.at + TimeDelta::seconds(21);
    let reads = reads(&mut rig, until, true);
    assert_eq!(times(&reads), [1_000, 2_000, 5_000, 10_000, 15_000, 20_000]);
    assert!(reads.iter().all(|(_, fetch)| fetch.orders && fetch.positions && !fetch.margins));
}

#[test]
fn a_read_without_an_answer_is_asked_again_after_twenty_seconds() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let until = rig.at + TimeDelta::seconds(50);
    let reads = times(&reads(&mut rig, until, false));
    assert!(reads.len() >= 2, "{reads:?}");
    assert!(reads.windows(2).all(|pair| pair[1] - pair[0] == 20_000), "{reads:?}");
}

#[test]
fn a_restart_waits_for_no_read_of_the_process_before() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let until = rig.at + TimeDelta::seconds(16);
    assert_eq!(reads(&mut rig, until, false).len(), 1);
    let out = rig.step(Event::Restarted);
    assert!(out.iter().any(|(_, command)| matches!(command, Command::Fetch(_))));
    assert_eq!(rig.engine.sync.clean_from, Some(rig.at));
}

#[test]
fn doubt_that_begins_just_after_a_read_waits_for_a_quarter_of_a_second() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let before = rig.at;
    let first = times(&reads(&mut rig, before + TimeDelta::seconds(20), true))[0];
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let last = before + TimeDelta::milliseconds(first);
    assert_eq!(times(&reads(&mut rig, last, true)), [first]);
    rig.engine.control.hold(Hold::Starting, "engine", last);
    assert_eq!(rig.engine.fetch_due(), Some(last + TimeDelta::milliseconds(250)));
}

#[test]
fn what_was_closed_for_others_is_no_doubt_any_more() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = option("SENSEX26NOV80000CE");
    rig.run_to("10:00");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("900"));
    rig.run_to("10:05");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05:01");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "895");
    rig.run_to("10:07");
    assert!(rig.engine.is_panic_over());
    let idle = times(&reads(&mut rig, clock("10:10"), true));
    assert_eq!(idle.len(), 3, "{idle:?}");
}

#[test]
fn another_reads_answer_does_not_end_the_waiting() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let asked = rig.at + TimeDelta::seconds(16);
    let unanswered = reads(&mut rig, asked, false);
    assert_eq!(unanswered.len(), 1);
    let due = rig.engine.fetch_due();
    let other = snapshot(&rig, CommandId { seq: 1, index: 0 }, rig.at);
    rig.step(Event::Snapshot(other));
    assert_eq!(rig.engine.fetch_due(), due);
}

#[test]
fn nothing_is_read_without_a_session_or_after_the_days_end() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    assert!(rig.engine.fetch_due().is_some());
    rig.send(Event::Session { alive: false });
    assert_eq!(rig.engine.fetch_due(), None);
    rig.send(Event::Session { alive: true });
    assert!(rig.engine.fetch_due().is_some());
    rig.engine.marks.closed = true;
    assert_eq!(rig.engine.fetch_due(), None);
}

fn snapshot(rig: &Rig, command: CommandId, taken_at: Timestamp) -> Snapshot {
    Snapshot {
        command,
        taken_at,
        complete: true,
        orders: Some(rig.broker.rows.clone()),
        positions: Some(rig.broker.positions()),
        available: None,
    }
}

/// An order book without a row, complete, so many seconds after the entry.
fn empty_book(rig: &mut Rig, second: i64) {
    rig.at = clock("10:03") + TimeDelta::seconds(second);
    let taken_at = rig.at;
    rig.step(Event::Snapshot(Snapshot {
        command: CommandId { seq: 1, index: 0 },
        taken_at,
        complete: true,
        orders: Some(Vec::new()),
        positions: None,
        available: None,
    }));
}

#[test]
fn an_order_is_lost_when_books_lack_it_five_seconds_after_its_answer() {
    let (mut rig, _) = s1_rig();
    (1..=3).for_each(|second| empty_book(&mut rig, second));
    assert!(told(&rig, "The broker's order book lacks").is_empty(), "books trail the answer");
    (5..=6).for_each(|second| empty_book(&mut rig, second));
    assert!(told(&rig, "The broker's order book lacks").is_empty(), "two books tell nothing");
    (7..=8).for_each(|second| empty_book(&mut rig, second));
    assert_eq!(told(&rig, "The broker's order book lacks 1").len(), 1);
}

#[test]
fn an_order_that_no_book_ever_showed_is_missing_and_not_lost() {
    let (mut rig, _, breakout) = before_entry();
    rig.answers.hints = false;
    rig.close_candle(breakout);
    rig.broker.rows.clear();
    assert_eq!(rig.engine.intents[&IntentId(1)].seen, None);
    (6..=12).for_each(|second| empty_book(&mut rig, second));
    assert!(told(&rig, "The broker's order book lacks").is_empty());
    assert_eq!(rig.engine.intents[&IntentId(1)].stage, Stage::Missing);
}

#[test]
fn a_book_without_orders_that_were_shown_proves_nothing() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let rows = std::mem::take(&mut rig.broker.rows);
    rig.run_to("10:12");
    assert_eq!(rig.sent.len(), 2, "the stop is not taken for missing");
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    assert_eq!(told(&rig, "The broker's order book lacks 2").len(), 1);
    rig.broker.rows = rows;
    rig.run_to("10:13");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

#[test]
fn an_older_read_of_positions_does_not_replace_a_younger_one() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10:05");
    let command = CommandId { seq: 1, index: 0 };
    let now = rig.at;
    let show = |rig: &mut Rig, quantity, ago: i64| {
        let mut taken = snapshot(rig, command, now - TimeDelta::milliseconds(ago));
        let rows = taken.positions.as_mut().unwrap();
        let row: &mut BrokerPosition = rows.iter_mut().find(|row| row.instrument == key).unwrap();
        row.quantity = quantity;
        rig.step(Event::Snapshot(taken));
        rig.engine.trade.as_ref().unwrap().leg.shown.unwrap().0
    };
    assert_eq!(show(&mut rig, 20, 100), 20);
    assert_eq!(show(&mut rig, 15, 101), 20, "older");
    assert_eq!(show(&mut rig, 14, 100), 14, "as young");
    assert_eq!(show(&mut rig, 13, 0), 13);
}

fn stop(engine: &mut Engine, change: fn(&mut Intent)) {
    change(engine.intents.get_mut(&IntentId(2)).unwrap());
}

/// As if the book had no row of it, and could not have one yet.
fn unsent(stop: &mut Intent) {
    stop.stage = Stage::Sending;
    (stop.tag, stop.order_id) = (Tag::new("P1123I099S1").unwrap(), None);
}

#[test]
fn a_comparison_is_clean_when_nothing_is_open_to_doubt() {
    let clean = |change: fn(&mut Engine)| {
        let (mut rig, _) = s1_open();
        rig.run_to("10:10:05");
        rig.engine.sync.last_clean = None;
        change(&mut rig.engine);
        let taken = snapshot(&rig, CommandId { seq: 1, index: 0 }, rig.at);
        rig.step(Event::Snapshot(taken));
        rig.engine.sync.last_clean == Some(rig.at)
    };
    assert!(clean(|_| {}));
    assert!(!clean(|engine| engine.trade.as_mut().unwrap().leg.external = 5));
    assert!(!clean(|engine| stop(engine, |stop| stop.doubt = Some(clock("12:00")))));
    assert!(!clean(|engine| stop(engine, unsent)));
    assert!(clean(|engine| {
        let mut leg = engine.trade.as_ref().unwrap().leg.clone();
        (leg.opened, leg.instrument) = (5, option("SENSEX26NOV80000CE"));
        leg.closers.clear();
        engine.strays.push(Stray {
            leg,
            name: "FOREIGN_01".into(),
            late: None,
            open: false,
            exit_alarms: 0,
        });
    }));
    assert!(!clean(|engine| {
        let (rows, at) = (Vec::new(), engine.now.at);
        let mut leg = engine.trade.as_ref().unwrap().leg.clone();
        (leg.opened, leg.instrument) = (5, option("SENSEX26NOV80000CE"));
        leg.closers.clear();
        engine.strays.push(Stray {
            leg,
            name: "FOREIGN_01".into(),
            late: None,
            open: true,
            exit_alarms: 0,
        });
        engine.judge(LegId::Stray(0), &rows, &[], at);
    }));
}

#[test]
fn a_comparison_beside_an_order_on_its_way_is_not_clean() {
    let (mut rig, _, breakout) = before_entry();
    rig.engine.sync.last_clean = None;
    rig.step(Event::Candle { instrument: index(), candle: breakout, sound: true });
    let taken = snapshot(&rig, CommandId { seq: 1, index: 0 }, rig.at);
    rig.step(Event::Snapshot(taken));
    assert_eq!(rig.engine.sync.last_clean, None);
}
