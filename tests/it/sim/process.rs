//! `pivotctl sim` as a process.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::DEADLINE;

#[tokio::test]
async fn the_command_tells_where_it_listens_and_ends_when_told() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .args(["sim", "--listen", "127.0.0.1:0", "--telegram-listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    assert!(ready["ticker"].as_str().unwrap().starts_with("ws://127.0.0.1:"));
    assert!(ready["telegram"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let url = format!("{}/_sim/time", ready["kite"].as_str().unwrap());
    let time: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert!(time["ist"].as_str().unwrap().starts_with("2026-11-23 09:14:"), "{time}");

    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    let deadline = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert!(status.success(), "{status}");
    let clock = ready["clock"].as_str().unwrap();
    assert!(!std::path::Path::new(clock).exists(), "the clock file is left behind");
}

#[test]
fn a_day_without_a_session_is_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .args(["sim", "--listen", "127.0.0.1:0", "--telegram-listen", "127.0.0.1:0"])
        .args(["--date", "2026-11-22"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("2026-11-22 has no trading session"), "{words}");
}
