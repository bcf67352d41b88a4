//! When backups are made, where they go, how many are kept.

use std::path::{Path, PathBuf};

use chrono::{NaiveTime, Weekday};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::Checks;
use super::{Config, ConfigError};
use crate::engine::settings::Schedule;
use crate::engine::strategy::parameters::time_of_day;

/// Folder beside the data folder that backups go to when none is named.
const FOLDER: &str = "backups";

/// Backups.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackupConfig {
    /// Folder of the archives; empty: `backups` beside the data folder.
    pub dir: String,
    /// When the daily one is made, IST, after the close.
    pub time: String,
    /// Archives of days that are kept.
    pub keep: u32,
    /// Day of the week of the full archive, `mon` to `sun`.
    pub weekly: String,
    /// Full archives that are kept.
    pub keep_full: u32,
    /// Whether this file goes into archives.
    pub with_config: bool,
}

impl Default for BackupConfig {
    fn default() -> BackupConfig {
        BackupConfig {
            dir: String::new(),
            time: "16:05".into(),
            keep: 30,
            weekly: "sat".into(),
            keep_full: 8,
            with_config: true,
        }
    }
}

/// What the `backup` section comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    /// Folder of the archives.
    pub dir: PathBuf,
    /// When the daily one is made on a day with a session, IST.
    pub time: NaiveTime,
    /// Archives of days that are kept.
    pub keep: usize,
    /// The day of the week for the full archive and for what else is done
    /// once a week.
    pub weekly: Weekday,
    /// Full archives that are kept.
    pub keep_full: usize,
    /// Whether the configuration goes into archives.
    pub with_config: bool,
}

impl Config {
    /// What the `backup` section comes to.
    ///
    /// # Errors
    /// Every key of it whose value cannot be used.
    pub fn backup_plan(&self) -> Result<BackupPlan, ConfigError> {
        let mut checks = Checks::default();
        let plan = self.backup(&mut checks);
        if checks.problems.is_empty() {
            Ok(plan)
        } else {
            Err(ConfigError::Invalid { problems: checks.problems })
        }
    }

    pub(super) fn backup(&self, checks: &mut Checks) -> BackupPlan {
        let BackupConfig { dir, keep, time, weekly, keep_full, with_config } = &self.backup;
        let close = Schedule::USUAL.day_close;
        let at = time_of_day(time).filter(|at| *at >= close);
        let message = format!(
            "expected a time such as 16:05, not before {}, was {time:?}",
            close.format("%H:%M")
        );
        checks.need(at.is_some(), "backup.time", message);
        checks.count("backup.keep", *keep, 1, 10_000);
        checks.count("backup.keep_full", *keep_full, 1, 10_000);
        let weekday = weekly.parse::<Weekday>();
        let message = format!("expected a day of the week such as sat, was {weekly:?}");
        checks.need(weekday.is_ok(), "backup.weekly", message);
        BackupPlan {
            dir: if dir.is_empty() { beside(Path::new(&self.data.dir)) } else { dir.into() },
            time: at.unwrap_or(close),
            keep: usize::try_from(*keep).unwrap_or(usize::MAX),
            weekly: weekday.unwrap_or(Weekday::Sat),
            keep_full: usize::try_from(*keep_full).unwrap_or(usize::MAX),
            with_config: *with_config,
        }
    }
}

/// The folder for backups beside a data folder: not in it, since restoring
/// puts another one in its place.
fn beside(data: &Path) -> PathBuf {
    match (data.file_name(), data.parent()) {
        (Some(_), Some(parent)) => parent.join(FOLDER),
        (_, _) => data.join("..").join(FOLDER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_lie_beside_the_data() {
        for (data, expect) in [
            ("data", "backups"),
            ("/var/lib/pivot-trading/live", "/var/lib/pivot-trading/backups"),
            (".", "./../backups"),
        ] {
            let mut config = Config::default();
            config.data.dir = data.into();
            assert_eq!(config.backup_plan().unwrap().dir, Path::new(expect), "{data}");
        }
        let mut config = Config::default();
        config.backup.dir = "/mnt/other".into();
        assert_eq!(config.backup_plan().unwrap().dir, Path::new("/mnt/other"));
    }

    #[test]
    fn what_cannot_be_is_told_key_by_key() {
        let mut config = Config::default();
        config.backup.time = "09:15".into();
        config.backup.weekly = "someday".into();
        config.backup.keep = 0;
        let error = config.backup_plan().unwrap_err().to_string();
        for key in ["backup.time", "backup.weekly", "backup.keep"] {
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
