//! From a configuration to a running bot, and its end.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use serde_json::json;
use teloxide::types::BotCommand;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::api::{Api, Letter};
use super::bot::{Bot, FOLLOWING, Follow};
use super::buttons::Buttons;
use super::command;
use super::follow;
use super::html::Page;
use super::people::People;
use super::{FlattenOnly, FlattenOrder, outbox, poll, reminders, voice, watch};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::engine::Mode;
use crate::health::{Alert, Post, Voice, Watchman};
use crate::service::{self, Life, SharedStore};
use crate::store::lock::{LockError, ServiceLock};
use crate::store::{Role, Store, StoreError};
use crate::telemetry;
use crate::trading::flatten::{self, Flattened};
use crate::upkeep::{self, Keeper};

/// Name of the service in locks, heartbeats and logs.
const SERVICE: &str = "bot";

/// Threads for the database and files: one for each connection, one for a
/// flattening, two for the upkeep and a backup that somebody asked for.
const BLOCKING_THREADS: usize = 8;

/// How long replies in hand may take at the end.
const GRACE: Duration = Duration::from_secs(4);

/// How often a conductor of time hears how far the bot is.
const REPORT_EVERY: Duration = Duration::from_millis(5);

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum BotError {
    /// The mode is not one of ours.
    #[error("trading.mode is {mode:?}; expected demo, paper or live")]
    Mode {
        /// What the configuration says.
        mode: String,
    },
    /// No token.
    #[error("telegram_token is empty; get one from @BotFather")]
    Token,
    /// No owner.
    #[error("telegram_chat_id is 0; name the chat that notifications go to")]
    Owner,
    /// Another instance runs.
    #[error("could not start")]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error("could not use the database")]
    Store(#[from] StoreError),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client cannot be made.
    #[error("could not prepare calls to Telegram: {0}")]
    Client(String),
}

/// Runs the bot until `shutdown` comes. A panic that pivot-trading does not
/// acknowledge is told of, loudly, and left to people; see [`run_flattening`].
///
/// # Errors
/// When another instance runs, the configuration lacks token or owner, or the
/// database cannot be used.
pub async fn run(
    config: Config,
    clock: Clock,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BotError> {
    let nobody: FlattenOnly = Arc::new(|_| {
        Box::pin(std::future::ready(Err(
            "pivot-trading does not answer, and nothing here can act in its place.".to_string(),
        )))
    });
    run_flattening(config, clock, nobody, shutdown).await
}

/// Runs the bot until `shutdown` comes; `flatten` acts when pivot-trading
/// does not acknowledge a panic within 1.5 s of real time, or does not run.
///
/// # Errors
/// As [`run`].
pub async fn run_flattening(
    config: Config,
    clock: Clock,
    flatten: FlattenOnly,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BotError> {
    run_from(config, None, clock, flatten, shutdown).await
}

/// The same with the file that the configuration was read from, which goes
/// into backups.
async fn run_from(
    config: Config,
    source: Option<PathBuf>,
    clock: Clock,
    flatten: FlattenOnly,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), BotError> {
    let (words, heard) = mpsc::channel(voice::QUEUE);
    let (alert, alerts) = mpsc::channel(voice::QUEUE);
    let (bot, _lock) = build(config, source, clock, flatten, (words, alert))?;
    let kept = bot.inbox.run(|store| store.bot_kept(FOLLOWING)).await?;
    resume(&bot, kept.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default());
    let life = {
        let bot = Arc::clone(&bot);
        move || {
            let mut detail = json!({
                "outbox_waiting": bot.waiting.load(Ordering::Relaxed),
                "replies_in_hand": bot.handling.load(Ordering::Relaxed),
            });
            bot.watchman.add_to(&mut detail);
            Life { phase: "polling".into(), detail }
        }
    };
    let mut polling = tokio::spawn(poll::poll(Arc::clone(&bot)));
    service::ready("running");
    tracing::info!(mode = bot.mode.as_str(), "polling");
    tokio::select! {
        () = shutdown => {}
        _ = &mut polling => tracing::error!("polling ended"),
        () = outbox::deliver(Arc::clone(&bot)) => {}
        () = watch::watch(Arc::clone(&bot)) => {}
        () = watch::alert(&bot, alerts) => {}
        () = voice::speak(&bot.api, bot.people.owner_chat, heard) => {}
        () = service::beat(bot.outbox.clone(), bot.clock.clone(), life) => {}
        () = register(&bot) => {}
        () = introduce(&bot) => {}
        () = report(&bot) => {}
        () = keep(&bot) => {}
        () = reminders::remind(&bot) => {}
        () = bot.ending.notified() => tracing::info!("asked to start again: stopping"),
    }
    service::stopping();
    polling.abort();
    finish(&bot).await;
    Ok(())
}

fn build(
    config: Config,
    source: Option<PathBuf>,
    clock: Clock,
    flatten: FlattenOnly,
    (words, alert): (mpsc::Sender<Letter>, mpsc::Sender<Alert>),
) -> Result<(Arc<Bot>, ServiceLock), BotError> {
    use secrecy::ExposeSecret as _;
    let mode = Mode::parse(&config.trading.mode)
        .ok_or_else(|| BotError::Mode { mode: config.trading.mode.clone() })?;
    if config.telegram_token.expose_secret().is_empty() {
        return Err(BotError::Token);
    }
    if config.telegram_chat_id == 0 {
        return Err(BotError::Owner);
    }
    let folder = Path::new(&config.data.dir);
    let lock = ServiceLock::acquire(folder, SERVICE, std::process::id())?;
    let open = |role| Store::open(folder, role, mode).map(SharedStore::new);
    let (inbox, outbox, reader) = (open(Role::Bot)?, open(Role::Bot)?, open(Role::Reader)?);
    let api = Api::new(&config.telegram.api_url, config.telegram_token.clone())
        .map_err(|error| BotError::Client(error.to_string()))?;
    let people = People::new(&config);
    let keeper = Keeper::new(config.clone(), mode, source, clock.clone())?;
    let watchman = Watchman::start(Post {
        service: Role::Bot,
        config: config.clone(),
        clock: clock.clone(),
        mode,
        voice: Voice::Own(alert),
    });
    let bot = Bot {
        api,
        config,
        mode,
        clock,
        inbox,
        outbox,
        reader,
        people,
        buttons: Buttons::default(),
        flatten,
        keeper: Arc::new(keeper),
        outside: Arc::new(Semaphore::new(1)),
        waiting: AtomicUsize::new(0),
        handling: AtomicUsize::new(0),
        words,
        following: Mutex::default(),
        watchman,
        username: OnceLock::new(),
        ending: Notify::new(),
    };
    Ok((Arc::new(bot), lock))
}

/// Takes up what an earlier process was asked and did not answer.
fn resume(bot: &Arc<Bot>, follows: Vec<Follow>) {
    for follow in follows {
        let mut following = bot.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.insert(follow.request, follow.clone());
        drop(following);
        bot.spawn(follow.chat, follow::follow(Arc::clone(bot), follow, true));
    }
}

/// Registers the commands, then does nothing for ever.
async fn register(bot: &Bot) {
    let commands: Vec<BotCommand> = command::ENTRIES
        .iter()
        .filter(|entry| entry.name != "start")
        .map(|entry| BotCommand::new(entry.name, entry.about))
        .collect();
    let mut backoff = voice::Backoff::new();
    while let Err(error) = bot.api.register(commands.clone()).await {
        tracing::warn!(%error, "the commands are not registered yet");
        backoff.pause(&error).await;
    }
    std::future::pending::<()>().await;
}

/// Asks Telegram for the bot's own name, then does nothing for ever.
async fn introduce(bot: &Bot) {
    let mut backoff = voice::Backoff::new();
    loop {
        match bot.api.username().await {
            Ok(Some(name)) => {
                tracing::info!(name, "the bot's own name");
                let _ = bot.username.set(name);
                break;
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "the bot's own name is not known yet");
                backoff.pause(&error).await;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Tells a conductor of time how far the bot is.
async fn report(bot: &Bot) {
    if !bot.clock.is_scaled() {
        std::future::pending::<()>().await;
    }
    loop {
        let busy = bot.waiting.load(Ordering::Relaxed) + bot.handling.load(Ordering::Relaxed) > 0;
        bot.clock.report(SERVICE, bot.clock.now(), busy);
        tokio::time::sleep(REPORT_EVERY).await;
    }
}

/// Looks after what is due by day and week, and tells what failed.
async fn keep(bot: &Bot) {
    let tell = |what: &str, why: &str| {
        let page = Page::new(bot.mode)
            .title(format!("🚨 Not done: {what}"))
            .line(why)
            .line("See /health, and pivotctl doctor on the machine.");
        bot.tell_owner(page);
    };
    upkeep::keep(Arc::clone(&bot.keeper), tell).await;
}

/// Lets replies in hand end.
async fn finish(bot: &Bot) {
    let ended = async {
        while bot.handling.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(GRACE, ended).await.is_err() {
        tracing::warn!("replies were still in hand at the end");
    }
}

/// Arguments of the process.
#[derive(Debug, clap::Parser)]
#[command(name = "pivot-bot", version, about = "The chat service of pivot-trading")]
struct Args {
    /// The configuration file.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
    /// Folder of the database, in place of `data.dir`.
    #[arg(long)]
    data: Option<PathBuf>,
}

pub(super) fn main() -> ExitCode {
    let args = Args::parse();
    service(&args.config, args.data.as_deref())
}

pub(super) fn service(config: &Path, data: Option<&Path>) -> ExitCode {
    match execute(config, data) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => service::fail("pivot-bot", error.as_ref()),
    }
}

fn execute(
    path: &Path,
    data: Option<&Path>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let source = path.to_owned();
    let (config, clock) = service::prepare(path, data)?;
    let _logs = telemetry::init(SERVICE, &config, &clock)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    let path = path.to_owned();
    runtime.spawn(async move { service::reload_levels(&path).await });
    let flatten = in_place_of_trading(config.clone(), clock.clone());
    let shutdown = async {
        if let Err(error) = service::stop_signal().await {
            tracing::error!(%error, "signals cannot be heard");
            std::future::pending::<()>().await;
        }
    };
    let ended = runtime.block_on(run_from(config, Some(source), clock, flatten, shutdown));
    service::end(runtime);
    Ok(ended.inspect_err(|error| service::note_end(error))?)
}

/// Runs pivot-trading's own loop in flatten-only mode, on a thread of its
/// own: it is not made to be moved between threads.
fn in_place_of_trading(config: Config, clock: Clock) -> FlattenOnly {
    Arc::new(move |order| {
        let (config, clock) = (config.clone(), clock.clone());
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(move || flatten_here(config, clock, &order));
            done.await.unwrap_or_else(|error| Err(format!("flattening failed: {error}")))
        })
    })
}

fn flatten_here(
    config: Config,
    clock: Clock,
    order: &FlattenOrder,
) -> Result<Option<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let local = tokio::task::LocalSet::new();
    let run = flatten::run(config, clock, &order.actor, order.request);
    match local.block_on(&runtime, run) {
        Ok(Flattened::Flat) => {
            Ok(Some("The broker shows nothing held and nothing working.".into()))
        }
        Ok(Flattened::Answered(_)) => Ok(None),
        Ok(Flattened::Left(what)) => Err(format!("Left: {what}.")),
        Ok(Flattened::Unchecked(what)) => Err(format!("Not checked at the broker: {what}.")),
        Err(error) => Err(service::in_full(&error)),
    }
}
