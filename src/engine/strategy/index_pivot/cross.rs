//! A cross of a level and the trade that would follow from it.

use super::levels::{Ladder, Step};
use super::retest::Armed;
use super::view::line_name;
use super::{IndexPivot, view};
use crate::engine::ledger::{Decision, Direction};
use crate::engine::strategy::candles::{Share, percent, size};
use crate::engine::strategy::{numbers, share_of};
use crate::market::pivots::Level;
use crate::market::{Candle, Price};

/// A candle that closed beyond a level, with the numbers of its setup. All
/// values are real prices, also for shorts.
#[derive(Debug, Clone)]
pub struct Cross {
    /// Which way.
    pub direction: Direction,
    /// Name of the level.
    pub level_name: &'static str,
    /// The level.
    pub level: Level,
    /// The level with its buffer, which the close reached.
    pub line: Level,
    /// The close.
    pub close: Price,
    /// The stop, on tick.
    pub stop: Price,
    /// Distance from close to stop.
    pub risk: Price,
    /// Levels beyond the close; `None` beyond the last level.
    pub targets: Option<Targets>,
    /// Body of the candle as a share of its open.
    pub body: Share,
    /// Body that counts as significant; `None` without candles before.
    pub threshold: Option<Share>,
}

/// First and last target, by name and exact value.
#[derive(Debug, Clone, Copy)]
pub struct Targets {
    /// Moves the stop to the entry reference.
    pub first: (&'static str, Level),
    /// Ends the trade; the first again when there is no further level.
    pub second: (&'static str, Level),
}

impl Cross {
    /// Distance from close to first target.
    pub fn reward(&self) -> Option<Level> {
        Some((self.targets?.first.1 - self.close.into()).abs())
    }

    /// Reward over risk with four decimals.
    pub fn reward_ratio(&self) -> Option<String> {
        Some(self.reward()?.scaled((1, 100)).percent_of(self.risk.into(), 4))
    }

    /// Body in percent with four decimals.
    pub fn body_percent(&self) -> String {
        percent(self.body, 4)
    }

    /// Significant size in percent with four decimals.
    pub fn threshold_percent(&self) -> Option<String> {
        self.threshold.map(|threshold| percent(threshold, 4))
    }

    pub(super) fn describe_level(&self, decision: &mut Decision) {
        decision.direction = Some(self.direction);
        decision.level = Some(self.level_name.into());
        decision
            .numbers
            .push(numbers::level(line_name(self.direction, self.level_name), self.line));
    }

    pub(super) fn describe_setup(&self, decision: &mut Decision) {
        decision.numbers.extend([
            numbers::price("stop", self.stop),
            numbers::price("risk", self.risk),
            numbers::share("body", self.body),
        ]);
        if let Some(targets) = self.targets {
            let (first, second) = (targets.first, targets.second);
            decision.numbers.extend([
                numbers::level(format!("first target {}", first.0), first.1),
                numbers::level(format!("target {}", second.0), second.1),
            ]);
        }
        if let Some(ratio) = self.reward_ratio() {
            decision.numbers.push(numbers::text("reward / risk", ratio));
        }
    }
}

impl IndexPivot {
    /// The setup of a breakout: the stop is the candle's low or the level
    /// less its buffer, whichever is further, and at least the smallest risk
    /// away.
    pub(super) fn cross_of_breakout(
        &self,
        candle: &Candle,
        direction: Direction,
        step: Step,
    ) -> Cross {
        let seen = view(direction).candle(candle);
        let below_level = step.seen - share_of(step.seen, self.settings.buffer);
        let ladder = self.day.ladder(direction);
        self.cross(candle, ladder, step, seen.low.min(below_level))
    }

    /// The setup of a bounce: the stop is a little below the candle's low.
    pub(super) fn cross_of_bounce(
        &self,
        candle: &Candle,
        direction: Direction,
        step: Step,
    ) -> Cross {
        let low = view(direction).candle(candle).low;
        let ladder = self.day.ladder_back(direction);
        self.cross(candle, ladder, step, low - share_of(low, self.settings.buffer))
    }

    /// The setup of a retest: the stop is the lowest low since the breakout
    /// or the level less its tolerance, whichever is further.
    pub(super) fn cross_of_retest(&self, candle: &Candle, armed: &Armed) -> Cross {
        let floor = armed.floor();
        let stop = armed.lowest().map_or(floor, |lowest| lowest.min(floor));
        self.cross(candle, self.day.ladder(armed.direction()), armed.step(), stop)
    }

    fn cross(&self, candle: &Candle, ladder: &Ladder, step: Step, stop: Level) -> Cross {
        let view = ladder.view;
        let close = view.candle(candle).close;
        let nearest = close - share_of(close, self.settings.min_risk);
        let stop = view.floor(stop.min(nearest), self.tick);
        let targets = ladder.targets(close);
        let real = |step: Step| (step.name, view.level(step.seen));
        Cross {
            direction: view.0,
            level_name: step.name,
            level: view.level(step.seen),
            line: view.level(step.line),
            close: candle.close,
            stop,
            risk: Price::from_paise((candle.close - stop).paise().abs()),
            targets: targets
                .map(|(first, second)| Targets { first: real(first), second: real(second) }),
            body: size(candle),
            threshold: self.sizes.threshold(self.settings.min_history),
        }
    }
}
