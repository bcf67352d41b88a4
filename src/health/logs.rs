//! What the room asks of the logs: their figures, and room on the disk.

use std::path::Path;

use chrono::TimeDelta;

use super::alarm::{Bounds, Reading};
use super::judge::LogFigures;
use super::sample::Machine;
use crate::clock::Clock;
use crate::config::Config;
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::telemetry::{self, rows};

/// Days of logs that are left when a disk is nearly full.
const KEPT_DAYS: u32 = 1;

/// Use of `logging.database_max_mb` in percent: more than is left when the
/// oldest records are deleted in time.
const DATABASE_PCT: f64 = 90.0;

/// How long that must last, or be over.
const LASTING: TimeDelta = TimeDelta::seconds(60);

/// Places of the levels in the logs' own counts.
const ERROR: usize = 0;
const WARN: usize = 1;

/// What became of this process's log lines.
pub(super) fn figures() -> LogFigures {
    telemetry::figures().map(|figures| of(&figures)).unwrap_or_default()
}

fn of(figures: &telemetry::Figures) -> LogFigures {
    let sum = |counts: &[u64; 5]| counts.iter().sum::<u64>();
    // A line is in exactly one of them.
    let fates = [&figures.written, &figures.sampled, &figures.dropped, &figures.lost];
    let level = |level: usize| fates.iter().filter_map(|counts| counts.get(level)).sum();
    let since = figures.failing.as_ref();
    LogFigures {
        queued: figures.queued,
        written: sum(&figures.written),
        sampled: sum(&figures.sampled),
        dropped: sum(&figures.dropped) + sum(&figures.lost),
        rows_pruned: figures.rows_pruned,
        errors: level(ERROR),
        warnings: level(WARN),
        failing_since: since.and_then(|(us, _)| Timestamp::from_timestamp_micros(*us)),
        database_failing_since: figures.database_failing.and_then(Timestamp::from_timestamp_micros),
    }
}

/// Whether old log records are deleted before their database is full.
pub(super) fn database(machine: &Machine, config: &Config) -> Option<Reading> {
    let logging = &config.logging;
    let limit = f64::from(logging.database_max_mb);
    let megabytes = (machine.log_database_bytes as f64 / 1e6).round();
    logging.database.then(|| Reading {
        name: "log_database".into(),
        value: (100.0 * megabytes / limit).round(),
        bounds: Bounds { warning: Some(DATABASE_PCT), critical: None, margin: 5.0 },
        hold: LASTING,
        settle: LASTING,
        headline: format!("The log records take {megabytes} of {limit} MB"),
        advice: "The oldest are not deleted in time. See what is logged so much, and the log of \
                 pivot-bot. New records are left out from 94 % on; trading goes on."
            .into(),
        over: format!("The log records take {megabytes} of {limit} MB again"),
        process: None,
    })
}

/// Deletes finished log files and old records to make room. May block.
pub(super) fn make_room(config: &Config, clock: &Clock) {
    let folder = Path::new(&config.data.log_dir);
    match telemetry::delete_old(folder, ist_date(clock.now()), KEPT_DAYS, false) {
        Ok(deleted) => tracing::warn!(files = deleted.len(), "old logs deleted to make room"),
        Err(error) => tracing::error!(%error, "old logs could not be deleted to make room"),
    }
    match rows::make_room(&Path::new(&config.data.dir).join(rows::FILE_NAME)) {
        Ok(pruned) if pruned.rows() == 0 => {}
        Ok(pruned) => {
            tracing::warn!(records = pruned.rows(), "old log records deleted to make room");
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "old log records could not be deleted to make room");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_are_not_deleted_in_time_are_a_warning() {
        let mut config = Config::default();
        let at = |megabytes: u64, config: &Config| {
            let machine =
                Machine { log_database_bytes: megabytes * 1_000_000, ..Machine::default() };
            database(&machine, config).map(|reading| (reading.value, reading.bounds.warning))
        };
        assert_eq!(at(850, &config), Some((85.0, Some(90.0))));
        assert_eq!(at(940, &config), Some((94.0, Some(90.0))));
        config.logging.database = false;
        assert_eq!(at(940, &config), None);
    }

    #[test]
    fn a_disk_that_is_full_loses_the_older_half_of_the_records() {
        use tracing::Level;

        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        for (name, dir) in [("data", &mut config.data.dir), ("logs", &mut config.data.log_dir)] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            *dir = path.display().to_string();
        }
        let clock = Clock::system();
        let path = Path::new(&config.data.dir).join(rows::FILE_NAME);
        let backend = rows::SqliteBackend::new(&path, &clock);
        let options = rows::Options::new("bot", folder.path().join("x"), &clock);
        let sink = rows::Sink::start(options, backend).unwrap();
        for number in 0..6_000 {
            sink.offer(rows::Row {
                at: clock.now(),
                level: Level::INFO,
                service: "bot".into(),
                component: "api".into(),
                target: "x".into(),
                message: format!("{number} {}", "x".repeat(8_000)),
                data: "{}".into(),
                correlation_id: None,
                event_type: None,
                duration_us: None,
            });
        }
        drop(sink);
        make_room(&config, &clock);
        let left = rows::Reader::open(&path).unwrap().count(rows::Table::System).unwrap();
        assert!((2_000..4_000).contains(&left), "{left}");
    }

    #[test]
    fn every_line_counts_once_whatever_became_of_it() {
        let figures = of(&telemetry::Figures {
            written: [1, 20, 300, 0, 0],
            sampled: [2, 0, 50, 0, 0],
            dropped: [0, 0, 7, 1, 0],
            lost: [4, 3, 0, 0, 0],
            lost_copies: 0,
            not_shown: 0,
            bytes: 1,
            rows_pruned: 6,
            queued: 9,
            folder_bytes: 1,
            failing: Some((1_795_400_000_000_000, "disk full".into())),
            database_failing: Some(1_795_400_001_000_000),
        });
        assert_eq!((figures.errors, figures.warnings), (7, 23));
        assert_eq!((figures.written, figures.sampled, figures.dropped), (321, 52, 15));
        assert_eq!((figures.queued, figures.rows_pruned), (9, 6));
        assert_eq!(figures.failing_since.unwrap().timestamp(), 1_795_400_000);
        assert_eq!(figures.database_failing_since.unwrap().timestamp(), 1_795_400_001);
    }
}
