//! When prices or the clock are not to be trusted.

use chrono::TimeDelta;

use crate::market::{Quote, Timestamp};

/// Largest difference to the broker's clock with which anything is entered.
/// Its `Date` headers tell whole seconds; half a second is allowed and half is
/// lost in them.
pub(crate) const SKEW_MAX: TimeDelta = TimeDelta::seconds(1);

/// True for an instrument that was not heard of for too long, or never (M13).
pub(super) fn is_stale(now: Timestamp, quote: Option<&Quote>, most_s: u32) -> bool {
    quote.is_none_or(|quote| now - quote.at > TimeDelta::seconds(i64::from(most_s)))
}

/// How far our clock is off, by the broker's answers, when that is too much.
/// Negative when it is behind. That a price comes from the future is seen by
/// the core itself.
pub(super) fn off_by_ms(skew_ms: Option<i64>) -> Option<i64> {
    skew_ms.filter(|skew| skew.abs() > SKEW_MAX.num_milliseconds())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::InstrumentKey;

    #[test]
    fn m13_what_is_held_is_asked_for_when_the_feed_is_mute() {
        let now = chrono::DateTime::from_timestamp(1_795_400_000, 0).unwrap();
        let quote = |age_s| Quote {
            instrument: InstrumentKey::new(crate::market::Exchange::Bse, "SENSEX"),
            at: now - TimeDelta::seconds(age_s),
            last: crate::market::Price::from_rupees(81_335),
            bid: None,
            ask: None,
            ask_depth: 0,
            volume: 0,
            open_interest: 0,
            reference: crate::market::Price::from_rupees(81_335),
        };
        assert!(is_stale(now, None, 10));
        assert!(!is_stale(now, Some(&quote(10)), 10));
        assert!(is_stale(now, Some(&quote(11)), 10));
        assert!(!is_stale(now, Some(&quote(-3)), 10));
    }

    #[test]
    fn m14_the_clock_is_compared_with_answers() {
        let check = |skew, expected| assert_eq!(off_by_ms(skew), expected, "{skew:?}");
        check(None, None);
        check(Some(1_000), None);
        check(Some(-1_000), None);
        check(Some(-1_001), Some(-1_001));
        check(Some(4_000), Some(4_000));
    }
}
