//! What kind of day it is: gap, direction, size and the legs of its move.

use chrono::{Datelike, NaiveDate};

use super::noise::Stream;

/// Shares of the kinds of day, in percent; the rest are ordinary days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayProfile {
    /// One clear direction, in a few legs.
    pub trend: u32,
    /// Around the open, all day.
    pub range: u32,
}

impl DayProfile {
    /// The weights that the simulator uses.
    pub const DEFAULT: DayProfile = DayProfile { trend: 40, range: 25 };
}

/// The kind of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayKind {
    /// One direction.
    Trend,
    /// None.
    Range,
    /// As chance has it.
    Ordinary,
}

/// Standard deviation of the move from open to close of an index.
const INTRADAY_SIGMA: f64 = 0.0062;
/// Standard deviation of the gap from close to open of an index.
const GAP_SIGMA: f64 = 0.0028;
/// Gaps are cut here.
const GAP_MAX: f64 = 0.012;
/// Mean growth of a day.
const DRIFT: f64 = 0.0003;

/// A stretch of the day in which the move happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Leg {
    /// First part, as a share of the session.
    pub(super) from: f64,
    /// Last part.
    pub(super) to: f64,
    /// Share of the day's move.
    pub(super) weight: f64,
}

/// What all instruments of a day have in common.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DayMood {
    pub(super) kind: DayKind,
    /// Gap in units of its standard deviation, already in log return.
    pub(super) gap: f64,
    /// Log return from open to close.
    pub(super) intraday: f64,
    /// Standard deviation of the day's noise.
    pub(super) sigma: f64,
    /// Where the move happens; empty spreads it evenly.
    pub(super) legs: Vec<Leg>,
    /// Level of implied volatility against its mean.
    pub(super) implied: f64,
}

impl DayMood {
    /// The mood of a date.
    pub(super) fn of(seed: u64, date: NaiveDate, profile: DayProfile) -> DayMood {
        let mut stream = Stream::new(&[seed, day_number(date), 1]);
        let roll = stream.unit() * 100.0;
        let kind = if roll < f64::from(profile.trend) {
            DayKind::Trend
        } else if roll < f64::from(profile.trend + profile.range) {
            DayKind::Range
        } else {
            DayKind::Ordinary
        };
        let size = INTRADAY_SIGMA * (0.25 * stream.normal()).exp().clamp(0.80, 1.60);
        let gap = (GAP_SIGMA * stream.normal()).clamp(-GAP_MAX, GAP_MAX);
        let sign = if stream.unit() < 0.5 { -1.0 } else { 1.0 };
        let (intraday, sigma) = match kind {
            DayKind::Trend => (sign * size * stream.between(0.9, 1.7), size * 0.50),
            DayKind::Range => (sign * size * stream.between(0.0, 0.4), size * 0.80),
            DayKind::Ordinary => (size * (0.9 * stream.normal()).clamp(-1.8, 1.8), size * 0.80),
        };
        let legs = match kind {
            DayKind::Trend => trend_legs(&mut stream),
            DayKind::Range | DayKind::Ordinary => Vec::new(),
        };
        let implied = stream.between(0.92, 1.12);
        DayMood { kind, gap, intraday: intraday + DRIFT, sigma, legs, implied }
    }
}

/// One or two bursts between the opening range and mid-afternoon, which give
/// some of their gain back before the close; now and then a false start the
/// other way before them. The weights add up to one.
fn trend_legs(stream: &mut Stream) -> Vec<Leg> {
    const STEADY: f64 = 0.15;
    const PULLBACK: f64 = 0.30;
    let mut legs = vec![Leg { from: 0.0, to: 1.0, weight: STEADY }];
    let mut from = stream.between(0.04, 0.14);
    if stream.unit() < 0.40 {
        let feint = stream.between(0.30, 0.50);
        let turn = from + stream.between(0.06, 0.10);
        let back = turn + stream.between(0.06, 0.12);
        legs.push(Leg { from, to: turn, weight: -feint });
        legs.push(Leg { from: turn, to: back, weight: feint });
        from = back + stream.between(0.0, 0.05);
    }
    let count = stream.pick(1, 2);
    let weight = (1.0 - STEADY + PULLBACK) / count as f64;
    for _ in 0..count {
        let to = from + stream.between(0.08, 0.16);
        legs.push(Leg { from, to, weight });
        from = to + stream.between(0.03, 0.12);
    }
    let late = from.max(0.80);
    legs.push(Leg { from: late, to: (late + 0.15).min(1.0), weight: -PULLBACK });
    legs
}

/// A number for a date, for naming streams.
pub(super) fn day_number(date: NaiveDate) -> u64 {
    u64::from(date.num_days_from_ce().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_days_legs_make_its_whole_move() {
        for number in 0..500 {
            let legs = trend_legs(&mut Stream::new(&[number]));
            let total: f64 = legs.iter().map(|leg| leg.weight).sum();
            assert!((total - 1.0).abs() < 1e-9, "{legs:?}");
            assert!(legs.iter().all(|leg| leg.from < leg.to && leg.to <= 1.0), "{legs:?}");
        }
    }
}
