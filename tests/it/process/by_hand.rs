//! The owner trades in the broker's own app while the bot holds something.

use std::time::Duration;

use pivot_trading::clock::real_now;
use pivot_trading::engine::event::OperatorAction;

use super::world::{SHARE, World};

/// How soon the stop must carry no more than is left.
const SHRINKS_WITHIN: Duration = Duration::from_secs(2);

/// Units of the stop that rests.
fn stop_units(world: &World) -> Option<i64> {
    let working = world.working();
    let stop = working.iter().find(|row| row["status"] == "TRIGGER PENDING")?;
    stop["quantity"].as_i64()
}

#[test]
fn a_sale_by_hand_shrinks_the_stop_at_once() {
    let mut world = World::open();
    world.start_trading();
    let held = world.enter();
    assert_eq!(stop_units(&world), Some(held));
    let mark = world.mark();
    let sold_us = real_now().timestamp_micros();
    world.trade_by_hand(SHARE, -1);
    let called_us = world.first_order_call(mark);
    let took = Duration::from_micros(u64::try_from(called_us - sold_us).unwrap());
    println!("sale by hand to the stop's change: {took:?}");
    assert!(took < SHRINKS_WITHIN, "{took:?}");
    world.wait_for("a smaller stop", |world| (stop_units(world) == Some(held - 1)).then_some(()));
    assert_eq!((world.held(), world.resting_stops()), (held - 1, 1));
    world.ask_in_passing(OperatorAction::Panic { all: false });
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
}

/// What was opened by hand is cried out like the bot's own when it does not
/// get closed.
#[test]
fn a_panic_over_all_cries_out_what_does_not_get_closed() {
    let mut world = World::open();
    world.start_trading();
    world.start_bot();
    world.prepare();
    world.trade_by_hand("INFY", 7);
    world.fault("no_fills", true);
    world.ask_in_passing(OperatorAction::Panic { all: true });
    let said = world.hurry_until("the alarm", |world| {
        let mut said = world.messages().into_iter();
        said.find(|sent| sent.text.contains("NOT FLAT after"))
    });
    for words in ["7 INFY held", "Kite app"] {
        assert!(said.text.contains(words), "{words} is missing:\n{}", said.text);
    }
    world.fault("no_fills", false);
    world.hurry_until("the end of it", |world| {
        world.messages().into_iter().find(|sent| sent.text.contains("PANIC: flat"))
    });
    assert_eq!((world.held(), world.working()), (0, Vec::new()));
}
