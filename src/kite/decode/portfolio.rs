//! Positions and holdings.

use serde_json::Value;

use super::Decoded;
use super::field::Row;
use crate::market::{BrokerPosition, InstrumentKey, Money, Price, Product, Quantity};

/// The answer to a question for positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions<T = BrokerPosition> {
    /// What is held now, closed positions of today included with quantity 0.
    pub net: Decoded<T>,
    /// Today's trading alone.
    pub day: Decoded<T>,
}

/// A position with what the broker says besides, and no decision needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionRow {
    /// The position.
    pub position: BrokerPosition,
    /// Average price of what is held.
    pub average_price: Option<Price>,
    /// Gain or loss by the broker's reckoning.
    pub pnl: Option<Money>,
}

/// Shares in the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Which share.
    pub instrument: InstrumentKey,
    /// Its ISIN.
    pub isin: Option<String>,
    /// How it is carried.
    pub product: Product,
    /// Settled units.
    pub quantity: Quantity,
    /// Units bought yesterday, on their way.
    pub t1_quantity: Quantity,
    /// Average buying price.
    pub average_price: Price,
    /// Last traded price.
    pub last_price: Price,
    /// Gain or loss by the broker's reckoning.
    pub pnl: Money,
}

/// Reads a row of the positions.
///
/// # Errors
/// Says what is missing or odd.
pub fn position(value: &Value) -> Result<BrokerPosition, String> {
    let row = Row::of(value)?;
    let units = |day: &str, all: &str| -> Result<Quantity, String> {
        Ok(row.int(day)?.or(row.int(all)?).unwrap_or_default())
    };
    let amount = |day: &str, all: &str| -> Result<Money, String> {
        Ok(row.money(day)?.or(row.money(all)?).unwrap_or_default())
    };
    Ok(BrokerPosition {
        instrument: row.instrument()?,
        product: Product::parse(&row.need_text("product")?),
        quantity: row.need_int("quantity")?,
        bought: units("day_buy_quantity", "buy_quantity")?,
        bought_value: amount("day_buy_value", "buy_value")?,
        sold: units("day_sell_quantity", "sell_quantity")?,
        sold_value: amount("day_sell_value", "sell_value")?,
        last_price: row.price("last_price")?.unwrap_or_default(),
    })
}

/// Reads a row as [`position`] does, in full.
///
/// # Errors
/// Says what is missing or odd.
pub fn position_row(value: &Value) -> Result<PositionRow, String> {
    let row = Row::of(value)?;
    let money = |price: Price| Money::from_paise(price.paise());
    Ok(PositionRow {
        position: position(value)?,
        average_price: row.any_price("average_price"),
        pnl: row.any_price("pnl").map(money),
    })
}

/// Reads the answer to a question for positions, row by row.
pub(in crate::kite) fn positions<T>(
    value: &Value,
    read: fn(&Value) -> Result<T, String>,
) -> Result<Positions<T>, String> {
    let row = Row::of(value)?;
    let list = |name: &str| match row.value(name) {
        Some(list) => super::rows(list, read),
        None => Err(format!("no {name} positions")),
    };
    let day = list("day").unwrap_or(Decoded { rows: Vec::new(), bad: Vec::new() });
    Ok(Positions { net: list("net")?, day })
}

/// Reads a row of the holdings.
///
/// # Errors
/// Says what is missing or odd.
pub fn holding(value: &Value) -> Result<Holding, String> {
    let row = Row::of(value)?;
    Ok(Holding {
        instrument: row.instrument()?,
        isin: row.text("isin"),
        product: Product::parse(&row.text("product").unwrap_or_else(|| "CNC".into())),
        quantity: row.need_int("quantity")?,
        t1_quantity: row.int("t1_quantity")?.unwrap_or_default(),
        average_price: row.price("average_price")?.unwrap_or_default(),
        last_price: row.price("last_price")?.unwrap_or_default(),
        pnl: row.money("pnl")?.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_position_counts_todays_trading() {
        let row = json!({
            "tradingsymbol": "SENSEX26NOV85000CE", "exchange": "BFO", "product": "MIS",
            "quantity": -20, "overnight_quantity": 0, "last_price": 400,
            "buy_quantity": 60, "buy_value": 24000.5, "sell_quantity": 80, "sell_value": 32000,
            "day_buy_quantity": 40, "day_buy_value": 16000.25,
        });
        let position = position(&row).unwrap();
        assert_eq!((position.quantity, position.bought, position.sold), (-20, 40, 80));
        assert_eq!(position.bought_value.paise(), 1_600_025);
        assert_eq!(position.sold_value, Money::from_rupees(32_000));
    }

    #[test]
    fn an_answer_without_net_positions_is_no_answer() {
        assert!(positions(&json!({"day": []}), position).is_err());
        assert!(positions(&json!([]), position).is_err());
        let positions = positions(&json!({"net": [{"quantity": 1}]}), position).unwrap();
        assert!(!positions.net.complete());
        assert!(positions.day.complete());
    }
}
