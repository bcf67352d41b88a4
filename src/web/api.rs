//! What programs ask: whether it runs, status, tokens, postbacks.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::access::Caller;
use super::heavy;
use super::postback::{self, PostbackError};
use super::serve::App;
use crate::health::metrics::MetricsError;
use crate::market::Timestamp;
use crate::market::time::ist;
use crate::store::{LoginStatus, Store, StoreError};
use crate::telemetry::rows::{BadFilter, RowsError};

/// How long a request token can be handed out; the broker's own limit is "a
/// few minutes".
const TOKEN_VALID: TimeDelta = TimeDelta::minutes(5);

/// Exactly what monitors look for.
const WELL: &str = r#"{"status":"ok","server":"running"}"#;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The caller shows no secret, or the wrong one.
    #[error("this needs the bearer secret auth.api_token")]
    Unauthorized,
    /// Not from this machine.
    #[error("this is answered on the machine itself only")]
    NotLocal,
    /// The database failed.
    #[error("the database does not answer")]
    Store(#[from] StoreError),
    /// No randomness for a login state.
    #[error("the system has no randomness")]
    Randomness(#[source] std::io::Error),
    /// The logs cannot be read.
    #[error("the log database does not answer")]
    Rows(#[from] RowsError),
    /// A filter is not understood.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// Enough people follow the logs.
    #[error("too many follow the logs already; try again later")]
    TooManyListeners,
    /// Too much of what takes long is worked on already.
    #[error("too much is asked at once; try again in {} s", heavy::COME_AGAIN_S)]
    Busy,
    /// Metrics cannot be written down.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A postback that is not taken.
    #[error(transparent)]
    Postback(#[from] PostbackError),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match &self {
            Problem::Unauthorized => StatusCode::UNAUTHORIZED,
            Problem::NotLocal | Problem::Postback(PostbackError::Checksum) => StatusCode::FORBIDDEN,
            Problem::Postback(PostbackError::Shape) | Problem::Filter(_) => StatusCode::BAD_REQUEST,
            Problem::TooManyListeners => StatusCode::TOO_MANY_REQUESTS,
            Problem::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Problem::Store(_) | Problem::Rows(_) | Problem::Randomness(_) | Problem::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        if matches!(self, Problem::Busy) {
            tracing::warn!("a request was sent away: too much is asked at once");
        } else if status.is_server_error() {
            tracing::error!(error = &self as &dyn std::error::Error, "a request failed");
        }
        let body = Json(json!({ "status": "error", "message": self.to_string() }));
        match self {
            Problem::Unauthorized => (status, [(WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            Problem::Busy => (status, [(RETRY_AFTER, heavy::COME_AGAIN_S)], body).into_response(),
            Problem::NotLocal
            | Problem::Store(_)
            | Problem::Rows(_)
            | Problem::Filter(_)
            | Problem::TooManyListeners
            | Problem::Randomness(_)
            | Problem::Metrics(_)
            | Problem::Postback(_) => (status, body).into_response(),
        }
    }
}

impl App {
    /// Lets in a browser on this machine, or a program with the secret.
    pub(super) fn admit_browser(&self, caller: &Caller) -> Result<(), Problem> {
        if caller.local { Ok(()) } else { self.admit_program(caller) }
    }

    /// Lets in a program with the secret.
    pub(super) fn admit_program(&self, caller: &Caller) -> Result<(), Problem> {
        let known = caller.has(&self.config.auth.api_token);
        if known { Ok(()) } else { Err(Problem::Unauthorized) }
    }

    fn admit_local_program(&self, caller: &Caller) -> Result<(), Problem> {
        if !caller.local {
            return Err(Problem::NotLocal);
        }
        self.admit_program(caller)
    }
}

/// `GET /health`
pub(super) async fn health(State(app): State<Arc<App>>) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    match app.store.run(|store| store.heartbeats().map(drop)).await {
        Ok(()) => (json, WELL).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "not well");
            let body = r#"{"status":"error","server":"running"}"#;
            (StatusCode::SERVICE_UNAVAILABLE, json, body).into_response()
        }
    }
}

/// `GET /status`
pub(super) async fn status(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    app.admit_program(&caller)?;
    let now = app.clock.now();
    let answer = app.heavy.read(move |store| status_json(store, now)).await?;
    Ok(Json(answer))
}

fn status_json(store: &mut Store, now: Timestamp) -> Result<Value, StoreError> {
    let session = store.session(now)?;
    let pending = store.login_pending()?;
    let fresh = pending.and_then(|login| login.received_at).filter(|at| now - *at <= TOKEN_VALID);
    let state = store.state()?.map(|state| {
        json!({
            "permission": state.permission.as_str(),
            "reason": state.reason,
            "actor": state.actor,
            "since": state.since,
        })
    });
    Ok(json!({
        "status": "ok",
        "mode": store.mode().as_str(),
        "time": now,
        "authenticated": session.is_some(),
        "user_id": session.as_ref().map(|session| session.user_id.clone()),
        "valid_until": session.map(|session| session.valid_until),
        "request_token_waiting": fresh.is_some(),
        "trading": state,
    }))
}

/// What the first page shows: logged in or not, and facts in order.
pub(super) async fn facts(app: &App) -> Result<(bool, Vec<(String, String)>), Problem> {
    let now = app.clock.now();
    let (session, state, beats) = app
        .heavy
        .read(move |store| Ok((store.session(now)?, store.state()?, store.heartbeats()?)))
        .await?;
    let mut facts =
        vec![("Time (IST)".to_string(), ist(now).format("%a %-d %b, %H:%M").to_string())];
    if let Some(session) = &session {
        facts.push(("Account".into(), session.user_id.clone()));
        let until = ist(session.valid_until).format("%a %H:%M").to_string();
        facts.push(("Session until".into(), until));
    }
    if let Some(state) = state {
        facts.push(("Trading".into(), format!("{} ({})", state.permission.as_str(), state.reason)));
    }
    for beat in beats {
        let age = (now - beat.at).num_seconds().max(0);
        facts.push((format!("pivot-{}", beat.service), format!("{} · {age} s ago", beat.phase)));
    }
    Ok((session.is_some(), facts))
}

/// `GET /get_token`: hands a request token out, once.
pub(super) async fn get_token(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Problem> {
    app.admit_local_program(&caller)?;
    let now = app.clock.now();
    let taken = app.store.run(move |store| {
        let Some(login) = store.login_pending()? else { return Ok(None) };
        let fresh = login.received_at.is_some_and(|at| now - at <= TOKEN_VALID);
        let first = store
            .login_wipe(login.id, if fresh { LoginStatus::Taken } else { LoginStatus::Cleared })?;
        Ok(login.request_token.filter(|_| fresh && first))
    });
    Ok(match taken.await? {
        Some(token) => {
            tracing::info!("a request token was handed out");
            Json(json!({ "status": "success", "request_token": token.expose_secret() }))
                .into_response()
        }
        None => {
            let body = json!({ "status": "error", "message": "no request token is waiting" });
            (StatusCode::NOT_FOUND, Json(body)).into_response()
        }
    })
}

/// `POST /clear_token`: forgets a request token that waits.
pub(super) async fn clear_token(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    app.admit_local_program(&caller)?;
    let cleared = app.store.run(|store| match store.login_pending()? {
        Some(login) => store.login_wipe(login.id, LoginStatus::Cleared),
        None => Ok(false),
    });
    let cleared = cleared.await?;
    tracing::info!(cleared, "request tokens were cleared");
    Ok(Json(json!({ "status": "success", "cleared": cleared })))
}

/// Wipes request tokens that were used, and one that nobody used in time.
pub(super) async fn wipe_spent(app: &App) -> Result<(), StoreError> {
    let now = app.clock.now();
    app.store
        .run(move |store| {
            for id in store.logins_used()? {
                store.login_wipe(id, LoginStatus::Cleared)?;
            }
            if let Some(login) = store.login_pending()?
                && login.received_at.is_none_or(|at| now - at > TOKEN_VALID)
            {
                store.login_wipe(login.id, LoginStatus::Cleared)?;
            }
            Ok(())
        })
        .await
}

/// `POST /postback`: keeps a genuine hint for pivot-trading.
pub(super) async fn postback(
    State(app): State<Arc<App>>,
    body: Bytes,
) -> Result<Json<Value>, Problem> {
    let order_id = postback::verify(&body, &app.config.api_secret)
        .inspect_err(|error| tracing::warn!(%error, "a postback was not taken"))?;
    let now = app.clock.now();
    let payload = String::from_utf8_lossy(&body).into_owned();
    let kept = order_id.clone();
    app.store.run(move |store| store.postback_keep(&kept, &payload, now)).await?;
    tracing::info!(order_id, "a postback was kept");
    Ok(Json(json!({ "status": "ok" })))
}
