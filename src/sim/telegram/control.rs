//! The people's side: what tests and the demo do in place of a phone.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api;
use super::state::{Fault, Sent, Server};

/// Longest wait for news, in milliseconds.
const WAIT_MS_MAX: u64 = 60_000;

/// How far a message can be dated back or ahead, in seconds: ten years.
const AGE_S_MAX: u64 = 10 * 366 * 86_400;

/// What is answered to a body that cannot be used.
type Refused = (StatusCode, String);

/// Reads JSON whatever the content type says: a plain `curl -d` calls it a
/// form.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

/// A person writes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    chat_id: i64,
    user_id: i64,
    text: String,
    #[serde(default)]
    age_s: i64,
}

pub(super) async fn send(
    State(server): State<Arc<Server>>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let request: Send = read(&body)?;
    if request.age_s.unsigned_abs() > AGE_S_MAX {
        let text = format!("age_s: at most {AGE_S_MAX}, was {}", request.age_s);
        return Err((StatusCode::BAD_REQUEST, text));
    }
    let message_id = server.lock().message_id();
    let message = json!({
        "message_id": message_id,
        "date": server.clock.now().timestamp() - request.age_s,
        "chat": api::chat(request.chat_id),
        "from": person(request.user_id),
        "text": request.text,
        "entities": entities(&request.text),
    });
    let update_id = server.push_update("message", message);
    Ok(Json(json!({ "update_id": update_id, "message_id": message_id })))
}

/// A person presses a button.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Press {
    chat_id: i64,
    user_id: i64,
    message_id: i64,
    data: String,
}

pub(super) async fn press(
    State(server): State<Arc<Server>>,
    body: Bytes,
) -> Result<Json<Value>, Refused> {
    let request: Press = read(&body)?;
    let shown = server.lock().shown(request.chat_id, request.message_id).cloned();
    let Some(shown) = shown else {
        let text = format!("chat {} has no message {}", request.chat_id, request.message_id);
        return Err((StatusCode::NOT_FOUND, text));
    };
    let id = server.lock().callback_id();
    let callback = json!({
        "id": id,
        "from": person(request.user_id),
        "message": api::message(&server, &shown),
        "chat_instance": request.chat_id.to_string(),
        "data": request.data,
    });
    let update_id = server.push_update("callback_query", callback);
    Ok(Json(json!({ "update_id": update_id })))
}

/// An update arrives once more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redeliver {
    update_id: i64,
}

pub(super) async fn redeliver(
    State(server): State<Arc<Server>>,
    body: Bytes,
) -> Result<StatusCode, Refused> {
    let request: Redeliver = read(&body)?;
    let found = server.redeliver(request.update_id);
    Ok(if found { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

/// Which events are wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    #[serde(default)]
    since: u64,
    #[serde(default)]
    wait_ms: u64,
}

pub(super) async fn messages(
    State(server): State<Arc<Server>>,
    Query(request): Query<Since>,
) -> Json<Value> {
    let wait = Duration::from_millis(request.wait_ms.min(WAIT_MS_MAX));
    let messages: Vec<Sent> = server.sent_after(request.since, wait).await;
    let next = messages.last().map_or(request.since, |sent| sent.seq);
    Json(json!({ "messages": messages, "next": next }))
}

/// Faults to come: a list, or one, or `{"clear": true}`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Faults {
    Clear { clear: bool },
    Many(Vec<Fault>),
    One(Fault),
}

impl Faults {
    /// A status that no refusal has.
    fn odd_status(&self) -> Option<u16> {
        let faults = match self {
            Faults::Clear { .. } => &[],
            Faults::Many(faults) => faults.as_slice(),
            Faults::One(fault) => std::slice::from_ref(fault),
        };
        let mut statuses = faults.iter().map(|fault| fault.status);
        statuses.find(|status| !matches!(status, 0 | 400..=599))
    }
}

pub(super) async fn faults(
    State(server): State<Arc<Server>>,
    body: Bytes,
) -> Result<StatusCode, Refused> {
    let request: Faults = read(&body)?;
    if let Some(status) = request.odd_status() {
        let text = format!("status: 0 or 400 to 599, was {status}");
        return Err((StatusCode::BAD_REQUEST, text));
    }
    match request {
        Faults::Clear { clear } => server.set_faults(Vec::new(), clear),
        Faults::Many(faults) => server.set_faults(faults, false),
        Faults::One(fault) => server.set_faults(vec![fault], false),
    }
    Ok(StatusCode::OK)
}

fn person(id: i64) -> Value {
    json!({
        "id": id,
        "is_bot": false,
        "first_name": format!("Person {id}"),
        "username": format!("person{id}"),
        "language_code": "en",
    })
}

fn entities(text: &str) -> Value {
    let command = text.split_whitespace().next().filter(|word| word.starts_with('/'));
    match command {
        Some(word) => json!([{
            "type": "bot_command", "offset": 0, "length": word.encode_utf16().count(),
        }]),
        None => json!([]),
    }
}
