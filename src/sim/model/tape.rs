//! The prices of one instrument through one session: of an underlying its
//! path, of a derivative the fair value on that path with a little noise.
//!
//! A derivative's minute is its value at the underlying's open, high, low and
//! close; seconds in between are held inside that range. So its history, too,
//! agrees with its ticks exactly.

use chrono::NaiveDate;

use super::noise::{hash, unit};
use super::path::DayPath;
use super::pricing::{OptionTerms, future_value, smile};
use crate::market::{Instrument, InstrumentKind};

/// Seconds of a year.
const YEAR: f64 = 365.0 * 86_400.0;

/// An underlying's day, with what its derivatives need.
#[derive(Debug, Clone)]
pub(super) struct UnderlyingDay {
    pub(super) date: NaiveDate,
    /// Names the day's noise.
    pub(super) salt: u64,
    pub(super) path: DayPath,
    /// Previous close in paise.
    pub(super) previous_close: i64,
    /// Implied volatility at the money.
    pub(super) volatility: f64,
    /// Seconds from 09:15 until the underlying stops, and its derivatives.
    pub(super) cash_seconds: u32,
    pub(super) derivative_seconds: u32,
}

/// Open, high, low and close of a minute in paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
}

/// How an instrument is priced from its underlying.
#[derive(Debug, Clone, Copy)]
pub(super) enum Terms {
    /// It is the underlying.
    Spot,
    /// A future.
    Future,
    /// An option.
    Option(OptionTerms),
}

/// One instrument on one day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tape<'a> {
    day: &'a UnderlyingDay,
    terms: Terms,
    token: u32,
    tick: i64,
    expiry: Option<NaiveDate>,
    volatility: f64,
}

impl<'a> Tape<'a> {
    /// The tape of an instrument on its underlying's day.
    pub(super) fn new(instrument: &Instrument, day: &'a UnderlyingDay) -> Tape<'a> {
        let strike = instrument.strike.to_f64_rupees();
        let terms = match instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity => Terms::Spot,
            InstrumentKind::Future => Terms::Future,
            InstrumentKind::Call | InstrumentKind::Put => {
                OptionTerms::of(instrument.kind, strike).map_or(Terms::Future, Terms::Option)
            }
        };
        let reference = day.previous_close as f64 / 100.0;
        let volatility = match terms {
            Terms::Spot | Terms::Future => day.volatility,
            Terms::Option(_) => smile(day.volatility, strike, reference),
        };
        Tape {
            day,
            terms,
            token: instrument.token,
            tick: instrument.tick.paise(),
            expiry: instrument.expiry,
            volatility,
        }
    }

    /// Seconds of the session.
    pub(super) fn seconds(&self) -> u32 {
        match self.terms {
            Terms::Spot => self.day.cash_seconds,
            Terms::Future | Terms::Option(_) => self.day.derivative_seconds,
        }
    }

    /// Minutes of the session.
    pub(super) fn minutes(&self) -> u32 {
        self.seconds() / 60
    }

    /// The price at a second; after the session its last price.
    pub(super) fn price(&self, second: u32) -> i64 {
        let second = second.min(self.seconds().saturating_sub(1));
        match self.terms {
            Terms::Spot => self.on_tick(self.day.path.price(second)),
            Terms::Future | Terms::Option(_) => {
                let bar = self.bar(second / 60);
                self.value(second).clamp(bar.low, bar.high)
            }
        }
    }

    /// The minute with this number since 09:15.
    pub(super) fn bar(&self, minute: u32) -> Bar {
        let spot = self.day.path.minute(minute * 60);
        match self.terms {
            Terms::Spot => Bar {
                open: self.on_tick(spot.open),
                high: self.on_tick(spot.high),
                low: self.on_tick(spot.low),
                close: self.on_tick(spot.close),
            },
            Terms::Future | Terms::Option(_) => {
                let quiet = spot.high == spot.low;
                let (first, second) = if quiet { (20, 40) } else { (spot.high_at, spot.low_at) };
                let start = minute * 60;
                let marks = [0, first, second, 59].map(|inside| self.value(start + inside));
                Bar {
                    open: marks[0],
                    high: marks.iter().copied().max().unwrap_or(marks[0]),
                    low: marks.iter().copied().min().unwrap_or(marks[0]),
                    close: marks[3],
                }
            }
        }
    }

    /// The last price of the session.
    pub(super) fn close(&self) -> i64 {
        self.price(self.seconds().saturating_sub(1))
    }

    /// Fair value with noise at a second, on its tick, at least one tick.
    fn value(&self, second: u32) -> i64 {
        let spot = self.day.path.price(second) as f64 / 100.0;
        let life = self.life(second);
        let fair = match self.terms {
            Terms::Spot => spot,
            Terms::Future => future_value(spot, life),
            Terms::Option(terms) => terms.value(spot, life, self.volatility),
        };
        let reach = match self.terms {
            Terms::Spot => 0.0,
            Terms::Future => 0.00004 * fair,
            Terms::Option(_) => 0.04 + 0.0006 * fair,
        };
        let noisy = fair + reach * self.noise(second);
        let tick = self.tick.max(1);
        let ticks = (noisy * 100.0 / tick as f64).round() as i64;
        ticks.max(1) * tick
    }

    /// Noise in `[-1.5, 1.5]`: half of it new each second, the rest drifting
    /// over half minutes.
    fn noise(&self, second: u32) -> f64 {
        let draw = |kind: u64, number: u32| {
            2.0 * unit(hash(&[self.day.salt, u64::from(self.token), kind, u64::from(number)])) - 1.0
        };
        let (knot, inside) = (second / 30, f64::from(second % 30) / 30.0);
        let slow = draw(1, knot) * (1.0 - inside) + draw(1, knot + 1) * inside;
        0.5 * draw(2, second) + slow
    }

    /// Years until expiry.
    fn life(&self, second: u32) -> f64 {
        let Some(expiry) = self.expiry else { return 0.0 };
        let days = (expiry - self.day.date).num_days() as f64;
        let left = f64::from(self.day.derivative_seconds) - f64::from(second);
        (days * 86_400.0 + left) / YEAR
    }

    fn on_tick(&self, paise: i64) -> i64 {
        if self.tick <= 1 {
            return paise;
        }
        (2 * paise + self.tick).div_euclid(2 * self.tick) * self.tick
    }
}
