//! How much of the disk rows may take, and what they take.
//!
//! The limit covers `logs.db`, its write-ahead log, `logs_archive.db`, damaged
//! ones that were moved aside, and the files of rows that wait for the
//! database. Its shares:
//!
//! | percent | |
//! | --- | --- |
//! | 80 | down to here `care` throws the oldest rows out |
//! | 85 | once this is passed |
//! | 94 | nothing is stored from here on, until there is room: `care` is not there, or too slow |
//! | 94–100 | for the rows that wait meanwhile |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::schema::beside;
use super::{ARCHIVE_NAME, RowsError};

/// See the module.
const PRUNED_TO: u64 = 80;
const PRUNED_FROM: u64 = 85;
const CLOSED_FROM: u64 = 94;

/// Of one service's file of rows that wait.
const SHELF: u64 = 2;

const MEGABYTE: u64 = 1_000_000;

/// The limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    bytes_max: u64,
}

impl Room {
    /// So many megabytes of a million bytes.
    pub fn of_megabytes(megabytes: u32) -> Room {
        Room { bytes_max: u64::from(megabytes) * MEGABYTE }
    }

    fn percent(self, share: u64) -> u64 {
        self.bytes_max / 100 * share
    }

    pub(super) fn pruned_to(self) -> u64 {
        self.percent(PRUNED_TO)
    }

    pub(super) fn pruned_from(self) -> u64 {
        self.percent(PRUNED_FROM)
    }

    /// Largest size of one service's fallback file.
    pub(in crate::telemetry) fn shelf_bytes(self) -> u64 {
        self.percent(SHELF)
    }

    /// Refuses when there is no room for another batch in `path`.
    pub(super) fn check(self, path: &Path, connection: &Connection) -> Result<(), RowsError> {
        let closed = self.percent(CLOSED_FROM);
        let taken = on_disk(path) + on_disk(&archive_of(path)) + damaged_bytes(path);
        // What was free within the file is taken before the file grows.
        if taken < closed || taken - free_bytes(connection)?.min(taken) < closed {
            return Ok(());
        }
        Err(RowsError::Full { path: path.to_owned(), megabytes: self.bytes_max / MEGABYTE })
    }
}

/// The archive that belongs to a database.
pub(super) fn archive_of(active: &Path) -> PathBuf {
    active.with_file_name(ARCHIVE_NAME)
}

/// Bytes of a database and its write-ahead log; 0 when it is not there.
pub(super) fn on_disk(path: &Path) -> u64 {
    let bytes = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    bytes(path) + bytes(&beside(path, "-wal"))
}

/// Bytes within the file that nothing is in.
pub(super) fn free_bytes(connection: &Connection) -> Result<u64, RowsError> {
    let number = |sql: &str| -> Result<u64, RowsError> {
        let value: i64 =
            connection.query_row(sql, [], |row| row.get(0)).map_err(RowsError::Read)?;
        Ok(u64::try_from(value).unwrap_or(0))
    };
    Ok(number("PRAGMA freelist_count")? * number("PRAGMA page_size")?)
}

/// Damaged databases that were moved aside, those of the archive too.
pub(super) fn damaged(active: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = aside(active)?;
    paths.extend(aside(&archive_of(active))?);
    Ok(paths)
}

/// What they take.
pub(super) fn damaged_bytes(active: &Path) -> u64 {
    damaged(active).unwrap_or_default().iter().map(|path| on_disk(path)).sum()
}

/// Those that had this name, oldest first.
pub(super) fn aside(path: &Path) -> io::Result<Vec<PathBuf>> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let start = format!("{}.corrupt-", name.to_string_lossy());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(&start) && name.ends_with('Z') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Deletes a database and what stands beside it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    for part in ["-wal", "-shm"] {
        let part = beside(path, part);
        if part.exists() {
            fs::remove_file(part)?;
        }
    }
    Ok(())
}
