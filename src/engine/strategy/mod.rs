//! What a strategy is. Strategies know nothing of orders, accounts or
//! contracts: they see candles of their instruments and answer each with a
//! decision and its reason.

mod candles;
mod index_pivot;
pub mod level_breakout;
mod numbers;
pub mod parameters;
mod premium_pivot;
pub mod reason;
#[cfg(test)]
mod rig;

pub use candles::Share;
pub use index_pivot::{Cross, IndexPivot, Targets};
pub use level_breakout::LevelBreakout;
pub use premium_pivot::PremiumPivot;

use super::day::{DayPlan, History};
use super::ledger::{Decision, Direction, ExitReason};
use super::settings::{Ppm, StrategySettings};
use crate::market::pivots::Level;
use crate::market::{Candle, InstrumentKey, Price, Timestamp};

/// One strategy for one day. Built from a [`DayPlan`].
pub trait Strategy: std::fmt::Debug + Send {
    /// Judges a complete candle of one of the day's instruments. Called once
    /// for each candle, in order of time. Exactly one decision a candle; a
    /// signal only with [`super::ledger::Verdict::Enter`].
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement;

    /// A signal came to nothing (gate, illiquid, unfilled): the level is not
    /// used up.
    fn on_missed(&mut self, setup: &str, direction: Direction);

    /// A position that this strategy asked for is closed.
    fn on_closed(&mut self, closed: ClosedTrade<'_>);

    /// Levels and facts of the day, for the pre-market message, `/pivots` and
    /// pictures.
    fn outlook(&self) -> Vec<Outlook>;

    /// Contracts whose quotes are wanted besides the signal instruments,
    /// given the index's last price. In order of preference: candles that
    /// close at the same instant are to be judged in this order.
    fn wants(&self, spot: Price) -> Vec<InstrumentKey>;
}

/// A candle with what the engine knows at its close.
#[derive(Debug, Clone, Copy)]
pub struct CandleInput<'a> {
    /// Which instrument.
    pub instrument: &'a InstrumentKey,
    /// The candle.
    pub candle: &'a Candle,
    /// Its end: the time of the verdict.
    pub at: Timestamp,
    /// False when the feed had a gap in it.
    pub sound: bool,
    /// Last price of the index at the close (the candle's own close when the
    /// index is the signal instrument).
    pub spot: Price,
    /// True when nothing is held and no entry works.
    pub flat: bool,
    /// Entries with a fill so far today.
    pub entries_today: u32,
    /// Losing trades in a row.
    pub consecutive_losses: u32,
    /// Limits, as they stand now.
    pub max_trades: u32,
    /// See [`CandleInput::max_trades`].
    pub max_consecutive_losses: u32,
}

/// A strategy's answer to a candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What was decided and why.
    pub decision: Decision,
    /// The entry asked for.
    pub signal: Option<Signal>,
}

/// An entry asked for. Stop and targets are prices of the signal instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The instrument that signalled.
    pub instrument: InstrumentKey,
    /// Which way.
    pub direction: Direction,
    /// Level or scenario: `R1`, `SCENARIO_1`. Used for locks and reports.
    pub setup: String,
    /// Day type or structure, for the record.
    pub structure: String,
    /// The signal candle.
    pub candle: Candle,
    /// Price that the signal refers to: its close.
    pub reference: Price,
    /// Leaves when the signal instrument is at or beyond this.
    pub stop: Price,
    /// Moves the stop to `reference` when reached; `None` when there is only
    /// one target.
    pub first_target: Option<Price>,
    /// Leaves when reached.
    pub target: Price,
    /// Leaves at the close of this many candles after the signal candle
    /// unless the first target was reached; `None` for never.
    pub time_stop_candles: Option<u32>,
    /// Whether stop and target act on ticks.
    pub on_ticks: bool,
    /// What to trade.
    pub vehicle: Vehicle,
    /// True for the day's first candle.
    pub first_candle: bool,
    /// True when it follows a stop on the same setup.
    pub re_entry: bool,
    /// Levels to show with the trade, rounded to the paisa.
    pub levels: Vec<(String, Price)>,
}

/// What is traded on a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vehicle {
    /// An option near the money is bought: a call for long, a put for short.
    Option,
    /// The signal instrument itself.
    Itself,
}

/// What a strategy learns when its position is closed.
#[derive(Debug, Clone, Copy)]
pub struct ClosedTrade<'a> {
    /// The signal's setup.
    pub setup: &'a str,
    /// The signal instrument.
    pub instrument: &'a InstrumentKey,
    /// Which way it went.
    pub direction: Direction,
    /// Why it was closed.
    pub reason: ExitReason,
    /// When.
    pub at: Timestamp,
}

/// What a strategy says of one instrument's day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// Which instrument.
    pub instrument: InstrumentKey,
    /// Day type or structure.
    pub structure: String,
    /// Levels, rounded to the paisa, in descending order of price.
    pub levels: Vec<(String, Price)>,
    /// Further facts: name and value as text.
    pub facts: Vec<(String, String)>,
}

/// Builds the strategy that the plan's settings name.
///
/// # Errors
/// Says what in the plan does not suffice (no history, wrong candles).
pub fn build(plan: &DayPlan) -> Result<Box<dyn Strategy>, PlanError> {
    Ok(match &plan.settings.strategy {
        StrategySettings::IndexPivot(_) => Box::new(IndexPivot::new(plan)?),
        StrategySettings::PremiumPivot(_) => Box::new(PremiumPivot::new(plan)?),
        StrategySettings::LevelBreakout(_) => Box::new(LevelBreakout::new(plan)?),
    })
}

fn history_of<'a>(plan: &'a DayPlan, key: &InstrumentKey) -> Result<&'a History, PlanError> {
    plan.histories
        .iter()
        .find(|history| history.instrument == *key)
        .ok_or_else(|| PlanError::Missing(format!("the previous day's candle of {key}")))
}

/// A share of a value's size.
fn share_of(value: Level, share: Ppm) -> Level {
    value.abs().scaled((share.0, Ppm::WHOLE))
}

/// True when a position was closed by its stop, ours or the one that rests at
/// the exchange.
const fn is_stop(reason: ExitReason) -> bool {
    match reason {
        ExitReason::StopLoss | ExitReason::CatastropheSl => true,
        ExitReason::Panic
        | ExitReason::Risk
        | ExitReason::Target
        | ExitReason::Timeout
        | ExitReason::Eod
        | ExitReason::Manual
        | ExitReason::BrokerSquareOff
        | ExitReason::Blind
        | ExitReason::Unprotected
        | ExitReason::Event => false,
    }
}

/// The plan does not suffice for a strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Something is not there.
    #[error("the day plan lacks {0}")]
    Missing(String),
    /// Something is there and wrong.
    #[error("the day plan is unusable: {0}")]
    Invalid(String),
}
