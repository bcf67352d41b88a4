//! What shells may read of the engine between two steps.

use super::ledger::{Direction, ExitReason};
use crate::market::{InstrumentKey, Money, Price, Quantity, Timestamp};

/// The open position, as it stands at the last quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionView {
    /// `YYYYMMDD_NNN`.
    pub trade_id: String,
    /// What is held.
    pub contract: InstrumentKey,
    /// The signal instrument, whose prices `stop` and `target` are.
    pub signal: InstrumentKey,
    /// Which way the view goes.
    pub direction: Direction,
    /// Level or scenario that signalled.
    pub setup: String,
    /// Units held now; zero while the entry order works.
    pub quantity: Quantity,
    /// Mean price of the entry, to the paisa.
    pub entry_price: Price,
    /// First fill of the entry.
    pub entered_at: Option<Timestamp>,
    /// Stop on the signal instrument, as it stands now.
    pub stop: Price,
    /// First target, when there are two.
    pub first_target: Option<Price>,
    /// Last target.
    pub target: Price,
    /// True once the first target was reached.
    pub runner: bool,
    /// Trigger of the stop seen resting at the exchange.
    pub resting_stop: Option<Price>,
    /// Why it is being closed, once it is.
    pub closing: Option<ExitReason>,
    /// Last price of the contract.
    pub last: Option<Price>,
    /// What leaving at the touch would bring now, after all charges of the
    /// trade.
    pub net: Money,
    /// Candles closed since the signal candle.
    pub candles_held: u32,
}

/// The day so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Trades with a fill, the open one included.
    pub trades: u32,
    /// Closed trades with net above zero.
    pub wins: u32,
    /// Closed trades with net at or below zero.
    pub losses: u32,
    /// Losing trades in a row.
    pub consecutive_losses: u32,
    /// Net of the closed trades.
    pub realised: Money,
    /// Net of closed and open trades at the touch: what the day's limit is
    /// measured against.
    pub net: Money,
    /// The day's loss limit, as it stands now.
    pub daily_loss_limit: Money,
    /// Orders placed, changed and cancelled today.
    pub order_messages: u32,
}
