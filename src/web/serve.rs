//! From a configuration to a running server, and its end.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::HeaderValue;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use clap::Parser as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use super::app::{App, LISTENERS_MAX};
use super::heavy::{self, Heavy};
use super::{api, login, logs, monitor};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::health::{Post, Voice, Watchman};
use crate::service::{self, Life, LoginLinks, SharedStore};
use crate::store::lock::{LockError, ServiceLock};
use crate::store::{Role, Store, StoreError};
use crate::telemetry;

/// Name of the service in locks, heartbeats and logs.
const SERVICE: &str = "auth";

/// Largest request body: a postback has about one kilobyte.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Threads that may block: one for each seat of what takes long, and some
/// that only logins, tokens, order hints and signs of life use.
const BLOCKING_THREADS: usize = heavy::SEATS + 3;

/// How long open connections may delay the end.
const GRACE: Duration = Duration::from_secs(4);

/// How often tokens that have been used are looked for.
const WIPE_EVERY: Duration = Duration::from_secs(1);

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The mode is not one of ours.
    #[error("trading.mode is {mode:?}; expected demo, paper or live")]
    Mode {
        /// What the configuration says.
        mode: String,
    },
    /// Another instance runs.
    #[error("could not start")]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error("could not use the database")]
    Store(#[from] StoreError),
    /// The address cannot be listened to.
    #[error("could not listen on {listen}: check auth.listen")]
    Listen {
        /// What the configuration says.
        listen: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server failed.
    #[error("the server failed")]
    Serve(#[source] std::io::Error),
}

/// A service that holds its lock and its address, ready to run.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    pub(super) app: Arc<App>,
    _lock: ServiceLock,
}

/// Takes the lock, opens the database and the address.
///
/// # Errors
/// When another instance runs, or one of the three cannot be had.
pub async fn bind(config: Config, clock: Clock) -> Result<Bound, WebError> {
    let mode = Mode::parse(&config.trading.mode)
        .ok_or_else(|| WebError::Mode { mode: config.trading.mode.clone() })?;
    let folder = Path::new(&config.data.dir);
    let lock = ServiceLock::acquire(folder, SERVICE, std::process::id())?;
    let store = SharedStore::new(Store::open(folder, Role::Auth, mode)?);
    let heavy = Heavy::new(Store::open(folder, Role::Reader, mode)?);
    let listen = config.auth.listen.clone();
    let listener =
        TcpListener::bind(&listen).await.map_err(|source| WebError::Listen { listen, source })?;
    let links = LoginLinks::new(&config);
    let listeners = Arc::new(Semaphore::new(LISTENERS_MAX));
    let (ending, _) = watch::channel(false);
    let watchman = Watchman::start(Post {
        service: Role::Auth,
        config: config.clone(),
        clock: clock.clone(),
        mode,
        voice: Voice::Direct,
    });
    let app =
        Arc::new(App { config, mode, clock, store, heavy, links, listeners, ending, watchman });
    Ok(Bound { listener, app, _lock: lock })
}

impl Bound {
    /// Where it listens.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `shutdown` comes; then lets requests in hand end, for a
    /// few seconds at most.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn serve(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), WebError> {
        let app = Arc::clone(&self.app);
        let routes = routes(Arc::clone(&app)).into_make_service_with_connect_info::<SocketAddr>();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = axum::serve(self.listener, routes).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let mut server = tokio::spawn(server.into_future());
        let life = || {
            let mut detail = json!({});
            app.watchman.add_to(&mut detail);
            Life { phase: "serving".into(), detail }
        };
        let beats = service::beat(app.store.clone(), app.clock.clone(), life);
        service::ready("running");
        tracing::info!(mode = app.mode.as_str(), "serving");
        tokio::select! {
            () = shutdown => {}
            () = beats => {}
            () = wipe_used(&app) => {}
            ended = &mut server => return ended.map_err(std::io::Error::other)
                .and_then(|served| served)
                .map_err(WebError::Serve),
        }
        service::stopping();
        app.ending.send_replace(true);
        let _ = stop.send(());
        if tokio::time::timeout(GRACE, &mut server).await.is_err() {
            tracing::warn!("connections were still open at the end");
            server.abort();
        }
        Ok(())
    }
}

/// Binds and serves.
///
/// # Errors
/// Those of [`bind`] and [`Bound::serve`].
pub async fn run(
    config: Config,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), WebError> {
    bind(config, clock).await?.serve(shutdown).await
}

fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(login::home))
        .route("/style.css", get(login::style))
        .route("/login", get(login::begin))
        .route("/callback", get(login::back))
        .route("/redirect", get(login::back))
        .route("/postback", post(api::postback))
        .route("/get_token", get(api::get_token))
        .route("/clear_token", post(api::clear_token))
        .route("/health", get(api::health))
        .route("/status", get(api::status))
        .route("/api/health", get(monitor::health))
        .route("/api/metrics/health", get(monitor::resources))
        .route("/api/monitoring", get(monitor::monitoring))
        .route("/metrics", get(monitor::prometheus))
        .route("/api/logs", get(logs::page))
        .route("/api/logs/stream", get(logs::stream))
        .layer(middleware::from_fn(secure_headers))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(app)
}

async fn secure_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                  frame-ancestors 'none'";
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Wipes request tokens that pivot-trading has used or that grew old.
async fn wipe_used(app: &App) {
    loop {
        if let Err(error) = api::wipe_spent(app).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "tokens not wiped");
        }
        tokio::join!(app.clock.sleep(WIPE_EVERY), tokio::time::sleep(WIPE_EVERY / 4));
    }
}

/// Arguments of the process.
#[derive(Debug, clap::Parser)]
#[command(name = "pivot-auth", version, about = "The web service of pivot-trading")]
struct Args {
    /// The configuration file.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
    /// Folder of the database, in place of `data.dir`.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub(super) fn main() -> ExitCode {
    with_args(Args::parse())
}

/// Runs the service with this configuration file.
pub fn run_with(config: &Path) -> ExitCode {
    with_args(Args { config: config.to_owned(), data: None })
}

fn with_args(args: Args) -> ExitCode {
    match execute(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => service::fail("pivot-auth", error.as_ref()),
    }
}

fn execute(args: Args) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (config, clock) = service::prepare(&args.config, args.data.as_deref())?;
    let _logs = telemetry::init(SERVICE, &config, &clock)?;
    let runtime = runtime()?;
    runtime.spawn(async move { service::reload_levels(&args.config).await });
    let ended = runtime.block_on(run(config, clock, async {
        if let Err(error) = service::stop_signal().await {
            tracing::error!(%error, "signals cannot be heard");
            std::future::pending::<()>().await;
        }
    }));
    service::end(runtime);
    Ok(ended.inspect_err(|error| service::note_end(error))?)
}

/// What the service runs on.
pub(super) fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
}
