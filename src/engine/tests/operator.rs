//! What people ask for.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use crate::engine::event::OperatorAction;
use crate::engine::ledger::{ExitReason, Fact, LimitRecord};
use crate::engine::settings::Limit;
use crate::engine::{Event, Mode, Permission};
use crate::market::Side;

#[test]
fn panic_closes_and_outlives_the_process_and_the_day() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let (done, text) = rig.ask(OperatorAction::Panic { all: false });
    assert!(done && text.contains("20 SENSEX26NOV81300CE held"), "{text}");
    assert!(rig.sent_text()[2].starts_with("modify LIMIT"));
    rig.ask(OperatorAction::Panic { all: false });
    assert_eq!(rig.sent.len(), 3, "a second panic only tells how far it is");
    rig.restart();
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411.20");
    rig.run_to("10:10:30");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Panic));
    assert!(rig.headlines().iter().any(|line| line.starts_with("PANIC: flat")));
    assert_eq!(rig.engine.permission().permission, Permission::Halted);
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: false });
    assert!(!done && text.contains("PANIC"), "{text}");
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done, "{text}");
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    rig.check_replay();
}

#[test]
fn a_panic_of_yesterday_holds_today() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.ask(OperatorAction::Disable);
    // Nothing answers any more: the panic does not come to its end.
    rig.answers.dead = true;
    rig.ask(OperatorAction::Panic { all: true });
    rig.at += TimeDelta::hours(24);
    rig.step(Event::NewDate(rig.engine.carried()));
    // The process starts twice before the day is prepared.
    rig.answers.dead = false;
    rig.restart();
    rig.restart();
    let mut tomorrow = plan(Market::Sensex);
    tomorrow.date = date().succ_opt().unwrap();
    rig.send(Event::Day(Box::new(tomorrow)));
    let state = rig.engine.permission();
    assert_eq!((state.reason.as_str(), state.permission), ("PANIC", Permission::Halted));
    let holds = rig.engine.carried().holds;
    let reasons: Vec<&str> = holds.iter().map(|hold| hold.reason.as_str()).collect();
    assert_eq!(reasons, ["PANIC", "OPERATOR"]);
    // It stops entries; what it would have closed is nobody's any more.
    rig.broker.foreign(rig.at, &option("SENSEX26NOV80000CE"), Side::Buy, 60, p("900"));
    rig.run_until(rig.at + TimeDelta::minutes(5));
    assert!(rig.sent.is_empty(), "{:?}", rig.sent_text());
    rig.check_replay();
}

#[test]
fn panic_over_all_closes_foreign_positions_too() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let (long, short) = (option("SENSEX26NOV80000CE"), option("NIFTY26DEC25000PE"));
    rig.run_to("10:00");
    rig.spot("81335");
    rig.broker.foreign(rig.at, &long, Side::Buy, 60, p("900"));
    rig.run_to("10:05");
    assert!(rig.sent.is_empty(), "left alone without a panic");
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05:01");
    assert_eq!(rig.sent_text().len(), 1);
    let exit = rig.last_id();
    rig.fill(&exit, 60, "899");
    rig.run_to("10:05:30");
    assert_eq!((rig.broker.held(&long), rig.broker.held(&short)), (0, 0));
    assert!(rig.headlines().iter().any(|line| line.starts_with("PANIC: flat")));
    rig.check_replay();
}

#[test]
fn exit_by_hand_closes_and_trading_goes_on() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let (done, _) = rig.ask(OperatorAction::Exit);
    assert!(done);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411.20");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    let (done, text) = rig.ask(OperatorAction::Exit);
    assert!(!done, "{text}");
}

#[test]
fn limits_tighten_now_and_loosen_tomorrow() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let check = |rig: &mut Rig, limit, value, at_once: bool| {
        let (done, text) = rig.ask(OperatorAction::Set { limit, value });
        assert!(done, "{text}");
        let record = rig.facts.iter().rev().find_map(|fact| match fact {
            Fact::Limit(record) => Some(record.clone()),
            Fact::Decision(_)
            | Fact::Trade(_)
            | Fact::Order(_)
            | Fact::State(_)
            | Fact::Answer { .. }
            | Fact::Day(_) => None,
        });
        assert_eq!(record.unwrap().at_once, at_once, "{text}");
    };
    check(&mut rig, Limit::DailyLoss, 200_000, true);
    assert_eq!(rig.engine.figures().daily_loss_limit, m("2000"));
    check(&mut rig, Limit::DailyLoss, 400_000, false);
    assert_eq!(rig.engine.figures().daily_loss_limit, m("2000"));
    check(&mut rig, Limit::Trades, 1, true);
    for (limit, value) in [(Limit::Lots, 0), (Limit::Lots, 2), (Limit::DailyLoss, 500_001)] {
        let (done, text) = rig.ask(OperatorAction::Set { limit, value });
        assert!(!done, "{text}");
    }
}

#[test]
fn limits_set_on_earlier_days_hold_unless_the_configuration_is_tighter() {
    let check = |limit, value, expected: (u32, u32, &str)| {
        let mut plan = plan(Market::Sensex);
        let date = plan.date.pred_opt().unwrap();
        let actor = "test:1".to_string();
        plan.limits = vec![LimitRecord { limit, value, date, at_once: false, actor }];
        let rig = Rig::new(plan, Vec::new());
        let limits = &rig.engine.control.limits;
        assert_eq!((limits.lots, limits.trades, limits.daily_loss), {
            let (lots, trades, loss) = expected;
            (lots, trades, m(loss))
        });
    };
    check(Limit::DailyLoss, 400_000, (1, 3, "4000"));
    check(Limit::DailyLoss, 900_000, (1, 3, "5000"));
    check(Limit::Trades, 2, (1, 2, "5000"));
    check(Limit::Lots, 50, (1, 3, "5000"));
}

#[test]
fn live_trading_waits_for_the_days_word() {
    let mut plan = plan(Market::Sensex);
    plan.settings.mode = Mode::Live;
    plan.settings.risk.require_arm = true;
    let mut rig = Rig::new(plan.clone(), Vec::new());
    assert_eq!(rig.engine.permission().reason, "ARM");
    rig.ask(OperatorAction::Arm);
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    rig.ask(OperatorAction::Disable);
    assert_eq!(rig.engine.permission().reason, "OPERATOR");
    // The same day told again changes nothing.
    rig.send(Event::Day(Box::new(plan)));
    assert_eq!(rig.engine.permission().reason, "OPERATOR");
    rig.ask(OperatorAction::Enable { confirmed: false });
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    rig.check_replay();
}
