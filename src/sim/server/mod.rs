//! The simulated Kite over HTTP and WebSocket, and beside it the stand-in
//! for Telegram.
//!
//! [`start`] serves both within the calling process; `pivotctl sim` does the
//! same in one of its own. One [`exchange`](super::exchange) lives behind one
//! lock. Requests, the ticker and the pump first move it to the present, so
//! what a client sees depends on market time alone.
//!
//! | path | what |
//! | --- | --- |
//! | `/connect/login` | the login page |
//! | `/session/token`, `/user/…`, `/orders…`, `/portfolio/…`, `/quote…`, … | the REST API |
//! | `/` and `/ws`, upgraded | the ticker |
//! | `/_sim/…` | switches, books, request log, time, trades by hand |

mod account;
mod call;
mod control;
mod envelope;
mod faults;
mod journal;
mod json;
mod limits;
mod listener;
mod login;
mod market_data;
mod options;
mod orders;
mod params;
mod reply;
mod router;
mod session;
mod tasks;
mod ticker;
mod world;

pub use options::SimOptions;

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::TimeDelta;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::listener::{CuttableListener, Scissors};
use self::world::{App, POSTBACKS_MAX};
use super::model::ModelError;
use super::telegram;
use crate::clock::{Clock, Conductor, real_now};

/// How far an own clock may run: further than anybody will wait.
const OWN_CLOCK_HORIZON: TimeDelta = TimeDelta::days(365);

/// Market seconds in a second of real time that an own clock can run at.
pub const SPEEDS: RangeInclusive<f64> = 0.001..=1_000_000.0;

/// Why a simulated Kite did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The clock file cannot be made or followed.
    #[error("cannot use the clock file {path}")]
    Clock {
        /// Which file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },
    /// The day cannot be simulated.
    #[error("cannot simulate the day")]
    Day(#[from] ModelError),
}

/// A running simulator. It stops when this is dropped; [`Sim::stop`] waits
/// for its end.
#[derive(Debug)]
pub struct Sim {
    kite_url: String,
    ticker_url: String,
    clock: Clock,
    clock_file: PathBuf,
    owned_clock: Option<Conductor>,
    telegram: Option<telegram::Handle>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sim {
    /// Base of the REST API, such as `http://127.0.0.1:9001`.
    pub fn kite_url(&self) -> &str {
        &self.kite_url
    }

    /// Base of the ticker, such as `ws://127.0.0.1:9001`.
    pub fn ticker_url(&self) -> &str {
        &self.ticker_url
    }

    /// Base of the stand-in for the Telegram Bot API.
    pub fn telegram_url(&self) -> &str {
        self.telegram.as_ref().map_or("", |telegram| &telegram.url)
    }

    /// The market clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The file of the market clock, for processes that are to share it.
    pub fn clock_file(&self) -> &Path {
        &self.clock_file
    }

    /// Changes the pace of an own clock. Does nothing to a conductor's.
    ///
    /// # Errors
    /// When the speed is outside [`SPEEDS`] or the clock file cannot be
    /// written.
    pub fn set_speed(&mut self, speed: f64) -> std::io::Result<()> {
        check_speed(speed)?;
        match &mut self.owned_clock {
            Some(conductor) => conductor.run(speed, conductor.now() + OWN_CLOCK_HORIZON),
            None => Ok(()),
        }
    }

    /// Stops the servers and waits for their end.
    pub async fn stop(mut self) {
        if let Some(telegram) = self.telegram.take() {
            telegram.stop().await;
        }
        let _ = self.stop.send(true);
        for task in std::mem::take(&mut self.tasks) {
            // A task that was aborted or panicked has ended, too.
            let _ = task.await;
        }
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        if self.owned_clock.is_some() {
            for file in [self.clock_file.clone(), self.clock_file.with_extension("sim")] {
                // A file that is gone already is as good.
                let _ = std::fs::remove_file(file);
            }
        }
    }
}

/// Starts the simulated Kite and the stand-in for Telegram.
///
/// # Errors
/// When the day has no session, an address is taken, or the clock file is
/// unusable.
pub async fn start(options: SimOptions) -> Result<Sim, StartError> {
    let (clock, clock_file, owned_clock) = make_clock(&options)?;
    let kite = listen(options.kite_listen).await?;
    let telegram = listen(options.telegram_listen).await?;
    let listen_error = |address| move |source| StartError::Listen { address, source };
    let address = kite.local_addr().map_err(listen_error(options.kite_listen))?;
    let telegram =
        telegram::start(telegram, clock.clone()).map_err(listen_error(options.telegram_listen))?;

    let (postbacks, bodies) = mpsc::channel(POSTBACKS_MAX);
    let postback_url = options.postback_url.clone();
    let app = Arc::new(App::new(options, clock.clone(), postbacks)?);
    let (stop, stopped) = watch::channel(false);
    let pump = until(stopped.clone(), tasks::pump(Arc::clone(&app)));
    let postbacks = until(stopped.clone(), tasks::send_postbacks(postback_url, bodies));
    let server = until(stopped, serve(app, kite));
    Ok(Sim {
        kite_url: format!("http://{address}"),
        ticker_url: format!("ws://{address}"),
        clock,
        clock_file,
        owned_clock,
        telegram: Some(telegram),
        stop,
        tasks: vec![tokio::spawn(pump), tokio::spawn(postbacks), tokio::spawn(server)],
    })
}

async fn serve(app: Arc<App>, listener: TcpListener) {
    let routes = router::router(app).into_make_service_with_connect_info::<Scissors>();
    if let Err(error) = axum::serve(CuttableListener(listener), routes).await {
        tracing::error!(%error, "the simulated Kite no longer serves");
    }
}

async fn until(mut stopped: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stopped.wait_for(|stop| *stop) => {}
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn make_clock(options: &SimOptions) -> Result<(Clock, PathBuf, Option<Conductor>), StartError> {
    let path = options.clock_file.clone().unwrap_or_else(own_clock_path);
    let failed = |source| StartError::Clock { path: path.clone(), source };
    let conductor = match options.clock_file {
        Some(_) => None,
        None => {
            check_speed(options.speed).map_err(failed)?;
            let mut conductor = Conductor::create(&path, options.start).map_err(failed)?;
            conductor.run(options.speed, options.start + OWN_CLOCK_HORIZON).map_err(failed)?;
            Some(conductor)
        }
    };
    let clock = Clock::scaled(&path).map_err(failed)?;
    Ok((clock, path, conductor))
}

/// The clock's file has no room for any number.
fn check_speed(speed: f64) -> std::io::Result<()> {
    if SPEEDS.contains(&speed) {
        return Ok(());
    }
    let words = format!("a speed from {} to {}, was {speed}", SPEEDS.start(), SPEEDS.end());
    Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, words))
}

/// A name that no other simulator of this machine uses.
fn own_clock_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name =
        format!("pivot-sim-{}-{}-{count}.clock", std::process::id(), real_now().timestamp_micros());
    std::env::temp_dir().join(name)
}
