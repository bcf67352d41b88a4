//! The files of a service: which of them want a line, what becomes of lines
//! that a file does not take, and the limit of the folder.
//!
//! Each file is tried again on its own, so that one that cannot be written
//! keeps the others waiting for nothing.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use tracing::Level;

use super::component::Component;
use super::entry::level_number;
use super::folder::{Flushed, Janitor, Limits, Output, enforce};
use super::queue::Counts;
use super::shared::Shared;

/// Real time between attempts at a file that takes nothing.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Real time between two looks at the folder while little is written.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Files that every service writes, by their place among the outputs.
const OWN: usize = 0;
const OWN_ERRORS: usize = 1;
const ERRORS: usize = 2;
const SYSTEM: usize = 3;
const FIRST_COMPONENT: usize = 4;

/// A file that could not be written.
#[derive(Debug)]
struct Failure {
    retry_at: Instant,
    why: String,
}

#[derive(Debug)]
struct Place {
    output: Output,
    failure: Option<Failure>,
}

/// What is to be said about the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// On standard error: where else.
    Failing(String),
    /// As a warning.
    Trouble(String),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Files {
    shared: Arc<Shared>,
    limits: Limits,
    janitor: Janitor,
    places: Vec<Place>,
    /// Bytes written since the last look at the folder.
    unseen_bytes: u64,
    looked_at: Option<Instant>,
    told_lost: u64,
    told_copies: u64,
    failed_why: String,
    news: Vec<News>,
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

impl Files {
    pub(super) fn new(shared: Arc<Shared>, limits: Limits, janitor: Janitor) -> Files {
        let outputs = outputs(shared.service).into_iter();
        Files {
            shared,
            limits,
            janitor,
            places: outputs.map(|output| Place { output, failure: None }).collect(),
            unseen_bytes: 0,
            looked_at: None,
            told_lost: 0,
            told_copies: 0,
            failed_why: String::new(),
            news: Vec::new(),
        }
    }

    /// Sets what new files begin with.
    pub(super) fn set_header(&mut self, header: &[u8]) {
        for place in &mut self.places {
            place.output.set_header(header);
        }
    }

    /// Makes the folder and the service's own files, with their first line.
    ///
    /// # Errors
    /// When the folder or a file cannot be made or written.
    pub(super) fn begin(&mut self, date: NaiveDate) -> io::Result<()> {
        for place in self.wanted(Level::INFO, Component::General) {
            if let Some(place) = self.places.get_mut(place) {
                place.output.begin(date, &self.limits)?;
            }
        }
        Ok(())
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

    /// Gives a line of that day to the files that want it.
    pub(super) fn append(
        &mut self,
        line: &[u8],
        (level, component): (Level, Component),
        counted: bool,
        date: NaiveDate,
    ) {
        let counted = counted.then(|| usize::from(level_number(level)));
        for place in self.wanted(level, component) {
            self.append_to(place, line, counted, date);
        }
    }

    fn append_to(&mut self, number: usize, line: &[u8], counted: Option<usize>, date: NaiveDate) {
        let mut done = Flushed::default();
        let Some(place) = self.places.get_mut(number) else { return };
        let full = place.output.push(line, counted, date, &self.limits, &mut done);
        let result = match full {
            Ok(true) if place.is_due() => place.flush(&self.limits, &mut done),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.account(number, done);
        if let Err(error) = result {
            self.failed(number, &error);
        }
    }

    /// Writes what is gathered; files that failed just now only when all of
    /// them are asked for.
    ///
    /// # Errors
    /// Why something is still not written.
    pub(super) fn flush(&mut self, all: bool) -> Result<(), String> {
        for number in 0..self.places.len() {
            let Some(place) = self.places.get_mut(number) else { continue };
            if place.output.is_empty() || !(all || place.is_due()) {
                continue;
            }
            let mut done = Flushed::default();
            let result = place.flush(&self.limits, &mut done);
            self.account(number, done);
            if let Err(error) = result {
                self.failed(number, &error);
            }
        }
        match self.places.iter().find_map(|place| place.failure.as_ref()) {
            Some(failure) => {
                let why = failure.why.clone();
                self.shared.note_failing(&why);
                Err(why)
            }
            None => {
                if let Some(since_us) = self.shared.end_failing() {
                    self.recovered(since_us);
                }
                Ok(())
            }
        }
    }

    /// Gives up what no file took; how many lines are in no file of their
    /// service, and how many copies are missing elsewhere.
    pub(super) fn give_up(&mut self) -> (u64, u64) {
        let mut given_up = (0, 0);
        for number in 0..self.places.len() {
            let mut done = Flushed::default();
            let Some(place) = self.places.get_mut(number) else { continue };
            place.output.give_up(&mut done);
            let lines = done.lost.iter().sum::<u64>();
            *(if number == OWN { &mut given_up.0 } else { &mut given_up.1 }) += lines;
            self.account(number, done);
        }
        given_up
    }

    /// Counts lines by the service's own file, which takes them all.
    fn account(&mut self, number: usize, done: Flushed) {
        if number == OWN {
            self.shared.count_written(done.written, done.bytes);
            self.shared.count_lost(done.lost);
        } else {
            self.shared.count_written(Counts::default(), done.bytes);
            self.shared.count_lost_copies(done.lost.iter().sum());
        }
        if done.set_aside {
            self.janitor.wake();
        }
        self.unseen_bytes += done.bytes;
        if self.unseen_bytes >= self.limits.step_bytes() {
            self.keep_within_limit();
        }
    }

    fn keep_within_limit(&mut self) {
        self.unseen_bytes = 0;
        self.looked_at = Some(Instant::now());
        match enforce(&self.limits) {
            Ok(bytes) => self.shared.note_folder(bytes),
            Err(error) => self.janitor.note(&self.limits.folder, &error),
        }
    }

    /// What is not a line.
    pub(super) fn care(&mut self) {
        if self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY) {
            self.keep_within_limit();
        }
        if let Some(trouble) = self.janitor.take_trouble() {
            self.news.push(News::Trouble(trouble));
        }
    }

    /// What there is to say since the last time.
    pub(super) fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    fn failed(&mut self, number: usize, error: &io::Error) {
        let now_us = self.shared.clock.now().timestamp_micros();
        let Some(place) = self.places.get_mut(number) else { return };
        let why = format!("{} in {}: {error}", place.output.stem(), self.limits.folder.display());
        if self.shared.begin_failing(now_us, &why) {
            self.news.push(News::Failing(format!("log files cannot be written: {why}")));
            self.failed_why.clone_from(&why);
        }
        place.failure = Some(Failure { retry_at: Instant::now() + RETRY_EVERY, why });
    }

    fn recovered(&mut self, since_us: i64) {
        let now_us = self.shared.clock.now().timestamp_micros();
        let seconds = (now_us - since_us) / 1_000_000;
        let figures = self.shared.figures();
        let lost: u64 = figures.lost.iter().sum();
        let lines = lost - std::mem::replace(&mut self.told_lost, lost);
        let copies =
            figures.lost_copies - std::mem::replace(&mut self.told_copies, figures.lost_copies);
        let why = std::mem::take(&mut self.failed_why);
        let copies = match copies {
            0 => String::new(),
            _ => format!(", {copies} copies missing in other files"),
        };
        self.news.push(News::Trouble(format!(
            "log files could not be written for {seconds} s, {lines} lines lost{copies}: {why}"
        )));
    }
}

impl Place {
    fn is_due(&self) -> bool {
        self.failure.as_ref().is_none_or(|failure| Instant::now() >= failure.retry_at)
    }

    fn flush(&mut self, limits: &Limits, done: &mut Flushed) -> io::Result<()> {
        let result = self.output.flush(limits, done);
        if result.is_ok() {
            self.failure = None;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::queue::Queue;
    use super::super::sampler::Sampler;
    use super::super::scrub::Scrubber;
    use super::*;
    use crate::clock::Clock;

    const API: (Level, Component) = (Level::INFO, Component::Api);
    const GENERAL: (Level, Component) = (Level::INFO, Component::General);

    fn date() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 11, 26).unwrap()
    }

    fn files(folder: &Path) -> (Files, Arc<Shared>) {
        let clock = Clock::system();
        let (queue, scrubber) = (Queue::new(10), Scrubber::new().unwrap());
        let shared = Shared::new("bot", clock.clone(), queue, Sampler::new(0), scrubber);
        let shared = Arc::new(shared);
        let limits = Limits {
            folder: folder.to_owned(),
            file_bytes: 10_000_000,
            files: 3,
            days: 7,
            total_bytes: 100_000_000,
        };
        let janitor = Janitor::start(limits.clone(), clock, Duration::ZERO).unwrap();
        let mut files = Files::new(Arc::clone(&shared), limits, janitor);
        files.set_header(b"begin\n");
        files.begin(date()).unwrap();
        (files, shared)
    }

    fn append(files: &mut Files, what: (Level, Component), lines: u64) {
        let line = format!("{:<99}\n", "2026-11-26T10:00:00.000+05:30");
        for _ in 0..lines {
            files.append(line.as_bytes(), what, true, date());
        }
    }

    fn bytes(folder: &Path, name: &str) -> u64 {
        fs::metadata(folder.join(name)).unwrap().len()
    }

    #[test]
    fn a_file_that_cannot_be_written_stops_no_other_and_is_told_until_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, shared) = files(folder.path());
        fs::create_dir(folder.path().join("api.log")).unwrap();
        append(&mut files, API, 1);
        let why = files.flush(false).unwrap_err();
        assert!(why.starts_with("api in "), "{why}");
        assert_eq!(files.news(), [News::Failing(format!("log files cannot be written: {why}"))]);
        // A full chunk goes on at once, while the other file waits for its
        // next attempt.
        append(&mut files, GENERAL, 1_000);
        assert!(bytes(folder.path(), "bot.log") > 60_000);
        let failing = |shared: &Shared| shared.figures().failing.map(|(_, why)| why);
        assert_eq!(failing(&shared), Some(why.clone()));
        assert_eq!(files.flush(false), Err(why));
        assert_eq!(bytes(folder.path(), "bot.log"), 6 + 1_001 * 100);
        fs::remove_dir(folder.path().join("api.log")).unwrap();
        files.flush(true).unwrap();
        assert_eq!(bytes(folder.path(), "api.log"), 6 + 100);
        assert_eq!(failing(&shared), None);
        let news = files.news();
        let told = matches!(news.as_slice(), [News::Trouble(text)] if text.contains(" 0 lines lost: api in "));
        assert!(told, "{news:?}");
        assert_eq!(shared.figures().written, [0, 0, 1_001, 0, 0]);
    }

    #[test]
    fn copies_that_are_given_up_are_counted_and_so_are_the_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let (mut files, shared) = files(folder.path());
        fs::create_dir(folder.path().join("api.log")).unwrap();
        // More than is kept for a file that takes nothing.
        append(&mut files, API, 20_000);
        files.flush(true).unwrap_err();
        let figures = shared.figures();
        assert_eq!((figures.written, figures.lost), ([0, 0, 20_000, 0, 0], [0; 5]));
        assert!((10_000..20_000).contains(&figures.lost_copies), "{figures:?}");
        // The end, with a folder that is gone for good.
        append(&mut files, GENERAL, 7);
        fs::remove_dir_all(folder.path()).unwrap();
        fs::write(folder.path(), "in the way").unwrap();
        files.flush(true).unwrap_err();
        let rest = 20_000 - figures.lost_copies;
        assert_eq!(files.give_up(), (7, rest));
        let figures = shared.figures();
        assert_eq!((figures.written, figures.lost), ([0, 0, 20_000, 0, 0], [0, 0, 7, 0, 0]));
        assert_eq!(figures.lost_copies, 20_000);
        fs::remove_file(folder.path()).unwrap();
    }

    #[test]
    fn the_folder_is_looked_at_when_much_is_written_and_else_seldom() {
        use super::super::folder::listings;
        let folder = tempfile::tempdir().unwrap();
        let (mut files, _) = files(folder.path());
        files.care();
        let before = listings();
        for _ in 0..10 {
            append(&mut files, GENERAL, 1);
            files.flush(false).unwrap();
            files.care();
        }
        assert_eq!(listings(), before);
        // A step is a sixteenth of a file.
        append(&mut files, GENERAL, 10_000);
        files.flush(false).unwrap();
        assert_eq!(listings(), before + 1);
        files.looked_at = Instant::now().checked_sub(LOOK_EVERY);
        files.care();
        assert_eq!(listings(), before + 2);
    }
}
