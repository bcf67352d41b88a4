//! One-minute bars in columns, as a backtest's loop wants them.

use std::collections::BTreeMap;
use std::ops::Range;

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use crate::market::time::{from_ist, hms};
use crate::market::{DayCandle, Price, Timestamp};

/// Bars of one instrument, day by day in order of time. Prices in paise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bars {
    /// First prices.
    pub open: Vec<i32>,
    /// Highest prices.
    pub high: Vec<i32>,
    /// Lowest prices.
    pub low: Vec<i32>,
    /// Last prices.
    pub close: Vec<i32>,
    /// Start of each bar, in minutes since 09:15.
    pub minute: Vec<u16>,
    /// The days.
    pub days: Vec<Day>,
    /// Bars before 09:15 or after 15:40, which are left out.
    pub outside_session: usize,
}

/// One day of bars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Its date in India.
    pub date: NaiveDate,
    /// Where its bars stand in the columns.
    pub bars: Range<usize>,
}

/// Day candles by date.
pub type DayCandles = BTreeMap<NaiveDate, DayCandle>;

/// Days that may lie between a day and the trading day before it: more than
/// any run of holidays.
const PREVIOUS_DAY_AGE_MAX: i64 = 12;

/// Minutes from 09:15 to the end of the longest session (15:40).
pub const SESSION_MINUTES: u16 = 385;

const OPEN: NaiveTime = hms(9, 15, 0);

impl Bars {
    /// Number of bars.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True without bars.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The day's candle as its bars tell it.
    pub fn day_candle(&self, day: &Day) -> Option<DayCandle> {
        let column = |column: &[i32]| column.get(day.bars.clone()).map(<[i32]>::to_vec);
        let (high, low) = (column(&self.high)?, column(&self.low)?);
        let price = |paise: &i32| Price::from_paise(i64::from(*paise));
        Some(DayCandle {
            date: day.date,
            open: price(self.open.get(day.bars.start)?),
            high: price(high.iter().max()?),
            low: price(low.iter().min()?),
            close: price(self.close.get(day.bars.end.checked_sub(1)?)?),
        })
    }

    /// The candle of the trading day before each day: as its bars tell it,
    /// or, when day candles are given, the last of them before the day.
    pub fn previous_days(&self, daily: Option<&DayCandles>) -> Vec<Option<DayCandle>> {
        let Some(daily) = daily else {
            let told = self.days.iter().map(|day| self.day_candle(day));
            return std::iter::once(None).chain(told).take(self.days.len()).collect();
        };
        let before = |day: &Day| {
            let (_, candle) = daily.range(..day.date).next_back()?;
            let age = (day.date - candle.date).num_days();
            (age <= PREVIOUS_DAY_AGE_MAX).then_some(*candle)
        };
        self.days.iter().map(before).collect()
    }

    /// Start of a bar.
    pub fn start(&self, day: &Day, bar: usize) -> Timestamp {
        let minutes = self.minute.get(bar).copied().unwrap_or_default();
        at_minute(day.date, minutes)
    }
}

/// The instant so many minutes after 09:15 of a date.
pub(super) fn at_minute(date: NaiveDate, minutes: u16) -> Timestamp {
    from_ist(date, OPEN) + TimeDelta::minutes(i64::from(minutes))
}

/// A time of day in minutes after 09:15; zero before that.
pub(super) fn minute_of(time: NaiveTime) -> u16 {
    u16::try_from((time - OPEN).num_minutes()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_before_comes_from_bars_or_from_day_candles() {
        let date = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let bars = Bars {
            open: vec![100, 200],
            high: vec![110, 210],
            low: vec![90, 190],
            close: vec![105, 205],
            minute: vec![0, 0],
            days: vec![Day { date: date(19), bars: 0..1 }, Day { date: date(23), bars: 1..2 }],
            outside_session: 0,
        };
        let closes = |daily: Option<&DayCandles>| {
            let days = bars.previous_days(daily);
            days.iter().map(|day| day.map(|day| day.close.paise())).collect::<Vec<_>>()
        };
        assert_eq!(closes(None), [None, Some(105)]);
        let candle = |day, paise| {
            let price = Price::from_paise(paise);
            let candle =
                DayCandle { date: date(day), open: price, high: price, low: price, close: price };
            (date(day), candle)
        };
        let daily = DayCandles::from([candle(2, 1), candle(20, 2), candle(23, 3)]);
        assert_eq!(closes(Some(&daily)), [None, Some(2)]);
    }
}
