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

/// Pauses before what failed, or met somebody else at it, is tried again. When
/// they are used up, or the next time has come, it is over.
const AGAIN_AFTER: [TimeDelta; 4] =
    [TimeDelta::minutes(5), TimeDelta::minutes(15), TimeDelta::minutes(45), TimeDelta::minutes(90)];

/// How far ahead of the clock a row of the ledger may be dated: clocks are set
/// right by seconds. One from further ahead was written by a clock that stood
/// in the future, and says nothing of today.
const AHEAD_MAX: TimeDelta = TimeDelta::minutes(10);

/// When the ledger's rows end, for a clock that shows `now`.
pub(super) fn horizon(now: Timestamp) -> Timestamp {
    now + AHEAD_MAX
}

/// When something is tried again whose attempt number `attempts` has ended
/// without effect at `ended`; `None` when that was the last one.
pub fn again_at(attempts: u32, ended: Timestamp) -> Option<Timestamp> {
    let past = usize::try_from(attempts.max(1) - 1).ok()?;
    AGAIN_AFTER.get(past).map(|pause| ended + *pause)
}

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
    /// Not done, and tried again after a pause.
    Waiting,
    /// Not done.
    Failed,
    /// Written by a clock that stood in the future: as if it had not been.
    Void,
}

impl State {
    /// `running`, `done`, `skipped`, `waiting`, `failed`, `void`.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Done => "done",
            State::Skipped => "skipped",
            State::Waiting => "waiting",
            State::Failed => "failed",
            State::Void => "void",
        }
    }

    /// The state of this name.
    pub fn parse(name: &str) -> Option<State> {
        let all = [
            State::Running,
            State::Done,
            State::Skipped,
            State::Waiting,
            State::Failed,
            State::Void,
        ];
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
    /// When the last attempt ended.
    pub ended_at: Option<Timestamp>,
}

impl Noted {
    /// True when the pause after the last attempt is over. Of a clock that
    /// was set back by more than a little nobody can say.
    fn may_try_again(&self, now: Timestamp) -> bool {
        let Some(ended) = self.ended_at.filter(|ended| *ended <= horizon(now)) else { return true };
        again_at(self.attempts, ended).is_none_or(|at| now >= at)
    }
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
    /// It was interrupted too often, or its time is over.
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
            // A later one is noted when the clock was set back a little.
            Some(noted) if noted.due > at => continue,
            Some(noted) if noted.due == at => match noted.state {
                State::Running if noted.attempts >= ATTEMPTS_MAX => Action::GiveUp,
                State::Running => Action::Run,
                State::Waiting if !noted.may_try_again(now) => continue,
                State::Waiting if is_too_late(job, at, now) => Action::GiveUp,
                State::Waiting | State::Void => Action::Run,
                State::Done | State::Skipped | State::Failed => continue,
            },
            Some(_) => Action::Run,
            None if at < known.since && job.missed() != Missed::AtOnce => continue,
            None => Action::Run,
        };
        let action = match (action, job.missed()) {
            (Action::Run, Missed::LeftOut) if is_too_late(job, at, now) => Action::LeaveOut,
            (Action::Run, Missed::LeftOut | Missed::WhenClosed) if busy => continue,
            (action, Missed::AtOnce | Missed::LeftOut | Missed::WhenClosed) => action,
        };
        found.push(Due { job, at, action });
    }
    found
}

/// True for what is not caught up so long after it was due.
fn is_too_late(job: Job, at: Timestamp, now: Timestamp) -> bool {
    job.missed() == Missed::LeftOut && now - at > GRACE
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
mod tests;
