//! An exact price: the value that pivot formulas yield before any rounding.

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

use num_rational::Ratio;

use crate::market::money::Price;

/// A price as an exact fraction of paise. Levels are compared unrounded and
/// rounded only to be shown or to become an order price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(Ratio<i128>);

/// The text was not a decimal number of rupees that a level can hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected rupees with at most {} decimals and {} digits before them, such as 200.29, was {text:?}",
    Level::DECIMALS_MAX,
    Level::DIGITS_MAX
)]
pub struct ParseLevelError {
    text: String,
}

impl Level {
    /// Most decimals of rupees that a parsed level may have.
    pub const DECIMALS_MAX: usize = 6;
    /// Most digits before the decimal point of a parsed level.
    pub const DIGITS_MAX: usize = 8;

    /// The exact value of a price.
    pub fn from_price(price: Price) -> Level {
        Level(Ratio::from_integer(i128::from(price.paise())))
    }

    /// Rounds to the nearest paisa, halves away from zero. A value beyond
    /// the range of a price becomes the largest or smallest price.
    pub fn rounded(self) -> Price {
        saturated(self.0.round().to_integer())
    }

    /// The nearest multiple of `tick` at or below the value; to the paisa
    /// when the tick is zero.
    pub fn floor_to(self, tick: Price) -> Price {
        let tick = i128::from(tick.paise().max(1));
        saturated((self.0 / tick).floor().to_integer().saturating_mul(tick))
    }

    /// The nearest multiple of `tick` at or above the value; to the paisa
    /// when the tick is zero.
    pub fn ceil_to(self, tick: Price) -> Price {
        let tick = i128::from(tick.paise().max(1));
        saturated((self.0 / tick).ceil().to_integer().saturating_mul(tick))
    }

    /// Compares the exact value with a price.
    pub fn cmp_price(self, price: Price) -> Ordering {
        match i128::from(price.paise()).checked_mul(*self.0.denom()) {
            Some(scaled) => self.0.numer().cmp(&scaled),
            None => self.cmp(&Level::from_price(price)),
        }
    }

    /// True when the exact value is greater than the price.
    pub fn is_above(self, price: Price) -> bool {
        self.cmp_price(price) == Ordering::Greater
    }

    /// The value × `numerator` / `denominator`, exact: `scaled((1_000_200,
    /// 1_000_000))` adds 0.02 %. A denominator of zero counts as one.
    pub fn scaled(self, share: (i64, i64)) -> Level {
        let (numerator, denominator) = share;
        let denominator = if denominator == 0 { 1 } else { denominator };
        Level(self.0 * Ratio::new(i128::from(numerator), i128::from(denominator)))
    }

    /// The value without its sign.
    pub fn abs(self) -> Level {
        if self.0 < Ratio::from_integer(0) { -self } else { self }
    }

    /// Middle between two values.
    pub fn midpoint(self, other: Level) -> Level {
        Level((self.0 + other.0) / 2)
    }

    /// This value as a share of another, in millionths, rounded to the
    /// nearest; zero when the other is zero.
    pub fn ppm_of(self, whole: Level) -> i64 {
        share_of(self, whole, 1_000_000)
            .map_or(0, |share| saturated(share.round().to_integer()).paise())
    }

    /// This value in percent of another, as a decimal with so many places,
    /// halves away from zero; zero when the other is zero.
    pub fn percent_of(self, whole: Level, places: u32) -> String {
        decimal(share_of(self, whole, 100).unwrap_or_default(), places)
    }

    /// Rupees as a decimal with so many places, halves away from zero.
    pub fn to_decimal(self, places: u32) -> String {
        decimal(self.0 / 100, places)
    }

    pub(super) const fn ratio(self) -> Ratio<i128> {
        self.0
    }

    pub(super) const fn from_ratio(paise: Ratio<i128>) -> Level {
        Level(paise)
    }
}

fn share_of(part: Level, whole: Level, scale: i128) -> Option<Ratio<i128>> {
    (whole.0 != Ratio::from_integer(0)).then(|| part.0 / whole.0 * scale)
}

fn saturated(paise: i128) -> Price {
    let bound = if paise < 0 { i64::MIN } else { i64::MAX };
    Price::from_paise(i64::try_from(paise).unwrap_or(bound))
}

fn decimal(value: Ratio<i128>, places: u32) -> String {
    let unit = 10_i128.pow(places.min(Level::DECIMALS_MAX as u32));
    let scaled = (value * unit).round().to_integer();
    let sign = if scaled < 0 { "-" } else { "" };
    let (whole, fraction) = (scaled.abs() / unit, scaled.abs() % unit);
    if unit == 1 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{fraction:0width$}", width = places as usize)
}

impl From<Price> for Level {
    fn from(price: Price) -> Level {
        Level::from_price(price)
    }
}

impl FromStr for Level {
    type Err = ParseLevelError;

    fn from_str(text: &str) -> Result<Level, ParseLevelError> {
        let error = || ParseLevelError { text: text.to_string() };
        let trimmed = text.trim();
        let (negative, digits) = match trimmed.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, trimmed),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = !whole.is_empty()
            && whole.trim_start_matches('0').len() <= Level::DIGITS_MAX
            && fraction.len() <= Level::DECIMALS_MAX
            && all_digits(whole)
            && all_digits(fraction);
        if !fits {
            return Err(error());
        }
        let magnitude: i128 = format!("{whole}{fraction}").parse().map_err(|_| error())?;
        let rupees = Ratio::new(magnitude, 10_i128.pow(fraction.len() as u32));
        let paise = rupees * 100;
        Ok(Level(if negative { -paise } else { paise }))
    }
}

impl fmt::Display for Level {
    /// Shows rupees with two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_decimal(2))
    }
}

impl Add for Level {
    type Output = Level;
    fn add(self, other: Level) -> Level {
        Level(self.0 + other.0)
    }
}

impl Sub for Level {
    type Output = Level;
    fn sub(self, other: Level) -> Level {
        Level(self.0 - other.0)
    }
}

impl Neg for Level {
    type Output = Level;
    fn neg(self) -> Level {
        Level(-self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(text: &str) -> Level {
        text.parse().expect("a level")
    }

    #[test]
    fn shows_and_rounds_halves_away_from_zero() {
        let third = level("100").scaled((1, 3));
        assert_eq!(third.to_decimal(4), "33.3333");
        assert_eq!(third.to_string(), "33.33");
        assert_eq!(level("0.005").to_decimal(2), "0.01");
        assert_eq!(level("-0.005").to_decimal(2), "-0.01");
        assert_eq!(level("-0.004").to_decimal(2), "0.00");
        assert_eq!(level("12.5").to_decimal(0), "13");
        assert_eq!(level("1.005").rounded(), Price::from_paise(101));
    }

    #[test]
    fn rounds_to_ticks_on_the_asked_side() {
        let tick = Price::from_paise(5);
        assert_eq!(level("81258.0333").floor_to(tick), Price::from_paise(8_125_800));
        assert_eq!(level("81258.0333").ceil_to(tick), Price::from_paise(8_125_805));
        assert_eq!(level("81258.05").ceil_to(tick), Price::from_paise(8_125_805));
        assert_eq!(level("0.019").floor_to(Price::ZERO), Price::from_paise(1));
    }

    #[test]
    fn compares_unrounded() {
        let level = level("100").scaled((1_000_001, 1_000_000));
        assert_eq!(level.rounded(), Price::from_rupees(100));
        assert!(level.is_above(Price::from_rupees(100)));
    }

    #[test]
    fn refuses_what_is_no_decimal() {
        for text in ["", ".", "1.2.3", "1e5", "+1", "1,000", "1.1234567", "123456789", "-", "NaN"] {
            assert!(text.parse::<Level>().is_err(), "{text:?}");
        }
        assert_eq!(level("007.50").to_decimal(2), "7.50");
    }

    proptest::proptest! {
        #[test]
        fn shown_levels_parse_back(scaled in -99_999_999_000_000_i64..99_999_999_000_000) {
            let shown = Level(Ratio::new(i128::from(scaled), 10_000)).to_decimal(6);
            proptest::prop_assert_eq!(level(&shown).to_decimal(6), shown);
        }

        #[test]
        fn ticks_enclose_the_value(numerator in -9_000_000_i64..9_000_000_000, tick in 1_i64..500) {
            let value = Level(Ratio::new(i128::from(numerator), 7));
            let tick = Price::from_paise(tick);
            let (floor, ceil) = (value.floor_to(tick), value.ceil_to(tick));
            proptest::prop_assert!(!Level::from(floor).gt(&value) && !Level::from(ceil).lt(&value));
            proptest::prop_assert!(floor.is_on(tick) && ceil.is_on(tick));
            proptest::prop_assert!(ceil - floor <= tick);
        }
    }
}
