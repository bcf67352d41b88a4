//! What reaches the loop from outside.

use crate::engine::DayPlan;
use crate::engine::event::{CommandId, FeedState, Outcome, Snapshot};
use crate::market::{BrokerOrder, Candle, InstrumentKey, Quote};

/// One thing for the loop to take in.
#[derive(Debug)]
pub(crate) enum Input {
    /// What became of an order command.
    Outcome { command: CommandId, outcome: Outcome },
    /// The answer to a fetch.
    Snapshot(Snapshot),
    /// The broker told of an order.
    Order(BrokerOrder),
    /// The price feed came up or went down.
    Feed(FeedState),
    /// One frame of the price feed.
    Frame(Vec<Quote>),
    /// The trading day is prepared.
    Day(Box<DayPlan>),
    /// Complete candles of today from history, oldest first.
    Backfill { instrument: InstrumentKey, candles: Vec<Candle> },
    /// The broker session is gone or there again.
    Session { alive: bool },
}

impl Input {
    /// Smaller is taken first when several wait: what protects money goes
    /// before prices.
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Input::Order(_) => 0,
            Input::Outcome { .. } | Input::Snapshot(_) => 1,
            Input::Session { .. } | Input::Feed(_) | Input::Day(_) | Input::Backfill { .. } => 2,
            Input::Frame(_) => 3,
        }
    }
}
