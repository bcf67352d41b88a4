//! The last look at every order, and the limits of week and month: nothing
//! passes that the rules before it should never have let through.

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::{s1_open, s1_rig};
use crate::engine::event::OperatorAction;
use crate::engine::intents::Terms;
use crate::engine::ledger::Role;
use crate::engine::orders::Draft;
use crate::engine::permission::Hold;
use crate::engine::position::Leg;
use crate::market::{Instrument, InstrumentKind, OrderType, Price, Product, Quantity, Side};

const SYMBOL: &str = "SENSEX26NOV81300CE";

fn entry(quantity: Quantity, price: &str) -> Draft {
    let terms = Terms { order_type: OrderType::Limit, quantity, price: p(price), trigger: None };
    Draft {
        role: Role::Entry,
        trade_id: "20261123_001".into(),
        instrument: option(SYMBOL),
        side: Side::Buy,
        product: Product::Mis,
        terms,
    }
}

fn contract(rig: &Rig, kind: InstrumentKind) -> Instrument {
    let contracts = &rig.engine.day().unwrap().contracts;
    let known = contracts.iter().find(|row| row.key == option(SYMBOL)).unwrap();
    Instrument { kind, ..known.clone() }
}

fn at_ten(freeze: Quantity) -> Rig {
    let mut plan = plan(Market::Sensex);
    plan.settings.risk.freeze_quantity = freeze;
    let mut rig = Rig::new(plan, Vec::new());
    rig.run_to("10:00");
    rig
}

fn fault(rig: &Rig, draft: &Draft, kind: InstrumentKind) -> String {
    let looked = rig.engine.last_look_entry(draft, &contract(rig, kind));
    looked.err().unwrap_or_default()
}

#[test]
fn an_entry_must_be_a_limit_order_for_whole_lots_of_a_contract_of_the_day() {
    let rig = at_ten(1_000);
    let check = |change: fn(&mut Draft), words: &str| {
        let mut draft = entry(20, "412");
        change(&mut draft);
        let fault = fault(&rig, &draft, InstrumentKind::Call);
        assert!(fault.contains(words) && fault.is_empty() == words.is_empty(), "{words}: {fault}");
    };
    check(|_| {}, "");
    check(|draft| draft.instrument = index(), "");
    check(|draft| draft.instrument = option("SENSEX26NOV90000CE"), "not a contract of the day");
    check(|draft| draft.product = Product::Nrml, "not a contract of the day");
    check(|draft| draft.role = Role::Exit, "not a contract of the day");
    check(|draft| draft.side = Side::Sell, "only ever bought to open");
    check(|draft| draft.terms.quantity = 30, "not whole lots");
    check(|draft| draft.terms.quantity = 0, "not whole lots");
    check(|draft| draft.terms.quantity = -20, "not whole lots");
    check(|draft| draft.terms.price = Price::ZERO, "not a price");
    check(|draft| draft.terms.price = p("-5"), "not a price");
    check(|draft| draft.terms.price = p("412.03"), "not a limit price");
    check(|draft| draft.terms.order_type = OrderType::Market, "only limit and stop-limit");
    check(
        |draft| {
            draft.terms.order_type = OrderType::StopLimit;
            draft.terms.trigger = Some(p("410"));
        },
        "not a limit price",
    );
}

#[test]
fn an_entry_in_options_stays_within_freeze_quantity_and_value() {
    let check = |freeze, kind, quantity, price: &str, words: &str| {
        let fault = fault(&at_ten(freeze), &entry(quantity, price), kind);
        assert!(fault.contains(words) && fault.is_empty() == words.is_empty(), "{words}: {fault}");
    };
    check(1_000, InstrumentKind::Call, 1_000, "20", "");
    check(1_000, InstrumentKind::Call, 1_020, "20", "above the freeze quantity");
    check(0, InstrumentKind::Call, 1_020, "20", "");
    check(1_000, InstrumentKind::Equity, 1_020, "20", "");
    // A quarter above the cap of 20,000.
    check(1_000, InstrumentKind::Call, 20, "1250", "");
    check(1_000, InstrumentKind::Call, 20, "1250.05", "is above");
    check(1_000, InstrumentKind::Call, 40, "800", "is above");
    check(1_000, InstrumentKind::Equity, 20, "1250.05", "");
}

#[test]
fn an_entry_needs_permission_the_hours_and_an_empty_book() {
    let fault = |rig: &Rig| fault(rig, &entry(20, "412"), InstrumentKind::Call);
    let mut rig = at_ten(1_000);
    rig.ask(OperatorAction::Disable);
    assert_eq!(fault(&rig), "entries are not allowed");
    let mut rig = at_ten(1_000);
    rig.engine.control.hold(Hold::Operator, "test:1", rig.at);
    assert_eq!(fault(&rig), "entries are not allowed", "within the very step");
    let mut rig = at_ten(1_000);
    rig.run_to("15:00");
    assert_eq!(fault(&rig), "it is outside the hours of entries");
    let (mut rig, _) = s1_rig();
    assert_eq!(fault(&rig), "another order or position is there already");
    rig.engine.trade = None;
    assert_eq!(fault(&rig), "another order or position is there already", "an order alone");
    let (mut rig, _) = s1_open();
    rig.engine.intents.clear();
    assert_eq!(fault(&rig), "another order or position is there already", "a position alone");
}

#[test]
fn what_closes_is_never_more_than_what_is_held_together_with_what_works() {
    let (rig, _) = s1_open();
    let leg = &rig.engine.trade.as_ref().unwrap().leg;
    let mut draft = entry(20, "412");
    (draft.role, draft.side) = (Role::Exit, Side::Sell);
    let look = |draft: &Draft, leg: &Leg, held| {
        rig.engine.last_look_closer(draft, leg, held).err().unwrap_or_default()
    };
    let short = "20 units and 20 at work are more than the 39 held";
    for (held, fault) in
        [(20, &short.replace("39", "20")), (39, &short.into()), (40, &String::new())]
    {
        assert_eq!(look(&draft, leg, held), *fault, "the stop works on 20");
    }
    let idle = Leg { closers: Vec::new(), ..leg.clone() };
    assert_eq!(look(&draft, &idle, 20), "");
    let wrong_side = Draft { side: Side::Buy, ..draft.clone() };
    assert_eq!(look(&wrong_side, &idle, 20), "it is not the side that reduces");
    let elsewhere = Draft { instrument: index(), ..draft.clone() };
    assert_eq!(look(&elsewhere, &idle, 20), "it is not the side that reduces");
    draft.terms.quantity = 0;
    assert!(look(&draft, &idle, 20).contains("not whole lots"));
}

#[test]
fn a_stops_limit_is_beyond_its_trigger() {
    let (rig, _) = s1_open();
    let wrong = "the limit is on the wrong side of the trigger";
    for (side, price, trigger, fault) in [
        (Side::Sell, "259", Some("288"), ""),
        (Side::Sell, "288", Some("288"), ""),
        (Side::Sell, "289", Some("288"), wrong),
        (Side::Buy, "289", Some("288"), ""),
        (Side::Buy, "288", Some("288"), ""),
        (Side::Buy, "287", Some("288"), wrong),
        (Side::Sell, "259", None, "only limit and stop-limit orders are sent"),
    ] {
        let mut draft = entry(20, price);
        draft.side = side;
        draft.terms.order_type = OrderType::StopLimit;
        draft.terms.trigger = trigger.map(p);
        let contract = contract(&rig, InstrumentKind::Call);
        let mut leg = Leg::new(&contract, Product::Mis, side);
        leg.opened = 20;
        let looked = rig.engine.last_look_closer(&draft, &leg, 20).err().unwrap_or_default();
        assert_eq!(looked, fault, "{side:?} {price} {trigger:?}");
    }
}

#[test]
fn losses_of_week_and_month_end_entries_and_are_told_once() {
    let check = |week: &str, month: &str, reason: &str| {
        let mut plan = plan(Market::Sensex);
        (plan.week_net, plan.month_net) = (m(week), m(month));
        let mut rig = Rig::new(plan, Vec::new());
        rig.run_to("10:00");
        assert_eq!(rig.engine.permission().reason, reason, "{week} {month}");
        let told = rig.headlines().iter().filter(|line| line.contains("loss limit")).count();
        assert_eq!(told, usize::from(reason != "ENABLED"), "{:?}", rig.headlines());
        rig
    };
    check("-9999.99", "-19999.99", "ENABLED");
    check("10000", "20000", "ENABLED");
    check("-10000", "-19999.99", "WEEKLY_LOSS");
    let mut rig = check("-9999.99", "-20000", "MONTHLY_LOSS");
    let (done, text) = rig.ask(OperatorAction::Enable { confirmed: true });
    assert!(done, "{text}");
    rig.run_to("10:05");
    assert_eq!(rig.engine.permission().reason, "ENABLED", "a person has waived it for the day");
}

#[test]
fn the_days_result_counts_towards_week_and_month() {
    for (week, month, reason) in
        [("-9900", "0", "WEEKLY_LOSS"), ("0", "-19900", "MONTHLY_LOSS"), ("0", "0", "ENABLED")]
    {
        let (rig, key) = s1_open();
        let mut plan = rig.engine.day().unwrap().clone();
        (plan.week_net, plan.month_net) = (m(week), m(month));
        let breakout = candle("10:00", ["81265", "81345", "81258", "81335"]);
        let direction = crate::engine::ledger::Direction::Long;
        let long = signal(&index(), direction, breakout, "81258", ("81550", "81900"));
        let mut rig = Rig::new(plan, vec![long]);
        rig.run_to("10:03");
        rig.spot("81335");
        rig.book(&key, "411.60", "411.20", "412.00");
        rig.close_candle(breakout);
        let entry = rig.last_id();
        rig.fill(&entry, 20, "412.00");
        rig.ask(OperatorAction::Exit);
        let exit = rig.last_id();
        rig.fill(&exit, 20, "402.00");
        rig.run_to("10:04");
        assert_eq!(rig.engine.permission().reason, reason);
        rig.check_replay();
    }
}
