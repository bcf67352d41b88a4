//! One day after the other.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::audit::Violation;
use super::day::{Day, Options, SimError};
use super::fault::FaultKind;
use super::world::World;
use crate::engine::Mode;
use crate::journal::Entry;
use crate::market::Timestamp;
use crate::store::Store;

/// Plays days, each on a fresh database. One for each thread.
#[derive(Debug)]
pub struct Theatre {
    empty: Store,
}

impl Theatre {
    /// Makes the empty database that days begin with.
    ///
    /// # Errors
    /// When SQLite has no memory.
    pub fn new() -> Result<Theatre, SimError> {
        Ok(Theatre { empty: Store::in_memory(Mode::Live)? })
    }

    /// Plays the day of a seed.
    ///
    /// # Errors
    /// When the strategy is not known or the database fails. A rule that
    /// breaks is no error: see [`Day::violation`].
    pub fn play(&self, seed: u64, options: &Options) -> Result<Day, SimError> {
        let store = self.empty.copy_in_memory()?;
        let played = catch_unwind(AssertUnwindSafe(|| -> Result<Day, SimError> {
            Ok(World::new(seed, options, store)?.play()?.day())
        }));
        played.unwrap_or_else(|panic| {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
            Ok(broken(seed, words.unwrap_or_else(|| "a panic".into())))
        })
    }
}

impl Theatre {
    /// Plays the day of a seed for the journal that it leaves.
    ///
    /// # Errors
    /// As [`Theatre::play`].
    ///
    /// # Panics
    /// Where the engine would: nothing is caught here.
    pub fn record(&self, seed: u64, options: &Options) -> Result<Vec<Entry>, SimError> {
        let world = World::new(seed, options, self.empty.copy_in_memory()?)?.play()?;
        let Some(kernel) = &world.kernel else { return Ok(Vec::new()) };
        match kernel.journal().last_day(None)? {
            Some(day) => Ok(kernel.journal().replay(day)?),
            None => Ok(Vec::new()),
        }
    }
}

fn broken(seed: u64, what: String) -> Day {
    let at = Timestamp::UNIX_EPOCH;
    Day {
        seed,
        trades: 0,
        orders: 0,
        commits: 0,
        deaths: 0,
        alarms: 0,
        faults: [0; FaultKind::COUNT],
        left_open: false,
        violation: Some(Violation { at, rule: "no panic", what }),
        story: Vec::new(),
    }
}
