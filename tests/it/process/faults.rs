//! A machine that fails under pivot-trading: nothing is sent that is not
//! written down, nothing is sent twice, and a restart finds its way.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use pivot_trading::engine::event::OperatorAction;
use pivot_trading::store::Role;
use serde_json::Value;

use super::world::{DEADLINE, World};

/// Longer than a writer waits for another.
const BUSY_FOR: Duration = Duration::from_secs(12);

/// Place of the write version in the header of a database file.
const WRITE_VERSION_AT: u64 = 18;

fn wait_until_flat(world: &World) {
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
    world.assert_flat();
}

fn no_calls(world: &World, since: u64) {
    assert_eq!(world.order_calls(since), Vec::<Value>::new());
}

/// Ends with this code, and the words say what is wrong.
fn ends_with(world: &mut World, code: i32, words: &[&str]) {
    let status = world.trading_ended();
    let said = world.words_of("trading");
    assert_eq!(status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in {said}");
    }
}

#[test]
fn killed_in_every_state_of_an_order_it_doubles_nothing_and_ends_flat() {
    let mut world = World::open();
    world.start_trading();

    // The entry is at the broker, its answer is not here.
    world.hurry_until("a prepared day", |world| {
        world.store(Role::Reader).outlook(super::world::date()).ok().filter(|rows| !rows.is_empty())
    });
    world.fault("answer_delay_ms", 3000);
    let mark = world.mark();
    let entry =
        world.hurry_until("the entry order", |world| world.order_calls(mark).first().cloned());
    world.kill_trading();
    world.fault("answer_delay_ms", 0);
    world.start_trading();
    let held = world.enter();
    let asked = &entry["params"]["quantity"];
    assert_eq!(asked.as_str().and_then(|units| units.parse().ok()), Some(held), "{entry}");
    assert_eq!(world.most_held(), held);

    // The stop rests.
    let mark = world.mark();
    world.kill_trading();
    world.start_trading();
    let reads = |world: &World| {
        let log = world.get(&format!("/_sim/log?since={mark}"));
        log.as_array().unwrap().iter().filter(|call| call["path"] == "/portfolio/positions").count()
    };
    world.wait_for("a comparison", |world| (reads(world) > 0).then_some(()));
    assert_eq!((world.held(), world.resting_stops()), (held, 1));
    no_calls(&world, mark);

    // The exit is at the broker, its answer is not here.
    world.fault("answer_delay_ms", 3000);
    world.ask_in_passing(OperatorAction::Panic { all: false });
    world.first_order_call(mark);
    world.kill_trading();
    world.fault("answer_delay_ms", 0);
    world.start_trading();
    wait_until_flat(&world);
    world.enable();
    world.assert_flat();
}

#[test]
fn a_second_instance_is_refused_and_the_first_goes_on() {
    let mut world = World::open();
    world.start_trading();
    let pid = world.trading.as_ref().unwrap().id();
    world.wait_for("the first one", |world| {
        let beats = world.store(Role::Reader).heartbeats().unwrap();
        beats.iter().any(|beat| beat.pid == pid).then_some(())
    });
    let first = world.trading.take();
    world.start_trading();
    ends_with(&mut world, 1, &["already runs on this data folder", &pid.to_string()]);
    world.trading = first;
    assert!(world.ask(OperatorAction::Disable).done);
}

#[test]
fn a_full_disk_ends_it_and_nothing_is_sent() {
    let mut world = World::open();
    world.start_trading_by("trap '' XFSZ");
    world.enter();
    world.fill_disk_of_trading();
    let mark = world.mark();
    world.ask_in_passing(OperatorAction::Panic { all: false });
    ends_with(&mut world, 1, &["could not write"]);
    no_calls(&world, mark);
    assert_eq!(world.resting_stops(), 1);
    world.start_trading();
    wait_until_flat(&world);
}

#[test]
fn a_database_locked_for_too_long_ends_it_and_nothing_is_sent() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    let mark = world.mark();
    let began = Instant::now();
    let other = rusqlite::Connection::open(world.data().join("trading.db")).unwrap();
    other.busy_timeout(DEADLINE).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ends_with(&mut world, 1, &["database is locked"]);
    assert!(began.elapsed() < BUSY_FOR, "{:?}", began.elapsed());
    no_calls(&world, mark);
    assert_eq!(world.resting_stops(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    world.ask_in_passing(OperatorAction::Panic { all: false });
    world.start_trading();
    wait_until_flat(&world);
}

#[test]
fn a_database_that_cannot_be_written_is_named() {
    let mut world = World::open();
    // A format that this SQLite may read and not write; file permissions mean
    // nothing to root.
    let file = File::options().write(true).open(world.data().join("trading.db")).unwrap();
    file.write_all_at(&[3], WRITE_VERSION_AT).unwrap();
    let mark = world.mark();
    world.start_trading();
    ends_with(&mut world, 1, &["trading.db", "readonly"]);
    no_calls(&world, mark);
}

#[test]
fn a_damaged_record_is_named_with_what_to_do() {
    let mut world = World::open();
    world.start_trading();
    world.enter();
    world.kill_trading();
    let mark = world.mark();
    world.sql("UPDATE broker_session SET valid_until = 'tomorrow'");
    world.start_trading();
    ends_with(&mut world, 78, &["broker session", "DELETE FROM broker_session", "log in again"]);
    world.sql("UPDATE broker_session SET valid_until = '2026-11-24T00:30:00.000000000Z'");
    world.sql(
        "DROP TRIGGER journal_is_final;
         UPDATE journal SET event = substr(event, 1, 20) WHERE seq = (SELECT max(seq) FROM journal)",
    );
    world.start_trading();
    ends_with(&mut world, 78, &["cannot be read", "backup", "Kite app"]);
    no_calls(&world, mark);
    assert_eq!(world.resting_stops(), 1);
}
