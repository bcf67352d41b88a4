//! Everything that can happen to the engine.

use super::day::{Carried, DayPlan};
use super::settings::Limit;
use crate::market::{
    BrokerOrder, BrokerPosition, Candle, InstrumentKey, Money, OrderId, Quote, Timestamp,
};

/// When an event happened: made by the shell, never by the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// Position in the journal; strictly increasing across restarts.
    pub seq: u64,
    /// The instant; never decreasing.
    pub at: Timestamp,
}

/// Names one command for its outcome. The sequence of the event that caused
/// it and its place among that event's commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId {
    /// [`Stamp::seq`] of the causing event.
    pub seq: u64,
    /// Place among the commands of that event.
    pub index: u32,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A date begins: everything is forgotten but what earlier days have left
    /// behind. The first event of each date in the journal, so that a date's
    /// records replay by themselves.
    NewDate(Carried),
    /// The trading day is prepared: levels, contracts, limits.
    Day(Box<DayPlan>),
    /// One feed frame: the new state of one or more instruments, taken
    /// together.
    Quotes(Vec<Quote>),
    /// A candle of a watched instrument is complete.
    Candle {
        /// Of which instrument.
        instrument: InstrumentKey,
        /// The candle.
        candle: Candle,
        /// False when the feed had a gap inside it and history did not mend
        /// it: no signal may rest on it.
        sound: bool,
    },
    /// The price feed changed its state.
    Feed(FeedState),
    /// The broker told of one order (ticker or postback). A hint: may be
    /// late, doubled or out of order.
    Order(BrokerOrder),
    /// What became of a command that was sent.
    Outcome {
        /// Which command.
        command: CommandId,
        /// What became of it.
        outcome: Outcome,
    },
    /// The answer to a fetch.
    Snapshot(Snapshot),
    /// A person asks for something.
    Operator(OperatorCommand),
    /// A moment that [`super::Engine::next_deadline`] asked for has come.
    Deadline,
    /// The process has replayed the journal and starts to run: every command
    /// without an outcome is unknown.
    Restarted,
    /// Wall time jumped against the monotonic clock.
    ClockJumped {
        /// Milliseconds, positive when the wall clock leapt ahead.
        by_ms: i64,
    },
    /// The broker session is gone (`false`) or there again (`true`).
    Session {
        /// True when the token works.
        alive: bool,
    },
}

/// State of the price feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedState {
    /// Connected and subscribed.
    Up,
    /// No connection, or nothing heard for too long.
    Down,
}

/// What became of a command to the broker. Exactly one for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker took the request (not: the exchange carried it out).
    Accepted {
        /// The order it concerns.
        order_id: OrderId,
    },
    /// The broker said no, in words that mean that nothing happened.
    Refused {
        /// What kind of no.
        refusal: Refusal,
        /// The broker's words, for people.
        message: String,
    },
    /// Nobody knows. Left only by evidence or by a person, never by time.
    Unknown {
        /// What was seen instead of an answer.
        message: String,
    },
}

/// Kinds of refusal that are handled differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The request itself is wrong: price, quantity, tick, product.
    Input,
    /// Not enough money.
    Margin,
    /// Not enough shares, or not authorised.
    Holding,
    /// The order cannot be changed (finished, or being processed).
    Order,
    /// The account or the IP address may not do this.
    Permission,
    /// The broker session is gone.
    Session,
    /// Too many requests.
    RateLimit,
    /// Our own gate refused to send it (halted, no durable intent, limits).
    Gate,
}

/// The answer to a fetch. Fields that were not asked for are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Which fetch.
    pub command: CommandId,
    /// When the first request of the fetch was sent; the answer is at least
    /// as new as this.
    pub taken_at: Timestamp,
    /// False when a query failed: such a snapshot may only add knowledge and
    /// never means that something is not there.
    pub complete: bool,
    /// The whole order book.
    pub orders: Option<Vec<BrokerOrder>>,
    /// Net positions.
    pub positions: Option<Vec<BrokerPosition>>,
    /// Money free for new orders.
    pub available: Option<Money>,
}

/// A person's request, with who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCommand {
    /// Row of the inbox that asked; answered in the ledger by this number.
    pub request: i64,
    /// Who asked, for the audit: `telegram:12345`, `pivotctl:root`.
    pub actor: String,
    /// When it was asked.
    pub asked_at: Timestamp,
    /// What is asked.
    pub action: OperatorAction,
}

/// What a person can ask of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OperatorAction {
    /// Allow entries. `confirmed` after a panic or a risk stop.
    Enable {
        /// The person saw the reason and said yes.
        confirmed: bool,
    },
    /// No more entries; positions go on being managed.
    Disable,
    /// Cancel everything, flatten, stay disabled.
    Panic {
        /// Also positions that the bot did not open.
        all: bool,
    },
    /// Close the open position; trading stays as it is.
    Exit,
    /// Arm live trading for this day.
    Arm,
    /// Change a limit. Tightens now, loosens on the next trading day.
    Set {
        /// Which limit.
        limit: Limit,
        /// Its new value: lots, trades, re-entries, or paise of loss.
        value: i64,
    },
}
