//! Storing rows in the database file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::SecondsFormat;
use rusqlite::{Connection, OptionalExtension as _, ToSql, Transaction, TransactionBehavior};

use super::backend::{Backend, BackendError};
use super::room::{self, Room};
use super::schema::{self, Identity, beside};
use super::{Record, Row, RowsError, Table, severity, text};
use crate::clock::Clock;
use crate::market::Timestamp;

/// Damaged files that are kept.
const ASIDE_KEPT: usize = 2;

/// Numbers that are tried for a row.
const NUMBERS_TRIED: i64 = 1 << 12;

/// The database file of one process. Several processes may store at the same
/// time. A file that is replaced, removed or damaged is noticed at the next
/// batch.
#[derive(Debug)]
pub struct SqliteBackend {
    path: PathBuf,
    clock: Clock,
    room: Option<Room>,
    open: Option<(Writer, Identity)>,
    aside: Option<PathBuf>,
}

impl SqliteBackend {
    /// A backend that opens (and makes) the file when it first stores.
    pub fn new(path: &Path, clock: &Clock) -> SqliteBackend {
        let (path, clock) = (path.to_owned(), clock.clone());
        SqliteBackend { path, clock, room: None, open: None, aside: None }
    }

    /// The same, which stores nothing while there is no room.
    #[must_use]
    pub fn within(self, room: Room) -> SqliteBackend {
        SqliteBackend { room: Some(room), ..self }
    }

    fn attempt(&mut self, records: &[Record]) -> Result<(), RowsError> {
        let is_there = |identity: &Identity| Identity::of(&self.path).ok() == Some(*identity);
        let mut writer = match self.open.take() {
            Some((writer, identity)) if is_there(&identity) => (writer, identity),
            Some(_) | None => {
                let (connection, identity) = schema::open(&self.path, true)?;
                (Writer::new(connection, true), identity)
            }
        };
        let room = self.room.map_or(Ok(()), |room| room.check(&self.path, &writer.0.connection));
        let stored = room.and_then(|()| writer.0.store(records));
        // A file without room is well.
        if matches!(stored, Ok(()) | Err(RowsError::Full { .. })) {
            self.open = Some(writer);
        }
        stored
    }
}

impl Backend for SqliteBackend {
    fn store(&mut self, records: &[Record]) -> Result<(), BackendError> {
        let damaged = Identity::of(&self.path).ok();
        match self.attempt(records) {
            Err(error) if error.is_damage() => {
                // Another process may have replaced it meanwhile.
                if let Some(aside) = move_aside(&self.path, damaged, self.clock.now())? {
                    self.aside = Some(aside);
                }
                Ok(self.attempt(records)?)
            }
            done => Ok(done?),
        }
    }

    fn take_aside(&mut self) -> Option<PathBuf> {
        self.aside.take()
    }
}

/// Gives a damaged file another name; `None` when it is not there any more.
pub(super) fn move_aside(
    path: &Path,
    damaged: Option<Identity>,
    now: Timestamp,
) -> Result<Option<PathBuf>, RowsError> {
    let failed = |source| RowsError::Prepare { path: path.to_owned(), source };
    let _guard = schema::lock(path)?;
    if Identity::of(path).ok() != damaged || damaged.is_none() {
        return Ok(None);
    }
    let aside = beside(path, &format!(".corrupt-{}", now.format("%Y%m%dT%H%M%S%6fZ")));
    std::fs::rename(path, &aside).map_err(failed)?;
    for part in ["-wal", "-shm"] {
        let from = beside(path, part);
        // A new file must not find the log of the old one.
        if from.exists() {
            std::fs::rename(&from, beside(&aside, part)).map_err(failed)?;
        }
    }
    forget_oldest(path).map_err(failed)?;
    Ok(Some(aside))
}

fn forget_oldest(path: &Path) -> std::io::Result<()> {
    let aside = room::aside(path)?;
    aside.iter().rev().skip(ASIDE_KEPT).try_for_each(|path| room::remove(path))
}

fn table_of(row: &Row) -> Table {
    if row.duration_us.is_some() { Table::Performance } else { Table::System }
}

fn place(table: Table) -> usize {
    usize::from(table == Table::Performance)
}

/// Kinds by what they stand for: service, component, severity, event.
type Kinds = BTreeMap<(String, String, u8, String), i64>;

/// A connection that stores rows.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) connection: Connection,
    pub(super) with_text: bool,
    kinds: Kinds,
}

impl Writer {
    pub(super) fn new(connection: Connection, with_text: bool) -> Writer {
        Writer { connection, with_text, kinds: Kinds::new() }
    }

    /// Stores all of them or none. A row that is there already is left alone.
    pub(super) fn store(&mut self, records: &[Record]) -> Result<(), RowsError> {
        let with_text = self.with_text;
        let mut kinds = std::mem::take(&mut self.kinds);
        let mut write = || -> rusqlite::Result<()> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let mut batch = Batch::begin(&transaction, &mut kinds, with_text)?;
            for record in records {
                batch.put(record)?;
            }
            transaction.commit()
        };
        // Kinds that a failed transaction made do not exist.
        write().map_err(RowsError::Write)?;
        self.kinds = kinds;
        Ok(())
    }
}

struct Batch<'a> {
    transaction: &'a Transaction<'a>,
    kinds: &'a mut Kinds,
    with_text: bool,
    /// The last arrival in each table.
    last: [i64; Table::ALL.len()],
}

impl<'a> Batch<'a> {
    fn begin(
        transaction: &'a Transaction<'a>,
        kinds: &'a mut Kinds,
        with_text: bool,
    ) -> rusqlite::Result<Batch<'a>> {
        let mut last = [0; Table::ALL.len()];
        for table in Table::ALL {
            let mut statement = transaction.prepare_cached(&table.statements().last_arrival)?;
            last[place(table)] = statement.query_row([], |row| row.get(0))?;
        }
        Ok(Batch { transaction, kinds, with_text, last })
    }

    fn put(&mut self, record: &Record) -> rusqlite::Result<()> {
        let kind = self.kind(&record.row)?;
        let mut id = record.id;
        for attempt in 1..=NUMBERS_TRIED {
            if self.insert(id, &record.row, kind)? {
                return Ok(());
            }
            if self.is_there(id, &record.row)? {
                return Ok(());
            }
            // Another process had a row in the same microsecond. Steps grow,
            // since it had many while a clock stood still.
            id = id.saturating_add(attempt);
        }
        Ok(())
    }

    fn insert(&mut self, id: i64, row: &Row, kind: i64) -> rusqlite::Result<bool> {
        let table = table_of(row);
        let at = row.at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let (service, component, target) = (&*row.service, &*row.component, &*row.target);
        let duration_us = row.duration_us.map(|us| i64::try_from(us).unwrap_or(i64::MAX));
        let arrival = self.last[place(table)] + 1;
        let level = row.level.as_str();
        let values: [&dyn ToSql; 13] = [
            &id,
            &arrival,
            &kind,
            &at,
            &service,
            &component,
            &level,
            &target,
            &row.message,
            &row.data,
            &row.correlation_id,
            &row.event_type,
            &duration_us,
        ];
        // Number, arrival and kind, then as many as the table has columns.
        let values = &values[..3 + table.columns().len()];
        let mut statement = self.transaction.prepare_cached(&table.statements().insert)?;
        if statement.execute(values)? == 0 {
            return Ok(false);
        }
        self.last[place(table)] = arrival;
        if table == Table::System && self.with_text {
            let sql = "INSERT INTO system_logs_text (rowid, text, kind) VALUES (?1, ?2, ?3)";
            let indexed = (id, text::of(row), text::of_kind(kind));
            self.transaction.prepare_cached(sql)?.execute(indexed)?;
        }
        Ok(true)
    }

    fn is_there(&self, id: i64, row: &Row) -> rusqlite::Result<bool> {
        let wanted = (id, &*row.service, &row.message, &row.data, &*row.target);
        let mut statement = self.transaction.prepare_cached(&table_of(row).statements().is_same)?;
        Ok(statement.query_row(wanted, |found| found.get(0)).optional()?.unwrap_or(false))
    }

    fn kind(&mut self, row: &Row) -> rusqlite::Result<i64> {
        let severity = severity(row.level);
        let event = row.event_type.clone().unwrap_or_default();
        let key = (row.service.to_string(), row.component.to_string(), severity, event);
        if let Some(kind) = self.kinds.get(&key) {
            return Ok(*kind);
        }
        let (service, component, severity, event) = &key;
        let columns = (service, component, severity, event);
        let sql = "INSERT INTO log_kinds (service, component, severity, event_type)
            VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        self.transaction.prepare_cached(sql)?.execute(columns)?;
        let sql = "SELECT kind FROM log_kinds
            WHERE service = ?1 AND component = ?2 AND severity = ?3 AND event_type = ?4";
        let kind =
            self.transaction.prepare_cached(sql)?.query_row(columns, |found| found.get(0))?;
        self.kinds.insert(key, kind);
        Ok(kind)
    }
}
