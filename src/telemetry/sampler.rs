//! Cuts off what says the same again and again, and sums it up afterwards.
//!
//! A message is what its place, text and fields say together, so lines of
//! distinct content never count as repeated. Of each message the first few
//! of a minute pass; the rest are counted, and once the minute is over one
//! line tells how many there were.
//!
//! The table has a fixed size. A flood of distinct messages may push out one
//! that was about to be noticed as repeated, but none that has been.

use std::sync::{Mutex, PoisonError};

use tracing::Level;

use super::component::Component;
use super::scrub::Scrubber;

/// Sets of the table, and places in each.
const SETS: usize = 1024;
const WAYS: usize = 4;

/// Length of the window.
const WINDOW_US: i64 = 60_000_000;

/// Longest text that is kept for summing up.
const KEPT_BYTES_MAX: usize = 512;

/// What remains of the lines that were cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeated {
    pub(super) level: Level,
    pub(super) component: Component,
    pub(super) target: String,
    pub(super) correlation_id: String,
    pub(super) message: String,
    /// How many were not written.
    pub(super) times: u64,
}

#[derive(Debug, Default)]
struct Place {
    hash: u64,
    from_us: i64,
    count: u64,
    cut: Option<Box<Repeated>>,
}

/// Counts messages of the last minute.
#[derive(Debug)]
pub(super) struct Sampler {
    /// Of one message in a window; 0 lets all pass.
    allowed: u64,
    sets: Vec<Mutex<[Place; WAYS]>>,
    ended: Mutex<Vec<Repeated>>,
}

/// What a message says, as the sampler needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) at_us: i64,
    pub(super) level: Level,
    pub(super) component: Component,
    pub(super) target: &'a str,
    pub(super) correlation_id: &'a str,
    pub(super) message: &'a str,
}

impl Sampler {
    pub(super) fn new(allowed: u32) -> Sampler {
        let sets = std::iter::repeat_with(Mutex::default).take(SETS).collect();
        Sampler { allowed: allowed.into(), sets, ended: Mutex::default() }
    }

    /// True when the message shall be written. `hash` stands for all that it
    /// says. No cut of a text that is kept leaves a part of a secret.
    pub(super) fn passes(&self, hash: u64, said: Said<'_>, scrubber: &Scrubber) -> bool {
        if self.allowed == 0 {
            return true;
        }
        let set = usize::try_from(hash >> 32).unwrap_or(0) % SETS;
        let Some(set) = self.sets.get(set) else { return true };
        let mut places = set.lock().unwrap_or_else(PoisonError::into_inner);
        let known = places.iter_mut().find(|place| place.count > 0 && place.hash == hash);
        let place = match known {
            Some(place) => place,
            None => {
                // Whatever was cut off stays, or its number would be lost.
                let free = places
                    .iter_mut()
                    .filter(|place| place.cut.is_none() || place.is_over(said.at_us))
                    .min_by_key(|place| place.count);
                let Some(free) = free else { return true };
                self.end(free);
                *free = Place { hash, from_us: said.at_us, count: 0, cut: None };
                free
            }
        };
        if place.is_over(said.at_us) {
            self.end(place);
            (place.from_us, place.count) = (said.at_us, 0);
        }
        place.count += 1;
        if place.count <= self.allowed {
            return true;
        }
        place.cut.get_or_insert_with(|| Box::new(Repeated::of(said, scrubber))).times += 1;
        false
    }

    /// What was repeated in windows that are over by now.
    pub(super) fn ended(&self, now_us: i64) -> Vec<Repeated> {
        for set in &self.sets {
            let mut places = set.lock().unwrap_or_else(PoisonError::into_inner);
            for place in places.iter_mut().filter(|place| place.is_over(now_us)) {
                self.end(place);
            }
        }
        std::mem::take(&mut self.ended.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self, place: &mut Place) {
        if let Some(cut) = place.cut.take() {
            self.ended.lock().unwrap_or_else(PoisonError::into_inner).push(*cut);
        }
    }
}

impl Place {
    fn is_over(&self, now_us: i64) -> bool {
        // A clock that was set back must not make a window longer.
        now_us.saturating_sub(self.from_us) >= WINDOW_US || now_us < self.from_us - WINDOW_US
    }
}

impl Repeated {
    fn of(said: Said<'_>, scrubber: &Scrubber) -> Repeated {
        Repeated {
            level: said.level,
            component: said.component,
            target: said.target.to_string(),
            correlation_id: said.correlation_id.to_string(),
            message: scrubber.clipped(said.message, KEPT_BYTES_MAX),
            times: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(at_us: i64, message: &str) -> Said<'_> {
        let (level, component) = (Level::INFO, Component::Api);
        Said { at_us, level, component, target: "t", correlation_id: "", message }
    }

    #[test]
    fn what_is_kept_ends_before_a_secret_that_it_cannot_hold() {
        let (sampler, scrubber) = (Sampler::new(1), Scrubber::new().unwrap());
        scrubber.hide(&"s3cr3t-of-ours".into());
        let message = format!("{}s3cr3t-of-ours", "x".repeat(KEPT_BYTES_MAX - 10));
        assert!(sampler.passes(7, said(0, &message), &scrubber));
        assert!(!sampler.passes(7, said(0, &message), &scrubber));
        let ended = sampler.ended(WINDOW_US);
        assert_eq!(ended[0].message, "x".repeat(KEPT_BYTES_MAX - 10));
    }

    #[test]
    fn the_eleventh_of_a_minute_is_cut_off_and_summed_up() {
        let (sampler, scrubber) = (Sampler::new(10), Scrubber::new().unwrap());
        let passed = (0..4_322).filter(|n| sampler.passes(7, said(*n, "again"), &scrubber)).count();
        assert_eq!(passed, 10);
        assert!(sampler.ended(WINDOW_US - 1).is_empty());
        let ended = sampler.ended(WINDOW_US);
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].times, ended[0].message.as_str()), (4_312, "again"));
        assert!(sampler.ended(10 * WINDOW_US).is_empty());
        assert!(sampler.passes(7, said(WINDOW_US, "again"), &scrubber));
    }

    #[test]
    fn it_can_be_switched_off() {
        let (sampler, scrubber) = (Sampler::new(0), Scrubber::new().unwrap());
        assert!((0..1000).all(|n| sampler.passes(7, said(n, "again"), &scrubber)));
    }

    proptest! {
        /// Whatever comes: each message passes, or is counted exactly once.
        #[test]
        fn nothing_is_lost_uncounted(
            messages in prop::collection::vec((0_u64..40, 0_i64..2_000_000), 0..3000),
        ) {
            let (sampler, scrubber) = (Sampler::new(3), Scrubber::new().unwrap());
            let (mut now, mut passed, mut told) = (0, 0_u64, 0_u64);
            for (number, (message, pause)) in messages.iter().enumerate() {
                now += pause;
                // All of them in one set.
                passed += u64::from(sampler.passes(*message, said(now, "x"), &scrubber));
                if number % 100 == 0 {
                    told += sampler.ended(now).iter().map(|row| row.times).sum::<u64>();
                }
            }
            told += sampler.ended(now + WINDOW_US).iter().map(|row| row.times).sum::<u64>();
            prop_assert_eq!(passed + told, messages.len() as u64);
        }

        /// Distinct messages always pass.
        #[test]
        fn distinct_messages_pass(seed in any::<u64>()) {
            let (sampler, scrubber) = (Sampler::new(3), Scrubber::new().unwrap());
            for n in 0..20_000_u64 {
                let hash = (seed ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                prop_assert!(sampler.passes(hash, said(0, "x"), &scrubber));
            }
        }
    }
}
