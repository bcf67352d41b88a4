//! The folder of the logs: its files, their sizes, and who throws what away.
//!
//! Several processes write here at once. Each line is one append of whole
//! lines, so that none is torn. Who writes holds a shared lock on the file;
//! who compresses a finished one takes it alone, so that no line is lost
//! whose writer has not noticed yet that its file was set aside. Deleting
//! asks nobody: the limit of the folder holds whatever happens.

mod janitor;
mod names;
mod output;
mod scan;
#[cfg(test)]
mod tests;

pub(super) use janitor::Janitor;
pub use janitor::{Compressed, compress, delete_old, rotate};
pub(super) use output::{Flushed, Output};
pub(super) use scan::enforce;
#[cfg(test)]
pub(super) use scan::listings;
pub use scan::{Listed, list};

use std::fs::{DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

/// Permissions of folder and files.
const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// What may lie in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of one file; a full one is set aside.
    pub file_bytes: u64,
    /// Finished files of one name that are kept.
    pub files: usize,
    /// Days for which finished files are kept.
    pub days: u32,
    /// Bytes of the whole folder.
    pub total_bytes: u64,
}

impl Limits {
    /// The total that is kept to: what is written between two looks, and a
    /// file that is being compressed, come on top of it.
    fn target_bytes(&self) -> u64 {
        self.total_bytes - (self.total_bytes / 10).min(self.file_bytes)
    }

    /// Bytes that a process writes between two looks at the total.
    pub(super) fn step_bytes(&self) -> u64 {
        (self.file_bytes / 16).clamp(4 * 1024, 1 << 20)
    }
}

/// Makes the folder, for its owner and readable by its group.
fn prepare(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// The mode that files have whatever the process's mask, and their owner.
fn set_mode(file: &File, folder: &Path) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    give_to_owner(file, folder)
}

/// When an operator made a file as root, it gets the owner that the folder
/// has, so that services can use it.
pub(super) fn give_to_owner(file: &File, folder: &Path) -> io::Result<()> {
    if rustix::process::geteuid().is_root() {
        let owner = std::fs::metadata(folder)?;
        // A disk that knows no owners does without.
        let _ = fchown(file, Some(owner.uid()), Some(owner.gid()));
    }
    Ok(())
}

/// Says of an error which file it is about.
fn about(path: &Path) -> impl Fn(io::Error) -> io::Error + '_ {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
