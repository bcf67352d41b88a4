//! Reads on in a log file that is being written, across files that are set
//! aside, and misses no line of them.
//!
//! A file is read to its end before the next one, and looked at once more
//! after: another process may have had it open when it was set aside.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use flate2::read::MultiGzDecoder;

use super::{Listed, list};

/// Bytes read at a time.
const CHUNK: usize = 64 * 1024;

/// A log cannot be followed.
#[derive(Debug, thiserror::Error)]
#[error("could not read {}", path.display())]
pub struct FollowError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> FollowError + '_ {
    |source| FollowError { path: path.to_owned(), source }
}

/// The files of a log, in the order in which they were written.
///
/// # Errors
/// When the folder cannot be read.
pub fn files_of(folder: &Path, stem: &str) -> Result<Vec<Listed>, FollowError> {
    let mut files = list(folder).map_err(failed(folder))?;
    files.retain(|file| {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        file.stem == stem && (name.ends_with(".log") || name.ends_with(".log.gz"))
    });
    // The file without a date is being written; that of a day without a
    // number is the last of its day.
    files.sort_by_key(|file| {
        let day = (file.date.is_none(), file.date);
        (day, file.number.is_none(), file.number, file.compressed)
    });
    // A file that is being compressed has two names for a moment.
    files.dedup_by(|later, earlier| {
        later.date.is_some() && (later.date, later.number) == (earlier.date, earlier.number)
    });
    Ok(files)
}

/// The file that is written now.
pub fn current(files: &[Listed]) -> Option<&Listed> {
    files.last().filter(|file| !file.compressed && file.number.is_none())
}

/// Hands out the lines of a file, up to a number of bytes.
///
/// # Errors
/// When it cannot be read.
pub fn each_line(
    path: &Path,
    compressed: bool,
    bytes_max: u64,
    mut keep: impl FnMut(String),
) -> io::Result<()> {
    let file = File::open(path)?.take(bytes_max);
    let mut reader: Box<dyn BufRead> = if compressed {
        Box::new(BufReader::new(MultiGzDecoder::new(file)))
    } else {
        Box::new(BufReader::new(file))
    };
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        keep(text(&line));
        line.clear();
    }
    Ok(())
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches('\n').to_owned()
}

/// What a file is, whatever its name.
type Id = (u64, u64);

fn id(path: &Path) -> Option<Id> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// What a finished file is, compressed or not.
type Place = (Option<NaiveDate>, Option<u32>);

fn place(file: &Listed) -> Place {
    (file.date, file.number)
}

/// A log that is followed.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    stem: String,
    open: Option<Open>,
    /// The one before it, until it was looked at once more.
    left: Option<Open>,
    /// Finished files that were there when the open one was written.
    known: BTreeSet<Place>,
    bytes_max: u64,
}

impl Follower {
    /// At the end of what is there, at a line's end.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn begin(folder: &Path, stem: &str) -> Result<Follower, FollowError> {
        let mut follower = Follower {
            folder: folder.to_owned(),
            stem: stem.to_owned(),
            open: None,
            left: None,
            known: BTreeSet::new(),
            bytes_max: u64::MAX,
        };
        let files = files_of(folder, stem)?;
        follower.turn_to(&files);
        if let Some(open) = &mut follower.open {
            open.position = open.length();
        }
        Ok(follower)
    }

    /// Of more than so many bytes a look answers with the newest.
    #[must_use]
    pub fn at_most(self, bytes_max: u64) -> Follower {
        Follower { bytes_max, ..self }
    }

    /// The byte of the file that is written now up to which it was read.
    pub fn position(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.position)
    }

    /// Whole lines that were written since the last look.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn look(&mut self) -> Result<VecDeque<String>, FollowError> {
        let mut lines = Lines { lines: VecDeque::new(), bytes: 0, bytes_max: self.bytes_max };
        if let Some(mut left) = self.left.take() {
            left.read_on(&mut lines)?;
            left.end(&mut lines);
        }
        if let Some(open) = &mut self.open {
            open.read_on(&mut lines)?;
            // The file of a day keeps its name when the next one is begun.
            if !open.daily && id(&open.path) == Some(open.id) {
                return Ok(lines.lines);
            }
        }
        let files = files_of(&self.folder, &self.stem)?;
        let Some(now) = current(&files) else { return Ok(lines.lines) };
        if self.open.as_ref().is_some_and(|open| Some(open.id) == id(&now.path)) {
            return Ok(lines.lines);
        }
        if let Some(open) = &mut self.open {
            // What came between the last line and the new name.
            open.read_on(&mut lines)?;
        }
        for file in self.between(&files) {
            read_whole(file, &mut lines)?;
        }
        self.left = self.open.take();
        self.turn_to(&files);
        if let Some(open) = &mut self.open {
            open.read_on(&mut lines)?;
        }
        Ok(lines.lines)
    }

    /// Files that were begun and set aside since the last look.
    fn between<'a>(&self, files: &'a [Listed]) -> &'a [Listed] {
        let Some((_, finished)) = files.split_last() else { return &[] };
        let Some(open) = &self.open else { return &[] };
        // Compressed, it is another file; then it is the first of the new ones.
        let here = finished
            .iter()
            .position(|file| id(&file.path) == Some(open.id))
            .or_else(|| finished.iter().position(|file| !self.known.contains(&place(file))));
        here.and_then(|here| finished.get(here + 1..)).unwrap_or_default()
    }

    /// Begins with the file that is written now.
    fn turn_to(&mut self, files: &[Listed]) {
        let Some(now) = current(files) else { return };
        self.open = Open::new(now);
        let finished = files.iter().filter(|file| file.path != now.path);
        self.known = finished.map(place).collect();
    }
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    file: File,
    path: PathBuf,
    id: Id,
    daily: bool,
    position: u64,
    /// The beginning of a line whose end was not there yet.
    begun: Vec<u8>,
}

impl Open {
    fn new(listed: &Listed) -> Option<Open> {
        let file = File::open(&listed.path).ok()?;
        let found = file.metadata().ok()?;
        Some(Open {
            file,
            path: listed.path.clone(),
            id: (found.dev(), found.ino()),
            daily: listed.date.is_some(),
            position: 0,
            begun: Vec::new(),
        })
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    fn read_on(&mut self, lines: &mut Lines) -> Result<(), FollowError> {
        let length = self.length();
        if length < self.position {
            // Cut to nothing by somebody.
            self.position = 0;
            self.begun.clear();
        }
        let from = length.saturating_sub(lines.bytes_max);
        if from > self.position {
            self.position = from;
            self.begun.clear();
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = self.file.read_at(&mut chunk, self.position).map_err(failed(&self.path))?;
            if read == 0 {
                return Ok(());
            }
            self.position += u64::try_from(read).unwrap_or(0);
            for piece in
                chunk.get(..read).unwrap_or_default().split_inclusive(|byte| *byte == b'\n')
            {
                self.begun.extend_from_slice(piece);
                if self.begun.ends_with(b"\n") {
                    lines.push(text(&self.begun));
                    self.begun.clear();
                }
            }
            if u64::try_from(self.begun.len()).unwrap_or(u64::MAX) > lines.bytes_max {
                self.begun.clear();
            }
        }
    }

    /// No more will come: what was begun is a line.
    fn end(self, lines: &mut Lines) {
        if !self.begun.is_empty() {
            lines.push(text(&self.begun));
        }
    }
}

fn read_whole(file: &Listed, lines: &mut Lines) -> Result<(), FollowError> {
    let read = each_line(&file.path, file.compressed, u64::MAX, |line| lines.push(line));
    match read {
        // Compressed meanwhile, or deleted.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut packed = file.path.clone().into_os_string();
            packed.push(".gz");
            let packed = PathBuf::from(packed);
            match each_line(&packed, true, u64::MAX, |line| lines.push(line)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            }
        }
        read => read,
    }
    .map_err(failed(&file.path))
}

/// The newest lines.
#[derive(Debug)]
struct Lines {
    lines: VecDeque<String>,
    bytes: u64,
    bytes_max: u64,
}

impl Lines {
    fn push(&mut self, line: String) {
        let size = |line: &String| u64::try_from(line.len()).unwrap_or(u64::MAX).saturating_add(1);
        self.bytes = self.bytes.saturating_add(size(&line));
        self.lines.push_back(line);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.lines.pop_front() else { return };
            self.bytes -= size(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn compress(path: &Path) {
        let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
        archive.write_all(&fs::read(path).unwrap()).unwrap();
        fs::write(path.with_extension("log.gz"), archive.finish().unwrap()).unwrap();
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn following_misses_nothing_when_files_are_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let now = at("bot.log");
        let mut follower = Follower::begin(folder.path(), "bot").unwrap();
        assert_eq!(follower.look().unwrap(), Vec::<String>::new());
        append(&now, "1\n2");
        assert_eq!(follower.look().unwrap(), ["1"]);
        append(&now, "\n3\n");
        // Twice between two looks.
        fs::rename(&now, at("bot_20261126.1.log")).unwrap();
        append(&now, "4\n");
        fs::rename(&now, at("bot_20261126.2.log")).unwrap();
        append(&now, "5\n");
        assert_eq!(follower.look().unwrap(), ["2", "3", "4", "5"]);
        // Set aside and compressed, and the next file is not there yet.
        append(&now, "6\n");
        fs::rename(&now, at("bot_20261126.3.log")).unwrap();
        assert_eq!(follower.look().unwrap(), ["6"]);
        let mut archive = GzEncoder::new(Vec::new(), Compression::fast());
        archive.write_all(b"5\n6\n").unwrap();
        fs::write(at("bot_20261126.3.log.gz"), archive.finish().unwrap()).unwrap();
        fs::remove_file(at("bot_20261126.3.log")).unwrap();
        append(&now, "7\n");
        assert_eq!(follower.look().unwrap(), ["7"]);
        // Cut off by somebody.
        fs::write(&now, "").unwrap();
        assert_eq!(follower.look().unwrap(), Vec::<String>::new());
        append(&now, "8\n");
        assert_eq!(follower.look().unwrap(), ["8"]);
    }

    #[test]
    fn lines_written_just_before_and_just_after_a_file_is_set_aside_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let now = at("bot.log");
        append(&now, "0\n");
        let mut follower = Follower::begin(folder.path(), "bot").unwrap();
        append(&now, "1\n");
        let mut other = File::options().append(true).open(&now).unwrap();
        fs::rename(&now, at("bot_20261126.1.log")).unwrap();
        append(&now, "2\n");
        assert_eq!(follower.look().unwrap(), ["1", "2"]);
        // Another process had it open and writes its line yet.
        other.write_all(b"late\n").unwrap();
        append(&now, "3\n");
        assert_eq!(follower.look().unwrap(), ["late", "3"]);
        // Three times between two looks, and compressed at once.
        for number in 2..5 {
            append(&now, &format!("of {number}\n"));
            let aside = at(&format!("bot_20261126.{number}.log"));
            fs::rename(&now, &aside).unwrap();
            compress(&aside);
        }
        append(&now, "4");
        assert_eq!(follower.look().unwrap(), ["of 2", "of 3", "of 4"]);
        // What a process that died had begun ends with its file.
        fs::rename(&now, at("bot_20261126.5.log")).unwrap();
        append(&now, "5\n");
        assert_eq!(follower.look().unwrap(), ["5"]);
        assert_eq!(follower.look().unwrap(), ["4"]);
    }

    #[test]
    fn of_a_flood_the_newest_part_is_read_across_files_too() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let now = at("bot.log");
        let mut follower = Follower::begin(folder.path(), "bot").unwrap().at_most(8);
        append(&now, "first\n1\n2\n3\n4\n");
        assert_eq!(follower.look().unwrap(), ["1", "2", "3", "4"]);
        append(&now, "5\n6\n7\n");
        fs::rename(&now, at("bot_20261126.1.log")).unwrap();
        append(&now, "8\n9\n");
        assert_eq!(follower.look().unwrap(), ["6", "7", "8", "9"]);
        append(&now, "a line without an end");
        append(&now, "\n10\n");
        assert_eq!(follower.look().unwrap().back().unwrap(), "10");
    }
}
