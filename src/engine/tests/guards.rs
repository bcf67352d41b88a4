//! What keeps entries off and ends a day: freshness, comparison, windows,
//! limits, and the clock.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use super::trouble::before_entry;
use super::truth::{placed, told};
use crate::engine::event::{CommandId, OperatorAction, Snapshot};
use crate::engine::ledger::{Direction, ExitReason};
use crate::engine::settings::{Drawdown, EventWindow, Ppm};
use crate::engine::{Event, Permission};
use crate::market::{InstrumentKey, Side};

#[test]
fn m14_a_clock_that_jumps_stops_entries_and_is_told_once() {
    let (mut rig, _, breakout) = before_entry();
    for _ in 0..3 {
        rig.send(Event::ClockJumped { by_ms: 1_500 });
    }
    rig.close_candle(breakout);
    assert_eq!(rig.last_decision().reason, "CLOCK");
    assert_eq!(told(&rig, "This machine's clock").len(), 1);
    assert!(rig.sent.is_empty());
    rig.check_replay();
}

#[test]
fn m7_an_incomplete_snapshot_only_adds_knowledge() {
    let (mut rig, key) = s1_open();
    rig.run_to("10:10");
    // The stop is gone from the answer, and the positions could not be read.
    let command = CommandId { seq: 1, index: 0 };
    for _ in 0..6 {
        rig.at += TimeDelta::seconds(1);
        let at = rig.at;
        rig.send(Event::Snapshot(Snapshot {
            command,
            taken_at: at,
            complete: false,
            orders: Some(Vec::new()),
            positions: Some(Vec::new()),
            available: None,
        }));
    }
    assert_eq!(rig.sent.len(), 2, "{:?}", rig.sent_text());
    assert!(rig.engine.open_position().is_some());
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.check_replay();
}

#[test]
fn m21_positions_that_trail_a_fill_prove_nothing() {
    let (mut rig, key, breakout) = before_entry();
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    let command = CommandId { seq: 1, index: 0 };
    for _ in 0..8 {
        rig.at += TimeDelta::seconds(1);
        let (at, orders) = (rig.at, rig.broker.rows.clone());
        rig.send(Event::Snapshot(Snapshot {
            command,
            taken_at: at,
            complete: true,
            orders: Some(orders),
            positions: Some(Vec::new()),
            available: None,
        }));
    }
    assert_eq!(rig.engine.open_position().unwrap().quantity, 20);
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    assert!(told(&rig, "20 SENSEX26NOV81300CE are gone").is_empty());
    rig.check_replay();
}

#[test]
fn m5_nothing_is_entered_before_orders_and_positions_were_compared() {
    let (mut rig, _, breakout) = before_entry();
    rig.answers.dead = true;
    rig.restart();
    rig.spot("81335");
    rig.close_candle(breakout);
    assert_eq!(rig.engine.permission().reason, "STARTING");
    assert_eq!(rig.last_decision().reason, "NOT_ACTIVE");
    assert!(rig.sent.is_empty());
    rig.answers.dead = false;
    rig.run_to("10:03:30");
    assert_eq!(rig.engine.permission().reason, "ENABLED");
    rig.check_replay();
}

#[test]
fn m13_one_frozen_instrument_stops_entries_and_no_exit() {
    let (mut rig, _, breakout) = before_entry();
    // The index stands still while its options tick on.
    rig.quotes.remove(&index());
    rig.run_to("10:03:11");
    rig.close_candle(breakout);
    assert_eq!(rig.last_decision().reason, "INDEX_STALE");
    let (mut rig, key) = s1_open();
    rig.quotes.remove(&index());
    rig.run_to("10:03:30");
    rig.ask(OperatorAction::Exit);
    assert_eq!(rig.sent_text().last().unwrap(), "modify LIMIT 409.10");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
}

#[test]
fn m16_entries_end_at_half_of_the_days_messages_and_exits_do_not() {
    let check = |most: u32, reason: &str| {
        let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
        let later = candle("10:30", ["81265", "81345", "81258", "81335"]);
        let of = |candle| {
            let direction = Direction::Long;
            signal(&index(), direction, candle, "81258", ("81550", "81900"))
        };
        let mut plan = plan(Market::Sensex);
        plan.settings.risk.max_order_messages = most;
        let mut rig = Rig::new(plan, vec![of(breakout), of(later)]);
        let key = option("SENSEX26NOV81300CE");
        rig.run_to("10:03");
        rig.spot("81335");
        rig.book(&key, "411.60", "411.20", "412.00");
        rig.close_candle(breakout);
        let entry = rig.last_id();
        rig.fill(&entry, 20, "412.00");
        rig.ask(OperatorAction::Exit);
        let exit = rig.last_id();
        rig.fill(&exit, 20, "415.00");
        rig.run_to("10:33");
        assert_eq!(rig.sent.len(), 3, "an entry, its stop, its exit");
        rig.close_candle(later);
        assert_eq!(rig.last_decision().reason, reason, "{most}");
    };
    check(6, "ORDER_BUDGET");
    check(7, "ORDER_BUDGET");
    check(8, "ENTER");
}

#[test]
fn a_freak_print_moves_no_stop() {
    let mut plan = plan(Market::Sensex);
    let share = InstrumentKey::new(crate::market::Exchange::Nse, "RELIANCE");
    plan.signal.key = share.clone();
    plan.signal.kind = crate::market::InstrumentKind::Equity;
    plan.signal.tick = p("0.10");
    plan.signal.lot = 1;
    plan.contracts = vec![plan.signal.clone()];
    plan.settings.risk.max_premium = crate::market::Money::from_rupees(150_000);
    let up = candle("10:00", ["1390", "1396", "1389", "1395"]);
    let direction = Direction::Long;
    let mut long = signal(&share, direction, up, "1385", ("1415", "1430"));
    long.vehicle = crate::engine::strategy::Vehicle::Itself;
    let mut rig = Rig::new(plan, vec![long]);
    rig.run_to("10:03");
    rig.book(&share, "1395", "1394.90", "1395.10");
    rig.close_candle(up);
    let entry = rig.last_id();
    rig.fill(&entry, placed(&rig)[0].quantity, "1395.10");
    let sent = rig.sent.len();
    let print = |rig: &mut Rig, last: &str, bid: &str, ask: &str| {
        let mut quote = quote(&share, rig.at, last, Some((bid, ask)));
        quote.reference = p("1395");
        rig.send(Event::Quotes(vec![quote]));
    };
    print(&mut rig, "1000", "1394.90", "1395.10");
    print(&mut rig, "1900", "1394.90", "1395.10");
    assert_eq!(rig.sent.len(), sent, "the book stands elsewhere");
    print(&mut rig, "1000", "999.90", "1000.10");
    assert_eq!(rig.sent.len(), sent + 1, "the book confirms it");
    rig.check_replay();
}

#[test]
fn a_listed_window_stops_entries_and_closes_when_asked_to() {
    let window = |from: &str, to: &str, flatten| EventWindow {
        date: date(),
        from: crate::market::time::ist_time(clock(from)),
        to: crate::market::time::ist_time(clock(to)),
        flatten,
    };
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let direction = Direction::Long;
    let long = signal(&index(), direction, breakout, "81258", ("81550", "81900"));
    let play = |windows: Vec<EventWindow>| {
        let mut plan = plan(Market::Sensex);
        plan.settings.risk.events = windows;
        let mut rig = Rig::new(plan, vec![long.clone()]);
        rig.run_to("10:03");
        rig.spot("81335");
        rig.book(&option("SENSEX26NOV81300CE"), "411.60", "411.20", "412.00");
        rig.close_candle(breakout);
        rig
    };
    let rig = play(vec![window("10:00", "10:30", false)]);
    assert_eq!((rig.last_decision().reason.as_str(), rig.sent.len()), ("EVENT_WINDOW", 0));
    for (flatten, closing) in [(true, Some(ExitReason::Event)), (false, None)] {
        let mut rig = play(vec![window("9:40", "10:03", true), window("10:10", "10:30", flatten)]);
        let entry = rig.last_id();
        rig.fill(&entry, 20, "412.00");
        rig.run_to("10:09:59");
        assert_eq!(rig.engine.open_position().unwrap().closing, None);
        rig.run_to("10:10:01");
        assert_eq!(rig.engine.open_position().unwrap().closing, closing);
        rig.check_replay();
    }
}

#[test]
fn a_day_that_gives_back_its_gain_is_over() {
    let (mut rig, key) = s1_open();
    let mut plan = rig.engine.day().unwrap().clone();
    plan.settings.risk.drawdown = Some(Drawdown { from: m("3000"), give_back: Ppm(500_000) });
    let mut signals = Vec::new();
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let direction = Direction::Long;
    signals.push(signal(&index(), direction, breakout, "81258", ("84000", "84900")));
    rig = Rig::new(plan, signals);
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&key, "411.60", "411.20", "412.00");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "412.00");
    rig.run_to("10:10");
    rig.book(&key, "560", "559.00", "560.00");
    rig.book(&key, "615", "614.00", "615.00");
    rig.book(&key, "520", "519.00", "520.00");
    assert_eq!(rig.engine.permission().reason, "ENABLED", "{:?}", rig.engine.figures().net);
    rig.book(&key, "510", "509.00", "510.00");
    assert_eq!(rig.engine.permission().reason, "DAY_DRAWDOWN");
    rig.restart();
    assert_eq!(rig.engine.permission().reason, "DAY_DRAWDOWN");
    let exit = rig.last_id();
    rig.fill(&exit, 20, "508");
    assert_eq!(rig.last_trade().exit_reason, Some(ExitReason::Risk));
    assert_eq!(rig.engine.permission().permission, Permission::Halted);
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(!done, "{text}");
    rig.check_replay();
}

#[test]
fn the_days_highest_net_is_followed_in_hundredths_from_where_the_guard_begins() {
    let (mut rig, key) = s1_open();
    let mut day = rig.engine.day().unwrap().clone();
    day.settings.risk.drawdown = Some(Drawdown { from: m("3000"), give_back: Ppm(500_000) });
    rig.engine.plan = Some(std::sync::Arc::new(day));
    rig.run_to("10:10");
    let mut peak = |last: &str, bid: &str, ask: &str| {
        rig.book(&key, last, bid, ask);
        let revision = rig.engine.revision();
        rig.book(&key, last, bid, ask);
        assert_eq!(rig.engine.revision(), revision, "it is written down once");
        (rig.engine.book.peak, rig.engine.figures().net)
    };
    let (before, net) = peak("550", "549.00", "550.00");
    assert!(net < m("3000") && before == m("0"), "{net}");
    let (high, net) = peak("590", "589.00", "590.00");
    assert_eq!(high.paise() % m("30").paise(), 0);
    assert!(high <= net && net < high + m("30"), "{high} {net}");
    assert_eq!(peak("580", "579.00", "580.00").0, high, "it does not fall");
}

#[test]
fn the_windows_of_the_day_wake_the_engine() {
    let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
    let mut day = rig.engine.day().unwrap().clone();
    let window = |date, from: &str| EventWindow {
        date,
        from: crate::market::time::ist_time(clock(from)),
        to: crate::market::time::ist_time(clock("12:00")),
        flatten: true,
    };
    let tomorrow = date().succ_opt().unwrap();
    day.settings.risk.events = vec![window(date(), "11:00"), window(tomorrow, "10:00")];
    rig.engine.plan = Some(std::sync::Arc::new(day));
    assert_eq!(rig.engine.event_marks(), [clock("11:00")]);
}

#[test]
fn messages_are_weighed_against_the_orders_that_filled() {
    let (mut rig, _) = s1_open();
    let weigh = |rig: &mut Rig, messages| {
        rig.engine.book.order_messages = messages;
        rig.engine.too_many_messages()
    };
    assert_eq!(weigh(&mut rig, 20), None);
    assert_eq!(weigh(&mut rig, 21), Some((21, 20)), "the entry");
    rig.ask(OperatorAction::Exit);
    let exit = rig.last_id();
    rig.fill(&exit, 20, "411");
    assert_eq!(weigh(&mut rig, 40), None);
    assert_eq!(weigh(&mut rig, 41), Some((41, 40)), "the entry and its exit");
}

#[test]
fn messages_that_come_to_nothing_end_the_days_entries() {
    let check = |most: u32, reason: &str| {
        let signals = ["10:00", "10:30"].map(|start| {
            let candle = candle(start, ["81265", "81345", "81258", "81335"]);
            let direction = Direction::Long;
            signal(&index(), direction, candle, "81258", ("81550", "81900"))
        });
        let mut plan = plan(Market::Sensex);
        plan.settings.risk.max_order_to_trade = Some(most);
        let mut rig = Rig::new(plan, signals.to_vec());
        for (start, close) in [("10:00", "10:03"), ("10:30", "10:33")] {
            rig.run_to(close);
            rig.spot("81335");
            rig.book(&option("SENSEX26NOV81300CE"), "411.60", "411.20", "412.00");
            rig.close_candle(candle(start, ["81265", "81345", "81258", "81335"]));
        }
        assert_eq!(rig.last_decision().reason, reason, "{most}");
        rig.check_replay();
    };
    // The first entry and its cancelling are two messages.
    check(1, "ORDER_TO_TRADE");
    check(2, "ENTER");
}

#[test]
fn a_position_carried_over_night_is_told_and_stops_entries() {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10");
    let mut tomorrow = plan(Market::Sensex);
    tomorrow.date = date().succ_opt().unwrap();
    rig.at += TimeDelta::hours(23);
    let carried = rig.engine.carried();
    rig.send(Event::NewDate(carried));
    rig.send(Event::Day(Box::new(tomorrow)));
    assert_eq!(told(&rig, "SENSEX26NOV81300CE is open from an earlier day").len(), 1);
    assert_eq!(rig.engine.permission().reason, "MISMATCH");
    assert_eq!(rig.sent.len(), 2, "the bot does not touch it");
    rig.check_replay();
}
