//! The words of an order: side, type, product, status, and a broker's row.

use std::fmt;

use super::instrument::InstrumentKey;
use super::money::{Money, Price, Quantity};
use super::time::Timestamp;

/// Buy or sell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// Buys.
    Buy,
    /// Sells.
    Sell,
}

impl Side {
    /// The other side.
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// Kite's word: `BUY` or `SELL`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }

    /// Reads Kite's word.
    pub fn parse(text: &str) -> Option<Side> {
        match text {
            "BUY" => Some(Side::Buy),
            "SELL" => Some(Side::Sell),
            _ => None,
        }
    }
}

/// How an order is priced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderType {
    /// At the market; the API takes it only with market protection.
    Market,
    /// At a limit.
    Limit,
    /// Stop-loss limit: a limit order that wakes at a trigger.
    StopLimit,
    /// Stop-loss market.
    StopMarket,
}

impl OrderType {
    /// Kite's word: `MARKET`, `LIMIT`, `SL`, `SL-M`.
    pub const fn as_str(self) -> &'static str {
        match self {
            OrderType::Market => "MARKET",
            OrderType::Limit => "LIMIT",
            OrderType::StopLimit => "SL",
            OrderType::StopMarket => "SL-M",
        }
    }

    /// Reads Kite's word.
    pub fn parse(text: &str) -> Option<OrderType> {
        match text {
            "MARKET" => Some(OrderType::Market),
            "LIMIT" => Some(OrderType::Limit),
            "SL" => Some(OrderType::StopLimit),
            "SL-M" => Some(OrderType::StopMarket),
            _ => None,
        }
    }
}

/// How a position is carried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Product {
    /// Intraday.
    Mis,
    /// Carried derivatives.
    Nrml,
    /// Delivery.
    Cnc,
    /// Margin trade funding.
    Mtf,
    /// A word this version does not know, kept as received.
    Other(String),
}

impl Product {
    /// Kite's word.
    pub fn as_str(&self) -> &str {
        match self {
            Product::Mis => "MIS",
            Product::Nrml => "NRML",
            Product::Cnc => "CNC",
            Product::Mtf => "MTF",
            Product::Other(text) => text,
        }
    }

    /// Reads Kite's word; an unknown one is kept.
    pub fn parse(text: &str) -> Product {
        match text {
            "MIS" => Product::Mis,
            "NRML" => Product::Nrml,
            "CNC" => Product::Cnc,
            "MTF" => Product::Mtf,
            other => Product::Other(other.to_string()),
        }
    }
}

/// Where an order stands. An open set: brokers add words, and every word
/// that is not known to be final counts as still in flight.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OrderStatus {
    /// On its way to or through the broker: any `… PENDING`, `… RECEIVED`.
    Pending(String),
    /// Resting at the exchange, perhaps partly filled.
    Open,
    /// A stop order that waits for its trigger.
    TriggerPending,
    /// Filled in full.
    Complete,
    /// Cancelled; what had filled stays filled.
    Cancelled,
    /// Refused by broker or exchange; nothing filled.
    Rejected,
}

impl OrderStatus {
    /// Reads Kite's word.
    pub fn parse(text: &str) -> OrderStatus {
        match text {
            "OPEN" => OrderStatus::Open,
            "TRIGGER PENDING" => OrderStatus::TriggerPending,
            "COMPLETE" => OrderStatus::Complete,
            "CANCELLED" => OrderStatus::Cancelled,
            "REJECTED" => OrderStatus::Rejected,
            other => OrderStatus::Pending(other.to_string()),
        }
    }

    /// Kite's word.
    pub fn as_str(&self) -> &str {
        match self {
            OrderStatus::Pending(text) => text,
            OrderStatus::Open => "OPEN",
            OrderStatus::TriggerPending => "TRIGGER PENDING",
            OrderStatus::Complete => "COMPLETE",
            OrderStatus::Cancelled => "CANCELLED",
            OrderStatus::Rejected => "REJECTED",
        }
    }

    /// True when the order has arrived where it waits or has ended: nothing
    /// is on its way between broker and exchange.
    pub const fn is_at_rest(&self) -> bool {
        match self {
            OrderStatus::Pending(_) => false,
            OrderStatus::Open
            | OrderStatus::TriggerPending
            | OrderStatus::Complete
            | OrderStatus::Cancelled
            | OrderStatus::Rejected => true,
        }
    }

    /// True when nothing further can happen to the order.
    pub const fn is_terminal(&self) -> bool {
        match self {
            OrderStatus::Complete | OrderStatus::Cancelled | OrderStatus::Rejected => true,
            OrderStatus::Pending(_) | OrderStatus::Open | OrderStatus::TriggerPending => false,
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The broker's name of an order. Opaque.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub String);

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Our mark on an order, at most 20 ASCII letters and digits (Kite's limit).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// Longest tag that Kite takes.
    pub const LENGTH_MAX: usize = 20;

    /// Checks and wraps a tag.
    pub fn new(text: impl Into<String>) -> Option<Tag> {
        let text = text.into();
        let fits = !text.is_empty()
            && text.len() <= Tag::LENGTH_MAX
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then_some(Tag(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What to place. Validity is DAY and variety regular, always.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRequest {
    /// What is traded.
    pub instrument: InstrumentKey,
    /// Buy or sell.
    pub side: Side,
    /// Limit or stop-limit; the engine sends nothing else.
    pub order_type: OrderType,
    /// How it is carried.
    pub product: Product,
    /// Units.
    pub quantity: Quantity,
    /// Limit price.
    pub price: Price,
    /// Trigger of a stop order.
    pub trigger: Option<Price>,
    /// Our mark.
    pub tag: Tag,
}

/// What to change on a resting order. `None` leaves a field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OrderChange {
    /// New type, as when a stop order becomes a plain limit.
    pub order_type: Option<OrderType>,
    /// New total quantity.
    pub quantity: Option<Quantity>,
    /// New limit price.
    pub price: Option<Price>,
    /// New trigger.
    pub trigger: Option<Price>,
}

/// One row of a broker's order book, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerOrder {
    /// The broker's name of it.
    pub order_id: OrderId,
    /// Our mark, when the order carries one.
    pub tag: Option<Tag>,
    /// The exchange's name of it, once it has accepted.
    pub exchange_order_id: Option<String>,
    /// Where it stands.
    pub status: OrderStatus,
    /// The broker's words, for people.
    pub status_message: Option<String>,
    /// What is traded.
    pub instrument: InstrumentKey,
    /// Buy or sell.
    pub side: Side,
    /// Current type.
    pub order_type: OrderType,
    /// How it is carried.
    pub product: Product,
    /// Total units.
    pub quantity: Quantity,
    /// Units filled so far.
    pub filled: Quantity,
    /// Average fill price × filled units, to the paisa.
    pub filled_value: Money,
    /// Current limit price.
    pub price: Price,
    /// Current trigger; zero when none.
    pub trigger: Price,
    /// When the broker registered it.
    pub placed_at: Option<Timestamp>,
    /// When the exchange last changed it.
    pub updated_at: Option<Timestamp>,
}

/// One row of a broker's net positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerPosition {
    /// What is held.
    pub instrument: InstrumentKey,
    /// How it is carried.
    pub product: Product,
    /// Net units; negative when short.
    pub quantity: Quantity,
    /// Units bought today.
    pub bought: Quantity,
    /// Value of the units bought today.
    pub bought_value: Money,
    /// Units sold today.
    pub sold: Quantity,
    /// Value of the units sold today.
    pub sold_value: Money,
    /// Last traded price.
    pub last_price: Price,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_status_is_never_final() {
        for word in ["OPEN PENDING", "CANCEL PENDING", "MODIFY AMO REQ RECEIVED", "SOMETHING NEW"] {
            let status = OrderStatus::parse(word);
            assert!(!status.is_terminal(), "{word}");
            assert_eq!(status.as_str(), word);
        }
        assert!(OrderStatus::parse("COMPLETE").is_terminal());
    }

    #[test]
    fn tags_are_short_and_plain() {
        assert!(Tag::new("P1123T001E1").is_some());
        assert!(Tag::new("").is_none());
        assert!(Tag::new("a".repeat(21)).is_none());
        assert!(Tag::new("with space").is_none());
    }
}
