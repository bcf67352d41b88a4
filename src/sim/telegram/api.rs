//! The bot's side: `/bot<token>/<Method>`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::html;
use super::request::Params;
use super::state::{Button, Fault, Happened, Sent, Server};

/// Id of the bot that every token belongs to.
pub(super) const BOT_ID: i64 = 7_000_000_001;

/// Longest text and caption, in UTF-16 units after markup is taken out.
const TEXT_MAX: usize = 4096;
const CAPTION_MAX: usize = 1024;

/// Longest text of a button's data, in bytes.
const DATA_MAX: usize = 64;

/// Longest poll, in seconds.
const POLL_S_MAX: i64 = 50;

/// A refusal in Telegram's form.
pub(super) struct Refusal {
    status: u16,
    text: String,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn bad(text: impl std::fmt::Display) -> Refusal {
        Refusal { status: 400, text: format!("Bad Request: {text}"), retry_after: None }
    }

    fn conflict() -> Refusal {
        Refusal {
            status: 409,
            text: "Conflict: terminated by other getUpdates request; make sure that only one bot \
                   instance is running"
                .into(),
            retry_after: None,
        }
    }

    fn scripted(fault: &Fault) -> Option<Refusal> {
        let text = match fault.status {
            0 => return None,
            409 => return Some(Refusal::conflict()),
            429 => format!("Too Many Requests: retry after {}", fault.retry_after.unwrap_or(1)),
            401 => "Unauthorized".into(),
            403 => "Forbidden: bot was blocked by the user".into(),
            400 => "Bad Request: scripted".into(),
            _ => "Internal Server Error".into(),
        };
        let retry_after = (fault.status == 429).then(|| fault.retry_after.unwrap_or(1));
        Some(Refusal { status: fault.status, text, retry_after })
    }

    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if self.status >= 500 {
            // A gateway answers for the server, and not in JSON.
            return (status, format!("<html><body>{status}</body></html>")).into_response();
        }
        let mut body = json!({ "ok": false, "error_code": self.status, "description": self.text });
        if let Some(seconds) = self.retry_after {
            body["parameters"] = json!({ "retry_after": seconds });
        }
        (status, Json(body)).into_response()
    }
}

/// Any call of a bot.
pub(super) async fn call(
    State(server): State<Arc<Server>>,
    Path((bot, method)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let known = bot.strip_prefix("bot").is_some_and(|token| token.contains(':'));
    if !known {
        let text = "Not Found".to_string();
        return Refusal { status: 404, text, retry_after: None }.into_response();
    }
    let method = method.to_ascii_lowercase();
    let fault = server.take_fault(&method);
    if let Some(fault) = &fault {
        tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
    }
    let refusal = fault.as_ref().and_then(Refusal::scripted);
    match (refusal, fault.is_some_and(|fault| fault.carried_out)) {
        (Some(refusal), false) => return refusal.into_response(),
        (Some(refusal), true) => {
            let _ = answer(&server, &method, query, &headers, &body).await;
            return refusal.into_response();
        }
        (None, _) => {}
    }
    match answer(&server, &method, query, &headers, &body).await {
        Ok(result) => Json(json!({ "ok": true, "result": result })).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

async fn answer(
    server: &Server,
    method: &str,
    query: Option<String>,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Value, Refusal> {
    let params = Params::read(&query.unwrap_or_default(), headers, body).map_err(Refusal::bad)?;
    match method {
        "getme" => Ok(me()),
        "getupdates" => get_updates(server, &params).await,
        "sendmessage" => send_text(server, &params),
        "editmessagetext" => edit(server, &params, true),
        "editmessagereplymarkup" => edit(server, &params, false),
        "sendphoto" => send_file(server, &params, "photo", Happened::Photo),
        "senddocument" => send_file(server, &params, "document", Happened::Document),
        "answercallbackquery" => Ok(answer_callback(server, &params)),
        "setmycommands" => {
            server.lock().commands = params.json("commands").unwrap_or_else(|| json!([]));
            Ok(json!(true))
        }
        "getmycommands" => Ok(server.lock().commands.clone()),
        "getwebhookinfo" => Ok(json!({
            "url": "",
            "has_custom_certificate": false,
            "pending_update_count": server.lock().waiting_count(),
        })),
        "deletewebhook" | "sendchataction" | "deletemycommands" => Ok(json!(true)),
        _ => {
            let text = "Not Found: method not found".to_string();
            Err(Refusal { status: 404, text, retry_after: None })
        }
    }
}

fn me() -> Value {
    json!({
        "id": BOT_ID,
        "is_bot": true,
        "first_name": "pivot",
        "username": "pivot_sim_bot",
        "can_join_groups": true,
        "can_read_all_group_messages": false,
        "supports_inline_queries": false,
        "can_connect_to_business": false,
        "has_main_web_app": false,
    })
}

async fn get_updates(server: &Server, params: &Params) -> Result<Value, Refusal> {
    let offset = params.integer("offset").unwrap_or(0);
    let limit = params.integer("limit").unwrap_or(100).clamp(1, 100) as usize;
    let timeout_s = params.integer("timeout").unwrap_or(0).clamp(0, POLL_S_MAX) as u64;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(timeout_s);
    let mut changed = server.watch_updates();
    let poll = {
        let mut state = server.lock();
        state.poll += 1;
        state.poll
    };
    server.wake_polls();
    loop {
        changed.borrow_and_update();
        {
            let mut state = server.lock();
            if state.poll != poll {
                return Err(Refusal::conflict());
            }
            let updates = state.fetch(offset, limit);
            if !updates.is_empty() {
                return Ok(Value::Array(updates));
            }
        }
        // The wait ends by time or by news; both are looked at above.
        let woken = tokio::time::timeout_at(deadline, changed.changed()).await;
        if woken.is_err() {
            return Ok(json!([]));
        }
    }
}

fn send_text(server: &Server, params: &Params) -> Result<Value, Refusal> {
    let html = params.text("text").unwrap_or_default();
    let text = checked_text(params, &html, TEXT_MAX)?;
    if text.trim().is_empty() {
        return Err(Refusal::bad("message text is empty"));
    }
    let sent = Sent { text, html, ..blank(server, params, Happened::Text)? };
    Ok(message(server, &server.record(sent)))
}

fn send_file(
    server: &Server,
    params: &Params,
    field: &str,
    kind: Happened,
) -> Result<Value, Refusal> {
    let Some(file) = params.file(field) else {
        return Err(Refusal::bad(format_args!("there is no {field} in the request")));
    };
    let html = params.text("caption").unwrap_or_default();
    let text = checked_text(params, &html, CAPTION_MAX)?;
    let bytes = file.bytes.len();
    let sent = Sent { text, html, bytes, file: Some(file.name), ..blank(server, params, kind)? };
    Ok(message(server, &server.record(sent)))
}

fn edit(server: &Server, params: &Params, with_text: bool) -> Result<Value, Refusal> {
    let chat_id = params.integer("chat_id").ok_or_else(|| Refusal::bad("chat_id is empty"))?;
    let message_id = params.integer("message_id").unwrap_or_default();
    let shown = server.lock().shown(chat_id, message_id).cloned();
    let Some(shown) = shown else {
        return Err(Refusal::bad("message to edit not found"));
    };
    let mut sent = Sent { kind: Happened::Edit, buttons: buttons(params)?, ..shown.clone() };
    if with_text {
        sent.html = params.text("text").unwrap_or_default();
        sent.text = checked_text(params, &sent.html, TEXT_MAX)?;
    }
    if sent.html == shown.html && sent.buttons == shown.buttons {
        return Err(Refusal::bad(
            "message is not modified: specified new message content and reply markup are exactly \
             the same as a current content and reply markup of the message",
        ));
    }
    Ok(message(server, &server.record(sent)))
}

fn answer_callback(server: &Server, params: &Params) -> Value {
    let text = params.text("text").unwrap_or_default();
    let html = text.clone();
    let sent = Sent { text, html, ..empty(Happened::Answer) };
    server.record(sent);
    json!(true)
}

/// A record with what all new messages have.
fn blank(server: &Server, params: &Params, kind: Happened) -> Result<Sent, Refusal> {
    let chat_id = params.integer("chat_id").ok_or_else(|| Refusal::bad("chat not found"))?;
    let buttons = buttons(params)?;
    let message_id = server.lock().message_id();
    let silent = params.flag("disable_notification");
    Ok(Sent { chat_id, message_id, buttons, silent, ..empty(kind) })
}

fn empty(kind: Happened) -> Sent {
    Sent {
        seq: 0,
        kind,
        chat_id: 0,
        message_id: 0,
        html: String::new(),
        text: String::new(),
        buttons: Vec::new(),
        bytes: 0,
        file: None,
        silent: false,
        arrived_us: 0,
        at: String::new(),
    }
}

fn checked_text(params: &Params, text: &str, max: usize) -> Result<String, Refusal> {
    let is_html = params.text("parse_mode").is_some_and(|mode| mode.eq_ignore_ascii_case("html"));
    let plain = if is_html { html::plain(text).map_err(Refusal::bad)? } else { text.to_string() };
    match plain.encode_utf16().count() > max {
        true if max == CAPTION_MAX => Err(Refusal::bad("message caption is too long")),
        true => Err(Refusal::bad("message is too long")),
        false => Ok(plain),
    }
}

fn buttons(params: &Params) -> Result<Vec<Vec<Button>>, Refusal> {
    let Some(markup) = params.json("reply_markup") else { return Ok(Vec::new()) };
    let Some(rows) = markup.get("inline_keyboard") else { return Ok(Vec::new()) };
    let rows: Vec<Vec<Button>> = serde_json::from_value(rows.clone())
        .map_err(|error| Refusal::bad(format_args!("can't parse inline keyboard: {error}")))?;
    for button in rows.iter().flatten() {
        let data = button.data.as_ref().map_or(0, String::len);
        if data > DATA_MAX || (data == 0) == button.url.is_none() {
            return Err(Refusal::bad("BUTTON_DATA_INVALID"));
        }
    }
    Ok(rows)
}

/// The message as the bot and the updates see it.
pub(super) fn message(server: &Server, sent: &Sent) -> Value {
    let mut message = json!({
        "message_id": sent.message_id,
        "date": server.clock.now().timestamp(),
        "chat": chat(sent.chat_id),
        "from": { "id": BOT_ID, "is_bot": true, "first_name": "pivot", "username": "pivot_sim_bot" },
    });
    let file_id = format!("file{}", sent.message_id);
    match sent.file {
        None => message["text"] = json!(sent.text),
        Some(_) => message["caption"] = json!(sent.text),
    }
    match sent.kind {
        Happened::Photo => {
            message["photo"] = json!([{
                "file_id": file_id, "file_unique_id": file_id, "file_size": sent.bytes,
                "width": 1280, "height": 720,
            }]);
        }
        Happened::Document => {
            message["document"] = json!({
                "file_id": file_id, "file_unique_id": file_id, "file_size": sent.bytes,
                "file_name": sent.file,
            });
        }
        Happened::Text | Happened::Edit | Happened::Answer => {}
    }
    message
}

/// The chat of an id: groups have negative ones.
pub(super) fn chat(id: i64) -> Value {
    if id < 0 {
        json!({ "id": id, "type": "group", "title": "group" })
    } else {
        json!({ "id": id, "type": "private", "first_name": format!("Person {id}") })
    }
}
