//! A local Kite: an exchange that speaks the broker's protocol, and a stand-in for Telegram.
//!
//! [`model`] makes a market out of a seed and a date; [`exchange`] keeps an
//! order book of one account against it; [`matching`] says what an order
//! fills for, there and in paper trading; [`faults`] are the switches that
//! make the broker misbehave. These four are pure: time is an argument.
//! [`telegram`] stands in for Telegram's Bot API.

pub mod exchange;
pub mod faults;
mod form;
pub mod matching;
pub mod model;
pub mod server;
pub mod telegram;
