//! The thread that stores the rows of a queue, and what it does with them
//! while the database fails. It must not log: it is where the logs go.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tracing::Level;

use super::backend::{Backend, Options, State};
use super::fallback::Imported;
use super::queue::{Shared, count};
use super::shelf::Shelf;
use super::{LEVELS, Record, Row};
use crate::clock::Clock;

/// Rows of a batch, and of one when there is much to catch up with.
pub(super) const BATCH: usize = 100;
const BATCH_MAX: usize = 1_000;

/// How long a row waits for others.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Pauses before a database that failed is tried again.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_LAST: Duration = Duration::from_secs(15);

/// Between two complaints.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// The thread's own side.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    shelf: Shelf,
    backend: Box<dyn Backend>,
    service: &'static str,
    clock: Clock,
    /// When a database that failed is tried again, and the pause before it.
    retry: Option<(Instant, Duration)>,
    /// Dropped rows that were told.
    told: [u64; 5],
    /// Damaged databases that were moved aside and not told of yet.
    aside: Vec<PathBuf>,
    complain: fn(&str),
    complained_at: Option<Instant>,
}

/// What the thread woke for.
struct Turn {
    batch: Vec<Record>,
    flush: u64,
    is_last: bool,
}

impl Keeper {
    pub(super) fn new(shared: &Arc<Shared>, options: Options, backend: Box<dyn Backend>) -> Keeper {
        Keeper {
            shared: Arc::clone(shared),
            shelf: Shelf::new(&options),
            backend,
            service: options.service,
            clock: options.clock,
            retry: None,
            told: [0; 5],
            aside: Vec::new(),
            complain: options.complain,
            complained_at: None,
        }
    }

    pub(super) fn run(mut self) {
        self.look_again();
        loop {
            let turn = self.wait();
            if !turn.batch.is_empty() {
                self.put(&turn.batch);
            }
            let may_look = self.retry.is_some_and(|(at, _)| Instant::now() >= at);
            if may_look {
                self.look_again();
            }
            self.tell_dropped();
            let mut queue = self.shared.queue();
            let is_empty = queue.len() == 0;
            if is_empty {
                queue.flush_done = queue.flush_done.max(turn.flush);
                queue.has_ended = turn.is_last;
                self.shared.done.notify_all();
                if turn.is_last {
                    return;
                }
            }
        }
    }

    /// Sleeps until there is something to do.
    fn wait(&self) -> Turn {
        let mut queue = self.shared.queue();
        loop {
            let is_urgent = queue.is_stopping || queue.flush_asked > queue.flush_done;
            let waited = queue.since.map(|since| since.elapsed());
            let is_due = queue.len() >= BATCH || waited.is_some_and(|waited| waited >= WAIT_MAX);
            let now = Instant::now();
            let retry_in = self.retry.map(|(at, _)| at.saturating_duration_since(now));
            if is_urgent || is_due || retry_in.is_some_and(|left| left.is_zero()) {
                let rows_max = if queue.len() > BATCH { BATCH_MAX } else { BATCH };
                let batch = queue.take(rows_max);
                return Turn { batch, flush: queue.flush_asked, is_last: queue.is_stopping };
            }
            let batch_in = waited.map(|waited| WAIT_MAX.saturating_sub(waited));
            let work = &self.shared.work;
            queue = match batch_in.into_iter().chain(retry_in).min() {
                Some(left) => {
                    work.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => work.wait(queue).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Stores a batch, or lays it by.
    fn put(&mut self, batch: &[Record]) {
        let is_resting = self.retry.is_some_and(|(at, _)| Instant::now() < at);
        if !is_resting {
            match self.backend.store(batch) {
                Ok(()) => {
                    count(&mut self.shared.queue().figures.stored, batch);
                    self.is_well();
                    return;
                }
                Err(error) => self.has_failed(&*error),
            }
        }
        self.spill(batch);
    }

    /// Sees whether the database is well, and brings in what waits for it.
    fn look_again(&mut self) {
        match self.backend.store(&[]) {
            Ok(()) => self.is_well(),
            Err(error) => self.has_failed(&*error),
        }
    }

    fn is_well(&mut self) {
        self.retry = None;
        if let Some(aside) = self.backend.take_aside() {
            self.shared.queue().aside = Some(aside.clone());
            self.aside.push(aside);
        }
        while let Some(aside) = self.aside.first() {
            let row = self.row(Level::ERROR, "the log database was damaged and is begun anew");
            let data = serde_json::json!({ "moved_to": aside.display().to_string() });
            if !self.add(Row { data: data.to_string(), ..row }) {
                return;
            }
            self.aside.remove(0);
        }
        if self.shelf.is_waiting() {
            let (backend, mut imported) = (&mut self.backend, Imported::default());
            let store = |records: &[Record]| backend.store(records);
            let done = self.shelf.import(BATCH_MAX, &mut imported, store);
            let mut queue = self.shared.queue();
            queue.figures.imported += imported.rows;
            queue.figures.unreadable += imported.unreadable;
            drop(queue);
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return self.has_failed(&*error),
                Err(error) => {
                    self.complain(&format!("the log rows laid by cannot be read: {error}"));
                }
            }
        }
        self.shared.queue().state = State::Well;
    }

    fn has_failed(&mut self, error: &(dyn std::error::Error + 'static)) {
        let pause = self.retry.map_or(RETRY_FIRST, |(_, pause)| (pause * 2).min(RETRY_LAST));
        self.retry = Some((Instant::now() + pause, pause));
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            why = format!("{why}: {inner}");
            source = inner.source();
        }
        let mut queue = self.shared.queue();
        let since = match &queue.state {
            State::Failing { since, .. } => *since,
            State::Well => self.clock.now(),
        };
        queue.state = State::Failing { since, why };
    }

    fn spill(&mut self, batch: &[Record]) {
        let laid = self.shelf.lay_by(batch);
        let mut queue = self.shared.queue();
        let figures = &mut queue.figures;
        let sums = [(&mut figures.spilled, laid.by), (&mut figures.dropped, laid.lost)];
        for (sums, by_level) in sums {
            sums.iter_mut().zip(by_level).for_each(|(sum, rows)| *sum += rows);
        }
        figures.spilled.iter_mut().zip(laid.no_more).for_each(|(sum, rows)| *sum -= rows);
        drop(queue);
        let lost: u64 = laid.lost.iter().sum();
        if lost > 0 {
            let why = laid.why;
            self.complain(&format!(
                "{lost} log rows lost: their database or collector fails, and {why}"
            ));
        }
    }

    /// Tells by a row how many were dropped since the last time.
    fn tell_dropped(&mut self) {
        let dropped = self.shared.queue().figures.dropped;
        if dropped == self.told || self.retry.is_some() {
            return;
        }
        let counts: serde_json::Map<String, serde_json::Value> = LEVELS
            .into_iter()
            .zip(dropped.into_iter().zip(self.told))
            .filter(|(_, (now, told))| now > told)
            .map(|(level, (now, told))| (level.as_str().to_owned(), (now - told).into()))
            .collect();
        let row = self.row(Level::WARN, "log rows were dropped");
        if self.add(Row { data: serde_json::Value::Object(counts).to_string(), ..row }) {
            self.told = dropped;
        }
    }

    fn row(&self, level: Level, message: &str) -> Row {
        Row {
            at: self.clock.now(),
            level,
            service: self.service.into(),
            component: "telemetry".into(),
            target: module_path!().into(),
            message: message.to_owned(),
            data: "{}".to_owned(),
            correlation_id: None,
            event_type: None,
            duration_us: None,
        }
    }

    /// Stores a row of the thread's own; false when the database failed.
    fn add(&mut self, row: Row) -> bool {
        let record = self.shared.queue().number(row);
        match self.backend.store(&[record]) {
            Ok(()) => true,
            Err(error) => {
                self.has_failed(&*error);
                false
            }
        }
    }

    fn complain(&mut self, text: &str) {
        if self.complained_at.is_none_or(|at| at.elapsed() >= COMPLAINT_EVERY) {
            self.complained_at = Some(Instant::now());
            (self.complain)(text);
        }
    }
}
