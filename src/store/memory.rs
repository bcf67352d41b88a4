//! A database that is only in memory, for simulations: the same schema, the
//! same transactions, no disk.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::{Role, Store, StoreError, migrate, open};
use crate::engine::Mode;

const NAME: &str = ":memory:";

impl Store {
    /// A fresh database of pivot-trading.
    ///
    /// # Errors
    /// When SQLite has no memory for it.
    pub fn in_memory(mode: Mode) -> Result<Store, StoreError> {
        let path = PathBuf::from(NAME);
        let mut connection = empty(&path)?;
        migrate::migrate(&mut connection, &path)?;
        let mode = open::claim_mode(&connection, &path, mode)?;
        open::finish(connection, path, Role::Trading, mode)
    }

    /// A copy in memory as this database stands.
    ///
    /// # Errors
    /// When SQLite has no memory for it.
    pub fn copy_in_memory(&self) -> Result<Store, StoreError> {
        let path = PathBuf::from(NAME);
        let mut connection = empty(&path)?;
        let copied = Backup::new(&self.connection, &mut connection)
            .and_then(|backup| backup.step(-1).map(|_| ()));
        copied.map_err(|source| StoreError::Open { path: path.clone(), source })?;
        open::finish(connection, path, self.role, self.mode)
    }

    /// From now on every write fails, or none does any more: a disk that is
    /// full or gone.
    ///
    /// # Errors
    /// When SQLite refuses the setting.
    pub fn fail_writes(&self, fail: bool) -> Result<(), StoreError> {
        self.connection
            .pragma_update(None, "query_only", fail)
            .map_err(|source| StoreError::Open { path: self.path.clone(), source })
    }
}

fn empty(path: &Path) -> Result<Connection, StoreError> {
    let opened = Connection::open_in_memory().and_then(|connection| {
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(connection)
    });
    opened.map_err(|source| StoreError::Open { path: path.to_owned(), source })
}
