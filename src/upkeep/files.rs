//! Files and folders that only their owner can read, made whole before they
//! are shown.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sha2::{Digest as _, Sha256};

use crate::service::hex;

/// Bytes read at a time.
const BUFFER_BYTES: usize = 128 * 1024;

/// What the names of unfinished things begin with.
const UNFINISHED: &str = ".pivot-unfinished-";

/// A private folder that is gone when its owner is. Locked as long as its
/// process lives, so that what a killed one left is told apart.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// A fresh folder in `parent`.
    pub(super) fn new(parent: &Path) -> io::Result<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{UNFINISHED}{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {
                    let lock = File::open(&path)?;
                    lock.lock_shared()?;
                    return Ok(Scratch { path, _lock: lock });
                }
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is removed by the next backup in this folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes what killed processes left.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        if !is_ours || !entry.file_type()?.is_dir() {
            continue;
        }
        // Another one may have removed it meanwhile.
        let Ok(left) = File::open(entry.path()) else { continue };
        match left.try_lock() {
            Ok(()) => match std::fs::remove_dir_all(entry.path()) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            },
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(())
}

/// A file that is not there yet, of mode 600.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
}

/// A folder of mode 700, with those above it.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes names in a folder last.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Copies, counts and digests what is read, up to `limit` bytes; `seen` hears
/// of every piece.
pub(super) fn copy_digested(
    mut from: impl Read,
    mut to: impl Write,
    limit: u64,
    mut seen: impl FnMut(u64),
) -> io::Result<(u64, String)> {
    let mut digest = Sha256::new();
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    let mut size = 0_u64;
    loop {
        let left = usize::try_from(limit - size).unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        let read = match from.read(&mut buffer[..left]) {
            Ok(0) => return Ok((size, hex(&digest.finalize()))),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &buffer[..read];
        digest.update(piece);
        to.write_all(piece)?;
        size += read as u64;
        seen(read as u64);
    }
}

/// Size and SHA-256 of a file.
pub(super) fn digest(path: &Path, seen: impl FnMut(u64)) -> io::Result<(u64, String)> {
    copy_digested(File::open(path)?, io::sink(), u64::MAX, seen)
}

/// Bytes that this user may still write on the disk of a folder.
pub(super) fn room(folder: &Path) -> io::Result<u64> {
    let system = rustix::fs::statvfs(folder)?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Bytes for people: `1.5 MB`.
pub fn size_text(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
