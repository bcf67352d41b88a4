//! Tells when another service falls silent in market hours, and when it is
//! back. Takes a panic up again that whoever was at it has left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{NaiveTime, TimeDelta};
use tokio::time::Instant;

use super::html::Page;
use super::serve::Bot;
use crate::engine::settings::Schedule;
use crate::market::Timestamp;
use crate::market::calendar::{Calendar, DayKind};
use crate::market::time::{hms, ist, ist_date, ist_time};
use crate::store::lock::ServiceLock;
use crate::store::{Heartbeat, Role};
use crate::trading::flatten;

/// How often the signs of life are read, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Silence in market time that is told of.
const SILENT_AFTER: TimeDelta = TimeDelta::seconds(30);

/// Silence in real time besides: a fast clock leaves less for a beat.
const SILENT_REAL: Duration = Duration::from_secs(5);

/// Real time in which nobody holds the locks of those who trade, or whoever
/// does is silent, before a panic with something open is taken up.
const DESERTED_AFTER: Duration = Duration::from_secs(3);

/// Pause after a panic was taken up.
const TAKE_UP_AGAIN: Duration = Duration::from_secs(60);

/// Reason of the state while a panic is on.
const PANIC: &str = "PANIC";

/// The hours in which services are expected to live.
const FROM: NaiveTime = hms(8, 15, 0);
const TO: NaiveTime = Schedule::USUAL.day_close;

/// Services that are watched; the bot is watched by others.
const WATCHED: [&str; 2] = ["auth", "trading"];

/// Which services were seen to give a sign of life, and when in real time.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    seen: Mutex<BTreeMap<String, Seen>>,
}

#[derive(Debug)]
struct Seen {
    at: Timestamp,
    /// When a new sign of life was met; `None` before the second.
    changed_at: Option<Instant>,
    first_at: Instant,
    silent: bool,
}

impl Pulse {
    /// Services that gave a sign of life within the last real seconds. A
    /// fast clock makes signs look older than they are.
    pub(super) fn lively(&self) -> BTreeSet<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |seen: &Seen| seen.changed_at.is_some_and(|at| at.elapsed() < SILENT_REAL);
        seen.iter().filter(|(_, seen)| fresh(seen)).map(|(name, _)| name.clone()).collect()
    }

    /// True when it was told that a service fell silent, and it still is.
    fn is_silent(&self, service: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(service).is_some_and(|seen| seen.silent)
    }
}

/// Watches for ever.
pub(super) async fn watch(bot: Arc<Bot>) {
    let calendar = bot.config.calendar();
    let mut desertion = Desertion::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if desertion.is_due(&bot).await {
            bot.spawn(bot.people.owner_chat, super::follow::take_up(Arc::clone(&bot)));
        }
        match bot.reader.run(|store| store.heartbeats()).await {
            Ok(beats) => {
                let expected = is_market_time(&calendar, bot.clock.now());
                for beat in &beats {
                    if let Some(page) = judge(&bot, beat, expected) {
                        bot.tell_owner(page);
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot watch");
            }
        }
    }
}

/// Notices that a panic is not over and nobody is at it.
#[derive(Debug, Default)]
struct Desertion {
    since: Option<Instant>,
    taken_up: Option<Instant>,
}

impl Desertion {
    async fn is_due(&mut self, bot: &Bot) -> bool {
        let now = Instant::now();
        if self.taken_up.is_some_and(|at| now - at < TAKE_UP_AGAIN) {
            return false;
        }
        let folder = Path::new(&bot.config.data.dir);
        let held = |lock| ServiceLock::holder(folder, lock).is_some();
        let runs = held(Role::Trading.as_str()) || held(flatten::LOCK);
        if (runs && !bot.pulse.is_silent("trading")) || !is_panic_open(bot).await {
            self.since = None;
            return false;
        }
        let due = now - *self.since.get_or_insert(now) >= DESERTED_AFTER;
        if due {
            (self.since, self.taken_up) = (None, Some(now));
        }
        due
    }
}

/// True when by the records a panic is on and a position of today open.
async fn is_panic_open(bot: &Bot) -> bool {
    let today = ist_date(bot.clock.now());
    let looked = bot.reader.run(move |store| {
        let panics = store.state()?.is_some_and(|state| state.reason == PANIC);
        Ok(panics && store.open_trade()?.is_some_and(|trade| trade.date == today))
    });
    looked.await.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for a panic");
        false
    })
}

fn is_market_time(calendar: &Calendar, now: Timestamp) -> bool {
    let open = match calendar.day(ist_date(now)) {
        DayKind::Trading(_) | DayKind::Unknown => true,
        DayKind::Closed(_) | DayKind::Special(_) => false,
    };
    open && (FROM..TO).contains(&ist_time(now))
}

fn judge(bot: &Bot, beat: &Heartbeat, expected: bool) -> Option<Page> {
    let mut seen = bot.pulse.seen.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let fresh = Seen { at: beat.at, changed_at: None, first_at: now, silent: false };
    let known = seen.entry(beat.service.clone()).or_insert(fresh);
    if known.at != beat.at {
        known.at = beat.at;
        known.changed_at = Some(now);
        let was_silent = std::mem::replace(&mut known.silent, false);
        return was_silent.then(|| back(bot, beat));
    }
    let watched = WATCHED.contains(&beat.service.as_str());
    let silence = bot.clock.now() - beat.at;
    let unchanged = known.changed_at.unwrap_or(known.first_at).elapsed();
    let silent = silence > SILENT_AFTER && unchanged > SILENT_REAL;
    if !watched || !expected || !silent || known.silent {
        return None;
    }
    known.silent = true;
    Some(fell_silent(bot, beat))
}

fn back(bot: &Bot, beat: &Heartbeat) -> Page {
    Page::new(bot.mode)
        .title(format!("✅ pivot-{} is back", beat.service))
        .line(format!("Phase: {}", beat.phase))
}

fn fell_silent(bot: &Bot, beat: &Heartbeat) -> Page {
    let last = ist(beat.at).format("%-d %b %H:%M:%S");
    let page = Page::new(bot.mode)
        .title(format!("🚨 pivot-{} is silent", beat.service))
        .line(format!("Last sign of life {last} IST, phase {}.", beat.phase));
    match beat.service.as_str() {
        "trading" => page.line(
            "Stops rest at the exchange. /panic flattens without it; /status shows what is open.",
        ),
        _ => page.line("Logins and order hints do not arrive until it is back."),
    }
}
