//! Levels of one option's own premium and the three ways in which a candle
//! breaks out of them.

use crate::engine::settings::PremiumPivotSettings;
use crate::engine::strategy::PlanError;
use crate::engine::strategy::share_of;
use crate::market::pivots::{Family, Level, Levels};
use crate::market::{DayCandle, Price};

/// Where the option closed in its range on the previous day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Structure {
    Bullish,
    Neutral,
    Bearish,
}

impl Structure {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Structure::Bullish => "BULLISH",
            Structure::Neutral => "NEUTRAL",
            Structure::Bearish => "BEARISH",
        }
    }
}

/// One way in which a candle breaks out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scenario {
    One,
    Two,
    Three,
}

impl Scenario {
    pub(super) const ALL: [Scenario; 3] = [Scenario::One, Scenario::Two, Scenario::Three];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Scenario::One => "SCENARIO_1",
            Scenario::Two => "SCENARIO_2",
            Scenario::Three => "SCENARIO_3",
        }
    }

    pub(super) const fn target(self) -> &'static str {
        match self {
            Scenario::One => "R3",
            Scenario::Two => "R4",
            Scenario::Three => "R5",
        }
    }
}

/// What follows from an option's previous day.
#[derive(Debug)]
pub(super) struct PremiumLevels {
    pub(super) levels: Levels,
    pub(super) previous: DayCandle,
    /// (R1 − PP) − (PP − S1): also the signed width of the central pivot
    /// range.
    pub(super) difference: Level,
    /// Differences smaller than this are neutral.
    pub(super) band: Level,
    pub(super) structure: Structure,
    pp: Level,
    s1: Level,
    r1: Level,
    r2: Level,
    r3: Level,
}

impl PremiumLevels {
    pub(super) fn new(
        previous: DayCandle,
        settings: &PremiumPivotSettings,
    ) -> Result<PremiumLevels, PlanError> {
        let levels = Levels::compute(Family::Premium, &previous, None)
            .map_err(|error| PlanError::Invalid(error.to_string()))?;
        let get = |name: &str| {
            levels.get(name).copied().ok_or_else(|| PlanError::Missing(format!("level {name}")))
        };
        let (pp, s1, r1) = (get("PP")?, get("S1")?, get("R1")?);
        let (r2, r3) = (get("R2")?, get("R3")?);
        let difference = (r1 - pp) - (pp - s1);
        let band = match settings.neutral_band_pct {
            Some(part) => share_of(pp, part),
            None => settings.neutral_band.into(),
        };
        let structure = if difference.abs() < band {
            Structure::Neutral
        } else if difference > Level::from_price(Price::ZERO) {
            Structure::Bullish
        } else {
            Structure::Bearish
        };
        Ok(PremiumLevels { levels, previous, difference, band, structure, pp, s1, r1, r2, r3 })
    }

    /// The scenarios that a candle fulfils. `day_open` is the open of the
    /// day's first candle, when there is one.
    pub(super) fn scenarios(
        &self,
        is_first: bool,
        day_open: Option<Price>,
        open: Price,
        close: Price,
    ) -> Vec<Scenario> {
        let (open, close) = (Level::from_price(open), Level::from_price(close));
        let day_open = day_open.map(Level::from_price);
        let holds = |scenario: &Scenario| match scenario {
            Scenario::One => {
                day_open.is_some_and(|at| self.s1 <= at && at <= self.pp) && close > self.r1
            }
            Scenario::Two => {
                day_open.is_some_and(|at| self.pp < at && at <= self.r1)
                    && self.r2 < close
                    && close < self.r3
            }
            Scenario::Three => !is_first && self.r2 <= open && open <= self.r3 && close > self.r3,
        };
        Scenario::ALL.into_iter().filter(holds).collect()
    }

    /// False when the previous day's range was so small that no close could
    /// have left the neutral band.
    pub(super) fn can_qualify(&self) -> bool {
        let range = Level::from_price(self.previous.high) - Level::from_price(self.previous.low);
        range >= self.band.scaled((3, 1))
    }

    /// Names and values, highest first, rounded to be shown.
    pub(super) fn shown(&self) -> Vec<(String, Price)> {
        self.levels.iter().map(|(name, level)| (name.to_string(), level.rounded())).collect()
    }
}
