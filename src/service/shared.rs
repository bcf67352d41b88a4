//! The database for async services: its functions block, so they run on the
//! runtime's threads for that.

use std::sync::{Arc, Mutex, PoisonError};

use crate::store::{Store, StoreError};

/// A connection that several tasks take turns with.
#[derive(Debug, Clone)]
pub struct SharedStore {
    store: Arc<Mutex<Store>>,
}

impl SharedStore {
    /// Shares a connection.
    pub fn new(store: Store) -> SharedStore {
        SharedStore { store: Arc::new(Mutex::new(store)) }
    }

    /// Runs `body` with the connection, off the async thread.
    ///
    /// # Errors
    /// Those of `body`.
    ///
    /// # Panics
    /// When `body` does.
    pub async fn run<T, F>(&self, body: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let task = tokio::task::spawn_blocking(move || {
            // A panic of another turn left no half-done write: a transaction
            // that is dropped is rolled back.
            body(&mut store.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Nothing else cancels it than the end of the runtime.
            Err(_) => std::future::pending().await,
        }
    }
}
