//! Renewals ahead: the page, people's own, and telling of what is near.

use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use serde_json::json;
use teloxide::types::InlineKeyboardMarkup;

use super::asker::{Asker, audit};
use super::bot::Bot;
use super::command::{self, Change};
use super::html::Page;
use super::voice;
use crate::market::time::ist_date;
use crate::service::in_full;
use crate::store::StoreError;
use crate::upkeep::reminders::{self, DiskDay, Notebook, OWN, Outside, Own, Reminder, Subject};

/// How often it is looked whether something is to be told, in real time.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How soon after the start it is looked again: figures of the machine take
/// a moment.
const LOOK_FIRST: Duration = Duration::from_secs(5);

/// How long files may take that lie outside the data folder.
const OUTSIDE_WITHIN: Duration = Duration::from_secs(5);

/// Buttons that take own reminders out, at most and in one row.
const BUTTONS_MAX: usize = 12;
const BUTTONS_IN_ROW: usize = 3;

/// Puts what is near into the outbox, for ever. A day that takes a minute has
/// nothing to be reminded of.
pub(super) async fn remind(bot: &Bot) {
    if bot.clock.is_scaled() {
        return std::future::pending().await;
    }
    let mut pause = LOOK_FIRST;
    loop {
        if let Err(error) = round(bot).await {
            tracing::warn!(error, "no reminders for now");
        }
        tokio::time::sleep(std::mem::replace(&mut pause, LOOK_EVERY)).await;
    }
}

async fn round(bot: &Bot) -> Result<(), String> {
    let outside = outside(bot).await?;
    let now = bot.clock.now();
    let machine = bot.watchman.latest().and_then(|sample| sample.machine);
    let disk = machine.map(|machine| DiskDay {
        date: ist_date(now),
        data_free: machine.data_disk_free_bytes,
        logs_free: machine.log_disk_free_bytes,
    });
    // Not by the connection for what people ask.
    let tell = bot.outbox.run(move |store| reminders::tell(store, &outside, now, disk));
    let told = tell.await.map_err(|error| in_full(&error))?;
    if told > 0 {
        tracing::info!(told, "reminders are told");
    }
    Ok(())
}

/// `/reminders`.
pub(super) async fn show(bot: Arc<Bot>, chat: i64) {
    let page = match gather(&bot).await {
        Ok(found) => page(&bot, &found, chat),
        Err(why) => {
            tracing::error!(why, "reminders could not be gathered");
            Page::new(bot.mode).title("🚨 Reminders cannot be read").line(why)
        }
    };
    voice::reply(&bot.api, chat, page).await;
}

async fn gather(bot: &Bot) -> Result<Vec<Reminder>, String> {
    let outside = outside(bot).await?;
    let now = bot.clock.now();
    let gather = bot.reader.run(move |store| reminders::gather(store, &outside, now));
    gather.await.map_err(|error| in_full(&error))
}

/// What files tell, off the async thread.
async fn outside(bot: &Bot) -> Result<Outside, String> {
    let silent = || "the disk of reminders.certificate does not answer".to_string();
    let turn = tokio::time::timeout(OUTSIDE_WITHIN, Arc::clone(&bot.outside).acquire_owned());
    // The turns are never closed.
    let Ok(Ok(turn)) = turn.await else { return Err(silent()) };
    let config = bot.config.clone();
    let read = move || {
        let _turn = turn;
        Outside::read(&config)
    };
    match tokio::time::timeout(OUTSIDE_WITHIN, tokio::task::spawn_blocking(read)).await {
        Ok(Ok(read)) => read.map_err(|error| in_full(&error)),
        Ok(Err(error)) => Err(error.to_string()),
        // The thread goes on waiting, and nobody else joins it.
        Err(_) => Err(silent()),
    }
}

fn page(bot: &Bot, found: &[Reminder], chat: i64) -> Page {
    let today = ist_date(bot.clock.now());
    let mut page = Page::new(bot.mode).title("🗓 Reminders");
    for reminder in found {
        let sign = reminder.nearness(today).sign();
        let day = reminder.date.format("%a %Y-%m-%d");
        let number = match reminder.subject {
            Subject::Own(number) => format!("{number}. "),
            Subject::Certificate
            | Subject::Dns
            | Subject::Broker
            | Subject::Holidays
            | Subject::Disk => String::new(),
        };
        page = page
            .title(format!("{sign} {} · {day}", reminder.when(today)))
            .line(format!("{number}{}", reminder.text));
        if !number.is_empty() || sign == "🟢" {
            continue;
        }
        page = page.line(format!("→ {}", reminder.advice));
    }
    if found.is_empty() {
        page = page.line("Nothing is ahead.");
    }
    let buttons: Vec<_> = found
        .iter()
        .filter_map(|reminder| match reminder.subject {
            Subject::Own(number) => Some(number),
            Subject::Certificate
            | Subject::Dns
            | Subject::Broker
            | Subject::Holidays
            | Subject::Disk => None,
        })
        .take(BUTTONS_MAX)
        .map(|number| {
            bot.buttons.change(&format!("🗑 {number}"), Change::DropReminder(number), chat)
        })
        .collect();
    page = page.gap().line("One of your own: /setreminder 2026-12-31 Pay the server");
    if buttons.is_empty() {
        return page;
    }
    page.keyboard(InlineKeyboardMarkup::new(buttons.chunks(BUTTONS_IN_ROW).map(<[_]>::to_vec)))
}

/// `/setreminder DATE TEXT`.
pub(super) async fn set(
    bot: &Arc<Bot>,
    asker: &Asker,
    date: NaiveDate,
    text: String,
) -> Result<(), StoreError> {
    let what = Change::SetReminder { date, text: text.clone() }.describe();
    let today = ist_date(bot.clock.now());
    let set = change(bot, asker, what, move |book| match book.add(date, &text, today) {
        Ok(own) => (Ok(own.clone()), "done".to_string()),
        Err(refused) => {
            let outcome = format!("refused: {refused}");
            (Err(refused), outcome)
        }
    });
    let page = Page::new(bot.mode);
    match set.await? {
        None => {}
        Some(Ok(own)) => {
            let left = (own.date - today).num_days();
            let told = if left > 1 { "You hear of it as it comes near" } else { "You hear of it" };
            let page = page
                .title(format!("🗓 Reminder {} is set", own.number))
                .field("Date", own.date.format("%a %Y-%m-%d").to_string())
                .line(&own.text)
                .line(format!("{told}, and daily once it is over, until you remove it."))
                .line(format!("/setreminder {} off removes it.", own.number));
            bot.reply(asker.chat, page);
        }
        Some(Err(refused)) => {
            let page = page.line(format!("🤔 {refused}."));
            bot.reply(asker.chat, usage(page));
        }
    }
    Ok(())
}

/// `/setreminder N off`.
pub(super) async fn remove(bot: &Arc<Bot>, asker: &Asker, number: u32) -> Result<(), StoreError> {
    let what = Change::DropReminder(number).describe();
    let removed = change(bot, asker, what, move |book| match book.remove(number) {
        Some(own) => {
            let outcome = format!("done: {} {}", own.date, own.text);
            (Some(own), outcome)
        }
        None => (None, "there is none of this number".to_string()),
    });
    let page = match removed.await? {
        None => return Ok(()),
        Some(Some(Own { date, text, .. })) => Page::new(bot.mode)
            .title(format!("🗑 Reminder {number} is removed"))
            .line(format!("{date} {text}")),
        Some(None) => {
            Page::new(bot.mode).line(format!("🤔 There is no reminder {number}. See /reminders."))
        }
    };
    bot.reply(asker.chat, page);
    Ok(())
}

/// Changes the notebook and notes it; `None` for an update that came before.
async fn change<T: Send + 'static>(
    bot: &Arc<Bot>,
    asker: &Asker,
    what: String,
    body: impl FnOnce(&mut Notebook) -> (T, String) + Send + 'static,
) -> Result<Option<T>, StoreError> {
    let mut entry = audit(bot, asker, &what, "", None);
    let (update, now) = (asker.update, bot.clock.now());
    bot.inbox
        .run(move |store| {
            if !store.first_seen(update, now)? {
                return Ok(None);
            }
            let kept = store.bot_kept(OWN)?.and_then(|kept| serde_json::from_value(kept).ok());
            let before: Notebook = kept.unwrap_or_default();
            let mut book = before.clone();
            let (done, outcome) = body(&mut book);
            if book != before {
                store.bot_keep(OWN, &json!(book))?;
            }
            entry.outcome = outcome;
            store.audit(&entry)?;
            Ok(Some(done))
        })
        .await
}

fn usage(page: Page) -> Page {
    let entry = command::find("setreminder").unwrap_or(&command::ENTRIES[0]);
    entry.below(page)
}
