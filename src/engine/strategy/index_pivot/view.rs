//! Prices as seen in one direction.
//!
//! Shorts mirror longs. Seen short, every price has its sign turned, so that
//! a fall is a rise, a high is a low and rounding down rounds away from the
//! price in both directions. Each rule is then written once, for longs.

use crate::engine::ledger::Direction;
use crate::market::pivots::Level;
use crate::market::{Candle, Price};

/// Sees prices in a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct View(pub(super) Direction);

/// A candle as seen in a direction: rising bodies are good, `low` is the
/// extreme on the side of the stop.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) open: Level,
    pub(super) low: Level,
    pub(super) close: Level,
}

impl View {
    pub(super) fn level(self, level: Level) -> Level {
        match self.0 {
            Direction::Long => level,
            Direction::Short => -level,
        }
    }

    pub(super) fn price(self, price: Price) -> Level {
        self.level(Level::from_price(price))
    }

    pub(super) fn candle(self, candle: &Candle) -> Seen {
        let low = match self.0 {
            Direction::Long => candle.low,
            Direction::Short => candle.high,
        };
        Seen {
            open: self.price(candle.open),
            low: self.price(low),
            close: self.price(candle.close),
        }
    }

    /// A seen value as a price, on tick, rounded towards the stop's side.
    pub(super) fn floor(self, seen: Level, tick: Price) -> Price {
        match self.0 {
            Direction::Long => seen.floor_to(tick),
            Direction::Short => (-seen).ceil_to(tick),
        }
    }
}

/// The name of a level with its buffer, as decisions show it.
pub(super) fn line_name(direction: Direction, level: &str) -> String {
    match direction {
        Direction::Long => format!("level {level} + buffer"),
        Direction::Short => format!("level {level} - buffer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_round_away_from_the_price_both_ways() {
        let tick = Price::from_paise(5);
        let check = |direction, paise: i64, expected: i64| {
            let view = View(direction);
            let seen = view.price(Price::from_paise(paise));
            assert_eq!(view.floor(seen, tick).paise(), expected);
        };
        check(Direction::Long, 8_153_369, 8_153_365);
        check(Direction::Short, 8_153_366, 8_153_370);
        check(Direction::Short, 8_153_365, 8_153_365);
    }
}
