//! The broker session: asks for a login, exchanges the token that the web
//! service received, checks it, keeps it.

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use secrecy::SecretString;

use super::TradingError;
use super::context::Context;
use crate::engine::notice::{NoticeKind, Severity};
use crate::kite::KiteError;
use crate::market::Timestamp;
use crate::market::time::{from_ist, hms, ist, ist_time};
use crate::service::LoginLinks;
use crate::store::{BrokerSession, Login, SessionStatus};

/// Logins are asked for from here on.
pub(super) const LOGIN_FROM: NaiveTime = hms(8, 0, 0);
/// Levels, instruments and funds are gathered from here on.
pub(super) const PREPARE_FROM: NaiveTime = hms(8, 45, 0);
/// A login after this is a late one.
pub(super) const LATE_AFTER: NaiveTime = hms(9, 0, 0);

/// How often a waiting login is looked for, in real time.
const POLL: std::time::Duration = std::time::Duration::from_millis(20);

/// Pause after a failed check of a stored session, in market time.
const RETRY: std::time::Duration = std::time::Duration::from_secs(2);

/// How often a new session is checked; then it is used, and the first call
/// that it does not serve ends it.
const CHECKS: u32 = 3;

/// Pause before a feed that refused a working session is tried again, in
/// market time.
const FEED_AGAIN: std::time::Duration = std::time::Duration::from_secs(15);

/// Returns once there is a session that the broker takes.
pub(super) async fn ensure(context: &Context, day: NaiveDate) -> Result<(), TradingError> {
    loop {
        let now = context.clock.now();
        let kept = context.store.borrow().session(now)?;
        let token = match kept.filter(|session| session.day == day).and_then(|s| s.access_token) {
            Some(token) => token,
            None => return wait_for_login(context, day).await,
        };
        context.client.set_session(token.clone());
        match context.client.profile().await {
            Ok(_) => {
                adopt(context, token);
                return Ok(());
            }
            Err(error) if error.is_session_dead() => {
                tracing::warn!("the kept session is no longer taken");
                context.client.clear_session();
                context.send(super::input::Input::Session { alive: false });
                context.store.borrow_mut().session_end()?;
            }
            Err(error) => {
                tracing::warn!(%error, "the kept session could not be checked");
                context.clock.sleep(RETRY).await;
            }
        }
    }
}

/// Finds out whether the session is gone, and gets another when it is. A
/// feed that refuses while calls are answered costs no session: it is tried
/// again a little later.
pub(super) async fn restore(context: &Context, day: NaiveDate) -> Result<(), TradingError> {
    while context.client.has_session() {
        match context.client.profile().await {
            Ok(_) => {
                context.send(super::input::Input::Session { alive: true });
                context.clock.sleep(FEED_AGAIN).await;
                return ensure(context, day).await;
            }
            Err(error) if error.is_session_dead() => break,
            Err(error) => {
                tracing::warn!(%error, "the session could not be checked");
                context.clock.sleep(RETRY).await;
            }
        }
    }
    context.client.clear_session();
    context.ticker.clear_session();
    context.send(super::input::Input::Session { alive: false });
    context.store.borrow_mut().session_end()?;
    let now = context.clock.now();
    let minutes = (ist(now) - day.and_time(chrono::NaiveTime::MIN)).num_minutes();
    if let Some(slot) = slot(now, minutes) {
        context.store.borrow_mut().once(day, &format!("login:{day}:{slot}"), now)?;
    }
    let why = "the broker ended the session: a second login, a logout, or 06:00";
    request(context, day, &format!("login:{day}:lost:{minutes}"), why)?;
    ensure(context, day).await
}

fn adopt(context: &Context, token: SecretString) {
    context.ticker.set_session(token);
    context.send(super::input::Input::Session { alive: true });
}

async fn wait_for_login(context: &Context, day: NaiveDate) -> Result<(), TradingError> {
    context.phase("waiting for login");
    loop {
        ask(context, day)?;
        let waiting = context.store.borrow().login_pending()?;
        match waiting {
            Some(login) if !context.store.borrow().logins_used()?.contains(&login.id) => {
                if exchange(context, day, login).await? {
                    return Ok(());
                }
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

/// Sends the login link when a new slot has begun: every three minutes until
/// levels are made, every minute until a login is late, then every quarter of
/// an hour.
fn ask(context: &Context, day: NaiveDate) -> Result<(), TradingError> {
    let now = context.clock.now();
    let minutes = (ist(now) - day.and_time(chrono::NaiveTime::MIN)).num_minutes();
    match slot(now, minutes) {
        Some(slot) => {
            let why = "the broker ends every session at 06:00";
            request(context, day, &format!("login:{day}:{slot}"), why)
        }
        None => Ok(()),
    }
}

/// The slot that this instant is in, by its first minute of the day.
fn slot(now: Timestamp, minutes: i64) -> Option<i64> {
    let time = ist_time(now);
    if time < LOGIN_FROM {
        None
    } else if time < PREPARE_FROM {
        Some(minutes / 3 * 3)
    } else if time < LATE_AFTER {
        Some(minutes)
    } else {
        Some(minutes / 15 * 15)
    }
}

/// Sends the login link, once for each key.
fn request(context: &Context, day: NaiveDate, key: &str, why: &str) -> Result<(), TradingError> {
    if context.store.borrow().was_done(day, key)? {
        return Ok(());
    }
    let now = context.clock.now();
    let mut notice =
        context.notice(NoticeKind::LoginRequest, Severity::Warning, "Log in for today's session");
    notice.once = Some(key.to_string());
    notice.fields = vec![("Link".into(), login_link(context)?), ("Why".into(), why.into())];
    context.store.borrow_mut().say(&notice)?;
    context.store.borrow_mut().once(day, key, now)?;
    Ok(())
}

fn login_link(context: &Context) -> Result<String, TradingError> {
    let made = LoginLinks::new(&context.config).make(context.clock.now());
    let (link, _) =
        made.map_err(|source| TradingError::System { what: "make a login link", source })?;
    Ok(link)
}

async fn exchange(context: &Context, day: NaiveDate, login: Login) -> Result<bool, TradingError> {
    let Some(request_token) = login.request_token else { return Ok(false) };
    let secret = &context.config.api_secret;
    let answer = context.client.exchange_token(&request_token, secret).await;
    let now = context.clock.now();
    match answer {
        Ok(info) => {
            context.client.set_session(info.access_token.clone());
            if let Some(error) = refusal_of_session(context).await {
                return refuse(context, day, login.id, now, &error);
            }
            context.store.borrow_mut().session_keep(&BrokerSession {
                login_id: Some(login.id),
                day,
                status: SessionStatus::Valid,
                access_token: Some(info.access_token.clone()),
                user_id: info.profile.user_id.clone(),
                user_name: info.profile.user_name.clone(),
                login_time: now,
                valid_until: next_six(day),
                message: None,
            })?;
            let mut notice = context.notice(
                NoticeKind::Authenticated,
                Severity::Info,
                &format!("Logged in as {}", info.profile.user_name),
            );
            notice.once = Some(format!("authenticated:{day}:{}", login.id));
            notice.fields = vec![
                ("Account".into(), info.profile.user_id),
                ("Valid until".into(), "06:00 tomorrow".into()),
            ];
            context.store.borrow_mut().say(&notice)?;
            adopt(context, info.access_token);
            Ok(true)
        }
        Err(error) => refuse(context, day, login.id, now, &error),
    }
}

/// Why the broker does not take the session. What keeps the question from
/// being answered says nothing of it.
async fn refusal_of_session(context: &Context) -> Option<KiteError> {
    for _ in 0..CHECKS {
        match context.client.profile().await {
            Ok(_) => return None,
            Err(error) if error.is_session_dead() => return Some(error),
            Err(error) => {
                tracing::warn!(%error, "the new session could not be checked");
                context.clock.sleep(RETRY).await;
            }
        }
    }
    None
}

fn refuse(
    context: &Context,
    day: NaiveDate,
    login: i64,
    now: Timestamp,
    error: &KiteError,
) -> Result<bool, TradingError> {
    tracing::warn!(%error, "the login was not taken by the broker");
    context.client.clear_session();
    context.store.borrow_mut().session_keep(&BrokerSession {
        login_id: Some(login),
        day,
        status: SessionStatus::Refused,
        access_token: None,
        user_id: String::new(),
        user_name: String::new(),
        login_time: now,
        valid_until: now,
        message: Some(error.to_string()),
    })?;
    let mut notice = context.notice(
        NoticeKind::LoginRequest,
        Severity::Warning,
        "The broker did not take this login. Please log in again",
    );
    notice.once = Some(format!("login-refused:{day}:{login}"));
    notice.fields =
        vec![("Link".into(), login_link(context)?), ("The broker says".into(), error.to_string())];
    context.store.borrow_mut().say(&notice)?;
    Ok(false)
}

/// When the broker ends a session of this day.
fn next_six(day: NaiveDate) -> Timestamp {
    from_ist(day, hms(6, 0, 0)) + TimeDelta::days(1)
}
