//! Sending orders and learning what became of them.

use chrono::TimeDelta;

use super::Engine;
use super::command::Command;
use super::event::{CommandId, Outcome, Refusal};
use super::intents::{self, End, Intent, Request, RequestKind, Stage, Terms};
use super::ledger::{Fact, IntentId, Role};
use super::permission::Hold;
use super::position::LegId;
use crate::market::{
    BrokerOrder, InstrumentKey, OrderChange, OrderRequest, Product, Side, Timestamp,
};

/// A request without an outcome for this long counts as unknown: the shell
/// owes one, this only guards against a shell that forgets.
const OUTCOME_WITHIN: TimeDelta = TimeDelta::seconds(30);
/// The exchange's clock and ours differ by less than this.
const CLOCKS_DIFFER: TimeDelta = TimeDelta::minutes(10);
/// A cancel that showed no effect is repeated.
const CANCEL_AGAIN: TimeDelta = TimeDelta::seconds(2);

/// An order about to be sent.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) role: Role,
    pub(super) trade_id: String,
    pub(super) instrument: InstrumentKey,
    pub(super) side: Side,
    pub(super) product: Product,
    pub(super) terms: Terms,
}

impl Engine {
    /// Sends an order that passed the last look. Answers its intent.
    pub(super) fn submit(&mut self, draft: Draft) -> Option<IntentId> {
        let date = self.plan.as_ref()?.date;
        let id = IntentId(self.next_intent);
        let tag = intents::tag(date, id, draft.role)?;
        self.next_intent += 1;
        let order = OrderRequest {
            instrument: draft.instrument.clone(),
            side: draft.side,
            order_type: draft.terms.order_type,
            product: draft.product.clone(),
            quantity: draft.terms.quantity,
            price: draft.terms.price,
            trigger: draft.terms.trigger,
            tag: tag.clone(),
        };
        let reduces = draft.role != Role::Entry;
        let command = self.emit(Command::Submit { intent: id, reduces, order });
        let at = self.now.at;
        let intent = Intent {
            id,
            date,
            trade_id: draft.trade_id,
            role: draft.role,
            tag,
            instrument: draft.instrument,
            side: draft.side,
            product: draft.product,
            intended: draft.terms.quantity,
            asked: draft.terms,
            order_id: None,
            stage: Stage::Sending,
            request: Some(Request {
                command,
                kind: RequestKind::Submit,
                sent_at: at,
                before: draft.terms,
            }),
            submit: command,
            seen: None,
            doubt: None,
            absent: 0,
            absent_since: None,
            cancel_asked: None,
            filled: 0,
            filled_value: crate::market::Money::ZERO,
            decided_at: at,
            answered_at: None,
            ended_at: None,
            message: None,
            changes: 0,
            was_missing: false,
            released: false,
            recorded: None,
        };
        self.intents.insert(id, intent);
        Some(id)
    }

    /// Changes a resting order. False when it cannot be asked now.
    pub(super) fn modify(&mut self, id: IntentId, change: OrderChange) -> bool {
        let at = self.now.at;
        let Some(intent) = self.intents.get(&id) else { return false };
        let Some(order_id) = intent.order_id.clone() else { return false };
        if intent.request.is_some() || !intent.is_alive() {
            return false;
        }
        let command = self.emit(Command::Modify { intent: id, order_id, change: change.clone() });
        if let Some(intent) = self.intents.get_mut(&id) {
            let before = intent.asked;
            intent.ask(&change);
            intent.request =
                Some(Request { command, kind: RequestKind::Modify, sent_at: at, before });
        }
        true
    }

    /// Cancels an order, unless that was asked a moment ago.
    pub(super) fn cancel(&mut self, id: IntentId) {
        let at = self.now.at;
        let Some(intent) = self.intents.get(&id) else { return };
        let Some(order_id) = intent.order_id.clone() else { return };
        let asked_lately = intent.cancel_asked.is_some_and(|asked| at < asked + CANCEL_AGAIN);
        if intent.request.is_some() || intent.is_ended() || asked_lately {
            return;
        }
        let command = self.emit(Command::Cancel { intent: Some(id), order_id });
        if let Some(intent) = self.intents.get_mut(&id) {
            intent.cancel_asked = Some(at);
            let before = intent.asked;
            intent.request =
                Some(Request { command, kind: RequestKind::Cancel, sent_at: at, before });
        }
    }

    /// When a repeated cancel of the intent is due.
    pub(super) fn cancel_due(intent: &Intent) -> Option<Timestamp> {
        intent.cancel_asked.map(|asked| asked + CANCEL_AGAIN)
    }

    pub(super) fn on_outcome(&mut self, command: CommandId, outcome: &Outcome) {
        let Some(id) = self
            .intents
            .values()
            .find(|intent| {
                intent.submit == command
                    || intent.request.as_ref().is_some_and(|request| request.command == command)
            })
            .map(|intent| intent.id)
        else {
            return;
        };
        self.settle_request(id, command, outcome.clone());
    }

    fn settle_request(&mut self, id: IntentId, command: CommandId, outcome: Outcome) {
        #[cfg(test)]
        let outcome = self.twist(outcome);
        let at = self.now.at;
        let Some(intent) = self.intents.get_mut(&id) else { return };
        let current = intent.request.take_if(|request| request.command == command);
        let is_submit = intent.submit == command;
        let kind = match (&current, is_submit) {
            (Some(request), _) => request.kind,
            (None, true) => RequestKind::Submit,
            (None, false) => return,
        };
        let was_awaited = current.is_some();
        if was_awaited {
            intent.answered_at = Some(at);
        }
        match (kind, outcome) {
            (RequestKind::Submit, Outcome::Accepted { order_id }) => {
                intent.order_id.get_or_insert(order_id);
                if !intent.is_ended() && intent.stage != Stage::Working {
                    intent.stage = Stage::Working;
                    intent.absent = 0;
                    intent.absent_since = None;
                }
                self.after_placing(id);
            }
            (RequestKind::Submit, Outcome::Refused { refusal, message }) => {
                if was_awaited && intent.stage == Stage::Sending {
                    intent.message = Some(message.clone());
                    if refusal == Refusal::Gate {
                        intent.end(End::Refused, at);
                    } else {
                        intent.stage = Stage::Unsure { since: at, refused: true };
                    }
                    self.after_refusal(id, refusal, &message);
                }
            }
            (RequestKind::Submit, Outcome::Unknown { message }) => {
                if was_awaited && intent.stage == Stage::Sending {
                    intent.message = Some(message.clone());
                    intent.stage = Stage::Unsure { since: at, refused: false };
                    self.say_unknown(id, &message);
                    #[cfg(test)]
                    self.send_again(id);
                }
            }
            (RequestKind::Modify | RequestKind::Cancel, Outcome::Accepted { .. }) => {
                if kind == RequestKind::Modify {
                    self.after_acceptance(id);
                }
            }
            (RequestKind::Modify | RequestKind::Cancel, Outcome::Refused { refusal, message }) => {
                if !intent.is_ended() {
                    intent.message = Some(message.clone());
                    // Without doubt the order stands as it was: another price
                    // may be asked for at once.
                    let as_it_was = match refusal {
                        Refusal::Input | Refusal::Gate | Refusal::RateLimit => true,
                        Refusal::Margin
                        | Refusal::Holding
                        | Refusal::Order
                        | Refusal::Permission
                        | Refusal::Session => false,
                    };
                    match &current {
                        Some(request) if as_it_was => intent.asked = request.before,
                        Some(_) | None => intent.doubt = Some(at),
                    }
                    // The broker counts changes of the order, not requests of
                    // an account that may make none now.
                    let is_of_account = match refusal {
                        Refusal::Permission
                        | Refusal::Session
                        | Refusal::RateLimit
                        | Refusal::Gate => true,
                        Refusal::Input | Refusal::Margin | Refusal::Holding | Refusal::Order => {
                            false
                        }
                    };
                    if kind == RequestKind::Modify {
                        intent.changes = intent.changes.saturating_sub(u32::from(is_of_account));
                        self.after_refusal(id, refusal, &message);
                    }
                    self.sync.ask_now();
                }
            }
            (RequestKind::Modify | RequestKind::Cancel, Outcome::Unknown { message }) => {
                if !intent.is_ended() {
                    intent.doubt = Some(at);
                    intent.message = Some(message.clone());
                    self.say_unknown(id, &message);
                }
            }
        }
        if self.intents.get(&id).is_some_and(Intent::is_doubtful) {
            self.sync.ask_now();
        }
    }

    /// Requests that were never answered count as unknown.
    pub(super) fn give_up_on_outcomes(&mut self, only_overdue: bool) {
        let at = self.now.at;
        let lost: Vec<(IntentId, CommandId)> = self
            .intents
            .values()
            .filter_map(|intent| {
                let request = intent.request.as_ref()?;
                let overdue = at >= request.sent_at + OUTCOME_WITHIN;
                (overdue || !only_overdue).then_some((intent.id, request.command))
            })
            .collect();
        for (id, command) in lost {
            let message = "no answer was recorded".to_string();
            self.settle_request(id, command, Outcome::Unknown { message });
        }
    }

    /// When the next request would count as lost.
    pub(super) fn outcome_due(&self) -> Option<Timestamp> {
        self.intents
            .values()
            .filter_map(|intent| intent.request.as_ref())
            .map(|request| request.sent_at + OUTCOME_WITHIN)
            .min()
    }

    /// The broker told of one order.
    pub(super) fn on_hint(&mut self, row: &BrokerOrder) {
        match self.intent_of(row) {
            Some(id) => {
                self.absorb(id, row, None);
            }
            None if self.is_foreign_of_interest(row) || self.has_our_mark(row) => {
                self.sync.ask_now();
            }
            None => {}
        }
    }

    /// The intent that a row belongs to: by our mark first, by name second
    /// (M4). A second order with the mark of an intent belongs to none.
    pub(super) fn intent_of(&self, row: &BrokerOrder) -> Option<IntentId> {
        // A mark of a journal that was lost stands in today's book as well.
        let is_younger = |intent: &Intent| {
            row.placed_at.is_none_or(|placed| placed >= intent.decided_at - CLOCKS_DIFFER)
        };
        let fits = |intent: &&Intent| match &intent.order_id {
            Some(order_id) => *order_id == row.order_id,
            None => {
                intent.instrument == row.instrument && intent.side == row.side && is_younger(intent)
            }
        };
        let by_tag = row.tag.as_ref().and_then(|tag| {
            let marked = self.intents.values().find(|intent| intent.tag == *tag);
            marked.filter(fits).map(|intent| intent.id)
        });
        by_tag.or_else(|| {
            self.intents
                .values()
                .find(|intent| intent.order_id.as_ref() == Some(&row.order_id))
                .map(|intent| intent.id)
        })
    }

    /// Takes a row into its intent and passes a fill on to the leg.
    pub(super) fn absorb(&mut self, id: IntentId, row: &BrokerOrder, book: Option<Timestamp>) {
        let at = self.now.at;
        let Some(intent) = self.intents.get_mut(&id) else { return };
        let (was_ended, was_enlarged) = (intent.is_ended(), intent.is_enlarged());
        let gained = intent.absorb(row, book, at);
        if intent.is_enlarged() && !was_enlarged {
            self.control.hold(Hold::Mismatch, "engine", at);
            self.touch();
            self.say_enlarged(row);
        }
        let Some(intent) = self.intents.get(&id) else { return };
        let ended = !was_ended && intent.is_ended();
        if gained || ended {
            self.after_progress(id, gained, ended);
            self.sync.ask_now();
        }
    }

    /// The leg that an intent closes, if it closes one.
    pub(super) fn leg_of(&self, id: IntentId) -> Option<LegId> {
        if self.trade.as_ref().is_some_and(|trade| trade.leg.closers.contains(&id)) {
            return Some(LegId::Trade);
        }
        self.strays.iter().position(|stray| stray.leg.closers.contains(&id)).map(LegId::Stray)
    }

    /// Writes down every row that changed in this step.
    pub(super) fn write_down(&mut self) {
        let changed: Vec<IntentId> = self
            .intents
            .values()
            .filter(|intent| !intent.is_written() && intent.recorded != Some(intent.record()))
            .map(|intent| intent.id)
            .collect();
        for id in changed {
            let Some(intent) = self.intents.get_mut(&id) else { continue };
            let record = intent.record();
            intent.recorded = Some(record.clone());
            self.emit(Command::Record(Fact::Order(Box::new(record))));
        }
        self.write_trade();
        self.write_state();
    }

    fn write_trade(&mut self) {
        let Some(mut trade) = self.trade.take() else { return };
        self.refresh_record(&mut trade);
        if trade.record.quantity > 0 && trade.recorded.as_ref() != Some(&trade.record) {
            trade.recorded = Some(trade.record.clone());
            self.emit(Command::Record(Fact::Trade(Box::new(trade.record.clone()))));
        }
        self.trade = Some(trade);
    }
}
