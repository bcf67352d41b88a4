//! Strategies over recorded candles: backtests and judged cases.
//!
//! | strategy | signals | fills |
//! | --- | --- | --- |
//! | `index-pivot` | the strategy that trades live, candle by candle | in points of the index, [`index_pivot`] says how |
//! | `level-breakout` | the live strategy's rules in a tight loop | [`level_breakout`], so that other backtesters can be compared trade by trade |
//!
//! Nothing here reads a clock; the same candles give the same trades.

pub mod bars;
pub mod case;
pub mod csv;
pub mod index_pivot;
pub mod level_breakout;
pub mod options;
mod plan;
pub mod report;
pub mod trades;
