//! The queue of rows that a thread stores.
//!
//! Offering takes a lock for the time of a push, does no I/O and never waits.
//! Rows below WARN find room for 10,000; rows from WARN up for 2,000 more, and
//! push the oldest lighter row out before they are refused themselves. What
//! is refused is counted, and told by a row of its own once there is room.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::Level;

use super::Row;
use super::backend::{Backend, Figures, Options, State};
use super::keeper::{BATCH, Keeper};
use super::queue::{Queue, Shared, place};

/// How long the end waits for what is queued.
const END_WITHIN: Duration = Duration::from_secs(5);

/// Name of the thread.
pub(in crate::telemetry) const THREAD: &str = "log-rows";

/// How much the thread gives way to those that trade and write files.
const NICE: i32 = 10;

/// Takes rows and has them stored. Dropping it stores what waits.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    is_database: bool,
    thread: Option<JoinHandle<()>>,
}

impl Sink {
    /// Starts the thread that stores.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: Options, backend: impl Backend) -> std::io::Result<Sink> {
        let shared = Arc::new(Shared::new(&options));
        let is_database = options.is_database;
        let keeper = Keeper::new(&shared, options, Box::new(backend));
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            // Works as well without; others only notice it more.
            let _ = rustix::process::nice(NICE);
            keeper.run();
        })?;
        Ok(Sink { shared, is_database, thread: Some(thread) })
    }

    /// Takes a row when there is room; false when not, and then it is
    /// counted as dropped.
    pub fn offer(&self, row: Row) -> bool {
        let mut queue = self.shared.queue();
        if !queue.offer(row) {
            return false;
        }
        // Once for the wait of the first row, once for a full batch.
        let wakes = queue.len() == 1 || queue.len() == BATCH;
        drop(queue);
        if wakes {
            self.shared.work.notify_one();
        }
        true
    }

    /// True when a row would be taken now, one that matters or not: worth
    /// making it.
    pub fn has_room(&self, matters: bool) -> bool {
        self.shared.queue().has_room(matters)
    }

    /// Counts a row that was not made for want of room.
    pub fn count_dropped(&self, level: Level) {
        let mut queue = self.shared.queue();
        queue.figures.offered[place(level)] += 1;
        queue.figures.dropped[place(level)] += 1;
    }

    /// What became of rows so far.
    pub fn figures(&self) -> Figures {
        let queue = self.shared.queue();
        Figures { waiting: queue.len(), ..queue.figures }
    }

    /// Whether its failure is one of a log database.
    pub(in crate::telemetry) fn is_database(&self) -> bool {
        self.is_database
    }

    /// How the database does.
    pub fn state(&self) -> State {
        self.shared.queue().state.clone()
    }

    /// What a damaged database was renamed to; told once.
    pub fn take_aside(&self) -> Option<PathBuf> {
        self.shared.queue().aside.take()
    }

    /// Has what waits stored now. False when that took longer than `within`;
    /// it goes on nevertheless.
    pub fn flush(&self, within: Duration) -> bool {
        let mut queue = self.shared.queue();
        queue.flush_asked += 1;
        let asked = queue.flush_asked;
        self.shared.work.notify_one();
        let wait = |queue: &mut Queue| queue.flush_done < asked && !queue.has_ended;
        let waited = self.shared.done.wait_timeout_while(queue, within, wait);
        let (queue, _) = waited.unwrap_or_else(PoisonError::into_inner);
        queue.flush_done >= asked
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        let mut queue = self.shared.queue();
        queue.is_stopping = true;
        self.shared.work.notify_one();
        let waited =
            self.shared.done.wait_timeout_while(queue, END_WITHIN, |queue| !queue.has_ended);
        let has_ended = waited.unwrap_or_else(PoisonError::into_inner).0.has_ended;
        if has_ended && let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
