//! What subcommands that read the database share: where it is, which day is
//! meant.

use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::NaiveDate;
use serde_json::Value;

use crate::clock::Clock;
use crate::journal;
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::store::{Role, Store};

/// Where people look for the configuration when they do not say.
const CONFIG_DEFAULT: &str = "config.json";
const FOLDER_DEFAULT: &str = "data";

/// Where the data is.
#[derive(Debug, clap::Args)]
pub(super) struct DataArgs {
    /// Data folder; the configuration's when left out.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Configuration file.
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
}

impl DataArgs {
    /// The data folder. Of the configuration only this one key is read, so
    /// that a mistake elsewhere in it does not keep an operator from seeing
    /// or stopping anything.
    pub(super) fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.data {
            return Ok(folder.clone());
        }
        let path = match &self.config {
            Some(path) => path.as_path(),
            None if Path::new(CONFIG_DEFAULT).exists() => Path::new(CONFIG_DEFAULT),
            None => return Ok(PathBuf::from(FOLDER_DEFAULT)),
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read {}", path.display()))?;
        let config: Value = serde_json::from_str(&text).with_context(|| {
            format!("{} is not JSON; name the data folder with --data", path.display())
        })?;
        let folder = config.pointer("/data/dir").and_then(Value::as_str);
        Ok(PathBuf::from(folder.unwrap_or(FOLDER_DEFAULT)))
    }

    /// The configuration file.
    pub(super) fn config_path(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG_DEFAULT))
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

/// The day asked for; else today, when something was recorded today; else the
/// last day on which something was.
pub(super) fn day_or_last(store: &Store, asked: Option<NaiveDate>) -> anyhow::Result<NaiveDate> {
    if let Some(day) = asked {
        return Ok(day);
    }
    let today = ist_date(now()?);
    let after_today = today.succ_opt();
    let last = match journal::last_day(store, after_today)? {
        Some(day) => Some(day),
        None => journal::last_day(store, None)?,
    };
    Ok(last.unwrap_or(today))
}
