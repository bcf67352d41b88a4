//! A stand-in for the Telegram Bot API server, with a door for the people
//! who would sit at the phones.
//!
//! Bots talk to `/bot<token>/<Method>` as they do to api.telegram.org.
//! Tests, the demo and operators use the control side of the same port:
//!
//! | request | does |
//! | --- | --- |
//! | `POST /_sim/telegram/send` | `{"chat_id","user_id","text"}`: a person writes; `age_s` dates it back |
//! | `POST /_sim/telegram/press` | `{"chat_id","user_id","message_id","data"}`: a person presses a button |
//! | `POST /_sim/telegram/redeliver` | `{"update_id"}`: an update arrives once more |
//! | `GET /_sim/telegram/messages?since=N` | what the bot sent since event N; `wait_ms` waits for the next |
//! | `POST /_sim/telegram/faults` | scripts refusals: see [`Fault`] |
//!
//! The time of messages comes from the given clock; long polls and arrival
//! stamps run in real time.

mod api;
mod control;
mod html;
mod request;
mod state;

pub use state::{Button, Fault, Happened, Sent};

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{any, get, post};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;

/// Largest request body; Telegram takes photos up to 10 MB.
const BODY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// A running stand-in server. It stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    /// What goes into `telegram.api_url`, without a slash at the end.
    pub url: String,
    /// Where it listens.
    pub addr: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Handle {
    /// Stops the server and waits for its end.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The routes of the server, to be served alone or merged with others.
pub fn router(clock: Clock) -> Router {
    let server = Arc::new(state::Server::new(clock));
    Router::new()
        .route("/_sim/telegram/send", post(control::send))
        .route("/_sim/telegram/press", post(control::press))
        .route("/_sim/telegram/redeliver", post(control::redeliver))
        .route("/_sim/telegram/messages", get(control::messages))
        .route("/_sim/telegram/faults", post(control::faults))
        .route("/{bot}/{method}", any(api::call))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(server)
}

/// Serves on a listener that is already bound.
///
/// # Errors
/// When the listener has no address.
pub fn start(listener: TcpListener, clock: Clock) -> std::io::Result<Handle> {
    let addr = listener.local_addr()?;
    let (stop, mut stopped) = watch::channel(false);
    let routes = router(clock);
    let task = tokio::spawn(async move {
        let ended = async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            served = axum::serve(listener, routes) => {
                if let Err(error) = served {
                    tracing::error!(%error, "the Telegram stand-in ended");
                }
            }
            () = ended => {}
        }
    });
    Ok(Handle { url: format!("http://{addr}"), addr, stop, task })
}
