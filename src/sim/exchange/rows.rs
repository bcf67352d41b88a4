//! Orders as the exchange takes and shows them: the fields of Kite's
//! answers, in the market's own types. The server writes them as JSON.

use crate::market::{
    InstrumentKey, Money, OrderStatus, OrderType, Price, Product, Quantity, Side, Timestamp,
};

/// Variety of an order: the path segment of Kite's order calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variety {
    /// An ordinary order.
    Regular,
    /// An after-market order, released at the next open.
    Amo,
}

impl Variety {
    /// Kite's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Variety::Regular => "regular",
            Variety::Amo => "amo",
        }
    }

    /// Reads Kite's word; varieties that the simulator does not have give `None`.
    pub fn parse(text: &str) -> Option<Variety> {
        match text {
            "regular" => Some(Variety::Regular),
            "amo" => Some(Variety::Amo),
            _ => None,
        }
    }
}

/// How long an order works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Validity {
    /// Until the close.
    Day,
    /// At once or not at all; what is left is cancelled.
    Ioc,
    /// For some minutes.
    Ttl,
}

impl Validity {
    /// Kite's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Validity::Day => "DAY",
            Validity::Ioc => "IOC",
            Validity::Ttl => "TTL",
        }
    }

    /// Reads Kite's word.
    pub fn parse(text: &str) -> Option<Validity> {
        match text {
            "DAY" => Some(Validity::Day),
            "IOC" => Some(Validity::Ioc),
            "TTL" => Some(Validity::Ttl),
            _ => None,
        }
    }
}

/// Who placed an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The API application: postbacks go out.
    Api,
    /// The user, in Kite's own app: order events on the socket, no postbacks.
    App,
    /// The broker's risk desk, as in the square-off of intraday positions.
    Broker,
}

/// Market protection in hundredths of a percent; `AUTO` stands for Kite's -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Protection(pub i64);

impl Protection {
    /// Kite's `-1`: the broker picks the band.
    pub const AUTO: Protection = Protection(-100);
    /// Absent or zero: refused on market orders.
    pub const NONE: Protection = Protection(0);
}

/// Parameters of `POST /orders/{variety}`, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Variety.
    pub variety: Variety,
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Units.
    pub quantity: Quantity,
    /// Product.
    pub product: Product,
    /// Limit; zero when not given.
    pub price: Price,
    /// Trigger; zero when not given.
    pub trigger_price: Price,
    /// Disclosed units; zero when not given.
    pub disclosed_quantity: Quantity,
    /// Validity.
    pub validity: Validity,
    /// Minutes of a TTL order; zero when not given.
    pub validity_ttl: i64,
    /// Market protection.
    pub market_protection: Protection,
    /// Split above the freeze quantity.
    pub autoslice: bool,
    /// The client's mark.
    pub tag: Option<String>,
}

/// Parameters of `PUT /orders/{variety}/{order_id}`, parsed. `None` leaves a
/// field as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Modification {
    /// New type.
    pub order_type: Option<OrderType>,
    /// New quantity: the total, unless the fault switch says the remaining.
    pub quantity: Option<Quantity>,
    /// New limit.
    pub price: Option<Price>,
    /// New trigger.
    pub trigger_price: Option<Price>,
    /// New disclosed units.
    pub disclosed_quantity: Option<Quantity>,
    /// New validity.
    pub validity: Option<Validity>,
    /// Market protection, when the type becomes a market one.
    pub market_protection: Option<Protection>,
}

/// A placed order. With `slices` the order was split: `order_id` is the
/// parent's and each slice has its own id or error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceOk {
    /// The order's id; the parent's of a sliced order.
    pub order_id: String,
    /// Slices of an autosliced order.
    pub slices: Option<Vec<Result<String, super::ApiError>>>,
    /// True when the server must close the connection without an answer.
    pub response_lost: bool,
}

/// One state of an order: a row of `GET /orders`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderRow {
    /// The account.
    pub account_id: String,
    /// Who placed it, as Kite shows it.
    pub placed_by: String,
    /// Who placed it.
    pub source: Source,
    /// 19 digits.
    pub order_id: String,
    /// The exchange's id, from OPEN on.
    pub exchange_order_id: Option<String>,
    /// Parent of a slice.
    pub parent_order_id: Option<String>,
    /// Status; `MODIFIED` and the like are `Pending(..)`.
    pub status: OrderStatus,
    /// Words for people; only rejections fill it.
    pub status_message: Option<String>,
    /// Words of the order management system.
    pub status_message_raw: Option<String>,
    /// When the API registered the order.
    pub order_timestamp: Timestamp,
    /// When the exchange last changed it.
    pub exchange_update_timestamp: Option<Timestamp>,
    /// When the exchange accepted it.
    pub exchange_timestamp: Option<Timestamp>,
    /// Variety.
    pub variety: Variety,
    /// True once a modification took effect.
    pub modified: bool,
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Today's token of it.
    pub instrument_token: u32,
    /// Type, as shown: a protected market order shows LIMIT.
    pub order_type: OrderType,
    /// Buy or sell.
    pub side: Side,
    /// Validity.
    pub validity: Validity,
    /// Minutes of a TTL order.
    pub validity_ttl: i64,
    /// Product.
    pub product: Product,
    /// Total units.
    pub quantity: Quantity,
    /// Disclosed units.
    pub disclosed_quantity: Quantity,
    /// Units filled.
    pub filled_quantity: Quantity,
    /// Units that wait; of a plain cancelled row, what was cancelled.
    pub pending_quantity: Quantity,
    /// Units cancelled.
    pub cancelled_quantity: Quantity,
    /// Limit.
    pub price: Price,
    /// Trigger; zero when none.
    pub trigger_price: Price,
    /// Value of the units filled; divided by them it is `average_price`.
    pub filled_value: Money,
    /// Protection as echoed, in hundredths of a percent.
    pub market_protection: Protection,
    /// The client's mark.
    pub tag: Option<String>,
    /// All marks, the system's included.
    pub tags: Vec<String>,
    /// A request id; unusable, as at Kite.
    pub guid: Option<String>,
}

impl OrderRow {
    /// Average fill price in rupees; zero while nothing is filled.
    pub fn average_price(&self) -> f64 {
        average(self.filled_value, self.filled_quantity)
    }
}

/// Rupees of one unit, for JSON; zero for no units.
pub(super) fn average(value: Money, quantity: Quantity) -> f64 {
    if quantity == 0 { 0.0 } else { value.to_f64_rupees() / quantity as f64 }
}

/// Word of an order event: the status of its postback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// Filled in full.
    Complete,
    /// Cancelled.
    Cancelled,
    /// Rejected.
    Rejected,
    /// Modified, or filled in part: postback status `UPDATE`.
    Update,
    /// A stop woke, or an order became open: on the socket only.
    Open,
}

impl EventKind {
    /// True for what Kite also posts to the application's postback URL.
    pub const fn is_posted(self) -> bool {
        match self {
            EventKind::Complete
            | EventKind::Cancelled
            | EventKind::Rejected
            | EventKind::Update => true,
            EventKind::Open => false,
        }
    }
}

/// A change of an order that Kite tells of by socket and postback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeEvent {
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The order as it then stood.
    pub row: OrderRow,
}

impl ExchangeEvent {
    /// True for what Kite also posts to the application's postback URL: ends
    /// and changes of the application's own orders.
    pub const fn is_posted(&self) -> bool {
        match self.row.source {
            Source::Api => self.kind.is_posted(),
            Source::App | Source::Broker => false,
        }
    }
}

/// One execution: a row of `GET /trades`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradeRow {
    /// The exchange's number of it.
    pub trade_id: String,
    /// Whose it is.
    pub order_id: String,
    /// The exchange's id of the order.
    pub exchange_order_id: String,
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Today's token of it.
    pub instrument_token: u32,
    /// Product.
    pub product: Product,
    /// Buy or sell.
    pub side: Side,
    /// Units.
    pub quantity: Quantity,
    /// Price of each unit.
    pub price: Price,
    /// When it filled.
    pub fill_timestamp: Timestamp,
}
