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
    /// The price feed refuses the session; whether it is gone is not known.
    FeedRefused,
    /// This machine's clock differs from the broker's.
    ClockOff { by_ms: i64 },
}

impl Input {
    /// Smaller is taken first when several wait: what protects money goes
    /// before prices (M22).
    pub(crate) const fn rank(&self) -> u8 {
        match self {
            Input::Order(_) => 0,
            Input::Outcome { .. } | Input::Snapshot(_) => 1,
            Input::FeedRefused | Input::ClockOff { .. } => 2,
            Input::Session { .. } | Input::Feed(_) | Input::Day(_) | Input::Backfill { .. } => 2,
            Input::Frame(_) => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::OrderId;

    #[test]
    fn m22_what_protects_money_goes_before_prices() {
        let id = CommandId { seq: 1, index: 0 };
        let accepted = Outcome::Accepted { order_id: OrderId("1".into()) };
        let mut waiting = [
            Input::Frame(Vec::new()),
            Input::Feed(FeedState::Up),
            Input::ClockOff { by_ms: 2_000 },
            Input::Outcome { command: id, outcome: accepted },
            Input::Session { alive: false },
            Input::Frame(Vec::new()),
        ];
        waiting.sort_by_key(Input::rank);
        assert!(matches!(waiting[0], Input::Outcome { .. }));
        assert!(matches!(waiting[4..], [Input::Frame(_), Input::Frame(_)]));
    }
}
