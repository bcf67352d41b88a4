//! One log file: appended to in whole lines, set aside when it is full or its
//! day is over, opened again when somebody took it away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{FILE_MODE, Limits, Listed, list, names, prepare, scan, set_mode};

/// Lines are gathered up to this size and then written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes kept for a disk that takes nothing; more are given up.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Attempts to open a file that others set aside at the same moment.
const OPEN_ATTEMPTS: u32 = 8;

/// Pause between them.
const OPEN_PAUSE: Duration = Duration::from_millis(1);

/// Numbers that are tried for a file that is set aside.
const NUMBER_ATTEMPTS: u32 = 1000;

/// Lines of each level, from ERROR to TRACE.
pub(in super::super) type Lines = [u64; 5];

/// What became of lines that were written, or given up.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Flushed {
    pub(in super::super) written: Lines,
    pub(in super::super) lost: Lines,
    pub(in super::super) bytes: u64,
    /// A file is full and has its finished name.
    pub(in super::super) set_aside: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: (u64, u64),
    date: NaiveDate,
    /// Made by us just now, with its first line.
    fresh: bool,
}

/// A file of the folder under its lasting name.
#[derive(Debug)]
pub(in super::super) struct Output {
    stem: String,
    /// Its name carries the day.
    daily: bool,
    open: Option<Open>,
    /// The day of the lines that are gathered.
    date: NaiveDate,
    gathered: Vec<u8>,
    /// The lines in it: how long each is, and its level where it counts.
    lines: Vec<(usize, Option<usize>)>,
    /// The file ends in the middle of a line that could not be finished.
    torn: bool,
    /// The first line of a new file.
    header: Vec<u8>,
    set_aside: bool,
}

impl Output {
    pub(in super::super) fn new(stem: &str, daily: bool) -> Output {
        Output {
            stem: stem.to_string(),
            daily,
            open: None,
            date: NaiveDate::MIN,
            gathered: Vec::new(),
            lines: Vec::new(),
            torn: false,
            header: Vec::new(),
            set_aside: false,
        }
    }

    pub(in super::super) fn stem(&self) -> &str {
        &self.stem
    }

    /// Opens the file, and says in it that a process begins.
    ///
    /// # Errors
    /// Those of the disk.
    pub(in super::super) fn begin(&mut self, date: NaiveDate, limits: &Limits) -> io::Result<()> {
        self.date = date;
        self.make_ready(limits)?;
        match &mut self.open {
            Some(open) if !open.fresh => {
                let torn = std::mem::take(&mut self.torn);
                let start: &[u8] = if torn { b"\n" } else { b"" };
                open.file.write_all(&[start, &self.header].concat())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Adds a line of that day; true when it is time to flush.
    ///
    /// # Errors
    /// When lines of the day before had to be written first and could not be.
    pub(in super::super) fn push(
        &mut self,
        line: &[u8],
        level: Option<usize>,
        date: NaiveDate,
        limits: &Limits,
        done: &mut Flushed,
    ) -> io::Result<bool> {
        // Time may seem to go back a little between threads, days do not.
        let mut result = Ok(());
        if date > self.date {
            if !self.gathered.is_empty() {
                result = self.flush(limits, done);
            }
            self.date = date;
        }
        if self.gathered.len() + line.len() > KEPT_BYTES_MAX {
            self.give_up(done);
        }
        self.gathered.extend_from_slice(line);
        self.lines.push((line.len(), level));
        result.map(|()| self.gathered.len() >= CHUNK_BYTES)
    }

    /// Forgets what is gathered, and counts it as lost.
    pub(in super::super) fn give_up(&mut self, done: &mut Flushed) {
        count(&mut done.lost, self.lines.drain(..));
        self.gathered.clear();
    }

    /// True when nothing waits to be written.
    pub(in super::super) fn is_empty(&self) -> bool {
        self.gathered.is_empty()
    }

    /// Writes what was gathered. What could not be written is kept, up to a
    /// limit, for the next attempt.
    ///
    /// # Errors
    /// Those of the disk.
    pub(in super::super) fn flush(
        &mut self,
        limits: &Limits,
        done: &mut Flushed,
    ) -> io::Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let ready = self.make_ready(limits);
        done.set_aside |= std::mem::take(&mut self.set_aside);
        ready?;
        let Some(open) = &mut self.open else { return Ok(()) };
        if self.torn {
            open.file.write_all(b"\n")?;
            self.torn = false;
        }
        let mut rest = self.gathered.as_slice();
        while !rest.is_empty() {
            match open.file.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(length) => {
                    rest = &rest[length..];
                    // Part of it went in; the disk is full, or nearly.
                    self.torn = !rest.is_empty();
                    if self.torn {
                        let whole = self.gathered.len() - rest.len();
                        self.forget(whole, done);
                        return Err(io::Error::from(io::ErrorKind::StorageFull));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        done.bytes += u64::try_from(self.gathered.len()).unwrap_or(0);
        count(&mut done.written, self.lines.drain(..));
        self.gathered.clear();
        Ok(())
    }

    /// Whole lines among the first bytes that went in are not written again.
    fn forget(&mut self, written: usize, done: &mut Flushed) {
        let (mut end, mut whole) = (0, 0);
        for (length, _) in &self.lines {
            if end + length > written {
                break;
            }
            (end, whole) = (end + length, whole + 1);
        }
        self.torn = end < written;
        self.gathered.drain(..end);
        count(&mut done.written, self.lines.drain(..whole));
        done.bytes += u64::try_from(end).unwrap_or(0);
    }

    /// A descriptor of the right file, with room for what was gathered.
    fn make_ready(&mut self, limits: &Limits) -> io::Result<()> {
        if self.daily && self.open.as_ref().is_some_and(|open| open.date != self.date) {
            self.open = None;
        }
        let path = self.path(limits);
        if let Some(open) = &self.open {
            match fs::metadata(&path) {
                Ok(meta) if (meta.dev(), meta.ino()) == open.inode => {
                    let size = meta.len();
                    let room = size == 0
                        || size + u64::try_from(self.gathered.len()).unwrap_or(0)
                            <= limits.file_bytes;
                    if room && (self.daily || open.date >= self.date) {
                        return Ok(());
                    }
                    let date = open.date;
                    self.set_aside(limits, date)?;
                }
                // Set aside or taken away by somebody else.
                _ => self.open = None,
            }
        }
        for _ in 0..OPEN_ATTEMPTS {
            let open = self.open_file(limits)?;
            let size = open.file.metadata()?.len();
            let stale = !self.daily && open.date < self.date;
            let (date, full) = (open.date, size >= limits.file_bytes);
            self.open = Some(open);
            if !stale && !full {
                return Ok(());
            }
            self.set_aside(limits, date)?;
        }
        Err(io::Error::other("the log file is set aside faster than it can be opened"))
    }

    fn path(&self, limits: &Limits) -> PathBuf {
        limits.folder.join(names::current(&self.stem, self.daily.then_some(self.date)))
    }

    fn open_file(&mut self, limits: &Limits) -> io::Result<Open> {
        prepare(&limits.folder)?;
        let path = self.path(limits);
        for _ in 0..OPEN_ATTEMPTS {
            let mut file = OpenOptions::new()
                .append(true)
                .read(true)
                .create(true)
                .mode(FILE_MODE)
                .open(&path)?;
            match file.try_lock_shared() {
                // Somebody compresses it: it has another name by now.
                Err(TryLockError::WouldBlock) => {
                    std::thread::sleep(OPEN_PAUSE);
                    continue;
                }
                // A disk without locks.
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            let meta = file.metadata()?;
            let inode = (meta.dev(), meta.ino());
            if Listed::inode(&path).ok() != Some(inode) {
                continue;
            }
            if meta.len() == 0 {
                set_mode(&file, &limits.folder)?;
                file.write_all(&self.header)?;
                self.torn = false;
                return Ok(Open { file, inode, date: self.date, fresh: true });
            }
            self.torn = ends_torn(&file)?;
            let date = first_date(&mut file).unwrap_or(self.date);
            let date = if self.daily { self.date } else { date };
            return Ok(Open { file, inode, date, fresh: false });
        }
        Err(io::Error::other("the log file is set aside faster than it can be opened"))
    }

    /// Gives the file its finished name, and closes it.
    fn set_aside(&mut self, limits: &Limits, date: NaiveDate) -> io::Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let from = self.path(limits);
        let files = list(&limits.folder)?;
        let first = scan::next_number(&files, &self.stem, date);
        for number in first..first.saturating_add(NUMBER_ATTEMPTS) {
            // Somebody else may have done it just now.
            if Listed::inode(&from).ok() != Some(open.inode) {
                return Ok(());
            }
            let to = limits.folder.join(names::finished(&self.stem, date, number));
            if to.with_extension("log.gz").exists() {
                continue;
            }
            match renameat_with(CWD, &from, CWD, &to, RenameFlags::NOREPLACE) {
                Ok(()) => {
                    self.set_aside = true;
                    scan::keep_newest(limits, &files, &self.stem, 1)?;
                    return Ok(());
                }
                Err(rustix::io::Errno::EXIST) => {}
                Err(rustix::io::Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::Error::other("no number is free for a full log file"))
    }

    /// Sets what stands at the beginning of each new file.
    pub(in super::super) fn set_header(&mut self, header: &[u8]) {
        self.header = header.to_vec();
    }
}

fn count(sums: &mut Lines, lines: impl Iterator<Item = (usize, Option<usize>)>) {
    for level in lines.filter_map(|(_, level)| level) {
        if let Some(sum) = sums.get_mut(level) {
            *sum += 1;
        }
    }
}

/// Whether a file ends within a line: whoever wrote it was killed meanwhile.
fn ends_torn(file: &File) -> io::Result<bool> {
    use std::os::unix::fs::FileExt as _;
    for _ in 0..OPEN_ATTEMPTS {
        let mut last = [b'\n'];
        let at = file.metadata()?.len().saturating_sub(1);
        if file.read_at(&mut last, at)? == 0 || last == *b"\n" {
            return Ok(false);
        }
        // Somebody else may just be writing.
        std::thread::sleep(OPEN_PAUSE);
    }
    Ok(true)
}

/// The day of the first line of a file.
pub(super) fn first_date(file: &mut File) -> Option<NaiveDate> {
    use std::os::unix::fs::FileExt as _;
    let mut start = [0; 64];
    let length = file.read_at(&mut start, 0).ok()?;
    let text = start.get(..length)?;
    text.windows(11).find_map(|window| {
        let (date, rest) = window.split_at(10);
        let date = std::str::from_utf8(date).ok().filter(|_| rest == b"T")?;
        NaiveDate::parse_from_str(date, "%Y-%m-%d").ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The disk was full in the middle of the third line.
    #[test]
    fn lines_that_went_in_before_the_disk_was_full_are_not_lost() {
        let limits = Limits {
            folder: PathBuf::new(),
            file_bytes: 1_000,
            files: 1,
            days: 1,
            total_bytes: 1_000,
        };
        let (mut output, mut done) = (Output::new("bot", false), Flushed::default());
        for (line, level) in [("one\n", Some(0)), ("a\ntwo\n", None), ("three\n", Some(2))] {
            output.push(line.as_bytes(), level, NaiveDate::MIN, &limits, &mut done).unwrap();
        }
        output.forget(13, &mut done);
        assert!(output.torn && output.gathered == b"three\n");
        assert_eq!((done.written, done.lost, done.bytes), ([1, 0, 0, 0, 0], [0; 5], 10));
        output.forget(0, &mut done);
        assert!(!output.torn);
        output.give_up(&mut done);
        assert_eq!((done.written, done.lost), ([1, 0, 0, 0, 0], [0, 0, 1, 0, 0]));
        assert!(output.is_empty() && output.lines.is_empty());
    }
}
