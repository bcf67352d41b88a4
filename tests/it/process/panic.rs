//! A panic in the chat while everything works: how fast, and what is said.

use std::time::Duration;

use super::world::World;

/// How fast the chat's word must become an order, half of the time.
const MEDIAN_MAX: Duration = Duration::from_millis(500);

/// How soon everything must be flat and said to be.
const FLAT_WITHIN: Duration = Duration::from_secs(15);

/// Panics of one day: the bot trades a hundred times at most.
const RUNS_A_DAY: usize = 95;

fn runs() -> usize {
    std::env::var("PANIC_RUNS").map_or(20, |text| text.parse().unwrap())
}

#[test]
fn a_panic_in_the_chat_reaches_the_broker_at_once_and_proves_flat() {
    let mut spans: Vec<Duration> = Vec::new();
    let mut left = runs();
    while left > 0 {
        let now = left.min(RUNS_A_DAY);
        let mut world = World::open();
        world.start_trading();
        world.start_bot();
        for run in 0..now {
            if run > 0 {
                world.enable();
            }
            spans.push(one_panic(&mut world));
        }
        left -= now;
    }
    spans.sort_unstable();
    let at = |share: usize| spans[(spans.len() * share).div_ceil(100).max(1) - 1];
    let (median, p99) = (at(50), at(99));
    println!("panic to first order call: median {median:?}, p99 {p99:?}, {} runs", spans.len());
    assert!(median < MEDIAN_MAX, "{spans:?}");
}

/// Enters, panics, waits for the proof. Answers the time from the message to
/// the first order call.
fn one_panic(world: &mut World) -> Duration {
    let held = world.enter();
    let mark = world.mark();
    let asked_us = world.write("/panic");
    let first_us = world.first_order_call(mark);
    let said = world.expect("PANIC: flat");
    world.assert_flat();
    let took = Duration::from_micros(u64::try_from(said.arrived_us - asked_us).unwrap());
    assert!(took < FLAT_WITHIN, "flat after {took:?}");
    for words in ["Took", "Slippage", &format!("Closed: {held} ")] {
        assert!(said.text.contains(words), "{words} is missing:\n{}", said.text);
    }
    proven_before(world, mark, said.arrived_us);
    Duration::from_micros(u64::try_from(first_us - asked_us).unwrap())
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
                && entry["seq"].as_u64().unwrap() > last
                && entry["at_us"].as_i64().unwrap() < said_us
        });
        assert!(read, "{path} was not read again: {log:#?}");
    }
}
