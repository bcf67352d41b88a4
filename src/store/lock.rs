//! One instance of each service: an OS file lock that the kernel frees when
//! the process dies, so that a stale file never keeps anyone out (M9).

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a lock that is held is tried again before its holder is
/// believed: [`ServiceLock::holder`] holds it for a moment as well.
const ATTEMPTS: u32 = 10;

/// Between two attempts.
const ATTEMPT_EVERY: Duration = Duration::from_millis(20);

/// How long the opening of the database is waited for.
const OPENING_MAX: Duration = Duration::from_secs(10);

/// Held as long as the service runs.
#[derive(Debug)]
pub struct ServiceLock {
    file: File,
    path: PathBuf,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error("{service} already runs on this data folder (pid {pid})")]
    AlreadyRunning {
        /// Which service.
        service: String,
        /// The holder; 0 when it has not written its number yet.
        pid: u32,
    },
    /// The lock file cannot be used.
    #[error("could not lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl ServiceLock {
    /// Takes `<dir>/<service>.lock` and writes `pid` into it.
    ///
    /// # Errors
    /// [`LockError::AlreadyRunning`] when another process holds it.
    pub fn acquire(dir: &Path, service: &str, pid: u32) -> Result<ServiceLock, LockError> {
        super::private::prepare_folder(dir).map_err(|source| {
            let path = dir.join(format!("{service}.lock"));
            LockError::Lock { path, source }
        })?;
        ServiceLock::acquire_in(dir, service, pid)
    }

    /// The same in a folder that is there and stays as it is.
    ///
    /// # Errors
    /// As [`ServiceLock::acquire`].
    pub fn acquire_in(dir: &Path, service: &str, pid: u32) -> Result<ServiceLock, LockError> {
        let path = dir.join(format!("{service}.lock"));
        let failed = |source| LockError::Lock { path: path.clone(), source };
        let mut file = open_lock_file(&path).map_err(failed)?;
        if !try_for(ATTEMPTS, || file.try_lock()).map_err(failed)? {
            let pid = read_pid(&mut file);
            return Err(LockError::AlreadyRunning { service: service.to_owned(), pid });
        }
        write_pid(&mut file, pid).map_err(failed)?;
        Ok(ServiceLock { file, path })
    }

    /// The process that holds `<dir>/<service>.lock`, when one does.
    pub fn holder(dir: &Path, service: &str) -> Option<u32> {
        let path = dir.join(format!("{service}.lock"));
        let mut file = OpenOptions::new().read(true).open(path).ok()?;
        match file.try_lock_shared() {
            Ok(()) | Err(TryLockError::Error(_)) => None,
            Err(TryLockError::WouldBlock) => Some(read_pid(&mut file)),
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for ServiceLock {
    fn drop(&mut self) {
        // The file stays: removing it would let two processes lock two files
        // of the same name.
        let _ = self.file.set_len(0);
    }
}

/// Waits for the lock of those who open the database; an error when somebody
/// holds it for much longer than opening takes.
pub(super) fn wait_for_opening(file: &File, shared: bool) -> std::io::Result<()> {
    let attempts = u32::try_from(OPENING_MAX.as_millis() / ATTEMPT_EVERY.as_millis());
    let take = || if shared { file.try_lock_shared() } else { file.try_lock() };
    match try_for(attempts.unwrap_or(u32::MAX), take)? {
        true => Ok(()),
        false => Err(std::io::Error::new(
            std::io::ErrorKind::TimedOut,
            "another process keeps the database's migrate.lock; is it stopped or hanging?",
        )),
    }
}

/// False when the lock was held at every attempt.
fn try_for(attempts: u32, take: impl Fn() -> Result<(), TryLockError>) -> std::io::Result<bool> {
    for attempt in 0..attempts {
        if attempt > 0 {
            std::thread::sleep(ATTEMPT_EVERY);
        }
        match take() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Ok(false)
}

pub(super) fn open_lock_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn read_pid(file: &mut File) -> u32 {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    read.ok().and_then(|_| text.trim().parse().ok()).unwrap_or(0)
}

fn write_pid(file: &mut File, pid: u32) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{pid}")?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_for_the_holder_keeps_nobody_out() {
        let dir = tempfile::tempdir().unwrap();
        ServiceLock::acquire(dir.path(), "bot", 1).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    ServiceLock::holder(dir.path(), "bot");
                }
            });
            let taken: Vec<bool> =
                (0..200).map(|pid| ServiceLock::acquire(dir.path(), "bot", pid).is_ok()).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(taken.into_iter().all(|taken| taken));
        });
    }

    #[test]
    fn a_second_holder_learns_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = ServiceLock::acquire(dir.path(), "trading", 4711).unwrap();
        let second = ServiceLock::acquire(dir.path(), "trading", 4712).unwrap_err();
        assert!(second.to_string().contains("pid 4711"), "{second}");
        assert_eq!(ServiceLock::holder(dir.path(), "trading"), Some(4711));
        assert!(ServiceLock::acquire(dir.path(), "auth", 4712).is_ok());
        drop(first);
        assert_eq!(ServiceLock::holder(dir.path(), "trading"), None);
        assert!(ServiceLock::acquire(dir.path(), "trading", 4712).is_ok());
    }
}
