//! The tables, and opening a file that holds them.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::super::folder::give_to_owner;
use super::{RowsError, Table};

/// The schema that this program knows; the file's `user_version`.
const VERSION: u32 = 1;

/// How long one process waits for another's batch.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the making of the file by another process is waited for.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_EVERY: Duration = Duration::from_millis(20);

const WAL_KEPT_BYTES: i64 = 8 << 20;
const STATEMENTS_KEPT: usize = 32;

/// Service, component, level and kind of event come in few combinations. Each
/// has a number, and one index over it serves every filter by them: the
/// streams of the combinations that fit are merged by time.
const KINDS: &str = "
CREATE TABLE log_kinds (
    kind       INTEGER PRIMARY KEY,
    service    TEXT NOT NULL,
    component  TEXT NOT NULL,
    severity   INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    UNIQUE (service, component, severity, event_type)
) STRICT;
";

/// Which rows hold which three characters. The texts come in small letters
/// already, so that one rule of ours says what is alike.
const TEXT_INDEX: &str = "
CREATE VIRTUAL TABLE system_logs_text USING fts5 (
    text, kind,
    content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1'
);
";

/// Which file this is, whatever its name becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of the file which has this name now.
    pub(super) fn of(path: &Path) -> io::Result<Identity> {
        let found = std::fs::metadata(path)?;
        Ok(Identity { device: found.dev(), inode: found.ino() })
    }
}

/// Opens the file for writing, and makes it when it is not there. The archive
/// has no index of texts.
pub(super) fn open(path: &Path, with_text: bool) -> Result<(Connection, Identity), RowsError> {
    if !is_settled(path) {
        let _guard = lock(path)?;
        create(path, with_text)?;
    }
    let failed = |source| RowsError::Open { path: path.to_owned(), source };
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let configure = || -> rusqlite::Result<u32> {
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
        version(&connection)
    };
    let found = configure().map_err(failed)?;
    known(path, found)?;
    let identity = Identity::of(path)
        .map_err(|source| RowsError::Prepare { path: path.to_owned(), source })?;
    Ok((connection, identity))
}

/// Opens the file for reading.
pub(super) fn open_reader(path: &Path) -> Result<Connection, RowsError> {
    if !path.exists() {
        return Err(RowsError::NotThere { path: path.to_owned() });
    }
    let failed = |source| RowsError::Open { path: path.to_owned(), source };
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(failed)?;
    match version(&connection).map_err(failed)? {
        0 => Err(RowsError::NotThere { path: path.to_owned() }),
        found => known(path, found).map(|()| connection),
    }
}

fn known(path: &Path, found: u32) -> Result<(), RowsError> {
    if found > VERSION {
        return Err(RowsError::Newer { path: path.to_owned(), found, known: VERSION });
    }
    Ok(())
}

/// True when nothing is left to do that two processes must not do at once.
fn is_settled(path: &Path) -> bool {
    let look = || -> rusqlite::Result<bool> {
        let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let journal: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
        Ok(journal == "wal" && version(&connection)? == VERSION)
    };
    // What is wrong with the file is told by whoever opens it in earnest.
    path.exists() && look().unwrap_or(false)
}

fn create(path: &Path, with_text: bool) -> Result<(), RowsError> {
    let failed = |source| RowsError::Open { path: path.to_owned(), source };
    // Made before SQLite does, so that it never has wider permissions. What
    // SQLite puts beside it gets the same owner.
    open_or_make(OpenOptions::new().write(true).mode(0o600), path)
        .map_err(|source| RowsError::Prepare { path: path.to_owned(), source })?;
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    known(path, version(&connection).map_err(failed)?)?;
    let mut make = || -> rusqlite::Result<()> {
        // Takes effect only before there is a table and before the WAL.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if version(&transaction)? == 0 {
            transaction.execute_batch(KINDS)?;
            for table in Table::ALL {
                transaction.execute_batch(&table.sqlite())?;
            }
            if with_text {
                transaction.execute_batch(TEXT_INDEX)?;
            }
            transaction.pragma_update(None, "user_version", VERSION)?;
        }
        transaction.commit()
    };
    make().map_err(failed)
}

fn connect(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    Ok(connection)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// The lock of those who make the file or move it aside.
pub(super) fn lock(path: &Path) -> Result<File, RowsError> {
    let lock_path = beside(path, ".lock");
    let failed = |source| RowsError::Prepare { path: lock_path.clone(), source };
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).mode(0o600);
    let file = open_or_make(options, &lock_path).map_err(failed)?;
    for _ in 0..LOCK_ATTEMPTS {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_EVERY),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
    }
    Err(failed(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the lock")))
}

/// Opens a file, and makes it when it is not there: for the owner of the
/// folder, also when root does. Only what is new is given away; a name that
/// leads elsewhere is not.
pub(super) fn open_or_make(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    match options.clone().create_new(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            options.create(true).truncate(false).open(path)
        }
        made => {
            let file = made?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            give_to_owner(&file, folder.unwrap_or(Path::new(".")))?;
            Ok(file)
        }
    }
}

/// The path with something after its name.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
