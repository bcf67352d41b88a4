//! Request parameters: repeated names, form bodies, JSON bodies.

use super::envelope::missing;
use crate::market::{Price, Quantity};
use crate::sim::exchange::ApiError;
use crate::sim::form;

/// Name and value pairs in the order they came; names may repeat.
#[derive(Debug, Clone, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads `a=1&b=2&a=3`.
    pub(super) fn parse(text: &str) -> Params {
        Params(form::pairs(text))
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
}
