//! What may take long: searches in the logs, figures, exports, live streams.
//!
//! A login that comes back and an order hint never wait for it: it has a
//! connection to the database of its own, and only so many of the threads
//! that may block. Who finds no seat within a moment is sent away and told
//! when to come again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::service::SharedStore;
use crate::store::{Store, StoreError};

/// How many are worked on at a time.
pub(super) const SEATS: usize = 3;

/// How long a seat is waited for.
const SEAT_WITHIN: Duration = Duration::from_secs(2);

/// The seats, and a connection that only reads.
#[derive(Debug)]
pub(super) struct Heavy {
    seats: Arc<Semaphore>,
    store: SharedStore,
}

impl Heavy {
    pub(super) fn new(store: Store) -> Heavy {
        Heavy { seats: Arc::new(Semaphore::new(SEATS)), store: SharedStore::new(store) }
    }

    async fn seat(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let seat = Arc::clone(&self.seats).acquire_owned();
        match tokio::time::timeout(SEAT_WITHIN, seat).await {
            Ok(Ok(seat)) => Ok(seat),
            // The seats are never closed.
            Ok(Err(_)) | Err(_) => Err(Problem::Busy),
        }
    }

    /// Runs what blocks on a thread for that.
    pub(super) async fn run<T, E>(
        &self,
        body: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, Problem>
    where
        T: Send + 'static,
        E: Send + 'static,
        Problem: From<E>,
    {
        Ok(seated(self.seat().await?, body).await?)
    }

    /// Runs `body` with the connection.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        let seat = self.seat().await?;
        let held = move |store: &mut Store| {
            let _seat = seat;
            body(store)
        };
        Ok(self.store.run(held).await?)
    }

    /// As [`Heavy::run`], for one who may wait as long as it takes.
    pub(super) fn patient(&self) -> Patient {
        Patient { seats: Arc::clone(&self.seats) }
    }
}

/// Somebody who may wait.
#[derive(Debug, Clone)]
pub(super) struct Patient {
    seats: Arc<Semaphore>,
}

impl Patient {
    pub(super) async fn run<T: Send + 'static, E: Send + 'static>(
        &self,
        body: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        match Arc::clone(&self.seats).acquire_owned().await {
            Ok(seat) => seated(seat, body).await,
            // The seats are never closed.
            Err(_) => std::future::pending().await,
        }
    }
}

/// The seat is taken until the work ends, even when nobody waits for it any
/// more: a thread cannot be called back.
async fn seated<T: Send + 'static, E: Send + 'static>(
    seat: OwnedSemaphorePermit,
    body: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    let work = tokio::task::spawn_blocking(move || {
        let _seat = seat;
        body()
    });
    match work.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Nothing else cancels it than the end of the runtime.
        Err(_) => std::future::pending().await,
    }
}
