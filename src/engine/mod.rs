//! The only place where decisions are made: a pure state machine.
//!
//! [`Engine::step`] takes one [`Event`] and appends [`Command`]s. Same
//! events, same commands, bit for bit. No clock, no I/O, no float in a
//! decision, no hash order.
//!
//! # How a step works
//! An event only brings knowledge: a quote, a row, an outcome, a person's
//! word. After it is taken in, [`Engine::step`] compares what is wanted with
//! what is, part by part (day, risk, exits, entry, orders, reconciliation),
//! and asks for the next thing that is missing. So a late, doubled or lost
//! event changes when something happens, never what; and a restart needs no
//! code of its own: what had no answer is unknown, as after any lost answer.
//!
//! | room | decides |
//! | --- | --- |
//! | `phase` | what the clock asks for: flattening, alarms, the end of the day |
//! | `risk` | loss limits; the last look at every order |
//! | `guards` | gains given back, listed windows, messages that come to nothing |
//! | `entry`, `select` | whether a signal becomes an order, of what and how large |
//! | `exit` | when to leave |
//! | `position`, `legs` | what is held; the resting stop, the ladder |
//! | `order_terms` | the prices of stops and exits |
//! | `orders`, `intents` | sending an order; where one stands |
//! | `reconcile`, `gaps` | what the broker shows against what we know |
//! | `settle`, `book` | when a trade is closed; the day's results with charges |
//! | `permission` | what stands against entries, and the limits as people left them |
//! | `control` | what people may ask, and what is answered |
//! | `alarms`, `text` | what is said, and how |
//! | `invariants` | what must hold after every step |

mod alarms;
mod book;
mod control;
mod entry;
mod exit;
mod gaps;
mod guards;
mod intents;
mod invariants;
mod legs;
mod order_terms;
mod orders;
mod permission;
mod phase;
mod position;
mod reconcile;
mod risk;
#[cfg(test)]
pub(crate) mod sabotage;
mod select;
mod settle;
mod text;

pub mod command;
pub mod day;
pub mod event;
pub mod ledger;
pub mod notice;
pub mod settings;
pub mod strategy;
pub mod view;

#[cfg(test)]
mod tests;

pub use command::Command;
pub use day::DayPlan;
pub use event::{Event, Stamp};
pub use ledger::{Fact, Permission};
pub use notice::Notice;
pub use settings::{Mode, Settings};
pub use view::{Figures, PositionView};

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use book::Book;
use entry::Pending;
use event::{CommandId, FeedState};
use intents::Intent;
use ledger::{IntentId, StateRecord};
use permission::Control;
use phase::Marks;
use position::{Stray, Trade};
use reconcile::SyncState;
use strategy::{Outlook, PlanError, Strategy};

use crate::market::{InstrumentKey, Quote, Timestamp};

/// Makes a day's strategy out of its plan.
pub type StrategyBuilder =
    Arc<dyn Fn(&DayPlan) -> Result<Box<dyn Strategy>, PlanError> + Send + Sync>;

/// The state of one account's trading, and the rules that move it.
pub struct Engine {
    now: Stamp,
    out: Vec<Command>,
    revision: u64,
    builder: StrategyBuilder,
    plan: Option<Arc<DayPlan>>,
    strategy: Option<Box<dyn Strategy>>,
    quotes: BTreeMap<InstrumentKey, Quote>,
    feed_up: bool,
    session_alive: bool,
    watch: Vec<InstrumentKey>,
    control: Control,
    intents: BTreeMap<IntentId, Intent>,
    next_intent: u32,
    trade: Option<Box<Trade>>,
    next_trade: u32,
    strays: Vec<Stray>,
    /// Contracts that an earlier day has left open.
    left_open: Vec<InstrumentKey>,
    /// Trades of the day that are over, should an order of theirs turn up.
    ghosts: Vec<Trade>,
    pending: Option<Pending>,
    book: Book,
    sync: SyncState,
    marks: Marks,
    #[cfg(test)]
    sabotaged: Option<sabotage::Sabotage>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("date", &self.plan.as_ref().map(|plan| plan.date))
            .field("control", &self.control)
            .field("intents", &self.intents)
            .field("trade", &self.trade)
            .field("strays", &self.strays)
            .field("left_open", &self.left_open)
            .field("ghosts", &self.ghosts)
            .field("pending", &self.pending)
            .field("book", &self.book)
            .field("sync", &self.sync)
            .field("marks", &self.marks)
            .field("strategy", &self.strategy)
            .field("watch", &self.watch)
            .field("feed_up", &self.feed_up)
            .field("session_alive", &self.session_alive)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine that knows nothing yet; it may only reduce.
    pub fn new() -> Engine {
        Engine::with_strategies(Arc::new(strategy::build))
    }

    /// An engine whose strategies come from elsewhere.
    pub fn with_strategies(builder: StrategyBuilder) -> Engine {
        Engine {
            now: Stamp { seq: 0, at: Timestamp::UNIX_EPOCH },
            out: Vec::new(),
            revision: 0,
            builder,
            plan: None,
            strategy: None,
            quotes: BTreeMap::new(),
            feed_up: false,
            session_alive: true,
            watch: Vec::new(),
            control: Control::new(),
            intents: BTreeMap::new(),
            next_intent: 1,
            trade: None,
            next_trade: 1,
            strays: Vec::new(),
            left_open: Vec::new(),
            ghosts: Vec::new(),
            pending: None,
            book: Book::default(),
            sync: SyncState::default(),
            marks: Marks::default(),
            #[cfg(test)]
            sabotaged: None,
        }
    }

    /// Takes one event; appends what it asks for.
    pub fn step(&mut self, at: Stamp, event: &Event, out: &mut Vec<Command>) {
        if self.now.seq == 0 {
            self.control.begin(at.at);
        }
        self.now = at;
        let is_durable = match event {
            Event::Quotes(_) | Event::Deadline => false,
            Event::NewDate(_)
            | Event::Day(_)
            | Event::Candle { .. }
            | Event::Feed(_)
            | Event::Order(_)
            | Event::Outcome { .. }
            | Event::Snapshot(_)
            | Event::Operator(_)
            | Event::Restarted
            | Event::ClockJumped { .. }
            | Event::Session { .. } => true,
        };
        self.take(event);
        self.pursue();
        if is_durable || !self.out.is_empty() {
            self.touch();
        }
        out.append(&mut self.out);
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::NewDate(carried) => self.on_new_date(carried),
            Event::Day(plan) => self.on_day(plan),
            Event::Quotes(quotes) => self.observe(quotes),
            Event::Candle { instrument, candle, sound } => {
                self.on_candle(instrument, *candle, *sound);
            }
            Event::Feed(state) => self.on_feed(*state),
            Event::Order(row) => self.on_hint(row),
            Event::Outcome { command, outcome } => self.on_outcome(*command, outcome),
            Event::Snapshot(snapshot) => self.on_snapshot(snapshot),
            Event::Operator(request) => self.on_operator(request),
            Event::Deadline => {}
            Event::Restarted => self.on_restarted(),
            Event::ClockJumped { by_ms } => self.on_clock_jumped(*by_ms),
            Event::Session { alive } => self.on_session(*alive),
        }
    }

    /// Asks for whatever is missing between what is and what is wanted.
    fn pursue(&mut self) {
        self.keep_schedule();
        self.keep_limits();
        self.keep_gains();
        self.look_for_exits();
        self.retry_pending_signal();
        self.drive_entry();
        self.drive_legs();
        self.watch_excess();
        self.settle_trade();
        self.settle_panic();
        self.close_day();
        self.fetch_when_due();
        self.write_down();
        self.check_invariants();
    }

    /// Learns quotes without deciding anything. A replay calls it with the
    /// quotes as they stood just before a journaled event; running shells
    /// send [`Event::Quotes`].
    pub fn observe(&mut self, quotes: &[Quote]) {
        Quote::keep_latest(&mut self.quotes, quotes);
    }

    fn on_feed(&mut self, state: FeedState) {
        let up = state == FeedState::Up;
        if up == self.feed_up {
            return;
        }
        self.feed_up = up;
        if !self.marks.closed {
            self.say_feed(up);
        }
        if up {
            self.sync.ask_now();
        }
    }

    /// Counts a change of state that caused no command.
    fn touch(&mut self) {
        self.revision += 1;
    }

    fn emit(&mut self, command: Command) -> CommandId {
        let index = u32::try_from(self.out.len()).unwrap_or(u32::MAX);
        let id = CommandId { seq: self.now.seq, index };
        if command.is_order() {
            self.book.order_messages += 1;
        }
        self.out.push(command);
        id
    }

    /// The instant at which the engine wants a [`Event::Deadline`] at the
    /// latest. Always after the last step.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.earliest_deadline()
    }

    /// Counts changes of state other than quotes: an event after which it is
    /// unchanged and that caused no command need not be journaled.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// What the engine may do, why, and since when.
    pub fn permission(&self) -> &StateRecord {
        self.control.state()
    }

    /// The day it works on.
    pub fn day(&self) -> Option<&DayPlan> {
        self.plan.as_deref()
    }

    /// What the strategy says of the day's levels.
    pub fn outlook(&self) -> Vec<Outlook> {
        self.strategy.as_ref().map_or_else(Vec::new, |strategy| strategy.outlook())
    }

    /// True while anything is in flight, working or held: market time must
    /// not run fast and the process should not stop now.
    pub fn busy(&self) -> bool {
        self.trade.is_some()
            || self.strays.iter().any(|stray| stray.open)
            || self.pending.is_some()
            || self.intents.values().any(|intent| intent.is_alive() || intent.request.is_some())
    }

    /// Instruments whose quotes are wanted, as in the last
    /// [`Command::Watch`].
    pub fn watch_list(&self) -> &[InstrumentKey] {
        &self.watch
    }

    /// The last quote of an instrument.
    pub fn quote(&self, instrument: &InstrumentKey) -> Option<&Quote> {
        self.quotes.get(instrument)
    }
}
