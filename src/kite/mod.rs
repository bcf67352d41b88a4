//! The broker's dialect: Kite Connect version 3.
//!
//! [`Client`] makes the calls, [`ticker::Ticker`] keeps the live feed,
//! [`outcome::classify`] turns every possible answer to an order call into
//! one of three outcomes. Answers become values of [`crate::market`]; what
//! cannot be understood is reported row by row and never guessed.
//!
//! # Rules of this room
//!
//! - A call that can change an order is sent once. Nothing here repeats it.
//! - A row that cannot be read makes its answer incomplete, not absent.
//! - Decisions rest on HTTP status and `error_type`, never on message texts,
//!   which change without notice.
//! - Tokens and secrets stay out of `Debug`, errors and logs.

mod calls;
mod client;
pub mod decode;
mod error;
mod history;
#[cfg(test)]
mod hostile;
mod limits;
mod orders;
pub mod outcome;
pub mod quotes;
mod skew;
pub mod ticker;
mod transport;

pub use client::{Client, ClientOptions, LastLook};
pub use decode::{
    BadRow, Charges, Decoded, Holding, Margins, OhlcRow, OrderCharge, OrderMargin, OrderRow,
    PositionRow, Positions, Profile, QuoteRow, SegmentMargin, SessionInfo, Trade,
};
pub use error::{ApiError, ErrorType, KiteError};
pub use history::{HistoricalCandle, Interval};
pub use limits::{Lane, OrderBudget};

/// Reads an order from the body of a postback. A hint, like every order
/// event: it may be late, doubled or out of order.
///
/// # Errors
/// Says what is missing or odd.
pub fn read_postback(body: &str) -> Result<crate::market::BrokerOrder, String> {
    let value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    decode::order(&value)
}
