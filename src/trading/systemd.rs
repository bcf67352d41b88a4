//! Tells systemd that the service is ready and alive. Without systemd these
//! do nothing.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// The service works from here on.
pub(super) fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// The service is about to end.
pub(super) fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// A turn of the loop has been committed; called at its end and nowhere else,
/// so that a hung loop is noticed.
pub(super) fn alive() {
    static EVERY: OnceLock<Option<Duration>> = OnceLock::new();
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    let Some(interval) = EVERY.get_or_init(sd_notify::watchdog_enabled) else { return };
    let now_ms = crate::clock::real_now().timestamp_millis();
    let due_ms = LAST_MS.load(Ordering::Relaxed)
        + i64::try_from(interval.as_millis() / 4).unwrap_or(i64::MAX / 2);
    if now_ms >= due_ms {
        LAST_MS.store(now_ms, Ordering::Relaxed);
        notify(&[NotifyState::Watchdog]);
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
