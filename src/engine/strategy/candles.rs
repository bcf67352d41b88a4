//! What all strategies ask of a run of candles: whether it is whole, and how
//! large a candle is against those before it.

use std::collections::VecDeque;

use num_rational::Ratio;

use crate::market::stats::percentile;
use crate::market::{Candle, Timestamp};

/// Body of a candle as a share of its open.
pub type Share = Ratio<i128>;

/// `|close − open| / open`; zero for an open of zero.
pub(super) fn size(candle: &Candle) -> Share {
    let open = i128::from(candle.open.paise());
    if open == 0 {
        return Share::from_integer(0);
    }
    let body = i128::from((candle.close - candle.open).paise()).abs();
    Ratio::new(body, open)
}

/// A share in percent with so many decimals, halves up.
pub(super) fn percent(share: Share, places: u32) -> String {
    decimal(share * 100, places)
}

fn decimal(value: Share, places: u32) -> String {
    let unit = 10_i128.pow(places);
    let scaled = (value * unit).round().to_integer();
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, fraction) = (scaled.abs() / unit, scaled.abs() % unit);
    format!("{sign}{whole}.{fraction:0width$}", width = places as usize)
}

/// Sizes of the last candles, for the percentile that makes a candle
/// significant.
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    window: usize,
    percent: u32,
    sizes: VecDeque<Share>,
}

impl Sizes {
    /// Starts with the previous session's candles, oldest first.
    pub(super) fn new(window: usize, percent: u32, history: &[Candle]) -> Sizes {
        let mut sizes = Sizes { window, percent, sizes: VecDeque::new() };
        for candle in history {
            sizes.push(candle);
        }
        sizes
    }

    pub(super) fn push(&mut self, candle: &Candle) {
        if self.sizes.len() >= self.window {
            self.sizes.pop_front();
        }
        if self.window > 0 {
            self.sizes.push_back(size(candle));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// The size from which a candle is significant: the percentile,
    /// interpolated between neighbours; `None` with fewer candles than
    /// `least`.
    pub(super) fn threshold(&self, least: usize) -> Option<Share> {
        if self.sizes.len() < least {
            return None;
        }
        let sizes: Vec<Share> = self.sizes.iter().copied().collect();
        percentile(&sizes, self.percent)
    }
}

/// Watches that candles are sound and, where that matters, follow each other
/// without a hole.
#[derive(Debug, Clone)]
pub(super) struct Sequence {
    open: Timestamp,
    width_s: i64,
    holes_spoil: bool,
    last: Option<Timestamp>,
    broken: bool,
}

impl Sequence {
    /// For an instrument that prints all the time: a missing candle means
    /// that the feed failed.
    pub(super) fn unbroken(open: Timestamp, width_s: u32) -> Sequence {
        let width_s = i64::from(width_s.max(1));
        Sequence { open, width_s, holes_spoil: true, last: None, broken: false }
    }

    /// For an instrument that may not trade for a while.
    pub(super) fn sparse(open: Timestamp, width_s: u32) -> Sequence {
        Sequence { holes_spoil: false, ..Sequence::unbroken(open, width_s) }
    }

    /// Place of a candle in the day, from 0; negative before the open.
    pub(super) fn slot(&self, start: Timestamp) -> i64 {
        (start - self.open).num_seconds().div_euclid(self.width_s)
    }

    pub(super) fn width(&self) -> chrono::TimeDelta {
        chrono::TimeDelta::seconds(self.width_s)
    }

    /// Place of the last candle that was complete at an instant.
    pub(super) fn last_closed(&self, at: Timestamp) -> i64 {
        self.slot(at) - 1
    }

    /// Takes the next candle; true when signals may rest on it: it is sound
    /// and in its place, and so was the one before it.
    pub(super) fn take(&mut self, start: Timestamp, sound: bool) -> bool {
        let next = self.last.map(|last| last + self.width());
        let in_place = if self.holes_spoil {
            start == next.unwrap_or(self.open)
        } else {
            start >= next.unwrap_or(self.open)
        };
        let whole = sound && in_place;
        let valid = whole && !self.broken;
        self.broken = !whole;
        self.last = Some(self.last.map_or(start, |last| last.max(start)));
        valid
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Price;
    use crate::market::time::{from_ist, hms};

    fn at(hour: u32, minute: u32) -> Timestamp {
        from_ist(chrono::NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(), hms(hour, minute, 0))
    }

    #[test]
    fn a_hole_spoils_the_candle_after_it_and_the_next() {
        let check = |candles: &[(u32, bool)], expected: &[bool]| {
            let mut sequence = Sequence::unbroken(at(9, 15), 180);
            let taken: Vec<bool> = candles
                .iter()
                .map(|(minute, sound)| sequence.take(at(9, *minute), *sound))
                .collect();
            assert_eq!(taken, expected, "{candles:?}");
        };
        check(&[(15, true), (18, true), (21, true)], &[true, true, true]);
        check(&[(15, true), (21, true), (24, true), (27, true)], &[true, false, false, true]);
        check(&[(15, true), (18, false), (21, true), (24, true)], &[true, false, false, true]);
        check(&[(18, true), (21, true), (24, true)], &[false, false, true]);
    }

    #[test]
    fn slots_count_from_the_open() {
        let sequence = Sequence::unbroken(at(9, 15), 180);
        assert_eq!(sequence.slot(at(9, 15)), 0);
        assert_eq!(sequence.slot(at(10, 18)), 21);
        assert_eq!(sequence.last_closed(at(10, 20)), 20);
        assert_eq!(sequence.last_closed(at(10, 21)), 21);
        assert_eq!(sequence.slot(at(9, 14)), -1);
    }

    #[test]
    fn the_percentile_interpolates_and_the_window_rolls() {
        let candle = |paise: i64| Candle {
            start: at(9, 15),
            open: Price::from_paise(100_000),
            high: Price::from_paise(200_000),
            low: Price::from_paise(1),
            close: Price::from_paise(100_000 + paise),
            volume: 0,
        };
        let mut sizes = Sizes::new(4, 75, &[candle(10), candle(-20), candle(30), candle(40)]);
        let shown = |sizes: &Sizes| percent(sizes.threshold(4).unwrap(), 4);
        assert_eq!(shown(&sizes), "0.0325");
        sizes.push(&candle(50));
        assert_eq!(shown(&sizes), "0.0425");
        assert_eq!(sizes.len(), 4);
        assert!(sizes.threshold(5).is_none());
        assert!(Sizes::new(4, 75, &[]).threshold(0).is_none());
    }
}
