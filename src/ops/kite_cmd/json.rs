//! What the client understood, as JSON: Kite's names, prices and amounts as
//! decimal strings, times in India.

use serde_json::{Map, Value, json};

use crate::engine::event::Outcome;
use crate::kite::ticker::frame::{FrameReport, RawLevel, RawTick};
use crate::kite::{
    Charges, Decoded, HistoricalCandle, Holding, Margins, OhlcRow, OrderCharge, OrderMargin,
    OrderRow, PositionRow, Positions, Profile, QuoteRow, SegmentMargin, Trade,
};
use crate::market::master::Master;
use crate::market::time::IST;
use crate::market::{BookLevel, Instrument, InstrumentKey, Price, Timestamp};

/// Rows with what could not be read.
pub(super) fn decoded<T>(decoded: &Decoded<T>, row: impl Fn(&T) -> Value) -> Value {
    let bad = decoded
        .bad
        .iter()
        .map(|bad| json!({"index": bad.index, "name": bad.name, "reason": bad.reason}));
    json!({
        "complete": decoded.complete(),
        "rows": decoded.rows.iter().map(row).collect::<Vec<_>>(),
        "bad": bad.collect::<Vec<_>>(),
    })
}

pub(super) fn order(row: &OrderRow) -> Value {
    let order = &row.order;
    json!({
        "order_id": order.order_id.0,
        "exchange_order_id": order.exchange_order_id,
        "tag": order.tag.as_ref().map(|tag| tag.as_str()),
        "status": order.status.as_str(),
        "terminal": order.status.is_terminal(),
        "status_message": order.status_message,
        "exchange": order.instrument.exchange.as_str(),
        "tradingsymbol": order.instrument.symbol,
        "transaction_type": order.side.as_str(),
        "order_type": order.order_type.as_str(),
        "product": order.product.as_str(),
        "quantity": order.quantity,
        "filled_quantity": order.filled,
        "filled_value": order.filled_value.to_string(),
        "average_price": row.average_price.map(|price| price.to_string()),
        "pending_quantity": row.pending,
        "cancelled_quantity": row.cancelled,
        "price": order.price.to_string(),
        "trigger_price": order.trigger.to_string(),
        "order_timestamp": time(order.placed_at),
        "exchange_update_timestamp": time(order.updated_at),
    })
}

pub(super) fn trade(trade: &Trade) -> Value {
    json!({
        "trade_id": trade.trade_id,
        "order_id": trade.order_id.0,
        "exchange_order_id": trade.exchange_order_id,
        "exchange": trade.instrument.exchange.as_str(),
        "tradingsymbol": trade.instrument.symbol,
        "transaction_type": trade.side.as_str(),
        "product": trade.product.as_str(),
        "quantity": trade.quantity,
        "average_price": trade.price.to_string(),
        "value": trade.value.to_string(),
        "fill_timestamp": time(trade.at),
    })
}

pub(super) fn positions(positions: &Positions<PositionRow>) -> Value {
    json!({
        "net": decoded(&positions.net, position),
        "day": decoded(&positions.day, position),
    })
}

fn position(row: &PositionRow) -> Value {
    let position = &row.position;
    json!({
        "exchange": position.instrument.exchange.as_str(),
        "tradingsymbol": position.instrument.symbol,
        "product": position.product.as_str(),
        "quantity": position.quantity,
        "day_buy_quantity": position.bought,
        "day_buy_value": position.bought_value.to_string(),
        "day_sell_quantity": position.sold,
        "day_sell_value": position.sold_value.to_string(),
        "average_price": row.average_price.map(|price| price.to_string()),
        "last_price": position.last_price.to_string(),
        "pnl": row.pnl.map(|pnl| pnl.to_string()),
    })
}

pub(super) fn holding(holding: &Holding) -> Value {
    json!({
        "exchange": holding.instrument.exchange.as_str(),
        "tradingsymbol": holding.instrument.symbol,
        "isin": holding.isin,
        "product": holding.product.as_str(),
        "quantity": holding.quantity,
        "t1_quantity": holding.t1_quantity,
        "average_price": holding.average_price.to_string(),
        "last_price": holding.last_price.to_string(),
        "pnl": holding.pnl.to_string(),
    })
}

pub(super) fn profile(profile: &Profile) -> Value {
    json!({
        "user_id": profile.user_id,
        "user_name": profile.user_name,
        "user_shortname": profile.user_shortname,
        "email": profile.email,
        "user_type": profile.user_type,
        "broker": profile.broker,
        "exchanges": profile.exchanges,
        "products": profile.products,
        "order_types": profile.order_types,
    })
}

pub(super) fn margins(margins: &Margins) -> Value {
    json!({
        "equity": margins.equity.as_ref().map(segment),
        "commodity": margins.commodity.as_ref().map(segment),
    })
}

fn segment(margin: &SegmentMargin) -> Value {
    let amounts = |amounts: &std::collections::BTreeMap<String, crate::market::Money>| {
        let pairs = amounts.iter().map(|(name, money)| (name.clone(), money.to_string().into()));
        Value::Object(pairs.collect::<Map<String, Value>>())
    };
    json!({
        "enabled": margin.enabled,
        "net": margin.net.to_string(),
        "available": amounts(&margin.available),
        "utilised": amounts(&margin.utilised),
    })
}

pub(super) fn quote(row: &QuoteRow) -> Value {
    let quote = &row.quote;
    let mut value = ohlc(&quote.instrument, &row.ohlc);
    let more = json!({
        "timestamp": time(Some(quote.at)),
        "last_trade_time": time(row.last_trade_at),
        "last_quantity": row.last_quantity,
        "average_price": row.average_price.map(|price| price.to_string()),
        "buy_quantity": row.buy_quantity,
        "sell_quantity": row.sell_quantity,
        "net_change": row.net_change.map(|price| price.to_string()),
        "volume": quote.volume,
        "oi": quote.open_interest,
        "lower_circuit_limit": row.lower_circuit.map(|price| price.to_string()),
        "upper_circuit_limit": row.upper_circuit.map(|price| price.to_string()),
        "depth": {
            "buy": row.bids.iter().map(level).collect::<Vec<_>>(),
            "sell": row.asks.iter().map(level).collect::<Vec<_>>(),
        },
    });
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn level(level: &BookLevel) -> Value {
    json!({"price": level.price.to_string(), "quantity": level.quantity})
}

pub(super) fn ohlc(key: &InstrumentKey, row: &OhlcRow) -> Value {
    json!({
        "instrument": key.to_string(),
        "instrument_token": row.token,
        "last_price": row.last.to_string(),
        "ohlc": {
            "open": row.open.to_string(),
            "high": row.high.to_string(),
            "low": row.low.to_string(),
            "close": row.previous_close.to_string(),
        },
    })
}

pub(super) fn ltp(key: &InstrumentKey, row: &OhlcRow) -> Value {
    json!({
        "instrument": key.to_string(),
        "instrument_token": row.token,
        "last_price": row.last.to_string(),
    })
}

pub(super) fn instruments(master: &Master) -> Value {
    let bad = master.bad_rows.iter().map(|bad| json!({"line": bad.line, "reason": bad.reason}));
    json!({
        "complete": master.bad_rows.is_empty(),
        "rows": master.instruments.iter().map(instrument).collect::<Vec<_>>(),
        "bad": bad.collect::<Vec<_>>(),
    })
}

fn instrument(row: &Instrument) -> Value {
    json!({
        "instrument_token": row.token,
        "exchange": row.key.exchange.as_str(),
        "tradingsymbol": row.key.symbol,
        "name": row.name,
        "kind": format!("{:?}", row.kind).to_lowercase(),
        "expiry": row.expiry.map(|date| date.to_string()),
        "strike": row.strike.to_string(),
        "tick_size": row.tick.to_string(),
        "lot_size": row.lot,
    })
}

pub(super) fn candle(row: &HistoricalCandle) -> Value {
    let candle = &row.candle;
    json!({
        "start": time(Some(candle.start)),
        "open": candle.open.to_string(),
        "high": candle.high.to_string(),
        "low": candle.low.to_string(),
        "close": candle.close.to_string(),
        "volume": candle.volume,
        "oi": row.open_interest,
    })
}

pub(super) fn order_margin(row: &OrderMargin) -> Value {
    json!({
        "instrument": row.instrument.to_string(),
        "total": row.total.to_string(),
        "option_premium": row.option_premium.to_string(),
        "span": row.span.to_string(),
        "exposure": row.exposure.to_string(),
        "var": row.var.to_string(),
        "charges": row.charges.as_ref().map(charges),
    })
}

pub(super) fn order_charge(row: &OrderCharge) -> Value {
    json!({"instrument": row.instrument.to_string(), "charges": charges(&row.charges)})
}

fn charges(charges: &Charges) -> Value {
    json!({
        "transaction_tax": charges.transaction_tax.to_string(),
        "exchange_turnover_charge": charges.exchange_turnover_charge.to_string(),
        "sebi_turnover_charge": charges.sebi_turnover_charge.to_string(),
        "brokerage": charges.brokerage.to_string(),
        "stamp_duty": charges.stamp_duty.to_string(),
        "gst": charges.gst.to_string(),
        "total": charges.total.to_string(),
    })
}

pub(super) fn outcome(outcome: &Outcome) -> Value {
    match outcome {
        Outcome::Accepted { order_id } => json!({"outcome": "accepted", "order_id": order_id.0}),
        Outcome::Refused { refusal, message } => json!({
            "outcome": "refused",
            "refusal": format!("{refusal:?}").to_lowercase(),
            "message": message,
        }),
        Outcome::Unknown { message } => json!({"outcome": "unknown", "message": message}),
    }
}

/// One message of the ticker.
pub(super) fn frame(report: &FrameReport, ticks: &[RawTick]) -> Value {
    json!({
        "heartbeat": report.heartbeat,
        "truncated": report.truncated,
        "skipped": report.skipped,
        "packets": ticks.iter().map(packet).collect::<Vec<_>>(),
    })
}

fn packet(tick: &RawTick) -> Value {
    use crate::kite::ticker::TickKind;
    let price = |scaled: i32| decimal(scaled, tick.divisor());
    let mut value = json!({
        "token": tick.token,
        "mode": tick.kind.mode(),
        "tradable": !tick.is_index(),
        "last_price": price(tick.last),
    });
    let day = json!({
        "ohlc": {
            "open": price(tick.open),
            "high": price(tick.high),
            "low": price(tick.low),
            "close": price(tick.close),
        },
    });
    let index = json!({"change": price(tick.change)});
    let traded = json!({
        "last_quantity": tick.last_quantity,
        "average_price": price(tick.average),
        "volume": tick.volume,
        "buy_quantity": tick.buy_quantity,
        "sell_quantity": tick.sell_quantity,
    });
    let stamped = json!({"exchange_timestamp": second(tick.exchange_s)});
    let full = json!({
        "last_trade_time": second(tick.last_trade_s),
        "oi": tick.open_interest,
        "oi_day_high": tick.open_interest_high,
        "oi_day_low": tick.open_interest_low,
        "depth": {"buy": raw_levels(tick, &tick.bids), "sell": raw_levels(tick, &tick.asks)},
    });
    let parts = match tick.kind {
        TickKind::Ltp => vec![],
        TickKind::IndexQuote => vec![day, index],
        TickKind::IndexFull => vec![day, index, stamped],
        TickKind::Quote => vec![day, traded],
        TickKind::Full => vec![day, traded, stamped, full],
    };
    for part in parts {
        if let (Some(value), Value::Object(part)) = (value.as_object_mut(), part) {
            value.extend(part);
        }
    }
    value
}

fn raw_levels(tick: &RawTick, levels: &[RawLevel]) -> Vec<Value> {
    let level = |level: &RawLevel| {
        let price = decimal(level.price, tick.divisor());
        json!({"price": price, "quantity": level.quantity, "orders": level.orders})
    };
    levels.iter().map(level).collect()
}

/// Seconds of Unix time as on the wire; null when absent.
fn second(second: u32) -> Value {
    if second == 0 { Value::Null } else { second.into() }
}

/// A scaled price as a decimal, exactly, with at least two places.
fn decimal(scaled: i32, divisor: i64) -> String {
    if divisor == 100 {
        return Price::from_paise(scaled.into()).to_string();
    }
    let places = divisor.ilog10() as usize;
    let magnitude = i64::from(scaled).unsigned_abs();
    let divisor = divisor.unsigned_abs();
    let sign = if scaled < 0 { "-" } else { "" };
    let text = format!("{sign}{}.{:0places$}", magnitude / divisor, magnitude % divisor);
    let two_places = text.len() - places + 2;
    let trimmed = text.trim_end_matches('0').len();
    text[..trimmed.max(two_places)].to_string()
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.with_timezone(&IST).to_rfc3339_opts(chrono::SecondsFormat::Secs, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kite::decode;

    #[test]
    fn what_the_broker_says_is_passed_on() {
        let sent = json!({
            "order_id": "1", "status": "CANCELLED", "exchange": "NSE", "tradingsymbol": "TCS",
            "transaction_type": "BUY", "order_type": "LIMIT", "product": "MIS", "quantity": 10,
            "filled_quantity": 4, "average_price": 3900.5, "pending_quantity": 0,
            "cancelled_quantity": 6,
        });
        let shown = order(&decode::order_row(&sent).unwrap());
        assert_eq!(shown["average_price"], "3900.50");
        assert_eq!(
            (&shown["pending_quantity"], &shown["cancelled_quantity"]),
            (&json!(0), &json!(6))
        );
        assert_eq!(shown["filled_value"], "15602.00");

        let row = json!({
            "exchange": "NSE", "tradingsymbol": "TCS", "product": "MIS", "quantity": 4,
            "average_price": 3900.5, "last_price": 3890, "pnl": -42,
        });
        let shown = position(&decode::position_row(&row).unwrap());
        assert_eq!((&shown["average_price"], &shown["pnl"]), (&json!("3900.50"), &json!("-42.00")));

        let sent = json!({
            "instrument_token": 7, "last_price": 3890, "last_quantity": 5, "average_price": 3895.25,
            "buy_quantity": 100, "sell_quantity": 200, "net_change": -12.5,
        });
        let key = InstrumentKey::parse("NSE:TCS").unwrap();
        let at = crate::clock::Clock::system().now();
        let shown = quote(&decode::quote_row(key, &sent, at).unwrap());
        assert_eq!(
            (&shown["last_quantity"], &shown["average_price"]),
            (&json!(5), &json!("3895.25"))
        );
        assert_eq!((&shown["buy_quantity"], &shown["sell_quantity"]), (&json!(100), &json!(200)));
        assert_eq!(shown["net_change"], "-12.50");
    }

    #[test]
    fn scaled_prices_become_exact_decimals() {
        assert_eq!(decimal(52_150, 100), "521.50");
        assert_eq!(decimal(-2_590, 100), "-25.90");
        assert_eq!(decimal(827_525_000, 10_000_000), "82.7525");
        assert_eq!(decimal(820_000_000, 10_000_000), "82.00");
        assert_eq!(decimal(727_500, 10_000), "72.75");
        assert_eq!(decimal(-5, 10_000), "-0.0005");
    }
}
