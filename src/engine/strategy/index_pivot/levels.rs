//! The day's levels: two ladders away from the central pivot range, and what
//! the open says of them.

use super::view::View;
use crate::engine::ledger::Direction;
use crate::engine::settings::{IndexPivotSettings, Ppm};
use crate::engine::strategy::{PlanError, reason, share_of};
use crate::market::pivots::{Cpr, DayType, Level, Levels};
use crate::market::{Candle, DayCandle, Price};

/// Levels of a ladder on which a close may signal.
const TRIGGERS: usize = 3;

/// Levels that price may bounce off.
const BOUNCES: usize = 2;

/// One level of a ladder, as seen in the ladder's direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: &'static str,
    /// The level.
    pub(super) seen: Level,
    /// The level with its buffer: what a close must reach.
    pub(super) line: Level,
}

/// The levels of one direction, nearest first.
#[derive(Debug)]
pub(super) struct Ladder {
    pub(super) view: View,
    pub(super) steps: Vec<Step>,
}

impl Ladder {
    fn new(direction: Direction, levels: &Levels, cpr: &Cpr, buffer: Ppm) -> Ladder {
        let view = View(direction);
        let (edge, names) = match direction {
            Direction::Long => (("CPR_HI", cpr.hi), ["R1", "R2", "R3", "R4"]),
            Direction::Short => (("CPR_LO", cpr.lo), ["S1", "S2", "S3", "S4"]),
        };
        let pivots = names.into_iter().filter_map(|name| Some((name, *levels.get(name)?)));
        Ladder::of(view, std::iter::once(edge).chain(pivots), buffer)
    }

    /// The way back to the central pivot range from the far side: the levels
    /// to bounce off, and the edge of the range.
    fn back(direction: Direction, levels: &Levels, cpr: &Cpr, buffer: Ppm) -> Ladder {
        let (names, edge) = match direction {
            Direction::Long => ([("BOUNCE_S2", "S2"), ("BOUNCE_S1", "S1")], ("CPR_LO", cpr.lo)),
            Direction::Short => ([("BOUNCE_R2", "R2"), ("BOUNCE_R1", "R1")], ("CPR_HI", cpr.hi)),
        };
        let pivots = names.into_iter().filter_map(|(name, of)| Some((name, *levels.get(of)?)));
        Ladder::of(View(direction), pivots.chain([edge]), buffer)
    }

    fn of(view: View, levels: impl Iterator<Item = (&'static str, Level)>, buffer: Ppm) -> Ladder {
        let mut steps: Vec<Step> = levels
            .map(|(name, level)| {
                let seen = view.level(level);
                Step { name, seen, line: seen + share_of(seen, buffer) }
            })
            .collect();
        steps.sort_by_key(|step| step.seen);
        Ladder { view, steps }
    }

    /// The nearest level that a candle came down to and closed above, on a
    /// ladder that leads back to the range.
    pub(super) fn bounced(&self, candle: &Candle) -> Option<Step> {
        let seen = self.view.candle(candle);
        let levels = self.steps.iter().take(BOUNCES).rev();
        levels.copied().find(|step| seen.low <= step.line && seen.close > step.seen)
    }

    /// The furthest trigger that a close reached and the close before it had
    /// not.
    pub(super) fn crossed(&self, before: Price, close: Price) -> Option<Step> {
        let (before, close) = (self.view.price(before), self.view.price(close));
        self.triggers().rev().find(|step| before < step.line && close >= step.line).copied()
    }

    pub(super) fn triggers(&self) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().take(TRIGGERS)
    }

    /// The first level beyond a close, and the one after it (or the same).
    pub(super) fn targets(&self, close: Level) -> Option<(Step, Step)> {
        let mut beyond = self.steps.iter().filter(|step| step.seen > close);
        let first = *beyond.next()?;
        Some((first, beyond.next().copied().unwrap_or(first)))
    }

    fn get(&self, name: &str) -> Option<Level> {
        self.steps.iter().find(|step| step.name == name).map(|step| step.seen)
    }
}

/// Everything that follows from the previous session.
#[derive(Debug)]
pub(super) struct DayLevels {
    pub(super) previous: DayCandle,
    pub(super) levels: Levels,
    pub(super) cpr: Cpr,
    pub(super) day_type: DayType,
    long: Ladder,
    short: Ladder,
    long_back: Ladder,
    short_back: Ladder,
}

impl DayLevels {
    pub(super) fn new(
        previous: DayCandle,
        settings: &IndexPivotSettings,
    ) -> Result<DayLevels, PlanError> {
        let family = settings.family;
        let invalid = |error: &dyn std::fmt::Display| PlanError::Invalid(error.to_string());
        let levels = Levels::compute(family, &previous, None).map_err(|error| invalid(&error))?;
        if let Some(name) =
            ["R1", "R2", "R3", "S1", "S2", "S3"].into_iter().find(|name| levels.get(name).is_none())
        {
            let text = format!("index-pivot needs {name}, which {family} levels do not have");
            return Err(PlanError::Invalid(text));
        }
        let cpr = Cpr::of(&previous);
        Ok(DayLevels {
            day_type: cpr.class(settings.cpr_narrow.0, settings.cpr_wide.0),
            long: Ladder::new(Direction::Long, &levels, &cpr, settings.buffer),
            short: Ladder::new(Direction::Short, &levels, &cpr, settings.buffer),
            long_back: Ladder::back(Direction::Long, &levels, &cpr, settings.buffer),
            short_back: Ladder::back(Direction::Short, &levels, &cpr, settings.buffer),
            previous,
            levels,
            cpr,
        })
    }

    pub(super) fn ladder(&self, direction: Direction) -> &Ladder {
        match direction {
            Direction::Long => &self.long,
            Direction::Short => &self.short,
        }
    }

    /// The levels that price may bounce off in a direction, and the edge of
    /// the range behind them.
    pub(super) fn ladder_back(&self, direction: Direction) -> &Ladder {
        match direction {
            Direction::Long => &self.long_back,
            Direction::Short => &self.short_back,
        }
    }

    /// All levels and both edges of the range, highest first.
    pub(super) fn shown(&self) -> Vec<(String, Price)> {
        let edges = [("CPR_HI", self.cpr.hi), ("CPR_LO", self.cpr.lo)];
        let mut all: Vec<(&str, Level)> =
            self.levels.iter().map(|(name, level)| (name, *level)).chain(edges).collect();
        all.sort_by(|(_, left), (_, right)| right.cmp(left));
        all.into_iter().map(|(name, level)| (name.to_string(), level.rounded())).collect()
    }
}

/// What the day's first candle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Opening {
    /// The day's open.
    pub(super) open: Price,
    /// The previous close.
    pub(super) previous_close: Price,
    /// Why the whole day is refused.
    pub(super) halt: Option<&'static str>,
    /// Why longs are refused.
    pub(super) no_longs: Option<&'static str>,
    /// Why shorts are refused.
    pub(super) no_shorts: Option<&'static str>,
}

impl Opening {
    pub(super) fn new(open: Price, day: &DayLevels, gap_extreme: Ppm) -> Opening {
        let previous_close = day.previous.close;
        let gap = Level::from_price(open) - Level::from_price(previous_close);
        let beyond = |direction, name| {
            let ladder = day.ladder(direction);
            ladder.get(name).is_some_and(|level| ladder.view.price(open) >= level)
        };
        let extreme = gap.abs() >= share_of(previous_close.into(), gap_extreme)
            || beyond(Direction::Long, "R3")
            || beyond(Direction::Short, "S3");
        Opening {
            open,
            previous_close,
            halt: extreme.then_some(reason::GAP_EXTREME),
            no_longs: beyond(Direction::Long, "R2").then_some(reason::OPEN_BEYOND_R2),
            no_shorts: beyond(Direction::Short, "S2").then_some(reason::OPEN_BEYOND_S2),
        }
    }

    pub(super) const fn blocked(&self, direction: Direction) -> Option<&'static str> {
        match direction {
            Direction::Long => self.no_longs,
            Direction::Short => self.no_shorts,
        }
    }

    /// The gap in percent of the previous close, with two decimals.
    pub(super) fn gap_percent(&self) -> String {
        let previous = Level::from_price(self.previous_close);
        (Level::from_price(self.open) - previous).percent_of(previous, 2)
    }
}

/// The highest high and lowest low of the first candles.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpeningRange {
    /// Candles that make it up.
    pub(super) candles: u32,
    seen: u32,
    extremes: Option<(Price, Price)>,
}

impl OpeningRange {
    pub(super) const fn of_candles(candles: u32) -> OpeningRange {
        OpeningRange { candles, seen: 0, extremes: None }
    }

    pub(super) fn take(&mut self, high: Price, low: Price) {
        self.seen += 1;
        self.extremes = Some(match self.extremes {
            None => (high, low),
            Some((top, bottom)) => (top.max(high), bottom.min(low)),
        });
    }

    /// The bound that a close of this direction must pass: `Ok(None)` when
    /// there is no opening range, an error when a candle of it is missing.
    pub(super) fn bound(&self, direction: Direction) -> Result<Option<Price>, u32> {
        if self.seen < self.candles {
            return Err(self.candles - self.seen);
        }
        Ok(self.extremes.map(|(top, bottom)| match direction {
            Direction::Long => top,
            Direction::Short => bottom,
        }))
    }
}
