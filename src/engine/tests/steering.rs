//! Steering what is held: when the one order that reduces is changed, taken
//! back or sent anew, how large, and when it is tried again.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use super::truth::{placed, told};
use crate::engine::event::{OperatorAction, Refusal};
use crate::engine::intents::{End, Intent, Stage};
use crate::engine::ledger::{Direction, ExitReason, Fact, IntentId};
use crate::engine::position::{Aim, Excess, Exit, Leg};
use crate::engine::settings::Ppm;
use crate::engine::{Event, order_terms};
use crate::market::{InstrumentKind, OrderStatus, Price, Product, Quantity, Side, Timestamp};

const ENTRY: IntentId = IntentId(1);
const STOP: IntentId = IntentId(2);

fn ms(milliseconds: i64) -> TimeDelta {
    TimeDelta::milliseconds(milliseconds)
}

fn leg(rig: &mut Rig) -> &mut Leg {
    &mut rig.engine.trade.as_mut().unwrap().leg
}

fn stop(rig: &mut Rig) -> &mut Intent {
    rig.engine.intents.get_mut(&STOP).unwrap()
}

/// S1 with its stop at rest for 20 units, some minutes later.
fn at_rest() -> Rig {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10:05");
    rig
}

fn exit_at(rung: u32, rung_at: Option<Timestamp>) -> Aim {
    Aim::Exit(Exit { reason: ExitReason::Manual, since: clock("10:10"), rung, rung_at })
}

/// What the next moment makes the engine send.
fn sends(rig: &mut Rig) -> Vec<String> {
    let before = rig.sent.len();
    rig.step(Event::Deadline);
    rig.sent_text().split_off(before)
}

#[test]
fn a_stop_that_covers_too_much_is_made_smaller_once_it_can_be_changed() {
    let check = |change: fn(&mut Rig, Timestamp), expected: &[&str]| {
        let mut rig = at_rest();
        leg(&mut rig).external = 8;
        let at = rig.at;
        change(&mut rig, at);
        assert_eq!(sends(&mut rig), expected);
    };
    check(|_, _| {}, &["modify qty 12"]);
    check(|rig, _| leg(rig).external = 0, &[]);
    check(|rig, at| stop(rig).doubt = Some(at - ms(4_999)), &[]);
    check(|rig, at| stop(rig).doubt = Some(at - ms(5_000)), &["modify qty 12"]);
    check(|rig, at| stop(rig).stage = Stage::Unsure { since: at, refused: false }, &[]);
    check(|rig, _| stop(rig).seen.as_mut().unwrap().status = OrderStatus::Pending("X".into()), &[]);
    check(|rig, at| leg(rig).not_before = Some(at + ms(1)), &[]);
    check(|rig, at| leg(rig).not_before = Some(at), &["modify qty 12"]);
    check(|rig, _| stop(rig).changes = 19, &["modify qty 12"]);
    check(|rig, _| stop(rig).changes = 20, &["cancel"]);
    check(|rig, _| leg(rig).external = 20, &["cancel"]);
    let asked_already = |rig: &mut Rig, _| {
        sends(rig);
    };
    check(asked_already, &[]);
}

#[test]
fn an_exit_climbs_when_its_rung_is_over_and_shrinks_at_once() {
    let check = |change: fn(&mut Rig, Timestamp), expected: &[&str]| {
        let mut rig = at_rest();
        let at = rig.at;
        leg(&mut rig).aim = exit_at(1, Some(at - ms(3_000)));
        change(&mut rig, at);
        assert_eq!(sends(&mut rig), expected);
    };
    check(|_, _| {}, &["modify LIMIT 402.95"]);
    check(|rig, at| leg(rig).aim = exit_at(1, Some(at - ms(2_999))), &[]);
    check(|rig, at| leg(rig).aim = exit_at(4, Some(at - ms(3_000))), &["modify LIMIT 328.95"]);
    check(|rig, at| leg(rig).aim = exit_at(5, Some(at - ms(4_999))), &[]);
    check(|rig, at| leg(rig).aim = exit_at(5, Some(at - ms(5_000))), &["modify LIMIT 328.95"]);
    check(|rig, _| leg(rig).aim = exit_at(0, None), &["modify LIMIT 409.10"]);
    check(|rig, at| leg(rig).not_before = Some(at + ms(1)), &[]);
    let shrunk = |rig: &mut Rig, at: Timestamp| {
        leg(rig).external = 8;
        leg(rig).not_before = Some(at + ms(1));
        leg(rig).aim = exit_at(1, Some(at));
    };
    check(shrunk, &["modify LIMIT qty 12 402.95"]);
    check(|rig, _| stop(rig).changes = 19, &["modify LIMIT 402.95"]);
    check(|rig, _| stop(rig).changes = 20, &["cancel"]);
    let partly = |rig: &mut Rig, _| {
        stop(rig).filled = 5;
        stop(rig).intended = 20;
    };
    check(partly, &["modify LIMIT 402.95"]);
    let partly_and_fewer = |rig: &mut Rig, _| {
        stop(rig).filled = 5;
        leg(rig).external = 8;
    };
    check(partly_and_fewer, &["cancel"]);
}

#[test]
fn a_rung_at_the_same_price_is_climbed_without_a_message() {
    let mut rig = at_rest();
    let at = rig.at;
    leg(&mut rig).aim = exit_at(1, Some(at - ms(3_000)));
    let asked = &mut stop(&mut rig).asked;
    (asked.order_type, asked.price) = (crate::market::OrderType::Limit, p("402.95"));
    assert_eq!(sends(&mut rig), [""; 0]);
    assert_eq!(leg(&mut rig).aim, exit_at(2, Some(at)));
}

#[test]
fn another_closing_order_needs_a_read_of_the_position_after_the_last_one_ended() {
    let check = |shown: Option<(Quantity, i64)>, proof: Option<i64>, expected: &[&str]| {
        let mut rig = at_rest();
        let at = rig.at;
        stop(&mut rig).end(End::Cancelled, at);
        let leg = leg(&mut rig);
        leg.shown = shown.map(|(units, ago)| (units, at - ms(ago)));
        leg.proof_from = proof.map(|ago| at - ms(ago));
        assert_eq!(sends(&mut rig), expected, "{shown:?} {proof:?}");
    };
    check(Some((20, 500)), Some(500), &["SELL 20 LIMIT 409.10"]);
    check(Some((20, 501)), Some(500), &[]);
    check(Some((20, 900)), None, &["SELL 20 LIMIT 409.10"]);
    check(Some((12, 500)), Some(500), &["SELL 12 LIMIT 409.10"]);
    check(Some((30, 500)), Some(500), &["SELL 20 LIMIT 409.10"]);
    check(Some((0, 500)), Some(500), &[]);
    check(Some((-20, 500)), Some(500), &[]);
    check(None, None, &[]);
    let mut rig = at_rest();
    let at = rig.at;
    stop(&mut rig).end(End::Cancelled, at);
    let leg = leg(&mut rig);
    (leg.shown, leg.not_before) = (Some((20, at)), Some(at + ms(1)));
    assert_eq!(sends(&mut rig), [""; 0], "it waits after a refusal");
    rig.at += ms(1);
    assert_eq!(sends(&mut rig), ["SELL 20 LIMIT 409.10"]);
}

#[test]
fn one_order_carries_whole_lots_up_to_the_freeze_quantity_of_options() {
    let check = |freeze, units: Quantity, carries: Quantity| {
        let mut plan = plan(Market::Sensex);
        plan.settings.risk.freeze_quantity = freeze;
        let mut rig = Rig::new(plan, Vec::new());
        rig.run_to("10:00");
        let key = option("SENSEX26NOV80000CE");
        rig.book(&key, "900", "899", "901");
        rig.broker.foreign(rig.at, &key, Side::Buy, units, p("900"));
        rig.run_to("10:05");
        rig.ask(OperatorAction::Panic { all: true });
        rig.run_to("10:05:01");
        assert_eq!(placed(&rig)[0].quantity, carries, "{freeze} {units}");
    };
    check(1_000, 1_000, 1_000);
    check(1_000, 1_020, 1_000);
    check(1_010, 1_020, 1_000);
    check(1_010, 1_010, 1_010);
    check(0, 1_020, 1_020);
}

#[test]
fn a_future_or_a_share_has_no_freeze_quantity() {
    for (kind, expected) in [
        (InstrumentKind::Call, "SELL 1000 LIMIT 409.10"),
        (InstrumentKind::Future, "SELL 1500 LIMIT 409.10"),
    ] {
        let mut rig = at_rest();
        let at = rig.at;
        stop(&mut rig).end(End::Cancelled, at);
        let leg = leg(&mut rig);
        (leg.kind, leg.opened, leg.shown) = (kind, 1_500, Some((1_500, at)));
        assert_eq!(sends(&mut rig), [expected]);
    }
}

#[test]
fn an_order_that_carries_too_much_is_watched_from_when_that_began() {
    let mut rig = at_rest();
    sends(&mut rig);
    stop(&mut rig).seen.as_mut().unwrap().terms.quantity = 28;
    let (at, mut revisions) = (rig.at, Vec::new());
    for _ in 0..2 {
        let before = rig.engine.revision();
        assert_eq!(sends(&mut rig), [""; 0]);
        revisions.push(rig.engine.revision() > before);
        let excess = Excess { order: STOP, tell_at: at + ms(30_000) };
        assert_eq!(leg(&mut rig).excess, Some(excess));
        rig.at += ms(100);
    }
    assert_eq!(revisions, [true, false], "it is written down once");
    leg(&mut rig).excess = Some(Excess { order: ENTRY, tell_at: at + ms(9_000) });
    sends(&mut rig);
    let another = Excess { order: STOP, tell_at: at + ms(9_000) };
    assert_eq!(leg(&mut rig).excess, Some(another), "by whichever order it is");
}

#[test]
fn our_sales_pause_while_the_broker_squares_off_and_at_the_end() {
    let (mut rig, _) = s1_open();
    for (time, product, pauses) in [
        ("15:23:59.999", Product::Mis, false),
        ("15:24:00", Product::Mis, true),
        ("15:24:00", Product::Nrml, false),
        ("15:27:59.999", Product::Mis, true),
        ("15:28:00", Product::Mis, false),
        ("15:37:59.999", Product::Mis, false),
        ("15:38:00", Product::Mis, true),
        ("15:38:00", Product::Nrml, true),
    ] {
        rig.engine.now.at = clock(time);
        let leg = Leg { product: product.clone(), ..leg(&mut rig).clone() };
        assert_eq!(rig.engine.sales_pause(&leg), pauses, "{time} {product:?}");
    }
    let marks = ["15:24", "15:28", "15:38"].map(clock);
    assert_eq!(rig.engine.sales_pause_marks(), marks);
}

#[test]
fn a_leg_wakes_the_engine_for_everything_that_it_waits_for() {
    let check = |change: fn(&mut Rig, Timestamp), expected: &[i64]| {
        let mut rig = at_rest();
        let at = rig.at;
        change(&mut rig, at);
        let leg = leg(&mut rig).clone();
        let due = expected.iter().map(|after| at + ms(*after)).collect::<Vec<_>>();
        assert_eq!(rig.engine.leg_deadlines(&leg), due);
    };
    check(|_, _| {}, &[]);
    check(|rig, at| leg(rig).not_before = Some(at + ms(7)), &[7]);
    check(|rig, at| leg(rig).aim = exit_at(1, Some(at)), &[3_000]);
    check(|rig, at| leg(rig).aim = exit_at(4, Some(at)), &[3_000]);
    check(|rig, at| leg(rig).aim = exit_at(5, Some(at)), &[5_000]);
    check(|rig, _| leg(rig).aim = exit_at(0, None), &[]);
    check(|rig, at| stop(rig).doubt = Some(at), &[5_000]);
    check(|rig, at| stop(rig).cancel_asked = Some(at), &[2_000]);
    let ended = |rig: &mut Rig, at: Timestamp| {
        stop(rig).cancel_asked = Some(at);
        stop(rig).end(End::Cancelled, at);
    };
    check(ended, &[]);
}

#[test]
fn a_refusal_is_waited_out_by_what_it_says() {
    let check = |refusal, before: u32, waits_ms: Option<i64>| {
        let mut rig = at_rest();
        let at = rig.engine.now.at;
        leg(&mut rig).refusals = before;
        leg(&mut rig).aim = exit_at(1, Some(at));
        rig.engine.after_refusal(STOP, refusal, "no");
        let leg = leg(&mut rig);
        assert_eq!(leg.refusals, before + 1);
        assert_eq!(leg.not_before, waits_ms.map(|wait| at + ms(wait)), "{refusal:?} {before}");
        let priced_anew = matches!(refusal, Refusal::Input).then_some(exit_at(1, None));
        assert_eq!(leg.aim, priced_anew.unwrap_or(exit_at(1, Some(at))), "{refusal:?}");
    };
    check(Refusal::Input, 0, None);
    check(Refusal::Input, 4, None);
    check(Refusal::Input, 5, Some(5_000));
    check(Refusal::Order, 0, Some(1_000));
    for (before, waits) in [(0, 1_000), (1, 2_000), (2, 4_000), (3, 4_000), (9, 4_000)] {
        check(Refusal::RateLimit, before, Some(waits));
    }
    for refusal in [Refusal::Margin, Refusal::Holding, Refusal::Gate] {
        check(refusal, 0, Some(5_000));
    }
    for refusal in [Refusal::Permission, Refusal::Session] {
        check(refusal, 0, Some(15_000));
    }
    let mut rig = at_rest();
    rig.engine.after_refusal(ENTRY, Refusal::Margin, "no");
    assert_eq!((rig.engine.book.entry_refusals, leg(&mut rig).refusals), (1, 0));
}

#[test]
fn a_closing_order_that_the_last_look_refuses_is_told_and_tried_again() {
    let (mut rig, _) = s1_rig();
    rig.answers.dead = true;
    let entry = rig.last_id();
    rig.broker.fill(rig.at, &entry, 20, p("412.00"));
    let row = rig.broker.row(&entry).cloned().unwrap();
    rig.step(Event::Order(row));
    rig.engine.intents.remove(&STOP);
    let at = rig.at;
    let leg = leg(&mut rig);
    leg.closers.clear();
    leg.aim = Aim::Protect { trigger: p("288"), limit: Price::ZERO };
    assert_eq!(sends(&mut rig), [""; 0]);
    assert_eq!(told(&rig, "Own check stopped an order: SELL 20 SENSEX26NOV81300CE").len(), 1);
    assert_eq!(self::leg(&mut rig).not_before, Some(at + ms(5_000)));
}

#[test]
fn the_price_to_type_by_hand_is_the_last_rung() {
    let mut rig = at_rest();
    let leg = leg(&mut rig).clone();
    assert_eq!(rig.engine.last_price_to_close(&leg), Some(p("328.95")));
    rig.engine.quotes.clear();
    let blind = order_terms::exit(
        None,
        p("412"),
        Side::Sell,
        InstrumentKind::Call,
        Ppm(200_000),
        Price::from_paise(5),
    );
    assert_eq!(rig.engine.last_price_to_close(&leg), Some(blind), "by what was paid");
}

#[test]
fn orders_are_recorded_under_the_trade_or_the_position_that_they_close() {
    let names = |rig: &Rig| -> Vec<String> {
        let name = |fact: &Fact| match fact {
            Fact::Order(row) if row.status == "SENDING" => Some(row.trade_id.clone()),
            Fact::Order(_)
            | Fact::Decision(_)
            | Fact::Answer { .. }
            | Fact::Trade(_)
            | Fact::State(_)
            | Fact::Limit(_)
            | Fact::Day(_) => None,
        };
        rig.facts.iter().filter_map(name).collect()
    };
    let (mut rig, _) = s1_open();
    rig.broker.foreign(rig.at, &option("SENSEX26NOV80000CE"), Side::Buy, 20, p("900"));
    rig.ask(OperatorAction::Panic { all: true });
    rig.run_to("10:05");
    assert_eq!(names(&rig), ["20261123_001", "20261123_001", "FOREIGN_01"]);
}

#[test]
fn a_stop_grows_with_what_the_entry_goes_on_to_buy() {
    let mut plan = plan(Market::Sensex);
    plan.settings.risk.max_lots = 2;
    plan.settings.risk.trade_risk_budget = m("4000");
    let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
    let long = signal(&index(), Direction::Long, breakout, "81258", ("81550", "81900"));
    let mut rig = Rig::new(plan, vec![long]);
    let key = option("SENSEX26NOV81300CE");
    rig.run_to("10:03");
    rig.spot("81335");
    rig.book(&key, "409.80", "409.40", "410.00");
    rig.close_candle(breakout);
    let entry = rig.last_id();
    rig.fill(&entry, 20, "410.00");
    assert_eq!(rig.broker.working(&key, Side::Sell), 20);
    rig.fill(&entry, 20, "410.00");
    rig.run_to("10:03:05");
    assert_eq!(
        rig.sent_text(),
        ["BUY 40 LIMIT 412.05", "SELL 20 SL 287.00 258.30", "modify qty 40"]
    );
    assert_eq!(rig.broker.working(&key, Side::Sell), 40);
    rig.check_replay();
}
