//! Says when something that was measured is to be told, and when it is over.
//! Pure: it sees readings and instants, and remembers.
//!
//! - A level that got worse counts once it has lasted (`hold`), one that got
//!   better once that has (`settle`); and a bound that was passed holds until
//!   the value is below it by a margin. So nothing flaps.
//! - The same alert (name and severity) is told at most once in
//!   [`REPEAT_AFTER`]; what is critical is told again every [`REMIND_AFTER`].
//! - What was told gets exactly one all-clear; what was not told gets none.
//! - What a process was told of ends with it: another process of the service
//!   begins anew ([`Reading::process`]).
//! - What there is no reading of any more ends after [`GONE_AFTER`], with a
//!   note that says why: of a service that is silent, or of something that is
//!   not watched any more.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::market::Timestamp;

/// Least time between two alerts of one name and severity.
pub const REPEAT_AFTER: TimeDelta = TimeDelta::minutes(5);

/// Time after which something critical is told again.
pub const REMIND_AFTER: TimeDelta = TimeDelta::hours(1);

/// Time without a reading after which something is not known any more.
pub const GONE_AFTER: TimeDelta = TimeDelta::seconds(30);

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    #[default]
    Ok,
    /// Look at it soon.
    Warning,
    /// Look at it now.
    Critical,
}

impl Level {
    /// `ok`, `warning`, `critical`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Critical => "critical",
        }
    }

    /// What stands before it in a message.
    pub const fn sign(self) -> &'static str {
        match self {
            Level::Ok => "✅",
            Level::Warning => "⚠️",
            Level::Critical => "🚨",
        }
    }
}

/// Values from which on something is bad. A bound that was passed holds until
/// the value is below it by `margin`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// From here on a warning.
    pub warning: Option<f64>,
    /// From here on critical.
    pub critical: Option<f64>,
    /// How far below a bound all is well again.
    pub margin: f64,
}

impl Bounds {
    /// The level of a value, after one that was at `was`.
    pub fn level(&self, value: f64, was: Level) -> Level {
        let over = |bound: Option<f64>, level: Level| {
            let margin = if was >= level { self.margin } else { 0.0 };
            bound.is_some_and(|bound| value >= bound - margin)
        };
        if over(self.critical, Level::Critical) {
            Level::Critical
        } else if over(self.warning, Level::Warning) {
            Level::Warning
        } else {
            Level::Ok
        }
    }

    /// The bound that makes a level.
    fn of(&self, level: Level) -> Option<f64> {
        match level {
            Level::Ok => None,
            Level::Warning => self.warning,
            Level::Critical => self.critical.or(self.warning),
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What, in one word, with a service behind a dot where it is one's own:
    /// `disk`, `silent.trading`.
    pub name: String,
    /// The value that is compared.
    pub value: f64,
    /// With what it is compared.
    pub bounds: Bounds,
    /// How long it must be bad before it counts.
    pub hold: TimeDelta,
    /// How long it must be better before that counts.
    pub settle: TimeDelta,
    /// What is to be said while it is bad: one line.
    pub headline: String,
    /// What else there is to know and to do.
    pub advice: String,
    /// What is to be said when it is over: one line.
    pub over: String,
    /// The process that it is of, by its start, where it ends with that.
    pub process: Option<Timestamp>,
}

/// Whether an alert begins or ends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is so.
    Firing,
    /// It is over.
    Resolved,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alert {
    /// Begins or ends.
    pub status: Status,
    /// The reading's name.
    pub name: String,
    /// How bad it is; when it is over, how bad it was.
    pub severity: Level,
    /// One line.
    pub message: String,
    /// What else there is to know and to do; empty when it is over.
    pub advice: String,
    /// The value now.
    pub value: f64,
    /// The bound that was passed.
    pub threshold: f64,
    /// When it was judged so.
    pub at: Timestamp,
}

/// Something that is bad now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// The reading's name.
    pub name: String,
    /// How bad it is.
    pub severity: Level,
    /// One line.
    pub message: String,
    /// The value now.
    pub value: f64,
    /// The bound that was passed.
    pub threshold: f64,
}

/// What is remembered of one name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Standing {
    level: Level,
    /// Since when the value is worse, or better, than the level.
    worse_since: Option<Timestamp>,
    better_since: Option<Timestamp>,
    /// The worst level that was told and is not over.
    told: Level,
    warned_at: Option<Timestamp>,
    cried_at: Option<Timestamp>,
    /// The process that it is of.
    process: Option<Timestamp>,
    /// What was said of it last while it was bad.
    message: String,
    /// Since when there is no reading of it.
    #[serde(skip)]
    absent_since: Option<Timestamp>,
    #[serde(skip)]
    now: Option<Trouble>,
}

/// All names, as they stand.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Alarms {
    standing: BTreeMap<String, Standing>,
}

impl Alarms {
    /// Takes a reading at `now`, and answers with what is to be told.
    /// `speak` is false for whoever leaves telling to another; an all-clear
    /// is the business of the one who told.
    pub fn observe(&mut self, reading: &Reading, now: Timestamp, speak: bool) -> Option<Alert> {
        let standing = self.standing.entry(reading.name.clone()).or_default();
        standing.absent_since = None;
        let before = std::mem::replace(&mut standing.process, reading.process);
        if before.is_some() && reading.process.is_some() && before != reading.process {
            return standing.end(&reading.name, "over, the service was restarted", now);
        }
        standing.follow(reading, now);
        let threshold = reading.bounds.of(standing.level.max(standing.told)).unwrap_or_default();
        if standing.level > Level::Ok {
            standing.message.clone_from(&reading.headline);
        }
        standing.now = (standing.level > Level::Ok).then(|| Trouble {
            name: reading.name.clone(),
            severity: standing.level,
            message: reading.headline.clone(),
            value: reading.value,
            threshold,
        });
        let alert = |status, severity, message: &str, advice: &str| Alert {
            status,
            name: reading.name.clone(),
            severity,
            message: message.to_string(),
            advice: advice.to_string(),
            value: reading.value,
            threshold,
            at: now,
        };
        if standing.level == Level::Ok {
            let was = std::mem::take(&mut standing.told);
            return (was > Level::Ok).then(|| alert(Status::Resolved, was, &reading.over, ""));
        }
        let due = speak && standing.is_due(now);
        due.then(|| {
            standing.tell(now);
            alert(Status::Firing, standing.level, &reading.headline, &reading.advice)
        })
    }

    /// Ends what there was no reading of for a while: of those names that
    /// `is_watched`, all that are not among the `readings`. `why` says why.
    pub fn end_absent(
        &mut self,
        readings: &[Reading],
        is_watched: impl Fn(&str) -> bool,
        why: impl Fn(&str) -> String,
        now: Timestamp,
    ) -> Vec<Alert> {
        let present: BTreeSet<&str> =
            readings.iter().map(|reading| reading.name.as_str()).collect();
        let absent = self.standing.iter_mut().filter(|(name, standing)| {
            standing.level.max(standing.told) > Level::Ok
                && !present.contains(name.as_str())
                && is_watched(name)
        });
        let ended = absent.filter_map(|(name, standing)| {
            let since = *standing.absent_since.get_or_insert(now);
            let is_gone = now < since || now - since >= GONE_AFTER;
            if is_gone { standing.end(name, &why(name), now) } else { None }
        });
        ended.collect()
    }

    /// What is bad now, worst first.
    pub fn troubles(&self) -> Vec<Trouble> {
        let now = self.standing.values().filter_map(|standing| standing.now.clone());
        let mut troubles: Vec<Trouble> = now.collect();
        troubles.sort_by(|one, other| {
            other.severity.cmp(&one.severity).then_with(|| one.name.cmp(&other.name))
        });
        troubles
    }

    /// True when it was told and is not over.
    pub fn is_told(&self, name: &str) -> bool {
        self.standing.get(name).is_some_and(|standing| standing.told > Level::Ok)
    }
}

impl Standing {
    /// Lets the level follow the value.
    fn follow(&mut self, reading: &Reading, now: Timestamp) {
        let level = reading.bounds.level(reading.value, self.level);
        let lasted = |since: &mut Option<Timestamp>, least: TimeDelta| {
            now - *since.get_or_insert(now) >= least
        };
        let counts = match level.cmp(&self.level) {
            std::cmp::Ordering::Equal => {
                (self.worse_since, self.better_since) = (None, None);
                return;
            }
            std::cmp::Ordering::Greater => {
                self.better_since = None;
                lasted(&mut self.worse_since, reading.hold)
            }
            std::cmp::Ordering::Less => {
                self.worse_since = None;
                lasted(&mut self.better_since, reading.settle)
            }
        };
        if counts {
            self.level = level;
            (self.worse_since, self.better_since) = (None, None);
        }
    }

    /// Begins anew, and answers with what ends thereby, when it was told. When
    /// it was told last is remembered: whatever comes next keeps its distance.
    fn end(&mut self, name: &str, why: &str, now: Timestamp) -> Option<Alert> {
        let fresh = Standing {
            warned_at: self.warned_at,
            cried_at: self.cried_at,
            process: self.process,
            ..Standing::default()
        };
        let was = std::mem::replace(self, fresh);
        let about = if was.message.is_empty() { name } else { &was.message };
        (was.told > Level::Ok).then(|| Alert {
            status: Status::Resolved,
            name: name.to_string(),
            severity: was.told,
            message: format!("{about}: {why}"),
            advice: String::new(),
            value: 0.0,
            threshold: was.now.map(|trouble| trouble.threshold).unwrap_or_default(),
            at: now,
        })
    }

    fn last_told(&mut self) -> &mut Option<Timestamp> {
        match self.level {
            Level::Critical => &mut self.cried_at,
            Level::Ok | Level::Warning => &mut self.warned_at,
        }
    }

    /// True when the level is to be told now.
    fn is_due(&mut self, now: Timestamp) -> bool {
        // A clock that was set back makes nobody wait.
        let passed = |at: Timestamp, span: TimeDelta| now < at || now - at >= span;
        let (worse, level) = (self.level > self.told, self.level);
        match *self.last_told() {
            None => worse,
            Some(at) if worse => passed(at, REPEAT_AFTER),
            Some(at) => level == Level::Critical && passed(at, REMIND_AFTER),
        }
    }

    fn tell(&mut self, now: Timestamp) {
        self.told = self.told.max(self.level);
        *self.last_told() = Some(now);
    }
}

#[cfg(test)]
mod tests;
