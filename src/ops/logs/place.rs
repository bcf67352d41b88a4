//! Where the logs are.

use std::path::PathBuf;

use crate::ops::data::DataArgs;
use crate::telemetry::{self, Limits, rows};

/// Where files and rows are.
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Folder of the log files; the configuration's when left out.
    #[arg(long, value_name = "DIR")]
    log_dir: Option<PathBuf>,
}

impl LogArgs {
    /// Folder of the files.
    pub(super) fn folder(&self) -> anyhow::Result<PathBuf> {
        match &self.log_dir {
            Some(folder) => Ok(folder.clone()),
            None => self.data.log_folder(),
        }
    }

    /// The folder of the databases.
    pub(super) fn data_folder(&self) -> anyhow::Result<PathBuf> {
        self.data.folder()
    }

    /// The limits of the folder of the files, as configured.
    pub(super) fn limits(&self) -> anyhow::Result<Limits> {
        let mut limits = telemetry::limits(&self.data.config()?);
        limits.folder = self.folder()?;
        Ok(limits)
    }

    /// Days for which rows stay in the active database and in the archive, as
    /// configured.
    pub(super) fn days_of_rows(&self) -> anyhow::Result<(u32, u32)> {
        let logging = self.data.config()?.logging;
        Ok((logging.database_keep_days, logging.archive_keep_days))
    }

    /// The database of rows.
    pub(super) fn database(&self) -> anyhow::Result<PathBuf> {
        Ok(self.data.folder()?.join(rows::FILE_NAME))
    }

    /// The database of rows that were archived.
    pub(super) fn archive(&self) -> anyhow::Result<PathBuf> {
        Ok(self.data.folder()?.join(rows::ARCHIVE_NAME))
    }
}
