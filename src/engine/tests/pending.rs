//! A stop that the broker took and the exchange has not confirmed yet.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_rig;
use crate::engine::Event;
use crate::engine::command::Command;
use crate::market::{OrderStatus, Timestamp};

/// One event with all that the broker answers; a stop that it takes shows as
/// on its way. Adds the instants at which the order book was read.
fn send(rig: &mut Rig, event: Event, reads: &mut Vec<Timestamp>) {
    let mut events = VecDeque::from([event]);
    while let Some(event) = events.pop_front() {
        for (id, command) in rig.step(event) {
            if matches!(command, Command::Fetch(_)) {
                reads.push(rig.at);
            }
            rig.answer(id, command, &mut events);
            for row in &mut rig.broker.rows {
                if row.status == OrderStatus::TriggerPending {
                    row.status = OrderStatus::parse("OPEN PENDING");
                }
            }
        }
    }
}

fn run_until(rig: &mut Rig, until: Timestamp, reads: &mut Vec<Timestamp>) {
    while let Some(due) = rig.engine.next_deadline().filter(|due| *due <= until) {
        rig.at = due;
        send(rig, Event::Deadline, reads);
    }
    rig.at = until;
}

#[test]
fn a_stop_on_its_way_is_read_again_every_two_seconds_and_not_taken_for_missing() {
    let (mut rig, _) = s1_rig();
    let entry = rig.last_id();
    rig.answers.hints = false;
    rig.broker.fill(rig.at, &entry, 20, p("412.00"));
    let filled = rig.broker.row(&entry).cloned().unwrap();
    let (from, mut reads) = (rig.at, Vec::new());
    send(&mut rig, Event::Order(filled), &mut reads);
    run_until(&mut rig, from + TimeDelta::milliseconds(2_900), &mut reads);
    assert_eq!(rig.sent_text()[1..], ["SELL 20 SL 288.40 259.55"], "nothing in its place");
    assert!(reads.len() >= 2, "{reads:?}");
    for pair in reads.windows(2) {
        assert!(pair[1] - pair[0] <= TimeDelta::seconds(2), "{reads:?}");
    }
    assert_eq!(rig.last_trade().resting_stop, None);

    // It arrives; no update tells of it, the next read does, before the five
    // seconds are over in which it must be confirmed.
    let stop = rig.last_id();
    let row = rig.broker.rows.iter_mut().find(|row| row.order_id == stop).unwrap();
    row.status = OrderStatus::TriggerPending;
    rig.run_until(rig.at + TimeDelta::seconds(30));
    assert_eq!(rig.last_trade().resting_stop, Some(p("288.40")));
    assert_eq!(rig.sent_text().len(), 2);
    assert!(!rig.headlines().iter().any(|text| text.contains("in no order book")));
    rig.check_replay();
}
