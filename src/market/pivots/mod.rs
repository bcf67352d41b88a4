//! Pivot levels of every family in common use, exact.
//!
//! All families are computed from the previous regular session's day candle.
//! Public tools disagree on what "R3" is, so a level is only meaningful
//! together with the name of its [`Family`].

mod cpr;
mod family;
mod level;
mod sanity;

pub use cpr::{Cpr, DayType, TwoDay, ValueTrend, virgin_bands};
pub use family::Family;
pub use level::{Level, ParseLevelError};
pub use sanity::{CloseFit, SanityError, check_against_candles, check_day, fit_close};

use num_rational::Ratio;

use super::candle::DayCandle;
use super::money::Price;

type Exact = Ratio<i128>;

/// Prices of the session that levels are computed from, exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// The session's open; only [`Family::DeMark`] asks for it.
    pub open: Option<Level>,
    /// Highest price.
    pub high: Level,
    /// Lowest price.
    pub low: Level,
    /// Official close.
    pub close: Level,
}

impl From<&DayCandle> for Bar {
    fn from(candle: &DayCandle) -> Bar {
        Bar {
            open: Some(candle.open.into()),
            high: candle.high.into(),
            low: candle.low.into(),
            close: candle.close.into(),
        }
    }
}

/// Levels cannot be computed from the prices given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PivotError {
    /// The candle is upside down.
    #[error("the high {high} is below the low {low}")]
    HighBelowLow {
        /// The high given.
        high: Level,
        /// The low given.
        low: Level,
    },
    /// A price is zero, negative or absurdly large.
    #[error("the {what} {value} is not a price between 0 and {PRICE_MAX}")]
    NotAPrice {
        /// Which price.
        what: &'static str,
        /// Its value.
        value: Level,
    },
    /// DeMark's levels depend on the previous session's open.
    #[error("{family} levels need the previous session's open")]
    NeedsOpen {
        /// The family asked for.
        family: Family,
    },
    /// Woodie's levels weigh today's open, which is known from 09:15 on.
    #[error("{family} levels need today's open")]
    NeedsTodayOpen {
        /// The family asked for.
        family: Family,
    },
}

impl PivotError {
    /// True when an open would help.
    pub const fn is_missing_open(&self) -> bool {
        match self {
            PivotError::NeedsOpen { .. } | PivotError::NeedsTodayOpen { .. } => true,
            PivotError::HighBelowLow { .. } | PivotError::NotAPrice { .. } => false,
        }
    }
}

/// Largest price that levels are computed from: beyond any instrument, and
/// small enough that no formula overflows.
const PRICE_MAX: Price = Price::from_rupees(100_000_000);

/// The levels of one family, highest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Levels {
    family: Family,
    levels: Vec<(&'static str, Level)>,
}

impl Levels {
    /// Computes the levels of a family from the previous session's candle.
    ///
    /// # Errors
    /// When the candle is not one, or when the family needs today's open and
    /// there is none.
    pub fn compute(
        family: Family,
        previous: &DayCandle,
        today_open: Option<Price>,
    ) -> Result<Levels, PivotError> {
        Levels::of(family, &Bar::from(previous), today_open.map(Level::from))
    }

    /// Computes the levels of a family from exact prices.
    ///
    /// # Errors
    /// As [`Levels::compute`]; also when the family needs the previous open
    /// and there is none.
    pub fn of(family: Family, bar: &Bar, today_open: Option<Level>) -> Result<Levels, PivotError> {
        check_bar(bar, today_open)?;
        let input = Input {
            high: bar.high.ratio(),
            low: bar.low.ratio(),
            close: bar.close.ratio(),
            open: bar.open.map(Level::ratio),
            today_open: today_open.map(Level::ratio),
        };
        let mut levels: Vec<(&'static str, Level)> = family::formulas(family, &input)?
            .into_iter()
            .map(|(name, value)| (name, Level::from_ratio(value)))
            .collect();
        levels.sort_by(|(_, left), (_, right)| right.cmp(left));
        Ok(Levels { family, levels })
    }

    /// The family of the levels.
    pub const fn family(&self) -> Family {
        self.family
    }

    /// The level of this name, such as `R1`.
    pub fn get(&self, name: &str) -> Option<&Level> {
        self.levels.iter().find(|(known, _)| *known == name).map(|(_, level)| level)
    }

    /// All levels with their names, highest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&'static str, &Level)> {
        self.levels.iter().map(|(name, level)| (*name, level))
    }
}

/// What the formulas take, checked.
struct Input {
    high: Exact,
    low: Exact,
    close: Exact,
    open: Option<Exact>,
    today_open: Option<Exact>,
}

fn check_bar(bar: &Bar, today_open: Option<Level>) -> Result<(), PivotError> {
    let prices = [
        ("high", Some(bar.high)),
        ("low", Some(bar.low)),
        ("close", Some(bar.close)),
        ("open", bar.open),
        ("open of today", today_open),
    ];
    for (what, value) in prices {
        let Some(value) = value else { continue };
        if !value.is_above(Price::ZERO) || value.is_above(PRICE_MAX) {
            return Err(PivotError::NotAPrice { what, value });
        }
    }
    if bar.high < bar.low {
        return Err(PivotError::HighBelowLow { high: bar.high, low: bar.low });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
