//! The queue of rows that a thread stores.
//!
//! Offering takes a lock for the time of a push, does no I/O and never waits.
//! Rows below WARN find room for 10,000; rows from WARN up for 2,000 more, and
//! push the oldest lighter row out before they are refused themselves. What
//! is refused is counted, and told by a row of its own once there is room.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::Level;

use super::super::entry::level_number;
use super::keeper::{BATCH, Keeper};
use super::{Record, Row};
use crate::clock::Clock;
use crate::market::Timestamp;

/// How long the end waits for what is queued.
const END_WITHIN: Duration = Duration::from_secs(5);

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

/// Name of the thread.
pub(in crate::telemetry) const THREAD: &str = "log-rows";

/// How much the thread gives way to those that trade and write files.
const NICE: i32 = 10;

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

/// Takes rows and has them stored. Dropping it stores what waits.
#[derive(Debug)]
pub struct Sink {
    shared: Arc<Shared>,
    is_database: bool,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    queue: Mutex<Queue>,
    /// Something for the thread to do.
    pub(super) work: Condvar,
    /// The thread did something that somebody waits for.
    pub(super) done: Condvar,
}

#[derive(Debug)]
pub(super) struct Queue {
    light: VecDeque<Record>,
    heavy: VecDeque<Record>,
    rows_max: usize,
    heavy_rows_more: usize,
    pub(super) last_id: i64,
    /// Where in a microsecond this process begins to number.
    pub(super) start: i64,
    /// When the oldest row that waits came, in real time.
    pub(super) since: Option<Instant>,
    pub(super) flush_asked: u64,
    pub(super) flush_done: u64,
    pub(super) is_stopping: bool,
    pub(super) has_ended: bool,
    pub(super) figures: Figures,
    pub(super) state: State,
    pub(super) aside: Option<PathBuf>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.light.len() + self.heavy.len()
    }

    fn has_room(&self, matters: bool) -> bool {
        if matters {
            self.len() < self.rows_max + self.heavy_rows_more || !self.light.is_empty()
        } else {
            self.len() < self.rows_max
        }
    }

    /// The oldest rows, in order.
    pub(super) fn take(&mut self, rows_max: usize) -> Vec<Record> {
        let mut batch = Vec::with_capacity(rows_max.min(self.len()));
        while batch.len() < rows_max {
            let id = |rows: &VecDeque<Record>| rows.front().map_or(i64::MAX, |record| record.id);
            let light_first = id(&self.light) <= id(&self.heavy);
            let next = if light_first { &mut self.light } else { &mut self.heavy };
            match next.pop_front() {
                Some(record) => batch.push(record),
                None => break,
            }
        }
        self.since = (self.len() > 0).then(Instant::now);
        batch
    }
}

pub(super) fn place(level: Level) -> usize {
    usize::from(level_number(level))
}

pub(super) fn count(by_level: &mut [u64; 5], records: &[Record]) {
    for record in records {
        by_level[place(record.row.level)] += 1;
    }
}

impl Shared {
    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink {
    /// Starts the thread that stores.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(options: Options, backend: impl Backend) -> std::io::Result<Sink> {
        let queue = Queue {
            light: VecDeque::new(),
            heavy: VecDeque::new(),
            rows_max: options.rows_max,
            heavy_rows_more: options.heavy_rows_more,
            last_id: 0,
            // Rows of one process seldom meet those of another.
            start: i64::from(std::process::id()) * 389,
            since: None,
            flush_asked: 0,
            flush_done: 0,
            is_stopping: false,
            has_ended: false,
            figures: Figures::default(),
            state: State::Well,
            aside: None,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::new(queue),
            work: Condvar::new(),
            done: Condvar::new(),
        });
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
        let (level, matters) = (row.level, row.matters());
        let mut queue = self.shared.queue();
        queue.figures.offered[place(level)] += 1;
        if !queue.has_room(matters) {
            queue.figures.dropped[place(level)] += 1;
            return false;
        }
        if queue.len() >= queue.rows_max + queue.heavy_rows_more
            && let Some(pushed_out) = queue.light.pop_front()
        {
            queue.figures.dropped[place(pushed_out.row.level)] += 1;
        }
        let record = Record::new(row, queue.last_id, queue.start);
        queue.last_id = record.id;
        queue.since.get_or_insert_with(Instant::now);
        if matters {
            queue.heavy.push_back(record)
        } else {
            queue.light.push_back(record)
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
