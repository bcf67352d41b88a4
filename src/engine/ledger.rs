//! What the engine writes down: decisions, trades, orders, states. Each fact
//! becomes rows of the tables that people query.

use chrono::NaiveDate;

use super::settings::Limit;
use crate::market::{
    Candle, InstrumentKey, InstrumentKind, Money, OrderId, OrderType, Price, Quantity, Side, Tag,
    Timestamp,
};

/// Something to write down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A strategy judged a candle.
    Decision(Decision),
    /// A trade was opened, changed or closed: the whole row, as it is now.
    Trade(Box<TradeRecord>),
    /// An order intent changed: the whole row, as it is now.
    Order(Box<OrderRecord>),
    /// Permission or phase changed.
    State(StateRecord),
    /// The answer to an operator's request.
    Answer {
        /// Row of the inbox.
        request: i64,
        /// True when it was carried out.
        done: bool,
        /// What to tell the person.
        text: String,
    },
    /// A person changed a limit.
    Limit(LimitRecord),
    /// The day's figures.
    Day(Box<DaySummary>),
}

/// Names an intent: one order that the engine decided to have, from the
/// decision to its end. Counts up within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IntentId(pub u32);

/// A strategy's verdict on one candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which instrument's candle.
    pub instrument: InstrumentKey,
    /// The candle.
    pub candle: Candle,
    /// When the verdict fell (the candle's end).
    pub at: Timestamp,
    /// What was decided.
    pub verdict: Verdict,
    /// Reason code: `ENTER`, `NO_CROSS`, or a reject reason such as
    /// `CPR_WIDE`. One vocabulary for all strategies and gates.
    pub reason: String,
    /// Direction considered, when a level was crossed.
    pub direction: Option<Direction>,
    /// Level considered, such as `R1`.
    pub level: Option<String>,
    /// The numbers compared, in order: name and value as text.
    pub numbers: Vec<(String, String)>,
}

/// Outcome of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Nothing to judge: no level was crossed.
    Quiet,
    /// There was a setup and it was refused.
    Rejected,
    /// An entry was asked for.
    Enter,
}

/// Which way a view goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Expects the signal instrument to rise.
    Long,
    /// Expects it to fall.
    Short,
}

impl Direction {
    /// `LONG` or `SHORT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Long => "LONG",
            Direction::Short => "SHORT",
        }
    }
}

/// Why a position was closed. The words stand in tables and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExitReason {
    /// An operator's panic.
    Panic,
    /// A loss limit.
    Risk,
    /// The stop on the signal instrument.
    StopLoss,
    /// The last target.
    Target,
    /// No progress within the allowed candles.
    Timeout,
    /// End of day.
    Eod,
    /// An operator's exit, or closed outside the bot.
    Manual,
    /// The stop resting at the exchange filled.
    CatastropheSl,
    /// The broker squared it off.
    BrokerSquareOff,
    /// No trustworthy price for too long.
    Blind,
    /// Protection could not be placed.
    Unprotected,
    /// A window that people listed began.
    Event,
}

impl ExitReason {
    /// The word in tables and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            ExitReason::Panic => "PANIC",
            ExitReason::Risk => "RISK",
            ExitReason::StopLoss => "STOP_LOSS",
            ExitReason::Target => "TARGET",
            ExitReason::Timeout => "TIMEOUT",
            ExitReason::Eod => "EOD",
            ExitReason::Manual => "MANUAL",
            ExitReason::CatastropheSl => "CATASTROPHE_SL",
            ExitReason::BrokerSquareOff => "BROKER_SQUAREOFF",
            ExitReason::Blind => "BLIND",
            ExitReason::Unprotected => "UNPROTECTED",
            ExitReason::Event => "EVENT",
        }
    }

    /// All reasons.
    pub const ALL: [ExitReason; 12] = [
        ExitReason::Panic,
        ExitReason::Risk,
        ExitReason::StopLoss,
        ExitReason::Target,
        ExitReason::Timeout,
        ExitReason::Eod,
        ExitReason::Manual,
        ExitReason::CatastropheSl,
        ExitReason::BrokerSquareOff,
        ExitReason::Blind,
        ExitReason::Unprotected,
        ExitReason::Event,
    ];

    /// Reads the word.
    pub fn parse(text: &str) -> Option<ExitReason> {
        ExitReason::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// One trade, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeRecord {
    /// `YYYYMMDD_NNN`.
    pub trade_id: String,
    /// Trading date.
    pub date: NaiveDate,
    /// The signal instrument.
    pub signal: InstrumentKey,
    /// What was traded.
    pub contract: InstrumentKey,
    /// Its kind; call or put for options.
    pub kind: InstrumentKind,
    /// Strike of an option.
    pub strike: Price,
    /// Which way the view went.
    pub direction: Direction,
    /// Level or scenario that signalled: `R1`, `SCENARIO_1`.
    pub setup: String,
    /// Day type or structure: `MODERATE`, `BULLISH`.
    pub structure: String,
    /// The signal candle.
    pub candle: Candle,
    /// True for an entry on the day's first candle.
    pub first_candle: bool,
    /// True when it follows a stop on the same setup.
    pub re_entry: bool,
    /// Units bought (or sold short) so far.
    pub quantity: Quantity,
    /// First fill of the entry.
    pub entered_at: Option<Timestamp>,
    /// Value of the entry fills.
    pub entry_value: Money,
    /// Stop on the signal instrument, as it stands now.
    pub stop: Price,
    /// First target, when there are two.
    pub first_target: Option<Price>,
    /// Last target.
    pub target: Price,
    /// Trigger of the stop that rests at the exchange.
    pub resting_stop: Option<Price>,
    /// Units sold (or bought back) so far.
    pub closed_quantity: Quantity,
    /// Last fill of the exit.
    pub exited_at: Option<Timestamp>,
    /// Value of the exit fills.
    pub exit_value: Money,
    /// Why it was closed.
    pub exit_reason: Option<ExitReason>,
    /// Candles closed since the signal candle.
    pub candles_held: u32,
    /// Gross result of what is closed.
    pub gross: Money,
    /// Estimated charges of what is closed.
    pub charges: Money,
    /// Levels shown with the trade: name and price, rounded to the paisa.
    pub levels: Vec<(String, Price)>,
}

impl TradeRecord {
    /// True when nothing is held any more.
    pub fn is_closed(&self) -> bool {
        self.exit_reason.is_some() && self.closed_quantity == self.quantity
    }

    /// Gross minus charges.
    pub fn net(&self) -> Money {
        self.gross - self.charges
    }
}

/// One order intent, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRecord {
    /// Its number today.
    pub intent: IntentId,
    /// Trading date.
    pub date: NaiveDate,
    /// The trade it serves.
    pub trade_id: String,
    /// What it is for.
    pub role: Role,
    /// Our mark.
    pub tag: Tag,
    /// The broker's name, once known.
    pub order_id: Option<OrderId>,
    /// What is traded.
    pub instrument: InstrumentKey,
    /// Buy or sell.
    pub side: Side,
    /// Type as last asked for.
    pub order_type: OrderType,
    /// Units as last asked for.
    pub quantity: Quantity,
    /// Limit as last asked for.
    pub price: Price,
    /// Trigger as last asked for.
    pub trigger: Option<Price>,
    /// Where it stands: `SENDING`, `UNKNOWN`, or the broker's word.
    pub status: String,
    /// The broker's words.
    pub message: Option<String>,
    /// Units filled.
    pub filled: Quantity,
    /// Value of the fills.
    pub filled_value: Money,
    /// When it was decided.
    pub decided_at: Timestamp,
    /// When the broker's answer came.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How often it was changed.
    pub changes: u32,
}

/// What an order is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Opens a position.
    Entry,
    /// Rests at the exchange as protection; the exit is made by changing it.
    Stop,
    /// Closes a position without a resting stop to change.
    Exit,
}

impl Role {
    /// `ENTRY`, `STOP`, `EXIT`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Entry => "ENTRY",
            Role::Stop => "STOP",
            Role::Exit => "EXIT",
        }
    }
}

/// Permission and phase, as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRecord {
    /// What the engine may do.
    pub permission: Permission,
    /// Why, in one code: `STARTING`, `OPERATOR`, `PANIC`, `DAILY_LOSS`, …
    pub reason: String,
    /// Who or what caused it.
    pub actor: String,
    /// Since when.
    pub since: Timestamp,
}

/// A change of a limit by a person. It holds until the limit is changed again;
/// what loosens a limit waits for the next trading day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitRecord {
    /// Which limit.
    pub limit: Limit,
    /// Its new value: lots, trades, re-entries, or paise of loss.
    pub value: i64,
    /// The trading date on which it was asked.
    pub date: NaiveDate,
    /// True when it holds from now on, false when from the next trading day.
    pub at_once: bool,
    /// Who asked.
    pub actor: String,
}

/// What the engine may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// May enter.
    Active,
    /// Exits only.
    Reducing,
    /// Nothing new; protective stops stay.
    Halted,
}

impl Permission {
    /// `ACTIVE`, `REDUCING`, `HALTED`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Permission::Active => "ACTIVE",
            Permission::Reducing => "REDUCING",
            Permission::Halted => "HALTED",
        }
    }
}

/// Figures of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaySummary {
    /// Trading date.
    pub date: NaiveDate,
    /// The signal instrument.
    pub instrument: InstrumentKey,
    /// Trades with a fill.
    pub trades: u32,
    /// Trades with net above zero.
    pub wins: u32,
    /// Trades with net at or below zero.
    pub losses: u32,
    /// Gross result.
    pub gross: Money,
    /// Estimated charges.
    pub charges: Money,
    /// Deepest fall of the day's net from its highest point, trade by trade.
    pub max_drawdown: Money,
    /// Trades by setup (level or scenario).
    pub by_setup: Vec<(String, u32)>,
    /// Trades by exit reason.
    pub by_exit: Vec<(ExitReason, u32)>,
    /// Entries on the day's first candle.
    pub first_candle_entries: u32,
    /// True when broker and bot agree that nothing is held or working.
    pub flat: bool,
}

impl DaySummary {
    /// Gross minus charges.
    pub fn net(&self) -> Money {
        self.gross - self.charges
    }
}
