//! A request, read whole, before anything is decided about it.

use axum::body::{Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};

use super::params::Params;
use crate::sim::exchange::ApiError;

/// Longest body read; a basket of orders is a few kilobytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A request with its parameters.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    /// Query parameters, then those of a form body.
    pub(super) params: Params,
    /// The body, for the routes that take JSON.
    pub(super) body: Bytes,
    headers: HeaderMap,
}

impl Call {
    /// Reads the request to its end.
    pub(super) async fn read(request: Request) -> Result<Call, ApiError> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX)
            .await
            .map_err(|_| ApiError::input("The request body could not be read"))?;
        let mut params = Params::parse(parts.uri.query().unwrap_or_default());
        let call = Call {
            method: parts.method,
            path: parts.uri.path().to_string(),
            params: Params::default(),
            body,
            headers: parts.headers,
        };
        if call.has_form() {
            params.extend(Params::parse(&String::from_utf8_lossy(&call.body)));
        }
        Ok(Call { params, ..call })
    }

    fn has_form(&self) -> bool {
        let kind = self.header(header::CONTENT_TYPE);
        kind.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Key and token of `Authorization: token key:token`.
    pub(super) fn credentials(&self) -> Option<(&str, &str)> {
        self.header(header::AUTHORIZATION)?.strip_prefix("token ")?.trim().split_once(':')
    }

    /// Whether the answer may come compressed.
    pub(super) fn accepts_gzip(&self) -> bool {
        self.header(header::ACCEPT_ENCODING).is_some_and(|list| list.contains("gzip"))
    }

    /// The version of the answer that the caller has already.
    pub(super) fn known_etag(&self) -> Option<&str> {
        self.header(header::IF_NONE_MATCH)
    }

    /// The path cut at its slashes, decoded.
    pub(super) fn segments(&self) -> Vec<String> {
        let parts = self.path.split('/').filter(|part| !part.is_empty());
        parts.map(crate::sim::form::decode_path).collect()
    }
}
