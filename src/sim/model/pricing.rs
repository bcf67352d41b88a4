//! Fair prices of derivatives: Black–Scholes with a smile, and cost of carry.

use crate::market::InstrumentKind;

/// Interest a year.
const RATE: f64 = 0.065;
/// Shortest life of an option, in years: half a minute.
const LIFE_MIN: f64 = 1.0e-6;

/// What an option is worth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct OptionTerms {
    /// Strike in rupees.
    pub(super) strike: f64,
    /// True for a call.
    pub(super) call: bool,
}

impl OptionTerms {
    /// The terms of an option; `None` for anything else.
    pub(super) fn of(kind: InstrumentKind, strike: f64) -> Option<OptionTerms> {
        match kind {
            InstrumentKind::Call => Some(OptionTerms { strike, call: true }),
            InstrumentKind::Put => Some(OptionTerms { strike, call: false }),
            InstrumentKind::Index | InstrumentKind::Equity | InstrumentKind::Future => None,
        }
    }

    /// Fair value in rupees at a spot, with `life` years left.
    pub(super) fn value(self, spot: f64, life: f64, volatility: f64) -> f64 {
        let life = life.max(LIFE_MIN);
        let discounted = self.strike * (-RATE * life).exp();
        let spread = volatility * life.sqrt();
        let d1 = ((spot / discounted).ln() / spread) + spread / 2.0;
        let d2 = d1 - spread;
        // The side that is out of the money is computed, the other follows by
        // parity: no cancellation, and parity holds to the last digit.
        if spot < discounted {
            let call = spot * normal_cdf(d1) - discounted * normal_cdf(d2);
            if self.call { call.max(0.0) } else { (call - spot + discounted).max(0.0) }
        } else {
            let put = discounted * normal_cdf(-d2) - spot * normal_cdf(-d1);
            if self.call { (put + spot - discounted).max(0.0) } else { put.max(0.0) }
        }
    }
}

/// Fair value of a future.
pub(super) fn future_value(spot: f64, life: f64) -> f64 {
    spot * (RATE * life.max(0.0)).exp()
}

/// Implied volatility of a strike: dearer below the money than above.
/// `level` is the volatility at the money, `reference` the spot at the
/// previous close, so that a strike keeps its volatility through the day.
pub(super) fn smile(level: f64, strike: f64, reference: f64) -> f64 {
    let moneyness = (strike / reference).ln();
    level * (1.0 - 1.8 * moneyness + 22.0 * moneyness * moneyness).clamp(0.75, 1.9)
}

/// Distribution function of the standard normal (Abramowitz and Stegun
/// 26.2.17, error below 1e-7).
fn normal_cdf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * x.abs());
    let series = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    let tail = (-x * x / 2.0).exp() / std::f64::consts::TAU.sqrt() * series;
    if x >= 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_known_values() {
        // Hull, example 15.6: S 42, K 40, r 10 %; here with our own rate, so
        // only the distribution function is taken from the book.
        assert!((normal_cdf(0.7693) - 0.7791).abs() < 1e-4);
        assert!((normal_cdf(-0.6278) - 0.2651).abs() < 1e-4);
        let call = OptionTerms { strike: 81_000.0, call: true };
        let put = OptionTerms { strike: 81_000.0, call: false };
        let life = 3.25 / 365.0;
        let value = call.value(81_000.0, life, 0.13);
        assert!((380.0..450.0).contains(&value), "{value}");
        let parity = call.value(80_900.0, life, 0.13) - put.value(80_900.0, life, 0.13);
        let expected = 80_900.0 - 81_000.0 * (-RATE * life).exp();
        assert!((parity - expected).abs() < 1e-6);
    }

    #[test]
    fn ends_at_intrinsic_value() {
        let call = OptionTerms { strike: 25_000.0, call: true };
        assert!((call.value(25_100.0, 0.0, 0.12) - 100.0).abs() < 1.0);
        assert!(call.value(24_900.0, 0.0, 0.12) < 0.01);
    }
}
