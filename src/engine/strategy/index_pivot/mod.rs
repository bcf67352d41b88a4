//! `index-pivot`: a candle of the index closes beyond a level of the day; an
//! option near the money is bought in that direction.
//!
//! # What is judged here and what is not
//! Every cross of a trigger is judged against the rules of the strategy in a
//! fixed order, and the first that fails is reported: the candle's soundness,
//! the gap, the hours, the day type, the candle's shape and size, the opening
//! range, the level's history, the day's limits, the risk, the reward, an
//! open position. What needs a contract, a quote or an account is the
//! engine's: reward against charges (`EDGE_TOO_SMALL`), liquidity, size,
//! funds, loss limits and permission.
//!
//! A cross is an event between two closes. One that was refused is gone:
//! price must close on the near side and cross anew.
//!
//! Targets become prices by rounding half up to the paisa, the number that
//! is shown everywhere; a stop is rounded away from the price to the tick.

mod checks;
mod cross;
mod levels;
mod locks;
mod retest;
mod view;

#[cfg(test)]
mod mirror_tests;
#[cfg(test)]
mod scenario_tests;

use chrono::NaiveTime;

use super::candles::{Sequence, Sizes};
use super::{
    CandleInput, ClosedTrade, Judgement, Outlook, PlanError, Signal, Strategy, Vehicle, is_stop,
    numbers, reason,
};
use crate::engine::day::DayPlan;
use crate::engine::ledger::{Decision, Direction, Verdict};
use crate::engine::settings::{EntryMode, IndexPivotSettings, StrategySettings};
use crate::market::pivots::{DayType, Family, Levels};
use crate::market::{Candle, Instrument, InstrumentKey, InstrumentKind, Price};
pub use cross::{Cross, Targets};
use levels::{DayLevels, Opening, OpeningRange};
use locks::Locks;
use retest::{Armed, Progress};
use view::View;

/// Step of stops on an index, which has no tick of its own (₹0.05).
const INDEX_TICK: Price = Price::from_paise(5);

/// Strikes on each side of the money whose quotes are wanted.
const WATCHED_STRIKES: i64 = 2;

/// The strategy for one day.
#[derive(Debug)]
pub struct IndexPivot {
    instrument: InstrumentKey,
    tick: Price,
    settings: IndexPivotSettings,
    first_entry: NaiveTime,
    last_entry: NaiveTime,
    strike_step: Price,
    contracts: Vec<Instrument>,
    day: DayLevels,
    sequence: Sequence,
    sizes: Sizes,
    opening: Option<Opening>,
    range: OpeningRange,
    last: Option<Candle>,
    locks: Locks,
    armed: Option<Armed>,
}

impl IndexPivot {
    /// Builds it for the plan's signal instrument.
    ///
    /// # Errors
    /// When the plan has no history of it, its candle yields no levels, or
    /// the family lacks levels that the rules name.
    pub fn new(plan: &DayPlan) -> Result<IndexPivot, PlanError> {
        let StrategySettings::IndexPivot(settings) = &plan.settings.strategy else {
            return Err(PlanError::Invalid("the settings are not of index-pivot".into()));
        };
        let history = super::history_of(plan, &plan.signal.key)?;
        let range_s = settings.or_minutes.saturating_mul(60);
        let range_candles = range_s.div_ceil(plan.candle_s.max(1));
        let tick = if plan.signal.tick > Price::ZERO { plan.signal.tick } else { INDEX_TICK };
        Ok(IndexPivot {
            instrument: plan.signal.key.clone(),
            tick,
            settings: settings.clone(),
            first_entry: plan.settings.schedule.first_entry,
            last_entry: plan.settings.schedule.last_entry,
            strike_step: plan.strike_step,
            contracts: plan.contracts.clone(),
            day: DayLevels::new(history.previous, settings)?,
            sequence: Sequence::unbroken(plan.open, plan.candle_s),
            sizes: Sizes::new(settings.lookback, settings.sig_percentile, &history.candles),
            opening: None,
            range: OpeningRange::of_candles(range_candles),
            last: None,
            locks: Locks::default(),
            armed: None,
        })
    }

    /// How wide the central pivot range is.
    pub const fn day_type(&self) -> DayType {
        self.day.day_type
    }

    /// The gap in percent of the previous close with two decimals, once the
    /// day has opened.
    pub fn gap_percent(&self) -> Option<String> {
        self.opening.map(|opening| opening.gap_percent())
    }

    /// Why the whole day is refused, if it is.
    pub fn halted(&self) -> Option<&'static str> {
        match self.opening {
            Some(opening) => opening.halt,
            None => self.last.map(|_| reason::OPEN_UNKNOWN),
        }
    }

    /// Why a direction is refused for the day, if it is.
    pub fn blocked(&self, direction: Direction) -> Option<&'static str> {
        self.opening.and_then(|opening| opening.blocked(direction))
    }

    /// Judges a candle; also returns the cross that was judged, if there was
    /// one.
    pub fn judge(&mut self, input: &CandleInput<'_>) -> (Judgement, Option<Cross>) {
        if *input.instrument != self.instrument {
            let decision = self.quiet(input, reason::NOT_A_SIGNAL_INSTRUMENT);
            return (Judgement { decision, signal: None }, None);
        }
        let candle = input.candle;
        let slot = self.sequence.slot(candle.start);
        let valid = self.sequence.take(candle.start, input.sound);
        if slot == 0 {
            self.opening = Some(Opening::new(candle.open, &self.day, self.settings.gap_extreme));
        }
        if (0..i64::from(self.range.candles)).contains(&slot) {
            self.range.take(candle.high, candle.low);
        }
        let before = self.last.replace(*candle);
        let (judgement, cross) = match before {
            Some(before) if slot >= i64::from(self.range.candles) => {
                self.judge_after_opening(input, before.close, valid)
            }
            Some(_) | None => {
                let decision = self.quiet(input, reason::OPENING);
                (Judgement { decision, signal: None }, None)
            }
        };
        if input.sound {
            self.sizes.push(candle);
        }
        self.note_close(input.at, candle.close);
        (judgement, cross)
    }

    fn judge_after_opening(
        &mut self,
        input: &CandleInput<'_>,
        before: Price,
        valid: bool,
    ) -> (Judgement, Option<Cross>) {
        let waiting = self.armed.take().map(|armed| self.judge_retest(input, armed, valid));
        if let Some((judgement, cross, true)) = waiting {
            return (judgement, cross);
        }
        let crossed = [Direction::Long, Direction::Short].into_iter().find_map(|direction| {
            Some((direction, self.day.ladder(direction).crossed(before, input.candle.close)?))
        });
        let Some((direction, step)) = crossed else {
            if let Some(bounce) = self.judge_bounce(input, before, valid) {
                return bounce;
            }
            return match waiting {
                Some((judgement, cross, _)) => (judgement, cross),
                None => {
                    let mut decision = self.quiet(input, reason::NO_CROSS);
                    decision.numbers.push(numbers::price("previous close", before));
                    decision.numbers.extend(self.nearest_lines(before));
                    (Judgement { decision, signal: None }, None)
                }
            };
        };
        let cross = self.cross_of_breakout(input.candle, direction, step);
        let mut decision = self.quiet(input, reason::NO_CROSS);
        decision.numbers.push(numbers::price("previous close", before));
        cross.describe_level(&mut decision);
        let judgement = match self.settings.entry_mode {
            EntryMode::BreakoutClose => self.conclude(
                input,
                decision,
                &cross,
                self.refuse_breakout(input, &cross, valid)
                    .or_else(|| self.refuse_setup(&cross).or_else(|| self.refuse_position(input))),
            ),
            EntryMode::BreakoutRetest => {
                let refusal = self
                    .refuse_breakout(input, &cross, valid)
                    .or_else(|| self.refuse_position(input));
                if refusal.is_none() {
                    self.armed = Some(Armed::new(direction, step));
                    decision.reason = reason::ARMED.into();
                    decision.numbers.push(numbers::count("candles to come back", Armed::CANDLES));
                    Judgement { decision, signal: None }
                } else {
                    self.conclude(input, decision, &cross, refusal)
                }
            }
        };
        (judgement, Some(cross))
    }

    /// Judges a candle that came back from a level on a wide day.
    fn judge_bounce(
        &mut self,
        input: &CandleInput<'_>,
        before: Price,
        valid: bool,
    ) -> Option<(Judgement, Option<Cross>)> {
        if !self.settings.bounce || self.day.day_type != DayType::Wide {
            return None;
        }
        let (direction, step) =
            [Direction::Long, Direction::Short].into_iter().find_map(|direction| {
                Some((direction, self.day.ladder_back(direction).bounced(input.candle)?))
            })?;
        let cross = self.cross_of_bounce(input.candle, direction, step);
        let mut decision = self.quiet(input, reason::NO_CROSS);
        decision.numbers.push(numbers::price("previous close", before));
        cross.describe_level(&mut decision);
        let refusal = self.refuse_bounce(input, &cross, valid);
        let judgement = self.conclude(input, decision, &cross, refusal);
        Some((judgement, Some(cross)))
    }

    /// Follows an armed breakout; the flag says whether this settles the
    /// candle, so that no other cross is looked for.
    fn judge_retest(
        &mut self,
        input: &CandleInput<'_>,
        mut armed: Armed,
        valid: bool,
    ) -> (Judgement, Option<Cross>, bool) {
        let mut decision = self.quiet(input, reason::RETEST_WAIT);
        armed.describe(&mut decision);
        if !valid {
            decision.verdict = Verdict::Rejected;
            decision.reason = reason::CANDLE_INVALID.into();
            return (Judgement { decision, signal: None }, None, true);
        }
        let (verdict, code) = match armed.take(input.candle) {
            Progress::Returned => {
                let cross = self.cross_of_retest(input.candle, &armed);
                let refusal = self.refuse_retest(input, &cross);
                let judgement = self.conclude(input, decision, &cross, refusal);
                return (judgement, Some(cross), true);
            }
            Progress::Failed => (Verdict::Rejected, reason::RETEST_FAILED),
            Progress::Expired => (Verdict::Rejected, reason::RETEST_EXPIRED),
            Progress::Waiting => {
                self.armed = Some(armed);
                (Verdict::Quiet, reason::RETEST_WAIT)
            }
        };
        decision.verdict = verdict;
        decision.reason = code.into();
        (Judgement { decision, signal: None }, None, false)
    }

    /// Turns a cross and what was found against it into the answer.
    fn conclude(
        &mut self,
        input: &CandleInput<'_>,
        mut decision: Decision,
        cross: &Cross,
        refusal: Option<checks::Refusal>,
    ) -> Judgement {
        decision.direction = Some(cross.direction);
        decision.level = Some(cross.level_name.into());
        let signal = match refusal {
            Some(refusal) => {
                decision.verdict = Verdict::Rejected;
                decision.reason = refusal.reason.into();
                decision.numbers.extend(refusal.compared);
                None
            }
            None => {
                decision.verdict = Verdict::Enter;
                decision.reason = reason::ENTER.into();
                self.signal(input, cross)
            }
        };
        cross.describe_setup(&mut decision);
        if signal.is_some() {
            self.locks.entered(cross.direction, cross.level_name);
        }
        Judgement { decision, signal }
    }

    /// `None` only without a target, which [`checks`] refuses before.
    fn signal(&self, input: &CandleInput<'_>, cross: &Cross) -> Option<Signal> {
        let targets = cross.targets?;
        Some(Signal {
            instrument: self.instrument.clone(),
            direction: cross.direction,
            setup: cross.level_name.into(),
            structure: self.day.day_type.as_str().into(),
            candle: *input.candle,
            reference: input.candle.close,
            stop: cross.stop,
            first_target: Some(targets.first.1.rounded()),
            target: targets.second.1.rounded(),
            time_stop_candles: Some(self.settings.time_stop_candles),
            on_ticks: true,
            vehicle: Vehicle::Option,
            first_candle: false,
            re_entry: self.locks.entries(cross.direction, cross.level_name) > 0,
            levels: self.day.shown(),
        })
    }

    fn quiet(&self, input: &CandleInput<'_>, code: &str) -> Decision {
        Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: Verdict::Quiet,
            reason: code.into(),
            direction: None,
            level: None,
            numbers: vec![numbers::price("close", input.candle.close)],
        }
    }

    /// The lines that the next close would have to reach.
    fn nearest_lines(&self, before: Price) -> Vec<(String, String)> {
        [Direction::Long, Direction::Short]
            .into_iter()
            .filter_map(|direction| {
                let ladder = self.day.ladder(direction);
                let seen = ladder.view.price(before);
                let next = ladder.triggers().find(|step| step.line > seen)?;
                Some(numbers::level(
                    view::line_name(direction, next.name),
                    ladder.view.level(next.line),
                ))
            })
            .collect()
    }

    fn note_close(&mut self, end: crate::market::Timestamp, close: Price) {
        let day = &self.day;
        self.locks.on_close(end, close, |direction, name, close| {
            let ladder = day.ladder(direction);
            let level = ladder.steps.iter().find(|step| step.name == name);
            level.is_some_and(|step| ladder.view.price(close) < step.seen)
        });
    }

    fn facts(&self) -> Vec<(String, String)> {
        let day = &self.day;
        let mut facts = vec![
            numbers::text("family", day.levels.family().as_str()),
            numbers::text("CPR width", format!("{} %", day.cpr.width_percent(4))),
            numbers::level("CPR signed", day.cpr.signed),
            numbers::text("previous day", day.previous.date.to_string()),
            numbers::price("previous high", day.previous.high),
            numbers::price("previous low", day.previous.low),
            numbers::price("previous close", day.previous.close),
        ];
        facts.extend(self.kite_chart());
        if let Some(opening) = self.opening {
            facts.push(numbers::price("open", opening.open));
            facts.push(numbers::text("gap", format!("{} %", opening.gap_percent())));
        }
        if let (Ok(Some(top)), Ok(Some(bottom))) =
            (self.range.bound(Direction::Long), self.range.bound(Direction::Short))
        {
            facts.push(numbers::price("opening range high", top));
            facts.push(numbers::price("opening range low", bottom));
        }
        let held = [Direction::Long, Direction::Short]
            .into_iter()
            .filter_map(|direction| self.blocked(direction));
        facts.extend(
            self.halted().into_iter().chain(held).map(|code| numbers::text("no entries", code)),
        );
        facts
    }

    /// R3 and S3 as a Kite chart draws them, where ours are others.
    fn kite_chart(&self) -> Vec<(String, String)> {
        let Ok(kite) = Levels::compute(Family::Kite, &self.day.previous, None) else {
            return Vec::new();
        };
        ["R3", "S3"]
            .into_iter()
            .filter_map(|name| {
                let (ours, theirs) = (self.day.levels.get(name)?, kite.get(name)?);
                (ours != theirs).then(|| numbers::level(format!("{name} on a Kite chart"), *theirs))
            })
            .collect()
    }
}

impl Strategy for IndexPivot {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        self.judge(&input).0
    }

    fn on_missed(&mut self, setup: &str, direction: Direction) {
        self.locks.missed(direction, setup);
    }

    fn on_closed(&mut self, closed: ClosedTrade<'_>) {
        let stopped_at = is_stop(closed.reason).then_some(closed.at);
        let slot = self.sequence.last_closed(closed.at);
        self.locks.closed(closed.direction, closed.setup, stopped_at, slot);
        // The news may come after a candle that closed after the exit.
        if let Some(last) = self.last {
            let end = last.start + self.sequence.width();
            self.note_close(end, last.close);
        }
    }

    fn outlook(&self) -> Vec<Outlook> {
        vec![Outlook {
            instrument: self.instrument.clone(),
            structure: self.day.day_type.as_str().into(),
            levels: self.day.shown(),
            facts: self.facts(),
        }]
    }

    fn wants(&self, spot: Price) -> Vec<InstrumentKey> {
        let atm = spot.round_to(self.strike_step);
        let distance = |strike: Price| (strike - atm).paise().abs();
        let reach = self.strike_step.paise().saturating_mul(WATCHED_STRIKES);
        let mut near: Vec<&Instrument> = self
            .contracts
            .iter()
            .filter(|contract| match contract.kind {
                InstrumentKind::Call | InstrumentKind::Put => distance(contract.strike) <= reach,
                InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => false,
            })
            .collect();
        near.sort_by_key(|contract| (distance(contract.strike), contract.strike, contract.kind));
        near.into_iter().map(|contract| contract.key.clone()).collect()
    }
}

/// Sees prices the way a direction does.
const fn view(direction: Direction) -> View {
    View(direction)
}
