//! The database file under real processes: opened at once, killed, stopped,
//! fenced, asked by pivotctl.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use pivot_trading::engine::event::OperatorAction;
use pivot_trading::engine::ledger::{Decision, Fact, TradeRecord};
use pivot_trading::engine::{self, Event, Mode, Stamp};
use pivot_trading::journal::{Entry, Journal, JournalError, Run};
use pivot_trading::market::Timestamp;
use pivot_trading::store::lock::ServiceLock;
use pivot_trading::store::wire::Wire;
use pivot_trading::store::{Ask, Receipt, Role, Store};
use rustix::process::{Pid, Signal, kill_process};

const CHILD: &str = "PIVOT_STORE_CHILD";
const FOLDER: &str = "PIVOT_STORE_FOLDER";

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn at(time: &str) -> Timestamp {
    format!("2026-11-23T{time}+05:30").parse().unwrap()
}

pub(super) fn claim(dir: &Path) -> Journal {
    let store = Store::open(dir, Role::Trading, Mode::Demo).unwrap();
    let run = Run {
        kind: "trading",
        pid: std::process::id(),
        started_at: at("08:01:00"),
        version: "test".into(),
        build: "test".into(),
        config_hash: "test".into(),
    };
    Journal::claim(store, &run).unwrap()
}

pub(super) fn entry(seq: u64, commands: Vec<engine::Command>) -> Entry {
    let stamp = Stamp { seq, at: at("09:36:00") };
    Entry { stamp, seen: Vec::new(), event: Event::Deadline, commands }
}

fn submit(tag: &str) -> engine::Command {
    let text = format!(
        r#"{{"Submit":{{"intent":1,"reduces":false,"order":{{"instrument":"BFO:SENSEX26NOV84000CE",
        "side":"BUY","order_type":"LIMIT","product":"MIS","quantity":20,"price":41200,
        "trigger":null,"tag":"{tag}"}}}}}}"#
    );
    engine::Command::from_text(&text).unwrap()
}

/// Starts this test binary again, to play `part` on `dir`.
fn spawn(part: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::child", "--nocapture"])
        .env(CHILD, part)
        .env(FOLDER, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads what a child prints until the line that starts with `word`.
fn read_until(child: &mut Child, word: &str) -> String {
    let output = BufReader::new(child.stdout.as_mut().unwrap());
    let found = output.lines().map(Result::unwrap).find(|line| line.starts_with(word));
    found.unwrap_or_else(|| panic!("the child ended without {word:?}"))
}

fn wait(child: &mut Child) -> ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "the child does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn wait_for_kill() -> ! {
    loop {
        std::thread::sleep(PATIENCE);
    }
}

/// Not a test of its own: the part that a process started by another test
/// plays. Does nothing when run as a test.
#[test]
fn child() {
    let Ok(part) = std::env::var(CHILD) else { return };
    let dir = std::path::PathBuf::from(std::env::var(FOLDER).unwrap());
    match part.as_str() {
        "open" => {
            Store::open(&dir, Role::Bot, Mode::Demo).unwrap();
        }
        "lock" => match ServiceLock::acquire(&dir, "trading", std::process::id()) {
            Ok(_lock) => {
                println!("\nheld");
                wait_for_kill();
            }
            Err(error) => println!("\n{error}"),
        },
        "append" => {
            let mut journal = claim(&dir);
            journal.append(&[entry(1, vec![submit("P1123T001E1")])]).unwrap();
            println!("\nappended");
            wait_for_kill();
        }
        "append-when-told" => {
            let mut journal = claim(&dir);
            println!("\nclaimed");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            match journal.append(&[entry(1_000, Vec::new())]) {
                Err(JournalError::Fenced { epoch }) => println!("\nfenced {epoch}"),
                appended => panic!("{appended:?}"),
            }
        }
        other => panic!("no part {other:?}"),
    }
}

#[test]
fn four_processes_open_a_fresh_folder_at_once() {
    for _ in 0..5 {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        let mut children: Vec<Child> = (0..4).map(|_| spawn("open", &dir)).collect();
        assert!(children.iter_mut().all(|child| wait(child).success()));
        assert!(Store::open_existing(&dir, Role::Reader).unwrap().integrity().unwrap().is_empty());
    }
}

#[test]
fn a_killed_holder_leaves_no_lock_behind() {
    let dir = tempfile::tempdir().unwrap();
    let mut holder = spawn("lock", dir.path());
    read_until(&mut holder, "held");
    let mut second = spawn("lock", dir.path());
    let refusal = read_until(&mut second, "trading already runs");
    assert!(refusal.ends_with(&format!("(pid {})", holder.id())), "{refusal}");
    assert!(wait(&mut second).success());
    assert_eq!(ServiceLock::holder(dir.path(), "trading"), Some(holder.id()));
    signal(&holder, Signal::KILL);
    wait(&mut holder);
    assert_eq!(ServiceLock::holder(dir.path(), "trading"), None);
    ServiceLock::acquire(dir.path(), "trading", 1).unwrap();
}

#[test]
fn an_intent_outlives_a_kill_before_its_order_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let mut killed = spawn("append", dir.path());
    read_until(&mut killed, "appended");
    signal(&killed, Signal::KILL);
    wait(&mut killed);

    let journal = claim(dir.path());
    assert_eq!((journal.epoch(), journal.last_seq()), (2, 1));
    assert!(journal.store().has_intent("P1123T001E1").unwrap());
    let day = journal.last_day(None).unwrap().unwrap();
    assert_eq!(journal.replay(day).unwrap(), [entry(1, vec![submit("P1123T001E1")])]);
}

#[test]
fn a_process_that_was_stopped_and_replaced_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut stalled = spawn("append-when-told", dir.path());
    read_until(&mut stalled, "claimed");
    signal(&stalled, Signal::STOP);
    let mut fresh = claim(dir.path());
    fresh.append(&[entry(1, Vec::new())]).unwrap();
    stalled.stdin.take().unwrap().write_all(b"append\n").unwrap();
    signal(&stalled, Signal::CONT);
    assert_eq!(read_until(&mut stalled, "fenced"), "fenced 1");
    assert!(wait(&mut stalled).success());
    fresh.append(&[entry(2, Vec::new())]).unwrap();
}

fn pivotctl(dir: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .current_dir(std::env::temp_dir())
        .args(words)
        .arg("--data")
        .arg(dir)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn trade() -> TradeRecord {
    let text = r#"{"trade_id":"20261123_001","date":"2026-11-23","signal":"BSE:SENSEX",
        "contract":"BFO:SENSEX26NOV84000CE","kind":"Call","strike":8400000,"direction":"Long",
        "setup":"R1","structure":"MODERATE","candle":{"start":"2026-11-23T04:03:00Z",
        "open":8400000,"high":8412000,"low":8399000,"close":8410000,"volume":0},
        "first_candle":false,"re_entry":false,"quantity":20,
        "entered_at":"2026-11-23T04:06:02Z","entry_value":824000,"stop":8399000,
        "first_target":null,"target":8430000,"resting_stop":null,"closed_quantity":20,
        "exited_at":"2026-11-23T04:30:00Z","exit_value":904000,"exit_reason":"TARGET",
        "candles_held":8,"gross":80000,"charges":6123,"levels":[["P",8401000],["R1",8408000]]}"#;
    TradeRecord::from_text(text).unwrap()
}

fn decision() -> Decision {
    let text = r#"{"instrument":"BSE:SENSEX","candle":{"start":"2026-11-23T04:03:00Z",
        "open":8400000,"high":8412000,"low":8399000,"close":8410000,"volume":0},
        "at":"2026-11-23T04:06:00Z","verdict":"Rejected","reason":"CPR_WIDE",
        "direction":"Long","level":"R1","numbers":[["cpr_width","0.31 %"],["widest","0.25 %"]]}"#;
    Decision::from_text(text).unwrap()
}

fn recorded_day(dir: &Path) -> Journal {
    let mut journal = claim(dir);
    let facts = [Fact::Decision(decision()), Fact::Trade(Box::new(trade()))];
    journal.append(&[entry(1, facts.map(engine::Command::Record).into())]).unwrap();
    journal
}

#[test]
fn the_operator_reads_what_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    recorded_day(dir.path());
    let check = |words: &[&str], expect: &[&str]| {
        let output = pivotctl(dir.path(), words);
        let shown = text(&output.stdout);
        assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
        for part in expect {
            assert!(shown.contains(part), "{words:?} lacks {part:?}:\n{shown}");
        }
    };
    check(&["status"], &["DEMO", "does not run", "1 trades closed, 1 won, net +738.77"]);
    check(&["trades"], &["20261123_001", "SENSEX26NOV84000CE", "412.00", "TARGET", "+738.77"]);
    check(&["trades", "--date", "2026-11-20"], &["no trades"]);
    check(&["summary"], &["win rate", "100.00 %", "R1 × 1", "TARGET × 1"]);
    check(&["why", "SENSEX", "09:34"], &["09:33:00 to 09:36:00", "CPR_WIDE LONG R1", "0.31 %"]);
    check(&["status", "--json"], &[r#""net":"738.77""#, r#""mode":"demo""#]);
    check(&["trades", "--json"], &[r#""entry_price":"412.00""#, r#""net":"738.77""#]);
    check(&["summary", "--json"], &[r#""win_rate_pct":100.0"#]);
    check(&["why", "--json"], &[r#""reason":"CPR_WIDE""#]);

    let nothing = pivotctl(dir.path(), &["why", "09:30"]);
    assert_eq!(nothing.status.code(), Some(1));
    let nowhere = pivotctl(&dir.path().join("nowhere"), &["status"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("no database at"), "{}", text(&nowhere.stderr));
}

/// Plays pivot-trading: answers the first request with `done`.
fn answer_one(dir: &Path, done: bool) -> Receipt {
    let _lock = ServiceLock::acquire(dir, "trading", std::process::id()).unwrap();
    let mut journal = claim(dir);
    let until = Instant::now() + PATIENCE;
    let mut pending = Vec::new();
    while pending.is_empty() {
        assert!(Instant::now() < until, "no request came");
        std::thread::sleep(Duration::from_millis(5));
        pending = journal.store().inbox_unanswered(10).unwrap();
    }
    let receipt = pending.remove(0);
    let answer = Fact::Answer { request: receipt.id, done, text: "as asked".into() };
    let next = journal.last_seq() + 1;
    journal.append(&[entry(next, vec![engine::Command::Record(answer)])]).unwrap();
    wait_until_audited(journal.store(), until);
    receipt
}

/// The lock is held until pivotctl has seen the answer.
fn wait_until_audited(store: &Store, until: Instant) {
    while store.audit_tail(1).unwrap().is_empty() {
        assert!(Instant::now() < until, "pivotctl does not notice the answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_operator_is_told_what_was_carried_out() {
    let check = |words: &[&str], done: bool, action: OperatorAction| {
        let dir = tempfile::tempdir().unwrap();
        drop(claim(dir.path()));
        let folder = dir.path();
        let (output, receipt) = std::thread::scope(|scope| {
            let service = scope.spawn(|| answer_one(folder, done));
            let until = Instant::now() + PATIENCE;
            while ServiceLock::holder(folder, "trading").is_none() {
                assert!(Instant::now() < until, "nobody took the lock");
                std::thread::sleep(Duration::from_millis(1));
            }
            (pivotctl(folder, words), service.join().unwrap())
        });
        assert_eq!(receipt.request.ask, Ask::Operator(action));
        assert!(receipt.request.actor.starts_with("pivotctl:"));
        assert_eq!(output.status.code(), Some(i32::from(!done)), "{output:?}");
        let shown = text(if done { &output.stdout } else { &output.stderr });
        assert!(shown.contains("as asked"), "{shown}");
        let audit = Store::open_existing(folder, Role::Reader).unwrap().audit_tail(5).unwrap();
        assert_eq!(audit[0].outcome, "as asked");
    };
    check(&["disable"], true, OperatorAction::Disable);
    check(&["enable", "--confirm"], false, OperatorAction::Enable { confirmed: true });
    check(&["panic", "--all"], true, OperatorAction::Panic { all: true });
}

#[test]
fn silence_is_reported_as_silence() {
    let dir = tempfile::tempdir().unwrap();
    drop(claim(dir.path()));
    for word in ["enable", "disable", "panic"] {
        let output = pivotctl(dir.path(), &[word]);
        assert_eq!(output.status.code(), Some(1));
        let shown = text(&output.stderr);
        assert!(shown.contains("pivot-trading does not answer: it does not run"), "{shown}");
    }
    let store = Store::open_existing(dir.path(), Role::Reader).unwrap();
    assert_eq!(store.inbox_unanswered(10).unwrap().len(), 3);
}

#[test]
fn a_day_is_decided_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = claim(dir.path());
    let mut engine = engine::Engine::new();
    let mut decided = |seq| {
        let mut entry = entry(seq, Vec::new());
        engine.step(entry.stamp, &entry.event, &mut entry.commands);
        entry
    };
    journal.append(&[decided(1), decided(2)]).unwrap();
    let same = pivotctl(dir.path(), &["replay"]);
    let said = text(&same.stdout);
    assert!(same.status.success(), "{said}{}", text(&same.stderr));
    assert!(said.starts_with("2026-11-23: 2 entries, "), "{said}");
    assert!(said.contains("decided the same again"), "{said}");

    // No engine asks for an order on a day that was never prepared.
    let wrong = Entry { commands: vec![submit("20261123A")], ..decided(3) };
    journal.append(&[wrong, decided(4)]).unwrap();
    let differs = pivotctl(dir.path(), &["replay", "--date", "2026-11-23"]);
    assert_eq!(differs.status.code(), Some(1));
    let said = text(&differs.stdout);
    assert!(said.contains("DIFFERS, first at entry 3, 09:36:00.000 IST"), "{said}");
    assert!(said.contains("journal  {\"Submit\"") && said.contains("replay   nothing"), "{said}");
    let differs = pivotctl(dir.path(), &["replay", "--all", "--json"]);
    assert_eq!(differs.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&differs.stdout).unwrap();
    assert_eq!(report["days"][0]["same"], false);
    assert_eq!(report["days"][0]["difference"]["seq"], 3);

    let nothing = pivotctl(dir.path(), &["replay", "--date", "2026-11-20"]);
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("nothing is on record of 2026-11-20"));
}

#[test]
fn a_bench_measures_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let bench = |folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pivotctl"));
        command.args(["bench", "--json", "--dir", folder]).current_dir(dir.path());
        command.output().unwrap()
    };
    let output = bench(".");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(&output.stderr)));
    let measures = report["measures"].as_array().unwrap();
    let names: Vec<&str> = measures.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let expected = [
        "candle decided",
        "event decided",
        "ticker message",
        "journal commit",
        "log line",
        "wake-up",
    ];
    assert_eq!(names, expected);
    for row in measures {
        let figure = |name: &str| row[name].as_f64().unwrap();
        let in_order = figure("median_us") <= figure("p99_us")
            && figure("p99_us") <= figure("worst_us")
            && figure("samples") >= 100.0;
        assert!(in_order, "{row}");
    }
    // A busy machine may be too slow; the exit code says what the report says.
    assert_eq!(output.status.success(), report["fit"].as_bool().unwrap());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let nowhere = bench("/proc");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("--dir names another folder"));
}
