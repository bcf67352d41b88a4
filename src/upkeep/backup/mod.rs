//! Backups of a data folder: one archive each, that is only shown once it has
//! been proved to restore.
//!
//! An archive is `pivot-YYYYMMDD-HHMMSS-<mode>.tar.gz` (`-full.tar.gz` with
//! logs and pictures), of mode 600, with its SHA-256 in a file of the same
//! name and `.sha256`. It begins with a manifest. The database in it is a copy
//! as of one instant, without the tokens of logins; the configuration in it
//! is whole, secrets included, since restoring a machine needs them.

mod archive;
mod create;
#[cfg(test)]
mod hostile;
mod manifest;
mod restore;
mod shelf;
mod swap;
#[cfg(test)]
mod tests;
mod verify;

use std::io;
use std::path::PathBuf;

pub use archive::Damage;
pub use create::{Made, Order, create};
pub use manifest::{Manifest, Member};
pub use restore::{Restored, Target, restore};
pub use shelf::{Archive, Keep, Soundness, glance, list, prune};
pub use verify::{Outcome, Report, Step, verify};

use crate::store::StoreError;
use crate::store::lock::LockError;

/// Hears how far something is: what is being done, how much of it, of how
/// much.
pub type Watch<'a> = dyn FnMut(&'static str, u64, u64) + 'a;

/// Name of the lock in the folder of the archives.
const LOCK: &str = "backup";

/// Something about a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder cannot be used.
    #[error("could not {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The database cannot be read or copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another backup or restore is at work, or a service runs.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// There is nothing worth keeping yet.
    #[error("{} records no run of pivot-trading: there is nothing to back up yet", path.display())]
    NothingRecorded {
        /// The database.
        path: PathBuf,
    },
    /// The copy lacks what its source has.
    #[error("the copy has {copied} rows of {table}, the database {there}: no backup was made")]
    Incomplete {
        /// The table.
        table: &'static str,
        /// Rows of the copy.
        copied: u64,
        /// Rows of the database.
        there: u64,
    },
    /// The disk has too little room.
    #[error("{} has {} left, {} are needed: make room or set backup.dir", path.display(),
        crate::upkeep::size_text(*room), crate::upkeep::size_text(*needed))]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// Bytes left.
        room: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// The archive is not what it must be.
    #[error("{} is not sound: {damage}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        damage: String,
    },
    /// The archive that was made does not verify.
    #[error("the archive that was made does not verify and was thrown away: {damage}")]
    Unproved {
        /// What is wrong with it.
        damage: String,
    },
    /// What stands where an archive is to be restored.
    #[error("{} is not empty: restore somewhere else with --to, or replace it with --force", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
    },
    /// The folder belongs to another mode than the archive.
    #[error("{} holds {found} data and the archive {archived} data: restore it elsewhere with --to", path.display())]
    OtherMode {
        /// The folder.
        path: PathBuf,
        /// Mode of its data.
        found: String,
        /// Mode of the archive.
        archived: String,
    },
    /// Live mode, and the exchange is open.
    #[error(
        "the market is open: a journal of yesterday knows nothing of today's orders; wait for the close, or insist with --during-market"
    )]
    MarketOpen,
}

impl BackupError {
    /// True when somebody else makes, restores or prunes backups just now.
    pub fn is_busy(&self) -> bool {
        matches!(self, BackupError::Lock(LockError::AlreadyRunning { .. }))
    }
}

/// Names the file that an operation failed on.
fn failed(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.into();
    move |source| BackupError::File { what, path, source }
}
