//! Chance out of a seed.

use chrono::TimeDelta;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Spreads the numbers of seeds and streams over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

const MILLION: i64 = 1_000_000;

/// What is left to chance, each of them with a stream of its own: more of
/// one does not change the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Plan,
    Market,
    World,
    People,
}

/// One stream of random numbers.
#[derive(Debug)]
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, stream: Stream) -> Dice {
        let number = match stream {
            Stream::Plan => 1_u64,
            Stream::Market => 2,
            Stream::World => 3,
            Stream::People => 4,
        };
        Dice(ChaCha8Rng::seed_from_u64(seed.wrapping_mul(SPREAD) ^ (number << 56)))
    }

    /// A whole number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.0.random_range(low..=high.max(low))
    }

    /// A whole number below `limit`.
    pub(super) fn below(&mut self, limit: i64) -> i64 {
        self.between(0, limit - 1)
    }

    pub(super) fn percent(&mut self, chance: i64) -> bool {
        self.below(100) < chance
    }

    /// True with a chance in parts per million.
    pub(super) fn ppm(&mut self, chance: i64) -> bool {
        chance > 0 && self.below(MILLION) < chance
    }

    pub(super) fn millis(&mut self, low: i64, high: i64) -> TimeDelta {
        TimeDelta::milliseconds(self.between(low, high))
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T], otherwise: T) -> T {
        let index = self.below(i64::try_from(from.len()).unwrap_or(1).max(1));
        usize::try_from(index).ok().and_then(|index| from.get(index)).copied().unwrap_or(otherwise)
    }

    /// Roughly normal with the given deviation: the sum of four.
    pub(super) fn bell(&mut self, deviation: i64) -> i64 {
        let span = deviation.max(1) * 866 / 1000;
        (0..4).map(|_| self.between(-span, span)).sum()
    }
}
