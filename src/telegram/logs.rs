//! `/logs`: the last lines of the log, as a message or, when that would be
//! long, as a file.

use std::path::Path;
use std::sync::Arc;

use super::bot::Bot;
use super::html::Page;
use super::voice;
use crate::market::time::{ist, ist_date};
use crate::service::in_full;
use crate::telemetry::rows::{self, Entry, LogQuery, Reader};

/// Finds them and answers.
pub(super) async fn show(bot: Arc<Bot>, chat: i64, query: LogQuery) {
    let path = Path::new(&bot.config.data.dir).join(rows::FILE_NAME);
    let read = {
        let query = query.clone();
        move || match Reader::open_if_there(&path)? {
            Some(reader) => reader.page(&query).map(|page| page.entries),
            None => Ok(Vec::new()),
        }
    };
    let read = tokio::task::spawn_blocking(read).await;
    let page = Page::new(bot.mode);
    let entries = match read {
        Ok(Ok(entries)) => entries,
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn std::error::Error, "no log lines");
            let page = page.title("🚨 The log cannot be read").line(in_full(&error));
            return voice::reply(&bot.api, chat, page).await;
        }
        Err(error) => {
            let page = page.title("🚨 The log cannot be read").line(error.to_string());
            return voice::reply(&bot.api, chat, page).await;
        }
    };
    if entries.is_empty() {
        let mut page = page.line(format!("There are no lines of {}.", describe(&query)));
        if !bot.config.logging.database {
            page = page.line("logging.database is off: the lines are only in the log files.");
        }
        return voice::reply(&bot.api, chat, page).await;
    }
    let lines: Vec<String> = entries.iter().rev().map(Entry::line).collect();
    let today = format!("{} ", ist_date(bot.clock.now()));
    let count = match lines.len() {
        1 => "line".to_string(),
        count => format!("{count} lines"),
    };
    let title = format!("📜 The last {count} of {}", describe(&query));
    let shown = lines.iter().map(|line| line.strip_prefix(&today).unwrap_or(line).to_string());
    let whole = page.clone().title(&title).table(shown);
    if whole.clone().letters(false).len() == 1 {
        return voice::reply(&bot.api, chat, whole).await;
    }
    let name = format!("log-{}.txt", ist(bot.clock.now()).format("%Y%m%d-%H%M%S"));
    let text = lines.join("\n") + "\n";
    voice::reply_with_document(&bot.api, chat, text.into_bytes(), &name, page.title(title)).await;
}

fn describe(query: &LogQuery) -> String {
    let mut text = match (&query.service, &query.component) {
        (Some(service), Some(component)) => format!("{component} in pivot-{service}"),
        (Some(service), None) => format!("pivot-{service}"),
        (None, Some(component)) => component.clone(),
        (None, None) => "the log".to_string(),
    };
    if let Some(level) = query.level {
        text.push_str(&format!(", {level} and above"));
    }
    text
}
