//! Behaviour through real processes and protocols. One binary, many rooms.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected must fail at once"
)]

mod backtest;
#[cfg(feature = "otlp")]
mod collector;
mod demo;
mod docs;
mod doctor;
#[cfg(any(feature = "otlp", feature = "postgres"))]
mod elsewhere;
mod floors;
mod hook;
mod install;
mod kite;
mod logs;
mod market;
mod operator;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "postgres")]
mod postgres;
mod process;
mod sim;
mod store;
mod telegram;
mod truth;
mod units;
mod upkeep;
mod web;
