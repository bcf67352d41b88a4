//! What is held and how it is to be closed.

use super::ledger::{Direction, ExitReason, IntentId, TradeRecord};
use super::strategy::Signal;
use crate::market::{
    Instrument, InstrumentKey, InstrumentKind, Money, OrderId, Price, Product, Quantity, Side,
    Timestamp,
};

/// Names a leg: the trade's, or one of the strays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LegId {
    Trade,
    Stray(usize),
}

/// Units of one instrument that the engine is responsible for closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) instrument: InstrumentKey,
    pub(super) kind: InstrumentKind,
    pub(super) tick: Price,
    pub(super) lot: Quantity,
    pub(super) product: Product,
    /// The side that reduces.
    pub(super) close: Side,
    /// Units opened by our own fills (or shown by the broker, for a stray).
    pub(super) opened: Quantity,
    pub(super) opened_value: Money,
    /// Units closed by someone else.
    pub(super) external: Quantity,
    pub(super) external_value: Money,
    /// Orders that closed for someone else's account of it.
    pub(super) external_orders: u32,
    /// Orders that reduce, oldest first; at most one of them alive.
    pub(super) closers: Vec<IntentId>,
    pub(super) aim: Aim,
    /// Last instant at which a fill of this leg became known.
    pub(super) last_fill: Option<Timestamp>,
    /// A further closing order needs a position read after this.
    pub(super) proof_from: Option<Timestamp>,
    /// No closing order or change before this.
    pub(super) not_before: Option<Timestamp>,
    /// Units in our direction that the broker showed, and when that was asked.
    pub(super) shown: Option<(Quantity, Timestamp)>,
    /// Units of the same symbol that are not ours.
    pub(super) foreign: Quantity,
    /// A difference to the broker that waits to be confirmed.
    pub(super) gap: Option<Gap>,
    /// Reads in a row that showed the other side of what was opened.
    pub(super) reads_beyond: u32,
    /// Refusals since the last order that was taken.
    pub(super) refusals: u32,
    /// Those in a row that were about the order itself, such as its price;
    /// none once one is taken.
    pub(super) off_price: u32,
    /// Closing orders carry more than is held, and do not let go of it.
    pub(super) excess: Option<Excess>,
}

/// Since when closing orders carry more than is held, and when that is to be
/// told next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Excess {
    pub(super) order: IntentId,
    pub(super) tell_at: Timestamp,
}

/// A difference between what we hold and what the broker shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) shown: Quantity,
    pub(super) held: Quantity,
    pub(super) since: Timestamp,
    pub(super) last: Timestamp,
    pub(super) reads: u32,
    pub(super) said: bool,
}

/// What is wanted of a leg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aim {
    /// A stop rests at the exchange.
    Protect { trigger: Price, limit: Price },
    /// It is being closed.
    Exit(Exit),
}

/// How far closing has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) reason: ExitReason,
    pub(super) since: Timestamp,
    /// Rung of the ladder that comes next.
    pub(super) rung: u32,
    /// When the last rung was sent.
    pub(super) rung_at: Option<Timestamp>,
}

impl Leg {
    /// A leg of which nothing is held yet.
    pub(super) fn new(contract: &Instrument, product: Product, close: Side) -> Leg {
        Leg {
            instrument: contract.key.clone(),
            kind: contract.kind,
            tick: contract.tick,
            lot: contract.lot,
            product,
            close,
            opened: 0,
            opened_value: Money::ZERO,
            external: 0,
            external_value: Money::ZERO,
            external_orders: 0,
            closers: Vec::new(),
            aim: Aim::Protect { trigger: Price::ZERO, limit: Price::ZERO },
            last_fill: None,
            proof_from: None,
            not_before: None,
            shown: None,
            foreign: 0,
            gap: None,
            reads_beyond: 0,
            refusals: 0,
            off_price: 0,
            excess: None,
        }
    }

    /// The reason of the exit under way.
    pub(super) fn exit_reason(&self) -> Option<ExitReason> {
        match &self.aim {
            Aim::Protect { .. } => None,
            Aim::Exit(exit) => Some(exit.reason),
        }
    }

    /// True for legs that the broker shows in one row of its positions.
    pub(super) fn shares_row_with(&self, other: &Leg) -> bool {
        self.instrument == other.instrument && self.product == other.product
    }

    /// Units in our direction out of a broker's net quantity.
    pub(super) fn in_our_direction(&self, net: Quantity) -> Quantity {
        match self.close {
            Side::Sell => net,
            Side::Buy => -net,
        }
    }
}

/// A trade from the decision to enter to the proof that it is flat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trade {
    pub(super) record: TradeRecord,
    pub(super) recorded: Option<TradeRecord>,
    pub(super) signal: Signal,
    pub(super) entry: IntentId,
    pub(super) leg: Leg,
    pub(super) decided_at: Timestamp,
    /// True once the first target was reached.
    pub(super) runner: bool,
    /// The stop must be seen resting by then.
    pub(super) protect_by: Option<Timestamp>,
    pub(super) entry_told: bool,
    /// What the gates expected to lose at the stop and to gain at the first
    /// target.
    pub(super) expected_loss: Money,
    pub(super) expected_gain: Money,
    pub(super) exit_alarms: u32,
    /// The broker's order row that squared it off, once adopted.
    pub(super) squared_off: bool,
    /// Foreign closing orders already counted, with the units taken of each.
    pub(super) foreign_seen: Vec<(OrderId, Quantity)>,
}

impl Trade {
    /// True when the traded instrument gains when the signal's direction
    /// comes true: always, but for a share or future sold short.
    pub(super) fn is_short(&self) -> bool {
        self.leg.close == Side::Buy
    }

    /// Points on the signal instrument in the trade's favour.
    pub(super) fn at_or_beyond(&self, price: Price, goal: Price) -> bool {
        match self.signal.direction {
            Direction::Long => price >= goal,
            Direction::Short => price <= goal,
        }
    }

    /// True when the signal instrument is at the stop or worse.
    pub(super) fn is_stopped(&self, price: Price) -> bool {
        match self.signal.direction {
            Direction::Long => price <= self.record.stop,
            Direction::Short => price >= self.record.stop,
        }
    }
}

/// Something to be closed beside the trade: what an entry bought after it was
/// given up, or a foreign position in a panic over all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stray {
    pub(super) leg: Leg,
    /// Stands where a trade id stands in records.
    pub(super) name: String,
    /// The trade whose entry filled late, when it is the bot's own.
    pub(super) late: Option<Box<Trade>>,
    /// True while the broker has not shown it flat.
    pub(super) open: bool,
    /// How often it was cried out that it does not get closed.
    pub(super) exit_alarms: u32,
}
