//! A folder and files that only their owner can read.

use std::fs::{DirBuilder, DirEntry, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const STICKY: u32 = 0o1000;

/// True for folders such as `/tmp`, which must not be made private.
pub(super) fn is_shared(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & STICKY != 0)
}

/// What the name of a data folder is followed by while another one takes its
/// place: a folder of that name beside it is the old one or the new one, and
/// tells that a restore was interrupted.
pub const RESTORING: &str = ".restoring-";

/// Folders that interrupted restores left beside a data folder.
pub fn interrupted_restores(dir: &Path) -> Vec<PathBuf> {
    let (Some(parent), Some(name)) = (dir.parent(), dir.file_name()) else { return Vec::new() };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let begin = [name.as_encoded_bytes(), RESTORING.as_bytes()].concat();
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let is_left =
        |entry: &DirEntry| entry.file_name().as_encoded_bytes().starts_with(begin.as_slice());
    let mut found: Vec<PathBuf> =
        entries.filter(is_left).map(|entry| parent.join(entry.file_name())).collect();
    found.sort();
    found
}

/// Makes the folder, or closes one that others may look into. Where a restore
/// was interrupted between taking the old one away and putting the new one in
/// its place, none is made: it would be empty and know of no position.
pub(super) fn prepare_folder(dir: &Path) -> io::Result<()> {
    if !dir.exists()
        && let Some(left) = interrupted_restores(dir).first()
    {
        return Err(io::Error::other(format!(
            "{} is not there, since a restore was interrupted ({} is left): run pivotctl backup \
             restore again, which first puts back what was there",
            dir.display(),
            left.display()
        )));
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(dir)?;
    tighten(dir, FOLDER_MODE)
}

/// Makes the file before SQLite does, so that it never exists with wider
/// permissions; SQLite gives the WAL and its index those of the file.
pub(super) fn prepare_file(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    options.open(path)?;
    tighten(path, FILE_MODE)
}

fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    let found = std::fs::metadata(path)?.permissions().mode();
    if found & 0o077 == 0 || found & STICKY != 0 {
        return Ok(());
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}
