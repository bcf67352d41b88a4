//! The section `logging`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::amount::Checks;
use super::{masked, text};

/// Names of the components that have a log file and a level of their own.
pub const LOG_COMPONENTS: [&str; 13] = [
    "execution_service",
    "trading_bot",
    "command_service",
    "order_watcher",
    "risk_manager",
    "execution_guard",
    "dashboard",
    "recovery_service",
    "api",
    "metrics",
    "trading_activity",
    "performance",
    "general",
];

/// Logs.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingConfig {
    /// `error`, `warn`, `info`, `debug`, or a tracing filter.
    pub level: String,
    /// Levels of components: `{"execution_service": "debug"}`.
    pub levels: BTreeMap<String, String>,
    /// `text` or `json`.
    pub format: String,
    /// Days for which finished files are kept.
    pub keep_days: u32,
    /// Megabytes of one file; a full one is set aside and compressed.
    pub max_file_mb: u32,
    /// Finished files of one name that are kept.
    pub keep_files: u32,
    /// Megabytes of the whole folder.
    pub max_total_mb: u32,
    /// How often the same message is written in a minute; 0: always.
    pub sample_per_minute: u32,
    /// Lines that may wait for the disk.
    pub queue_lines: u32,
    /// Keep records in `logs.db` of the data folder as well, to be searched.
    pub database: bool,
    /// The least level of these.
    pub database_level: String,
    /// Days for which they are at hand.
    pub database_keep_days: u32,
    /// Days for which they are kept in the archive after that, counted from
    /// their own day.
    pub archive_keep_days: u32,
    /// A PostgreSQL server that gets the same records, in programs that were
    /// built for that; empty: none.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub postgres_url: SecretString,
}

impl Default for LoggingConfig {
    fn default() -> LoggingConfig {
        LoggingConfig {
            level: "info".into(),
            levels: BTreeMap::new(),
            format: "text".into(),
            keep_days: 7,
            max_file_mb: 10,
            keep_files: 10,
            max_total_mb: 500,
            sample_per_minute: 10,
            queue_lines: 10_000,
            database: true,
            database_level: "info".into(),
            database_keep_days: 30,
            archive_keep_days: 90,
            postgres_url: SecretString::default(),
        }
    }
}

impl LoggingConfig {
    pub(super) fn check(&self, checks: &mut Checks) {
        let format = self.format.as_str();
        let message = format!("expected text or json, was {format:?}");
        checks.need(matches!(format, "text" | "json"), "logging.format", message);
        checks.take("logging.level", text::level(&self.level));
        for (component, level) in &self.levels {
            let path = format!("logging.levels.{component}");
            let known = LOG_COMPONENTS.contains(&component.as_str());
            let all = LOG_COMPONENTS.join(", ");
            checks.need(known, &path, format!("is no component; these are: {all}"));
            check_level(&path, level, checks);
        }
        checks.count("logging.keep_days", self.keep_days, 1, 3650);
        let file = checks.count("logging.max_file_mb", self.max_file_mb, 1, 50);
        checks.count("logging.keep_files", self.keep_files, 1, 1000);
        let total = checks.count("logging.max_total_mb", self.max_total_mb, 10, 100_000);
        let message = format!("must be at least five files of {file} MB");
        checks.need(total >= 5 * file, "logging.max_total_mb", message);
        checks.count("logging.sample_per_minute", self.sample_per_minute, 0, 1_000_000);
        checks.count("logging.queue_lines", self.queue_lines, 100, 1_000_000);
        check_level("logging.database_level", &self.database_level, checks);
        let active = checks.count("logging.database_keep_days", self.database_keep_days, 1, 3650);
        let whole = checks.count("logging.archive_keep_days", self.archive_keep_days, 1, 3650);
        let message = format!("must be at least logging.database_keep_days, {active}");
        checks.need(whole >= active, "logging.archive_keep_days", message);
    }
}

fn check_level(path: &str, level: &str, checks: &mut Checks) {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let message = format!("expected {}, was {level:?}", LEVELS.join(", "));
    checks.need(LEVELS.contains(&level), path, message);
}
