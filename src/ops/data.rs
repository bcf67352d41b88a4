//! What subcommands that read the database share: where it is, which day is
//! meant.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::NaiveDate;
use serde_json::Value;

use crate::clock::Clock;
use crate::config::Config;
use crate::journal;
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::store::{Role, Store};

/// Where the configuration is looked for when nobody says where it is.
const CONFIG_HERE: &str = "config.json";
const CONFIG_INSTALLED: &str = "/etc/pivot-trading/config.json";
const FOLDER_DEFAULT: &str = "data";
/// Environment variable of the key `data.dir`.
const FOLDER_ENV: &str = "PIVOT_DATA_DIR";
const LOG_FOLDER_DEFAULT: &str = "logs";
/// Environment variable of the key `data.log_dir`.
const LOG_FOLDER_ENV: &str = "PIVOT_DATA_LOG_DIR";

/// The configuration in this folder, else the installed one.
pub(super) fn usual_config() -> PathBuf {
    let (here, installed) = (Path::new(CONFIG_HERE), Path::new(CONFIG_INSTALLED));
    // Its folder is looked for: who may not look into it is to hear so.
    let is_installed = installed.parent().is_some_and(Path::exists);
    if is_installed && !here.exists() { installed.to_owned() } else { here.to_owned() }
}

/// Where the data is.
#[derive(Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Data folder; the configuration's when left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file; config.json here, else the installed one, when
    /// left out.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl DataArgs {
    /// The data folder. Of the configuration only this one key is read, so
    /// that a mistake elsewhere in it does not keep an operator from seeing
    /// or stopping anything.
    pub(super) fn folder(&self) -> anyhow::Result<PathBuf> {
        match &self.data {
            Some(folder) => Ok(folder.clone()),
            None => self.configured("/data/dir", FOLDER_ENV, FOLDER_DEFAULT),
        }
    }

    /// The folder of the log files, found in the same way.
    pub(super) fn log_folder(&self) -> anyhow::Result<PathBuf> {
        self.configured("/data/log_dir", LOG_FOLDER_ENV, LOG_FOLDER_DEFAULT)
    }

    fn configured(&self, key: &str, env: &str, default: &str) -> anyhow::Result<PathBuf> {
        // As for the services, the environment wins over the file.
        if let Some(folder) = std::env::var_os(env) {
            return Ok(PathBuf::from(folder));
        }
        let path = &self.config_path();
        if self.config.is_none() && path == Path::new(CONFIG_HERE) && !path.exists() {
            return Ok(PathBuf::from(default));
        }
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let config: Value = serde_json::from_str(&text).with_context(|| {
            format!("{} is not JSON; name the data folder with --data", path.display())
        })?;
        let folder = config.pointer(key).and_then(Value::as_str);
        Ok(PathBuf::from(folder.unwrap_or(default)))
    }

    /// The configuration file.
    pub(super) fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(usual_config)
    }

    /// The configuration, for what goes beyond the data folder. One that
    /// cannot be used is no reason to refuse what an operator needs just
    /// then: its defaults take its place, with a word on standard error.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        let path = self.config_path();
        let mut config = if self.config.is_none() && !path.exists() {
            Config::default()
        } else {
            Config::load(&path).unwrap_or_else(|error| {
                errln!("warning: the defaults stand in for {}: {error}", path.display());
                Config::default()
            })
        };
        config.data.dir = self.folder()?.display().to_string();
        Ok(config)
    }

    /// Opens the database for reading.
    pub(super) fn reader(&self) -> anyhow::Result<Store> {
        Ok(Store::open_existing(&self.folder()?, Role::Reader)?)
    }
}

/// The present instant on the clock that the services use.
pub(super) fn now() -> anyhow::Result<Timestamp> {
    Ok(Clock::from_env().context("could not read the clock")?.now())
}

/// The day asked for; else today, when it was prepared; else the last day that
/// was; else the last one with records.
pub(super) fn day_or_last(store: &Store, asked: Option<NaiveDate>) -> anyhow::Result<NaiveDate> {
    if let Some(day) = asked {
        return Ok(day);
    }
    let today = ist_date(now()?);
    let after_today = today.succ_opt();
    for look in [journal::last_prepared_day, journal::last_day] {
        for before in [after_today, None] {
            if let Some(day) = look(store, before)? {
                return Ok(day);
            }
        }
    }
    Ok(today)
}
