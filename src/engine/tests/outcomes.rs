//! What one answer, or the want of one, makes of an order.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::trouble::before_entry;
use crate::engine::command::Command;
use crate::engine::event::{CommandId, Outcome, Refusal, Snapshot};
use crate::engine::intents::{End, Intent, Stage};
use crate::engine::ledger::{Fact, IntentId, OrderRecord};
use crate::engine::{Engine, Event};
use crate::market::{BrokerOrder, OrderChange, OrderId, Side};

const ENTRY: IntentId = IntentId(1);
const STOP: IntentId = IntentId(2);

/// An entry on its way, unanswered, with the row that it has become.
fn sending() -> (Rig, CommandId, BrokerOrder) {
    let (mut rig, _, candle) = before_entry();
    let event = Event::Candle { instrument: index(), candle, sound: true };
    for (id, command) in rig.step(event) {
        if let Command::Submit { order, .. } = command {
            let order_id = rig.broker.place(rig.at, &order);
            let row = rig.broker.row(&order_id).cloned().unwrap();
            return (rig, id, row);
        }
    }
    panic!("nothing was sent");
}

/// A resting stop with a change on its way, and the name of the change.
fn changing() -> (Rig, CommandId) {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let change = OrderChange { price: Some(p("250")), ..OrderChange::default() };
    assert!(rig.engine.modify(STOP, change));
    let command = rig.engine.intents[&STOP].request.as_ref().unwrap().command;
    (rig, command)
}

fn intent(rig: &Rig, id: IntentId) -> &Intent {
    &rig.engine.intents[&id]
}

fn answer(rig: &mut Rig, command: CommandId, outcome: Outcome) -> Vec<Command> {
    let out = rig.step(Event::Outcome { command, outcome });
    out.into_iter().map(|(_, command)| command).collect()
}

fn accepted(row: &BrokerOrder) -> Outcome {
    Outcome::Accepted { order_id: row.order_id.clone() }
}

fn refused(refusal: Refusal) -> Outcome {
    Outcome::Refused { refusal, message: "no".into() }
}

fn unknown() -> Outcome {
    Outcome::Unknown { message: "timed out".into() }
}

#[test]
fn an_accepted_order_is_at_work_under_its_name() {
    let (mut rig, command, row) = sending();
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Sending);
    answer(&mut rig, command, accepted(&row));
    let entry = intent(&rig, ENTRY);
    assert_eq!((entry.stage, entry.order_id.as_ref()), (Stage::Working, Some(&row.order_id)));
    assert!(entry.request.is_none());
}

#[test]
fn an_answer_that_comes_after_the_rows_changes_nothing_that_they_showed() {
    for outcome in [refused(Refusal::Margin), refused(Refusal::Gate), unknown()] {
        let (mut rig, command, row) = sending();
        rig.step(Event::Order(row));
        answer(&mut rig, command, outcome.clone());
        assert_eq!(intent(&rig, ENTRY).stage, Stage::Working, "{outcome:?}");
    }
    let (mut rig, command, row) = sending();
    rig.broker.fill(rig.at, &row.order_id, 20, p("412"));
    let filled = rig.broker.row(&row.order_id).cloned().unwrap();
    rig.step(Event::Order(filled));
    answer(&mut rig, command, accepted(&row));
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Ended(End::Complete));
}

#[test]
fn a_refusal_ends_an_order_at_once_only_when_it_never_left() {
    let (mut rig, command, _) = sending();
    answer(&mut rig, command, refused(Refusal::Gate));
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Ended(End::Refused));
    let (mut rig, command, _) = sending();
    let since = rig.at;
    answer(&mut rig, command, refused(Refusal::Margin));
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Unsure { since, refused: true });
}

#[test]
fn no_answer_in_thirty_seconds_or_before_a_restart_is_unknown_and_a_late_one_counts() {
    let (mut rig, command, row) = sending();
    let sent = rig.at;
    let due = sent + TimeDelta::seconds(30);
    assert_eq!(rig.engine.outcome_due(), Some(due));
    rig.at = due - TimeDelta::milliseconds(1);
    rig.step(Event::Deadline);
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Sending);
    rig.at = due;
    rig.step(Event::Deadline);
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Unsure { since: due, refused: false });
    answer(&mut rig, command, accepted(&row));
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Working);

    let (mut rig, _, _) = sending();
    rig.step(Event::Restarted);
    let since = rig.at;
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Unsure { since, refused: false });
}

#[test]
fn a_change_that_was_refused_leaves_the_order_as_it_was_or_in_doubt() {
    for refusal in [
        Refusal::Input,
        Refusal::Gate,
        Refusal::RateLimit,
        Refusal::Margin,
        Refusal::Holding,
        Refusal::Order,
        Refusal::Permission,
        Refusal::Session,
    ] {
        let (mut rig, command) = changing();
        answer(&mut rig, command, refused(refusal));
        let stands = matches!(refusal, Refusal::Input | Refusal::Gate | Refusal::RateLimit);
        let stop = intent(&rig, STOP);
        let price = if stands { "259.55" } else { "250" };
        assert_eq!(stop.asked.price, p(price), "{refusal:?}");
        assert_eq!(stop.doubt, (!stands).then_some(rig.at), "{refusal:?}");
        assert_eq!(rig.engine.trade.as_ref().unwrap().leg.refusals, 1, "{refusal:?}");
    }
    let (mut rig, command) = changing();
    answer(&mut rig, command, unknown());
    assert_eq!(intent(&rig, STOP).doubt, Some(rig.at));
}

#[test]
fn an_accepted_change_ends_the_count_of_refusals_and_a_cancel_does_not_touch_it() {
    let refusals = |rig: &Rig| rig.engine.trade.as_ref().unwrap().leg.refusals;
    let (mut rig, command) = changing();
    let row = rig.broker.last_own().clone();
    rig.engine.trade.as_mut().unwrap().leg.refusals = 2;
    answer(&mut rig, command, accepted(&row));
    assert_eq!(refusals(&rig), 0);
    for outcome in [accepted(&row), refused(Refusal::Order)] {
        rig.engine.trade.as_mut().unwrap().leg.refusals = 2;
        rig.at += TimeDelta::seconds(5);
        rig.engine.cancel(STOP);
        let command = intent(&rig, STOP).request.as_ref().unwrap().command;
        answer(&mut rig, command, outcome);
        assert_eq!(refusals(&rig), 2);
    }
}

#[test]
fn one_request_at_a_time_and_none_about_an_order_that_ended() {
    let (mut rig, _) = changing();
    rig.engine.out.clear();
    let change = OrderChange { quantity: Some(5), ..OrderChange::default() };
    assert!(!rig.engine.modify(STOP, change.clone()));
    rig.engine.cancel(STOP);
    assert!(!rig.engine.modify(ENTRY, change));
    rig.engine.cancel(ENTRY);
    assert_eq!(rig.engine.out, []);
}

#[test]
fn a_cancel_is_repeated_after_two_seconds() {
    let (mut rig, _) = s1_open();
    rig.engine.cancel(STOP);
    let asked = rig.engine.now.at;
    let again = asked + TimeDelta::seconds(2);
    assert_eq!(Engine::cancel_due(intent(&rig, STOP)), Some(again));
    for (at, cancels) in [(again - TimeDelta::milliseconds(1), 0), (again, 1)] {
        rig.engine.intents.get_mut(&STOP).unwrap().request = None;
        rig.engine.out.clear();
        rig.engine.now.at = at;
        rig.engine.cancel(STOP);
        assert_eq!(rig.engine.out.len(), cancels, "{at}");
    }
}

#[test]
fn only_an_order_that_touches_ours_makes_a_hint_worth_a_read() {
    let reads = |change: fn(&mut BrokerOrder)| {
        let (mut rig, key) = s1_open();
        rig.run_to("10:10:05");
        let mut row = rig.broker.foreign(rig.at, &key, Side::Sell, 5, p("411"));
        change(&mut row);
        let out = rig.step(Event::Order(row));
        out.iter().filter(|(_, command)| matches!(command, Command::Fetch(_))).count()
    };
    assert_eq!(reads(|_| {}), 1, "somebody sold of our contract");
    assert_eq!(reads(|row| row.filled = 0), 0, "nothing filled");
    assert_eq!(reads(|row| row.instrument = option("SENSEX26NOV80000PE")), 0, "elsewhere");
    let marked = |row: &mut BrokerOrder| {
        row.filled = 0;
        row.tag = crate::market::Tag::new("P1123I077E1");
    };
    assert_eq!(reads(marked), 1, "it bears our mark");
}

#[test]
fn a_row_belongs_by_its_mark_and_then_by_its_name() {
    let (rig, _) = s1_rig();
    let row = rig.broker.last_own().clone();
    let owner = |change: fn(&mut BrokerOrder)| {
        let mut row = row.clone();
        change(&mut row);
        rig.engine.intent_of(&row)
    };
    assert_eq!(owner(|_| {}), Some(ENTRY));
    assert_eq!(owner(|row| row.tag = None), Some(ENTRY), "Kite may lose the mark");
    assert_eq!(owner(|row| row.order_id = OrderId("2".into())), None, "a second order");
    let foreign = |row: &mut BrokerOrder| {
        row.tag = None;
        row.order_id = OrderId("2".into());
    };
    assert_eq!(owner(foreign), None);
}

#[test]
fn every_change_of_an_order_is_written_down_once() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:20");
    rig.ask(crate::engine::event::OperatorAction::Exit);
    let exit = rig.last_id();
    rig.fill(&exit, 5, "411");
    rig.fill(&exit, 15, "411");
    rig.run_to("10:30");
    let written = |id: IntentId| {
        let row = |fact: &Fact| match fact {
            Fact::Order(row) if row.intent == id => Some((**row).clone()),
            Fact::Order(_)
            | Fact::Decision(_)
            | Fact::Answer { .. }
            | Fact::Trade(_)
            | Fact::State(_)
            | Fact::Limit(_)
            | Fact::Day(_) => None,
        };
        let rows: Vec<OrderRecord> = rig.facts.iter().filter_map(row).collect();
        assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "{rows:?}");
        let mut stages: Vec<String> =
            rows.iter().map(|row| format!("{} {}", row.status, row.filled)).collect();
        stages.dedup();
        stages
    };
    assert_eq!(written(ENTRY), ["SENDING 0", "OPEN 0", "COMPLETE 20"]);
    assert_eq!(
        written(STOP),
        ["SENDING 0", "TRIGGER PENDING 0", "OPEN 0", "OPEN 5", "COMPLETE 20"]
    );
    let trades = rig.facts.iter().filter(|fact| matches!(fact, Fact::Trade(_))).count();
    assert_eq!(trades, 5, "entered, protected, two fills, closed");
}

#[test]
fn a_snapshot_without_an_awaited_order_does_not_make_it_missing() {
    let (mut rig, command, _) = sending();
    for second in 1..8 {
        rig.at += TimeDelta::seconds(second);
        let (seq, taken_at) = (0, rig.at);
        rig.step(Event::Snapshot(Snapshot {
            command: CommandId { seq, index: 0 },
            taken_at,
            complete: true,
            orders: Some(Vec::new()),
            positions: Some(Vec::new()),
            available: None,
        }));
    }
    assert_eq!(intent(&rig, ENTRY).stage, Stage::Sending, "{command:?}");
}
