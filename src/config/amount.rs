//! Numbers of the file, taken by their decimal text: no float arithmetic.

use super::error::Problem;
use crate::engine::settings::Ppm;
use crate::market::{Money, Price};

/// Collects mistakes while values are read, so that all are told together.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) problems: Vec<Problem>,
}

impl Checks {
    /// Notes a mistake.
    pub(super) fn wrong(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// Notes a mistake unless the condition holds.
    pub(super) fn need(&mut self, holds: bool, path: &str, message: impl Into<String>) {
        if !holds {
            self.wrong(path, message);
        }
    }

    /// The value, or the mistake noted and a stand-in.
    pub(super) fn take<T: Default>(&mut self, path: &str, value: Result<T, String>) -> T {
        value.unwrap_or_else(|message| {
            self.wrong(path, message);
            T::default()
        })
    }

    /// Rupees above zero.
    pub(super) fn money(&mut self, path: &str, rupees: f64) -> Money {
        match rupees_text(rupees) {
            Ok(money) => {
                self.need(money > Money::ZERO, path, format!("must be above 0, was {rupees}"));
                money
            }
            Err(message) => {
                self.wrong(path, message);
                Money::ZERO
            }
        }
    }

    /// Rupees, zero or above.
    pub(super) fn price(&mut self, path: &str, rupees: f64) -> Price {
        let money = self.take(path, rupees_text(rupees));
        self.need(money >= Money::ZERO, path, "must not be below 0");
        Price::from_paise(money.paise())
    }

    /// A share in percent, between the bounds (in percent).
    pub(super) fn percent(&mut self, path: &str, percent: f64, min: i64, max: i64) -> Ppm {
        let ppm = self.take(path, scaled(percent, 4, "percent"));
        let inside = (min * 10_000..=max * 10_000).contains(&ppm);
        self.need(
            inside,
            path,
            format!("expected a percentage from {min} to {max}, was {percent}"),
        );
        Ppm(ppm)
    }

    /// A plain ratio, between the bounds.
    pub(super) fn ratio(&mut self, path: &str, ratio: f64, min: i64, max: i64) -> Ppm {
        let ppm = self.take(path, scaled(ratio, 6, "ratio"));
        let inside = (min * 1_000_000..=max * 1_000_000).contains(&ppm);
        self.need(inside, path, format!("expected a ratio from {min} to {max}, was {ratio}"));
        Ppm(ppm)
    }

    /// A whole number between the bounds.
    pub(super) fn count<T: PartialOrd + std::fmt::Display + Copy>(
        &mut self,
        path: &str,
        value: T,
        min: T,
        max: T,
    ) -> T {
        let message = format!("expected {min} to {max}, was {value}");
        self.need(value >= min && value <= max, path, message);
        value
    }
}

/// The shortest text of a number is what people wrote; two decimals at most.
fn rupees_text(rupees: f64) -> Result<Money, String> {
    let text = rupees.to_string();
    text.parse().map_err(|_| format!("expected rupees with at most two decimals, was {text}"))
}

/// A number times a power of ten, exactly.
fn scaled(value: f64, decimals: usize, what: &str) -> Result<i64, String> {
    let text = value.to_string();
    let wrong = || format!("expected a {what} with at most {decimals} decimals, was {text}");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.as_str()),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.len() > decimals {
        return Err(wrong());
    }
    let padded = format!("{whole}{fraction:0<decimals$}");
    padded.parse::<i64>().map(|magnitude| sign * magnitude).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_taken_by_their_text() {
        assert_eq!(rupees_text(5000.0), Ok(Money::from_rupees(5000)));
        assert_eq!(rupees_text(0.29), Ok(Money::from_paise(29)));
        assert_eq!(rupees_text(1234.05), Ok(Money::from_paise(123_405)));
        for wrong in [0.001, 1e300, f64::NAN, f64::INFINITY] {
            assert!(rupees_text(wrong).is_err(), "{wrong}");
        }
        assert_eq!(scaled(0.02, 4, "percent"), Ok(200));
        assert_eq!(scaled(-1.5, 4, "percent"), Ok(-15_000));
        assert_eq!(scaled(0.5, 6, "ratio"), Ok(500_000));
        assert!(scaled(0.00001, 4, "percent").is_err());
        assert!(scaled(f64::NAN, 4, "percent").is_err());
    }

    #[test]
    fn bounds_are_checked_and_named() {
        let mut checks = Checks::default();
        checks.money("a", 0.0);
        checks.money("b", -1.0);
        checks.percent("c", 101.0, 0, 100);
        checks.count("d", 7, 1, 5);
        checks.price("e", 0.0);
        let paths: Vec<_> = checks.problems.iter().map(|problem| problem.path.as_str()).collect();
        assert_eq!(paths, ["a", "b", "c", "d"]);
    }
}
