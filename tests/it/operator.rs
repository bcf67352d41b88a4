//! What holds for every subcommand of pivotctl: where its data is, and what
//! becomes of its output.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pivot_trading::engine::Mode;
use pivot_trading::store::{Role, Store};

const PIVOTCTL: &str = env!("CARGO_BIN_EXE_pivotctl");

/// Runs pivotctl; its exit code and what it said on standard error.
fn said(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PIVOTCTL).args(args).stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// Wrong usage is refused at once, with words on what is allowed.
fn refused(args: &[&str], words: &str) {
    let (code, said) = said(args);
    assert_eq!(code, Some(2), "{args:?}: {said}");
    assert!(said.contains(words), "{args:?}: {said}");
}

/// What `pivotctl status` says in a folder without a database.
fn looked_for(folder: &std::path::Path, args: &[&str], env: Option<&str>) -> String {
    let mut command = Command::new(PIVOTCTL);
    command.arg("status").args(args).current_dir(folder).env_remove("PIVOT_DATA_DIR");
    command.envs(env.map(|folder| ("PIVOT_DATA_DIR", folder)));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_data_folder_is_that_of_the_services() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"data": {"dir": "of-the-file"}, "a mistake": "elsewhere"}"#;
    fs::write(folder.path().join("config.json"), config).unwrap();
    let check = |args: &[&str], env: Option<&str>, expect: &str| {
        let said = looked_for(folder.path(), args, env);
        assert!(said.contains(&format!("no database at {expect}/trading.db")), "{said}");
    };
    check(&[], None, "of-the-file");
    check(&[], Some("of-the-environment"), "of-the-environment");
    check(&["--config", "config.json"], Some("of-the-environment"), "of-the-environment");
    check(&["--data", "as-said"], Some("of-the-environment"), "as-said");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_mistake() {
    let mut child = Command::new(PIVOTCTL)
        .args(["calendar", "year", "2026"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn output_that_is_lost_is_told() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(PIVOTCTL)
        .args(["calendar", "next", "2026-11-23"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("not all of the output could be written"), "{said}");
}

#[test]
fn a_demo_that_cannot_be_is_refused_at_once() {
    let check = |args: &[&str], words: &str| refused(&[&["demo"], args].concat(), words);
    check(&["--strategy", "foo"], "index-pivot, premium-pivot, level-breakout");
    check(&["--instrument", "FOO"], "NFO:NIFTY26NOVFUT, NIFTY, NSE:INFY, NSE:RELIANCE, SENSEX");
    check(&["--instrument", "BANKNIFTY"], "does not trade \"BANKNIFTY\"");
    check(&["--instrument", "NSE:INFY"], "index-pivot cannot trade a share");
    for speed in ["NaN", "0", "-1"] {
        check(&["--speed", speed], "expected a number from 1 to 100000");
    }
    check(&["--panic-at", "03:00"], "outside 07:58 to 15:46");
    check(&["--kill", "bot@03:00"], "outside 08:01 to 15:40");
    check(&["--kill", "X@10:00"], "expected auth, trading or bot");
    check(&["--days", "0"], "1..=60");
    check(&["--date", "2026-11-24"], "is no trading day");
}

/// Processes that work in a folder, whoever started them.
fn working_in(folder: &std::path::Path) -> usize {
    let folder = folder.canonicalize().unwrap();
    let of = |entry: fs::DirEntry| fs::read_link(entry.path().join("cwd")).ok();
    fs::read_dir("/proc").unwrap().flatten().filter_map(of).filter(|cwd| *cwd == folder).count()
}

#[test]
fn a_demo_that_is_ended_leaves_nothing_running() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let folder = tempfile::tempdir().unwrap();
        let demo = Command::new(PIVOTCTL)
            .args(["demo", "--keep", folder.path().to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while working_in(folder.path()) < 4 {
            assert!(Instant::now() < deadline, "the demo does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        let sent = Command::new("kill").args([signal, &demo.id().to_string()]).status().unwrap();
        assert!(sent.success());
        let output = demo.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("stopped by SIG"), "{said}");
        assert_eq!(working_in(folder.path()), 0);
    }
}

#[test]
fn a_demo_tells_why_a_service_died() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("logs"), "in the way of the folder").unwrap();
    let (code, said) = said(&["demo", "--keep", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("ended by itself"), "{said}");
    assert!(said.contains("could not use the log folder"), "{said}");
    let mode = fs::metadata(folder.path().join("config.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn everything_takes_json() {
    let folder = tempfile::tempdir().unwrap();
    // A last price of NSE:INFY as the ticker sends it.
    let frame: [u8; 12] = [0, 1, 0, 8, 0, 6, 0x3a, 1, 0, 2, 0x5d, 0x78];
    fs::write(folder.path().join("frame"), frame).unwrap();
    for args in
        [["kite", "decode-frame", "frame", "--json"], ["kite", "--json", "decode-frame", "frame"]]
    {
        let output = Command::new(PIVOTCTL).args(args).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(shown["packets"].as_array().map(Vec::len), Some(1), "{shown}");
    }
}

#[test]
fn init_takes_what_the_environment_names_and_shows_the_limits() {
    let folder = tempfile::tempdir().unwrap();
    let init = |chat: &str| {
        Command::new(PIVOTCTL)
            .args(["init", "--mode", "paper", "--instrument", "NIFTY", "--capital", "300000"])
            .envs([("PIVOT_API_KEY", "k"), ("PIVOT_API_SECRET", "s")])
            .envs([("PIVOT_TELEGRAM_TOKEN", "t"), ("PIVOT_TELEGRAM_CHAT_ID", chat)])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let wrong = init("me");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("PIVOT_TELEGRAM_CHAT_ID"));
    let output = init("-1001");
    assert!(output.status.success(), "{output:?}");
    let shown = String::from_utf8_lossy(&output.stdout);
    for limit in ["₹3,00,000", "lose ₹7,500", "week ₹15,000", "month ₹30,000", "at most ₹3,000"]
    {
        assert!(shown.contains(limit), "{limit}: {shown}");
    }
    let text = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["telegram_chat_id"], -1001);
}

#[test]
fn a_panic_on_an_unprepared_day_says_that_nobody_looked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    drop(Store::open(&data, Role::Trading, Mode::Demo).unwrap());
    let config = serde_json::json!({
        "data": {"dir": data, "log_dir": folder.path().join("logs")},
        "kite": {"base_url": "http://127.0.0.1:9", "ticker_url": "ws://127.0.0.1:9"},
    });
    let path = folder.path().join("config.json");
    fs::write(&path, config.to_string()).unwrap();
    let (code, said) = said(&["panic", "--config", path.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("not done: not checked at the broker: today is not prepared"), "{said}");
    assert!(!said.contains("NOT FLAT"), "{said}");
}

#[test]
fn what_looks_like_a_time_is_one() {
    refused(&["why", "99:99"], "expected a time such as 09:33, was \"99:99\"");
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let (code, said) = said(&["why", "BSE:SENSEX", "--data", data]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("no database"), "{said}");
}

#[test]
fn a_span_does_not_end_before_it_begins() {
    for what in ["trades", "summary"] {
        let span = [what, "--from", "2026-11-30", "--to", "2026-11-01"];
        refused(&span, "--from 2026-11-30 is later than --to 2026-11-01");
    }
}

#[test]
fn the_calendar_knows_the_holidays_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let open = |args: &[&str]| {
        let output = Command::new(PIVOTCTL)
            .args(["calendar", "day", "2026-11-23", "--json"])
            .args(args)
            .current_dir(&folder)
            .output()
            .unwrap();
        let shown = serde_json::from_slice::<serde_json::Value>(&output.stdout).ok();
        (shown.and_then(|day| day["open"].as_bool()), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(open(&[]).0, Some(true));
    write("config.json", r#"{"market": {"extra_holidays": ["2026-11-23"]}}"#);
    assert_eq!(open(&[]), (Some(false), String::new()));
    write("other.json", "{}");
    assert_eq!(open(&["--config", "other.json"]).0, Some(true));
    write("config.json", r#"{"market": 7}"#);
    let (is_open, said) = open(&[]);
    assert_eq!(is_open, Some(true));
    assert!(said.contains("market.extra_holidays are not counted"), "{said}");
    assert_eq!(open(&["--config", "config.json"]).0, None);
}
