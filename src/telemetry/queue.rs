//! The bounded way from the threads that log to the one that writes.
//!
//! One buffer of encoded entries behind a lock that is held for the copy of
//! one entry. The writer takes the whole buffer at once and leaves an empty
//! one, so that it costs neither side an allocation for each line.
//!
//! When the queue is full, what is less than a warning is dropped and
//! counted. Warnings and errors have room of their own; when that is full
//! too, the caller waits a moment for the writer, and no longer once a wait
//! was in vain, so that a disk that hangs does not slow down trading.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::entry::{Entry, level_number};

/// Entries that may wait beyond the limit when they are warnings or errors.
const RESERVE: usize = 2_000;

/// Bytes of waiting entries at most, whatever their number.
const BYTES_MAX: usize = 16 << 20;

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
    /// Number of the last flush asked for.
    asked: u64,
    /// Number of the last flush done.
    flushed: u64,
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
        let matters = entry.level <= Level::WARN;
        let mut waiting = self.lock();
        if matters {
            let full = |waiting: &Waiting| waiting.batch.is_full(self.limit + RESERVE);
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
        } else if waiting.batch.is_full(self.limit) {
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

    /// Tells those who wait for a flush.
    pub(super) fn flushed(&self, number: u64) {
        let mut waiting = self.lock();
        waiting.flushed = waiting.flushed.max(number);
        drop(waiting);
        self.room.notify_all();
    }

    /// Waits until what is in the queue by now has been written; false when
    /// `within` was too short for that.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let mut waiting = self.lock();
        waiting.asked += 1;
        let number = waiting.asked;
        self.filled.notify_one();
        let waited =
            self.room.wait_timeout_while(waiting, within, |waiting| waiting.flushed < number);
        waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        waiting.flushed >= number
    }

    /// Nothing will be put in any more; the writer ends when it is empty.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
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
    fn is_full(&self, limit: usize) -> bool {
        self.entries >= limit || self.bytes.len() >= BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::super::component::Component;
    use super::super::entry::{FieldsBuffer, decode};
    use super::*;

    fn push(queue: &Queue, level: Level, message: &str) -> bool {
        let fields = FieldsBuffer::default();
        queue.push(&Entry {
            at_us: 0,
            level,
            component: Component::General,
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
        assert!(!queue.flush(Duration::from_millis(1)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let taken = queue.take(Batch::default(), Duration::from_secs(10));
                queue.flushed(taken.flush.unwrap());
                let taken = queue.take(Batch::default(), Duration::from_secs(10));
                if let Some(number) = taken.flush {
                    queue.flushed(number);
                }
            });
            assert!(queue.flush(Duration::from_secs(10)));
            queue.close();
        });
    }
}
