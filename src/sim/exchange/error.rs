//! Refusals in the broker's words.

/// An error answer of the API: what the server puts into HTTP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{http} {error_type}: {message}")]
pub struct ApiError {
    /// HTTP status.
    pub http: u16,
    /// Kite's `error_type`.
    pub error_type: &'static str,
    /// Text for people.
    pub message: String,
}

impl ApiError {
    fn new(http: u16, error_type: &'static str, message: impl Into<String>) -> ApiError {
        ApiError { http, error_type, message: message.into() }
    }

    /// 400 `InputException`.
    pub fn input(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "InputException", message)
    }

    /// 400 `OrderException`.
    pub fn order(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "OrderException", message)
    }

    /// 400 `MarginException`.
    pub fn margin(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "MarginException", message)
    }

    /// 400 `HoldingException`.
    pub fn holding(message: impl Into<String>) -> ApiError {
        ApiError::new(400, "HoldingException", message)
    }

    /// 403 `PermissionException`.
    pub fn permission(message: impl Into<String>) -> ApiError {
        ApiError::new(403, "PermissionException", message)
    }

    /// `GeneralException` with this HTTP status.
    pub fn general(http: u16, message: impl Into<String>) -> ApiError {
        ApiError::new(http, "GeneralException", message)
    }
}
