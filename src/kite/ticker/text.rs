//! The ticker's text messages, both ways.

use serde_json::{Value, json};

use super::TickMode;
use crate::kite::decode;
use crate::market::BrokerOrder;

/// Most tokens of one subscribe message.
const SUBSCRIBE_BATCH: usize = 500;

/// What a text message of the server says.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::kite) enum ServerText {
    /// An order changed.
    Order(Box<BrokerOrder>),
    /// An order changed, but its row cannot be read.
    BadOrder(String),
    /// The broker says something to people.
    Message(String),
    /// The server refuses a request.
    Error(String),
    /// Something that is of no use here.
    Other,
}

/// Reads a text message. Unknown kinds are of no use and no error.
pub(in crate::kite) fn read(text: &str) -> ServerText {
    let Ok(value) = serde_json::from_str::<Value>(text) else { return ServerText::Other };
    let data = value.get("data").unwrap_or(&Value::Null);
    match value.get("type").and_then(Value::as_str) {
        Some("order") => match decode::order(data) {
            Ok(order) => ServerText::Order(Box::new(order)),
            Err(reason) => ServerText::BadOrder(reason),
        },
        Some("message") => ServerText::Message(words(data)),
        Some("error") => ServerText::Error(words(data)),
        Some(_) | None => ServerText::Other,
    }
}

fn words(data: &Value) -> String {
    data.as_str().map_or_else(|| data.to_string(), str::to_string)
}

/// The messages that subscribe these tokens and set their mode. The mode is
/// always said: what a bare subscription brings is not documented.
pub(super) fn subscribe(mode: TickMode, tokens: &[u32]) -> Vec<String> {
    let messages = tokens.chunks(SUBSCRIBE_BATCH).flat_map(|tokens| {
        [
            json!({"a": "subscribe", "v": tokens}).to_string(),
            json!({"a": "mode", "v": [mode.as_str(), tokens]}).to_string(),
        ]
    });
    messages.collect()
}

/// The messages that end the subscription of these tokens.
pub(super) fn unsubscribe(tokens: &[u32]) -> Vec<String> {
    let messages = tokens
        .chunks(SUBSCRIBE_BATCH)
        .map(|tokens| json!({"a": "unsubscribe", "v": tokens}).to_string());
    messages.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_matters_and_ignores_the_rest() {
        assert_eq!(read(r#"{"type":"message","data":"Halt"}"#), ServerText::Message("Halt".into()));
        assert_eq!(
            read(r#"{"type":"error","data":{"a":1}}"#),
            ServerText::Error(r#"{"a":1}"#.into())
        );
        let meta =
            r#"{"type": "instruments_meta", "data": {"count": 114823, "etag": "W/\"6a7e\""}}"#;
        let code = r#"{"type":"app_code","timestamp":"2025-08-04T13:50:28+05:30"}"#;
        for other in [meta, code, "", "[]", "{}", "no json", r#"{"type":7}"#] {
            assert_eq!(read(other), ServerText::Other, "{other}");
        }
        assert!(matches!(read(r#"{"type":"order","data":{}}"#), ServerText::BadOrder(_)));
    }

    #[test]
    fn subscriptions_say_their_mode() {
        assert_eq!(
            subscribe(TickMode::Full, &[408065, 884737]),
            [
                r#"{"a":"subscribe","v":[408065,884737]}"#,
                r#"{"a":"mode","v":["full",[408065,884737]]}"#,
            ]
        );
        assert_eq!(unsubscribe(&[1]), [r#"{"a":"unsubscribe","v":[1]}"#]);
        assert_eq!(subscribe(TickMode::Ltp, &[7; 501]).len(), 4);
        assert!(subscribe(TickMode::Ltp, &[]).is_empty());
    }
}
