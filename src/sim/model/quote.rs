//! Quotes: the running day of an instrument and the book around its price.

use super::noise::{hash, unit};
use super::rows::{DEPTH_LEVELS, DepthLevel};
use super::tape::{Bar, Tape};
use crate::market::{BookLevel, InstrumentKind, Price, Quantity};

/// The running day of an instrument: extremes and value-weighted price at the
/// end of each minute so far, and of the minute that forms. Grows with the
/// latest instant that was asked for.
#[derive(Debug, Default)]
pub(super) struct DayRun {
    open: i64,
    marks: Vec<Mark>,
    forming: Forming,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    high: i64,
    low: i64,
    /// Σ price × share of the day's volume.
    weighted: f64,
}

/// The running figures at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Running {
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) average: i64,
}

/// Extremes of a minute that is not over: filled second by second.
#[derive(Debug, Clone, Copy, Default)]
struct Forming {
    minute: u32,
    /// Seconds that are in; zero when nothing is.
    seconds: u32,
    high: i64,
    low: i64,
}

impl Forming {
    /// The extremes of the minute of `second`, up to it.
    fn reach(&mut self, tape: &Tape<'_>, second: u32) -> (i64, i64) {
        let (minute, wanted) = (second / 60, second % 60 + 1);
        if self.minute != minute || self.seconds > wanted || self.seconds == 0 {
            let first = tape.price(minute * 60);
            *self = Forming { minute, seconds: 1, high: first, low: first };
        }
        while self.seconds < wanted {
            let price = tape.price(minute * 60 + self.seconds);
            self.high = self.high.max(price);
            self.low = self.low.min(price);
            self.seconds += 1;
        }
        (self.high, self.low)
    }
}

impl DayRun {
    /// The figures at a second of the session.
    pub(super) fn at(&mut self, tape: &Tape<'_>, second: u32) -> Running {
        let minute = second / 60;
        self.grow(tape, minute);
        let price = tape.price(second);
        let done = (minute as usize).checked_sub(1).and_then(|last| self.marks.get(last)).copied();
        let (top, bottom) = self.forming.reach(tape, second);
        let high = done.map_or(top, |mark| mark.high.max(top));
        let low = done.map_or(bottom, |mark| mark.low.min(bottom));
        let share = share_at(tape, second);
        let since = share - volume_share(minute, tape.minutes());
        let weighted = done.map_or(0.0, |mark| mark.weighted) + price as f64 * since.max(0.0);
        let average = if share > 0.0 { (weighted / share).round() as i64 } else { price };
        Running { open: self.open, high, low, average: average.clamp(low, high) }
    }

    /// Adds the minutes before this one.
    fn grow(&mut self, tape: &Tape<'_>, minute: u32) {
        if self.open == 0 {
            self.open = tape.bar(0).open;
        }
        let count = tape.minutes();
        let known = u32::try_from(self.marks.len()).unwrap_or(count);
        for next in known..minute.min(count) {
            let bar: Bar = tape.bar(next);
            let share = volume_share(next + 1, count) - volume_share(next, count);
            let middle = (bar.high + bar.low + bar.open + bar.close) as f64 / 4.0;
            let before = self.marks.last().copied();
            self.marks.push(Mark {
                high: before.map_or(bar.high, |mark| mark.high.max(bar.high)),
                low: before.map_or(bar.low, |mark| mark.low.min(bar.low)),
                weighted: before.map_or(0.0, |mark| mark.weighted) + share * middle,
            });
        }
    }
}

/// Share of the day's volume that is done after a number of minutes: heavy at
/// both ends.
fn volume_share(minute: u32, minutes: u32) -> f64 {
    let share = (f64::from(minute) / f64::from(minutes.max(1))).min(1.0);
    share + 0.6 * (std::f64::consts::TAU * share).sin() / std::f64::consts::TAU
}

/// Share of the day's volume that is done at the end of a second.
pub(super) fn share_at(tape: &Tape<'_>, second: u32) -> f64 {
    let share = (f64::from(second + 1) / f64::from(tape.seconds().max(1))).min(1.0);
    share + 0.6 * (std::f64::consts::TAU * share).sin() / std::f64::consts::TAU
}

/// What shapes an instrument's book.
#[derive(Debug, Clone, Copy)]
pub(super) struct BookShape {
    pub(super) kind: InstrumentKind,
    pub(super) token: u32,
    pub(super) tick: i64,
    pub(super) lot: Quantity,
    /// Lots at a price, at most.
    pub(super) depth_lots: i64,
    /// Names the day's noise.
    pub(super) salt: u64,
}

/// Five levels on each side of a last price; none for an index.
pub(super) fn book(
    shape: BookShape,
    last: i64,
    second: u32,
) -> ([DepthLevel; DEPTH_LEVELS], [DepthLevel; DEPTH_LEVELS]) {
    let draw = |kind: u64, number: u64| {
        hash(&[shape.salt, u64::from(shape.token), kind, number, u64::from(second)])
    };
    let empty = [DepthLevel::default(); DEPTH_LEVELS];
    let width = match shape.kind {
        InstrumentKind::Index => return (empty, empty),
        InstrumentKind::Equity => shape.tick,
        InstrumentKind::Future => (last / 20_000).max(shape.tick),
        InstrumentKind::Call | InstrumentKind::Put => option_spread(last, unit(draw(1, 0))),
    };
    let ticks = (width / shape.tick).max(1);
    let below = (unit(draw(2, 0)) * (ticks + 1) as f64) as i64;
    let best_bid = last - below * shape.tick;
    let best_ask = best_bid + ticks * shape.tick;
    let level = |side: u64, index: usize, price: i64| {
        if price <= 0 {
            return DepthLevel::default();
        }
        let number = draw(3 + side, index as u64);
        let lots = 1 + (unit(number) * (shape.depth_lots - 1).max(0) as f64) as i64;
        let quantity = lots * shape.lot;
        let orders = 1 + (number % 3).min(lots.unsigned_abs() - 1) as u16;
        DepthLevel { level: BookLevel { price: Price::from_paise(price), quantity }, orders }
    };
    let (mut bids, mut asks) = (empty, empty);
    let (mut bid, mut ask) = (best_bid, best_ask);
    for (index, (lower, upper)) in bids.iter_mut().zip(&mut asks).enumerate() {
        *lower = level(0, index, bid);
        *upper = level(1, index, ask);
        bid -= shape.tick * (1 + (draw(6, index as u64) % 3) as i64);
        ask += shape.tick * (1 + (draw(7, index as u64) % 3) as i64);
    }
    (bids, asks)
}

/// Bid to ask of an option in paise: about 30 to 80 at a price of 400 rupees.
fn option_spread(last: i64, draw: f64) -> i64 {
    if last < 500 {
        return 5;
    }
    10 + (last as f64 * (0.0005 + 0.0012 * draw)) as i64
}
