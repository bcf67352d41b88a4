//! Reads along in the chat.

use anyhow::Context as _;
use serde::Deserialize;

use super::stage::Stage;

/// A message of the bot.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Message {
    /// Counts what happened in the chat.
    pub(super) seq: u64,
    /// Text or caption, without markup.
    pub(super) text: String,
    /// Size of a picture sent along.
    #[serde(default)]
    pub(super) bytes: usize,
}

#[derive(Debug, Deserialize)]
struct Page {
    messages: Vec<Message>,
}

/// The chat as read so far.
#[derive(Debug, Default)]
pub(super) struct Chat {
    pub(super) messages: Vec<Message>,
    shown: usize,
}

impl Chat {
    /// Reads what is new.
    pub(super) async fn read(&mut self, stage: &Stage) -> anyhow::Result<()> {
        let since = self.messages.last().map_or(0, |message| message.seq);
        let url = format!("{}/_sim/telegram/messages?since={since}", stage.urls.telegram);
        let answer = stage.http.get(&url).send().await.context("the chat does not answer")?;
        let page: Page = answer.json().await.context("the chat is unreadable")?;
        self.messages.extend(page.messages);
        Ok(())
    }

    /// Messages that have not been shown yet.
    pub(super) fn take_new(&mut self) -> Vec<Message> {
        let new = self.messages[self.shown..].to_vec();
        self.shown = self.messages.len();
        new
    }

    /// Messages from here on count for a wait.
    pub(super) fn mark(&self) -> usize {
        self.messages.len()
    }

    /// True when a message since the mark contains one of these words.
    pub(super) fn says(&self, mark: usize, words: &[&str]) -> bool {
        self.messages
            .iter()
            .skip(mark)
            .any(|message| words.iter().any(|word| message.text.contains(word)))
    }
}
