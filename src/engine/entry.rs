//! From a closed candle to an entry order, and that order's short life.

use chrono::TimeDelta;

use super::Engine;
use super::command::Command;
use super::intents::{Intent, Stage, Terms};
use super::ledger::{Decision, ExitReason, Fact, Permission, Role, TradeRecord, Verdict};
use super::order_terms;
use super::orders::Draft;
use super::position::{Aim, Leg, Trade};
use super::select::{Chosen, Gate};
use super::strategy::{CandleInput, Judgement, Signal};
use crate::market::{Candle, InstrumentKey, Money, OrderType, Price, Timestamp};

/// Entries refused by the broker in a day that end the day's entries.
const MAX_ENTRY_REFUSALS: u32 = 2;
/// An entry that lives on this long after its time is cried out.
const STUCK_AFTER: TimeDelta = TimeDelta::seconds(30);
/// A jump of the wall clock keeps entries off for this long.
pub(super) const CLOCK_TRUST_AFTER: TimeDelta = TimeDelta::minutes(3);

/// A signal that waits for a quote of its contract.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    pub(super) signal: Signal,
    pub(super) decision: Decision,
    pub(super) until: Timestamp,
}

impl Engine {
    pub(super) fn on_candle(&mut self, instrument: &InstrumentKey, candle: Candle, sound: bool) {
        let Some(plan) = self.plan.clone() else { return };
        self.on_trade_candle(instrument, &candle);
        let trusted = self.marks.note_soundness(instrument, &candle, sound, plan.candle_s);
        let at = candle.start + TimeDelta::seconds(i64::from(plan.candle_s));
        let spot = if *instrument == plan.signal.key {
            candle.close
        } else {
            self.quotes.get(&plan.signal.key).map_or(candle.close, |quote| quote.last)
        };
        let input = CandleInput {
            instrument,
            candle: &candle,
            at,
            sound,
            spot,
            flat: self.trade.is_none() && self.pending.is_none(),
            entries_today: self.trades_today(),
            consecutive_losses: self.book.consecutive_losses(),
            max_trades: self.control.limits.trades,
            max_consecutive_losses: plan.settings.risk.max_consecutive_losses,
        };
        let Some(strategy) = &mut self.strategy else { return };
        let Judgement { decision, signal } = strategy.on_candle(input);
        match signal {
            Some(signal) if decision.verdict == Verdict::Enter => {
                let gate = (!trusted).then(|| Gate::shut("UNSOUND_CANDLE", &[]));
                self.consider(signal, decision, gate);
            }
            Some(_) | None => {
                self.emit(Command::Record(Fact::Decision(decision)));
            }
        }
        self.watch_around(spot);
    }

    /// Turns a signal into an order, or writes down which gate was shut.
    fn consider(&mut self, signal: Signal, decision: Decision, gate: Option<Gate>) {
        let Some(plan) = &self.plan else { return };
        let until = decision.at + TimeDelta::seconds(i64::from(plan.settings.risk.signal_ttl_s));
        let verdict = match gate {
            Some(gate) => Err(gate),
            None => self.gates(&signal, until).and_then(|()| self.choose(&signal)),
        };
        match verdict {
            Ok(chosen) => self.enter(signal, decision, chosen),
            Err(gate) if gate.may_pass && self.now.at < until => {
                self.touch();
                self.pending = Some(Pending { signal, decision, until });
            }
            Err(gate) => self.reject(&signal, decision, gate),
        }
    }

    pub(super) fn retry_pending_signal(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let waits = self.now.at < pending.until
            && self.gates(&pending.signal, pending.until).is_ok()
            && self.choose(&pending.signal).is_err_and(|gate| gate.may_pass);
        if waits {
            self.pending = Some(pending);
        } else {
            self.consider(pending.signal, pending.decision, None);
        }
    }

    /// Gates that do not depend on the contract, in the order of report.
    fn gates(&self, signal: &Signal, until: Timestamp) -> Result<(), Gate> {
        let Some(plan) = &self.plan else { return Err(Gate::shut("NO_DAY", &[])) };
        let risk = &plan.settings.risk;
        let at = self.now.at;
        let state = self.permission();
        if state.permission != Permission::Active || self.control.blocks_entries() {
            let (reason, _) = self.control.first_block();
            let permission = state.permission.as_str().to_string();
            let numbers = [("permission", permission), ("why", reason.to_string())];
            return Err(Gate::shut("NOT_ACTIVE", &numbers));
        }
        if let Some(intent) = self.intents.values().find(|intent| is_unknown_entry(intent)) {
            return Err(Gate::shut("ENTRY_UNKNOWN", &[("order", intent.tag.to_string())]));
        }
        if self.trade.is_some() || self.intents.values().any(Intent::is_alive) {
            return Err(Gate::shut("POSITION_OPEN", &[]));
        }
        if !self.is_entry_window() {
            let schedule = &plan.settings.schedule;
            let window = format!("{}..{}", schedule.first_entry, schedule.last_entry);
            return Err(Gate::shut("TIME_WINDOW", &[("window", window)]));
        }
        if let Some(event) = self.event_now() {
            let window = format!("{}..{}", event.from, event.to);
            return Err(Gate::shut("EVENT_WINDOW", &[("window", window)]));
        }
        if at > until {
            let late = (at - until).num_seconds() + i64::from(risk.signal_ttl_s);
            let numbers =
                [("age", format!("{late} s")), ("most", format!("{} s", risk.signal_ttl_s))];
            return Err(Gate::shut("SIGNAL_TTL", &numbers));
        }
        if !self.session_alive {
            return Err(Gate::shut("NO_SESSION", &[]));
        }
        if !self.feed_up {
            return Err(Gate::shut("FEED_DOWN", &[]));
        }
        if let Some(age) = self.stale_index() {
            let most = format!("{} s", risk.index_stale_s);
            return Err(Gate::shut("INDEX_STALE", &[("age", age), ("most", most)]));
        }
        if self.marks.clock_jumped.is_some_and(|jumped| at < jumped + CLOCK_TRUST_AFTER) {
            return Err(Gate::shut("CLOCK", &[]));
        }
        self.count_gates(signal)
    }

    /// Gates that count what the day has had.
    fn count_gates(&self, signal: &Signal) -> Result<(), Gate> {
        let Some(plan) = &self.plan else { return Err(Gate::shut("NO_DAY", &[])) };
        let risk = &plan.settings.risk;
        let limits = &self.control.limits;
        let of = |code, has: u32, most: u32| {
            Gate::shut(code, &[("count", has.to_string()), ("most", most.to_string())])
        };
        let trades = self.trades_today();
        if trades >= limits.trades {
            return Err(of("MAX_TRADES", trades, limits.trades));
        }
        let losses = self.book.consecutive_losses();
        if losses >= risk.max_consecutive_losses {
            return Err(of("MAX_CONSEC_LOSSES", losses, risk.max_consecutive_losses));
        }
        if let Some(most) = limits.re_entries.filter(|_| signal.re_entry)
            && self.book.re_entries >= most
        {
            return Err(of("MAX_RE_ENTRIES", self.book.re_entries, most));
        }
        if self.book.entry_refusals >= MAX_ENTRY_REFUSALS {
            return Err(of("ENTRY_REFUSALS", self.book.entry_refusals, MAX_ENTRY_REFUSALS));
        }
        let reserved = risk.max_order_messages / 2;
        if self.book.order_messages >= reserved {
            return Err(of("ORDER_BUDGET", self.book.order_messages, reserved));
        }
        if let Some((messages, most)) = self.too_many_messages() {
            return Err(of("ORDER_TO_TRADE", messages, most));
        }
        if let Some(key) = self.contaminated(signal) {
            return Err(Gate::shut("SYMBOL_CONTAMINATED", &[("contract", key.to_string())]));
        }
        Ok(())
    }

    /// How old the last index tick is, when that is too old.
    pub(super) fn stale_index(&self) -> Option<String> {
        let plan = self.plan.as_ref()?;
        let limit = TimeDelta::seconds(i64::from(plan.settings.risk.index_stale_s));
        match self.quotes.get(&plan.signal.key) {
            Some(quote) => {
                let age = self.now.at - quote.at;
                (age > limit).then(|| format!("{} s", age.num_seconds()))
            }
            None => Some("never seen".into()),
        }
    }

    fn reject(&mut self, signal: &Signal, mut decision: Decision, gate: Gate) {
        decision.verdict = Verdict::Rejected;
        decision.reason = gate.code.to_string();
        decision.numbers.extend(gate.numbers);
        self.say_gate(signal, &decision);
        self.emit(Command::Record(Fact::Decision(decision)));
        if let Some(strategy) = &mut self.strategy {
            strategy.on_missed(&signal.setup, signal.direction);
        }
    }

    fn enter(&mut self, signal: Signal, mut decision: Decision, chosen: Chosen) {
        let Some(plan) = self.plan.clone() else { return };
        let trade_id = format!("{}_{:03}", plan.date.format("%Y%m%d"), self.next_trade);
        let terms = Terms {
            order_type: OrderType::Limit,
            quantity: chosen.quantity,
            price: chosen.limit,
            trigger: None,
        };
        let draft = Draft {
            role: Role::Entry,
            trade_id: trade_id.clone(),
            instrument: chosen.contract.key.clone(),
            side: chosen.side,
            product: plan.settings.product.clone(),
            terms,
        };
        if let Err(fault) = self.last_look_entry(&draft, &chosen.contract) {
            self.say_last_look(&draft, &fault);
            let gate = Gate::shut("LAST_LOOK", &[("fault", fault)]);
            return self.reject(&signal, decision, gate);
        }
        decision.numbers.extend(chosen.numbers.clone());
        self.emit(Command::Record(Fact::Decision(decision)));
        let Some(entry) = self.submit(draft) else { return };
        self.next_trade += 1;
        self.trade =
            Some(Box::new(new_trade(&plan, signal, &chosen, trade_id, entry, self.now.at)));
        self.watch_held();
    }

    /// Cancels the entry when its time is over or entries are not allowed
    /// any more.
    pub(super) fn drive_entry(&mut self) {
        if !self.may_send() {
            return;
        }
        self.cancel_given_up_entries();
        let Some(trade) = &self.trade else { return };
        let Some(entry) = self.intents.get(&trade.entry) else { return };
        let unwanted = matches!(trade.leg.aim, Aim::Exit(_))
            || self.now.at >= self.entry_until(trade)
            || self.control.blocks_entries()
            || self.is_flatten_time()
            || self.event_now().is_some()
            || self.stale_index().is_some();
        let id = entry.id;
        let overdue = self.now.at >= self.entry_until(trade) + STUCK_AFTER;
        if entry.stage == Stage::Working && unwanted {
            self.cancel(id);
            if overdue && self.marks.stuck_told != Some(id) {
                self.marks.stuck_told = Some(id);
                self.touch();
                self.say_stuck(id);
            }
        }
    }

    /// An entry that turns up after its trade was put aside.
    fn cancel_given_up_entries(&mut self) {
        let given_up: Vec<_> = self
            .intents
            .values()
            .filter(|intent| intent.stage == Stage::Working && self.is_released(intent))
            .map(|intent| intent.id)
            .collect();
        for id in given_up {
            self.cancel(id);
        }
    }

    /// When an unfilled entry is cancelled.
    pub(super) fn entry_until(&self, trade: &Trade) -> Timestamp {
        let ttl = self.plan.as_ref().map_or(0, |plan| plan.settings.risk.entry_ttl_s);
        trade.decided_at + TimeDelta::seconds(i64::from(ttl))
    }

    /// A fill or an end of the entry order became known.
    pub(super) fn after_entry_progress(&mut self, gained: bool, ended: bool) {
        let at = self.now.at;
        let Some(plan) = self.plan.clone() else { return };
        let Some(trade) = &mut self.trade else { return };
        let Some(entry) = self.intents.get(&trade.entry) else { return };
        if gained {
            let leg = &mut trade.leg;
            leg.opened = entry.filled;
            leg.opened_value = entry.filled_value;
            leg.last_fill = Some(at);
            trade.record.entered_at.get_or_insert(at);
            trade.record.entry_value = leg.opened_value;
            if leg.closers.is_empty() && matches!(leg.aim, Aim::Protect { .. }) {
                let paid = leg.opened_value.per_unit(leg.opened).unwrap_or(Price::ZERO);
                let away = trade.signal.reference - trade.signal.stop;
                let away = Price::from_paise(away.paise().abs());
                let risk = &plan.settings.risk;
                let (trigger, limit) =
                    order_terms::resting_stop(paid, leg.close, leg.kind, away, leg.tick, risk);
                leg.aim = Aim::Protect { trigger, limit };
            }
            if matches!(leg.aim, Aim::Protect { .. }) {
                let within = i64::from(plan.settings.risk.protect_within_s);
                trade.protect_by = Some(at + TimeDelta::seconds(within));
            }
        }
        let tell = ended && trade.leg.opened > 0 && !trade.entry_told;
        trade.entry_told |= tell;
        if tell {
            self.book.re_entries += u32::from(trade.signal.re_entry);
            self.say_entry();
        }
    }

    /// An entry that ended without a fill leaves no trade behind.
    pub(super) fn drop_missed_entry(&mut self) {
        let Some(trade) = self.trade.take() else { return };
        self.touch();
        self.say_missed(&trade);
        self.ghosts.push((*trade).clone());
        if let Some(strategy) = &mut self.strategy {
            strategy.on_missed(&trade.signal.setup, trade.signal.direction);
        }
        self.watch_held();
    }
}

/// True while nobody knows whether an entry order exists.
pub(super) fn is_unknown_entry(intent: &Intent) -> bool {
    let unknown = match intent.stage {
        Stage::Unsure { refused: false, .. } | Stage::Missing => true,
        Stage::Unsure { refused: true, .. } | Stage::Sending | Stage::Working | Stage::Ended(_) => {
            false
        }
    };
    intent.role == Role::Entry && unknown && !intent.released
}

fn new_trade(
    plan: &super::DayPlan,
    signal: Signal,
    chosen: &Chosen,
    trade_id: String,
    entry: super::ledger::IntentId,
    at: Timestamp,
) -> Trade {
    let contract = &chosen.contract;
    let record = TradeRecord {
        trade_id,
        date: plan.date,
        signal: signal.instrument.clone(),
        contract: contract.key.clone(),
        kind: contract.kind,
        strike: contract.strike,
        direction: signal.direction,
        setup: signal.setup.clone(),
        structure: signal.structure.clone(),
        candle: signal.candle,
        first_candle: signal.first_candle,
        re_entry: signal.re_entry,
        quantity: 0,
        entered_at: None,
        entry_value: Money::ZERO,
        stop: signal.stop,
        first_target: signal.first_target,
        target: signal.target,
        resting_stop: None,
        closed_quantity: 0,
        exited_at: None,
        exit_value: Money::ZERO,
        exit_reason: None::<ExitReason>,
        candles_held: 0,
        gross: Money::ZERO,
        charges: Money::ZERO,
        levels: signal.levels.clone(),
    };
    let leg = Leg::new(contract, plan.settings.product.clone(), chosen.side.opposite());
    Trade {
        record,
        recorded: None,
        signal,
        entry,
        leg,
        decided_at: at,
        runner: false,
        protect_by: None,
        entry_told: false,
        expected_loss: chosen.expected_loss,
        expected_gain: chosen.expected_gain,
        exit_alarms: 0,
        squared_off: false,
        foreign_seen: Vec::new(),
    }
}
