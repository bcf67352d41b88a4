//! Prices and money, in paise, as integers.
//!
//! A [`Price`] is what one unit costs; [`Money`] is an amount. A price times a
//! [`Quantity`] is money, and nothing else converts between the two, so a
//! premium cannot be mistaken for a loss limit.

use std::fmt;
use std::ops::{Add, AddAssign, Mul, Neg, Sub, SubAssign};
use std::str::FromStr;

/// Units of an instrument (shares, or contract units: lots × lot size).
pub type Quantity = i64;

/// Price of one unit, in paise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Price(i64);

/// An amount of money, in paise. Negative when lost or owed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

/// The text was not a decimal number that fits into whole paise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected rupees with at most two decimals, such as 412.05, was {text:?}")]
pub struct ParseMoneyError {
    text: String,
}

impl Price {
    /// Zero rupees.
    pub const ZERO: Price = Price(0);

    /// A price of this many paise.
    pub const fn from_paise(paise: i64) -> Price {
        Price(paise)
    }

    /// A price of this many whole rupees.
    pub const fn from_rupees(rupees: i64) -> Price {
        Price(rupees * 100)
    }

    /// The price in paise.
    pub const fn paise(self) -> i64 {
        self.0
    }

    /// The nearest multiple of `tick` at or below this price. A zero tick
    /// (index rows have none) leaves the price as it is.
    pub fn floor_to(self, tick: Price) -> Price {
        if tick.0 <= 0 {
            return self;
        }
        Price(self.0.div_euclid(tick.0) * tick.0)
    }

    /// The nearest multiple of `tick` at or above this price.
    pub fn ceil_to(self, tick: Price) -> Price {
        if tick.0 <= 0 {
            return self;
        }
        let floor = self.floor_to(tick);
        if floor == self { self } else { Price(floor.0 + tick.0) }
    }

    /// The nearest multiple of `tick`, halves up.
    pub fn round_to(self, tick: Price) -> Price {
        if tick.0 <= 0 {
            return self;
        }
        Price((2 * self.0 + tick.0).div_euclid(2 * tick.0) * tick.0)
    }

    /// True when the price is a whole number of ticks.
    pub fn is_on(self, tick: Price) -> bool {
        tick.0 <= 0 || self.0 % tick.0 == 0
    }

    /// `self × numerator / denominator`, rounded towards minus infinity to
    /// the paisa. The denominator must be positive.
    pub fn scale_floor(self, numerator: i64, denominator: i64) -> Price {
        debug_assert!(denominator > 0);
        let product = i128::from(self.0) * i128::from(numerator);
        Price(product.div_euclid(i128::from(denominator.max(1))) as i64)
    }

    /// Converts a broker's decimal rupees, as read from JSON, to paise.
    /// `None` when it is not finite or out of range. Rounds to the paisa:
    /// brokers send averages with more decimals.
    pub fn from_f64_rupees(rupees: f64) -> Option<Price> {
        let paise = (rupees * 100.0).round();
        (paise.is_finite() && paise.abs() < 9.0e15).then_some(Price(paise as i64))
    }

    /// Rupees as a float, for JSON answers and pictures only.
    pub fn to_f64_rupees(self) -> f64 {
        self.0 as f64 / 100.0
    }
}

impl Money {
    /// Zero rupees.
    pub const ZERO: Money = Money(0);

    /// An amount of this many paise.
    pub const fn from_paise(paise: i64) -> Money {
        Money(paise)
    }

    /// An amount of this many whole rupees.
    pub const fn from_rupees(rupees: i64) -> Money {
        Money(rupees * 100)
    }

    /// The amount in paise.
    pub const fn paise(self) -> i64 {
        self.0
    }

    /// The amount without its sign.
    pub const fn abs(self) -> Money {
        Money(self.0.abs())
    }

    /// Converts decimal rupees from JSON, rounding to the paisa; `None` when
    /// not finite or out of range.
    pub fn from_f64_rupees(rupees: f64) -> Option<Money> {
        Price::from_f64_rupees(rupees).map(|price| Money(price.0))
    }

    /// Rupees as a float, for JSON answers and pictures only.
    pub fn to_f64_rupees(self) -> f64 {
        self.0 as f64 / 100.0
    }

    /// What one of `units` comes to, halves up to the paisa; `None` without
    /// units.
    pub fn per_unit(self, units: Quantity) -> Option<Price> {
        let twice = 2 * i128::from(self.0) + i128::from(units);
        (units > 0).then(|| Price(twice.div_euclid(2 * i128::from(units)) as i64))
    }

    /// With Indian digit grouping and a sign: `+1,23,456.70`, `-875.09`.
    pub fn signed(self) -> String {
        let sign = if self.0 < 0 { '-' } else { '+' };
        format!("{sign}{}", grouped(self.0.unsigned_abs()))
    }

    /// With Indian digit grouping: `1,23,456.70`, `-875.09`.
    pub fn grouped(self) -> String {
        let sign = if self.0 < 0 { "-" } else { "" };
        format!("{sign}{}", grouped(self.0.unsigned_abs()))
    }
}

fn grouped(paise: u64) -> String {
    let rupees = (paise / 100).to_string();
    let (head, tail) = rupees.split_at(rupees.len().saturating_sub(3));
    let mut groups: Vec<String> = head
        .as_bytes()
        .rchunks(2)
        .rev()
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect();
    groups.push(tail.to_string());
    format!("{}.{:02}", groups.join(","), paise % 100)
}

fn parse_paise(text: &str) -> Result<i64, ParseMoneyError> {
    let error = || ParseMoneyError { text: text.to_string() };
    let (negative, digits) = match text.trim().strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.trim()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) {
        return Err(error());
    }
    let digit = |byte: u8| i64::from(byte - b'0');
    let paise = match fraction.trim_end_matches('0').as_bytes() {
        [] => 0,
        [tenths] => 10 * digit(*tenths),
        [tenths, hundredths] => 10 * digit(*tenths) + digit(*hundredths),
        _ => return Err(error()),
    };
    let rupees: i64 = whole.parse().map_err(|_| error())?;
    let total =
        rupees.checked_mul(100).and_then(|value| value.checked_add(paise)).ok_or_else(error)?;
    Ok(if negative { -total } else { total })
}

impl FromStr for Price {
    type Err = ParseMoneyError;
    fn from_str(text: &str) -> Result<Price, ParseMoneyError> {
        parse_paise(text).map(Price)
    }
}

impl FromStr for Money {
    type Err = ParseMoneyError;
    fn from_str(text: &str) -> Result<Money, ParseMoneyError> {
        parse_paise(text).map(Money)
    }
}

fn show(paise: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let sign = if paise < 0 { "-" } else { "" };
    let magnitude = paise.unsigned_abs();
    f.pad(&format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100))
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self.0, f)
    }
}

impl Mul<Quantity> for Price {
    type Output = Money;
    fn mul(self, quantity: Quantity) -> Money {
        Money(self.0 * quantity)
    }
}

macro_rules! arithmetic {
    ($type:ident) => {
        impl Add for $type {
            type Output = $type;
            fn add(self, other: $type) -> $type {
                $type(self.0 + other.0)
            }
        }
        impl Sub for $type {
            type Output = $type;
            fn sub(self, other: $type) -> $type {
                $type(self.0 - other.0)
            }
        }
        impl Neg for $type {
            type Output = $type;
            fn neg(self) -> $type {
                $type(-self.0)
            }
        }
        impl AddAssign for $type {
            fn add_assign(&mut self, other: $type) {
                self.0 += other.0;
            }
        }
        impl SubAssign for $type {
            fn sub_assign(&mut self, other: $type) {
                self.0 -= other.0;
            }
        }
        impl std::iter::Sum for $type {
            fn sum<I: Iterator<Item = $type>>(values: I) -> $type {
                values.fold($type(0), |total, value| total + value)
            }
        }
    };
}

arithmetic!(Price);
arithmetic!(Money);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_shows_paise_exactly() {
        let check = |text: &str, paise: i64, shown: &str| {
            let price: Price = text.parse().unwrap();
            assert_eq!(price.paise(), paise);
            assert_eq!(price.to_string(), shown);
        };
        check("412", 41_200, "412.00");
        check("412.5", 41_250, "412.50");
        check("0.05", 5, "0.05");
        check("-875.09", -87_509, "-875.09");
        check("1.2300", 123, "1.23");
        for wrong in ["", ".", "1.234", "1,000", "abc", "1e3", "--1", "99999999999999999999"] {
            assert!(wrong.parse::<Price>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn rounds_to_ticks() {
        let tick = Price::from_paise(5);
        let price = Price::from_paise(41_403);
        assert_eq!(price.floor_to(tick).paise(), 41_400);
        assert_eq!(price.ceil_to(tick).paise(), 41_405);
        assert_eq!(price.round_to(tick).paise(), 41_405);
        assert_eq!(Price::from_paise(41_402).round_to(tick).paise(), 41_400);
        assert_eq!(price.floor_to(Price::ZERO), price);
    }

    #[test]
    fn averages_round_half_up() {
        let check = |paise: i64, units: i64, each: Option<i64>| {
            assert_eq!(Money::from_paise(paise).per_unit(units).map(Price::paise), each);
        };
        check(300, 2, Some(150));
        check(301, 2, Some(151));
        check(-301, 2, Some(-150));
        check(1_000, 3, Some(333));
        check(i64::MAX, 1, Some(i64::MAX));
        check(5, 0, None);
    }

    #[test]
    fn groups_digits_as_in_india() {
        assert_eq!(Money::from_paise(12_345_678_901).grouped(), "12,34,56,789.01");
        assert_eq!(Money::from_paise(-87_509).signed(), "-875.09");
        assert_eq!(Money::from_rupees(1_000).signed(), "+1,000.00");
        assert_eq!(Money::from_rupees(999).grouped(), "999.00");
    }
}
