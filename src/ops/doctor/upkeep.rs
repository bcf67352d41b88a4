//! What is done by day and week, and the backups that it leaves.

use super::{Finding, Level, Patient, in_full};
use crate::engine::Mode;
use crate::market::time::{ist, ist_date};
use crate::store::{Role, Store};
use crate::upkeep::backup;
use crate::upkeep::reminders::{self, Nearness, Outside, Reminder, Subject};
use crate::upkeep::schedule::State;
use crate::upkeep::{self, size_text};

/// The jobs and the newest archive.
pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let plan = match patient.config.backup_plan() {
        Ok(plan) => plan,
        Err(error) => {
            let remedy = "correct the backup section of the configuration";
            return vec![Finding::bad("maintenance", Level::Error, in_full(&error), remedy)];
        }
    };
    let calendar = patient.config.calendar();
    let now = patient.clock.now();
    let jobs = match upkeep::report(&patient.folder, &calendar, &plan, now) {
        Ok(reports) => reports,
        Err(error) => {
            let remedy = "run this as the user of the services";
            return vec![Finding::bad("maintenance", Level::Warning, in_full(&error), remedy)];
        }
    };
    let mut findings = Vec::new();
    for report in jobs.iter().filter(|report| report.is_trouble()) {
        let about = report.job.about();
        let text = match &report.last {
            Some(run) if run.state == State::Failed => {
                let at = ist(run.started_at).format("%Y-%m-%d %H:%M");
                format!("{about} failed at {at} IST: {}", run.detail)
            }
            Some(_) | None => format!("{about} is overdue"),
        };
        let remedy = "see the last line of it in the logs; is pivot-bot running?";
        findings.push(Finding::bad("maintenance", Level::Warning, text, remedy));
    }
    for report in &jobs {
        let (Some(again), Some(run)) = (report.again_at, &report.last) else { continue };
        let again = ist(again).format("%H:%M");
        let text = format!(
            "{} did not work and is tried again from {again} IST on: {}",
            report.job.about(),
            run.detail
        );
        let remedy = "nothing yet, unless the reason is one that stays";
        findings.push(Finding::bad("maintenance", Level::Warning, text, remedy));
    }
    if findings.is_empty() {
        findings.push(match (jobs.is_empty(), patient.mode) {
            (false, _) => Finding::ok("maintenance", "everything due was done"),
            (true, Mode::Demo) => Finding::ok("maintenance", "none yet; the demo needs none"),
            (true, Mode::Paper | Mode::Live) => Finding::bad(
                "maintenance",
                Level::Warning,
                "nothing was ever done on this data folder",
                "start pivot-bot, which does it",
            ),
        });
    }
    findings.push(newest(patient, &plan.dir));
    findings
}

/// What must be renewed soon. The calendar has a line of its own.
pub(super) fn reminders(patient: &Patient) -> Vec<Finding> {
    let name = "reminder";
    let now = patient.clock.now();
    // What keeps either from being read is told elsewhere.
    let Ok(outside) = Outside::read(&patient.config) else { return Vec::new() };
    let Ok(store) = Store::open_existing(&patient.folder, Role::Reader) else { return Vec::new() };
    let found = match reminders::gather(&store, &outside, now) {
        Ok(found) => found,
        Err(error) => {
            let remedy = "see the database above";
            return vec![Finding::bad(name, Level::Warning, in_full(&error), remedy)];
        }
    };
    let today = ist_date(now);
    let near = |reminder: &&Reminder| {
        reminder.subject != Subject::Holidays && reminder.nearness(today) > Nearness::Ahead
    };
    let findings: Vec<Finding> = found
        .iter()
        .filter(near)
        .map(|reminder| {
            let text = format!("{}: {}", reminder.when(today), reminder.text);
            Finding::bad(name, Level::Warning, text, reminder.advice.clone())
        })
        .collect();
    if findings.is_empty() { vec![Finding::ok(name, "nothing is near")] } else { findings }
}

fn newest(patient: &Patient, dir: &std::path::Path) -> Finding {
    let name = "backup";
    let archives = match backup::glance(dir) {
        Ok(archives) => archives,
        Err(error) => {
            let remedy = "run this as the user of the services";
            return Finding::bad(name, Level::Warning, in_full(&error), remedy);
        }
    };
    let of_mode = archives.iter().find(|archive| archive.mode == patient.mode.as_str());
    match (of_mode, patient.mode) {
        (Some(newest), _) => {
            let text = format!("{}, {}", dir.join(&newest.name).display(), size_text(newest.size));
            Finding::ok(name, text)
        }
        (None, Mode::Demo) => Finding::ok(name, "none; the demo needs none"),
        (None, Mode::Paper | Mode::Live) => {
            let text = format!("there is none in {}", dir.display());
            Finding::bad(name, Level::Warning, text, "pivotctl backup create")
        }
    }
}
