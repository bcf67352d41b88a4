//! A panic while the broker refuses the session.

use std::time::Duration;

use pivot_trading::engine::event::OperatorAction;

use super::world::{SHARE, World};

/// How soon people must hear what to do.
const TOLD_WITHIN: Duration = Duration::from_secs(6);

/// All services run, and shares are held.
fn holding() -> (World, i64) {
    let mut world = World::open();
    world.start_auth();
    world.start_trading();
    world.start_bot();
    let held = world.enter();
    (world, held)
}

fn link_in(text: &str) -> Option<String> {
    text.split_whitespace().find(|word| word.contains("/connect/login?")).map(str::to_string)
}

/// The chat has the login link, the contract and the units, soon enough.
fn told_what_to_do(world: &World, asked_us: i64, held: i64) -> String {
    let link = world.wait_for("the login link", |world| {
        let later = |sent: &pivot_trading::sim::telegram::Sent| sent.arrived_us > asked_us;
        let mut said = world.messages().into_iter().filter(later);
        said.find_map(|sent| Some((link_in(&sent.text)?, sent.arrived_us)))
    });
    let steps = world.wait_for("the steps by hand", |world| {
        let said = world.messages().into_iter();
        let mut said = said.filter(|sent| sent.arrived_us > asked_us);
        said.find(|sent| {
            let exact = sent.text.contains(SHARE) && sent.text.contains(&held.to_string());
            exact && sent.text.contains("Kite app")
        })
    });
    for at_us in [link.1, steps.arrived_us] {
        let took = Duration::from_micros(u64::try_from(at_us - asked_us).unwrap());
        assert!(took < TOLD_WITHIN, "told after {took:?}: {}", world.report());
    }
    link.0
}

#[test]
fn a_panic_with_a_dead_session_says_what_to_do_and_goes_on_after_a_login() {
    let (world, held) = holding();
    world.log_out();
    let asked_us = world.write("/panic");
    let link = told_what_to_do(&world, asked_us, held);
    assert_eq!(world.held(), held);
    world.follow_login_link(&link);
    world.told("PANIC: flat");
    world.assert_flat();
}

#[test]
fn whoever_stands_in_waits_for_a_login_too() {
    let (mut world, held) = holding();
    world.kill_trading();
    world.log_out();
    let asked_us = world.write("/panic");
    let link = told_what_to_do(&world, asked_us, held);
    world.follow_login_link(&link);
    world.told("PANIC: flat");
    world.assert_flat();
    world.told("Flattened by pivot-bot");
}

/// The process starts without a session: it must not take itself to be logged
/// in, and must look before it sells.
#[test]
fn what_was_closed_by_hand_before_a_restart_without_a_session_is_not_sold_again() {
    let (mut world, held) = holding();
    world.log_out();
    let gone = "Broker session is gone with a position open";
    world.told(gone);
    world.kill_trading();
    world.trade_by_hand(SHARE, -held);
    world.start_trading();
    world.wait_for("the news that nobody is logged in", |world| {
        let said = world.messages();
        (said.iter().filter(|sent| sent.text.contains(gone)).count() == 2).then_some(())
    });
    world.ask_in_passing(OperatorAction::Exit);
    let link = world.wait_for("the login link", |world| {
        world.messages().into_iter().rev().find_map(|sent| link_in(&sent.text))
    });
    world.follow_login_link(&link);
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
    world.assert_flat();
}
