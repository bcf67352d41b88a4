//! A folder and files that only their owner can read.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const STICKY: u32 = 0o1000;

/// True for folders such as `/tmp`, which must not be made private.
pub(super) fn is_shared(dir: &Path) -> bool {
    std::fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & STICKY != 0)
}

/// Makes the folder, or closes one that others may look into.
pub(super) fn prepare_folder(dir: &Path) -> io::Result<()> {
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
