//! Candles of the past, asked for in pieces that the broker allows.

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use serde_json::Value;

use super::client::Client;
use super::decode::timestamp;
use super::error::KiteError;
use super::limits::Bucket;
use crate::market::time::{from_ist, ist, ist_date};
use crate::market::{Candle, DayCandle, Price, Quantity, Timestamp};

/// Most pieces of one request: some 33 years of days, five of minutes.
const PIECES_MAX: usize = 40;

/// Width of historical candles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interval {
    /// One minute.
    Minute,
    /// Three minutes.
    Minute3,
    /// Five minutes.
    Minute5,
    /// Ten minutes.
    Minute10,
    /// A quarter of an hour.
    Minute15,
    /// Half an hour.
    Minute30,
    /// An hour.
    Minute60,
    /// A session.
    Day,
}

impl Interval {
    /// All of them.
    pub const ALL: [Interval; 8] = [
        Interval::Minute,
        Interval::Minute3,
        Interval::Minute5,
        Interval::Minute10,
        Interval::Minute15,
        Interval::Minute30,
        Interval::Minute60,
        Interval::Day,
    ];

    /// The interval of a width in minutes, where Kite has one.
    pub const fn of_minutes(minutes: u32) -> Option<Interval> {
        match minutes {
            1 => Some(Interval::Minute),
            3 => Some(Interval::Minute3),
            5 => Some(Interval::Minute5),
            10 => Some(Interval::Minute10),
            15 => Some(Interval::Minute15),
            30 => Some(Interval::Minute30),
            60 => Some(Interval::Minute60),
            _ => None,
        }
    }

    /// Kite's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Interval::Minute => "minute",
            Interval::Minute3 => "3minute",
            Interval::Minute5 => "5minute",
            Interval::Minute10 => "10minute",
            Interval::Minute15 => "15minute",
            Interval::Minute30 => "30minute",
            Interval::Minute60 => "60minute",
            Interval::Day => "day",
        }
    }

    /// Reads Kite's word.
    pub fn parse(text: &str) -> Option<Interval> {
        Interval::ALL.into_iter().find(|interval| interval.as_str() == text)
    }

    /// Longest span of one request, in days.
    pub const fn days_max(self) -> i64 {
        match self {
            Interval::Minute => 60,
            Interval::Minute3 | Interval::Minute5 | Interval::Minute10 => 100,
            Interval::Minute15 | Interval::Minute30 => 200,
            Interval::Minute60 => 400,
            Interval::Day => 2000,
        }
    }
}

/// A candle of the past, with open interest when it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoricalCandle {
    /// The candle.
    pub candle: Candle,
    /// Open interest at its end, in units.
    pub open_interest: Option<Quantity>,
}

impl Client {
    /// Candles from `from` to `to`, both included, oldest first. Long spans
    /// are asked for piece by piece.
    ///
    /// # Errors
    /// When a piece fails or cannot be read: history with a hole would be
    /// worse than none.
    pub async fn historical(
        &self,
        token: u32,
        interval: Interval,
        from: Timestamp,
        to: Timestamp,
        with_open_interest: bool,
    ) -> Result<Vec<HistoricalCandle>, KiteError> {
        let path = format!("/instruments/historical/{token}/{}", interval.as_str());
        let mut all: Vec<HistoricalCandle> = Vec::new();
        for (from, to) in pieces(interval, from, to)? {
            let query = [
                ("from", kite_time(from)),
                ("to", kite_time(to)),
                ("continuous", "0".to_string()),
                ("oi", u8::from(with_open_interest).to_string()),
            ];
            let data = self.read_data(Bucket::Historical, &path, &query).await?;
            let candles =
                candles(&data).map_err(|reason| KiteError::Unreadable { http: 200, reason })?;
            let last = all.last().map(|last| last.candle.start);
            all.extend(
                candles.into_iter().filter(|new| last.is_none_or(|at| new.candle.start > at)),
            );
        }
        Ok(all)
    }

    /// Candles of whole sessions, from the first to the last date, both
    /// included.
    ///
    /// # Errors
    /// As [`Client::historical`].
    pub async fn day_candles(
        &self,
        token: u32,
        first: NaiveDate,
        last: NaiveDate,
    ) -> Result<Vec<DayCandle>, KiteError> {
        let end = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or(NaiveTime::MIN);
        let (from, to) = (from_ist(first, NaiveTime::MIN), from_ist(last, end));
        let candles = self.historical(token, Interval::Day, from, to, false).await?;
        Ok(candles.iter().map(|row| day_candle(&row.candle)).collect())
    }
}

fn day_candle(candle: &Candle) -> DayCandle {
    let Candle { start, open, high, low, close, volume: _ } = *candle;
    DayCandle { date: ist_date(start), open, high, low, close }
}

fn kite_time(at: Timestamp) -> String {
    ist(at).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// Splits a span at the broker's cap. `to` is included on the wire, so that
/// a piece ends a second before the next begins.
fn pieces(
    interval: Interval,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, Timestamp)>, KiteError> {
    if from > to {
        let reason = format!("from {} is after to {}", kite_time(from), kite_time(to));
        return Err(KiteError::BadRequest { reason });
    }
    let span = TimeDelta::days(interval.days_max());
    let mut pieces = Vec::new();
    let mut start = from;
    while start <= to {
        if pieces.len() == PIECES_MAX {
            let reason = format!("a span of more than {PIECES_MAX} requests");
            return Err(KiteError::BadRequest { reason });
        }
        let next = start + span;
        pieces.push((start, to.min(next - TimeDelta::seconds(1))));
        start = next;
    }
    Ok(pieces)
}

/// Reads `candles`: `[start, open, high, low, close, volume, open interest?]`.
pub(super) fn candles(data: &Value) -> Result<Vec<HistoricalCandle>, String> {
    let list = data.get("candles").and_then(Value::as_array).ok_or("no list of candles")?;
    let row = |(index, value): (usize, &Value)| {
        candle(value).ok_or_else(|| format!("candle {index} cannot be read: {value}"))
    };
    let candles: Vec<_> = list.iter().enumerate().map(row).collect::<Result<_, _>>()?;
    let rises = |pair: &[HistoricalCandle]| pair[0].candle.start < pair[1].candle.start;
    if !candles.windows(2).all(rises) {
        return Err("candles are not in the order of time".into());
    }
    Ok(candles)
}

fn candle(value: &Value) -> Option<HistoricalCandle> {
    let cells = value.as_array()?;
    let price = |index: usize| Price::from_f64_rupees(cells.get(index)?.as_f64()?);
    let candle = Candle {
        start: timestamp(cells.first()?.as_str()?)?,
        open: price(1)?,
        high: price(2)?,
        low: price(3)?,
        close: price(4)?,
        volume: cells.get(5).and_then(units).unwrap_or_default(),
    };
    let sound = candle.low <= candle.open.min(candle.close)
        && candle.high >= candle.open.max(candle.close)
        && candle.low.paise() >= 0;
    sound.then(|| HistoricalCandle { candle, open_interest: cells.get(6).and_then(units) })
}

fn units(value: &Value) -> Option<Quantity> {
    value.as_i64().or_else(|| value.as_f64().map(|float| float as i64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn long_spans_are_cut_without_gap_or_overlap() {
        let from: Timestamp = "2026-01-01T03:45:00Z".parse().unwrap();
        let to = from + TimeDelta::days(150);
        let pieces = pieces(Interval::Minute, from, to).unwrap();
        assert_eq!(pieces.len(), 3);
        assert_eq!((pieces[0].0, pieces[2].1), (from, to));
        for pair in pieces.windows(2) {
            assert_eq!(pair[0].1 + TimeDelta::seconds(1), pair[1].0);
        }
        for (from, to) in pieces {
            assert!(to - from < TimeDelta::days(60));
        }
        assert!(super::pieces(Interval::Day, to, from).is_err());
        assert!(super::pieces(Interval::Minute, from, from + TimeDelta::days(9999)).is_err());
        assert_eq!(super::pieces(Interval::Day, from, from).unwrap(), [(from, from)]);
    }

    #[test]
    fn reads_candles_with_and_without_open_interest() {
        let data = json!({"candles": [
            ["2026-11-23T09:15:00+0530", 100, 101.5, 99.95, 100.05, 10],
            ["2026-11-23T09:18:00+0530", 100.05, 101, 100, 101, 20.0, 30],
        ]});
        let candles = candles(&data).unwrap();
        assert_eq!(candles[0].candle.low.paise(), 9_995);
        assert_eq!(candles[0].candle.start, "2026-11-23T03:45:00Z".parse::<Timestamp>().unwrap());
        assert_eq!((candles[0].open_interest, candles[1].open_interest), (None, Some(30)));
    }

    #[test]
    fn an_unsound_candle_spoils_the_answer() {
        let start = "2026-11-23T09:15:00+0530";
        for row in [
            json!([start, 100, 99, 98, 100, 0]),
            json!([start, 100, 101, 100.5, 101, 0]),
            json!([start, 100, 101, null, 101, 0]),
            json!(["today", 100, 101, 99, 101, 0]),
            json!([start, 100]),
            json!(7),
        ] {
            assert!(candles(&json!({"candles": [row]})).is_err(), "{row}");
        }
        assert_eq!(candles(&json!({"candles": []})).unwrap(), []);
        assert!(candles(&json!({})).is_err());
        let row = json!([start, 1, 1, 1, 1, 0]);
        assert!(candles(&json!({"candles": [row, row]})).is_err());
    }
}
