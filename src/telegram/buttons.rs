//! Buttons below messages, and what became of them.
//!
//! A button that shows something names it. A button that changes something
//! carries a nonce that is good once, in its chat, for a minute of real time:
//! the finger is real even where the market is not.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};
use tokio::time::Instant;

use super::command::{Change, View};
use crate::service::nonce;

/// How long a button that changes something is good.
pub(super) const VALID: Duration = Duration::from_secs(60);

/// Buttons that are remembered, at most.
const KEPT_MAX: usize = 500;

/// What a press means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Press {
    /// Show something in place of the message.
    Refresh(View),
    /// Show something below.
    Show(View),
    /// Change something.
    Change(Change),
    /// Do nothing after all.
    Cancel,
    /// Too old, used before, or of another chat.
    Stale,
}

#[derive(Debug)]
struct Kept {
    change: Change,
    chat: i64,
    made_at: Instant,
}

/// The buttons that are out and change something.
#[derive(Debug, Default)]
pub(super) struct Buttons {
    kept: Mutex<BTreeMap<String, Kept>>,
}

/// Views that buttons lead to, by their word.
const VIEWS: [(&str, View); 5] = [
    ("status", View::Status),
    ("health", View::Health),
    ("trades", View::Trades(None)),
    ("position", View::Position),
    ("orders", View::Orders),
];

impl Buttons {
    /// A button that changes something, once.
    pub(super) fn change(&self, label: &str, change: Change, chat: i64) -> InlineKeyboardButton {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.made_at.elapsed() < VALID);
        let data = match nonce::<8>() {
            Ok(nonce) if kept.len() < KEPT_MAX => {
                kept.insert(nonce.clone(), Kept { change, chat, made_at: Instant::now() });
                format!("do:{nonce}")
            }
            // Without a nonce the button is born stale, and says so.
            Ok(_) | Err(_) => "do:".to_string(),
        };
        InlineKeyboardButton::callback(label, data)
    }

    /// Reads what a pressed button carries; a change is taken out.
    pub(super) fn press(&self, data: &str, chat: i64) -> Press {
        self.press_at(data, chat, Instant::now())
    }

    fn press_at(&self, data: &str, chat: i64, now: Instant) -> Press {
        let view = |word: &str| {
            let found = VIEWS.iter().find(|(name, _)| *name == word);
            found.map(|(_, view)| view.clone())
        };
        match data.split_once(':') {
            Some(("re", word)) => view(word).map_or(Press::Stale, Press::Refresh),
            Some(("go", word)) => view(word).map_or(Press::Stale, Press::Show),
            Some(("do", nonce)) => self.take(nonce, chat, now).map_or(Press::Stale, Press::Change),
            Some(("no", _)) => Press::Cancel,
            Some(_) | None => Press::Stale,
        }
    }

    fn take(&self, nonce: &str, chat: i64, now: Instant) -> Option<Change> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.get(nonce)?.chat != chat {
            return None;
        }
        let taken = kept.remove(nonce)?;
        (now - taken.made_at < VALID).then_some(taken.change)
    }

    /// The rows below the status.
    pub(super) fn below_status(
        &self,
        enabled: bool,
        operator: bool,
        chat: i64,
    ) -> InlineKeyboardMarkup {
        use crate::engine::event::OperatorAction::{Disable, Enable, Panic};
        let mut rows = Vec::new();
        if operator {
            let switch = if enabled {
                self.change("⏸ Disable", Change::Ask(Disable), chat)
            } else {
                self.change("▶️ Enable", Change::Ask(Enable { confirmed: false }), chat)
            };
            let panic = self.change("🛑 Panic", Change::Ask(Panic { all: false }), chat);
            rows.push(vec![switch, panic]);
        }
        rows.push(vec![show("🩺 Health", "health"), show("📒 Trades", "trades")]);
        rows.push(vec![refresh("🔄 Refresh", "status")]);
        InlineKeyboardMarkup::new(rows)
    }

    /// One button in each row, and one to do none of it.
    pub(super) fn choose(
        &self,
        choices: impl IntoIterator<Item = (String, Change)>,
        chat: i64,
    ) -> InlineKeyboardMarkup {
        let rows = choices.into_iter().map(|(label, change)| self.change(&label, change, chat));
        let cancel = InlineKeyboardButton::callback("Cancel", "no:");
        InlineKeyboardMarkup::new(rows.chain([cancel]).map(|button| [button]))
    }

    /// Yes and no below a question.
    pub(super) fn confirm(&self, label: &str, change: Change, chat: i64) -> InlineKeyboardMarkup {
        let cancel = InlineKeyboardButton::callback("Cancel", "no:");
        InlineKeyboardMarkup::new([vec![self.change(label, change, chat), cancel]])
    }
}

/// A button that shows something below.
pub(super) fn show(label: &str, word: &str) -> InlineKeyboardButton {
    InlineKeyboardButton::callback(label, format!("go:{word}"))
}

/// A button that shows the same again, in place.
pub(super) fn refresh(label: &str, word: &str) -> InlineKeyboardButton {
    InlineKeyboardButton::callback(label, format!("re:{word}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use teloxide::types::InlineKeyboardButtonKind;

    fn data(button: &InlineKeyboardButton) -> String {
        let InlineKeyboardButtonKind::CallbackData(data) = &button.kind else {
            panic!("no data on {button:?}")
        };
        data.clone()
    }

    #[test]
    fn a_change_is_good_once_in_its_chat_for_a_minute() {
        let buttons = Buttons::default();
        let button = data(&buttons.change("Login", Change::Login, 7));
        assert_eq!(buttons.press(&button, 8), Press::Stale);
        assert_eq!(buttons.press(&button, 7), Press::Change(Change::Login));
        assert_eq!(buttons.press(&button, 7), Press::Stale);
        let old = data(&buttons.change("Login", Change::Login, 7));
        assert_eq!(buttons.press_at(&old, 7, Instant::now() + VALID), Press::Stale);
        for forged in ["", "do:", "do:0", "re:none", "x"] {
            assert_eq!(buttons.press(forged, 7), Press::Stale, "{forged}");
        }
        assert_eq!(buttons.press("re:status", 7), Press::Refresh(View::Status));
    }
}
