//! Pictures of a day: candles, levels, entries and exits, as PNG.
//!
//! Prices become floats here and nowhere before: a picture decides nothing.

mod draw;

use std::path::PathBuf;

use crate::market::{Candle, Price, Timestamp};

pub use draw::render;

/// What a picture of a day shows.
#[derive(Debug, Clone, Default)]
pub struct DayPicture {
    /// First line: instrument, date, mode.
    pub title: String,
    /// Second line: the day's figures.
    pub subtitle: String,
    /// Candles, oldest first.
    pub candles: Vec<Candle>,
    /// Levels to draw across: name and price.
    pub levels: Vec<(String, Price)>,
    /// Trades to mark.
    pub trades: Vec<TradeMark>,
}

/// One trade in a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeMark {
    /// When and where on the signal instrument it was entered.
    pub entry: (Timestamp, Price),
    /// When and where it was left, once it was.
    pub exit: Option<(Timestamp, Price)>,
    /// Stop on the signal instrument.
    pub stop: Price,
    /// True when the view was a rise.
    pub long: bool,
    /// Text at the exit: reason and result.
    pub label: String,
    /// True when it won.
    pub won: bool,
}

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ChartError {
    /// There is nothing to draw.
    #[error("there are no candles to draw")]
    Empty,
    /// The file could not be written.
    #[error("could not draw {path}: {reason}")]
    Draw {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}
