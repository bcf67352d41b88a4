//! The file of rows that wait for the database: JSON lines.
//!
//! Several processes of one service may share it, so it is locked while it is
//! written. What is brought into the database is first given another name;
//! rows have numbers, so bringing them in a second time changes nothing.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Record;
use super::schema::{beside, open_or_make};

/// How long another process's write is waited for.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_EVERY: Duration = Duration::from_millis(10);

/// Part of the size that rows below WARN may fill, in quarters.
const QUARTERS_FOR_ALL: u64 = 3;

#[derive(Debug)]
pub(super) struct Fallback {
    path: PathBuf,
    bytes_max: u64,
}

/// How rows were brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Imported {
    pub(super) rows: u64,
    /// Lines that are no rows: the end of a write that was cut off.
    pub(super) unreadable: u64,
}

impl Fallback {
    pub(super) fn new(path: PathBuf, bytes_max: u64) -> Fallback {
        Fallback { path, bytes_max }
    }

    /// Appends the records. Answers which there was no room for.
    pub(super) fn append<'a>(&self, records: &'a [Record]) -> io::Result<Vec<&'a Record>> {
        let mut file = self.lock()?;
        let before = file.metadata()?.len();
        // What is being brought in is on the disk as well.
        let taken = std::fs::metadata(self.taken()).map_or(0, |found| found.len());
        let mut size = before.saturating_add(taken);
        let (mut lines, mut refused) = (Vec::new(), Vec::new());
        if ends_torn(&file, before)? {
            // Else the next row would be lost with the one that was cut off.
            lines.push(b'\n');
            size += 1;
        }
        for record in records {
            let line = serde_json::to_vec(record)?;
            let is_heavy = record.row.matters();
            let bytes_max =
                if is_heavy { self.bytes_max } else { self.bytes_max / 4 * QUARTERS_FOR_ALL };
            let bytes = u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
            if size.saturating_add(bytes) > bytes_max {
                refused.push(record);
                continue;
            }
            size += bytes;
            lines.extend_from_slice(&line);
            lines.push(b'\n');
        }
        if let Err(error) = file.write_all(&lines) {
            // All of them are lost then, not some: those would count twice.
            let _ = file.set_len(before);
            return Err(error);
        }
        Ok(refused)
    }

    /// True when rows wait in a file.
    pub(super) fn is_waiting(&self) -> bool {
        self.path.exists() || self.taken().exists()
    }

    /// Hands the waiting rows over in order, in batches, and removes them once
    /// all were stored. A file that `store` fails for stays as a whole, and is
    /// not counted in `imported`.
    pub(super) fn import<E>(
        &self,
        batch: usize,
        imported: &mut Imported,
        mut store: impl FnMut(&[Record]) -> Result<(), E>,
    ) -> io::Result<Result<(), E>> {
        loop {
            let Some(file) = self.take()? else { return Ok(Ok(())) };
            let mut of_it = Imported::default();
            let mut records = Vec::new();
            let mut lines = BufReader::new(&file).split(b'\n');
            loop {
                let line = lines.next().transpose()?;
                let is_end = line.is_none();
                match line.map(|line| serde_json::from_slice::<Record>(&line)) {
                    Some(Ok(record)) => records.push(record),
                    Some(Err(_)) => of_it.unreadable += 1,
                    None => {}
                }
                if records.len() >= batch || (is_end && !records.is_empty()) {
                    if let Err(error) = store(&records) {
                        return Ok(Err(error));
                    }
                    of_it.rows += u64::try_from(records.len()).unwrap_or(u64::MAX);
                    records.clear();
                }
                if is_end {
                    break;
                }
            }
            std::fs::remove_file(self.taken())?;
            imported.rows += of_it.rows;
            imported.unreadable += of_it.unreadable;
        }
    }

    /// The file that is being brought in, locked: one that an earlier attempt
    /// left, else the one that waits. `None` when there is neither, or when
    /// another process is at it.
    fn take(&self) -> io::Result<Option<File>> {
        let taken = self.taken();
        if !taken.exists() {
            if !self.path.exists() {
                return Ok(None);
            }
            // Nobody writes to it while it gets its other name.
            let _guard = self.lock()?;
            if !taken.exists() {
                std::fs::rename(&self.path, &taken)?;
            }
        }
        let file = match OpenOptions::new().read(true).write(true).open(&taken) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match file.try_lock() {
            Ok(()) if is_named(&file, &taken) => Ok(Some(file)),
            Ok(()) | Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn taken(&self) -> PathBuf {
        beside(&self.path, ".importing")
    }

    /// The waiting file, made when it is not there, locked for one write.
    fn lock(&self) -> io::Result<File> {
        for _ in 0..LOCK_ATTEMPTS {
            let mut options = OpenOptions::new();
            let options = options.read(true).append(true).mode(0o640);
            let file = open_or_make(options, &self.path)?;
            match file.try_lock() {
                Ok(()) if is_named(&file, &self.path) => return Ok(file),
                // It was renamed between the opening and the lock.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_EVERY),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "another process keeps the fallback file"))
    }
}

/// Whether a file ends within a line: whoever wrote it was killed meanwhile.
fn ends_torn(file: &File, size: u64) -> io::Result<bool> {
    let Some(at) = size.checked_sub(1) else { return Ok(false) };
    let mut last = [0];
    file.read_exact_at(&mut last, at)?;
    Ok(last != *b"\n")
}

fn is_named(file: &File, path: &Path) -> bool {
    let named = std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let opened = file.metadata().map(|found| (found.dev(), found.ino()));
    matches!((named, opened), (Ok(named), Ok(opened)) if named == opened)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::super::Row;
    use super::*;
    use crate::telemetry::rows::tests::{Dice, row};

    #[test]
    fn a_row_that_was_cut_off_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot_fallback.jsonl");
        let fallback = Fallback::new(path.clone(), 1_000_000);
        let records: Vec<Record> =
            (0..3).map(|number| Record::new(row(&mut Dice(7), number), 0, 0)).collect();
        assert!(fallback.append(&records[..1]).unwrap().is_empty());
        // Whoever wrote the second one was killed meanwhile.
        let mut text = std::fs::read(&path).unwrap();
        text.extend_from_slice(b"{\"id\":17,\"at\":");
        std::fs::write(&path, text).unwrap();
        assert!(fallback.append(&records[1..]).unwrap().is_empty());
        let mut found = Vec::new();
        let store = |records: &[Record]| {
            found.extend_from_slice(records);
            Ok::<(), io::Error>(())
        };
        let mut imported = Imported::default();
        fallback.import(100, &mut imported, store).unwrap().unwrap();
        assert_eq!(imported, Imported { rows: 3, unreadable: 1 });
        assert_eq!(found, records);
    }

    fn heavy(count: u64) -> Vec<Record> {
        let row = |number| Row { level: Level::WARN, ..row(&mut Dice(7), number) };
        (0..count).map(|number| Record::new(row(number), 0, 0)).collect()
    }

    /// Set for a process that a test starts: the file it is to write to.
    const CHILD_ENV: &str = "LOG_FALLBACK_CHILD";

    /// A limit of the file's size, since a full disk is hard to come by.
    #[test]
    fn of_a_write_that_a_full_disk_cut_off_nothing_stays() {
        let records = heavy(40);
        if let Some(path) = std::env::var_os(CHILD_ENV) {
            let fallback = Fallback::new(path.into(), 1_000_000);
            fallback.append(&records[1..]).unwrap_err();
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot_fallback.jsonl");
        assert!(Fallback::new(path.clone(), 1_000_000).append(&records[..1]).unwrap().is_empty());
        let before = std::fs::read(&path).unwrap();
        let this = std::thread::current().name().unwrap().to_owned();
        let child = std::process::Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -f 4; exec \"$0\" --exact \"$1\""])
            .args([std::env::current_exe().unwrap().as_os_str(), this.as_ref()])
            .env(CHILD_ENV, &path)
            .output()
            .unwrap();
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn rows_of_an_import_that_failed_take_of_the_same_room() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot_fallback.jsonl");
        let fallback = Fallback::new(path.clone(), 4_000);
        let records = heavy(40);
        let refused = fallback.append(&records).unwrap().len();
        assert!((1..40).contains(&refused), "{refused}");
        let mut imported = Imported::default();
        let mut room = 1;
        let store = |_: &[Record]| {
            room -= 1;
            if room < 0 { Err(io::Error::other("away")) } else { Ok(()) }
        };
        fallback.import(4, &mut imported, store).unwrap().unwrap_err();
        // All of them come again.
        assert_eq!(imported, Imported::default());
        assert_eq!(fallback.append(&records).unwrap().len(), 40);
        let store = |_: &[Record]| Ok::<(), io::Error>(());
        fallback.import(4, &mut imported, store).unwrap().unwrap();
        assert_eq!(imported.rows, u64::try_from(40 - refused).unwrap());
        assert_eq!(fallback.append(&records).unwrap().len(), refused);
    }
}
