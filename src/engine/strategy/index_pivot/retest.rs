//! `BREAKOUT_RETEST`: a breakout arms; price must come back to the level and
//! close away from it within a few candles.

use super::levels::Step;
use super::view::{View, line_name};
use crate::engine::ledger::{Decision, Direction};
use crate::engine::settings::Ppm;
use crate::engine::strategy::{numbers, share_of};
use crate::market::Candle;
use crate::market::pivots::Level;

/// A close this far through the level ends the wait, and the stop stands at
/// least this far behind it (0.05 %).
const TOLERANCE: Ppm = Ppm::from_bp(5);

/// A breakout whose retest is awaited.
#[derive(Debug, Clone)]
pub(super) struct Armed {
    view: View,
    step: Step,
    lowest: Option<Level>,
    candles_left: u32,
}

/// What a candle means for an armed breakout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It came back and closed away again.
    Returned,
    /// It closed through the level.
    Failed,
    /// It was the last one allowed.
    Expired,
    /// Nothing yet.
    Waiting,
}

impl Armed {
    /// Candles after the breakout in which the retest must come.
    pub(super) const CANDLES: u32 = 5;

    pub(super) const fn new(direction: Direction, step: Step) -> Armed {
        Armed { view: View(direction), step, lowest: None, candles_left: Armed::CANDLES }
    }

    pub(super) const fn direction(&self) -> Direction {
        self.view.0
    }

    pub(super) const fn step(&self) -> Step {
        self.step
    }

    /// The level less its tolerance, as seen in the direction.
    pub(super) fn floor(&self) -> Level {
        self.step.seen - share_of(self.step.seen, TOLERANCE)
    }

    /// The lowest low since the breakout candle, as seen in the direction.
    pub(super) const fn lowest(&self) -> Option<Level> {
        self.lowest
    }

    pub(super) fn take(&mut self, candle: &Candle) -> Progress {
        let seen = self.view.candle(candle);
        self.lowest = Some(self.lowest.map_or(seen.low, |lowest| lowest.min(seen.low)));
        self.candles_left = self.candles_left.saturating_sub(1);
        if seen.close < self.floor() {
            Progress::Failed
        } else if seen.close > seen.open
            && seen.low <= self.step.line
            && seen.close >= self.step.line
        {
            Progress::Returned
        } else if self.candles_left == 0 {
            Progress::Expired
        } else {
            Progress::Waiting
        }
    }

    pub(super) fn describe(&self, decision: &mut Decision) {
        let name = self.step.name;
        decision.direction = Some(self.direction());
        decision.level = Some(name.into());
        decision.numbers.extend([
            numbers::price("low", decision.candle.low),
            numbers::price("high", decision.candle.high),
            numbers::level(line_name(self.direction(), name), self.view.level(self.step.line)),
            numbers::level("given up beyond", self.view.level(self.floor())),
            numbers::count("candles left", self.candles_left.saturating_sub(1)),
        ]);
    }
}
