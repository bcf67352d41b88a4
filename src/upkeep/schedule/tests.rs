use proptest::prelude::*;

use super::*;
use crate::market::calendar::{Session, SpecialHours};
use crate::market::time::ist;

fn plan() -> BackupPlan {
    crate::config::Config::default().backup_plan().unwrap()
}

fn at(text: &str) -> Timestamp {
    format!("{text}:00+05:30").parse().unwrap()
}

fn next_of(job: Job, now: &str) -> Timestamp {
    next(job, at(now), &Calendar::india(), &plan()).unwrap()
}

#[test]
fn jobs_are_due_by_day_week_and_calendar() {
    let check = |job, now: &str, expect: &str| assert_eq!(next_of(job, now), at(expect));
    check(Job::Cleanup, "2026-11-23T01:59", "2026-11-23T02:00");
    check(Job::Cleanup, "2026-11-23T02:00", "2026-11-24T02:00");
    check(Job::Backup, "2026-11-20T16:05", "2026-11-23T16:05");
    // 24 November 2026 is a holiday.
    check(Job::Backup, "2026-11-23T16:05", "2026-11-25T16:05");
    check(Job::Vacuum, "2026-11-23T09:00", "2026-11-28T05:20");
    check(Job::FullBackup, "2026-11-28T05:40", "2026-12-05T05:40");
}

#[test]
fn a_special_session_moves_the_backup_behind_it_and_is_a_busy_time() {
    let evening = "2026-11-24".parse().unwrap();
    let session = Session { open: hms(18, 0, 0), close: hms(19, 0, 0) };
    let calendar = Calendar::india().with_special_day(
        evening,
        "Muhurat trading",
        SpecialHours::Windows(vec![session]),
    );
    let due = next(Job::Backup, at("2026-11-24T00:00"), &calendar, &plan());
    assert_eq!(due, Some(at("2026-11-24T19:20")));
    for (time, busy) in
        [("12:00", false), ("16:44", false), ("16:45", true), ("19:19", true), ("19:20", false)]
    {
        let moment = at(&format!("2026-11-24T{time}"));
        assert_eq!(is_market_time(&calendar, moment), busy, "{time}");
    }
    let calendar =
        Calendar::india().with_special_day(evening, "Muhurat", SpecialHours::Unannounced);
    assert!(is_market_time(&calendar, at("2026-11-24T21:00")));
    let due = next(Job::Backup, at("2026-11-24T00:00"), &calendar, &plan());
    assert_eq!(due, Some(at("2026-11-24T23:30")));
}

#[test]
fn market_hours_and_holidays() {
    let calendar = Calendar::india();
    for (time, busy) in [
        ("2026-11-23T07:59", false),
        ("2026-11-23T08:00", true),
        ("2026-11-23T15:59", true),
        ("2026-11-23T16:00", false),
        ("2026-11-24T12:00", false),
        ("2026-11-28T12:00", false),
    ] {
        assert_eq!(is_market_time(&calendar, at(time)), busy, "{time}");
    }
}

fn all_done(since: &str) -> Known {
    let now = at(since);
    let done = |job| {
        let due = latest(job, now, &Calendar::india(), &plan()).unwrap();
        (job, Noted { due, state: State::Done, attempts: 1, ended_at: Some(due) })
    };
    Known { since: now, last: Job::ALL.into_iter().map(done).collect() }
}

fn jobs(now: &str, known: &Known) -> Vec<(Job, Action)> {
    let due = due(at(now), &Calendar::india(), &plan(), known);
    due.into_iter().map(|due| (due.job, due.action)).collect()
}

#[test]
fn what_was_missed_is_caught_up_by_its_own_rule() {
    let known = all_done("2026-11-20T12:00");
    assert_eq!(jobs("2026-11-20T16:04", &known), []);
    assert_eq!(jobs("2026-11-20T16:05", &known), [(Job::Backup, Action::Run)]);
    // Down from Friday noon to Monday morning, in market hours: only the
    // logs do not wait.
    let missed = [(Job::Cleanup, Action::Run), (Job::Optimize, Action::LeaveOut)];
    assert_eq!(jobs("2026-11-23T10:00", &known), missed);
    // After the close everything else, each once.
    let rest = [
        (Job::Cleanup, Action::Run),
        (Job::Optimize, Action::LeaveOut),
        (Job::Backup, Action::Run),
        (Job::Check, Action::Run),
        (Job::Vacuum, Action::Run),
        (Job::FullBackup, Action::Run),
        (Job::Prune, Action::Run),
    ];
    assert_eq!(jobs("2026-11-23T16:00", &known), rest);
}

#[test]
fn a_new_ledger_has_missed_nothing_but_the_logs() {
    let known = Known { since: at("2026-11-21T12:00"), last: BTreeMap::new() };
    assert_eq!(jobs("2026-11-21T12:00", &known), [(Job::Cleanup, Action::Run)]);
}

#[test]
fn what_was_interrupted_is_begun_anew_twice() {
    let mut known = all_done("2026-11-23T16:05");
    for (attempts, action) in [(1, Action::Run), (2, Action::Run), (3, Action::GiveUp)] {
        let (due, state) = (at("2026-11-23T16:05"), State::Running);
        known.last.insert(Job::Backup, Noted { due, state, attempts, ended_at: None });
        assert_eq!(jobs("2026-11-23T16:06", &known), [(Job::Backup, action)]);
    }
}

#[test]
fn what_failed_is_tried_again_after_growing_pauses() {
    let due = at("2026-11-23T16:05");
    let waits = |attempts: u32, ended: &str, now: &str| {
        let mut known = all_done("2026-11-23T16:05");
        let ended_at = Some(at(ended));
        let noted = Noted { due, state: State::Waiting, attempts, ended_at };
        known.last.insert(Job::Backup, noted);
        jobs(now, &known).iter().all(|(job, _)| *job != Job::Backup)
    };
    let mut ended = due;
    for (attempts, pause) in (1_u32..).zip([5, 15, 45, 90]) {
        let again = again_at(attempts, ended).unwrap();
        assert_eq!(again - ended, TimeDelta::minutes(pause));
        let text = |at: Timestamp| ist(at).format("%Y-%m-%dT%H:%M").to_string();
        assert!(waits(attempts, &text(ended), &text(again - TimeDelta::minutes(1))));
        assert!(!waits(attempts, &text(ended), &text(again)));
        ended = again;
    }
    assert_eq!(again_at(5, ended), None);
    // Not in market hours; and a pause that a wrong clock began is no pause.
    assert!(!waits(1, "2026-11-23T16:06", "2026-11-25T07:59"));
    assert!(waits(1, "2026-11-23T16:06", "2026-11-25T08:00"));
    assert!(!waits(1, "2026-11-27T16:06", "2026-11-23T16:06"));
}

#[test]
fn what_is_not_caught_up_is_not_tried_again_later_either() {
    let mut known = all_done("2026-11-23T02:30");
    let (due, ended_at) = (at("2026-11-23T02:10"), Some(at("2026-11-23T02:55")));
    let noted = Noted { due, state: State::Waiting, attempts: 2, ended_at };
    known.last.insert(Job::Optimize, noted);
    assert_eq!(jobs("2026-11-23T03:09", &known), []);
    assert_eq!(jobs("2026-11-23T03:11", &known), [(Job::Optimize, Action::GiveUp)]);
}

/// Something that happens to whoever looks after it.
#[derive(Debug, Clone)]
enum Happening {
    /// It looks after so many minutes.
    Looks(i64),
    /// It is away for so many hours.
    Away(i64),
    /// The next thing that it begins is interrupted.
    Dies,
    /// The next thing that it begins fails.
    Fails,
    /// The clock is set back by so many minutes.
    SetBack(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => (1_i64..90).prop_map(Happening::Looks),
        2 => (1_i64..200).prop_map(Happening::Away),
        1 => Just(Happening::Dies),
        2 => Just(Happening::Fails),
        1 => (1_i64..180).prop_map(Happening::SetBack),
    ]
}

/// Plays a keeper; answers how often each time of each job was begun and
/// finished.
fn play(story: &[Happening]) -> BTreeMap<(Job, Timestamp), (u32, u32)> {
    let (calendar, plan) = (Calendar::india(), plan());
    let mut now = at("2026-10-30T11:00");
    let mut known = Known { since: now, last: BTreeMap::new() };
    let mut counts: BTreeMap<(Job, Timestamp), (u32, u32)> = BTreeMap::new();
    let (mut dies, mut fails) = (false, false);
    for happening in story {
        match happening {
            Happening::Looks(minutes) => now += TimeDelta::minutes(*minutes),
            Happening::Away(hours) => now += TimeDelta::hours(*hours),
            Happening::SetBack(minutes) => now -= TimeDelta::minutes(*minutes),
            Happening::Dies => dies = true,
            Happening::Fails => fails = true,
        }
        for due in due(now, &calendar, &plan, &known) {
            assert!(due.at <= now, "{due:?} before its time");
            let heavy = due.job != Job::Cleanup && due.action == Action::Run;
            assert!(!heavy || !is_market_time(&calendar, now), "{due:?} at {now}");
            let count = counts.entry((due.job, due.at)).or_default();
            let attempts = count.0 + u32::from(due.action == Action::Run);
            count.0 = attempts;
            let runs = due.action == Action::Run;
            let dying = std::mem::take(&mut dies) && runs;
            let failing = !dying && std::mem::take(&mut fails) && runs;
            count.1 += u32::from(!dying && !failing);
            let state = match (dying, failing, again_at(attempts, now)) {
                (true, ..) => State::Running,
                (false, true, Some(_)) => State::Waiting,
                (false, true, None) => State::Failed,
                (false, false, _) => State::Done,
            };
            let ended_at = (!dying).then_some(now);
            known.last.insert(due.job, Noted { due: due.at, state, attempts, ended_at });
            if dying {
                break;
            }
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_done_twice_whatever_happens(
        story in prop::collection::vec(happening(), 1..400),
    ) {
        for (what, (begun, finished)) in play(&story) {
            prop_assert!(finished <= 1, "{what:?} finished {finished} times");
            let most = u32::try_from(AGAIN_AFTER.len()).unwrap() + 1;
            prop_assert!(begun <= most.max(ATTEMPTS_MAX), "{what:?} begun {begun} times");
        }
    }

    #[test]
    fn nothing_is_left_out_by_one_who_is_there(
        steps in prop::collection::vec(1_i64..50, 1200..1500),
    ) {
        let looks: Vec<Happening> = steps.iter().copied().map(Happening::Looks).collect();
        let end = at("2026-10-30T11:00") + TimeDelta::minutes(steps.iter().sum());
        let counts = play(&looks);
        for job in Job::ALL {
            let mut due = next_of(job, "2026-10-30T11:00");
            // What is due in the last moments may still come.
            while due < end - TimeDelta::hours(12) {
                prop_assert_eq!(counts.get(&(job, due)), Some(&(1, 1)), "{:?} {}", job, due);
                due = next(job, due, &Calendar::india(), &plan()).unwrap();
            }
        }
    }
}
