//! How far this machine's clock is from the broker's, by the `Date` headers.

use std::collections::VecDeque;
use std::sync::Mutex;

use crate::market::Timestamp;

/// Samples that are kept.
const SAMPLES_MAX: usize = 15;

/// Keeps the last samples. Their median is the estimate: one slow answer
/// does not move it.
#[derive(Debug, Default)]
pub(super) struct Skew {
    samples_ms: Mutex<VecDeque<i64>>,
}

impl Skew {
    /// Takes one answer: when it was asked for, when it came, and the second
    /// that its `Date` header names.
    pub(super) fn note(&self, sent: Timestamp, received: Timestamp, date: Timestamp) {
        let ours_ms = i64::midpoint(sent.timestamp_millis(), received.timestamp_millis());
        // The header names the whole second; on average half of it is gone.
        let sample = ours_ms - (date.timestamp_millis() + 500);
        let Ok(mut samples) = self.samples_ms.lock() else { return };
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Milliseconds that our clock is ahead (negative: behind).
    pub(super) fn estimate_ms(&self) -> Option<i64> {
        let mut sorted: Vec<i64> = self.samples_ms.lock().ok()?.iter().copied().collect();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone, Utc};

    #[test]
    fn one_slow_answer_does_not_move_the_estimate() {
        let skew = Skew::default();
        assert_eq!(skew.estimate_ms(), None);
        let date = Utc.timestamp_opt(1_795_000_000, 0).unwrap();
        for late_ms in [600, 650, 9_000, 700, 550] {
            let at = date + TimeDelta::milliseconds(late_ms);
            skew.note(at, at, date);
        }
        assert_eq!(skew.estimate_ms(), Some(150));
    }
}
