//! The live form: signals at candle closes.

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::engine::ledger::ExitReason;
use crate::engine::strategy::parameters::defaults;
use crate::engine::strategy::rig::{Feed, at, candle, p, plan, previous, shown};
use crate::market::Candle;

/// PP 110, R1 120, R2 140, S1 90, S2 80.
fn feed() -> Feed {
    Feed::new(&plan(defaults("level-breakout").unwrap(), previous("130", "100", "100")))
}

#[test]
fn breaks_out_both_ways_with_the_pivot_as_stop() {
    let mut feed = feed();
    let judgement = feed.take(&candle("09:15", ["119", "122", "118", "121"]), true);
    assert_eq!(shown(&judgement), "ENTER R1");
    let signal = judgement.signal.unwrap();
    assert_eq!(
        (signal.direction, signal.stop, signal.target),
        (Direction::Long, p("110"), p("140"))
    );
    assert_eq!((signal.first_target, signal.vehicle), (None, Vehicle::Itself));
    assert_eq!(feed.say("09:18", ["119", "122", "118", "121"]), "POSITION_OPEN R1");
    feed.close(at("09:22"), ExitReason::StopLoss, true);
    assert_eq!(feed.say("09:24", ["91", "92", "84", "85"]), "ENTER S1");
    let held = feed.held();
    assert_eq!((held.direction, held.stop, held.target), (Direction::Short, p("110"), p("80")));
    assert!(!held.re_entry);
}

#[test]
fn what_is_refused_is_told() {
    let check = |start: &str, ohlc: [&str; 4], expected: &str| {
        assert_eq!(feed().say(start, ohlc), expected);
    };
    check("09:15", ["120", "122", "118", "121"], "NO_CROSS");
    check("09:15", ["119", "122", "118", "120"], "NO_CROSS");
    check("09:15", ["119", "142", "118", "140"], "BEYOND_TARGET R1");
    check("09:15", ["91", "92", "80", "80"], "BEYOND_TARGET S1");
    check("14:42", ["119", "122", "118", "121"], "ENTER R1");
    check("14:45", ["119", "122", "118", "121"], "TIME_WINDOW R1");
    let mut busy = feed();
    busy.entries = 3;
    assert_eq!(busy.say("09:15", ["119", "122", "118", "121"]), "MAX_TRADES R1");
    let mut losing = feed();
    losing.losses = 2;
    assert_eq!(losing.say("09:15", ["119", "122", "118", "121"]), "MAX_CONSEC_LOSSES R1");
    let mut torn = feed();
    torn.take(&candle("09:15", ["110", "110", "110", "110"]), false);
    assert_eq!(torn.say("09:18", ["119", "122", "118", "121"]), "CANDLE_INVALID R1");
    // A minute without trades is no fault of the feed.
    assert_eq!(torn.say("09:24", ["119", "122", "118", "121"]), "ENTER R1");
}

proptest! {
    /// The candle backtest and live trading see the same breakouts, and a
    /// day turned upside down gives the same day short.
    #[test]
    fn signals_are_breakouts_and_mirror(
        candles in proptest::collection::vec((75_i64..150, 75_i64..150), 1..110),
    ) {
        let axis = Price::from_rupees(220);
        let mut straight = feed();
        let turned = previous("120", "90", "120");
        let mut inverse = Feed::new(&plan(defaults("level-breakout").unwrap(), turned));
        let levels = DayLevels::of(13_000, 10_000, 10_000, 5);
        for (slot, (open, close)) in (0_i64..).zip(candles) {
            let (open, close) = (Price::from_rupees(open), Price::from_rupees(close));
            let start = at("09:15") + TimeDelta::minutes(3 * slot);
            let (high, low) = (open.max(close), open.min(close));
            let bar = Candle { start, open, high, low, close, volume: 0 };
            let image = Candle {
                open: axis - open, high: axis - low, low: axis - high, close: axis - close, ..bar
            };
            let (one, other) = (straight.take(&bar, true), inverse.take(&image, true));
            prop_assert_eq!(&one.decision.reason, &other.decision.reason);
            let breakout = rules::breakout(&levels, open.paise(), close.paise());
            if let Some(signal) = &one.signal {
                prop_assert_eq!(Some(signal.direction), breakout);
                let mirrored = other.signal.as_ref().expect("a signal");
                prop_assert_eq!(axis - mirrored.stop, signal.stop);
                prop_assert_eq!(axis - mirrored.target, signal.target);
                straight.miss();
                inverse.miss();
            } else {
                prop_assert!(breakout.is_none() || one.decision.reason == "TIME_WINDOW");
            }
        }
    }
}
