//! An order book and positions, filled by hand.

use std::collections::BTreeMap;

use crate::market::{
    BrokerOrder, BrokerPosition, InstrumentKey, Money, OrderChange, OrderId, OrderRequest,
    OrderStatus, OrderType, Price, Product, Quantity, Side, Timestamp,
};

#[derive(Debug, Default)]
pub(super) struct Broker {
    pub(super) rows: Vec<BrokerOrder>,
    net: BTreeMap<InstrumentKey, (Quantity, Money, Quantity, Money)>,
    /// Lowest net position of any instrument, ever.
    pub(super) lowest: Quantity,
}

impl Broker {
    pub(super) fn place(&mut self, at: Timestamp, order: &OrderRequest) -> OrderId {
        let status = match order.order_type {
            OrderType::StopLimit => OrderStatus::TriggerPending,
            OrderType::Limit | OrderType::Market | OrderType::StopMarket => OrderStatus::Open,
        };
        let id = OrderId(format!("26112300{:04}", self.rows.len() + 1));
        self.rows.push(BrokerOrder {
            order_id: id.clone(),
            tag: Some(order.tag.clone()),
            exchange_order_id: Some(format!("X{}", self.rows.len() + 1)),
            status,
            status_message: None,
            instrument: order.instrument.clone(),
            side: order.side,
            order_type: order.order_type,
            product: order.product.clone(),
            quantity: order.quantity,
            filled: 0,
            filled_value: Money::ZERO,
            price: order.price,
            trigger: order.trigger.unwrap_or(Price::ZERO),
            placed_at: Some(at),
            updated_at: Some(at),
        });
        id
    }

    pub(super) fn row(&self, id: &OrderId) -> Option<&BrokerOrder> {
        self.rows.iter().find(|row| row.order_id == *id)
    }

    fn live(&mut self, id: &OrderId) -> Option<&mut BrokerOrder> {
        self.rows.iter_mut().find(|row| row.order_id == *id && !row.status.is_terminal())
    }

    fn changeable(&mut self, id: &OrderId) -> Option<&mut BrokerOrder> {
        self.live(id).filter(|row| !matches!(row.status, OrderStatus::Pending(_)))
    }

    /// False when the order is finished or being processed.
    pub(super) fn modify(&mut self, at: Timestamp, id: &OrderId, change: &OrderChange) -> bool {
        let Some(row) = self.changeable(id) else { return false };
        if let Some(order_type) = change.order_type {
            row.order_type = order_type;
            row.status = OrderStatus::Open;
            row.trigger = Price::ZERO;
        }
        row.price = change.price.unwrap_or(row.price);
        row.trigger = change.trigger.unwrap_or(row.trigger);
        row.quantity = change.quantity.unwrap_or(row.quantity);
        row.updated_at = Some(at);
        if row.filled >= row.quantity {
            row.quantity = row.filled;
            row.status = OrderStatus::Complete;
        }
        true
    }

    pub(super) fn cancel(&mut self, at: Timestamp, id: &OrderId) -> bool {
        let Some(row) = self.changeable(id) else { return false };
        row.status = OrderStatus::Cancelled;
        row.updated_at = Some(at);
        true
    }

    /// Puts an order into another state, as the exchange would.
    pub(super) fn put(&mut self, at: Timestamp, id: &OrderId, status: OrderStatus) -> BrokerOrder {
        let row = self.live(id).unwrap();
        row.status = status;
        row.updated_at = Some(at);
        row.clone()
    }

    pub(super) fn reject(&mut self, at: Timestamp, id: &OrderId, why: &str) {
        if let Some(row) = self.live(id) {
            row.status = OrderStatus::Rejected;
            row.status_message = Some(why.into());
            row.updated_at = Some(at);
        }
    }

    pub(super) fn fill(&mut self, at: Timestamp, id: &OrderId, units: Quantity, price: Price) {
        let Some(row) = self.live(id) else { return };
        let units = units.min(row.quantity - row.filled);
        row.filled += units;
        row.filled_value += price * units;
        row.updated_at = Some(at);
        row.status =
            if row.filled == row.quantity { OrderStatus::Complete } else { OrderStatus::Open };
        let (key, side) = (row.instrument.clone(), row.side);
        self.book(&key, side, units, price);
    }

    fn book(&mut self, key: &InstrumentKey, side: Side, units: Quantity, price: Price) {
        let entry = self.net.entry(key.clone()).or_default();
        match side {
            Side::Buy => {
                entry.0 += units;
                entry.1 += price * units;
            }
            Side::Sell => {
                entry.2 += units;
                entry.3 += price * units;
            }
        }
        self.lowest = self.lowest.min(entry.0 - entry.2);
    }

    /// Somebody else's order, filled at once.
    pub(super) fn foreign(
        &mut self,
        at: Timestamp,
        key: &InstrumentKey,
        side: Side,
        units: Quantity,
        price: Price,
    ) -> BrokerOrder {
        let row = BrokerOrder {
            order_id: OrderId(format!("99112300{:04}", self.rows.len() + 1)),
            tag: None,
            exchange_order_id: None,
            status: OrderStatus::Complete,
            status_message: None,
            instrument: key.clone(),
            side,
            order_type: OrderType::Limit,
            product: Product::Mis,
            quantity: units,
            filled: units,
            filled_value: price * units,
            price,
            trigger: Price::ZERO,
            placed_at: Some(at),
            updated_at: Some(at),
        };
        self.rows.push(row.clone());
        self.book(key, side, units, price);
        row
    }

    pub(super) fn held(&self, key: &InstrumentKey) -> Quantity {
        self.net.get(key).map_or(0, |entry| entry.0 - entry.2)
    }

    pub(super) fn positions(&self) -> Vec<BrokerPosition> {
        self.net
            .iter()
            .map(|(key, (bought, bought_value, sold, sold_value))| BrokerPosition {
                instrument: key.clone(),
                product: Product::Mis,
                quantity: bought - sold,
                bought: *bought,
                bought_value: *bought_value,
                sold: *sold,
                sold_value: *sold_value,
                last_price: Price::from_rupees(100),
            })
            .collect()
    }

    /// Units that live orders of one side may still fill.
    pub(super) fn working(&self, key: &InstrumentKey, side: Side) -> Quantity {
        self.rows
            .iter()
            .filter(|row| row.instrument == *key && row.side == side && !row.status.is_terminal())
            .map(|row| row.quantity - row.filled)
            .sum()
    }

    /// The last row with our mark.
    pub(super) fn last_own(&self) -> &BrokerOrder {
        self.rows.iter().rev().find(|row| row.tag.is_some()).unwrap()
    }
}
