//! Kite's answer: `{"status":"success","data":…}`, or an error with its kind.

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};

use crate::sim::exchange::ApiError;

/// What a handler answers.
pub(super) type ApiResult = Result<Value, ApiError>;

/// 400 InputException for a parameter that is not there.
pub(super) fn missing(field: &str) -> ApiError {
    ApiError::input(format!("Missing or empty field `{field}`"))
}

/// 403 TokenException: the session is dead or was never alive.
pub(super) fn token_error(message: &str) -> ApiError {
    ApiError { http: 403, error_type: "TokenException", message: message.to_string() }
}

/// `NetworkException` with this HTTP status.
pub(super) fn network_error(http: u16, message: &str) -> ApiError {
    ApiError { http, error_type: "NetworkException", message: message.to_string() }
}

/// 404 for a route that does not exist here.
pub(super) fn no_route() -> ApiError {
    ApiError::general(404, "Route not found")
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({
            "status": "error",
            "message": self.message,
            "data": null,
            "error_type": self.error_type,
        });
        json_response(status_of(self.http), &body)
    }
}

/// Wraps a handler's answer into the envelope.
pub(super) fn respond(result: ApiResult) -> Response {
    match result {
        Ok(data) => json_response(StatusCode::OK, &json!({ "status": "success", "data": data })),
        Err(error) => error.into_response(),
    }
}

/// A JSON answer without the envelope, for the simulator's own routes.
pub(super) fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// An answer of the web server in front of the API, which knows no JSON.
pub(super) fn html_response(http: u16) -> Response {
    let status = status_of(http);
    let reason = status.canonical_reason().unwrap_or("Error");
    let page = format!(
        "<html>\r\n<head><title>{http} {reason}</title></head>\r\n<body>\r\n\
         <center><h1>{http} {reason}</h1></center>\r\n<hr><center>nginx</center>\r\n\
         </body>\r\n</html>\r\n"
    );
    (status, Html(page)).into_response()
}

fn status_of(http: u16) -> StatusCode {
    StatusCode::from_u16(http).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
