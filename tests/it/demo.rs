//! A whole day through the real processes.

mod spy;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Real time for a day on a busy machine.
const DAY_WITHIN: Duration = Duration::from_secs(480);

fn demo(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("day");
    let output = folder.path().join("output");
    let mut child = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .arg("demo")
        .args(arguments)
        .args(["--keep", kept.to_str().unwrap()])
        .env("PIVOT_AUTH_API_TOKEN", spy::API_TOKEN)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&output).unwrap())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + DAY_WITHIN;
    let mut spy = spy::Spy::new(&kept);
    let status = loop {
        spy.look();
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(status.success(), "the demo ended with {status}:\n{text}");
    assert!(kept.join("data/pictures/day-20261123.png").exists());
    spy.find_no_secret(&text);
    let replay = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
        .args(["replay", "--data"])
        .arg(kept.join("data"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&replay.stdout);
    assert!(replay.status.success() && said.contains("decided the same again"), "{said}");
    back_up_and_restore(&kept);
    text
}

/// What a demo day leaves is backed up, proved by its replay, and restored.
fn back_up_and_restore(kept: &Path) {
    let ctl = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_pivotctl"))
            .args(words)
            .current_dir(kept)
            .env_remove("PIVOT_DATA_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{words:?}: {said}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let made = ctl(&["backup", "create", "--with-logs", "--json"]);
    let archive = made["archive"].as_str().unwrap();
    let steps = made["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["outcome"] == "ok"), "{steps:#?}");
    let replay = steps.iter().find(|step| step["name"] == "replay").unwrap();
    assert!(replay["text"].as_str().unwrap().contains("decide the same again"), "{replay}");
    let restored = ctl(&["backup", "restore", archive, "--to", "second", "--json"]);
    assert_eq!(restored["before"], serde_json::Value::Null);
    let trades = |data: &str| ctl(&["trades", "--data", data, "--json"]);
    assert_eq!(trades("second"), trades("data"));
    assert!(ctl(&["db", "check", "--data", "second", "--json"])["sound"].as_bool().unwrap());
}

#[test]
fn a_day_with_every_service_killed_and_a_panic_ends_flat_and_agrees() {
    let text = demo(&[
        "--kill",
        "trading@10:30",
        "--kill",
        "bot@11:00",
        "--kill",
        "auth@12:00",
        "--panic-at",
        "13:30",
    ]);
    assert!(text.contains("kill -9 pivot-trading"), "{text}");
    assert!(text.contains("/panic"), "{text}");
    assert_eq!(text.matches("✓ ").count(), 5, "{text}");
}
