//! What people are answered, and what follows from it.

use chrono::TimeDelta;

use super::calendar::sold_but_shown;
use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::trouble::before_entry;
use super::truth::told;
use crate::engine::event::OperatorAction;
use crate::engine::intents::{End, Stage};
use crate::engine::ledger::{ExitReason, Fact, IntentId};
use crate::engine::permission::Hold;
use crate::engine::settings::Limit;
use crate::engine::{Event, Mode, Permission};

const ENABLE: OperatorAction = OperatorAction::Enable { confirmed: false };
const CONFIRM: OperatorAction = OperatorAction::Enable { confirmed: true };

/// The answer has these words, and says that it was done or not.
fn answered(rig: &mut Rig, action: OperatorAction, done: bool, words: &str) {
    let (is_done, text) = rig.ask(action);
    assert_eq!(is_done, done, "{text}");
    assert!(text.contains(words), "{words}: {text}");
}

fn idle() -> Rig {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.run_to("10:00");
    rig
}

/// A day that is over and another date, for which nothing is prepared.
fn unprepared() -> Rig {
    let mut rig = idle();
    rig.at += TimeDelta::hours(24);
    rig.step(Event::NewDate(rig.engine.carried()));
    rig
}

#[test]
fn before_the_day_is_prepared_nothing_is_changed() {
    let mut rig = unprepared();
    answered(&mut rig, CONFIRM, false, "not prepared yet; nothing was changed");
    answered(&mut rig, OperatorAction::Arm, false, "arm after the levels");
    let set = OperatorAction::Set { limit: Limit::Trades, value: 1 };
    answered(&mut rig, set, false, "not prepared yet; nothing was changed");
    answered(&mut rig, OperatorAction::Exit, false, "Nothing is open");
    assert_eq!(rig.engine.permission().reason, "STARTING");
}

#[test]
fn enabling_says_what_still_stands_in_the_way() {
    let mut rig = idle();
    answered(&mut rig, ENABLE, true, "enabled already");
    assert!(told(&rig, "Entries enabled").is_empty());
    answered(&mut rig, OperatorAction::Disable, true, "Entries are disabled.");
    answered(&mut rig, OperatorAction::Disable, true, "disabled already");
    assert_eq!(told(&rig, "Entries disabled").len(), 1);
    answered(&mut rig, ENABLE, true, "Entries are enabled.");
    assert_eq!(told(&rig, "Entries enabled").len(), 1);
    rig.answers.dead = true;
    rig.restart();
    answered(&mut rig, ENABLE, true, "once orders and positions are compared");
    let mut plan = plan(Market::Sensex);
    plan.settings.mode = Mode::Live;
    plan.settings.risk.require_arm = true;
    let mut rig = Rig::new(plan, Vec::new());
    rig.run_to("10:00");
    answered(&mut rig, ENABLE, true, "not armed today");
}

#[test]
fn the_days_word_is_given_once_in_live_trading_and_other_reasons_are_named() {
    answered(&mut idle(), OperatorAction::Arm, false, "Only live mode is armed; this is");
    let mut plan = plan(Market::Sensex);
    plan.settings.mode = Mode::Live;
    plan.settings.risk.require_arm = true;
    for (disabled, words) in
        [(false, "is armed for today."), (true, "Entries still wait: OPERATOR")]
    {
        let mut rig = Rig::new(plan.clone(), Vec::new());
        rig.run_to("10:00");
        if disabled {
            rig.ask(OperatorAction::Disable);
        }
        answered(&mut rig, OperatorAction::Arm, true, words);
        answered(&mut rig, OperatorAction::Arm, true, "armed for today already");
    }
}

#[test]
fn a_grave_reason_is_lifted_by_a_second_word_on_a_fresh_comparison() {
    let second = TimeDelta::seconds(1);
    for (age, done) in [(second * 90, true), (second * 91, false), (-second, true)] {
        let mut rig = idle();
        rig.engine.control.hold(Hold::Mismatch, "engine", rig.at);
        answered(&mut rig, ENABLE, false, "Stopped by MISMATCH. Confirm");
        rig.engine.sync.last_clean = Some(rig.at - age);
        answered(&mut rig, CONFIRM, done, if done { "Entries are enabled." } else { "ask again" });
        assert_eq!(rig.engine.control.has(Hold::Mismatch), !done);
    }
}

#[test]
fn a_grave_reason_stays_while_something_is_held_at_work_or_unproven() {
    let (entry_at_work, _) = s1_rig();
    let (position, _) = s1_open();
    for mut rig in [entry_at_work, position, sold_but_shown("10:10")] {
        rig.engine.control.hold(Hold::Mismatch, "engine", rig.at);
        answered(&mut rig, CONFIRM, false, "First it must be flat");
        assert!(rig.engine.control.has(Hold::Mismatch));
    }
}

#[test]
fn the_losses_of_a_week_and_a_month_are_waived_for_the_day_and_nothing_else_is() {
    for (hold, waived) in [
        (Hold::WeeklyLoss, true),
        (Hold::MonthlyLoss, true),
        (Hold::Mismatch, false),
        (Hold::Contaminated, false),
    ] {
        let mut rig = idle();
        rig.engine.control.hold(hold, "engine", rig.at);
        answered(&mut rig, CONFIRM, true, "Entries are enabled.");
        assert_eq!(rig.engine.control.is_waived(hold), waived, "{hold:?}");
    }
}

#[test]
fn enabling_tells_when_the_days_trades_are_used_up_or_lost() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    rig.ask(OperatorAction::Exit);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "400");
    for (trades, losses, words) in [
        (1, 2, "But today's 1 trades are used up."),
        (2, 1, "But 1 losses in a row end today's entries."),
        (2, 2, "Entries are enabled."),
    ] {
        let mut day = rig.engine.day().unwrap().clone();
        day.settings.risk.max_consecutive_losses = losses;
        rig.engine.plan = Some(std::sync::Arc::new(day));
        rig.engine.control.limits.trades = trades;
        rig.ask(OperatorAction::Disable);
        let (done, text) = rig.ask(ENABLE);
        assert!(done && text.ends_with(words), "{text}");
    }
}

#[test]
fn disabling_tells_what_happens_to_a_position() {
    let (mut rig, _) = s1_rig();
    let (_, text) = rig.ask(OperatorAction::Disable);
    assert_eq!(text, "Entries are disabled.", "nothing has filled");
    let (mut rig, _) = s1_open();
    answered(&mut rig, OperatorAction::Disable, true, "goes on being managed");
}

#[test]
fn an_exit_that_is_asked_for_twice_is_one_exit() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    answered(&mut rig, OperatorAction::Exit, true, "Closing SENSEX26NOV81300CE.");
    let sent = rig.sent.len();
    answered(&mut rig, OperatorAction::Exit, true, "being closed already (MANUAL)");
    assert_eq!(rig.sent.len(), sent);
}

#[test]
fn a_panic_grows_to_all_and_never_shrinks() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    for (asked, all) in [(false, false), (true, true), (true, true), (false, true)] {
        rig.ask(OperatorAction::Panic { all: asked });
        assert_eq!(rig.engine.control.panic.as_ref().unwrap().all, all);
    }
    assert_eq!(told(&rig, "PANIC: closing everything").len(), 1);
}

#[test]
fn a_panic_without_a_session_asks_for_hands() {
    for (alive, words) in [(true, "entries are stopped. 20"), (false, "ACT IN THE KITE APP NOW")] {
        let (mut rig, _) = s1_open();
        rig.run_to("10:10");
        rig.send(Event::Session { alive });
        answered(&mut rig, OperatorAction::Panic { all: false }, true, words);
    }
}

#[test]
fn a_panic_is_measured_by_what_was_held_when_it_began() {
    let mark = |mut rig: Rig| {
        rig.ask(OperatorAction::Panic { all: false });
        rig.engine.control.panic.as_ref().unwrap().mark.as_ref().map(|mark| mark.touch)
    };
    assert_eq!(mark(s1_open().0), Some(p("411.20")), "the best bid");
    assert_eq!(mark(s1_rig().0), None, "nothing has filled");
    assert_eq!(mark(idle()), None);
}

#[test]
fn a_panic_that_comes_too_late_names_what_was_not_proven_flat() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.at += TimeDelta::hours(24);
    rig.step(Event::NewDate(rig.engine.carried()));
    let panic = OperatorAction::Panic { all: false };
    answered(&mut rig, panic, true, &format!("{} was not proven flat", key.symbol));
}

#[test]
fn a_limit_is_answered_with_its_unit_and_since_when_it_holds() {
    let mut plan = plan(Market::Sensex);
    plan.settings.risk.max_lots = 3;
    let mut rig = Rig::new(plan, Vec::new());
    rig.run_to("10:00");
    let mut check = |limit, value, done, words: &str| {
        answered(&mut rig, OperatorAction::Set { limit, value }, done, words);
        let facts = rig.facts.iter().rev();
        let mut limits = facts.filter_map(|fact| match fact {
            Fact::Limit(record) => Some((record.limit, record.value, record.at_once)),
            Fact::Decision(_)
            | Fact::Trade(_)
            | Fact::Order(_)
            | Fact::State(_)
            | Fact::Answer { .. }
            | Fact::Day(_) => None,
        });
        assert_eq!(limits.next().is_some_and(|last| last == (limit, value, true)), done);
    };
    check(Limit::ReEntries, 4, false, "at most 3 re-entries");
    check(Limit::ReEntries, -1, false, "Expected 0 re-entries or more");
    check(Limit::ReEntries, 3, true, "is 3 re-entries from now on (today it was 3 re-entries)");
    check(Limit::ReEntries, 0, true, "is 0 re-entries from now on (today it was 3 re-entries)");
    check(Limit::Trades, 0, false, "Expected 1 trades or more");
    check(Limit::Trades, 4, false, "at most 3 trades");
    check(Limit::Trades, 1, true, "is 1 trades from now on (today it was 3 trades)");
    check(Limit::Lots, 2, true, "is 2 lots from now on (today it was 3 lots)");
    check(Limit::DailyLoss, 200_000, true, "from now on (today it was a daily loss of 5,000");
    assert_eq!(rig.engine.control.limits.re_entries, Some(0));
}

#[test]
fn what_is_shown_follows_the_gravest_reason_and_the_rest_of_the_day() {
    let mut rig = idle();
    for (hold, permission) in [
        (Hold::Operator, Permission::Reducing),
        (Hold::Mismatch, Permission::Reducing),
        (Hold::DailyLoss, Permission::Halted),
        (Hold::Panic, Permission::Halted),
    ] {
        rig.engine.control.hold(hold, "somebody", rig.at);
        rig.send(Event::Deadline);
        let state = rig.engine.permission();
        assert_eq!((state.reason.as_str(), state.permission), (hold.code(), permission));
        assert_eq!((state.actor.as_str(), state.since), ("somebody", rig.at));
    }
    let (mut rig, _) = s1_open();
    rig.engine.control.hold(Hold::Drawdown, "engine", rig.at);
    rig.send(Event::Deadline);
    assert_eq!(rig.engine.permission().permission, Permission::Reducing, "it is not flat yet");
    let (mut rig, _, _) = before_entry();
    rig.engine.control.hold(Hold::Drawdown, "engine", rig.at);
    rig.send(Event::Deadline);
    assert_eq!(rig.engine.permission().permission, Permission::Halted);
}

#[test]
fn each_change_of_what_is_allowed_is_written_down_once() {
    let mut rig = idle();
    rig.ask(OperatorAction::Disable);
    rig.run_to("10:05");
    rig.ask(ENABLE);
    let written = rig.facts.iter().filter_map(|fact| match fact {
        Fact::State(state) => Some(state.reason.as_str()),
        Fact::Decision(_)
        | Fact::Trade(_)
        | Fact::Order(_)
        | Fact::Limit(_)
        | Fact::Answer { .. }
        | Fact::Day(_) => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), ["STARTING", "ENABLED", "OPERATOR", "ENABLED"]);
}

#[test]
fn what_is_open_is_closed_while_a_panic_holds() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    rig.engine.control.hold(Hold::Panic, "engine", rig.at);
    rig.send(Event::Deadline);
    assert_eq!(rig.engine.open_position().unwrap().closing, Some(ExitReason::Panic));
}

#[test]
fn units_that_no_order_covers_are_not_settled() {
    let (mut rig, _) = s1_open();
    assert!(!rig.engine.is_settled(), "its stop works");
    rig.engine.intents.get_mut(&IntentId(2)).unwrap().stage = Stage::Ended(End::Cancelled);
    assert!(!rig.engine.is_settled(), "20 are held");
    rig.engine.trade = None;
    assert!(rig.engine.is_settled());
}
