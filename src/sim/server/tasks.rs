//! What runs beside the requests: the pump that moves the exchange, and the
//! sender of postbacks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;

use super::world::App;

/// Market seconds lived through before the lock is given up for a moment.
const SECONDS_PER_TURN: u32 = 64;

/// Pause between turns when the clock may run fast.
const FAST_PAUSE: Duration = Duration::from_micros(200);

/// Pause between turns at real pace.
const SLOW_PAUSE: Duration = Duration::from_millis(20);

/// How long a receiver may take over a postback.
const POSTBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The name under which progress is reported to a conductor.
const PROCESS: &str = "sim";

/// Moves the exchange along with the clock, for ever.
pub(super) async fn pump(app: Arc<App>) {
    let runs_fast = app.options.clock_file.is_some() || app.options.speed > 1.0;
    let pause = if runs_fast { FAST_PAUSE } else { SLOW_PAUSE };
    loop {
        let (caught_up, progress, busy) = {
            let mut world = app.world();
            let caught_up = world.advance_some(app.clock().now(), SECONDS_PER_TURN);
            let (progress, busy) = world.hub.progress(world.pumped());
            (caught_up, progress, busy)
        };
        let working = app.in_flight.load(Ordering::Relaxed) > 0;
        app.clock().report(PROCESS, progress, busy || working || !caught_up);
        if caught_up {
            crate::clock::pause(pause).await;
        } else {
            tokio::task::yield_now().await;
        }
    }
}

/// Sends postbacks one after the other, each once.
pub(super) async fn send_postbacks(url: Option<String>, mut bodies: mpsc::Receiver<String>) {
    let client = reqwest::Client::builder().timeout(POSTBACK_TIMEOUT).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "postbacks will not be sent");
            return;
        }
    };
    while let Some(body) = bodies.recv().await {
        let Some(url) = &url else { continue };
        let sent = client
            .post(url)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body)
            .send()
            .await;
        if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
            tracing::warn!(%error, "a postback was not taken");
        }
    }
}
