//! What measured figures mean: a reading for everything that is watched.
//! Silence of services is another matter, see `pulse`.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::alarm::{Bounds, Reading, Trouble};
use super::hours::Hours;
use super::rate::Rate;
use super::sample::{Machine, Process};
use crate::config::HealthConfig;
use crate::market::Timestamp;
use crate::market::time::ist;
use crate::store::Heartbeat;

/// How far below a bound in percent all is well again.
const MARGIN_PCT: f64 = 5.0;

/// Share of the file descriptors that a process may have.
const FDS_PCT: (f64, f64) = (70.0, 90.0);

/// Age of the oldest notice that has not arrived, in seconds of market time.
const OUTBOX_AGE_S: f64 = 60.0;

/// Age of the last price while prices are expected, in seconds.
const TICK_AGE_S: f64 = 60.0;

/// Difference to the broker's clock in milliseconds. From the first one on
/// nothing is entered.
const CLOCK_MS: (f64, f64) = (1_000.0, 5_000.0);

/// Write-ahead log of the database: far above what a checkpoint leaves.
const WAL_BYTES: f64 = 256.0 * MEGABYTE;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Minutes before its end at which a session is warned of in market hours.
const SESSION_ENDS_MIN: f64 = 20.0;

/// How long something must last before it counts: what is read from a look,
/// and what may come right by itself.
const AT_ONCE: TimeDelta = TimeDelta::zero();
const SHORT: TimeDelta = TimeDelta::seconds(15);
const LONG: TimeDelta = TimeDelta::seconds(60);

/// How long lines must come as usual again before that counts.
const CALM: TimeDelta = TimeDelta::minutes(3);

/// What became of a process's log lines.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogFigures {
    /// Lines that wait to be written.
    pub queued: u64,
    /// Lines written since the process started.
    pub written: u64,
    /// Repetitions that were summed up instead.
    pub sampled: u64,
    /// Lines lost because the queue was full.
    pub dropped: u64,
    /// Log records deleted before their days were over, for want of room.
    pub rows_pruned: u64,
    /// Lines of level ERROR.
    pub errors: u64,
    /// Lines of level WARN.
    pub warnings: u64,
    /// Since when log files cannot be written.
    pub failing_since: Option<Timestamp>,
    /// Since when the log database cannot be written.
    pub database_failing_since: Option<Timestamp>,
}

/// The figures that every service puts into its signs of life, and those of
/// pivot-trading.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// The process.
    pub process: Option<Process>,
    /// The machine, when this service looks at it.
    pub machine: Option<Machine>,
    /// Its log.
    pub log: Option<LogFigures>,
    /// What it finds not to be well.
    pub troubles: Vec<Trouble>,
    /// When the last price was worked off.
    pub last_price_at: Option<Timestamp>,
    /// Instruments whose prices are wanted.
    pub watched: u64,
    /// Milliseconds that our clock is ahead of the broker's.
    pub clock_skew_ms: Option<i64>,
    /// How long the broker took to answer the last order call.
    pub order_round_trip_ms: Option<u64>,
    /// `up` or `down`.
    pub feed: Option<String>,
    /// Orders placed, changed and cancelled today.
    pub order_messages: Option<u64>,
    /// The day's loss limit.
    pub daily_loss_limit: Option<String>,
    /// Net of the day, the open position included.
    pub net: Option<String>,
}

impl Detail {
    /// Reads what is there. Nothing is, when any of it is odd.
    pub fn of(beat: &Heartbeat) -> Detail {
        serde_json::from_value(beat.detail.clone()).unwrap_or_default()
    }
}

/// All that is judged at one time.
pub(super) struct Facts<'a> {
    /// Market time.
    pub(super) now: Timestamp,
    pub(super) hours: Hours,
    pub(super) machine: &'a Machine,
    pub(super) beats: &'a [Heartbeat],
    /// Services that are silent: their figures are of the past.
    pub(super) is_silent: &'a dyn Fn(&str) -> bool,
    /// True when the clock is scaled: the load says nothing then.
    pub(super) scaled: bool,
    /// Until when the session is valid, when there is one.
    pub(super) session_until: Option<Timestamp>,
    /// When the oldest notice was written that has not arrived.
    pub(super) outbox_oldest: Option<Timestamp>,
    /// Services in whose log a text was found that must not occur, and the
    /// text.
    pub(super) found: Vec<(String, String)>,
}

/// Judges; remembers what it needs to see changes.
#[derive(Debug)]
pub(super) struct Judge {
    config: HealthConfig,
    errors: BTreeMap<String, Rate>,
    warnings: BTreeMap<String, Rate>,
    dropped: BTreeMap<String, (Timestamp, u64)>,
}

impl Judge {
    pub(super) fn new(config: HealthConfig) -> Judge {
        Judge {
            config,
            errors: BTreeMap::new(),
            warnings: BTreeMap::new(),
            dropped: BTreeMap::new(),
        }
    }

    /// A reading for everything that is watched. `at` is the time by which
    /// rates and durations go.
    pub(super) fn readings(&mut self, facts: &Facts<'_>, at: Timestamp) -> Vec<Reading> {
        let mut readings = self.machine(facts);
        for beat in facts.beats {
            if (facts.is_silent)(&beat.service) {
                continue;
            }
            let detail = Detail::of(beat);
            let first = readings.len();
            if let Some(process) = &detail.process {
                readings.push(descriptors(&beat.service, process));
            }
            if let Some(log) = &detail.log {
                self.log(beat, log, at, &mut readings);
            }
            // All of these are counted by the process itself.
            for reading in readings.iter_mut().skip(first) {
                reading.process = Some(beat.started_at);
            }
            if beat.service == "trading" {
                readings.extend(trading(facts, beat, &detail));
            }
        }
        readings.push(outbox(facts));
        let patterns = self.config.patterns.iter().enumerate();
        readings.extend(patterns.map(|(index, text)| pattern(index, text, &facts.found)));
        readings
    }

    fn machine(&self, facts: &Facts<'_>) -> Vec<Reading> {
        let (config, machine) = (&self.config, facts.machine);
        let share = |name: &str, what: &str, value: f64, bounds: (u32, u32), advice: &str| {
            let (warning, critical) = bounds;
            Reading {
                headline: format!("{what} at {value} %"),
                advice: advice.to_string(),
                over: format!("{what} is well again, at {value} %"),
                bounds: Bounds {
                    warning: Some(f64::from(warning)),
                    critical: Some(f64::from(critical)),
                    margin: MARGIN_PCT,
                },
                hold: SHORT,
                settle: SHORT,
                ..reading(name, value)
            }
        };
        let load = machine.cpu_minute_pct.filter(|_| !facts.scaled).unwrap_or(0.0);
        let disk = machine.disk_pct();
        let megabytes = (machine.database_bytes as f64 / MEGABYTE).floor();
        vec![
            share(
                "cpu",
                "Processor load of the last minute",
                load,
                (config.cpu_warning_pct, config.cpu_critical_pct),
                "See what else runs: top. Trading slows down before it stops.",
            ),
            share(
                "memory",
                "Memory",
                machine.memory_pct,
                (config.memory_warning_pct, config.memory_critical_pct),
                "See who has it: ps aux --sort=-rss. The kernel kills the largest one in the end.",
            ),
            Reading {
                // It does not fill up and empty in a moment.
                hold: AT_ONCE,
                ..share(
                    "disk",
                    "Disk",
                    disk,
                    (config.disk_warning_pct, config.disk_critical_pct),
                    "Make room: when it is full, nothing can be recorded, and nothing is traded. \
                     When it is critical, old logs are deleted by themselves.",
                )
            },
            Reading {
                bounds: warn_from(f64::from(config.database_warning_mb), MARGIN_PCT),
                headline: format!("The database has {megabytes} MB"),
                advice: "Outside market hours: make a backup and have it vacuumed.".into(),
                over: format!("The database has {megabytes} MB again"),
                ..reading("database", megabytes)
            },
            Reading {
                bounds: warn_from(WAL_BYTES, WAL_BYTES / 2.0),
                hold: LONG,
                headline: format!(
                    "The database's write-ahead log has {} MB",
                    (machine.wal_bytes as f64 / MEGABYTE).floor()
                ),
                advice: "Somebody reads for too long. Close other programs that have it open."
                    .into(),
                over: "The database's write-ahead log is small again".into(),
                ..reading("wal", machine.wal_bytes as f64)
            },
        ]
    }

    fn log(
        &mut self,
        beat: &Heartbeat,
        log: &LogFigures,
        at: Timestamp,
        readings: &mut Vec<Reading>,
    ) {
        let service = &beat.service;
        let begun = (beat.started_at, log.dropped);
        let before = self.dropped.insert(service.clone(), begun).unwrap_or(begun);
        let lost = match before {
            (process, before) if process == beat.started_at => log.dropped.saturating_sub(before),
            _ => log.dropped,
        };
        readings.push(Reading {
            bounds: warn_from(1.0, 0.0),
            settle: LONG,
            headline: format!("pivot-{service} loses log lines: {} so far", log.dropped),
            advice: "It logs faster than the disk takes. Trading goes on.".into(),
            over: format!("pivot-{service} loses no more log lines"),
            ..reading(&format!("log_drops.{service}"), lost as f64)
        });
        // Rows that the database does not take wait in a file.
        let critical = Bounds { warning: None, critical: Some(1.0), margin: 0.0 };
        for (name, since, what, bounds) in [
            ("logs_failing", log.failing_since, "its log files", critical),
            (
                "log_database_failing",
                log.database_failing_since,
                "its log database",
                warn_from(1.0, 0.0),
            ),
        ] {
            readings.push(Reading {
                bounds,
                hold: SHORT,
                settle: SHORT,
                headline: format!("pivot-{service} cannot write {what}"),
                advice: since.map_or_else(String::new, |since| {
                    let since = ist(since).format("%H:%M:%S");
                    format!(
                        "Since {since} IST. See disk, permissions, journalctl. Trading goes on."
                    )
                }),
                over: format!("pivot-{service} can write {what} again"),
                ..reading(&format!("{name}.{service}"), f64::from(u8::from(since.is_some())))
            });
        }
        let config = &self.config;
        for (name, rates, count, floor) in [
            ("error_rate", &mut self.errors, log.errors, config.errors_per_minute),
            ("warning_rate", &mut self.warnings, log.warnings, config.warnings_per_minute),
        ] {
            let floor = u64::from(floor);
            let rate = rates.entry(service.clone()).or_default();
            rate.take(beat.started_at, count, at, floor);
            let (value, limit) = (rate.per_minute(), rate.limit(floor));
            let lines = if name == "error_rate" { "errors" } else { "warnings" };
            readings.push(Reading {
                bounds: warn_from(limit as f64, limit as f64 - rate.calm(floor)),
                settle: CALM,
                headline: format!("pivot-{service} logs {value} {lines} in a minute"),
                advice: format!("Usually fewer than {limit}. See its log."),
                over: format!("pivot-{service} logs no more {lines} than usual"),
                ..reading(&format!("{name}.{service}"), value as f64)
            });
        }
    }
}

/// A reading that counts at once and says nothing yet.
fn reading(name: &str, value: f64) -> Reading {
    Reading {
        name: name.to_string(),
        value,
        bounds: Bounds::default(),
        hold: AT_ONCE,
        settle: AT_ONCE,
        headline: String::new(),
        advice: String::new(),
        over: String::new(),
        process: None,
    }
}

fn warn_from(bound: f64, margin: f64) -> Bounds {
    Bounds { warning: Some(bound), critical: None, margin }
}

fn descriptors(service: &str, process: &Process) -> Reading {
    let share = super::proc::percent(process.fds, process.fds_max);
    let (warning, critical) = FDS_PCT;
    Reading {
        bounds: Bounds { warning: Some(warning), critical: Some(critical), margin: MARGIN_PCT },
        headline: format!(
            "pivot-{service} has {} of {} file descriptors open",
            process.fds, process.fds_max
        ),
        advice: "Restart it when nothing is held; keep its log.".into(),
        over: format!("pivot-{service} has file descriptors left"),
        ..reading(&format!("fds.{service}"), share)
    }
}

fn trading(facts: &Facts<'_>, beat: &Heartbeat, detail: &Detail) -> [Reading; 3] {
    let now = facts.now;
    let wanted = facts.hours.prices && beat.phase == "trading" && detail.watched > 0;
    let last = detail.last_price_at.unwrap_or(beat.started_at);
    // The sign of life may be older than the price that came since.
    let age = (beat.at - last).num_seconds().max(0) as f64;
    let offset = detail.clock_skew_ms.unwrap_or(0);
    let (warning, critical) = CLOCK_MS;
    let left = facts.session_until.map(|until| (until - now).num_minutes() as f64);
    let session = match left {
        None if facts.hours.session => ("Nobody is logged in at the broker".to_string(), 2.0),
        Some(left) if facts.hours.session && left < SESSION_ENDS_MIN => {
            (format!("The broker session ends in {left} minutes"), 1.0)
        }
        None | Some(_) => (String::new(), 0.0),
    };
    [
        Reading {
            bounds: Bounds { warning: None, critical: Some(TICK_AGE_S), margin: 0.0 },
            hold: SHORT,
            settle: SHORT,
            headline: format!("No price for {age} s"),
            advice: "Nothing is entered meanwhile, and what is held is asked for one by one. See \
                     the network and the Kite app."
                .into(),
            over: "Prices come again".into(),
            ..reading("tick", if wanted { age } else { 0.0 })
        },
        Reading {
            bounds: Bounds { warning: Some(warning), critical: Some(critical), margin: 200.0 },
            hold: LONG,
            settle: LONG,
            headline: format!("The clock is {offset} ms off the broker's"),
            advice: "Nothing is entered. See timedatectl; set-ntp true.".into(),
            over: format!("The clock agrees with the broker's, to {offset} ms"),
            ..reading("clock", offset.unsigned_abs() as f64)
        },
        Reading {
            bounds: Bounds { warning: Some(1.0), critical: Some(2.0), margin: 0.0 },
            hold: LONG,
            headline: session.0,
            advice: "/login sends the link.".into(),
            over: "There is a broker session, or none is needed now".into(),
            ..reading("session", session.1)
        },
    ]
}

fn outbox(facts: &Facts<'_>) -> Reading {
    let age = facts.outbox_oldest.map_or(0, |at| (facts.now - at).num_seconds()).max(0);
    Reading {
        bounds: warn_from(OUTBOX_AGE_S, 0.0),
        // Of a scaled clock a minute is a moment.
        hold: SHORT,
        settle: SHORT,
        headline: format!("Messages to Telegram wait for {age} s"),
        advice: "Telegram is out of reach, or refuses them. Trading goes on.".into(),
        over: "Messages to Telegram arrive again".into(),
        ..reading("outbox", age as f64)
    }
}

/// Named by its number: a name is written to the log, where the text would be
/// found again.
fn pattern(index: usize, text: &str, found: &[(String, String)]) -> Reading {
    let services = found.iter().filter(|(_, found)| found == text);
    let services: Vec<&str> = services.map(|(service, _)| service.as_str()).collect();
    Reading {
        bounds: warn_from(1.0, 0.0),
        settle: LONG,
        headline: format!("{text:?} is in the log of pivot-{}", services.join(", pivot-")),
        advice: "See the log.".into(),
        over: format!("{text:?} did not occur in a log again"),
        ..reading(&format!("pattern.{}", index + 1), services.len() as f64)
    }
}

#[cfg(test)]
mod tests;
