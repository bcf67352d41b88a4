//! What all services share: the end by signal, systemd, signs of life, the
//! database off the async thread, and links that log in.

mod life;
mod link;
mod shared;

pub use life::{Life, alive, beat, ready, reload_levels, stop_signal, stopping};
pub use link::{LinkError, LoginLinks};
pub use shared::SharedStore;

use std::error::Error;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::store::lock::LockError;
use crate::telemetry;

/// Reads the configuration and finds the clock; `data` takes the place of
/// `data.dir`.
///
/// # Errors
/// What is wrong with either.
pub fn prepare(
    path: &Path,
    data: Option<&Path>,
) -> Result<(Config, Clock), Box<dyn Error + Send + Sync>> {
    let mut config = Config::load(path)?;
    if let Some(data) = data {
        config.data.dir = data.display().to_string();
    }
    Ok((config, Clock::from_env()?))
}

/// How long work that blocks may delay the end of a service. What is not done
/// by then ends with the process, as it would in a crash.
const ENDS_WITHIN: Duration = Duration::from_secs(3);

/// Ends a service's runtime; plainly dropped, it waits for ever for a thread
/// that hangs. Logs still work, and are flushed when their guard is dropped.
pub fn end(runtime: Runtime) {
    let began = Instant::now();
    runtime.shutdown_timeout(ENDS_WITHIN);
    if began.elapsed() >= ENDS_WITHIN {
        tracing::warn!("work that blocks was not done at the end");
    }
}

/// Tells the supervisor that starting again will not help.
const WRONG_SETUP: u8 = 78;

/// Says on standard error why a service did not run, cause by cause.
pub fn fail(service: &str, error: &(dyn Error + 'static)) -> ExitCode {
    telemetry::complain(&format!("{service}: {}", in_full(error)));
    let lasting =
        |error: &(dyn Error + 'static)| error.is::<ConfigError>() || error.is::<LockError>();
    if std::iter::successors(Some(error), |&error| error.source()).any(lasting) {
        ExitCode::from(WRONG_SETUP)
    } else {
        ExitCode::FAILURE
    }
}

/// Says in the log why a service ends; while that is still written.
pub fn note_end(error: &(dyn Error + 'static)) {
    tracing::error!(error, event_type = "end", "the service ends");
}

/// An error and its causes in one line.
pub fn in_full(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ").replace('\n', " ")
}

/// Unpredictable bytes from the operating system, as hexadecimal digits.
///
/// # Errors
/// When the system has none.
pub fn nonce<const BYTES: usize>() -> std::io::Result<String> {
    let mut bytes = [0_u8; BYTES];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex(&bytes))
}

/// Lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Compares without telling by its duration where two texts differ. The
/// length is no secret.
pub fn same_secret(given: &str, wanted: &str) -> bool {
    let differing = given.bytes().zip(wanted.bytes()).fold(0_u8, |sum, (a, b)| sum | (a ^ b));
    given.len() == wanted.len() && std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_compare_whole() {
        assert!(same_secret("abc", "abc"));
        for (given, wanted) in [("abc", "abd"), ("ab", "abc"), ("", "abc"), ("abcd", "abc")] {
            assert!(!same_secret(given, wanted));
        }
    }

    #[test]
    fn a_thread_that_hangs_does_not_keep_a_service_from_ending() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (release, held) = std::sync::mpsc::channel::<()>();
        let (began, begun) = std::sync::mpsc::channel();
        runtime.spawn_blocking(move || {
            began.send(()).unwrap();
            let _ = held.recv();
        });
        begun.recv().unwrap();
        let (ended, end_seen) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            end(runtime);
            ended.send(()).unwrap();
        });
        end_seen.recv_timeout(10 * ENDS_WITHIN).unwrap();
        drop(release);
    }

    #[test]
    fn nonces_differ() {
        let (first, second) = (nonce::<8>().unwrap(), nonce::<8>().unwrap());
        assert_eq!(first.len(), 16);
        assert_ne!(first, second);
    }
}
