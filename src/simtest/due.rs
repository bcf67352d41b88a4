//! What is going to happen.

use crate::engine::Command;
use crate::engine::event::{CommandId, OperatorAction, Outcome, Snapshot};
use crate::market::{BrokerOrder, InstrumentKey, Timestamp};

/// How an answer gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// No answer at all, or half of one.
    Response,
    /// A page of HTML instead.
    Server,
    /// "Timed out", in Kite's own words.
    TimedOut,
}

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Due {
    /// The market moves.
    Tick,
    /// A request reaches the broker.
    Arrive { id: CommandId, life: u32, command: Command, lost: Option<Lost>, patience: Timestamp },
    /// The broker's order book is read.
    Orders { id: CommandId, life: u32, positions: bool, sent: Timestamp },
    /// The positions are read.
    Positions {
        id: CommandId,
        life: u32,
        sent: Timestamp,
        complete: bool,
        orders: Option<Vec<BrokerOrder>>,
    },
    /// An order's way to the exchange ends.
    Settle { order: usize, way: u32 },
    /// An answer to an order request comes back.
    Answer { id: CommandId, life: u32, outcome: Outcome },
    /// A snapshot is complete; `as_of` is how old its oldest part is.
    Snapshot { life: u32, snapshot: Snapshot, as_of: Timestamp },
    /// An order update comes.
    Update { life: u32, body: String },
    /// Prices from a quote call.
    Fallback { life: u32, keys: Vec<InstrumentKey> },
    /// Candles from history.
    Backfill { life: u32 },
    /// The ticker connects.
    Connect { life: u32 },
    /// The ticker's connection is gone.
    Disconnect { life: u32 },
    /// The broker refuses the session.
    LoginNeeded { life: u32 },
    /// The user logs in.
    LogIn,
    /// The day's facts are gathered.
    Prepare { life: u32 },
    /// Somebody asks for something.
    Ask(OperatorAction),
    /// The process starts again.
    Start,
    /// Everything works from here on.
    Heal,
    /// More units than one order may carry, then a panic over all.
    Flood,
    /// The user closes what the bot holds.
    #[cfg(test)]
    Sale,
}
