//! Reason codes of decisions: what `/why` shows and tables keep.
//!
//! The engine's gates add their own after these; a code means the same
//! wherever it stands.

/// An entry was asked for.
pub const ENTER: &str = "ENTER";
/// No level was crossed.
pub const NO_CROSS: &str = "NO_CROSS";
/// The opening range is still forming.
pub const OPENING: &str = "OPENING";
/// A breakout was valid; the entry waits for price to come back.
pub const ARMED: &str = "ARMED";
/// The breakout still waits for its retest.
pub const RETEST_WAIT: &str = "RETEST_WAIT";
/// Price fell back through the level while the retest was awaited.
pub const RETEST_FAILED: &str = "RETEST_FAILED";
/// No retest came in time.
pub const RETEST_EXPIRED: &str = "RETEST_EXPIRED";
/// The instrument is watched and never signals.
pub const NOT_A_SIGNAL_INSTRUMENT: &str = "NOT_A_SIGNAL_INSTRUMENT";
/// The candle, or the one before it, is missing, has a gap or too few ticks.
pub const CANDLE_INVALID: &str = "CANDLE_INVALID";
/// The day opened too far from the previous close.
pub const GAP_EXTREME: &str = "GAP_EXTREME";
/// The day's first candle is missing: nothing is known of the gap.
pub const OPEN_UNKNOWN: &str = "OPEN_UNKNOWN";
/// Outside the hours of entries.
pub const TIME_WINDOW: &str = "TIME_WINDOW";
/// The central pivot range is wide.
pub const CPR_WIDE: &str = "CPR_WIDE";
/// An edge of the central pivot range counts on narrow days only.
pub const CPR_EDGE_NEEDS_NARROW: &str = "CPR_EDGE_NEEDS_NARROW";
/// The day opened at or above R2: no longs.
pub const OPEN_BEYOND_R2: &str = "OPEN_BEYOND_R2";
/// The day opened at or below S2: no shorts.
pub const OPEN_BEYOND_S2: &str = "OPEN_BEYOND_S2";
/// The candle has the wrong colour.
pub const CANDLE_COLOUR: &str = "CANDLE_COLOUR";
/// The body is small against the range.
pub const WEAK_BODY: &str = "WEAK_BODY";
/// The wick towards the level is less than half of the range.
pub const WEAK_WICK: &str = "WEAK_WICK";
/// Too few candles to judge size by.
pub const NO_HISTORY: &str = "NO_HISTORY";
/// The body is no larger than usual.
pub const NOT_SIGNIFICANT: &str = "NOT_SIGNIFICANT";
/// The close is within the opening range.
pub const INSIDE_OPENING_RANGE: &str = "INSIDE_OPENING_RANGE";
/// The level is used up for the day.
pub const LEVEL_LOCKED: &str = "LEVEL_LOCKED";
/// Entered as often as allowed.
pub const REENTRY_LIMIT: &str = "REENTRY_LIMIT";
/// No candle has closed back beyond the level since the stop.
pub const NO_RESET: &str = "NO_RESET";
/// Too soon after an exit.
pub const COOLDOWN: &str = "COOLDOWN";
/// As many trades as allowed in a day.
pub const MAX_TRADES: &str = "MAX_TRADES";
/// As many losses in a row as allowed.
pub const MAX_CONSEC_LOSSES: &str = "MAX_CONSEC_LOSSES";
/// The stop is too far away.
pub const RISK_TOO_WIDE: &str = "RISK_TOO_WIDE";
/// The first target is too near for the risk, or there is none.
pub const RR_TOO_LOW: &str = "RR_TOO_LOW";
/// Something is held or an entry works.
pub const POSITION_OPEN: &str = "POSITION_OPEN";
/// Structure is neutral or bearish.
pub const NOT_BULLISH: &str = "NOT_BULLISH";
/// Not the contract that may be bought at this spot.
pub const NOT_SELECTED: &str = "NOT_SELECTED";
/// No scenario holds.
pub const NO_SCENARIO: &str = "NO_SCENARIO";
/// This contract and scenario were entered today.
pub const SCENARIO_USED: &str = "SCENARIO_USED";
/// The target is not far enough above the close.
pub const REWARD_TOO_SMALL: &str = "REWARD_TOO_SMALL";
/// The stop is not below the close.
pub const NO_RISK: &str = "NO_RISK";
/// Another contract has signalled on a candle of the same instant.
pub const ANOTHER_SIGNALLED: &str = "ANOTHER_SIGNALLED";
/// The candle already passed the target.
pub const BEYOND_TARGET: &str = "BEYOND_TARGET";
/// The contract did not trade on the previous day.
pub const NO_LEVELS: &str = "NO_LEVELS";
