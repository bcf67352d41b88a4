//! Tells people without the help of any other process: by a message to the
//! owner's chat and by a call of the webhook.

use std::error::Error as _;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::alarm::{Alert, Status};
use crate::config::Config;
use crate::engine::Mode;

/// Pauses before the attempts at a message: the network may be what failed,
/// and may come back within these.
const ATTEMPTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// The webhook is tried twice, each time for so long.
const HOOK_ATTEMPTS: [Duration; 2] = [Duration::ZERO, Duration::from_secs(2)];
const HOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why nobody could be told. Holds neither token nor address.
#[derive(Debug, thiserror::Error)]
pub enum TellError {
    /// Nobody is named.
    #[error("telegram_token and telegram_chat_id are not set; nobody can be told")]
    Nobody,
    /// No HTTP client.
    #[error("could not prepare a call: {0}")]
    Client(String),
    /// The other side said no.
    #[error("{whom} answered {status}")]
    Refused {
        /// `Telegram` or `the webhook`.
        whom: &'static str,
        /// The HTTP status.
        status: u16,
    },
    /// No answer.
    #[error("{whom} cannot be reached: {reason}")]
    NoAnswer {
        /// `Telegram` or `the webhook`.
        whom: &'static str,
        /// What the client said, without the address.
        reason: String,
    },
}

/// The address holds a token, and errors of the client hold the address.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

fn client(timeout: Duration) -> Result<reqwest::Client, TellError> {
    reqwest::Client::builder()
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| TellError::Client(describe(error)))
}

/// Posts until it is taken or the attempts are over.
async fn post(
    http: &reqwest::Client,
    whom: &'static str,
    url: &SecretString,
    body: &Value,
    attempts: &[Duration],
) -> Result<(), TellError> {
    let mut last = TellError::NoAnswer { whom, reason: "not tried".into() };
    for pause in attempts {
        tokio::time::sleep(*pause).await;
        last = match http.post(url.expose_secret()).json(body).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => TellError::Refused { whom, status: answer.status().as_u16() },
            Err(error) => TellError::NoAnswer { whom, reason: describe(error) },
        };
    }
    Err(last)
}

/// The owner's chat.
#[derive(Debug)]
pub struct Owner {
    http: reqwest::Client,
    url: SecretString,
    chat: i64,
}

impl Owner {
    /// The owner whom the configuration names.
    ///
    /// # Errors
    /// When it names none, or there is no HTTP client.
    pub fn new(config: &Config) -> Result<Owner, TellError> {
        let token = config.telegram_token.expose_secret();
        if token.is_empty() || config.telegram_chat_id == 0 {
            return Err(TellError::Nobody);
        }
        let server = config.telegram.api_url.trim_end_matches('/');
        let url = format!("{server}/bot{token}/sendMessage").into();
        Ok(Owner { http: client(TIMEOUT)?, url, chat: config.telegram_chat_id })
    }

    /// Sends a text, again and again for half a minute.
    ///
    /// # Errors
    /// When Telegram did not take it.
    pub async fn tell(&self, text: &str) -> Result<(), TellError> {
        let body = json!({ "chat_id": self.chat, "text": text });
        post(&self.http, "Telegram", &self.url, &body, &ATTEMPTS).await
    }
}

/// The name of this machine, as it calls itself.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The address that alerts are posted to.
#[derive(Debug)]
pub(super) struct Webhook {
    http: reqwest::Client,
    url: SecretString,
    host: String,
    mode: Mode,
}

impl Webhook {
    /// `None` when the configuration names none.
    pub(super) fn new(config: &Config, mode: Mode) -> Result<Option<Webhook>, TellError> {
        let url = config.health.webhook_url.clone();
        if url.expose_secret().is_empty() {
            return Ok(None);
        }
        Ok(Some(Webhook { http: client(HOOK_TIMEOUT)?, url, host: host_name(), mode }))
    }

    pub(super) async fn post(&self, alert: &Alert) -> Result<(), TellError> {
        let message = format!("{}. {}", alert.message, alert.advice).replace('\n', " ");
        let body = json!({
            "status": alert.status,
            "name": alert.name,
            "severity": alert.severity,
            "message": message.trim_end_matches([' ', '.']),
            "value": alert.value,
            "threshold": alert.threshold,
            "at": alert.at,
            "host": self.host,
            "mode": self.mode.as_str(),
        });
        post(&self.http, "the webhook", &self.url, &body, &HOOK_ATTEMPTS).await
    }
}

/// What stands before an alert in a message.
pub fn sign(alert: &Alert) -> &'static str {
    match alert.status {
        Status::Firing => alert.severity.sign(),
        Status::Resolved => "✅",
    }
}

/// An alert as a message without markup, with who tells it.
pub(super) fn message(alert: &Alert, mode: Mode, teller: &str) -> String {
    let mode = mode.as_str().to_uppercase();
    let mut text = format!("{} [{mode}] {}", sign(alert), alert.message);
    if !alert.advice.is_empty() {
        text.push_str(&format!("\n{}", alert.advice));
    }
    text.push_str(&format!("\nTold by pivot-{teller}"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::alarm::Level;

    #[tokio::test]
    async fn errors_hold_neither_token_nor_address() {
        let mut config = Config::default();
        assert!(matches!(Owner::new(&config), Err(TellError::Nobody)));
        config.telegram_token = "4242:T0KEN".into();
        config.telegram_chat_id = 7;
        config.telegram.api_url = "http://127.0.0.1:9".into();
        let owner = Owner::new(&config).unwrap();
        let body = json!({});
        let error = post(&owner.http, "Telegram", &owner.url, &body, &HOOK_ATTEMPTS[..1]).await;
        let error = error.unwrap_err();
        assert!(matches!(error, TellError::NoAnswer { .. }), "{error:?}");
        for text in [error.to_string(), format!("{error:?}"), format!("{owner:?}")] {
            assert!(!text.contains("T0KEN") && !text.contains("/bot"), "{text}");
        }
    }

    #[test]
    fn a_message_says_mode_and_teller() {
        let alert = Alert {
            status: Status::Firing,
            name: "silent.bot".into(),
            severity: Level::Critical,
            message: "pivot-bot is silent".into(),
            advice: "Commands are not heard.".into(),
            value: 21.0,
            threshold: 20.0,
            at: crate::clock::real_now(),
        };
        let text = message(&alert, Mode::Live, "trading");
        let lines = "🚨 [LIVE] pivot-bot is silent\nCommands are not heard.\nTold by pivot-trading";
        assert_eq!(text, lines);
    }
}
