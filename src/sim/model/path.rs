//! The path of one price through one session, second by second.
//!
//! Minutes are drawn first (open, high, low, close and the seconds of high
//! and low); a second is found from its minute alone. So the history agrees
//! with the ticks exactly, and any second costs the same.

use chrono::NaiveDate;

use super::day::{DayMood, day_number};
use super::noise::{Stream, hash, unit};

/// Seconds of a minute.
const MINUTE: u32 = 60;
/// Last second of a minute.
const LAST: u32 = 59;

/// One minute in paise, with the seconds at which its extremes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Minute {
    pub(super) open: i64,
    pub(super) high: i64,
    pub(super) low: i64,
    pub(super) close: i64,
    pub(super) high_at: u32,
    pub(super) low_at: u32,
}

/// The path of a session from 09:15:00 on. After its end the last price stands.
#[derive(Debug, Clone)]
pub(super) struct DayPath {
    minutes: Vec<Minute>,
    noise: u64,
    script: Option<Vec<i64>>,
}

/// What a path is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathPlan<'a> {
    pub(super) seed: u64,
    pub(super) date: NaiveDate,
    /// Number of the underlying, for its own noise.
    pub(super) stream: u64,
    pub(super) mood: &'a DayMood,
    /// Logarithm of the opening price in paise.
    pub(super) open_log: f64,
    /// Log return from open to close.
    pub(super) intraday: f64,
    /// Size of the noise against the index's.
    pub(super) scale: f64,
    /// Correlation of the noise with the whole market's.
    pub(super) correlation: f64,
    /// Length of the session.
    pub(super) seconds: u32,
}

impl DayPath {
    /// Draws a path.
    pub(super) fn draw(plan: PathPlan<'_>) -> DayPath {
        let skeleton = skeleton(&plan);
        let day = day_number(plan.date);
        let mut stream = Stream::new(&[plan.seed, day, plan.stream, 4]);
        let count = skeleton.len().saturating_sub(1);
        let weights = variance_weights(count);
        let sigma = plan.mood.sigma * plan.scale;
        let minutes = skeleton
            .windows(2)
            .zip(&weights)
            .map(|(ends, weight)| {
                let (from, to) = (ends[0], ends[1]);
                let spread = sigma * weight.sqrt();
                minute(plan.open_log, from, to, spread, &mut stream)
            })
            .collect();
        DayPath { minutes, noise: hash(&[plan.seed, day, plan.stream, 5]), script: None }
    }

    /// A path through given points `(second, paise)`, straight in between.
    pub(super) fn through(points: &[(u32, i64)], seconds: u32) -> DayPath {
        let at = |second: u32| {
            let after = points.iter().position(|point| point.0 >= second);
            match after {
                Some(0) => points[0].1,
                Some(index) => between(points[index - 1], points[index], second),
                None => points.last().map_or(0, |point| point.1),
            }
        };
        let script: Vec<i64> = (0..seconds).map(at).collect();
        let minutes = script.chunks(MINUTE as usize).map(summary).collect();
        DayPath { minutes, noise: 0, script: Some(script) }
    }

    /// The minute that holds this second, or the last one.
    pub(super) fn minute(&self, second: u32) -> Minute {
        let index = (second / MINUTE) as usize;
        match self.minutes.get(index) {
            Some(minute) => *minute,
            None => quiet(self.close()),
        }
    }

    /// The price in paise at a second after 09:15:00.
    pub(super) fn price(&self, second: u32) -> i64 {
        if let Some(script) = &self.script {
            return script.get(second as usize).copied().unwrap_or_else(|| self.close());
        }
        let Some(minute) = self.minutes.get((second / MINUTE) as usize) else {
            return self.close();
        };
        let inside = second % MINUTE;
        let wobble = unit(hash(&[self.noise, u64::from(second)])) - 0.5;
        price_within(minute, inside, wobble)
    }

    /// The last price.
    pub(super) fn close(&self) -> i64 {
        self.minutes.last().map_or(0, |minute| minute.close)
    }
}

fn quiet(paise: i64) -> Minute {
    Minute { open: paise, high: paise, low: paise, close: paise, high_at: 0, low_at: 0 }
}

fn summary(seconds: &[i64]) -> Minute {
    let mut minute = quiet(seconds.first().copied().unwrap_or(0));
    for (inside, &paise) in (0u32..).zip(seconds) {
        if paise > minute.high {
            (minute.high, minute.high_at) = (paise, inside);
        }
        if paise < minute.low {
            (minute.low, minute.low_at) = (paise, inside);
        }
        minute.close = paise;
    }
    minute
}

/// Log prices relative to the open at the minute boundaries: the day's move
/// along its legs, plus a bridge of noise that ends where it began.
fn skeleton(plan: &PathPlan<'_>) -> Vec<f64> {
    let count = (plan.seconds / MINUTE) as usize;
    let day = day_number(plan.date);
    let mut common = Stream::new(&[plan.seed, day, 2]);
    let mut own = Stream::new(&[plan.seed, day, plan.stream, 3]);
    let own_share = (1.0 - plan.correlation * plan.correlation).sqrt();
    let weights = variance_weights(count);
    let mut walk = Vec::with_capacity(count + 1);
    walk.push(0.0);
    let mut level = 0.0;
    for weight in &weights {
        let draw = plan.correlation * common.normal() + own_share * own.normal();
        level += draw * weight.sqrt();
        walk.push(level);
    }
    let sigma = plan.mood.sigma * plan.scale;
    let mut elapsed = 0.0;
    walk.iter()
        .enumerate()
        .map(|(index, point)| {
            if index > 0 {
                elapsed += weights[index - 1];
            }
            let bridge = sigma * (point - elapsed * level);
            let share = index as f64 / count.max(1) as f64;
            plan.intraday * move_share(plan.mood, share) + bridge
        })
        .collect()
}

/// Part of the day's move that is done when this share of the session is over.
fn move_share(mood: &DayMood, share: f64) -> f64 {
    if mood.legs.is_empty() {
        return share;
    }
    mood.legs
        .iter()
        .map(|leg| leg.weight * ((share - leg.from) / (leg.to - leg.from)).clamp(0.0, 1.0))
        .sum()
}

/// Variance of each minute as a share of the day's: high at the open, low at
/// noon, rising into the close.
fn variance_weights(count: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..count)
        .map(|index| {
            let share = (index as f64 + 0.5) / count.max(1) as f64;
            0.6 + 2.4 * (-share * 14.0).exp() + 0.9 * (2.0 * share - 1.0).powi(4)
        })
        .collect();
    let total: f64 = raw.iter().sum();
    raw.iter().map(|weight| weight / total).collect()
}

/// One minute between two log prices. High and low are drawn as those of a
/// Brownian bridge.
fn minute(open_log: f64, from: f64, to: f64, sigma: f64, stream: &mut Stream) -> Minute {
    let step = to - from;
    let reach = |draw: f64| (step * step - 2.0 * sigma * sigma * (1.0 - draw).ln()).sqrt();
    let top = (from + to + reach(stream.unit())) / 2.0;
    let bottom = (from + to - reach(stream.unit())) / 2.0;
    let paise = |log: f64| (open_log + log).exp().round() as i64;
    let (open, close) = (paise(from), paise(to));
    let high = paise(top).max(open).max(close);
    let low = paise(bottom).min(open).min(close);
    let first = stream.pick(1, 57) as u32;
    let second = stream.pick(i64::from(first) + 1, 58) as u32;
    let high_first = stream.unit() < if step > 0.0 { 0.25 } else { 0.75 };
    let (high_at, low_at) = if high_first { (first, second) } else { (second, first) };
    let at_end = |extreme: i64, at: u32| {
        if extreme == open {
            0
        } else if extreme == close {
            LAST
        } else {
            at
        }
    };
    Minute { open, high, low, close, high_at: at_end(high, high_at), low_at: at_end(low, low_at) }
}

/// The price at a second of a minute: through open, both extremes and close,
/// with some wobble in between that never leaves the minute's range.
fn price_within(minute: &Minute, inside: u32, wobble: f64) -> i64 {
    let mut knots = [
        (0, minute.open),
        (minute.high_at, minute.high),
        (minute.low_at, minute.low),
        (LAST, minute.close),
    ];
    knots.sort_by_key(|knot| knot.0);
    let after = knots.iter().position(|knot| knot.0 >= inside).unwrap_or(knots.len() - 1);
    if after == 0 || knots[after].0 == inside {
        return knots[after].1;
    }
    let (left, right) = (knots[after - 1], knots[after]);
    let share = f64::from(inside - left.0) / f64::from((right.0 - left.0).max(1));
    let room = 0.9 * (minute.high - minute.low) as f64 * share * (1.0 - share);
    let straight = between(left, right, inside);
    (straight + (room * wobble) as i64).clamp(minute.low, minute.high)
}

fn between(left: (u32, i64), right: (u32, i64), at: u32) -> i64 {
    let width = i64::from(right.0.saturating_sub(left.0)).max(1);
    left.1 + (right.1 - left.1) * i64::from(at.saturating_sub(left.0)) / width
}
