//! The way to the broker's login page and back.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;

use super::access::Caller;
use super::api::facts;
use super::app::App;
use super::pages;
use super::problem::Problem;
use crate::market::time::ist;
use crate::service::LinkError;
use crate::store::StoreError;
use crate::telemetry;

/// Longest request token that is believed; real ones have 32 characters.
const TOKEN_MAX: usize = 128;

/// `GET /`
pub(super) async fn home(State(app): State<Arc<App>>, caller: Caller) -> Result<Response, Problem> {
    app.admit_browser(&caller)?;
    let (logged_in, facts) = facts(&app).await?;
    Ok(pages::home(app.mode.as_str(), logged_in, &facts).into_response())
}

/// `GET /style.css`
pub(super) async fn style() -> impl IntoResponse {
    let head = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "max-age=3600")];
    std::future::ready((head, include_str!("style.css"))).await
}

/// `GET /login`: to the broker, with a state that can come back once.
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    caller: Caller,
) -> Result<Response, Problem> {
    app.admit_browser(&caller)?;
    let now = app.clock.now();
    let (link, state) = app.links.make(now).map_err(Problem::Randomness)?;
    app.store.run(move |store| store.login_begin(&state, now)).await?;
    Ok((StatusCode::FOUND, [(LOCATION, link)]).into_response())
}

/// `GET /callback`, `GET /redirect`: the browser comes back.
pub(super) async fn back(
    State(app): State<Arc<App>>,
    Query(answer): Query<BTreeMap<String, String>>,
) -> Result<Response, Problem> {
    let mode = app.mode.as_str();
    let now = app.clock.now();
    let ours = answer.get("state").is_some_and(|state| app.links.check(state, now).is_ok());
    let outcome = match read(&answer, ours) {
        Ok((token, state)) => receive(&app, token, state).await?,
        Err(refusal) => {
            note_failure(&app, &answer, refusal).await?;
            Err(refusal)
        }
    };
    let at = ist(now).format("%H:%M:%S").to_string();
    Ok(match outcome {
        Ok(()) => {
            tracing::info!("a login came back with a request token");
            pages::success(mode, &at).into_response()
        }
        Err(Refusal::NoAnswer) => {
            tracing::info!("the page of the broker's answer was opened without one");
            (Refusal::NoAnswer.status(), pages::stray(mode)).into_response()
        }
        Err(refusal) => {
            tracing::warn!(%refusal, "a login came back without effect");
            let page = pages::failure(mode, refusal.headline(), &refusal.to_string());
            (refusal.status(), page).into_response()
        }
    })
}

/// Why a login that came back has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    #[error("Nothing of a login came back.")]
    NoAnswer,
    #[error("The broker reports that the login was cancelled or failed.")]
    Cancelled,
    #[error("The broker's answer holds no usable request token.")]
    NoToken,
    #[error("This login did not start from a link of this system, so it is not used.")]
    Forged,
    #[error("This login link is too old.")]
    Expired,
    #[error("This login link was used before.")]
    Used,
}

impl Refusal {
    fn headline(self) -> &'static str {
        match self {
            Refusal::NoAnswer => "No login came back",
            Refusal::Cancelled => "Login cancelled",
            Refusal::NoToken | Refusal::Forged => "Login failed",
            Refusal::Expired | Refusal::Used => "Link no longer valid",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Refusal::Cancelled => StatusCode::OK,
            Refusal::NoAnswer | Refusal::NoToken => StatusCode::BAD_REQUEST,
            Refusal::Forged => StatusCode::FORBIDDEN,
            Refusal::Expired | Refusal::Used => StatusCode::GONE,
        }
    }
}

/// What came back; `ours` when it names a state that was made here.
fn read(answer: &BTreeMap<String, String>, ours: bool) -> Result<(SecretString, String), Refusal> {
    match answer.get("status").map(String::as_str) {
        Some("success") => {}
        Some("cancelled") => return Err(Refusal::Cancelled),
        // Other ends of a login are not documented; a state that was made
        // here shows that it was one.
        Some(_) | None if ours => return Err(Refusal::Cancelled),
        Some(_) | None => return Err(Refusal::NoAnswer),
    }
    let token = answer.get("request_token").map_or("", String::as_str);
    let sound = (1..=TOKEN_MAX).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !sound {
        return Err(Refusal::NoToken);
    }
    let state = answer.get("state").ok_or(Refusal::Forged)?;
    Ok((SecretString::from(token), state.clone()))
}

async fn receive(
    app: &App,
    token: SecretString,
    state: String,
) -> Result<Result<(), Refusal>, Problem> {
    let now = app.clock.now();
    match app.links.check(&state, now) {
        Ok(()) => {}
        Err(LinkError::Forged) => return Ok(Err(Refusal::Forged)),
        Err(LinkError::Expired) => return Ok(Err(Refusal::Expired)),
    }
    telemetry::hide(&token);
    let received = app.store.run(move |store| {
        if store.login_receive(&state, &token, now)?.is_some() {
            return Ok(true);
        }
        // A link that another service made is begun here when it comes back;
        // one that came back before is there already, and cannot begin.
        match store.login_begin(&state, now) {
            Ok(_) => Ok(store.login_receive(&state, &token, now)?.is_some()),
            Err(StoreError::Write { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    });
    Ok(if received.await? { Ok(()) } else { Err(Refusal::Used) })
}

/// A failed login that names its state is over.
async fn note_failure(
    app: &App,
    answer: &BTreeMap<String, String>,
    refusal: Refusal,
) -> Result<(), Problem> {
    let now = app.clock.now();
    let Some(state) = answer.get("state").cloned() else { return Ok(()) };
    if app.links.check(&state, now).is_ok() {
        let message = refusal.to_string();
        app.store.run(move |store| store.login_fail(&state, &message, now)).await?;
    }
    Ok(())
}
