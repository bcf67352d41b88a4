//! An order inside the exchange: its present row, its past rows, and what is
//! on its way to it.

use super::rows::OrderRow;
use crate::market::{OrderStatus, OrderType, Price, Quantity, Timestamp};

/// Where an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Kept by the broker until the market opens.
    Broker,
    /// On its way to the exchange.
    Underway,
    /// At the exchange, asleep until its trigger trades.
    Asleep,
    /// At the exchange, in the book.
    Book,
    /// Finished.
    Done,
}

/// What is on its way to the exchange, and when it gets there.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) arrives_at: Timestamp,
    pub(super) message: Message,
}

/// A message to the exchange.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// The order itself.
    Enter,
    /// The order itself, which will be refused with these words.
    EnterRefused(String),
    /// New terms.
    Modify(NewTerms),
    /// The end.
    Cancel,
}

/// Terms that a modification brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewTerms {
    pub(super) order_type: OrderType,
    pub(super) quantity: Quantity,
    pub(super) price: Price,
    pub(super) trigger_price: Price,
    pub(super) disclosed_quantity: Quantity,
    pub(super) validity: super::rows::Validity,
    pub(super) tags: Vec<String>,
}

/// An order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) row: OrderRow,
    pub(super) history: Vec<OrderRow>,
    pub(super) place: Place,
    pub(super) flight: Option<Flight>,
    /// True once its trigger has traded.
    pub(super) is_triggered: bool,
    /// Held up in OPEN PENDING by a fault.
    pub(super) is_stuck: bool,
    pub(super) modifications: u32,
    /// Hidden from the order book until then, by a fault.
    pub(super) visible_from: Timestamp,
    /// Units that may fill before the order only rests, by a fault.
    pub(super) fill_cap: Option<Quantity>,
    /// End of a TTL order.
    pub(super) ends_at: Option<Timestamp>,
}

impl Order {
    /// Units that still want to fill.
    pub(super) fn remaining(&self) -> Quantity {
        self.row.quantity - self.row.filled_quantity
    }

    /// True until the order is finished.
    pub(super) fn is_live(&self) -> bool {
        self.place != Place::Done
    }

    /// Writes the row, as it now stands, with this status into the history.
    pub(super) fn record(&mut self, status: OrderStatus) {
        self.row.status = status;
        self.history.push(self.row.clone());
    }

    /// Status that a live order shows when nothing is on its way.
    pub(super) fn resting_status(&self) -> OrderStatus {
        match self.place {
            Place::Broker => OrderStatus::Pending("AMO REQ RECEIVED".to_string()),
            Place::Underway => OrderStatus::Pending("OPEN PENDING".to_string()),
            Place::Asleep => OrderStatus::TriggerPending,
            Place::Book => OrderStatus::Open,
            Place::Done => self.row.status.clone(),
        }
    }

    /// Writes a change by the exchange.
    pub(super) fn record_at(&mut self, at: Timestamp, status: OrderStatus) {
        self.row.exchange_update_timestamp = Some(at);
        self.record(status);
    }

    /// Ends the order: what is left is cancelled.
    pub(super) fn cancel(&mut self, at: Timestamp) {
        let left = self.remaining();
        self.row.pending_quantity = left;
        self.row.cancelled_quantity = left;
        self.finish(at, OrderStatus::Cancelled);
    }

    /// Ends the order with a refusal.
    pub(super) fn reject(&mut self, at: Timestamp, message: &str) {
        self.row.status_message = Some(message.to_string());
        self.row.status_message_raw = Some(message.to_string());
        self.row.pending_quantity = 0;
        self.finish(at, OrderStatus::Rejected);
    }

    /// Ends the order.
    pub(super) fn finish(&mut self, at: Timestamp, status: OrderStatus) {
        self.place = Place::Done;
        self.flight = None;
        self.record_at(at, status);
    }
}
