//! Logs that cannot be written stop nothing, are told of once, and come back
//! by themselves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pivot_trading::engine::event::OperatorAction;
use rusqlite::Connection;

use super::world::World;

fn world() -> World {
    let mut world = World::open();
    world.start_auth();
    world.start_trading();
    world.start_bot();
    world.enter();
    world
}

fn folder(world: &World) -> PathBuf {
    world.data().with_file_name("logs")
}

fn said(world: &World, words: &str) -> usize {
    world.messages().iter().filter(|sent| sent.text.contains(words)).count()
}

/// Waits until a new line stands in the log of pivot-trading.
fn goes_on(world: &World) {
    let path = folder(world).join("trading.log");
    let length = || fs::metadata(&path).map_or(0, |meta| meta.len());
    world.ask(OperatorAction::Disable);
    world.wait_for("a line in trading.log", |_| (length() > 0).then_some(()));
    let before = length();
    world.ask(OperatorAction::Disable);
    world.wait_for("a further line", |_| (length() > before).then_some(()));
}

#[test]
fn a_folder_that_takes_nothing_stops_nobody() {
    let mut world = world();
    let logs = folder(&world);
    let aside = logs.with_file_name("logs-aside");
    fs::rename(&logs, &aside).unwrap();
    fs::write(&logs, "in the way").unwrap();
    let told = world.told("pivot-trading cannot write its log files");
    assert!(told.text.contains("Trading goes on"), "{}", told.text);
    // What matters still happens: the position is closed when somebody asks.
    assert!(world.ask(OperatorAction::Exit).done);
    world.wait_for("the position's end", |world| (world.held() == 0).then_some(()));
    assert!(world.words_of("trading").contains("log files cannot be written"));
    fs::remove_file(&logs).unwrap();
    goes_on(&world);
    world.told("pivot-trading can write its log files again");
    let text = fs::read_to_string(logs.join("trading.log")).unwrap();
    assert!(text.contains("log files could not be written for"), "{text}");
    assert_eq!(said(&world, "pivot-trading cannot write its log files"), 1);
    // A folder that is only taken away is made again.
    fs::remove_dir_all(&logs).unwrap();
    goes_on(&world);
    assert!(!world.trading_has_ended());
}

/// A small disk of its own at this place; `None` where nobody may mount one.
struct Disk(PathBuf);

impl Disk {
    fn mount(path: &Path, options: &str) -> Option<Disk> {
        let arguments = ["-t", "tmpfs", "-o", options, "tmpfs"];
        let done = Command::new("mount").args(arguments).arg(path).output().ok()?;
        done.status.success().then(|| Disk(path.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_disk_that_is_full_or_read_only_stops_nobody() {
    let mut world = World::open();
    let logs = folder(&world);
    fs::create_dir_all(&logs).unwrap();
    let Some(disk) = Disk::mount(&logs, "size=2m") else {
        println!("skipped: no disk can be mounted here");
        return;
    };
    world.start_auth();
    world.start_trading();
    world.start_bot();
    world.enter();
    let filler = logs.join("filler");
    assert!(fs::write(&filler, vec![b'x'; 4 << 20]).is_err(), "the disk is larger than thought");
    // The last page of a file has room yet.
    world.wait_for("the alert", |world| {
        world.ask(OperatorAction::Disable);
        (said(world, "pivot-trading cannot write its log files") > 0).then_some(())
    });
    assert!(world.ask(OperatorAction::Exit).done);
    world.wait_for("the position's end", |world| (world.held() == 0).then_some(()));
    fs::remove_file(&filler).unwrap();
    goes_on(&world);
    world.told("pivot-trading can write its log files again");
    let text = fs::read_to_string(logs.join("trading.log")).unwrap();
    // Where the disk was full in the middle of a line, all of it follows.
    let lines: Vec<&str> = text.lines().collect();
    for pair in lines.windows(2) {
        let whole = pair[0].is_empty() || pair[0].starts_with("2026-11-23T");
        assert!(whole || pair[1].starts_with(pair[0]), "{:?} in {text}", pair[0]);
    }

    let read_only = Disk::mount(&logs, "ro,size=1m").unwrap();
    world.wait_for("the failure", |world| {
        world.ask(OperatorAction::Disable);
        let words = world.words_of("trading");
        (words.matches("log files cannot be written").count() >= 2).then_some(())
    });
    drop(read_only);
    goes_on(&world);
    assert!(!world.trading_has_ended());
    drop(world);
    drop(disk);
}

fn rows(path: &Path) -> i64 {
    let count = || -> rusqlite::Result<i64> {
        Connection::open(path)?.query_row("SELECT MAX(id) FROM system_logs", [], |row| row.get(0))
    };
    count().unwrap_or(0)
}

/// Waits until rows arrive that were not there.
fn rows_go_on(world: &World, path: &Path, before: i64) {
    world.wait_for("new rows", |world| {
        world.ask(OperatorAction::Disable);
        (rows(path) > before).then_some(())
    });
}

#[test]
fn a_log_database_that_is_locked_stops_nobody() {
    let world = world();
    let path = world.data().join("logs.db");
    world.wait_for("the log database", |_| (rows(&path) > 0).then_some(()));
    let holder = Connection::open(&path).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    world.told("cannot write its log database");
    assert!(world.ask(OperatorAction::Exit).done);
    world.wait_for("the position's end", |world| (world.held() == 0).then_some(()));
    let fallback = folder(&world).join("trading_fallback.jsonl");
    world.wait_for("rows that wait", |_| fallback.exists().then_some(()));
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    world.told("pivot-trading can write its log database again");
    world.wait_for("rows that waited", |_| (!fallback.exists()).then_some(()));
    let asked = Connection::open(&path).unwrap();
    let sql = "SELECT COUNT(*) FROM system_logs WHERE message LIKE 'EXIT %'";
    let exits: i64 = asked.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(exits, 1, "the exit made meanwhile stands there once");
}

#[test]
fn a_log_database_that_is_damaged_is_set_aside() {
    let mut world = World::open();
    world.start_trading();
    let path = world.data().join("logs.db");
    world.wait_for("the log database", |_| (rows(&path) > 0).then_some(()));
    world.kill_trading();
    fs::write(&path, vec![0x5a; 64 * 1024]).unwrap();
    for ending in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{ending}", path.display()));
    }
    world.start_trading();
    world.wait_for("the damaged file aside", |world| {
        world.ask(OperatorAction::Disable);
        let names = fs::read_dir(world.data()).unwrap().flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.any(|name| name.starts_with("logs.db.corrupt-")).then_some(())
    });
    rows_go_on(&world, &path, 0);
    assert!(!world.trading_has_ended());
}
