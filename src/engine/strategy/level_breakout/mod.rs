//! `level-breakout`: one instrument, both ways. Enters when a candle opens
//! inside R1 (or S1) and closes beyond it; leaves at PP or at R2 (or S2).
//!
//! Live, the signal stands at the candle's close and the engine's orders,
//! exits on ticks and risk rules act on it; the candle backtest fills by its
//! own rules from the same [`rules`].

pub mod rules;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::candles::Sequence;
use super::{
    CandleInput, ClosedTrade, Judgement, Outlook, PlanError, Signal, Strategy, Vehicle, numbers,
    reason,
};
use crate::engine::day::DayPlan;
use crate::engine::ledger::{Decision, Direction, Verdict};
use crate::engine::settings::{LevelBreakoutSettings, StrategySettings};
use crate::market::time::ist_time;
use crate::market::{DayCandle, InstrumentKey, Price};
use rules::DayLevels;

/// The strategy for one day.
#[derive(Debug)]
pub struct LevelBreakout {
    instrument: InstrumentKey,
    previous: DayCandle,
    settings: LevelBreakoutSettings,
    levels: DayLevels,
    sequence: Sequence,
    stopped: BTreeSet<Direction>,
}

impl LevelBreakout {
    /// Builds it for the plan's first instrument.
    ///
    /// # Errors
    /// When the plan has no history of it, or names another strategy.
    pub fn new(plan: &DayPlan) -> Result<LevelBreakout, PlanError> {
        let StrategySettings::LevelBreakout(settings) = &plan.settings.strategy else {
            return Err(PlanError::Invalid("the settings are not of level-breakout".into()));
        };
        let history = super::history_of(plan, &plan.signal.key)?;
        Ok(LevelBreakout {
            instrument: plan.signal.key.clone(),
            previous: history.previous,
            settings: settings.clone(),
            levels: DayLevels::of_day(&history.previous, settings.level_tick),
            sequence: Sequence::sparse(plan.open, plan.candle_s),
            stopped: BTreeSet::new(),
        })
    }

    fn judge(&mut self, input: &CandleInput<'_>) -> Judgement {
        let (open, close) = (input.candle.open.paise(), input.candle.close.paise());
        let mut decision = Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: Verdict::Quiet,
            reason: reason::NO_CROSS.into(),
            direction: None,
            level: None,
            numbers: vec![
                numbers::price("open", input.candle.open),
                numbers::price("close", input.candle.close),
            ],
        };
        if *input.instrument != self.instrument {
            decision.reason = reason::NOT_A_SIGNAL_INSTRUMENT.into();
            return Judgement { decision, signal: None };
        }
        let valid = self.sequence.take(input.candle.start, input.sound);
        let crossed = rules::breakout(&self.levels, open, close);
        let late = rules::overshot(&self.levels, open, close);
        let Some(direction) = crossed.or(late) else {
            for (name, value) in [("R1", self.levels.r1), ("S1", self.levels.s1)] {
                decision.numbers.push(numbers::price(name, Price::from_paise(value)));
            }
            return Judgement { decision, signal: None };
        };
        let (name, level) = self.levels.trigger(direction);
        let (target_name, target) = self.levels.target(direction);
        decision.direction = Some(direction);
        decision.level = Some(name.into());
        decision.numbers.extend([
            numbers::price(format!("level {name}"), Price::from_paise(level)),
            numbers::price(format!("target {target_name}"), Price::from_paise(target)),
            numbers::price("stop PP", Price::from_paise(self.levels.pp)),
        ]);
        if let Some((code, compared)) = self.refusal(input, valid, crossed.is_none()) {
            decision.verdict = Verdict::Rejected;
            decision.reason = code.into();
            decision.numbers.extend(compared);
            return Judgement { decision, signal: None };
        }
        decision.verdict = Verdict::Enter;
        decision.reason = reason::ENTER.into();
        Judgement { decision, signal: Some(self.signal(input, direction)) }
    }

    fn refusal(
        &self,
        input: &CandleInput<'_>,
        valid: bool,
        overshot: bool,
    ) -> Option<(&'static str, Vec<(String, String)>)> {
        let last_signal = self.settings.last_signal;
        let entries_max = self.settings.max_entries.min(input.max_trades);
        if !valid {
            Some((reason::CANDLE_INVALID, Vec::new()))
        } else if ist_time(input.at) > last_signal {
            let compared = vec![
                numbers::time("time", ist_time(input.at)),
                numbers::time("last entry", last_signal),
            ];
            Some((reason::TIME_WINDOW, compared))
        } else if overshot {
            Some((reason::BEYOND_TARGET, Vec::new()))
        } else if input.entries_today >= entries_max {
            let compared = vec![
                numbers::count("trades today", input.entries_today),
                numbers::count("at most", entries_max),
            ];
            Some((reason::MAX_TRADES, compared))
        } else if input.consecutive_losses >= input.max_consecutive_losses {
            let compared = vec![
                numbers::count("losses in a row", input.consecutive_losses),
                numbers::count("at most", input.max_consecutive_losses),
            ];
            Some((reason::MAX_CONSEC_LOSSES, compared))
        } else if !input.flat {
            Some((reason::POSITION_OPEN, Vec::new()))
        } else {
            None
        }
    }

    fn signal(&self, input: &CandleInput<'_>, direction: Direction) -> Signal {
        Signal {
            instrument: self.instrument.clone(),
            direction,
            setup: self.levels.trigger(direction).0.into(),
            structure: String::new(),
            candle: *input.candle,
            reference: input.candle.close,
            stop: Price::from_paise(self.levels.pp),
            first_target: None,
            target: Price::from_paise(self.levels.target(direction).1),
            time_stop_candles: None,
            on_ticks: true,
            vehicle: Vehicle::Itself,
            first_candle: self.sequence.slot(input.candle.start) == 0,
            re_entry: self.stopped.contains(&direction),
            levels: self.shown_levels(),
        }
    }

    fn shown_levels(&self) -> Vec<(String, Price)> {
        let shown = |(name, value): (&str, i64)| (name.to_string(), Price::from_paise(value));
        self.levels.named().into_iter().map(shown).collect()
    }
}

impl Strategy for LevelBreakout {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        self.judge(&input)
    }

    fn on_missed(&mut self, _setup: &str, _direction: Direction) {}

    fn on_closed(&mut self, closed: ClosedTrade<'_>) {
        if super::is_stop(closed.reason) {
            self.stopped.insert(closed.direction);
        }
    }

    fn outlook(&self) -> Vec<Outlook> {
        vec![Outlook {
            instrument: self.instrument.clone(),
            structure: String::new(),
            levels: self.shown_levels(),
            facts: vec![
                ("family".into(), "traditional".into()),
                numbers::price("rounded to", self.settings.level_tick),
                ("previous day".into(), self.previous.date.to_string()),
                numbers::price("previous high", self.previous.high),
                numbers::price("previous low", self.previous.low),
                numbers::price("previous close", self.previous.close),
            ],
        }]
    }

    fn wants(&self, _spot: Price) -> Vec<InstrumentKey> {
        Vec::new()
    }
}
