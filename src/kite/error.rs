//! What can go wrong with a call.

use std::fmt;

use serde_json::Value;

/// Kite's `error_type`. An open set: an unknown word is kept and treated
/// like [`ErrorType::General`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorType {
    /// The session is gone.
    Token,
    /// A problem with the account.
    User,
    /// A problem with the second factor of a login.
    TwoFa,
    /// The account, the plan or the IP address has no right to the call.
    Permission,
    /// The request is wrong.
    Input,
    /// Not enough money.
    Margin,
    /// Not enough shares, or not authorised at the depository.
    Holding,
    /// An order could not be placed, changed or read.
    Order,
    /// The broker could not reach its order system; with HTTP 429, too many
    /// requests.
    Network,
    /// The broker could not read its order system's answer.
    Data,
    /// Anything else.
    General,
    /// A word this version does not know.
    Other(String),
}

impl ErrorType {
    /// Reads Kite's word.
    pub fn parse(word: &str) -> ErrorType {
        match word {
            "TokenException" => ErrorType::Token,
            "UserException" => ErrorType::User,
            "TwoFAException" => ErrorType::TwoFa,
            "PermissionException" | "PermissionError" => ErrorType::Permission,
            "InputException" => ErrorType::Input,
            "MarginException" => ErrorType::Margin,
            "HoldingException" => ErrorType::Holding,
            "OrderException" => ErrorType::Order,
            "NetworkException" => ErrorType::Network,
            "DataException" => ErrorType::Data,
            "GeneralException" => ErrorType::General,
            other => ErrorType::Other(other.to_string()),
        }
    }

    /// Kite's word.
    pub fn as_str(&self) -> &str {
        match self {
            ErrorType::Token => "TokenException",
            ErrorType::User => "UserException",
            ErrorType::TwoFa => "TwoFAException",
            ErrorType::Permission => "PermissionException",
            ErrorType::Input => "InputException",
            ErrorType::Margin => "MarginException",
            ErrorType::Holding => "HoldingException",
            ErrorType::Order => "OrderException",
            ErrorType::Network => "NetworkException",
            ErrorType::Data => "DataException",
            ErrorType::General => "GeneralException",
            ErrorType::Other(word) => word,
        }
    }
}

/// An error that Kite reports in its own words.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    /// HTTP status.
    pub http: u16,
    /// Kind of error.
    pub error_type: ErrorType,
    /// For people; its wording is not a contract.
    pub message: String,
    /// Further data, mostly null.
    pub data: Value,
}

impl ApiError {
    /// Reads an error body. `None` when it is not one: HTML, cut off, or of
    /// another shape.
    pub fn parse(http: u16, body: &[u8]) -> Option<ApiError> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let object = value.as_object()?;
        if object.get("status")?.as_str()? != "error" {
            return None;
        }
        let error_type = ErrorType::parse(object.get("error_type")?.as_str()?);
        let message = object.get("message").and_then(Value::as_str).unwrap_or_default();
        let data = object.get("data").cloned().unwrap_or(Value::Null);
        Some(ApiError { http, error_type, message: message.to_string(), data })
    }

    /// True when the broker session is gone: HTTP 403 with a
    /// `TokenException`, and nothing else.
    pub fn is_session_dead(&self) -> bool {
        self.http == 403 && self.error_type == ErrorType::Token
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (HTTP {}, {})", self.message, self.http, self.error_type.as_str())
    }
}

/// Why a call that reads, logs in or logs out gave no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum KiteError {
    /// Kite answered with an error.
    #[error("the broker refused: {0}")]
    Api(ApiError),
    /// No answer: no connection, a reset, a timeout.
    #[error("the broker did not answer: {reason}")]
    NoAnswer {
        /// What was seen.
        reason: String,
    },
    /// An answer that is not Kite's: HTML, cut off, another shape.
    #[error("the broker's answer cannot be read (HTTP {http}): {reason}")]
    Unreadable {
        /// HTTP status.
        http: u16,
        /// What is wrong with it.
        reason: String,
    },
    /// The call needs a session and there is none.
    #[error("not logged in: there is no access token")]
    NoSession,
    /// The call was not sent, because too many are waiting.
    #[error("too many calls of this kind are waiting; try again in {wait_ms} ms")]
    Busy {
        /// How long the call would have waited.
        wait_ms: u64,
    },
    /// The request cannot be made as asked.
    #[error("the request cannot be made: {reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
}

impl KiteError {
    /// True when the broker session is gone and only a new login helps: HTTP
    /// 403 with a `TokenException`, and nothing else.
    pub fn is_session_dead(&self) -> bool {
        matches!(self, KiteError::Api(error) if error.is_session_dead())
    }

    /// HTTP status of the answer, when there was one.
    pub fn http(&self) -> Option<u16> {
        match self {
            KiteError::Api(error) => Some(error.http),
            KiteError::Unreadable { http, .. } => Some(*http),
            KiteError::NoAnswer { .. }
            | KiteError::NoSession
            | KiteError::Busy { .. }
            | KiteError::BadRequest { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_error_bodies_and_nothing_else() {
        let body = br#"{"status":"error","message":"No.","error_type":"TokenException"}"#;
        let error = ApiError::parse(403, body).unwrap();
        assert!(error.is_session_dead());
        assert_eq!(error.data, Value::Null);
        assert!(!ApiError::parse(400, body).unwrap().is_session_dead());
        let permission =
            br#"{"status":"error","message":"","data":null,"error_type":"PermissionException"}"#;
        assert!(!ApiError::parse(403, permission).unwrap().is_session_dead());
        for other in [
            "",
            "<html>502</html>",
            "[]",
            "{}",
            r#"{"status":"success","error_type":"TokenException"}"#,
            r#"{"status":"error","message":"no type"}"#,
            r#"{"status":"error","error_type":7}"#,
            r#"{"status":"error","message":"cut"#,
        ] {
            assert!(ApiError::parse(400, other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn keeps_words_it_does_not_know() {
        for word in ["TokenException", "TwoFAException", "NewException"] {
            assert_eq!(ErrorType::parse(word).as_str(), word);
        }
    }
}
