//! Prices of the engine's orders: the market's rules, mirrored for trades
//! that were opened by a sale.

use super::settings::{Ppm, RiskSettings};
use crate::market::{InstrumentKind, Price, Quote, Side, order_price};

/// A future's or a share's limit stays this near to the reference: their
/// price bands are narrow.
const NARROW_BAND: Ppm = Ppm(15_000);
/// A buy that closes an option sale may pay this much more than the
/// reference.
const WIDE_BAND: Ppm = Ppm(400_000);
/// Gap between trigger and limit of a stop on a share or future.
const NARROW_STOP_GAP: Ppm = Ppm(15_000);
/// A resting stop on the signal instrument itself stands this much farther
/// off than the stop that acts, in hundredths of the risk.
const STAND_OFF_PCT: i64 = 150;
const MILLION: i64 = 1_000_000;

fn share(ppm: Ppm) -> (i64, i64) {
    (ppm.0, MILLION)
}

fn up(price: Price, by: Ppm, tick: Price) -> Price {
    price.scale_floor(MILLION + by.0, MILLION).floor_to(tick)
}

fn down(price: Price, by: Ppm, tick: Price) -> Price {
    price.scale_floor(MILLION - by.0, MILLION).floor_to(tick)
}

fn ticks(tick: Price, count: i64) -> Price {
    Price::from_paise(tick.paise().max(1) * count)
}

fn is_option(kind: InstrumentKind) -> bool {
    kind.option_type().is_some()
}

/// Limit of an order that opens. `None` without a price to go by.
pub(super) fn entry(quote: &Quote, side: Side, tick: Price, risk: &RiskSettings) -> Option<Price> {
    let (slip, cap) = (risk.entry_slip, risk.entry_cap);
    match side {
        Side::Buy => {
            let ask = quote.ask?.price;
            Some(order_price::entry_limit(ask, quote.last, tick, share(slip), share(cap)))
        }
        Side::Sell => {
            let bid = quote.bid?.price;
            let reach = down(bid, slip, tick).min((bid - ticks(tick, 2)).floor_to(tick));
            Some(reach.max(quote.last.scale_floor(MILLION - cap.0, MILLION).ceil_to(tick)))
        }
    }
}

/// Limit of an order that closes, `below` the touch. Without a quote, or
/// without anyone on the other side, it goes by `fallback` or rests at the
/// edge of the exchange's band.
pub(super) fn exit(
    quote: Option<&Quote>,
    fallback: Price,
    side: Side,
    kind: InstrumentKind,
    below: Ppm,
    tick: Price,
) -> Price {
    let reference = quote.map_or(fallback, |quote| quote.reference);
    let price = match side {
        Side::Sell => {
            let bid = quote.and_then(|quote| quote.bid).map(|level| level.price);
            if is_option(kind) {
                match bid {
                    Some(bid) => order_price::exit_limit(bid, reference, share(below), tick),
                    None => order_price::sell_floor(reference, tick),
                }
            } else {
                let bid = bid.unwrap_or(reference);
                let reach = down(bid, below, tick).min((bid - ticks(tick, 2)).floor_to(tick));
                reach.max(reference.scale_floor(MILLION - NARROW_BAND.0, MILLION).ceil_to(tick))
            }
        }
        Side::Buy => {
            let ask = quote.and_then(|quote| quote.ask).map_or(reference, |level| level.price);
            let reach = up(ask, below, tick).max((ask + ticks(tick, 2)).floor_to(tick));
            let band = if is_option(kind) { WIDE_BAND } else { NARROW_BAND };
            reach.min(up(reference, band, tick))
        }
    };
    price.max(ticks(tick, 1))
}

/// What others offer for an order that closes; the last price without an
/// offer.
pub(super) fn touch(quote: Option<&Quote>, fallback: Price, side: Side) -> Price {
    let Some(quote) = quote else { return fallback };
    let level = match side {
        Side::Sell => quote.bid,
        Side::Buy => quote.ask,
    };
    level.map_or(quote.last, |level| level.price)
}

/// Trigger and limit of the stop that rests at the exchange.
pub(super) fn resting_stop(
    average: Price,
    close: Side,
    kind: InstrumentKind,
    risk_points: Price,
    tick: Price,
    risk: &RiskSettings,
) -> (Price, Price) {
    if is_option(kind) && close == Side::Sell {
        let (down, gap) = (share(risk.catastrophe), share(risk.catastrophe_gap));
        return order_price::catastrophe_stop(average, down, gap, tick);
    }
    let away = risk_points.scale_floor(STAND_OFF_PCT, 100);
    match close {
        Side::Sell => {
            let trigger = (average - away).floor_to(tick);
            (trigger, down(trigger, NARROW_STOP_GAP, tick))
        }
        Side::Buy => {
            let trigger = (average + away).ceil_to(tick);
            (trigger, up(trigger, NARROW_STOP_GAP, tick))
        }
    }
}
