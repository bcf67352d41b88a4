//! A panic in the chat while everything works: how fast, and what is said.

use std::time::Duration;

use super::world::World;

/// How fast the chat's word must become an order: half of the time on any
/// machine, and nearly always where runs enough are asked for.
const MEDIAN_MAX: Duration = Duration::from_millis(500);
const P99_MAX: Duration = Duration::from_millis(250);

/// Runs that say something of the ninety-ninth of a hundred.
const MANY: usize = 100;

/// How soon everything must be flat and said to be.
const FLAT_WITHIN: Duration = Duration::from_secs(15);

/// Panics of one day: the price crosses its level 78 times.
const RUNS_A_DAY: usize = 60;

fn runs() -> usize {
    std::env::var("PANIC_RUNS").map_or(20, |text| text.parse().unwrap())
}

/// Median, ninety-ninth of a hundred and the slowest.
fn spread(what: &str, mut spans: Vec<Duration>) -> [Duration; 3] {
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() * share).div_ceil(100).max(1) - 1];
    let [median, p99, max] = [at(50), at(99), at(100)];
    println!("{what}: median {median:?}, p99 {p99:?}, max {max:?}, {} runs", spans.len());
    [median, p99, max]
}

#[test]
fn a_panic_in_the_chat_reaches_the_broker_at_once_and_proves_flat() {
    let (mut calls, mut flats) = (Vec::new(), Vec::new());
    while calls.len() < runs() {
        let mut world = World::open();
        world.start_trading();
        world.start_bot();
        for run in 0..RUNS_A_DAY.min(runs() - calls.len()) {
            if run > 0 {
                // On a starved machine the bot stood in for it, and it ended.
                if world.trading_has_ended() {
                    break;
                }
                world.enable();
            }
            let (call, flat) = one_panic(&mut world);
            calls.push(call);
            flats.push(flat);
        }
    }
    let [median, p99, _] = spread("panic to first order call", calls);
    let [_, _, flat] = spread("panic to proven flat", flats);
    assert!(median < MEDIAN_MAX, "{median:?}");
    assert!(p99 < P99_MAX || runs() < MANY, "{p99:?}");
    assert!(flat < FLAT_WITHIN, "{flat:?}");
}

/// Enters, panics, waits for the proof. Answers the time from the message to
/// the first order call, and to the word that everything is flat.
fn one_panic(world: &mut World) -> (Duration, Duration) {
    let held = world.enter();
    let mark = world.mark();
    let asked_us = world.write("/panic");
    let first_us = world.first_order_call(mark);
    let said = world.expect("PANIC: flat");
    world.assert_flat();
    let since = |at_us: i64| Duration::from_micros(u64::try_from(at_us - asked_us).unwrap());
    for words in ["Took", "Slippage", &format!("Closed: {held} ")] {
        assert!(said.text.contains(words), "{words} is missing:\n{}", said.text);
    }
    proven_before(world, mark, said.arrived_us);
    (since(first_us), since(said.arrived_us))
}

/// Orders and positions were read after the last order call was carried out,
/// and before the chat said so.
fn proven_before(world: &World, mark: u64, said_us: i64) {
    let log = world.get(&format!("/_sim/log?since={mark}"));
    let log = log.as_array().unwrap();
    let last = world.order_calls(mark).last().unwrap()["seq"].as_u64().unwrap();
    for path in ["/orders", "/portfolio/positions"] {
        let read = log.iter().any(|entry| {
            entry["method"] == "GET"
                && entry["path"] == path
                && entry["status"] == 200
                && entry["seq"].as_u64().unwrap() > last
                && entry["at_us"].as_i64().unwrap() < said_us
        });
        assert!(read, "{path} was not read again: {log:#?}");
    }
}

/// The orders are filled and the positions cannot be read: flat is not said
/// before they can, and people hear what is missing.
#[test]
fn flat_is_not_said_before_the_positions_show_it() {
    let mut world = World::holding();
    world.fault("http_next", "503:24:/portfolio/positions");
    let mark = world.mark();
    world.write("/panic");
    world.wait_for("the end of the position", |world| {
        (world.held() == 0 && world.working().is_empty()).then_some(())
    });
    let with = |world: &World, words: &str| {
        world.messages().into_iter().find(|sent| sent.text.contains(words))
    };
    let said = world.hurry_until("the alarm", |world| with(world, "NOT FLAT after"));
    assert!(said.text.contains("waiting for the broker to show it flat"), "{}", said.text);
    assert!(with(&world, "PANIC: flat").is_none(), "{}", world.report());
    let said = world.hurry_until("the proof", |world| with(world, "PANIC: flat"));
    proven_before(&world, mark, said.arrived_us);
    world.assert_flat();
}
