//! `pivotctl kite`, `config` and `init`, as an operator meets them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use secrecy::ExposeSecret;
use serde_json::Value;

use super::{API_KEY, Desk};

fn pivotctl(folder: &Path, args: &[&str], token: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .args(args)
        .current_dir(folder)
        .env("KITE_ACCESS_TOKEN", token)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_printed_as_understood() {
    let desk = Desk::open().await;
    let token = desk.log_in().await;
    let folder = tempfile::tempdir().unwrap();
    let kite = |args: &[&str]| {
        let mut all = vec!["kite", "--base-url", desk.sim.kite_url(), "--api-key", API_KEY];
        all.extend(args);
        pivotctl(folder.path(), &all, token.expose_secret())
    };
    assert_eq!(json(&kite(&["profile"]))["user_id"], "SIM001");
    assert_eq!(json(&kite(&["margins"]))["equity"]["net"], "1000000.00");
    let quote = json(&kite(&["quote", "NSE:RELIANCE", "NSE:NOBODY"]));
    assert_eq!(quote["complete"], true);
    assert_eq!(quote["rows"].as_array().unwrap().len(), 1);
    assert_eq!(quote["rows"][0]["depth"]["buy"].as_array().unwrap().len(), 5);
    let placed = kite(&["place", "NSE:RELIANCE", "BUY", "1", "--price", "1.00"]);
    assert_eq!(code(&placed), 1, "far out of the day's band");
    assert_eq!(json(&placed)["outcome"], "refused");
    assert_eq!(json(&kite(&["orders"]))["rows"].as_array().unwrap().len(), 0);
    assert_eq!(code(&kite(&["quote", "nonsense"])), 2);
    assert_eq!(code(&kite(&["order-history", "404"])), 1);
    let nowhere = pivotctl(folder.path(), &["kite", "profile"], "x");
    assert_eq!(code(&nowhere), 2);
}

#[test]
fn a_message_of_the_ticker_is_decoded_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = vec![0, 2, 0, 8];
    bytes.extend(218_814_981_u32.to_be_bytes());
    bytes.extend(52_150_u32.to_be_bytes());
    bytes.extend([0, 3, 1, 2, 3]);
    std::fs::File::create(folder.path().join("frame")).unwrap().write_all(&bytes).unwrap();
    let output = pivotctl(folder.path(), &["kite", "decode-frame", "frame"], "");
    let answer = json(&output);
    assert_eq!(code(&output), 1, "a packet was passed over");
    assert_eq!(answer["skipped"], 1);
    let packet = &answer["packets"][0];
    assert_eq!((&packet["token"], &packet["mode"]), (&218_814_981.into(), &"ltp".into()));
    assert_eq!(packet["last_price"], "521.50");
}

#[test]
fn a_configuration_is_written_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| pivotctl(folder.path(), args, "");
    let made = run(&[
        "init",
        "--mode",
        "paper",
        "--instrument",
        "NIFTY",
        "--api-key",
        "key",
        "--chat-id",
        "77",
        "--api-secret",
        "SECRET-1",
        "--telegram-token",
        "SECRET-2",
    ]);
    assert_eq!(code(&made), 0, "{}", String::from_utf8_lossy(&made.stderr));
    let path = folder.path().join("config.json");
    let bits = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(bits, 0o600);
    assert_eq!(code(&run(&["init", "--mode", "demo"])), 1, "an existing file is kept");
    assert_eq!(code(&run(&["config", "check"])), 0);
    let shown = run(&["config", "show", "--json"]);
    assert_eq!(json(&shown)["trading"]["instrument"], "NIFTY");
    assert_eq!(json(&shown)["telegram_token"], "***");
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(!text.contains("SECRET"), "{text}");
    let schema = run(&["config", "schema"]);
    assert!(json(&schema)["properties"]["risk_management"].is_object());

    // What this build cannot do is told, and refuses nothing.
    let logging = r#"{"logging": {"otlp_endpoint": "http://127.0.0.1:4318"}}"#;
    std::fs::write(&path, logging).unwrap();
    let checked = run(&["config", "check"]);
    let words = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(code(&checked), 0, "{words}");
    assert_eq!(words.contains("logging.otlp_endpoint is set, but"), !cfg!(feature = "otlp"));

    std::fs::write(&path, r#"{"risk_management": {"max_dayly_loss": 1}}"#).unwrap();
    let checked = run(&["config", "check"]);
    let words = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(code(&checked), 1);
    assert!(words.contains("risk_management.max_dayly_loss"), "{words}");
    assert!(words.contains("max_daily_loss"), "{words}");
}
