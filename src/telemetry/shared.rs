//! What the threads that log, the one that writes and those who ask about
//! both have in common.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tracing::Level;

use super::entry::level_number;
use super::queue::{Counts, Queue};
use super::sampler::Sampler;
use super::scrub::Scrubber;
use crate::clock::Clock;

/// Names of the levels, in the order of [`Counts`].
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

/// Nothing fails.
const WELL: i64 = i64::MIN;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) service: &'static str,
    pub(super) clock: Clock,
    pub(super) queue: Queue,
    pub(super) sampler: Sampler,
    pub(super) scrubber: Scrubber,
    sampled: [AtomicU64; 5],
    written: [AtomicU64; 5],
    lost: [AtomicU64; 5],
    lost_copies: AtomicU64,
    not_shown: AtomicU64,
    bytes: AtomicU64,
    rows_pruned: AtomicU64,
    folder_bytes: AtomicU64,
    failing_since_us: AtomicI64,
    database_failing_since_us: AtomicI64,
    failure: Mutex<String>,
}

/// How logging of this process fares. Counts are of lines since its start,
/// for the levels ERROR, WARN, INFO, DEBUG and TRACE. Every line that the
/// code emits is in exactly one of `written`, `sampled`, `dropped`, `lost`
/// once it has left the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Written to the service's own file.
    pub written: [u64; 5],
    /// Repeated, and only summed up.
    pub sampled: [u64; 5],
    /// Dropped since the queue was full, or had ended.
    pub dropped: [u64; 5],
    /// Given up since the disk took nothing for too long.
    pub lost: [u64; 5],
    /// Copies for other files than the service's own (`errors`, `system`, one
    /// for a component) that were given up; the lines count elsewhere.
    pub lost_copies: u64,
    /// Warnings and errors that standard error did not take; whatever else
    /// became of them.
    pub not_shown: u64,
    /// Bytes written to all files.
    pub bytes: u64,
    /// Rows that this process threw out of the log database for want of room.
    pub rows_pruned: u64,
    /// Lines that waited in the queue when it was last emptied.
    pub queued: u64,
    /// Bytes of the log folder when last looked at.
    pub folder_bytes: u64,
    /// Since when, and why, the files cannot be written; in microseconds
    /// since 1970 in UTC.
    pub failing: Option<(i64, String)>,
    /// Since when the log database cannot be written; likewise.
    pub database_failing: Option<i64>,
}

impl Shared {
    pub(super) fn new(
        service: &'static str,
        clock: Clock,
        queue: Queue,
        sampler: Sampler,
        scrubber: Scrubber,
    ) -> Shared {
        Shared {
            service,
            clock,
            queue,
            sampler,
            scrubber,
            sampled: Default::default(),
            written: Default::default(),
            lost: Default::default(),
            lost_copies: AtomicU64::new(0),
            not_shown: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            rows_pruned: AtomicU64::new(0),
            folder_bytes: AtomicU64::new(0),
            failing_since_us: AtomicI64::new(WELL),
            database_failing_since_us: AtomicI64::new(WELL),
            failure: Mutex::default(),
        }
    }

    pub(super) fn count_sampled(&self, level: Level) {
        if let Some(count) = self.sampled.get(usize::from(level_number(level))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_written(&self, lines: Counts, bytes: u64) {
        add(&self.written, lines);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn count_lost(&self, lines: Counts) {
        add(&self.lost, lines);
    }

    pub(super) fn count_lost_copies(&self, copies: u64) {
        self.lost_copies.fetch_add(copies, Ordering::Relaxed);
    }

    pub(super) fn note_not_shown(&self, lines: u64) {
        self.not_shown.store(lines, Ordering::Relaxed);
    }

    pub(super) fn count_pruned(&self, rows: u64) {
        self.rows_pruned.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn note_folder(&self, bytes: u64) {
        self.folder_bytes.store(bytes, Ordering::Relaxed);
    }

    /// True when nothing failed before.
    pub(super) fn begin_failing(&self, now_us: i64, why: &str) -> bool {
        let first = self
            .failing_since_us
            .compare_exchange(WELL, now_us, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok();
        if first {
            self.note_failing(why);
        }
        first
    }

    /// What fails now.
    pub(super) fn note_failing(&self, why: &str) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if *failure != why {
            *failure = why.to_string();
        }
    }

    /// Notes how the log database does: since when it fails.
    pub(super) fn note_database(&self, failing_since_us: Option<i64>) {
        let since = failing_since_us.unwrap_or(WELL);
        self.database_failing_since_us.store(since, Ordering::Relaxed);
    }

    /// Since when it failed, when it did.
    pub(super) fn end_failing(&self) -> Option<i64> {
        let since = self.failing_since_us.swap(WELL, Ordering::Relaxed);
        (since != WELL).then_some(since)
    }

    pub(super) fn figures(&self) -> Figures {
        let since = self.failing_since_us.load(Ordering::Relaxed);
        let why = || self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Figures {
            written: load(&self.written),
            sampled: load(&self.sampled),
            dropped: self.queue.dropped(),
            lost: load(&self.lost),
            lost_copies: self.lost_copies.load(Ordering::Relaxed),
            not_shown: self.not_shown.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            rows_pruned: self.rows_pruned.load(Ordering::Relaxed),
            queued: self.queue.depth(),
            folder_bytes: self.folder_bytes.load(Ordering::Relaxed),
            failing: (since != WELL).then(|| (since, why())),
            database_failing: Some(self.database_failing_since_us.load(Ordering::Relaxed))
                .filter(|since| *since != WELL),
        }
    }
}

impl Figures {
    /// For a sign of life: an object.
    pub fn to_json(&self) -> Value {
        let levels = |counts: &[u64; 5]| -> Value {
            LEVELS
                .iter()
                .zip(counts)
                .map(|(name, count)| (name.to_string(), json!(count)))
                .collect()
        };
        json!({
            "written": levels(&self.written),
            "sampled": self.sampled.iter().sum::<u64>(),
            "dropped": levels(&self.dropped),
            "lost": levels(&self.lost),
            "lost_copies": self.lost_copies,
            "not_shown": self.not_shown,
            "bytes": self.bytes,
            "rows_pruned": self.rows_pruned,
            "queued": self.queued,
            "folder_bytes": self.folder_bytes,
            "failing": self.failing.as_ref().map(|(_, why)| why),
        })
    }
}

fn add(counts: &[AtomicU64; 5], more: Counts) {
    for (count, more) in counts.iter().zip(more) {
        count.fetch_add(more, Ordering::Relaxed);
    }
}

fn load(counts: &[AtomicU64; 5]) -> Counts {
    std::array::from_fn(|level| counts.get(level).map_or(0, |count| count.load(Ordering::Relaxed)))
}
