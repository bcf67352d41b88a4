//! The sink: several processes, databases that fail, queues that are full.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tracing::Level;

use super::super::schema;
use super::*;
use crate::clock::{Clock, ManualClock, real_now};

const DEADLINE: Duration = Duration::from_secs(20);

/// Set for a process that a test starts: the folder it is to write to.
const CHILD_ENV: &str = "LOG_ROWS_CHILD";

fn clock() -> Clock {
    ManualClock::new(start()).clock()
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        for name in ["data", "logs"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        Place { folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data").join(FILE_NAME)
    }

    fn fallback(&self) -> PathBuf {
        self.folder.path().join("logs/bot_fallback.jsonl")
    }

    fn sink(&self) -> Sink {
        self.sink_with(SqliteBackend::new(&self.database(), &clock()))
    }

    fn sink_with(&self, backend: impl Backend) -> Sink {
        Sink::start(Options::new("bot", self.fallback(), &clock()), backend).unwrap()
    }

    fn messages(&self) -> Vec<String> {
        let reader = Reader::open(&self.database()).unwrap();
        let query = LogQuery { limit: ROWS_MAX, ..LogQuery::default() };
        let page = reader.page(&query).unwrap();
        assert_eq!(page.next, None);
        page.entries.into_iter().rev().map(|entry| entry.row.message).collect()
    }
}

fn said(message: impl Into<String>, level: Level) -> Row {
    Row { message: message.into(), level, ..row(&mut Dice(1), 0) }
}

fn info(number: usize) -> Row {
    said(format!("row {number}"), Level::INFO)
}

fn rows(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("row {number}")).collect()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn total(by_level: [u64; 5]) -> u64 {
    by_level.iter().sum()
}

#[test]
fn several_processes_write_to_one_file_from_its_first_moment() {
    const PROCESSES: u64 = 4;
    const ROWS: u64 = 400;
    if let Some(folder) = std::env::var_os(CHILD_ENV) {
        let folder = PathBuf::from(folder);
        let fallback = folder.join(format!("{}.jsonl", std::process::id()));
        let backend = SqliteBackend::new(&folder.join(FILE_NAME), &clock());
        let sink = Sink::start(Options::new("bot", fallback, &clock()), backend).unwrap();
        for number in 0..ROWS {
            let message = format!("{} {number}", std::process::id());
            assert!(sink.offer(Row { at: real_now(), ..said(message, Level::INFO) }));
        }
        assert!(sink.flush(DEADLINE));
        until("the rows that were laid by", || {
            let figures = sink.figures();
            total(figures.stored) + figures.imported == ROWS
        });
        return;
    }
    let this = std::thread::current().name().unwrap().to_owned();
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let start = || {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &this])
                .env(CHILD_ENV, folder.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        };
        let children: Vec<_> = (0..PROCESSES).map(|_| start()).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
        let path = folder.path().join(FILE_NAME);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.count(Table::System).unwrap(), PROCESSES * ROWS);
        assert_eq!(walk(&reader, &LogQuery::default()).len(), 1_600);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn rows_of_a_locked_database_are_laid_by_and_brought_in_once() {
    let place = Place::new();
    let sink = place.sink();
    assert!(sink.offer(info(0)));
    assert!(sink.flush(DEADLINE));
    let (other, _) = schema::open(&place.database(), true).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    for number in 1..=250 {
        assert!(sink.offer(info(number)));
    }
    assert!(sink.flush(DEADLINE));
    assert_eq!(total(sink.figures().spilled), 250);
    let State::Failing { since, why } = sink.state() else { panic!("{:?}", sink.state()) };
    assert_eq!(since, start());
    assert!(why.contains("locked"), "{why}");
    let mode = std::fs::metadata(place.fallback()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0);
    let lines = std::fs::read_to_string(place.fallback()).unwrap();
    assert_eq!(lines.lines().count(), 250);
    other.execute_batch("ROLLBACK").unwrap();
    until("a database that is well", || sink.state() == State::Well);
    assert!(sink.offer(info(251)));
    drop(sink);
    assert!(!place.fallback().exists());
    assert_eq!(place.messages(), rows(0..252));
}

#[test]
fn what_an_earlier_process_laid_by_is_brought_in_even_when_half_of_it_was() {
    let place = Place::new();
    let records: Vec<Record> = {
        let mut last = 0;
        (0..40)
            .map(|number| {
                let record = Record::new(info(number), last, 0);
                last = record.id;
                record
            })
            .collect()
    };
    let line = |record: &Record| format!("{}\n", serde_json::to_string(record).unwrap());
    let first: String = records[..30].iter().map(line).collect();
    let second: String = records[30..].iter().map(line).collect();
    // A process died while it brought rows in, another in the middle of a line.
    std::fs::write(place.fallback().with_extension("jsonl.importing"), first).unwrap();
    std::fs::write(place.fallback(), second + "{\"id\":1").unwrap();
    let (connection, _) = schema::open(&place.database(), true).unwrap();
    super::super::sqlite::Writer::new(connection, true).store(&records[..20]).unwrap();
    let sink = place.sink();
    until("the rows", || sink.figures().imported == 40);
    assert_eq!(sink.figures().unreadable, 1);
    drop(sink);
    assert_eq!(place.messages(), rows(0..40));
    let left = std::fs::read_dir(place.fallback().parent().unwrap()).unwrap().count();
    assert_eq!(left, 0);
}

fn aside(place: &Place) -> usize {
    let names = std::fs::read_dir(place.database().parent().unwrap()).unwrap();
    names
        .filter(|name| {
            let name = name.as_ref().unwrap().file_name().into_string().unwrap();
            name.contains(".corrupt-") && name.ends_with('Z')
        })
        .count()
}

#[test]
fn a_damaged_database_is_moved_aside_and_begun_anew() {
    let place = Place::new();
    let garbage = || vec![0xa5_u8; 40_000];
    std::fs::write(place.database(), garbage()).unwrap();
    let hands = ManualClock::new(start());
    let sink = place.sink_with(SqliteBackend::new(&place.database(), &hands.clock()));
    assert!(sink.offer(info(0)));
    assert!(sink.flush(DEADLINE));
    assert_eq!(sink.state(), State::Well);
    let moved = sink.take_aside().unwrap();
    assert_eq!(std::fs::read(moved).unwrap(), garbage());
    assert_eq!(sink.take_aside(), None);
    let told = |place: &Place| {
        let messages = place.messages();
        messages.iter().filter(|message| message.contains("begun anew")).count()
    };
    assert_eq!((told(&place), aside(&place)), (1, 1));
    // Again and again while it runs: the newest two are kept.
    for round in 2..=4 {
        hands.pass(chrono::TimeDelta::seconds(1));
        let other = place.database().with_extension("other");
        std::fs::write(&other, garbage()).unwrap();
        std::fs::rename(other, place.database()).unwrap();
        assert!(sink.offer(info(round)));
        assert!(sink.flush(DEADLINE));
        assert!(place.messages().contains(&format!("row {round}")));
        assert_eq!((told(&place), aside(&place)), (1, round.min(2)));
    }
}

#[test]
fn a_file_that_breaks_while_it_is_open_loses_no_row_that_comes_after() {
    let place = Place::new();
    let sink = place.sink();
    for number in 0..2_000 {
        assert!(sink.offer(info(number)));
    }
    assert!(sink.flush(DEADLINE));
    // All pages but the first, in the file that the sink has open.
    let (connection, _) = schema::open(&place.database(), true).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    let mut bytes = std::fs::read(place.database()).unwrap();
    bytes[4096..].fill(0x5a);
    std::fs::write(place.database(), bytes).unwrap();
    for number in 0..200 {
        assert!(sink.offer(said(format!("after {number}"), Level::INFO)));
    }
    assert!(sink.flush(DEADLINE));
    until("a new file", || sink.state() == State::Well && aside(&place) == 1);
    drop(sink);
    let found = place.messages().iter().filter(|said| said.starts_with("after")).count();
    assert_eq!(found, 200);
}

#[test]
fn rows_outlive_a_data_folder_that_is_gone_for_a_while() {
    let place = Place::new();
    let sink = place.sink();
    assert!(sink.offer(info(0)));
    assert!(sink.flush(DEADLINE));
    let folder = place.database().parent().unwrap().to_owned();
    std::fs::remove_dir_all(&folder).unwrap();
    assert!(sink.offer(info(1)));
    assert!(sink.flush(DEADLINE));
    assert_eq!(total(sink.figures().spilled), 1);
    assert!(matches!(sink.state(), State::Failing { .. }));
    std::fs::create_dir(&folder).unwrap();
    until("a database that is well", || sink.state() == State::Well);
    drop(sink);
    assert_eq!(place.messages(), rows(1..2));
}

#[test]
fn the_end_stores_what_waits() {
    let place = Place::new();
    let sink = place.sink();
    for number in 0..150 {
        assert!(sink.offer(info(number)));
    }
    drop(sink);
    assert_eq!(place.messages(), rows(0..150));
}

#[test]
fn a_few_rows_are_stored_without_being_asked_for() {
    let place = Place::new();
    let sink = place.sink();
    assert!(sink.offer(info(0)));
    until("the row", || total(sink.figures().stored) == 1);
    assert_eq!(place.messages(), rows(0..1));
}

#[test]
fn what_root_makes_belongs_to_whom_the_folder_belongs() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root makes files that others cannot use");
        return;
    }
    let place = Place::new();
    let (data, logs) = (place.folder.path().join("data"), place.folder.path().join("logs"));
    for folder in [&data, &logs] {
        std::os::unix::fs::chown(folder, Some(54_321), Some(54_322)).unwrap();
    }
    let sink = Sink::start(Options::new("bot", place.fallback(), &clock()), Broken).unwrap();
    assert!(sink.offer(info(0)) && sink.flush(DEADLINE));
    let (mut open, mut pruned) = (None, Pruned::default());
    let (connection, _) = schema::open(&place.database(), true).unwrap();
    let room = Room::of_megabytes(4);
    super::super::care::turn(&place.database(), room, &mut open, &mut pruned).unwrap();
    let files = [&data, &logs].map(|folder| std::fs::read_dir(folder).unwrap());
    let files: Vec<PathBuf> = files.into_iter().flatten().map(|it| it.unwrap().path()).collect();
    // With its log and index, the two locks, and the rows that wait.
    assert_eq!(files.len(), 6, "{files:?}");
    for file in files {
        let found = std::fs::metadata(&file).unwrap();
        assert_eq!((found.uid(), found.gid()), (54_321, 54_322), "{}", file.display());
    }
    drop(connection);
}

/// Stores when it is told to, and keeps what it stored.
struct Gate {
    open: mpsc::Receiver<()>,
    stored: mpsc::Sender<Vec<Record>>,
}

impl Backend for Gate {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        if !records.is_empty() {
            self.open.recv()?;
            self.stored.send(records.to_vec())?;
        }
        Ok(())
    }
}

#[test]
fn a_full_queue_refuses_light_rows_first_and_counts_all_it_loses() {
    let place = Place::new();
    let (opener, open) = mpsc::channel();
    let (stored, kept) = mpsc::channel();
    let options = Options {
        rows_max: 20,
        heavy_rows_more: 5,
        ..Options::new("bot", place.fallback(), &clock())
    };
    let sink = Sink::start(options, Gate { open, stored }).unwrap();
    // The thread takes the first row and stands at the gate with it.
    assert!(sink.offer(info(0)));
    until("an empty queue", || sink.figures().waiting == 0);
    for number in 1..=20 {
        assert!(sink.offer(info(number)), "{number}");
    }
    assert!(!sink.has_room(false) && sink.has_room(true));
    assert!(!sink.offer(info(21)));
    sink.count_dropped(Level::DEBUG);
    // Five more that matter, and twenty that push light rows out.
    for number in 0..24 {
        assert!(sink.offer(said(format!("heavy {number}"), Level::WARN)), "{number}");
    }
    let fill = said("an order was filled", Level::INFO);
    assert!(sink.offer(Row { component: ACTIVITY.into(), ..fill }));
    assert!(!sink.has_room(true));
    assert!(!sink.offer(said("one too many", Level::ERROR)));
    let figures = sink.figures();
    assert_eq!(figures.waiting, 25);
    assert_eq!(figures.dropped, [1, 0, 21, 1, 0]);
    assert_eq!(figures.offered, [1, 24, 23, 1, 0]);
    for _ in 0..10 {
        opener.send(()).unwrap();
    }
    assert!(sink.flush(DEADLINE));
    assert_eq!(sink.figures().stored, [0, 24, 2, 0, 0]);
    drop(sink);
    let stored: Vec<Record> = kept.iter().flatten().collect();
    let (told, queued): (Vec<&Record>, Vec<&Record>) =
        stored.iter().partition(|record| record.row.message == "log rows were dropped");
    assert!(queued.is_sorted_by_key(|record| record.id));
    let lost: u64 = told
        .iter()
        .flat_map(|record| {
            let counts: std::collections::BTreeMap<String, u64> =
                serde_json::from_str(&record.row.data).unwrap();
            counts.into_values()
        })
        .sum();
    assert_eq!(lost, 23);
}

/// Never stores.
struct Broken;

impl Backend for Broken {
    fn store(&mut self, _records: &[Record]) -> Result<(), BackendError> {
        Err("out of order".into())
    }
}

/// Refuses each row of the thread's own once.
struct Picky {
    aside: Option<PathBuf>,
    refused: Vec<String>,
    stored: mpsc::Sender<Vec<Record>>,
}

impl Backend for Picky {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        let own = records.iter().find(|record| record.row.component == "telemetry");
        if let Some(Record { row, .. }) = own
            && !self.refused.contains(&row.message)
        {
            self.refused.push(row.message.clone());
            return Err("not now".into());
        }
        self.stored.send(records.to_vec())?;
        Ok(())
    }

    fn take_aside(&mut self) -> Option<PathBuf> {
        self.aside.take()
    }
}

#[test]
fn what_is_to_be_told_is_told_by_a_row_that_was_stored() {
    let (stored, kept) = mpsc::channel();
    let backend = Picky { aside: Some("moved".into()), refused: Vec::new(), stored };
    let sink = Sink::start(Options::in_memory("bot", &clock()), backend).unwrap();
    sink.count_dropped(Level::INFO);
    let told = |wanted: &str| {
        let own = |record: &Record| record.row.message == wanted;
        while !kept.recv_timeout(DEADLINE).unwrap().iter().any(own) {}
    };
    told("the log database was damaged and is begun anew");
    assert!(sink.offer(info(0)));
    assert!(sink.flush(DEADLINE));
    told("log rows were dropped");
    until("a database that is well", || sink.state() == State::Well);
}

static COMPLAINTS: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());

fn complain(text: &str) {
    COMPLAINTS.lock().unwrap().push(text.to_owned());
}

#[test]
fn a_fallback_file_that_is_full_or_cannot_be_written_is_counted() {
    let place = Place::new();
    let small =
        Options { fallback_bytes_max: 4_000, ..Options::new("bot", place.fallback(), &clock()) };
    let nowhere = Options::new("bot", Path::new("/dev/null/x").to_owned(), &clock());
    for (options, some_fit) in [(small, true), (nowhere, false)] {
        let options = Options { complain, ..options };
        let sink = Sink::start(options, Broken).unwrap();
        for number in 0..40 {
            assert!(sink.offer(info(number)));
        }
        assert!(sink.offer(said("heavy", Level::ERROR)));
        assert!(sink.flush(DEADLINE));
        let figures = sink.figures();
        assert_eq!(total(figures.spilled) + total(figures.dropped), 41);
        assert_eq!(total(figures.spilled) > 0, some_fit);
        // A quarter of the file is for rows from WARN up.
        assert_eq!(figures.spilled[0], u64::from(some_fit));
        assert_eq!(sink.state(), State::Failing { since: start(), why: "out of order".into() });
    }
    assert!(std::fs::metadata(place.fallback()).unwrap().len() <= 4_000);
    let complaints = COMPLAINTS.lock().unwrap();
    let [full, nowhere] = complaints.as_slice() else { panic!("{complaints:?}") };
    assert!(full.contains(" log rows lost: ") && full.contains("file is full"), "{full}");
    assert!(nowhere.contains("the fallback file too"), "{nowhere}");
}

/// Fails until it is told to work, and keeps what it stored.
struct Away {
    works: std::sync::Arc<std::sync::atomic::AtomicBool>,
    stored: mpsc::Sender<Vec<Record>>,
}

impl Backend for Away {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        if !self.works.load(std::sync::atomic::Ordering::Acquire) {
            return Err("away".into());
        }
        self.stored.send(records.to_vec())?;
        Ok(())
    }
}

#[test]
fn without_a_file_the_newest_rows_wait_in_memory_and_come_in_order() {
    let works = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stored, kept) = mpsc::channel();
    let backend = Away { works: works.clone(), stored };
    let options = Options { held_rows_max: 150, ..Options::in_memory("bot", &clock()) };
    let sink = Sink::start(options, backend).unwrap();
    assert!(sink.offer(said("heavy", Level::WARN)));
    for number in 0..399 {
        assert!(sink.offer(info(number)));
    }
    assert!(sink.flush(DEADLINE));
    let figures = sink.figures();
    assert_eq!((total(figures.spilled), total(figures.dropped)), (150, 250));
    works.store(true, std::sync::atomic::Ordering::Release);
    until("a database that is well", || sink.state() == State::Well);
    assert_eq!(sink.figures().imported, 150);
    assert!(sink.offer(info(399)));
    drop(sink);
    let stored: Vec<Record> = kept.iter().flatten().collect();
    let messages: Vec<&str> = stored.iter().map(|record| &*record.row.message).collect();
    let came: Vec<&str> =
        messages.iter().copied().filter(|message| message.starts_with("row")).collect();
    assert_eq!(came, rows(250..400));
    assert_eq!(messages[0], "heavy", "it is the oldest, and matters");
    assert_eq!(messages.len() - came.len(), 2, "one that tells of the dropped");
}
