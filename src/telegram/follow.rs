//! Follows a request from the inbox to its answer, and acts when a panic has
//! none.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::FlattenOrder;
use super::buttons;
use super::html::Page;
use super::serve::Bot;
use super::voice;
use crate::market::time::ist;
use crate::store::{Answer, AuditEntry, Source, StoreError};

/// How often an answer is looked for, at first and later.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_LATER: Duration = Duration::from_millis(500);

/// How long it is looked for often.
const BRISK: Duration = Duration::from_secs(10);

/// Real time within which pivot-trading must acknowledge a panic.
pub(super) const PANIC_WITHIN: Duration = Duration::from_secs(2);

/// Real time after which the person hears that there is no answer yet.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// How long an answer is waited for.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15 * 60);

/// A request that someone waits for. Kept across restarts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Follow {
    pub(super) request: i64,
    pub(super) chat: i64,
    pub(super) actor: String,
    pub(super) what: String,
    pub(super) is_panic: bool,
}

/// Answers the person. `resumed` after a restart of the bot.
pub(super) async fn follow(bot: Arc<Bot>, follow: Follow, resumed: bool) {
    let mut said: Vec<JoinHandle<()>> = Vec::new();
    let ended = wait(&bot, &follow, resumed, &mut said).await;
    // What was said on the way comes before the answer.
    for earlier in said {
        let _ = earlier.await;
    }
    let outcome = match &ended {
        Ok(Some(answer)) if answer.done => "done".to_string(),
        Ok(Some(answer)) => format!("not done: {}", answer.text),
        Ok(None) => "no answer".to_string(),
        Err(error) => format!("no answer: {error}"),
    };
    let page = Page::new(bot.mode);
    let page = match ended {
        Ok(Some(answer)) => {
            let sign = if answer.done { "✅" } else { "❌" };
            page.title(format!("{sign} {}", capital(&follow.what))).line(answer.text)
        }
        Ok(None) => page
            .title(format!("❌ No answer: {}", follow.what))
            .line("pivot-trading did not answer. See /status."),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "an answer was not read");
            page.title(format!("🚨 Unclear: {}", follow.what))
                .line("The database does not answer. See /status.")
        }
    };
    let keyboard = teloxide::types::InlineKeyboardMarkup::new([[
        buttons::show("📋 Status", "status"),
        buttons::show("📍 Position", "position"),
    ]]);
    voice::reply(&bot.api, follow.chat, page.keyboard(keyboard)).await;
    let entry = AuditEntry {
        at: bot.clock.now(),
        source: Source::Telegram,
        actor: follow.actor.clone(),
        what: follow.what.clone(),
        outcome,
        correlation: Some(follow.request.to_string()),
    };
    let noted = bot.note(entry).await;
    if let Err(error) = noted.and(bot.unfollow(follow.request).await) {
        tracing::error!(error = &error as &dyn std::error::Error, "an answer was not noted");
    }
}

async fn wait(
    bot: &Arc<Bot>,
    follow: &Follow,
    resumed: bool,
    said: &mut Vec<JoinHandle<()>>,
) -> Result<Option<Answer>, StoreError> {
    let started = Instant::now();
    let request = follow.request;
    let mut told = resumed;
    let mut flattening = resumed;
    if follow.is_panic && !resumed {
        let at = ist(bot.clock.now()).format("%H:%M:%S");
        let page = Page::new(bot.mode)
            .title(format!("🛑 Panic received at {at} IST"))
            .line("No new orders; cancelling and flattening. Steps follow.");
        said.push(bot.reply(follow.chat, page));
    }
    loop {
        let answer = bot.reader.run(move |store| store.answers(request)).await?.pop();
        let elapsed = started.elapsed();
        if answer.is_some() || elapsed >= GIVE_UP_AFTER {
            return Ok(answer);
        }
        if follow.is_panic && !flattening && elapsed >= PANIC_WITHIN {
            flattening = true;
            let order = FlattenOrder { actor: follow.actor.clone(), request };
            bot.spawn(follow.chat, flatten(Arc::clone(bot), follow.chat, order));
        }
        if !follow.is_panic && !told && elapsed >= TELL_AFTER {
            told = true;
            let page = Page::new(bot.mode)
                .title(format!("⏳ Received: {}", follow.what))
                .line("pivot-trading has not answered yet. It is done as soon as it does.");
            said.push(bot.reply(follow.chat, page));
        }
        let pause = if elapsed < BRISK { LOOK_EVERY } else { LOOK_LATER };
        tokio::time::sleep(pause).await;
    }
}

/// Does pivot-trading's work when it does not.
async fn flatten(bot: Arc<Bot>, chat: i64, order: FlattenOrder) {
    tracing::error!(request = order.request, "pivot-trading does not acknowledge a panic");
    let page = Page::new(bot.mode)
        .title("🚨 pivot-trading does not acknowledge the panic")
        .line("pivot-bot cancels and flattens in its place.");
    voice::reply(&bot.api, chat, page).await;
    let page = match (bot.flatten)(order).await {
        Ok(text) => Page::new(bot.mode).title("✅ Flattened by pivot-bot").line(text),
        Err(text) => Page::new(bot.mode)
            .title("🚨 NOT flattened: act in Kite now")
            .line(text)
            .gap()
            .line("In Kite: Orders → select all open → Cancel. Then Positions → select all → Exit.")
            .line("A stop order may be resting at the exchange: cancel it first, or it may sell again."),
    };
    voice::reply(&bot.api, chat, page).await;
}

/// A panic that could not even be written down.
pub(super) async fn panic_without_inbox(bot: Arc<Bot>, chat: i64, actor: String, why: String) {
    tracing::error!(why, "a panic could not be written down");
    flatten(bot, chat, FlattenOrder { actor, request: 0 }).await;
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
