//! Kite's JSON, read row by row and with an open mind.
//!
//! Numbers may come as integers, floats or strings; every field that no
//! decision needs may be absent, null or odd; words that are not known are
//! kept. A row that lacks what a decision needs is reported as a
//! [`BadRow`] while the others are still used.

mod account;
mod charges;
mod field;
mod order;
mod portfolio;
mod quote;

pub use account::{Margins, Profile, SegmentMargin, SessionInfo};
pub use charges::{Charges, OrderCharge, OrderMargin};
pub use order::{OrderRow, Trade, order, order_row, placed_order_id, trade};
pub use portfolio::{Holding, PositionRow, Positions, holding, position, position_row};
pub use quote::{OhlcRow, QuoteRow, ohlc_row, quote_row};

pub(super) use account::{margins, profile, session_info};
pub(super) use charges::{order_charge, order_margin};
pub(super) use field::timestamp;
pub(super) use portfolio::positions;

use serde_json::Value;

use field::Row;

/// A row that could not be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    /// Its place in the answer, from zero.
    pub index: usize,
    /// What it is, when that much could be read: an order id, a symbol.
    pub name: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

/// The rows of an answer that were understood, and those that were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decoded<T> {
    /// Understood rows, in the order of the answer.
    pub rows: Vec<T>,
    /// The others.
    pub bad: Vec<BadRow>,
}

impl<T> Decoded<T> {
    /// True when every row was understood. Only then does a row's absence
    /// mean anything.
    pub fn complete(&self) -> bool {
        self.bad.is_empty()
    }
}

/// Decodes an array row by row.
///
/// # Errors
/// When the value is not an array. `null` counts as an empty one.
pub fn rows<T>(
    value: &Value,
    decode: impl Fn(&Value) -> Result<T, String>,
) -> Result<Decoded<T>, String> {
    let empty = Vec::new();
    let array = match value {
        Value::Null => &empty,
        Value::Array(array) => array,
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            return Err("expected a list".into());
        }
    };
    let mut decoded = Decoded { rows: Vec::with_capacity(array.len()), bad: Vec::new() };
    for (index, value) in array.iter().enumerate() {
        match decode(value) {
            Ok(row) => decoded.rows.push(row),
            Err(reason) => decoded.bad.push(BadRow { index, name: name_of(value), reason }),
        }
    }
    Ok(decoded)
}

/// Decodes an object's entries, key by key.
///
/// # Errors
/// When the value is not an object.
pub fn entries<T>(
    value: &Value,
    decode: impl Fn(&str, &Value) -> Result<T, String>,
) -> Result<Decoded<T>, String> {
    let object = value.as_object().ok_or("expected an object")?;
    let mut decoded = Decoded { rows: Vec::with_capacity(object.len()), bad: Vec::new() };
    for (index, (key, value)) in object.iter().enumerate() {
        match decode(key, value) {
            Ok(row) => decoded.rows.push(row),
            Err(reason) => decoded.bad.push(BadRow { index, name: Some(key.clone()), reason }),
        }
    }
    Ok(decoded)
}

fn name_of(value: &Value) -> Option<String> {
    let row = Row::of(value).ok()?;
    row.text("order_id").or_else(|| row.text("tradingsymbol"))
}
