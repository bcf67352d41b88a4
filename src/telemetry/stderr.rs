//! Standard error, which systemd keeps: for what must be seen when files
//! fail.
//!
//! A thread of its own writes there, and only it may have to wait: a pipe or
//! a socket takes what fits, and others may write to the same one, so nothing
//! tells beforehand whether a write will come back. A reader that does not
//! read stops nobody; lines that found no room are counted, and told to it
//! once it reads again.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};

/// Bytes that may wait for the reader.
const WAITING_BYTES_MAX: usize = 64 * 1024;

/// What a pipe takes at once or not at all, so that lines of several
/// processes do not mix.
const PIECE_BYTES: usize = 4096;

/// How long the end of a process waits for the last lines.
const END_WITHIN: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    /// Lines that found no room since the thread last took something.
    missed: u64,
    /// Lines that found no room or could not be written, ever.
    not_shown: u64,
    /// The thread writes.
    busy: bool,
    /// A wait for the reader was in vain, and nothing has moved since.
    stuck: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    written: Condvar,
}

/// See the module. Dropping it waits a moment for the last lines.
#[derive(Debug)]
pub(super) struct Stderr {
    shared: Arc<Shared>,
}

impl Stderr {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives none. A process without a standard error has one
    /// that nobody reads.
    pub(super) fn start() -> io::Result<Stderr> {
        let fd = io::stderr().as_fd().try_clone_to_owned();
        Stderr::to(fd.or_else(|_| File::options().write(true).open("/dev/null").map(Into::into))?)
    }

    fn to(fd: OwnedFd) -> io::Result<Stderr> {
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        // Not joined: it may wait for a reader that never reads.
        std::thread::Builder::new()
            .name("log-stderr".into())
            .spawn(move || its.run(&File::from(fd)))?;
        Ok(Stderr { shared })
    }

    /// Hands a line over; false when there was no room for it.
    pub(super) fn write(&self, line: &[u8]) -> bool {
        let mut waiting = self.shared.lock();
        if !waiting.bytes.is_empty() && waiting.bytes.len() + line.len() > WAITING_BYTES_MAX {
            waiting.missed += 1;
            waiting.not_shown += 1;
            return false;
        }
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        self.shared.filled.notify_one();
        true
    }

    /// Lines so far that the reader did not get.
    pub(super) fn not_shown(&self) -> u64 {
        self.shared.lock().not_shown
    }

    /// Waits until the reader has all so far; false when `within` was too
    /// short for that, or was when last asked and nothing has moved since.
    pub(super) fn flush(&self, within: Duration) -> bool {
        let mut waiting = self.shared.lock();
        let left = |waiting: &Waiting| waiting.busy || !waiting.bytes.is_empty();
        if left(&waiting) && !waiting.stuck {
            let wait = |waiting: &mut Waiting| left(waiting);
            let waited = self.shared.written.wait_timeout_while(waiting, within, wait);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
            waiting.stuck = left(&waiting);
        }
        !left(&waiting)
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.flush(END_WITHIN);
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, file: &File) {
        let mut bytes = Vec::new();
        loop {
            let idle = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.closed;
            let waited = self.filled.wait_while(self.lock(), idle);
            let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
            if waiting.bytes.is_empty() {
                return;
            }
            std::mem::swap(&mut bytes, &mut waiting.bytes);
            let missed = std::mem::take(&mut waiting.missed);
            waiting.busy = true;
            drop(waiting);
            if missed > 0 {
                let told = format!("{missed} lines are missing here; they are in the log files\n");
                bytes.extend_from_slice(told.as_bytes());
            }
            // That they are missing is no line of theirs.
            let (told, mut failed) = (u64::from(missed > 0), None);
            let mut rest = bytes.as_slice();
            while let (piece @ [_, ..], after) = rest.split_at(piece_bytes(rest)) {
                // It can be told when a later one does not fail.
                if write_all(file, piece).is_err() {
                    failed = Some(lines(rest).saturating_sub(told));
                    break;
                }
                rest = after;
            }
            bytes.clear();
            let mut waiting = self.lock();
            (waiting.busy, waiting.stuck) = (false, false);
            if let Some(failed) = failed {
                waiting.not_shown += failed;
                waiting.missed += missed + failed;
            }
            drop(waiting);
            self.written.notify_all();
        }
    }
}

fn lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').skip(1).fold(0, |lines, _| lines + 1)
}

/// As many whole lines as a piece takes; part of a line that is longer.
fn piece_bytes(bytes: &[u8]) -> usize {
    let Some(piece) = bytes.get(..PIECE_BYTES) else { return bytes.len() };
    piece.iter().rposition(|byte| *byte == b'\n').map_or(PIECE_BYTES, |end| end + 1)
}

fn write_all(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Somebody else made it one that does not wait.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(&file, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, PipeReader, pipe};
    use std::time::Instant;

    use super::*;

    fn read_to_end(reader: PipeReader) -> Vec<String> {
        BufReader::new(reader).lines().map(|line| line.unwrap()).collect()
    }

    /// Lines are longer than what a pipe with room promises to take.
    #[test]
    fn a_reader_that_does_not_read_stops_nobody_and_is_told_what_it_missed() {
        let (reader, writer) = pipe().unwrap();
        let stderr = Stderr::to(writer.into()).unwrap();
        let line = format!("{:>6000}\n", "x");
        let taken = (0..200).filter(|_| stderr.write(line.as_bytes())).count();
        assert!((10..200).contains(&taken), "{taken}");
        assert!(!stderr.flush(Duration::from_millis(1)));
        assert!(stderr.shared.lock().stuck);
        // No wait of a minute: the first one was in vain.
        assert!(!stderr.flush(Duration::from_secs(60)));
        let lines = std::thread::spawn(|| read_to_end(reader));
        let until = Instant::now() + Duration::from_secs(60);
        while !stderr.flush(Duration::from_millis(10)) {
            assert!(Instant::now() < until, "it reads");
            std::thread::yield_now();
        }
        assert!(stderr.write(b"at last\n"));
        let not_shown = stderr.not_shown();
        drop(stderr);
        let lines = lines.join().unwrap();
        let whole = |line: &&String| line.len() == 6000 && line.ends_with('x');
        assert_eq!(lines.iter().filter(whole).count(), taken);
        let told = lines.iter().filter_map(|line| line.split_once(" lines are missing here"));
        let missed: usize = told.map(|(count, _)| count.parse::<usize>().unwrap()).sum();
        assert_eq!(taken + missed, 200);
        assert_eq!(not_shown, u64::try_from(missed).unwrap());
        assert_eq!(lines.last().unwrap(), "at last");
    }

    #[test]
    fn whole_lines_go_together_and_a_reader_that_left_is_no_trouble() {
        let text = [vec![b'a'; 4000], vec![b'\n'], vec![b'b'; 200], vec![b'\n']].concat();
        assert_eq!(piece_bytes(&text), 4001);
        assert_eq!(piece_bytes(&text[4001..]), 201);
        assert_eq!(piece_bytes(&[b'c'; 5000]), PIECE_BYTES);
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let stderr = Stderr::to(writer.into()).unwrap();
        assert!(stderr.write(b"a\n") && stderr.flush(Duration::from_secs(60)));
        assert_eq!(stderr.not_shown(), 1);
        assert!(stderr.write(b"b\nc\n") && stderr.flush(Duration::from_secs(60)));
        assert_eq!(stderr.not_shown(), 3);
        assert_eq!(stderr.shared.lock().missed, 3);
    }
}
