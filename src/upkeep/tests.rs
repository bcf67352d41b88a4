//! A keeper with a clock that is set by hand.

use std::path::PathBuf;

use chrono::TimeDelta;

use super::backup::glance;
use super::ledger::{LOCK, Ledger};
use super::schedule::{Job, State};
use super::*;
use crate::clock::ManualClock;
use crate::config::Config;
use crate::engine::Mode;
use crate::journal::{Journal, Run};
use crate::market::Timestamp;
use crate::store::lock::ServiceLock;
use crate::store::{FILE_NAME, Role, Store};

fn at(text: &str) -> Timestamp {
    format!("{text}:00+05:30").parse().unwrap()
}

struct Place {
    folder: tempfile::TempDir,
    hands: ManualClock,
}

impl Place {
    /// A data folder of pivot-trading, at noon of a Friday.
    fn new() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let now = at("2026-11-20T12:00");
        let store = Store::open(&folder.path().join("data"), Role::Trading, Mode::Paper).unwrap();
        let run = Run {
            kind: "trading",
            pid: 1,
            started_at: now,
            version: "0".into(),
            build: "0".into(),
            config_hash: "0".into(),
        };
        drop(Journal::claim(store, &run).unwrap());
        Place { folder, hands: ManualClock::new(now) }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A keeper as a process has it that has just started.
    fn keeper(&self) -> Keeper {
        let mut config = Config::default();
        config.data.dir = self.data().display().to_string();
        config.data.log_dir = self.folder.path().join("logs").display().to_string();
        Keeper::new(config, Mode::Paper, None, self.hands.clock()).unwrap()
    }

    fn pass_until(&self, text: &str) {
        self.hands.pass(at(text) - self.hands.clock().now());
    }

    fn archives(&self) -> usize {
        glance(&self.folder.path().join("backups")).unwrap().len()
    }

    fn turn(&self) -> Vec<(Job, State)> {
        let ended = self.keeper().turn().unwrap();
        ended.into_iter().map(|ended| (ended.job, ended.state)).collect()
    }

    fn report(&self) -> Vec<JobReport> {
        let config = Config::default();
        let plan = config.backup_plan().unwrap();
        report(&self.data(), &config.calendar(), &plan, self.hands.clock().now()).unwrap()
    }
}

#[test]
fn a_week_is_kept_in_order_and_everything_is_done_once() {
    let place = Place::new();
    assert_eq!(place.report(), []);
    assert_eq!(place.turn(), [(Job::Cleanup, State::Done)], "logs are looked after at the start");
    place.pass_until("2026-11-20T16:05");
    assert_eq!(place.turn(), [(Job::Backup, State::Done)]);
    assert_eq!((place.turn(), place.archives()), (Vec::new(), 1));
    // The machine is off until Saturday's forenoon.
    place.pass_until("2026-11-21T11:00");
    let done = |job| (job, State::Done);
    let caught_up = [
        done(Job::Cleanup),
        (Job::Optimize, State::Skipped),
        done(Job::Check),
        done(Job::Vacuum),
        done(Job::FullBackup),
        done(Job::Prune),
    ];
    assert_eq!(place.turn(), caught_up);
    assert_eq!((place.turn(), place.archives()), (Vec::new(), 2));
    let reports = place.report();
    assert!(reports.iter().all(|report| !report.is_trouble()), "{reports:?}");
    let backup = reports.iter().find(|report| report.job == Job::Backup).unwrap();
    assert_eq!(backup.last_done, Some(at("2026-11-20T16:05")));
    assert_eq!(backup.next_due, Some(at("2026-11-23T16:05")));
    let shown = report_json(&reports);
    assert_eq!(shown["full_backup"]["outcome"], "done", "{shown}");
    assert!(shown["backup"]["detail"].as_str().unwrap().contains("verified"), "{shown}");
    // A holiday has no close to make a backup after.
    place.pass_until("2026-11-23T16:05");
    assert!(place.turn().contains(&(Job::Backup, State::Done)));
    place.pass_until("2026-11-24T23:59");
    assert!(place.turn().iter().all(|(job, _)| *job != Job::Backup));
}

#[test]
fn what_fails_is_tried_again_a_few_times_and_told_once() {
    let place = Place::new();
    place.turn();
    place.pass_until("2026-11-20T16:05");
    std::fs::write(place.folder.path().join("backups"), "in the way").unwrap();
    let mut tries = Vec::new();
    for _ in 0..300 {
        let ended = place.keeper().turn().unwrap();
        tries.extend(ended.into_iter().map(|ended| (place.hands.clock().now(), ended)));
        place.hands.pass(TimeDelta::minutes(1));
    }
    let times = ["16:05", "16:10", "16:25", "17:10", "18:40"];
    let expected: Vec<Timestamp> =
        times.iter().map(|time| at(&format!("2026-11-20T{time}"))).collect();
    assert_eq!(tries.iter().map(|(at, _)| *at).collect::<Vec<_>>(), expected);
    let states: Vec<State> = tries.iter().map(|(_, ended)| ended.state).collect();
    assert_eq!(states, [[State::Waiting; 4].as_slice(), &[State::Failed]].concat());
    let told = &tries[4].1;
    assert!(told.job == Job::Backup && told.detail.contains("could not make"), "{told:?}");
    let trouble: Vec<Job> =
        place.report().iter().filter(|report| report.is_trouble()).map(|it| it.job).collect();
    assert_eq!(trouble, [Job::Backup]);
    std::fs::remove_file(place.folder.path().join("backups")).unwrap();
    place.pass_until("2026-11-23T16:05");
    place.turn();
    assert!(place.report().iter().all(|report| !report.is_trouble()));
}

#[test]
fn a_backup_that_meets_another_one_at_work_is_made_later_and_once() {
    let place = Place::new();
    place.turn();
    place.pass_until("2026-11-20T16:05");
    let backups = place.folder.path().join("backups");
    let other = ServiceLock::acquire(&backups, "backup", 4711).unwrap();
    assert_eq!(place.turn(), [(Job::Backup, State::Waiting)]);
    let reports = place.report();
    let backup = reports.iter().find(|report| report.job == Job::Backup).unwrap();
    assert_eq!(backup.again_at, Some(at("2026-11-20T16:10")));
    assert!(!backup.is_trouble(), "{backup:?}");
    drop(other);
    place.pass_until("2026-11-20T16:09");
    assert_eq!(place.turn(), []);
    place.pass_until("2026-11-20T16:10");
    assert_eq!(place.turn(), [(Job::Backup, State::Done)]);
    place.pass_until("2026-11-20T19:30");
    assert_eq!((place.turn(), place.archives()), (Vec::new(), 1));
}

#[test]
fn what_a_clock_in_the_future_noted_does_not_count_then_or_when_its_time_comes() {
    let place = Place::new();
    // The clock stands five days ahead for a while.
    place.pass_until("2026-11-25T17:00");
    place.turn();
    place.pass_until("2026-11-25T17:30");
    place.turn();
    place.hands.pass(TimeDelta::minutes(1));
    assert_eq!(place.turn(), []);
    place.hands.set_by(at("2026-11-20T16:05") - at("2026-11-25T17:31"));
    let ended = place.keeper().turn().unwrap();
    let of = |state: State| -> Vec<Job> {
        ended.iter().filter(|ended| ended.state == state).map(|ended| ended.job).collect()
    };
    assert!(of(State::Void).contains(&Job::Cleanup), "{ended:?}");
    assert!(of(State::Done).contains(&Job::Cleanup), "{ended:?}");
    assert!(ended[0].detail.contains("stood in the future"), "{ended:?}");
    assert!(place.report().iter().all(|report| !report.late));
    place.pass_until("2026-11-20T16:15");
    assert_eq!(place.turn(), [], "it is told once");
    // And the days that the ledger had as done are not left out.
    let mut done = Vec::new();
    while place.hands.clock().now() < at("2026-11-25T18:00") {
        place.hands.pass(TimeDelta::minutes(20));
        done.extend(place.turn());
    }
    let count = |job| done.iter().filter(|run| **run == (job, State::Done)).count();
    assert_eq!((count(Job::Cleanup), count(Job::Backup)), (5, 2), "{done:?}");
}

#[test]
fn a_broken_database_is_found_by_the_weekly_check() {
    let place = Place::new();
    place.turn();
    let connection = rusqlite::Connection::open(place.data().join(FILE_NAME)).unwrap();
    connection
        .execute_batch(
            "PRAGMA foreign_keys = OFF;
             INSERT INTO outbox_delivery VALUES (7, '', 0, '', '', 0, NULL)",
        )
        .unwrap();
    place.pass_until("2026-11-21T05:00");
    let ended = place.keeper().turn().unwrap();
    let check = ended.iter().find(|ended| ended.job == Job::Check).unwrap();
    assert_eq!(check.state, State::Failed);
    assert!(check.detail.contains("restore the last backup"), "{check:?}");
}

#[test]
fn what_nobody_looks_after_is_late() {
    let place = Place::new();
    place.turn();
    let late = |place: &Place| -> Vec<Job> {
        let reports = place.report();
        reports.iter().filter(|report| report.late).map(|report| report.job).collect()
    };
    place.pass_until("2026-11-21T04:00");
    assert_eq!(late(&place), []);
    place.pass_until("2026-11-21T04:10");
    assert_eq!(late(&place), [Job::Backup]);
}

#[test]
fn while_somebody_else_is_at_it_nothing_is_done() {
    let place = Place::new();
    let _other = ServiceLock::acquire(&place.data(), LOCK, 4711).unwrap();
    assert_eq!(place.turn(), []);
    assert!(Ledger::look(&place.data()).unwrap().is_none());
}

#[test]
fn an_interrupted_backup_is_made_by_the_next_process_and_given_up_after_three() {
    let place = Place::new();
    place.turn();
    place.pass_until("2026-11-20T16:06");
    let due = at("2026-11-20T16:05");
    let begin = |now: Timestamp| {
        let lock = ServiceLock::acquire(&place.data(), LOCK, 1).unwrap();
        Ledger::open(&place.data(), now).unwrap().claim(&lock, Job::Backup, due, now).unwrap()
    };
    assert!(begin(due).is_some());
    assert_eq!(place.turn(), [(Job::Backup, State::Done)]);
    assert_eq!(place.archives(), 1);
    // And one whose process dies of it each time.
    place.pass_until("2026-11-23T16:05");
    let now = at("2026-11-23T16:05");
    for _ in 0..3 {
        let lock = ServiceLock::acquire(&place.data(), LOCK, 1).unwrap();
        let mut ledger = Ledger::open(&place.data(), now).unwrap();
        assert!(ledger.claim(&lock, Job::Backup, now, now).unwrap().is_some());
    }
    assert!(place.turn().contains(&(Job::Backup, State::Failed)));
    let before = place.archives();
    place.hands.pass(TimeDelta::minutes(1));
    assert_eq!(place.turn(), []);
    assert_eq!(place.archives(), before);
}

#[tokio::test]
async fn the_timer_wakes_at_every_full_minute() {
    let (wake, _woken) = tokio::sync::mpsc::unbounded_channel();
    let mut scheduler = keeper::scheduler(wake).await.unwrap();
    let next = scheduler.time_till_next_job().await.unwrap().unwrap();
    assert!(next <= std::time::Duration::from_secs(60), "{next:?}");
    let at = crate::clock::real_now() + TimeDelta::from_std(next).unwrap();
    let off = at.timestamp().rem_euclid(60);
    assert!(off <= 1 || off >= 58, "{at}");
}
