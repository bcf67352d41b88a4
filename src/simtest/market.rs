//! A thin market: one underlying that wanders in legs, and options priced off
//! it. Fast and shaped so that strategies find something to trade. Floating
//! point stays inside the pricing.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::dice::{Dice, Stream};
use crate::market::{
    BookLevel, Candle, Instrument, InstrumentKey, InstrumentKind, Price, Quantity, Quote, Timestamp,
};

/// Seconds of a leg of the walk.
const LEG_S: (i64, i64) = (240, 1_500);
/// Units in a level of a deep book, in lots.
const DEEP_LOTS: i64 = 250;

/// How an underlying moves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Deviation of a second, in paise.
    pub(super) noise: i64,
    /// Largest drift of a leg, in paise a second.
    pub(super) drift: i64,
    /// Chance of a leap at a tick, in parts per million, and its size.
    pub(super) leap: (i64, i64),
    /// Premium of an option at the money, in paise.
    pub(super) premium: i64,
}

#[derive(Debug)]
struct Listed {
    instrument: Instrument,
    last: i64,
    mean: i64,
    bid: i64,
    ask: i64,
    depth: Quantity,
    bars: Vec<Candle>,
    deciding: bool,
}

/// The prices of a day so far.
#[derive(Debug)]
pub(super) struct Market {
    dice: Dice,
    pace: Pace,
    signal: InstrumentKey,
    spot: i64,
    drift: i64,
    leg_until: Timestamp,
    at: Timestamp,
    open: Timestamp,
    width: TimeDelta,
    listed: BTreeMap<InstrumentKey, Listed>,
    /// Next to nobody trades until then.
    pub(super) thin_until: Timestamp,
    /// Forced prices of the underlying, by instant; the walk runs between.
    script: Vec<(Timestamp, i64)>,
}

/// Premium of an option near the money, in paise: a smooth bend between
/// nothing and what it is worth now.
pub(super) fn premium(spot: i64, strike: i64, kind: InstrumentKind, at_money: i64) -> i64 {
    let inside = match kind {
        InstrumentKind::Put => strike - spot,
        InstrumentKind::Call
        | InstrumentKind::Index
        | InstrumentKind::Equity
        | InstrumentKind::Future => spot - strike,
    };
    let (inside, wide) = (inside as f64, 2.0 * at_money as f64);
    ((inside + inside.mul_add(inside, wide * wide).sqrt()) / 2.0) as i64
}

impl Market {
    pub(super) fn new(
        seed: u64,
        plan: &crate::engine::DayPlan,
        pace: Pace,
        spot: i64,
        script: Vec<(Timestamp, i64)>,
    ) -> Market {
        let deciding =
            |key: &InstrumentKey| plan.histories.iter().any(|row| row.instrument == *key);
        let listed = plan
            .contracts
            .iter()
            .chain([&plan.signal])
            .map(|instrument| {
                let row = Listed {
                    instrument: instrument.clone(),
                    last: 0,
                    mean: 0,
                    bid: 0,
                    ask: 0,
                    depth: 0,
                    bars: Vec::new(),
                    deciding: deciding(&instrument.key),
                };
                (instrument.key.clone(), row)
            })
            .collect();
        let mut market = Market {
            dice: Dice::new(seed, Stream::Market),
            pace,
            signal: plan.signal.key.clone(),
            spot,
            drift: 0,
            leg_until: plan.open,
            at: plan.open,
            open: plan.open,
            width: TimeDelta::seconds(i64::from(plan.candle_s)),
            listed,
            thin_until: plan.open,
            script,
        };
        market.price_all();
        market
    }

    /// Lets the market run up to an instant.
    pub(super) fn run_to(&mut self, at: Timestamp) {
        let seconds = (at - self.at).num_seconds().max(1);
        self.at = at;
        if self.script.is_empty() {
            self.walk(at, seconds);
        } else {
            self.follow_script(at);
        }
        self.price_all();
    }

    fn walk(&mut self, at: Timestamp, seconds: i64) {
        if at >= self.leg_until {
            self.drift = self.dice.between(-self.pace.drift, self.pace.drift);
            self.leg_until = at + TimeDelta::seconds(self.dice.between(LEG_S.0, LEG_S.1));
        }
        let spread = (seconds as f64).sqrt();
        let deviation = (self.pace.noise as f64 * spread) as i64;
        let mut step = self.drift * seconds + self.dice.bell(deviation);
        if self.dice.ppm(self.pace.leap.0) {
            step += self.dice.between(-self.pace.leap.1, self.pace.leap.1);
        }
        self.spot = (self.spot + step).max(self.pace.noise * 1_000);
    }

    fn follow_script(&mut self, at: Timestamp) {
        let after = self.script.iter().position(|(when, _)| *when > at);
        self.spot = match after {
            Some(0) => self.script[0].1,
            Some(index) => {
                let ((from, low), (to, high)) = (self.script[index - 1], self.script[index]);
                let (passed, whole) = ((at - from).num_seconds(), (to - from).num_seconds());
                low + (high - low) * passed / whole.max(1)
            }
            None => self.script.last().map_or(self.spot, |(_, price)| *price),
        };
    }

    fn price_all(&mut self) {
        let Market { dice, pace, spot, listed, at, thin_until, open, width, script, .. } = self;
        for row in listed.values_mut() {
            let tick = row.instrument.tick.paise().max(5);
            let is_option = row.instrument.kind.option_type().is_some();
            let fair = if is_option {
                premium(*spot, row.instrument.strike.paise(), row.instrument.kind, pace.premium)
            } else {
                *spot
            };
            let half = if is_option {
                (fair / 800).clamp(tick, 20 * tick)
            } else {
                (fair / 10_000).max(tick)
            };
            let noise = if script.is_empty() && is_option { dice.between(-half, half) } else { 0 };
            row.last = ((fair + noise) / tick * tick).max(tick);
            row.mean = if row.mean == 0 { row.last } else { row.mean + (row.last - row.mean) / 6 };
            row.bid = ((row.last - half) / tick * tick).max(tick);
            row.ask = (row.last + half) / tick * tick + tick;
            let lot = row.instrument.lot.max(1);
            row.depth = if at < thin_until { lot } else { lot * DEEP_LOTS };
            if row.deciding {
                note_bar(&mut row.bars, *open, *width, *at, row.last);
            }
        }
    }

    /// A quote as the feed or a call would bring it: whole seconds.
    pub(super) fn quote(&self, key: &InstrumentKey) -> Option<Quote> {
        let row = self.listed.get(key)?;
        let at = Timestamp::from_timestamp(self.at.timestamp(), 0)?;
        let is_index = row.instrument.kind == InstrumentKind::Index;
        let level = |price: i64| BookLevel { price: Price::from_paise(price), quantity: row.depth };
        Some(Quote {
            instrument: key.clone(),
            at,
            last: Price::from_paise(row.last),
            bid: (!is_index).then(|| level(row.bid)),
            ask: (!is_index).then(|| level(row.ask)),
            ask_depth: if is_index { 0 } else { row.depth * 5 },
            volume: 0,
            open_interest: if is_index { 0 } else { 500_000 },
            reference: Price::from_paise(row.mean),
        })
    }

    pub(super) fn instrument(&self, key: &InstrumentKey) -> Option<&Instrument> {
        self.listed.get(key).map(|row| &row.instrument)
    }

    pub(super) fn signal(&self) -> &InstrumentKey {
        &self.signal
    }

    /// Instruments that decide.
    pub(super) fn deciding(&self) -> impl Iterator<Item = &InstrumentKey> {
        self.listed.iter().filter(|(_, row)| row.deciding).map(|(key, _)| key)
    }

    /// Candles of an instrument that were complete at an instant.
    pub(super) fn history(&self, key: &InstrumentKey, at: Timestamp) -> Vec<Candle> {
        let bars = self.listed.get(key).map_or(&[][..], |row| &row.bars[..]);
        bars.iter().filter(|bar| bar.start + self.width <= at).copied().collect()
    }

    /// An instrument that can be bought and is not `other`.
    pub(super) fn another(&self, other: Option<&InstrumentKey>) -> Option<InstrumentKey> {
        let tradable = self.listed.values().filter(|row| row.instrument.lot > 0);
        tradable.map(|row| &row.instrument.key).find(|key| Some(*key) != other).cloned()
    }
}

fn note_bar(bars: &mut Vec<Candle>, open: Timestamp, width: TimeDelta, at: Timestamp, last: i64) {
    if at < open || width <= TimeDelta::zero() {
        return;
    }
    let price = Price::from_paise(last);
    let slot = i32::try_from((at - open).num_seconds() / width.num_seconds()).unwrap_or(i32::MAX);
    let start = open + width * slot;
    match bars.last_mut() {
        Some(bar) if bar.start == start => {
            bar.high = bar.high.max(price);
            bar.low = bar.low.min(price);
            bar.close = price;
        }
        Some(_) | None => bars.push(Candle {
            start,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: 0,
        }),
    }
}
