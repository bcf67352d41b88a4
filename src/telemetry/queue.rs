//! The bounded way from the threads that log to the one that writes.
//!
//! One buffer of encoded entries behind a lock that is held for the copy of
//! one entry. The writer takes the whole buffer at once and leaves an empty
//! one, so that it costs neither side an allocation for each line.
//!
//! When the queue is full, what is less than a warning is dropped and
//! counted. Warnings, errors and facts about trades have room of their own;
//! when that is full too, the caller waits a moment for the writer, and no
//! longer once a wait was in vain, so that a disk that hangs does not slow
//! down trading.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::entry::{Entry, level_number};

/// Entries that may wait beyond the limit when they matter: some seconds of
/// them while a disk that is written to its limits lets the writer wait.
const RESERVE: usize = 40_000;

/// Bytes of waiting entries at most, whatever their number.
const BYTES_MAX: usize = 16 << 20;

/// Bytes beyond those for entries that matter.
const RESERVE_BYTES: usize = 8 << 20;

/// How long a warning waits for room.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// How long the writer lets entries gather, unless one is urgent.
const GATHER: Duration = Duration::from_millis(5);

/// Counts for each level, from ERROR to TRACE.
pub(super) type Counts = [u64; 5];

/// Encoded entries and how many there are.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) entries: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    batch: Batch,
    /// The writer waits to be woken.
    idle: bool,
    /// Something shall not wait for more to gather.
    urgent: bool,
    closed: bool,
    /// The writer is gone: nothing is put in any more.
    ended: bool,
    /// Number of the last flush asked for.
    asked: u64,
    /// Number of the last flush done.
    flushed: u64,
    /// Why that one did not write everything.
    failed: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Queue {
    limit: usize,
    waiting: Mutex<Waiting>,
    /// Tells the writer.
    filled: Condvar,
    /// Tells callers that there is room, or that a flush is done.
    room: Condvar,
    /// The last wait for room was in vain.
    stuck: AtomicBool,
    dropped: [AtomicU64; 5],
    /// Entries that waited when last looked.
    depth: AtomicU64,
}

/// How a flush went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Written,
    /// The writer has seen all of it, and a file did not take it.
    Failed(String),
    /// The writer is not so far, or gone.
    Late,
}

/// What the writer is to do next.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) batch: Batch,
    /// Somebody waits until all of it is on its way to the disk.
    pub(super) flush: Option<u64>,
    pub(super) closed: bool,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Queue {
        Queue {
            limit,
            waiting: Mutex::default(),
            filled: Condvar::new(),
            room: Condvar::new(),
            stuck: AtomicBool::new(false),
            dropped: Default::default(),
            depth: AtomicU64::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an entry in the queue; false when it was dropped.
    pub(super) fn push(&self, entry: &Entry<'_>) -> bool {
        let matters = entry.matters();
        let mut waiting = self.lock();
        if waiting.ended {
            drop(waiting);
            self.drop_one(entry.level);
            return false;
        }
        if matters {
            let full = |waiting: &Waiting| {
                waiting.ended
                    || waiting.batch.is_full(self.limit + RESERVE, BYTES_MAX + RESERVE_BYTES)
            };
            if full(&waiting) && !self.stuck.load(Ordering::Relaxed) {
                let until = Instant::now() + WAIT_MAX;
                while full(&waiting) && !waiting.closed {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        self.stuck.store(true, Ordering::Relaxed);
                        break;
                    }
                    let waited = self.room.wait_timeout(waiting, left);
                    waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            if full(&waiting) {
                drop(waiting);
                self.drop_one(entry.level);
                return false;
            }
        } else if waiting.batch.is_full(self.limit, BYTES_MAX) {
            drop(waiting);
            self.drop_one(entry.level);
            return false;
        }
        entry.encode(&mut waiting.batch.bytes);
        waiting.batch.entries += 1;
        let urgent = matters || waiting.batch.entries == self.limit / 2;
        let wake = waiting.idle || urgent && !waiting.urgent;
        waiting.urgent |= urgent;
        waiting.idle = false;
        drop(waiting);
        if wake {
            self.filled.notify_one();
        }
        true
    }

    fn drop_one(&self, level: Level) {
        if let Some(count) = self.dropped.get(usize::from(level_number(level))) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits for entries, for `longest` at most, and takes them all. `spare`
    /// becomes the next buffer.
    pub(super) fn take(&self, mut spare: Batch, longest: Duration) -> Taken {
        spare.bytes.clear();
        spare.entries = 0;
        let mut waiting = self.lock();
        let acts = |waiting: &Waiting| waiting.closed || waiting.asked > waiting.flushed;
        if waiting.batch.entries == 0 && !acts(&waiting) {
            waiting.idle = true;
            let waited = self.filled.wait_timeout_while(waiting, longest, |waiting| {
                waiting.batch.entries == 0 && !acts(waiting)
            });
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            waiting.idle = false;
            if waiting.batch.entries > 0 {
                let waited = self.filled.wait_timeout_while(waiting, GATHER, |waiting| {
                    !waiting.urgent && !acts(waiting)
                });
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        let batch = std::mem::replace(&mut waiting.batch, spare);
        waiting.urgent = false;
        self.depth.store(u64::try_from(batch.entries).unwrap_or(u64::MAX), Ordering::Relaxed);
        let flush = (waiting.asked > waiting.flushed).then_some(waiting.asked);
        let taken = Taken { batch, flush, closed: waiting.closed };
        drop(waiting);
        self.stuck.store(false, Ordering::Relaxed);
        self.room.notify_all();
        taken
    }

    /// Tells those who wait for a flush, and why a file did not take all.
    pub(super) fn flushed(&self, number: u64, failed: Option<String>) {
        let mut waiting = self.lock();
        waiting.flushed = waiting.flushed.max(number);
        waiting.failed = failed;
        drop(waiting);
        self.room.notify_all();
    }

    /// Waits until what is in the queue by now has been written, for `within`
    /// at most.
    pub(super) fn flush(&self, within: Duration) -> Outcome {
        let mut waiting = self.lock();
        waiting.asked += 1;
        let number = waiting.asked;
        self.filled.notify_one();
        let waited = self.room.wait_timeout_while(waiting, within, |waiting| {
            waiting.flushed < number && !waiting.ended
        });
        waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        if waiting.flushed < number {
            return Outcome::Late;
        }
        // What a later flush wrote was written as well.
        waiting.failed.clone().map_or(Outcome::Written, Outcome::Failed)
    }

    /// The writer is to end when the queue is empty.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    /// Ends the queue when it is empty, or `anyway`, and hands over what was
    /// in it. What comes later is dropped and counted.
    pub(super) fn end(&self, anyway: bool) -> Option<Batch> {
        let mut waiting = self.lock();
        if waiting.batch.entries > 0 && !anyway {
            return None;
        }
        waiting.ended = true;
        let rest = std::mem::take(&mut waiting.batch);
        drop(waiting);
        self.room.notify_all();
        Some(rest)
    }

    /// Entries dropped so far.
    pub(super) fn dropped(&self) -> Counts {
        std::array::from_fn(|level| {
            self.dropped.get(level).map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }

    /// Entries of the last buffer that was taken.
    pub(super) fn depth(&self) -> u64 {
        self.depth.load(Ordering::Relaxed)
    }
}

impl Batch {
    fn is_full(&self, limit: usize, bytes_max: usize) -> bool {
        self.entries >= limit || self.bytes.len() >= bytes_max
    }
}

#[cfg(test)]
mod tests {
    use super::super::component::Component;
    use super::super::entry::{FieldsBuffer, decode};
    use super::*;

    fn push(queue: &Queue, level: Level, message: &str) -> bool {
        push_of(queue, level, Component::General, message)
    }

    fn push_of(queue: &Queue, level: Level, component: Component, message: &str) -> bool {
        let fields = FieldsBuffer::default();
        queue.push(&Entry {
            at_us: 0,
            level,
            component,
            duration_us: None,
            target: "",
            correlation_id: "",
            event_type: "",
            message,
            fields: fields.as_fields(),
        })
    }

    fn messages(batch: &Batch) -> Vec<String> {
        let mut rest = batch.bytes.as_slice();
        std::iter::from_fn(|| {
            let (entry, after) = decode(rest)?;
            rest = after;
            Some(entry.message.to_string())
        })
        .collect()
    }

    #[test]
    fn what_matters_less_is_dropped_first() {
        let queue = Queue::new(2);
        assert!(push(&queue, Level::INFO, "1") && push(&queue, Level::DEBUG, "2"));
        assert!(!push(&queue, Level::INFO, "3") && !push(&queue, Level::DEBUG, "4"));
        assert!(push(&queue, Level::WARN, "5") && push(&queue, Level::ERROR, "6"));
        assert_eq!(queue.dropped(), [0, 0, 1, 1, 0]);
        let taken = queue.take(Batch::default(), Duration::ZERO);
        assert_eq!(messages(&taken.batch), ["1", "2", "5", "6"]);
        assert!(push(&queue, Level::INFO, "7"));
    }

    #[test]
    fn a_fact_about_a_trade_is_dropped_as_late_as_a_warning() {
        let queue = Queue::new(1);
        assert!(push(&queue, Level::INFO, "1") && !push(&queue, Level::INFO, "2"));
        assert!(push_of(&queue, Level::INFO, Component::TradingActivity, "3"));
        assert_eq!(queue.dropped(), [0, 0, 1, 0, 0]);
        let taken = queue.take(Batch::default(), Duration::ZERO);
        assert_eq!(messages(&taken.batch), ["1", "3"]);
    }

    #[test]
    fn long_lines_leave_room_for_warnings_too() {
        let queue = Queue::new(1_000_000);
        let long = "x".repeat(1 << 20);
        while push(&queue, Level::INFO, &long) {}
        let start = Instant::now();
        assert!(push(&queue, Level::WARN, "w") && push(&queue, Level::ERROR, "e"));
        assert!(start.elapsed() < WAIT_MAX, "it waits for nothing");
        while push(&queue, Level::ERROR, &long) {}
        assert_eq!(queue.dropped(), [1, 0, 1, 0, 0]);
        let taken = queue.take(Batch::default(), Duration::ZERO);
        assert!(taken.batch.bytes.len() < BYTES_MAX + RESERVE_BYTES + 2 * long.len());
    }

    #[test]
    fn what_comes_after_the_end_is_dropped_and_counted() {
        let queue = Queue::new(10);
        queue.close();
        // The writer is not gone yet.
        assert!(push(&queue, Level::INFO, "1"));
        assert!(queue.end(false).is_none());
        assert_eq!(messages(&queue.end(true).unwrap()), ["1"]);
        assert!(!push(&queue, Level::INFO, "2") && !push(&queue, Level::ERROR, "3"));
        assert_eq!(queue.dropped(), [1, 0, 1, 0, 0]);
        // Nobody waits for a writer that is gone.
        assert_eq!(queue.flush(Duration::from_secs(3600)), Outcome::Late);
    }

    #[test]
    fn a_warning_waits_for_room_and_no_longer_than_that() {
        let queue = Queue::new(0);
        for _ in 0..RESERVE {
            assert!(push(&queue, Level::WARN, "x"));
        }
        // Nobody takes anything: it waits, gives up, and does not wait again.
        let start = Instant::now();
        assert!(!push(&queue, Level::WARN, "y"));
        assert!(start.elapsed() >= WAIT_MAX);
        assert!(queue.stuck.load(Ordering::Relaxed));
        assert!(!push(&queue, Level::ERROR, "z"));
        assert_eq!(queue.dropped(), [1, 1, 0, 0, 0]);
        queue.take(Batch::default(), Duration::ZERO);
        assert!(!queue.stuck.load(Ordering::Relaxed));
        // Somebody takes while it waits.
        for _ in 0..RESERVE {
            assert!(push(&queue, Level::WARN, "x"));
        }
        std::thread::scope(|scope| {
            scope.spawn(|| queue.take(Batch::default(), Duration::ZERO));
            assert!(push(&queue, Level::WARN, "w"));
        });
    }

    #[test]
    fn many_threads_lose_nothing() {
        let queue = Queue::new(1_000_000);
        let mut seen = 0;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| (0..5_000).all(|n| push(&queue, Level::INFO, &n.to_string())))
                })
                .collect();
            let mut spare = Batch::default();
            while seen < 20_000 {
                let taken = queue.take(spare, Duration::from_millis(20));
                assert_eq!(messages(&taken.batch).len(), taken.batch.entries);
                seen += taken.batch.entries;
                spare = taken.batch;
            }
            assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
        });
        assert_eq!(seen, 20_000);
    }

    #[test]
    fn a_flush_waits_for_the_writer() {
        let queue = Queue::new(10);
        assert_eq!(queue.flush(Duration::from_millis(1)), Outcome::Late);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                loop {
                    let taken = queue.take(Batch::default(), Duration::from_secs(10));
                    if let Some(number) = taken.flush {
                        queue.flushed(number, (number > 2).then(|| "disk full".into()));
                    }
                    if taken.closed {
                        return;
                    }
                }
            });
            let within = Duration::from_secs(10);
            assert_eq!(queue.flush(within), Outcome::Written);
            assert_eq!(queue.flush(within), Outcome::Failed("disk full".into()));
            queue.close();
        });
    }
}
