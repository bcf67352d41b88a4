//! Who asks, and taking down what was asked.

use std::sync::Arc;

use super::bot::{Bot, Follow};
use super::follow;
use super::people::Standing;
use crate::engine::event::OperatorAction;
use crate::market::Timestamp;
use crate::store::{Ask, AuditEntry, Request, Source, StoreError};

/// Who asks, and where the answer goes.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) user: i64,
    pub(super) chat: i64,
    pub(super) update: i64,
    pub(super) sent_at: Timestamp,
    pub(super) name: String,
    /// True for a button, which was made for what it does.
    pub(super) pressed: bool,
    pub(super) standing: Standing,
}

impl Asker {
    pub(super) fn actor(&self) -> String {
        format!("telegram:{}", self.user)
    }
}

/// What somebody asked and what came of it, for the audit log.
pub(super) fn audit(
    bot: &Bot,
    asker: &Asker,
    what: &str,
    outcome: &str,
    correlation: Option<String>,
) -> AuditEntry {
    AuditEntry {
        at: bot.clock.now(),
        source: Source::Telegram,
        actor: asker.actor(),
        what: what.to_string(),
        outcome: outcome.to_string(),
        correlation,
    }
}

/// Appends to the inbox, durably, and follows what becomes of it.
pub(super) async fn inbox(
    bot: &Arc<Bot>,
    asker: &Asker,
    ask: Ask,
    what: String,
) -> Result<(), StoreError> {
    let is_panic = matches!(ask, Ask::Operator(OperatorAction::Panic { .. }));
    let request = Request {
        source: Source::Telegram,
        update_id: Some(asker.update),
        chat: Some(asker.chat),
        user: Some(asker.user),
        actor: asker.actor(),
        ask,
        asked_at: bot.clock.now(),
    };
    let asked = bot.inbox.run(move |store| store.ask(&request)).await;
    let (request, is_first) = match asked {
        Ok(asked) => asked,
        Err(error) if is_panic => {
            bot.spawn(
                asker.chat,
                follow::panic_without_inbox(
                    Arc::clone(bot),
                    asker.chat,
                    asker.actor(),
                    error.to_string(),
                ),
            );
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    if !is_first && bot.is_following(request) {
        return Ok(());
    }
    let follow = Follow { request, chat: asker.chat, actor: asker.actor(), what, is_panic };
    bot.follow(&follow).await?;
    if bot.first_seen(asker.update).await? || is_first {
        bot.spawn(asker.chat, follow::follow(Arc::clone(bot), follow, false));
    } else {
        bot.unfollow(request).await?;
    }
    Ok(())
}
