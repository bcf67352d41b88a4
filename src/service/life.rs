//! How a service shows that it lives, and how it learns that it shall stop.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use serde_json::Value;

use super::SharedStore;
use crate::clock::Clock;
use crate::config::Config;
use crate::market::Timestamp;
use crate::store::Heartbeat;

/// Market time between two signs of life.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// Real time between two signs of life at least, so that a fast clock does
/// not turn into a stream of writes.
const BEAT_REAL_MIN: Duration = Duration::from_millis(250);

/// Real time between two words to systemd; below half of `WatchdogSec`.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

/// What a sign of life tells.
#[derive(Debug, Clone)]
pub struct Life {
    /// What the service is doing: `serving`, `polling`, …
    pub phase: String,
    /// Figures for people; an object.
    pub detail: Value,
}

/// Gives signs of life for ever: to the database and to systemd.
pub async fn beat(store: SharedStore, clock: Clock, mut life: impl FnMut() -> Life) {
    let started_at = clock.now();
    let mut told_at: Option<tokio::time::Instant> = None;
    loop {
        if told_at.is_none_or(|at| at.elapsed() >= ALIVE_EVERY) {
            tell(&[NotifyState::Watchdog]);
            told_at = Some(tokio::time::Instant::now());
        }
        let at = clock.now();
        write_down(&store, started_at, at, life()).await;
        tokio::join!(clock.sleep(BEAT_EVERY), tokio::time::sleep(BEAT_REAL_MIN));
    }
}

async fn write_down(store: &SharedStore, started_at: Timestamp, at: Timestamp, life: Life) {
    let written = store.run(move |store| {
        store.beat(&Heartbeat {
            service: store.role().as_str().to_string(),
            pid: std::process::id(),
            started_at,
            at,
            version: env!("CARGO_PKG_VERSION").to_string(),
            phase: life.phase,
            detail: life.detail,
        })
    });
    if let Err(error) = written.await {
        tracing::warn!(error = &error as &dyn std::error::Error, "no sign of life written");
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// When the signals cannot be listened to.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
    }
    Ok(())
}

/// Takes the log levels of the configuration again at each SIGHUP, for ever.
/// A file that cannot be read changes nothing.
pub async fn reload_levels(config: &Path) {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            tracing::warn!(%error, "SIGHUP cannot be heard");
            return std::future::pending().await;
        }
    };
    while hangup.recv().await.is_some() {
        match Config::load(config) {
            Ok(config) => {
                crate::telemetry::reload(&config.logging);
                tracing::info!("SIGHUP: log levels were read again");
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "SIGHUP: nothing changed");
            }
        }
    }
}

/// Tells systemd that the service is up, and what it does.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Tells systemd that the service is on its way out.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// A turn of the loop has been committed; called at its end and nowhere else,
/// so that a hung loop is noticed.
pub fn alive() {
    static EVERY: OnceLock<Option<Duration>> = OnceLock::new();
    // The steady clock: the wall clock may be set back.
    static TOLD_AT: Mutex<Option<Instant>> = Mutex::new(None);
    let Some(interval) = EVERY.get_or_init(sd_notify::watchdog_enabled) else { return };
    let mut told_at = TOLD_AT.lock().unwrap_or_else(PoisonError::into_inner);
    if told_at.is_none_or(|at| at.elapsed() >= *interval / 4) {
        *told_at = Some(Instant::now());
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
