//! What is said when logs may be what failed, or when the process may end at
//! once: complaints and panics.

use std::time::{Duration, Instant};

use super::queue::Outcome;
use super::scrub::Scrubber;
use super::stderr::Stderr;
use super::{LOGGING, rows, writer};

/// How long a thread that panics waits for them, and for the rows after that.
const FLUSH_IN_PANIC: Duration = Duration::from_secs(1);
const ROWS_IN_PANIC: Duration = Duration::from_secs(1);

/// Says something on standard error, without secrets, where logs may be what
/// failed or have not begun. A reader that does not read is not waited for
/// long.
pub fn complain(text: &str) {
    let line = complaint(text, LOGGING.get().map(|logging| &logging.shared.scrubber));
    // Nothing can be told without a thread.
    let _ = Stderr::start().map(|stderr| stderr.write(&line));
}

/// The line of a complaint. Before it is known what is secret, names tell.
fn complaint(text: &str, known: Option<&Scrubber>) -> Vec<u8> {
    let names = if known.is_none() { Scrubber::new().ok() } else { None };
    let Some(scrubber) = known.or(names.as_ref()) else {
        return b"logging could not be set up\n".to_vec();
    };
    let mut line = text.replace('\n', " ").into_bytes();
    line.push(b'\n');
    scrubber.current().scrub(&mut line, 0);
    line
}

/// A panic is an error like others: without secrets, and written before the
/// process ends.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let text = text.unwrap_or("-");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("-");
        if [writer::THREAD, rows::THREAD].contains(&thread) {
            // It may hold what a line needs.
            complain(&format!("panic of {thread} at {place}: {text}"));
            if let Some(logging) = LOGGING.get().filter(|_| thread != writer::THREAD) {
                logging.shared.queue.flush(FLUSH_IN_PANIC);
            }
            return;
        }
        tracing::error!(event_type = "panic", place = place.as_str(), thread, "panic: {text}");
        let Some(logging) = LOGGING.get() else { return };
        if logging.shared.queue.flush(FLUSH_IN_PANIC) == Outcome::Late {
            complain(&format!("panic of {thread} at {place}: {text}"));
        }
        let until = Instant::now() + ROWS_IN_PANIC;
        for sink in logging.rows.upgrade().iter().flat_map(|sinks| sinks.iter()) {
            sink.flush(until.saturating_duration_since(Instant::now()));
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Command, Output, Stdio};
    use std::sync::Arc;

    use super::super::{FlushError, Guard, Limits, start};
    use super::*;
    use crate::clock::Clock;
    use crate::config::LoggingConfig;
    use rows::{LogQuery, Reader};

    /// Set for a process that a test starts: the folder it is to write to.
    const CHILD_ENV: &str = "LOG_PANIC_CHILD";

    fn limits_in(folder: &Path) -> Limits {
        Limits {
            folder: folder.join("logs"),
            file_bytes: 1_000_000,
            files: 3,
            days: 7,
            total_bytes: 10_000_000,
        }
    }

    fn start_in(folder: &Path) -> Guard {
        let logging = LoggingConfig::default();
        start("bot", &logging, limits_in(folder), folder, &Clock::system(), "test").unwrap()
    }

    /// Runs the same test in a process of its own, since logging is one for
    /// each process.
    fn once_more(folder: &Path) -> Output {
        let this = std::thread::current().name().unwrap().to_owned();
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &this, "--nocapture"])
            .env(CHILD_ENV, folder)
            .stdout(Stdio::null())
            .output()
            .unwrap()
    }

    /// As with `panic = "abort"`: nothing runs after the hook.
    #[test]
    fn a_panic_is_in_the_files_and_the_database_before_the_process_ends() {
        if let Some(folder) = std::env::var_os(CHILD_ENV) {
            let _guard = start_in(Path::new(&folder));
            let thread = std::thread::spawn(|| panic!("it broke"));
            assert!(thread.join().is_err());
            std::process::abort();
        }
        let folder = tempfile::tempdir().unwrap();
        let child = once_more(folder.path());
        assert!(!child.status.success());
        let shown = String::from_utf8(child.stderr).unwrap();
        assert_eq!(shown.matches("panic: it broke").count(), 1, "{shown}");
        let text = std::fs::read_to_string(folder.path().join("logs/bot_error.log")).unwrap();
        assert_eq!(text.matches("panic: it broke").count(), 1, "{text}");
        let reader = Reader::open(&folder.path().join(rows::FILE_NAME)).unwrap();
        let page = reader.page(&LogQuery { limit: 10, ..LogQuery::default() }).unwrap();
        let messages: Vec<&str> = page.entries.iter().map(|it| it.row.message.as_str()).collect();
        assert_eq!(messages, ["panic: it broke"]);
    }

    #[test]
    fn a_flush_tells_that_a_file_cannot_be_written_and_the_end_counts_what_is_lost() {
        if let Some(folder) = std::env::var_os(CHILD_ENV) {
            return lose_the_folder(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let child = once_more(folder.path());
        let shown = String::from_utf8(child.stderr).unwrap();
        assert!(child.status.success(), "{shown}");
        assert!(shown.contains("log files cannot be written: bot in "), "{shown}");
        assert!(shown.contains("1 last log lines lost, 1 copies missing: bot in "), "{shown}");
    }

    fn lose_the_folder(folder: &Path) {
        let guard = start_in(folder);
        let within = Duration::from_secs(20);
        let shared = Arc::clone(&guard.shared);
        tracing::info!("said");
        guard.flush(within).unwrap();
        let logs = folder.join("logs");
        std::fs::remove_dir_all(&logs).unwrap();
        std::fs::write(&logs, "in the way").unwrap();
        tracing::info!("said again");
        let error = guard.flush(within).unwrap_err();
        let FlushError::Failed { why } = &error else { panic!("{error}") };
        assert!(why.starts_with("bot in "), "{why}");
        drop(guard);
        tracing::info!("said too late");
        let figures = shared.figures();
        let one = [0, 0, 1, 0, 0];
        assert_eq!((figures.written, figures.lost, figures.dropped), (one, one, one));
    }

    #[test]
    fn a_complaint_shows_no_secret_before_and_after_logging_began() {
        let text = "pivot-bot: GET /bot12345:AAbb-cc_dd/getMe:\nno answer for s3cr3t-of-ours";
        let before = complaint(text, None);
        let wanted = "pivot-bot: GET /bot***/getMe: no answer for s3cr3t-of-ours\n";
        assert_eq!(String::from_utf8(before).unwrap(), wanted);
        let scrubber = Scrubber::new().unwrap();
        scrubber.hide(&"s3cr3t-of-ours".into());
        let after = complaint(text, Some(&scrubber));
        let wanted = "pivot-bot: GET /bot***/getMe: no answer for ***\n";
        assert_eq!(String::from_utf8(after).unwrap(), wanted);
    }
}
