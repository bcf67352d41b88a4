//! Figures of machine and process, taken every few seconds.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::proc::{self, Ticks};
use crate::market::Timestamp;
use crate::store::FILE_NAME;
use crate::telemetry::rows;

/// What the load of a minute is averaged over.
const MINUTE: Duration = Duration::from_secs(60);

/// Share of real time that adding up the log folder may take: a thousandth.
const WALK_SHARE: u32 = 1_000;

/// What one process uses, as it measures itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Processor time since the last sample; 100 is one processor.
    pub cpu_pct: f64,
    /// Processor time since the process started, in seconds.
    pub cpu_s: f64,
    /// Bytes in memory.
    pub rss_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub fds: u64,
    /// File descriptors that it may have.
    pub fds_max: u64,
}

/// What the machine uses, all processes together.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Share of all processors since the last sample, in percent.
    pub cpu_pct: f64,
    /// The same over the last minute; `None` before it is over.
    pub cpu_minute_pct: Option<f64>,
    /// Memory that programs cannot have, in percent.
    pub memory_pct: f64,
    /// Memory in all, in bytes.
    pub memory_bytes: u64,
    /// Use of the disk with the data folder, in percent.
    pub data_disk_pct: f64,
    /// Bytes free on it.
    pub data_disk_free_bytes: u64,
    /// Use of the disk with the log folder, in percent.
    pub log_disk_pct: f64,
    /// Bytes free on it.
    pub log_disk_free_bytes: u64,
    /// Bytes of all log files.
    pub log_bytes: u64,
    /// Bytes of the database.
    pub database_bytes: u64,
    /// Bytes of its write-ahead log.
    pub wal_bytes: u64,
    /// Bytes of the log records' database and its archive, with their
    /// write-ahead logs.
    pub log_database_bytes: u64,
}

impl Machine {
    /// Use of the fuller one of the two disks, in percent.
    pub fn disk_pct(&self) -> f64 {
        self.data_disk_pct.max(self.log_disk_pct)
    }
}

/// What was measured at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// When, in market time.
    pub at: Timestamp,
    /// The process that measured.
    pub process: Process,
    /// The machine, when this process looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

/// The folders whose size and disk are of interest.
#[derive(Debug, Clone)]
pub struct Folders {
    /// The data folder.
    pub data: PathBuf,
    /// The log folder.
    pub logs: PathBuf,
}

/// Takes samples; remembers what it needs for differences.
#[derive(Debug)]
pub struct Sampler {
    folders: Option<Folders>,
    buffer: String,
    cpu_time: (Instant, Duration),
    ticks: VecDeque<(Instant, Ticks)>,
    hidden_told: bool,
    log_bytes: u64,
    walk_due: Option<Instant>,
}

impl Sampler {
    /// Looks at the machine as well when folders are named.
    pub fn new(folders: Option<Folders>) -> Sampler {
        Sampler {
            folders,
            buffer: String::new(),
            cpu_time: (Instant::now(), proc::cpu_time()),
            ticks: VecDeque::new(),
            hidden_told: false,
            log_bytes: 0,
            walk_due: None,
        }
    }

    /// Measures now. What cannot be read stays zero.
    pub fn sample(&mut self, at: Timestamp) -> Sample {
        let now = Instant::now();
        let process = self.process(now);
        let machine = self.folders.clone().map(|folders| self.machine(now, &folders));
        Sample { at, process, machine }
    }

    fn process(&mut self, now: Instant) -> Process {
        let used = proc::cpu_time();
        let (since, before) = std::mem::replace(&mut self.cpu_time, (now, used));
        let span = (now - since).as_secs_f64();
        let cpu =
            if span > 0.0 { 100.0 * used.saturating_sub(before).as_secs_f64() / span } else { 0.0 };
        let status = proc::read("/proc/self/status", &mut self.buffer);
        let (rss_bytes, threads) = status.and_then(proc::size).unwrap_or_default();
        let (fds, fds_max) = proc::descriptors();
        let cpu_s = used.as_secs_f64();
        Process { cpu_pct: proc::round(cpu), cpu_s, rss_bytes, threads, fds, fds_max }
    }

    fn machine(&mut self, now: Instant, folders: &Folders) -> Machine {
        let ticks = proc::read("/proc/stat", &mut self.buffer).and_then(proc::ticks);
        let (cpu_pct, cpu_minute_pct) = match ticks {
            Some(ticks) => self.load(now, ticks),
            None => (0.0, None),
        };
        let memory = proc::read("/proc/meminfo", &mut self.buffer).and_then(proc::memory);
        if (ticks.is_none() || memory.is_none()) && !std::mem::replace(&mut self.hidden_told, true)
        {
            tracing::warn!(
                "load and memory of the machine cannot be measured: /proc is hidden; the unit \
                 needs ProcSubset=all"
            );
        }
        let (memory_bytes, available) = memory.unwrap_or_default();
        let (data_disk_pct, data_disk_free_bytes) = proc::disk(&folders.data).unwrap_or_default();
        let (log_disk_pct, log_disk_free_bytes) = proc::disk(&folders.logs).unwrap_or_default();
        let bytes = |name: &str| proc::file_bytes(&folders.data.join(name));
        let wal = |name: &str| bytes(&format!("{name}-wal"));
        Machine {
            cpu_pct,
            cpu_minute_pct,
            memory_pct: proc::percent(memory_bytes - available, memory_bytes),
            memory_bytes,
            data_disk_pct,
            data_disk_free_bytes,
            log_disk_pct,
            log_disk_free_bytes,
            log_bytes: self.log_bytes(now, folders),
            database_bytes: bytes(FILE_NAME),
            wal_bytes: wal(FILE_NAME),
            log_database_bytes: [rows::FILE_NAME, rows::ARCHIVE_NAME]
                .into_iter()
                .map(|name| bytes(name) + wal(name))
                .sum(),
        }
    }

    /// The load since the last sample and over the last minute.
    fn load(&mut self, now: Instant, ticks: Ticks) -> (f64, Option<f64>) {
        let last = self.ticks.back().map(|(_, last)| *last);
        // The oldest one that is kept is the last one before the minute.
        while self.ticks.get(1).is_some_and(|(at, _)| now - *at >= MINUTE) {
            self.ticks.pop_front();
        }
        let oldest = self.ticks.front().filter(|(at, _)| now - *at >= MINUTE);
        let minute = oldest.and_then(|(_, oldest)| ticks.percent_since(*oldest));
        self.ticks.push_back((now, ticks));
        (last.and_then(|last| ticks.percent_since(last)).unwrap_or(0.0), minute)
    }

    /// Adds the log folder up, less often the longer it takes.
    fn log_bytes(&mut self, now: Instant, folders: &Folders) -> u64 {
        if self.walk_due.is_none_or(|due| now >= due) {
            let began = Instant::now();
            self.log_bytes = proc::folder_bytes(&folders.logs);
            self.walk_due = Some(now + began.elapsed() * WALK_SHARE);
        }
        self.log_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler() -> (tempfile::TempDir, Sampler) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), [0; 100]).unwrap();
        std::fs::write(folder.path().join("trading.db-wal"), [0; 7]).unwrap();
        let path = folder.path().to_owned();
        (folder, Sampler::new(Some(Folders { data: path.clone(), logs: path })))
    }

    #[test]
    fn a_sample_has_machine_and_process() {
        let (_folder, mut sampler) = sampler();
        let at = crate::clock::real_now();
        sampler.sample(at);
        let sample = sampler.sample(at);
        let machine = sample.machine.unwrap();
        assert!(machine.memory_pct > 0.0 && machine.memory_pct <= 100.0);
        assert_eq!((machine.database_bytes, machine.wal_bytes, machine.log_bytes), (100, 7, 107));
        assert!(machine.disk_pct() > 0.0);
        assert_eq!(machine.cpu_minute_pct, None);
        assert!(sample.process.rss_bytes > 0 && sample.process.fds > 0);
        assert!(Sampler::new(None).sample(at).machine.is_none());
    }

    #[test]
    fn the_minute_is_averaged_when_it_is_over() {
        let (_folder, mut sampler) = sampler();
        let start = Instant::now();
        let mut minute = None;
        // Busy for half of each second.
        for second in 0..=90_u64 {
            let ticks = Ticks { busy: 50 * second, total: 100 * second };
            let (_, average) = sampler.load(start + Duration::from_secs(second), ticks);
            assert_eq!(average.is_some(), second >= 60, "{second}");
            minute = average;
        }
        assert_eq!(minute, Some(50.0));
        assert!(sampler.ticks.len() <= 62, "{}", sampler.ticks.len());
    }

    /// A sample must not be felt by anyone. The bound is wide: the machine of
    /// a test may be busy.
    #[test]
    fn it_is_cheap() {
        let (_folder, mut sampler) = sampler();
        let at = crate::clock::real_now();
        let fastest = (0..50)
            .map(|_| {
                let began = Instant::now();
                sampler.sample(at);
                began.elapsed()
            })
            .min();
        assert!(fastest.unwrap() < Duration::from_millis(1), "{fastest:?}");
    }
}
