//! The rules of `level-breakout` as pure functions on whole paise, shared by
//! the strategy and its candle backtest.

use crate::engine::ledger::Direction;
use crate::market::{DayCandle, Price};

/// The five levels of a day, rounded to the step of prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayLevels {
    /// Stop of both directions.
    pub pp: i64,
    /// Longs break out here.
    pub r1: i64,
    /// Shorts break out here.
    pub s1: i64,
    /// Target of longs.
    pub r2: i64,
    /// Target of shorts.
    pub s2: i64,
}

impl DayLevels {
    /// Levels that follow from a day's high, low and close in paise, computed
    /// exactly, then rounded to the nearest multiple of `tick`, halves up. A
    /// tick below one paisa counts as one.
    pub const fn of(high: i64, low: i64, close: i64, tick: i64) -> DayLevels {
        let tick = if tick < 1 { 1 } else { tick };
        let sum = high + low + close;
        let range = 3 * (high - low);
        DayLevels {
            pp: nearest(sum, tick),
            r1: nearest(2 * sum - 3 * low, tick),
            s1: nearest(2 * sum - 3 * high, tick),
            r2: nearest(sum + range, tick),
            s2: nearest(sum - range, tick),
        }
    }

    /// Levels that follow from a day's candle.
    pub const fn of_day(previous: &DayCandle, tick: Price) -> DayLevels {
        DayLevels::of(
            previous.high.paise(),
            previous.low.paise(),
            previous.close.paise(),
            tick.paise(),
        )
    }

    /// The level that a direction breaks out of, with its name.
    pub const fn trigger(&self, direction: Direction) -> (&'static str, i64) {
        match direction {
            Direction::Long => ("R1", self.r1),
            Direction::Short => ("S1", self.s1),
        }
    }

    /// The target of a direction, with its name.
    pub const fn target(&self, direction: Direction) -> (&'static str, i64) {
        match direction {
            Direction::Long => ("R2", self.r2),
            Direction::Short => ("S2", self.s2),
        }
    }

    /// Names and values, highest first.
    pub const fn named(&self) -> [(&'static str, i64); 5] {
        [("R2", self.r2), ("R1", self.r1), ("PP", self.pp), ("S1", self.s1), ("S2", self.s2)]
    }
}

/// The multiple of `tick` nearest to `thirds / 3`, halves up.
const fn nearest(thirds: i64, tick: i64) -> i64 {
    (2 * thirds + 3 * tick).div_euclid(6 * tick) * tick
}

/// The direction in which a candle breaks out: it opened on the near side of
/// a first level and closed beyond it, short of the second.
#[inline]
pub const fn breakout(levels: &DayLevels, open: i64, close: i64) -> Option<Direction> {
    if open < levels.r1 && levels.r1 < close && close < levels.r2 {
        Some(Direction::Long)
    } else if open > levels.s1 && levels.s1 > close && close > levels.s2 {
        Some(Direction::Short)
    } else {
        None
    }
}

/// The direction in which a candle broke out and went past the target at
/// once: too late to enter.
pub const fn overshot(levels: &DayLevels, open: i64, close: i64) -> Option<Direction> {
    if open < levels.r1 && close >= levels.r2 && levels.r1 < close {
        Some(Direction::Long)
    } else if open > levels.s1 && close <= levels.s2 && levels.s1 > close {
        Some(Direction::Short)
    } else {
        None
    }
}

/// How a bar ended a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BarExit {
    /// At the pivot.
    Stop,
    /// At the second level.
    Target,
}

/// Whether a bar ends a position, and at what price. The stop comes first; a
/// gap through a price fills at the bar's open.
#[inline]
pub fn exit_on_bar(
    levels: &DayLevels,
    direction: Direction,
    open: i64,
    high: i64,
    low: i64,
) -> Option<(BarExit, i64)> {
    match direction {
        Direction::Long if low <= levels.pp => Some((BarExit::Stop, open.min(levels.pp))),
        Direction::Long if high >= levels.r2 => Some((BarExit::Target, open.max(levels.r2))),
        Direction::Short if high >= levels.pp => Some((BarExit::Stop, open.max(levels.pp))),
        Direction::Short if low <= levels.s2 => Some((BarExit::Target, open.min(levels.s2))),
        Direction::Long | Direction::Short => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_round_to_the_nearest_tick() {
        // H 150.50, L 138.20, C 145.75: PP 144.8166…, R1 151.4333…
        let levels = DayLevels::of(15_050, 13_820, 14_575, 5);
        assert_eq!(
            levels,
            DayLevels { pp: 14_480, r1: 15_145, s1: 13_915, r2: 15_710, s2: 13_250 }
        );
        let exact = DayLevels::of(15_050, 13_820, 14_575, 1);
        assert_eq!((exact.pp, exact.r1, exact.s1), (14_482, 15_143, 13_913));
        assert_eq!(DayLevels::of(15_050, 13_820, 14_575, 0), exact);
    }

    #[test]
    fn every_bound_of_a_breakout_is_strict() {
        let levels = DayLevels { pp: 100, r1: 110, s1: 90, r2: 120, s2: 80 };
        let check = |open, close, expected| {
            assert_eq!(breakout(&levels, open, close), expected, "{open} {close}");
        };
        check(109, 111, Some(Direction::Long));
        check(110, 111, None);
        check(109, 110, None);
        check(109, 119, Some(Direction::Long));
        check(109, 120, None);
        check(91, 89, Some(Direction::Short));
        check(90, 89, None);
        check(91, 90, None);
        check(91, 80, None);
        assert_eq!(overshot(&levels, 109, 120), Some(Direction::Long));
        assert_eq!(overshot(&levels, 91, 80), Some(Direction::Short));
        assert_eq!(overshot(&levels, 109, 119), None);
    }

    #[test]
    fn the_stop_comes_first_and_gaps_fill_at_the_open() {
        let levels = DayLevels { pp: 100, r1: 110, s1: 90, r2: 120, s2: 80 };
        let check = |direction, (open, high, low), expected| {
            assert_eq!(exit_on_bar(&levels, direction, open, high, low), expected);
        };
        check(Direction::Long, (112, 125, 99), Some((BarExit::Stop, 100)));
        check(Direction::Long, (98, 125, 97), Some((BarExit::Stop, 98)));
        check(Direction::Long, (112, 120, 101), Some((BarExit::Target, 120)));
        check(Direction::Long, (123, 124, 101), Some((BarExit::Target, 123)));
        check(Direction::Long, (112, 119, 101), None);
        check(Direction::Short, (88, 100, 70), Some((BarExit::Stop, 100)));
        check(Direction::Short, (88, 99, 80), Some((BarExit::Target, 80)));
        check(Direction::Short, (78, 99, 75), Some((BarExit::Target, 78)));
        check(Direction::Short, (88, 99, 81), None);
    }
}
