//! The end of a trade: closed when the broker says so, and not before.

use std::collections::BTreeMap;

use super::Engine;
use super::command::Command;
use super::intents::Stage;
use super::ledger::{ExitReason, Fact, IntentId, Role};
use super::permission::Hold;
use super::position::{Aim, Exit, Leg, Stray, Trade};
use super::strategy::ClosedTrade;
use crate::market::{
    BrokerPosition, Instrument, InstrumentKey, InstrumentKind, Money, Price, Product, Quantity,
    Timestamp,
};

/// Tick of an option whose contract is not in today's plan.
const OPTION_TICK: Price = Price::from_paise(5);
/// Ticks of shares and futures up to a price, and above all of them. Exchanges
/// set them by last month's prices, so each holds up to half of its band; a
/// price that fits a coarser tick fits every finer one.
const TICKS: [(Price, Price); 4] = [
    (Price::from_rupees(500), Price::from_paise(5)),
    (Price::from_rupees(2_500), Price::from_paise(10)),
    (Price::from_rupees(5_000), Price::from_paise(50)),
    (Price::from_rupees(10_000), Price::from_paise(100)),
];
const COARSEST_TICK: Price = Price::from_paise(500);
/// Results may differ by this much: averages are rounded.
const RESULT_TOLERANCE: Money = Money::from_rupees(3);

impl Engine {
    pub(super) fn settle_trade(&mut self) {
        self.settle_strays();
        let Some(trade) = &self.trade else { return };
        let Some(entry) = self.intents.get(&trade.entry) else { return };
        if !entry.is_ended() {
            return;
        }
        let leg = &trade.leg;
        if leg.opened == 0 {
            self.drop_missed_entry();
            return;
        }
        if self.held(leg) == 0 && self.is_proven_flat(leg) {
            self.close_trade();
        }
    }

    /// True when nothing works and a position read younger than the last
    /// change shows none of our units.
    fn is_proven_flat(&self, leg: &Leg) -> bool {
        let changed = leg.last_fill.max(leg.proof_from);
        let shown = leg.shown.filter(|(_, taken_at)| Some(*taken_at) >= changed);
        self.alive_closers(leg).is_empty() && shown.is_some_and(|(shown, _)| shown == leg.foreign)
    }

    fn settle_strays(&mut self) {
        for index in 0..self.strays.len() {
            let leg = &self.strays[index].leg;
            let done = self.strays[index].open && self.held(leg) <= 0 && self.is_proven_flat(leg);
            if !done {
                continue;
            }
            self.strays[index].open = false;
            self.touch();
            match self.strays[index].late.take() {
                Some(trade) => {
                    let leg = self.strays[index].leg.clone();
                    self.write_up(Trade { leg, ..*trade }, ExitReason::Unprotected);
                }
                None => self.say_stray_closed(index),
            }
        }
    }

    fn close_trade(&mut self) {
        let Some(trade) = self.trade.take() else { return };
        let at = self.now.at;
        let reason = self.final_reason(&trade);
        if let Some(strategy) = &mut self.strategy {
            strategy.on_closed(ClosedTrade {
                setup: &trade.signal.setup,
                instrument: &trade.signal.instrument,
                direction: trade.signal.direction,
                reason,
                at,
            });
        }
        self.write_up(*trade, reason);
        self.say_entries_over();
        self.watch_held();
    }

    /// Enters a trade that is over into the day's results, and tells it.
    fn write_up(&mut self, mut trade: Trade, reason: ExitReason) {
        self.refresh_record(&mut trade);
        trade.record.exit_reason = Some(reason);
        trade.record.exited_at = trade.leg.last_fill;
        self.book.closed.push(trade.record.clone());
        self.emit(Command::Record(Fact::Trade(Box::new(trade.record.clone()))));
        self.say_exit(&trade, reason);
        self.ghosts.push(trade);
    }

    /// What really closed it: the resting stop, the broker, somebody else,
    /// or our own reason.
    fn final_reason(&self, trade: &Trade) -> ExitReason {
        let leg = &trade.leg;
        let last = leg
            .closers
            .iter()
            .filter_map(|id| self.intents.get(id))
            .filter(|intent| intent.filled > 0)
            .max_by_key(|intent| intent.ended_at);
        if trade.squared_off {
            return ExitReason::BrokerSquareOff;
        }
        if last.is_some_and(|intent| intent.filled_as_stop()) {
            return ExitReason::CatastropheSl;
        }
        if last.is_none() {
            return ExitReason::Manual;
        }
        leg.exit_reason().unwrap_or(ExitReason::Manual)
    }

    /// A fill of an order whose trade is over or was given up.
    pub(super) fn adopt_late_fill(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get(&id) else { return };
        let opens = intent.role == Role::Entry;
        let ghost = self.ghosts.iter().position(|trade| trade.entry == id);
        match ghost {
            Some(index) if opens && self.trade.is_none() => {
                let mut trade = self.ghosts.remove(index);
                self.forget_end_of(&mut trade);
                self.trade = Some(Box::new(trade));
                self.after_entry_progress(true, false);
                self.say_late_fill(id);
                self.start_exit(ExitReason::Unprotected);
            }
            Some(_) | None => {
                self.control.hold(Hold::Mismatch, "engine", self.now.at);
                if opens {
                    self.close_beside_the_trade(id, ghost);
                }
                self.say_late_fill(id);
            }
        }
        self.sync.ask_now();
    }

    /// Closes what an entry bought that was given up while another trade is
    /// open.
    fn close_beside_the_trade(&mut self, id: IntentId, ghost: Option<usize>) {
        if let Some(mut trade) = ghost.map(|index| self.ghosts.remove(index)) {
            self.forget_end_of(&mut trade);
            trade.record.entered_at.get_or_insert(self.now.at);
            let mut leg = trade.leg.clone();
            leg.aim = Aim::Exit(Exit {
                reason: ExitReason::Unprotected,
                since: self.now.at,
                rung: 0,
                rung_at: None,
            });
            let (name, late) = (trade.record.trade_id.clone(), Some(Box::new(trade)));
            self.strays.push(Stray { leg, name, late, open: true, exit_alarms: 0 });
        }
        let Some(intent) = self.intents.get(&id) else { return };
        let is_of = |stray: &&mut Stray| stray.late.as_ref().is_some_and(|late| late.entry == id);
        let Some(stray) = self.strays.iter_mut().find(is_of) else { return };
        (stray.leg.opened, stray.leg.opened_value) = (intent.filled, intent.filled_value);
        stray.leg.last_fill = Some(self.now.at);
        // Others may have closed it since: it is sold by what is shown.
        stray.leg.proof_from = Some(self.now.at);
        self.watch_held();
    }

    /// Takes a trade that was over for open again.
    fn forget_end_of(&mut self, trade: &mut Trade) {
        self.book.closed.retain(|row| row.trade_id != trade.record.trade_id);
        trade.record.exit_reason = None;
        trade.record.exited_at = None;
    }

    /// A person said to go on although an entry was never found: its trade
    /// is put aside; should the order turn up, it is cancelled or closed.
    pub(super) fn release_missing_entries(&mut self) {
        for intent in self.intents.values_mut() {
            if intent.role == Role::Entry && intent.stage == Stage::Missing {
                intent.released = true;
            }
        }
        let released = self.trade.as_ref().is_some_and(|trade| {
            trade.leg.opened == 0
                && self.intents.get(&trade.entry).is_some_and(|intent| intent.released)
        });
        if released {
            self.drop_missed_entry();
        }
    }

    /// Takes a foreign position into the panic.
    pub(super) fn adopt_foreign(&mut self, row: &BrokerPosition, taken_at: Timestamp) {
        let derivative = row.instrument.exchange.is_derivatives();
        if !derivative && row.product != Product::Mis {
            return;
        }
        let known = self
            .plan
            .as_ref()
            .and_then(|plan| plan.contracts.iter().find(|known| known.key == row.instrument));
        let contract = known.cloned().unwrap_or_else(|| foreign_contract(row));
        let mut leg = Leg::new(&contract, row.product.clone(), Engine::closing_side(row.quantity));
        leg.opened = row.quantity.abs();
        leg.opened_value = row.last_price * leg.opened;
        leg.shown = Some((leg.opened, taken_at));
        leg.aim = Aim::Exit(Exit {
            reason: ExitReason::Panic,
            since: self.now.at,
            rung: 0,
            rung_at: None,
        });
        let name = format!("FOREIGN_{:02}", self.strays.len() + 1);
        self.strays.push(Stray { leg, name, late: None, open: true, exit_alarms: 0 });
        self.watch_held();
    }

    /// Compares the broker's result of each contract that was traded, before
    /// charges, with what our own fills add up to.
    pub(super) fn compare_results(&mut self) {
        let Some(from) = self.hard_flat_at() else { return };
        let Some(rows) = self.sync.positions_since(from) else { return };
        let mut ours: BTreeMap<InstrumentKey, Money> = BTreeMap::new();
        for trade in &self.book.closed {
            *ours.entry(trade.contract.clone()).or_default() += trade.gross;
        }
        let shared = |key: &InstrumentKey| {
            self.ghosts.iter().any(|trade| {
                let leg = &trade.leg;
                leg.instrument == *key && (leg.foreign != 0 || leg.external != 0)
            })
        };
        let differs: Vec<(InstrumentKey, Money, Money)> = ours
            .into_iter()
            .filter(|(key, _)| !shared(key))
            .filter_map(|(key, gross)| {
                let row = rows.iter().find(|row| row.instrument == key && row.quantity == 0)?;
                let theirs = row.sold_value - row.bought_value;
                let apart = (theirs - gross).paise().abs() > RESULT_TOLERANCE.paise();
                apart.then_some((key, gross, theirs))
            })
            .collect();
        for (key, gross, theirs) in differs {
            self.say_result_differs(&key, gross, theirs);
        }
    }

    /// Tells the end of a panic once the broker shows everything flat.
    pub(super) fn settle_panic(&mut self) {
        let Some(panic) = self.control.panic.clone() else { return };
        let quiet = self.trade.is_none() && self.is_settled();
        let Some(rows) = self.sync.positions_since(panic.since) else { return };
        if panic.done || !quiet {
            return;
        }
        let is_intraday = |row: &&BrokerPosition| {
            row.instrument.exchange.is_derivatives() || row.product == Product::Mis
        };
        if panic.all && rows.iter().filter(is_intraday).any(|row| row.quantity != 0) {
            return;
        }
        let left = rows.iter().filter(|row| row.quantity != 0).cloned().collect::<Vec<_>>();
        if let Some(panic) = &mut self.control.panic {
            panic.done = true;
        }
        self.touch();
        self.say_panic_done(&panic, &left);
    }
}

/// What can be known of a contract that is not in the plan.
fn foreign_contract(row: &BrokerPosition) -> Instrument {
    let symbol = &row.instrument.symbol;
    let kind = match (row.instrument.exchange.is_derivatives(), symbol) {
        (true, symbol) if symbol.ends_with("CE") => InstrumentKind::Call,
        (true, symbol) if symbol.ends_with("PE") => InstrumentKind::Put,
        (true, _) => InstrumentKind::Future,
        (false, _) => InstrumentKind::Equity,
    };
    Instrument {
        key: row.instrument.clone(),
        token: 0,
        name: String::new(),
        kind,
        expiry: None,
        strike: Price::ZERO,
        tick: foreign_tick(kind, row.last_price),
        lot: 1,
    }
}

/// A tick that the broker takes for what is not in the plan.
fn foreign_tick(kind: InstrumentKind, last: Price) -> Price {
    if kind.option_type().is_some() {
        return OPTION_TICK;
    }
    let fits = TICKS.iter().find(|(up_to, _)| last <= *up_to);
    fits.map_or(COARSEST_TICK, |(_, tick)| *tick)
}

/// Money of a trade as rupees a unit, for texts.
pub(super) fn per_unit(value: Money, quantity: Quantity) -> Price {
    value.per_unit(quantity).unwrap_or(Price::ZERO)
}
