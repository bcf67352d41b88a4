//! Request parameters: repeated names, form bodies, JSON bodies.

use super::envelope::missing;
use crate::market::{Price, Quantity};
use crate::sim::exchange::ApiError;

/// Name and value pairs in the order they came; names may repeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=1&b=2&a=3`.
    pub(super) fn parse(text: &str) -> Params {
        Params(urlencoded_pairs(text))
    }

    pub(super) fn extend(&mut self, more: Params) {
        self.0.extend(more.0);
    }

    pub(super) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The first value of a name, when there is one and it is not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(have, _)| have == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(have, _)| have == name).map(|(_, value)| value.as_str())
    }

    /// The value of a name that must be there.
    pub(super) fn require(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| missing(name))
    }

    /// A whole number, when given.
    pub(super) fn quantity(&self, name: &str) -> Result<Option<Quantity>, ApiError> {
        self.get(name)
            .map(|text| text.parse().map_err(|_| bad_value(name, text, "integer")))
            .transpose()
    }

    /// A price in rupees, when given.
    pub(super) fn price(&self, name: &str) -> Result<Option<Price>, ApiError> {
        self.decimal(name)?
            .map(|rupees| {
                let text = self.get(name).unwrap_or_default();
                Price::from_f64_rupees(rupees).ok_or_else(|| bad_value(name, text, "decimal"))
            })
            .transpose()
    }

    /// A decimal number, when given.
    pub(super) fn decimal(&self, name: &str) -> Result<Option<f64>, ApiError> {
        self.get(name)
            .map(|text| match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(value),
                Ok(_) | Err(_) => Err(bad_value(name, text, "decimal")),
            })
            .transpose()
    }

    /// `1` or `true`.
    pub(super) fn flag(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true" | "True"))
    }
}

fn bad_value(name: &str, text: &str, expected: &str) -> ApiError {
    ApiError::input(format!(
        "Invalid request (failed to decode {name}, got: {text} (expected {expected}))"
    ))
}

/// Splits and decodes an urlencoded text. Pairs that are not UTF-8 after
/// decoding keep their replacement characters.
fn urlencoded_pairs(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

/// Decodes one segment of a path, in which a plus is a plus.
pub(super) fn decode_path(segment: &str) -> String {
    decode(segment, false)
}

fn decode(text: &str, plus_is_space: bool) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let escape = (byte == b'%').then(|| hex_pair(bytes.get(at + 1..at + 3))).flatten();
        match (byte, escape) {
            (_, Some(value)) => {
                decoded.push(value);
                at += 3;
            }
            (b'+', None) if plus_is_space => {
                decoded.push(b' ');
                at += 1;
            }
            (other, None) => {
                decoded.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let text = std::str::from_utf8(pair?).ok()?;
    u8::from_str_radix(text, 16).ok()
}

/// Encodes a text for a query string.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_repeat_and_are_decoded() {
        let params = Params::parse("i=NSE%3ANIFTY+50&i=BSE:SENSEX&empty=&odd=100%");
        let keys: Vec<&str> = params.all("i").collect();
        assert_eq!(keys, ["NSE:NIFTY 50", "BSE:SENSEX"]);
        assert_eq!(params.get("empty"), None);
        assert_eq!(params.get("odd"), Some("100%"));
        assert_eq!(params.require("nope").unwrap_err().message, "Missing or empty field `nope`");
    }

    #[test]
    fn numbers_are_checked() {
        let params = Params::parse("quantity=75&price=412.05&bad=True");
        assert_eq!(params.quantity("quantity").unwrap(), Some(75));
        assert_eq!(params.price("price").unwrap(), Some(Price::from_paise(41_205)));
        let error = params.decimal("bad").unwrap_err();
        assert_eq!(
            error.message,
            "Invalid request (failed to decode bad, got: True (expected decimal))"
        );
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        let text = "state=a b&c+d/é";
        assert_eq!(decode(&encode(text), true), text);
    }
}
