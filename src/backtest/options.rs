//! What a backtest is asked to do: a strategy with its parameters, and the
//! few limits of the day that candles alone can keep.

use crate::config::{Problem, misfits};
use crate::engine::settings::{Schedule, StrategySettings};
use crate::engine::strategy::parameters::{self, ParameterError};

/// Names that only `index-pivot` takes here, besides its own parameters.
const DAY_KEYS: [&str; 5] =
    ["first_entry", "last_entry", "flatten_start", "max_trades", "max_consecutive_losses"];

/// A strategy and the limits around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The strategy with its parameters.
    pub strategy: StrategySettings,
    /// Hours of entries, and when positions are closed.
    pub schedule: Schedule,
    /// Entries of a day.
    pub max_trades: u32,
    /// Losing trades in a row, after which a day has no more entries.
    pub max_consecutive_losses: u32,
}

/// Options cannot be what they are asked to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A parameter of the strategy.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// A limit or a time of the day has a wrong value.
    #[error("{key} takes {expected}, was {value:?}")]
    Value {
        /// Which one.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// The value given.
        value: String,
    },
    /// Times contradict each other.
    #[error("{0}")]
    Order(&'static str),
    /// A parameter with which the configuration could not trade either.
    #[error(transparent)]
    Unfit(#[from] Problem),
}

impl Options {
    /// A strategy as it stands without configuration.
    ///
    /// # Errors
    /// When no strategy has this name.
    pub fn new(strategy: &str) -> Result<Options, OptionsError> {
        Ok(Options {
            strategy: parameters::defaults(strategy)?,
            schedule: Schedule::USUAL,
            max_trades: 3,
            max_consecutive_losses: 2,
        })
    }

    /// Sets a parameter or a limit by name.
    ///
    /// # Errors
    /// When there is no such name, or the value is not of its kind.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), OptionsError> {
        let takes_day_keys = match self.strategy {
            StrategySettings::IndexPivot(_) => true,
            StrategySettings::PremiumPivot(_) | StrategySettings::LevelBreakout(_) => false,
        };
        if takes_day_keys && let Some(known) = DAY_KEYS.into_iter().find(|known| *known == key) {
            return self.set_day(known, value);
        }
        parameters::set(&mut self.strategy, key, value).map_err(|error| match error {
            ParameterError::Unknown { strategy, key, .. } if takes_day_keys => {
                let own = parameters::names(&self.strategy).into_iter().map(|(name, _)| name);
                let nearest = parameters::nearest(&key, own.chain(DAY_KEYS)).map(str::to_string);
                ParameterError::Unknown { strategy, key, nearest }.into()
            }
            other @ (ParameterError::Unknown { .. }
            | ParameterError::Strategy { .. }
            | ParameterError::Value { .. }) => other.into(),
        })
    }

    /// Checks what single values cannot tell.
    ///
    /// # Errors
    /// When times contradict each other, or the configuration would refuse a
    /// parameter too.
    pub fn check(&self) -> Result<(), OptionsError> {
        if let Some(problem) = misfits(&self.strategy).into_iter().next() {
            return Err(problem.into());
        }
        match &self.strategy {
            StrategySettings::LevelBreakout(settings) => {
                let ordered = settings.last_signal < settings.square_off;
                ordered
                    .then_some(())
                    .ok_or(OptionsError::Order("last_signal must be earlier than square_off"))
            }
            StrategySettings::IndexPivot(_) | StrategySettings::PremiumPivot(_) => {
                let Schedule { first_entry, last_entry, flatten_start, .. } = self.schedule;
                (first_entry <= last_entry && last_entry < flatten_start).then_some(()).ok_or(
                    OptionsError::Order("first_entry, last_entry and flatten_start must ascend"),
                )
            }
        }
    }

    fn set_day(&mut self, key: &'static str, value: &str) -> Result<(), OptionsError> {
        let error = |expected| OptionsError::Value { key, expected, value: value.to_string() };
        let time =
            || parameters::time_of_day(value).ok_or_else(|| error("a time of day, such as 14:45"));
        let count = || value.parse::<u32>().map_err(|_| error("a whole number"));
        match key {
            "first_entry" => self.schedule.first_entry = time()?,
            "last_entry" => self.schedule.last_entry = time()?,
            "flatten_start" => self.schedule.flatten_start = time()?,
            "max_trades" => self.max_trades = count()?,
            _ => self.max_consecutive_losses = count()?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_sought_among_all() {
        let check = |strategy: &str, key: &str, value: &str, expected: &str| {
            let mut options = Options::new(strategy).unwrap();
            let result = options.set(key, value).and_then(|()| options.check());
            assert_eq!(result.map_or_else(|error| error.to_string(), |()| "set".into()), expected);
        };
        check("index-pivot", "max_trades", "5", "set");
        check(
            "index-pivot",
            "max_trade",
            "5",
            "index-pivot has no parameter \"max_trade\"; did you mean max_trades?",
        );
        check("index-pivot", "max_trades", "-1", "max_trades takes a whole number, was \"-1\"");
        check(
            "index-pivot",
            "last_entry",
            "15:30",
            "first_entry, last_entry and flatten_start must ascend",
        );
        check(
            "level-breakout",
            "last_signal",
            "15:15",
            "last_signal must be earlier than square_off",
        );
        check("level-breakout", "level_tick", "0", "level_tick: must be above 0");
        check("index-pivot", "or_minutes", "0", "or_minutes: expected 3 to 120, was 0");
        check(
            "index-pivot",
            "pivot_family",
            "camarilla",
            "pivot_family: index-pivot cannot trade camarilla levels: they have no R1; expected \
             one of traditional, kite, premium, fibonacci, woodie-close",
        );
        check(
            "level-breakout",
            "max_entrys",
            "2",
            "level-breakout has no parameter \"max_entrys\"; did you mean max_entries?",
        );
    }
}
