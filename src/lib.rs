//! A Telegram-controlled trading system for Indian market hours.
//!
//! One pure core decides; thin shells touch the world. Start at
//! [`engine`] to see what it decides and why, at [`trading`] to see how the
//! core meets the broker.
//!
//! # Layout, floor by floor (imports point downwards only)
//!
//! | floor | room | what is in it |
//! | --- | --- | --- |
//! | 0 | [`market`] | prices, instruments, candles, pivots, calendar, charges |
//! | 1 | [`engine`] | every decision: day, strategies, risk, orders, exits, book |
//! | 2 | [`journal`], [`store`] | the database file: write-ahead journal, tables, inbox, outbox |
//! | 2 | [`kite`] | the broker's dialect: REST, ticker, rate limits, outcomes |
//! | 2 | [`sim`] | a local Kite and a local Telegram, for demo, tests and other people's clients |
//! | 2 | [`telemetry`], [`chart`], [`config`], [`clock`] | logs, pictures, configuration, the one clock |
//! | 2 | [`service`] | what all services share: signals, signs of life, login links |
//! | 2 | [`upkeep`] | backups, and what is done by day and week without anybody asking |
//! | 3 | [`health`] | how machine and services are, and who is told: samples, alerts, metrics |
//! | 4 | [`trading`] | the service that trades: feed, candles, loop, executor |
//! | 4 | [`simtest`] | whole days of the core against a world that misbehaves, out of seeds |
//! | 4 | [`web`], [`telegram`], [`backtest`], [`ops`] | the web service, the chat service, backtests, the operator's command |
//!
//! `tests/it/floors.rs` reads the `use` lines and fails on any other edge.

pub mod backtest;
pub mod chart;
pub mod clock;
pub mod config;
pub mod engine;
pub mod health;
pub mod journal;
pub mod kite;
pub mod market;
pub mod ops;
pub mod service;
pub mod sim;
pub mod simtest;
pub mod store;
pub mod telegram;
pub mod telemetry;
pub mod trading;
pub mod upkeep;
pub mod web;
