//! How many rows of what.

use chrono::{DateTime, NaiveDate};
use rusqlite::Connection;
use tracing::Level;

use super::query::{Reader, Table};
use super::{LEVELS, NUMBER_BITS, RowsError, first_id, severity};
use crate::market::Timestamp;
use crate::market::time::ist_date;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;
/// India's clocks are ahead of UTC by this much.
const IST_US: i64 = 19_800_000_000;

/// Rows of one level of one service in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinuteCount {
    /// The minute's start.
    pub minute: Timestamp,
    /// The service.
    pub service: String,
    /// The level.
    pub level: Level,
    /// How many.
    pub rows: u64,
}

/// Rows of one level of one service on one IST day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayCount {
    /// The day.
    pub day: NaiveDate,
    /// The service.
    pub service: String,
    /// The level.
    pub level: Level,
    /// How many.
    pub rows: u64,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Rows of `system_logs`.
    pub system: u64,
    /// Rows of `performance_logs`.
    pub performance: u64,
    /// The oldest and the newest row of `system_logs`.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Rows of `system_logs` by day, service and level, in this order.
    pub days: Vec<DayCount>,
    /// Size of the file without its log, in bytes.
    pub bytes: u64,
}

impl Reader {
    /// Rows from `at_least` up since an instant, by minute, service and level.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn minute_counts(
        &self,
        since: Timestamp,
        at_least: Level,
    ) -> Result<Vec<MinuteCount>, RowsError> {
        let read = || -> rusqlite::Result<Vec<MinuteCount>> {
            let counts = grouped(&self.connection, at_least, first_id(since), 0, MINUTE_US)?;
            let minute = |count: Grouped| {
                let minute = DateTime::from_timestamp_micros(count.start_us)?;
                let Grouped { service, level, rows, .. } = count;
                Some(MinuteCount { minute, service, level, rows })
            };
            Ok(counts.into_iter().filter_map(minute).collect())
        };
        read().map_err(RowsError::Read)
    }

    /// What the file holds.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stats(&self) -> Result<Stats, RowsError> {
        let read = || -> rusqlite::Result<Stats> {
            let number = |sql: &str| -> rusqlite::Result<u64> {
                let value: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
                Ok(u64::try_from(value).unwrap_or(0))
            };
            let end = |sql: &str| -> rusqlite::Result<Option<Timestamp>> {
                let id: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0))?;
                Ok(id.and_then(|id| DateTime::from_timestamp_micros(id >> NUMBER_BITS)))
            };
            let oldest = end("SELECT MIN(id) FROM system_logs")?;
            let newest = end("SELECT MAX(id) FROM system_logs")?;
            let counts = grouped(&self.connection, Level::TRACE, 0, IST_US, DAY_US)?;
            let day = |count: Grouped| {
                let day = ist_date(DateTime::from_timestamp_micros(count.start_us)?);
                let Grouped { service, level, rows, .. } = count;
                Some(DayCount { day, service, level, rows })
            };
            let days: Vec<DayCount> = counts.into_iter().filter_map(day).collect();
            Ok(Stats {
                system: days.iter().map(|count| count.rows).sum(),
                performance: number("SELECT COUNT(*) FROM performance_logs")?,
                span: oldest.zip(newest),
                days,
                bytes: number("PRAGMA page_count")? * number("PRAGMA page_size")?,
            })
        };
        read().map_err(RowsError::Read)
    }

    /// Rows of a table.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn count(&self, table: Table) -> Result<u64, RowsError> {
        let sql = &table.statements().count;
        let read = || self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        read().map(|rows| u64::try_from(rows).unwrap_or(0)).map_err(RowsError::Read)
    }
}

struct Grouped {
    start_us: i64,
    service: String,
    level: Level,
    rows: u64,
}

/// Rows by span of time, service and level. Goes through the index by kind
/// alone.
pub(super) const GROUPED: &str = "
    SELECT ((id >> 10) + ?3) / ?4 AS span, log_kinds.service, severity, COUNT(*)
    FROM log_kinds CROSS JOIN system_logs ON system_logs.kind = log_kinds.kind
    WHERE severity >= ?1 AND system_logs.id >= ?2
    GROUP BY span, log_kinds.service, severity ORDER BY span, log_kinds.service, severity";

fn grouped(
    connection: &Connection,
    at_least: Level,
    low: i64,
    offset_us: i64,
    span_us: i64,
) -> rusqlite::Result<Vec<Grouped>> {
    let mut statement = connection.prepare_cached(GROUPED)?;
    let parameters = (severity(at_least), low, offset_us, span_us);
    let rows = statement.query_map(parameters, |row| {
        let found: u8 = row.get(2)?;
        Ok(Grouped {
            start_us: row.get::<_, i64>(0)? * span_us - offset_us,
            service: row.get(1)?,
            level: LEVELS
                .into_iter()
                .find(|level| severity(*level) == found)
                .unwrap_or(Level::ERROR),
            rows: u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0),
        })
    })?;
    rows.collect()
}
