//! The service that trades: pivot-trading.
//!
//! # One thread
//! Everything runs on one thread: the loop (`service`), the tasks of the
//! day (`day`) and one small task for each request to the broker
//! (`executor`). The engine has one owner, the `kernel`.
//!
//! Beside it a thread measures the process and watches the other services;
//! the loop takes its figures and never waits for it (`health`).
//!
//! # Order of start
//! Lock, database, epoch, replay of the journal, `Restarted` (which makes the
//! engine ask the broker how things stand), `READY=1`, then the day. The same
//! order after a crash: there is no other recovery.
//!
//! # Who may send
//! Whoever has the newest epoch. The lock keeps a second process from
//! starting; the epoch stops one that hangs, was taken over and wakes again:
//! it is looked at before every order leaves, at every commit, and whenever
//! somebody else wrote to the database.
//!
//! # What goes where
//! | to change | look in |
//! | --- | --- |
//! | when logins are asked for, when levels are made | `day`, `login` |
//! | what a day's plan is made of | `prepare` |
//! | where candles come from | `desk` |
//! | what is checked just before an order leaves | `executor` |
//! | paper fills | `paper` |
//! | what happens when nobody answers a panic | `flatten` |

mod activity;
mod album;
mod broker;
mod context;
mod day;
pub(crate) mod desk;
mod doubt;
pub(crate) mod executor;
mod feed;
pub mod flatten;
pub(crate) mod input;
pub(crate) mod kernel;
mod login;
mod outlook;
mod paper;
#[cfg(test)]
mod placements;
mod prepare;
mod service;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use clap::Parser;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::unbounded_channel;

pub use album::picture_path;
pub(crate) use doubt::SKEW_MAX;
pub use executor::HALT_FILE;

use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::engine::event::{OperatorAction, OperatorCommand};
use crate::engine::notice::{NoticeKind, Severity};
use crate::engine::{Engine, Mode};
use crate::health::{Post, Voice, Watchman};
use crate::journal::{Journal, JournalError, ReplayMismatch, Run};
use crate::kite::ticker::{Ticker, TickerOptions};
use crate::kite::{Client, ClientOptions, KiteError, OrderBudget};
use crate::market::Money;
use crate::store::lock::{LockError, ServiceLock};
use crate::store::{FILE_NAME, Role, Store, StoreError};
use crate::telemetry::{self, TelemetryError};
use broker::Broker;
use context::{Context, Parts};
use feed::Feed;
use input::Input;
use kernel::Kernel;
use paper::PaperBook;
use service::Service;

/// Time that orders in flight are given when the service stops.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum TradingError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Logs cannot be written.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// Another copy runs on this data folder.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed: nothing may be sent any more.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The broker's client could not be set up.
    #[error("could not set up the broker's client")]
    Client(#[source] KiteError),
    /// The paper book is unreadable.
    #[error("could not read the paper book in {dir}; move paper-book.json away to begin afresh")]
    Paper {
        /// The data folder.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Something of the system failed.
    #[error("could not {what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The row of the kept session is damaged.
    #[error(
        "the kept broker session cannot be read: stop the services, run \
         sqlite3 {} 'DELETE FROM broker_session', start them and log in again", path.display()
    )]
    KeptSession {
        /// The database.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: StoreError,
    },
    /// pivot-trading lives, yet has not answered the panic.
    #[error("pivot-trading (pid {pid}) gives signs of life but has not answered for {waited_s} s")]
    NoAnswer {
        /// The process that holds the lock.
        pid: u32,
        /// How long it was waited for, in seconds.
        waited_s: u64,
    },
}

#[derive(Debug, Parser)]
#[command(name = "pivot-trading", version, about = "The service that trades")]
struct Args {
    /// Configuration file.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
}

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    run_with(&Args::parse().config)
}

/// Runs the service with this configuration file until it is told to stop.
pub fn run_with(config: &Path) -> ExitCode {
    match serve(config) {
        Ok(End::Stopped) => ExitCode::SUCCESS,
        Ok(End::Restart) => ExitCode::from(RESTART),
        Err(error) => {
            telemetry::complain(&format!("pivot-trading: {}", crate::service::in_full(&error)));
            exit_hint(&error)
        }
    }
}

/// The exit code on which the supervisor starts the service again.
const RESTART: u8 = 10;

/// The exit code of a process that another one has taken over from.
const TAKEN_OVER: u8 = 75;

/// 78 tells the supervisor that starting again will not help. A held lock is
/// no such case: whoever flattens in this service's place lets go again.
fn exit_hint(error: &TradingError) -> ExitCode {
    match error {
        TradingError::Config(_)
        | TradingError::KeptSession { .. }
        | TradingError::Journal(JournalError::Unreadable { .. } | JournalError::Version { .. }) => {
            ExitCode::from(78)
        }
        TradingError::Journal(JournalError::Fenced { .. }) => ExitCode::from(TAKEN_OVER),
        TradingError::Lock(_)
        | TradingError::Telemetry(_)
        | TradingError::Store(_)
        | TradingError::Journal(_)
        | TradingError::Client(_)
        | TradingError::Paper { .. }
        | TradingError::System { .. }
        | TradingError::NoAnswer { .. } => ExitCode::from(1),
    }
}

fn serve(path: &Path) -> Result<End, TradingError> {
    let config = Config::load(path)?;
    let clock = Clock::from_env()
        .map_err(|source| TradingError::System { what: "read the scaled clock", source })?;
    let _guard = telemetry::init("trading", &config, &clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| TradingError::System { what: "start the runtime", source })?;
    let tasks = tokio::task::LocalSet::new();
    let path = path.to_owned();
    tasks.spawn_local(async move { crate::service::reload_levels(&path).await });
    let ended = tasks.block_on(&runtime, run(config, clock, terminated()));
    drop(tasks);
    crate::service::end(runtime);
    ended.inspect_err(|error| crate::service::note_end(error))
}

async fn terminated() {
    if let Err(error) = crate::service::stop_signal().await {
        tracing::error!(%error, "signals cannot be received");
        std::future::pending::<()>().await;
    }
}

/// How the service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// It was asked to end so that it is started again.
    Restart,
}

/// Runs the service until `stop` is ready or a restart is asked for. Needs a `LocalSet`.
///
/// # Errors
/// When another copy holds the data folder, or the database fails.
pub async fn run(
    config: Config,
    clock: Clock,
    stop: impl Future<Output = ()>,
) -> Result<End, TradingError> {
    let mut built = build(config.clone(), clock.clone(), Seat::of_service)?;
    let context = built.service.context.clone();
    built.service.measured_by(Watchman::start(Post {
        service: Role::Trading,
        config,
        clock,
        mode: context.mode,
        voice: Voice::Direct,
    }));
    crate::service::ready("running");
    tracing::info!(mode = context.mode.as_str(), "pivot-trading runs");
    let day = tokio::task::spawn_local(day::run(context, built.planned));
    let ended = tokio::select! {
        biased;
        ended = day_ended(day) => ended,
        ended = built.service.run(stop, Service::is_restart_asked) => ended,
    };
    crate::service::stopping();
    // After an error nothing more is tried: a commit that failed may have lost
    // pages that the next one on this connection would not write (M18).
    ended?;
    let end = if built.service.is_restart_asked() { End::Restart } else { End::Stopped };
    finish(&mut built.service).await?;
    tracing::info!(?end, "pivot-trading stops");
    Ok(end)
}

async fn day_ended(
    day: tokio::task::JoinHandle<Result<(), TradingError>>,
) -> Result<(), TradingError> {
    match day.await {
        Ok(result) => result,
        Err(error) => Err(TradingError::System {
            what: "run the day's tasks",
            source: std::io::Error::other(error),
        }),
    }
}

/// Waits for the orders in flight, so that their outcomes are journaled and
/// what they bought is protected. Reads are not waited for.
async fn finish(service: &mut Service) -> Result<(), TradingError> {
    let deadline = tokio::time::sleep(STOP_WITHIN);
    service.run(deadline, Service::may_end).await
}

/// A service that has replayed its journal, ready to run.
struct Built {
    service: Service,
    planned: Option<NaiveDate>,
    _seat: Seat,
}

/// Real time that the service waits for whoever flattens in its place. It is
/// longer than a third of the span in which systemd allows three starts.
const STAND_IN_WITHIN: Duration = Duration::from_secs(120);
const STAND_IN_LOOK: Duration = Duration::from_millis(250);

/// The right to be the one that trades.
#[derive(Debug)]
struct Seat {
    /// `trading`, or `flatten` for whoever stands in.
    kind: &'static str,
    /// The lock of pivot-trading; a stand-in goes without it when its holder
    /// hangs and is fenced off by a newer epoch.
    _trading: Option<ServiceLock>,
    /// The lock of whoever stands in. The service holds it until it has its
    /// epoch, so that nobody begins to stand in before.
    flatten: Option<ServiceLock>,
}

impl Seat {
    fn of_service(dir: &Path) -> Result<Seat, TradingError> {
        let us = std::process::id();
        let began = std::time::Instant::now();
        loop {
            let trading = ServiceLock::acquire(dir, Role::Trading.as_str(), us);
            let both = trading
                .and_then(|trading| Ok((trading, ServiceLock::acquire(dir, flatten::LOCK, us)?)));
            match both {
                Ok((trading, flatten)) => {
                    return Ok(Seat {
                        kind: "trading",
                        _trading: Some(trading),
                        flatten: Some(flatten),
                    });
                }
                Err(error) => {
                    let stand_in = ServiceLock::holder(dir, flatten::LOCK);
                    if stand_in.is_none() || began.elapsed() >= STAND_IN_WITHIN {
                        return Err(error.into());
                    }
                    std::thread::sleep(STAND_IN_LOOK);
                }
            }
        }
    }

    fn of_stand_in(trading: Option<ServiceLock>, flatten: Option<ServiceLock>) -> Seat {
        Seat { kind: "flatten", _trading: trading, flatten }
    }

    /// The epoch is ours.
    fn claimed(&mut self) {
        if self.kind == "trading" {
            self.flatten = None;
        }
    }
}

fn build(
    config: Config,
    clock: Clock,
    take: impl FnOnce(&Path) -> Result<Seat, TradingError>,
) -> Result<Built, TradingError> {
    let dir = PathBuf::from(&config.data.dir);
    let mode = config.mode()?;
    let mut seat = take(&dir)?;
    let store = Store::open(&dir, Role::Trading, mode)?;
    let journal = claim(&dir, mode, &clock, &config, &seat)?;
    seat.claimed();
    let fence = Arc::new(journal.fence(Store::open(&dir, Role::Reader, mode)?));
    let config = Rc::new(config);
    let client = client(&config, &clock)?;
    let looking = Arc::clone(&fence);
    client.set_last_look(Arc::new(move || looking.check().map_err(|error| error.to_string())));
    let options = TickerOptions {
        url: config.kite.ticker_url.clone(),
        api_key: config.api_key.clone(),
        clock: clock.clone(),
    };
    let (ticker, events) = Ticker::start(options);
    let (inputs, waiting) = unbounded_channel();
    let paper = open_paper(&config, mode, &dir, &clock)?;
    let broker = match &paper {
        Some(book) => Broker::Paper(book.clone()),
        None => Broker::Kite(client.clone()),
    };
    let executor = executor::Executor::new(broker, clock.clone(), &dir, inputs.clone());
    let context = Context::new(Parts {
        calendar: config.calendar(),
        ticker: Rc::new(ticker),
        config: Rc::clone(&config),
        mode,
        clock: clock.clone(),
        client,
        store,
        inputs,
    });
    let kept = context.store.borrow().session(clock.now());
    let kept = kept.map_err(|source| match source.is_damage() {
        true => TradingError::KeptSession { path: dir.join(FILE_NAME), source },
        false => source.into(),
    })?;
    let token = kept.and_then(|session| session.access_token);
    let needs_login = token.is_none() && mode != Mode::Paper;
    if let Some(token) = token {
        context.client.set_session(token);
    }
    let grace_ms = config.market.candle_grace_ms;
    let entries = match journal.last_day(None)? {
        Some(day) => journal.replay(day)?,
        None => Vec::new(),
    };
    let mut core = Kernel::new(Engine::new(), journal, clock.clone(), grace_ms).with_pictures(&dir);
    let committed = core.replay(&entries)?;
    let planned = core.engine.day().map(|plan| plan.date);
    let feed = Feed::new(Rc::clone(&context.ticker), events, paper);
    let mut service = Service::new(context, core, executor, feed, waiting, fence)?;
    service.carry_out(&committed);
    if needs_login {
        service.take_turn(vec![Input::Session { alive: false }], Vec::new())?;
    }
    if let Some(mismatch) = service.core.take_mismatch() {
        distrust(&mut service, &mismatch)?;
    }
    if planned == Some(crate::market::time::ist_date(clock.now())) {
        service.day_prepared()?;
    }
    Ok(Built { service, planned, _seat: seat })
}

/// A replay that differs from the journal means that state and record may
/// disagree: no entries until a person has looked (M8).
fn distrust(service: &mut Service, mismatch: &ReplayMismatch) -> Result<(), TradingError> {
    let context = &service.context;
    let mut notice = context.notice(
        NoticeKind::Mismatch,
        Severity::Critical,
        "The journal does not replay to the same. Entries are disabled: compare with the Kite app",
    );
    notice.fields = vec![("Where".into(), mismatch.to_string())];
    context.store.borrow_mut().say(&notice)?;
    let disable = OperatorCommand {
        request: 0,
        actor: "replay".into(),
        asked_at: context.clock.now(),
        action: OperatorAction::Disable,
    };
    service.take_turn(Vec::new(), vec![disable])
}

/// Takes the next epoch and writes down what runs here (M20).
fn claim(
    dir: &Path,
    mode: Mode,
    clock: &Clock,
    config: &Config,
    seat: &Seat,
) -> Result<Journal, TradingError> {
    let digest = Sha256::digest(format!("{config:?}"));
    let run = Run {
        kind: seat.kind,
        pid: std::process::id(),
        started_at: clock.now(),
        version: env!("CARGO_PKG_VERSION").into(),
        build: option_env!("PIVOT_BUILD").unwrap_or("source").into(),
        config_hash: digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
    };
    Ok(Journal::claim(Store::open(dir, Role::Trading, mode)?, &run)?)
}

fn client(config: &Config, clock: &Clock) -> Result<Client, TradingError> {
    let client = Client::new(ClientOptions {
        base_url: config.kite.base_url.clone(),
        api_key: config.api_key.clone(),
        timeout: Duration::from_secs(config.kite.timeout_s),
        clock: clock.clone(),
    })
    .map_err(TradingError::Client)?;
    client.set_order_budget(OrderBudget::from(&config.orders));
    Ok(client)
}

fn open_paper(
    config: &Config,
    mode: Mode,
    dir: &Path,
    clock: &Clock,
) -> Result<Option<PaperBook>, TradingError> {
    match mode {
        Mode::Demo | Mode::Live => Ok(None),
        Mode::Paper => {
            let capital: Money = config.settings()?.risk.capital;
            PaperBook::open(dir, clock.clone(), capital)
                .map(Some)
                .map_err(|source| TradingError::Paper { dir: dir.to_owned(), source })
        }
    }
}
