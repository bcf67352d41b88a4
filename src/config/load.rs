//! Reads the file, lays credentials and environment over it, and tells all
//! mistakes together.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::amount::Checks;
use super::error::{ConfigError, Problem};
use super::schema::{json_schema, keys, properties};
use super::{Config, parameters, text, twice};
use crate::engine::Mode;
use crate::engine::notice::NoticeKind;
use crate::engine::strategy::parameters::nearest;

/// Credentials of systemd (`LoadCredential=`) and the key that each sets.
const CREDENTIALS: [(&str, &str); 6] = [
    ("api_key", "api_key"),
    ("api_secret", "api_secret"),
    ("telegram_token", "telegram_token"),
    ("telegram_chat_id", "telegram_chat_id"),
    ("api_token", "auth.api_token"),
    ("webhook_url", "health.webhook_url"),
];

/// Kinds of messages that are pivot-bot's own and not the engine's.
const OWN_KINDS: [&str; 1] = ["health"];

/// Keys that were, or are elsewhere, and where they are now.
const MOVED: [(&str, &str); 4] = [
    ("mode", "trading.mode"),
    ("capital", "risk_management.capital"),
    ("telegram.chat_id", "telegram_chat_id"),
    ("telegram.token", "telegram_token"),
];

/// Where values beside the file come from.
struct Sources<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    credentials: Option<PathBuf>,
}

impl Config {
    /// Reads and checks a configuration. Environment and systemd credentials
    /// overrule the file.
    ///
    /// # Errors
    /// When the file cannot be read, is not JSON, is readable by everyone in
    /// live mode, or has unknown keys or unusable values: all of them.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        let env = |name: &str| std::env::var(name).ok();
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        load_from(path, &Sources { env: &env, credentials })
    }

    /// Reads and checks a configuration's text, without environment.
    ///
    /// # Errors
    /// As [`Config::load`]. The file is named `config.json` in errors.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        from_text(Path::new("config.json"), text, &Sources { env: &|_| None, credentials: None })
    }
}

fn load_from(path: &Path, sources: &Sources<'_>) -> Result<Config, ConfigError> {
    let unread = |source| ConfigError::Read { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(unread)?;
    let config = from_text(path, &text, sources)?;
    if config.mode()? == Mode::Live {
        let mode = std::fs::metadata(path).map_err(unread)?.permissions().mode() & 0o777;
        if mode & 0o007 != 0 {
            return Err(ConfigError::WorldReadable { path: path.to_owned(), mode });
        }
    }
    Ok(config)
}

fn from_text(path: &Path, text: &str, sources: &Sources<'_>) -> Result<Config, ConfigError> {
    let mut value: Value = serde_json::from_str(text)
        .map_err(|source| ConfigError::NotJson { path: path.to_owned(), source })?;
    if !value.is_object() {
        return Err(Problem::new("(file)", "expected a JSON object").into());
    }
    let mut problems = twice::keys(text);
    problems.extend(unknown_keys(&value));
    overlay_credentials(&mut value, sources)?;
    overlay_environment(&mut value, sources);
    problems.extend(wrong_values(&value));
    if !problems.is_empty() {
        return Err(ConfigError::Invalid { problems });
    }
    let config: Config = serde_path_to_error::deserialize(value).map_err(|error| {
        ConfigError::from(Problem::new(json_path(error.path()), unquoted(error.inner())))
    })?;
    let mut checks = Checks::default();
    config.resolve(&mut checks);
    config.check(&mut checks);
    if checks.problems.is_empty() {
        Ok(config)
    } else {
        Err(ConfigError::Invalid { problems: checks.problems })
    }
}

/// Keys of the file that nothing reads.
fn unknown_keys(value: &Value) -> Vec<Problem> {
    let schema = json_schema();
    let mut problems = Vec::new();
    let Some(object) = value.as_object() else { return problems };
    note_unknown(&schema, &schema, object, "", &mut problems);
    problems
}

fn note_unknown(
    root: &Value,
    node: &Value,
    object: &Map<String, Value>,
    path: &str,
    problems: &mut Vec<Problem>,
) {
    let known: Vec<(&String, &Value)> = properties(root, node).collect();
    let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
    for (name, value) in object {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some((_, property)) = known.iter().find(|(known, _)| *known == name) else {
            let moved = MOVED.iter().find(|(old, _)| *old == path);
            let hint = match moved {
                Some((_, now)) => format!("; did you mean {now:?}?"),
                None => suggestion(name, &names),
            };
            problems.push(Problem::new(path, format!("there is no such key{hint}")));
            continue;
        };
        // Parameters are judged by the strategy that takes them.
        let is_section = path != parameters::PATH && properties(root, property).next().is_some();
        match value.as_object() {
            Some(inner) if is_section => note_unknown(root, property, inner, &path, problems),
            None if is_section => {
                problems.push(Problem::new(path, "expected a section in braces: { … }"));
            }
            Some(_) | None => {}
        }
    }
}

/// `; did you mean "max_daily_loss"?` when something is near enough.
fn suggestion(name: &str, known: &[&str]) -> String {
    nearest(&name.to_lowercase(), known.iter().copied())
        .map(|near| format!("; did you mean {near:?}?"))
        .unwrap_or_default()
}

/// Tries each value by itself, so that one mistake does not hide the others.
fn wrong_values(value: &Value) -> Vec<Problem> {
    let schema = json_schema();
    let is_section = |name: &str| {
        properties(&schema, &schema).any(|(known, property)| {
            known == name && properties(&schema, property).next().is_some()
        })
    };
    let mut problems = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value.as_object() {
            // Told already, with the rest of the shape.
            None if is_section(name) => {}
            Some(inner) => {
                for (field, value) in inner {
                    let part = Value::Object(Map::from_iter([(field.clone(), value.clone())]));
                    problems.extend(wrong(Value::Object(Map::from_iter([(name.clone(), part)]))));
                }
            }
            None => {
                let part = Map::from_iter([(name.clone(), value.clone())]);
                problems.extend(wrong(Value::Object(part)));
            }
        }
    }
    problems
}

fn wrong(part: Value) -> Option<Problem> {
    let error = serde_path_to_error::deserialize::<_, Config>(part).err()?;
    // Told already, with a better hint.
    if error.inner().to_string().starts_with("unknown field") {
        return None;
    }
    Some(Problem::new(json_path(error.path()), unquoted(error.inner())))
}

/// What was expected, without the value: it may be a secret that stands in
/// the wrong place.
fn unquoted(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let kind = [
        ("invalid type: string", "text"),
        ("invalid type: boolean", "true or false"),
        ("invalid type: null", "null"),
        ("invalid type: map", "a section"),
        ("invalid type: sequence", "a list"),
        ("invalid type: integer", "a number"),
        ("invalid type: floating point", "a number"),
        ("invalid value: integer", "a number out of its range"),
        ("unknown variant", "another word"),
    ];
    let kind = kind.into_iter().find(|(begin, _)| message.starts_with(begin));
    let was = kind.map_or("something else", |(_, kind)| kind);
    let expected = match message.rsplit_once(", expected ") {
        Some((_, "a string")) => "text in quotes",
        Some((_, "a boolean")) => "true or false",
        Some((_, "a sequence")) => "a list",
        Some((_, "i64")) => "a whole number",
        Some((_, "u32" | "u64")) => "a whole number, 0 or more",
        Some((_, "f64")) => "a number",
        Some((_, other)) => other,
        None => "another kind of value",
    };
    format!("expected {expected}, was {was}")
}

/// `trading.allow_live[0]`; a dot alone stands for the whole.
fn json_path(path: &serde_path_to_error::Path) -> String {
    path.to_string().trim_start_matches('.').to_string()
}

fn overlay_credentials(value: &mut Value, sources: &Sources<'_>) -> Result<(), ConfigError> {
    let Some(folder) = &sources.credentials else { return Ok(()) };
    for (name, key) in CREDENTIALS {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => set(value, key, text.trim()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(ConfigError::ReadCredential { path, source }),
        }
    }
    Ok(())
}

fn overlay_environment(value: &mut Value, sources: &Sources<'_>) {
    for key in keys() {
        if let Some(text) = key.env().and_then(|name| (sources.env)(&name)) {
            set(value, &key.path, &text);
        }
    }
}

/// Sets a key of at most two steps to a text, or to the number or truth value
/// that the text is, when the key is of that kind.
fn set(value: &mut Value, path: &str, text: &str) {
    let kind = keys().into_iter().find(|key| key.path == path).map(|key| key.kind);
    let new = match kind.as_deref() {
        Some("string") | None => Value::from(text),
        Some(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::from(text)),
    };
    let Some(object) = value.as_object_mut() else { return };
    match path.split_once('.') {
        None => {
            object.insert(path.to_string(), new);
        }
        Some((section, name)) => {
            let section = object.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Some(section) = section.as_object_mut() {
                section.insert(name.to_string(), new);
            }
        }
    }
}

impl Config {
    /// What [`Config::settings`] does not look at.
    fn check(&self, checks: &mut Checks) {
        if matches!(Mode::parse(&self.trading.mode), Some(Mode::Paper | Mode::Live)) {
            self.check_credentials(checks);
        }
        for (path, url, schemes) in [
            ("kite.base_url", &self.kite.base_url, ["http", "https"]),
            ("kite.login_url", &self.kite.login_url, ["http", "https"]),
            ("kite.ticker_url", &self.kite.ticker_url, ["ws", "wss"]),
            ("telegram.api_url", &self.telegram.api_url, ["http", "https"]),
            ("auth.redirect_url", &self.auth.redirect_url, ["http", "https"]),
        ] {
            checks.take(path, text::address(url, schemes));
        }
        checks.need(
            self.auth.listen.parse::<std::net::SocketAddr>().is_ok(),
            "auth.listen",
            format!(
                "expected an address and port such as 127.0.0.1:8001, was {:?}",
                self.auth.listen
            ),
        );
        for date in &self.market.extra_holidays {
            let message = format!("expected dates such as 2026-11-24, was {date:?}");
            let parsed = NaiveDate::parse_from_str(date, "%Y-%m-%d");
            checks.need(parsed.is_ok(), "market.extra_holidays", message);
        }
        checks.need(
            [1, 3, 5, 10, 15].contains(&self.market.candle_minutes),
            "market.candle_minutes",
            format!("expected 1, 3, 5, 10 or 15, was {}", self.market.candle_minutes),
        );
        checks.count("market.candle_grace_ms", self.market.candle_grace_ms, 0, 30_000);
        checks.count("kite.timeout_s", self.kite.timeout_s, 1, 60);
        checks.count("telegram.max_command_age_s", self.telegram.max_command_age_s, 5, 3600);
        self.logging.check(checks);
        checks.need(!self.data.dir.is_empty(), "data.dir", "must not be empty");
        checks.need(!self.data.log_dir.is_empty(), "data.log_dir", "must not be empty");
        self.backup(checks);
        self.reminders(checks);
        self.check_notifications(checks);
        self.check_health(checks);
    }

    fn check_health(&self, checks: &mut Checks) {
        let health = &self.health;
        for (name, warning, critical) in [
            ("cpu", health.cpu_warning_pct, health.cpu_critical_pct),
            ("memory", health.memory_warning_pct, health.memory_critical_pct),
            ("disk", health.disk_warning_pct, health.disk_critical_pct),
        ] {
            let at = |level: &str| format!("health.{name}_{level}_pct");
            checks.count(&at("warning"), warning, 1, 100);
            checks.count(&at("critical"), critical, 1, 100);
            let message = format!("must not be below {}, {warning}", at("warning"));
            checks.need(warning <= critical, &at("critical"), message);
        }
        checks.count("health.database_warning_mb", health.database_warning_mb, 1, 1_000_000);
        checks.count("health.errors_per_minute", health.errors_per_minute, 1, 100_000);
        checks.count("health.warnings_per_minute", health.warnings_per_minute, 1, 100_000);
        let patterns = &health.patterns;
        checks.need(patterns.len() <= 50, "health.patterns", "expected at most 50 texts");
        let blank = patterns.iter().any(|pattern| pattern.trim().is_empty());
        checks.need(!blank, "health.patterns", "an empty text occurs in every line");
        let webhook = health.webhook_url.expose_secret();
        // The address may hold a token: it is not repeated.
        let known = webhook.is_empty() || text::address(webhook, ["http", "https"]).is_ok();
        checks.need(known, "health.webhook_url", "expected an address with https://");
    }

    fn check_credentials(&self, checks: &mut Checks) {
        let mode = &self.trading.mode;
        let secret = |value: &secrecy::SecretString| !value.expose_secret().is_empty();
        for (path, there) in [
            ("api_key", !self.api_key.is_empty()),
            ("api_secret", secret(&self.api_secret)),
            ("telegram_token", secret(&self.telegram_token)),
            ("telegram_chat_id", self.telegram_chat_id != 0),
        ] {
            checks.need(there, path, format!("{mode} mode needs it"));
        }
    }

    fn check_notifications(&self, checks: &mut Checks) {
        let kinds = NoticeKind::ALL.map(NoticeKind::as_str);
        let kinds: Vec<&str> = kinds.into_iter().chain(OWN_KINDS).collect();
        for name in self.notifications.keys() {
            let hint = suggestion(name, &kinds);
            let message = format!("there is no such kind of message{hint}");
            checks.need(kinds.contains(&name.as_str()), &format!("notifications.{name}"), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn environment_beats_credentials_and_they_beat_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("api_secret", "from-credential\n");
        write("api_token", "door\n");
        write("telegram_chat_id", "-1001\n");
        let env = |name: &str| match name {
            "PIVOT_API_KEY" => Some("from-env".to_string()),
            "PIVOT_TRADING_MAX_LOTS" => Some("2".to_string()),
            "PIVOT_RISK_MANAGEMENT_MAX_DAILY_LOSS" => Some("4000.50".to_string()),
            "PIVOT_TRADING_REQUIRE_ARM" => Some("false".to_string()),
            _ => None,
        };
        let sources = Sources { env: &env, credentials: Some(folder.path().to_owned()) };
        let text = r#"{"api_key": "file", "api_secret": "file"}"#;
        let config = from_text(Path::new("c"), text, &sources).unwrap();
        assert_eq!(config.api_key, "from-env");
        assert_eq!(config.api_secret.expose_secret(), "from-credential");
        assert_eq!(config.auth.api_token.expose_secret(), "door");
        assert_eq!(config.telegram_chat_id, -1001);
        let settings = config.settings().unwrap();
        assert_eq!(settings.risk.max_lots, 2);
        assert_eq!(settings.risk.max_daily_loss.paise(), 400_050);
        assert!(!settings.risk.require_arm);
    }
}
