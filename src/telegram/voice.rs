//! Sends messages until they arrive, and the bot's own words to the owner.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::api::{Api, CallError, Letter};
use super::html::Page;

/// Own words that may wait.
pub(super) const QUEUE: usize = 100;

/// First and longest pause between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

/// How long a reply is tried; a later one helps nobody.
const REPLY_FOR: Duration = Duration::from_secs(180);

/// How long the bot's own words are tried.
const OWN_FOR: Duration = Duration::from_secs(24 * 3600);

/// Pauses that grow.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(super) fn new() -> Backoff {
        Backoff { next: PAUSE }
    }

    /// Waits as long as the server asks, or longer than last time.
    pub(super) async fn pause(&mut self, error: &CallError) {
        let pause = match error {
            CallError::Wait(pause) => *pause,
            CallError::Conflict(_)
            | CallError::Refused(_)
            | CallError::Unreachable(_)
            | CallError::Unclear(_) => {
                let pause = self.next;
                self.next = (self.next * 2).min(PAUSE_MAX);
                pause
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Tries until it is done, refused, or `span` is over.
async fn persist<T, F>(span: Duration, mut attempt: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<T, CallError>>,
{
    let deadline = Instant::now() + span;
    let mut backoff = Backoff::new();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_final() || Instant::now() >= deadline => return Err(error),
            Err(error) => backoff.pause(&error).await,
        }
    }
}

/// Sends one message; without its markup and buttons when Telegram does not
/// take them.
async fn send(api: &Api, chat: i64, letter: &Letter, span: Duration) -> Result<i64, CallError> {
    match persist(span, || api.send(chat, letter)).await {
        Err(CallError::Refused(why)) => {
            tracing::error!(why, "a message was refused; sending it plain");
            let text = plain(&letter.html);
            persist(span, || api.send_plain(chat, &text)).await
        }
        other => other,
    }
}

/// The text without markup; good enough when markup itself is the trouble.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut inside = false;
    for character in html.chars() {
        match character {
            '<' => inside = true,
            '>' if inside => inside = false,
            other if !inside => text.push(other),
            _ => {}
        }
    }
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    entities.into_iter().fold(text, |text, (entity, character)| text.replace(entity, character))
}

/// Sends the messages of a page as a reply.
pub(super) async fn reply(api: &Api, chat: i64, page: Page) {
    for letter in page.letters(false) {
        if let Err(error) = send(api, chat, &letter, REPLY_FOR).await {
            tracing::error!(%error, chat, "a reply could not be sent");
        }
    }
}

/// Sends a text file as a reply, with the first message of a page as its
/// caption.
pub(super) async fn reply_with_document(
    api: &Api,
    chat: i64,
    text: Vec<u8>,
    name: &str,
    caption: Page,
) {
    let Some(caption) = caption.letters(false).into_iter().next() else { return };
    let attempt = || api.send_document(chat, text.clone(), name, &caption);
    if let Err(error) = persist(REPLY_FOR, attempt).await {
        tracing::error!(%error, chat, "a file could not be sent");
    }
}

/// Says the bot's own words to the owner, one after the other.
pub(super) async fn speak(api: &Api, owner: i64, mut words: mpsc::Receiver<Letter>) {
    while let Some(letter) = words.recv().await {
        if let Err(error) = send(api, owner, &letter, OWN_FOR).await {
            tracing::error!(%error, "the owner could not be told");
        }
    }
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_markup_out() {
        assert_eq!(plain("<b>P&amp;L</b> 3 &lt; 4 &amp;lt;"), "P&L 3 < 4 &lt;");
    }
}
