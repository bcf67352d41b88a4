//! `/backup`: a backup now, verified, with who asked for it in the audit.

use std::sync::Arc;

use super::bot::Bot;
use super::html::Page;
use super::voice;
use crate::service::in_full;
use crate::store::AuditEntry;
use crate::upkeep::backup::{Made, Outcome};
use crate::upkeep::size_text;

/// Makes it and answers; `entry` is completed with how it ended.
pub(super) async fn make(bot: Arc<Bot>, chat: i64, mut entry: AuditEntry) {
    let keeper = Arc::clone(&bot.keeper);
    let made = tokio::task::spawn_blocking(move || keeper.backup(false)).await;
    let page = Page::new(bot.mode);
    let (page, outcome) = match made {
        Ok(Ok(made)) => (describe(page, &made), "done".to_string()),
        Ok(Err(error)) => {
            let page = page.title(match error.is_busy() {
                true => "⌛ A backup is being made already",
                false => "❌ No backup",
            });
            let why = in_full(&error);
            (page.line(&why), format!("not done: {why}"))
        }
        Err(error) => {
            (page.title("❌ No backup").line(error.to_string()), format!("not done: {error}"))
        }
    };
    voice::reply(&bot.api, chat, page).await;
    entry.at = bot.clock.now();
    entry.outcome = outcome;
    if let Err(error) = bot.note(entry).await {
        tracing::error!(error = &error as &dyn std::error::Error, "a backup was not noted");
    }
}

fn describe(page: Page, made: &Made) -> Page {
    let name = made.path.file_name().map(|name| name.to_string_lossy().into_owned());
    let page = page
        .title("✅ Backup made and verified")
        .line(name.unwrap_or_default())
        .field("Size", size_text(made.size));
    made.report.steps.iter().fold(page, |page, step| {
        let sign = match step.outcome {
            Outcome::Ok => "✓",
            Outcome::Skipped => "–",
            Outcome::Failed => "✗",
        };
        // Nobody compares sixty-four digits on a phone.
        let text = if step.name == "checksum" { "written and read alike" } else { &step.text };
        page.line(format!("{sign} {}: {text}", step.name))
    })
}
