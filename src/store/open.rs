//! Opening the file: settings of the connection, schema and mode.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::private::{is_shared, prepare_file, prepare_folder};
use super::{Role, Store, StoreError, data_version, lock, migrate};
use crate::engine::Mode;

/// The database's name in the data folder.
pub const FILE_NAME: &str = "trading.db";

/// The first SQLite without the fault that lets a write and another process's
/// checkpoint lose pages of a shared WAL.
pub const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// How long a writer waits for another. Commits take milliseconds; a wait
/// this long means that something is stuck.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A commit takes milliseconds; a lock held for longer is stuck.
pub(super) const COMMIT_MAX: Duration = Duration::from_secs(1);

/// Statements that each connection keeps prepared.
const STATEMENTS_KEPT: usize = 64;

const LOCK_NAME: &str = "migrate.lock";

pub(super) fn open(dir: &Path, role: Role, mode: Option<Mode>) -> Result<Store, StoreError> {
    let found = rusqlite::version_number();
    if found < SQLITE_VERSION_MIN {
        return Err(StoreError::SqliteTooOld { found });
    }
    let path = dir.join(FILE_NAME);
    if !role.is_service() {
        return open_existing(path, role, mode);
    }
    let mode = mode.ok_or(StoreError::ModeMissing { role: role.as_str() })?;
    let failed = |source| StoreError::PrepareFolder { path: dir.to_owned(), source };
    if is_shared(dir) {
        return Err(StoreError::SharedFolder { path: dir.to_owned() });
    }
    prepare_folder(dir).map_err(failed)?;
    prepare_file(&path).map_err(failed)?;

    if is_settled(&path) {
        // Nothing is left to do that two must not do at once, so nobody who
        // hangs with the lock keeps this service out.
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::migrate(&mut connection, &path)?;
        let mode = claim_mode(&connection, &path, mode)?;
        return finish(connection, path, role, mode);
    }
    // Switching a fresh file to WAL fails for one of two processes that do it
    // at once, whatever the busy timeout, so all of the opening is under a
    // lock.
    let guard = lock::open_lock_file(&dir.join(LOCK_NAME)).map_err(failed)?;
    lock::wait_for_opening(&guard, false).map_err(failed)?;
    let opened = (|| {
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migrate::migrate(&mut connection, &path)?;
        let mode = claim_mode(&connection, &path, mode)?;
        finish(connection, path, role, mode)
    })();
    drop(guard);
    opened
}

fn open_existing(path: PathBuf, role: Role, mode: Option<Mode>) -> Result<Store, StoreError> {
    if !path.exists() {
        return Err(StoreError::NotThere { path });
    }
    let flags = match role {
        Role::Reader => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Role::Trading | Role::Auth | Role::Bot | Role::Ctl => OpenFlags::SQLITE_OPEN_READ_WRITE,
    };
    let _guard = match is_settled(&path) {
        true => None,
        false => wait_for_migration(&path)
            .map_err(|source| StoreError::PrepareFolder { path: path.clone(), source })?,
    };
    let connection = connect(&path, flags)?;
    migrate::check(&connection, &path)?;
    let found = stored_mode(&connection, &path)?;
    let found = match (found.as_deref().and_then(Mode::parse), mode) {
        (Some(found), Some(asked)) if found != asked => {
            let (found, asked) = (found.as_str().to_owned(), asked.as_str());
            return Err(StoreError::OtherMode { path, found, asked });
        }
        (Some(found), _) => found,
        (None, _) => return Err(StoreError::NotThere { path }),
    };
    finish(connection, path, role, found)
}

/// True when the file has its journal mode, its schema and its mode already.
fn is_settled(path: &Path) -> bool {
    let look = || -> rusqlite::Result<bool> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let pragma = |name: &str| format!("PRAGMA {name}");
        let journal: String =
            connection.query_row(&pragma("journal_mode"), [], |row| row.get(0))?;
        let version: u32 = connection.query_row(&pragma("user_version"), [], |row| row.get(0))?;
        if journal != "wal" || version != migrate::SCHEMA_VERSION {
            return Ok(false);
        }
        let sql = "SELECT COUNT(*) FROM meta WHERE key = 'mode'";
        Ok(connection.query_row(sql, [], |row| row.get::<_, u32>(0))? == 1)
    };
    // What is wrong with the file is told by whoever opens it in earnest.
    look().unwrap_or(false)
}

/// True when somebody has held the write lock of `<dir>/trading.db` for
/// longer than a commit takes.
///
/// # Errors
/// When the file cannot be opened or read.
pub fn is_write_locked(dir: &Path) -> Result<bool, StoreError> {
    let path = dir.join(FILE_NAME);
    let attempt = || -> rusqlite::Result<()> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.busy_timeout(COMMIT_MAX)?;
        connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")
    };
    match attempt() {
        Ok(()) => Ok(false),
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => {
            Ok(true)
        }
        Err(source) => Err(StoreError::Open { path, source }),
    }
}

/// Waits until nobody migrates. A folder without a lock that this process may
/// open has no migration going on.
fn wait_for_migration(path: &Path) -> io::Result<Option<File>> {
    let Ok(file) = File::open(path.with_file_name(LOCK_NAME)) else { return Ok(None) };
    lock::wait_for_opening(&file, true)?;
    Ok(Some(file))
}

pub(super) fn finish(
    connection: Connection,
    path: PathBuf,
    role: Role,
    mode: Mode,
) -> Result<Store, StoreError> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    let data_version = data_version(&connection)
        .map_err(|source| StoreError::Open { path: path.clone(), source })?;
    Ok(Store { connection, path, role, mode, data_version })
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection, StoreError> {
    let mut journal_mode = "wal".to_owned();
    let mut configure = || -> rusqlite::Result<Connection> {
        let connection =
            Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        if access.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            journal_mode =
                connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
        }
        connection.pragma_update(None, "mmap_size", 0)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        Ok(connection)
    };
    let connection =
        configure().map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    if journal_mode != "wal" {
        return Err(StoreError::NoWal { path: path.to_owned(), journal_mode });
    }
    Ok(connection)
}

fn stored_mode(connection: &Connection, path: &Path) -> Result<Option<String>, StoreError> {
    connection
        .query_row("SELECT value FROM meta WHERE key = 'mode'", [], |row| row.get(0))
        .optional()
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })
}

pub(super) fn claim_mode(
    connection: &Connection,
    path: &Path,
    asked: Mode,
) -> Result<Mode, StoreError> {
    connection
        .execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('mode', ?1)", [asked.as_str()])
        .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
    let found = stored_mode(connection, path)?.unwrap_or_default();
    if found == asked.as_str() {
        return Ok(asked);
    }
    Err(StoreError::OtherMode { path: path.to_owned(), found, asked: asked.as_str() })
}
