//! Prices of orders: how far an order may reach for its fill.
//!
//! Shares are fractions `(numerator, denominator)`, such as `(5, 1000)` for
//! 0.5 %. Every answer is a whole number of ticks.

use super::money::Price;
use super::pivots::Level;

/// A share of a price as a fraction.
pub type Share = (i64, i64);

/// Ticks that a buy reaches beyond the ask, and a sell below the bid, at
/// least: a share of a small premium is less than a tick.
const REACH_TICKS: i64 = 2;
/// Ticks kept from the exchange's floor, whose reference moves.
const FLOOR_TICKS: i64 = 2;
/// Up to this reference, exchanges protect by an amount, not a share.
const SMALL_PREMIUM: Price = Price::from_rupees(50);
/// How far below a small reference a sell may be.
const SMALL_BAND: Price = Price::from_rupees(20);
/// What is left of a larger reference at the lowest sell price.
const LARGE_FLOOR: Share = (60, 100);
/// Largest distance from trigger to limit of a stop with a small trigger.
const SMALL_STOP_GAP: Price = Price::from_rupees(10);

/// Limit price of a buy: `slip` above the ask but at least two ticks above
/// it, never more than `cap` above the last trade; rounded down to a tick.
pub fn entry_limit(ask: Price, last: Price, tick: Price, slip: Share, cap: Share) -> Price {
    let reach = grown(ask, slip).max(Level::from(ask + ticks(tick, REACH_TICKS)));
    reach.min(grown(last, cap)).floor_to(tick)
}

/// Limit price of a sell: `share` below the bid but at least two ticks below
/// it, rounded down to a tick, and not below [`sell_floor`].
pub fn exit_limit(bid: Price, reference: Price, share: Share, tick: Price) -> Price {
    let reach = shrunk(bid, share).min(Level::from(bid - ticks(tick, REACH_TICKS)));
    reach.floor_to(tick).max(sell_floor(reference, tick))
}

/// The lowest sell price that the exchange's limit price protection lets
/// through, with two ticks to spare. `reference` is the mean trade price of
/// the last 30 seconds.
pub fn sell_floor(reference: Price, tick: Price) -> Price {
    let lowest = if reference > SMALL_PREMIUM {
        Level::from(reference).scaled(LARGE_FLOOR)
    } else {
        Level::from((reference - SMALL_BAND).max(ticks(tick, 1)))
    };
    lowest.ceil_to(tick) + ticks(tick, FLOOR_TICKS)
}

/// Trigger and limit of the protective stop that rests at the exchange:
/// trigger `trigger_share` below the average fill, limit `gap_share` below
/// the trigger. With a trigger up to ₹50 the exchange wants the limit within
/// ₹10 of it.
pub fn catastrophe_stop(
    average: Price,
    trigger_share: Share,
    gap_share: Share,
    tick: Price,
) -> (Price, Price) {
    let trigger = shrunk(average, trigger_share).floor_to(tick);
    let limit = shrunk(trigger, gap_share).floor_to(tick);
    if trigger <= SMALL_PREMIUM {
        let nearest = (trigger - SMALL_STOP_GAP).ceil_to(tick);
        return (trigger, limit.max(nearest));
    }
    (trigger, limit)
}

fn grown(price: Price, (numerator, denominator): Share) -> Level {
    Level::from(price).scaled((denominator.saturating_add(numerator), denominator))
}

fn shrunk(price: Price, (numerator, denominator): Share) -> Level {
    Level::from(price).scaled((denominator.saturating_sub(numerator), denominator))
}

fn ticks(tick: Price, count: i64) -> Price {
    Price::from_paise(tick.paise().max(1).saturating_mul(count))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Price = Price::from_paise(5);
    const SLIP: Share = (5, 1000);
    const CAP: Share = (30, 1000);

    fn price(text: &str) -> Price {
        text.parse().expect("a price")
    }

    #[test]
    fn a_buy_reaches_two_ticks_or_a_share_but_not_beyond_the_cap() {
        for (ask, last, limit) in [
            ("400.00", "400.00", "402.00"), // the share counts
            ("4.00", "4.00", "4.10"),       // two ticks count
            ("430.00", "400.00", "412.00"), // the cap counts
            ("399.99", "399.00", "401.95"), // down to a tick
        ] {
            let got = entry_limit(price(ask), price(last), TICK, SLIP, CAP);
            assert_eq!(got, price(limit), "{ask} {last}");
        }
    }

    #[test]
    fn a_sell_stays_within_the_exchanges_protection() {
        for (bid, reference, share, limit) in [
            ("400.00", "400.00", (5, 1000), "398.00"),
            ("4.00", "4.00", (5, 1000), "3.90"),
            ("200.00", "400.00", (200, 1000), "240.10"), // 60 % of the reference
            ("30.00", "50.00", (200, 1000), "30.10"),    // ₹20 below it
            ("31.00", "50.05", (200, 1000), "30.15"),    // 60 % again: 30.03 up, two ticks
        ] {
            let got = exit_limit(price(bid), price(reference), share, TICK);
            assert_eq!(got, price(limit), "{bid} {reference}");
        }
    }

    #[test]
    fn a_stop_keeps_the_gap_that_the_exchange_allows() {
        let stop = |average, gap| catastrophe_stop(price(average), (30, 100), gap, TICK);
        assert_eq!(stop("100.00", (10, 100)), (price("70.00"), price("63.00")));
        assert_eq!(stop("71.43", (10, 100)), (price("50.00"), price("45.00")));
        assert_eq!(stop("71.43", (50, 100)), (price("50.00"), price("40.00")));
        assert_eq!(stop("71.50", (50, 100)), (price("50.05"), price("25.00")));
    }

    proptest! {
        #[test]
        fn limits_are_on_tick_and_on_the_right_side(
            ask in 5_i64..200_000, gap in 0_i64..2_000, tick in prop_oneof![Just(1_i64), Just(5), Just(10)],
        ) {
            let (ask, tick) = (Price::from_paise(ask + 100), Price::from_paise(tick));
            let entry = entry_limit(ask, ask, tick, SLIP, CAP);
            prop_assert!(entry.is_on(tick) && Level::from(entry) <= grown(ask, CAP));
            let bid = ask - Price::from_paise(gap.min(ask.paise() - 5));
            let exit = exit_limit(bid, ask, SLIP, tick);
            prop_assert!(exit.is_on(tick) && exit >= sell_floor(ask, tick));
            let (trigger, limit) = catastrophe_stop(ask, (30, 100), (10, 100), tick);
            prop_assert!(trigger.is_on(tick) && limit.is_on(tick));
            prop_assert!(limit <= trigger && trigger < ask);
        }
    }
}
