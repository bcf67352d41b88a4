//! What a trade costs: brokerage, taxes and fees of Zerodha and the
//! exchanges, by the rates in force on the trade's date.
//!
//! Rounding follows the broker's own calculator: brokerage of each order,
//! exchange, regulator and GST amounts to the paisa; transaction tax and
//! stamp duty to the rupee over all legs together. All halves go up.

mod rates;

use chrono::NaiveDate;

use super::instrument::Exchange;
use super::money::{Money, Price, Quantity};
use super::order::Side;
use rates::{Rates, RupeesPerCrore};

pub use rates::RATES_SINCE;

/// The tariffs that a trade may fall under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChargeSegment {
    /// Shares bought and sold on the same day.
    EquityIntraday,
    /// Shares taken into or out of the demat account; without the
    /// depository's charge.
    EquityDelivery,
    /// Futures on indices and shares.
    Futures,
    /// Options on indices and shares; everything is counted on the premium.
    Options,
}

/// One side of a trade: all that was bought, or a part of what was sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leg {
    /// Bought or sold.
    pub side: Side,
    /// Price × quantity.
    pub value: Money,
    /// Executed orders that it took; each costs brokerage.
    pub orders: u32,
}

impl Leg {
    /// A leg of one price.
    pub fn at(side: Side, quantity: Quantity, price: Price, orders: u32) -> Leg {
        Leg { side, value: price * quantity, orders }
    }
}

/// Estimated charges of a trade, and what it brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charges {
    /// Value bought plus value sold.
    pub turnover: Money,
    /// The broker's fee.
    pub brokerage: Money,
    /// Securities transaction tax.
    pub stt: Money,
    /// The exchange's fee, with the investor protection fund's.
    pub txn: Money,
    /// The regulator's fee.
    pub sebi: Money,
    /// Stamp duty.
    pub stamp: Money,
    /// Goods and services tax on the fees.
    pub gst: Money,
    /// All charges.
    pub total: Money,
    /// Value sold minus value bought.
    pub gross: Money,
    /// Gross minus all charges.
    pub net: Money,
}

/// What the broker takes for each order that its own risk desk squares off:
/// ₹50 and 18 % GST.
pub const SQUARE_OFF_FEE: Money = Money::from_paise(59_00);

/// Estimates the charges of one contract's legs of one day. Exchanges other
/// than BSE's are charged as NSE's; dates before [`RATES_SINCE`] by the
/// oldest rates known.
pub fn estimate(
    segment: ChargeSegment,
    exchange: Exchange,
    date: NaiveDate,
    legs: &[Leg],
) -> Charges {
    let rates = Rates::on(segment, exchange, date);
    let (mut bought, mut sold, mut brokerage) = (0, 0, 0);
    for leg in legs {
        let value = i128::from(leg.value.paise());
        match leg.side {
            Side::Buy => bought += value,
            Side::Sell => sold += value,
        }
        brokerage += order_fee(&rates, value, leg.orders);
    }
    let turnover = bought + sold;
    let stt = to_rupee(rates.stt_buy.of(bought) + rates.stt_sell.of(sold));
    let txn = to_paisa(rates.txn.of(turnover));
    let sebi = to_paisa(rates.sebi.of(turnover));
    let stamp = to_rupee(rates.stamp_buy.of(bought));
    let gst = divide_half_up((brokerage + txn + sebi) * rates::GST_PERCENT, 100);
    let total = brokerage + stt + txn + sebi + stamp + gst;
    Charges {
        turnover: money(turnover),
        brokerage: money(brokerage),
        stt: money(stt),
        txn: money(txn),
        sebi: money(sebi),
        stamp: money(stamp),
        gst: money(gst),
        total: money(total),
        gross: money(sold - bought),
        net: money(sold - bought - total),
    }
}

/// Brokerage of a leg whose value is spread evenly over its orders.
fn order_fee(rates: &Rates, value: i128, orders: u32) -> i128 {
    if orders == 0 {
        return 0;
    }
    let orders = i128::from(orders);
    let flat = i128::from(rates.brokerage_max.paise());
    let fee = match rates.brokerage {
        Some(rate) => divide_half_up(rate.of(value), orders * PAISE_SCALE).min(flat),
        None => flat,
    };
    fee * orders
}

impl RupeesPerCrore {
    /// The charge on a value in paise, in [`PAISE_SCALE`] parts of a paisa.
    fn of(self, value: i128) -> i128 {
        value * i128::from(self.0)
    }
}

/// Rupees per crore (10 million) applied to paise: parts of a paisa.
const PAISE_SCALE: i128 = 10_000_000;

fn to_paisa(scaled: i128) -> i128 {
    divide_half_up(scaled, PAISE_SCALE)
}

fn to_rupee(scaled: i128) -> i128 {
    divide_half_up(scaled, PAISE_SCALE * 100) * 100
}

fn divide_half_up(value: i128, divisor: i128) -> i128 {
    (2 * value + divisor).div_euclid(2 * divisor)
}

fn money(paise: i128) -> Money {
    let bound = if paise < 0 { i64::MIN } else { i64::MAX };
    Money::from_paise(i64::try_from(paise).unwrap_or(bound))
}

#[cfg(test)]
mod tests;
