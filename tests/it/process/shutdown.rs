//! pivot-trading is told to stop while an order is on its way.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::world::World;

/// The limit of a shutdown, which nothing here is slow enough to reach.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

#[test]
fn a_stop_with_an_order_on_its_way_ends_in_time_and_leaves_the_stop_resting() {
    let mut world = World::open();
    world.start_trading();
    world.prepare();
    world.fault("answer_delay_ms", 700);
    let held = world.hurry_until("an entry", |world| Some(world.held()).filter(|held| *held > 0));
    world.signal_trading(Signal::TERM);
    let began = Instant::now();
    let status = world.trading_ended();
    println!("ended {:?} after SIGTERM", began.elapsed());
    assert!(began.elapsed() < ENDS_WITHIN, "{:?}", began.elapsed());
    assert!(status.success(), "{status}: {}", world.words_of("trading"));
    world.fault("answer_delay_ms", 0);
    assert_eq!((world.held(), world.resting_stops()), (held, 1), "{}", world.report());

    let mark = world.mark();
    world.start_trading();
    world.wait_for("a comparison", |world| {
        let log = world.get(&format!("/_sim/log?since={mark}"));
        let mut log = log.as_array().unwrap().iter();
        log.find(|call| call["path"] == "/portfolio/positions").map(|_| ())
    });
    assert_eq!((world.held(), world.resting_stops()), (held, 1));
    assert_eq!(world.order_calls(mark), Vec::<Value>::new());
}
