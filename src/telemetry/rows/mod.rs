//! Log records as rows of a database, `<data>/logs.db`: how they get there
//! and how they are found again.
//!
//! ```text
//!  writer thread of the logs ──offer──► Sink: bounded queue ──► its thread ──► Backend (logs.db)
//!                                                                  │ when that fails
//!                                                                  └► <service>_fallback.jsonl, later stderr
//! ```
//!
//! | room | what is in it |
//! | --- | --- |
//! | `backend` | who stores rows, within which bounds, and how that stands |
//! | `queue`, `sink`, `keeper` | rows that wait; who offers them; the thread, and what becomes of rows when the database fails |
//! | `shelf`, `fallback` | where rows wait for the database: memory, or a file |
//! | `columns` | what a row is stored as, and the statements that say so |
//! | `sqlite`, `schema` | the file itself: opening, storing, moving a damaged one aside |
//! | `postgres` | the same tables in a PostgreSQL server, with the feature of that name |
//! | `query`, `merge`, `text` | pages of rows, newest first |
//! | `line` | a row as a line for people |
//! | `filter` | the filters as people write them |
//! | `counts` | how many rows of what |
//! | `retention` | old rows go to `logs_archive.db`, and later away |
//! | `room`, `care` | how large all of it may become; the thread that sees to it, and to the index of texts |
//!
//! # The number of a row
//!
//! A row's number is its instant: microseconds since 1970, times 1,024, plus
//! what tells rows of one microsecond apart. So the primary key sorts by time,
//! every index of SQLite (they end in the primary key) does too, a page goes
//! on below a number, and storing a row again finds that it is there.

mod backend;
mod care;
mod columns;
mod counts;
mod fallback;
mod filter;
mod keeper;
mod line;
mod merge;
#[cfg(feature = "postgres")]
mod postgres;
mod query;
mod queue;
mod retention;
mod room;
mod schema;
mod shelf;
mod sink;
mod sqlite;
mod text;

#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendError, Figures, Options, State};
pub(in crate::telemetry) use care::Caretaker;
pub use care::{Pruned, make_room};
pub use counts::{DayCount, MinuteCount, Stats};
pub use filter::{BadFilter, FILTERS, filter};
pub use line::{fields, one_line};
#[cfg(feature = "postgres")]
pub use postgres::PostgresBackend;
pub use query::{Cursor, Entry, LogQuery, Page, ROWS_MAX, Reader, Table};
pub use retention::{Retained, retain};
pub use room::Room;
pub use sink::Sink;
pub(super) use sink::THREAD;
pub use sqlite::SqliteBackend;

use std::borrow::Cow;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::Level;

use super::component::ACTIVITY;
use crate::market::Timestamp;

/// The database's name in the data folder.
pub const FILE_NAME: &str = "logs.db";

/// The archive's name in the data folder.
pub const ARCHIVE_NAME: &str = "logs_archive.db";

/// Longest message and longest data of a row, in bytes.
const MESSAGE_MAX: usize = 8 * 1024;
const DATA_MAX: usize = 16 * 1024;

/// Bits of a row's number below its microseconds.
const NUMBER_BITS: u32 = 10;

/// The last microsecond that has numbers: in the year 2255.
const MICROS_MAX: i64 = (1 << 53) - 1;

/// One log record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// When it was logged.
    pub at: Timestamp,
    /// How much it matters.
    #[serde(with = "level_word")]
    pub level: Level,
    /// Who logged it: `trading`, `auth`, `bot`, `ctl`.
    pub service: Cow<'static, str>,
    /// Which part of it, such as `execution_service`.
    pub component: Cow<'static, str>,
    /// The module.
    pub target: Cow<'static, str>,
    /// What is said.
    pub message: String,
    /// The fields, as one JSON object.
    pub data: String,
    /// The trade that it belongs to.
    pub correlation_id: Option<String>,
    /// What kind of event it tells of.
    pub event_type: Option<String>,
    /// How long something took, in microseconds; set for records of
    /// performance, which have a table of their own.
    pub duration_us: Option<u64>,
}

impl Row {
    /// True for what is kept longest when there is no room: warnings and
    /// worse, and what happened to trades.
    pub fn matters(&self) -> bool {
        self.level <= Level::WARN || self.component == ACTIVITY
    }
}

/// A row with its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number; see the module.
    pub id: i64,
    /// What it says.
    #[serde(flatten)]
    pub row: Row,
}

impl Record {
    /// Gives a row a number of its instant, or the one after `last` when that
    /// is later, and cuts what is too long. `start` is where in a microsecond
    /// this process begins to number.
    fn new(mut row: Row, last: i64, start: i64) -> Record {
        clip(&mut row.message, MESSAGE_MAX);
        if row.data.len() > DATA_MAX {
            // Half, since quotes become two bytes when quoted again.
            clip(&mut row.data, DATA_MAX / 2);
            row.data = serde_json::json!({ "cut_off": row.data }).to_string();
        }
        let id = first_id(row.at) + start.rem_euclid(1 << NUMBER_BITS);
        Record { id: id.max(last.saturating_add(1)), row }
    }
}

fn clip(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
}

/// The first number of an instant.
fn first_id(at: Timestamp) -> i64 {
    at.timestamp_micros().clamp(0, MICROS_MAX) << NUMBER_BITS
}

/// Levels as numbers that grow with their weight: 1 for TRACE, 5 for ERROR.
fn severity(level: Level) -> u8 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 2,
        Level::INFO => 3,
        Level::WARN => 4,
        Level::ERROR => 5,
    }
}

/// All levels, in the order of counts by level here and of the lines.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

/// The level of a word in any case.
fn level_of(word: &str) -> Option<Level> {
    LEVELS.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word))
}

/// Levels in JSON.
mod level_word {
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};
    use tracing::Level;

    pub(super) fn serialize<S: Serializer>(
        level: &Level,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(level.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(source: D) -> Result<Level, D::Error> {
        let word = String::deserialize(source)?;
        super::level_of(&word).ok_or_else(|| D::Error::custom("expected a level such as WARN"))
    }
}

/// Something about the database of the logs failed.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// There is none yet.
    #[error("no log database at {}; a service makes it when it starts", path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// The file, or the lock beside it, cannot be made or locked.
    #[error("could not prepare {}: check the folder and its permissions", path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be opened as a database.
    #[error("could not open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file was made by a newer program.
    #[error("{} has schema {found}, this program knows {known}; run the newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The schema this program knows.
        known: u32,
    },
    /// There is no room for more rows.
    #[error(
        "{} has reached logging.database_max_mb, {megabytes} MB: pivot-bot makes room when it \
         runs; start it, or raise the limit",
        path.display()
    )]
    Full {
        /// The file.
        path: PathBuf,
        /// The limit.
        megabytes: u64,
    },
    /// Rows cannot be stored; none of the batch are.
    #[error("could not write log rows")]
    Write(#[source] rusqlite::Error),
    /// Rows cannot be read.
    #[error("could not read log rows")]
    Read(#[source] rusqlite::Error),
}

impl RowsError {
    /// True when another process was at the file for too long.
    fn is_busy(&self) -> bool {
        let (RowsError::Open { source, .. } | RowsError::Write(source) | RowsError::Read(source)) =
            self
        else {
            return false;
        };
        source.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
    }

    /// True when what is in the file is no database, or a broken one.
    fn is_damage(&self) -> bool {
        let (RowsError::Open { source, .. } | RowsError::Write(source) | RowsError::Read(source)) =
            self
        else {
            return false;
        };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        )
    }
}
