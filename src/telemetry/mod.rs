//! Logs: one call in the code, several outputs; a log line never delays or
//! kills trading.
//!
//! | file | content |
//! | --- | --- |
//! | `system_YYYYMMDD.log` | everything of the trading service, by IST date |
//! | `auth_server.log`, `trading.log`, `bot.log` | everything of one service |
//! | `auth_server_error.log`, … | its warnings and errors |
//! | `errors.log` | errors of all |
//! | `execution_service.log`, … | one for each [`Component`], from all services |
//! | `trading_activity.log` | a line for each signal, order, fill, exit |
//! | `performance.log` | how long things took |
//!
//! # The way of a line
//!
//! 1. `layer`: the thread that logs encodes the event. `sampler` cuts off
//!    what is repeated, `queue` drops what is too much; both count.
//! 2. `writer`: one thread renders the `line`, lets `scrub` hide secrets and
//!    gives it to the `files` that want it, kept in order by `folder`.
//!
//! Every line emitted is written, sampled, dropped or lost, and counted as
//! exactly one of these: [`figures`].
//!
//! # Conventions
//!
//! A field `correlation_id`, of the event or of a span around it, ties lines
//! of one trade together across services. `event_type` says what a line is
//! about for those who query. Spans of target [`PERFORMANCE`] are timed.

mod component;
mod entry;
mod files;
mod folder;
pub mod follow;
mod last_words;
mod layer;
pub mod levels;
mod line;
#[cfg(feature = "otlp")]
pub mod otlp;
mod queue;
pub mod rows;
mod sampler;
mod scrub;
mod secrets;
mod shared;
mod stderr;
mod writer;

#[cfg(test)]
mod tests;

pub use component::{ACTIVITY, Component, PERFORMANCE};
pub use folder::{Compressed, Limits, Listed, compress, delete_old, list, rotate};
pub use last_words::complain;
pub use shared::Figures;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use secrecy::ExposeSecret as _;
use secrecy::SecretString;
use tracing::{Dispatch, Level};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::clock::Clock;
use crate::config::{Config, LoggingConfig};
use files::Files;
use folder::Janitor;
use layer::Recorder;
use levels::{Base, Levels, Overrides};
use line::Format;
use queue::{Outcome, Queue};
use sampler::Sampler;
use scrub::Scrubber;
use shared::Shared;
use stderr::Stderr;
use writer::Writer;

/// How long the end of a process waits for its last lines.
const FLUSH_AT_END: Duration = Duration::from_secs(5);

/// How long pivot-trading leaves finished files to the other services to
/// compress, since its time is for orders.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(60);

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The folder of the logs cannot be used.
    #[error("could not use the log folder {path}: check data.log_dir and its permissions")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// `logging.level` or a level of `logging.levels` is not one.
    #[error("logging.level is {level:?}; expected error, warn, info, debug or a tracing filter")]
    Level {
        /// What the configuration says.
        level: String,
    },
    /// No thread, or no search for secrets.
    #[error("could not start logging")]
    Start(#[source] std::io::Error),
}

/// Why lines that were waited for are not in their files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FlushError {
    /// The writer did not come so far in time, or has ended.
    #[error("the log lines were not written in time")]
    Late,
    /// A file did not take them; they are tried again.
    #[error("not all log files could be written: {why}")]
    Failed {
        /// Which, and what the system said.
        why: String,
    },
}

/// Logging of this process.
#[derive(Debug)]
struct Logging {
    shared: Arc<Shared>,
    /// The writer keeps them, and ends them with itself.
    rows: Weak<Vec<rows::Sink>>,
    base: Arc<Mutex<Base>>,
}

static LOGGING: OnceLock<Logging> = OnceLock::new();

/// Keeps the writing thread alive; dropping it writes what waits and ends it.
#[derive(Debug)]
pub struct Guard {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    #[cfg_attr(not(test), expect(dead_code, reason = "it cares until it is dropped"))]
    care: Option<rows::Caretaker>,
}

impl Guard {
    /// How logging of this process fares.
    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Waits until the lines so far have been written to their files.
    ///
    /// # Errors
    /// When that took longer than `within`, or a file cannot be written.
    pub fn flush(&self, within: Duration) -> Result<(), FlushError> {
        match self.shared.queue.flush(within) {
            Outcome::Written => Ok(()),
            Outcome::Failed(why) => Err(FlushError::Failed { why }),
            Outcome::Late => Err(FlushError::Late),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(thread) = self.thread.take() {
            let until = Instant::now() + FLUSH_AT_END;
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
            if !thread.is_finished() {
                complain("the last log lines and rows were not written in time");
            }
        }
    }
}

/// The limits of the log folder that the configuration sets.
pub fn limits(config: &Config) -> Limits {
    const MEGABYTE: u64 = 1_000_000;
    let logging = &config.logging;
    Limits {
        folder: PathBuf::from(&config.data.log_dir),
        file_bytes: u64::from(logging.max_file_mb) * MEGABYTE,
        files: usize::try_from(logging.keep_files).unwrap_or(usize::MAX),
        days: logging.keep_days,
        total_bytes: u64::from(logging.max_total_mb) * MEGABYTE,
    }
}

/// Sends the log lines of this process to its files, and warnings to standard
/// error. `service` is `auth`, `trading` or `bot`.
///
/// # Errors
/// When the folder cannot be used or a level is no filter.
pub fn init(
    service: &'static str,
    config: &Config,
    clock: &Clock,
) -> Result<Guard, TelemetryError> {
    let data = Path::new(&config.data.dir);
    let guard = start(service, &config.logging, limits(config), data, clock, &config.trading.mode)?;
    for secret in secrets::of(config) {
        guard.shared.scrubber.hide(&secret);
    }
    for words in config.logging.not_built() {
        tracing::warn!("{words}");
    }
    Ok(guard)
}

/// [`init`] without the rest of a configuration: for measurements.
///
/// # Errors
/// As [`init`].
pub fn start(
    service: &'static str,
    logging: &LoggingConfig,
    limits: Limits,
    data: &Path,
    clock: &Clock,
    mode: &str,
) -> Result<Guard, TelemetryError> {
    let (guard, logging, subscriber) = prepare(service, logging, limits, data, clock, mode)?;
    // A second initialisation (several services in one test process) keeps
    // the first one's outputs.
    if subscriber.try_init().is_ok() && LOGGING.set(logging).is_ok() {
        last_words::log_panics();
    }
    Ok(guard)
}

/// The outputs, and what puts lines into them.
fn prepare(
    service: &'static str,
    logging: &LoggingConfig,
    limits: Limits,
    data: &Path,
    clock: &Clock,
    mode: &str,
) -> Result<(Guard, Logging, impl Into<Dispatch>), TelemetryError> {
    let base = Base::of(logging);
    let wrong_level = |_| TelemetryError::Level { level: logging.level.clone() };
    let filter = base.filter(&Overrides::new()).map_err(wrong_level)?;
    let scrubber =
        Scrubber::new().map_err(|error| TelemetryError::Start(std::io::Error::other(error)))?;
    let limit = usize::try_from(logging.queue_lines).unwrap_or(usize::MAX);
    let queue = Queue::new(limit);
    let sampler = Sampler::new(logging.sample_per_minute);
    let shared = Arc::new(Shared::new(service, clock.clone(), queue, sampler, scrubber));
    let (filter, handle) = reload::Layer::new(filter);
    let base = Arc::new(Mutex::new(base));
    let levels = Levels::new(Arc::clone(&base), handle, data);
    let format = if logging.format == "json" { Format::Json } else { Format::Text };
    let folder = limits.folder.clone();
    let rows = sinks(&shared, logging, &limits, data, mode).map_err(TelemetryError::Start)?;
    let rows = Arc::new(rows);
    let weak_rows = Arc::downgrade(&rows);
    let rows_level = logging.database_level.parse().unwrap_or(Level::INFO);
    let leave = if service == "trading" { LEFT_TO_OTHERS } else { Duration::ZERO };
    let janitor =
        Janitor::start(limits.clone(), clock.clone(), leave).map_err(TelemetryError::Start)?;
    let stderr = Stderr::start().map_err(TelemetryError::Start)?;
    let files = Files::new(Arc::clone(&shared), limits, janitor);
    let rows = (rows, rows_level);
    let mut writer = Writer::new(Arc::clone(&shared), files, format, levels, stderr, rows);
    writer.begin(mode).map_err(|source| TelemetryError::Folder { path: folder, source })?;
    let thread = std::thread::Builder::new()
        .name(writer::THREAD.into())
        .spawn(move || writer.run())
        .map_err(TelemetryError::Start)?;
    let recorder = Recorder { shared: Arc::clone(&shared) };
    let subscriber = Registry::default().with(filter).with(recorder);
    let care = caretaker(&shared, logging, data).map_err(TelemetryError::Start)?;
    let logging = Logging { shared: Arc::clone(&shared), rows: weak_rows, base };
    Ok((Guard { shared, thread: Some(thread), care }, logging, subscriber))
}

/// Where records go besides the files. The local database is the first.
fn sinks(
    shared: &Arc<Shared>,
    logging: &LoggingConfig,
    limits: &Limits,
    data: &Path,
    #[cfg_attr(not(feature = "otlp"), expect(unused_variables))] mode: &str,
) -> std::io::Result<Vec<rows::Sink>> {
    let (service, clock) = (shared.service, &shared.clock);
    let mut sinks = Vec::new();
    if logging.database {
        sinks.push(rows_sink(service, logging, limits, data, clock)?);
    }
    #[cfg(feature = "postgres")]
    if !logging.postgres_url.expose_secret().is_empty() {
        let backend = rows::PostgresBackend::new(logging.postgres_url.clone())?;
        let options = rows::Options { complain, ..rows::Options::in_memory(service, clock) };
        sinks.push(rows::Sink::start(options, backend)?);
    }
    #[cfg(feature = "otlp")]
    if !logging.otlp_endpoint.is_empty() {
        let headers = logging.otlp_headers().map_err(std::io::Error::other)?;
        let resource = otlp::Resource::of_this_process(service, mode);
        let lines = Arc::clone(shared);
        let collector = otlp::Collector { endpoint: logging.otlp_endpoint.clone(), headers };
        let backend = otlp::OtlpBackend::new(collector, resource, clock, move || lines.figures())?;
        let mut options = rows::Options::in_memory(service, clock);
        (options.is_database, options.complain) = (false, complain);
        sinks.push(rows::Sink::start(options, backend)?);
    }
    Ok(sinks)
}

/// Sees to the local database, in the services that are not on the way of an
/// order: pivot-bot, and pivot-auth while that is away.
fn caretaker(
    shared: &Arc<Shared>,
    logging: &LoggingConfig,
    data: &Path,
) -> std::io::Result<Option<rows::Caretaker>> {
    let service = shared.service;
    if !logging.database || !matches!(service, "bot" | "auth") {
        return Ok(None);
    }
    let figures = Arc::clone(shared);
    let count = move |rows| figures.count_pruned(rows);
    let room = rows::Room::of_megabytes(logging.database_max_mb);
    let path = data.join(rows::FILE_NAME);
    rows::Caretaker::start(path, room, service != "bot", count).map(Some)
}

fn rows_sink(
    service: &'static str,
    logging: &LoggingConfig,
    limits: &Limits,
    data: &Path,
    clock: &Clock,
) -> std::io::Result<rows::Sink> {
    let fallback = limits.folder.join(format!("{service}_fallback.jsonl"));
    let mut options = rows::Options::new(service, fallback, clock);
    options.complain = complain;
    let room = rows::Room::of_megabytes(logging.database_max_mb);
    // It counts for the limit of the folder, and nothing else makes room for it.
    let bytes_max = options.fallback_bytes_max.min(limits.total_bytes / 50);
    options.fallback_bytes_max = bytes_max.min(room.shelf_bytes());
    let backend = rows::SqliteBackend::new(&data.join(rows::FILE_NAME), clock).within(room);
    rows::Sink::start(options, backend)
}

/// How logging of this process fares; `None` before [`init`].
pub fn figures() -> Option<Figures> {
    LOGGING.get().map(|logging| logging.shared.figures())
}

/// From now on no line of this process shows this text.
pub fn hide(secret: &SecretString) {
    if let Some(logging) = LOGGING.get() {
        logging.shared.scrubber.hide(secret);
    }
}

/// Takes the levels of a configuration that was read again. They hold within
/// a second.
pub fn reload(logging: &LoggingConfig) {
    if let Some(running) = LOGGING.get() {
        *running.base.lock().unwrap_or_else(PoisonError::into_inner) = Base::of(logging);
    }
}
