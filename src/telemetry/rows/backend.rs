//! What a sink is made of, and what it tells of itself.

use std::path::PathBuf;

use super::Record;
use crate::clock::Clock;
use crate::market::Timestamp;

/// Why a batch was not stored.
pub type BackendError = Box<dyn std::error::Error + Send + Sync>;

/// Where rows are stored.
pub trait Backend: Send + 'static {
    /// Stores all records of the batch or none. A record that was stored
    /// before is left as it is. An empty batch only looks whether the backend
    /// is well.
    ///
    /// # Errors
    /// When nothing was stored.
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError>;

    /// What a damaged database was renamed to, once.
    fn take_aside(&mut self) -> Option<PathBuf> {
        None
    }
}

/// What a sink is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// The service, for the rows that the sink itself adds.
    pub service: &'static str,
    /// The file in which rows wait while the database fails; in memory
    /// without one.
    pub fallback: Option<PathBuf>,
    /// The market's clock.
    pub clock: Clock,
    /// Rows that may wait.
    pub rows_max: usize,
    /// Rows from WARN up that may wait beyond those.
    pub heavy_rows_more: usize,
    /// Largest size of the fallback file, in bytes.
    pub fallback_bytes_max: u64,
    /// Rows that wait in memory at most, where there is no fallback file; the
    /// oldest are dropped.
    pub held_rows_max: usize,
    /// False for a collector: its failure is not one of a log database.
    pub is_database: bool,
    /// Hears of lost rows. It may be what logs cannot say, so it must not log,
    /// and nobody may have to read it; nobody hears of them unless it is set.
    pub complain: fn(&str),
}

impl Options {
    /// The usual bounds: 10,000 rows, 2,000 more from WARN up, 10 MB.
    pub fn new(service: &'static str, fallback: PathBuf, clock: &Clock) -> Options {
        Options {
            service,
            fallback: Some(fallback),
            clock: clock.clone(),
            rows_max: 10_000,
            heavy_rows_more: 2_000,
            fallback_bytes_max: 10_000_000,
            held_rows_max: 20_000,
            is_database: true,
            complain: |_| {},
        }
    }

    /// The same for a database elsewhere: what it cannot take waits in memory,
    /// 20,000 rows at most.
    pub fn in_memory(service: &'static str, clock: &Clock) -> Options {
        Options { fallback: None, ..Options::new(service, PathBuf::new(), clock) }
    }
}

/// How the database does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Rows are stored.
    Well,
    /// Rows go to the fallback file.
    Failing {
        /// Since when, in market time.
        since: Timestamp,
        /// What went wrong last.
        why: String,
    },
}

/// Rows by what became of them, each by level from ERROR to TRACE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Offered, or counted in place of being offered.
    pub offered: [u64; 5],
    /// Stored in the database.
    pub stored: [u64; 5],
    /// Laid by: in the fallback file, or in memory where there is none.
    pub spilled: [u64; 5],
    /// Lost: no room in the queue, or none where rows are laid by.
    pub dropped: [u64; 5],
    /// Brought from there into the database, those of earlier processes too.
    pub imported: u64,
    /// Lines of the fallback file that were no rows.
    pub unreadable: u64,
    /// Rows that wait in the queue.
    pub waiting: usize,
}
