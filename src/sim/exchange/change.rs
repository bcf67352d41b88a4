//! Changing and ending orders.

use super::Exchange;
use super::checks::{Terms, check_disclosed, need_protection, protected_limit, protection_band};
use super::error::ApiError;
use super::order::{Flight, Message, NewTerms, Order, Place};
use super::place::protection_tags;
use super::rows::{Modification, Protection};
use crate::market::{OrderStatus, OrderType, Price, Timestamp};
use crate::sim::faults::Faults;

/// Modifications that an order bears.
pub const MODIFICATIONS_MAX: u32 = 25;

/// Words for an order that is finished or has a change on its way.
const BUSY_MODIFY: &str = "Order cannot be modified as it is being processed. Try later.";
const BUSY_CANCEL: &str = "Order cannot be cancelled as it is being processed. Try later.";

impl Exchange {
    /// Asks for a change of an order. Success means that it was passed on.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn modify(
        &mut self,
        at: Timestamp,
        order_id: &str,
        change: &Modification,
    ) -> Result<(), ApiError> {
        self.run_to(at);
        self.check_address()?;
        let index = self.index_of(order_id)?;
        let Some(order) = self.orders.get(index).cloned() else {
            return Err(self.busy(BUSY_MODIFY));
        };
        if Faults::take(&mut self.config.faults.modify_refuse_next)
            || !order.is_live()
            || order.flight.is_some()
            || order.place == Place::Underway
        {
            return Err(self.busy(BUSY_MODIFY));
        }
        if order.modifications >= MODIFICATIONS_MAX {
            return Err(ApiError::order("Maximum allowed order modifications exceeded."));
        }
        let terms = self.new_terms(&order, change)?;
        let flight = Flight { arrives_at: self.arrival(), message: Message::Modify(terms) };
        self.dispatch(index, flight, &["MODIFY VALIDATION PENDING", "MODIFY PENDING"]);
        Ok(())
    }

    /// Asks for the end of an order. Success means that it was passed on.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn cancel(&mut self, at: Timestamp, order_id: &str) -> Result<(), ApiError> {
        self.run_to(at);
        self.check_address()?;
        let index = self.index_of(order_id)?;
        let free = self.orders.get(index).is_some_and(|order| {
            order.is_live() && order.flight.is_none() && order.place != Place::Underway
        });
        if Faults::take(&mut self.config.faults.cancel_refuse_next) || !free {
            return Err(self.busy(BUSY_CANCEL));
        }
        let flight = Flight { arrives_at: self.arrival(), message: Message::Cancel };
        self.dispatch(index, flight, &["CANCEL PENDING"]);
        Ok(())
    }

    fn busy(&self, words: &str) -> ApiError {
        if self.config.faults.busy_is_input {
            return ApiError::input(words);
        }
        ApiError::order(words)
    }

    fn dispatch(&mut self, index: usize, flight: Flight, statuses: &[&str]) {
        let Some(order) = self.orders.get_mut(index) else { return };
        if let Message::Modify(_) = flight.message {
            order.modifications += 1;
        }
        order.flight = Some(flight);
        for status in statuses {
            order.record(OrderStatus::Pending((*status).to_string()));
        }
    }

    fn new_terms(&self, order: &Order, change: &Modification) -> Result<NewTerms, ApiError> {
        let listed = self.listed(&order.row.instrument)?;
        let last = self.last(listed);
        let order_type = change.order_type.unwrap_or(order.row.order_type);
        let quantity = match change.quantity {
            Some(rest) if self.config.faults.modify_quantity_is_remaining => {
                order.row.filled_quantity.saturating_add(rest)
            }
            Some(total) => total,
            None => order.row.quantity,
        };
        if quantity <= order.row.filled_quantity {
            return Err(ApiError::input(
                "Quantity cannot be less than or equal to the quantity that is already traded.",
            ));
        }
        let disclosed_quantity = change.disclosed_quantity.unwrap_or(order.row.disclosed_quantity);
        check_disclosed(disclosed_quantity)?;
        let given = change.price.unwrap_or(order.row.price);
        let trigger = match order_type {
            OrderType::StopLimit | OrderType::StopMarket => {
                change.trigger_price.unwrap_or(order.row.trigger_price)
            }
            OrderType::Limit | OrderType::Market => Price::ZERO,
        };
        let from = match order_type {
            OrderType::Limit | OrderType::StopLimit => None,
            OrderType::Market => Some(last),
            OrderType::StopMarket => Some(trigger),
        };
        let (price, tags) = match from {
            None => (given, Vec::new()),
            Some(from) => {
                let protection = change.market_protection.unwrap_or(Protection::NONE);
                need_protection(protection)?;
                let band = protection_band(protection, listed, from);
                let tick = listed.instrument.tick;
                (protected_limit(order.row.side, from, band, tick), protection_tags(band))
            }
        };
        let terms = NewTerms {
            order_type: match order_type {
                OrderType::Limit | OrderType::Market => OrderType::Limit,
                OrderType::StopLimit | OrderType::StopMarket => OrderType::StopLimit,
            },
            quantity,
            price,
            trigger_price: trigger,
            disclosed_quantity,
            validity: change.validity.unwrap_or(order.row.validity),
            tags,
        };
        self.check_new_terms(order, &terms)?;
        Ok(terms)
    }

    fn check_new_terms(&self, order: &Order, terms: &NewTerms) -> Result<(), ApiError> {
        let listed = self.listed(&order.row.instrument)?;
        // A stop that has woken is a limit order; its trigger no longer matters.
        let order_type = if order.is_triggered { OrderType::Limit } else { terms.order_type };
        Terms {
            row: listed,
            side: order.row.side,
            order_type,
            quantity: terms.quantity,
            price: terms.price,
            trigger: terms.trigger_price,
            last: self.last(listed),
            band: self.market.band(listed.instrument.token).unwrap_or_default(),
        }
        .check()?;
        let more = terms.quantity - order.row.quantity;
        let refusal = self.funds_refusal(
            &order.row.instrument,
            &order.row.product,
            order.row.side,
            more.max(0),
            terms.price,
        );
        match refusal {
            Some((error, _)) if more > 0 => Err(error),
            Some(_) | None => Ok(()),
        }
    }

    fn index_of(&self, order_id: &str) -> Result<usize, ApiError> {
        self.orders
            .iter()
            .position(|order| order.row.order_id == order_id)
            .ok_or_else(|| ApiError::order("Couldn't find that `order_id`."))
    }
}
