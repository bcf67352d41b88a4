//! The candle backtest of `index-pivot`: signals by the strategy that trades
//! live, entries and exits in points of the index, no options.
//!
//! # Fills
//! - Entry at the close of the signal candle, at that instant.
//! - Each later one-minute bar, in this order: from `flatten_start` on, out
//!   at the bar's open; the stop (fill at the stop, or at the open when the
//!   bar opened beyond it); the last target (fill at the target, or at the
//!   open when the bar opened beyond it); the first target, which moves the
//!   stop to the entry price from the next bar on.
//! - At the close of the last candle of the time stop, when the first target
//!   was not reached: out at that close.
//! - A day that ends earlier: out at its last close.
//! - After a bar's exits its candle may close and signal.
//!
//! Entries and losses of a day are limited as in live trading; a trade below
//! zero points is a loss. Limits in rupees, liquidity and charges play no
//! part. A candle that lacks one of its minutes is unsound. A day whose
//! predecessor in the data fails the checks on day candles is left out.

use std::collections::BTreeMap;

use chrono::{NaiveDate, TimeDelta};

use super::bars::{Bars, Day, at_minute, minute_of};
use super::options::Options;
use super::plan::{file_instrument, plan};
use super::trades::{Reason, Trade};
use crate::engine::ledger::{Direction, ExitReason, Verdict};
use crate::engine::strategy::{CandleInput, ClosedTrade, IndexPivot, PlanError, Signal, Strategy};
use crate::market::calendar::SessionTimes;
use crate::market::pivots::{check_day, fit_close};
use crate::market::{Candle, DayCandle, InstrumentKey, Price, Timestamp};

/// Minutes of a candle.
const CANDLE: u16 = 3;

/// Trades and what became of every cross.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// The trades, in order of time.
    pub trades: Vec<Trade>,
    /// Crosses by what was decided: `ENTER` or the reason of the refusal.
    pub crosses: BTreeMap<String, u64>,
    /// Candles judged.
    pub candles: u64,
    /// Days left out, with the reason.
    pub left_out: Vec<(NaiveDate, String)>,
}

/// Runs all days. `previous` has the candle of the day before each.
///
/// # Errors
/// When the strategy cannot be built for any day at all, as with a family of
/// levels that lacks what the rules name.
pub fn run(
    bars: &Bars,
    previous: &[Option<DayCandle>],
    options: &Options,
) -> Result<Outcome, PlanError> {
    let mut outcome = Outcome::default();
    let mut built = false;
    let mut refused = None;
    let mut close_before = None;
    let mut day_before: Option<&Day> = None;
    for (day, candle) in bars.days.iter().zip(previous) {
        let day_before = day_before.replace(day);
        let Some(candle) = candle else { continue };
        let (candle, _) = fit_close(*candle);
        if let Err(error) = check_day(&candle, close_before.replace(candle.close)) {
            outcome.left_out.push((day.date, error.to_string()));
            continue;
        }
        let history = day_before.into_iter().flat_map(|before| candles(bars, before));
        let history = history.map(|built| built.candle).collect();
        let plan = plan(day.date, options.strategy.clone(), options.schedule, candle, history);
        match IndexPivot::new(&plan) {
            Ok(strategy) => {
                built = true;
                Run::new(strategy, options, &mut outcome).day(bars, day);
            }
            Err(error) => {
                outcome.left_out.push((day.date, error.to_string()));
                refused = Some(error);
            }
        }
    }
    match refused {
        Some(error) if !built => Err(error),
        Some(_) | None => Ok(outcome),
    }
}

/// A candle with the place of its last bar.
#[derive(Debug, Clone, Copy)]
struct Built {
    candle: Candle,
    last_bar: usize,
    minutes: u16,
}

/// Candles of a day's session, made of its bars.
fn candles<'a>(bars: &'a Bars, day: &'a Day) -> impl Iterator<Item = Built> + 'a {
    let close = minute_of(SessionTimes::on(day.date).index.close);
    let of = move |bar: usize| bars.minute.get(bar).map(|minute| minute / CANDLE);
    let mut bar = day.bars.start;
    std::iter::from_fn(move || {
        let slot = of(bar).filter(|slot| bar < day.bars.end && slot * CANDLE < close)?;
        let mut built: Option<Built> = None;
        while bar < day.bars.end && of(bar) == Some(slot) {
            let [open, high, low, price] = prices(bars, bar);
            let candle = match built {
                None => Candle {
                    start: at_minute(day.date, slot * CANDLE),
                    open,
                    high,
                    low,
                    close: price,
                    volume: 0,
                },
                Some(Built { candle, .. }) => Candle {
                    high: candle.high.max(high),
                    low: candle.low.min(low),
                    close: price,
                    ..candle
                },
            };
            let minutes = built.map_or(1, |built| built.minutes + 1);
            built = Some(Built { candle, last_bar: bar, minutes });
            bar += 1;
        }
        built
    })
}

fn prices(bars: &Bars, bar: usize) -> [Price; 4] {
    [&bars.open, &bars.high, &bars.low, &bars.close].map(|column| {
        Price::from_paise(column.get(bar).copied().map(i64::from).unwrap_or_default())
    })
}

/// A trade that runs.
#[derive(Debug)]
struct Held {
    signal: Signal,
    entered_at: Timestamp,
    stop: Price,
    is_runner: bool,
    candles: u32,
}

impl Held {
    /// True when `price` is at or beyond `level`, away from the entry on the
    /// side of gains.
    fn gained(&self, price: Price, level: Price) -> bool {
        match self.signal.direction {
            Direction::Long => price >= level,
            Direction::Short => price <= level,
        }
    }

    /// Exit within a bar, if any; the first target only moves the stop.
    fn on_bar(&mut self, [open, high, low, _]: [Price; 4]) -> Option<(Reason, Price)> {
        let (best, worst) = match self.signal.direction {
            Direction::Long => (high, low),
            Direction::Short => (low, high),
        };
        let stopped = |price: Price| match self.signal.direction {
            Direction::Long => price <= self.stop,
            Direction::Short => price >= self.stop,
        };
        if stopped(open) {
            return Some((Reason::Stop, open));
        }
        if stopped(worst) {
            return Some((Reason::Stop, self.stop));
        }
        let target = self.signal.target;
        if self.gained(best, target) {
            let fill = if self.gained(open, target) { open } else { target };
            return Some((Reason::Target, fill));
        }
        if self.signal.first_target.is_some_and(|first| self.gained(best, first)) {
            self.is_runner = true;
            if self.gained(self.signal.reference, self.stop) {
                self.stop = self.signal.reference;
            }
        }
        None
    }
}

/// One day's run.
struct Run<'a> {
    strategy: IndexPivot,
    options: &'a Options,
    outcome: &'a mut Outcome,
    instrument: InstrumentKey,
    held: Option<Held>,
    entries: u32,
    losses_in_row: u32,
}

impl<'a> Run<'a> {
    fn new(strategy: IndexPivot, options: &'a Options, outcome: &'a mut Outcome) -> Run<'a> {
        let instrument = file_instrument();
        Run { strategy, options, outcome, instrument, held: None, entries: 0, losses_in_row: 0 }
    }

    fn day(mut self, bars: &Bars, day: &Day) {
        let flatten = minute_of(self.options.schedule.flatten_start);
        let mut next_bar = day.bars.start;
        for built in candles(bars, day) {
            for bar in next_bar..=built.last_bar {
                self.bar(bars, day, bar, flatten);
            }
            next_bar = built.last_bar + 1;
            self.candle(bars, day, &built);
        }
        for bar in next_bar..day.bars.end {
            self.bar(bars, day, bar, flatten);
        }
        let last = day.bars.end.saturating_sub(1);
        let [_, _, _, close] = prices(bars, last);
        self.leave(Reason::SquareOff, close, bars.start(day, last), bars.start(day, last));
    }

    fn bar(&mut self, bars: &Bars, day: &Day, bar: usize, flatten: u16) {
        let Some(held) = &mut self.held else { return };
        let start = bars.start(day, bar);
        let prices = prices(bars, bar);
        if bars.minute.get(bar).is_some_and(|minute| *minute >= flatten) {
            let [open, ..] = prices;
            self.leave(Reason::SquareOff, open, start, start);
        } else if let Some((reason, price)) = held.on_bar(prices) {
            // Within the bar, so before the close of a candle that it ends.
            self.leave(reason, price, start, start + TimeDelta::seconds(59));
        }
    }

    fn candle(&mut self, bars: &Bars, day: &Day, built: &Built) {
        let end = built.candle.start + TimeDelta::minutes(i64::from(CANDLE));
        if let Some(held) = &mut self.held {
            held.candles += 1;
            let limit = held.signal.time_stop_candles;
            if !held.is_runner && limit.is_some_and(|limit| held.candles >= limit) {
                let start = bars.start(day, built.last_bar);
                self.leave(Reason::Timeout, built.candle.close, start, end);
            }
        }
        let judgement = self.strategy.on_candle(CandleInput {
            instrument: &self.instrument,
            candle: &built.candle,
            at: end,
            sound: built.minutes == CANDLE,
            spot: built.candle.close,
            flat: self.held.is_none(),
            entries_today: self.entries,
            consecutive_losses: self.losses_in_row,
            max_trades: self.options.max_trades,
            max_consecutive_losses: self.options.max_consecutive_losses,
        });
        self.outcome.candles += 1;
        match judgement.decision.verdict {
            Verdict::Quiet => {}
            Verdict::Rejected | Verdict::Enter => {
                *self.outcome.crosses.entry(judgement.decision.reason).or_default() += 1;
            }
        }
        if let Some(signal) = judgement.signal {
            self.entries += 1;
            let stop = signal.stop;
            self.held = Some(Held { signal, entered_at: end, stop, is_runner: false, candles: 0 });
        }
    }

    /// Leaves what is held: the trade list names the bar, the strategy is
    /// told the instant.
    fn leave(&mut self, reason: Reason, exit: Price, bar_start: Timestamp, at: Timestamp) {
        let Some(held) = self.held.take() else { return };
        let direction = held.signal.direction;
        let trade = Trade {
            direction,
            entered_at: held.entered_at,
            entry: held.signal.reference,
            exited_at: bar_start,
            exit,
            reason,
        };
        let is_loss = trade.points() < Price::ZERO;
        self.losses_in_row = if is_loss { self.losses_in_row + 1 } else { 0 };
        self.outcome.trades.push(trade);
        self.strategy.on_closed(ClosedTrade {
            setup: &held.signal.setup,
            instrument: &self.instrument,
            direction,
            reason: match reason {
                Reason::Stop => ExitReason::StopLoss,
                Reason::Target => ExitReason::Target,
                Reason::Timeout => ExitReason::Timeout,
                Reason::SquareOff => ExitReason::Eod,
            },
            at,
        });
    }
}
