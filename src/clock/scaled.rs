//! A market clock that runs at a changing multiple of real time and is the
//! same in several processes.
//!
//! The conductor writes one line of text into a small file; followers read it
//! again at most every half millisecond. The line says: at real instant `a`
//! the market's was `b`, from then on it runs `s` times as fast, but never
//! past `h`. The horizon `h` is what keeps the clock from running ahead of a
//! process that is still at work: the clock stands at `h` until the conductor
//! moves it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;

use super::real_now;
use crate::market::Timestamp;

/// Length of the line in the file; shorter texts are padded with spaces.
const LINE_BYTES: usize = 128;

/// How often a follower looks at the file again, in microseconds.
const REREAD_US: i64 = 500;

/// How a scaled clock runs from some instant on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    real_us: i64,
    market_us: i64,
    speed: f64,
    horizon_us: i64,
}

impl Pace {
    fn at(&self, real_us: i64) -> i64 {
        let elapsed = (real_us - self.real_us).max(0) as f64 * self.speed;
        (self.market_us + elapsed as i64).min(self.horizon_us.max(self.market_us))
    }

    fn encode(&self) -> [u8; LINE_BYTES] {
        let body =
            format!("{} {} {:.3} {}", self.real_us, self.market_us, self.speed, self.horizon_us);
        let mut line = [b' '; LINE_BYTES];
        let text = format!("{body} {}", checksum(&body));
        let bytes = text.as_bytes();
        line[..bytes.len()].copy_from_slice(bytes);
        line
    }

    fn decode(line: &[u8]) -> Option<Pace> {
        let text = std::str::from_utf8(line).ok()?.trim_end();
        let (body, sum) = text.rsplit_once(' ')?;
        if sum.parse() != Ok(checksum(body)) {
            return None;
        }
        let mut words = body.split(' ');
        Some(Pace {
            real_us: words.next()?.parse().ok()?,
            market_us: words.next()?.parse().ok()?,
            speed: words.next()?.parse().ok()?,
            horizon_us: words.next()?.parse().ok()?,
        })
    }
}

/// FNV-1a: finds a line that was read while it was being written.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Reads the shared file, remembering the last sound line.
#[derive(Debug)]
pub(super) struct Follower {
    file: File,
    read_at_us: AtomicI64,
    pace: Mutex<Pace>,
}

impl Follower {
    pub(super) fn open(path: &Path) -> io::Result<Follower> {
        let file = File::open(path)?;
        let mut line = [0; LINE_BYTES];
        let length = file.read_at(&mut line, 0)?;
        let pace = Pace::decode(&line[..length]).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{} is no clock", path.display()))
        })?;
        let pace = Mutex::new(pace);
        Ok(Follower { file, read_at_us: AtomicI64::new(0), pace })
    }

    fn pace(&self, real_us: i64) -> Pace {
        let mut pace = self.pace.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if real_us - self.read_at_us.load(Ordering::Relaxed) >= REREAD_US {
            let mut line = [0; LINE_BYTES];
            let read = self.file.read_at(&mut line, 0).unwrap_or(0);
            if let Some(fresh) = Pace::decode(&line[..read]) {
                *pace = fresh;
                self.read_at_us.store(real_us, Ordering::Relaxed);
            }
        }
        *pace
    }

    pub(super) fn now_us(&self) -> i64 {
        let real_us = real_now().timestamp_micros();
        self.pace(real_us).at(real_us)
    }

    pub(super) fn speed(&self) -> f64 {
        self.pace(real_now().timestamp_micros()).speed
    }
}

/// Drives a scaled clock: the only writer of its file.
#[derive(Debug)]
pub struct Conductor {
    file: File,
    path: PathBuf,
    pace: Pace,
}

impl Conductor {
    /// Makes a clock that stands at `start`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path, start: Timestamp) -> io::Result<Conductor> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        let market_us = start.timestamp_micros();
        let pace = Pace {
            real_us: real_now().timestamp_micros(),
            market_us,
            speed: 1.0,
            horizon_us: market_us,
        };
        let conductor = Conductor { file, path: path.to_owned(), pace };
        conductor.write()?;
        Ok(conductor)
    }

    fn write(&self) -> io::Result<()> {
        self.file.write_all_at(&self.pace.encode(), 0)
    }

    /// What the clock shows now.
    pub fn now(&self) -> Timestamp {
        let us = self.pace.at(real_now().timestamp_micros());
        DateTime::from_timestamp_micros(us).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// From now on runs at `speed` times real time, up to `horizon`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn run(&mut self, speed: f64, horizon: Timestamp) -> io::Result<()> {
        let real_us = real_now().timestamp_micros();
        let market_us = self.pace.at(real_us);
        let horizon_us = horizon.timestamp_micros().max(market_us);
        self.pace = Pace { real_us, market_us, speed, horizon_us };
        self.write()
    }

    /// How far a process has come and whether it is busy, as it last told.
    pub fn progress(&self, process: &str) -> Option<(Timestamp, bool)> {
        let text = std::fs::read_to_string(progress_path(&self.path, process)).ok()?;
        let mut words = text.split_whitespace();
        let at_us: i64 = words.next()?.parse().ok()?;
        let busy = words.next()? == "1";
        let complete = words.next()? == "end";
        complete.then_some((DateTime::from_timestamp_micros(at_us)?, busy))
    }
}

fn progress_path(clock: &Path, process: &str) -> PathBuf {
    clock.with_extension(process)
}

pub(super) fn write_progress(clock: &Path, process: &str, progress: Timestamp, busy: bool) {
    let line = format!("{:>20} {} end\n", progress.timestamp_micros(), u8::from(busy));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(progress_path(clock, process))
        .and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        tracing::warn!(process, %error, "progress of the scaled clock could not be written");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::{from_ist, hms};

    #[test]
    fn stands_at_its_horizon_and_moves_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let date = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let start = from_ist(date, hms(7, 58, 0));
        let mut conductor = Conductor::create(&path, start).unwrap();
        let clock = crate::clock::Clock::scaled(&path).unwrap();
        assert_eq!(clock.now(), start);
        let horizon = start + chrono::TimeDelta::seconds(30);
        conductor.run(1e6, horizon).unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while clock.now() < horizon && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert_eq!(clock.now(), horizon);
    }

    #[test]
    fn progress_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clock");
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let conductor = Conductor::create(&path, start).unwrap();
        assert_eq!(conductor.progress("trading"), None);
        crate::clock::Clock::scaled(&path).unwrap().report("trading", start, true);
        assert_eq!(conductor.progress("trading"), Some((start, true)));
    }

    #[test]
    fn a_torn_line_is_refused() {
        let pace = Pace { real_us: 1, market_us: 2, speed: 3.0, horizon_us: 4 };
        let mut line = pace.encode();
        assert_eq!(Pace::decode(&line), Some(pace));
        line[0] = b'9';
        assert_eq!(Pace::decode(&line), None);
    }
}
