//! One pure function from an answer to an order call to its outcome (M3).
//!
//! Kite has no idempotency key, so a wrong "it failed" doubles an order.
//! Only words that mean that nothing happened are a refusal; everything else
//! is [`Outcome::Unknown`], and the order book decides. Message texts play
//! no part: they change without notice.
//!
//! | answer | place | modify, cancel |
//! | --- | --- | --- |
//! | 2xx with an order id | accepted | accepted |
//! | 2xx otherwise (no id, cut off, HTML, an error body) | unknown | unknown |
//! | 400, 403, 429 + Input | refused: input | refused: input |
//! | 400, 403, 429 + Margin | refused: margin | refused: margin |
//! | 400, 403, 429 + Holding | refused: holding | refused: holding |
//! | 400, 403, 429 + Permission, User, TwoFA | refused: permission | refused: permission |
//! | 400, 403, 429 + Token | refused: session | refused: session |
//! | 429 + Network | refused: rate limit | refused: rate limit |
//! | 400 + Order | **unknown** | refused: order |
//! | 403, 429 + Order | unknown | unknown |
//! | 400, 403 + Network; any + Data, General, a new word | unknown | unknown |
//! | any other status, with whatever body | unknown | unknown |
//! | no answer, or the answer was lost on the way | unknown | unknown |
//!
//! "Order" on a placement is unknown because Kite uses it for "order request
//! timed out" too, while the order exists. On a modify or cancel it means
//! that the order cannot be changed; a look at the order book follows in any
//! case, and a repeated cancel does no harm.

use super::decode::placed_order_id;
use super::error::{ApiError, ErrorType};
use crate::engine::event::{Outcome, Refusal};

/// Which kind of order call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderCall {
    /// A new order.
    Place,
    /// A modify or cancel of a resting order.
    Change,
}

/// What came back of an order call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Status and the whole body.
    Answer {
        /// HTTP status.
        http: u16,
        /// The body as received.
        body: &'a [u8],
    },
    /// A status, and then the body broke off or was too large.
    BodyLost {
        /// HTTP status.
        http: u16,
        /// What was seen.
        reason: &'a str,
    },
    /// No status at all: no connection, reset, timeout.
    Nothing {
        /// What was seen.
        reason: &'a str,
    },
}

/// Longest piece of an unreadable body that is shown to people.
const BODY_SHOWN_MAX: usize = 160;

/// Turns whatever came back of an order call into its outcome.
pub fn classify(call: OrderCall, reply: Reply<'_>) -> Outcome {
    match reply {
        Reply::Nothing { reason } => unknown(format!("no answer: {reason}")),
        Reply::BodyLost { http, reason } => {
            unknown(format!("the answer (HTTP {http}) was lost: {reason}"))
        }
        Reply::Answer { http, body } if (200..300).contains(&http) => match placed_order_id(body) {
            Ok(order_id) => Outcome::Accepted { order_id },
            Err(reason) => unknown(format!("HTTP {http}, but {reason}: {}", shown(body))),
        },
        Reply::Answer { http, body } => match ApiError::parse(http, body) {
            Some(error) => refusal_or_unknown(call, &error),
            None => unknown(format!("HTTP {http} without Kite's words: {}", shown(body))),
        },
    }
}

fn refusal_or_unknown(call: OrderCall, error: &ApiError) -> Outcome {
    match refusal(call, error.http, &error.error_type) {
        Some(refusal) => Outcome::Refused { refusal, message: error.to_string() },
        None => unknown(error.to_string()),
    }
}

/// The refusal that a status and an error type prove, if they prove one.
pub fn refusal(call: OrderCall, http: u16, error_type: &ErrorType) -> Option<Refusal> {
    if !matches!(http, 400 | 403 | 429) {
        return None;
    }
    match error_type {
        ErrorType::Input => Some(Refusal::Input),
        ErrorType::Margin => Some(Refusal::Margin),
        ErrorType::Holding => Some(Refusal::Holding),
        ErrorType::Permission | ErrorType::User | ErrorType::TwoFa => Some(Refusal::Permission),
        ErrorType::Token => Some(Refusal::Session),
        ErrorType::Network if http == 429 => Some(Refusal::RateLimit),
        ErrorType::Order if http == 400 && call == OrderCall::Change => Some(Refusal::Order),
        ErrorType::Network
        | ErrorType::Order
        | ErrorType::Data
        | ErrorType::General
        | ErrorType::Other(_) => None,
    }
}

fn unknown(message: String) -> Outcome {
    Outcome::Unknown { message }
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(BODY_SHOWN_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::OrderId;

    const STATUSES: [u16; 22] = [
        100, 199, 200, 201, 204, 299, 301, 302, 307, 400, 401, 403, 404, 405, 408, 410, 414, 428,
        429, 500, 502, 504,
    ];

    const TYPES: [&str; 13] = [
        "TokenException",
        "UserException",
        "TwoFAException",
        "PermissionException",
        "PermissionError",
        "InputException",
        "MarginException",
        "HoldingException",
        "OrderException",
        "NetworkException",
        "DataException",
        "GeneralException",
        "BrandNewException",
    ];

    /// The table of the module's page, written a second time and by hand.
    fn expected(call: OrderCall, http: u16, word: &str) -> Option<Refusal> {
        let proves = http == 400 || http == 403 || http == 429;
        match word {
            _ if !proves => None,
            "InputException" => Some(Refusal::Input),
            "MarginException" => Some(Refusal::Margin),
            "HoldingException" => Some(Refusal::Holding),
            "PermissionException" | "PermissionError" | "UserException" | "TwoFAException" => {
                Some(Refusal::Permission)
            }
            "TokenException" => Some(Refusal::Session),
            "NetworkException" if http == 429 => Some(Refusal::RateLimit),
            "OrderException" if http == 400 && call == OrderCall::Change => Some(Refusal::Order),
            _ => None,
        }
    }

    fn refused(outcome: &Outcome) -> Option<Refusal> {
        match outcome {
            Outcome::Refused { refusal, .. } => Some(*refusal),
            Outcome::Unknown { .. } => None,
            Outcome::Accepted { .. } => panic!("an error was accepted"),
        }
    }

    #[test]
    fn every_status_and_every_error_type() {
        for call in [OrderCall::Place, OrderCall::Change] {
            for http in STATUSES {
                for word in TYPES {
                    for message in ["", "Order request timed out.", "Too many requests"] {
                        let body = format!(
                            r#"{{"status":"error","message":"{message}","error_type":"{word}"}}"#
                        );
                        let reply = Reply::Answer { http, body: body.as_bytes() };
                        let found = refused(&classify(call, reply));
                        assert_eq!(found, expected(call, http, word), "{call:?} {http} {body}");
                    }
                }
            }
        }
    }

    #[test]
    fn bodies_that_are_not_kites_are_never_a_refusal() {
        let bodies: [&[u8]; 12] = [
            b"",
            b"{",
            b"null",
            b"[]",
            b"{}",
            b"<html>429 Too Many Requests</html>",
            br#"{"status":"error"}"#,
            br#"{"status":"error","error_type":null,"message":"x"}"#,
            br#"{"status":"error","error_type":5}"#,
            br#"{"error_type":"InputException","message":"no status"}"#,
            br#"{"status":"success","error_type":"InputException","data":{}}"#,
            b"\xff\xfe{\"status\":\"error\",\"error_type\":\"InputException\"}",
        ];
        for call in [OrderCall::Place, OrderCall::Change] {
            for http in STATUSES {
                for body in bodies {
                    let outcome = classify(call, Reply::Answer { http, body });
                    assert_eq!(refused(&outcome), None, "{http} {outcome:?}");
                }
                for reason in ["timeout", ""] {
                    let outcome = classify(call, Reply::BodyLost { http, reason });
                    assert_eq!(refused(&outcome), None);
                }
            }
            assert_eq!(refused(&classify(call, Reply::Nothing { reason: "timeout" })), None);
        }
    }

    #[test]
    fn only_a_success_with_an_order_id_is_accepted() {
        let body = br#"{"status":"success","data":{"order_id":"1953341975595868160"}}"#;
        for http in STATUSES {
            let outcome = classify(OrderCall::Place, Reply::Answer { http, body });
            let order_id = OrderId("1953341975595868160".into());
            let accepted = outcome == Outcome::Accepted { order_id };
            assert_eq!(accepted, (200..300).contains(&http), "{http}");
        }
    }

    #[test]
    fn long_bodies_are_cut_for_people() {
        let body = "<p>₹ ".repeat(1000);
        let Outcome::Unknown { message } =
            classify(OrderCall::Place, Reply::Answer { http: 502, body: body.as_bytes() })
        else {
            panic!("expected unknown")
        };
        assert!(message.chars().count() < 220, "{message}");
        assert!(message.contains("words: <p>₹ <p>₹") && message.ends_with(" …"), "{message}");
    }
}
