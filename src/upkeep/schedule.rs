//! What is due when. Reads no clock and no file: from an instant, the trading
//! calendar and what the ledger has noted follows what is to be done now.

use std::collections::BTreeMap;

use chrono::{Datelike as _, NaiveDate, NaiveTime, TimeDelta, Weekday};
use serde::Serialize;

use crate::config::BackupPlan;
use crate::market::Timestamp;
use crate::market::calendar::{Calendar, DayKind};
use crate::market::time::{from_ist, hms, ist_date, ist_time};

/// The hours of a trading day in which nothing heavy is done.
const BUSY_FROM: NaiveTime = hms(8, 0, 0);
const BUSY_TO: NaiveTime = hms(16, 0, 0);

/// The same around the hours of a special session: the services prepare
/// before it and close the day after it.
const BEFORE_SESSION: TimeDelta = TimeDelta::minutes(75);
const AFTER_SESSION: TimeDelta = TimeDelta::minutes(20);

/// When a day of which no hours are known is surely over.
const SURELY_OVER: NaiveTime = hms(23, 30, 0);

/// How late something may be that is not caught up.
const GRACE: TimeDelta = TimeDelta::hours(1);

/// Days looked at for the last or next time that something is due. No two
/// are further apart: the longest closure on record is under a week.
const SEARCH_DAYS: u64 = 31;

/// How often something that was interrupted is begun anew.
const ATTEMPTS_MAX: u32 = 3;

/// Something that is done regularly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Old logs are deleted.
    Cleanup,
    /// The database renews the statistics that its queries are planned by.
    Optimize,
    /// A backup of the day.
    Backup,
    /// The database's structure is checked.
    Check,
    /// The database is rewritten without its holes.
    Vacuum,
    /// A full archive, with logs.
    FullBackup,
    /// Archives beyond those that are kept are deleted.
    Prune,
}

/// What becomes of something that was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missed {
    /// Done as soon as somebody notices, even for times before the ledger.
    AtOnce,
    /// Done at the next instant that no market is open, once however often it
    /// was missed.
    WhenClosed,
    /// Left out.
    LeftOut,
}

impl Job {
    /// All of them, in the order in which they are done when several are due:
    /// room is made before it is needed, and what is checked is kept.
    pub const ALL: [Job; 7] = [
        Job::Cleanup,
        Job::Optimize,
        Job::Backup,
        Job::Check,
        Job::Vacuum,
        Job::FullBackup,
        Job::Prune,
    ];

    /// Its name in the ledger, in logs and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Job::Cleanup => "cleanup",
            Job::Optimize => "optimize",
            Job::Backup => "backup",
            Job::Check => "check",
            Job::Vacuum => "vacuum",
            Job::FullBackup => "full_backup",
            Job::Prune => "prune",
        }
    }

    /// What it is, for people.
    pub const fn about(self) -> &'static str {
        match self {
            Job::Cleanup => "old logs deleted",
            Job::Optimize => "query statistics renewed",
            Job::Backup => "backup of the day",
            Job::Check => "integrity of the database",
            Job::Vacuum => "database rewritten without holes",
            Job::FullBackup => "full archive of the week",
            Job::Prune => "old archives deleted",
        }
    }

    /// The job of this name.
    pub fn parse(name: &str) -> Option<Job> {
        Job::ALL.into_iter().find(|job| job.as_str() == name)
    }

    const fn missed(self) -> Missed {
        match self {
            Job::Cleanup => Missed::AtOnce,
            Job::Optimize => Missed::LeftOut,
            Job::Backup | Job::Check | Job::Vacuum | Job::FullBackup | Job::Prune => {
                Missed::WhenClosed
            }
        }
    }

    /// When it is due on a date, if it is.
    fn on(self, date: NaiveDate, calendar: &Calendar, plan: &BackupPlan) -> Option<Timestamp> {
        let weekly = |time| (date.weekday() == plan.weekly).then_some(time);
        let time = match self {
            Job::Cleanup => Some(hms(2, 0, 0)),
            Job::Optimize => Some(hms(2, 10, 0)),
            Job::Prune => Some(hms(2, 20, 0)),
            Job::Check => weekly(hms(5, 0, 0)),
            Job::Vacuum => weekly(hms(5, 20, 0)),
            Job::FullBackup => weekly(hms(5, 40, 0)),
            Job::Backup => after_close(date, calendar, plan),
        };
        time.map(|time| from_ist(date, time))
    }
}

/// When the backup of a day with a session is made.
fn after_close(date: NaiveDate, calendar: &Calendar, plan: &BackupPlan) -> Option<NaiveTime> {
    let day = calendar.day(date);
    match day {
        DayKind::Closed(_) => None,
        // Where the calendar ends, services still run on weekdays.
        DayKind::Unknown => {
            (!matches!(date.weekday(), Weekday::Sat | Weekday::Sun)).then_some(plan.time)
        }
        DayKind::Trading(_) => Some(plan.time),
        DayKind::Special(_) => Some(match day.sessions() {
            Some(times) => {
                let close = times.derivatives.close.max(times.cash_other.close);
                let (over, next_day) = close.overflowing_add_signed(AFTER_SESSION);
                if next_day == 0 { plan.time.max(over) } else { SURELY_OVER }
            }
            None => SURELY_OVER,
        }),
    }
}

/// True while an exchange is open, or about to be, or the day is being
/// closed: nothing is done then that keeps anybody waiting.
pub fn is_market_time(calendar: &Calendar, at: Timestamp) -> bool {
    let (day, time) = (calendar.day(ist_date(at)), ist_time(at));
    match day {
        DayKind::Closed(_) => false,
        DayKind::Trading(_) | DayKind::Unknown => (BUSY_FROM..BUSY_TO).contains(&time),
        DayKind::Special(_) => match day.sessions() {
            Some(times) => {
                let close = times.derivatives.close.max(times.cash_other.close);
                let open = times.pre_open.map_or(times.index.open, |early| early.open);
                let (from, wrapped) = open.overflowing_sub_signed(BEFORE_SESSION);
                let from = if wrapped == 0 { from } else { NaiveTime::MIN };
                let (to, wrapped) = close.overflowing_add_signed(AFTER_SESSION);
                from <= time && (wrapped != 0 || time < to)
            }
            None => time >= BUSY_FROM,
        },
    }
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Begun.
    Running,
    /// Done.
    Done,
    /// Not done, for a reason that nobody need look after.
    Skipped,
    /// Not done.
    Failed,
}

impl State {
    /// `running`, `done`, `skipped`, `failed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Skipped => "skipped",
            State::Failed => "failed",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<State> {
        let all = [State::Running, State::Done, State::Skipped, State::Failed];
        all.into_iter().find(|state| state.as_str() == name)
    }
}

/// The latest time that something was due which the ledger has a row of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// When it was due.
    pub due: Timestamp,
    /// What became of it.
    pub state: State,
    /// How often it was begun.
    pub attempts: u32,
}

/// What the ledger knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// When the ledger was begun: nothing was missed before.
    pub since: Timestamp,
    /// The latest of each job.
    pub last: BTreeMap<Job, Noted>,
}

/// Something that is to be seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub job: Job,
    /// When it was due.
    pub at: Timestamp,
    /// What is to become of it.
    pub action: Action,
}

/// What is to become of something that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is to be done.
    Run,
    /// It is too late and to be left out.
    LeaveOut,
    /// It was interrupted too often.
    GiveUp,
}

/// What is to be seen to now, in order. Whoever asks holds the ledger's lock,
/// so what the ledger shows as running was interrupted.
pub fn due(now: Timestamp, calendar: &Calendar, plan: &BackupPlan, known: &Known) -> Vec<Due> {
    let busy = is_market_time(calendar, now);
    let mut found = Vec::new();
    for job in Job::ALL {
        let Some(at) = latest(job, now, calendar, plan) else { continue };
        let action = match known.last.get(&job) {
            // A later one is noted when the clock was set back.
            Some(noted) if noted.due > at => continue,
            Some(noted) if noted.due == at => match noted.state {
                State::Running if noted.attempts >= ATTEMPTS_MAX => Action::GiveUp,
                State::Running => Action::Run,
                State::Done | State::Skipped | State::Failed => continue,
            },
            Some(_) => Action::Run,
            None if at < known.since && job.missed() != Missed::AtOnce => continue,
            None => Action::Run,
        };
        let action = match (action, job.missed()) {
            (Action::Run, Missed::LeftOut) if now - at > GRACE => Action::LeaveOut,
            (Action::Run, Missed::LeftOut | Missed::WhenClosed) if busy => continue,
            (action, Missed::AtOnce | Missed::LeftOut | Missed::WhenClosed) => action,
        };
        found.push(Due { job, at, action });
    }
    found
}

/// The last time that something was due.
fn latest(job: Job, now: Timestamp, calendar: &Calendar, plan: &BackupPlan) -> Option<Timestamp> {
    let today = ist_date(now);
    (0..SEARCH_DAYS)
        .filter_map(|days| today.checked_sub_days(chrono::Days::new(days)))
        .filter_map(|date| job.on(date, calendar, plan))
        .find(|at| *at <= now)
}

/// The next time that something is due. `None` where that is too far away.
pub fn next(job: Job, now: Timestamp, calendar: &Calendar, plan: &BackupPlan) -> Option<Timestamp> {
    let today = ist_date(now);
    (0..SEARCH_DAYS)
        .filter_map(|days| today.checked_add_days(chrono::Days::new(days)))
        .filter_map(|date| job.on(date, calendar, plan))
        .find(|at| *at > now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::calendar::{Session, SpecialHours};

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
            (job, Noted { due, state: State::Done, attempts: 1 })
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
            let state = State::Running;
            known.last.insert(Job::Backup, Noted { due: at("2026-11-23T16:05"), state, attempts });
            assert_eq!(jobs("2026-11-23T16:06", &known), [(Job::Backup, action)]);
        }
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
        /// The clock is set back by so many minutes.
        SetBack(i64),
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            8 => (1_i64..90).prop_map(Happening::Looks),
            2 => (1_i64..200).prop_map(Happening::Away),
            1 => Just(Happening::Dies),
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
        let mut dies = false;
        for happening in story {
            match happening {
                Happening::Looks(minutes) => now += TimeDelta::minutes(*minutes),
                Happening::Away(hours) => now += TimeDelta::hours(*hours),
                Happening::SetBack(minutes) => now -= TimeDelta::minutes(*minutes),
                Happening::Dies => dies = true,
            }
            for due in due(now, &calendar, &plan, &known) {
                assert!(due.at <= now, "{due:?} before its time");
                let heavy = due.job != Job::Cleanup && due.action == Action::Run;
                assert!(!heavy || !is_market_time(&calendar, now), "{due:?} at {now}");
                let count = counts.entry((due.job, due.at)).or_default();
                let attempts = count.0 + u32::from(due.action == Action::Run);
                count.0 = attempts;
                let dying = std::mem::take(&mut dies) && due.action == Action::Run;
                count.1 += u32::from(!dying);
                let state = if dying { State::Running } else { State::Done };
                known.last.insert(due.job, Noted { due: due.at, state, attempts });
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
                prop_assert!(begun <= ATTEMPTS_MAX, "{what:?} begun {begun} times");
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
}
