//! Compresses what is finished and deletes what is old. One process does it
//! at a time, on a thread that gives way to everything else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use chrono::NaiveDate;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::output::first_date;
use super::{FILE_MODE, Limits, Listed, list, names, scan, set_mode};
use crate::clock::Clock;
use crate::market::time::ist_date;

/// Held by the process that tidies up.
const LOCK_NAME: &str = ".janitor.lock";

/// Real time between two looks when nobody asks for one.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// After a look that found something to do, or somebody else at it.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
}

impl Janitor {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none.
    pub(in super::super) fn start(limits: Limits, clock: Clock) -> io::Result<Janitor> {
        let (wake, woken) = sync_channel(1);
        let work = move || {
            // Works as well without; others only notice it more.
            let _ = rustix::process::nice(NICE);
            let mut pause = LOOK_AGAIN;
            loop {
                match woken.recv_timeout(pause) {
                    Err(RecvTimeoutError::Disconnected) => return,
                    Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                }
                let done = tidy(&limits, ist_date(clock.now()));
                let again = done.is_ok_and(|done| done.elsewhere || done.busy > 0);
                pause = if again { LOOK_AGAIN } else { LOOK_EVERY };
            }
        };
        // Not joined: a file in hand when the process ends is left as it is.
        std::thread::Builder::new().name("log-janitor".into()).spawn(work)?;
        Ok(Janitor { wake })
    }

    /// Asks for a look: something was set aside.
    pub(in super::super) fn wake(&self) {
        // One that waits already does for both.
        let _ = self.wake.try_send(());
    }
}

/// Compresses, deletes what is too old, and sets aside what is of an earlier
/// day and nobody writes to.
fn tidy(limits: &Limits, today: NaiveDate) -> io::Result<Compressed> {
    // Room first: a full disk keeps archives from being written.
    delete_old(&limits.folder, today, limits.days, false)?;
    scan::enforce(limits)?;
    compress(limits, today)
}

/// Compresses all finished files that nobody has open.
///
/// # Errors
/// When the folder cannot be used.
pub fn compress(limits: &Limits, today: NaiveDate) -> io::Result<Compressed> {
    let (mut done, mut failed) = (Compressed::default(), Ok(()));
    if !limits.folder.is_dir() {
        return Ok(done);
    }
    let lock = limits.folder.join(LOCK_NAME);
    let lock =
        OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(lock)?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            done.elsewhere = true;
            return Ok(done);
        }
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    for file in list(&limits.folder)? {
        if file.is_set_aside() || file.date.is_some() || !file.is_log() {
            continue;
        }
        set_aside_stale(limits, &file, today)?;
    }
    for file in list(&limits.folder)? {
        let half = file.path.extension().is_some_and(|kind| kind == "tmp");
        if half && file.written.elapsed().is_ok_and(|age| age > HALF_AFTER) {
            remove(&file.path)?;
        }
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let finished = names::parse(name).filter(|it| scan::is_of_earlier_day(it, today));
        if file.compressed || finished.is_none() {
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
            Err(error) => failed = Err(error),
        }
    }
    failed.map(|()| done)
}

/// A log of an earlier day that nobody has open gets its finished name.
fn set_aside_stale(limits: &Limits, file: &Listed, today: NaiveDate) -> io::Result<()> {
    let Ok(mut opened) = File::open(&file.path) else { return Ok(()) };
    let Some(date) = first_date(&mut opened).filter(|date| *date < today) else { return Ok(()) };
    if opened.try_lock().is_err() {
        return Ok(());
    }
    finish(limits, file, date).map(drop)
}

/// Gives a file its finished name; false when somebody was quicker.
fn finish(limits: &Limits, file: &Listed, date: NaiveDate) -> io::Result<bool> {
    let number = scan::next_number(&limits.folder, &file.stem, date);
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
    let mut files = list(&limits.folder)?;
    files.retain(|file| file.is_log() && !file.is_set_aside() && file.bytes > 0);
    let mut done = Vec::new();
    for file in files {
        let first = File::open(&file.path).ok().and_then(|mut opened| first_date(&mut opened));
        if finish(limits, &file, file.date.or(first).unwrap_or(today))? {
            scan::keep_newest(limits, &file.stem)?;
            done.push(file);
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
        set_mode(&into)?;
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
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
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
    if !dry_run {
        for file in &old {
            remove(&file.path)?;
        }
    }
    Ok(old)
}
