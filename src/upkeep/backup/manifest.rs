//! What an archive says of itself: its first file, `manifest.json`.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::market::Timestamp;
use crate::store::whole::RowCounts;

/// The form of archives that this program writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// Name of the manifest in the archive.
pub(super) const NAME: &str = "manifest.json";

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Form of the archive.
    pub format: u32,
    /// Version of the program that made it.
    pub version: String,
    /// Commit that the program was built from.
    pub build: String,
    /// Schema of the database.
    pub schema: u32,
    /// `demo`, `paper` or `live`.
    pub mode: String,
    /// Name of the machine.
    pub host: String,
    /// When it was made, in market time.
    pub made_at: Timestamp,
    /// True with logs and pictures.
    pub full: bool,
    /// Files in the order in which they follow.
    pub files: Vec<Member>,
    /// Rows of each table, by database file.
    pub rows: BTreeMap<String, RowCounts>,
    /// Last sequence of the journal.
    pub last_seq: u64,
    /// Trading days (IST) that the journal has entries of.
    pub days: Vec<NaiveDate>,
}

/// One file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name, such as `trading.db` or `logs/trading.log`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

impl Manifest {
    /// The file of this name, when the archive has it.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.files.iter().find(|member| member.name == name)
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, member| sum.saturating_add(member.size))
    }
}
