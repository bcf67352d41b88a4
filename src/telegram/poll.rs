//! Takes updates from Telegram, in order, through any outage.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use teloxide::types::{Update, UpdateKind};
use tokio::time::Instant;

use super::api::CallError;
use super::bot::Bot;
use super::desk;
use super::html::Page;
use super::voice::Backoff;

/// Where the reading place is kept.
const PLACE: &str = "offset";

/// Pause after another poller was met, or the token was refused.
const CONFLICT_PAUSE: Duration = Duration::from_secs(3);
const REFUSED_PAUSE: Duration = Duration::from_secs(30);

/// How often another poller is told of.
const CONFLICT_TOLD_EVERY: Duration = Duration::from_secs(600);

/// Polls for ever.
pub(super) async fn poll(bot: Arc<Bot>) {
    let mut place = match bot.inbox.run(|store| store.bot_kept(PLACE)).await {
        Ok(kept) => kept.and_then(|value| value.as_i64()).unwrap_or(0) as i32,
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no reading place");
            0
        }
    };
    let mut backoff = Backoff::new();
    let mut told_at: Option<Instant> = None;
    loop {
        match bot.api.updates(place).await {
            Ok(updates) => {
                backoff = Backoff::new();
                if !updates.is_empty() {
                    place = take(&bot, updates, place).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no updates");
                trouble(&bot, &error, &mut backoff, &mut told_at).await;
            }
        }
    }
}

async fn trouble(
    bot: &Bot,
    error: &CallError,
    backoff: &mut Backoff,
    told_at: &mut Option<Instant>,
) {
    match error {
        CallError::Conflict(_) => {
            if told_at.is_none_or(|at| at.elapsed() >= CONFLICT_TOLD_EVERY) {
                *told_at = Some(Instant::now());
                tracing::error!("another program polls with this bot's token");
                let page = Page::new(bot.mode)
                    .title("🚨 Another program uses this bot's token")
                    .line("Commands may go astray. Stop the other program, or give this one a token of its own.");
                bot.tell_owner(page);
            }
            tokio::time::sleep(CONFLICT_PAUSE).await;
        }
        CallError::Refused(_) => tokio::time::sleep(REFUSED_PAUSE).await,
        CallError::Wait(_) | CallError::Unreachable(_) | CallError::Unclear(_) => {
            backoff.pause(error).await;
        }
    }
}

/// Handles a batch; answers with the next reading place.
async fn take(bot: &Arc<Bot>, updates: Vec<Update>, place: i32) -> i32 {
    let mut next = place;
    for update in updates {
        next = next.max(i32::try_from(update.id.0).unwrap_or(i32::MAX - 1) + 1);
        if let UpdateKind::Error(_) = update.kind {
            tracing::info!(update = update.id.0, "an update of an unknown kind");
            continue;
        }
        // A task of its own: a panic ends the handling of this update, not
        // the polling.
        let handled = tokio::spawn(desk::handle(Arc::clone(bot), update)).await;
        if let Err(error) = handled {
            tracing::error!(%error, "an update could not be handled");
        }
    }
    let kept = bot.inbox.run(move |store| store.bot_keep(PLACE, &json!(next))).await;
    if let Err(error) = kept {
        tracing::warn!(error = &error as &dyn std::error::Error, "reading place not kept");
    }
    next
}
