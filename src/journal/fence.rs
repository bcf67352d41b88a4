//! Whether this process is still the journal's writer.

use std::sync::{Mutex, PoisonError};

use super::JournalError;
use crate::store::Store;

/// Looks at the writer's epoch. A commit proves that nobody has taken over
/// only for its own instant; a process that slept between the commit and the
/// call to the broker must look again before the call.
#[derive(Debug)]
pub struct Fence {
    store: Mutex<Store>,
    epoch: i64,
}

impl Fence {
    /// A fence for the process that claimed `epoch`; `store` is only read.
    pub(super) fn new(store: Store, epoch: i64) -> Fence {
        Fence { store: Mutex::new(store), epoch }
    }

    /// Fine while no newer process has claimed the journal.
    ///
    /// # Errors
    /// [`JournalError::Fenced`] when one has; a failed read is an error too,
    /// since nothing may be sent on a guess.
    pub fn check(&self) -> Result<(), JournalError> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let newest: i64 = store.read("writer", |connection| {
            let sql = "SELECT epoch FROM writer WHERE id = 1";
            connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
        })?;
        if newest == self.epoch { Ok(()) } else { Err(JournalError::Fenced { epoch: self.epoch }) }
    }
}
