//! A day plan for candles that come from a file.

use chrono::NaiveDate;

use crate::engine::day::{DayPlan, History};
use crate::engine::settings::{Schedule, StrategySettings};
use crate::market::{Candle, DayCandle, Exchange, InstrumentKey};

/// Width of the candles that strategies judge, in seconds.
pub(super) const CANDLE_S: u32 = 180;

/// The name under which the candles of a file are judged.
pub(super) fn file_instrument() -> InstrumentKey {
    InstrumentKey::new(Exchange::Bse, "INDEX")
}

/// Plans a day of an index for which only candles are known.
pub(super) fn plan(
    date: NaiveDate,
    strategy: StrategySettings,
    schedule: Schedule,
    previous: DayCandle,
    candles: Vec<Candle>,
) -> DayPlan {
    let history = History { instrument: file_instrument(), previous, candles };
    DayPlan::of_index(date, strategy, schedule, history)
}
