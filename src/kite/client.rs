//! The client: connection, session, and the two ways to call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tracing::Instrument as _;

use super::error::{ApiError, KiteError};
use super::limits::{Bucket, Lane, Limits, OrderBudget};
use super::outcome::{OrderCall, Reply, classify};
use super::skew::Skew;
use super::transport::{Answer, BODY_MAX, Lost, exchange, jittered};
use crate::clock::{Clock, real_now};
use crate::engine::event::{Outcome, Refusal};
use crate::telemetry::{self, PERFORMANCE};

/// Times that a read is sent at most.
const READ_TRIES: u32 = 2;

/// Pause before a read is sent again, without its random part.
const READ_BACKOFF: Duration = Duration::from_millis(300);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const POOL_IDLE: Duration = Duration::from_secs(30);

/// Asked just before each call that can change an order: the words are why it
/// must not leave.
pub type LastLook = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// How to reach the broker.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// REST address, `https://api.kite.trade`.
    pub base_url: String,
    /// The app's API key.
    pub api_key: String,
    /// Time until a request is given up. Real time.
    pub timeout: Duration,
    /// For the rate limits.
    pub clock: Clock,
}

/// Calls Kite's REST API. Cheap to clone; clones share session and limits.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) http: reqwest::Client,
    pub(super) base_url: String,
    pub(super) api_key: String,
    session: RwLock<Option<SecretString>>,
    last_look: RwLock<Option<LastLook>>,
    session_count: AtomicU64,
    pub(super) limits: Limits,
    clock: Clock,
    skew: Skew,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("base_url", &self.inner.base_url)
            .field("has_session", &self.has_session())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client without a session.
    ///
    /// # Errors
    /// When the address is not an http(s) URL or TLS cannot be set up.
    pub fn new(options: ClientOptions) -> Result<Client, KiteError> {
        let bad = |reason: String| KiteError::BadRequest { reason };
        let base_url = options.base_url.trim_end_matches('/').to_string();
        let parsed = reqwest::Url::parse(&base_url)
            .map_err(|error| bad(format!("kite.base_url {base_url:?}: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(bad(format!("kite.base_url {base_url:?} is not an http(s) address")));
        }
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-kite-version"), HeaderValue::from_static("3"));
        let http = reqwest::Client::builder()
            .user_agent(concat!("pivot-trading/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .timeout(options.timeout)
            .connect_timeout(CONNECT_TIMEOUT.min(options.timeout))
            .pool_idle_timeout(POOL_IDLE)
            .tcp_keepalive(POOL_IDLE)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(parsed.scheme() == "https")
            .build()
            .map_err(|error| bad(error.without_url().to_string()))?;
        let limits = Limits::new(options.clock.clone(), OrderBudget::default());
        let inner = Inner {
            http,
            base_url,
            api_key: options.api_key,
            session: RwLock::new(None),
            last_look: RwLock::new(None),
            session_count: AtomicU64::new(0),
            limits,
            clock: options.clock,
            skew: Skew::default(),
        };
        Ok(Client { inner: Arc::new(inner) })
    }

    /// Replaces our own budget of order calls.
    pub fn set_order_budget(&self, budget: OrderBudget) {
        self.inner.limits.set_budget(budget);
    }

    /// Has every order call looked at a last time, after it waited for its
    /// turn.
    pub fn set_last_look(&self, look: LastLook) {
        if let Ok(mut slot) = self.inner.last_look.write() {
            *slot = Some(look);
        }
    }

    /// Signs calls with this access token from now on.
    pub fn set_session(&self, access_token: SecretString) {
        telemetry::hide(&access_token);
        if let Ok(mut session) = self.inner.session.write() {
            *session = Some(access_token);
            self.inner.session_count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Forgets the access token.
    pub fn clear_session(&self) {
        if let Ok(mut session) = self.inner.session.write() {
            *session = None;
            self.inner.session_count.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Counts the changes of the session: an answer that concerns a session
    /// is news only while the count is the one from before the call.
    pub fn session_count(&self) -> u64 {
        self.inner.session_count.load(Ordering::Acquire)
    }

    /// True when there is an access token. Says nothing about its life.
    pub fn has_session(&self) -> bool {
        self.session().is_some()
    }

    /// The app's API key.
    pub fn api_key(&self) -> &str {
        &self.inner.api_key
    }

    /// Milliseconds that this machine's clock is ahead of the broker's
    /// (negative: behind), by the `Date` headers of the last answers. `None`
    /// before the first one, and on a scaled clock.
    pub fn clock_skew_ms(&self) -> Option<i64> {
        if self.inner.clock.is_scaled() { None } else { self.inner.skew.estimate_ms() }
    }

    pub(super) fn session(&self) -> Option<SecretString> {
        self.inner.session.read().ok()?.clone()
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.inner.http.request(method, format!("{}{path}", self.inner.base_url))
    }

    /// Adds the session's `Authorization` header.
    pub(super) fn signed(&self, request: RequestBuilder) -> Result<RequestBuilder, KiteError> {
        let token = self.session().ok_or(KiteError::NoSession)?;
        let text = format!("token {}:{}", self.inner.api_key, token.expose_secret());
        let mut value = HeaderValue::from_str(&text).map_err(|_| KiteError::BadRequest {
            reason: "the API key or the access token has characters that no header can carry"
                .into(),
        })?;
        value.set_sensitive(true);
        Ok(request.header(AUTHORIZATION, value))
    }

    /// Sends a request once.
    pub(super) async fn send(&self, request: reqwest::Request, cap: usize) -> Result<Answer, Lost> {
        let sent = real_now();
        let span = tracing::info_span!(
            target: PERFORMANCE,
            "broker request",
            method = request.method().as_str(),
            path = request.url().path(),
            status = tracing::field::Empty,
        );
        let answer = exchange(&self.inner.http, request, cap).instrument(span.clone()).await?;
        span.record("status", answer.http);
        if let Some(date) = answer.date {
            self.inner.skew.note(sent, real_now(), date);
        }
        Ok(answer)
    }

    /// Sends a signed read, a second time when the first brought no answer
    /// or a server error, and returns the body of a success.
    pub(super) async fn read(
        &self,
        bucket: Bucket,
        path: &str,
        query: &[(&str, String)],
        cap: usize,
    ) -> Result<Vec<u8>, KiteError> {
        let mut tries = 1;
        loop {
            self.inner.limits.turn(bucket).await?;
            let request = self.signed(self.request(Method::GET, path).query(query))?;
            let result = finished(self.send(build(request)?, cap).await);
            match result {
                Err(error) if tries < READ_TRIES && is_passing(&error) => {
                    tries += 1;
                    tokio::time::sleep(jittered(READ_BACKOFF)).await;
                }
                other => return other,
            }
        }
    }

    /// Like [`Client::read`], and takes `data` out of the envelope.
    pub(super) async fn read_data(
        &self,
        bucket: Bucket,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<Value, KiteError> {
        let body = self.read(bucket, path, query, BODY_MAX).await?;
        data_of(&body)
    }

    /// Sends a signed request that is not repeated, and takes `data` out of
    /// the envelope.
    pub(super) async fn once(&self, request: RequestBuilder) -> Result<Value, KiteError> {
        self.inner.limits.turn(Bucket::Other).await?;
        let body = finished(self.send(build(request)?, BODY_MAX).await)?;
        data_of(&body)
    }

    /// Sends an order call once and says what became of it.
    pub(super) async fn order_call(
        &self,
        call: OrderCall,
        lane: Lane,
        request: RequestBuilder,
    ) -> Outcome {
        let gate = |message: String| Outcome::Refused { refusal: Refusal::Gate, message };
        let request = match self.signed(request).and_then(build) {
            Ok(request) => request,
            Err(KiteError::NoSession) => {
                let message = KiteError::NoSession.to_string();
                return Outcome::Refused { refusal: Refusal::Session, message };
            }
            Err(error) => return gate(error.to_string()),
        };
        if let Err(message) = self.inner.limits.order_turn(lane).await {
            return Outcome::Refused { refusal: Refusal::RateLimit, message };
        }
        let look = self.inner.last_look.read().ok().and_then(|slot| slot.clone());
        if let Some(Err(message)) = look.map(|look| look()) {
            return gate(message);
        }
        match self.send(request, BODY_MAX).await {
            Ok(answer) => classify(call, Reply::Answer { http: answer.http, body: &answer.body }),
            Err(Lost::Body { http, reason }) => {
                classify(call, Reply::BodyLost { http, reason: &reason })
            }
            Err(Lost::Nothing { reason }) => classify(call, Reply::Nothing { reason: &reason }),
        }
    }
}

pub(super) fn build(request: RequestBuilder) -> Result<reqwest::Request, KiteError> {
    request
        .build()
        .map_err(|error| KiteError::BadRequest { reason: error.without_url().to_string() })
}

/// The body of a success, or the error that the answer is.
fn finished(result: Result<Answer, Lost>) -> Result<Vec<u8>, KiteError> {
    match result {
        Ok(Answer { http: 200..300, body, .. }) => Ok(body),
        Ok(Answer { http, body, .. }) => Err(match ApiError::parse(http, &body) {
            Some(error) => KiteError::Api(error),
            None => KiteError::Unreadable { http, reason: "not an error of Kite's form".into() },
        }),
        Err(Lost::Body { http, reason }) => Err(KiteError::Unreadable { http, reason }),
        Err(Lost::Nothing { reason }) => Err(KiteError::NoAnswer { reason }),
    }
}

/// True when the same read may well succeed a moment later.
fn is_passing(error: &KiteError) -> bool {
    match error {
        KiteError::NoAnswer { .. } => true,
        KiteError::Api(ApiError { http, .. }) => *http >= 500,
        // A success whose body broke off can be asked for again as well.
        KiteError::Unreadable { http, .. } => *http >= 500 || *http < 300,
        KiteError::NoSession | KiteError::Busy { .. } | KiteError::BadRequest { .. } => false,
    }
}

pub(super) fn data_of(body: &[u8]) -> Result<Value, KiteError> {
    let unreadable = |reason: String| KiteError::Unreadable { http: 200, reason };
    let value: Value =
        serde_json::from_slice(body).map_err(|error| unreadable(format!("not JSON: {error}")))?;
    let Value::Object(mut object) = value else {
        return Err(unreadable("not a JSON object".into()));
    };
    if object.get("status").and_then(Value::as_str) == Some("error") {
        return Err(match ApiError::parse(200, body) {
            Some(error) => KiteError::Api(error),
            None => unreadable("an error without a type".into()),
        });
    }
    object.remove("data").ok_or_else(|| unreadable("no data in it".into()))
}
