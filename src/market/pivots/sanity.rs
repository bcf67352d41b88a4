//! What a day candle must pass before levels are computed from it.

use super::Level;
use crate::market::candle::{Candle, DayCandle};
use crate::market::money::Price;

/// How the official close lies to the session's range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CloseFit {
    /// Within the range.
    Inside,
    /// Outside: the range was stretched to it (`CLOSE_OUTSIDE_RANGE`).
    Stretched,
}

/// A day candle is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SanityError {
    /// Open, high, low and close contradict each other, or are not prices.
    #[error("the candle {open}/{high}/{low}/{close} (O/H/L/C) contradicts itself")]
    Inconsistent {
        /// Open.
        open: Price,
        /// High.
        high: Price,
        /// Low.
        low: Price,
        /// Close.
        close: Price,
    },
    /// The range is implausibly small: a frozen or missing feed.
    #[error("the range {range} is less than 0.10 % of the close {close}")]
    RangeTooSmall {
        /// High minus low.
        range: Price,
        /// Close.
        close: Price,
    },
    /// The range is implausibly large: a bad print.
    #[error("the range {range} is more than 12 % of the close {close}")]
    RangeTooLarge {
        /// High minus low.
        range: Price,
        /// Close.
        close: Price,
    },
    /// The close is implausibly far from the close before.
    #[error("the close {close} is more than 20 % away from the close before, {before}")]
    CloseJumped {
        /// Close.
        close: Price,
        /// Close of the session before.
        before: Price,
    },
    /// The intraday candles tell of another day.
    #[error("the {what} {day} is more than 0.05 % away from that of the candles, {candles}")]
    DisagreesWithCandles {
        /// Which price.
        what: &'static str,
        /// Its value in the day candle.
        day: Price,
        /// Its value over the intraday candles.
        candles: Price,
    },
}

const RANGE_MIN: (i64, i64) = (10, 10_000);
const RANGE_MAX: (i64, i64) = (1_200, 10_000);
const JUMP_MAX: (i64, i64) = (2_000, 10_000);
const CANDLE_TOLERANCE: (i64, i64) = (5, 10_000);

/// Stretches the range to the close when the close lies outside it. Since
/// August 2026 the official close comes from an auction after continuous
/// trading, so this happens on sound days.
pub fn fit_close(candle: DayCandle) -> (DayCandle, CloseFit) {
    let fitted = DayCandle {
        high: candle.high.max(candle.close),
        low: candle.low.min(candle.close),
        ..candle
    };
    let fit = if fitted == candle { CloseFit::Inside } else { CloseFit::Stretched };
    (fitted, fit)
}

/// Checks a day candle (after [`fit_close`]) for consistency and plausible
/// size; with the close of the session before, for a plausible step.
///
/// # Errors
/// The first check that fails.
pub fn check_day(candle: &DayCandle, close_before: Option<Price>) -> Result<(), SanityError> {
    let DayCandle { open, high, low, close, .. } = *candle;
    if low > open.min(close) || high < open.max(close) || low <= Price::ZERO {
        return Err(SanityError::Inconsistent { open, high, low, close });
    }
    let range = high - low;
    let exact_close = Level::from(close);
    if exact_close.scaled(RANGE_MIN).is_above(range) {
        return Err(SanityError::RangeTooSmall { range, close });
    }
    if Level::from(range) > exact_close.scaled(RANGE_MAX) {
        return Err(SanityError::RangeTooLarge { range, close });
    }
    match close_before {
        Some(before) if !is_near(close, before, JUMP_MAX) => {
            Err(SanityError::CloseJumped { close, before })
        }
        Some(_) | None => Ok(()),
    }
}

/// Compares high, low and close of a day candle with the session's intraday
/// candles. No candles, nothing to compare. The day candle stays the
/// authority: intraday candles miss trades.
///
/// # Errors
/// The first price that differs by more than 0.05 %.
pub fn check_against_candles(day: &DayCandle, candles: &[Candle]) -> Result<(), SanityError> {
    let (Some(high), Some(low), Some(last)) = (
        candles.iter().map(|candle| candle.high).max(),
        candles.iter().map(|candle| candle.low).min(),
        candles.last(),
    ) else {
        return Ok(());
    };
    for (what, of_day, of_candles) in
        [("high", day.high, high), ("low", day.low, low), ("close", day.close, last.close)]
    {
        if !is_near(of_day, of_candles, CANDLE_TOLERANCE) {
            return Err(SanityError::DisagreesWithCandles {
                what,
                day: of_day,
                candles: of_candles,
            });
        }
    }
    Ok(())
}

fn is_near(value: Price, anchor: Price, share: (i64, i64)) -> bool {
    (Level::from(value) - Level::from(anchor)).abs() <= Level::from(anchor).abs().scaled(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::{from_ist, hms};
    use chrono::NaiveDate;

    fn day(open: i64, high: i64, low: i64, close: i64) -> DayCandle {
        let price = Price::from_rupees;
        DayCandle {
            date: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a date"),
            open: price(open),
            high: price(high),
            low: price(low),
            close: price(close),
        }
    }

    #[test]
    fn a_close_outside_stretches_the_range() {
        let (fitted, fit) = fit_close(day(100, 110, 90, 112));
        assert_eq!((fitted.high, fit), (Price::from_rupees(112), CloseFit::Stretched));
        let (fitted, fit) = fit_close(day(100, 110, 90, 89));
        assert_eq!((fitted.low, fit), (Price::from_rupees(89), CloseFit::Stretched));
        assert_eq!(fit_close(day(100, 110, 90, 110)).1, CloseFit::Inside);
    }

    #[test]
    fn implausible_days_are_refused() {
        let sound = day(80_700, 81_200, 80_600, 81_050);
        assert_eq!(check_day(&sound, Some(Price::from_rupees(80_500))), Ok(()));
        let check = |candle, before: Option<i64>| {
            check_day(&candle, before.map(Price::from_rupees)).expect_err("refused")
        };
        use SanityError as E;
        assert!(matches!(check(day(82_000, 81_200, 80_600, 81_050), None), E::Inconsistent { .. }));
        assert!(matches!(check(day(0, 1, 0, 1), None), E::Inconsistent { .. }));
        assert!(matches!(
            check(day(81_000, 81_040, 81_000, 81_040), None),
            E::RangeTooSmall { .. }
        ));
        assert!(matches!(
            check(day(81_000, 91_000, 81_000, 81_040), None),
            E::RangeTooLarge { .. }
        ));
        assert!(matches!(check(sound, Some(60_000)), E::CloseJumped { .. }));
        // The limits themselves are sound.
        assert_eq!(check_day(&day(10_000, 10_000, 9_990, 10_000), None), Ok(()));
        assert_eq!(check_day(&day(10_000, 11_200, 10_000, 10_000), None), Ok(()));
        assert_eq!(check_day(&sound, Some(Price::from_paise(6_754_167))), Ok(()));
    }

    #[test]
    fn candles_must_tell_of_the_same_day() {
        let day = day(100_000, 101_000, 99_000, 100_500);
        let candle = |high: i64, low: i64, close: i64| Candle {
            start: from_ist(day.date, hms(9, 15, 0)),
            open: day.open,
            high: Price::from_rupees(high),
            low: Price::from_rupees(low),
            close: Price::from_rupees(close),
            volume: 0,
        };
        assert_eq!(check_against_candles(&day, &[]), Ok(()));
        let near = [candle(100_951, 100_000, 100_400), candle(100_500, 99_040, 100_455)];
        assert_eq!(check_against_candles(&day, &near), Ok(()));
        let far = [candle(101_100, 99_000, 100_500)];
        let error = check_against_candles(&day, &far).expect_err("refused");
        assert!(matches!(error, SanityError::DisagreesWithCandles { what: "high", .. }));
    }
}
