//! The candle backtest of `level-breakout`, whose rules are fixed to the
//! letter so that other backtesters can be compared trade by trade.
//!
//! Levels come from the previous day in the data: high, low, and the close
//! of its last bar, unless day candles are given. A candle of three minutes that breaks out signals at its
//! close, when flat, with entries left and not after the last signal time;
//! the entry fills at the open of the day's next bar. On each bar from the
//! entry bar on: square-off at the open of the first bar at or after the
//! square-off time, then the stop, then the target; after that the candle
//! may close and signal again. On a day that ends before the square-off
//! time, the position is left at the last close, and an entry for which
//! there is no bar is dropped.

use super::bars::{Bars, Day, minute_of};
use super::trades::{Reason, Trade};
use crate::engine::ledger::Direction;
use crate::engine::settings::LevelBreakoutSettings;
use crate::engine::strategy::level_breakout::rules::{BarExit, DayLevels, breakout, exit_on_bar};
use crate::market::{DayCandle, Price};

/// Minutes of a candle.
const CANDLE: u16 = 3;

/// A trade in places of bars and paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Which of the days.
    pub day: usize,
    /// Long or short.
    pub direction: Direction,
    /// Bar of the entry.
    pub entry_bar: usize,
    /// Entry price in paise.
    pub entry: i64,
    /// Bar of the exit.
    pub exit_bar: usize,
    /// Exit price in paise.
    pub exit: i64,
    /// Why it was left.
    pub reason: Reason,
}

/// Levels of each day, from the candle of the day before it.
pub fn levels(previous: &[Option<DayCandle>], tick: Price) -> Vec<Option<DayLevels>> {
    let of = |candle: &DayCandle| DayLevels::of_day(candle, tick);
    previous.iter().map(|candle| candle.as_ref().map(of)).collect()
}

/// Runs all days. `levels` has one entry for each day; days without levels
/// are not traded.
pub fn run(
    bars: &Bars,
    levels: &[Option<DayLevels>],
    settings: &LevelBreakoutSettings,
) -> Vec<Fill> {
    let mut fills = Vec::new();
    let rules = Rules::new(settings);
    for (index, (day, levels)) in bars.days.iter().zip(levels).enumerate() {
        if let (Some(levels), Some(columns)) = (levels, Columns::of(bars, day)) {
            run_day(index, &columns, levels, &rules, &mut fills);
        }
    }
    fills
}

/// Fills with their instants and prices.
pub fn trades(bars: &Bars, fills: &[Fill]) -> Vec<Trade> {
    fills
        .iter()
        .filter_map(|fill| {
            let day = bars.days.get(fill.day)?;
            Some(Trade {
                direction: fill.direction,
                entered_at: bars.start(day, fill.entry_bar),
                entry: Price::from_paise(fill.entry),
                exited_at: bars.start(day, fill.exit_bar),
                exit: Price::from_paise(fill.exit),
                reason: fill.reason,
            })
        })
        .collect()
}

struct Rules {
    /// Last candle that may signal, by its place in the day.
    last_candle: u16,
    square_off: u16,
    max_entries: u32,
}

impl Rules {
    fn new(settings: &LevelBreakoutSettings) -> Rules {
        let last_close = minute_of(settings.last_signal);
        Rules {
            // Candle k closes at minute 3k + 3.
            last_candle: (last_close / CANDLE).wrapping_sub(1),
            square_off: minute_of(settings.square_off),
            max_entries: if last_close < CANDLE { 0 } else { settings.max_entries },
        }
    }
}

/// One day's columns, all of one length.
struct Columns<'a> {
    first: usize,
    open: &'a [i32],
    high: &'a [i32],
    low: &'a [i32],
    close: &'a [i32],
    minute: &'a [u16],
}

impl<'a> Columns<'a> {
    fn of(bars: &'a Bars, day: &Day) -> Option<Columns<'a>> {
        let range = day.bars.clone();
        Some(Columns {
            first: range.start,
            open: bars.open.get(range.clone())?,
            high: bars.high.get(range.clone())?,
            low: bars.low.get(range.clone())?,
            close: bars.close.get(range.clone())?,
            minute: bars.minute.get(range)?,
        })
    }
}

#[derive(Clone, Copy)]
struct Position {
    direction: Direction,
    bar: usize,
    price: i64,
}

#[expect(
    clippy::indexing_slicing,
    reason = "all columns have the length that the loop runs to; the checks vanish"
)]
fn run_day(
    index: usize,
    columns: &Columns<'_>,
    levels: &DayLevels,
    rules: &Rules,
    fills: &mut Vec<Fill>,
) {
    let count = columns.minute.len();
    let minute = &columns.minute[..count];
    let (open, high) = (&columns.open[..count], &columns.high[..count]);
    let (low, close) = (&columns.low[..count], &columns.close[..count]);
    let square_off = minute.partition_point(|minute| *minute < rules.square_off);
    let mut held: Option<Position> = None;
    let mut pending: Option<Direction> = None;
    let mut entries = 0;
    let mut candle_open = 0_i64;
    let mut candle = u16::MAX;
    for bar in 0..count {
        let opened = i64::from(open[bar]);
        if let Some(direction) = pending.take()
            && bar < square_off
        {
            held = Some(Position { direction, bar, price: opened });
            entries += 1;
        }
        if let Some(position) = held {
            let exit = if bar >= square_off {
                Some((Reason::SquareOff, opened))
            } else {
                let (high, low) = (i64::from(high[bar]), i64::from(low[bar]));
                exit_on_bar(levels, position.direction, opened, high, low).map(|(exit, price)| {
                    match exit {
                        BarExit::Stop => (Reason::Stop, price),
                        BarExit::Target => (Reason::Target, price),
                    }
                })
            };
            let last = (bar + 1 == count).then(|| (Reason::SquareOff, i64::from(close[bar])));
            if let Some((reason, exit)) = exit.or(last) {
                fills.push(Fill {
                    day: index,
                    direction: position.direction,
                    entry_bar: columns.first + position.bar,
                    entry: position.price,
                    exit_bar: columns.first + bar,
                    exit,
                    reason,
                });
                held = None;
            }
        }
        let of = minute[bar] / CANDLE;
        if of != candle {
            candle = of;
            candle_open = opened;
        }
        if held.is_none() && entries < rules.max_entries && of <= rules.last_candle {
            let closes = bar + 1 == count || minute[bar + 1] / CANDLE != of;
            if closes {
                pending = breakout(levels, candle_open, i64::from(close[bar]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::settings::StrategySettings;
    use crate::engine::strategy::parameters::defaults;
    use chrono::NaiveDate;

    fn settings() -> LevelBreakoutSettings {
        let StrategySettings::LevelBreakout(settings) = defaults("level-breakout").unwrap() else {
            panic!("another strategy")
        };
        settings
    }

    /// A day of flat bars at 100.00 with some replaced: minute, O, H, L, C.
    fn day(bars: &mut Bars, minutes: std::ops::Range<u16>, changes: &[(u16, [i32; 4])]) {
        let start = bars.len();
        for minute in minutes {
            let change = changes.iter().find(|(at, _)| *at == minute);
            let [open, high, low, close] = change.map_or([10_000; 4], |(_, prices)| *prices);
            bars.open.push(open);
            bars.high.push(high);
            bars.low.push(low);
            bars.close.push(close);
            bars.minute.push(minute);
        }
        let date = NaiveDate::from_ymd_opt(2026, 11, 2 + bars.days.len() as u32).unwrap();
        bars.days.push(Day { date, bars: start..bars.len() });
    }

    /// Levels PP 100, R1 110, R2 120, S1 90, S2 80.
    const LEVELS: DayLevels =
        DayLevels { pp: 10_000, r1: 11_000, s1: 9_000, r2: 12_000, s2: 8_000 };

    fn check(minutes: std::ops::Range<u16>, changes: &[(u16, [i32; 4])], expected: &[&str]) {
        let mut bars = Bars::default();
        day(&mut bars, minutes, changes);
        let shown: Vec<String> = run(&bars, &[Some(LEVELS)], &settings())
            .iter()
            .map(|fill| {
                format!(
                    "{} {}@{} {}@{} {}",
                    fill.direction.as_str(),
                    bars.minute[fill.entry_bar],
                    fill.entry,
                    bars.minute[fill.exit_bar],
                    fill.exit,
                    fill.reason.as_str()
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    const BREAKOUT: (u16, [i32; 4]) = (5, [10_900, 11_500, 10_000, 11_500]);

    #[test]
    fn enters_at_the_next_open_and_leaves_by_stop_or_target() {
        let up = [11_200, 11_300, 11_100, 11_200];
        check(0..375, &[BREAKOUT, (6, up)], &["LONG 6@11200 7@10000 stop"]);
        check(
            0..375,
            &[BREAKOUT, (6, up), (7, [11_200, 12_100, 11_000, 12_000])],
            &["LONG 6@11200 7@12000 target"],
        );
        check(
            0..375,
            &[(5, [9_100, 10_000, 8_500, 8_500]), (6, [8_600, 8_700, 8_500, 8_600])],
            &["SHORT 6@8600 7@10000 stop"],
        );
    }

    #[test]
    fn both_touched_in_the_entry_bar_is_a_stop() {
        check(
            0..375,
            &[BREAKOUT, (6, [11_200, 12_500, 9_900, 12_000])],
            &["LONG 6@11200 6@10000 stop"],
        );
    }

    #[test]
    fn squares_off_at_the_open_of_the_bar_or_at_the_end_of_a_short_day() {
        let above: Vec<(u16, [i32; 4])> = std::iter::once(BREAKOUT)
            .chain((6..375).map(|minute| (minute, [11_200, 11_300, 11_100, 11_250])))
            .collect();
        check(0..375, &above, &["LONG 6@11200 360@11200 squareoff"]);
        check(0..200, &above, &["LONG 6@11200 199@11250 squareoff"]);
        check(0..6, &above, &[]);
    }

    #[test]
    fn no_signal_after_the_last_time_and_none_past_the_target() {
        check(
            0..375,
            &[(329, [10_900, 11_500, 10_900, 11_500])],
            &["LONG 330@10000 330@10000 stop"],
        );
        check(0..375, &[(332, [10_900, 11_500, 10_900, 11_500])], &[]);
        check(0..375, &[(5, [10_900, 12_500, 10_000, 12_000])], &[]);
    }

    #[test]
    fn an_exit_in_the_last_minute_frees_the_same_close() {
        let up = [11_200, 11_300, 11_100, 11_200];
        let changes = [
            BREAKOUT,
            (6, up),
            (7, up),
            (8, [10_900, 11_500, 9_900, 11_400]), // stop, then the candle closes above R1
            (9, up),
        ];
        // The candle from minute 6 opened above R1: no second signal.
        check(0..375, &changes, &["LONG 6@11200 8@10000 stop"]);
        let mut again = changes;
        again[1].1 = [10_950, 11_300, 10_940, 11_200];
        check(0..375, &again, &["LONG 6@10950 8@10000 stop", "LONG 9@11200 10@10000 stop"]);
    }

    #[test]
    fn three_entries_a_day() {
        let mut changes = Vec::new();
        for start in [3, 9, 15, 21] {
            changes.push((start, [10_900, 11_500, 10_900, 11_500]));
            changes.push((start + 1, [11_500; 4]));
            changes.push((start + 2, [11_500; 4]));
            changes.push((start + 3, [11_500; 4]));
        }
        let mut bars = Bars::default();
        day(&mut bars, 0..375, &changes);
        assert_eq!(run(&bars, &[Some(LEVELS)], &settings()).len(), 3);
    }

    #[test]
    fn levels_come_from_the_day_before() {
        let mut bars = Bars::default();
        day(&mut bars, 0..375, &[(5, [10_000, 15_050, 13_820, 14_000]), (374, [14_575; 4])]);
        bars.low.fill(13_820);
        day(&mut bars, 0..375, &[]);
        let levels = levels(&bars.previous_days(None), Price::from_paise(5));
        assert_eq!(levels[0], None);
        assert_eq!(levels[1], Some(DayLevels::of(15_050, 13_820, 14_575, 5)));
    }
}
