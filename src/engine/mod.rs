//! The only place where decisions are made: a pure state machine.
//!
//! [`Engine::step`] takes one [`Event`] and appends [`Command`]s. Same
//! events, same commands, bit for bit. No clock, no I/O, no float in a
//! decision, no hash order.

pub mod command;
pub mod day;
pub mod event;
pub mod ledger;
pub mod notice;
pub mod settings;
pub mod strategy;

pub use command::Command;
pub use day::DayPlan;
pub use event::{Event, Stamp};
pub use ledger::{Fact, Permission};
pub use notice::Notice;
pub use settings::{Mode, Settings};

use crate::market::Timestamp;

/// The state of one account's trading, and the rules that move it.
#[derive(Debug, Default)]
pub struct Engine {
    revision: u64,
}

impl Engine {
    /// An engine that knows nothing yet; it may only reduce.
    pub fn new() -> Engine {
        Engine::default()
    }

    /// Takes one event; appends what it asks for.
    pub fn step(&mut self, at: Stamp, event: Event, out: &mut Vec<Command>) {
        let _ = (at, event, out);
    }

    /// The instant at which the engine wants a [`Event::Deadline`] at the
    /// latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Counts changes of state other than quotes: an event after which it is
    /// unchanged and that caused no command need not be journaled.
    pub fn revision(&self) -> u64 {
        self.revision
    }
}
