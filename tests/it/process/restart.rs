//! `/restart` with a position open: refused, then forced.

use pivot_trading::store::Role;
use rustix::process::Signal;

use super::world::World;

#[test]
fn a_restart_with_a_position_open_needs_force_and_leaves_the_stop_resting() {
    let mut world = World::holding();
    let held = world.held();
    world.write("/restart trading");
    let refusal = world.expect("Not restarted: a position is open");
    assert!(refusal.text.contains("/restart trading force"), "{}", refusal.text);
    assert!(!world.trading_has_ended());

    world.write("/restart trading force");
    let question = world.expect("Restart pivot-trading?");
    assert!(question.text.contains("A position is open"), "{}", question.text);
    world.press(&question);
    let status = world.trading_ended();
    assert_eq!(status.code(), Some(10), "{}", world.words_of("trading"));
    world.expect("Restarting now.");
    assert_eq!((world.held(), world.resting_stops()), (held, 1), "{}", world.report());
    // The next one knows what is held.
    world.start_trading();
    world.write("/exit");
    world.wait_for("the exit", |world| (world.held() == 0).then_some(()));
}

#[test]
fn a_forced_restart_that_nobody_took_does_not_cut_a_panic_short() {
    let mut world = World::holding();
    world.signal_trading(Signal::STOP);
    world.write("/restart trading force");
    let question = world.expect("Restart pivot-trading?");
    world.press(&question);
    world.write("/panic");
    world.expect("a panic is being carried out");
    world.expect("PANIC: flat");
    world.told("Flattened by pivot-bot");
    world.assert_flat();
    world.signal_trading(Signal::CONT);
}

#[test]
fn a_restart_that_was_asked_before_the_start_is_done_by_it() {
    let mut world = World::holding();
    world.kill_trading();
    world.write("/restart trading force");
    let question = world.expect("Restart pivot-trading?");
    world.press(&question);
    world.wait_for("the request in the inbox", |world| {
        let waiting = world.store(Role::Reader).inbox_unanswered(100).unwrap();
        (!waiting.is_empty()).then_some(())
    });
    world.start_trading();
    world.expect("It was started since you asked.");
    assert!(!world.trading_has_ended(), "{}", world.words_of("trading"));
    world.write("/exit");
    world.wait_for("the exit", |world| (world.held() == 0).then_some(()));
}
