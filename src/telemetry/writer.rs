//! The thread that writes: it renders each entry once, hides secrets, and
//! appends the line to every file that wants it.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate};
use tracing::Level;

use super::component::Component;
use super::entry::{Entry, FieldsBuffer, decode, level_number};
use super::folder::{Flushed, Janitor, Limits, Output, enforce};
use super::levels::Levels;
use super::line::{Format, Stamps, TIME_BYTES, fields_object, render};
use super::queue::{Batch, Counts};
use super::rows::{self, Row, Sink};
use super::sampler::Repeated;
use super::shared::Shared;
use super::stderr::Stderr;

/// Real time between two looks at what is not a line.
const CARE_EVERY: Duration = Duration::from_millis(500);

/// Real time between attempts while the disk takes nothing.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// How long the last lines are tried for when the process ends.
const LAST_ATTEMPTS: Duration = Duration::from_secs(2);

/// How long a flush waits for the reader of standard error.
const SHOWN_WITHIN: Duration = Duration::from_millis(200);

/// Module that speaks of logging itself.
const OURS: &str = "pivot_trading::telemetry";

/// Files that every service writes, by their place among the outputs.
const OWN: usize = 0;
const OWN_ERRORS: usize = 1;
const ERRORS: usize = 2;
const SYSTEM: usize = 3;
const FIRST_COMPONENT: usize = 4;

/// See the module.
pub(super) struct Writer {
    shared: Arc<Shared>,
    limits: Limits,
    format: Format,
    levels: Levels,
    janitor: Janitor,
    stderr: Stderr,
    rows: Vec<Sink>,
    rows_level: Level,
    outputs: Vec<Output>,
    stamps: Stamps,
    line: Vec<u8>,
    unseen_bytes: u64,
    cared_at: Option<Instant>,
    retry_at: Option<Instant>,
    told_dropped: Counts,
    told_lost: Counts,
    failed_why: Option<String>,
    mode: String,
    header_date: NaiveDate,
}

/// Names of the files of a service.
fn outputs(service: &str) -> Vec<Output> {
    let own = if service == "auth" { "auth_server" } else { service };
    let mut outputs = vec![
        Output::new(own, false),
        Output::new(&format!("{own}_error"), false),
        Output::new("errors", false),
        Output::new("system", true),
    ];
    let parts = Component::ALL.into_iter().filter(|component| component.has_file());
    outputs.extend(parts.map(|component| Output::new(component.as_str(), false)));
    outputs
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        limits: Limits,
        format: Format,
        levels: Levels,
        janitor: Janitor,
        stderr: Stderr,
        (rows, rows_level): (Vec<Sink>, Level),
    ) -> Writer {
        let outputs = outputs(shared.service);
        Writer {
            shared,
            limits,
            format,
            levels,
            janitor,
            stderr,
            rows,
            rows_level,
            outputs,
            stamps: Stamps::new(),
            line: Vec::new(),
            unseen_bytes: 0,
            cared_at: None,
            retry_at: None,
            told_dropped: [0; 5],
            told_lost: [0; 5],
            failed_why: None,
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
        for place in self.wanted(Level::INFO, Component::General) {
            if let Some(output) = self.outputs.get_mut(place) {
                output.begin(date, &self.limits)?;
            }
        }
        Ok(())
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
        for output in &mut self.outputs {
            output.set_header(&self.line);
        }
        self.header_date = date;
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let mut spare = Batch::default();
        let mut closed_at = None;
        loop {
            let longest = if self.retry_at.is_some() { RETRY_EVERY } else { CARE_EVERY };
            let taken = self.shared.queue.take(std::mem::take(&mut spare), longest);
            self.write_batch(&taken.batch);
            if taken.closed {
                self.tell_repeated(i64::MAX);
            }
            if self.cared_at.is_none_or(|at| at.elapsed() >= CARE_EVERY) || taken.closed {
                self.care();
            }
            let everything = self.flush_all();
            if let Some(number) = taken.flush {
                self.stderr.flush(SHOWN_WITHIN);
                self.shared.queue.flushed(number);
            }
            if taken.closed && taken.batch.entries == 0 {
                let since = *closed_at.get_or_insert_with(Instant::now);
                if everything || since.elapsed() >= LAST_ATTEMPTS {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            spare = taken.batch;
        }
    }

    fn write_batch(&mut self, batch: &Batch) {
        let mut rest = batch.bytes.as_slice();
        while let Some((entry, after)) = decode(rest) {
            self.write(&entry, true);
            rest = after;
        }
    }

    /// Files that want a line.
    fn wanted(&self, level: Level, component: Component) -> impl Iterator<Item = usize> + use<> {
        let trading = self.shared.service == "trading";
        let part = FIRST_COMPONENT + usize::from(component.number());
        [
            Some(OWN),
            (level <= Level::WARN).then_some(OWN_ERRORS),
            (level <= Level::ERROR).then_some(ERRORS),
            trading.then_some(SYSTEM),
            component.has_file().then_some(part),
        ]
        .into_iter()
        .flatten()
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
        for output in self.wanted(entry.level, entry.component) {
            self.append(output, &line, counted.then_some(entry.level), date);
        }
        self.line = line;
        self.offer(entry);
    }

    /// For standard error.
    fn show(&self, line: &[u8]) {
        if !self.stderr.write(line) {
            self.shared.count_not_shown();
        }
    }

    /// Hands the record to the databases, as far as they want it.
    fn offer(&self, entry: &Entry<'_>) {
        if entry.level > self.rows_level {
            return;
        }
        let mut wanting = self.rows.iter().filter(|rows| {
            let room = rows.has_room(entry.level);
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
        let given = |text: &str| (!text.is_empty()).then(|| text.to_string());
        Row {
            at: DateTime::from_timestamp_micros(entry.at_us).unwrap_or_default(),
            level: entry.level,
            service: self.shared.service.into(),
            component: entry.component.as_str().into(),
            target: entry.target.to_string().into(),
            message: clean(entry.message.as_bytes().to_vec()),
            data: clean(data),
            correlation_id: given(entry.correlation_id),
            event_type: given(entry.event_type),
            duration_us: entry.duration_us,
        }
    }

    fn append(&mut self, place: usize, line: &[u8], level: Option<Level>, date: NaiveDate) {
        let mut done = Flushed::default();
        let Some(output) = self.outputs.get_mut(place) else { return };
        let level = level.map(|level| usize::from(level_number(level)));
        let full = output.push(line, level, date, &self.limits, &mut done);
        let flushed = match full {
            Ok(true) if self.retry_at.is_none() => output.flush(&self.limits, &mut done),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.account(place, done);
        if let Err(error) = flushed {
            self.failed(place, &error);
        }
    }

    /// Writes what is gathered; true when all of it went in.
    fn flush_all(&mut self) -> bool {
        if self.retry_at.is_some_and(|at| Instant::now() < at) {
            return false;
        }
        let mut failed = false;
        for place in 0..self.outputs.len() {
            let Some(output) = self.outputs.get_mut(place) else { continue };
            if output.is_empty() {
                continue;
            }
            let mut done = Flushed::default();
            let result = output.flush(&self.limits, &mut done);
            self.account(place, done);
            if let Err(error) = result {
                failed = true;
                self.failed(place, &error);
            }
        }
        if !failed {
            self.retry_at = None;
            if let Some(since_us) = self.shared.end_failing() {
                self.recovered(since_us);
            }
        }
        !failed
    }

    /// Counts lines by the service's own file, which takes them all.
    fn account(&mut self, place: usize, done: Flushed) {
        let counts = if place == OWN { done.written } else { [0; 5] };
        self.shared.count_written(counts, done.bytes);
        if place == OWN {
            self.shared.count_lost(done.lost);
        }
        if done.set_aside {
            self.janitor.wake();
        }
        self.unseen_bytes += done.bytes;
        if self.unseen_bytes >= self.limits.step_bytes() {
            self.unseen_bytes = 0;
            self.keep_within_limit();
        }
    }

    fn keep_within_limit(&mut self) {
        // What cannot be deleted is told by what cannot be written then.
        if let Ok(bytes) = enforce(&self.limits) {
            self.shared.note_folder(bytes);
        }
    }

    fn failed(&mut self, place: usize, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY_EVERY);
        let now_us = self.shared.clock.now().timestamp_micros();
        let name = self.outputs.get(place).map_or("", Output::stem);
        let why = format!("{name} in {}: {error}", self.limits.folder.display());
        if self.shared.begin_failing(now_us, &why) {
            self.show(format!("log files cannot be written: {why}\n").as_bytes());
            self.failed_why = Some(why);
        }
    }

    fn recovered(&mut self, since_us: i64) {
        let now_us = self.shared.clock.now().timestamp_micros();
        let seconds = (now_us - since_us) / 1_000_000;
        let lost = self.shared.figures().lost;
        let lines: u64 = lost.iter().zip(self.told_lost).map(|(now, told)| now - told).sum();
        self.told_lost = lost;
        let why = self.failed_why.take().unwrap_or_default();
        self.say(
            Level::WARN,
            Component::Metrics,
            &format!("log files could not be written for {seconds} s, {lines} lines lost: {why}"),
        );
    }

    /// What is not a line of somebody else's.
    fn care(&mut self) {
        self.cared_at = Some(Instant::now());
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
        self.keep_within_limit();
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
