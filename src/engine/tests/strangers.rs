//! Orders and positions that no record of ours knows: what is told, what is
//! taken back, and what is left alone.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use super::truth::told;
use crate::engine::command::Command;
use crate::engine::event::{CommandId, OperatorAction, Snapshot};
use crate::engine::intents::{End, Stage};
use crate::engine::ledger::{Direction, IntentId};
use crate::engine::{Engine, Event};
use crate::market::{
    BrokerOrder, BrokerPosition, Exchange, InstrumentKey, Money, OrderId, OrderStatus, Product,
    Quantity, Side, Tag,
};

const STOP: IntentId = IntentId(2);

fn elsewhere() -> InstrumentKey {
    InstrumentKey::new(Exchange::Nfo, "NIFTY26DEC25000PE")
}

/// S1 held, its stop at rest, minutes later.
fn held() -> Rig {
    let (mut rig, _) = s1_open();
    rig.run_to("10:10:05");
    rig
}

/// An order that works and has filled nothing, old enough to prove anything.
fn order(rig: &Rig, name: &str, tag: Option<&str>, key: &InstrumentKey) -> BrokerOrder {
    let mut row = rig.broker.last_own().clone();
    row.order_id = OrderId(name.into());
    row.tag = tag.and_then(Tag::new);
    row.instrument = key.clone();
    (row.status, row.filled, row.filled_value) = (OrderStatus::Open, 0, Money::ZERO);
    row
}

fn position(key: &InstrumentKey, product: Product, quantity: Quantity) -> BrokerPosition {
    BrokerPosition {
        instrument: key.clone(),
        product,
        quantity,
        bought: 0,
        bought_value: Money::ZERO,
        sold: 0,
        sold_value: Money::ZERO,
        last_price: p("100"),
    }
}

/// Shows the book and the positions with something added; answers how many
/// orders were cancelled.
fn show(rig: &mut Rig, orders: &[BrokerOrder], positions: &[BrokerPosition]) -> usize {
    let (mut all, mut net) = (rig.broker.rows.clone(), rig.broker.positions());
    all.extend_from_slice(orders);
    net.extend_from_slice(positions);
    let out = rig.step(Event::Snapshot(Snapshot {
        command: CommandId { seq: 1, index: 0 },
        taken_at: rig.at,
        complete: true,
        orders: Some(all),
        positions: Some(net),
        available: None,
    }));
    out.iter().filter(|(_, command)| matches!(command, Command::Cancel { .. })).count()
}

#[test]
fn an_unknown_order_with_our_mark_is_told_once_and_cancelled_when_it_opens() {
    let headline = "An order with the bot's mark";
    let ours = option("SENSEX26NOV81300CE");
    for (tag, key, cancels) in [
        ("P1123I077E1", elsewhere(), 1), // it would open something
        ("P1123I077S1", elsewhere(), 0), // it protects
        ("P1123I002S1", elsewhere(), 0), // it protects, from a journal that was lost
        ("P1123I002S1", ours, 1),        // the second of an intent
    ] {
        let mut rig = held();
        let row = order(&rig, "77", Some(tag), &key);
        assert_eq!(show(&mut rig, std::slice::from_ref(&row), &[]), cancels, "{tag}");
        assert_eq!(rig.engine.permission().reason, "MISMATCH");
        show(&mut rig, &[row], &[]);
        assert_eq!(told(&rig, headline).len(), 1, "{tag}");
    }
    for tag in [None, Some("P1122I077E1"), Some("SOMETHING")] {
        let mut rig = held();
        let row = order(&rig, "77", tag, &elsewhere());
        assert_eq!(show(&mut rig, &[row], &[]), 0, "{tag:?}");
        assert_eq!(
            (rig.engine.permission().reason.as_str(), told(&rig, headline).len()),
            ("ENABLED", 0)
        );
    }
}

#[test]
fn its_cancel_is_repeated_every_two_seconds_while_it_lives() {
    let mut rig = held();
    let mut row = order(&rig, "77", Some("P1123I077E1"), &elsewhere());
    let (start, mut cancels) = (rig.at, Vec::new());
    for _ in 0..6 {
        cancels.push(show(&mut rig, std::slice::from_ref(&row), &[]));
        rig.at += TimeDelta::seconds(1);
    }
    assert_eq!(cancels, [1, 0, 1, 0, 1, 0]);
    assert!(rig.engine.sync.last_clean < Some(start), "nothing is clean beside it");
    row.status = OrderStatus::Cancelled;
    rig.at += TimeDelta::seconds(5);
    assert_eq!(show(&mut rig, &[row], &[]), 0);
    assert_eq!(rig.engine.sync.last_clean, Some(rig.at));
}

#[test]
fn nothing_is_cancelled_without_a_session() {
    let mut rig = held();
    rig.step(Event::Session { alive: false });
    let row = order(&rig, "77", Some("P1123I077E1"), &elsewhere());
    assert_eq!(show(&mut rig, &[row], &[]), 0);
}

#[test]
fn fills_in_no_record_are_told_by_what_they_hold_and_again_when_that_changes() {
    let headline = "Orders with the bot's mark that are not in its records hold";
    let mut rig = held();
    let fill = |side, units: Quantity, name: &str, tag: Option<&str>| {
        let mut row = order(&rig, name, tag, &elsewhere());
        (row.side, row.status) = (side, OrderStatus::Complete);
        (row.filled, row.filled_value) = (units, p("100") * units);
        row
    };
    let mark = Some("P1123I077E1");
    let bought = fill(Side::Buy, 30, "77", mark);
    let sold = fill(Side::Sell, 10, "78", mark);
    let out = fill(Side::Sell, 20, "79", mark);
    let theirs = fill(Side::Buy, 50, "80", None);
    show(&mut rig, std::slice::from_ref(&theirs), &[]);
    assert!(told(&rig, headline).is_empty());
    let mut shown = vec![theirs];
    for (row, count, last) in [(bought.clone(), 1, "30"), (bought, 2, "60"), (sold, 3, "50")] {
        shown.push(row);
        show(&mut rig, &shown, &[]);
        show(&mut rig, &shown, &[]);
        let said = told(&rig, headline);
        assert_eq!(said.len(), count);
        assert!(said[count - 1].headline.ends_with(&format!("{last} {}", elsewhere().symbol)));
    }
    let mut rig = held();
    let even = vec![fill_of(&out, Side::Buy, "81"), out];
    show(&mut rig, &even, &[]);
    assert!(told(&rig, headline).is_empty(), "they hold nothing");
}

fn fill_of(row: &BrokerOrder, side: Side, name: &str) -> BrokerOrder {
    BrokerOrder { side, order_id: OrderId(name.into()), ..row.clone() }
}

#[test]
fn a_foreign_order_is_told_when_it_works_in_what_we_hold() {
    let headline = "Somebody else's order works";
    let check = |change: fn(&mut Rig, &mut BrokerOrder), times: usize| {
        let mut rig = held();
        let key = option("SENSEX26NOV81300CE");
        let mut row = order(&rig, "77", None, &key);
        change(&mut rig, &mut row);
        show(&mut rig, std::slice::from_ref(&row), &[]);
        show(&mut rig, &[row], &[]);
        assert_eq!(told(&rig, headline).len(), times);
    };
    check(|_, _| {}, 1);
    check(|_, row| row.instrument = elsewhere(), 0);
    check(|_, row| row.product = Product::Nrml, 0);
    check(|_, row| row.status = OrderStatus::Cancelled, 0);
    check(|rig, _| rig.engine.trade = None, 0);
    check(|rig, _| rig.engine.trade.as_mut().unwrap().leg.opened = 0, 0);
}

#[test]
fn foreign_positions_are_told_once_for_each_number_of_them() {
    let told_of =
        |rig: &Rig| rig.headlines().iter().filter(|it| it.contains("did not open")).count();
    let mut rig = held();
    let ours = option("SENSEX26NOV81300CE");
    let first = position(&elsewhere(), Product::Nrml, 75);
    show(&mut rig, &[], &[position(&elsewhere(), Product::Nrml, 0)]);
    assert_eq!(told_of(&rig), 0, "closed");
    for expected in [1, 1] {
        show(&mut rig, &[], std::slice::from_ref(&first));
        assert_eq!(told_of(&rig), expected);
    }
    show(&mut rig, &[], &[first, position(&ours, Product::Nrml, 20)]);
    assert_eq!(told_of(&rig), 2, "another product of our contract is not ours");
}

#[test]
fn a_position_may_be_from_before_a_fill_of_the_last_ten_seconds() {
    let adopted = |change: fn(&mut Rig, &mut BrokerOrder)| {
        let mut rig = held();
        rig.answers.dead = true;
        rig.ask(OperatorAction::Panic { all: true });
        let mut row = order(&rig, "77", None, &elsewhere());
        row.status = OrderStatus::Complete;
        change(&mut rig, &mut row);
        show(&mut rig, &[row], &[position(&elsewhere(), Product::Nrml, 75)]);
        rig.engine.strays.iter().filter(|stray| stray.open).count() == 1
    };
    assert!(adopted(|_, _| {}), "nothing filled");
    assert!(adopted(|_, row| {
        row.filled = 75;
        row.updated_at = Some(clock("10:09:54"));
    }));
    assert!(!adopted(|_, row| {
        row.filled = 75;
        row.updated_at = Some(clock("10:09:54.001"));
    }));
    assert!(!adopted(|_, row| {
        row.filled = 75;
        (row.updated_at, row.placed_at) = (None, Some(clock("10:10")));
    }));
    assert!(adopted(|_, row| {
        row.filled = 75;
        row.updated_at = Some(clock("10:10"));
        row.instrument = option("SENSEX26NOV80000CE");
    }));
    assert!(!adopted(|rig, _| ghost_of(rig, elsewhere(), "10:09:55.001")));
    assert!(adopted(|rig, _| ghost_of(rig, elsewhere(), "10:09:55")));
    assert!(adopted(|rig, _| ghost_of(rig, option("SENSEX26NOV80000CE"), "10:10")));
}

fn ghost_of(rig: &mut Rig, key: InstrumentKey, last_fill: &str) {
    let mut trade = (**rig.engine.trade.as_ref().unwrap()).clone();
    (trade.leg.instrument, trade.leg.last_fill) = (key, Some(clock(last_fill)));
    rig.engine.ghosts.push(trade);
}

/// A panic over all with a foreign position, and an order beside it; whether
/// that order is cancelled, and whether the position is taken over.
fn panic_beside(change: fn(&mut BrokerOrder), after_s: i64) -> (bool, bool) {
    let mut rig = held();
    rig.answers.dead = true;
    rig.ask(OperatorAction::Panic { all: true });
    rig.at += TimeDelta::seconds(after_s);
    let mut row = order(&rig, "77", None, &elsewhere());
    (row.side, row.product) = (Side::Sell, Product::Nrml);
    change(&mut row);
    let cancelled = show(&mut rig, &[row], &[position(&elsewhere(), Product::Nrml, 75)]) > 0;
    (cancelled, rig.engine.strays.iter().any(|stray| stray.open))
}

#[test]
fn a_panic_over_all_cancels_what_would_close_and_waits_ten_seconds_for_it() {
    assert_eq!(panic_beside(|_| {}, 1), (true, false));
    assert_eq!(panic_beside(|_| {}, 9), (true, false));
    assert_eq!(panic_beside(|_| {}, 10), (true, true), "no longer");
    assert_eq!(panic_beside(|row| row.side = Side::Buy, 1), (true, true), "it closes nothing");
    assert_eq!(panic_beside(|row| row.product = Product::Mis, 1), (true, true));
    assert_eq!(panic_beside(|row| row.status = OrderStatus::Cancelled, 1), (false, true));
    let holding = |row: &mut BrokerOrder| {
        row.instrument = InstrumentKey::new(Exchange::Nse, "RELIANCE");
        row.product = Product::Cnc;
    };
    assert_eq!(panic_beside(holding, 1), (false, true), "an order for holdings is left");
    let share = |row: &mut BrokerOrder| {
        row.instrument = InstrumentKey::new(Exchange::Nse, "RELIANCE");
        row.product = Product::Mis;
    };
    assert_eq!(panic_beside(share, 1), (true, true));
}

#[test]
fn a_foreign_order_is_taken_back_every_two_seconds_while_it_lives() {
    let mut rig = held();
    rig.answers.dead = true;
    rig.ask(OperatorAction::Panic { all: true });
    let row = order(&rig, "77", None, &elsewhere());
    let mut cancels = Vec::new();
    for _ in 0..5 {
        rig.at += TimeDelta::seconds(1);
        cancels.push(show(&mut rig, std::slice::from_ref(&row), &[]));
    }
    assert_eq!(cancels, [1, 0, 1, 0, 1]);
    rig.step(Event::Session { alive: false });
    rig.at += TimeDelta::seconds(5);
    assert_eq!(show(&mut rig, &[row], &[]), 0, "nothing can be sent");
}

#[test]
fn a_panic_over_all_takes_one_position_after_the_other() {
    let mut rig = held();
    rig.answers.dead = true;
    rig.ask(OperatorAction::Panic { all: true });
    let first = position(&elsewhere(), Product::Nrml, 75);
    let second = position(&option("SENSEX26NOV80000CE"), Product::Nrml, 20);
    show(&mut rig, &[], std::slice::from_ref(&first));
    show(&mut rig, &[], &[first.clone(), second]);
    assert_eq!(rig.engine.strays.len(), 2);
    rig.engine.strays[0].open = false;
    rig.engine.marks.foreign_told = None;
    show(&mut rig, &[], &[first]);
    assert_eq!(rig.engine.strays.len(), 3, "bought anew after it was closed");
}

#[test]
fn only_an_unfinished_panic_over_all_takes_foreign_positions() {
    let taken = |change: fn(&mut Engine), all| {
        let mut rig = held();
        rig.answers.dead = true;
        rig.ask(OperatorAction::Panic { all });
        change(&mut rig.engine);
        show(&mut rig, &[], &[position(&elsewhere(), Product::Nrml, -75)]);
        let sides: Vec<Side> = rig.engine.strays.iter().map(|stray| stray.leg.close).collect();
        sides == [Side::Buy]
    };
    let nothing: fn(&mut Engine) = |_| {};
    assert!(taken(nothing, true));
    assert!(!taken(nothing, false));
    assert!(!taken(|engine| engine.control.panic.as_mut().unwrap().done = true, true));
    let later: fn(&mut Engine) =
        |engine| engine.control.panic.as_mut().unwrap().since = clock("10:11");
    assert!(!taken(later, true), "read before it began");
}

#[test]
fn an_order_that_ends_is_followed_by_a_fresh_read_and_rejections_add_up() {
    let mut rig = held();
    let at = rig.at;
    rig.engine.now.at = at;
    for (refusals, waits) in [(0, false), (4, false), (5, true)] {
        rig.engine.intents.get_mut(&STOP).unwrap().stage = Stage::Ended(End::Rejected);
        rig.engine.trade.as_mut().unwrap().leg.refusals = refusals;
        rig.engine.after_progress(STOP, false, true);
        let leg = &rig.engine.trade.as_ref().unwrap().leg;
        assert_eq!((leg.refusals, leg.proof_from), (refusals + 1, Some(at)));
        assert_eq!(leg.not_before, waits.then(|| at + TimeDelta::seconds(5)), "{refusals}");
    }
    rig.engine.intents.get_mut(&STOP).unwrap().stage = Stage::Ended(End::Cancelled);
    rig.engine.after_progress(STOP, true, true);
    let leg = &rig.engine.trade.as_ref().unwrap().leg;
    assert_eq!((leg.refusals, leg.last_fill), (6, Some(at)), "a cancel is no refusal");
}

#[test]
fn a_contract_that_somebody_holds_is_not_entered() {
    let chosen = option("SENSEX26NOV81300CE");
    for (key, quantity, found) in
        [(&chosen, 20, true), (&chosen, 0, false), (&elsewhere(), 20, false)]
    {
        let mut rig = Rig::new(plan(Market::Sensex), Vec::new());
        rig.run_to("10:03");
        rig.spot("81335");
        rig.book(&chosen, "411.60", "411.20", "412.00");
        show(&mut rig, &[], &[position(key, Product::Nrml, quantity)]);
        let bar = candle("10:00", ["81265", "81345", "81258", "81335"]);
        let signal = signal(&index(), Direction::Long, bar, "81258", ("81550", "81900"));
        assert_eq!(rig.engine.contaminated(&signal), found.then(|| chosen.clone()), "{quantity}");
    }
}

#[test]
fn the_side_that_closes_is_the_other_one() {
    assert_eq!(Engine::closing_side(1), Side::Sell);
    assert_eq!(Engine::closing_side(-1), Side::Buy);
}
