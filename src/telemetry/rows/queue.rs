//! Rows that wait to be stored.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::Level;

use super::super::entry::level_number;
use super::backend::{Figures, Options, State};
use super::{Record, Row};

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
    last_id: i64,
    /// Where in a microsecond this process begins to number.
    start: i64,
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
    fn new(options: &Options) -> Queue {
        Queue {
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
        }
    }

    pub(super) fn len(&self) -> usize {
        self.light.len() + self.heavy.len()
    }

    pub(super) fn has_room(&self, matters: bool) -> bool {
        if matters {
            self.len() < self.rows_max + self.heavy_rows_more || !self.light.is_empty()
        } else {
            self.len() < self.rows_max
        }
    }

    /// Takes a row when there is room; false when not, and then it is
    /// counted as dropped.
    pub(super) fn offer(&mut self, row: Row) -> bool {
        let (level, matters) = (row.level, row.matters());
        self.figures.offered[place(level)] += 1;
        if !self.has_room(matters) {
            self.figures.dropped[place(level)] += 1;
            return false;
        }
        if self.len() >= self.rows_max + self.heavy_rows_more
            && let Some(pushed_out) = self.light.pop_front()
        {
            self.figures.dropped[place(pushed_out.row.level)] += 1;
        }
        let record = self.number(row);
        self.since.get_or_insert_with(Instant::now);
        if matters {
            self.heavy.push_back(record);
        } else {
            self.light.push_back(record);
        }
        true
    }

    /// Gives a row the next number.
    pub(super) fn number(&mut self, row: Row) -> Record {
        let record = Record::new(row, self.last_id, self.start);
        self.last_id = record.id;
        record
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
    pub(super) fn new(options: &Options) -> Shared {
        Shared {
            queue: Mutex::new(Queue::new(options)),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
