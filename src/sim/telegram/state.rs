//! What the stand-in remembers: updates not yet fetched, what the bot sent,
//! faults still to come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::{Clock, real_now};

/// Updates that wait to be fetched, at most; the oldest is dropped then.
const UPDATES_MAX: usize = 10_000;

/// Updates kept for another delivery.
const DELIVERED_MAX: usize = 1_000;

/// Events of the bot that are kept, at most.
const SENT_MAX: usize = 50_000;

/// The server's whole state, shared by all requests.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) clock: Clock,
    state: Mutex<State>,
    updates: watch::Sender<u64>,
    sent: watch::Sender<u64>,
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct State {
    waiting: VecDeque<(i64, Value)>,
    delivered: VecDeque<(i64, Value)>,
    again: Vec<Value>,
    next_update: i64,
    next_message: i64,
    next_callback: u64,
    sent: VecDeque<Sent>,
    next_seq: u64,
    /// Shown messages by chat and id, as the bot last made them.
    shown: BTreeMap<(i64, i64), Sent>,
    faults: VecDeque<Fault>,
    /// Number of the newest getUpdates; older ones give way.
    pub(super) poll: u64,
    /// Commands that the bot registered.
    pub(super) commands: Value,
}

/// What the bot did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// A new text.
    Text,
    /// A text or its buttons were changed.
    Edit,
    /// A new picture.
    Photo,
    /// A new file.
    Document,
    /// A button press was answered.
    Answer,
}

/// One button below a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Button {
    /// What stands on it.
    pub text: String,
    /// What a press sends.
    #[serde(default, rename = "callback_data")]
    pub data: Option<String>,
    /// What a press opens.
    #[serde(default)]
    pub url: Option<String>,
}

/// One thing that the bot sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its number; the first is 1.
    pub seq: u64,
    /// What it is.
    pub kind: Happened,
    /// The chat; 0 for answers to presses.
    pub chat_id: i64,
    /// The message sent or changed; 0 for answers to presses.
    pub message_id: i64,
    /// Text or caption, as the bot wrote it.
    pub html: String,
    /// Text or caption, without markup.
    pub text: String,
    /// Rows of buttons.
    pub buttons: Vec<Vec<Button>>,
    /// Size of the picture or file.
    pub bytes: usize,
    /// Name of the picture or file.
    pub file: Option<String>,
    /// True when it makes no sound.
    pub silent: bool,
    /// Real time of arrival, in microseconds since 1970.
    pub arrived_us: i64,
    /// Market time of arrival.
    pub at: String,
}

/// A scripted refusal. Fields left out match or mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// Method it applies to, in any case; all when left out.
    #[serde(default)]
    pub method: Option<String>,
    /// HTTP status to answer with: 429, 409, 500, 502, 403, …; 0 only
    /// delays.
    #[serde(default)]
    pub status: u16,
    /// `retry_after` of a 429, in seconds.
    #[serde(default)]
    pub retry_after: Option<u64>,
    /// How many calls it hits.
    #[serde(default = "once")]
    pub count: u32,
    /// Real time before the answer, in milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// True when the call is carried out and only its answer is lost.
    #[serde(default)]
    pub carried_out: bool,
}

fn once() -> u32 {
    1
}

impl Server {
    pub(super) fn new(clock: Clock) -> Server {
        let state = State {
            waiting: VecDeque::new(),
            delivered: VecDeque::new(),
            again: Vec::new(),
            next_update: 1,
            next_message: 1,
            next_callback: 1,
            sent: VecDeque::new(),
            next_seq: 1,
            shown: BTreeMap::new(),
            faults: VecDeque::new(),
            poll: 0,
            commands: json!([]),
        };
        Server {
            clock,
            state: Mutex::new(state),
            updates: watch::channel(0).0,
            sent: watch::channel(0).0,
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Wakes when an update came in, or another poll began.
    pub(super) fn watch_updates(&self) -> watch::Receiver<u64> {
        self.updates.subscribe()
    }

    pub(super) fn wake_polls(&self) {
        self.updates.send_modify(|count| *count += 1);
    }

    /// Takes the next fault that applies to a method.
    pub(super) fn take_fault(&self, method: &str) -> Option<Fault> {
        let mut state = self.lock();
        let applies = |fault: &Fault| {
            fault.method.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(method))
        };
        let at = state.faults.iter().position(applies)?;
        let fault = state.faults[at].clone();
        state.faults[at].count = fault.count.saturating_sub(1);
        state.faults.retain(|fault| fault.count > 0);
        Some(fault)
    }

    pub(super) fn set_faults(&self, faults: Vec<Fault>, clear: bool) {
        let mut state = self.lock();
        if clear {
            state.faults.clear();
        }
        state.faults.extend(faults);
    }

    /// Puts an update into the queue; answers with its number.
    pub(super) fn push_update(&self, kind: &str, content: Value) -> i64 {
        let mut state = self.lock();
        let id = state.next_update;
        state.next_update += 1;
        if state.waiting.len() >= UPDATES_MAX {
            state.waiting.pop_front();
        }
        state.waiting.push_back((id, json!({ "update_id": id, kind: content })));
        drop(state);
        self.wake_polls();
        id
    }

    /// Delivers an update that was fetched before once more, whatever the
    /// offset of the next poll.
    pub(super) fn redeliver(&self, id: i64) -> bool {
        let mut state = self.lock();
        let found = state.delivered.iter().find(|(known, _)| *known == id);
        let Some((_, update)) = found.cloned() else {
            return false;
        };
        state.again.push(update);
        drop(state);
        self.wake_polls();
        true
    }

    /// Writes down what the bot sent.
    pub(super) fn record(&self, mut sent: Sent) -> Sent {
        let mut state = self.lock();
        sent.seq = state.next_seq;
        state.next_seq += 1;
        sent.arrived_us = real_now().timestamp_micros();
        sent.at = self.clock.now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        if sent.kind != Happened::Answer {
            state.shown.insert((sent.chat_id, sent.message_id), sent.clone());
        }
        if state.sent.len() >= SENT_MAX {
            state.sent.pop_front();
        }
        state.sent.push_back(sent.clone());
        let seq = sent.seq;
        drop(state);
        self.sent.send_replace(seq);
        sent
    }

    /// What the bot sent after event `since`; waits for something when there
    /// is nothing yet.
    pub(super) async fn sent_after(&self, since: u64, wait: Duration) -> Vec<Sent> {
        let mut newest = self.sent.subscribe();
        let _ = tokio::time::timeout(wait, newest.wait_for(|seq| *seq > since)).await;
        self.lock().sent.iter().filter(|sent| sent.seq > since).cloned().collect()
    }
}

impl State {
    pub(super) fn message_id(&mut self) -> i64 {
        let id = self.next_message;
        self.next_message += 1;
        id
    }

    pub(super) fn callback_id(&mut self) -> String {
        let id = self.next_callback;
        self.next_callback += 1;
        format!("{id:016}")
    }

    pub(super) fn shown(&self, chat_id: i64, message_id: i64) -> Option<&Sent> {
        self.shown.get(&(chat_id, message_id))
    }

    pub(super) fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// Updates from `offset` on; those before it are forgotten, as Telegram
    /// does. A negative offset keeps only the last ones.
    pub(super) fn fetch(&mut self, offset: i64, limit: usize) -> Vec<Value> {
        if offset < 0 {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            while self.waiting.len() > keep {
                self.waiting.pop_front();
            }
        }
        if offset > 0 {
            self.waiting.retain(|(id, _)| *id >= offset);
        }
        let mut batch: Vec<Value> = self.again.drain(..).collect();
        for (id, update) in self.waiting.iter().take(limit) {
            batch.push(update.clone());
            if self.delivered.back().is_none_or(|(newest, _)| newest < id) {
                self.delivered.push_back((*id, update.clone()));
            }
        }
        while self.delivered.len() > DELIVERED_MAX {
            self.delivered.pop_front();
        }
        batch
    }
}
