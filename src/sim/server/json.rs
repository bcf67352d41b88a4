//! The exchange's rows as Kite writes them.

use serde_json::{Map, Value, json};

use crate::market::time::ist;
use crate::market::{Money, Price, Timestamp};
use crate::sim::exchange::{
    DepthLevel, EventKind, ExchangeEvent, Funds, HistoryCandle, HoldingRow, MarketQuote,
    OrderCharges, OrderMargin, OrderRow, PositionRow, Protection, TradeRow,
};

/// The app's number in postbacks; any will do.
const APP_ID: u32 = 1001;

/// `yyyy-mm-dd hh:mm:ss` in India.
pub(super) fn stamp(at: Timestamp) -> String {
    ist(at).format("%Y-%m-%d %H:%M:%S").to_string()
}

fn stamp_or_null(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::from(stamp(at)))
}

/// Rupees: a whole number where it is one, as Kite prints `72`.
pub(super) fn rupees(paise: i64) -> Value {
    if paise % 100 == 0 { Value::from(paise / 100) } else { Value::from(paise as f64 / 100.0) }
}

fn price(price: Price) -> Value {
    rupees(price.paise())
}

fn money(money: Money) -> Value {
    rupees(money.paise())
}

/// A mean in rupees, printed as a whole number where it is one.
fn mean(rupees: f64) -> Value {
    if rupees.fract() == 0.0 && rupees.abs() < 1e15 {
        Value::from(rupees as i64)
    } else {
        Value::from(rupees)
    }
}

fn protection(protection: Protection) -> Value {
    rupees(protection.0)
}

/// A row of `GET /orders`.
pub(super) fn order(row: &OrderRow) -> Value {
    let mut value = json!({
        "account_id": row.account_id,
        "placed_by": row.placed_by,
        "order_id": row.order_id,
        "exchange_order_id": row.exchange_order_id,
        "parent_order_id": row.parent_order_id,
        "status": row.status.as_str(),
        "status_message": row.status_message,
        "status_message_raw": row.status_message_raw,
        "order_timestamp": stamp(row.order_timestamp),
        "exchange_update_timestamp": stamp_or_null(row.exchange_update_timestamp),
        "exchange_timestamp": stamp_or_null(row.exchange_timestamp),
        "variety": row.variety.as_str(),
        "modified": row.modified,
        "exchange": row.instrument.exchange.as_str(),
        "tradingsymbol": row.instrument.symbol,
        "instrument_token": row.instrument_token,
        "order_type": row.order_type.as_str(),
        "transaction_type": row.side.as_str(),
        "validity": row.validity.as_str(),
        "validity_ttl": row.validity_ttl,
        "product": row.product.as_str(),
        "quantity": row.quantity,
        "disclosed_quantity": row.disclosed_quantity,
        "price": price(row.price),
        "trigger_price": price(row.trigger_price),
        "average_price": mean(row.average_price()),
        "filled_quantity": row.filled_quantity,
        "pending_quantity": row.pending_quantity,
        "cancelled_quantity": row.cancelled_quantity,
        "market_protection": protection(row.market_protection),
        "meta": {},
        "tag": row.tag,
        "guid": row.guid,
    });
    if let (Value::Object(fields), false) = (&mut value, row.tags.is_empty()) {
        fields.insert("tags".to_string(), json!(row.tags));
    }
    value
}

/// A row of an order's history as the old order system wrote it.
pub(super) fn order_old_style(row: &OrderRow) -> Value {
    let mut value = order(row);
    remove(
        &mut value,
        &[
            "account_id",
            "status_message_raw",
            "exchange_update_timestamp",
            "validity_ttl",
            "market_protection",
            "meta",
            "guid",
        ],
    );
    value
}

fn remove(value: &mut Value, names: &[&str]) {
    if let Value::Object(fields) = value {
        for name in names {
            fields.remove(*name);
        }
    }
}

/// An order event as the socket and the postback carry it. The socket's
/// checksum is empty.
pub(super) fn order_event(event: &ExchangeEvent, user_id: &str) -> Map<String, Value> {
    let row = &event.row;
    let mut fields = match order(row) {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    let status = match event.kind {
        EventKind::Complete => "COMPLETE",
        EventKind::Cancelled => "CANCELLED",
        EventKind::Rejected => "REJECTED",
        EventKind::Update => "UPDATE",
        EventKind::Open => row.status.as_str(),
    };
    let unfilled = row.quantity - row.filled_quantity - row.cancelled_quantity;
    for (name, value) in [
        ("status", json!(status)),
        ("user_id", json!(user_id)),
        ("app_id", json!(APP_ID)),
        ("unfilled_quantity", json!(unfilled.max(0))),
        ("checksum", json!("")),
    ] {
        fields.insert(name.to_string(), value);
    }
    fields
}

/// The postback of an order event: signed, without what only the API shows.
pub(super) fn postback(event: &ExchangeEvent, user_id: &str, checksum: String) -> Value {
    let mut fields = order_event(event, user_id);
    fields.remove("tags");
    fields.remove("modified");
    fields.insert("checksum".to_string(), Value::String(checksum));
    Value::Object(fields)
}

/// A row of `GET /trades`.
pub(super) fn trade(row: &TradeRow) -> Value {
    json!({
        "trade_id": row.trade_id,
        "order_id": row.order_id,
        "exchange": row.instrument.exchange.as_str(),
        "tradingsymbol": row.instrument.symbol,
        "instrument_token": row.instrument_token,
        "product": row.product.as_str(),
        "average_price": price(row.price),
        "quantity": row.quantity,
        "exchange_order_id": row.exchange_order_id,
        "transaction_type": row.side.as_str(),
        "fill_timestamp": stamp(row.fill_timestamp),
        "order_timestamp": ist(row.fill_timestamp).format("%H:%M:%S").to_string(),
        "exchange_timestamp": stamp(row.fill_timestamp),
    })
}

fn average(value: Money, quantity: i64) -> Value {
    if quantity == 0 { Value::from(0) } else { mean(value.to_f64_rupees() / quantity as f64) }
}

/// A row of `GET /portfolio/positions`.
pub(super) fn position(row: &PositionRow) -> Value {
    json!({
        "tradingsymbol": row.instrument.symbol,
        "exchange": row.instrument.exchange.as_str(),
        "instrument_token": row.instrument_token,
        "product": row.product.as_str(),
        "quantity": row.quantity,
        "overnight_quantity": row.overnight_quantity,
        "multiplier": row.multiplier,
        "average_price": mean(row.average_price()),
        "close_price": price(row.close_price),
        "last_price": price(row.last_price),
        "value": money(row.value()),
        "pnl": money(row.pnl()),
        "m2m": money(row.m2m()),
        "unrealised": money(row.pnl()),
        "realised": 0,
        "buy_quantity": row.buy_quantity(),
        "buy_price": average(row.buy_value(), row.buy_quantity()),
        "buy_value": money(row.buy_value()),
        "buy_m2m": money(row.buy_m2m()),
        "sell_quantity": row.sell_quantity(),
        "sell_price": average(row.sell_value(), row.sell_quantity()),
        "sell_value": money(row.sell_value()),
        "sell_m2m": money(row.sell_m2m()),
        "day_buy_quantity": row.day_buy_quantity,
        "day_buy_price": average(row.day_buy_value, row.day_buy_quantity),
        "day_buy_value": money(row.day_buy_value),
        "day_sell_quantity": row.day_sell_quantity,
        "day_sell_price": average(row.day_sell_value, row.day_sell_quantity),
        "day_sell_value": money(row.day_sell_value),
    })
}

/// A row of `GET /portfolio/holdings`.
pub(super) fn holding(row: &HoldingRow) -> Value {
    let day_change = row.last_price - row.close_price;
    json!({
        "tradingsymbol": row.instrument.symbol,
        "exchange": row.instrument.exchange.as_str(),
        "instrument_token": row.instrument_token,
        "isin": "",
        "product": "CNC",
        "price": 0,
        "quantity": row.quantity,
        "used_quantity": 0,
        "t1_quantity": 0,
        "realised_quantity": row.quantity,
        "authorised_quantity": 0,
        "authorised_date": "",
        "authorisation": {},
        "opening_quantity": row.quantity,
        "short_quantity": 0,
        "collateral_quantity": 0,
        "collateral_type": "",
        "discrepancy": false,
        "average_price": price(row.average_price),
        "last_price": price(row.last_price),
        "close_price": price(row.close_price),
        "pnl": money((row.last_price - row.average_price) * row.quantity),
        "day_change": price(day_change),
        "day_change_percentage": percent(day_change.paise(), row.close_price.paise()),
        "mtf": {
            "quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0,
        },
    })
}

fn percent(part: i64, whole: i64) -> Value {
    if whole == 0 { Value::from(0) } else { mean(part as f64 * 100.0 / whole as f64) }
}

/// `GET /portfolio/holdings/summary`.
pub(super) fn holdings_summary(rows: &[HoldingRow]) -> Value {
    let sum = |of: fn(&HoldingRow) -> Money| rows.iter().map(|row| of(row).paise()).sum::<i64>();
    let invested = sum(|row| row.average_price * row.quantity);
    let current = sum(|row| row.last_price * row.quantity);
    let before = sum(|row| row.close_price * row.quantity);
    json!({
        "total_pnl": rupees(current - invested),
        "total_pnl_percent": percent(current - invested, invested),
        "today_pnl": rupees(current - before),
        "today_pnl_percent": percent(current - before, before),
        "invested_amount": rupees(invested),
        "current_value": rupees(current),
    })
}

/// A segment of `GET /user/margins`.
pub(super) fn margins(funds: &Funds) -> Value {
    json!({
        "enabled": true,
        "net": money(funds.available),
        "available": {
            "adhoc_margin": 0,
            "cash": money(funds.available + funds.debits),
            "opening_balance": money(funds.opening_balance),
            "live_balance": money(funds.available),
            "collateral": 0,
            "intraday_payin": 0,
        },
        "utilised": {
            "debits": money(funds.debits),
            "exposure": 0,
            "m2m_realised": money(funds.m2m_realised),
            "m2m_unrealised": money(funds.m2m_unrealised),
            "option_premium": money(funds.option_premium),
            "payout": 0,
            "span": money(funds.span),
            "holding_sales": 0,
            "turnover": 0,
            "liquid_collateral": 0,
            "stock_collateral": 0,
            "delivery": 0,
        },
    })
}

/// The charges of an order.
pub(super) fn charges(charges: &OrderCharges) -> Value {
    json!({
        "transaction_tax": money(charges.transaction_tax),
        "transaction_tax_type": "stt",
        "exchange_turnover_charge": money(charges.exchange_turnover_charge),
        "sebi_turnover_charge": money(charges.sebi_turnover_charge),
        "brokerage": money(charges.brokerage),
        "stamp_duty": money(charges.stamp_duty),
        "gst": { "igst": money(charges.gst), "cgst": 0, "sgst": 0, "total": money(charges.gst) },
        "total": money(charges.total),
    })
}

/// A row of `POST /margins/orders`.
pub(super) fn order_margin(row: &OrderMargin) -> Value {
    json!({
        "type": "equity",
        "tradingsymbol": row.query.instrument.symbol,
        "exchange": row.query.instrument.exchange.as_str(),
        "span": money(row.span),
        "exposure": money(row.exposure),
        "option_premium": money(row.option_premium),
        "additional": 0,
        "bo": 0,
        "cash": 0,
        "var": money(row.var),
        "pnl": { "realised": 0, "unrealised": 0 },
        "leverage": 1,
        "charges": charges(&row.charges),
        "total": money(row.total),
    })
}

/// The `initial` and `final` part of `POST /margins/basket`.
pub(super) fn margin_sum(rows: &[OrderMargin]) -> Value {
    let sum = |of: fn(&OrderMargin) -> Money| rupees(rows.iter().map(|row| of(row).paise()).sum());
    json!({
        "type": "",
        "tradingsymbol": "",
        "exchange": "",
        "span": sum(|row| row.span),
        "exposure": sum(|row| row.exposure),
        "option_premium": sum(|row| row.option_premium),
        "additional": 0,
        "bo": 0,
        "cash": 0,
        "var": sum(|row| row.var),
        "pnl": { "realised": 0, "unrealised": 0 },
        "leverage": 0,
        "charges": charges(&OrderCharges::default()),
        "total": sum(|row| row.total),
    })
}

fn ohlc(quote: &MarketQuote) -> Value {
    json!({
        "open": price(quote.open),
        "high": price(quote.high),
        "low": price(quote.low),
        "close": price(quote.close),
    })
}

fn depth(levels: &[DepthLevel]) -> Vec<Value> {
    let row = |depth: &DepthLevel| {
        json!({
            "price": price(depth.level.price),
            "quantity": depth.level.quantity,
            "orders": depth.orders,
        })
    };
    levels.iter().map(row).collect()
}

/// How much of an instrument a quote call answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteKind {
    /// `/quote`.
    Full,
    /// `/quote/ohlc`.
    Ohlc,
    /// `/quote/ltp`.
    Ltp,
}

/// An instrument in the answer of a quote call.
pub(super) fn quote(quote: &MarketQuote, kind: QuoteKind) -> Value {
    let token = quote.token;
    let last = price(quote.last_price);
    match kind {
        QuoteKind::Ltp => json!({ "instrument_token": token, "last_price": last }),
        QuoteKind::Ohlc => {
            json!({ "instrument_token": token, "last_price": last, "ohlc": ohlc(quote) })
        }
        QuoteKind::Full if quote.is_index => json!({
            "instrument_token": token,
            "timestamp": stamp(quote.at),
            "last_price": last,
            "net_change": price(quote.last_price - quote.close),
            "ohlc": ohlc(quote),
        }),
        QuoteKind::Full => tradable(quote),
    }
}

/// An index in `/quote` with all fields of a share: those it has none of are
/// zero.
pub(super) fn index_with_zeros(quote: &MarketQuote) -> Value {
    tradable(&MarketQuote {
        last_trade_time: None,
        lower_circuit: Price::ZERO,
        upper_circuit: Price::ZERO,
        ..quote.clone()
    })
}

fn tradable(quote: &MarketQuote) -> Value {
    json!({
        "instrument_token": quote.token,
        "timestamp": stamp(quote.at),
        "last_trade_time": stamp_or_null(quote.last_trade_time),
        "last_price": price(quote.last_price),
        "last_quantity": quote.last_quantity,
        "average_price": price(quote.average_price),
        "volume": quote.volume,
        "buy_quantity": quote.buy_quantity,
        "sell_quantity": quote.sell_quantity,
        "oi": quote.open_interest,
        "oi_day_high": quote.open_interest_high,
        "oi_day_low": quote.open_interest_low,
        "net_change": price(quote.last_price - quote.close),
        "lower_circuit_limit": price(quote.lower_circuit),
        "upper_circuit_limit": price(quote.upper_circuit),
        "ohlc": ohlc(quote),
        "depth": { "buy": depth(&quote.bids), "sell": depth(&quote.asks) },
    })
}

/// A candle of the history.
pub(super) fn candle(candle: &HistoryCandle, with_open_interest: bool) -> Value {
    let start = ist(candle.start).format("%Y-%m-%dT%H:%M:%S+0530").to_string();
    let mut row = vec![
        json!(start),
        price(candle.open),
        price(candle.high),
        price(candle.low),
        price(candle.close),
        json!(candle.volume),
    ];
    if with_open_interest {
        row.push(json!(candle.open_interest));
    }
    Value::Array(row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_rupees_are_printed_without_decimals() {
        assert_eq!(rupees(7_200).to_string(), "72");
        assert_eq!(rupees(10_940).to_string(), "109.4");
        assert_eq!(rupees(-5).to_string(), "-0.05");
        assert_eq!(mean(0.0).to_string(), "0");
        assert_eq!(percent(5, 0).to_string(), "0");
    }
}
