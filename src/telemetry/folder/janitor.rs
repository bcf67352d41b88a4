//! Compresses what is finished and deletes what is old. One process does it
//! at a time, on a thread that gives way to everything else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::output::first_date;
use super::{FILE_MODE, Limits, Listed, about, list, names, scan, set_mode};
use crate::clock::Clock;
use crate::market::time::ist_date;

/// Held by the process that tidies up.
const LOCK_NAME: &str = ".janitor.lock";

/// Real time between two looks when nobody asks for one.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// After a look that found something to do, or somebody else at it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Between two words about a folder that cannot be kept in order.
const TROUBLE_EVERY: Duration = Duration::from_secs(3600);

/// How much the thread gives way: as much as there is.
const NICE: i32 = 19;

/// Half-written archives are deleted after this time.
const HALF_AFTER: Duration = Duration::from_secs(600);

/// How hard it compresses: text shrinks tenfold at the first steps already.
const EFFORT: u32 = 3;

/// What a look has done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compressed {
    /// Files compressed.
    pub files: u32,
    /// Their bytes before.
    pub from_bytes: u64,
    /// Their bytes after.
    pub to_bytes: u64,
    /// Finished files that somebody still has open; they come next time.
    pub busy: u32,
    /// True when another process was at it.
    pub elsewhere: bool,
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(in super::super) struct Janitor {
    wake: SyncSender<()>,
    trouble: Arc<Trouble>,
}

/// What keeps the folder from being kept in order. Told at once, and then
/// seldom.
#[derive(Debug, Default)]
struct Trouble {
    inner: Mutex<(Option<String>, Option<Instant>)>,
}

impl Trouble {
    fn note(&self, folder: &Path, error: &io::Error) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.1.is_none_or(|told_at| told_at.elapsed() >= TROUBLE_EVERY) {
            let folder = folder.display();
            let said = format!("the log folder {folder} cannot be kept in order: {error}");
            *inner = (Some(said), Some(Instant::now()));
        }
    }

    fn take(&self) -> Option<String> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

impl Janitor {
    /// Starts the thread. For as long as `leave` after its last line a finished
    /// file is left to other processes to compress.
    ///
    /// # Errors
    /// When the system gives none.
    pub(in super::super) fn start(
        limits: Limits,
        clock: Clock,
        leave: Duration,
    ) -> io::Result<Janitor> {
        let (wake, woken) = sync_channel(1);
        let trouble = Arc::new(Trouble::default());
        let its = Arc::clone(&trouble);
        let work = move || {
            // Works as well without; others only notice it more.
            let _ = rustix::process::nice(NICE);
            let mut pause = LOOK_AGAIN;
            loop {
                match woken.recv_timeout(pause) {
                    Err(RecvTimeoutError::Disconnected) => return,
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                }
                let done = tidy(&limits, ist_date(clock.now()), leave);
                if let Err(error) = &done {
                    its.note(&limits.folder, error);
                }
                let again = done.is_ok_and(|done| done.elsewhere || done.busy > 0);
                pause = if again { LOOK_AGAIN } else { LOOK_EVERY };
            }
        };
        // Not joined: a file in hand when the process ends is left as it is.
        std::thread::Builder::new().name("log-janitor".into()).spawn(work)?;
        Ok(Janitor { wake, trouble })
    }

    /// Asks for a look: something was set aside.
    pub(in super::super) fn wake(&self) {
        // One that waits already does for both.
        let _ = self.wake.try_send(());
    }

    /// Notes what somebody else could not do in the folder.
    pub(in super::super) fn note(&self, folder: &Path, error: &io::Error) {
        self.trouble.note(folder, error);
    }

    /// What is to be told of the folder.
    pub(in super::super) fn take_trouble(&self) -> Option<String> {
        self.trouble.take()
    }
}

/// Compresses, deletes what is too old, and sets aside what is of an earlier
/// day and nobody writes to. What fails keeps nothing else from being done.
fn tidy(limits: &Limits, today: NaiveDate, leave: Duration) -> io::Result<Compressed> {
    // Room first: a full disk keeps archives from being written.
    let deleted = delete_old(&limits.folder, today, limits.days, false);
    let enforced = scan::enforce(limits);
    let compressed = compress_older(limits, today, leave)?;
    deleted?;
    enforced?;
    Ok(compressed)
}

/// The file that says who tidies up.
fn open_lock(folder: &Path) -> io::Result<File> {
    let path = folder.join(LOCK_NAME);
    let open =
        || OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(&path);
    let is_denied = |opened: &io::Result<File>| {
        opened.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    };
    let mut lock = open();
    if is_denied(&lock) {
        // Somebody else's. To hold it, reading is enough.
        lock = File::open(&path);
    }
    if is_denied(&lock) {
        // Nor may it be read, but the folder is ours. Whoever holds it and
        // whoever makes it anew are kept apart by the locks of the files.
        remove(&path)?;
        lock = open();
    }
    let lock = lock.map_err(about(&path))?;
    // Only who made it may.
    let _ = set_mode(&lock, folder);
    Ok(lock)
}

/// Compresses all finished files that nobody has open.
///
/// # Errors
/// When the folder cannot be used.
pub fn compress(limits: &Limits, today: NaiveDate) -> io::Result<Compressed> {
    compress_older(limits, today, Duration::ZERO)
}

fn compress_older(limits: &Limits, today: NaiveDate, age: Duration) -> io::Result<Compressed> {
    let (mut done, mut failed) = (Compressed::default(), Ok(()));
    if !limits.folder.is_dir() {
        return Ok(done);
    }
    let lock = open_lock(&limits.folder)?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            done.elsewhere = true;
            return Ok(done);
        }
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let files = list(&limits.folder)?;
    for file in &files {
        if file.is_set_aside() || file.date.is_some() || !file.is_log() {
            continue;
        }
        if let Err(error) = set_aside_stale(limits, file, today, &files) {
            failed = Err(about(&file.path)(error));
        }
    }
    for file in list(&limits.folder)? {
        let half = file.path.extension().is_some_and(|kind| kind == "tmp");
        if half && file.written.elapsed().is_ok_and(|age| age > HALF_AFTER) {
            failed = failed.and(remove(&file.path));
        }
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let finished = names::parse(name).filter(|it| scan::is_of_earlier_day(it, today));
        let is_fresh = file.written.elapsed().is_ok_and(|since| since < age);
        if file.compressed || finished.is_none() || is_fresh {
            continue;
        }
        match compress_one(&file.path) {
            Ok(Some(bytes)) => {
                done.files += 1;
                done.from_bytes += file.bytes;
                done.to_bytes += bytes;
            }
            Ok(None) => done.busy += 1,
            // Deleted meanwhile, to make room.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The others may go.
            Err(error) => failed = Err(about(&file.path)(error)),
        }
    }
    failed.map(|()| done)
}

/// A log of an earlier day that nobody has open gets its finished name.
fn set_aside_stale(
    limits: &Limits,
    file: &Listed,
    today: NaiveDate,
    files: &[Listed],
) -> io::Result<()> {
    let Ok(mut opened) = File::open(&file.path) else { return Ok(()) };
    let Some(date) = first_date(&mut opened).filter(|date| *date < today) else { return Ok(()) };
    if opened.try_lock().is_err() {
        return Ok(());
    }
    finish(limits, file, date, files).map(drop)
}

/// Gives one of the files its finished name; false when somebody was quicker.
fn finish(limits: &Limits, file: &Listed, date: NaiveDate, files: &[Listed]) -> io::Result<bool> {
    let number = scan::next_number(files, &file.stem, date);
    let to = limits.folder.join(names::finished(&file.stem, date, number));
    match renameat_with(CWD, &file.path, CWD, &to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST | rustix::io::Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sets all logs aside as if they were full; their writers begin new ones.
/// Answers which.
///
/// # Errors
/// When the folder cannot be read or a file cannot be renamed.
pub fn rotate(limits: &Limits, today: NaiveDate) -> io::Result<Vec<Listed>> {
    let files = list(&limits.folder)?;
    let mut done = Vec::new();
    for file in &files {
        if !file.is_log() || file.is_set_aside() || file.bytes == 0 {
            continue;
        }
        let first = File::open(&file.path).ok().and_then(|mut opened| first_date(&mut opened));
        if finish(limits, file, file.date.or(first).unwrap_or(today), &files)? {
            done.push(file.clone());
            let fresh = done.iter().filter(|it| it.stem == file.stem).count();
            scan::keep_newest(limits, &files, &file.stem, fresh)?;
        }
    }
    Ok(done)
}

/// Answers the bytes of the archive; `None` when somebody writes to the file.
fn compress_one(path: &Path) -> io::Result<Option<u64>> {
    let file = File::open(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let archive = path.with_extension("log.gz");
    let half = path.with_extension("log.gz.tmp");
    let written = (|| {
        let into = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(&half)?;
        set_mode(&into, path.parent().unwrap_or(path))?;
        let mut encoder = GzEncoder::new(BufWriter::new(into), Compression::new(EFFORT));
        io::copy(&mut BufReader::with_capacity(1 << 16, &file), &mut encoder)?;
        let into = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        into.sync_all()?;
        let bytes = into.metadata()?.len();
        // Deleted meanwhile to make room: then its archive shall not come back.
        fs::metadata(path)?;
        fs::rename(&half, &archive)?;
        Ok(bytes)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&half);
    } else {
        remove(path)?;
    }
    written.map(Some)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(about(path)(error)),
        _ => Ok(()),
    }
}

/// Deletes finished files of dates more than `keep_days` days before `today`;
/// only says which with `dry_run`.
///
/// # Errors
/// When the folder cannot be read or a file cannot be deleted.
pub fn delete_old(
    folder: &Path,
    today: NaiveDate,
    keep_days: u32,
    dry_run: bool,
) -> io::Result<Vec<Listed>> {
    let mut old = list(folder)?;
    old.retain(|file| {
        file.date.is_some_and(|date| (today - date).num_days() > i64::from(keep_days))
    });
    let mut deleted = Ok(());
    if !dry_run {
        // One that stays keeps no other.
        for file in &old {
            deleted = deleted.and(remove(&file.path));
        }
    }
    deleted.map(|()| old)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_the_work_to_others_takes_up_what_they_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("bot_20261101.1.log");
        fs::write(&log, "a line\n").unwrap();
        let total_bytes = 1_000_000;
        let folder = folder.path().to_owned();
        let limits = Limits { folder, file_bytes: 1_000, files: 3, days: 7, total_bytes };
        let today = NaiveDate::from_ymd_opt(2026, 11, 2).unwrap();
        let patient = || compress_older(&limits, today, Duration::from_secs(60)).unwrap();
        assert_eq!(patient(), Compressed::default());
        let opened = OpenOptions::new().write(true).open(&log).unwrap();
        let written = opened.metadata().unwrap().modified().unwrap();
        opened.set_modified(written - Duration::from_secs(61)).unwrap();
        drop(opened);
        assert_eq!(patient().files, 1);
        assert!(!log.exists());
    }

    #[test]
    fn what_keeps_the_folder_out_of_order_is_told_and_not_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        // Nothing can be locked, and what is old goes nevertheless.
        fs::create_dir(folder.path().join(LOCK_NAME)).unwrap();
        fs::write(folder.path().join("bot_20261101.1.log"), "old\n").unwrap();
        let limits = Limits {
            folder: folder.path().to_owned(),
            file_bytes: 1_000,
            files: 3,
            days: 7,
            total_bytes: 1_000_000,
        };
        let janitor = Janitor::start(limits, Clock::system(), Duration::ZERO).unwrap();
        janitor.wake();
        let until = Instant::now() + Duration::from_secs(30);
        let said = loop {
            if let Some(said) = janitor.take_trouble() {
                break said;
            }
            assert!(Instant::now() < until, "it says nothing");
            std::thread::sleep(Duration::from_millis(2));
        };
        assert!(said.starts_with("the log folder /"), "{said}");
        assert!(said.contains(LOCK_NAME), "{said}");
        assert!(!folder.path().join("bot_20261101.1.log").exists());
        janitor.note(folder.path(), &io::Error::other("again"));
        assert_eq!(janitor.take_trouble(), None);
    }
}
