//! When a trade is left: by which price, at which candle, and what is cried
//! out while it takes long.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::truth::told;
use crate::engine::Event;
use crate::engine::event::OperatorAction;
use crate::engine::ledger::{Direction, ExitReason};
use crate::engine::position::Trade;
use crate::market::{BookLevel, Side, Timestamp};

fn trade(rig: &Rig) -> Trade {
    (**rig.engine.trade.as_ref().unwrap()).clone()
}

#[test]
fn a_price_acts_when_ticks_do_and_it_is_not_older_than_the_decision() {
    let (mut rig, _) = s1_open();
    let mut trade = trade(&rig);
    let acts = |rig: &mut Rig, trade: &Trade, at: Timestamp| {
        let tick = quote(&index(), at, "81300", None);
        rig.engine.quotes.insert(index(), tick);
        rig.engine.acting_price(trade)
    };
    // Ticks bear whole seconds.
    let decided = trade.decided_at;
    let second_before = decided - TimeDelta::seconds(1);
    assert_eq!(acts(&mut rig, &trade, decided), Some(p("81300")));
    assert_eq!(acts(&mut rig, &trade, second_before), Some(p("81300")));
    assert_eq!(acts(&mut rig, &trade, second_before - TimeDelta::milliseconds(1)), None);
    trade.signal.on_ticks = false;
    assert_eq!(acts(&mut rig, &trade, decided), None);
}

#[test]
fn a_price_far_from_the_mean_needs_the_book_beside_it() {
    let (mut rig, _) = s1_open();
    let trade = trade(&rig);
    let mut check = |price: &str, book: Option<(&str, &str)>, trusted: bool| {
        let mut tick = quote(&index(), clock("10:04"), price, None);
        let level = |price| BookLevel { price: p(price), quantity: 1 };
        (tick.bid, tick.ask) = (book.map(|it| level(it.0)), book.map(|it| level(it.1)));
        tick.reference = p("100");
        rig.engine.quotes.insert(index(), tick);
        assert_eq!(rig.engine.is_trustworthy(&trade, p(price)), trusted, "{price} {book:?}");
    };
    check("110", Some(("99", "60")), true); // near the mean
    check("125", Some(("99", "80")), true); // still near
    check("125.05", Some(("99", "80")), false);
    check("160", Some(("99", "120")), true); // a quarter from the ask
    check("160", Some(("159", "119.95")), false);
    check("60", Some(("60", "100")), true); // the bid counts for a fall
    check("60", Some(("100", "60")), false);
    check("60", None, true); // an index has no book
    rig.engine.quotes.clear();
    assert!(!rig.engine.is_trustworthy(&trade, p("100")));
}

#[test]
fn the_first_target_moves_the_stop_once_and_only_of_what_is_held() {
    let runner = "First target reached";
    let (mut rig, _) = s1_rig();
    rig.spot("81560");
    assert!(told(&rig, runner).is_empty(), "nothing is held yet");
    assert!(!trade(&rig).runner);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    rig.spot("81560");
    rig.spot("81570");
    assert_eq!(told(&rig, runner).len(), 1);
    assert_eq!(trade(&rig).record.stop, p("81335"));
    rig.check_replay();
}

#[test]
fn only_blindness_says_that_prices_are_missing() {
    for reason in [ExitReason::Blind, ExitReason::Manual, ExitReason::StopLoss] {
        let (mut rig, _) = s1_open();
        rig.engine.start_exit(reason);
        rig.send(Event::Deadline);
        let alarms = told(&rig, "No trustworthy price for too long").len();
        assert_eq!(alarms, usize::from(reason == ExitReason::Blind), "{reason:?}");
    }
}

/// S1, decided by candles alone, held; then candles that close at these
/// prices. The reason of the exit, and whether the first target was reached.
fn by_candles(closes: &[&str]) -> (Option<ExitReason>, bool) {
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let mut long = signal(&index(), Direction::Long, breakout, "81258", ("81550", "81900"));
    long.on_ticks = false;
    long.time_stop_candles = Some(4);
    let mut rig = Rig::new(plan(Market::Sensex), vec![long]);
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&option("SENSEX26NOV81300CE"), "411.60", "411.20", "412.00");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    rig.spot("81000");
    assert_eq!(trade(&rig).leg.exit_reason(), None, "ticks do not act");
    let mut start = clock("10:03");
    for close in closes {
        rig.run_until(start + TimeDelta::minutes(3));
        let bar = crate::market::Candle { start, ..candle("10:03", [close; 4]) };
        let elsewhere = option("SENSEX26NOV81300CE");
        let low = crate::market::Candle { start, ..candle("10:03", ["1"; 4]) };
        rig.send(Event::Candle { instrument: elsewhere, candle: low, sound: true });
        rig.send(Event::Candle { instrument: index(), candle: breakout, sound: true });
        rig.close_candle(bar);
        start += TimeDelta::minutes(3);
    }
    let after = trade(&rig);
    assert_eq!(after.record.candles_held, u32::try_from(closes.len()).unwrap());
    rig.check_replay();
    (after.leg.exit_reason(), after.runner)
}

#[test]
fn a_trade_by_candles_is_left_at_their_close() {
    assert_eq!(by_candles(&["81258.05", "81549.95"]), (None, false));
    assert_eq!(by_candles(&["81258"]), (Some(ExitReason::StopLoss), false));
    assert_eq!(by_candles(&["81900"]), (Some(ExitReason::Target), false));
    assert_eq!(by_candles(&["81550"]), (None, true));
    assert_eq!(by_candles(&["81550", "81560", "81335"]), (Some(ExitReason::StopLoss), true));
    assert_eq!(by_candles(&["81258", "81900"]), (Some(ExitReason::StopLoss), false), "the first");
}

#[test]
fn a_trade_that_comes_to_nothing_is_left_after_its_candles_and_a_runner_is_not() {
    assert_eq!(by_candles(&["81300"; 3]), (None, false));
    assert_eq!(by_candles(&["81300"; 4]), (Some(ExitReason::Timeout), false));
    assert_eq!(by_candles(&["81550", "81560", "81560", "81560", "81560"]), (None, true));
}

#[test]
fn a_stop_that_filled_before_it_was_seen_is_not_missed() {
    let (mut rig, _) = s1_rig();
    let entry = rig.last_id();
    rig.answers.hints = false;
    rig.broker.fill(rig.at, &entry, 20, p("412.00"));
    let row = rig.broker.row(&entry).cloned().unwrap();
    rig.answers.deaf = true;
    rig.send(Event::Order(row));
    let stop = rig.last_id();
    rig.broker.fill(rig.at, &stop, 20, p("280.00"));
    let row = rig.broker.row(&stop).cloned().unwrap();
    rig.send(Event::Order(row));
    rig.run_to("10:03:30");
    assert!(told(&rig, "No stop was seen at the exchange").is_empty());
    rig.answers.deaf = false;
    rig.run_to("10:04");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::CatastropheSl));
}

#[test]
fn a_slow_exit_is_cried_out_after_half_a_minute_and_then_each_minute() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    assert_eq!(rig.engine.slow_exit_at(&trade(&rig)), None);
    rig.ask(OperatorAction::Exit);
    let due = |alarms, opened| {
        let mut trade = trade(&rig);
        trade.exit_alarms = alarms;
        trade.leg.opened = opened;
        rig.engine.slow_exit_at(&trade)
    };
    assert_eq!(due(0, 20), Some(clock("10:10:30")));
    assert_eq!(due(2, 20), Some(clock("10:12:30")));
    assert_eq!(due(0, 0), None, "nothing is held");
}

#[test]
fn what_a_panic_over_all_does_not_get_closed_is_cried_out_again_and_again() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let key = option("SENSEX26NOV80000CE");
    rig.run_to("10:00");
    rig.book(&key, "900", "899", "901");
    rig.broker.foreign(rig.at, &key, Side::Buy, 60, p("900"));
    rig.run_to("10:05");
    rig.ask(OperatorAction::Panic { all: true });
    for (at, cries) in
        [("10:05:29.9", 0), ("10:05:32", 1), ("10:06:29.9", 1), ("10:06:32", 2), ("10:07:32", 3)]
    {
        rig.run_to(at);
        assert_eq!(told(&rig, "NOT FLAT after").len(), cries, "{at}");
    }
    let exit = rig.last_id();
    rig.fill(&exit, 60, "890");
    rig.run_to("10:12");
    assert_eq!(told(&rig, "NOT FLAT after").len(), 3, "it is closed");
    rig.check_replay();
}
