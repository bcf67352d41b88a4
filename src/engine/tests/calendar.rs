//! The day, its hours and its end; what one date leaves to the next.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::trouble::before_entry;
use super::truth::{footer, told};
use crate::engine::day::History;
use crate::engine::event::{FeedState, OperatorAction};
use crate::engine::ledger::{ExitReason, Fact};
use crate::engine::{Event, Mode};
use crate::market::{DayCandle, OrderStatus, Side};

#[test]
fn a_signal_rests_on_the_second_candle_after_an_unsound_one() {
    let (mut rig, _, breakout) = before_entry();
    let unsound = candle("09:54", ["81265"; 4]);
    rig.send(Event::Candle { instrument: index(), candle: unsound, sound: false });
    rig.close_candle(candle("09:57", ["81265"; 4]));
    rig.close_candle(breakout);
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05"]);
}

#[test]
fn only_what_the_bot_bought_and_did_not_close_is_carried() {
    let (rig, _) = s1_rig();
    assert!(rig.engine.carried().open.is_empty(), "nothing has filled");
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = option("SENSEX26NOV80000CE");
    rig.run_to("10:00");
    rig.broker.foreign(rig.at, &key, Side::Buy, 60, p("900"));
    rig.run_to("10:05");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05:01");
    assert!(rig.engine.strays[0].open);
    assert!(rig.engine.carried().open.is_empty(), "it is somebody else's");
    rig.engine.strays[0].late = s1_open().0.engine.trade.take();
    assert_eq!(rig.engine.carried().open, std::slice::from_ref(&key));
    rig.engine.strays[0].open = false;
    assert!(rig.engine.carried().open.is_empty(), "it is closed");
}

#[test]
fn a_new_date_keeps_the_count_of_changes_the_session_and_the_feed() {
    for (alive, up) in [(true, true), (false, true), (true, false)] {
        let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
        rig.send(Event::Session { alive });
        rig.send(Event::Feed(if up { FeedState::Up } else { FeedState::Down }));
        let before = rig.engine.revision();
        rig.at += TimeDelta::hours(24);
        rig.step(Event::NewDate(rig.engine.carried()));
        assert!(rig.engine.revision() > before);
        assert_eq!((rig.engine.session_alive, rig.engine.feed_up), (alive, up));
        assert_eq!(rig.engine.permission().since, rig.at);
    }
}

#[test]
fn only_live_trading_that_asks_for_it_waits_for_the_days_word() {
    for (mode, require_arm, reason) in
        [(Mode::Live, true, "ARM"), (Mode::Live, false, "ENABLED"), (Mode::Paper, true, "ENABLED")]
    {
        let mut plan = plan(Market::Sensex);
        plan.settings.mode = mode;
        plan.settings.risk.require_arm = require_arm;
        let mut rig = Rig::new(plan, Vec::new());
        rig.run_to("09:20");
        assert_eq!(rig.engine.permission().reason, reason, "{mode:?} {require_arm}");
    }
}

#[test]
fn entries_are_open_from_the_first_to_the_last_instant_and_a_signals_life() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    for (at, open) in
        [("09:32:59", false), ("09:33:00", true), ("14:45:15", true), ("14:45:16", false)]
    {
        rig.run_to(at);
        rig.send(Event::Deadline);
        assert_eq!(rig.engine.is_entry_window(), open, "{at}");
    }
}

#[test]
fn a_flat_day_ends_without_an_alarm_and_is_summed_up_at_once() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.run_to("15:14:30");
    // It was read just now; the next of the usual reads comes in a minute.
    rig.send(Event::Day(Box::new(plan(Market::Sensex))));
    rig.run_to("15:14:59");
    assert!(told(&rig, "Day 23 Nov 2026").is_empty());
    rig.run_to("15:15");
    assert_eq!(told(&rig, "Day 23 Nov 2026").len(), 1);
    rig.run_to("15:46");
    assert_eq!(rig.said.len(), 2, "the feed and the summary: {:?}", rig.headlines());
    let before = rig.engine.revision();
    rig.spot("81335");
    assert_eq!(rig.engine.revision(), before, "nothing is left to be done");
    rig.check_replay();
}

/// A position sold at an instant by what the order book shows; the positions
/// never follow.
pub(super) fn sold_but_shown(at: &str) -> Rig {
    let (mut rig, _) = s1_open();
    rig.run_to(at);
    rig.ask(OperatorAction::Exit);
    let exit = rig.last_id();
    let row = rig.broker.rows.iter_mut().find(|row| row.order_id == exit).unwrap();
    (row.filled, row.filled_value, row.status) = (20, p("411") * 20, OrderStatus::Complete);
    let row = row.clone();
    rig.send(Event::Order(row));
    rig
}

#[test]
fn a_day_is_not_flat_while_the_broker_shows_what_our_orders_sold() {
    let mut rig = sold_but_shown("15:05");
    rig.run_to("15:44");
    assert!(told(&rig, "Day 23 Nov 2026").is_empty());
    rig.run_to("15:46");
    let summary = told(&rig, "Day 23 Nov 2026");
    assert!(footer(summary[0]).starts_with("NOT PROVEN FLAT"), "{summary:?}");
    rig.check_replay();
}

#[test]
fn the_summary_counts_wins_losses_setups_and_exits() {
    let (mut rig, key, breakout) = before_entry();
    let later = candle("10:30", ["81265", "81345", "81258", "81335"]);
    for (at, candle, price) in [("10:03", breakout, "430"), ("10:33", later, "400")] {
        rig.run_to(at);
        rig.book(&key, "411.60", "411.20", "412.00");
        rig.close_candle(candle);
        let entry = rig.last_id();
        rig.fill(&entry, 20, "412.00");
        rig.ask(OperatorAction::Exit);
        let exit = rig.last_id();
        rig.fill(&exit, 20, price);
    }
    rig.run_to("15:16");
    let summary = rig.facts.iter().find_map(|fact| match fact {
        Fact::Day(summary) => Some(summary),
        Fact::Decision(_)
        | Fact::Trade(_)
        | Fact::Order(_)
        | Fact::State(_)
        | Fact::Answer { .. }
        | Fact::Limit(_) => None,
    });
    let summary = summary.unwrap();
    assert_eq!((summary.trades, summary.wins, summary.losses), (2, 1, 1));
    assert_eq!(summary.by_setup, [("R1".to_string(), 2)]);
    assert_eq!(summary.by_exit, [(ExitReason::Manual, 2)]);
    assert_eq!(summary.first_candle_entries, 0);
}

#[test]
fn a_panic_at_the_very_end_of_the_day_is_too_late() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.run_to("15:45");
    let (done, text) = rig.ask(OperatorAction::Panic { all: true });
    assert!(!done && text.contains("NOTHING WAS CLOSED"), "{text}");
}

#[test]
fn the_alarms_before_the_end_wake_the_engine_to_the_second() {
    let (mut rig, _) = s1_open();
    for (before, mark) in
        [("15:12:59.5", "15:13"), ("15:13:59.5", "15:14"), ("15:14:59.5", "15:15")]
    {
        rig.run_to(before);
        rig.send(Event::Deadline);
        assert_eq!(rig.engine.next_deadline(), Some(clock(mark)));
    }
}

/// What is watched beside the index.
fn watched(rig: &Rig) -> Vec<&str> {
    let (first, others) = rig.engine.watch_list().split_first().unwrap();
    assert_eq!(*first, index());
    others.iter().map(|key| key.symbol.as_str()).collect()
}

#[test]
fn what_is_watched_first_follows_from_the_close_of_the_day_before() {
    let history = |instrument, close: &str| {
        let close = p(close);
        let (open, high, low) = (close, close, close);
        let previous = DayCandle { date: date().pred_opt().unwrap(), open, high, low, close };
        History { instrument, previous, candles: Vec::new() }
    };
    let mut plan = plan(Market::Sensex);
    plan.histories = vec![history(option("SENSEX26NOV80000CE"), "900"), history(index(), "81234")];
    let mut rig = Rig::new(plan.clone(), Vec::new());
    assert_eq!(watched(&rig), ["SENSEX26NOV81200CE"]);
    rig.run_to("10:00");
    rig.close_candle(candle("09:57", ["81300", "81420", "81300", "81410"]));
    assert_eq!(watched(&rig), ["SENSEX26NOV81400CE"], "the spot has moved");
    plan.histories.truncate(1);
    let rig = Rig::new(plan, Vec::new());
    assert_eq!(watched(&rig), ["SENSEX26NOV80000CE"], "the one instrument that decides");
}

#[test]
fn what_is_held_is_watched_wherever_the_spot_goes() {
    let (mut rig, _) = s1_open();
    assert_eq!(watched(&rig), ["SENSEX26NOV81300CE"]);
    rig.run_to("10:06");
    rig.close_candle(candle("10:03", ["81335", "81420", "81300", "81410"]));
    assert_eq!(watched(&rig), ["SENSEX26NOV81300CE", "SENSEX26NOV81400CE"]);
    let other = option("SENSEX26NOV80000CE");
    rig.broker.foreign(rig.at, &other, Side::Buy, 60, p("900"));
    rig.run_to("10:10");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:10:01");
    let all = ["SENSEX26NOV80000CE", "SENSEX26NOV81300CE", "SENSEX26NOV81400CE"];
    assert_eq!(watched(&rig), all);
    rig.engine.strays[0].open = false;
    rig.engine.watch_held();
    assert_eq!(watched(&rig), all[1..], "it is closed");
}

#[test]
fn a_signal_that_waits_keeps_its_contracts_watched_wherever_the_spot_goes() {
    let (mut rig, key, breakout) = before_entry();
    rig.engine.quotes.remove(&key);
    rig.close_candle(breakout);
    assert!(rig.engine.pending.is_some(), "it waits for a quote");
    rig.engine.watch_around(p("90000"));
    assert!(rig.engine.watch_list().contains(&key), "{:?}", rig.engine.watch_list());
    rig.engine.pending = None;
    rig.engine.watch_around(p("90000"));
    assert!(!rig.engine.watch_list().contains(&key));
}
