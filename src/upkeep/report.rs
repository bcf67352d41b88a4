//! How the upkeep stands, for health pages and `doctor`.

use std::path::Path;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::ledger::{Ledger, LedgerError, Run};
use super::schedule::{self, Job, State};
use crate::config::BackupPlan;
use crate::market::Timestamp;
use crate::market::calendar::Calendar;

/// How much later than due a job may be before that is told: a trading day's
/// market hours and some.
const LATE_AFTER: TimeDelta = TimeDelta::hours(12);

/// How one job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// The job.
    pub job: Job,
    /// Its latest run.
    pub last: Option<Run>,
    /// When it was last done.
    pub last_done: Option<Timestamp>,
    /// When it is due next.
    pub next_due: Option<Timestamp>,
    /// When it is tried again, after attempts without effect.
    pub again_at: Option<Timestamp>,
    /// True when it was due long ago and nobody has begun it.
    pub late: bool,
}

impl JobReport {
    /// True when somebody should look after it.
    pub fn is_trouble(&self) -> bool {
        self.late || self.last.as_ref().is_some_and(|run| run.state == State::Failed)
    }
}

/// How each job stands; empty when none was ever looked after on this data
/// folder.
///
/// # Errors
/// When the ledger cannot be read.
pub fn report(
    data: &Path,
    calendar: &Calendar,
    plan: &BackupPlan,
    now: Timestamp,
) -> Result<Vec<JobReport>, LedgerError> {
    let Some(ledger) = Ledger::look(data)? else { return Ok(Vec::new()) };
    let (last, done, known) = (ledger.last_runs(now)?, ledger.last_done(now)?, ledger.known(now)?);
    let of = |runs: &[Run], job| runs.iter().find(|run| run.job == job).cloned();
    let overdue = schedule::due(now, calendar, plan, &known);
    let reports = Job::ALL.into_iter().map(|job| JobReport {
        job,
        last: of(&last, job),
        last_done: of(&done, job).and_then(|run| run.ended_at),
        next_due: schedule::next(job, now, calendar, plan),
        again_at: of(&last, job).and_then(again_at),
        // Nobody could have done it before the ledger was begun.
        late: overdue
            .iter()
            .any(|due| due.job == job && now - due.at.max(known.since) > LATE_AFTER),
    });
    Ok(reports.collect())
}

fn again_at(run: Run) -> Option<Timestamp> {
    let ended = run.ended_at.filter(|_| run.state == State::Waiting)?;
    schedule::again_at(run.attempts, ended)
}

/// The same as JSON, by the job's name.
pub fn report_json(reports: &[JobReport]) -> Value {
    let of = |report: &JobReport| {
        let value = json!({
            "last_due": report.last.as_ref().map(|run| run.due),
            "last_started": report.last.as_ref().map(|run| run.started_at),
            "last_ended": report.last.as_ref().and_then(|run| run.ended_at),
            "outcome": report.last.as_ref().map(|run| run.state.as_str()),
            "detail": report.last.as_ref().map(|run| run.detail.clone()),
            "last_done": report.last_done,
            "next_due": report.next_due,
            "again_at": report.again_at,
            "late": report.late,
        });
        (report.job.as_str().to_string(), value)
    };
    Value::Object(reports.iter().map(of).collect())
}
