//! Which services give signs of life, as one of them sees the others.
//!
//! The age of a sign alone is not to be trusted: after a leap of the clock, or
//! when this process or the whole machine slept, all of them look old. So
//! silence counts only as long as this process has watched it, look after
//! look, by a clock that only runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::market::Timestamp;
use crate::store::{Heartbeat, SILENT_AFTER};

/// Silence in real time besides, when the clock is scaled: a fast one leaves
/// less for a sign.
const SCALED_REAL: Duration = Duration::from_secs(5);

/// Looks come every second. After so long without one this process was away
/// itself, and begins to watch anew.
const AWAY: Duration = Duration::from_secs(10);

/// Signs of life that were seen.
#[derive(Debug, Default)]
pub struct Pulse {
    seen: Mutex<BTreeMap<String, Seen>>,
    looked: Mutex<Option<(Instant, Timestamp)>>,
}

#[derive(Debug, Clone)]
struct Seen {
    at: Timestamp,
    /// How long there was no new sign, of the time that was watched.
    watched: Duration,
    /// The same by the market's clock.
    watched_market: TimeDelta,
    /// When a new sign was met; `None` before the second one.
    changed: Option<Instant>,
    silent: bool,
}

/// How the clock runs by which signs are dated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As real time does.
    Real,
    /// As a conductor wants.
    Scaled,
}

impl Pulse {
    /// Takes in the last signs, looked at when the market's clock showed
    /// `now` and a real one `real`.
    pub fn look(&self, beats: &[Heartbeat], now: Timestamp, real: Instant, pace: Pace) {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, market_before) = looked.replace((real, now)).unwrap_or((real, now));
        let pause = real.saturating_duration_since(before);
        let market_pause = (now - market_before).max(TimeDelta::zero());
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        for beat in beats {
            let fresh = Seen {
                at: beat.at,
                watched: Duration::ZERO,
                watched_market: TimeDelta::zero(),
                changed: None,
                silent: false,
            };
            let is_new = !all.contains_key(&beat.service);
            let seen = all.entry(beat.service.clone()).or_insert(fresh);
            if seen.at != beat.at {
                seen.at = beat.at;
                (seen.watched, seen.watched_market) = (Duration::ZERO, TimeDelta::zero());
                seen.changed = Some(real);
                seen.silent = false;
                continue;
            }
            (seen.watched, seen.watched_market) = if is_new || pause > AWAY {
                (Duration::ZERO, TimeDelta::zero())
            } else {
                (seen.watched + pause, seen.watched_market + market_pause)
            };
            seen.silent |= match pace {
                Pace::Real => seen.watched > SILENT_AFTER.to_std().unwrap_or_default(),
                Pace::Scaled => seen.watched_market > SILENT_AFTER && seen.watched > SCALED_REAL,
            };
        }
    }

    /// Services that gave a sign within the last real seconds.
    pub fn lively(&self) -> BTreeSet<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |seen: &Seen| seen.changed.is_some_and(|at| at.elapsed() < SCALED_REAL);
        seen.iter().filter(|(_, seen)| fresh(seen)).map(|(name, _)| name.clone()).collect()
    }

    /// True when a service was seen, and has been silent for too long.
    pub fn is_silent(&self, service: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(service).is_some_and(|seen| seen.silent)
    }

    /// True when a service gave a sign since this process began to watch.
    pub(super) fn has_beaten(&self, service: &str) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(service).is_some_and(|seen| seen.changed.is_some())
    }

    /// True when a service ever gave a sign on this data folder.
    pub(super) fn knows(&self, service: &str) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains_key(service)
    }
}

/// Those who may tell, in the order of precedence. pivot-trading tells of
/// silence only: it judges nothing else.
const OF_SILENCE: [&str; 3] = ["bot", "trading", "auth"];
const OF_THE_REST: [&str; 2] = ["bot", "auth"];

/// True when `me` is the one to tell: the first in order who is there. Nobody
/// tells of its own silence.
pub(super) fn is_mine(me: &str, silent_service: Option<&str>, pulse: &Pulse) -> bool {
    let order = if silent_service.is_some() { &OF_SILENCE[..] } else { &OF_THE_REST[..] };
    let there = |service: &str| service == me || pulse.knows(service) && !pulse.is_silent(service);
    let mut candidates = order.iter().filter(|service| Some(**service) != silent_service);
    candidates.find(|service| there(service)) == Some(&me)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_795_400_000 + seconds, 0).unwrap()
    }

    fn beat(service: &str, at: Timestamp) -> Heartbeat {
        Heartbeat {
            service: service.into(),
            pid: 1,
            started_at: at,
            at,
            version: String::new(),
            phase: "trading".into(),
            detail: serde_json::Value::Null,
        }
    }

    /// A watcher at work: looks every second from one instant to another.
    struct Watch {
        pulse: Pulse,
        start: Instant,
    }

    impl Watch {
        fn new() -> Watch {
            Watch { pulse: Pulse::default(), start: Instant::now() }
        }

        fn look(&self, real_s: u64, now: Timestamp, beats: &[Heartbeat], pace: Pace) -> bool {
            let real = self.start + Duration::from_secs(real_s);
            self.pulse.look(beats, now, real, pace);
            self.pulse.is_silent("trading")
        }
    }

    #[test]
    fn silence_is_noticed_within_the_time_that_leaves_room_to_tell() {
        let watch = Watch::new();
        let silent = |second: u64| {
            let now = at(i64::try_from(second).unwrap());
            // A sign every five seconds until the hundredth.
            let last = at(i64::try_from(second.min(100) / 5 * 5).unwrap());
            watch.look(second, now, &[beat("trading", last)], Pace::Real)
        };
        let noticed = (0..200).find(|second| silent(*second));
        assert_eq!(noticed, Some(121));
        assert!(!watch.look(201, at(201), &[beat("trading", at(200))], Pace::Real));
    }

    #[test]
    fn neither_a_leap_of_the_clock_nor_a_start_beside_old_signs_is_silence() {
        let watch = Watch::new();
        let old = [beat("trading", at(-80_000))];
        let noticed = (0..60).find(|second| watch.look(*second, at(0), &old, Pace::Real));
        assert_eq!(noticed, Some(21));
        // The clock leaps; the next sign is on its way.
        let watch = Watch::new();
        watch.look(0, at(0), &[beat("trading", at(0))], Pace::Real);
        assert!(!watch.look(1, at(7_200), &[beat("trading", at(0))], Pace::Real));
        assert!(!watch.look(2, at(7_201), &[beat("trading", at(7_201))], Pace::Real));
    }

    #[test]
    fn whoever_was_stopped_itself_takes_nobody_for_silent() {
        let watch = Watch::new();
        let beats = [beat("trading", at(0))];
        for second in [0, 1, 2, 3, 4, 40, 41] {
            let now = at(i64::try_from(second).unwrap());
            assert!(!watch.look(second, now, &beats, Pace::Real), "{second}");
            assert!(!watch.look(second, now, &beats, Pace::Scaled), "{second}");
        }
    }

    #[test]
    fn a_fast_clock_leaves_real_time_for_a_sign() {
        let watch = Watch::new();
        let beats = [beat("trading", at(0))];
        let noticed = |watch: &Watch, speed: i64| {
            (0..60).find(|second| {
                let now = at(speed * i64::try_from(*second).unwrap());
                watch.look(*second, now, &beats, Pace::Scaled)
            })
        };
        assert_eq!(noticed(&watch, 1_000), Some(6));
        // At the pace of real life it takes as long as there.
        assert_eq!(noticed(&Watch::new(), 1), Some(21));
    }

    #[test]
    fn exactly_one_of_those_who_are_there_tells() {
        let all = ["bot", "trading", "auth"];
        for silent in 0..8_u32 {
            let is_silent = |index: usize| silent & (1 << index) != 0;
            let watch = Watch::new();
            let beats = |moved: i64| -> Vec<Heartbeat> {
                let at_ = |index| if is_silent(index) { at(0) } else { at(moved) };
                all.iter().enumerate().map(|(index, name)| beat(name, at_(index))).collect()
            };
            for second in 0..30 {
                let moved = i64::try_from(second).unwrap();
                watch.look(second, at(moved), &beats(moved), Pace::Real);
            }
            let awake: Vec<&str> =
                (0..3).filter(|index| !is_silent(*index)).map(|index| all[index]).collect();
            for (index, subject) in all.iter().enumerate() {
                let tellers: Vec<&&str> = awake
                    .iter()
                    .filter(|me| **me != *subject && is_mine(me, Some(subject), &watch.pulse))
                    .collect();
                let others = awake.iter().filter(|name| *name != subject).count();
                assert_eq!(tellers.len(), others.min(1), "{subject} {awake:?} {index}");
            }
            let judges = awake.iter().filter(|me| is_mine(me, None, &watch.pulse)).count();
            let there = awake.iter().filter(|name| **name != "trading").count();
            assert_eq!(judges, there.min(1), "{awake:?}");
        }
    }
}
