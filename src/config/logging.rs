//! The section `logging`.

use std::collections::BTreeMap;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
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
    /// Megabytes of `logs.db`, its archive and what waits for it, together; the
    /// oldest records give way.
    pub database_max_mb: u32,
    /// A PostgreSQL server that gets the same records, in programs that were
    /// built for that; empty: none.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub postgres_url: SecretString,
    /// An OpenTelemetry collector that gets logs, spans and figures by
    /// OTLP/HTTP, such as `http://127.0.0.1:4318`, in programs that were built
    /// for that; empty: none.
    pub otlp_endpoint: String,
    /// Headers for the collector, such as `Authorization=Bearer TOKEN`;
    /// several with commas between them.
    #[schemars(with = "String")]
    #[serde(serialize_with = "masked")]
    pub otlp_headers: SecretString,
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
            database_max_mb: 1_000,
            postgres_url: SecretString::default(),
            otlp_endpoint: String::new(),
            otlp_headers: SecretString::default(),
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
        checks.count("logging.database_max_mb", self.database_max_mb, 50, 1_000_000);
        if !self.otlp_endpoint.is_empty() {
            checks.take("logging.otlp_endpoint", collector(&self.otlp_endpoint));
        }
        checks.take("logging.otlp_headers", self.otlp_headers().map(drop));
    }

    /// Names and values of the headers for the collector.
    ///
    /// # Errors
    /// When they are not `Name=Value`, with commas between them; the text says
    /// so without repeating a value.
    pub fn otlp_headers(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        let text = self.otlp_headers.expose_secret();
        let pairs = text.split(',').filter(|_| !text.is_empty());
        for (position, pair) in pairs.enumerate() {
            let wrong = |why: &str| format!("expected Name=Value; number {}: {why}", position + 1);
            let (name, value) = pair.split_once('=').ok_or_else(|| wrong("it has no ="))?;
            let name = HeaderName::try_from(name.trim()).map_err(|_| wrong("no name of a header"));
            let value = HeaderValue::try_from(value.trim());
            let mut value = value.map_err(|_| wrong("no value of a header"))?;
            value.set_sensitive(true);
            headers.append(name?, value);
        }
        Ok(headers)
    }

    /// Keys that are set, but that the program was built without: what it
    /// cannot do, for people.
    pub fn not_built(&self) -> Vec<&'static str> {
        let mut told = Vec::new();
        if !cfg!(feature = "postgres") && !self.postgres_url.expose_secret().is_empty() {
            told.push("logging.postgres_url is set, but this program was built without postgres");
        }
        if !cfg!(feature = "otlp") && !self.otlp_endpoint.is_empty() {
            told.push("logging.otlp_endpoint is set, but this program was built without otlp");
        }
        told
    }
}

/// The address of a collector; credentials in it would not be secret.
fn collector(endpoint: &str) -> Result<(), String> {
    let parsed = Url::parse(endpoint).ok();
    if parsed.is_some_and(|url| !url.username().is_empty() || url.password().is_some()) {
        return Err("must not hold a name or password: use logging.otlp_headers".into());
    }
    text::address(endpoint, ["http", "https"])?;
    match endpoint.contains(['?', '#']) {
        true => Err("must be an address without ? and #: /v1/logs is appended to it".into()),
        false => Ok(()),
    }
}

fn check_level(path: &str, level: &str, checks: &mut Checks) {
    const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    let message = format!("expected {}, was {level:?}", LEVELS.join(", "));
    checks.need(LEVELS.contains(&level), path, message);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn with(endpoint: &str, headers: &str) -> Result<Config, String> {
        let logging = serde_json::json!({"otlp_endpoint": endpoint, "otlp_headers": headers});
        let text = serde_json::json!({ "logging": logging }).to_string();
        Config::parse(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_collector_is_an_address_and_headers() {
        let config = with("https://otel.example:4318/x", "Authorization=Basic YTpi==, X-Team=one");
        let headers = config.unwrap().logging.otlp_headers().unwrap();
        assert_eq!(headers["authorization"], "Basic YTpi==");
        assert_eq!(headers["x-team"], "one");
        assert!(with("", "").unwrap().logging.otlp_headers().unwrap().is_empty());
        for (endpoint, headers, wanted) in [
            ("otel:4318", "", "logging.otlp_endpoint: expected an address"),
            ("http://me:hunter2@otel", "", "logging.otlp_endpoint: must not hold"),
            ("http://otel/?key=hunter2", "", "logging.otlp_endpoint: must be an address without"),
            ("http://otel", "hunter2", "logging.otlp_headers: expected Name=Value; number 1"),
            ("http://otel", "a=1,b c=hunter2", "number 2: no name of a header"),
            ("http://otel", "a=hunter2\nb", "number 1: no value of a header"),
        ] {
            let said = with(endpoint, headers).unwrap_err();
            assert!(said.contains(wanted), "{said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn what_a_program_was_built_without_is_told() {
        let mut logging = with("http://otel:4318", "").unwrap().logging;
        let told = |logging: &LoggingConfig, key: &str| {
            logging.not_built().iter().any(|words| words.starts_with(key))
        };
        assert_eq!(told(&logging, "logging.otlp_endpoint is set"), !cfg!(feature = "otlp"));
        logging.otlp_endpoint.clear();
        logging.postgres_url = "postgresql://127.0.0.1/logs".into();
        assert!(!told(&logging, "logging.otlp_endpoint"));
        assert_eq!(told(&logging, "logging.postgres_url is set"), !cfg!(feature = "postgres"));
    }

    #[test]
    fn headers_are_masked() {
        let config = with("http://otel:4318", "Authorization=Bearer hunter2").unwrap();
        let shown = serde_json::to_string(&config).unwrap() + &format!("{config:?}");
        assert!(shown.contains("\"otlp_headers\":\"***\"") && !shown.contains("hunter2"));
    }
}
