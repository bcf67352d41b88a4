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
pub mod view;

pub use command::Command;
pub use day::DayPlan;
pub use event::{Event, Stamp};
pub use ledger::{Fact, Permission};
pub use notice::Notice;
pub use settings::{Mode, Settings};
pub use view::{Figures, PositionView};

use ledger::StateRecord;
use strategy::Outlook;

use crate::market::{InstrumentKey, Quote, Timestamp};

/// The state of one account's trading, and the rules that move it.
#[derive(Debug)]
pub struct Engine {
    revision: u64,
    state: StateRecord,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An engine that knows nothing yet; it may only reduce.
    pub fn new() -> Engine {
        let state = StateRecord {
            permission: Permission::Reducing,
            reason: "STARTING".into(),
            actor: "engine".into(),
            since: Timestamp::UNIX_EPOCH,
        };
        Engine { revision: 0, state }
    }

    /// Takes one event; appends what it asks for.
    pub fn step(&mut self, at: Stamp, event: Event, out: &mut Vec<Command>) {
        let _ = (at, event, out);
    }

    /// Learns quotes without deciding anything. A replay calls it with the
    /// quotes as they stood just before a journaled event; running shells
    /// send [`Event::Quotes`].
    pub fn observe(&mut self, quotes: Vec<Quote>) {
        let _ = quotes;
    }

    /// The instant at which the engine wants a [`Event::Deadline`] at the
    /// latest. Always after the last step.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// Counts changes of state other than quotes: an event after which it is
    /// unchanged and that caused no command need not be journaled.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the engine may do, why, and since when.
    pub fn permission(&self) -> &StateRecord {
        &self.state
    }

    /// The day it works on.
    pub fn day(&self) -> Option<&DayPlan> {
        None
    }

    /// The open position (or the entry at work), at the last quotes.
    pub fn open_position(&self) -> Option<PositionView> {
        None
    }

    /// What the strategy says of the day's levels.
    pub fn outlook(&self) -> Vec<Outlook> {
        Vec::new()
    }

    /// True while anything is in flight, working or held: market time must
    /// not run fast and the process should not stop now.
    pub fn busy(&self) -> bool {
        false
    }

    /// Instruments whose quotes are wanted, as in the last
    /// [`Command::Watch`].
    pub fn watch_list(&self) -> &[InstrumentKey] {
        &[]
    }

    /// The day so far.
    pub fn figures(&self) -> Figures {
        Figures::default()
    }

    /// The last quote of an instrument.
    pub fn quote(&self, instrument: &InstrumentKey) -> Option<&Quote> {
        let _ = instrument;
        None
    }
}
