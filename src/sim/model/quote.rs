//! Quotes: the running day of an instrument and the book around its price.

use super::noise::{hash, unit};
use super::rows::{DEPTH_LEVELS, DepthLevel};
use super::tape::{Bar, Tape};
use crate::market::{BookLevel, InstrumentKind, Price, Quantity};

/// High, low and value-weighted price up to the end of each minute.
#[derive(Debug)]
pub(super) struct DayRun {
    open: i64,
    marks: Vec<Mark>,
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
pub(super) struct Forming {
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
    /// Runs through the minutes of a tape.
    pub(super) fn of(tape: &Tape<'_>) -> DayRun {
        let bars: Vec<Bar> = (0..tape.minutes()).map(|minute| tape.bar(minute)).collect();
        let mut mark = Mark { high: i64::MIN, low: i64::MAX, weighted: 0.0 };
        let count = tape.minutes();
        let marks = (0..count)
            .zip(&bars)
            .map(|(minute, bar)| {
                let share = volume_share(minute + 1, count) - volume_share(minute, count);
                mark.high = mark.high.max(bar.high);
                mark.low = mark.low.min(bar.low);
                mark.weighted += share * (bar.high + bar.low + bar.open + bar.close) as f64 / 4.0;
                mark
            })
            .collect();
        DayRun { open: bars.first().map_or(0, |bar| bar.open), marks }
    }

    /// The figures at a second of the session, or after its end.
    pub(super) fn at(&self, tape: &Tape<'_>, second: u32, forming: &mut Forming) -> Running {
        let minute = (second / 60) as usize;
        let price = tape.price(second);
        let done =
            minute.min(self.marks.len()).checked_sub(1).and_then(|last| self.marks.get(last));
        let (mut high, mut low) = done.map_or((price, price), |mark| (mark.high, mark.low));
        if minute < self.marks.len() {
            let (top, bottom) = forming.reach(tape, second);
            high = high.max(top);
            low = low.min(bottom);
        }
        let share = share_at(tape, second);
        let done_share = volume_share(minute.min(self.marks.len()) as u32, tape.minutes());
        let weighted =
            done.map_or(0.0, |mark| mark.weighted) + price as f64 * (share - done_share).max(0.0);
        let average = if share > 0.0 { (weighted / share).round() as i64 } else { price };
        Running { open: self.open, high, low, average: average.clamp(low, high) }
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
