//! Puts the data of an archive into a folder, in one step: the folder is
//! whole before it takes its name.

use std::io;
use std::path::{Path, PathBuf};

use super::manifest::Manifest;
use super::verify::{Report, verify};
use super::{BackupError, Watch, archive, failed, swap};
use crate::engine::Mode;
use crate::market::Timestamp;
use crate::store::lock::ServiceLock;
use crate::store::{FILE_NAME, interrupted_restores, whole};
use crate::upkeep::files::{self, Scratch};
use crate::upkeep::ledger;

/// Locks of everybody who works on a data folder.
const LOCKS: [&str; 5] = ["trading", "auth", "bot", "flatten", ledger::LOCK];

/// Files that are records of trading, with what SQLite puts beside them.
/// Everything else in a data folder tells of this machine and its people
/// (logs, `HALT`, what was done when) and is taken along.
const RECORDS: [&str; 2] = [FILE_NAME, archive::PAPER_BOOK];

/// Where to, and what of it.
#[derive(Debug, Clone)]
pub struct Target {
    /// The data folder that is to be.
    pub dir: PathBuf,
    /// Whether it may take the place of one with data.
    pub replace: bool,
    /// Whether the configuration is put into it as well, as `config.json`.
    pub with_config: bool,
    /// Whether logs are put into it as well: files in `logs`, and the databases
    /// of their records.
    pub with_logs: bool,
    /// Whether the exchange is open, which forbids to replace live data.
    pub market_is_open: bool,
    /// Market time.
    pub now: Timestamp,
}

/// What was restored.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Where the folder went that stood there before.
    pub before: Option<PathBuf>,
    /// What the archive holds.
    pub manifest: Manifest,
    /// How it was proved before.
    pub report: Report,
}

/// Verifies an archive and puts its data into a folder. Whoever is killed on
/// the way leaves either the old folder or the new one in place; what else is
/// left, the next restore clears up.
///
/// # Errors
/// When the archive is not sound, the folder has data and may not be
/// replaced, a service works on it, or live data would be replaced while the
/// market is open. Nothing is changed then.
pub fn restore(
    archive: &Path,
    target: &Target,
    watch: &mut Watch<'_>,
) -> Result<Restored, BackupError> {
    // A link to the folder stays one.
    let dir = target.dir.canonicalize().unwrap_or_else(|_| target.dir.clone());
    let mut locks = Vec::new();
    if !interrupted_restores(&dir).is_empty() {
        take_locks(&dir, &mut locks)?;
        swap::repair(&dir).map_err(failed("clear up an interrupted restore of", &dir))?;
    }
    let occupied = !is_empty(&dir).map_err(failed("read", &dir))?;
    if occupied && !target.replace {
        return Err(BackupError::Occupied { path: dir });
    }
    let mode = super::shelf::manifest(archive)?.mode;
    if occupied && target.market_is_open && Mode::parse(&mode) == Some(Mode::Live) {
        return Err(BackupError::MarketOpen);
    }
    let there = whole::contents(&dir.join(FILE_NAME)).ok().and_then(|found| found.mode);
    if let Some(found) = there.map(Mode::as_str).filter(|found| *found != mode) {
        return Err(BackupError::OtherMode { path: dir, found: found.into(), archived: mode });
    }
    if occupied && locks.is_empty() {
        take_locks(&dir, &mut locks)?;
    }
    let report = verify(archive, watch)?;
    if let Some(damage) = report.first_failure() {
        return Err(BackupError::Damaged { path: archive.to_owned(), damage });
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new(".")).to_owned();
    files::create_folder(&parent).map_err(failed("make", &parent))?;
    files::remove_unfinished(&parent).map_err(failed("clear", &parent))?;
    let scratch = Scratch::new(&parent).map_err(failed("use", &parent))?;
    let fresh = scratch.path().join("data");
    files::create_folder(&fresh).map_err(failed("make", &fresh))?;
    let wanted = |name: &str| match name {
        archive::CONFIG => target.with_config,
        name if name.starts_with(archive::LOGS) => target.with_logs,
        name if archive::LOG_DATABASES.contains(&name) => target.with_logs,
        _ => true,
    };
    let manifest = archive::extract(archive, &fresh, wanted, watch).map_err(|damage| {
        BackupError::Damaged { path: archive.to_owned(), damage: damage.to_string() }
    })?;
    if occupied {
        carry_over(&dir, &fresh).map_err(failed("copy what stays of", &dir))?;
    }
    sync_all(&fresh).map_err(failed("write", &fresh))?;
    let put = if occupied {
        swap::swap(&fresh, &dir, target.now, swap::exchange).map(Some)
    } else {
        std::fs::rename(&fresh, &dir).map(|()| None)
    };
    let before = put
        .and_then(|before| files::sync_folder(&parent).map(|()| before))
        .map_err(failed("put the data into", &dir))?;
    drop(locks);
    Ok(Restored { before, manifest, report })
}

/// The locks of a folder that is there; nobody works on one that is not.
fn take_locks(dir: &Path, locks: &mut Vec<ServiceLock>) -> Result<(), BackupError> {
    if dir.exists() {
        for name in LOCKS {
            locks.push(ServiceLock::acquire(dir, name, std::process::id())?);
        }
    }
    Ok(())
}

fn is_empty(dir: &Path) -> io::Result<bool> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Takes along what is no record of trading and not in the archive.
fn carry_over(old: &Path, fresh: &Path) -> io::Result<()> {
    carry_files(old, fresh, |name| {
        let is_record = RECORDS.iter().any(|record| name.starts_with(record));
        // Of a database that the archive has, nothing may stand beside it.
        let beside = ["-wal", "-shm", "-journal"].iter().find_map(|end| name.strip_suffix(end));
        let is_left = beside.is_some_and(|database| fresh.join(database).exists());
        let is_mark = name == swap::MARK;
        !is_record && !is_left && !is_mark && !name.ends_with(".lock") && !name.ends_with("-shm")
    })?;
    let pictures = old.join(archive::PICTURES);
    if pictures.is_dir() {
        files::create_folder(&fresh.join(archive::PICTURES))?;
        carry_files(&pictures, &fresh.join(archive::PICTURES), |_| true)?;
    }
    Ok(())
}

/// Copies the plain files of a folder that are wanted and not there yet.
fn carry_files(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        let is_wanted = wanted(&entry.file_name().to_string_lossy());
        if is_wanted && entry.file_type()?.is_file() && !to.exists() {
            found.push((entry.path(), to));
        }
    }
    found.iter().try_for_each(|(from, to)| copy_plain(from, to))
}

fn copy_plain(from: &Path, to: &Path) -> io::Result<()> {
    let mut target = files::create(to)?;
    io::copy(&mut std::fs::File::open(from)?, &mut target)?;
    target.sync_all()
}

fn sync_all(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_all(&entry.path())?;
        }
    }
    files::sync_folder(folder)
}
