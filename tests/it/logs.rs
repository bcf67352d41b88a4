//! `pivotctl logs` over rows and files as services leave them.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pivot_trading::clock::{Clock, real_now};
use pivot_trading::telemetry::rows::{FILE_NAME, Options, Row, Sink, SqliteBackend};
use serde_json::Value;
use tracing::Level;

const DEADLINE: Duration = Duration::from_secs(20);

/// A data folder with rows, and a folder of log files.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder };
        fs::create_dir(place.data()).unwrap();
        fs::create_dir(place.logs()).unwrap();
        place
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn logs(&self) -> PathBuf {
        self.folder.path().join("logs")
    }

    fn sink(&self) -> Sink {
        let clock = Clock::system();
        let backend = SqliteBackend::new(&self.data().join(FILE_NAME), &clock);
        let fallback = self.logs().join("bot_fallback.jsonl");
        Sink::start(Options::new("bot", fallback, &clock), backend).unwrap()
    }

    fn store(&self, rows: impl IntoIterator<Item = Row>) {
        let sink = self.sink();
        rows.into_iter().for_each(|row| assert!(sink.offer(row)));
        assert!(sink.flush(DEADLINE));
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pivotctl"));
        command.args(args).arg("--data").arg(self.data());
        if args.first() == Some(&"logs") {
            command.arg("--log-dir").arg(self.logs());
        }
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn lines(&self, args: &[&str]) -> Vec<String> {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?} {output:?}");
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.lines(args).join("\n")).unwrap()
    }

    fn refused(&self, args: &[&str], words: &str) {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?} {said}");
        assert!(said.contains(words), "{args:?} {said}");
    }
}

/// A command that goes on, and its lines as they come.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let stdout: ChildStdout = child.stdout.take().unwrap();
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Running { child, lines }
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn row(at: DateTime<Utc>, level: Level, component: &'static str, message: &str) -> Row {
    Row {
        at,
        level,
        service: "bot".into(),
        component: component.into(),
        target: "pivot_trading::telegram".into(),
        message: message.to_owned(),
        data: r#"{"notice":7,"text":"two words"}"#.into(),
        correlation_id: (message == "traded").then(|| "20261123_001".to_owned()),
        event_type: None,
        duration_us: None,
    }
}

fn append(path: &Path, text: &str) {
    let mut file = File::options().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[test]
fn rows_are_found_by_filters_and_followed() {
    let place = Place::new();
    let missing = place.run(&["logs", "query"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no log database at"));
    let now = real_now();
    let hour_ago = now - TimeDelta::hours(1);
    place.store([
        row(hour_ago, Level::INFO, "api", "old"),
        row(now, Level::WARN, "command_service", "traded"),
        row(now, Level::INFO, "command_service", "\u{1b}[31mred\nlines"),
    ]);
    let shown = place.lines(&["logs", "query"]);
    assert_eq!(shown.len(), 3);
    assert!(shown[0].contains(" INFO  bot api - old notice=7 text=\"two words\""), "{shown:?}");
    assert!(shown[1].contains(" WARN  bot command_service 20261123_001 traded "), "{shown:?}");
    assert!(shown[2].contains(" - red lines ") || shown[2].contains("[31mred lines"), "{shown:?}");
    assert!(!shown[2].contains('\u{1b}'));
    assert_eq!(place.lines(&["logs", "query", "--since", "30m"]).len(), 2);
    assert_eq!(place.lines(&["logs", "query", "--level", "warn"]).len(), 1);
    assert_eq!(place.lines(&["logs", "query", "--q", "TRADED", "--component", "api"]).len(), 0);
    let page = place.json(&["logs", "query", "-n", "2", "--json"]);
    assert_eq!(page["logs"].as_array().map(Vec::len), Some(2));
    let next = page["next"].as_str().unwrap();
    let page = place.json(&["logs", "query", "--cursor", next, "--json"]);
    assert_eq!((&page["logs"][0]["message"], &page["next"]), (&"old".into(), &Value::Null));
    place.refused(&["logs", "query", "--level", "loud"], "expected trace, debug, info");
    place.refused(&["logs", "query", "-n", "0"], "a number from 1 to 1000");

    let follow =
        place.command(&["logs", "query", "-f", "--json", "--correlation-id", "20261123_001"]);
    let follow = Running::start(follow);
    let first: Value = serde_json::from_str(&follow.line()).unwrap();
    assert_eq!(first["level"], "WARN");
    // Logged long before, stored now.
    place
        .store([row(hour_ago, Level::ERROR, "api", "traded"), row(now, Level::INFO, "api", "not")]);
    let next: Value = serde_json::from_str(&follow.line()).unwrap();
    assert_eq!((&next["level"], &next["message"]), (&"ERROR".into(), &"traded".into()));
}

#[test]
fn files_are_followed_by_component_across_rotation() {
    let place = Place::new();
    let now = place.logs().join("execution_service.log");
    append(&place.logs().join("execution_service_20261125.1.log"), "1\n2\n");
    append(&now, "3\n4\n");
    append(&place.logs().join("auth_server.log"), "login\n");
    assert_eq!(place.lines(&["logs", "tail", "execution_service"]), ["1", "2", "3", "4"]);
    assert_eq!(place.lines(&["logs", "tail", "execution_service", "-n", "3"]), ["2", "3", "4"]);
    assert_eq!(place.lines(&["logs", "tail", "auth"]), ["login"]);
    assert_eq!(place.lines(&["logs", "tail", "metrics"]), Vec::<String>::new());
    place.refused(&["logs", "tail", "execution_servic"], "did you mean execution_service?");
    let follow = place.command(&["logs", "tail", "execution_service", "-n", "1", "-f"]);
    let follow = Running::start(follow);
    assert_eq!(follow.line(), "4");
    append(&now, "5\n");
    assert_eq!(follow.line(), "5");
    append(&now, "6\n");
    fs::rename(&now, place.logs().join("execution_service_20261126.1.log")).unwrap();
    append(&now, "7\n");
    assert_eq!((follow.line(), follow.line()), ("6".into(), "7".into()));
}

#[test]
fn whoever_follows_ends_when_nobody_reads() {
    let place = Place::new();
    let path = place.logs().join("trading.log");
    append(&path, "1\n");
    let mut command = place.command(&["logs", "tail", "-f"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    assert_eq!(first, "1\n");
    drop(reader);
    let deadline = std::time::Instant::now() + DEADLINE;
    let status = loop {
        append(&path, "more\n");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "it goes on");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn what_is_logged_is_counted_live() {
    let place = Place::new();
    place.store([row(real_now(), Level::INFO, "api", "before")]);
    let monitor = Running::start(place.command(&["logs", "monitor", "4", "--json"]));
    let first: Value = serde_json::from_str(&monitor.line()).unwrap();
    assert_eq!(first["rows"], 0);
    place.store([
        row(real_now(), Level::ERROR, "api", "a"),
        row(real_now(), Level::INFO, "api", "b"),
        row(real_now(), Level::INFO, "metrics", "c"),
    ]);
    let lines: Vec<Value> =
        (0..4).map(|_| serde_json::from_str(&monitor.line()).unwrap()).collect();
    let sums = &lines[3]["sums"];
    assert_eq!((&sums["rows"], &sums["levels"]["ERROR"]), (&3.into(), &1.into()));
    assert_eq!(sums["components"]["api"]["INFO"], 1);
    let seconds: u64 = lines[..3].iter().map(|line| line["rows"].as_u64().unwrap()).sum();
    assert_eq!(seconds, 3);
    place.refused(&["logs", "monitor", "0"], "1..=86400");
}

#[test]
fn old_rows_are_archived_and_all_of_it_is_counted() {
    let place = Place::new();
    let now = real_now();
    let aged = |days: i64, number: i64| {
        let at = now - TimeDelta::days(days) + TimeDelta::seconds(number);
        row(at, Level::INFO, "api", &format!("aged {days} {number}"))
    };
    let rows = [95, 40, 10].into_iter().flat_map(|days| (0..5).map(move |number| (days, number)));
    place.store(rows.map(|(days, number)| aged(days, number)));
    append(&place.logs().join("bot_fallback.jsonl"), "{}\n{}\n");
    append(&place.logs().join("bot_20261125.1.log"), "12345");
    append(&place.logs().join("bot.log"), "123");
    let cleanup =
        |more: &[&str]| place.json(&[&["logs", "archive", "cleanup", "--json"], more].concat());
    let foreseen = cleanup(&["--dry-run"]);
    assert_eq!((&foreseen["archived"], &foreseen["deleted"]), (&5.into(), &5.into()));
    let done = cleanup(&[]);
    assert_eq!((&done["archived"], &done["deleted"]), (&5.into(), &5.into()));
    let again = cleanup(&[]);
    assert_eq!((&again["archived"], &again["deleted"]), (&0.into(), &0.into()));
    assert_eq!(place.lines(&["logs", "query", "--q", "aged"]).len(), 5);
    assert_eq!(place.lines(&["logs", "query", "--q", "aged 40", "--archived"]).len(), 5);
    let stats = place.json(&["logs", "stats", "--json"]);
    assert_eq!((&stats["database"]["rows"], &stats["archive"]["rows"]), (&5.into(), &5.into()));
    assert_eq!(stats["waiting"][0]["rows"], 2);
    let logs = stats["logs"].as_array().unwrap();
    let bot = logs.iter().find(|log| log["log"] == "bot").unwrap();
    assert_eq!((&bot["files"], &bot["bytes"]), (&2.into(), &8.into()));
    let day = &stats["database"]["days"][0];
    assert_eq!((&day["service"], &day["level"]), (&"bot".into(), &"INFO".into()));
    let shown = place.lines(&["logs", "stats"]).join("\n");
    assert!(shown.contains("2 rows (6 B) wait for the database in"), "{shown}");
    let listed = place.json(&["logs", "archive", "list", "--json"]);
    assert_eq!(listed["files"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["database"]["rows"], 5);
    let deleted = cleanup(&["--keep", "0", "--days", "0"]);
    assert_eq!(deleted["deleted"], 10);
    assert_eq!(place.lines(&["logs", "query"]).len(), 0);
}
