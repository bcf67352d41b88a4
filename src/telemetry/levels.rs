//! Which lines are written: by the configuration, and by what an operator
//! changed while the services run.
//!
//! `pivotctl logs level` leaves its wishes in `<data>/log-levels.json`; each
//! process looks at the file twice a second, so that no signal and no rights
//! over other people's processes are needed. SIGHUP reads the configuration
//! again.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::{Registry, reload};

use super::component::{ACTIVITY, Component, PERFORMANCE};
use crate::config::LoggingConfig;
use crate::market::Timestamp;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "log-levels.json";

/// Stands for everything that has no level of its own.
pub const ALL: &str = "all";

/// Noise of libraries that is never wanted below a warning.
const QUIET: &str = "hyper=warn,h2=warn,reqwest=warn,rustls=warn,tungstenite=warn,teloxide=warn,\
                     teloxide_core=warn,tokio_cron_scheduler=warn";

/// A level that an operator asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// `error`, `warn`, `info`, `debug`, `trace`.
    pub level: String,
    /// When it ends; not set: when it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Levels by component; [`ALL`] for what has none of its own.
pub type Overrides = BTreeMap<String, Override>;

/// What operators asked for; nothing when the file is not there.
///
/// # Errors
/// When the file cannot be read or is not what was written.
pub fn read_overrides(data: &Path) -> io::Result<Overrides> {
    match fs::read_to_string(data.join(FILE_NAME)) {
        Ok(text) => serde_json::from_str(&text).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Overrides::new()),
        Err(error) => Err(error),
    }
}

/// Puts these in place of what was asked for before.
///
/// # Errors
/// When the file cannot be written.
pub fn write_overrides(data: &Path, overrides: &Overrides) -> io::Result<()> {
    let half = data.join(format!("{FILE_NAME}.{}", std::process::id()));
    let text = serde_json::to_string_pretty(overrides).map_err(io::Error::other)?;
    fs::write(&half, text)?;
    fs::rename(&half, data.join(FILE_NAME))
}

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    level: String,
    levels: BTreeMap<String, String>,
}

impl Base {
    pub(super) fn of(config: &LoggingConfig) -> Base {
        Base { level: config.level.clone(), levels: config.levels.clone() }
    }

    /// The filter, with what operators asked for.
    pub(super) fn filter(&self, overrides: &Overrides) -> Result<EnvFilter, ParseError> {
        EnvFilter::try_new(self.directives(overrides))
    }

    fn directives(&self, overrides: &Overrides) -> String {
        let wish = |name: &str| overrides.get(name).map(|wish| wish.level.as_str());
        let base = wish(ALL).unwrap_or(&self.level);
        let bare = base.split(',').map(str::trim).find(|part| !part.contains('='));
        let default = bare.unwrap_or("error");
        let level = |component: Component| {
            let name = component.as_str();
            wish(name).or_else(|| self.levels.get(name).map(String::as_str))
        };
        let mut parts = vec![base.to_string(), QUIET.to_string()];
        // Facts about trades and timings do not depend on the noise around.
        parts.extend([ACTIVITY, PERFORMANCE].map(|target| format!("{target}=info")));
        for component in Component::ALL {
            let Some(level) = level(component) else { continue };
            for module in component.modules() {
                parts.push(format!("{module}={level}"));
            }
        }
        // Inside of a module with a level, others keep theirs.
        for other in Component::ALL.into_iter().filter(|other| level(*other).is_none()) {
            let within = |module: &str| {
                Component::ALL
                    .into_iter()
                    .filter(|it| level(*it).is_some())
                    .any(|it| it.modules().any(|outer| module.starts_with(&format!("{outer}::"))))
            };
            let inner = other.modules().filter(|module| within(module));
            parts.extend(inner.map(|module| format!("{module}={default}")));
        }
        parts.join(",")
    }
}

/// Keeps the filter of this process in step.
#[derive(Debug)]
pub(super) struct Levels {
    base: Arc<Mutex<Base>>,
    handle: reload::Handle<EnvFilter, Registry>,
    data: PathBuf,
    seen: Option<(u64, i64, i64)>,
    applied: (Base, Overrides),
}

impl Levels {
    pub(super) fn new(
        base: Arc<Mutex<Base>>,
        handle: reload::Handle<EnvFilter, Registry>,
        data: &Path,
    ) -> Levels {
        let applied =
            (base.lock().unwrap_or_else(PoisonError::into_inner).clone(), Overrides::new());
        Levels { base, handle, data: data.to_owned(), seen: None, applied }
    }

    /// Looks whether something changed; what is said about it.
    pub(super) fn refresh(&mut self, now: Timestamp) -> Option<String> {
        let meta = fs::metadata(self.data.join(FILE_NAME)).ok();
        let stamp = meta.map(|meta| (meta.ino(), meta.mtime(), meta.mtime_nsec()));
        let base = self.base.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ends = |wish: &Override| wish.until.is_some_and(|until| until <= now);
        let ended = self.applied.1.values().any(ends);
        if stamp == self.seen && base == self.applied.0 && !ended {
            return None;
        }
        self.seen = stamp;
        let mut overrides = match read_overrides(&self.data) {
            Ok(overrides) => overrides,
            Err(error) => return Some(format!("{FILE_NAME} is not followed: {error}")),
        };
        overrides.retain(|_, wish| !ends(wish));
        if (&base, &overrides) == (&self.applied.0, &self.applied.1) {
            return None;
        }
        let filter = match base.filter(&overrides) {
            Ok(filter) => filter,
            Err(error) => return Some(format!("the log levels stay as they are: {error}")),
        };
        if let Err(error) = self.handle.reload(filter) {
            return Some(format!("the log levels stay as they are: {error}"));
        }
        let wishes: Vec<String> =
            overrides.iter().map(|(name, wish)| format!("{name}={}", wish.level)).collect();
        let wishes = if wishes.is_empty() { "none".to_string() } else { wishes.join(" ") };
        let message = format!("log levels: {}, asked for: {wishes}", base.level);
        self.applied = (base, overrides);
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(levels: &[(&str, &str)]) -> Base {
        let levels = levels.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect();
        Base { level: "info".into(), levels }
    }

    fn wish(level: &str) -> Override {
        Override { level: level.into(), until: None }
    }

    #[test]
    fn a_level_holds_for_its_component_alone() {
        let base = base(&[("trading_bot", "debug")]);
        let text = base.directives(&Overrides::new());
        assert!(text.starts_with("info,"), "{text}");
        assert!(text.contains(",pivot_trading::trading=debug"), "{text}");
        assert!(text.contains(",pivot_trading::trading::executor=info"), "{text}");
        assert!(!text.contains("kite::ticker="), "{text}");
        base.filter(&Overrides::new()).unwrap();
    }

    #[test]
    fn wishes_come_before_the_configuration() {
        let base = base(&[("api", "debug")]);
        let wishes = Overrides::from([("api".into(), wish("warn")), (ALL.into(), wish("error"))]);
        let text = base.directives(&wishes);
        assert!(text.starts_with("error,") && text.contains("pivot_trading::web=warn"), "{text}");
    }

    #[test]
    fn wishes_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read_overrides(folder.path()).unwrap().is_empty());
        let until = chrono::DateTime::from_timestamp(1_795_000_000, 0);
        let wishes = Overrides::from([("api".into(), Override { level: "debug".into(), until })]);
        write_overrides(folder.path(), &wishes).unwrap();
        assert_eq!(read_overrides(folder.path()).unwrap(), wishes);
        fs::write(folder.path().join(FILE_NAME), "{").unwrap();
        assert!(read_overrides(folder.path()).is_err());
    }

    #[test]
    fn changes_are_found_and_end_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let base = base(&[]);
        let (layer, handle) = reload::Layer::new(base.filter(&Overrides::new()).unwrap());
        let mut levels = Levels::new(Arc::new(Mutex::new(base)), handle, folder.path());
        let now = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        assert_eq!(levels.refresh(now), None);
        let until = Some(now + chrono::TimeDelta::seconds(60));
        let wishes = Overrides::from([("api".into(), Override { level: "debug".into(), until })]);
        write_overrides(folder.path(), &wishes).unwrap();
        let said = levels.refresh(now).unwrap();
        assert!(said.ends_with("asked for: api=debug"), "{said}");
        assert_eq!(levels.refresh(now), None);
        let said = levels.refresh(now + chrono::TimeDelta::seconds(60)).unwrap();
        assert!(said.ends_with("asked for: none"), "{said}");
        drop(layer);
    }
}
