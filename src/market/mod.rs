//! The vocabulary of the market: pure values and rules that any trader knows.
//!
//! Nothing here reads a clock, a file, the network or the environment.
//! Parsing is fallible; a value that exists is valid.

pub mod calendar;
pub mod candle;
pub mod charges;
pub mod contract;
pub mod instrument;
pub mod master;
pub mod money;
pub mod order;
pub mod order_price;
pub mod pivots;
pub mod quote;
pub mod stats;
pub mod time;

pub use candle::{Candle, DayCandle};
pub use instrument::{Exchange, Instrument, InstrumentKey, InstrumentKind};
pub use money::{Money, Price, Quantity};
pub use order::{
    BrokerOrder, BrokerPosition, OrderChange, OrderId, OrderRequest, OrderStatus, OrderType,
    Product, Side, Tag,
};
pub use quote::{BookLevel, Quote};
pub use time::Timestamp;
