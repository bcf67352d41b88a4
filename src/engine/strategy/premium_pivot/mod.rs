//! `premium-pivot`: buys an option whose own premium breaks out of its own
//! levels. Longs only; puts are bought on the put's own breakout.
//!
//! # What is judged here and what is not
//! Structure, colour, size, scenario, re-entries and the guards on target
//! and stop are judged here, with the limits of the day and the last entry
//! time. Permission, money, quotes and liquidity are the engine's. The first
//! entry time is not looked at: the first candle may signal.
//!
//! Of several scenarios that a candle fulfils, the first is taken whose
//! guards hold, so that a close above R3 is never entered with R3 as its
//! target and never hides the scenario that is meant for it.

mod scenario;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveTime};

use super::candles::{Sequence, Share, Sizes, size};
use super::{
    CandleInput, ClosedTrade, Judgement, Outlook, PlanError, Signal, Strategy, Vehicle, is_stop,
    numbers, reason,
};
use crate::engine::day::{DayPlan, History};
use crate::engine::ledger::{Decision, Direction, Verdict};
use crate::engine::settings::{ExitCheck, PremiumPivotSettings, StrategySettings, StrikeSelection};
use crate::market::pivots::Level;
use crate::market::time::ist_time;
use crate::market::{Candle, Instrument, InstrumentKey, InstrumentKind, Price, Timestamp};
use scenario::{PremiumLevels, Scenario, Structure};

/// Fewest candles by which a size can be judged.
const HISTORY_MIN: usize = 5;

/// The strategy for one day.
#[derive(Debug)]
pub struct PremiumPivot {
    date: NaiveDate,
    settings: PremiumPivotSettings,
    last_entry: NaiveTime,
    strike_step: Price,
    contracts: BTreeMap<InstrumentKey, Contract>,
    /// The last signal, until it is known what became of it.
    asked: Option<Asked>,
    stop_losses: u32,
    last_was_stop: bool,
}

#[derive(Debug)]
struct Contract {
    instrument: Instrument,
    levels: PremiumLevels,
    sequence: Sequence,
    sizes: Sizes,
    day_open: Option<Price>,
    used: BTreeSet<Scenario>,
}

#[derive(Debug)]
struct Asked {
    instrument: InstrumentKey,
    scenario: Scenario,
    at: Timestamp,
}

/// A breakout and what its trade would look like.
#[derive(Debug, Clone, Copy)]
struct Setup {
    scenario: Scenario,
    target: Level,
    target_price: Price,
    stop: Price,
}

type Compared = (&'static str, Vec<(String, String)>);

impl PremiumPivot {
    /// Builds it for the options of the plan that have a history.
    ///
    /// # Errors
    /// When no option has one, or the settings are of another strategy.
    pub fn new(plan: &DayPlan) -> Result<PremiumPivot, PlanError> {
        let StrategySettings::PremiumPivot(settings) = &plan.settings.strategy else {
            return Err(PlanError::Invalid("the settings are not of premium-pivot".into()));
        };
        let contracts: BTreeMap<InstrumentKey, Contract> = plan
            .histories
            .iter()
            .filter_map(|history| contract(plan, history, settings))
            .collect::<Result<_, _>>()?;
        if contracts.is_empty() {
            let what = "an option with a candle of the previous day".to_string();
            return Err(PlanError::Missing(what));
        }
        Ok(PremiumPivot {
            date: plan.date,
            settings: settings.clone(),
            last_entry: plan.settings.schedule.last_entry,
            strike_step: plan.strike_step,
            contracts,
            asked: None,
            stop_losses: 0,
            last_was_stop: false,
        })
    }

    /// The strike that `itm` selection buys at a spot.
    fn itm_strike(&self, instrument: &Instrument, spot: Price) -> Price {
        let steps = if instrument.expiry == Some(self.date) { 2 } else { 1 };
        let depth = Price::from_paise(self.strike_step.paise().saturating_mul(steps));
        let atm = spot.round_to(self.strike_step);
        match instrument.kind {
            InstrumentKind::Put => atm + depth,
            InstrumentKind::Call
            | InstrumentKind::Index
            | InstrumentKind::Equity
            | InstrumentKind::Future => atm - depth,
        }
    }

    fn judge(&mut self, input: &CandleInput<'_>) -> Judgement {
        let mut decision = Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: Verdict::Quiet,
            reason: reason::NO_LEVELS.into(),
            direction: None,
            level: None,
            numbers: vec![
                numbers::price("open", input.candle.open),
                numbers::price("close", input.candle.close),
            ],
        };
        let Some(contract) = self.contracts.get_mut(input.instrument) else {
            return Judgement { decision, signal: None };
        };
        let seen = contract.see(input);
        let setups = contract.setups(input.candle, seen.is_first);
        let Some(contract) = self.contracts.get(input.instrument) else {
            return Judgement { decision, signal: None };
        };
        let refused = setups
            .iter()
            .map(|setup| self.guard(contract, setup, input.candle))
            .collect::<Vec<Option<Compared>>>();
        let choice = refused.iter().position(Option::is_none).unwrap_or(0);
        let setup = setups.get(choice).copied();
        let refusal = self.refuse(contract, input, &seen).or_else(|| match setup {
            Some(_) => refused.into_iter().nth(choice).flatten(),
            None => Some((reason::NO_SCENARIO, contract.zones())),
        });
        if let Some(setup) = setup {
            decision.direction = Some(Direction::Long);
            decision.level = Some(setup.scenario.name().into());
        }
        match (setup, refusal) {
            (Some(setup), None) => self.enter(input, decision, setup, &seen),
            (setup, refusal) => {
                if setup.is_some() {
                    decision.verdict = Verdict::Rejected;
                }
                if let Some((code, compared)) = refusal {
                    decision.reason = code.into();
                    decision.numbers.extend(compared);
                }
                Judgement { decision, signal: None }
            }
        }
    }

    fn enter(
        &mut self,
        input: &CandleInput<'_>,
        mut decision: Decision,
        setup: Setup,
        seen: &Seen,
    ) -> Judgement {
        let Some(contract) = self.contracts.get_mut(input.instrument) else {
            return Judgement { decision, signal: None };
        };
        contract.used.insert(setup.scenario);
        self.asked = Some(Asked {
            instrument: input.instrument.clone(),
            scenario: setup.scenario,
            at: input.at,
        });
        decision.verdict = Verdict::Enter;
        decision.reason = reason::ENTER.into();
        decision.numbers.extend(contract.zones());
        decision.numbers.push(numbers::share("size", seen.size));
        decision.numbers.extend(seen.threshold.map(|least| numbers::share("size at least", least)));
        decision.numbers.push(numbers::price("stop", setup.stop));
        decision
            .numbers
            .push(numbers::level(format!("target {}", setup.scenario.target()), setup.target));
        let signal = Signal {
            instrument: input.instrument.clone(),
            direction: Direction::Long,
            setup: setup.scenario.name().into(),
            structure: contract.levels.structure.as_str().into(),
            candle: *input.candle,
            reference: input.candle.close,
            stop: setup.stop,
            first_target: None,
            target: setup.target_price,
            time_stop_candles: seen.is_first.then_some(self.settings.max_candles_timeout),
            on_ticks: self.settings.exit_check == ExitCheck::Tick,
            vehicle: Vehicle::Itself,
            first_candle: seen.is_first,
            re_entry: self.last_was_stop,
            levels: contract.levels.shown(),
        };
        Judgement { decision, signal: Some(signal) }
    }

    /// The conditions before the scenarios, in the order of the rules.
    fn refuse(
        &self,
        contract: &Contract,
        input: &CandleInput<'_>,
        seen: &Seen,
    ) -> Option<Compared> {
        if !seen.valid {
            return Some((reason::CANDLE_INVALID, Vec::new()));
        }
        self.refuse_contract(contract, input.spot)
            .or_else(|| self.refuse_candle(input.candle, seen))
            .or_else(|| self.refuse_limits(input))
            .or_else(|| {
                let now = ist_time(input.at);
                (now >= self.last_entry).then(|| {
                    let compared = vec![
                        numbers::time("time", now),
                        numbers::time("entries before", self.last_entry),
                    ];
                    (reason::TIME_WINDOW, compared)
                })
            })
    }

    fn refuse_contract(&self, contract: &Contract, spot: Price) -> Option<Compared> {
        if self.settings.strike_selection == StrikeSelection::Itm {
            let wanted = self.itm_strike(&contract.instrument, spot);
            if contract.instrument.strike != wanted {
                let compared = vec![
                    numbers::price("spot", spot),
                    numbers::price("strike", contract.instrument.strike),
                    numbers::price("strike bought", wanted),
                ];
                return Some((reason::NOT_SELECTED, compared));
            }
        }
        if contract.levels.structure != Structure::Bullish {
            let compared = vec![
                numbers::text("structure", contract.levels.structure.as_str()),
                numbers::level("(R1 - PP) - (PP - S1)", contract.levels.difference),
                numbers::level("at least", contract.levels.band),
            ];
            return Some((reason::NOT_BULLISH, compared));
        }
        None
    }

    fn refuse_candle(&self, candle: &Candle, seen: &Seen) -> Option<Compared> {
        if candle.close <= candle.open {
            return Some((reason::CANDLE_COLOUR, Vec::new()));
        }
        let Some(threshold) = seen.threshold else {
            let compared = vec![
                numbers::count("candles before", seen.candles_before),
                numbers::count("at least", HISTORY_MIN),
            ];
            return Some((reason::NO_HISTORY, compared));
        };
        (seen.size < threshold).then(|| {
            let name = format!("size, percentile {}", self.settings.candle_size_percentile);
            let compared = vec![numbers::share("size", seen.size), numbers::share(name, threshold)];
            (reason::NOT_SIGNIFICANT, compared)
        })
    }

    fn refuse_limits(&self, input: &CandleInput<'_>) -> Option<Compared> {
        let limit = |code, name: &str, value: u32, most: u32| {
            Some((code, vec![numbers::count(name, value), numbers::count("at most", most)]))
        };
        let re_entries = self.settings.max_re_entries;
        if !input.flat {
            Some((reason::POSITION_OPEN, Vec::new()))
        } else if self.asked.as_ref().is_some_and(|asked| asked.at == input.at) {
            Some((reason::ANOTHER_SIGNALLED, Vec::new()))
        } else if self.stop_losses > re_entries {
            limit(reason::REENTRY_LIMIT, "stop-losses today", self.stop_losses, re_entries)
        } else if input.entries_today >= input.max_trades {
            limit(reason::MAX_TRADES, "trades today", input.entries_today, input.max_trades)
        } else if input.consecutive_losses >= input.max_consecutive_losses {
            let (value, most) = (input.consecutive_losses, input.max_consecutive_losses);
            limit(reason::MAX_CONSEC_LOSSES, "losses in a row", value, most)
        } else {
            None
        }
    }

    fn guard(&self, contract: &Contract, setup: &Setup, candle: &Candle) -> Option<Compared> {
        if contract.used.contains(&setup.scenario) {
            return Some((reason::SCENARIO_USED, Vec::new()));
        }
        let close = Level::from_price(candle.close);
        let needed = Level::from_price(self.settings.min_reward);
        if setup.target - close < needed {
            let compared = vec![
                numbers::level(format!("target {}", setup.scenario.target()), setup.target),
                numbers::level("reward at least", needed),
            ];
            return Some((reason::REWARD_TOO_SMALL, compared));
        }
        (setup.stop >= candle.close)
            .then(|| (reason::NO_RISK, vec![numbers::price("stop", setup.stop)]))
    }
}

/// What a contract's candle is, besides its prices.
#[derive(Debug)]
struct Seen {
    valid: bool,
    is_first: bool,
    size: Share,
    candles_before: usize,
    threshold: Option<Share>,
}

impl Contract {
    fn see(&mut self, input: &CandleInput<'_>) -> Seen {
        let candle = input.candle;
        let is_first = self.sequence.slot(candle.start) == 0;
        let valid = self.sequence.take(candle.start, input.sound);
        if is_first && input.sound {
            self.day_open = Some(candle.open);
        }
        let candles_before = self.sizes.len();
        let seen = Seen {
            valid,
            is_first,
            size: size(candle),
            candles_before,
            threshold: self.sizes.threshold(HISTORY_MIN),
        };
        if input.sound {
            self.sizes.push(candle);
        }
        seen
    }

    fn setups(&self, candle: &Candle, is_first: bool) -> Vec<Setup> {
        let tick = self.instrument.tick;
        self.levels
            .scenarios(is_first, self.day_open, candle.open, candle.close)
            .into_iter()
            .filter_map(|scenario| {
                let target = *self.levels.levels.get(scenario.target())?;
                let target_price = target.floor_to(tick);
                Some(Setup { scenario, target, target_price, stop: candle.low.ceil_to(tick) })
            })
            .collect()
    }

    fn zones(&self) -> Vec<(String, String)> {
        let mut zones = Vec::new();
        zones.extend(self.day_open.map(|open| numbers::price("day opened at", open)));
        let names = ["S1", "PP", "R1", "R2", "R3"];
        zones.extend(
            names
                .into_iter()
                .filter_map(|name| Some(numbers::level(name, *self.levels.levels.get(name)?))),
        );
        zones
    }
}

fn contract(
    plan: &DayPlan,
    history: &History,
    settings: &PremiumPivotSettings,
) -> Option<Result<(InstrumentKey, Contract), PlanError>> {
    let instrument =
        plan.contracts.iter().find(|contract| contract.key == history.instrument)?.clone();
    let levels = match PremiumLevels::new(history.previous, settings) {
        Ok(levels) => levels,
        Err(error) => return Some(Err(error)),
    };
    let contract = Contract {
        levels,
        sequence: Sequence::sparse(plan.open, plan.candle_s),
        sizes: Sizes::new(
            settings.candle_window,
            settings.candle_size_percentile,
            &history.candles,
        ),
        day_open: None,
        used: BTreeSet::new(),
        instrument,
    };
    Some(Ok((history.instrument.clone(), contract)))
}

impl Strategy for PremiumPivot {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        self.judge(&input)
    }

    fn on_missed(&mut self, setup: &str, _direction: Direction) {
        let Some(asked) = self.asked.take_if(|asked| asked.scenario.name() == setup) else {
            return;
        };
        if let Some(contract) = self.contracts.get_mut(&asked.instrument) {
            contract.used.remove(&asked.scenario);
        }
    }

    fn on_closed(&mut self, closed: ClosedTrade<'_>) {
        self.asked = None;
        self.last_was_stop = is_stop(closed.reason);
        if !self.last_was_stop {
            return;
        }
        self.stop_losses += 1;
        if let Some(contract) = self.contracts.get_mut(closed.instrument) {
            contract.used.retain(|scenario| scenario.name() != closed.setup);
        }
    }

    fn outlook(&self) -> Vec<Outlook> {
        self.contracts
            .values()
            .map(|contract| {
                let levels = &contract.levels;
                let mut facts = vec![
                    numbers::text("family", levels.levels.family().as_str()),
                    numbers::level("(R1 - PP) - (PP - S1)", levels.difference),
                    numbers::level("bullish from", levels.band),
                    numbers::text("previous day", levels.previous.date.to_string()),
                    numbers::price("previous high", levels.previous.high),
                    numbers::price("previous low", levels.previous.low),
                    numbers::price("previous close", levels.previous.close),
                ];
                if !levels.can_qualify() {
                    let text = "no: the previous range is under three bands".to_string();
                    facts.push(numbers::text("can qualify", text));
                }
                Outlook {
                    instrument: contract.instrument.key.clone(),
                    structure: levels.structure.as_str().into(),
                    levels: levels.shown(),
                    facts,
                }
            })
            .collect()
    }

    fn wants(&self, spot: Price) -> Vec<InstrumentKey> {
        let mut contracts: Vec<&Instrument> =
            self.contracts.values().map(|contract| &contract.instrument).collect();
        contracts.sort_by_key(|instrument| {
            let distance = (instrument.strike - self.itm_strike(instrument, spot)).paise().abs();
            (distance, instrument.kind, instrument.strike)
        });
        contracts.into_iter().map(|instrument| instrument.key.clone()).collect()
    }
}
