//! Candles of past and present days, in every width that the broker offers.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::days::OPEN;
use super::rows::{HistoryCandle, Interval};
use super::tape::{Bar, Tape};
use crate::market::time::{from_ist, hms};
use crate::market::{Price, Quantity, Timestamp};

/// A minute with its number since 09:15.
#[derive(Debug, Clone, Copy)]
pub(super) struct NumberedBar {
    pub(super) minute: u32,
    pub(super) bar: Bar,
    pub(super) volume: Quantity,
    pub(super) open_interest: Quantity,
}

/// The minutes of a tape up to and with the second `until` (all when `None`);
/// the last may be incomplete.
pub(super) fn bars(
    tape: &Tape<'_>,
    until: Option<u32>,
    volume_at: impl Fn(u32) -> Quantity,
    open_interest_at: impl Fn(u32) -> Quantity,
) -> Vec<NumberedBar> {
    let last = tape.seconds().saturating_sub(1);
    let until = until.map_or(last, |second| second.min(last));
    (0..=until / 60)
        .map(|minute| {
            let (start, end) = (minute * 60, (minute * 60 + 59).min(until));
            let bar = if end % 60 == 59 { tape.bar(minute) } else { partial(tape, start, end) };
            let before = if start == 0 { 0 } else { volume_at(start - 1) };
            NumberedBar {
                minute,
                bar,
                volume: volume_at(end) - before,
                open_interest: open_interest_at(end),
            }
        })
        .collect()
}

fn partial(tape: &Tape<'_>, start: u32, end: u32) -> Bar {
    let first = tape.price(start);
    (start..=end).fold(Bar { open: first, high: first, low: first, close: first }, |bar, second| {
        let price = tape.price(second);
        Bar { high: bar.high.max(price), low: bar.low.min(price), close: price, ..bar }
    })
}

/// Gathers minutes of one day into candles of a width.
pub(super) fn candles(
    date: NaiveDate,
    bars: &[NumberedBar],
    interval: Interval,
) -> Vec<HistoryCandle> {
    let mut groups: BTreeMap<u32, HistoryCandle> = BTreeMap::new();
    for entry in bars {
        let group = match interval {
            Interval::Minutes(width) => entry.minute / width * width,
            Interval::Day => 0,
        };
        let candle = groups.entry(group).or_insert_with(|| HistoryCandle {
            start: start_of(date, group, interval),
            open: Price::from_paise(entry.bar.open),
            high: Price::from_paise(entry.bar.high),
            low: Price::from_paise(entry.bar.low),
            close: Price::from_paise(entry.bar.close),
            volume: 0,
            open_interest: 0,
        });
        candle.high = candle.high.max(Price::from_paise(entry.bar.high));
        candle.low = candle.low.min(Price::from_paise(entry.bar.low));
        candle.close = Price::from_paise(entry.bar.close);
        candle.volume += entry.volume;
        candle.open_interest = entry.open_interest;
    }
    groups.into_values().collect()
}

fn start_of(date: NaiveDate, minute: u32, interval: Interval) -> Timestamp {
    match interval {
        Interval::Minutes(_) => {
            from_ist(date, OPEN) + chrono::TimeDelta::minutes(i64::from(minute))
        }
        Interval::Day => from_ist(date, hms(0, 0, 0)),
    }
}
