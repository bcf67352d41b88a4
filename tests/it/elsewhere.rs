//! What tests of records that are sent elsewhere share.

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta};
use pivot_trading::clock::Clock;
use pivot_trading::telemetry::rows::{Backend, Options, Row, Sink, State};
use tracing::Level;

/// How long anything is waited for.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// How long one row may take to be handed over, on a busy machine.
const AT_ONCE: Duration = Duration::from_millis(500);

/// A sink whose rows wait in memory.
pub(crate) fn sink(backend: impl Backend, change: impl FnOnce(&mut Options)) -> Sink {
    let mut options = Options::in_memory("bot", &Clock::system());
    change(&mut options);
    Sink::start(options, backend).unwrap()
}

/// Every tenth is of performance.
pub(crate) fn row(number: i64) -> Row {
    Row {
        at: DateTime::from_timestamp(1_795_400_000, 0).unwrap() + TimeDelta::milliseconds(number),
        level: Level::INFO,
        service: "bot".into(),
        component: "api".into(),
        target: "pivot_trading::tests".into(),
        message: format!("row {number}"),
        data: format!(r#"{{"number":{number}}}"#),
        correlation_id: Some("20261123_001".into()),
        event_type: None,
        duration_us: (number % 10 == 0).then_some(7),
    }
}

pub(crate) fn offer(sink: &Sink, numbers: std::ops::Range<i64>) {
    for number in numbers {
        let began = Instant::now();
        assert!(sink.offer(row(number)));
        assert!(began.elapsed() < AT_ONCE, "an outage delays a row");
    }
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn is_failing(sink: &Sink) -> bool {
    matches!(sink.state(), State::Failing { .. })
}
