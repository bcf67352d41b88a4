use proptest::prelude::*;

use super::*;

const DISK: Bounds = Bounds { warning: Some(80.0), critical: Some(90.0), margin: 5.0 };

fn second(seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(1_795_400_000 + seconds, 0).unwrap()
}

fn reading(value: f64) -> Reading {
    Reading {
        name: "disk".into(),
        value,
        bounds: DISK,
        hold: TimeDelta::seconds(10),
        settle: TimeDelta::seconds(10),
        headline: format!("Disk at {value} %"),
        advice: "Make room".into(),
        over: "Disk is well again".into(),
        process: None,
    }
}

/// What is told of the values of successive steps of five seconds.
fn told(alarms: &mut Alarms, from: i64, values: &[f64]) -> Vec<(i64, Status, Level)> {
    let mut told = Vec::new();
    for (step, value) in values.iter().enumerate() {
        let at = from + 5 * i64::try_from(step).unwrap();
        if let Some(alert) = alarms.observe(&reading(*value), second(at), true) {
            told.push((at, alert.status, alert.severity));
        }
    }
    told
}

use Level::{Critical, Warning};
use Status::{Firing, Resolved};

#[test]
fn a_bound_that_was_passed_holds_until_it_is_left_by_the_margin() {
    assert_eq!(DISK.level(79.9, Level::Ok), Level::Ok);
    assert_eq!(DISK.level(80.0, Level::Ok), Warning);
    assert_eq!(DISK.level(75.0, Warning), Warning);
    assert_eq!(DISK.level(74.9, Warning), Level::Ok);
    assert_eq!(DISK.level(85.0, Critical), Critical);
    assert_eq!(DISK.level(84.9, Critical), Warning);
    assert_eq!(DISK.level(1e9, Level::Ok), Critical);
}

#[test]
fn it_is_told_once_it_has_lasted_and_once_it_is_over() {
    let mut alarms = Alarms::default();
    assert_eq!(told(&mut alarms, 0, &[82.0, 82.0, 70.0, 82.0]), []);
    assert!(alarms.troubles().is_empty());
    assert_eq!(told(&mut alarms, 20, &[82.0, 82.0, 82.0]), [(25, Firing, Warning)]);
    assert_eq!(alarms.troubles()[0].message, "Disk at 82 %");
    assert!(alarms.is_told("disk"));
    let after = told(&mut alarms, 100, &[70.0, 70.0, 82.0, 70.0, 70.0, 70.0, 70.0]);
    assert_eq!(after, [(125, Resolved, Warning)]);
    assert!(alarms.troubles().is_empty() && !alarms.is_told("disk"));
}

#[test]
fn what_gets_worse_is_told_at_once_and_what_gets_a_little_better_is_not() {
    let mut alarms = Alarms::default();
    let values = [82.0, 82.0, 82.0, 95.0, 95.0, 95.0, 82.0, 82.0, 82.0, 95.0, 95.0, 95.0];
    assert_eq!(told(&mut alarms, 0, &values), [(10, Firing, Warning), (25, Firing, Critical)]);
    assert_eq!(told(&mut alarms, 100, &[10.0, 10.0, 10.0]), [(110, Resolved, Critical)]);
}

#[test]
fn the_same_is_not_told_twice_within_five_minutes() {
    let mut alarms = Alarms::default();
    assert_eq!(told(&mut alarms, 0, &[82.0; 3]), [(10, Firing, Warning)]);
    assert_eq!(told(&mut alarms, 20, &[10.0; 3]), [(30, Resolved, Warning)]);
    // Bad again, and over again, before the five minutes are: nothing.
    assert_eq!(told(&mut alarms, 40, &[82.0; 20]), []);
    assert_eq!(told(&mut alarms, 140, &[10.0; 4]), []);
    // Bad again and still when they are over.
    assert_eq!(told(&mut alarms, 200, &[82.0; 30]), [(310, Firing, Warning)]);
}

#[test]
fn a_restart_remembers_what_was_told() {
    let mut alarms = Alarms::default();
    told(&mut alarms, 0, &[82.0; 3]);
    let kept = serde_json::to_string(&alarms).unwrap();
    let mut alarms: Alarms = serde_json::from_str(&kept).unwrap();
    assert_eq!(told(&mut alarms, 30, &[82.0; 5]), []);
    assert_eq!(told(&mut alarms, 60, &[10.0; 3]), [(70, Resolved, Warning)]);
}

#[test]
fn what_stays_critical_is_told_again_every_hour_and_a_warning_is_not() {
    let mut alarms = Alarms::default();
    let hours = 3 * 720;
    let critical = told(&mut alarms, 0, &vec![95.0; hours]);
    let at: Vec<i64> = critical.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(at, [10, 3_610, 7_210]);
    assert_eq!(told(&mut Alarms::default(), 0, &vec![82.0; hours]).len(), 1);
}

#[test]
fn whoever_is_silent_tells_when_it_may_and_clears_only_what_it_told() {
    let mut alarms = Alarms::default();
    let look = |alarms: &mut Alarms, at, value, speak| {
        alarms.observe(&reading(value), second(at), speak).map(|alert| alert.status)
    };
    assert_eq!(look(&mut alarms, 0, 95.0, false), None);
    assert_eq!(look(&mut alarms, 10, 95.0, false), None);
    assert_eq!(alarms.troubles()[0].severity, Critical);
    look(&mut alarms, 20, 10.0, false);
    assert_eq!(look(&mut alarms, 30, 10.0, true), None);
    look(&mut alarms, 40, 95.0, false);
    look(&mut alarms, 50, 95.0, false);
    assert_eq!(look(&mut alarms, 60, 95.0, true), Some(Firing));
    look(&mut alarms, 70, 10.0, false);
    assert_eq!(look(&mut alarms, 80, 10.0, false), Some(Resolved));
}

#[test]
fn a_clock_that_was_set_back_keeps_nothing_from_being_told() {
    let mut alarms = Alarms::default();
    assert_eq!(told(&mut alarms, 10_000, &[95.0; 3]).len(), 1);
    told(&mut alarms, 10_020, &[10.0; 3]);
    assert_eq!(told(&mut alarms, 0, &[95.0; 3]), [(10, Firing, Critical)]);
}

proptest! {
    /// Whatever the values: the same alert at most once in five minutes, one
    /// all-clear for each time that something was told, and none without.
    #[test]
    fn alerts_keep_their_distance_and_are_cleared_once(
        values in proptest::collection::vec(60.0_f64..100.0, 1..2_000),
        step in 1_i64..400,
        restart_at in 0_usize..2_000,
    ) {
        let mut alarms = Alarms::default();
        let mut last: BTreeMap<Level, i64> = BTreeMap::new();
        let mut open = Level::Ok;
        for (index, value) in values.iter().enumerate() {
            let at = step * i64::try_from(index).unwrap();
            if index == restart_at {
                let kept = serde_json::to_value(&alarms).unwrap();
                alarms = serde_json::from_value(kept).unwrap();
            }
            let Some(alert) = alarms.observe(&reading(*value), second(at), true) else { continue };
            match alert.status {
                Firing => {
                    let before = last.insert(alert.severity, at);
                    prop_assert!(before.is_none_or(|before| at - before >= 300));
                    prop_assert!(alert.severity >= open || alert.severity == Critical);
                    open = open.max(alert.severity);
                }
                Resolved => {
                    prop_assert_eq!(alert.severity, open);
                    prop_assert!(*value < 75.0);
                    open = Level::Ok;
                }
            }
        }
        prop_assert_eq!(alarms.is_told("disk"), open > Level::Ok);
    }
}

#[test]
fn what_a_process_was_told_of_ends_when_another_one_takes_its_place() {
    let of = |process: i64, value: f64| Reading {
        hold: TimeDelta::zero(),
        process: Some(second(process)),
        ..reading(value)
    };
    let mut alarms = Alarms::default();
    assert!(alarms.observe(&of(0, 95.0), second(10), true).is_some());
    // Across a restart of whoever watches.
    let kept = serde_json::to_string(&alarms).unwrap();
    let mut alarms: Alarms = serde_json::from_str(&kept).unwrap();
    assert!(alarms.observe(&of(0, 95.0), second(20), true).is_none());
    let over = alarms.observe(&of(25, 95.0), second(30), true).unwrap();
    assert_eq!((over.status, over.severity), (Resolved, Critical));
    assert_eq!(over.message, "Disk at 95 %: over, the service was restarted");
    // As bad as before, it is told anew, at the usual distance.
    let again: Vec<i64> = (31..400)
        .filter(|now| alarms.observe(&of(25, 95.0), second(*now), true).is_some())
        .collect();
    assert_eq!(again, [310]);
    // What was not told ends unheard.
    let mut alarms = Alarms::default();
    assert!(alarms.observe(&of(0, 95.0), second(10), false).is_none());
    assert!(alarms.observe(&of(25, 10.0), second(20), true).is_none());
    assert!(alarms.troubles().is_empty());
}

#[test]
fn what_there_is_no_reading_of_any_more_ends_with_a_note() {
    let mut alarms = Alarms::default();
    told(&mut alarms, 0, &[95.0, 95.0, 95.0]);
    let gone = |alarms: &mut Alarms, readings: &[Reading], watched: bool, at: i64| {
        let why = |name: &str| format!("{name} is not known any more");
        alarms.end_absent(readings, |_| watched, why, second(at))
    };
    assert_eq!(gone(&mut alarms, &[], true, 100), []);
    // Here it is again; and what nobody looked at is not absent.
    alarms.observe(&reading(95.0), second(110), true);
    for at in [115, 140, 200] {
        assert_eq!(gone(&mut alarms, &[reading(95.0)], true, at), []);
        assert_eq!(gone(&mut alarms, &[], false, at), []);
    }
    assert_eq!(gone(&mut alarms, &[], true, 210), []);
    assert_eq!(gone(&mut alarms, &[], true, 239), []);
    assert!(!alarms.troubles().is_empty());
    let over = gone(&mut alarms, &[], true, 240).pop().unwrap();
    assert_eq!((over.status, over.severity), (Resolved, Critical));
    assert_eq!(over.message, "Disk at 95 %: disk is not known any more");
    assert!(alarms.troubles().is_empty() && !alarms.is_told("disk"));
    assert_eq!(gone(&mut alarms, &[], true, 300), []);
}
