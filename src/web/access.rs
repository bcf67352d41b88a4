//! Who may ask what.
//!
//! `/health`, `/callback`, `/redirect` and `/postback` are open to all; `/`
//! and `/login` to a browser on this machine; everything else asks for the
//! bearer secret, and `/get_token` for both. A request that a proxy passed on
//! does not count as one from this machine.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};

use crate::service::same_secret;

/// Headers that only a proxy sets.
const PROXY_HEADERS: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "x-forwarded-host"];

/// Where a request comes from and what it shows.
#[derive(Debug)]
pub(super) struct Caller {
    /// True when it was made on this machine, to this machine.
    pub(super) local: bool,
    bearer: Option<SecretString>,
}

impl Caller {
    /// True when it shows the secret. An empty secret closes the door.
    pub(super) fn has(&self, secret: &SecretString) -> bool {
        let secret = secret.expose_secret();
        let shown = self.bearer.as_ref().map(|bearer| bearer.expose_secret());
        !secret.is_empty() && shown.is_some_and(|shown| same_secret(shown, secret))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Caller, Infallible> {
        let header = |name| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let loopback = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .is_some_and(|ConnectInfo(from)| from.ip().is_loopback());
        let proxied = PROXY_HEADERS.iter().any(|name| parts.headers.contains_key(*name));
        // A foreign name that resolves to this machine is another site's page.
        let named = header(HOST.as_str()).is_some_and(is_local_name);
        let bearer = header(AUTHORIZATION.as_str())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map(|(_, secret)| SecretString::from(secret.trim()));
        Ok(Caller { local: loopback && named && !proxied, bearer })
    }
}

fn is_local_name(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_names() {
        for local in ["localhost", "LOCALHOST:8001", "127.0.0.1:8001", "127.0.0.1", "[::1]:80"] {
            assert!(is_local_name(local), "{local}");
        }
        for foreign in ["", "evil.example", "127.0.0.1.evil.example:80", "10.0.0.1"] {
            assert!(!is_local_name(foreign), "{foreign}");
        }
    }
}
