//! The thread that measures, judges and tells, one in each service. It shares
//! nothing with the service but what it publishes: a loop that hangs does not
//! hold it up, and it never holds up a loop.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::alarm::{Alarms, Alert, Bounds, Level, Reading, Trouble};
use super::hours::Hours;
use super::judge::{Facts, Judge};
use super::patterns::Patterns;
use super::pulse::{Pace, Pulse, is_mine};
use super::sample::{Folders, Machine, Sample, Sampler};
use super::tell::{Owner, Webhook, message};
use super::{keep, logs};
use crate::clock::{Clock, real_now};
use crate::config::Config;
use crate::engine::Mode;
use crate::market::Timestamp;
use crate::market::calendar::Calendar;
use crate::market::time::ist;
use crate::store::{Heartbeat, Role, SILENT_AFTER, Store, StoreError};

/// Market time between two samples, and the least real time.
const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const SAMPLE_REAL_MIN: Duration = Duration::from_secs(1);

/// Real time between two looks at the signs of life.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Samples that are kept: an hour of them.
const HISTORY: usize = 720;

/// Alerts that may wait to be told.
const QUEUE: usize = 64;

/// Least real time between two deletions of old logs.
const CLEAN_UP_AGAIN: Duration = Duration::from_secs(600);

/// Who watches, and how it tells.
#[derive(Debug)]
pub struct Post {
    /// The service whose thread this is.
    pub service: Role,
    /// Its configuration.
    pub config: Config,
    /// Its clock.
    pub clock: Clock,
    /// The mode of its database.
    pub mode: Mode,
    /// Where alerts go besides the webhook.
    pub voice: Voice,
}

/// Where alerts go.
#[derive(Debug)]
pub enum Voice {
    /// To whoever speaks to the owner in this process.
    Own(mpsc::Sender<Alert>),
    /// To the owner's chat, by a call of one's own.
    Direct,
}

/// What the thread publishes, and its end: it stops when this is dropped.
#[derive(Debug)]
pub struct Watchman {
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug)]
struct Shared {
    history: Mutex<VecDeque<Sample>>,
    troubles: Mutex<Vec<Trouble>>,
    pulse: Pulse,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watchman {
    /// Starts the thread. When there is none to be had, the service runs
    /// without, and says so in its log.
    pub fn start(post: Post) -> Watchman {
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::new(Shared {
            history: Mutex::default(),
            troubles: Mutex::default(),
            pulse: Pulse::default(),
        });
        let published = Arc::clone(&shared);
        let started = std::thread::Builder::new().name("health".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .max_blocking_threads(2)
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(watch(post, published, stopped));
                    runtime.shutdown_background();
                }
                Err(error) => tracing::error!(%error, "nobody watches: no runtime"),
            }
        });
        if let Err(error) = started {
            tracing::error!(%error, "nobody watches: no thread");
        }
        Watchman { shared, _stop: stop }
    }

    /// Adds this process's figures to the detail of a sign of life.
    pub fn add_to(&self, detail: &mut Value) {
        let Some(detail) = detail.as_object_mut() else { return };
        if let Some(sample) = self.latest() {
            // Plain structs of numbers: nothing in them can fail.
            let process = serde_json::to_value(sample.process).unwrap_or_default();
            detail.insert("process".into(), process);
            if let Some(machine) = sample.machine {
                detail.insert("machine".into(), serde_json::to_value(machine).unwrap_or_default());
            }
        }
        let troubles = serde_json::to_value(self.troubles()).unwrap_or_default();
        detail.insert("troubles".into(), troubles);
        let logs = serde_json::to_value(logs::figures()).unwrap_or_default();
        detail.insert("log".into(), logs);
    }

    /// The last sample.
    pub fn latest(&self) -> Option<Sample> {
        locked(&self.shared.history).back().copied()
    }

    /// The samples of about an hour, oldest first.
    pub fn history(&self) -> Vec<Sample> {
        locked(&self.shared.history).iter().copied().collect()
    }

    /// What is bad now, worst first. Of pivot-trading: silence only.
    pub fn troubles(&self) -> Vec<Trouble> {
        locked(&self.shared.troubles).clone()
    }

    /// The services' signs of life, as this process sees them.
    pub fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }
}

async fn watch(post: Post, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut watch = Watch::new(post, shared);
    loop {
        watch.look();
        tokio::select! {
            // The sender never sends: it is dropped.
            _ = &mut stopped => return,
            () = tokio::time::sleep(watch.pause()) => {}
        }
    }
}

/// What the thread needs.
struct Watch {
    shared: Arc<Shared>,
    service: &'static str,
    config: Config,
    clock: Clock,
    mode: Mode,
    calendar: Calendar,
    folder: PathBuf,
    store: Option<Store>,
    sampler: Sampler,
    sample_due: Instant,
    judge: Option<Judge>,
    patterns: Patterns,
    alarms: Alarms,
    told: mpsc::Sender<Alert>,
    cleaned_up: Option<Instant>,
}

impl Watch {
    fn new(post: Post, shared: Arc<Shared>) -> Watch {
        let Post { service, config, clock, mode, voice } = post;
        let folder = PathBuf::from(&config.data.dir);
        let judges = service != Role::Trading;
        let folders = Folders { data: folder.clone(), logs: PathBuf::from(&config.data.log_dir) };
        let (told, heard) = mpsc::channel(QUEUE);
        let service = service.as_str();
        tokio::spawn(tell(config.clone(), mode, service, voice, heard));
        Watch {
            shared,
            service,
            clock,
            mode,
            calendar: config.calendar(),
            alarms: keep::load(&folder, service),
            patterns: Patterns::new(&config.health.patterns, Path::new(&config.data.log_dir)),
            judge: judges.then(|| Judge::new(config.health.clone())),
            sampler: Sampler::new(judges.then_some(folders)),
            sample_due: Instant::now(),
            folder,
            store: None,
            told,
            cleaned_up: None,
            config,
        }
    }

    /// Until the next look.
    fn pause(&self) -> Duration {
        LOOK_EVERY.min(self.sample_due.saturating_duration_since(Instant::now()))
    }

    fn look(&mut self) {
        let now = self.clock.now();
        let sampled = self.sample(now);
        match self.judge_all(now, sampled) {
            Ok((readings, judged)) => self.observe(&readings, judged),
            Err(error) => {
                self.store = None;
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot watch");
            }
        }
    }

    /// Takes a sample when one is due.
    fn sample(&mut self, now: Timestamp) -> Option<Sample> {
        let real = Instant::now();
        if real < self.sample_due {
            return None;
        }
        let pause = SAMPLE_EVERY.div_f64(self.clock.speed().max(0.001));
        self.sample_due = real + pause.clamp(SAMPLE_REAL_MIN, SAMPLE_EVERY);
        let sample = self.sampler.sample(now);
        let mut history = locked(&self.shared.history);
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back(sample);
        Some(sample)
    }

    /// Readings, and whether they are of everything that is watched; else of
    /// silence only.
    fn judge_all(
        &mut self,
        now: Timestamp,
        sample: Option<Sample>,
    ) -> Result<(Vec<Reading>, bool), StoreError> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.folder, Role::Reader, self.mode)?,
        };
        let store = self.store.insert(store);
        let beats = store.heartbeats()?;
        let scaled = self.clock.is_scaled();
        let pace = if scaled { Pace::Scaled } else { Pace::Real };
        self.shared.pulse.look(&beats, now, Instant::now(), pace);
        let hours = Hours::at(&self.calendar, now);
        let mut readings: Vec<Reading> = beats
            .iter()
            .filter(|beat| beat.service != self.service)
            .map(|beat| silence(beat, now, hours, &self.shared.pulse, &self.alarms))
            .collect();
        let machine = sample.and_then(|sample| sample.machine);
        let judged = self.judge.is_some() && machine.is_some();
        if let (Some(judge), Some(machine)) = (&mut self.judge, machine) {
            let facts = Facts {
                now,
                hours,
                machine: &machine,
                beats: &beats,
                is_silent: &|service| self.shared.pulse.is_silent(service),
                scaled,
                session_until: store.session(now)?.map(|session| session.valid_until),
                outbox_oldest: store.outbox_backlog()?.1,
                found: self.patterns.look(),
            };
            readings.extend(judge.readings(&facts, judged_at(&self.clock, now)));
            readings.extend(logs::database(&machine, &self.config));
            self.make_room(&machine);
        }
        Ok((readings, judged))
    }

    fn observe(&mut self, readings: &[Reading], judged: bool) {
        let at = judged_at(&self.clock, self.clock.now());
        let pulse = &self.shared.pulse;
        let mut alerts = Vec::new();
        for reading in readings {
            let speak = is_mine(self.service, reading.name.strip_prefix(SILENT), pulse);
            alerts.extend(self.alarms.observe(reading, at, speak));
        }
        let is_watched = |name: &str| judged || name.starts_with(SILENT);
        let why = |name: &str| why_absent(name, pulse);
        alerts.extend(self.alarms.end_absent(readings, is_watched, why, at));
        let any = !alerts.is_empty();
        for alert in alerts {
            // Not the message: what is looked for in logs may stand in it.
            tracing::warn!(
                name = alert.name,
                status = ?alert.status,
                severity = alert.severity.as_str(),
                value = alert.value,
                "health alert"
            );
            if self.told.try_send(alert).is_err() {
                tracing::error!("too many alerts wait to be told; one is lost");
            }
        }
        *locked(&self.shared.troubles) = self.alarms.troubles();
        if any && let Err(error) = keep::save(&self.folder, self.service, &self.alarms) {
            tracing::warn!(%error, "what was told is not kept; a restart may repeat it");
        }
    }

    /// Has old logs deleted when a disk is nearly full.
    fn make_room(&mut self, machine: &Machine) {
        let trouble = self.alarms.troubles().into_iter().find(|trouble| trouble.name == "disk");
        let full = trouble.is_some_and(|trouble| trouble.severity == Level::Critical);
        let again = self.cleaned_up.is_none_or(|at| at.elapsed() >= CLEAN_UP_AGAIN);
        if full && again && is_mine(self.service, None, &self.shared.pulse) {
            self.cleaned_up = Some(Instant::now());
            tracing::warn!(disk_pct = machine.disk_pct(), "deleting old logs to make room");
            let (config, clock) = (self.config.clone(), self.clock.clone());
            tokio::task::spawn_blocking(move || logs::make_room(&config, &clock));
        }
    }
}

/// The time by which alerts keep their distance: of a scaled clock five
/// minutes are a moment.
fn judged_at(clock: &Clock, now: Timestamp) -> Timestamp {
    if clock.is_scaled() { real_now() } else { now }
}

/// What the names of silence begin with; the service follows.
const SILENT: &str = "silent.";

/// Why there is no reading of something any more.
fn why_absent(name: &str, pulse: &Pulse) -> String {
    let service = match name {
        // What pivot-trading alone knows.
        "tick" | "clock" | "session" => Some("trading"),
        _ => name.rsplit_once('.').map(|(_, service)| service),
    };
    match service.filter(|service| pulse.is_silent(service)) {
        Some(service) => format!("not known any more, pivot-{service} is silent"),
        None => "not watched any more".to_string(),
    }
}

/// Whether a service is silent. What was told is not over when its hours are.
fn silence(
    beat: &Heartbeat,
    now: Timestamp,
    hours: Hours,
    pulse: &Pulse,
    alarms: &Alarms,
) -> Reading {
    let service = &beat.service;
    let name = format!("{SILENT}{service}");
    let least = SILENT_AFTER.num_seconds() as f64;
    // Told by a process before this one, it is over with the next sign only.
    let told = alarms.is_told(&name);
    let silent = pulse.is_silent(service) || told && !pulse.has_beaten(service);
    let counts = silent && (hours.services || told);
    let age = ((now - beat.at).num_seconds() as f64).max(least);
    let last = ist(beat.at).format("%-d %b %H:%M:%S");
    let meanwhile = match service.as_str() {
        "trading" => {
            "Stops rest at the exchange. /panic flattens without it; /status shows what is open."
        }
        "bot" => {
            "Nothing is heard or told on Telegram until it is back. `pivotctl panic` works \
             without it, and so does trading."
        }
        _ => "Logins and order hints do not arrive until it is back.",
    };
    Reading {
        value: if counts { age } else { 0.0 },
        bounds: Bounds { warning: None, critical: Some(least), margin: 0.0 },
        hold: chrono::TimeDelta::zero(),
        settle: chrono::TimeDelta::zero(),
        headline: format!("pivot-{service} is silent"),
        advice: format!("Last sign of life {last} IST, phase {}.\n{meanwhile}", beat.phase),
        over: format!("pivot-{service} is back"),
        process: None,
        name,
    }
}

/// Tells one alert after the other, for ever.
async fn tell(
    config: Config,
    mode: Mode,
    service: &'static str,
    voice: Voice,
    mut heard: mpsc::Receiver<Alert>,
) {
    let webhook = Webhook::new(&config, mode).unwrap_or_else(|error| {
        tracing::error!(%error, "alerts are not posted");
        None
    });
    let owner = match &voice {
        Voice::Own(_) => None,
        Voice::Direct => Owner::new(&config).ok(),
    };
    let webhook = webhook.map(Arc::new);
    while let Some(alert) = heard.recv().await {
        // A webhook that does not answer holds up nobody, and the other way
        // round.
        let posted = webhook.clone().map(|webhook| {
            let alert = alert.clone();
            tokio::spawn(async move {
                if let Err(error) = webhook.post(&alert).await {
                    tracing::warn!(%error, name = alert.name, "an alert was not posted");
                }
            })
        });
        match (&voice, &owner) {
            (Voice::Own(words), _) => {
                if words.try_send(alert).is_err() {
                    tracing::error!("too many alerts wait for the owner; one is lost");
                }
            }
            (Voice::Direct, Some(owner)) => {
                if let Err(error) = owner.tell(&message(&alert, mode, service)).await {
                    tracing::error!(%error, name = alert.name, "the owner could not be told");
                }
            }
            (Voice::Direct, None) => {}
        }
        if let Some(posted) = posted {
            // Alerts of one webhook stay in order.
            let _ = posted.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(at: Timestamp) -> Heartbeat {
        Heartbeat {
            service: "trading".into(),
            pid: 1,
            started_at: at,
            at,
            version: String::new(),
            phase: "trading".into(),
            detail: Value::Null,
        }
    }

    #[test]
    fn a_watcher_that_was_restarted_takes_nobody_for_back_who_is_still_silent() {
        let now =
            |second: i64| chrono::DateTime::from_timestamp(1_795_400_000 + second, 0).unwrap();
        let hours = Hours { services: true, session: true, prices: true };
        let mut alarms = Alarms::default();
        let real = Instant::now();
        let watch = |pulse: &Pulse, second: u64, at: i64, alarms: &mut Alarms| {
            let (beat, now) = (beat(now(at)), now(i64::try_from(second).unwrap()));
            let real = real + Duration::from_secs(second);
            pulse.look(std::slice::from_ref(&beat), now, real, Pace::Real);
            let reading = silence(&beat, now, hours, pulse, alarms);
            alarms.observe(&reading, now, true).map(|alert| alert.message)
        };
        let pulse = Pulse::default();
        let told: Vec<String> =
            (0..60).filter_map(|second| watch(&pulse, second, 0, &mut alarms)).collect();
        assert_eq!(told, ["pivot-trading is silent"]);
        assert!(why_absent("tick", &pulse).ends_with("pivot-trading is silent"));
        assert!(why_absent("fds.trading", &pulse).ends_with("pivot-trading is silent"));
        assert_eq!(why_absent("pattern.3", &pulse), "not watched any more");
        // Another process watches, knowing what was told.
        let pulse = Pulse::default();
        let told: Vec<String> =
            (100..200).filter_map(|second| watch(&pulse, second, 0, &mut alarms)).collect();
        assert_eq!(told, Vec::<String>::new());
        assert_eq!(watch(&pulse, 200, 200, &mut alarms).unwrap(), "pivot-trading is back");
    }
}
