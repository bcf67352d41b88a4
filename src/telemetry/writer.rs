//! The thread that writes: it renders each entry once, hides secrets, and
//! appends the line to every file that wants it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate};
use tracing::Level;

use super::component::Component;
use super::entry::{Entry, FieldsBuffer, decode};
use super::files::{Files, News};
use super::levels::Levels;
use super::line::{Format, Stamps, TIME_BYTES, fields_object, render};
use super::queue::{Batch, Counts};
use super::rows::{self, Row, Sink};
use super::sampler::Repeated;
use super::shared::Shared;
use super::stderr::Stderr;

/// Real time between two looks at what is not a line.
const CARE_EVERY: Duration = Duration::from_millis(500);

/// How long the last lines are tried for when the process ends.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// How long a flush waits for the reader of standard error.
const SHOWN_WITHIN: Duration = Duration::from_millis(200);

/// Name of the thread.
pub(super) const THREAD: &str = "log-writer";

/// Module that speaks of logging itself.
const OURS: &str = "pivot_trading::telemetry";

/// See the module.
pub(super) struct Writer {
    shared: Arc<Shared>,
    files: Files,
    format: Format,
    levels: Levels,
    stderr: Stderr,
    rows: Arc<Vec<Sink>>,
    rows_level: Level,
    stamps: Stamps,
    line: Vec<u8>,
    cared_at: Option<Instant>,
    told_dropped: Counts,
    mode: String,
    header_date: NaiveDate,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        files: Files,
        format: Format,
        levels: Levels,
        stderr: Stderr,
        (rows, rows_level): (Arc<Vec<Sink>>, Level),
    ) -> Writer {
        Writer {
            shared,
            files,
            format,
            levels,
            stderr,
            rows,
            rows_level,
            stamps: Stamps::new(),
            line: Vec::new(),
            cared_at: None,
            told_dropped: [0; 5],
            mode: String::new(),
            header_date: NaiveDate::MIN,
        }
    }

    /// Makes the folder and the service's own file, with its first line.
    ///
    /// # Errors
    /// When the folder or the file cannot be made or written.
    pub(super) fn begin(&mut self, mode: &str) -> io::Result<()> {
        self.mode = mode.to_uppercase();
        let at_us = self.shared.clock.now().timestamp_micros();
        let date = self.stamps.date(at_us);
        self.renew_headers(at_us, date);
        self.files.begin(date)
    }

    /// What new files of a day begin with.
    fn renew_headers(&mut self, at_us: i64, date: NaiveDate) {
        let message = format!(
            "---- pivot-{} {} · mode {} · pid {} ----",
            self.shared.service,
            env!("CARGO_PKG_VERSION"),
            self.mode,
            std::process::id(),
        );
        let fields = FieldsBuffer::default();
        self.render(&Entry {
            at_us,
            level: Level::INFO,
            component: Component::General,
            duration_us: None,
            target: OURS,
            correlation_id: "",
            event_type: "start",
            message: &message,
            fields: fields.as_fields(),
        });
        self.files.set_header(&self.line);
        self.header_date = date;
    }

    /// Writes until the queue is closed and empty, and no longer than a moment
    /// after that.
    pub(super) fn run(mut self) {
        let mut spare = Batch::default();
        let mut closed_at = None;
        loop {
            let taken = self.shared.queue.take(std::mem::take(&mut spare), CARE_EVERY);
            self.write_batch(&taken.batch);
            if taken.closed {
                self.tell_repeated(i64::MAX);
            }
            if self.cared_at.is_none_or(|at| at.elapsed() >= CARE_EVERY) || taken.closed {
                self.care();
            }
            let written = self.flush(taken.flush.is_some());
            if let Some(number) = taken.flush {
                self.stderr.flush(SHOWN_WITHIN);
                self.shared.queue.flushed(number, written.clone().err());
            }
            if taken.closed {
                let since = *closed_at.get_or_insert_with(Instant::now);
                let over = since.elapsed() >= LAST_ATTEMPTS;
                if (written.is_ok() || over)
                    && let Some(rest) = self.shared.queue.end(over)
                {
                    self.end(&rest);
                    return;
                }
                if taken.batch.entries == 0 {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            spare = taken.batch;
        }
    }

    /// Writes what there is, and what is said about it.
    fn flush(&mut self, all: bool) -> Result<(), String> {
        let written = self.files.flush(all);
        if self.say_news() { self.files.flush(all) } else { written }
    }

    /// The last lines, and what becomes of those that no file takes.
    fn end(&mut self, rest: &Batch) {
        self.write_batch(rest);
        self.tell_repeated(i64::MAX);
        let written = self.flush(true);
        let (lines, copies) = self.files.give_up();
        if let Err(why) = written {
            let said = format!("{lines} last log lines lost, {copies} copies missing: {why}\n");
            self.show(said.as_bytes());
        }
    }

    fn write_batch(&mut self, batch: &Batch) {
        let mut rest = batch.bytes.as_slice();
        while let Some((entry, after)) = decode(rest) {
            self.write(&entry, true);
            rest = after;
        }
    }

    fn render(&mut self, entry: &Entry<'_>) {
        self.line.clear();
        render(self.format, self.shared.service, entry, &mut self.stamps, &mut self.line);
        // The time cannot hold a secret, and is half of what is searched.
        let from = TIME_BYTES.min(self.line.len());
        self.shared.scrubber.current().scrub(&mut self.line, from);
    }

    /// Our own words about logging are not counted among the lines of others.
    fn write(&mut self, entry: &Entry<'_>, counted: bool) {
        let date = self.stamps.date(entry.at_us);
        if date > self.header_date {
            self.renew_headers(entry.at_us, date);
        }
        self.render(entry);
        let line = std::mem::take(&mut self.line);
        if entry.level <= Level::WARN {
            self.show(&line);
        }
        self.files.append(&line, (entry.level, entry.component), counted, date);
        self.line = line;
        self.offer(entry);
    }

    /// For standard error.
    fn show(&self, line: &[u8]) {
        if !self.stderr.write(line) {
            self.count_not_shown();
        }
    }

    /// Also what was handed over and could not be written after all.
    fn count_not_shown(&self) {
        self.shared.note_not_shown(self.stderr.not_shown());
    }

    /// Hands the record to the databases, as far as they want it.
    fn offer(&self, entry: &Entry<'_>) {
        if entry.level > self.rows_level {
            return;
        }
        let mut wanting = self.rows.iter().filter(|rows| {
            let room = rows.has_room(entry.matters());
            if !room {
                rows.count_dropped(entry.level);
            }
            room
        });
        let Some(first) = wanting.next() else { return };
        let row = self.row(entry);
        for rows in wanting {
            rows.offer(row.clone());
        }
        first.offer(row);
    }

    fn row(&self, entry: &Entry<'_>) -> Row {
        let scrubber = self.shared.scrubber.current();
        let clean = |mut bytes: Vec<u8>| {
            scrubber.scrub(&mut bytes, 0);
            // Stars in place of text leave text.
            String::from_utf8(bytes).unwrap_or_default()
        };
        let mut data = Vec::new();
        fields_object(entry.fields, &mut data);
        let given = |text: &str| (!text.is_empty()).then(|| clean(text.as_bytes().to_vec()));
        Row {
            at: DateTime::from_timestamp_micros(entry.at_us).unwrap_or_default(),
            level: entry.level,
            service: self.shared.service.into(),
            component: entry.component.as_str().into(),
            target: clean(entry.target.as_bytes().to_vec()).into(),
            message: clean(entry.message.as_bytes().to_vec()),
            data: clean(data),
            correlation_id: given(entry.correlation_id),
            event_type: given(entry.event_type),
            duration_us: entry.duration_us,
        }
    }

    /// Says what there is to say about the files; false when there is nothing.
    fn say_news(&mut self) -> bool {
        let mut said = false;
        for news in self.files.news() {
            match news {
                News::Failing(message) => self.show(format!("{message}\n").as_bytes()),
                News::Trouble(message) => {
                    self.say(Level::WARN, Component::Metrics, &message);
                    said = true;
                }
            }
        }
        said
    }

    /// What is not a line of somebody else's.
    fn care(&mut self) {
        self.cared_at = Some(Instant::now());
        self.count_not_shown();
        let now_us = self.shared.clock.now().timestamp_micros();
        self.tell_repeated(now_us);
        let dropped = self.shared.queue.dropped();
        let fresh: u64 = dropped.iter().zip(self.told_dropped).map(|(now, told)| now - told).sum();
        if fresh > 0 {
            self.told_dropped = dropped;
            let message = format!("{fresh} lines were dropped: more came than could be written");
            self.say(Level::WARN, Component::Metrics, &message);
        }
        if let Some(message) = self.levels.refresh(self.shared.clock.now()) {
            self.say(Level::INFO, Component::Metrics, &message);
        }
        if let Some(rows) = self.rows.first().filter(|rows| rows.is_database()) {
            self.shared.note_database(match rows.state() {
                rows::State::Well => None,
                rows::State::Failing { since, .. } => Some(since.timestamp_micros()),
            });
        }
        self.files.care();
        self.say_news();
    }

    fn tell_repeated(&mut self, now_us: i64) {
        for Repeated { level, component, target, correlation_id, message, times } in
            self.shared.sampler.ended(now_us)
        {
            let message = format!("repeated {} times: {message}", grouped(times));
            let fields = FieldsBuffer::default();
            let entry = Entry {
                at_us: self.shared.clock.now().timestamp_micros(),
                level,
                component,
                duration_us: None,
                target: &target,
                correlation_id: &correlation_id,
                event_type: "repeated",
                message: &message,
                fields: fields.as_fields(),
            };
            self.write(&entry, false);
        }
    }

    /// A line about logging itself.
    fn say(&mut self, level: Level, component: Component, message: &str) {
        let fields = FieldsBuffer::default();
        let entry = Entry {
            at_us: self.shared.clock.now().timestamp_micros(),
            level,
            component,
            duration_us: None,
            target: OURS,
            correlation_id: "",
            event_type: "logging",
            message,
            fields: fields.as_fields(),
        };
        self.write(&entry, false);
    }
}

/// `4312` as `4,312`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
