//! After the day was summed up: what may still come, and a late panic.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use super::trouble::entry_that_never_arrived;
use super::truth::{footer, placed, told};
use crate::engine::event::OperatorAction;
use crate::engine::ledger::Fact;
use crate::market::{Exchange, InstrumentKey, Side};

fn elsewhere() -> InstrumentKey {
    InstrumentKey::new(Exchange::Nfo, "NIFTY26DEC25000PE")
}

/// A day without a trade, summed up, with somebody else's position.
fn summed_up() -> Rig {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.run_to("15:16");
    assert_eq!(told(&rig, "Day 23 Nov 2026").len(), 1);
    rig.broker.foreign(rig.at, &elsewhere(), Side::Buy, 75, p("100"));
    rig
}

#[test]
fn a_panic_over_all_after_the_summary_closes_what_others_opened() {
    let mut rig = summed_up();
    rig.run_to("15:20");
    rig.answers.dead = true;
    let (done, text) = rig.ask(OperatorAction::Panic { all: true });
    assert!(done && text.contains("other positions are being read"), "{text}");
    rig.answers.dead = false;
    rig.run_to("15:20:25");
    assert!(rig.sent_text()[0].starts_with("SELL 75 LIMIT"), "{:?}", rig.sent_text());
    let exit = rig.last_id();
    rig.fill(&exit, 75, "98");
    rig.run_to("15:21");
    assert_eq!(told(&rig, "PANIC: flat").len(), 1);
    assert_eq!(rig.broker.held(&elsewhere()), 0);
    let reads = rig.engine.next_deadline();
    assert_eq!(reads, None, "the day is over again");
    assert_eq!(told(&rig, "Day 23 Nov 2026").len(), 1, "and not summed up twice");
    rig.check_replay();
}

#[test]
fn a_panic_that_can_send_nothing_says_so() {
    let mut rig = summed_up();
    rig.run_to("15:46");
    let (done, text) = rig.ask(OperatorAction::Panic { all: true });
    assert!(!done && text.contains("NOTHING WAS CLOSED"), "{text}");
    let (done, text) = rig.ask(OperatorAction::Panic { all: false });
    assert!(done && text.contains("the day is over") && text.contains("holds nothing"), "{text}");
    rig.run_until(rig.at + TimeDelta::minutes(5));
    assert!(rig.sent.is_empty());
    assert_eq!(rig.engine.permission().reason, "PANIC");
    rig.check_replay();
}

#[test]
fn a_panic_that_the_days_end_cut_off_can_send_nothing_more() {
    let mut rig = summed_up();
    rig.run_to("15:40");
    assert!(rig.ask(OperatorAction::Panic { all: true }).0);
    assert!(rig.engine.is_panic_under_way());
    rig.run_to("15:50");
    let (done, text) = rig.ask(OperatorAction::Panic { all: true });
    assert!(!done && text.contains("NOTHING WAS CLOSED"), "{text}");
    assert!(!rig.engine.is_panic_under_way());
    rig.check_replay();
}

#[test]
fn a_panic_before_the_day_is_prepared_says_that_nothing_can_be_sent() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.at += TimeDelta::hours(23);
    rig.step(crate::engine::Event::NewDate(rig.engine.carried()));
    let (done, text) = rig.ask(OperatorAction::Panic { all: true });
    assert!(
        !done && text.contains("not prepared") && text.contains("NOTHING WAS CLOSED"),
        "{text}"
    );
    assert!(told(&rig, "PANIC: closing everything").is_empty());
    rig.check_replay();
}

#[test]
fn an_entry_that_nobody_found_keeps_the_day_open_until_its_end() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("15:16");
    let summary = told(&rig, "Day 23 Nov 2026")[0];
    assert!(footer(summary).contains("NOT PROVEN FLAT"), "{summary:?}");
    assert!(footer(summary).contains("that was not found"), "{summary:?}");
    // It turns up and fills, two minutes later.
    rig.run_to("15:18");
    let order = placed(&rig)[0].clone();
    let late = rig.broker.place(rig.at, &order);
    rig.broker.fill(rig.at, &late, 20, p("412"));
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.run_to("15:18:30");
    assert!(rig.sent_text()[1].starts_with("SELL 20 LIMIT"), "{:?}", rig.sent_text());
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411");
    rig.run_to("15:19");
    assert_eq!(rig.broker.held(&key), 0);
    let last = told(&rig, "Day 23 Nov 2026 (final)");
    assert_eq!(last.len(), 1);
    assert!(footer(last[0]).starts_with("Flat:"), "{last:?}");
    let days = rig.facts.iter().filter(|fact| matches!(fact, Fact::Day(_))).count();
    assert_eq!((days, rig.engine.next_deadline()), (2, None));
    rig.check_replay();
}

#[test]
fn an_entry_that_a_person_gave_up_may_fill_until_the_days_end() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("10:04");
    assert!(rig.ask(OperatorAction::Enable { confirmed: true }).0);
    rig.run_to("15:18");
    let order = placed(&rig)[0].clone();
    let late = rig.broker.place(rig.at, &order);
    rig.broker.fill(rig.at, &late, 20, p("412"));
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.run_to("15:19:30");
    assert!(rig.sent_text()[1].starts_with("SELL 20 LIMIT"), "{:?}", rig.sent_text());
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411");
    rig.run_to("15:46");
    assert_eq!(rig.broker.held(&key), 0);
    assert_eq!(rig.engine.next_deadline(), None);
    rig.check_replay();
}

#[test]
fn an_entry_that_never_turned_up_is_no_doubt_after_the_last_read() {
    let (mut rig, _) = entry_that_never_arrived();
    rig.run_to("15:46");
    let said = told(&rig, "Day 23 Nov 2026");
    let footers: Vec<&str> = said.iter().map(|notice| footer(notice)).collect();
    assert_eq!(footers.len(), 2);
    assert!(footers[0].starts_with("NOT PROVEN FLAT") && footers[1].starts_with("Flat:"));
    rig.check_replay();
}

#[test]
fn nothing_is_said_of_feed_and_session_once_the_day_is_over() {
    let mut rig = summed_up();
    rig.run_to("15:45");
    let said = rig.said.len();
    rig.send(crate::engine::Event::Feed(crate::engine::event::FeedState::Down));
    rig.send(crate::engine::Event::Session { alive: false });
    assert_eq!(rig.said.len(), said, "{:?}", rig.headlines());
}

#[test]
fn what_a_day_leaves_open_stops_entries_until_a_person_decides() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    for days in 1..=2 {
        rig.at += TimeDelta::hours(24);
        rig.send(crate::engine::Event::NewDate(rig.engine.carried()));
        let mut day = plan(Market::Sensex);
        day.date = date() + chrono::Days::new(days);
        rig.send(crate::engine::Event::Day(Box::new(day)));
        assert_eq!(rig.engine.carried().open, std::slice::from_ref(&key));
        assert_eq!(rig.engine.permission().reason, "MISMATCH");
    }
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done, "{text}");
    assert_eq!(rig.engine.carried().open, []);
    rig.check_replay();
}
