//! `/restart` with a position open: refused, then forced.

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
