//! Backups and upkeep under real processes: made while somebody writes,
//! killed in the middle, looked after by two at once; and what an operator
//! does by hand.

mod killed;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pivot_trading::clock::ManualClock;
use pivot_trading::config::Config;
use pivot_trading::engine::{Engine, Event, Mode, Stamp};
use pivot_trading::journal::{Entry, Journal, Run};
use pivot_trading::market::Timestamp;
use pivot_trading::store::{Role, SCHEMA_VERSION, Store};
use pivot_trading::upkeep::Keeper;
use pivot_trading::upkeep::backup::{self, Order, glance};
use pivot_trading::upkeep::ledger::Ledger;
use pivot_trading::upkeep::schedule::{Job, State};
use serde_json::Value;

const PART: &str = "PIVOT_UPKEEP_PART";
const FOLDER: &str = "PIVOT_UPKEEP_FOLDER";

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest that a commit may take beside a backup on a busy machine; a writer
/// gives up after 5 s.
const COMMIT_WITHIN: Duration = Duration::from_secs(3);

fn at(text: &str) -> Timestamp {
    format!("{text}:00+05:30").parse().unwrap()
}

/// pivot-trading's part: an engine whose every step is journaled.
struct Writer {
    journal: Journal,
    engine: Engine,
    next: u64,
}

impl Writer {
    fn new(data: &Path) -> Writer {
        let run = Run {
            kind: "trading",
            pid: std::process::id(),
            started_at: at("2026-11-20T08:01"),
            version: env!("CARGO_PKG_VERSION").into(),
            build: option_env!("PIVOT_BUILD").unwrap_or("source").into(),
            config_hash: "test".into(),
        };
        let store = Store::open(data, Role::Trading, Mode::Paper).unwrap();
        let journal = Journal::claim(store, &run).unwrap();
        Writer { journal, engine: Engine::new(), next: 1 }
    }

    fn commit(&mut self) {
        let stamp = Stamp { seq: self.next, at: at("2026-11-20T09:30") };
        let event = if self.next == 1 { Event::Restarted } else { Event::Deadline };
        let mut commands = Vec::new();
        self.engine.step(stamp, &event, &mut commands);
        self.journal.append(&[Entry { stamp, seen: Vec::new(), event, commands }]).unwrap();
        self.next += 1;
    }
}

/// Rows that take time to copy.
fn fatten(data: &Path, megabytes: u32) {
    let connection = rusqlite::Connection::open(data.join("trading.db")).unwrap();
    let sql = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {megabytes})
         INSERT INTO audit (at, source, actor, what, outcome)
         SELECT '', '', '', hex(randomblob(500000)), '' FROM n"
    );
    connection.execute_batch(&sql).unwrap();
}

fn keeper(folder: &Path, hands: &ManualClock) -> Keeper {
    let mut config = Config::default();
    config.data.dir = folder.join("data").display().to_string();
    config.data.log_dir = folder.join("logs").display().to_string();
    Keeper::new(config, Mode::Paper, None, hands.clock()).unwrap()
}

/// Starts this test binary again, to play `part` in `folder`.
fn spawn(part: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "upkeep::part", "--nocapture"])
        .env(PART, part)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: what a process started by another test does.
#[test]
fn part() {
    let Ok(part) = std::env::var(PART) else { return };
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    let hands = ManualClock::new(at("2026-11-20T16:05"));
    match part.as_str() {
        "turn" => {
            keeper(&folder, &hands).turn().unwrap();
        }
        "week one" | "week other" => {
            // Both go through the same instants, as one clock shows them.
            let other = if part == "week one" { "week other" } else { "week one" };
            for hour in 1..=80_u32 {
                fs::write(folder.join(format!("{part} {hour}")), "").unwrap();
                let until = Instant::now() + PATIENCE;
                while !folder.join(format!("{other} {hour}")).exists() {
                    assert!(Instant::now() < until, "the other one is gone");
                    std::thread::sleep(Duration::from_millis(1));
                }
                keeper(&folder, &hands).turn().unwrap();
                hands.pass(chrono::TimeDelta::minutes(60));
            }
        }
        other => panic!("no part {other:?}"),
    }
}

fn wait(child: &mut Child) -> bool {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.success();
        }
        assert!(Instant::now() < until, "the process does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_backup_beside_a_busy_writer_is_of_one_instant_and_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut writer = Writer::new(&data);
    writer.commit();
    fatten(&data, 8);
    let stop = AtomicBool::new(false);
    let (slowest, commits, made) = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let (mut slowest, mut commits) = (Duration::ZERO, 0_u64);
            while !stop.load(Ordering::Acquire) {
                let began = Instant::now();
                writer.commit();
                slowest = slowest.max(began.elapsed());
                commits += 1;
            }
            (slowest, commits)
        });
        let order = Order {
            data: data.clone(),
            dir: folder.path().join("backups"),
            config: None,
            logs: None,
            now: at("2026-11-20T10:00"),
        };
        let made: Vec<_> =
            (0..3).map(|_| backup::create(&order, &mut |_, _, _| {}).unwrap()).collect();
        stop.store(true, Ordering::Release);
        let (slowest, commits) = writing.join().unwrap();
        (slowest, commits, made)
    });
    println!("{commits} commits meanwhile, the slowest took {slowest:?}");
    assert!(slowest < COMMIT_WITHIN, "{slowest:?}");
    let mut last = 0;
    for made in &made {
        let manifest = &made.manifest;
        // Without a gap: what was committed by then, and nothing half.
        assert_eq!(manifest.rows["trading.db"]["journal"], manifest.last_seq);
        assert!(manifest.last_seq > last, "it went on meanwhile");
        last = manifest.last_seq;
        let replay = made.report.steps.iter().find(|step| step.name == "replay").unwrap();
        assert_eq!(replay.outcome, backup::Outcome::Ok, "{replay:?}");
    }
    assert!(commits > made.len() as u64);
}

#[test]
fn one_killed_while_it_makes_a_backup_leaves_none_and_the_next_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Writer::new(&data).commit();
    fatten(&data, 20);
    // The ledger begins before anything is due.
    let hands = ManualClock::new(at("2026-11-20T16:00"));
    keeper(folder.path(), &hands).turn().unwrap();
    let backups = folder.path().join("backups");
    let mut child = spawn("turn", folder.path());
    let until = Instant::now() + PATIENCE;
    let is_at_it = || {
        let entries = fs::read_dir(&backups).into_iter().flatten().flatten();
        let archives = entries.map(|entry| entry.path().join("archive"));
        archives.into_iter().any(|path| fs::metadata(path).is_ok_and(|meta| meta.len() > 100_000))
    };
    while !is_at_it() {
        assert!(Instant::now() < until, "no backup was begun");
        assert!(child.try_wait().unwrap().is_none(), "it was too fast");
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(glance(&backups).unwrap(), []);
    let run = |state: State, attempts: u32| {
        let ledger = Ledger::look(&data).unwrap().unwrap();
        let runs = ledger.last_runs(at("2026-11-20T17:00")).unwrap();
        let found = runs.into_iter().find(|run| run.job == Job::Backup).unwrap();
        assert_eq!((found.state, found.attempts), (state, attempts));
    };
    run(State::Running, 1);
    hands.pass(chrono::TimeDelta::minutes(6));
    keeper(folder.path(), &hands).turn().unwrap();
    run(State::Done, 2);
    assert_eq!(glance(&backups).unwrap().len(), 1);
    let left: Vec<_> = fs::read_dir(&backups)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn two_keepers_do_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    Writer::new(&data).commit();
    let hands = ManualClock::new(at("2026-11-20T16:00"));
    keeper(folder.path(), &hands).turn().unwrap();
    let mut children: Vec<Child> =
        ["week one", "week other"].map(|part| spawn(part, folder.path())).into();
    assert!(children.iter_mut().all(wait));
    let history = Ledger::look(&data).unwrap().unwrap().history().unwrap();
    assert!(history.iter().all(|run| run.attempts == 1), "{history:#?}");
    assert!(history.iter().all(|run| run.state == State::Done), "{history:#?}");
    let count = |job| history.iter().filter(|run| run.job == job).count();
    // Friday's and Monday's; the week's full one on Saturday.
    assert_eq!((count(Job::Backup), count(Job::FullBackup)), (2, 1));
    assert_eq!(glance(&folder.path().join("backups")).unwrap().len(), 3);
}

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Desk {
        let desk = Desk { folder: tempfile::tempdir().unwrap() };
        let mut writer = Writer::new(&desk.path("data"));
        writer.commit();
        writer.commit();
        let config = r#"{"trading": {"mode": "paper"}, "api_key": "k", "api_secret": "s",
            "telegram_token": "t", "telegram_chat_id": 1}"#;
        fs::write(desk.path("config.json"), config).unwrap();
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pivotctl"))
            .args(words)
            .current_dir(&self.folder)
            .env_remove("PIVOT_DATA_DIR")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn code(&self, words: &[&str]) -> (Option<i32>, String) {
        let output = self.run(words);
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn json(&self, words: &[&str]) -> Value {
        let output = self.run(&[words, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {said}");
        assert_eq!(said, "", "{words:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn an_operator_makes_lists_verifies_restores_and_prunes() {
    let desk = Desk::new();
    assert!(desk.code(&["backup", "list"]).1.contains("no archives in backups"));
    let made = desk.json(&["backup", "create"]);
    let archive = made["archive"].as_str().unwrap();
    assert!(archive.starts_with("backups/pivot-") && archive.ends_with("-paper.tar.gz"));
    let mode = fs::metadata(desk.path(archive)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (code, said) = desk.code(&["backup", "create", "--with-logs", "--without-config"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("ok       replay") && said.contains("verified"), "{said}");
    let listed = desk.json(&["backup", "list"]);
    let listed = listed["archives"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|archive| archive["soundness"] == "sound"), "{listed:?}");
    assert_eq!(desk.json(&["backup", "verify", archive])["sound"], true);

    let (code, said) = desk.code(&["backup", "restore", archive]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("is not empty"), "{said}");
    let second = ["backup", "restore", archive, "--to", "second", "--with-config"];
    assert_eq!(desk.json(&second)["before"], Value::Null);
    let config = |name: &str| fs::read_to_string(desk.path(name)).unwrap();
    assert_eq!(config("second/config.json"), config("config.json"));
    let replaced = desk.json(&["backup", "restore", archive, "--force"]);
    let before = replaced["before"].as_str().unwrap();
    assert!(before.contains("data.before-restore-"), "{before}");
    assert!(desk.path("data/trading.db").exists() && Path::new(before).join("trading.db").exists());

    // A byte of it changes.
    let mut bytes = fs::read(desk.path(archive)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(desk.path(archive), bytes).unwrap();
    let (code, said) = desk.code(&["backup", "verify", archive]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("NOT sound"), "{said}");
    let (code, said) = desk.code(&["backup", "list"]);
    assert!(code == Some(1) && said.contains("damaged"), "{said}");
    assert_eq!(desk.code(&["backup", "restore", archive, "--force"]).0, Some(1));

    desk.json(&["backup", "create"]);
    desk.json(&["backup", "create"]);
    let pruned = desk.json(&["backup", "prune", "--keep", "1", "--keep-full", "1"]);
    assert_eq!(pruned["deleted"].as_array().map(Vec::len), Some(2), "{pruned}");
    assert_eq!(desk.json(&["backup", "list"])["archives"].as_array().map(Vec::len), Some(2));
    let (code, said) = desk.code(&["backup", "verify", "nowhere.tar.gz"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(desk.code(&["backup", "restore"]).0, Some(2));
}

#[test]
fn an_operator_checks_rewrites_and_exports_the_database() {
    let desk = Desk::new();
    let checked = desk.json(&["db", "check"]);
    assert_eq!((&checked["sound"], &checked["mode"]), (&true.into(), &"paper".into()));
    assert_eq!(checked["rows"]["journal"], 2);
    fatten(&desk.path("data"), 2);
    let connection = rusqlite::Connection::open(desk.path("data/trading.db")).unwrap();
    connection
        .execute_batch(
            "DELETE FROM audit;
             INSERT INTO signals VALUES (7, '2026-11-20', '09:33', 'SENSEX', 'a,\"b\"', 84000.5,
                 NULL, 'BUY', 1, NULL, 1, 2, 3, 4, 5, NULL, NULL, NULL, NULL, NULL, 'x', 'y', 1);
             INSERT INTO signals SELECT 8, '2026-11-23', time, instrument, symbol, strike,
                 option_type, signal_type, scenario, structure, candle_open, candle_high,
                 candle_low, candle_close, candle_size_pct, is_significant, pivot_pp, pivot_r1,
                 pivot_r2, pivot_r3, action_taken, reason, decision_id FROM signals;
             PRAGMA wal_checkpoint(TRUNCATE)",
        )
        .unwrap();
    drop(connection);
    let rewritten = desk.json(&["db", "vacuum"]);
    let bytes = |key: &str| rewritten[key].as_u64().unwrap();
    assert!(bytes("after") + 1_000_000 < bytes("before"), "{rewritten}");

    let output = desk.run(&["db", "export", "signals"]);
    let csv = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert!(lines[0].starts_with("signal_id,date,time,instrument,symbol,strike"), "{csv}");
    let row = "7,2026-11-20,09:33,SENSEX,\"a,\"\"b\"\"\",84000.5,,BUY";
    assert!(lines.len() == 3 && lines[1].starts_with(row), "{csv}");
    let output = desk.run(&["db", "export", "signals", "--from", "2026-11-21", "--json"]);
    let row: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&row["signal_id"], &row["option_type"]), (&8.into(), &Value::Null));
    let (code, said) = desk.code(&["db", "export", "--to-dir", "out", "--format", "jsonl"]);
    assert_eq!(code, Some(0), "{said}");
    let mut names: Vec<_> = fs::read_dir(desk.path("out"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let all = ["daily_summary", "decisions", "orders", "signals", "trades"];
    assert_eq!(names, all.map(|name| format!("{name}.jsonl")));
    assert_eq!(desk.code(&["db", "export"]).0, Some(2), "one table, or a folder");
    assert_eq!(desk.code(&["db", "export", "journal"]).0, Some(2));
    let span = ["db", "export", "trades", "--from", "2026-11-30", "--to", "2026-11-01"];
    assert_eq!(desk.code(&span).0, Some(2));

    let connection = rusqlite::Connection::open(desk.path("data/trading.db")).unwrap();
    let broken = "PRAGMA foreign_keys = OFF;
        INSERT INTO outbox_delivery VALUES (7, '', 0, '', '', 0, NULL)";
    connection.execute_batch(broken).unwrap();
    let (code, said) = desk.code(&["db", "check"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("WRONG: row 7 of outbox_delivery"), "{said}");
}

#[test]
fn a_database_of_an_older_program_is_backed_up_and_migrated() {
    let desk = Desk::new();
    assert!(desk.code(&["db", "migrate"]).1.contains("is up to date"));
    let connection = rusqlite::Connection::open(desk.path("data/trading.db")).unwrap();
    // As the third migration left it.
    connection
        .execute_batch(
            "DROP TABLE login_tokens; DROP TABLE broker_session; DROP TABLE postbacks;
             DROP TABLE heartbeats; DELETE FROM migrations WHERE number > 3;
             PRAGMA user_version = 3",
        )
        .unwrap();
    drop(connection);
    let (code, said) = desk.code(&["db", "check"]);
    assert!(code == Some(1) && said.contains("pivotctl db migrate"), "{said}");
    let migrated = desk.json(&["db", "migrate"]);
    assert_eq!((&migrated["from"], &migrated["to"]), (&3.into(), &SCHEMA_VERSION.into()));
    assert_eq!(desk.json(&["db", "check"])["sound"], true);
    let archive = migrated["backup"].as_str().unwrap();
    let verified = desk.json(&["backup", "verify", archive]);
    assert_eq!(verified["sound"], true, "an older schema is proved by migrating the copy");
}

#[test]
fn doctor_and_the_owner_of_the_folder_see_how_the_upkeep_stands() {
    let desk = Desk::new();
    let findings = |desk: &Desk| -> Vec<(String, String)> {
        let output = desk.run(&["doctor", "--json"]);
        let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = shown["findings"].as_array().unwrap().iter();
        let of = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
        rows.filter(|row| row["name"] == "maintenance" || row["name"] == "backup")
            .map(|row| (of(row, "level"), of(row, "text")))
            .collect()
    };
    let before = findings(&desk);
    assert!(before.iter().all(|(level, _)| level == "warning"), "{before:?}");
    assert!(before[1].1.contains("there is none in"), "{before:?}");
    desk.json(&["backup", "create"]);
    let now = pivot_trading::clock::real_now();
    keeper(desk.folder.path(), &ManualClock::new(now)).turn().unwrap();
    let after = findings(&desk);
    assert!(after.iter().all(|(level, _)| level == "ok"), "{after:?}");
}

#[test]
fn an_operator_sees_what_is_to_be_renewed() {
    let desk = Desk::new();
    let sound = desk.json(&["reminders"]);
    assert!(sound.as_array().unwrap().iter().all(|found| found["subject"] == "holidays"));
    let mut config: Value =
        serde_json::from_str(&fs::read_to_string(desk.path("config.json")).unwrap()).unwrap();
    config["reminders"] = serde_json::json!({
        "certificate": "missing.pem", "broker_renewal": "2020-01-31",
    });
    fs::write(desk.path("config.json"), config.to_string()).unwrap();
    let found = desk.json(&["reminders"]);
    assert_eq!((&found[0]["subject"], &found[0]["date"]), (&"broker".into(), &"2020-01-31".into()));
    assert!(found[0]["days_left"].as_i64().unwrap() < -2000, "{found}");
    assert_eq!((&found[1]["subject"], &found[1]["days_left"]), (&"certificate".into(), &0.into()));
    assert_eq!(found[1]["state"], "now");
    let (code, said) = desk.code(&["reminders"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("2020-01-31   "), "{said}");
    assert!(said.contains("missing.pem") && said.contains("-> See that"), "{said}");

    let report = desk.run(&["doctor", "--config", "config.json", "--json"]).stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let reminders: Vec<&str> = findings
        .iter()
        .filter(|finding| finding["name"] == "reminder" && finding["level"] == "warning")
        .map(|finding| finding["text"].as_str().unwrap())
        .collect();
    assert_eq!(reminders.len(), 2, "{report}");
    assert!(reminders[0].ends_with("renew the broker's API subscription"), "{reminders:?}");
}
