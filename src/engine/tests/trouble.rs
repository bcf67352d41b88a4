//! Lost answers, refusals, foreign hands, dark feeds.

use std::collections::VecDeque;

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use crate::engine::event::{FeedState, OperatorAction, Refusal};
use crate::engine::ledger::{Direction, ExitReason};
use crate::engine::{Command, Event, Permission};
use crate::market::{InstrumentKey, Side};

/// A rig one step before the candle of S1 closes.
pub(super) fn before_entry() -> (Rig, InstrumentKey, crate::market::Candle) {
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let later = candle("10:30", ["81265", "81345", "81258", "81335"]);
    let of = |candle| signal(&index(), Direction::Long, candle, "81258", ("81550", "81900"));
    let mut rig = Rig::new(plan(Market::Sensex), vec![of(breakout), of(later)]);
    let key = option("SENSEX26NOV81300CE");
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&key, "411.60", "411.20", "412.00");
    (rig, key, breakout)
}

/// S1's entry left and never arrived, and nobody answers for it.
pub(super) fn entry_that_never_arrived() -> (Rig, InstrumentKey) {
    let (mut rig, key, breakout) = before_entry();
    rig.answers.dead = true;
    rig.close_candle(breakout);
    rig.answers.dead = false;
    (rig, key)
}

fn submits(rig: &Rig) -> usize {
    rig.sent_text().iter().filter(|text| text.contains("BUY") || text.contains("SELL")).count()
}

#[test]
fn an_entry_whose_answer_is_lost_is_found_by_its_tag() {
    let (mut rig, key, breakout) = before_entry();
    rig.answers.deaf = true;
    rig.answers.hints = false;
    rig.close_candle(breakout);
    assert_eq!(rig.broker.working(&key, Side::Buy), 20);
    rig.broker.fill(rig.at, &rig.last_id(), 20, p("412"));
    rig.run_to("10:03:03");
    assert_eq!(submits(&rig), 1, "nothing is sent again while nobody knows");
    rig.answers.deaf = false;
    rig.run_to("10:03:09");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05", "SELL 20 SL 288.40 259.55"]);
    rig.check_replay();
}

#[test]
fn an_entry_that_never_arrived_is_not_sent_again_and_blocks_the_next() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("10:32:59");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.run_to("10:33");
    rig.close_candle(candle("10:30", ["81265", "81345", "81258", "81335"]));
    assert_eq!((submits(&rig), rig.last_decision().reason.as_str()), (1, "ENTRY_UNKNOWN"));
    let (done, _) = rig.ask(OperatorAction::Enable { confirmed: false });
    assert!(!done);
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done, "{text}");
    assert!(rig.engine.open_position().is_none());
    rig.check_replay();
}

#[test]
fn a_given_up_entry_that_fills_late_is_closed_at_once() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("10:04");
    let (done, _) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done);
    let order = rig
        .sent
        .iter()
        .find_map(|command| match command {
            Command::Submit { order, .. } => Some(order.clone()),
            Command::Modify { .. }
            | Command::Cancel { .. }
            | Command::Fetch(_)
            | Command::Watch(_)
            | Command::Say(_)
            | Command::Record(_) => None,
        })
        .unwrap();
    let id = rig.broker.place(rig.at, &order);
    rig.fill(&id, 20, "412");
    assert_eq!(rig.sent_text()[1..].len(), 1, "{:?}", rig.sent_text());
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411.20");
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Unprotected));
    rig.check_replay();
}

#[test]
fn a_refused_entry_is_not_retried() {
    let (mut rig, _, breakout) = before_entry();
    rig.answers.refuse_submits.push_back(Refusal::Margin);
    rig.close_candle(breakout);
    rig.run_to("10:04");
    assert_eq!(submits(&rig), 1);
    assert_eq!(*rig.told.lock().unwrap(), ["missed R1 LONG"]);
    assert!(!rig.engine.busy());
    rig.check_replay();
}

#[test]
fn an_unfilled_entry_is_cancelled_and_missed() {
    let (mut rig, _, breakout) = before_entry();
    rig.close_candle(breakout);
    rig.run_to("10:03:09");
    assert_eq!(rig.sent.len(), 1);
    rig.run_to("10:03:11");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05", "cancel"]);
    assert_eq!(*rig.told.lock().unwrap(), ["missed R1 LONG"]);
    rig.check_replay();
}

#[test]
fn a_fill_that_wins_against_the_cancel_is_protected() {
    let (mut rig, _, breakout) = before_entry();
    rig.close_candle(breakout);
    rig.run_to("10:03:09.5");
    rig.broker.fill(rig.at, &rig.last_id(), 20, p("412"));
    rig.run_to("10:03:12");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05", "cancel", "SELL 20 SL 288.40 259.55"]);
    assert!(rig.last_trade().resting_stop.is_some());
    rig.check_replay();
}

#[test]
fn a_stop_that_cannot_be_placed_means_leaving() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    rig.answers.refuse_submits.push_back(Refusal::Input);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    rig.run_to("10:03:01");
    assert_eq!(rig.sent_text()[1..], ["SELL 20 SL 288.40 259.55", "SELL 20 LIMIT 409.10"]);
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411.20");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Unprotected));
    rig.check_replay();
}

#[test]
fn a_lost_answer_to_the_stop_never_makes_two_sales() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.answers.hints = false;
    rig.broker.fill(rig.at, &entry, 20, p("412.00"));
    let row = rig.broker.row(&entry).cloned().unwrap();
    rig.answers.deaf = true;
    rig.send(Event::Order(row));
    rig.run_to("10:03:20");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.answers.deaf = false;
    rig.run_to("10:03:40");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20, "the same order, changed");
    assert_eq!(submits(&rig), 2);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411.20");
    rig.run_to("10:04:40");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Unprotected));
    rig.check_replay();
}

#[test]
fn s10_dark_feed_stops_entries_and_blindness_closes() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:05");
    rig.send(Event::Feed(FeedState::Down));
    assert!(rig.engine.next_deadline().unwrap() <= rig.at + TimeDelta::seconds(3));
    rig.run_to("10:05:55");
    assert_eq!(rig.sent.len(), 2, "the stop rests and nothing else is sent");
    rig.run_to("10:06:05");
    assert_eq!(rig.engine.open_position().unwrap().closing, Some(ExitReason::Blind));
    assert!(rig.sent_text()[2].starts_with("modify LIMIT"));
    rig.check_replay();
}

#[test]
fn s10_without_a_session_the_stop_stays_untouched() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.send(Event::Session { alive: false });
    rig.spot("81200");
    rig.run_to("10:10");
    assert_eq!(rig.sent.len(), 2, "nothing can be sent");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.send(Event::Session { alive: true });
    assert_eq!(rig.sent_text()[2..].len(), 1, "the stop was due all along");
    rig.check_replay();
}

/// S1 at its stop, with a session that is dead.
fn locked_out() -> (Rig, InstrumentKey) {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.send(Event::Session { alive: false });
    rig.spot("81200");
    rig.run_to("10:10");
    (rig, key)
}

#[test]
fn what_was_closed_by_hand_without_a_session_is_not_sold_again_after_the_login() {
    let (mut rig, key) = locked_out();
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("300"));
    rig.send(Event::Session { alive: true });
    rig.run_to("10:11");
    assert_eq!(rig.sent_text()[2..], ["cancel"], "the stop is taken back and never a sale");
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    rig.check_replay();
}

#[test]
fn what_was_closed_by_hand_while_the_process_was_dead_is_not_sold_again() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.die();
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("300"));
    let asked = rig.step(Event::Restarted);
    rig.spot("81200");
    assert_eq!(rig.sent.len(), 2, "the stop was due, but nothing is compared yet");
    let mut answers = VecDeque::new();
    for (id, command) in asked {
        rig.answer(id, command, &mut answers);
    }
    answers.into_iter().for_each(|answer| rig.send(answer));
    rig.run_to("10:06");
    assert_eq!(rig.sent_text()[2..], ["cancel"]);
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    rig.check_replay();
}

#[test]
fn closing_waits_fifteen_seconds_for_a_comparison_that_does_not_come() {
    let (mut rig, _) = locked_out();
    let login = rig.at;
    let is_order = |(_, command): &(_, Command)| command.is_order();
    assert!(!rig.step(Event::Session { alive: true }).iter().any(is_order));
    let closed = loop {
        rig.at = rig.engine.next_deadline().unwrap();
        if rig.step(Event::Deadline).iter().any(is_order) {
            break rig.at;
        }
    };
    assert_eq!(closed, login + TimeDelta::seconds(15));
}

#[test]
fn s10_no_signal_on_an_unsound_candle_or_the_next() {
    let (mut rig, _, breakout) = before_entry();
    let before = candle("09:57", ["81265"; 4]);
    rig.send(Event::Candle { instrument: index(), candle: before, sound: false });
    rig.close_candle(breakout);
    assert_eq!(rig.last_decision().reason, "UNSOUND_CANDLE");
    assert!(rig.sent.is_empty());
}

#[test]
fn a_position_that_vanishes_is_a_mismatch() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    // Gone at the broker, and no order tells why.
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("420"));
    rig.broker.rows.retain(|known| known.order_id != row.order_id);
    rig.run_to("10:10:09");
    assert!(rig.engine.open_position().is_some(), "one look proves nothing");
    rig.run_to("10:11");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    assert_eq!(rig.broker.working(&key, Side::Sell), 0, "no stop is left to sell short");
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    rig.check_replay();
}

#[test]
fn somebody_elses_units_of_the_same_contract_are_left_alone() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("420"));
    rig.run_to("10:11");
    assert_eq!(rig.engine.permission().reason, "SYMBOL_CONTAMINATED");
    rig.spot("81200");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "400");
    rig.run_to("10:12");
    assert_eq!(rig.broker.held(&key), 20);
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::StopLoss));
    assert!(!rig.engine.busy());
    rig.check_replay();
}

#[test]
fn a_stop_cancelled_by_hand_closes_what_is_held() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let stop = rig.last_id();
    rig.broker.cancel(rig.at, &stop);
    let row = rig.broker.row(&stop).cloned().unwrap();
    rig.send(Event::Order(row));
    rig.run_to("10:10:01");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    assert_eq!(rig.engine.open_position().unwrap().closing, Some(ExitReason::Unprotected));
    rig.check_replay();
}

#[test]
fn many_changes_end_in_a_new_order() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.spot("81200");
    let mut price = 400;
    for second in 0..110 {
        rig.run_until(clock("10:10") + TimeDelta::seconds(second));
        price -= 1;
        let (bid, ask) = (price.to_string(), (price + 1).to_string());
        rig.book(&key, &bid, &bid, &ask);
        assert!(rig.broker.working(&key, Side::Sell) <= 20);
    }
    assert_eq!(submits(&rig), 3, "{:?}", rig.sent_text());
    assert!(rig.headlines().iter().any(|line| line.starts_with("NOT FLAT after 30 s")));
    let exit = rig.last_id();
    rig.fill(&exit, 20, "200");
    assert!(!rig.engine.busy());
    assert_eq!(rig.engine.permission().permission, Permission::Active);
    rig.check_replay();
}

#[test]
fn a_share_sold_short_is_bought_back_by_the_same_order() {
    let mut plan = plan(Market::Sensex);
    let share = InstrumentKey::new(crate::market::Exchange::Nse, "RELIANCE");
    plan.signal.key = share.clone();
    plan.signal.kind = crate::market::InstrumentKind::Equity;
    plan.signal.tick = p("0.10");
    plan.signal.lot = 1;
    plan.contracts = vec![plan.signal.clone()];
    plan.settings.risk.max_premium = crate::market::Money::from_rupees(150_000);
    let down = candle("10:00", ["1400", "1401", "1394", "1395"]);
    let mut short = signal(&share, Direction::Short, down, "1405", ("1375", "1360"));
    short.vehicle = crate::engine::strategy::Vehicle::Itself;
    let mut rig = Rig::new(plan, vec![short]);
    rig.run_to("10:03");
    rig.book(&share, "1395", "1394.90", "1395.10");
    rig.close_candle(down);
    assert_eq!(rig.sent_text(), ["SELL 107 LIMIT 1387.90"]);
    let entry = rig.last_id();
    rig.fill(&entry, 107, "1394.90");
    assert_eq!(rig.sent_text()[1..], ["BUY 107 SL 1409.90 1431.00"]);
    assert!(rig.last_trade().resting_stop.is_some());
    rig.run_to("10:10");
    rig.book(&share, "1374.90", "1374.80", "1375.00");
    assert_eq!(rig.last_trade().stop, p("1395"), "at the first target the stop moves to cost");
    rig.book(&share, "1359.90", "1359.80", "1360.00");
    assert_eq!(rig.sent_text()[2..], ["modify LIMIT 1366.80"]);
    let exit = rig.last_id();
    rig.fill(&exit, 107, "1360.00");
    rig.run_to("10:11");
    let trade = rig.last_trade();
    assert_eq!(trade.exit_reason, Some(ExitReason::Target));
    assert_eq!(trade.gross, p("34.90") * 107);
    assert_eq!(rig.broker.held(&share), 0);
    rig.check_replay();
}

#[test]
fn a_short_out_of_a_race_is_told_once_and_the_trade_ends_when_it_is_undone() {
    let (mut rig, key) = s1_open();
    // The user sells in the moment in which the resting stop fills.
    rig.answers.hints = false;
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("280"));
    rig.broker.fill(rig.at, &rig.last_id(), 20, p("279"));
    rig.run_until(rig.at + TimeDelta::minutes(2));
    assert_eq!(rig.broker.held(&key), -20);
    let told = |rig: &Rig| {
        rig.headlines().iter().filter(|line| line.contains("a short that must not be")).count()
    };
    assert_eq!(told(&rig), 1);
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    assert!(rig.engine.open_position().is_some(), "nothing is closed before it is flat");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("281"));
    rig.run_until(rig.at + TimeDelta::minutes(2));
    assert!(rig.engine.open_position().is_none());
    assert_eq!(told(&rig), 1);
    rig.check_replay();
}

#[test]
fn a_short_that_the_order_book_explains_is_told_by_the_first_read() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.answers.hints = false;
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("280"));
    rig.broker.fill(rig.at, &rig.last_id(), 20, p("279"));
    let fetch = loop {
        rig.at = rig.engine.next_deadline().unwrap();
        let mut out = rig.step(Event::Deadline);
        out.retain(|(_, command)| matches!(command, Command::Fetch(_)));
        if let Some(fetch) = out.pop() {
            break fetch;
        }
    };
    let mut answers = VecDeque::new();
    rig.answer(fetch.0, fetch.1, &mut answers);
    rig.step(answers.pop_front().unwrap());
    let told = rig.headlines();
    assert!(told.iter().any(|line| line.contains("a short that must not be")), "{told:?}");
}
