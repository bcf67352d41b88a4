//! `/restart`: has a service end so that its supervisor starts it again.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::asker::{Asker, audit, inbox};
use super::bot::Bot;
use super::command::{Change, SERVICES};
use super::html::Page;
use super::voice;
use crate::store::lock::ServiceLock;
use crate::store::{Ask, Role, StoreError};

/// How long the last word before the bot's own end may take.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Somebody asked, or pressed the button below the question.
pub(super) async fn asked(
    bot: &Arc<Bot>,
    asker: &Asker,
    service: Option<Role>,
    force: bool,
) -> Result<(), StoreError> {
    let what = Change::Restart { service, force }.describe();
    let open = bot.reader.run(|store| store.open_trade()).await?;
    let is_open = open.is_some();
    let service = match service {
        _ if is_open && !force => {
            return answer(bot, asker, &what, "refused: a position is open", refusal(bot, service))
                .await;
        }
        Some(service) if asker.pressed => service,
        Some(_) | None => {
            let page = question(bot, asker, service, force, is_open);
            return answer(bot, asker, &what, "confirmation asked", page).await;
        }
    };
    match service {
        // It knows of orders on their way, and refuses by itself.
        Role::Trading => inbox(bot, asker, Ask::Restart { force }, what).await,
        Role::Bot => end_self(bot, asker, &what).await,
        Role::Auth | Role::Ctl | Role::Reader => {
            let ended = terminate(Path::new(&bot.config.data.dir), service);
            let page = Page::new(bot.mode);
            let (page, outcome) = match ended {
                Ok(pid) => {
                    let line = "Its supervisor starts it again in about 10 s. See /status.";
                    let title = format!("🔁 {} (pid {pid}) is told to end", service.program());
                    (page.title(title).line(line), "done".to_string())
                }
                Err(why) => {
                    let title = format!("❌ Not restarted: {}", service.program());
                    (page.title(title).line(&why), format!("not done: {why}"))
                }
            };
            answer(bot, asker, &what, &outcome, page).await
        }
    }
}

/// Notes what became of it and says so, once for each update.
async fn answer(
    bot: &Arc<Bot>,
    asker: &Asker,
    what: &str,
    outcome: &str,
    page: Page,
) -> Result<(), StoreError> {
    if bot.first_seen(asker.update).await? {
        bot.note(audit(bot, asker, what, outcome, None)).await?;
        bot.reply(asker.chat, page);
    }
    Ok(())
}

fn refusal(bot: &Bot, service: Option<Role>) -> Page {
    let name = service.unwrap_or(Role::Trading);
    Page::new(bot.mode)
        .title("❌ Not restarted: a position is open")
        .line("Wait until it is closed, or /exit.")
        .line(format!(
            "If it must be: /restart {} force. The stop at the exchange stays meanwhile.",
            name.as_str()
        ))
}

fn question(bot: &Bot, asker: &Asker, service: Option<Role>, force: bool, is_open: bool) -> Page {
    let services = service.map_or(SERVICES.to_vec(), |service| vec![service]);
    let choices = services.into_iter().map(|service| {
        let change = Change::Restart { service: Some(service), force };
        (format!("🔁 Restart {}", service.program()), change)
    });
    let page = Page::new(bot.mode).title(match service {
        Some(service) => format!("❓ Restart {}?", service.program()),
        None => "❓ Restart which service?".to_string(),
    });
    let page = if is_open {
        page.line("⚠️ A position is open. Nobody manages it until pivot-trading is back; the stop at the exchange stays.")
    } else {
        page
    };
    page.line(
        "It ends, and its supervisor starts it again in about 10 s, no more than three times in \
         five minutes. Without a supervisor it stays down.",
    )
    .keyboard(bot.buttons.choose(choices, asker.chat))
}

/// Tells the process that holds a service's lock to end, as systemd does.
fn terminate(data: &Path, service: Role) -> Result<u32, String> {
    let pid = ServiceLock::holder(data, service.as_str())
        .ok_or_else(|| format!("{} does not run.", service.program()))?;
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let process = process.ok_or("it is just starting or ending; try again.")?;
    kill_process(process, Signal::TERM)
        .map_err(|error| format!("pid {pid} could not be told to end: {error}."))?;
    Ok(pid)
}

/// Ends this service, after a last word.
async fn end_self(bot: &Arc<Bot>, asker: &Asker, what: &str) -> Result<(), StoreError> {
    if !bot.first_seen(asker.update).await? {
        return Ok(());
    }
    bot.note(audit(bot, asker, what, "done", None)).await?;
    let (ending, chat) = (Arc::clone(bot), asker.chat);
    bot.spawn(chat, async move {
        let page = Page::new(ending.mode)
            .title("🔁 pivot-bot ends now")
            .line("Its supervisor starts it again in about 10 s. Send /status then.");
        let said = voice::reply(&ending.api, chat, page);
        if tokio::time::timeout(LAST_WORD, said).await.is_err() {
            tracing::warn!("the last word before a restart was not delivered");
        }
        ending.ending.notify_one();
    });
    Ok(())
}
