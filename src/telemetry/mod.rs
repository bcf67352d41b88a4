//! Logs: one call in the code, several outputs; a log line never delays
//! trading.
//!
//! | file | content |
//! | --- | --- |
//! | `system_YYYYMMDD.log` | everything of the trading service, by IST date |
//! | `auth_server.log`, `trading.log`, `bot.log` | one for each service |
//!
//! Lines go through a bounded queue to a thread of their own; when the queue
//! is full, lines are dropped and counted rather than waited for. Each file
//! begins with a header that names the mode. Files of a date are deleted once
//! they are older than `logging.keep_days`.

mod files;

pub use files::delete_old_logs;

use std::path::PathBuf;

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::clock::Clock;
use crate::config::Config;
use crate::market::time::IST;
use files::ServiceFiles;

/// Lines that may wait for the disk.
const QUEUE_LINES: usize = 10_000;

/// Noise of libraries that is never wanted below a warning.
const QUIET: &str = "hyper=warn,h2=warn,reqwest=warn,rustls=warn,tungstenite=warn,teloxide=warn,\
                     teloxide_core=warn,tokio_cron_scheduler=warn";

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
    /// `logging.level` is not a filter.
    #[error("logging.level is {level:?}; expected error, warn, info, debug or a tracing filter")]
    Level {
        /// What the configuration says.
        level: String,
    },
}

/// Keeps the writing thread alive; dropping it flushes.
#[derive(Debug)]
pub struct Guard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
}

impl Guard {
    /// Lines dropped so far because the queue was full.
    pub fn dropped_lines(&self) -> usize {
        self.dropped.dropped_lines()
    }
}

/// Sends the log lines of this process to its files, and warnings to standard
/// error. `service` is `auth`, `trading` or `bot`.
///
/// # Errors
/// When the folder cannot be used or the level is no filter.
pub fn init(service: &str, config: &Config, clock: &Clock) -> Result<Guard, TelemetryError> {
    let folder = PathBuf::from(&config.data.log_dir);
    let files = ServiceFiles::open(&folder, service, &config.trading.mode, clock)
        .map_err(|source| TelemetryError::Folder { path: folder, source })?;
    let (writer, worker) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE_LINES).finish(files);
    let dropped = writer.error_counter();
    let level = &config.logging.level;
    let filter = EnvFilter::try_new(format!("{level},{QUIET}"))
        .map_err(|_| TelemetryError::Level { level: level.clone() })?;
    let time = MarketTime { clock: clock.clone() };
    let to_files = lines(writer, time.clone(), config.logging.format == "json").with_filter(filter);
    let to_stderr = lines(std::io::stderr, time, false)
        .with_filter(tracing_subscriber::filter::LevelFilter::WARN);
    // A second initialisation (several services in one test process) keeps
    // the first one's outputs.
    let _ = Registry::default().with(vec![to_files.boxed(), to_stderr.boxed()]).try_init();
    Ok(Guard { _worker: worker, dropped })
}

fn lines<W>(writer: W, time: MarketTime, json: bool) -> Box<dyn Layer<Registry> + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_timer(time)
        .with_ansi(false)
        .with_target(true);
    if json { layer.json().boxed() } else { layer.boxed() }
}

/// Stamps lines with market time, in IST with offset.
#[derive(Debug, Clone)]
struct MarketTime {
    clock: Clock,
}

impl FormatTime for MarketTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        let now = self.clock.now().with_timezone(&IST);
        write!(writer, "{}", now.format("%Y-%m-%dT%H:%M:%S%.3f%:z"))
    }
}
