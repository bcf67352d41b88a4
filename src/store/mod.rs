//! The database file that the services share: `<data>/trading.db`.
//!
//! SQLite in WAL mode with `synchronous=FULL`: a commit survives a power
//! loss, and is seen by the other processes within a poll of
//! [`Store::changed`]. Functions block; services call them from a thread that
//! may block.
//!
//! # One writer for each table (M11)
//!
//! | tables | written by |
//! | --- | --- |
//! | `journal`, `writer`, `runs`, `intents`, `trades`, `orders`, `decisions`, `signals`, `daily_summary`, `state`, `limits`, `outlook`, `outbox`, `answers`, `broker_session`, `once` | pivot-trading |
//! | `login_tokens`, `postbacks` | pivot-auth |
//! | `outbox_delivery`, `telegram_updates`, `bot_state` | pivot-bot |
//! | `inbox`, `audit` | appended to by pivot-bot, pivot-auth and pivotctl |
//! | `heartbeats` | each service its own row |
//!
//! A write by another [`Role`] is refused with [`StoreError::NotTheWriter`].
//!
//! # Columns
//!
//! Instants are text in UTC with nine decimals, so that they sort; days are
//! IST dates. Money is integer paise in columns that end in `_paise`. The
//! tables `trades`, `signals` and `daily_summary` show rupees as decimals and
//! times in IST, for people's own queries; this program reads the `record`
//! beside them.

pub(crate) mod columns;
pub mod export;
pub mod figures;
mod heartbeat;
mod inbox;
pub mod lock;
mod memory;
mod messages;
mod migrate;
mod open;
mod private;
pub mod project;
pub mod record;
mod records;
mod session;
mod settings_record;
pub mod whole;
pub mod wire;

pub use heartbeat::{Heartbeat, SILENT_AFTER};
pub use inbox::{Answer, Ask, AuditEntry, Receipt, Request, Source};
pub use messages::{Delivery, DeliveryState, Post};
pub use migrate::SCHEMA_VERSION;
pub use open::{FILE_NAME, SQLITE_VERSION_MIN, is_write_locked};
pub use private::{RESTORING, interrupted_restores};
pub use records::DecisionQuery;
pub use session::{BrokerSession, Login, LoginStatus, Postback, SessionStatus};

use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::engine::Mode;

/// Which program holds the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// pivot-trading, or whoever flattens in its place under its lock.
    Trading,
    /// pivot-auth.
    Auth,
    /// pivot-bot.
    Bot,
    /// pivotctl, when it asks for something.
    Ctl,
    /// Reads only; the connection cannot write.
    Reader,
}

impl Role {
    /// `trading`, `auth`, `bot`, `ctl`, `reader`: also the service's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Trading => "trading",
            Role::Auth => "auth",
            Role::Bot => "bot",
            Role::Ctl => "ctl",
            Role::Reader => "reader",
        }
    }

    /// The program's name: `pivot-trading`, `pivot-bot`, `pivotctl`.
    pub fn program(self) -> String {
        match self {
            Role::Trading | Role::Auth | Role::Bot => format!("pivot-{}", self.as_str()),
            Role::Ctl | Role::Reader => "pivotctl".into(),
        }
    }

    /// True for the services, which create and migrate the file.
    pub const fn is_service(self) -> bool {
        match self {
            Role::Trading | Role::Auth | Role::Bot => true,
            Role::Ctl | Role::Reader => false,
        }
    }
}

/// A connection to the database file.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    role: Role,
    mode: Mode,
    data_version: i64,
}

impl Store {
    /// Opens `<dir>/trading.db`. Services create the folder and the file when
    /// they are not there, and bring the schema up to date; others need both
    /// to be there.
    ///
    /// # Errors
    /// When the folder cannot be made private, the file cannot be opened, its
    /// schema is newer than this program (or older, for those who do not
    /// migrate), or it belongs to another mode.
    pub fn open(dir: &Path, role: Role, mode: Mode) -> Result<Store, StoreError> {
        open::open(dir, role, Some(mode))
    }

    /// Opens an existing file whatever its mode; see [`Store::mode`]. For
    /// [`Role::Reader`] and [`Role::Ctl`].
    ///
    /// # Errors
    /// As [`Store::open`]; a service must say which mode it runs in.
    pub fn open_existing(dir: &Path, role: Role) -> Result<Store, StoreError> {
        open::open(dir, role, None)
    }

    /// The mode that the file belongs to.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Which program this connection serves.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True when another connection has committed since the last call. A
    /// hint: a checkpoint may also cause it. Cheap enough for every 50 ms.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn changed(&mut self) -> Result<bool, StoreError> {
        let version = self.read("data_version", data_version)?;
        Ok(std::mem::replace(&mut self.data_version, version) != version)
    }

    /// Lets SQLite renew the statistics that its queries are planned by.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn tidy(&self) -> Result<(), StoreError> {
        self.read("optimize", |connection| connection.execute_batch("PRAGMA optimize"))
    }

    /// Checks the file's structure; empty when sound.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn integrity(&self) -> Result<Vec<String>, StoreError> {
        self.read("integrity_check", |connection| {
            let mut statement = connection.prepare("PRAGMA integrity_check(20)")?;
            let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
            let lines: rusqlite::Result<Vec<String>> = lines.collect();
            Ok(lines?.into_iter().filter(|line| line != "ok").collect())
        })
    }

    /// Runs `body` on the connection for reading.
    pub(crate) fn read<T>(
        &self,
        what: &'static str,
        body: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        body(&self.connection).map_err(|source| StoreError::Read { what, source })
    }

    /// Runs `body` in one transaction that takes the write lock at once.
    /// Nothing of it stays when it fails.
    pub(crate) fn write<T>(
        &mut self,
        table: &'static str,
        writers: &[Role],
        body: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if !writers.contains(&self.role) {
            return Err(StoreError::NotTheWriter { table, role: self.role.as_str() });
        }
        let commit = || -> rusqlite::Result<T> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = body(&transaction)?;
            transaction.commit()?;
            Ok(value)
        };
        commit().map_err(|source| StoreError::Write { table, source })
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA data_version", [], |row| row.get(0))
}

/// Something about the database failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The data folder cannot be made or made private.
    #[error("could not prepare the data folder {}", path.display())]
    PrepareFolder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data folder is one that everybody writes to.
    #[error("{} is shared with other users; give the data a folder of its own", path.display())]
    SharedFolder {
        /// The folder.
        path: PathBuf,
    },
    /// There is no database yet.
    #[error("no database at {}; start a service first, or name the folder with --data", path.display())]
    NotThere {
        /// The file.
        path: PathBuf,
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
    /// The file system cannot hold a shared WAL.
    #[error("{} stays in journal mode {journal_mode}; keep the data on a local disk", path.display())]
    NoWal {
        /// The file.
        path: PathBuf,
        /// The mode it is in.
        journal_mode: String,
    },
    /// This SQLite can damage a file shared by several processes.
    #[error("SQLite {found} may damage a shared file; {} or newer is needed", SQLITE_VERSION_MIN)]
    SqliteTooOld {
        /// Its version number.
        found: i32,
    },
    /// The schema was written by a newer program.
    #[error("{} has schema {found}, this program knows up to {known}; run the newer program", path.display())]
    SchemaNewer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The newest schema this program knows.
        known: u32,
    },
    /// The schema awaits a migration that this role does not run.
    #[error("{} has schema {found}, this program needs {known}; restart the services, which bring it up to date", path.display())]
    SchemaOlder {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: u32,
        /// The schema needed.
        known: u32,
    },
    /// A migration that ran is not the one this program has.
    #[error("migration {number} of {} is not the one in this program; the file comes from another build", path.display())]
    MigrationDiffers {
        /// The file.
        path: PathBuf,
        /// Which migration.
        number: u32,
    },
    /// A migration failed; the file is as it was before it.
    #[error("migration {number} ({name}) failed")]
    Migrate {
        /// Which migration.
        number: u32,
        /// Its name.
        name: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The file belongs to another mode.
    #[error("{} belongs to {found} mode and this is {asked} mode; modes never share a database: set another data folder", path.display())]
    OtherMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        found: String,
        /// The mode asked for.
        asked: &'static str,
    },
    /// A service must say in which mode it opens the file.
    #[error("{role} must say in which mode it opens the database")]
    ModeMissing {
        /// Who.
        role: &'static str,
    },
    /// The table belongs to another program.
    #[error("{role} may not write {table}")]
    NotTheWriter {
        /// The table.
        table: &'static str,
        /// Who tried.
        role: &'static str,
    },
    /// Reading failed.
    #[error("could not read {what}")]
    Read {
        /// What was read.
        what: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// Writing failed; nothing of it was written.
    #[error("could not write {table}")]
    Write {
        /// The table.
        table: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// True when the file was read and a value in it is not what it must be:
    /// trying again does not help.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            StoreError::Read {
                source: rusqlite::Error::FromSqlConversionFailure(..)
                    | rusqlite::Error::InvalidColumnType(..)
                    | rusqlite::Error::IntegralValueOutOfRange(..),
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests;
