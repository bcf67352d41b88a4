//! Steering what is held towards what is wanted: a stop that rests at the
//! exchange, or nothing held any more.
//!
//! A leg has at most one live order that reduces. A resting stop becomes the
//! exit by being changed, so that two orders can never sell the same units.

use chrono::TimeDelta;

use super::Engine;
use super::event::Refusal;
use super::intents::{Stage, Terms};
use super::ledger::{ExitReason, IntentId, Role};
use super::order_terms;
use super::orders::Draft;
use super::position::{Aim, Excess, Exit, Leg, LegId};
use crate::market::contract;
use crate::market::{OrderChange, OrderType, Price, Product, Quantity, Timestamp};

/// Changes of one order before it is replaced; brokers allow 25.
const MAX_CHANGES: u32 = 20;
/// A change without a clean answer is asked again after this long even if
/// the order book cannot be read: it cannot sell more than the order holds.
const DOUBT_PATIENCE: TimeDelta = TimeDelta::seconds(5);
/// Steps beyond the last rung of the ladder.
const LAST_RUNG_STEP: TimeDelta = TimeDelta::seconds(5);
/// Pauses after a refusal, by what it says: an order that is being processed,
/// something wrong with the order, an account that may not.
const RETRY_SOON: TimeDelta = TimeDelta::seconds(1);
const RETRY: TimeDelta = TimeDelta::seconds(5);
const RETRY_LATE: TimeDelta = TimeDelta::seconds(15);
/// Our sales stop this long before the broker squares off, and go on this
/// long after it began.
const BEFORE_SQUARE_OFF: TimeDelta = TimeDelta::seconds(60);
const AFTER_SQUARE_OFF: TimeDelta = TimeDelta::seconds(180);
/// A closing order that carries more than is held is told after this long,
/// and again after each further span.
const EXCESS_ALARM: TimeDelta = TimeDelta::seconds(30);
const EXCESS_ALARM_AGAIN: TimeDelta = TimeDelta::seconds(60);
/// The last sale is sent this long before the day is closed.
const BEFORE_DAY_CLOSE: TimeDelta = TimeDelta::minutes(7);

impl Engine {
    pub(super) fn leg(&self, id: LegId) -> Option<&Leg> {
        match id {
            LegId::Trade => self.trade.as_ref().map(|trade| &trade.leg),
            LegId::Stray(index) => self.strays.get(index).map(|stray| &stray.leg),
        }
    }

    pub(super) fn leg_mut(&mut self, id: LegId) -> Option<&mut Leg> {
        match id {
            LegId::Trade => self.trade.as_mut().map(|trade| &mut trade.leg),
            LegId::Stray(index) => self.strays.get_mut(index).map(|stray| &mut stray.leg),
        }
    }

    fn leg_name(&self, id: LegId) -> String {
        match id {
            LegId::Trade => {
                self.trade.as_ref().map(|trade| trade.record.trade_id.clone()).unwrap_or_default()
            }
            LegId::Stray(index) => {
                self.strays.get(index).map(|stray| stray.name.clone()).unwrap_or_default()
            }
        }
    }

    /// Units held by our own fills and by what others are known to have
    /// closed.
    pub(super) fn held(&self, leg: &Leg) -> Quantity {
        #[cfg(test)]
        if self.sabotaged == Some(super::sabotage::Sabotage::ExitFromMemory) {
            return leg.opened - self.closed_by_us(leg);
        }
        leg.opened - leg.external - self.closed_by_us(leg)
    }

    /// Units that our own orders closed.
    pub(super) fn closed_by_us(&self, leg: &Leg) -> Quantity {
        leg.closers.iter().filter_map(|id| self.intents.get(id)).map(|intent| intent.filled).sum()
    }

    /// The live orders that reduce the leg.
    pub(super) fn alive_closers(&self, leg: &Leg) -> Vec<IntentId> {
        let is_alive = |id: &IntentId| self.intents.get(id).is_some_and(|it| it.is_alive());
        leg.closers.iter().copied().filter(is_alive).collect()
    }

    pub(super) fn drive_legs(&mut self) {
        if !self.may_send() {
            return;
        }
        self.give_up_on_outcomes(true);
        self.drive_leg(LegId::Trade);
        for index in 0..self.strays.len() {
            self.drive_leg(LegId::Stray(index));
        }
    }

    fn drive_leg(&mut self, which: LegId) {
        let Some(leg) = self.leg(which) else { return };
        let held = self.held(leg);
        let alive = self.alive_closers(leg);
        if held <= 0 || self.sales_pause(leg) {
            for id in alive {
                self.cancel(id);
            }
            return;
        }
        if self.awaits_comparison() {
            return;
        }
        let Some((&current, extra)) = alive.split_last() else {
            self.place_closer(which, held);
            return;
        };
        if extra.is_empty() {
            self.steer(which, current, held);
        }
        for &id in extra {
            self.cancel(id);
        }
    }

    /// True in the minutes in which the broker may be selling: two sellers
    /// of one position make a short.
    pub(super) fn sales_pause(&self, leg: &Leg) -> bool {
        let (Some(square_off), Some(day_close)) = (self.square_off_at(), self.day_close_at())
        else {
            return false;
        };
        let at = self.now.at;
        let broker_sells = leg.product == Product::Mis
            && at >= square_off - BEFORE_SQUARE_OFF
            && at < square_off + AFTER_SQUARE_OFF;
        broker_sells || at >= day_close - BEFORE_DAY_CLOSE
    }

    /// The instants at which [`Engine::sales_pause`] changes.
    pub(super) fn sales_pause_marks(&self) -> Vec<Timestamp> {
        let mut marks = Vec::new();
        if let Some(square_off) = self.square_off_at() {
            marks.extend([square_off - BEFORE_SQUARE_OFF, square_off + AFTER_SQUARE_OFF]);
        }
        if let Some(day_close) = self.day_close_at() {
            marks.push(day_close - BEFORE_DAY_CLOSE);
        }
        marks
    }

    /// Changes the one live order until it is what is wanted.
    fn steer(&mut self, which: LegId, id: IntentId, held: Quantity) {
        let at = self.now.at;
        let (Some(leg), Some(intent)) = (self.leg(which), self.intents.get(&id)) else { return };
        let waits = intent.doubt.is_some_and(|since| at < since + DOUBT_PATIENCE);
        if intent.request.is_some() || intent.stage != Stage::Working || waits {
            return;
        }
        let mut total = intent.filled + held;
        if self.sendable(leg, held) < held {
            // A slice of what is held stays the slice that it is.
            total = total.min(intent.asked.quantity);
        }
        let held_back = leg.not_before.is_some_and(|until| at < until);
        match leg.aim.clone() {
            Aim::Protect { .. } => {
                if intent.is_triggered() {
                    self.follow_woken_stop(which);
                    return;
                }
                let settled = intent.seen.as_ref().is_some_and(|seen| seen.status.is_at_rest());
                if intent.asked.quantity != total && settled && !held_back {
                    self.resize_stop(id, total);
                }
            }
            Aim::Exit(exit) => {
                let too_many = intent.asked.quantity > total;
                let due = exit.rung_at.is_none_or(|sent| at >= sent + self.rung_step(exit.rung));
                if (due && !held_back) || too_many {
                    self.climb(which, id, exit, total);
                }
            }
        }
    }

    /// Makes the resting stop cover exactly what is held.
    fn resize_stop(&mut self, id: IntentId, total: Quantity) {
        if self.intents.get(&id).is_some_and(|intent| intent.changes >= MAX_CHANGES) {
            self.cancel(id);
            return;
        }
        let change = OrderChange { quantity: Some(total), ..OrderChange::default() };
        self.modify(id, change);
    }

    /// Prices the exit order anew: the next rung of the ladder.
    fn climb(&mut self, which: LegId, id: IntentId, exit: Exit, total: Quantity) {
        let at = self.now.at;
        let Some(price) = self.leg(which).and_then(|leg| self.rung_price(leg, exit.rung)) else {
            return;
        };
        let Some(intent) = self.intents.get(&id) else { return };
        // Whether a change's quantity means the whole order or what is left of
        // it is not documented: once something filled, another order is safer.
        let ambiguous = intent.filled > 0 && intent.asked.quantity != total;
        if intent.changes >= MAX_CHANGES || ambiguous {
            self.cancel(id);
            return;
        }
        let asked = intent.asked;
        let converts = asked.order_type != OrderType::Limit;
        let change = OrderChange {
            order_type: converts.then_some(OrderType::Limit),
            quantity: (asked.quantity != total).then_some(total),
            price: (converts || asked.price != price).then_some(price),
            trigger: None,
        };
        if change == OrderChange::default() || self.modify(id, change) {
            self.touch();
            if let Some(Aim::Exit(exit)) = self.leg_mut(which).map(|leg| &mut leg.aim) {
                exit.rung += 1;
                exit.rung_at = Some(at);
            }
        }
    }

    /// A stop that woke at the exchange and has not filled is the exit.
    fn follow_woken_stop(&mut self, which: LegId) {
        let at = self.now.at;
        if let Some(leg) = self.leg_mut(which) {
            leg.aim = Aim::Exit(Exit {
                reason: ExitReason::CatastropheSl,
                since: at,
                rung: 0,
                rung_at: Some(at),
            });
        }
        self.touch();
        self.say_woken_stop();
    }

    /// Sends the order that reduces, when there is none alive.
    fn place_closer(&mut self, which: LegId, held: Quantity) {
        let at = self.now.at;
        let Some(leg) = self.leg(which) else { return };
        if leg.not_before.is_some_and(|until| at < until) {
            return;
        }
        let first = leg.closers.is_empty() && leg.proof_from.is_none();
        let mut quantity = held;
        if !first {
            let proven = leg
                .shown
                .filter(|(_, taken_at)| leg.proof_from.is_none_or(|from| *taken_at >= from));
            let Some((shown, _)) = proven else { return };
            quantity = quantity.min(shown);
        }
        let quantity = self.sendable(leg, quantity);
        if quantity <= 0 {
            return;
        }
        if !first && matches!(leg.aim, Aim::Protect { .. }) {
            self.say_stop_gone();
            self.start_exit(ExitReason::Unprotected);
        }
        let Some(leg) = self.leg(which) else { return };
        let (role, terms) = match &leg.aim {
            Aim::Protect { trigger, limit } => {
                let (trigger, price) = (Some(*trigger), *limit);
                (Role::Stop, Terms { order_type: OrderType::StopLimit, quantity, price, trigger })
            }
            Aim::Exit(exit) => {
                let Some(price) = self.rung_price(leg, exit.rung) else { return };
                (Role::Exit, Terms { order_type: OrderType::Limit, quantity, price, trigger: None })
            }
        };
        let draft = Draft {
            role,
            trade_id: self.leg_name(which),
            instrument: leg.instrument.clone(),
            side: leg.close,
            product: leg.product.clone(),
            terms,
        };
        if let Err(fault) = self.last_look_closer(&draft, leg, held) {
            self.refuse_closer(which, &draft, &fault);
            return;
        }
        let Some(id) = self.submit(draft) else { return };
        if let Some(leg) = self.leg_mut(which) {
            leg.closers.push(id);
            if let Aim::Exit(exit) = &mut leg.aim {
                exit.rung += 1;
                exit.rung_at = Some(at);
            }
        }
    }

    /// What of a quantity one order may carry.
    fn sendable(&self, leg: &Leg, quantity: Quantity) -> Quantity {
        let planned = self
            .plan
            .as_ref()
            .filter(|plan| plan.contracts.iter().any(|contract| contract.key == leg.instrument));
        let (freeze, lot) = match planned {
            Some(plan) if leg.kind.option_type().is_some() => {
                (plan.settings.risk.freeze_quantity, leg.lot.max(1))
            }
            Some(_) => (0, 1),
            None => contract::usual_freeze(&leg.instrument).unwrap_or((0, 1)),
        };
        if freeze > 0 && quantity > freeze { freeze / lot * lot } else { quantity }
    }

    /// The lowest limit that closing this leg would be offered at now (the
    /// highest, for a short): what a person would type by hand.
    pub(super) fn last_price_to_close(&self, leg: &Leg) -> Option<Price> {
        let rungs = self.plan.as_ref()?.settings.risk.exit_ladder.len();
        self.rung_price(leg, u32::try_from(rungs.saturating_sub(1)).unwrap_or(u32::MAX))
    }

    /// Limit price of a rung, from the freshest book.
    fn rung_price(&self, leg: &Leg, rung: u32) -> Option<Price> {
        let plan = self.plan.as_ref()?;
        let ladder = &plan.settings.risk.exit_ladder;
        let index = usize::try_from(rung).unwrap_or(usize::MAX).min(ladder.len().checked_sub(1)?);
        let quote = self.quotes.get(&leg.instrument);
        let average = leg.opened_value.paise() / leg.opened.max(1);
        let fallback = Price::from_paise(average);
        // Near a circuit limit everything beyond it is refused, and only what
        // others offer is sure to be allowed.
        if leg.off_price > 0 && leg.off_price.is_multiple_of(2) {
            return Some(order_terms::touch(quote, fallback, leg.close).floor_to(leg.tick));
        }
        Some(order_terms::exit(quote, fallback, leg.close, leg.kind, ladder[index], leg.tick))
    }

    /// How long the rung before `next` may work.
    fn rung_step(&self, next: u32) -> TimeDelta {
        let Some(plan) = &self.plan else { return LAST_RUNG_STEP };
        let risk = &plan.settings.risk;
        if usize::try_from(next).unwrap_or(usize::MAX) >= risk.exit_ladder.len() {
            return LAST_RUNG_STEP;
        }
        TimeDelta::seconds(i64::from(risk.exit_step_s))
    }

    /// Cries out closing orders that carry more than is held and that the
    /// broker does not let go of: changes are refused while an order is on
    /// its way, and only a person can tell how long that lasts.
    pub(super) fn watch_excess(&mut self) {
        if self.marks.closed {
            return;
        }
        self.watch_excess_of(LegId::Trade);
        for index in 0..self.strays.len() {
            self.watch_excess_of(LegId::Stray(index));
        }
    }

    fn watch_excess_of(&mut self, which: LegId) {
        let at = self.now.at;
        let Some(leg) = self.leg(which) else { return };
        let held = self.held(leg).max(0);
        let alive = self.alive_closers(leg);
        let working = alive.iter().filter_map(|id| self.intents.get(id));
        let working: Quantity = working.map(|intent| intent.open_at_broker()).sum();
        let order = alive.last().copied().filter(|_| working > held);
        let (before, known) = (leg.excess, leg.excess.map(|excess| excess.order));
        let now = order.map(|order| match before {
            Some(excess) => Excess { order, ..excess },
            None => Excess { order, tell_at: at + EXCESS_ALARM },
        });
        let due = now.filter(|excess| at >= excess.tell_at);
        let now =
            due.map_or(now, |excess| Some(Excess { tell_at: at + EXCESS_ALARM_AGAIN, ..excess }));
        if let Some(leg) = self.leg_mut(which) {
            leg.excess = now;
        }
        if due.is_some() || known != order {
            self.touch();
        }
        if let Some(excess) = due {
            self.say_excess(excess.order, held);
        }
    }

    /// When a leg wants to act again.
    pub(super) fn leg_deadlines(&self, leg: &Leg) -> Vec<Timestamp> {
        let mut due = Vec::new();
        due.extend(leg.not_before);
        due.extend(self.comparison_due());
        due.extend(leg.excess.map(|excess| excess.tell_at));
        if let Aim::Exit(exit) = &leg.aim {
            due.extend(exit.rung_at.map(|sent| sent + self.rung_step(exit.rung)));
        }
        for id in &leg.closers {
            let Some(intent) = self.intents.get(id) else { continue };
            if intent.is_alive() {
                due.extend(intent.doubt.map(|since| since + DOUBT_PATIENCE));
                due.extend(Engine::cancel_due(intent));
            }
        }
        due
    }

    /// The broker took a change: the price was not the trouble.
    pub(super) fn after_acceptance(&mut self, id: IntentId) {
        if let Some(leg) = self.leg_of(id).and_then(|which| self.leg_mut(which)) {
            (leg.refusals, leg.off_price) = (0, 0);
        }
    }

    /// The broker took an order: so far nothing is wrong with it.
    pub(super) fn after_placing(&mut self, id: IntentId) {
        if let Some(leg) = self.leg_of(id).and_then(|which| self.leg_mut(which)) {
            leg.off_price = 0;
        }
    }

    /// The broker refused to place or change an order.
    pub(super) fn after_refusal(&mut self, id: IntentId, refusal: Refusal, message: &str) {
        let at = self.now.at;
        let rungs = self.plan.as_ref().map_or(0, |plan| plan.settings.risk.exit_ladder.len());
        let Some(which) = self.leg_of(id) else {
            self.book.entry_refusals += 1;
            self.say_refused(id, Some(refusal), message, 1);
            return;
        };
        let Some(leg) = self.leg_mut(which) else { return };
        leg.refusals += 1;
        leg.off_price = if refusal == Refusal::Input { leg.off_price + 1 } else { 0 };
        let refusals = leg.refusals;
        match refusal {
            Refusal::Input => {
                let many = usize::try_from(refusals).unwrap_or(usize::MAX) > rungs;
                leg.not_before = many.then(|| at + RETRY);
                if let Aim::Exit(exit) = &mut leg.aim {
                    exit.rung_at = None;
                }
            }
            Refusal::Order => leg.not_before = Some(at + RETRY_SOON),
            Refusal::RateLimit => {
                leg.not_before = Some(at + RETRY_SOON * (1 << refusals.min(3).saturating_sub(1)));
            }
            Refusal::Margin | Refusal::Holding | Refusal::Gate => {
                leg.not_before = Some(at + RETRY);
            }
            Refusal::Permission | Refusal::Session => leg.not_before = Some(at + RETRY_LATE),
        }
        self.say_refused(id, Some(refusal), message, refusals);
    }

    /// The last look refused our own closing order: nothing is sent, people
    /// are told, and it is tried again.
    fn refuse_closer(&mut self, which: LegId, draft: &Draft, fault: &str) {
        let at = self.now.at;
        if let Some(leg) = self.leg_mut(which) {
            leg.not_before = Some(at + RETRY);
        }
        self.touch();
        self.say_last_look(draft, fault);
    }
}
