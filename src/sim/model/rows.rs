//! What the market shows: instruments, quotes and history.

use crate::market::{BookLevel, Instrument, InstrumentKey, Price, Quantity, Timestamp};

/// One row of the instruments file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstrumentRow {
    /// The instrument.
    pub instrument: Instrument,
    /// Kite's segment, such as `BFO-OPT`.
    pub segment: &'static str,
    /// Largest order in units; no API shows it.
    pub freeze_quantity: Quantity,
}

impl InstrumentRow {
    /// The exchange's own number.
    pub const fn exchange_token(&self) -> u32 {
        self.instrument.token >> 8
    }
}

/// Levels of depth that a quote shows on each side.
pub const DEPTH_LEVELS: usize = 5;

/// A level of the book with its count of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DepthLevel {
    /// Price and units.
    pub level: BookLevel,
    /// Orders at it.
    pub orders: u16,
}

/// All that a quote or a full tick shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarketQuote {
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Today's token of it.
    pub token: u32,
    /// True for an index: no volume, depth or open interest exist.
    pub is_index: bool,
    /// Time of the last change, as the exchange stamps it (whole seconds).
    pub at: Timestamp,
    /// Last trade; `None` before the first.
    pub last_trade_time: Option<Timestamp>,
    /// Last price; the previous close before the first trade.
    pub last_price: Price,
    /// Units of the last trade.
    pub last_quantity: Quantity,
    /// Volume-weighted average price of today; zero before the first trade.
    pub average_price: Price,
    /// Units traded today.
    pub volume: Quantity,
    /// Units wanted in the whole book.
    pub buy_quantity: Quantity,
    /// Units offered in the whole book.
    pub sell_quantity: Quantity,
    /// Today's first price; zero before the first trade, like high and low.
    pub open: Price,
    /// Today's highest price.
    pub high: Price,
    /// Today's lowest price.
    pub low: Price,
    /// The previous trading day's close.
    pub close: Price,
    /// Open interest in units.
    pub open_interest: Quantity,
    /// Its highest of today.
    pub open_interest_high: Quantity,
    /// Its lowest of today.
    pub open_interest_low: Quantity,
    /// Lowest price that an order may have.
    pub lower_circuit: Price,
    /// Highest price that an order may have.
    pub upper_circuit: Price,
    /// Best bids first; a level of zero units is empty.
    pub bids: [DepthLevel; DEPTH_LEVELS],
    /// Best asks first.
    pub asks: [DepthLevel; DEPTH_LEVELS],
}

/// Width of a history candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// This many minutes, counted from 09:15.
    Minutes(u32),
    /// A trading day.
    Day,
}

impl Interval {
    /// Reads Kite's word; `None` for what Kite calls an invalid interval.
    pub fn parse(text: &str) -> Option<Interval> {
        match text {
            "minute" => Some(Interval::Minutes(1)),
            "2minute" => Some(Interval::Minutes(2)),
            "3minute" => Some(Interval::Minutes(3)),
            "4minute" => Some(Interval::Minutes(4)),
            "5minute" => Some(Interval::Minutes(5)),
            "10minute" => Some(Interval::Minutes(10)),
            "15minute" => Some(Interval::Minutes(15)),
            "30minute" => Some(Interval::Minutes(30)),
            "60minute" | "hour" => Some(Interval::Minutes(60)),
            "2hour" => Some(Interval::Minutes(120)),
            "3hour" => Some(Interval::Minutes(180)),
            "4hour" => Some(Interval::Minutes(240)),
            "day" => Some(Interval::Day),
            _ => None,
        }
    }

    /// Longest span of one request, in days.
    pub const fn days_max(self) -> i64 {
        match self {
            Interval::Minutes(..=2) => 60,
            Interval::Minutes(..=10) => 100,
            Interval::Minutes(..=30) => 200,
            Interval::Minutes(_) => 400,
            Interval::Day => 2000,
        }
    }
}

/// One candle of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryCandle {
    /// First instant of the span; midnight IST for a day.
    pub start: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Units traded.
    pub volume: Quantity,
    /// Open interest at its end.
    pub open_interest: Quantity,
}
