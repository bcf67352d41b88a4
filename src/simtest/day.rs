//! What is asked of a day, and what came of it.

use super::audit::Violation;
use super::fault::{Profile, Tally};
use crate::engine::strategy::parameters::ParameterError;
use crate::journal::JournalError;
use crate::store::StoreError;

/// Which days are played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the strategy.
    pub strategy: String,
    /// How rough the days are.
    pub profile: Profile,
    /// Whether to keep the story of the day.
    pub explain: bool,
    /// A bug to be found.
    #[cfg(test)]
    pub sabotage: Option<crate::engine::sabotage::Sabotage>,
}

impl Options {
    /// Days of a strategy, told or not.
    pub fn new(strategy: &str, profile: Profile, explain: bool) -> Options {
        Options {
            strategy: strategy.to_string(),
            profile,
            explain,
            #[cfg(test)]
            sabotage: None,
        }
    }
}

/// What came of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// Its seed.
    pub seed: u64,
    /// Trades with a fill.
    pub trades: u32,
    /// Order requests of the bot that left.
    pub orders: u32,
    /// Commits of the journal.
    pub commits: u32,
    /// Deaths of the process.
    pub deaths: u32,
    /// Warnings and worse that people were told.
    pub alarms: u32,
    /// Faults of each kind.
    pub faults: Tally,
    /// Units of the bot were held at the end of the day, and people told.
    pub left_open: bool,
    /// The first rule that did not hold.
    pub violation: Option<Violation>,
    /// What happened, line by line, when asked for.
    pub story: Vec<String>,
}

/// The simulation itself failed.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No such strategy.
    #[error(transparent)]
    Strategy(#[from] ParameterError),
    /// The database in memory failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal failed where no fault was meant.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
