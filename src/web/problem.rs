//! Why a request is not answered.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::postback::PostbackError;
use crate::health::metrics::MetricsError;
use crate::store::StoreError;
use crate::telemetry::rows::{BadFilter, RowsError};

/// After how many seconds whoever was sent away may come again.
pub(super) const COME_AGAIN_S: u16 = 5;

/// Why a request is not answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// The caller shows no secret, or the wrong one.
    #[error("this needs the bearer secret auth.api_token")]
    Unauthorized,
    /// Not from this machine.
    #[error("this is answered on the machine itself only")]
    NotLocal,
    /// The database failed.
    #[error("the database does not answer")]
    Store(#[from] StoreError),
    /// No randomness for a login state.
    #[error("the system has no randomness")]
    Randomness(#[source] std::io::Error),
    /// The logs cannot be read.
    #[error("the log database does not answer")]
    Rows(#[from] RowsError),
    /// A filter is not understood.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// Enough people follow the logs.
    #[error("too many follow the logs already; try again later")]
    TooManyListeners,
    /// Too much of what takes long is worked on already.
    #[error("too much is asked at once; try again in {} s", COME_AGAIN_S)]
    Busy,
    /// Metrics cannot be written down.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// A postback that is not taken.
    #[error(transparent)]
    Postback(#[from] PostbackError),
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = match &self {
            Problem::Unauthorized => StatusCode::UNAUTHORIZED,
            Problem::NotLocal | Problem::Postback(PostbackError::Checksum) => StatusCode::FORBIDDEN,
            Problem::Postback(PostbackError::Shape) | Problem::Filter(_) => StatusCode::BAD_REQUEST,
            Problem::TooManyListeners => StatusCode::TOO_MANY_REQUESTS,
            Problem::Metrics(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Problem::Store(_) | Problem::Rows(_) | Problem::Randomness(_) | Problem::Busy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        if matches!(self, Problem::Busy) {
            tracing::warn!("a request was sent away: too much is asked at once");
        } else if status.is_server_error() {
            tracing::error!(error = &self as &dyn std::error::Error, "a request failed");
        }
        let body = Json(json!({ "status": "error", "message": self.to_string() }));
        match self {
            Problem::Unauthorized => (status, [(WWW_AUTHENTICATE, "Bearer")], body).into_response(),
            Problem::Busy => (status, [(RETRY_AFTER, COME_AGAIN_S)], body).into_response(),
            Problem::NotLocal
            | Problem::Store(_)
            | Problem::Rows(_)
            | Problem::Filter(_)
            | Problem::TooManyListeners
            | Problem::Randomness(_)
            | Problem::Metrics(_)
            | Problem::Postback(_) => (status, body).into_response(),
        }
    }
}
