//! Quotes by request.

use serde_json::Value;

use super::field::Row;
use crate::market::{BookLevel, InstrumentKey, Price, Quantity, Quote, Timestamp};

/// Open, high, low of today and the previous close; zero before the first
/// trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OhlcRow {
    /// Today's token of the instrument.
    pub token: u32,
    /// Last traded price.
    pub last: Price,
    /// Today's first price.
    pub open: Price,
    /// Today's highest price.
    pub high: Price,
    /// Today's lowest price.
    pub low: Price,
    /// The previous trading day's close.
    pub previous_close: Price,
}

/// One instrument of a full quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteRow {
    /// Prices of the day.
    pub ohlc: OhlcRow,
    /// The quote; its reference price is the last price.
    pub quote: Quote,
    /// Every level of the bids, best first.
    pub bids: Vec<BookLevel>,
    /// Every level of the asks, best first.
    pub asks: Vec<BookLevel>,
    /// When it last traded.
    pub last_trade_at: Option<Timestamp>,
    /// Units of its last trade.
    pub last_quantity: Option<Quantity>,
    /// Average price of the day's trades.
    pub average_price: Option<Price>,
    /// Units that all bids ask for.
    pub buy_quantity: Option<Quantity>,
    /// Units that all asks offer.
    pub sell_quantity: Option<Quantity>,
    /// Change since the previous close.
    pub net_change: Option<Price>,
    /// Lowest price that orders may have today.
    pub lower_circuit: Option<Price>,
    /// Highest price that orders may have today.
    pub upper_circuit: Option<Price>,
}

/// Reads an entry of `/quote/ltp` or `/quote/ohlc`.
///
/// # Errors
/// Says what is missing or odd.
pub fn ohlc_row(value: &Value) -> Result<OhlcRow, String> {
    let row = Row::of(value)?;
    let token = row.need_int("instrument_token")?;
    let mut decoded = OhlcRow {
        token: u32::try_from(token).map_err(|_| format!("instrument_token {token}"))?,
        last: row.need_price("last_price")?,
        ..OhlcRow::default()
    };
    if let Some(ohlc) = row.inner("ohlc") {
        let price = |name: &str| ohlc.price(name).map(Option::unwrap_or_default);
        decoded.open = price("open")?;
        decoded.high = price("high")?;
        decoded.low = price("low")?;
        decoded.previous_close = price("close")?;
    }
    Ok(decoded)
}

/// Reads an entry of `/quote`. `asked_at` stands in for a missing timestamp.
///
/// # Errors
/// Says what is missing or odd.
pub fn quote_row(
    instrument: InstrumentKey,
    value: &Value,
    asked_at: Timestamp,
) -> Result<QuoteRow, String> {
    let row = Row::of(value)?;
    let ohlc = ohlc_row(value)?;
    let depth = row.inner("depth");
    let bids = levels(depth, "buy")?;
    let asks = levels(depth, "sell")?;
    let quote = Quote {
        instrument,
        at: row.time("timestamp").unwrap_or(asked_at),
        last: ohlc.last,
        bid: bids.first().copied(),
        ask: asks.first().copied(),
        ask_depth: asks.iter().map(|level| level.quantity).sum(),
        volume: units(row, "volume")?,
        open_interest: units(row, "oi")?,
        reference: ohlc.last,
    };
    Ok(QuoteRow {
        ohlc,
        quote,
        bids,
        asks,
        last_trade_at: row.time("last_trade_time"),
        last_quantity: row.any_units("last_quantity"),
        average_price: row.any_price("average_price"),
        buy_quantity: row.any_units("buy_quantity"),
        sell_quantity: row.any_units("sell_quantity"),
        net_change: row.any_price("net_change"),
        lower_circuit: row.price("lower_circuit_limit")?,
        upper_circuit: row.price("upper_circuit_limit")?,
    })
}

fn units(row: Row<'_>, name: &str) -> Result<Quantity, String> {
    Ok(row.int(name)?.unwrap_or_default())
}

/// Levels at which something stands.
fn levels(depth: Option<Row<'_>>, side: &str) -> Result<Vec<BookLevel>, String> {
    let list = depth.and_then(|depth| depth.value(side)).and_then(Value::as_array);
    let mut levels = Vec::new();
    for value in list.into_iter().flatten() {
        let row = Row::of(value)?;
        let price = row.price("price")?.unwrap_or_default();
        let quantity = units(row, "quantity")?;
        if quantity > 0 {
            levels.push(BookLevel { price, quantity });
        }
    }
    Ok(levels)
}
