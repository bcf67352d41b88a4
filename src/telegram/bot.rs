//! What all tasks of the chat service share.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::FlattenOnly;
use super::api::{Api, Letter};
use super::buttons::Buttons;
use super::html::Page;
use super::people::People;
use super::voice;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::health::Watchman;
use crate::service::SharedStore;
use crate::store::{AuditEntry, StoreError};
use crate::upkeep::Keeper;

/// Where requests without an answer are kept.
pub(super) const FOLLOWING: &str = "following";

/// Where it is kept until when routine notices are muted.
pub(super) const MUTED_UNTIL: &str = "muted_until";

/// A request that someone waits for. Kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Follow {
    pub(super) request: i64,
    pub(super) chat: i64,
    pub(super) actor: String,
    pub(super) what: String,
    pub(super) is_panic: bool,
}

/// What all tasks share.
pub(super) struct Bot {
    pub(super) api: Api,
    pub(super) config: Config,
    pub(super) mode: Mode,
    pub(super) clock: Clock,
    /// For what people ask; never behind the outbox.
    pub(super) inbox: SharedStore,
    pub(super) outbox: SharedStore,
    pub(super) reader: SharedStore,
    pub(super) people: People,
    pub(super) buttons: Buttons,
    pub(super) flatten: FlattenOnly,
    pub(super) keeper: Arc<Keeper>,
    /// One at a time reads files that may be on a disk that hangs.
    pub(super) outside: Arc<Semaphore>,
    /// Notices that wait to be told.
    pub(super) waiting: AtomicUsize,
    pub(super) handling: AtomicUsize,
    pub(super) words: mpsc::Sender<Letter>,
    pub(super) following: Mutex<BTreeMap<i64, Follow>>,
    pub(super) watchman: Watchman,
    pub(super) username: OnceLock<String>,
    /// Ends the service; the supervisor starts it again.
    pub(super) ending: Notify,
}

impl Bot {
    /// The bot's name at Telegram, once it is known.
    pub(super) fn username(&self) -> Option<&str> {
        self.username.get().map(String::as_str)
    }

    /// Runs a task whose panic ends nothing but itself.
    pub(super) fn spawn(
        self: &Arc<Bot>,
        chat: i64,
        work: impl Future<Output = ()> + Send + 'static,
    ) -> JoinHandle<()> {
        let bot = Arc::clone(self);
        bot.handling.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            if let Err(error) = tokio::spawn(work).await
                && error.is_panic()
            {
                tracing::error!(chat, "a reply panicked");
                let page = Page::new(bot.mode)
                    .title("🚨 A fault in pivot-bot")
                    .line("The command may not have been carried out. See /status.");
                voice::reply(&bot.api, chat, page).await;
            }
            bot.handling.fetch_sub(1, Ordering::Relaxed);
        })
    }

    /// Sends a page as a reply, beside everything else.
    pub(super) fn reply(self: &Arc<Bot>, chat: i64, page: Page) -> JoinHandle<()> {
        let bot = Arc::clone(self);
        self.spawn(chat, async move { voice::reply(&bot.api, chat, page).await })
    }

    /// Says something to the owner, as soon as Telegram takes it.
    pub(super) fn tell_owner(&self, page: Page) {
        self.tell_owner_with(page, false);
    }

    /// The same, with or without a sound.
    pub(super) fn tell_owner_with(&self, page: Page, silent: bool) {
        for letter in page.letters(silent) {
            if self.words.try_send(letter).is_err() {
                tracing::error!("too many words wait for the owner; one is lost");
            }
        }
    }

    pub(super) fn max_age(&self) -> TimeDelta {
        let seconds = self.config.telegram.max_command_age_s;
        TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000))
    }

    /// Notes an update; true when it was not noted before.
    pub(super) async fn first_seen(&self, update: i64) -> Result<bool, StoreError> {
        let now = self.clock.now();
        self.inbox.run(move |store| store.first_seen(update, now)).await
    }

    /// Appends to the audit log.
    pub(super) async fn note(&self, entry: AuditEntry) -> Result<(), StoreError> {
        self.inbox.run(move |store| store.audit(&entry)).await
    }

    pub(super) async fn is_muted(&self) -> Result<bool, StoreError> {
        let until = self.outbox.run(|store| store.bot_kept(MUTED_UNTIL)).await?;
        let until = until.and_then(|value| DateTime::from_timestamp(value.as_i64()?, 0));
        Ok(until.is_some_and(|until| self.clock.now() < until))
    }

    pub(super) fn is_following(&self, request: i64) -> bool {
        let following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
        following.contains_key(&request)
    }

    /// Remembers that someone waits for an answer.
    pub(super) async fn follow(&self, follow: &Follow) -> Result<(), StoreError> {
        self.keep_following(|following| {
            following.insert(follow.request, follow.clone());
        })
        .await
    }

    /// Nobody waits for it any more.
    pub(super) async fn unfollow(&self, request: i64) -> Result<(), StoreError> {
        self.keep_following(|following| {
            following.remove(&request);
        })
        .await
    }

    async fn keep_following(
        &self,
        change: impl FnOnce(&mut BTreeMap<i64, Follow>),
    ) -> Result<(), StoreError> {
        let kept = {
            let mut following = self.following.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut following);
            let follows: Vec<&Follow> = following.values().collect();
            json!(follows)
        };
        self.inbox.run(move |store| store.bot_keep(FOLLOWING, &kept)).await
    }
}
