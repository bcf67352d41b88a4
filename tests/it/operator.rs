//! What holds for every subcommand of pivotctl: where its data is, and what
//! becomes of its output.

use std::fs;
use std::process::{Command, Stdio};

const PIVOTCTL: &str = env!("CARGO_BIN_EXE_pivotctl");

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
