//! Follows a request from the inbox to its answer, and acts when a panic has
//! none.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::FlattenOrder;
use super::bot::{Bot, Follow};
use super::buttons;
use super::html::Page;
use super::voice;
use crate::market::time::ist;
use crate::service::LoginLinks;
use crate::store::lock::ServiceLock;
use crate::store::{Answer, AuditEntry, Role, Source, StoreError};
use crate::trading::flatten::{ANSWER_WITHIN, DEAD_AFTER};

/// How often an answer is looked for, at first and later.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LOOK_LATER: Duration = Duration::from_millis(500);

/// How long it is looked for often.
const BRISK: Duration = Duration::from_secs(10);

/// How often it is looked whether pivot-trading runs.
const LOOK_FOR_HOLDER_EVERY: Duration = Duration::from_millis(100);

/// Real time after which the person hears that there is no answer yet.
const TELL_AFTER: Duration = Duration::from_secs(3);

/// How long an answer is waited for.
const GIVE_UP_AFTER: Duration = Duration::from_secs(15 * 60);

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
            let page = page.title(format!("{sign} {}", capital(&follow.what))).line(answer.text);
            if follow.is_panic { with_login(&bot, page).await } else { page }
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
    let mut flattening = false;
    let mut absence = Absence::default();
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
        let unheard = elapsed >= ANSWER_WITHIN || absence.is_lasting(bot);
        if follow.is_panic && !flattening && unheard {
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
    flatten_here(bot, chat, order, page).await;
}

/// Goes on with a panic that somebody began and nobody is at.
pub(super) async fn take_up(bot: Arc<Bot>) {
    tracing::error!("a panic is not over and nobody is at it");
    let page = Page::new(bot.mode)
        .title("🚨 The panic is not over and nobody is at it")
        .line("pivot-bot goes on with it in pivot-trading's place.");
    let order = FlattenOrder { actor: "pivot-bot".into(), request: 0 };
    let chat = bot.people.owner_chat;
    flatten_here(bot, chat, order, page).await;
}

async fn flatten_here(bot: Arc<Bot>, chat: i64, order: FlattenOrder, page: Page) {
    // Nothing waits for Telegram here.
    let said = bot.reply(chat, page);
    let flattened = (bot.flatten)(order).await;
    let page = match flattened {
        Ok(None) => return,
        Ok(Some(text)) => Page::new(bot.mode).title("✅ Flattened by pivot-bot").line(text),
        Err(text) => by_hand(&bot, text).await,
    };
    let _ = said.await;
    voice::reply(&bot.api, chat, page).await;
}

/// What a person must do when nothing here could.
async fn by_hand(bot: &Bot, why: String) -> Page {
    let page = Page::new(bot.mode).title("🚨 NOT flattened: act in Kite now").line(why).gap();
    let open = bot.reader.run(|store| store.open_trade()).await.ok().flatten();
    let page = match open {
        Some(trade) => page.line(format!(
            "Open by the records: {} × {}.",
            trade.quantity - trade.closed_quantity,
            trade.contract
        )),
        None => page,
    };
    let page = page
        .line("In Kite: Orders → select all open → Cancel. Then Positions → select all → Exit.")
        .line(
            "A stop order may be resting at the exchange: cancel it first, or it may sell again.",
        );
    with_login(bot, page).await
}

/// Adds the login link when nobody is logged in.
async fn with_login(bot: &Bot, page: Page) -> Page {
    let now = bot.clock.now();
    let session = bot.reader.run(move |store| store.session(now)).await;
    match (session, LoginLinks::new(&bot.config).make(now)) {
        (Ok(None), Ok((link, _))) => {
            page.gap().line("Nobody is logged in at the broker. Log in:").line(link)
        }
        (Ok(_) | Err(_), _) => page,
    }
}

/// Notices that nobody holds pivot-trading's lock, for longer than a look at
/// the wrong moment would explain.
#[derive(Debug, Default)]
struct Absence {
    looked: Option<Instant>,
    since: Option<Instant>,
}

impl Absence {
    fn is_lasting(&mut self, bot: &Bot) -> bool {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now - looked >= LOOK_FOR_HOLDER_EVERY) {
            self.looked = Some(now);
            let folder = Path::new(&bot.config.data.dir);
            let runs = ServiceLock::holder(folder, Role::Trading.as_str()).is_some();
            self.since = if runs { None } else { self.since.or(Some(now)) };
        }
        self.since.is_some_and(|since| now - since >= DEAD_AFTER)
    }
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
