//! When prices or the clock are not to be trusted.

use chrono::TimeDelta;

use super::input::Input;
use crate::market::{Quote, Timestamp};

/// Largest difference to the broker's clock. Its `Date` headers tell whole
/// seconds; half a second is allowed and half is lost in them.
const SKEW_MAX_MS: i64 = 1_000;

/// A price may bear a time this much later than ours: exchange times are
/// whole seconds of another machine.
const PRICE_AHEAD_MAX: TimeDelta = TimeDelta::seconds(2);

/// True for an instrument that was not heard of for too long, or never (M13).
pub(super) fn is_stale(now: Timestamp, quote: Option<&Quote>, most_s: u32) -> bool {
    quote.is_none_or(|quote| now - quote.at > TimeDelta::seconds(i64::from(most_s)))
}

/// The latest exchange time among the prices that wait.
pub(super) fn newest_price(inputs: &[Input]) -> Option<Timestamp> {
    let frames = inputs.iter().filter_map(|input| match input {
        Input::Frame(quotes) => quotes.iter().map(|quote| quote.at).max(),
        Input::Outcome { .. }
        | Input::Snapshot(_)
        | Input::Order(_)
        | Input::Feed(_)
        | Input::Day(_)
        | Input::Backfill { .. }
        | Input::Session { .. }
        | Input::FeedRefused
        | Input::ClockOff { .. } => None,
    });
    frames.max()
}

/// How far our clock is off, when that is too much: by the broker's answers,
/// or because a price comes from the future. Negative when it is behind.
pub(super) fn off_by_ms(
    now: Timestamp,
    price: Option<Timestamp>,
    skew_ms: Option<i64>,
) -> Option<i64> {
    let ahead = price.map(|price| price - now).filter(|ahead| *ahead > PRICE_AHEAD_MAX);
    let behind_ms = ahead.map(|ahead| -ahead.num_milliseconds());
    behind_ms.or(skew_ms.filter(|skew| skew.abs() > SKEW_MAX_MS))
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
    fn m14_the_clock_is_compared_with_answers_and_prices() {
        let now = chrono::DateTime::from_timestamp(1_795_400_000, 0).unwrap();
        let at = |ms| Some(now + TimeDelta::milliseconds(ms));
        let check = |price, skew, expected| {
            assert_eq!(off_by_ms(now, price, skew), expected, "{price:?} {skew:?}");
        };
        check(None, None, None);
        check(at(-9_000), Some(1_000), None);
        check(at(2_000), Some(-1_000), None);
        check(at(2_001), None, Some(-2_001));
        check(at(-9_000), Some(-1_001), Some(-1_001));
        check(None, Some(4_000), Some(4_000));
    }
}
