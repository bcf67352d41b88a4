//! Candles: open, high, low, close of a span of exchange time.

use super::money::{Price, Quantity};
use super::time::Timestamp;

/// Prices of one span. The start names it; the span is `[start, start + width)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// First instant of the span.
    pub start: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Units traded; zero for an index.
    pub volume: Quantity,
}

/// Highest, lowest and closing price of a session, with its open: the input
/// of pivot levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCandle {
    /// The session's date.
    pub date: chrono::NaiveDate,
    /// Opening price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Official closing price.
    pub close: Price,
}
