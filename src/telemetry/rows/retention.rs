//! Old rows go into the archive, and out of it when they are older still.
//!
//! In steps: each copies some hundred rows, commits them to the archive, and
//! only then deletes them from the active file. A step that was cut short is
//! done again and finds what is there already. No step holds the write lock
//! for longer than a service's batch waits.

use std::path::Path;

use chrono::TimeDelta;
use rusqlite::TransactionBehavior;

use super::columns::Statements;
use super::query::{Reader, Table};
use super::schema;
use super::sqlite::Writer;
use super::{Record, RowsError, first_id};
use crate::market::Timestamp;

/// Rows of one step.
const STEP: u32 = 500;

/// Pages given back to the disk in one step.
const PAGES: u64 = 500;

/// Steps after which the disk gets back what they made free, so that a row is
/// not on it twice for long.
const STEPS: u64 = 20;

/// What was cleaned up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retained {
    /// Rows moved from the active file to the archive.
    pub archived: u64,
    /// Rows deleted for good.
    pub deleted: u64,
}

/// Moves rows older than `keep_days` from `active` to `archive`, and deletes
/// from the archive those older than `archive_days`. Blocks; it takes some
/// milliseconds for a thousand rows, with pauses in which others write.
///
/// # Errors
/// When a file cannot be opened, read or written. What was done stays done,
/// and doing it again goes on.
pub fn retain(
    active: &Path,
    archive: &Path,
    now: Timestamp,
    keep_days: u32,
    archive_days: u32,
) -> Result<Retained, RowsError> {
    let before = |days: u32| cutoff(now, days);
    let mut retained = Retained::default();
    if active.exists() {
        let (connection, _) = schema::open(active, true)?;
        let mut from = Writer::new(connection, true);
        let (connection, _) = schema::open(archive, false)?;
        let mut to = Writer::new(connection, false);
        let reader = Reader::open(active)?;
        let mut steps = 0_u64;
        // What is too old for the archive goes first, and not into it.
        let gone = (before(keep_days.max(archive_days)), false);
        for (limit, is_kept) in [gone, (before(keep_days), true)] {
            for table in Table::ALL {
                loop {
                    let records = reader.oldest(table, limit)?;
                    if records.is_empty() {
                        break;
                    }
                    if is_kept {
                        to.store(&records)?;
                    }
                    let rows = from.delete(table, &ids(&records))?;
                    let count =
                        if is_kept { &mut retained.archived } else { &mut retained.deleted };
                    *count += rows;
                    steps += 1;
                    if steps.is_multiple_of(STEPS) {
                        from.give_back(u64::MAX)?;
                    }
                }
            }
        }
        from.give_back(u64::MAX)?;
        from.optimize()?;
    }
    if archive.exists() {
        let (connection, _) = schema::open(archive, false)?;
        let mut archived = Writer::new(connection, false);
        let reader = Reader::open(archive)?;
        for table in Table::ALL {
            loop {
                let records = reader.oldest(table, before(archive_days))?;
                if records.is_empty() {
                    break;
                }
                retained.deleted += archived.delete(table, &ids(&records))?;
            }
        }
        archived.give_back(u64::MAX)?;
        archived.optimize()?;
    }
    Ok(retained)
}

/// The first number of an instant so many days before `now`.
fn cutoff(now: Timestamp, days: u32) -> i64 {
    let oldest = now.checked_sub_signed(TimeDelta::days(i64::from(days)));
    first_id(oldest.unwrap_or(Timestamp::UNIX_EPOCH))
}

fn ids(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.id).collect()
}

impl Reader {
    /// Rows that are more than so many days older than `now`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn older_than(&self, now: Timestamp, days: u32) -> Result<u64, RowsError> {
        let sql = "SELECT (SELECT COUNT(*) FROM system_logs WHERE id < ?1)
            + (SELECT COUNT(*) FROM performance_logs WHERE id < ?1)";
        let read =
            || self.connection.query_row(sql, [cutoff(now, days)], |row| row.get::<_, i64>(0));
        read().map(|rows| u64::try_from(rows).unwrap_or(0)).map_err(RowsError::Read)
    }

    /// The oldest rows below a number.
    fn oldest(&self, table: Table, before: i64) -> Result<Vec<Record>, RowsError> {
        let read = || -> rusqlite::Result<Vec<Record>> {
            let mut statement = self.connection.prepare_cached(&table.statements().oldest)?;
            let ids = statement.query_map((before, STEP), |row| row.get::<_, i64>(0))?;
            let ids: Vec<i64> = ids.collect::<rusqlite::Result<_>>()?;
            let mut records = Vec::with_capacity(ids.len());
            for id in ids {
                let entry = self.entry(table, id)?;
                records.extend(entry.map(|entry| Record { id, row: entry.row }));
            }
            Ok(records)
        };
        read().map_err(RowsError::Read)
    }
}

impl Writer {
    /// Deletes rows, with what the index of texts knows of them, at once.
    pub(super) fn delete(&mut self, table: Table, ids: &[i64]) -> Result<u64, RowsError> {
        let Statements { delete: sql, delete_text, .. } = table.statements();
        let text = delete_text.filter(|_| self.with_text);
        let mut delete = || -> rusqlite::Result<u64> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut deleted = 0;
            for id in ids {
                let rows = transaction.prepare_cached(sql)?.execute([id])?;
                if rows > 0
                    && let Some(text) = text
                {
                    transaction.prepare_cached(text)?.execute([id])?;
                }
                deleted += u64::try_from(rows).unwrap_or(0);
            }
            transaction.commit()?;
            Ok(deleted)
        };
        delete().map_err(RowsError::Write)
    }

    /// Gives free pages back to the disk, some at a time, until `bytes` are
    /// given or none is left.
    pub(super) fn give_back(&self, bytes: u64) -> Result<(), RowsError> {
        let give = || -> rusqlite::Result<()> {
            let number = |sql: &str| self.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
            let page_bytes = u64::try_from(number("PRAGMA page_size")?).unwrap_or(0).max(1);
            let free =
                || number("PRAGMA freelist_count").map(|free| u64::try_from(free).unwrap_or(0));
            let mut left = free()?;
            let mut wanted = bytes.div_ceil(page_bytes).min(left);
            while wanted > 0 {
                let sql = format!("PRAGMA incremental_vacuum({})", wanted.min(PAGES));
                let mut statement = self.connection.prepare(&sql)?;
                let mut rows = statement.query([])?;
                // Each step of the statement frees a page.
                while rows.next()?.is_some() {}
                let now = free()?;
                if now >= left {
                    break;
                }
                wanted = wanted.saturating_sub(left - now);
                left = now;
            }
            Ok(())
        };
        give().map_err(RowsError::Write)
    }

    fn optimize(&self) -> Result<(), RowsError> {
        self.connection.execute_batch("PRAGMA optimize").map_err(RowsError::Write)
    }
}
