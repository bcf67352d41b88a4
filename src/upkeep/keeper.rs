//! Carries out what is due, and notes it. The scheduler only wakes it; what
//! is due follows from the clock, the calendar and the ledger, so that what
//! was missed is caught up and nothing is done twice.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono_tz::Asia::Kolkata;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_cron_scheduler::{Job as Timer, JobScheduler, JobSchedulerError};

use super::backup::{self, BackupError, Keep, Made, Order};
use super::ledger::{LOCK, Ledger, LedgerError};
use super::schedule::{self, Action, Due, Job, State, is_market_time};
use super::size_text;
use crate::clock::Clock;
use crate::config::{BackupPlan, Config};
use crate::engine::Mode;
use crate::market::calendar::Calendar;
use crate::market::time::{ist_date, ist_text};
use crate::service::in_full;
use crate::store::lock::{LockError, ServiceLock};
use crate::store::whole::{self, Vacuumed};
use crate::store::{FILE_NAME, Role, Store, StoreError};
use crate::telemetry::{self, rows};

/// Second, minute, hour, day, month, weekday: every minute.
const EVERY_MINUTE: &str = "0 * * * * *";

/// A rewriting of the database keeps writers waiting; it is given up before
/// they lose their patience, which is 5 s. Copying back what was rewritten
/// cannot be given up any more, and takes as long again and more.
pub const VACUUM_WITHIN: Duration = Duration::from_secs(1);

/// Keeps a data folder in order.
#[derive(Debug)]
pub struct Keeper {
    config: Config,
    mode: Mode,
    plan: BackupPlan,
    calendar: Calendar,
    /// The configuration file, when it goes into archives.
    source: Option<PathBuf>,
    clock: Clock,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What.
    pub job: Job,
    /// How.
    pub state: State,
    /// What came of it.
    pub detail: String,
}

/// Nothing could be carried out.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// What was done is not known or cannot be noted.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The lock cannot be taken, though nobody else holds it.
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Keeper {
    /// A keeper of the configuration's data folder. `source` is the
    /// configuration file.
    ///
    /// # Errors
    /// When the `backup` section is wrong.
    pub fn new(
        config: Config,
        mode: Mode,
        source: Option<PathBuf>,
        clock: Clock,
    ) -> Result<Keeper, crate::config::ConfigError> {
        let plan = config.backup_plan()?;
        let calendar = config.calendar();
        let source = source.filter(|_| plan.with_config);
        Ok(Keeper { config, mode, plan, calendar, source, clock })
    }

    fn data(&self) -> &Path {
        Path::new(&self.config.data.dir)
    }

    /// Carries out what is due now, and answers what has ended. Blocks.
    ///
    /// # Errors
    /// When the ledger or its lock cannot be used: nothing is done that could
    /// not be noted.
    pub fn turn(&self) -> Result<Vec<Ended>, KeeperError> {
        let lock = match ServiceLock::acquire(self.data(), LOCK, std::process::id()) {
            // Somebody else sees to it.
            Err(LockError::AlreadyRunning { .. }) => return Ok(Vec::new()),
            taken => taken?,
        };
        let mut ledger = Ledger::open(self.data(), self.clock.now())?;
        let mut ended = self.disown_future(&lock, &mut ledger)?;
        let due = |ledger: &Ledger| -> Result<Option<Due>, LedgerError> {
            let now = self.clock.now();
            let due = schedule::due(now, &self.calendar, &self.plan, &ledger.known(now)?);
            Ok(due.into_iter().next())
        };
        // Each is looked for anew: what was done took its time. One that
        // cannot be claimed would be found for ever.
        while let Some(next) = due(&ledger)? {
            let Due { job, at, action } = next;
            let Some(attempt) = ledger.claim(&lock, job, at, self.clock.now())? else { break };
            let (state, detail) = match action {
                Action::Run => self.run(job, attempt),
                Action::LeaveOut => (State::Skipped, "nobody was there in time".to_string()),
                Action::GiveUp => {
                    (State::Failed, "it failed or was interrupted again and again".to_string())
                }
            };
            ledger.end(job, at, state, &detail, self.clock.now())?;
            log(job, state, &detail);
            ended.push(Ended { job, state, detail });
        }
        Ok(ended)
    }

    /// Makes what is dated later than the clock void: it would keep its jobs
    /// from being done until that date.
    fn disown_future(
        &self,
        lock: &ServiceLock,
        ledger: &mut Ledger,
    ) -> Result<Vec<Ended>, LedgerError> {
        let disowned = ledger.disown_future(lock, self.clock.now())?;
        let ended = disowned.into_iter().map(|run| {
            let (due, begun) = (ist_text(run.due), ist_text(run.started_at));
            let detail = format!(
                "due {due} and begun {begun} by a clock that stood in the future: it does not count"
            );
            log(run.job, State::Void, &detail);
            Ended { job: run.job, state: State::Void, detail }
        });
        Ok(ended.collect())
    }

    /// Carries something out, for the `attempt`th time.
    fn run(&self, job: Job, attempt: u32) -> (State, String) {
        let done: Result<String, Trouble> = match job {
            Job::Cleanup => self.clean_up(),
            Job::Optimize => self.optimize(),
            Job::Backup => self.backup(false).map(|made| made_text(&made)).map_err(Into::into),
            Job::FullBackup => self.backup(true).map(|made| made_text(&made)).map_err(Into::into),
            Job::Check => self.check(),
            Job::Vacuum => self.vacuum(),
            Job::Prune => self.prune(),
        };
        match done {
            Ok(text) => (State::Done, text),
            Err(Trouble::Unneeded(text)) => (State::Skipped, text),
            Err(Trouble::Lasting(text)) => (State::Failed, text),
            Err(Trouble::Failed(text)) => match schedule::again_at(attempt, self.clock.now()) {
                Some(_) => (State::Waiting, text),
                None => (State::Failed, format!("{text} (tried {attempt} times)")),
            },
        }
    }

    /// Makes a backup now. Blocks.
    ///
    /// # Errors
    /// As [`backup::create`].
    pub fn backup(&self, full: bool) -> Result<Made, BackupError> {
        let order = Order {
            data: self.data().to_owned(),
            dir: self.plan.dir.clone(),
            config: self.source.clone(),
            logs: full.then(|| PathBuf::from(&self.config.data.log_dir)),
            now: self.clock.now(),
        };
        backup::create(&order, &mut |_, _, _| {})
    }

    /// Deletes what is older than logs are kept: files, and records.
    fn clean_up(&self) -> Result<String, Trouble> {
        let (folder, logging) = (Path::new(&self.config.data.log_dir), &self.config.logging);
        let now = self.clock.now();
        let files = if folder.exists() {
            telemetry::delete_old(folder, ist_date(now), logging.keep_days, false).map_err(
                |error| Trouble::Failed(format!("could not clear {}: {error}", folder.display())),
            )?
        } else {
            Vec::new()
        };
        let [active, archive] =
            [rows::FILE_NAME, rows::ARCHIVE_NAME].map(|name| self.data().join(name));
        let (keep, whole) = (logging.database_keep_days, logging.archive_keep_days);
        let records = rows::retain(&active, &archive, now, keep, whole)
            .map_err(|error| Trouble::Failed(in_full(&error)))?;
        Ok(format!(
            "{} log files deleted; {} log records archived, {} deleted",
            files.len(),
            records.archived,
            records.deleted
        ))
    }

    fn optimize(&self) -> Result<String, Trouble> {
        Store::open(self.data(), Role::Bot, self.mode)?.tidy()?;
        Ok("statistics renewed".into())
    }

    fn check(&self) -> Result<String, Trouble> {
        let faults = whole::faults(&self.data().join(FILE_NAME))?;
        if faults.is_empty() {
            return Ok("the database is sound".into());
        }
        let faults = faults.join("; ");
        Err(Trouble::Lasting(format!("{faults}. Stop the services and restore the last backup")))
    }

    fn vacuum(&self) -> Result<String, Trouble> {
        match whole::vacuum(&self.data().join(FILE_NAME), Some(VACUUM_WITHIN))? {
            Vacuumed::Done { before, after } => {
                Ok(format!("from {} to {}", size_text(before), size_text(after)))
            }
            Vacuumed::GivenUp => Err(Trouble::Unneeded(
                "it would have kept the services waiting; stop them and run pivotctl db vacuum"
                    .into(),
            )),
        }
    }

    fn prune(&self) -> Result<String, Trouble> {
        let keep = Keep { ordinary: self.plan.keep, full: self.plan.keep_full };
        let deleted =
            backup::prune(&self.plan.dir, Some(self.mode.as_str()), keep, &mut |_, _, _| {})?;
        Ok(format!("{} archives deleted", deleted.len()))
    }
}

/// Why something was not done.
enum Trouble {
    /// And need not be.
    Unneeded(String),
    /// And would not be the next time either.
    Lasting(String),
    /// And may be the next time.
    Failed(String),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Failed(in_full(&error))
    }
}

impl From<BackupError> for Trouble {
    fn from(error: BackupError) -> Trouble {
        let unneeded = matches!(error, BackupError::NothingRecorded { .. });
        let why = in_full(&error);
        if unneeded { Trouble::Unneeded(why) } else { Trouble::Failed(why) }
    }
}

fn made_text(made: &Made) -> String {
    let name = made.path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    format!("{name}, {}, verified", size_text(made.size))
}

/// What there is to tell of runs that count for nothing.
fn disowned_text(ended: &[Ended]) -> Option<String> {
    let disowned = ended.iter().filter(|ended| ended.state == State::Void);
    let jobs: BTreeSet<&str> = disowned.map(|ended| ended.job.about()).collect();
    (!jobs.is_empty()).then(|| {
        let jobs = jobs.into_iter().collect::<Vec<_>>().join(", ");
        format!(
            "The clock of this machine stood in the future: what was done then does not count \
             ({jobs}). See timedatectl."
        )
    })
}

fn log(job: Job, state: State, detail: &str) {
    let (job, outcome) = (job.as_str(), state.as_str());
    match state {
        State::Failed => tracing::error!(event_type = "maintenance", job, outcome, "{detail}"),
        State::Waiting | State::Void => {
            tracing::warn!(event_type = "maintenance", job, outcome, "{detail}");
        }
        State::Running | State::Done | State::Skipped => {
            tracing::info!(event_type = "maintenance", job, outcome, "{detail}");
        }
    }
}

/// Carries out what is due, now and every minute, for ever; `tell` hears of
/// what failed, once each. On a scaled clock nothing is due: a day that takes
/// a minute has no night.
pub async fn keep(keeper: Arc<Keeper>, tell: impl Fn(&str, &str)) {
    if keeper.clock.is_scaled() {
        return std::future::pending().await;
    }
    let (wake, mut woken) = unbounded_channel();
    let _scheduler = match scheduler(wake.clone()).await {
        Ok(scheduler) => scheduler,
        Err(error) => {
            let error = format!("nothing wakes it: {error}");
            tracing::error!(event_type = "maintenance", error, "no upkeep");
            tell("upkeep", &error);
            return std::future::pending().await;
        }
    };
    // What was missed is not left to the next minute.
    let _ = wake.send(());
    let mut is_told = false;
    while woken.recv().await.is_some() {
        // Several wake-ups while it was busy are one.
        while woken.try_recv().is_ok() {}
        let turning = Arc::clone(&keeper);
        match tokio::task::spawn_blocking(move || turning.turn()).await {
            Ok(Ok(ended)) => {
                is_told = false;
                for ended in ended.iter().filter(|ended| ended.state == State::Failed) {
                    tell(ended.job.about(), &ended.detail);
                }
                if let Some(text) = disowned_text(&ended) {
                    tell("upkeep until now", &text);
                }
            }
            Ok(Err(error)) => {
                let error = in_full(&error);
                tracing::warn!(event_type = "maintenance", error, "no upkeep");
                if !std::mem::replace(&mut is_told, true) {
                    tell("upkeep", &error);
                }
            }
            Err(error) => tracing::error!(event_type = "maintenance", %error, "no upkeep"),
        }
    }
}

pub(super) async fn scheduler(
    wake: UnboundedSender<()>,
) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    let timer = Timer::new_tz(EVERY_MINUTE, Kolkata, move |_, _| {
        // Nobody listens only while the process ends.
        let _ = wake.send(());
    })?;
    scheduler.add(timer).await?;
    scheduler.start().await?;
    Ok(scheduler)
}

/// True when a market is open by this configuration's calendar.
pub fn market_is_open(config: &Config, clock: &Clock) -> bool {
    is_market_time(&config.calendar(), clock.now())
}
