//! A position that differs from what our fills say: what counts as proof, and
//! what is concluded.

use chrono::TimeDelta;

use super::fixture::*;
use super::rig::Rig;
use super::scenarios::s1_open;
use super::truth::told;
use crate::engine::intents::End;
use crate::engine::ledger::IntentId;
use crate::engine::position::{Leg, LegId};
use crate::market::{
    BrokerOrder, BrokerPosition, Money, OrderId, OrderStatus, Product, Quantity, Side, Timestamp,
};

const STOP: IntentId = IntentId(2);

/// S1 with 20 units held and a stop at rest, long after the last fill.
struct Case {
    rig: Rig,
    start: Timestamp,
    sold: (Quantity, Money),
}

impl Case {
    fn new() -> Case {
        let (mut rig, _) = s1_open();
        rig.run_to("10:10:05");
        let start = rig.at;
        Case { rig, start, sold: (0, Money::ZERO) }
    }

    fn leg(&mut self) -> &mut Leg {
        &mut self.rig.engine.trade.as_mut().unwrap().leg
    }

    /// The broker shows so many units, read so long after the start.
    fn read(&mut self, after_ms: i64, shown: Quantity, rows: &[BrokerOrder]) -> &mut Case {
        let at = self.start + TimeDelta::milliseconds(after_ms);
        let leg = self.leg();
        let row = |product: Product, quantity| BrokerPosition {
            instrument: leg.instrument.clone(),
            product,
            quantity,
            bought: 20,
            bought_value: m("8240"),
            sold: 0,
            sold_value: Money::ZERO,
            last_price: p("400"),
        };
        let mut positions = [row(Product::Nrml, 77), row(Product::Mis, shown)];
        (positions[1].sold, positions[1].sold_value) = self.sold;
        self.rig.engine.now.at = at;
        self.rig.engine.judge(LegId::Trade, rows, &positions, at);
        self
    }

    /// Units closed by others, units of others, and why entries are off.
    fn check(&mut self, external: Quantity, foreign: Quantity, hold: &str) -> &mut Case {
        let leg = self.leg();
        assert_eq!((leg.external, leg.foreign), (external, foreign));
        assert_eq!(self.rig.engine.control.first_block().0, hold);
        self
    }
}

/// Somebody else's sale of our contract.
fn sale(case: &Case, units: Quantity, price: &str) -> BrokerOrder {
    let mut row = case.rig.broker.last_own().clone();
    row.order_id = OrderId("9911230077".into());
    (row.tag, row.side, row.status) = (None, Side::Sell, OrderStatus::Complete);
    (row.quantity, row.filled, row.filled_value) = (units, units, p(price) * units);
    row.updated_at = Some(case.start);
    row
}

#[test]
fn what_agrees_is_no_difference() {
    let mut case = Case::new();
    for after in [0, 1_000, 60_000] {
        case.read(after, 20, &[]).check(0, 0, "ENABLED");
        let at = case.start + TimeDelta::milliseconds(after);
        assert_eq!((case.leg().gap, case.leg().shown), (None, Some((20, at))));
    }
}

#[test]
fn all_units_are_gone_after_three_reads_over_ten_seconds() {
    let mut case = Case::new();
    case.read(0, 0, &[]).read(5_000, 0, &[]).read(9_999, 0, &[]).check(0, 0, "ENABLED");
    case.read(10_000, 0, &[]).check(20, 0, "MISMATCH");
    assert_eq!(case.leg().external_value, p("400") * 20, "by the last price");
    let mut case = Case::new();
    case.read(0, 0, &[]).read(12_000, 0, &[]).check(0, 0, "ENABLED");
    case.read(12_001, 0, &[]).check(20, 0, "MISMATCH");
    let mut case = Case::new();
    case.read(0, 0, &[]).read(5_000, 20, &[]).read(9_000, 0, &[]).read(12_000, 0, &[]);
    case.check(0, 0, "ENABLED");
}

#[test]
fn some_units_are_gone_after_two_reads_that_agree() {
    let mut case = Case::new();
    case.read(0, 12, &[]).read(1_000, 13, &[]).check(0, 0, "ENABLED");
    case.read(2_000, 13, &[]).check(7, 0, "ENABLED");
    assert_eq!(case.leg().external_value, p("400") * 7);
}

#[test]
fn a_read_from_before_the_last_fill_says_nothing_and_soon_after_it_little() {
    let mut case = Case::new();
    let start = case.start;
    case.leg().last_fill = Some(start + TimeDelta::milliseconds(1));
    let before = case.leg().shown;
    case.read(0, 12, &[]);
    assert_eq!((case.leg().gap, case.leg().shown), (None, before));
    case.leg().last_fill = Some(start);
    case.read(0, 12, &[]).read(9_999, 12, &[]).check(0, 0, "ENABLED");
    case.read(10_000, 12, &[]).check(8, 0, "ENABLED");
    for shown in [30, -20] {
        let mut case = Case::new();
        case.leg().last_fill = Some(start);
        case.read(1_000, shown, &[]).read(5_000, shown, &[]).read(9_999, shown, &[]);
        case.check(0, 0, "ENABLED");
    }
}

#[test]
fn somebody_elses_order_explains_what_is_gone_at_once() {
    let check = |change: fn(&mut BrokerOrder), shown, external: Quantity, value: &str| {
        let mut case = Case::new();
        let mut row = sale(&case, 8, "410");
        change(&mut row);
        let start = case.start;
        case.leg().last_fill = Some(start);
        case.read(0, shown, &[row]).check(external, 0, "ENABLED");
        assert_eq!(case.leg().external_value, m(value));
    };
    check(|_| {}, 12, 8, "3280");
    check(|_| {}, 15, 5, "2050"); // of an order that closed theirs, too, ours are a share
    check(|_| {}, 11, 0, "0"); // it does not explain all
    check(|row| row.filled = 0, 12, 0, "0");
    check(|row| row.side = Side::Buy, 12, 0, "0");
    check(|row| row.product = Product::Nrml, 12, 0, "0");
    check(|row| row.instrument = option("SENSEX26NOV81300PE"), 12, 0, "0");
    check(|row| row.tag = crate::market::Tag::new("P1123I002S1"), 12, 8, "3280");
    check(|row| row.updated_at = Some(clock("10:02:59")), 12, 8, "3280"); // whole seconds
    check(|row| row.updated_at = Some(clock("10:02:58.999")), 12, 0, "0"); // before the entry
    check(|row| (row.updated_at, row.placed_at) = (None, None), 12, 8, "3280");
}

#[test]
fn an_order_explains_each_unit_once() {
    let mut case = Case::new();
    let first = sale(&case, 8, "410");
    case.read(0, 12, std::slice::from_ref(&first)).check(8, 0, "ENABLED");
    assert_eq!(case.leg().external_orders, 1);
    let start = case.start;
    case.leg().last_fill = Some(start - TimeDelta::seconds(20));
    case.read(1_000, 8, &[first]).check(8, 0, "ENABLED");
    let grown = sale(&case, 12, "410");
    case.read(1_500, 8, std::slice::from_ref(&grown)).check(12, 0, "ENABLED");
    assert_eq!((case.leg().external_value, case.leg().external_orders), (p("410") * 12, 2));
    let mut another = sale(&case, 8, "420");
    another.order_id = OrderId("9911230078".into());
    case.read(2_000, 0, &[grown, another]).check(20, 0, "ENABLED");
    assert_eq!(case.leg().external_value, p("410") * 12 + p("420") * 8);
}

#[test]
fn each_order_of_others_is_counted_for_its_charges() {
    let mut case = Case::new();
    let first = sale(&case, 4, "410");
    let mut second = sale(&case, 4, "420");
    second.order_id = OrderId("9911230078".into());
    case.read(0, 12, &[first, second]).check(8, 0, "ENABLED");
    assert_eq!(case.leg().external_orders, 2);
}

#[test]
fn what_others_got_is_read_off_the_position_when_it_adds_up() {
    for (sold, value) in [((8, m("3300")), "3300"), ((9, m("3300")), "3200"), ((0, m("0")), "3200")]
    {
        let mut case = Case::new();
        case.sold = sold;
        case.read(0, 12, &[]).read(1_000, 12, &[]).check(8, 0, "ENABLED");
        assert_eq!(case.leg().external_value, m(value), "{sold:?}");
    }
    // Beside our own exit and what is counted already.
    let mut case = Case::new();
    let stop = case.rig.engine.intents.get_mut(&STOP).unwrap();
    (stop.filled, stop.filled_value) = (5, m("2000"));
    (case.leg().external, case.leg().external_value) = (3, m("1200"));
    case.sold = (12, m("4880"));
    case.read(0, 8, &[]).read(1_000, 8, &[]).check(7, 0, "ENABLED");
    assert_eq!(case.leg().external_value, m("1200") + m("1680"));
}

#[test]
fn what_goes_in_the_brokers_minutes_is_its_square_off() {
    for (time, by_broker) in [("15:23:59.999", false), ("15:24:00", true)] {
        let mut case = Case::new();
        case.start = clock(time);
        case.read(-1_000, 12, &[]).read(0, 12, &[]).check(8, 0, "ENABLED");
        assert_eq!(case.rig.engine.trade.as_ref().unwrap().squared_off, by_broker, "{time}");
    }
}

#[test]
fn more_than_ours_is_somebody_elses_after_a_second_read() {
    let mut case = Case::new();
    case.read(0, 30, &[]).check(0, 0, "ENABLED");
    case.read(249, 30, &[]).check(0, 0, "ENABLED");
    case.read(250, 30, &[]).check(0, 10, "SYMBOL_CONTAMINATED");
    assert_eq!(case.leg().gap, None);
    case.read(500, 30, &[]).check(0, 10, "SYMBOL_CONTAMINATED");
    // They sell some again, and then all of theirs.
    case.read(1_000, 25, &[]).check(0, 10, "SYMBOL_CONTAMINATED");
    case.read(2_000, 25, &[]).check(0, 5, "SYMBOL_CONTAMINATED");
    case.read(3_000, 20, &[]).read(4_000, 20, &[]).check(0, 0, "SYMBOL_CONTAMINATED");
    case.rig.send(crate::engine::Event::Deadline);
    assert_eq!(told(&case.rig, "SYMBOL_CONTAMINATED: 10 SENSEX26NOV81300CE").len(), 1);
}

#[test]
fn units_that_others_sell_of_their_own_explain_no_gap_of_ours() {
    let mut case = Case::new();
    case.leg().foreign = 8;
    let theirs = sale(&case, 8, "410");
    let rows = [theirs];
    case.read(0, 20, &rows).read(1_000, 20, &rows).check(0, 0, "ENABLED");
    case.read(2_000, 12, &rows).check(0, 0, "ENABLED");
}

#[test]
fn a_short_is_explained_by_others_who_closed_more_than_ours_and_theirs() {
    for (foreign, sold, hold) in
        [(0, 20, "ENABLED"), (0, 21, "MISMATCH"), (20, 40, "ENABLED"), (20, 41, "MISMATCH")]
    {
        let mut case = Case::new();
        case.leg().foreign = foreign;
        let rows = [sale(&case, sold, "280")];
        case.read(0, -10, &rows);
        assert_eq!(case.rig.engine.control.first_block().0, hold, "{foreign} {sold}");
    }
}

#[test]
fn a_short_is_told_once_after_two_reads_in_a_row() {
    let alarm = "The broker shows -20";
    let mut case = Case::new();
    case.read(0, -20, &[]).read(1_000, 0, &[]).read(2_000, -20, &[]);
    assert_eq!(case.rig.engine.control.first_block().0, "ENABLED");
    case.read(3_000, -20, &[]);
    assert_eq!(case.rig.engine.control.first_block().0, "MISMATCH");
    case.read(4_000, -20, &[]);
    case.rig.send(crate::engine::Event::Deadline);
    assert_eq!(told(&case.rig, alarm).len(), 1);
}

#[test]
fn nothing_is_gone_of_nothing() {
    let mut case = sold_out();
    case.read(0, -20, &[]).read(6_000, -20, &[]).read(12_000, -20, &[]);
    case.check(0, 0, "MISMATCH");
    assert_eq!(case.leg().external_orders, 0);
}

/// Everything sold by our stop, and the broker still shows some of it.
fn sold_out() -> Case {
    let mut case = Case::new();
    let start = case.start;
    let stop = case.rig.engine.intents.get_mut(&STOP).unwrap();
    (stop.filled, stop.filled_value) = (20, m("5600"));
    stop.end(End::Complete, start);
    case
}

#[test]
fn a_position_that_stays_after_our_sale_is_told_and_not_adopted() {
    let not_flat = |case: &mut Case| {
        let hold = case.rig.engine.control.first_block().0;
        (hold == "MISMATCH", case.leg().gap.is_some_and(|gap| gap.said))
    };
    let mut case = sold_out();
    case.read(0, 20, &[]).read(5_000, 20, &[]).read(9_999, 20, &[]);
    assert_eq!(not_flat(&mut case), (false, false));
    case.read(10_000, 20, &[]);
    assert_eq!(not_flat(&mut case), (true, true));
    let said = case.rig.engine.out.len();
    case.read(11_000, 20, &[]).check(0, 0, "MISMATCH");
    assert_eq!(case.rig.engine.out.len(), said, "told once");
    let mut case = sold_out();
    case.read(0, 20, &[]).read(10_000, 20, &[]);
    assert_eq!(not_flat(&mut case), (false, false), "two reads");
}

#[test]
fn what_was_closed_too_much_and_is_undone_is_taken_back() {
    let check = |external: Quantity, shown, after: Quantity, value: &str| {
        let mut case = sold_out();
        (case.leg().external, case.leg().external_value) = (external, p("400") * external);
        case.read(0, shown, &[]).read(1_000, shown, &[]);
        assert_eq!((case.leg().external, case.leg().external_value), (after, m(value)), "{shown}");
    };
    check(20, -20, 20, "8000"); // as we know it
    check(20, 0, 0, "0");
    check(20, -5, 5, "2000");
    check(20, 3, 0, "0");
    let mut case = sold_out();
    case.leg().external = 20;
    case.read(0, 0, &[]).check(20, 0, "ENABLED");
    case.read(249, 0, &[]).check(20, 0, "ENABLED");
    case.read(250, 0, &[]).check(0, 0, "ENABLED");
}
