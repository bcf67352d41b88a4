//! Calls of the Bot API, with the client library's types.
//!
//! The library's own sender sleeps ten seconds inside a call when the server
//! has trouble, and does not tell a refusal from a lost answer. What became
//! of a message decides whether it is sent again, so the calls are made here.

use std::time::Duration;

use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use teloxide::payloads::{
    AnswerCallbackQuery, AnswerCallbackQuerySetters as _, EditMessageText,
    EditMessageTextSetters as _, GetUpdates, GetUpdatesSetters as _, SendMessage,
    SendMessageSetters as _, SetMyCommands,
};
use teloxide::requests::Payload;
use teloxide::types::{
    AllowedUpdate, BotCommand, CallbackQueryId, ChatId, InlineKeyboardMarkup, LinkPreviewOptions,
    Message, MessageId, ParseMode, Update,
};

/// How long a poll waits for news at the server.
const POLL: Duration = Duration::from_secs(25);

/// How long an answer may take beyond that.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a picture or a file may take.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(40);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest pause that the server may ask for.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// A text to send or show.
#[derive(Debug, Clone, Default)]
pub(super) struct Letter {
    /// Telegram's HTML.
    pub(super) html: String,
    /// Buttons below it.
    pub(super) keyboard: Option<InlineKeyboardMarkup>,
    /// Without sound.
    pub(super) silent: bool,
}

/// What went wrong with a call.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// Nothing was done; try again after the pause.
    #[error("Telegram asks for a pause of {} s", .0.as_secs())]
    Wait(Duration),
    /// Another program polls with the same token.
    #[error("another program uses this bot's token: {0}")]
    Conflict(String),
    /// Nothing was done, and the same call will not be done later either.
    #[error("Telegram refused: {0}")]
    Refused(String),
    /// The call did not leave.
    #[error("Telegram cannot be reached: {0}")]
    Unreachable(String),
    /// It may have been carried out: the answer is lost or unreadable.
    #[error("no clear answer from Telegram: {0}")]
    Unclear(String),
}

impl CallError {
    /// True when the message may have arrived all the same.
    pub(super) fn may_have_arrived(&self) -> bool {
        matches!(self, CallError::Unclear(_))
    }

    /// True when trying again is of no use.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, CallError::Refused(_))
    }
}

/// A connection to the Bot API server.
#[derive(Debug)]
pub(super) struct Api {
    client: reqwest::Client,
    url: String,
    token: SecretString,
}

/// How the server answers.
#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Envelope<T> {
    ok: bool,
    result: Option<T>,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Deserialize, Default)]
struct Parameters {
    #[serde(default)]
    retry_after: u64,
}

/// What is read of the bot's own account. The library's type asks for more,
/// and what a server leaves out must not keep the name from being known.
#[derive(Deserialize)]
struct Me {
    username: Option<String>,
}

impl Api {
    pub(super) fn new(url: &str, token: SecretString) -> Result<Api, CallError> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(4)
            .build()
            .map_err(unreachable)?;
        Ok(Api { client, url: url.trim_end_matches('/').to_string(), token })
    }

    fn method(&self, name: &str) -> String {
        format!("{}/bot{}/{name}", self.url, self.token.expose_secret())
    }

    async fn call<P>(&self, payload: &P, timeout: Duration) -> Result<P::Output, CallError>
    where
        P: Payload + Serialize + Sync,
        P::Output: DeserializeOwned,
    {
        let request = self.client.post(self.method(P::NAME)).json(payload);
        read(request.timeout(timeout).send().await.map_err(failed)?).await
    }

    /// Waits for updates from `offset` on.
    pub(super) async fn updates(&self, offset: i32) -> Result<Vec<Update>, CallError> {
        let wanted = [AllowedUpdate::Message, AllowedUpdate::CallbackQuery];
        let poll =
            GetUpdates::new().offset(offset).timeout(POLL.as_secs() as u32).allowed_updates(wanted);
        self.call(&poll, POLL + TIMEOUT).await
    }

    /// Sends a text; answers with the message's number.
    pub(super) async fn send(&self, chat: i64, letter: &Letter) -> Result<i64, CallError> {
        let mut payload = SendMessage::new(ChatId(chat), &letter.html)
            .parse_mode(ParseMode::Html)
            .disable_notification(letter.silent)
            .link_preview_options(no_preview());
        if let Some(keyboard) = &letter.keyboard {
            payload = payload.reply_markup(keyboard.clone());
        }
        let message: Message = self.call(&payload, TIMEOUT).await?;
        Ok(i64::from(message.id.0))
    }

    /// Sends a text without markup: the last resort when HTML is refused.
    pub(super) async fn send_plain(&self, chat: i64, text: &str) -> Result<i64, CallError> {
        let payload = SendMessage::new(ChatId(chat), text);
        let message: Message = self.call(&payload, TIMEOUT).await?;
        Ok(i64::from(message.id.0))
    }

    /// Shows another text in place of one that was sent.
    pub(super) async fn edit(
        &self,
        chat: i64,
        message: i32,
        letter: &Letter,
    ) -> Result<(), CallError> {
        let mut payload = EditMessageText::new(ChatId(chat), MessageId(message), &letter.html)
            .parse_mode(ParseMode::Html)
            .link_preview_options(no_preview());
        if let Some(keyboard) = &letter.keyboard {
            payload = payload.reply_markup(keyboard.clone());
        }
        self.call(&payload, TIMEOUT).await.map(drop)
    }

    /// Sends a picture with a caption.
    pub(super) async fn send_picture(
        &self,
        chat: i64,
        picture: Vec<u8>,
        name: &str,
        caption: &Letter,
    ) -> Result<i64, CallError> {
        let part = Part::bytes(picture).file_name(name.to_string()).mime_str("image/png");
        self.send_file(chat, ("SendPhoto", "photo"), part.map_err(unreachable)?, caption).await
    }

    /// Sends a text file with a caption.
    pub(super) async fn send_document(
        &self,
        chat: i64,
        text: Vec<u8>,
        name: &str,
        caption: &Letter,
    ) -> Result<i64, CallError> {
        let part = Part::bytes(text).file_name(name.to_string()).mime_str("text/plain");
        let part = part.map_err(unreachable)?;
        self.send_file(chat, ("SendDocument", "document"), part, caption).await
    }

    async fn send_file(
        &self,
        chat: i64,
        (method, field): (&str, &'static str),
        part: Part,
        caption: &Letter,
    ) -> Result<i64, CallError> {
        let form = Form::new()
            .text("chat_id", chat.to_string())
            .text("caption", caption.html.clone())
            .text("parse_mode", "HTML")
            .text("disable_notification", caption.silent.to_string())
            .part(field, part);
        let request = self.client.post(self.method(method)).multipart(form);
        let response = request.timeout(UPLOAD_TIMEOUT).send().await.map_err(failed)?;
        let message: Message = read(response).await?;
        Ok(i64::from(message.id.0))
    }

    /// Ends the clock on a pressed button, with a word.
    pub(super) async fn answer(&self, id: &CallbackQueryId, text: &str) -> Result<(), CallError> {
        let payload = AnswerCallbackQuery::new(id.clone()).text(text);
        self.call(&payload, TIMEOUT).await.map(drop)
    }

    /// This bot's own name, without the @; `None` for a server that has none.
    pub(super) async fn username(&self) -> Result<Option<String>, CallError> {
        let request = self.client.post(self.method("GetMe"));
        let me: Me = read(request.timeout(TIMEOUT).send().await.map_err(failed)?).await?;
        Ok(me.username)
    }

    /// Registers the commands for the menu.
    pub(super) async fn register(&self, commands: Vec<BotCommand>) -> Result<(), CallError> {
        self.call(&SetMyCommands::new(commands), TIMEOUT).await.map(drop)
    }
}

fn no_preview() -> LinkPreviewOptions {
    LinkPreviewOptions {
        is_disabled: true,
        url: None,
        prefer_small_media: false,
        prefer_large_media: false,
        show_above_text: false,
    }
}

async fn read<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, CallError> {
    let status = response.status();
    if status.is_server_error() {
        return Err(CallError::Unclear(format!("HTTP {status}")));
    }
    let body = response.bytes().await.map_err(failed)?;
    let envelope: Envelope<T> = serde_json::from_slice(&body)
        .map_err(|error| CallError::Unclear(format!("HTTP {status}, {error}")))?;
    match envelope {
        Envelope { ok: true, result: Some(result), .. } => Ok(result),
        Envelope { error_code: 409, description, .. } => Err(CallError::Conflict(description)),
        Envelope { error_code: 429, parameters, .. } => {
            let pause = Duration::from_secs(parameters.retry_after.max(1));
            Err(CallError::Wait(pause.min(WAIT_MAX)))
        }
        Envelope { error_code: code @ 500.., description, .. } => {
            Err(CallError::Unclear(format!("{code} {description}")))
        }
        Envelope { error_code, description, .. } => {
            Err(CallError::Refused(format!("{error_code} {description}")))
        }
    }
}

/// Error texts of the HTTP client hold the URL, and the URL holds the token.
fn failed(error: reqwest::Error) -> CallError {
    let never_left = error.is_connect() || error.is_builder();
    let text = describe(error);
    if never_left { CallError::Unreachable(text) } else { CallError::Unclear(text) }
}

fn unreachable(error: reqwest::Error) -> CallError {
    CallError::Unreachable(describe(error))
}

fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}
