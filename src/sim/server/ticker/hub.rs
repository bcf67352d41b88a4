//! Who listens to what: subscriptions of every open ticker, and the frames
//! that each is owed.
//!
//! For every market second each ticker gets at most one frame, in order: the
//! frames are made under the same lock that moves the exchange, so a clock
//! that runs fast leads to many frames, never to a skipped one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::extract::ws::{Message, Utf8Bytes};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::packet::{Frame, Mode};
use crate::market::Timestamp;
use crate::market::time::ist_text;
use crate::sim::exchange::{Exchange, MarketQuote};
use crate::sim::faults::{BareSubscribe, Faults, TickerText};

/// Instruments of one ticker; more are refused.
const TOKENS_MAX: usize = 3_000;

/// Tickers of one app; more are refused.
pub(in crate::sim::server) const TICKERS_MAX: usize = 3;

/// Frames that a ticker may lag behind; then it is cut off. A whole trading
/// day is 23,000.
const BACKLOG_MAX: u64 = 100_000;

/// What goes to a ticker's socket.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: Message,
    /// The market second that is complete with this message.
    pub(super) second: Option<Timestamp>,
}

/// How far a ticker's socket has come; shared with its writer.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    sent: AtomicU64,
    second: AtomicI64,
}

impl Delivery {
    /// Notes that a message has been handed to the socket.
    pub(super) fn sent(&self, second: Option<Timestamp>) {
        if let Some(second) = second {
            self.second.store(second.timestamp(), Ordering::Relaxed);
        }
        self.sent.fetch_add(1, Ordering::Release);
    }
}

/// The receiving end of one ticker.
#[derive(Debug)]
pub(in crate::sim::server) struct Seat {
    pub(super) id: u64,
    pub(super) outgoing: mpsc::UnboundedReceiver<Outgoing>,
    pub(super) delivery: Arc<Delivery>,
}

#[derive(Debug)]
struct Ticker {
    /// Of each token its mode; `None` is subscribed to and sends nothing.
    modes: BTreeMap<u32, Option<Mode>>,
    access_token: String,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    queued: u64,
    delivery: Arc<Delivery>,
}

impl Ticker {
    fn send(&mut self, message: Message, second: Option<Timestamp>) {
        if self.outgoing.send(Outgoing { message, second }).is_ok() {
            self.queued += 1;
        }
    }

    fn backlog(&self) -> u64 {
        self.queued.saturating_sub(self.delivery.sent.load(Ordering::Acquire))
    }
}

/// The open tickers.
#[derive(Debug, Default)]
pub(in crate::sim::server) struct Hub {
    tickers: BTreeMap<u64, Ticker>,
    last_id: u64,
}

impl Hub {
    pub(in crate::sim::server) fn len(&self) -> usize {
        self.tickers.len()
    }

    /// Takes in a new ticker and greets it.
    pub(in crate::sim::server) fn join(
        &mut self,
        access_token: &str,
        exchange: &Exchange,
        now: Timestamp,
    ) -> Seat {
        self.last_id += 1;
        let (sender, outgoing) = mpsc::unbounded_channel();
        let delivery = Arc::new(Delivery::default());
        delivery.second.store(now.timestamp(), Ordering::Relaxed);
        let mut ticker = Ticker {
            modes: BTreeMap::new(),
            access_token: access_token.to_string(),
            outgoing: sender,
            queued: 0,
            delivery: Arc::clone(&delivery),
        };
        let instruments = exchange.instruments().len();
        let etag = format!("W/\"{:x}-{instruments:x}\"", now.timestamp());
        let meta =
            json!({ "type": "instruments_meta", "data": { "count": instruments, "etag": etag } });
        ticker.send(text(&meta), None);
        for kind in &exchange.faults().ticker_texts {
            ticker.send(strange_text(*kind, now), None);
        }
        self.tickers.insert(self.last_id, ticker);
        Seat { id: self.last_id, outgoing, delivery }
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.tickers.remove(&id);
    }

    /// Cuts off the tickers whose access token does not pass.
    pub(in crate::sim::server) fn keep(&mut self, is_open: impl Fn(&str) -> bool) {
        self.tickers.retain(|_, ticker| is_open(&ticker.access_token));
    }

    /// Cuts every ticker off.
    pub(in crate::sim::server) fn cut_all(&mut self) {
        self.tickers.clear();
    }

    /// Carries out a client's message.
    pub(in crate::sim::server) fn hear(
        &mut self,
        id: u64,
        words: &str,
        exchange: &Exchange,
        second: Timestamp,
    ) {
        let Some(ticker) = self.tickers.get_mut(&id) else { return };
        match Wish::parse(words) {
            Ok(Wish::Subscribe(tokens)) => {
                let bare = match exchange.faults().bare_subscribe {
                    BareSubscribe::Quote => Some(Mode::Quote),
                    BareSubscribe::Ltp => Some(Mode::Ltp),
                    BareSubscribe::Nothing => None,
                };
                let mode = |token| ticker.modes.get(&token).copied().unwrap_or(bare);
                let added = tokens.into_iter().map(|token| (token, mode(token))).collect();
                ticker.watch(&added, exchange, second);
            }
            Ok(Wish::Unsubscribe(tokens)) => {
                for token in tokens {
                    ticker.modes.remove(&token);
                }
            }
            Ok(Wish::Mode(mode, tokens)) => {
                let added = tokens.into_iter().map(|token| (token, Some(mode))).collect();
                ticker.watch(&added, exchange, second);
            }
            Err(complaint) => ticker.send(error(complaint), None),
        }
    }

    /// Sends what changed in a second to those who watch it.
    pub(in crate::sim::server) fn publish_second(
        &mut self,
        exchange: &Exchange,
        second: Timestamp,
        faults: &Faults,
    ) {
        if faults.ticker_silent || faults.ticker_dead {
            return;
        }
        let mut quotes: BTreeMap<u32, Option<MarketQuote>> = BTreeMap::new();
        let is_minute = second.timestamp().rem_euclid(60) == 0;
        for ticker in self.tickers.values_mut() {
            for kind in faults.ticker_texts.iter().filter(|_| is_minute) {
                ticker.send(strange_text(*kind, second), None);
            }
            let mut frame = Frame::new();
            let watched = ticker.modes.iter().filter_map(|(token, mode)| Some((token, (*mode)?)));
            for (token, mode) in watched {
                let quote = quotes.entry(*token).or_insert_with(|| {
                    let frozen = faults.ticker_freeze.contains(token);
                    let quote = (!frozen).then(|| exchange.quote(*token, second)).flatten();
                    quote.filter(|quote| quote.at == second)
                });
                if let Some(quote) = quote {
                    frame.push(quote, mode);
                }
            }
            if let Some(bytes) = frame.finish() {
                ticker.send(Message::Binary(bytes.into()), Some(second));
            }
        }
        self.tickers.retain(|id, ticker| {
            let keeps_up = ticker.backlog() < BACKLOG_MAX;
            if !keeps_up {
                tracing::warn!(ticker = id, "a ticker lags too far behind and is cut off");
            }
            keeps_up
        });
    }

    /// Sends an order event to everybody.
    pub(in crate::sim::server) fn publish_order(&mut self, data: &Value, faults: &Faults) {
        if self.tickers.is_empty() || faults.ticker_silent || faults.ticker_dead {
            return;
        }
        let message = text(&json!({ "type": "order", "data": data }));
        for ticker in self.tickers.values_mut() {
            ticker.send(message.clone(), None);
        }
    }

    /// The market second up to which every socket has all its frames, when
    /// they were made up to `pumped`; and whether something is still on its way.
    pub(in crate::sim::server) fn progress(&self, pumped: Timestamp) -> (Timestamp, bool) {
        let behind = self.tickers.values().filter(|ticker| ticker.backlog() > 0);
        let slowest = behind.map(|ticker| ticker.delivery.second.load(Ordering::Relaxed)).min();
        match slowest.and_then(|seconds| Timestamp::from_timestamp(seconds, 0)) {
            Some(slowest) => (slowest.min(pumped), true),
            None => (pumped, false),
        }
    }
}

impl Ticker {
    /// A token that comes twice is watched once: a frame counts its packets
    /// with sixteen bits.
    fn watch(
        &mut self,
        added: &BTreeMap<u32, Option<Mode>>,
        exchange: &Exchange,
        second: Timestamp,
    ) {
        let mut snapshot = Frame::new();
        let mut has_room = true;
        let sends_snapshot = !exchange.faults().ticker_no_snapshot;
        for (token, mode) in added {
            if !self.modes.contains_key(token) && self.modes.len() >= TOKENS_MAX {
                has_room = false;
                continue;
            }
            self.modes.insert(*token, *mode);
            let Some(mode) = mode.filter(|_| sends_snapshot) else { continue };
            if let Some(quote) = exchange.quote(*token, second) {
                snapshot.push(&quote, mode);
            }
        }
        if !has_room {
            let complaint = format!("Can't subscribe to more than {TOKENS_MAX} instruments.");
            self.send(error(&complaint), None);
        }
        if let Some(bytes) = snapshot.finish() {
            self.send(Message::Binary(bytes.into()), None);
        }
    }
}

fn text(value: &Value) -> Message {
    Message::Text(Utf8Bytes::from(value.to_string()))
}

/// What a client must let pass: undocumented types, or none that exists.
fn strange_text(kind: TickerText, at: Timestamp) -> Message {
    text(&match kind {
        TickerText::AppCode => json!({ "type": "app_code", "timestamp": ist_text(at) }),
        TickerText::Message => {
            json!({ "type": "message", "data": "A message of the simulated broker." })
        }
        TickerText::Unknown => json!({ "type": "sim_unknown", "data": { "at": ist_text(at) } }),
    })
}

fn error(complaint: &str) -> Message {
    text(&json!({ "type": "error", "data": complaint }))
}

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wish {
    Subscribe(Vec<u32>),
    Unsubscribe(Vec<u32>),
    Mode(Mode, Vec<u32>),
}

impl Wish {
    fn parse(words: &str) -> Result<Wish, &'static str> {
        const UNREADABLE: &str = "Error parsing message";
        let value: Value = serde_json::from_str(words).map_err(|_| UNREADABLE)?;
        let argument = value.get("v").ok_or(UNREADABLE)?;
        match value.get("a").and_then(Value::as_str) {
            Some("subscribe") => Ok(Wish::Subscribe(tokens(argument)?)),
            Some("unsubscribe") => Ok(Wish::Unsubscribe(tokens(argument)?)),
            Some("mode") => {
                let mode = argument.get(0).and_then(Value::as_str).and_then(Mode::parse);
                let mode = mode.ok_or("Invalid mode")?;
                Ok(Wish::Mode(mode, tokens(argument.get(1).ok_or(UNREADABLE)?)?))
            }
            Some(_) | None => Err("Invalid action"),
        }
    }
}

fn tokens(list: &Value) -> Result<Vec<u32>, &'static str> {
    const NO_TOKEN: &str = "Error parsing instrument token";
    let items = list.as_array().ok_or(NO_TOKEN)?;
    let token = |item: &Value| item.as_u64().and_then(|token| u32::try_from(token).ok());
    items.iter().map(|item| token(item).ok_or(NO_TOKEN)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_read_and_wrong_ones_named() {
        let check = |words: &str, expected| assert_eq!(Wish::parse(words), expected, "{words}");
        check(r#"{"a":"subscribe","v":[265]}"#, Ok(Wish::Subscribe(vec![265])));
        check(r#"{"a":"unsubscribe","v":[1,2]}"#, Ok(Wish::Unsubscribe(vec![1, 2])));
        check(r#"{"a":"mode","v":["full",[265]]}"#, Ok(Wish::Mode(Mode::Full, vec![265])));
        check(r#"{"a":"subscribe","v":["265"]}"#, Err("Error parsing instrument token"));
        check(r#"{"a":"mode","v":["deep",[265]]}"#, Err("Invalid mode"));
        check(r#"{"a":"sing","v":[]}"#, Err("Invalid action"));
        check("not json", Err("Error parsing message"));
    }
}
