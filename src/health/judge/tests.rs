use serde_json::json;

use super::super::alarm::Level;
use super::*;
use crate::market::calendar::Calendar;
use crate::market::time::{from_ist, hms};

fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
    let monday = chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
    from_ist(monday, hms(hour, minute, second))
}

fn beat(service: &str, at: Timestamp, detail: serde_json::Value) -> Heartbeat {
    Heartbeat {
        service: service.into(),
        pid: 1,
        started_at: at - TimeDelta::hours(1),
        at,
        version: String::new(),
        phase: "trading".into(),
        detail,
    }
}

/// A machine and services at eleven o'clock, all well but for what a test
/// changes.
struct Day {
    judge: Judge,
    now: Timestamp,
    machine: Machine,
    beats: Vec<Heartbeat>,
    session_until: Option<Timestamp>,
    outbox_oldest: Option<Timestamp>,
    found: Vec<(String, String)>,
    scaled: bool,
    silent: Vec<&'static str>,
}

impl Day {
    fn new() -> Day {
        let now = at(11, 0, 0);
        let config =
            HealthConfig { patterns: vec!["Insufficient".into()], ..HealthConfig::default() };
        let process = json!({"fds": 30, "fds_max": 1024});
        let log = json!({"errors": 0, "dropped": 0});
        let trading = json!({
            "process": process, "log": log, "last_price_at": now, "watched": 3,
            "clock_skew_ms": 40, "mode": "demo", "position": null,
        });
        Day {
            judge: Judge::new(config),
            now,
            machine: Machine {
                memory_pct: 40.0,
                data_disk_pct: 50.0,
                cpu_minute_pct: Some(30.0),
                ..Machine::default()
            },
            beats: vec![
                beat("auth", now, json!({"process": process, "log": log})),
                beat("bot", now, json!({})),
                beat("trading", now, trading),
            ],
            session_until: Some(now + TimeDelta::hours(6)),
            outbox_oldest: None,
            found: Vec::new(),
            scaled: false,
            silent: Vec::new(),
        }
    }

    fn detail(&mut self, service: &str, name: &str, value: serde_json::Value) {
        let beat = self.beats.iter_mut().find(|beat| beat.service == service).unwrap();
        beat.detail[name] = value;
    }

    fn readings(&mut self, now: Timestamp) -> Vec<Reading> {
        let facts = Facts {
            now,
            hours: Hours::at(&Calendar::india(), now),
            machine: &self.machine,
            beats: &self.beats,
            is_silent: &|service| self.silent.contains(&service),
            scaled: self.scaled,
            session_until: self.session_until,
            outbox_oldest: self.outbox_oldest,
            found: self.found.clone(),
        };
        self.judge.readings(&facts, now)
    }

    /// Names and levels of what is not well.
    fn bad(&mut self) -> Vec<(String, Level)> {
        let readings = self.readings(self.now);
        let mut names: Vec<&str> = readings.iter().map(|reading| reading.name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).for_each(|pair| assert_ne!(pair[0], pair[1]));
        let level = |reading: &Reading| reading.bounds.level(reading.value, Level::Ok);
        let bad = readings.iter().filter(|reading| level(reading) > Level::Ok);
        bad.map(|reading| {
            assert!(!reading.headline.is_empty() && !reading.over.is_empty(), "{reading:?}");
            (reading.name.clone(), level(reading))
        })
        .collect()
    }
}

use Level::{Critical, Warning};

fn check(change: impl FnOnce(&mut Day), expected: &[(&str, Level)]) {
    let mut day = Day::new();
    // The first look finds where counters stand.
    assert_eq!(day.bad(), []);
    change(&mut day);
    let expected: Vec<(String, Level)> =
        expected.iter().map(|(name, level)| (name.to_string(), *level)).collect();
    assert_eq!(day.bad(), expected);
}

#[test]
fn the_machine_is_measured_by_the_configured_thresholds() {
    check(|day| day.machine.cpu_minute_pct = Some(70.0), &[("cpu", Warning)]);
    check(|day| day.machine.cpu_minute_pct = Some(80.0), &[("cpu", Critical)]);
    // The load of a moment says nothing, nor does that of a day in a minute.
    check(|day| (day.machine.cpu_minute_pct, day.machine.cpu_pct) = (None, 100.0), &[]);
    check(|day| (day.machine.cpu_minute_pct, day.scaled) = (Some(99.0), true), &[]);
    check(|day| day.machine.memory_pct = 74.9, &[]);
    check(|day| day.machine.memory_pct = 75.0, &[("memory", Warning)]);
    check(|day| day.machine.memory_pct = 85.0, &[("memory", Critical)]);
    check(|day| day.machine.data_disk_pct = 80.0, &[("disk", Warning)]);
    check(|day| day.machine.log_disk_pct = 90.0, &[("disk", Critical)]);
    check(|day| day.machine.database_bytes = 2048 << 20, &[("database", Warning)]);
    check(|day| day.machine.wal_bytes = 256 << 20, &[("wal", Warning)]);
}

#[test]
fn services_are_judged_by_what_they_say_of_themselves() {
    let fds = |open: u64| json!({"fds": open, "fds_max": 1000});
    check(|day| day.detail("auth", "process", fds(699)), &[]);
    check(|day| day.detail("auth", "process", fds(700)), &[("fds.auth", Warning)]);
    check(|day| day.detail("trading", "process", fds(900)), &[("fds.trading", Critical)]);
    let since = "2026-11-23T05:00:00Z";
    check(
        |day| day.detail("auth", "log", json!({"failing_since": since})),
        &[("logs_failing.auth", Critical)],
    );
    check(
        |day| day.detail("auth", "log", json!({"database_failing_since": since})),
        &[("log_database_failing.auth", Warning)],
    );
    check(|day| day.detail("auth", "log", json!({"dropped": 1})), &[("log_drops.auth", Warning)]);
    check(
        |day| day.detail("auth", "log", json!({"errors": 10, "warnings": 59})),
        &[("error_rate.auth", Warning)],
    );
    check(
        |day| day.detail("trading", "log", json!({"errors": 9, "warnings": 60})),
        &[("warning_rate.trading", Warning)],
    );
    // Whoever is silent is told of as such, and its figures are old.
    check(
        |day| {
            day.detail("auth", "process", fds(1000));
            day.silent.push("auth");
        },
        &[],
    );
    // Nothing that stands there is a reason to fall over.
    check(|day| day.detail("auth", "log", json!({"dropped": "many"})), &[]);
    check(|day| day.detail("auth", "process", json!([1, 2])), &[]);
}

#[test]
fn prices_clock_and_session_count_when_they_are_needed() {
    let old = |day: &mut Day| day.detail("trading", "last_price_at", json!(at(10, 59, 0)));
    check(old, &[("tick", Critical)]);
    let idle = |day: &mut Day| day.beats[2].phase = "waiting for login".into();
    check(|day| (old(day), idle(day)).0, &[]);
    check(|day| (old(day), day.detail("trading", "watched", json!(0))).0, &[]);
    check(|day| (old(day), day.now = at(15, 20, 0), day.beats[2].at = at(15, 20, 0)).0, &[]);
    check(|day| day.detail("trading", "last_price_at", json!(null)), &[("tick", Critical)]);
    check(|day| day.detail("trading", "clock_skew_ms", json!(-1_000)), &[("clock", Warning)]);
    check(|day| day.detail("trading", "clock_skew_ms", json!(5_000)), &[("clock", Critical)]);
    check(|day| day.session_until = None, &[("session", Critical)]);
    check(
        |day| day.session_until = Some(day.now + TimeDelta::minutes(19)),
        &[("session", Warning)],
    );
    check(|day| (day.session_until, day.now) = (None, at(8, 59, 59)), &[]);
    // A Sunday.
    check(|day| (day.session_until, day.now) = (None, day.now - TimeDelta::days(1)), &[]);
}

#[test]
fn what_waits_and_what_must_not_occur() {
    check(|day| day.outbox_oldest = Some(at(10, 59, 1)), &[]);
    check(|day| day.outbox_oldest = Some(at(10, 59, 0)), &[("outbox", Warning)]);
    let found = |text: &str| vec![("trading".to_string(), text.to_string())];
    check(|day| day.found = found("Insufficient"), &[("pattern.1", Warning)]);
    check(|day| day.found = found("another"), &[]);
}

#[test]
fn operators_find_every_alert_described() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md"));
    let mut day = Day::new();
    let readings = day.readings(day.now);
    assert!(readings.len() > 15, "{}", readings.len());
    for reading in readings {
        let kind = reading.name.split('.').next().unwrap();
        assert!(page.contains(&format!("`{kind}")), "docs/OPERATIONS.md does not tell of {kind}");
    }
}

#[test]
fn a_rate_that_swings_around_its_bound_is_told_once_and_over_once() {
    let mut day = Day::new();
    let mut alarms = super::super::alarm::Alarms::default();
    let mut errors = 0;
    let mut told = Vec::new();
    let mut minute = |errors: u64, minute: i64| {
        day.detail("auth", "log", json!({ "errors": errors }));
        let now = at(11, 0, 0) + TimeDelta::minutes(minute);
        let readings = day.readings(now);
        let rate = readings.iter().find(|reading| reading.name == "error_rate.auth").unwrap();
        alarms.observe(rate, now, true).map(|alert| alert.status)
    };
    // Ten a minute is the bound: an outbreak every third minute, and between
    // them as few lines as before.
    for number in 0..24 {
        errors += if number % 3 == 1 { 60 } else { 1 };
        told.extend(minute(errors, number));
    }
    told.extend((24..40).filter_map(|number| minute(errors, number)));
    use super::super::alarm::Status;
    assert_eq!(told, [Status::Firing, Status::Resolved]);
}

#[test]
fn what_a_process_says_of_itself_ends_with_it() {
    let mut day = Day::new();
    let now = day.now;
    let readings = day.readings(now);
    let started = day.beats[0].started_at;
    for reading in readings {
        let own = ["fds.", "log_", "logs_", "error_rate.", "warning_rate."];
        let is_own = own.iter().any(|start| reading.name.starts_with(start));
        assert_eq!(reading.process, is_own.then_some(started), "{}", reading.name);
    }
}
