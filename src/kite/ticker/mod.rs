//! The live feed: a task that keeps what is wanted subscribed.
//!
//! The wanted tokens and the access token are *state*, not requests: after
//! every reconnect the task subscribes what is wanted then. A session that
//! the broker refuses (HTTP 403) stops the attempts until there is another;
//! everything else is tried again, the first time at once, then with growing
//! pauses.
//!
//! # Events
//!
//! They go through a bounded channel. When its reader is slow, the task waits
//! and the socket's buffers fill: nothing is dropped on our side, and the
//! watchdog counts only silence of the wire.

pub mod frame;
pub(super) mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

pub use frame::{RawLevel, RawTick, TickKind};

use crate::clock::Clock;
use crate::kite::transport::jittered;
use crate::market::{BrokerOrder, Timestamp};
use text::ServerText;

/// Events that wait for their reader at most.
const EVENTS_MAX: usize = 1024;

/// Why the connection is closed when another session is set or the last one
/// is over.
pub const SESSION_CHANGED: &str = "the session changed";

/// Silence after which the feed is suspect. A heartbeat comes every 3 s.
const SUSPECT_AFTER: Duration = Duration::from_secs(5);

/// Silence after which the connection is given up.
const DEAD_AFTER: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(7);

/// Time for one message to leave.
const SEND_TIMEOUT: Duration = Duration::from_secs(5);

/// Second pause between attempts; the first is none, each later one doubles.
const BACKOFF_FIRST: Duration = Duration::from_millis(500);

/// Longest pause between attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// A connection that lived this long starts the pauses afresh.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// Largest message; 3000 full packets are 558,002 bytes.
const MESSAGE_MAX: usize = 4 << 20;

/// Tokens that the broker takes on one connection.
pub const TOKENS_MAX: usize = 3000;

/// How much of an instrument is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TickMode {
    /// Last price.
    Ltp,
    /// Prices and volumes of the day.
    Quote,
    /// Everything, with the book.
    Full,
}

impl TickMode {
    /// Kite's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            TickMode::Ltp => "ltp",
            TickMode::Quote => "quote",
            TickMode::Full => "full",
        }
    }
}

/// Something the feed has to say.
#[expect(clippy::large_enum_variant, reason = "order events are few and short-lived")]
#[derive(Debug, Clone, PartialEq)]
pub enum TickerEvent {
    /// One message of the feed: packets that belong together.
    Ticks {
        /// When it arrived.
        at: Timestamp,
        /// Its packets, in their order.
        ticks: Vec<RawTick>,
    },
    /// An order changed. A hint: late, doubled and lost ones are normal.
    Order(BrokerOrder),
    /// An order changed, but its row cannot be read; ask for the order book.
    BadOrder(String),
    /// Connected, and what is wanted is subscribed. After silence: heard
    /// again.
    Up,
    /// No connection, or nothing heard for too long.
    Down {
        /// What was seen.
        reason: String,
    },
    /// The broker refuses the session. Nothing is tried until
    /// [`Ticker::set_session`] brings another.
    LoginNeeded,
    /// The broker says something to people.
    Message(String),
}

/// How to reach the feed.
#[derive(Debug, Clone)]
pub struct TickerOptions {
    /// Address, `wss://ws.kite.trade`.
    pub url: String,
    /// The app's API key.
    pub api_key: String,
    /// For the time of arrival.
    pub clock: Clock,
}

/// Tokens and how much of each is wanted.
pub type Wanted = BTreeMap<u32, TickMode>;

/// Steers the feed's task, which ends when this is dropped.
#[derive(Debug)]
pub struct Ticker {
    wanted: watch::Sender<Wanted>,
    session: watch::Sender<Option<SecretString>>,
    task: tokio::task::JoinHandle<()>,
}

impl Ticker {
    /// Starts the feed's task. It waits for a session, then connects.
    pub fn start(options: TickerOptions) -> (Ticker, mpsc::Receiver<TickerEvent>) {
        let (wanted, wanted_now) = watch::channel(Wanted::new());
        let (session, session_now) = watch::channel(None);
        let (events, receiver) = mpsc::channel(EVENTS_MAX);
        let feed = Feed { options, wanted: wanted_now, session: session_now, events };
        let task = tokio::spawn(feed.run());
        (Ticker { wanted, session, task }, receiver)
    }

    /// Replaces what is wanted. Takes effect at once, and after every
    /// reconnect. Beyond [`TOKENS_MAX`] the broker refuses; the highest
    /// tokens are then left out, which the log tells.
    pub fn want(&self, mut wanted: Wanted) {
        if wanted.len() > TOKENS_MAX {
            tracing::warn!(wanted = wanted.len(), most = TOKENS_MAX, "too many instruments");
            wanted = wanted.into_iter().take(TOKENS_MAX).collect();
        }
        self.wanted.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }

    /// Connects with this access token from now on; an open connection is
    /// replaced.
    pub fn set_session(&self, access_token: SecretString) {
        self.session.send_replace(Some(access_token));
    }

    /// Closes the connection and waits for a session.
    pub fn clear_session(&self) {
        self.session.send_replace(None);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection, or the attempt at one, ended.
#[derive(Debug)]
enum Ended {
    /// The broker refuses the session.
    Refused,
    /// The session was replaced or taken away.
    SessionChanged,
    /// Nobody listens any more.
    Closed,
    /// Anything else: try again.
    Broken(String),
}

struct Feed {
    options: TickerOptions,
    wanted: watch::Receiver<Wanted>,
    session: watch::Receiver<Option<SecretString>>,
    events: mpsc::Sender<TickerEvent>,
}

impl Feed {
    async fn run(mut self) {
        let mut failures: u32 = 0;
        loop {
            let token = self.session.borrow_and_update().clone();
            let Some(token) = token else {
                if self.session.changed().await.is_err() {
                    return;
                }
                failures = 0;
                continue;
            };
            let started = Instant::now();
            let ended = self.connection(&token).await;
            if started.elapsed() >= STABLE_AFTER {
                failures = 0;
            }
            let going_on = match ended {
                Ended::Closed => false,
                Ended::SessionChanged => {
                    failures = 0;
                    self.tell(TickerEvent::Down { reason: SESSION_CHANGED.into() }).await
                }
                Ended::Refused => {
                    failures = 0;
                    self.tell(TickerEvent::LoginNeeded).await
                        && self.session.changed().await.is_ok()
                }
                Ended::Broken(reason) => {
                    failures = failures.saturating_add(1);
                    self.tell(TickerEvent::Down { reason }).await && self.pause(failures).await
                }
            };
            if !going_on {
                return;
            }
        }
    }

    /// Waits before the next attempt; a new session ends the wait.
    async fn pause(&mut self, failures: u32) -> bool {
        let pause = jittered(backoff(failures));
        tokio::select! {
            () = tokio::time::sleep(pause) => true,
            changed = self.session.changed() => {
                // Seen again, and taken, at the top of the loop.
                if changed.is_ok() { self.session.mark_changed(); }
                changed.is_ok()
            }
        }
    }

    async fn tell(&self, event: TickerEvent) -> bool {
        self.events.send(event).await.is_ok()
    }

    /// One connection from its beginning to its end.
    async fn connection(&mut self, token: &SecretString) -> Ended {
        let mut socket = match self.connect(token).await {
            Ok(socket) => socket,
            Err(ended) => return ended,
        };
        let mut subscribed = Wanted::new();
        match self.listen(&mut socket, &mut subscribed).await {
            Ok(never) => match never {},
            Err(ended) => {
                // A farewell; whoever does not answer it is gone anyway.
                let _ = tokio::time::timeout(Duration::from_millis(200), socket.close(None)).await;
                ended
            }
        }
    }

    async fn connect(&mut self, token: &SecretString) -> Result<Socket, Ended> {
        let request = self.request(token).map_err(Ended::Broken)?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(MESSAGE_MAX))
            .max_frame_size(Some(MESSAGE_MAX))
            .max_write_buffer_size(MESSAGE_MAX);
        let connecting = connect_async_with_config(request, Some(config), true);
        let connected = tokio::select! {
            connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting) => connected,
            changed = self.session.changed() => {
                return Err(session_ended(changed.is_ok(), &mut self.session));
            }
        };
        match connected {
            Ok(Ok((socket, _))) => Ok(socket),
            Ok(Err(WsError::Http(response))) if response.status().as_u16() == 403 => {
                Err(Ended::Refused)
            }
            Ok(Err(WsError::Http(response))) => {
                Err(Ended::Broken(format!("the feed answered HTTP {}", response.status().as_u16())))
            }
            Ok(Err(error)) => Err(Ended::Broken(told(&error))),
            Err(_) => Err(Ended::Broken("the feed did not answer in time".into())),
        }
    }

    fn request(
        &self,
        token: &SecretString,
    ) -> Result<tokio_tungstenite::tungstenite::handshake::client::Request, String> {
        let query =
            [("api_key", self.options.api_key.as_str()), ("access_token", token.expose_secret())];
        let url = reqwest::Url::parse_with_params(&self.options.url, query)
            .map_err(|error| format!("kite.ticker_url: {error}"))?;
        let mut request = url
            .as_str()
            .into_client_request()
            .map_err(|_| "kite.ticker_url is not a ws(s) address".to_string())?;
        request.headers_mut().insert("X-Kite-Version", HeaderValue::from_static("3"));
        Ok(request)
    }

    /// Subscribes, then passes on what comes, until the connection ends.
    async fn listen(
        &mut self,
        socket: &mut Socket,
        subscribed: &mut Wanted,
    ) -> Result<std::convert::Infallible, Ended> {
        self.subscribe(socket, subscribed).await?;
        self.pass(TickerEvent::Up).await?;
        let mut heard = Instant::now();
        let mut suspect = false;
        loop {
            let deadline = heard + if suspect { DEAD_AFTER } else { SUSPECT_AFTER };
            tokio::select! {
                biased;
                message = socket.next() => {
                    heard = Instant::now();
                    if std::mem::take(&mut suspect) {
                        self.pass(TickerEvent::Up).await?;
                    }
                    self.message(message).await?;
                    // Waiting for our reader is not silence of the wire.
                    heard = heard.max(Instant::now());
                }
                changed = self.session.changed() => {
                    return Err(session_ended(changed.is_ok(), &mut self.session));
                }
                changed = self.wanted.changed() => {
                    changed.map_err(|_| Ended::Closed)?;
                    self.subscribe(socket, subscribed).await?;
                }
                () = tokio::time::sleep(deadline - Instant::now()) => {
                    if suspect {
                        return Err(Ended::Broken(format!("nothing heard for {} s", DEAD_AFTER.as_secs())));
                    }
                    suspect = true;
                    let reason = format!("nothing heard for {} s", SUSPECT_AFTER.as_secs());
                    self.pass(TickerEvent::Down { reason }).await?;
                }
            }
        }
    }

    async fn message(&mut self, message: Option<Result<Message, WsError>>) -> Result<(), Ended> {
        match message {
            Some(Ok(Message::Binary(bytes))) => self.binary(&bytes).await,
            Some(Ok(Message::Text(text))) => self.text(&text).await,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(()),
            Some(Ok(Message::Close(close))) => {
                let why = close.map(|close| format!(": {} {}", close.code, close.reason));
                Err(Ended::Broken(format!("the feed said goodbye{}", why.unwrap_or_default())))
            }
            Some(Err(error)) => Err(Ended::Broken(told(&error))),
            None => Err(Ended::Broken("the feed hung up".into())),
        }
    }

    async fn binary(&self, bytes: &[u8]) -> Result<(), Ended> {
        let mut ticks = Vec::with_capacity(bytes.len() / 44 + 1);
        let report = frame::decode(bytes, &mut ticks);
        if report.skipped > 0 || report.truncated {
            tracing::debug!(skipped = report.skipped, truncated = report.truncated, "odd packets");
        }
        if ticks.is_empty() {
            return Ok(());
        }
        self.pass(TickerEvent::Ticks { at: self.options.clock.now(), ticks }).await
    }

    async fn text(&self, text: &str) -> Result<(), Ended> {
        match text::read(text) {
            ServerText::Order(order) => self.pass(TickerEvent::Order(*order)).await,
            ServerText::BadOrder(reason) => self.pass(TickerEvent::BadOrder(reason)).await,
            ServerText::Message(words) => self.pass(TickerEvent::Message(words)).await,
            ServerText::Error(words) => {
                self.pass(TickerEvent::Message(format!("the feed refuses: {words}"))).await
            }
            ServerText::Other => Ok(()),
        }
    }

    async fn pass(&self, event: TickerEvent) -> Result<(), Ended> {
        self.events.send(event).await.map_err(|_| Ended::Closed)
    }

    /// Tells the server what has changed between `subscribed` and what is
    /// wanted.
    async fn subscribe(
        &mut self,
        socket: &mut Socket,
        subscribed: &mut Wanted,
    ) -> Result<(), Ended> {
        let wanted = self.wanted.borrow_and_update().clone();
        for message in changes(subscribed, &wanted) {
            let sending = socket.send(Message::text(message));
            match tokio::time::timeout(SEND_TIMEOUT, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(Ended::Broken(told(&error))),
                Err(_) => return Err(Ended::Broken("a subscription could not be sent".into())),
            }
        }
        *subscribed = wanted;
        Ok(())
    }
}

/// The messages that lead from one set of subscriptions to another.
fn changes(now: &Wanted, wanted: &Wanted) -> Vec<String> {
    let gone: Vec<u32> = now.keys().filter(|token| !wanted.contains_key(token)).copied().collect();
    let mut messages = text::unsubscribe(&gone);
    let modes: BTreeSet<TickMode> = wanted.values().copied().collect();
    for mode in modes {
        let fresh = wanted
            .iter()
            .filter(|(token, wanted)| **wanted == mode && now.get(token) != Some(&mode))
            .map(|(token, _)| *token);
        messages.extend(text::subscribe(mode, &fresh.collect::<Vec<_>>()));
    }
    messages
}

/// The pause after this many failures in a row, without its random part.
fn backoff(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        more => BACKOFF_FIRST.saturating_mul(1 << (more - 2).min(10)).min(BACKOFF_MAX),
    }
}

fn session_ended(there: bool, session: &mut watch::Receiver<Option<SecretString>>) -> Ended {
    if !there {
        return Ended::Closed;
    }
    session.mark_changed();
    Ended::SessionChanged
}

/// The error's words, without the address: it carries the token.
fn told(error: &WsError) -> String {
    if matches!(error, WsError::Url(_)) {
        return "kite.ticker_url cannot be reached, or is not a ws(s) address".into();
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_retry_is_at_once_and_the_last_a_minute_away() {
        assert_eq!(backoff(1), Duration::ZERO);
        assert_eq!(backoff(2), BACKOFF_FIRST);
        assert_eq!(backoff(3), BACKOFF_FIRST * 2);
        for failures in 9..100 {
            assert_eq!(backoff(failures), BACKOFF_MAX, "{failures}");
        }
        assert_eq!(backoff(u32::MAX), BACKOFF_MAX);
    }

    #[test]
    fn only_changes_are_sent() {
        let before = Wanted::from([(1, TickMode::Ltp), (2, TickMode::Full), (3, TickMode::Full)]);
        let after = Wanted::from([(1, TickMode::Full), (2, TickMode::Full), (4, TickMode::Ltp)]);
        assert_eq!(
            changes(&before, &after),
            [
                r#"{"a":"unsubscribe","v":[3]}"#,
                r#"{"a":"subscribe","v":[4]}"#,
                r#"{"a":"mode","v":["ltp",[4]]}"#,
                r#"{"a":"subscribe","v":[1]}"#,
                r#"{"a":"mode","v":["full",[1]]}"#,
            ]
        );
        assert!(changes(&after, &after).is_empty());
    }
}
