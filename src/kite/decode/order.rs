//! Orders, trades, and the answer to a placement.

use serde_json::Value;

use super::field::Row;
use crate::market::{
    BrokerOrder, InstrumentKey, Money, OrderId, OrderStatus, OrderType, Price, Product, Quantity,
    Side, Tag, Timestamp,
};

/// Marks that the broker's own machinery puts on orders.
const SYSTEM_TAGS: [&str; 2] = ["autoslice", "mktp"];

/// One fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// The exchange's name of it.
    pub trade_id: String,
    /// The order that was filled.
    pub order_id: OrderId,
    /// The exchange's name of the order.
    pub exchange_order_id: Option<String>,
    /// What was traded.
    pub instrument: InstrumentKey,
    /// Bought or sold.
    pub side: Side,
    /// How it is carried.
    pub product: Product,
    /// Units.
    pub quantity: Quantity,
    /// Price of one unit, to the paisa.
    pub price: Price,
    /// Price × units, rounded once.
    pub value: Money,
    /// When it was filled.
    pub at: Option<Timestamp>,
}

/// An order with what the broker says besides, and no decision needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The order.
    pub order: BrokerOrder,
    /// Average price of what was filled; zero before the first fill.
    pub average_price: Option<Price>,
    /// Units that still work.
    pub pending: Option<Quantity>,
    /// Units that were cancelled.
    pub cancelled: Option<Quantity>,
}

/// Reads a row as [`order`] does, in full.
///
/// # Errors
/// Says what is missing or odd.
pub fn order_row(value: &Value) -> Result<OrderRow, String> {
    let row = Row::of(value)?;
    Ok(OrderRow {
        order: order(value)?,
        average_price: row.any_price("average_price"),
        pending: row.any_units("pending_quantity"),
        cancelled: row.any_units("cancelled_quantity"),
    })
}

/// Reads a row of the order book, of an order's history, or an order update
/// of the ticker or a postback.
///
/// # Errors
/// Says what is missing or odd.
pub fn order(value: &Value) -> Result<BrokerOrder, String> {
    let row = Row::of(value)?;
    let side = row.need_text("transaction_type")?;
    let order_type = row.need_text("order_type")?;
    let quantity = row.need_units("quantity")?;
    let filled = row.need_units("filled_quantity")?;
    if filled > quantity {
        return Err(format!("filled_quantity {filled} is more than quantity {quantity}"));
    }
    Ok(BrokerOrder {
        order_id: OrderId(row.need_text("order_id")?),
        tag: tag(row),
        exchange_order_id: row.text("exchange_order_id"),
        status: OrderStatus::parse(&row.need_text("status")?),
        status_message: row.text("status_message").or_else(|| row.text("status_message_raw")),
        instrument: row.instrument()?,
        side: Side::parse(&side).ok_or_else(|| format!("transaction_type {side:?}"))?,
        order_type: OrderType::parse(&order_type)
            .ok_or_else(|| format!("order_type {order_type:?} is not known"))?,
        product: Product::parse(&row.need_text("product")?),
        quantity,
        filled,
        filled_value: value_of(row, "average_price", filled)?,
        price: row.price("price")?.unwrap_or_default(),
        trigger: row.price("trigger_price")?.unwrap_or_default(),
        placed_at: row.time("order_timestamp"),
        updated_at: row.time("exchange_update_timestamp").or(row.time("exchange_timestamp")),
    })
}

/// Reads one fill.
///
/// # Errors
/// Says what is missing or odd.
pub fn trade(value: &Value) -> Result<Trade, String> {
    let row = Row::of(value)?;
    let side = row.need_text("transaction_type")?;
    let units = if row.value("quantity").is_some() { "quantity" } else { "filled" };
    let quantity = row.need_units(units)?;
    Ok(Trade {
        trade_id: row.need_text("trade_id")?,
        order_id: OrderId(row.need_text("order_id")?),
        exchange_order_id: row.text("exchange_order_id"),
        instrument: row.instrument()?,
        side: Side::parse(&side).ok_or_else(|| format!("transaction_type {side:?}"))?,
        product: Product::parse(&row.need_text("product")?),
        quantity,
        price: row.need_price("average_price")?,
        value: value_of(row, "average_price", quantity)?,
        at: row.time("fill_timestamp").or(row.time("exchange_timestamp")),
    })
}

/// Average price × units, rounded to the paisa once: averages come with more
/// than two decimals.
fn value_of(row: Row<'_>, name: &str, units: Quantity) -> Result<Money, String> {
    let average = row.number(name)?;
    if units == 0 {
        return Ok(Money::ZERO);
    }
    let average = average.filter(|average| *average > 0.0);
    let average = average.ok_or_else(|| format!("{units} units filled, but no {name}"))?;
    Money::from_f64_rupees(average * units as f64)
        .ok_or_else(|| format!("{name} is out of range: {average}"))
}

/// Our mark: `tag`, or the first of `tags` that is not the broker's own.
fn tag(row: Row<'_>) -> Option<Tag> {
    let ours = |text: String| {
        let system = SYSTEM_TAGS.contains(&text.as_str());
        if system { None } else { Tag::new(text) }
    };
    row.text("tag").and_then(ours).or_else(|| row.texts("tags").into_iter().find_map(ours))
}

/// The order id in the answer to a placement, modify or cancel. Reads the
/// plain shape and both shapes of a sliced order; of those, the parent or
/// the first slice that was placed.
///
/// # Errors
/// When there is none.
pub fn placed_order_id(body: &[u8]) -> Result<OrderId, String> {
    let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
    if value.get("status").and_then(Value::as_str) != Some("success") {
        return Err("the status is not success".into());
    }
    let data = value.get("data").unwrap_or(&Value::Null);
    let id = match data {
        Value::Array(slices) => slices.iter().find_map(order_id_in),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            order_id_in(data)
        }
    };
    id.ok_or_else(|| "there is no order id".into())
}

fn order_id_in(value: &Value) -> Option<OrderId> {
    Row::of(value).ok()?.text("order_id").map(OrderId)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kite::decode::Decoded;
    use serde_json::json;

    fn rows(value: &Value) -> Result<Decoded<BrokerOrder>, String> {
        crate::kite::decode::rows(value, order)
    }

    fn modern() -> Value {
        json!({
            "account_id": "AB1234", "placed_by": "AB1234", "order_id": "1953341975595868160",
            "exchange_order_id": null, "parent_order_id": null, "status": "OPEN PENDING",
            "status_message": null, "order_timestamp": "2026-11-23 09:33:01",
            "exchange_timestamp": null, "variety": "regular", "exchange": "BFO",
            "tradingsymbol": "SENSEX26NOV85000CE", "instrument_token": 218814981,
            "order_type": "LIMIT", "transaction_type": "BUY", "validity": "DAY",
            "product": "MIS", "quantity": 20, "filled_quantity": 0, "average_price": 0,
            "price": 412.05, "trigger_price": 0, "auction_number": "", "meta": {},
            "meta_raw": "{}", "tag": "P1123T001E1", "guid": "x",
        })
    }

    fn with(changes: Value) -> Value {
        let mut row = modern();
        for (key, value) in changes.as_object().unwrap() {
            row[key] = value.clone();
        }
        row
    }

    #[test]
    fn reads_odd_rows() {
        let check = |changes: Value| order(&with(changes)).unwrap();
        let plain = check(json!({}));
        assert_eq!(plain.status, OrderStatus::Pending("OPEN PENDING".into()));
        assert_eq!(plain.price.paise(), 41_205);
        assert_eq!(plain.placed_at, Some("2026-11-23T04:03:01Z".parse().unwrap()));
        check(json!({"meta": "text", "auction_number": 7, "tags": "not a list"}));
        check(json!({"quantity": "20", "filled_quantity": 0.0, "price": "412.05"}));
        assert_eq!(check(json!({"status": "SOMETHING NEW"})).status.as_str(), "SOMETHING NEW");
        assert_eq!(check(json!({"product": "XYZ"})).product.as_str(), "XYZ");
        let part = check(json!({"filled_quantity": 3, "average_price": 333.3333}));
        assert_eq!(part.filled_value.paise(), 100_000);
    }

    #[test]
    fn finds_our_tag() {
        let check = |changes: Value, expect: Option<&str>| {
            let order = order(&with(changes)).unwrap();
            assert_eq!(order.tag.as_ref().map(Tag::as_str), expect);
        };
        check(json!({}), Some("P1123T001E1"));
        check(json!({"tag": null, "tags": ["autoslice", "autoslice:19", "P1E1"]}), Some("P1E1"));
        check(json!({"tag": null, "tags": ["mktp", "mktp:2.00"]}), None);
        check(json!({"tag": "", "tags": null}), None);
    }

    #[test]
    fn refuses_rows_without_what_decisions_need() {
        for changes in [
            json!({"order_id": null}),
            json!({"status": ""}),
            json!({"exchange": "MOON"}),
            json!({"quantity": null}),
            json!({"quantity": -1}),
            json!({"filled_quantity": 21}),
            json!({"filled_quantity": "many"}),
            json!({"filled_quantity": 5, "average_price": 0}),
            json!({"transaction_type": "HOLD"}),
            json!({"price": "dear"}),
        ] {
            assert!(order(&with(changes.clone())).is_err(), "{changes}");
        }
    }

    #[test]
    fn one_bad_row_does_not_hide_the_others() {
        let book = rows(&json!([modern(), {"order_id": "7"}, modern()])).unwrap();
        assert_eq!((book.rows.len(), book.complete()), (2, false));
        assert_eq!((book.bad[0].index, book.bad[0].name.as_deref()), (1, Some("7")));
        assert!(rows(&json!([])).unwrap().complete());
        assert!(rows(&json!({"a": 1})).is_err());
    }

    #[test]
    fn finds_the_order_id_in_every_shape() {
        let check = |data: Value, expect: Option<&str>| {
            let body = json!({"status": "success", "data": data}).to_string();
            let found = placed_order_id(body.as_bytes()).ok();
            assert_eq!(found.as_ref().map(|id| id.0.as_str()), expect, "{body}");
        };
        let error = json!({"error": {"code": 400, "error_type": "MarginException"}});
        check(json!({"order_id": "42"}), Some("42"));
        check(json!({"order_id": 42}), Some("42"));
        check(json!({"order_id": "42", "children": [{"order_id": "43"}, error]}), Some("42"));
        check(json!([{"order_id": "42"}, error]), Some("42"));
        check(json!([error, {"order_id": "42"}]), Some("42"));
        check(json!([error]), None);
        check(json!({"order_id": ""}), None);
        check(json!("42"), None);
        check(Value::Null, None);
        assert!(placed_order_id(b"<html>").is_err());
        assert!(placed_order_id(br#"{"status":"error","data":{"order_id":"42"}}"#).is_err());
    }
}
