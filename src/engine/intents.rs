//! The life of one order, from the decision to its end.
//!
//! An intent is recorded before it is sent and has exactly one order. Its
//! stage moves on evidence only: an outcome, a row of the order book, a
//! complete order book without it.

use super::event::CommandId;
use super::ledger::{IntentId, OrderRecord, Role};
use crate::market::{
    BrokerOrder, InstrumentKey, Money, OrderChange, OrderId, OrderStatus, OrderType, Price,
    Product, Quantity, Side, Tag, Timestamp,
};

use chrono::{Datelike, NaiveDate, TimeDelta};

/// Complete order books without a row that make an unknown order missing.
pub(super) const ABSENT_READS: u32 = 3;
/// Time that those reads must span.
pub(super) const ABSENT_SPAN: TimeDelta = TimeDelta::seconds(3);
/// An accepted change that the order book does not show by then was not made.
const CHANGE_SHOWS_WITHIN: TimeDelta = TimeDelta::seconds(2);

/// Where an intent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// On its way to the broker.
    Sending,
    /// No clean answer; the order book decides.
    Unsure {
        /// Since when nobody knows.
        since: Timestamp,
        /// True when the broker said no: one clean order book ends it.
        refused: bool,
    },
    /// Not in the order book time and again; acted upon when it turns up.
    Missing,
    /// The broker has it.
    Working,
    /// Nothing further can happen to it.
    Ended(End),
}

/// How an intent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Filled in full.
    Complete,
    /// Cancelled, perhaps partly filled.
    Cancelled,
    /// Rejected in the order book.
    Rejected,
    /// Never became an order.
    Refused,
}

/// A request about the intent that has no outcome yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) command: CommandId,
    pub(super) kind: RequestKind,
    pub(super) sent_at: Timestamp,
    /// The terms before it.
    pub(super) before: Terms,
}

/// What was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestKind {
    Submit,
    Modify,
    Cancel,
}

/// The terms of an order, as asked for or as the broker shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) order_type: OrderType,
    pub(super) quantity: Quantity,
    pub(super) price: Price,
    pub(super) trigger: Option<Price>,
}

impl Terms {
    fn of(row: &BrokerOrder) -> Terms {
        let trigger = (row.trigger > Price::ZERO).then_some(row.trigger);
        Terms { order_type: row.order_type, quantity: row.quantity, price: row.price, trigger }
    }

    fn apply(&mut self, change: &OrderChange) {
        if let Some(order_type) = change.order_type {
            self.order_type = order_type;
            if order_type == OrderType::Limit {
                self.trigger = None;
            }
        }
        self.quantity = change.quantity.unwrap_or(self.quantity);
        self.price = change.price.unwrap_or(self.price);
        self.trigger = change.trigger.or(self.trigger);
    }

    fn same_as(&self, other: &Terms) -> bool {
        self.order_type == other.order_type
            && self.quantity == other.quantity
            && self.price == other.price
    }
}

/// The broker's row, as last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) status: OrderStatus,
    pub(super) terms: Terms,
    pub(super) updated_at: Option<Timestamp>,
}

/// One order that the engine decided to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) id: IntentId,
    pub(super) date: NaiveDate,
    pub(super) trade_id: String,
    pub(super) role: Role,
    pub(super) tag: Tag,
    pub(super) instrument: InstrumentKey,
    pub(super) side: Side,
    pub(super) product: Product,
    /// Units at the first sending; fills never exceed the largest asked for.
    pub(super) intended: Quantity,
    pub(super) asked: Terms,
    pub(super) order_id: Option<OrderId>,
    pub(super) stage: Stage,
    pub(super) request: Option<Request>,
    pub(super) submit: CommandId,
    pub(super) seen: Option<Seen>,
    /// A change or cancel without a clean answer, since when.
    pub(super) doubt: Option<Timestamp>,
    pub(super) absent: u32,
    pub(super) absent_since: Option<Timestamp>,
    pub(super) cancel_asked: Option<Timestamp>,
    pub(super) filled: Quantity,
    pub(super) filled_value: Money,
    pub(super) decided_at: Timestamp,
    pub(super) answered_at: Option<Timestamp>,
    pub(super) ended_at: Option<Timestamp>,
    pub(super) message: Option<String>,
    pub(super) changes: u32,
    /// True once it was in no order book time and again.
    pub(super) was_missing: bool,
    /// True for a missing entry that a person has given up.
    pub(super) released: bool,
    /// The row as last written down.
    pub(super) recorded: Option<OrderRecord>,
}

impl Intent {
    /// True while the order may still fill.
    pub(super) fn is_alive(&self) -> bool {
        match self.stage {
            Stage::Sending | Stage::Unsure { .. } | Stage::Working => true,
            Stage::Missing | Stage::Ended(_) => false,
        }
    }

    /// True when the intent came to its end.
    pub(super) fn is_ended(&self) -> bool {
        match self.stage {
            Stage::Ended(_) => true,
            Stage::Sending | Stage::Unsure { .. } | Stage::Working | Stage::Missing => false,
        }
    }

    /// True when the end stands written and no later fill has come.
    pub(super) fn is_written(&self) -> bool {
        self.is_ended()
            && self
                .recorded
                .as_ref()
                .is_some_and(|row| row.ended_at.is_some() && row.filled == self.filled)
    }

    /// True when only the order book can tell how it stands.
    pub(super) fn is_doubtful(&self) -> bool {
        match self.stage {
            Stage::Unsure { .. } => true,
            Stage::Working => self.doubt.is_some() || self.absent > 0,
            Stage::Sending | Stage::Missing | Stage::Ended(_) => false,
        }
    }

    /// Units that may still fill, by the larger of what was asked for and
    /// what the broker shows.
    pub(super) fn open_quantity(&self) -> Quantity {
        if !self.is_alive() {
            return 0;
        }
        let shown = self.seen.as_ref().map_or(0, |seen| seen.terms.quantity);
        let pending_change = self.request.is_some() || self.doubt.is_some();
        let total =
            if pending_change { shown.max(self.asked.quantity) } else { self.asked.quantity };
        // What somebody else made of it is not what we asked for.
        (total.min(self.intended) - self.filled).max(0)
    }

    /// True for an entry that no order book has shown and that may fill all
    /// the same.
    pub(super) fn may_turn_up(&self) -> bool {
        self.role == Role::Entry && self.stage == Stage::Missing
    }

    /// True for an order that somebody else has made larger than we asked.
    pub(super) fn is_enlarged(&self) -> bool {
        self.seen.as_ref().is_some_and(|seen| seen.terms.quantity > self.intended)
    }

    /// Units that the broker may still fill, whatever was asked of it.
    pub(super) fn open_at_broker(&self) -> Quantity {
        let shown = self.seen.as_ref().map_or(0, |seen| seen.terms.quantity);
        if self.is_alive() { (shown.max(self.asked.quantity) - self.filled).max(0) } else { 0 }
    }

    /// True when the broker shows a stop waiting or working for at least
    /// this many units.
    pub(super) fn rests_as_stop(&self, units: Quantity) -> bool {
        let Some(seen) = &self.seen else { return false };
        let resting = match seen.status {
            OrderStatus::TriggerPending | OrderStatus::Open => true,
            OrderStatus::Pending(_)
            | OrderStatus::Complete
            | OrderStatus::Cancelled
            | OrderStatus::Rejected => false,
        };
        resting
            && self.is_alive()
            && seen.terms.order_type == OrderType::StopLimit
            && seen.terms.quantity - self.filled >= units
    }

    /// True when the resting stop has woken: the broker shows it working.
    pub(super) fn is_triggered(&self) -> bool {
        let Some(seen) = &self.seen else { return false };
        seen.terms.order_type == OrderType::StopLimit
            && self.role == Role::Stop
            && (seen.status == OrderStatus::Open || self.filled > 0)
    }

    /// True when the last fill came from the stop itself, not from a limit
    /// that it was changed into.
    pub(super) fn filled_as_stop(&self) -> bool {
        self.filled > 0
            && self.seen.as_ref().is_some_and(|seen| seen.terms.order_type == OrderType::StopLimit)
    }

    /// Takes what was asked of a change as the order's terms.
    pub(super) fn ask(&mut self, change: &OrderChange) {
        self.asked.apply(change);
        self.intended = self.intended.max(self.asked.quantity);
        self.changes += 1;
    }

    /// Takes the broker's row. `book` is when the order book was asked for,
    /// `None` for a hint, which may be late. Answers whether anything filled.
    pub(super) fn absorb(
        &mut self,
        row: &BrokerOrder,
        book: Option<Timestamp>,
        at: Timestamp,
    ) -> bool {
        if row.filled < self.filled || (self.is_ended() && row.filled == self.filled) {
            return false;
        }
        let gained = row.filled > self.filled;
        self.filled = row.filled;
        self.filled_value = if gained { row.filled_value } else { self.filled_value };
        self.order_id.get_or_insert_with(|| row.order_id.clone());
        if row.status_message.is_some() {
            self.message.clone_from(&row.status_message);
        }
        self.absent = 0;
        self.absent_since = None;
        if self.is_ended() {
            return gained;
        }
        let newer = self.seen.as_ref().is_none_or(|seen| row.updated_at >= seen.updated_at);
        if book.is_some() || newer || row.status.is_terminal() {
            let terms = Terms::of(row);
            self.seen =
                Some(Seen { status: row.status.clone(), terms, updated_at: row.updated_at });
        }
        match row.status {
            OrderStatus::Complete => self.end(End::Complete, at),
            OrderStatus::Cancelled => self.end(End::Cancelled, at),
            OrderStatus::Rejected => self.end(End::Rejected, at),
            OrderStatus::Pending(_) | OrderStatus::Open | OrderStatus::TriggerPending => {
                self.stage = Stage::Working;
                if let Some(taken_at) = book {
                    self.settle_terms(row, taken_at);
                }
            }
        }
        gained
    }

    /// What the book shows is what stands, unless a change may still be on
    /// its way.
    fn settle_terms(&mut self, row: &BrokerOrder, taken_at: Timestamp) {
        let in_progress = match row.status {
            OrderStatus::Pending(_) => true,
            OrderStatus::Open
            | OrderStatus::TriggerPending
            | OrderStatus::Complete
            | OrderStatus::Cancelled
            | OrderStatus::Rejected => false,
        };
        if self.request.is_some() || in_progress {
            return;
        }
        let shown = Terms::of(row);
        let answered = self.answered_at.unwrap_or(self.decided_at);
        match self.doubt {
            Some(since) if taken_at >= since => {
                self.doubt = None;
                self.asked = shown;
            }
            Some(_) => {}
            None if !self.asked.same_as(&shown) && taken_at >= answered + CHANGE_SHOWS_WITHIN => {
                self.asked = shown;
            }
            None => {}
        }
    }

    /// Takes a complete order book that has no row of this order.
    pub(super) fn not_in_book(&mut self, taken_at: Timestamp, at: Timestamp) {
        let since = match self.stage {
            Stage::Unsure { since, .. } => since,
            Stage::Working => self.answered_at.unwrap_or(self.decided_at),
            Stage::Sending | Stage::Missing | Stage::Ended(_) => return,
        };
        if taken_at < since || self.request.is_some() {
            return;
        }
        let refused = matches!(self.stage, Stage::Unsure { refused: true, .. });
        self.absent += 1;
        let first = *self.absent_since.get_or_insert(taken_at);
        if refused {
            self.end(End::Refused, at);
        } else if self.absent >= ABSENT_READS && taken_at - first >= ABSENT_SPAN {
            self.stage = Stage::Missing;
            self.was_missing = true;
            self.doubt = None;
        }
    }

    /// Ends the intent.
    pub(super) fn end(&mut self, how: End, at: Timestamp) {
        self.stage = Stage::Ended(how);
        self.ended_at = Some(at);
        self.doubt = None;
        self.request = None;
    }

    /// The row to write down.
    pub(super) fn record(&self) -> OrderRecord {
        let status = match self.stage {
            Stage::Sending => "SENDING".to_string(),
            Stage::Unsure { .. } => "UNKNOWN".to_string(),
            Stage::Missing => "MISSING".to_string(),
            Stage::Working if self.doubt.is_some() => "UNKNOWN".to_string(),
            Stage::Working => {
                self.seen.as_ref().map_or("SENT", |seen| seen.status.as_str()).to_string()
            }
            Stage::Ended(End::Complete) => "COMPLETE".to_string(),
            Stage::Ended(End::Cancelled) => "CANCELLED".to_string(),
            Stage::Ended(End::Rejected) => "REJECTED".to_string(),
            Stage::Ended(End::Refused) => "REFUSED".to_string(),
        };
        OrderRecord {
            intent: self.id,
            date: self.date,
            trade_id: self.trade_id.clone(),
            role: self.role,
            tag: self.tag.clone(),
            order_id: self.order_id.clone(),
            instrument: self.instrument.clone(),
            side: self.side,
            order_type: self.asked.order_type,
            quantity: self.asked.quantity,
            price: self.asked.price,
            trigger: self.asked.trigger,
            status,
            message: self.message.clone(),
            filled: self.filled,
            filled_value: self.filled_value,
            decided_at: self.decided_at,
            answered_at: self.answered_at,
            ended_at: self.ended_at,
            changes: self.changes,
        }
    }
}

/// The mark of an order: a function of date, intent and role, so that a
/// replay makes the same one (M2). `P1123I004S1`.
pub(super) fn tag(date: NaiveDate, intent: IntentId, role: Role) -> Option<Tag> {
    let letter = match role {
        Role::Entry => 'E',
        Role::Stop => 'S',
        Role::Exit => 'X',
    };
    Tag::new(format!("P{:02}{:02}I{:03}{letter}1", date.month(), date.day(), intent.0))
}

/// True for a mark that this program makes on that date.
pub(super) fn is_our_tag(tag: &Tag, date: NaiveDate) -> bool {
    let start = format!("P{:02}{:02}I", date.month(), date.day());
    tag.as_str().strip_prefix(&start).is_some_and(|rest| {
        let (number, end) = rest.split_at(rest.len().saturating_sub(2));
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        digits && matches!(end, "E1" | "S1" | "X1")
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROLES: [Role; 3] = [Role::Entry, Role::Stop, Role::Exit];

    proptest! {
        #[test]
        fn m2_a_mark_names_day_intent_and_role_and_no_other(
            days in (0_u64..366, 0_u64..366), numbers in (1_u32..100_000, 1_u32..100_000),
            roles in (0_usize..3, 0_usize..3),
        ) {
            let first = NaiveDate::from_ymd_opt(2028, 1, 1).unwrap();
            let make = |day, number, role: usize| {
                let date = first + chrono::Days::new(day);
                (date, tag(date, IntentId(number), ROLES[role]).unwrap())
            };
            let (one_day, one) = make(days.0, numbers.0, roles.0);
            let (other_day, other) = make(days.1, numbers.1, roles.1);
            prop_assert_eq!(make(days.0, numbers.0, roles.0).1, one.clone(), "never random");
            let same = (days.0, numbers.0, roles.0) == (days.1, numbers.1, roles.1);
            prop_assert_eq!(one == other, same);
            prop_assert!(is_our_tag(&one, one_day));
            prop_assert_eq!(is_our_tag(&one, other_day), one_day == other_day);
            prop_assert!(one.as_str().len() <= 20);
        }
    }

    #[test]
    fn marks_of_others_are_not_ours() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        for text in ["P1123I001", "P1123IE1", "P1123Ix01E1", "P1123I001Z1", "X1123I001E1", "E1"] {
            assert!(!is_our_tag(&Tag::new(text).unwrap(), date), "{text}");
        }
    }
}
