//! Everything the engine asks of the world.

use super::ledger::{Fact, IntentId};
use super::notice::Notice;
use crate::market::{InstrumentKey, OrderChange, OrderId, OrderRequest};

/// One request of the engine to its shell. Broker commands are named by
/// [`super::event::CommandId`]: the causing event and the place in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Place an order. Answered by one outcome.
    Submit {
        /// The intent it carries out.
        intent: IntentId,
        /// True for orders that can only reduce what is held; they have their
        /// own share of the rate limits and pass a `Reducing` gate.
        reduces: bool,
        /// What to place.
        order: OrderRequest,
    },
    /// Change a resting order. Answered by one outcome.
    Modify {
        /// The intent it belongs to.
        intent: IntentId,
        /// Which order.
        order_id: OrderId,
        /// What to change.
        change: OrderChange,
    },
    /// Cancel a resting order. Answered by one outcome.
    Cancel {
        /// The intent it belongs to, when it is one of ours.
        intent: Option<IntentId>,
        /// Which order.
        order_id: OrderId,
    },
    /// Ask the broker how things stand. Answered by one snapshot.
    Fetch(Fetch),
    /// Instruments whose quotes are wanted, in full; replaces the last list.
    Watch(Vec<InstrumentKey>),
    /// Tell people. Goes to the outbox in the same transaction.
    Say(Notice),
    /// Write down. Goes to the tables in the same transaction.
    Record(Fact),
}

impl Command {
    /// True when it sends something to the broker that can change orders.
    pub const fn is_order(&self) -> bool {
        match self {
            Command::Submit { .. } | Command::Modify { .. } | Command::Cancel { .. } => true,
            Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => false,
        }
    }

    /// True when it must be answered by exactly one outcome or snapshot.
    pub const fn is_answered(&self) -> bool {
        self.is_order() || matches!(self, Command::Fetch(_))
    }
}

/// What a fetch asks for; all parts are asked in one go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// The order book.
    pub orders: bool,
    /// Net positions.
    pub positions: bool,
    /// Free money.
    pub margins: bool,
}
