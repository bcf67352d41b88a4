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
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::market::Timestamp;

/// Environment variable that names the shared file of a scaled clock.
pub const CLOCK_FILE_ENV: &str = "PIVOT_CLOCK_FILE";

/// Longest step of a wait, in real time.
const STEP_MAX: Duration = Duration::from_millis(250);

/// Where the time comes from. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Arc<Source>,
}

#[derive(Debug)]
enum Source {
    System { last_us: AtomicI64 },
    Scaled { follower: scaled::Follower, path: PathBuf, last_us: AtomicI64 },
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Clock {
        Clock { source: Arc::new(Source::System { last_us: AtomicI64::new(i64::MIN) }) }
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
        let (raw_us, last_us) = match &*self.source {
            Source::System { last_us } => (real_now().timestamp_micros(), last_us),
            Source::Scaled { follower, last_us, .. } => (follower.now_us(), last_us),
        };
        let before = last_us.fetch_max(raw_us, Ordering::AcqRel);
        DateTime::from_timestamp_micros(raw_us.max(before)).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// Market seconds that pass in a second of real time, now.
    pub fn speed(&self) -> f64 {
        match &*self.source {
            Source::System { .. } => 1.0,
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
            Source::System { .. } => left.min(STEP_MAX),
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
