//! The one place that reads a clock.
//!
//! Every process takes the time from one [`Clock`]: the system's, or a scaled
//! one that a conductor (the demo, a test) drives through a small shared
//! file, so that a whole day runs in a minute through the real code.
//!
//! Waiting is always "until this market time", re-checked in short steps:
//! the scaled clock changes its speed while people wait.

mod scaled;

pub use scaled::{Conductor, Pace};

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::market::Timestamp;

/// Environment variable that names the shared file of a scaled clock.
pub const CLOCK_FILE_ENV: &str = "PIVOT_CLOCK_FILE";

/// A wall clock that moves against the steady one by this much at once has
/// jumped.
const JUMP_MIN_US: i64 = 500_000;

/// Two clocks are read within this time of each other, or again.
const APART_MAX_US: i64 = 20_000;
const READ_AGAIN_MAX: u32 = 5;

/// Longest step of a wait, in real time.
const STEP_MAX: Duration = Duration::from_millis(250);

/// Where the time comes from. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Arc<Source>,
}

#[derive(Debug)]
enum Source {
    System { started: Instant, shown: Mutex<Shown> },
    Scaled { follower: scaled::Follower, path: PathBuf, last_us: AtomicI64 },
    Manual { hands: ManualClock, shown: Mutex<Shown> },
}

/// What a clock showed last, and what the steady clock said then.
#[derive(Debug, Clone, Copy)]
struct Shown {
    us: i64,
    steady_us: i64,
}

impl Shown {
    const NEVER: Shown = Shown { us: i64::MIN, steady_us: 0 };

    /// The next reading: the wall clock's, but never back. Where the wall
    /// clock was set back, time goes on at half its pace until it is caught
    /// up with, so that nothing that is due waits for it.
    fn advance(&mut self, wall_us: i64, steady_us: i64) -> i64 {
        let passed = (steady_us - self.steady_us).max(0);
        let us = wall_us.max(self.us.saturating_add(passed / 2));
        // Half of an odd microsecond is kept for the next reading.
        *self = Shown { us, steady_us: steady_us - i64::from(us != wall_us) * (passed % 2) };
        us
    }
}

/// The hands of a clock that somebody moves: a simulation on one thread. The
/// wall clock may be set back or ahead; the steady one only runs.
#[derive(Debug, Clone)]
pub struct ManualClock {
    wall_us: Arc<AtomicI64>,
    steady_us: Arc<AtomicI64>,
}

impl ManualClock {
    /// Hands that show `start`.
    pub fn new(start: Timestamp) -> ManualClock {
        ManualClock {
            wall_us: Arc::new(AtomicI64::new(start.timestamp_micros())),
            steady_us: Arc::new(AtomicI64::new(0)),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, span: TimeDelta) {
        let us = span.num_microseconds().unwrap_or(0).max(0);
        self.wall_us.fetch_add(us, Ordering::AcqRel);
        self.steady_us.fetch_add(us, Ordering::AcqRel);
    }

    /// Sets the wall clock ahead or, with a negative span, back.
    pub fn set_by(&self, span: TimeDelta) {
        self.wall_us.fetch_add(span.num_microseconds().unwrap_or(0), Ordering::AcqRel);
    }

    /// A clock that these hands show.
    pub fn clock(&self) -> Clock {
        let shown = Mutex::new(Shown::NEVER);
        Clock { source: Arc::new(Source::Manual { hands: self.clone(), shown }) }
    }
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        let shown = Mutex::new(Shown::NEVER);
        Clock { source: Arc::new(Source::System { started: Instant::now(), shown }) }
    }

    /// Follows the scaled clock that `path` describes.
    ///
    /// # Errors
    /// When the file cannot be opened or does not describe a clock.
    pub fn scaled(path: &Path) -> std::io::Result<Clock> {
        let follower = scaled::Follower::open(path)?;
        let last_us = AtomicI64::new(i64::MIN);
        Ok(Clock { source: Arc::new(Source::Scaled { follower, path: path.to_owned(), last_us }) })
    }

    /// The scaled clock that the environment names, or the system's.
    ///
    /// # Errors
    /// When the environment names a file that does not describe a clock.
    pub fn from_env() -> std::io::Result<Clock> {
        match std::env::var_os(CLOCK_FILE_ENV) {
            Some(path) => Clock::scaled(Path::new(&path)),
            None => Ok(Clock::system()),
        }
    }

    /// True when time runs by a conductor.
    pub fn is_scaled(&self) -> bool {
        matches!(*self.source, Source::Scaled { .. })
    }

    /// The present instant. Never decreases within a process.
    pub fn now(&self) -> Timestamp {
        let us = match &*self.source {
            Source::System { shown, .. } | Source::Manual { shown, .. } => {
                let (wall_us, steady_us) = self.hands_us();
                let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
                shown.advance(wall_us, steady_us)
            }
            Source::Scaled { follower, last_us, .. } => {
                let raw_us = follower.now_us();
                raw_us.max(last_us.fetch_max(raw_us, Ordering::AcqRel))
            }
        };
        DateTime::from_timestamp_micros(us).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// The wall clock as it is, and a clock that only runs.
    fn hands_us(&self) -> (i64, i64) {
        match &*self.source {
            Source::System { started, .. } => {
                let steady = || i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX);
                let mut before = steady();
                let mut wall_us = real_now().timestamp_micros();
                // A pause between the two readings would look like a jump.
                for _ in 0..READ_AGAIN_MAX {
                    if steady() - before <= APART_MAX_US {
                        break;
                    }
                    before = steady();
                    wall_us = real_now().timestamp_micros();
                }
                (wall_us, before)
            }
            Source::Manual { hands, .. } => {
                let read = |hand: &AtomicI64| hand.load(Ordering::Acquire);
                (read(&hands.wall_us), read(&hands.steady_us))
            }
            // A conductor moves both, and nothing can be told from them.
            Source::Scaled { .. } => (0, 0),
        }
    }

    /// Watches for jumps of the wall clock from now on.
    pub fn watch_jumps(&self) -> JumpWatch {
        let (wall_us, steady_us) = self.hands_us();
        JumpWatch { offset_us: wall_us.saturating_sub(steady_us) }
    }

    /// Market seconds that pass in a second of real time, now.
    pub fn speed(&self) -> f64 {
        match &*self.source {
            Source::System { .. } | Source::Manual { .. } => 1.0,
            Source::Scaled { follower, .. } => follower.speed(),
        }
    }

    /// Waits until the clock shows `at`. Returns at once when it has passed.
    pub async fn sleep_until(&self, at: Timestamp) {
        loop {
            let left = at - self.now();
            let Ok(left) = left.to_std() else { return };
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(self.real_step(left)).await;
        }
    }

    /// Waits for a span of market time.
    pub async fn sleep(&self, span: Duration) {
        let span = chrono::TimeDelta::from_std(span).unwrap_or(chrono::TimeDelta::MAX);
        let until = self.now().checked_add_signed(span).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.sleep_until(until).await;
    }

    fn real_step(&self, left: Duration) -> Duration {
        match &*self.source {
            Source::System { .. } | Source::Manual { .. } => left.min(STEP_MAX),
            Source::Scaled { follower, .. } => {
                let real = left.div_f64(follower.speed().max(0.001));
                real.clamp(Duration::from_micros(200), Duration::from_millis(5))
            }
        }
    }

    /// Tells the conductor how far this process has come, and whether it has
    /// work in flight that real time is needed for. Does nothing on the
    /// system's clock.
    pub fn report(&self, process: &str, progress: Timestamp, busy: bool) {
        if let Source::Scaled { path, .. } = &*self.source {
            scaled::write_progress(path, process, progress, busy);
        }
    }
}

/// Remembers how far the wall clock is from one that only runs.
#[derive(Debug)]
pub struct JumpWatch {
    offset_us: i64,
}

impl JumpWatch {
    /// Milliseconds by which the wall clock has leapt ahead (negative: back)
    /// since the last jump that was told, when that is much. The slow
    /// drifting of a disciplined clock is followed.
    pub fn look(&mut self, clock: &Clock) -> Option<i64> {
        let (wall_us, steady_us) = clock.hands_us();
        let offset_us = wall_us.saturating_sub(steady_us);
        let by_us = offset_us.saturating_sub(self.offset_us);
        self.offset_us = offset_us;
        (by_us.abs() >= JUMP_MIN_US).then_some(by_us / 1_000)
    }
}

/// A pause of real time that may be shorter than a millisecond, the least that
/// the runtime's own timers know. For whoever keeps pace with a fast clock.
pub async fn pause(span: Duration) {
    // A pause that the runtime refuses while it shuts down is over at once.
    let _ = tokio::task::spawn_blocking(move || std::thread::sleep(span)).await;
}

/// Real time, for what real time governs: log stamps of the demo's own
/// process, network timeouts.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
pub fn real_now() -> Timestamp {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_goes_on_and_a_jump_is_told() {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let hands = ManualClock::new(start);
        let clock = hands.clock();
        let mut jumps = clock.watch_jumps();
        let at = |seconds: i64| start + TimeDelta::seconds(seconds);
        hands.pass(TimeDelta::seconds(10));
        assert_eq!((clock.now(), jumps.look(&clock)), (at(10), None));
        hands.set_by(TimeDelta::seconds(30));
        assert_eq!((clock.now(), jumps.look(&clock)), (at(40), Some(30_000)));
        hands.set_by(TimeDelta::seconds(-20));
        assert_eq!((clock.now(), jumps.look(&clock)), (at(40), Some(-20_000)));
        hands.pass(TimeDelta::seconds(10));
        assert_eq!((clock.now(), jumps.look(&clock)), (at(45), None));
        for _ in 0..60 {
            hands.pass(TimeDelta::microseconds(500_001));
            clock.now();
        }
        assert_eq!(clock.now(), at(60) + TimeDelta::microseconds(60));
    }
}
