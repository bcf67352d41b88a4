//! Order updates that the broker sends by HTTP.
//!
//! A postback is a hint: it may be late, doubled or missing, and anyone can
//! send one. Its checksum proves that the sender knows the API secret.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::service::{hex, same_secret};

/// Why a postback is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PostbackError {
    /// Not an order.
    #[error("expected a JSON object with order_id, order_timestamp and checksum")]
    Shape,
    /// The sender does not know the secret.
    #[error("the checksum is wrong")]
    Checksum,
}

/// The id of the order that a genuine postback tells of.
pub(super) fn verify(body: &[u8], api_secret: &SecretString) -> Result<String, PostbackError> {
    let order: Value = serde_json::from_slice(body).map_err(|_| PostbackError::Shape)?;
    let text = |name: &str| order.get(name).and_then(Value::as_str).ok_or(PostbackError::Shape);
    let (order_id, timestamp, checksum) =
        (text("order_id")?, text("order_timestamp")?, text("checksum")?);
    let wanted = Sha256::new()
        .chain_update(order_id)
        .chain_update(timestamp)
        .chain_update(api_secret.expose_secret())
        .finalize();
    if same_secret(&checksum.to_ascii_lowercase(), &hex(&wanted)) {
        Ok(order_id.to_string())
    } else {
        Err(PostbackError::Checksum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_secret_signed() {
        let secret = SecretString::from("topsecret");
        let sum = hex(&Sha256::digest("2511220000012025-11-22 09:33:01topsecret"));
        let body = |id: &str, sum: &str| {
            serde_json::json!({
                "order_id": id, "order_timestamp": "2025-11-22 09:33:01", "checksum": sum,
            })
            .to_string()
        };
        let check = |body: &str, expect| assert_eq!(verify(body.as_bytes(), &secret), expect);
        check(&body("251122000001", &sum), Ok("251122000001".into()));
        check(&body("251122000002", &sum), Err(PostbackError::Checksum));
        check(&body("251122000001", ""), Err(PostbackError::Checksum));
        check("{}", Err(PostbackError::Shape));
        check("[", Err(PostbackError::Shape));
    }
}
