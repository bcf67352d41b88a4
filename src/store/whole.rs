//! The database file as a whole: copied while others write, counted, checked,
//! rewritten. Works on files, whatever their schema: a backup of an older
//! program is looked at before it is brought up to date.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior};

use super::StoreError;
use super::columns::Day;
use super::open::BUSY_TIMEOUT;
use crate::engine::Mode;

/// Pages copied at a time: about a megabyte.
const STEP_PAGES: i32 = 256;

/// Pause while the copy has to wait.
const STEP_AGAIN: Duration = Duration::from_millis(20);

/// Faults that are told, at most.
const FAULTS_MAX: usize = 20;

/// How often a rewriting that may only take so long is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Rows of each table, by its name.
pub type RowCounts = BTreeMap<String, u64>;

/// What a database of pivot-trading holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Number of its last migration.
    pub schema: u32,
    /// The mode it belongs to; `None` before the first service opened it.
    pub mode: Option<Mode>,
    /// Rows of each table.
    pub rows: RowCounts,
    /// Last sequence of the journal; 0 when it is empty.
    pub last_seq: u64,
    /// IST dates that the journal has entries of.
    pub days: Vec<NaiveDate>,
    /// Version and build of the program that wrote the journal last.
    pub last_writer: Option<(String, String)>,
}

impl Contents {
    /// Rows of a table; 0 when there is none of that name.
    pub fn rows_of(&self, table: &str) -> u64 {
        self.rows.get(table).copied().unwrap_or(0)
    }
}

/// What came of a rewriting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vacuumed {
    /// Bytes of the file before and after.
    Done {
        /// Before.
        before: u64,
        /// After.
        after: u64,
    },
    /// It would have kept writers waiting for too long; nothing was changed.
    GivenUp,
}

fn open_failed(path: &Path) -> impl FnOnce(rusqlite::Error) -> StoreError + '_ {
    |source| StoreError::Open { path: path.to_owned(), source }
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let connect = || {
        let connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    };
    connect().map_err(open_failed(path))
}

/// Copies a database as it stands at one instant, however much is written
/// meanwhile, into `to`, which must not be there or be empty. Writers never
/// wait for it. `progress` is shown pages done and pages in all.
///
/// # Errors
/// When one cannot be read or the other not be written.
pub fn copy(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), StoreError> {
    let source = connect(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut copied = || -> rusqlite::Result<()> {
        // One read transaction around all steps: a copy without it begins
        // anew after every commit of somebody else, and may never end.
        source.execute_batch("BEGIN; SELECT COUNT(*) FROM sqlite_schema")?;
        let mut target = Connection::open(to)?;
        // Whoever made the file sees to it that it is on disk.
        target.pragma_update(None, "synchronous", "OFF")?;
        let backup = Backup::new(&source, &mut target)?;
        loop {
            let step = backup.step(STEP_PAGES)?;
            let seen = backup.progress();
            let pages = |count: i32| u64::try_from(count).unwrap_or(0);
            let total = pages(seen.pagecount);
            progress(total.saturating_sub(pages(seen.remaining)), total);
            match step {
                StepResult::Done => return Ok(()),
                StepResult::Busy | StepResult::Locked => std::thread::sleep(STEP_AGAIN),
                StepResult::More | _ => {}
            }
        }
    };
    copied().map_err(open_failed(from))
}

/// Makes a copy fit to be kept: without the tokens of logins, whose bytes are
/// overwritten, and in one file that needs no other beside it.
///
/// # Errors
/// When the copy cannot be changed.
pub fn seal(copy: &Path) -> Result<(), StoreError> {
    let connection = connect(copy, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let sealed = || -> rusqlite::Result<()> {
        connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
        connection.pragma_update(None, "secure_delete", true)?;
        let wipes = [
            ("broker_session", "access_token", "ENDED"),
            ("login_tokens", "request_token", "CLEARED"),
        ];
        for (table, column, status) in wipes {
            if has_table(&connection, table)? {
                let sql = format!(
                    "UPDATE {table} SET {column} = NULL, status = '{status}'
                     WHERE {column} IS NOT NULL"
                );
                connection.execute(&sql, [])?;
            }
        }
        Ok(())
    };
    sealed().map_err(open_failed(copy))
}

fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1";
    connection.prepare(sql)?.exists([name])
}

/// Counts the rows of every table.
///
/// # Errors
/// When the file cannot be read.
pub fn row_counts(path: &Path) -> Result<RowCounts, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    count(&connection).map_err(open_failed(path))
}

fn count(connection: &Connection) -> rusqlite::Result<RowCounts> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        ORDER BY name";
    let mut statement = connection.prepare(sql)?;
    let names: rusqlite::Result<Vec<String>> = statement.query_map([], |row| row.get(0))?.collect();
    let mut counts = RowCounts::new();
    for name in names? {
        let sql = format!("SELECT COUNT(*) FROM \"{}\"", name.replace('"', "\"\""));
        let rows: i64 = connection.query_row(&sql, [], |row| row.get(0))?;
        counts.insert(name, u64::try_from(rows).unwrap_or(0));
    }
    Ok(counts)
}

/// Looks at what a database of pivot-trading holds.
///
/// # Errors
/// When the file cannot be read, or is no such database.
pub fn contents(path: &Path) -> Result<Contents, StoreError> {
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut look = || -> rusqlite::Result<Contents> {
        // One transaction, so that all of it is of one instant.
        let now = connection.transaction_with_behavior(TransactionBehavior::Deferred)?;
        let mode: Option<String> = now
            .query_row("SELECT value FROM meta WHERE key = 'mode'", [], |row| row.get(0))
            .optional()?;
        let last_seq: i64 =
            now.query_row("SELECT COALESCE(MAX(seq), 0) FROM journal", [], |row| row.get(0))?;
        let mut days = now.prepare("SELECT DISTINCT day FROM journal ORDER BY day")?;
        let days: rusqlite::Result<Vec<NaiveDate>> =
            days.query_map([], |row| Ok(row.get::<_, Day>(0)?.0))?.collect();
        let sql = "SELECT version, build FROM runs ORDER BY epoch DESC LIMIT 1";
        let last_writer =
            now.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        Ok(Contents {
            schema: now.query_row("PRAGMA user_version", [], |row| row.get(0))?,
            mode: mode.as_deref().and_then(Mode::parse),
            rows: count(&now)?,
            last_seq: u64::try_from(last_seq).unwrap_or(0),
            days: days?,
            last_writer,
        })
    };
    look().map_err(open_failed(path))
}

/// Checks the structure of a file and its foreign keys; empty when sound.
///
/// # Errors
/// When the file cannot be read at all.
pub fn faults(path: &Path) -> Result<Vec<String>, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let look = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
        let lines: rusqlite::Result<Vec<String>> =
            statement.query_map([], |row| row.get(0))?.collect();
        let mut found: Vec<String> = lines?.into_iter().filter(|line| line != "ok").collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let mut statement = connection.prepare("PRAGMA foreign_key_check")?;
        let broken = statement.query_map([], |row| {
            let (table, rowid, parent) =
                (row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, String>(2)?);
            let rowid = rowid.map_or_else(String::new, |rowid| format!(" {rowid}"));
            Ok(format!("row{rowid} of {table} points to nothing in {parent}"))
        })?;
        for line in broken.take(FAULTS_MAX) {
            found.push(line?);
        }
        Ok(found)
    };
    match look() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            Ok(vec![error.to_string()])
        }
        found => found.map_err(open_failed(path)),
    }
}

/// Rewrites a file without its holes. Writers wait meanwhile: with `within`
/// it is given up, and nothing changed, when it takes longer.
///
/// # Errors
/// When the file cannot be written.
pub fn vacuum(path: &Path, within: Option<Duration>) -> Result<Vacuumed, StoreError> {
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let size = || std::fs::metadata(path).map_or(0, |meta| meta.len());
    let before = size();
    let ended = Arc::new(AtomicBool::new(false));
    let watch = within.map(|within| {
        let (interrupt, ended) = (connection.get_interrupt_handle(), Arc::clone(&ended));
        std::thread::spawn(move || {
            let began = Instant::now();
            while !ended.load(Ordering::Acquire) {
                if began.elapsed() >= within {
                    interrupt.interrupt();
                }
                std::thread::sleep(LOOK_EVERY);
            }
        })
    });
    let outcome = connection.execute_batch("VACUUM");
    ended.store(true, Ordering::Release);
    if let Some(watch) = watch {
        // It ends by itself, and nothing depends on how.
        let _ = watch.join();
    }
    match outcome {
        Ok(()) => {
            // The file keeps its length until what was written to its log is
            // moved over. Waiting for readers to let that happen would keep
            // writers waiting as well.
            let how = if within.is_some() { "PASSIVE" } else { "TRUNCATE" };
            let pragma = format!("PRAGMA wal_checkpoint({how})");
            let moved = connection.query_row(&pragma, [], |_| Ok(()));
            if let Err(error) = moved {
                tracing::debug!(%error, "the file shrinks later");
            }
            Ok(Vacuumed::Done { before, after: size() })
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            Ok(Vacuumed::GivenUp)
        }
        Err(source) => Err(StoreError::Open { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{FILE_NAME, Role, Store};

    fn database(dir: &Path, rows: u32) -> Connection {
        drop(Store::open(dir, Role::Trading, Mode::Demo).unwrap());
        let connection = Connection::open(dir.join(FILE_NAME)).unwrap();
        connection
            .execute_batch(&format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
                 INSERT INTO audit (at, source, actor, what, outcome)
                 SELECT '', '', '', hex(randomblob(400)), '' FROM n"
            ))
            .unwrap();
        connection
    }

    #[test]
    fn a_copy_holds_no_token_not_even_in_its_unused_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let connection = database(dir.path(), 10);
        connection
            .execute_batch(
                "INSERT INTO broker_session (day, status, access_token, user_id, user_name,
                     login_time, valid_until) VALUES ('', 'ACTIVE', 'secret-of-today', '', '', '', '');
                 INSERT INTO login_tokens (state, asked_at, request_token, status)
                     VALUES ('s', '', 'secret-of-login', 'RECEIVED')",
            )
            .unwrap();
        let to = dir.path().join("copy.db");
        copy(&dir.path().join(FILE_NAME), &to, |_, _| {}).unwrap();
        let holds = |word: &str| {
            let bytes = std::fs::read(&to).unwrap();
            bytes.windows(word.len()).any(|window| window == word.as_bytes())
        };
        assert!(holds("secret-of-today") && holds("secret-of-login"));
        seal(&to).unwrap();
        assert!(!holds("secret-of-today") && !holds("secret-of-login"));
        assert_eq!(faults(&to).unwrap(), Vec::<String>::new());
        let (copied, original) =
            (contents(&to).unwrap(), contents(&dir.path().join(FILE_NAME)).unwrap());
        assert_eq!(copied, original);
        assert_eq!((copied.rows_of("audit"), copied.mode), (10, Some(Mode::Demo)));
    }

    #[test]
    fn broken_references_and_broken_pages_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let connection = database(dir.path(), 500);
        connection
            .execute_batch(
                "PRAGMA foreign_keys = OFF;
                 INSERT INTO outbox_delivery VALUES (7, '', 0, '', '', 0, NULL)",
            )
            .unwrap();
        let path = dir.path().join(FILE_NAME);
        let found = faults(&path).unwrap();
        assert_eq!(found, ["row 7 of outbox_delivery points to nothing in outbox"]);
        connection.execute_batch("DELETE FROM outbox_delivery; VACUUM").unwrap();
        drop(connection);
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 4096;
        bytes[last..].fill(0x5a);
        std::fs::write(&path, bytes).unwrap();
        assert!(!faults(&path).unwrap().is_empty());
    }

    #[test]
    fn a_rewriting_that_takes_too_long_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let connection = database(dir.path(), 20_000);
        connection.execute_batch("DELETE FROM audit WHERE id % 2 = 0").unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(vacuum(&path, Some(Duration::ZERO)).unwrap(), Vacuumed::GivenUp);
        assert_eq!(row_counts(&path).unwrap()["audit"], 10_000);
        drop(connection);
        let done = vacuum(&path, None).unwrap();
        let Vacuumed::Done { before, after } = done else { panic!("{done:?}") };
        assert!(after < before * 6 / 10, "{before} {after}");
        assert_eq!(row_counts(&path).unwrap()["audit"], 10_000);
        assert_eq!(faults(&path).unwrap(), Vec::<String>::new());
    }
}
