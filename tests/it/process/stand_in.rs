//! A panic while pivot-trading is dead, hangs, or is about to start.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::time::{Duration, Instant};

use pivot_trading::engine::event::OperatorAction;
use pivot_trading::store::{Role, Store};
use rustix::process::Signal;
use serde_json::json;

use super::world::{DEADLINE, World, date};

/// How soon the broker must hear of a panic when pivot-trading is dead or
/// hangs.
const FIRST_CALL_WITHIN: Duration = Duration::from_secs(3);

/// How often it is measured.
const RUNS: usize = 4;

fn after(asked_us: i64, at_us: i64) -> Duration {
    Duration::from_micros(u64::try_from(at_us - asked_us).unwrap())
}

/// What a pivotctl said, and its exit code.
fn ended(world: &World, mut child: Child) -> (String, Option<i32>) {
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() >= deadline {
            child.kill().unwrap();
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut words = String::new();
    child.stdout.take().unwrap().read_to_string(&mut words).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut words).unwrap();
    let status =
        status.unwrap_or_else(|| panic!("pivotctl does not end: {words}\n{}", world.report()));
    (words, status.code())
}

/// pivot-trading starts again and agrees that all is over.
fn agrees_after_a_restart(world: &mut World) {
    let mark = world.mark();
    world.start_trading();
    world.enable();
    assert_eq!(world.order_calls(mark), Vec::<serde_json::Value>::new());
    let store: Store = world.store(Role::Reader);
    assert!(store.open_trade().unwrap().is_none());
    let said = world.messages();
    let doubts = said.iter().filter(|sent| sent.text.contains("does not replay"));
    assert_eq!(doubts.count(), 0);
    world.assert_flat();
}

/// The time from a panic to the broker's first order call, by the clock of the
/// exchange's log, and what became of it: flat, each tag used once.
fn panic_by(world: &mut World, way: &str, before: impl FnOnce(&mut World)) -> Duration {
    before(world);
    let mark = world.mark();
    let asked_us = world.write("/panic");
    let took = after(asked_us, world.first_order_call(mark));
    world.expect("PANIC: flat");
    world.assert_flat();
    println!("{way}: first order call after {took:?}");
    assert!(took < FIRST_CALL_WITHIN, "{way}: {took:?}\n{}", world.report());
    world.told("Flattened by pivot-bot");
    took
}

fn told(way: &str, mut spans: Vec<Duration>) {
    spans.sort_unstable();
    println!(
        "{way}: median {:?}, max {:?}, {} runs",
        spans[spans.len() / 2],
        spans[spans.len() - 1],
        spans.len()
    );
}

#[test]
fn the_bot_flattens_when_pivot_trading_is_dead() {
    let mut world = World::holding();
    let mut spans = Vec::new();
    for run in 0..RUNS {
        if run > 0 {
            world.enter();
        }
        spans.push(panic_by(&mut world, "dead", World::kill_trading));
        agrees_after_a_restart(&mut world);
    }
    told("dead", spans);
}

#[test]
fn a_bot_that_dies_over_a_panic_takes_it_up_again() {
    let mut world = World::holding();
    world.kill_trading();
    world.write("/panic");
    world.wait_for("the request", |world| {
        world.store(Role::Reader).inbox_after(0, 1).unwrap().pop()
    });
    world.kill_bot();
    world.start_bot();
    world.told("PANIC: flat");
    world.assert_flat();
}

/// Whoever stands in has answered and sent, and dies before the end.
#[test]
fn a_bot_that_dies_in_the_middle_of_a_panic_goes_on_with_it() {
    let mut world = World::holding();
    world.kill_trading();
    world.fault("no_fills", true);
    let mark = world.mark();
    world.write("/panic");
    world.first_order_call(mark);
    world.kill_bot();
    world.start_bot();
    world.told("nobody is at it");
    world.fault("no_fills", false);
    world.told("PANIC: flat");
    world.assert_flat();
    world.told("Flattened by pivot-bot");
    agrees_after_a_restart(&mut world);
}

#[test]
fn a_pivotctl_that_dies_in_the_middle_of_a_panic_is_followed_by_the_bot() {
    let mut world = World::holding();
    world.kill_trading();
    world.fault("no_fills", true);
    let mark = world.mark();
    let mut ctl = world.start_ctl(&["panic"]);
    world.first_order_call(mark);
    ctl.kill().unwrap();
    ctl.wait().unwrap();
    world.fault("no_fills", false);
    world.told("nobody is at it");
    world.told("Flattened by pivot-bot");
    world.assert_flat();
    agrees_after_a_restart(&mut world);
}

/// Somebody hangs while it opens the database.
#[test]
fn a_held_migrate_lock_keeps_nobody_from_flattening() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    world.kill_trading();
    let lock = std::fs::File::open(world.data().join("migrate.lock")).unwrap();
    lock.lock().unwrap();
    let mark = world.mark();
    let asked_us = pivot_trading::clock::real_now().timestamp_micros();
    let (words, code) = ended(&world, world.start_ctl(&["panic"]));
    assert_eq!(code, Some(0), "{words}");
    let took = after(asked_us, world.first_order_call(mark));
    assert!(took < FIRST_CALL_WITHIN, "{took:?}");
    world.assert_flat();
    agrees_after_a_restart(&mut world);
}

/// Telegram hands over the command and takes no message for a while.
#[test]
fn the_stand_in_does_not_wait_for_the_chat() {
    let mut world = World::holding();
    world.kill_trading();
    world.chat_fault(&json!({"method": "sendMessage", "status": 502, "count": 1000}));
    let mark = world.mark();
    let asked_us = world.write("/panic");
    let took = after(asked_us, world.first_order_call(mark));
    assert!(took < FIRST_CALL_WITHIN, "{took:?}");
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
    world.assert_flat();
    world.chat_fault(&json!({"clear": true}));
    world.told("PANIC: flat");
}

#[test]
fn pivotctl_flattens_when_pivot_trading_is_dead_and_the_chat_is_down() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    world.kill_trading();
    let mark = world.mark();
    let asked_us = pivot_trading::clock::real_now().timestamp_micros();
    let (words, code) = ended(&world, world.start_ctl(&["panic"]));
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("flat: nothing of the bot's is held or working"), "{words}");
    let took = after(asked_us, world.first_order_call(mark));
    println!("pivotctl: first order call after {took:?}");
    assert!(took < FIRST_CALL_WITHIN, "{took:?}");
    agrees_after_a_restart(&mut world);
}

/// The word "all" reaches whoever stands in: what was opened by hand is
/// closed as well.
#[test]
fn the_stand_in_closes_what_was_opened_by_hand_when_told_to() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    world.trade_by_hand("INFY", 7);
    world.kill_trading();
    let (words, code) = ended(&world, world.start_ctl(&["panic", "--all"]));
    assert_eq!(code, Some(0), "{words}");
    assert!(words.contains("flat: nothing is held"), "{words}");
    assert_eq!((world.held(), world.working()), (0, Vec::new()));
}

#[test]
fn a_pivot_trading_that_hangs_is_passed_over_and_sends_nothing_when_it_wakes() {
    let mut world = World::holding();
    let mut spans = Vec::new();
    for run in 0..RUNS {
        if run > 0 {
            world.enter();
        }
        spans.push(panic_by(&mut world, "hung", |world| stop_between_commits(world)));
        wakes_and_sends_nothing(&mut world);
        agrees_after_a_restart(&mut world);
    }
    told("hung", spans);
}

fn wakes_and_sends_nothing(world: &mut World) {
    let mark = world.mark();
    world.signal_trading(Signal::CONT);
    let status = world.trading_ended();
    assert_eq!(status.code(), Some(75), "{}", world.words_of("trading"));
    assert!(world.words_of("trading").contains("taken over"), "{}", world.words_of("trading"));
    assert_eq!(world.order_calls(mark), Vec::<serde_json::Value>::new());
}

/// Its order works without filling, so that it would price it anew when it
/// wakes.
#[test]
fn a_process_stopped_in_the_middle_of_an_exit_sends_nothing_more() {
    let mut world = World::holding();
    world.fault("no_fills", true);
    let mark = world.mark();
    world.write("/panic");
    world.first_order_call(mark);
    stop_between_commits(&world);
    let ctl = world.start_ctl(&["panic"]);
    world.wait_for("the stand-in's order call", |world| {
        (world.order_calls(mark).len() > 1).then_some(())
    });
    world.fault("no_fills", false);
    let (words, _) = ended(&world, ctl);
    assert!(words.contains("flat"), "{words}");
    world.assert_flat();
    wakes_and_sends_nothing(&mut world);
    agrees_after_a_restart(&mut world);
}

/// Stops pivot-trading while it keeps the database locked, or while it does
/// not.
fn stop_when(world: &World, locked: bool) {
    world.wait_for("the right moment", |world| {
        world.signal_trading(Signal::STOP);
        let is_locked = is_write_locked_now(world);
        if is_locked == locked {
            return Some(());
        }
        world.signal_trading(Signal::CONT);
        if locked {
            world.ask_in_passing(OperatorAction::Disable);
        }
        None
    });
}

fn stop_between_commits(world: &World) {
    stop_when(world, false);
}

fn is_write_locked_now(world: &World) -> bool {
    let connection = rusqlite::Connection::open(world.data().join("trading.db")).unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    // Another process may be at work for a moment; a stopped one is so for good.
    let attempt = || connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err();
    (0..20).all(|_| {
        std::thread::sleep(Duration::from_millis(2));
        attempt()
    })
}

#[test]
fn a_pivot_trading_that_hangs_in_a_commit_is_ended() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    stop_when(&world, true);
    let mark = world.mark();
    let (words, code) = ended(&world, world.start_ctl(&["panic"]));
    assert_eq!(code, Some(0), "{words}");
    world.assert_flat();
    assert_eq!(world.trading_ended().signal(), Some(9));
    assert!(!world.order_calls(mark).is_empty());
    agrees_after_a_restart(&mut world);
}

#[test]
fn a_panic_while_pivot_trading_starts_is_carried_out_by_one_of_them() {
    let mut world = World::holding();
    world.kill_trading();
    let mark = world.mark();
    world.start_trading();
    let asked_us = world.write("/panic");
    let took = after(asked_us, world.first_order_call(mark));
    world.expect("PANIC: flat");
    world.assert_flat();
    println!("starting: first order call after {took:?}");
    let sold = world.order_calls(mark);
    assert_eq!(sold.len(), 1, "{sold:#?}");
}

#[test]
fn with_the_chat_down_the_command_line_and_the_halt_file_work() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    let (words, code) = ended(&world, world.start_ctl(&["panic"]));
    assert_eq!(code, Some(0), "{words}");
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
    world.enable();
    std::fs::write(world.data().join("HALT"), "").unwrap();
    let mark = world.mark();
    world.hurry_until("an entry at the gate", |world| {
        let orders = world.store(Role::Reader).orders(date()).unwrap();
        let halted = |text: &String| text.contains("HALT");
        orders.iter().any(|order| order.message.as_ref().is_some_and(halted)).then_some(())
    });
    assert_eq!(world.order_calls(mark), Vec::<serde_json::Value>::new());
    world.assert_flat();
}
