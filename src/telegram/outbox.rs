//! Tells people what the outbox holds: in order, until it arrived.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::SubsecRound as _;
use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use super::api::{CallError, Letter};
use super::bot::Bot;
use super::html::{MESSAGE_MAX, Page, escape, header};
use super::stale;
use super::voice::{Backoff, plain};
use crate::config::NotifyLevel;
use crate::engine::Notice;
use crate::engine::notice::{NoticeKind, Severity};
use crate::market::time::{ist, ist_date};
use crate::service::in_full;
use crate::store::{DeliveryState, Post, StoreError};
use crate::trading::picture_path;

/// How often the database is asked for news, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often the outbox is looked into in any case.
const LOOK_AT_LEAST: Duration = Duration::from_secs(5);

/// Pause after the database failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// Notices taken at a time.
const BATCH: u32 = 200;

/// Longest caption of a picture.
const CAPTION_MAX: usize = 1024;

/// Attempts at a message that Telegram refuses, before it is set aside.
const REFUSALS_MAX: u32 = 3;

/// Delivers for ever.
pub(super) async fn deliver(bot: Arc<Bot>) {
    loop {
        match round(&bot).await {
            Ok(0) => news(&bot).await,
            Ok(_) => {}
            Err(error) => {
                let error = in_full(&error);
                tracing::error!(error, "the outbox cannot be read or marked");
                tokio::time::sleep(STORE_PAUSE).await;
            }
        }
    }
}

/// Waits until another process has written something. Looking into the outbox
/// itself costs more the longer its history is.
async fn news(bot: &Bot) {
    let look_at_least = tokio::time::Instant::now() + LOOK_AT_LEAST;
    while tokio::time::Instant::now() < look_at_least {
        tokio::time::sleep(LOOK_EVERY).await;
        // A failure shows itself at the next round.
        if bot.outbox.run(|store| store.changed()).await.unwrap_or(true) {
            return;
        }
    }
}

/// Delivers what waits; answers with how much it was.
async fn round(bot: &Arc<Bot>) -> Result<usize, StoreError> {
    let posts = bot.outbox.run(|store| store.outbox_pending(BATCH)).await?;
    bot.waiting.store(posts.len(), Ordering::Relaxed);
    let summed: Vec<Post> =
        stale::flood(&posts, bot.clock.now(), bot.clock.speed()).into_iter().cloned().collect();
    if !summed.is_empty() {
        sum_up(bot, &summed).await?;
        return Ok(summed.len());
    }
    for post in &posts {
        one(bot, post).await?;
    }
    bot.waiting.store(0, Ordering::Relaxed);
    Ok(posts.len())
}

async fn mark(
    bot: &Bot,
    id: i64,
    state: DeliveryState,
    messages: Vec<i64>,
    error: Option<String>,
) -> Result<(), StoreError> {
    let now = bot.clock.now();
    let done = move |store: &mut crate::store::Store| {
        store.outbox_done(id, state, &messages, error.as_deref(), now)
    };
    bot.outbox.run(done).await
}

async fn one(bot: &Bot, post: &Post) -> Result<(), StoreError> {
    let level = level(bot, &post.notice).await?;
    if level == NotifyLevel::Off {
        return mark(bot, post.id, DeliveryState::Dropped, Vec::new(), None).await;
    }
    let silent = level == NotifyLevel::Silent;
    let trade = post.notice.trade.as_deref();
    let left_open = |state| state == DeliveryState::Sending;
    let mut repeated =
        post.delivery.as_ref().is_some_and(|old| old.repeated || left_open(old.state));
    let mut refusals = 0;
    let mut backoff = Backoff::new();
    loop {
        let now = bot.clock.now();
        let id = post.id;
        bot.outbox.run(move |store| store.outbox_sending(id, now)).await?;
        let error = match send(bot, &post.notice, silent, repeated, refusals > 0).await {
            Ok(messages) => {
                mark(bot, post.id, DeliveryState::Sent, messages, None).await?;
                tracing::info!(
                    correlation_id = trade,
                    notice = post.id,
                    kind = post.notice.kind.as_str(),
                    "a notice was delivered"
                );
                return Ok(());
            }
            Err(error) => error,
        };
        tracing::warn!(
            correlation_id = trade, %error, notice = post.id, "a notice was not delivered"
        );
        let text = Some(error.to_string());
        // What may have arrived stays marked as begun, so that the next
        // attempt says that it is a repetition, after a crash too.
        if error.may_have_arrived() {
            repeated = true;
        } else {
            mark(bot, post.id, DeliveryState::Failed, Vec::new(), text.clone()).await?;
        }
        if error.is_final() {
            refusals += 1;
            if refusals >= REFUSALS_MAX && !is_chat_trouble(&error) {
                tracing::error!(
                    correlation_id = trade,
                    notice = post.id,
                    "a notice is set aside: Telegram refuses it"
                );
                return mark(bot, post.id, DeliveryState::Dropped, Vec::new(), text).await;
            }
        }
        backoff.pause(&error).await;
    }
}

/// True when it is the chat or the token that is refused and not the text:
/// every message would be, until a person mends it.
fn is_chat_trouble(error: &CallError) -> bool {
    let CallError::Refused(why) = error else { return false };
    why.starts_with("401")
        || why.starts_with("403")
        || why.starts_with("404")
        || why.contains("chat not found")
}

async fn level(bot: &Bot, notice: &Notice) -> Result<NotifyLevel, StoreError> {
    let set = bot.config.notifications.get(notice.kind.as_str()).copied();
    let level = set.unwrap_or(NotifyLevel::On);
    if notice.severity == Severity::Critical {
        return Ok(NotifyLevel::On);
    }
    let loud = matches!(notice.kind, NoticeKind::Exit | NoticeKind::Panic)
        || notice.severity > Severity::Info;
    if level == NotifyLevel::On && !loud && bot.is_muted().await? {
        return Ok(NotifyLevel::Silent);
    }
    Ok(level)
}

async fn send(
    bot: &Bot,
    notice: &Notice,
    silent: bool,
    repeated: bool,
    without_markup: bool,
) -> Result<Vec<i64>, CallError> {
    let owner = bot.people.owner_chat;
    let letter = Letter { html: render(notice, repeated), keyboard: None, silent };
    if without_markup {
        return Ok(vec![bot.api.send_plain(owner, &shorten(&plain(&letter.html))).await?]);
    }
    if notice.kind == NoticeKind::Summary
        && let Some((picture, name)) = picture(bot, notice).await
    {
        let fits = letter.html.encode_utf16().count() <= CAPTION_MAX;
        let caption = if fits {
            letter.clone()
        } else {
            Letter { html: heading(notice, repeated), ..letter.clone() }
        };
        match bot.api.send_picture(owner, picture, &name, &caption).await {
            Ok(id) if fits => return Ok(vec![id]),
            Ok(id) => return Ok(vec![id, bot.api.send(owner, &letter).await?]),
            Err(CallError::Refused(why)) => tracing::warn!(why, "the picture was refused"),
            Err(error) => return Err(error),
        }
    }
    let mut messages = Vec::new();
    for letter in page(notice, repeated).letters(silent) {
        messages.push(bot.api.send(owner, &letter).await?);
    }
    Ok(messages)
}

fn shorten(text: &str) -> String {
    text.chars().take(MESSAGE_MAX / 2).collect()
}

async fn picture(bot: &Bot, notice: &Notice) -> Option<(Vec<u8>, String)> {
    let path = picture_path(Path::new(&bot.config.data.dir), ist_date(notice.at));
    let name = path.file_name()?.to_string_lossy().into_owned();
    Some((tokio::fs::read(path).await.ok()?, name))
}

fn sign(notice: &Notice) -> &'static str {
    match notice.severity {
        Severity::Critical => return "🚨",
        Severity::Warning => return "⚠️",
        Severity::Info => {}
    }
    match notice.kind {
        NoticeKind::LoginRequest => "🔑",
        NoticeKind::Authenticated => "✅",
        NoticeKind::PreMarket => "🌅",
        NoticeKind::NoTrading => "🏖",
        NoticeKind::Refused => "✖️",
        NoticeKind::Entry => "📥",
        NoticeKind::Progress => "🎯",
        NoticeKind::Exit => "📤",
        NoticeKind::OrderTrouble | NoticeKind::RiskStop | NoticeKind::Mismatch => "⚠️",
        NoticeKind::Panic => "🛑",
        NoticeKind::Service => "⚙️",
        NoticeKind::Data => "📡",
        NoticeKind::Summary => "📊",
        NoticeKind::Control => "🎛",
        NoticeKind::Reminders => "🗓",
    }
}

fn title(notice: &Notice, repeated: bool) -> String {
    let again = if repeated { " (repeated)" } else { "" };
    format!("{} {}{again}", sign(notice), notice.headline)
}

fn heading(notice: &Notice, repeated: bool) -> String {
    format!("{}\n<b>{}</b>", header(notice.mode), escape(&title(notice, repeated)))
}

/// A notice as a page.
fn page(notice: &Notice, repeated: bool) -> Page {
    let mut page = Page::new(notice.mode).title(title(notice, repeated));
    for (name, value) in &notice.fields {
        page = page.field(name, value);
    }
    if let Some(footer) = &notice.footer {
        page = page.line(footer);
    }
    let at = ist(notice.at.trunc_subsecs(0)).format("%-d %b %H:%M:%S");
    let trade = notice.trade.as_ref().map(|trade| format!("{trade} · ")).unwrap_or_default();
    let page = page.line(format!("{trade}{at} IST"));
    match link(notice) {
        Some(button) => page.keyboard(InlineKeyboardMarkup::new([[button]])),
        None => page,
    }
}

/// A button for a link that phones can open.
fn link(notice: &Notice) -> Option<InlineKeyboardButton> {
    let (_, link) = notice.fields.iter().find(|(_, value)| value.starts_with("https://"))?;
    Some(InlineKeyboardButton::url("🔗 Open", link.parse().ok()?))
}

fn render(notice: &Notice, repeated: bool) -> String {
    let texts: Vec<String> =
        page(notice, repeated).letters(false).into_iter().map(|letter| letter.html).collect();
    texts.join("\n")
}

/// One message in place of a flood of old ones.
async fn sum_up(bot: &Bot, posts: &[Post]) -> Result<(), StoreError> {
    let mut page = Page::new(bot.mode)
        .title(format!("⏳ {} messages while Telegram was out of reach", posts.len()));
    for post in posts {
        let at = ist(post.notice.at).format("%-d %b %H:%M");
        page = page.line(format!("{at} {}", post.notice.headline));
    }
    let mut backoff = Backoff::new();
    for letter in page.letters(true) {
        while let Err(error) = bot.api.send(bot.people.owner_chat, &letter).await {
            tracing::warn!(%error, "a summary of old notices was not delivered");
            backoff.pause(&error).await;
        }
    }
    for post in posts {
        mark(bot, post.id, DeliveryState::Summed, Vec::new(), None).await?;
    }
    Ok(())
}
