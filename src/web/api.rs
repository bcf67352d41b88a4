//! What programs ask: whether it runs, status, tokens, postbacks.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::access::Caller;
use super::app::App;
use super::postback;
use super::problem::Problem;
use crate::market::Timestamp;
use crate::market::time::ist;
use crate::store::{LoginStatus, Store, StoreError};

/// How long a request token can be handed out; the broker's own limit is "a
/// few minutes".
const TOKEN_VALID: TimeDelta = TimeDelta::minutes(5);

/// Exactly what monitors look for.
const WELL: &str = r#"{"status":"ok","server":"running"}"#;

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
