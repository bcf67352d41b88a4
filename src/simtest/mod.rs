//! Whole days in a fraction of a second: the production core against a
//! broker, a market, people and a clock that all misbehave, out of a seed.
//!
//! One thread, no sockets, no sleeping. The [`crate::trading`] kernel (engine,
//! journal in SQLite, candles, reconciliation) is the one that trades; what
//! surrounds it is simulated, and every answer of the broker goes through
//! [`crate::kite`]'s own mapping. Same seed, same day, to the byte.
//!
//! | room | what is in it |
//! | --- | --- |
//! | `dice`, `fault` | chance, and what can go wrong how often |
//! | `plan`, `market` | the day to be played and its prices |
//! | `books` | the broker's own books: orders, fills, positions |
//! | `due`, `world`, `clockwork` | what is going to happen, a day under way, and the loop that plays it |
//! | `process`, `wire`, `people` | the process; requests and answers; everybody else |
//! | `audit` | what must hold, computed from the books |
//! | `day`, `run` | what is asked of a day and what came of it; one day, many days |
//!
//! A rule that breaks is a bug of the core or of the simulation. Rules are
//! not widened to make a seed pass.

mod audit;
mod books;
mod clockwork;
#[cfg(test)]
mod crash;
mod day;
mod dice;
mod due;
mod fault;
mod finish;
mod market;
mod people;
mod plan;
mod process;
mod run;
mod wire;
mod world;

#[cfg(test)]
mod tests;

pub use audit::Violation;
pub use day::{Day, Options, SimError};
pub use fault::{FaultKind, Profile, Tally};
pub use run::Theatre;
