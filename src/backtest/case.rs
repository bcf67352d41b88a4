//! Recorded cases: a previous day, sizes of candles before the day, the
//! day's candles; judged as if no position were ever taken.

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::plan::{CANDLE_S, file_instrument, plan};
use crate::engine::ledger::{Direction, Verdict};
use crate::engine::settings::{Schedule, StrategySettings};
use crate::engine::strategy::{CandleInput, Cross, IndexPivot, PlanError, Strategy};
use crate::market::time::{from_ist, hms};
use crate::market::{Candle, DayCandle, Price};

/// Longest day that a case may have, in candles.
const CANDLES_MAX: usize = 1000;

/// A share of history in percent: `whole.fraction` with at most seven
/// decimals, kept exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(i64);

impl Percent {
    const PLACES: usize = 7;

    /// Reads a percentage such as `0.012`.
    pub fn parse(text: &str) -> Option<Percent> {
        let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
        let fraction = fraction.trim_end_matches('0');
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = (1..=3).contains(&whole.len()) && fraction.len() <= Percent::PLACES;
        (fits && digits(whole) && digits(fraction))
            .then(|| format!("{whole}{fraction:0<7}").parse().ok().map(Percent))
            .flatten()
    }

    /// A candle whose body has this size.
    fn candle(self) -> Candle {
        // A body of `self.0` paise is the percentage of an open of 10⁹.
        let open = Price::from_paise(100 * 10_i64.pow(Percent::PLACES as u32));
        let close = open + Price::from_paise(self.0);
        Candle {
            start: from_ist(day(), hms(15, 12, 0)),
            open,
            high: close,
            low: open,
            close,
            volume: 0,
        }
    }
}

/// One case.
#[derive(Debug, Clone)]
pub struct Case {
    /// High, low and close of the previous day.
    pub previous: (Price, Price, Price),
    /// Body sizes of the candles before the day, oldest first.
    pub history: Vec<Percent>,
    /// Start, open, high, low and close of the day's candles.
    pub candles: Vec<(NaiveTime, [Price; 4])>,
}

/// What the strategy found in a case.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Width class of the central pivot range.
    pub day_type: &'static str,
    /// Gap in percent with two decimals; `None` without a first candle.
    pub gap_percent: Option<String>,
    /// Why longs are refused.
    pub no_longs: Option<&'static str>,
    /// Why shorts are refused.
    pub no_shorts: Option<&'static str>,
    /// Why the day is refused.
    pub halt: Option<&'static str>,
    /// Every cross of a level.
    pub crosses: Vec<JudgedCross>,
}

/// A cross of a level with the verdict on it.
#[derive(Debug, Clone)]
pub struct JudgedCross {
    /// End of the candle.
    pub at: NaiveTime,
    /// The cross.
    pub cross: Cross,
    /// Why it was refused; `None` when it signals.
    pub reject: Option<String>,
}

/// A case cannot be judged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// The previous day yields no levels.
    #[error("could not plan the day")]
    Plan(#[source] PlanError),
    /// More candles than any day has.
    #[error("the case has {0} candles; at most {CANDLES_MAX} are judged")]
    TooLong(usize),
    /// A candle contradicts itself.
    #[error("the candle at {0} contradicts itself: high and low must bound open and close")]
    Candle(NaiveTime),
    /// A candle does not follow the one before it.
    #[error(
        "the candle at {at} begins before the one at {before} ends: candles of {} minutes, each \
         once and in order, are judged", CANDLE_S / 60
    )]
    Order {
        /// Start of the candle.
        at: NaiveTime,
        /// Start of the candle before it.
        before: NaiveTime,
    },
}

/// Judges a case with `index-pivot`.
///
/// # Errors
/// When the previous day yields no levels or a candle is not one.
pub fn judge(case: &Case, settings: StrategySettings) -> Result<Judged, CaseError> {
    if case.candles.len() > CANDLES_MAX {
        return Err(CaseError::TooLong(case.candles.len()));
    }
    let (high, low, close) = case.previous;
    let previous =
        DayCandle { date: day().pred_opt().unwrap_or_default(), open: close, high, low, close };
    let history = case.history.iter().map(|size| size.candle()).collect();
    let plan = plan(day(), settings, Schedule::USUAL, previous, history);
    let mut strategy = IndexPivot::new(&plan).map_err(CaseError::Plan)?;
    let mut crosses = Vec::new();
    let mut before: Option<NaiveTime> = None;
    for (start, prices) in &case.candles {
        if let Some(before) = before
            && *start - before < TimeDelta::seconds(i64::from(CANDLE_S))
        {
            return Err(CaseError::Order { at: *start, before });
        }
        before = Some(*start);
        let candle = candle(*start, *prices).ok_or(CaseError::Candle(*start))?;
        crosses.extend(take(&mut strategy, &candle));
    }
    Ok(Judged {
        day_type: strategy.day_type().as_str(),
        gap_percent: strategy.gap_percent(),
        no_longs: strategy.blocked(Direction::Long),
        no_shorts: strategy.blocked(Direction::Short),
        halt: strategy.halted(),
        crosses,
    })
}

fn take(strategy: &mut IndexPivot, candle: &Candle) -> Option<JudgedCross> {
    let instrument = file_instrument();
    let end = candle.start + TimeDelta::seconds(i64::from(CANDLE_S));
    let input = CandleInput {
        instrument: &instrument,
        candle,
        at: end,
        sound: true,
        spot: candle.close,
        flat: true,
        entries_today: 0,
        consecutive_losses: 0,
        max_trades: u32::MAX,
        max_consecutive_losses: u32::MAX,
    };
    let (judgement, cross) = strategy.judge(&input);
    let cross = cross?;
    if let Some(signal) = judgement.signal {
        strategy.on_missed(&signal.setup, signal.direction);
    }
    let reject = match judgement.decision.verdict {
        Verdict::Enter => None,
        Verdict::Rejected | Verdict::Quiet => Some(judgement.decision.reason),
    };
    Some(JudgedCross { at: crate::market::time::ist_time(end), cross, reject })
}

fn candle(start: NaiveTime, [open, high, low, close]: [Price; 4]) -> Option<Candle> {
    let bounded = low > Price::ZERO && low <= open.min(close) && high >= open.max(close);
    let start = from_ist(day(), start);
    bounded.then_some(Candle { start, open, high, low, close, volume: 0 })
}

/// Any regular day: a case names none.
fn day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap_or_default()
}
