//! A market out of a seed and a date. Same seed and date, same prices, on
//! every call and in every process.
//!
//! An index day begins with a mood (trend, range or ordinary; gap; size),
//! which fixes the close; a path of minutes and seconds fills the day; and
//! derivatives are priced from the path. Floating point stays inside: every
//! price that leaves is a whole number of paise on its tick.

mod contracts;
mod day;
mod days;
mod history;
mod market;
mod noise;
mod path;
mod pricing;
mod quote;
mod rows;
mod tape;
mod underlying;

#[cfg(test)]
mod tests;

pub use day::{DayKind, DayProfile};
pub use market::{Market, ScriptPoint};
pub use rows::{DEPTH_LEVELS, DepthLevel, HistoryCandle, InstrumentRow, Interval, MarketQuote};

/// The date cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// No session on this date.
    #[error("{0} has no trading session; pick a trading day")]
    Closed(chrono::NaiveDate),
}
