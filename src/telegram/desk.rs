//! What becomes of one update: who asked, what, and what is done about it.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::{Value, json};
use teloxide::types::{CallbackQuery, Message, Update, UpdateKind};

use super::asker::{Asker, audit, inbox};
use super::bot::{Bot, MUTED_UNTIL};
use super::buttons::{self, Press};
use super::command::{self, Change, Command, Misuse, View};
use super::html::Page;
use super::people::Standing;
use super::views::{self, Scene};
use crate::engine::event::OperatorAction;
use crate::market::time::ist_date;
use crate::store::{Ask, StoreError};

/// Strangers told of in a day, at most; an attack must not bury the owner.
const STRANGERS_TOLD_MAX: usize = 20;

/// Where today's strangers are kept.
const STRANGERS: &str = "strangers";

/// Handles one update. What changes something is durable when this returns.
pub(super) async fn handle(bot: Arc<Bot>, update: Update) {
    let id = i64::from(update.id.0);
    let handled = if let UpdateKind::Message(message) = update.kind {
        on_message(&bot, id, message).await
    } else if let UpdateKind::CallbackQuery(query) = update.kind {
        on_press(&bot, id, query).await
    } else {
        Ok(())
    };
    if let Err(error) = handled {
        tracing::error!(update = id, error = &error as &dyn std::error::Error, "not handled");
        let page = Page::new(bot.mode)
            .title("🚨 The database does not answer")
            .line("The last command was not carried out. Positions stay protected by the stop at the exchange; use Kite itself if you must act now.");
        bot.tell_owner(page);
    }
}

async fn on_message(bot: &Arc<Bot>, update: i64, message: Message) -> Result<(), StoreError> {
    let (Some(from), Some(text)) = (message.from.as_ref(), message.text()) else { return Ok(()) };
    if text.starts_with('/') && !command::is_for(text, bot.username()) {
        return Ok(());
    }
    let user = i64::try_from(from.id.0).unwrap_or(0);
    let asker = Asker {
        user,
        chat: message.chat.id.0,
        update,
        sent_at: message.date,
        name: from.full_name(),
        pressed: false,
        standing: bot.people.standing(user),
    };
    if asker.standing == Standing::Stranger {
        return stranger(bot, &asker, text).await;
    }
    if !text.starts_with('/') {
        return Ok(());
    }
    match command::parse(text) {
        Ok(Command::Change(change)) => {
            let late = bot.clock.now() - asker.sent_at > bot.max_age();
            change_asked(bot, &asker, change, late).await
        }
        Ok(Command::Show(view)) => {
            if bot.first_seen(update).await? {
                bot.spawn(asker.chat, show(Arc::clone(bot), asker.clone(), view, None));
            }
            Ok(())
        }
        Ok(Command::Reminders) => {
            if may_see(bot, &asker, "see the reminders").await? && bot.first_seen(update).await? {
                bot.spawn(asker.chat, super::reminders::show(Arc::clone(bot), asker.chat));
            }
            Ok(())
        }
        Ok(Command::Logs(query)) => {
            if may_see(bot, &asker, "see the log").await? && bot.first_seen(update).await? {
                bot.note(audit(bot, &asker, "see the log", "done", None)).await?;
                bot.spawn(asker.chat, super::logs::show(Arc::clone(bot), asker.chat, query));
            }
            Ok(())
        }
        Ok(Command::Help(topic)) => {
            bot.reply(asker.chat, help(bot, topic.as_deref()));
            Ok(())
        }
        Err(misuse) => {
            bot.reply(asker.chat, usage(bot, &misuse));
            Ok(())
        }
    }
}

async fn on_press(bot: &Arc<Bot>, update: i64, query: CallbackQuery) -> Result<(), StoreError> {
    let user = i64::try_from(query.from.id.0).unwrap_or(0);
    let Some(message) = query.message.as_ref() else { return Ok(()) };
    let (chat, message_id) = (message.chat().id.0, message.id().0);
    let asker = Asker {
        user,
        chat,
        update,
        sent_at: bot.clock.now(),
        name: query.from.full_name(),
        pressed: true,
        standing: bot.people.standing(user),
    };
    if asker.standing == Standing::Stranger {
        return stranger(bot, &asker, "(a button)").await;
    }
    let press = bot.buttons.press(query.data.as_deref().unwrap_or_default(), chat);
    let word = match &press {
        Press::Refresh(_) | Press::Show(_) => "",
        Press::Change(_) if asker.standing < Standing::Operator => "Only operators may do this",
        Press::Change(_) => "Received",
        Press::Cancel => "Nothing was changed",
        Press::Stale => {
            "This button is no longer good: older than a minute, or used. Send the command again."
        }
    };
    let answering = Arc::clone(bot);
    bot.spawn(chat, async move {
        if let Err(error) = answering.api.answer(&query.id, word).await {
            tracing::debug!(%error, "a press was not answered");
        }
    });
    match press {
        Press::Refresh(view) => {
            bot.spawn(chat, show(Arc::clone(bot), asker, view, Some(message_id)));
            Ok(())
        }
        Press::Show(view) => {
            bot.spawn(chat, show(Arc::clone(bot), asker, view, None));
            Ok(())
        }
        Press::Change(change) => change_asked(bot, &asker, change, false).await,
        Press::Cancel | Press::Stale => Ok(()),
    }
}

/// Someone who is not on the list: no answer, but a trace.
async fn stranger(bot: &Arc<Bot>, asker: &Asker, text: &str) -> Result<(), StoreError> {
    let now = bot.clock.now();
    let today = ist_date(now).to_string();
    let user = asker.user;
    let shown: String = text.chars().take(100).collect();
    let entry = audit(bot, asker, &format!("stranger wrote {shown:?}"), "ignored", None);
    let is_new = bot.inbox.run(move |store| {
        let kept = store.bot_kept(STRANGERS)?.unwrap_or(Value::Null);
        let mut known: Vec<i64> = match kept["day"].as_str() == Some(today.as_str()) {
            true => serde_json::from_value(kept["users"].clone()).unwrap_or_default(),
            false => Vec::new(),
        };
        if known.contains(&user) || known.len() >= STRANGERS_TOLD_MAX {
            return Ok(false);
        }
        known.push(user);
        store.audit(&entry)?;
        store.bot_keep(STRANGERS, &json!({ "day": today, "users": known }))?;
        Ok(true)
    });
    if is_new.await? {
        tracing::warn!(user, chat = asker.chat, "a stranger wrote");
        bot.tell_owner(
            Page::new(bot.mode)
                .title("👤 A stranger wrote to this bot")
                .field("Name", &asker.name)
                .field("User id", user.to_string())
                .line("No answer was given. To let them in, name the id in telegram.viewers or telegram.operators."),
        );
    }
    Ok(())
}

/// True for operators; others are told that it is for those.
async fn may_see(bot: &Arc<Bot>, asker: &Asker, what: &str) -> Result<bool, StoreError> {
    let may = asker.standing >= Standing::Operator;
    if !may {
        bot.note(audit(bot, asker, what, "not allowed", None)).await?;
        bot.reply(asker.chat, Page::new(bot.mode).line("Only operators may see this."));
    }
    Ok(may)
}

async fn change_asked(
    bot: &Arc<Bot>,
    asker: &Asker,
    change: Change,
    late: bool,
) -> Result<(), StoreError> {
    let what = change.describe();
    if asker.standing < Standing::Operator {
        bot.note(audit(bot, asker, &what, "not allowed", None)).await?;
        bot.reply(asker.chat, Page::new(bot.mode).line("Only operators may change things."));
        return Ok(());
    }
    if late && !change.is_always_done() {
        if bot.first_seen(asker.update).await? {
            bot.note(audit(bot, asker, &what, "too old, not carried out", None)).await?;
            bot.reply(asker.chat, too_late(bot, asker, change));
        }
        return Ok(());
    }
    match change {
        Change::Ask(action) => operator_asked(bot, asker, action).await,
        Change::Login => inbox(bot, asker, Ask::Login, what).await,
        Change::Mute(minutes) => mute(bot, asker, minutes).await,
        Change::SetReminder { date, text } => super::reminders::set(bot, asker, date, text).await,
        Change::DropReminder(number) => super::reminders::remove(bot, asker, number).await,
        Change::Restart { service, force } => {
            super::restart::asked(bot, asker, service, force).await
        }
        Change::Backup => {
            if bot.first_seen(asker.update).await? {
                bot.note(audit(bot, asker, &what, "asked", None)).await?;
                let entry = audit(bot, asker, &what, "", None);
                bot.spawn(asker.chat, super::backup::make(Arc::clone(bot), asker.chat, entry));
            }
            Ok(())
        }
    }
}

fn too_late(bot: &Bot, asker: &Asker, change: Change) -> Page {
    let age = (bot.clock.now() - asker.sent_at).num_seconds();
    let what = change.describe();
    let keyboard = bot.buttons.confirm("Do it now", change, asker.chat);
    Page::new(bot.mode)
        .title("⌛ Not carried out")
        .line(format!("Your message is {age} s old. It would have done this: {what}."))
        .keyboard(keyboard)
}

async fn operator_asked(
    bot: &Arc<Bot>,
    asker: &Asker,
    action: OperatorAction,
) -> Result<(), StoreError> {
    let what = Change::Ask(action.clone()).describe();
    if action == (OperatorAction::Enable { confirmed: false })
        && let Some(reason) = bot.reader.run(|store| views::stop_reason(store)).await?
    {
        if bot.first_seen(asker.update).await? {
            bot.note(audit(bot, asker, &what, "confirmation asked", None)).await?;
            bot.reply(asker.chat, confirm_enable(bot, asker, &reason));
        }
        return Ok(());
    }
    if action == (OperatorAction::Panic { all: true }) && !asker.pressed {
        // What is the bot's own is flattened at once; the rest is asked.
        let own = OperatorAction::Panic { all: false };
        inbox(bot, asker, Ask::Operator(own), what).await?;
        bot.reply(asker.chat, confirm_all(bot, asker));
        return Ok(());
    }
    inbox(bot, asker, Ask::Operator(action), what).await
}

fn confirm_enable(bot: &Bot, asker: &Asker, reason: &str) -> Page {
    let change = Change::Ask(OperatorAction::Enable { confirmed: true });
    Page::new(bot.mode)
        .title("❓ Enable entries all the same?")
        .line(format!("Stopped: {reason}."))
        .keyboard(bot.buttons.confirm("▶️ Enable all the same", change, asker.chat))
}

fn confirm_all(bot: &Bot, asker: &Asker) -> Page {
    let change = Change::Ask(OperatorAction::Panic { all: true });
    Page::new(bot.mode)
        .title("❓ Close positions opened by hand as well?")
        .line("What the bot holds is being flattened already. This also closes every other position of the account.")
        .keyboard(bot.buttons.confirm("🛑 Close everything", change, asker.chat))
}

async fn mute(bot: &Arc<Bot>, asker: &Asker, minutes: u32) -> Result<(), StoreError> {
    if !bot.first_seen(asker.update).await? {
        return Ok(());
    }
    let until = bot.clock.now() + TimeDelta::minutes(i64::from(minutes));
    let entry = audit(bot, asker, &Change::Mute(minutes).describe(), "done", None);
    bot.inbox
        .run(move |store| {
            store.bot_keep(MUTED_UNTIL, &json!(until.timestamp()))?;
            store.audit(&entry)
        })
        .await?;
    let text = match minutes {
        0 => "🔔 Routine messages make a sound again.".to_string(),
        _ => format!(
            "🔕 Routine messages are silent for {minutes} minutes. Errors, panics and exits are not."
        ),
    };
    bot.reply(asker.chat, Page::new(bot.mode).line(text));
    Ok(())
}

/// Shows a view: below, or in place of a message.
async fn show(bot: Arc<Bot>, asker: Asker, view: View, in_place_of: Option<i32>) {
    let operator = asker.standing >= Standing::Operator;
    let made =
        {
            let bot = Arc::clone(&bot);
            let view = view.clone();
            let reader = bot.reader.clone();
            reader
                .run(move |store| {
                    let scene = Scene {
                        mode: bot.mode,
                        config: &bot.config,
                        now: bot.clock.now(),
                        lively: &bot.watchman.pulse().lively(),
                        watchman: &bot.watchman,
                    };
                    let page = views::show(store, scene, &view)?;
                    let keyboard =
                        match view {
                            View::Status => {
                                let enabled = views::is_enabled(store)?;
                                Some(bot.buttons.below_status(enabled, operator, asker.chat))
                            }
                            View::Position if operator && store.open_trade()?.is_some() => {
                                let exit = Change::Ask(OperatorAction::Exit);
                                let exit = bot.buttons.change("📤 Exit now", exit, asker.chat);
                                let again = buttons::refresh("🔄 Refresh", "position");
                                Some(teloxide::types::InlineKeyboardMarkup::new([[exit, again]]))
                            }
                            View::Health => Some(teloxide::types::InlineKeyboardMarkup::new([[
                                buttons::refresh("🔄 Refresh", "health"),
                            ]])),
                            View::Position
                            | View::Trades(_)
                            | View::Summary(_)
                            | View::Week
                            | View::Month(_)
                            | View::Pivots(_)
                            | View::Why { .. }
                            | View::Orders
                            | View::Config
                            | View::Version => None,
                        };
                    Ok(match keyboard {
                        Some(keyboard) => page.keyboard(keyboard),
                        None => page,
                    })
                })
                .await
        };
    let page = made.unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a view could not be made");
        Page::new(bot.mode).title("🚨 The database does not answer").line("Try again in a moment.")
    });
    if let Some(message) = in_place_of {
        let mut letters = page.clone().letters(false);
        if let (Some(letter), 0) = (letters.pop(), letters.len()) {
            match bot.api.edit(asker.chat, message, &letter).await {
                Ok(()) => return,
                Err(error) => tracing::debug!(%error, "a message was not edited"),
            }
        }
    }
    super::voice::reply(&bot.api, asker.chat, page).await;
}

fn help(bot: &Bot, topic: Option<&str>) -> Page {
    let mut page = Page::new(bot.mode);
    if let Some(topic) = topic {
        let name = topic.trim_start_matches('/').to_ascii_lowercase();
        let entry = command::find(&name).unwrap_or_else(|| command::nearest(&name));
        return entry.below(page);
    }
    let mut group = "";
    for entry in command::ENTRIES.iter().filter(|entry| entry.name != "start") {
        if entry.group != group {
            group = entry.group;
            page = page.gap().title(group);
        }
        let space = if entry.arguments.is_empty() { "" } else { " " };
        page = page.line(format!("/{}{space}{} · {}", entry.name, entry.arguments, entry.about));
    }
    page
}

fn usage(bot: &Bot, misuse: &Misuse) -> Page {
    let page = Page::new(bot.mode).line(format!("🤔 {}.", misuse.why));
    command::find(misuse.entry).unwrap_or(&command::ENTRIES[0]).below(page)
}
