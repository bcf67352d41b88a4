//! What the broker shows against what we know, finding by finding, and what
//! people are told when a hand is needed.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use super::trouble::{before_entry, entry_that_never_arrived};
use crate::engine::event::{OperatorAction, Refusal};
use crate::engine::ledger::ExitReason;
use crate::engine::notice::Severity;
use crate::engine::{Command, Event, Notice};
use crate::market::{InstrumentKey, OrderChange, OrderId, OrderRequest, OrderStatus, Side};

/// The orders that were placed so far.
pub(super) fn placed(rig: &Rig) -> Vec<OrderRequest> {
    let order = |command: &Command| match command {
        Command::Submit { order, .. } => Some(order.clone()),
        Command::Modify { .. }
        | Command::Cancel { .. }
        | Command::Fetch(_)
        | Command::Watch(_)
        | Command::Say(_)
        | Command::Record(_) => None,
    };
    rig.sent.iter().filter_map(order).collect()
}

pub(super) fn told<'a>(rig: &'a Rig, start: &str) -> Vec<&'a Notice> {
    rig.said.iter().filter(|notice| notice.headline.starts_with(start)).collect()
}

pub(super) fn footer(notice: &Notice) -> &str {
    notice.footer.as_deref().unwrap_or_default()
}

fn pending(text: &str) -> OrderStatus {
    OrderStatus::Pending(text.into())
}

/// An order of somebody else that works and has filled nothing.
fn foreign_at_work(rig: &mut Rig, key: &InstrumentKey) -> crate::market::BrokerOrder {
    let mut row = rig.broker.row(&rig.last_id()).cloned().unwrap();
    row.order_id = crate::market::OrderId("9911230077".into());
    row.tag = None;
    row.instrument = key.clone();
    row.side = Side::Sell;
    row.status = OrderStatus::Open;
    rig.broker.rows.push(row.clone());
    row
}

#[test]
fn m4_an_entry_that_turns_up_three_hours_late_is_protected_and_not_repeated() {
    let (mut rig, key) = entry_that_never_arrived();
    rig.run_to("13:10");
    let order = placed(&rig)[0].clone();
    assert_eq!(placed(&rig).len(), 1, "three hours of reads, and never sent again");
    let id = rig.broker.place(rig.at, &order);
    rig.broker.fill(rig.at, &id, 20, p("412"));
    rig.run_to("13:12");
    assert_eq!(rig.sent_text(), ["BUY 20 LIMIT 414.05", "SELL 20 SL 288.40 259.55"]);
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

#[test]
fn an_entry_stuck_on_its_way_is_cried_out_and_never_replaced() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let id = rig.last_id();
    let row = rig.broker.put(rig.at, &id, pending("OPEN PENDING"));
    rig.send(Event::Order(row));
    rig.run_to("10:33");
    rig.close_candle(candle("10:30", ["81265", "81345", "81258", "81335"]));
    assert_eq!(rig.last_decision().reason, "POSITION_OPEN");
    assert_eq!(placed(&rig).len(), 1);
    let alarms = told(&rig, "The entry order of SENSEX26NOV81300CE is stuck in OPEN PENDING");
    assert_eq!(alarms.len(), 1);
    assert_eq!(alarms[0].severity, Severity::Critical);
    rig.broker.put(rig.at, &id, OrderStatus::Open);
    rig.broker.fill(rig.at, &id, 20, p("412"));
    rig.run_to("10:34");
    assert_eq!(rig.sent_text().last().unwrap(), "SELL 20 SL 288.40 259.55");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

#[test]
fn a_stop_stuck_on_its_way_is_changed_and_never_doubled() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    let stop = rig.last_id();
    let row = rig.broker.put(rig.at, &stop, pending("OPEN PENDING"));
    rig.send(Event::Order(row));
    rig.run_to("10:05");
    assert_eq!(placed(&rig).len(), 2, "{:?}", rig.sent_text());
    rig.broker.put(rig.at, &stop, OrderStatus::TriggerPending);
    rig.run_to("10:06");
    assert_eq!((placed(&rig).len(), rig.broker.working(&key, Side::Sell)), (2, 20));
    rig.check_replay();
}

#[test]
fn a_stop_that_triggers_and_does_not_fill_is_followed_down() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.book_ref(&key, "300.00", "220.00", "221.00");
    let stop = rig.last_id();
    let row = rig.broker.put(rig.at, &stop, OrderStatus::Open);
    rig.send(Event::Order(row));
    rig.run_to("10:10:02");
    assert_eq!(rig.sent.len(), 2, "the stop's own limit gets its time");
    rig.run_to("10:10:07");
    assert_eq!(rig.sent_text()[2..], ["modify LIMIT 218.90", "modify 215.60"]);
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.fill(&stop, 20, "218.00");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::CatastropheSl));
    rig.check_replay();
}

#[test]
fn without_bids_one_sale_rests_at_the_floor_and_people_read_what_to_press() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let dry = quote(&key, rig.at, "300.00", None);
    rig.send(Event::Quotes(vec![dry]));
    rig.spot("81200");
    rig.run_to("10:13");
    assert_eq!(rig.sent_text()[2..], ["modify LIMIT 180.10"], "one sale, at the floor");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    let alarms = told(&rig, "NOT FLAT after");
    assert_eq!(alarms.len(), 3, "after 30 s and then each minute");
    let text = footer(alarms[2]);
    for words in ["cancel every open order of SENSEX26NOV81300CE", "(MIS)", "SELL 20", "180.10"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    rig.check_replay();
}

#[test]
fn an_address_that_is_refused_is_told_at_once_with_the_steps_by_hand() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    rig.answers.refuse_submits.extend([Refusal::Permission; 2]);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    rig.run_to("10:03:02");
    let refused = told(&rig, "The broker refused the stop order of SENSEX26NOV81300CE");
    assert_eq!(refused[0].severity, Severity::Critical);
    assert!(footer(refused[0]).contains("Exit: SELL 20"), "{}", footer(refused[0]));
    rig.run_to("10:04");
    assert_eq!(rig.engine.open_position().unwrap().closing, Some(ExitReason::Unprotected));
    assert_eq!(rig.broker.working(&key, Side::Sell), 20, "once the address is allowed again");
    rig.check_replay();
}

#[test]
fn a_storm_of_429_is_waited_out_and_doubles_nothing() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.answers.refuse_modifies.extend([Refusal::RateLimit; 4]);
    rig.spot("81200");
    rig.run_to("10:10:20");
    let tries = rig.sent.len() - 2;
    assert!((5..=7).contains(&tries), "{:?}", rig.sent_text());
    assert_eq!((placed(&rig).len(), rig.broker.working(&key, Side::Sell)), (2, 20));
    rig.check_replay();
}

#[test]
fn m4_somebody_elses_order_in_the_contract_is_told_once_and_left_alone() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let row = foreign_at_work(&mut rig, &key);
    rig.run_to("10:15");
    assert_eq!(told(&rig, "Somebody else's order works in the contract").len(), 1);
    assert_eq!(rig.sent.len(), 2);
    assert_eq!(rig.broker.row(&row.order_id).unwrap().status, OrderStatus::Open);
    rig.check_replay();
}

#[test]
fn a_second_order_with_the_mark_of_an_intent_is_cancelled() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let order = placed(&rig)[0].clone();
    let twin = rig.broker.place(rig.at, &order);
    let row = rig.broker.row(&twin).cloned().unwrap();
    rig.send(Event::Order(row));
    rig.run_to("10:03:05");
    assert_eq!(rig.broker.row(&twin).unwrap().status, OrderStatus::Cancelled);
    assert_eq!(rig.broker.working(&key, Side::Buy), 0, "and so is the first: no entries now");
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    rig.check_replay();
}

#[test]
fn fills_of_orders_that_are_in_no_record_are_a_mismatch_with_the_steps_by_hand() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    rig.run_to("10:00");
    let key = option("SENSEX26NOV81300CE");
    let mut row = rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("400"));
    row.tag = crate::market::Tag::new("P1123I007E1");
    *rig.broker.rows.last_mut().unwrap() = row;
    rig.run_to("10:03");
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    let alarms = told(&rig, "Orders with the bot's mark that are not in its records hold 20");
    assert_eq!(alarms.len(), 1);
    assert!(footer(alarms[0]).contains("Exit: SELL 20"), "{}", footer(alarms[0]));
    assert!(rig.sent.is_empty());
    rig.check_replay();
}

#[test]
fn a_quantity_is_not_changed_once_something_filled() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.ask(OperatorAction::Exit);
    let exit = rig.last_id();
    rig.fill(&exit, 8, "411");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 4, p("411"));
    rig.send(Event::Order(row));
    rig.run_to("10:10:02");
    assert_eq!(rig.sent_text()[3..], ["cancel", "SELL 8 LIMIT 402.95"]);
    assert_eq!(rig.broker.working(&key, Side::Sell), 8);
    let exit = rig.last_id();
    rig.fill(&exit, 8, "411");
    rig.run_to("10:11");
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    rig.check_replay();
}

#[test]
fn a_person_who_sells_their_own_and_ours_leaves_the_trade_closed() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("420"));
    rig.run_to("10:11");
    assert_eq!(rig.engine.permission().reason, "SYMBOL_CONTAMINATED");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 40, p("425"));
    rig.send(Event::Order(row));
    rig.run_to("10:11:02");
    assert_eq!(rig.broker.working(&key, Side::Sell), 0, "no stop is left to sell short");
    rig.run_to("10:12");
    assert!(!rig.engine.busy(), "{:?}", rig.headlines());
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Manual));
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    rig.check_replay();
}

#[test]
fn a_person_who_sells_only_their_own_leaves_ours_alone() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("420"));
    rig.run_to("10:11");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("425"));
    rig.send(Event::Order(row));
    rig.run_to("10:12");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20, "the stop stays");
    rig.spot("81200");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "400");
    rig.run_to("10:13");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::StopLoss));
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    assert!(!rig.engine.busy());
    rig.check_replay();
}

#[test]
fn an_exit_that_was_given_up_and_turns_up_is_cancelled() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let stop = rig.last_id();
    rig.broker.cancel(rig.at, &stop);
    let row = rig.broker.row(&stop).cloned().unwrap();
    rig.answers.dead = true;
    rig.send(Event::Order(row));
    rig.run_to("10:10:02");
    assert_eq!(placed(&rig).len(), 2, "without a position read nothing is sent");
    rig.answers.dead = false;
    rig.answers.lose_submits = 1;
    rig.run_to("10:10:20");
    assert_eq!(placed(&rig).len(), 4, "{:?}", rig.sent_text());
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    assert_eq!(told(&rig, "The closing order of SENSEX26NOV81300CE is in no order book").len(), 1);
    let lost = placed(&rig)[2].clone();
    let late = rig.broker.place(rig.at, &lost);
    rig.run_to("10:10:40");
    assert_eq!(rig.broker.row(&late).unwrap().status, OrderStatus::Cancelled);
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

/// Somebody holds 2,500 of a contract whose freeze quantity is 1,000.
fn panic_over_more_than_one_order_may_carry() -> (Rig, InstrumentKey) {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = option("SENSEX26NOV80000CE");
    rig.run_to("10:00");
    rig.book(&key, "900", "899", "901");
    rig.broker.foreign(rig.at, &key, Side::Buy, 2_500, p("900"));
    rig.run_to("10:05");
    rig.ask(OperatorAction::Panic { all: true });
    (rig, key)
}

#[test]
fn large_positions_are_closed_in_slices_one_at_a_time() {
    let (mut rig, key) = panic_over_more_than_one_order_may_carry();
    rig.run_to("10:05:01");
    for slice in [1_000, 1_000, 500] {
        assert_eq!(rig.broker.working(&key, Side::Sell), slice);
        let exit = rig.last_id();
        rig.fill(&exit, slice, "895");
        let until = rig.at + TimeDelta::seconds(2);
        rig.run_until(until);
    }
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    rig.check_replay();
}

/// Refuses every price beyond the circuit limit, as the broker does.
#[test]
fn near_a_circuit_limit_the_price_on_offer_is_taken() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    // The lower circuit is at 400.00, and somebody bids a little above it.
    rig.book(&key, "400.10", "400.05", "400.20");
    rig.answers.refuse_modifies.extend([Refusal::Input; 2]);
    rig.spot("81200");
    let prices = &rig.sent_text()[2..];
    assert_eq!(prices, ["modify LIMIT 398.00", "modify LIMIT 392.00", "modify LIMIT 400.05"]);
    rig.check_replay();
}

#[test]
fn an_exit_that_was_taken_at_the_price_on_offer_goes_on_down_the_ladder() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.book(&key, "400", "399", "401");
    rig.answers.refuse_submits.extend([Refusal::Input; 2]);
    let stop = rig.last_id();
    rig.broker.cancel(rig.at, &stop);
    rig.run_to("10:05:40");
    let sent = rig.sent_text();
    let taken = sent.iter().position(|text| text == "SELL 20 LIMIT 399.00").unwrap();
    let next = sent.get(taken + 1).map_or("nothing", String::as_str);
    assert!(next.starts_with("modify "), "{sent:?}");
    rig.check_replay();
}

#[test]
fn a_slice_that_does_not_fill_is_priced_down_and_stays_a_slice() {
    let (mut rig, _) = panic_over_more_than_one_order_may_carry();
    rig.run_to("10:05:04");
    let exit = rig.last_id();
    rig.fill(&exit, 400, "881");
    rig.run_to("10:05:07");
    assert_eq!(rig.broker.row(&exit).unwrap().quantity, 1_000);
    assert_eq!(rig.sent_text(), ["SELL 1000 LIMIT 894.50", "modify 881.00", "modify 854.05"]);
    rig.check_replay();
}

/// Somebody changes an order of ours to 40 units.
fn enlarge(rig: &mut Rig, id: &OrderId) {
    let larger = OrderChange { quantity: Some(40), ..OrderChange::default() };
    assert!(rig.broker.modify(rig.at, id, &larger));
}

#[test]
fn a_stop_that_somebody_enlarged_is_set_back_and_told() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let stop = rig.last_id();
    enlarge(&mut rig, &stop);
    rig.run_to("10:10:40");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    assert_eq!(rig.sent_text()[2..], ["modify qty 20"]);
    assert_eq!(told(&rig, "Somebody changed the bot's order of SENSEX26NOV81300CE").len(), 1);
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    rig.check_replay();
}

#[test]
fn a_stop_that_somebody_enlarged_and_that_filled_whole_halts_nothing() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let stop = rig.last_id();
    enlarge(&mut rig, &stop);
    rig.fill(&stop, 40, "288");
    rig.run_to("10:11");
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    assert_eq!(told(&rig, "The broker shows -20").len(), 1);
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("290"));
    rig.run_to("10:13");
    rig.check_replay();
}

#[test]
fn an_order_whose_changes_are_refused_is_replaced() {
    for refusal in [Refusal::Input, Refusal::Order] {
        let (mut rig, _) = s1_open();
        rig.run_to("10:05");
        rig.answers.refuse_modifies.extend(std::iter::repeat_n(refusal, 5_000));
        rig.spot("81200");
        rig.run_to("10:20");
        let cancels = rig.sent_text().iter().filter(|text| *text == "cancel").count();
        assert!(cancels > 0, "{refusal:?}");
    }
}

#[test]
fn an_account_that_may_not_change_orders_costs_no_changes() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.answers.refuse_modifies.extend([Refusal::Permission; 40]);
    rig.spot("81200");
    rig.run_to("10:15");
    rig.answers.refuse_modifies.clear();
    rig.run_to("10:15:30");
    assert!(!rig.sent_text().contains(&"cancel".to_string()), "the stop becomes the exit");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

#[test]
fn refusals_that_are_not_about_the_price_leave_the_ladder_alone() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:05");
    rig.book(&key, "400", "399", "401");
    rig.answers.refuse_modifies.extend([Refusal::RateLimit; 2]);
    rig.spot("81200");
    rig.run_to("10:05:04");
    let prices: Vec<String> = rig.sent_text()[2..].to_vec();
    assert!(prices.iter().all(|text| text != "modify LIMIT 399.00"), "{prices:?}");
    rig.check_replay();
}

#[test]
fn an_entry_that_somebody_enlarged_is_protected_whole() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let entry = rig.last_id();
    enlarge(&mut rig, &entry);
    rig.fill(&entry, 40, "412");
    rig.run_to("10:03:05");
    assert_eq!(rig.broker.working(&key, Side::Sell), 40);
    assert_eq!(told(&rig, "Somebody changed the bot's order").len(), 1);
    rig.check_replay();
}

#[test]
fn a_row_of_another_contract_side_or_time_is_not_the_order_of_a_mark() {
    type Change = fn(&mut crate::market::BrokerOrder);
    let rows: [(&str, Change); 4] = [
        ("the same", |_| {}),
        ("contract", |row| row.instrument = option("SENSEX26NOV80000CE")),
        ("side", |row| row.side = Side::Sell),
        ("hour", |row| row.placed_at = row.placed_at.map(|at| at - TimeDelta::minutes(30))),
    ];
    for (index, (what, change)) in rows.into_iter().enumerate() {
        let (mut rig, _, breakout) = before_entry();
        rig.answers.dead = true;
        rig.close_candle(breakout);
        let order = placed(&rig)[0].clone();
        let id = rig.broker.place(rig.at, &order);
        let mut row = rig.broker.row(&id).cloned().unwrap();
        change(&mut row);
        assert_eq!(rig.engine.intent_of(&row).is_some(), index == 0, "{what}");
    }
}

#[test]
fn the_brokers_result_of_the_day_is_compared() {
    let close = |rig: &mut Rig| {
        rig.run_to("10:10");
        rig.ask(OperatorAction::Exit);
        let exit = rig.last_id();
        rig.fill(&exit, 20, "411.20");
        rig.run_to("10:11");
    };
    let (mut rig, _) = s1_open();
    close(&mut rig);
    rig.run_to("16:00");
    assert_eq!(told(&rig, "The broker's result of").len(), 0);
    let (mut rig, key) = s1_open();
    close(&mut rig);
    rig.broker.foreign(rig.at, &key, Side::Buy, 20, p("420"));
    rig.broker.foreign(rig.at, &key, Side::Sell, 20, p("410"));
    rig.run_to("16:00");
    let notices = told(&rig, "The broker's result of SENSEX26NOV81300CE differs");
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].fields[0].1, "₹-216.00 before charges");
    rig.check_replay();
}

#[test]
fn when_nothing_works_the_alarms_name_contract_quantity_and_price() {
    let (mut rig, _) = s1_open();
    rig.run_to("15:09");
    rig.answers.dead = true;
    rig.run_to("16:00");
    for start in ["Two minutes to go", "One minute to go", "NOT FLAT at the end"] {
        let alarm = told(&rig, start);
        assert_eq!(alarm.len(), 1, "{start}");
        let text = footer(alarm[0]);
        assert!(text.contains("SENSEX26NOV81300CE (MIS), Exit: SELL 20, LIMIT"), "{text}");
        assert_eq!(text.contains("If it stays open"), start != "Two minutes to go", "{text}");
    }
    let summary = told(&rig, "Day ");
    assert_eq!((summary.len(), summary[0].severity), (1, Severity::Critical));
    let text = footer(summary[0]);
    assert!(text.contains("NOT PROVEN FLAT") && text.contains("Exit: SELL 20"), "{text}");
    rig.check_replay();
}

#[test]
fn a_short_that_must_not_be_is_told_and_left_alone() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    let row = rig.broker.foreign(rig.at, &key, Side::Sell, 40, p("425"));
    rig.send(Event::Order(row));
    rig.run_to("10:12");
    let alarms = told(&rig, "The broker shows -20 SENSEX26NOV81300CE: a short");
    assert_eq!(alarms.len(), 1);
    assert!(footer(alarms[0]).contains("Exit: BUY 20"), "{}", footer(alarms[0]));
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    assert_eq!(rig.sent_text()[2..], ["cancel"], "the stop is taken back, nothing is bought");
    rig.check_replay();
}

#[test]
fn a_panic_over_all_takes_back_foreign_orders_before_it_sells() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = InstrumentKey::new(crate::market::Exchange::Nfo, "NIFTY26DEC25000PE");
    rig.run_to("10:00");
    rig.broker.foreign(rig.at, &key, Side::Buy, 1_950, p("100"));
    // Somebody's own stop for it rests.
    let mut stop = rig.broker.rows.last().unwrap().clone();
    stop.order_id = crate::market::OrderId("9911230099".into());
    (stop.side, stop.status, stop.filled) = (Side::Sell, OrderStatus::TriggerPending, 0);
    rig.broker.rows.push(stop);
    rig.run_to("10:05");
    assert!(rig.sent.is_empty());
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05:03");
    assert_eq!(rig.sent_text()[0], "cancel");
    assert!(rig.sent_text()[1].starts_with("SELL 1755 LIMIT"), "whole lots below the freeze");
    for slice in [1_755, 195] {
        assert_eq!(rig.broker.working(&key, Side::Sell), slice);
        let exit = rig.last_id();
        rig.fill(&exit, slice, "95");
        let until = rig.at + TimeDelta::seconds(2);
        rig.run_until(until);
    }
    assert_eq!((rig.broker.held(&key), rig.broker.lowest), (0, 0));
    assert!(rig.headlines().iter().any(|line| line.starts_with("PANIC: flat")));
    rig.check_replay();
}
