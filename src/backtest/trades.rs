//! Trades of a backtest and how they are written down.

use std::io::Write;

use crate::engine::ledger::Direction;
use crate::market::time::IST;
use crate::market::{Price, Timestamp};

/// First line of a trade list.
pub const HEADER: &str = "trade_no,date,side,entry_ts,entry_price,exit_ts,exit_price,reason,pnl";

/// One round trip, per unit and without costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trade {
    /// Long or short.
    pub direction: Direction,
    /// Start of the bar in which it was entered.
    pub entered_at: Timestamp,
    /// Entry price.
    pub entry: Price,
    /// Start of the bar in which it was left.
    pub exited_at: Timestamp,
    /// Exit price.
    pub exit: Price,
    /// Why it was left.
    pub reason: Reason,
}

/// Why a backtest left a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The stop.
    Stop,
    /// The last target.
    Target,
    /// No progress in time.
    Timeout,
    /// The end of the day.
    SquareOff,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Reason; 4] = [Reason::Stop, Reason::Target, Reason::Timeout, Reason::SquareOff];

    /// The word in trade lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Stop => "stop",
            Reason::Target => "target",
            Reason::Timeout => "timeout",
            Reason::SquareOff => "squareoff",
        }
    }
}

impl Trade {
    /// Gain of one unit.
    pub fn points(&self) -> Price {
        match self.direction {
            Direction::Long => self.exit - self.entry,
            Direction::Short => self.entry - self.exit,
        }
    }
}

/// The word for a direction in trade lists.
pub const fn side(direction: Direction) -> &'static str {
    match direction {
        Direction::Long => "long",
        Direction::Short => "short",
    }
}

/// Writes a trade list as CSV.
///
/// # Errors
/// When the sink fails.
pub fn write(mut sink: impl Write, trades: &[Trade]) -> std::io::Result<()> {
    writeln!(sink, "{HEADER}")?;
    for (index, trade) in trades.iter().enumerate() {
        let (entered, exited) =
            (trade.entered_at.with_timezone(&IST), trade.exited_at.with_timezone(&IST));
        writeln!(
            sink,
            "{},{},{},{},{},{},{},{},{}",
            index + 1,
            entered.date_naive(),
            side(trade.direction),
            entered.format("%Y-%m-%dT%H:%M:%S%:z"),
            trade.entry,
            exited.format("%Y-%m-%dT%H:%M:%S%:z"),
            trade.exit,
            trade.reason.as_str(),
            trade.points(),
        )?;
    }
    sink.flush()
}
