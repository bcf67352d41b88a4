//! What the room asks of the logs: their figures, and room on the disk.

use std::path::Path;

use super::judge::LogFigures;
use crate::clock::Clock;
use crate::config::Config;
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::telemetry;

/// Days of logs that are left when a disk is nearly full.
const KEPT_DAYS: u32 = 1;

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
        errors: level(ERROR),
        warnings: level(WARN),
        failing_since: since.and_then(|(us, _)| Timestamp::from_timestamp_micros(*us)),
        database_failing_since: figures.database_failing.and_then(Timestamp::from_timestamp_micros),
    }
}

/// Deletes finished log files to make room. May block.
pub(super) fn make_room(config: &Config, clock: &Clock) {
    let folder = Path::new(&config.data.log_dir);
    match telemetry::delete_old(folder, ist_date(clock.now()), KEPT_DAYS, false) {
        Ok(deleted) => tracing::warn!(files = deleted.len(), "old logs deleted to make room"),
        Err(error) => tracing::error!(%error, "old logs could not be deleted to make room"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            queued: 9,
            folder_bytes: 1,
            failing: Some((1_795_400_000_000_000, "disk full".into())),
            database_failing: Some(1_795_400_001_000_000),
        });
        assert_eq!((figures.errors, figures.warnings), (7, 23));
        assert_eq!((figures.written, figures.sampled, figures.dropped), (321, 52, 15));
        assert_eq!(figures.queued, 9);
        assert_eq!(figures.failing_since.unwrap().timestamp(), 1_795_400_000);
        assert_eq!(figures.database_failing_since.unwrap().timestamp(), 1_795_400_001);
    }
}
