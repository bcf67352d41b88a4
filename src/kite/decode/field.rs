//! Reads one field of a row, whatever form it comes in.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use serde_json::{Map, Value};

use crate::market::time::from_ist;
use crate::market::{Exchange, InstrumentKey, Money, Price, Quantity, Timestamp};

/// Largest float that still counts exactly.
const EXACT_MAX: f64 = 9.0e15;

/// One JSON object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row<'a>(&'a Map<String, Value>);

impl<'a> Row<'a> {
    pub(super) fn of(value: &'a Value) -> Result<Row<'a>, String> {
        value.as_object().map(Row).ok_or_else(|| "expected an object".to_string())
    }

    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// An object inside.
    pub(super) fn inner(&self, name: &str) -> Option<Row<'a>> {
        self.value(name)?.as_object().map(Row)
    }

    pub(super) fn each(&self) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
        self.0.iter()
    }

    /// Text, or a number as text. Empty counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        text_of(self.value(name)?)
    }

    pub(super) fn need_text(&self, name: &str) -> Result<String, String> {
        self.text(name).ok_or_else(|| format!("no {name}"))
    }

    /// A list of texts; anything else counts as none.
    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        let list = self.value(name).and_then(Value::as_array);
        list.map(|list| list.iter().filter_map(text_of).collect()).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A whole number; absent, null and "" are `None`.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, String> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let wrong = || format!("{name} is {value}, expected a whole number");
        if let Some(int) = value.as_i64() {
            return Ok(Some(int));
        }
        if let Some(int) = value.as_str().and_then(|text| text.trim().parse::<i64>().ok()) {
            return Ok(Some(int));
        }
        let float = float_of(value).ok_or_else(wrong)?;
        let whole = float.is_finite() && float.abs() < EXACT_MAX && float.fract().abs() < 1e-9;
        if whole { Ok(Some(float as i64)) } else { Err(wrong()) }
    }

    pub(super) fn need_int(&self, name: &str) -> Result<i64, String> {
        self.int(name)?.ok_or_else(|| format!("no {name}"))
    }

    /// A count of units that cannot be negative.
    pub(super) fn need_units(&self, name: &str) -> Result<Quantity, String> {
        match self.need_int(name)? {
            units @ 0.. => Ok(units),
            negative => Err(format!("{name} is {negative}")),
        }
    }

    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, String> {
        let Some(value) = self.filled(name) else { return Ok(None) };
        let float = float_of(value).filter(|float| float.is_finite());
        float.map(Some).ok_or_else(|| format!("{name} is {value}, expected a number"))
    }

    pub(super) fn price(&self, name: &str) -> Result<Option<Price>, String> {
        let Some(number) = self.number(name)? else { return Ok(None) };
        let price = Price::from_f64_rupees(number);
        price.map(Some).ok_or_else(|| format!("{name} is out of range: {number}"))
    }

    pub(super) fn need_price(&self, name: &str) -> Result<Price, String> {
        self.price(name)?.ok_or_else(|| format!("no {name}"))
    }

    pub(super) fn money(&self, name: &str) -> Result<Option<Money>, String> {
        Ok(self.price(name)?.map(|price| Money::from_paise(price.paise())))
    }

    /// A price that no decision needs; what cannot be read counts as absent.
    pub(super) fn any_price(&self, name: &str) -> Option<Price> {
        self.price(name).ok().flatten()
    }

    /// A number of units that no decision needs, likewise.
    pub(super) fn any_units(&self, name: &str) -> Option<Quantity> {
        self.int(name).ok().flatten()
    }

    /// An instant; what cannot be read counts as absent.
    pub(super) fn time(&self, name: &str) -> Option<Timestamp> {
        timestamp(self.value(name)?.as_str()?)
    }

    /// `exchange` and `tradingsymbol`.
    pub(super) fn instrument(&self) -> Result<InstrumentKey, String> {
        let word = self.need_text("exchange")?;
        let exchange =
            Exchange::parse(&word).ok_or_else(|| format!("exchange {word:?} is not known"))?;
        Ok(InstrumentKey::new(exchange, self.need_text("tradingsymbol")?))
    }

    fn filled(&self, name: &str) -> Option<&'a Value> {
        self.value(name).filter(|value| value.as_str() != Some(""))
    }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

pub(super) fn float_of(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Reads a date and time of Kite: `2026-11-23 09:15:00` (IST),
/// `2026-11-23T09:15:00+0530`, or a date alone.
pub(in crate::kite) fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return plausible(from_ist(local.date(), local.time()));
        }
    }
    if let Ok(instant) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z") {
        return plausible(instant.to_utc());
    }
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    plausible(from_ist(date, chrono::NaiveTime::MIN))
}

/// Kite writes year 1 for "never".
fn plausible(at: Timestamp) -> Option<Timestamp> {
    (at.timestamp() > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_come_in_every_form() {
        let value = json!({
            "int": 7, "float": 7.0, "text": "7", "decimal": "7.0", "empty": "", "null": null,
            "half": 7.5, "word": "seven", "flag": true, "big": 1e300, "noise": 99725.05000000002,
        });
        let row = Row::of(&value).unwrap();
        for name in ["int", "float", "text", "decimal"] {
            assert_eq!(row.int(name), Ok(Some(7)), "{name}");
            assert_eq!(row.price(name), Ok(Some(Price::from_rupees(7))), "{name}");
        }
        for name in ["empty", "null", "absent"] {
            assert_eq!(row.int(name), Ok(None), "{name}");
            assert_eq!(row.price(name), Ok(None), "{name}");
        }
        for name in ["half", "word", "flag", "big"] {
            assert!(row.int(name).is_err(), "{name}");
        }
        assert!(row.price("big").is_err());
        assert_eq!(row.price("noise"), Ok(Some(Price::from_paise(9_972_505))));
    }

    #[test]
    fn times_are_indian() {
        let expect = Some("2021-05-31T03:48:57Z".parse().unwrap());
        assert_eq!(timestamp("2021-05-31 09:18:57"), expect);
        assert_eq!(timestamp("2021-05-31T09:18:57+0530"), expect);
        assert_eq!(timestamp("2021-05-31T09:18:57+05:30"), expect);
        for never in ["0001-01-01 00:00:00", "", "09:16:39", "soon"] {
            assert_eq!(timestamp(never), None, "{never}");
        }
    }
}
