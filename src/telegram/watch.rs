//! Tells the owner what the watchman finds. Takes a panic up again that
//! whoever was at it has left.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::bot::Bot;
use super::html::Page;
use crate::config::NotifyLevel;
use crate::health::{Alert, Level, Status, tell};
use crate::market::time::ist_date;
use crate::store::Role;
use crate::store::lock::ServiceLock;
use crate::trading::flatten;

/// How often a panic that nobody is at is looked for, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Name of these messages in `notifications`.
const KIND: &str = "health";

/// Real time in which nobody holds the locks of those who trade, or whoever
/// does is silent, before a panic with something open is taken up.
const DESERTED_AFTER: Duration = Duration::from_secs(3);

/// Pause after a panic was taken up.
const TAKE_UP_AGAIN: Duration = Duration::from_secs(60);

/// Reason of the state while a panic is on.
const PANIC: &str = "PANIC";

/// Watches for ever.
pub(super) async fn watch(bot: Arc<Bot>) {
    let mut desertion = Desertion::default();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if desertion.is_due(&bot).await {
            bot.spawn(bot.people.owner_chat, super::follow::take_up(Arc::clone(&bot)));
        }
    }
}

/// Tells what is not well and what is well again, for ever.
pub(super) async fn alert(bot: &Bot, mut alerts: mpsc::Receiver<Alert>) {
    while let Some(alert) = alerts.recv().await {
        let level = bot.config.notifications.get(KIND).copied().unwrap_or(NotifyLevel::On);
        let is_loud = alert.status == Status::Firing && alert.severity == Level::Critical;
        let silent = match level {
            NotifyLevel::Off if !is_loud => continue,
            NotifyLevel::Silent => !is_loud,
            NotifyLevel::On | NotifyLevel::Off => false,
        };
        let title = format!("{} {}", tell::sign(&alert), alert.message);
        bot.tell_owner_with(Page::new(bot.mode).title(title).line(&alert.advice), silent);
    }
    std::future::pending::<()>().await;
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
        if (runs && !bot.watchman.pulse().is_silent("trading")) || !is_panic_open(bot).await {
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
