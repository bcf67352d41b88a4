//! Parameters of the strategies by name, as people write them: percents as
//! percents, ratios as ratios, prices in rupees.

use chrono::NaiveTime;

use crate::engine::settings::{
    EntryMode, ExitCheck, IndexPivotSettings, LevelBreakoutSettings, Ppm, PremiumPivotSettings,
    StrategySettings, StrikeSelection,
};
use crate::market::Price;
use crate::market::pivots::Family;
use crate::market::time::hms;

/// Names of the strategies.
pub const STRATEGIES: [&str; 3] = ["index-pivot", "premium-pivot", "level-breakout"];

/// Names closer than this are offered for a misspelt one.
const SIMILAR: f64 = 0.4;

/// A parameter cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// No strategy has this name.
    #[error("no strategy is called {name:?}; there are {}", STRATEGIES.join(", "))]
    Strategy {
        /// The name given.
        name: String,
    },
    /// The strategy has no such parameter.
    #[error("{strategy} has no parameter {key:?}{}", offered(nearest.as_deref()))]
    Unknown {
        /// The strategy.
        strategy: &'static str,
        /// The name given.
        key: String,
        /// The most similar name there is.
        nearest: Option<String>,
    },
    /// The value is not of the kind that the parameter takes.
    #[error("{key} takes {expected}, was {value:?}")]
    Value {
        /// The parameter.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
        /// The value given.
        value: String,
    },
}

fn offered(nearest: Option<&str>) -> String {
    nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// A strategy's settings as they stand without configuration.
///
/// # Errors
/// When no strategy has this name.
pub fn defaults(strategy: &str) -> Result<StrategySettings, ParameterError> {
    match strategy {
        "index-pivot" => Ok(StrategySettings::IndexPivot(index_pivot())),
        "premium-pivot" => Ok(StrategySettings::PremiumPivot(premium_pivot())),
        "level-breakout" => Ok(StrategySettings::LevelBreakout(level_breakout())),
        other => Err(ParameterError::Strategy { name: other.to_string() }),
    }
}

/// Sets one parameter from text.
///
/// # Errors
/// When the strategy has no such parameter, or the value is not of its kind;
/// the settings are then unchanged.
pub fn set(settings: &mut StrategySettings, key: &str, value: &str) -> Result<(), ParameterError> {
    let strategy = settings.name();
    match settings {
        StrategySettings::IndexPivot(settings) => {
            apply(strategy, INDEX_PIVOT, settings, key, value)
        }
        StrategySettings::PremiumPivot(settings) => {
            apply(strategy, PREMIUM_PIVOT, settings, key, value)
        }
        StrategySettings::LevelBreakout(settings) => {
            apply(strategy, LEVEL_BREAKOUT, settings, key, value)
        }
    }
}

/// Names of a strategy's parameters with what each takes.
pub fn names(settings: &StrategySettings) -> Vec<(&'static str, &'static str)> {
    fn of<S>(table: &[Parameter<S>]) -> Vec<(&'static str, &'static str)> {
        table.iter().map(|parameter| (parameter.name, parameter.expected)).collect()
    }
    match settings {
        StrategySettings::IndexPivot(_) => of(INDEX_PIVOT),
        StrategySettings::PremiumPivot(_) => of(PREMIUM_PIVOT),
        StrategySettings::LevelBreakout(_) => of(LEVEL_BREAKOUT),
    }
}

/// The name most similar to a misspelt one.
pub fn nearest<'a>(key: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::normalized_damerau_levenshtein(key, name), name))
        .filter(|(similarity, _)| *similarity >= SIMILAR)
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, name)| name)
}

/// One parameter: its name, what it takes, and how it is put in place; the
/// setter returns `None` for a value of another kind.
struct Parameter<S> {
    name: &'static str,
    expected: &'static str,
    set: fn(&mut S, &str) -> Option<()>,
}

fn apply<S>(
    strategy: &'static str,
    table: &[Parameter<S>],
    settings: &mut S,
    key: &str,
    value: &str,
) -> Result<(), ParameterError> {
    let Some(parameter) = table.iter().find(|parameter| parameter.name.eq_ignore_ascii_case(key))
    else {
        let names = table.iter().map(|parameter| parameter.name);
        let nearest = nearest(key, names).map(str::to_string);
        return Err(ParameterError::Unknown { strategy, key: key.to_string(), nearest });
    };
    (parameter.set)(settings, value.trim()).ok_or_else(|| ParameterError::Value {
        key: parameter.name,
        expected: parameter.expected,
        value: value.to_string(),
    })
}

const PERCENT: &str = "a percentage with at most four decimals, such as 0.02";
const RATIO: &str = "a ratio with at most six decimals, such as 0.5";
const PERCENTILE: &str = "a whole number from 0 to 100";
const COUNT: &str = "a whole number from 0 to 1000";
const POINTS: &str = "rupees with at most two decimals, such as 5.00";
const YES_NO: &str = "true or false";
const TIME: &str = "a time of day, such as 14:45";

macro_rules! parameters {
    ($( $name:literal, $expected:expr, $field:ident = $parse:expr; )*) => {
        &[$( Parameter {
            name: $name,
            expected: $expected,
            set: |settings, text| {
                settings.$field = $parse(text)?;
                Some(())
            },
        } ),*]
    };
}

const INDEX_PIVOT: &[Parameter<IndexPivotSettings>] = parameters![
    "pivot_family", "a family of levels, such as traditional", family = Family::parse;
    "cpr_narrow_pct", PERCENT, cpr_narrow = percent;
    "cpr_wide_pct", PERCENT, cpr_wide = percent;
    "trade_on_wide", YES_NO, trade_on_wide = yes_no;
    "or_minutes", COUNT, or_minutes = count;
    "buffer_pct", PERCENT, buffer = percent;
    "min_body_ratio", RATIO, min_body_ratio = ratio;
    "sig_percentile", PERCENTILE, sig_percentile = percentile;
    "lookback", COUNT, lookback = size;
    "min_history", COUNT, min_history = size;
    "min_risk_pct", PERCENT, min_risk = percent;
    "max_risk_pct", PERCENT, max_risk = percent;
    "min_rr_to_T1", RATIO, min_rr = ratio;
    "gap_extreme_pct", PERCENT, gap_extreme = percent;
    "entry_mode", "BREAKOUT_CLOSE or BREAKOUT_RETEST", entry_mode = entry_mode;
    "bounce", YES_NO, bounce = yes_no;
    "time_stop_candles", COUNT, time_stop_candles = count;
    "cooldown_candles", COUNT, cooldown_candles = count;
    "max_entries_per_level", COUNT, max_entries_per_level = count;
];

const PREMIUM_PIVOT: &[Parameter<PremiumPivotSettings>] = parameters![
    "neutral_band_points", POINTS, neutral_band = points;
    "neutral_band_pct", PERCENT, neutral_band_pct = some_percent;
    "strike_range", POINTS, strike_range = points;
    "strike_selection", "itm or range", strike_selection = selection;
    "candle_size_percentile", PERCENTILE, candle_size_percentile = percentile;
    "candle_window", COUNT, candle_window = size;
    "min_reward_points", POINTS, min_reward = points;
    "max_candles_timeout", COUNT, max_candles_timeout = count;
    "max_re_entries", COUNT, max_re_entries = count;
    "exit_check", "tick or candle", exit_check = exit_check;
];

const LEVEL_BREAKOUT: &[Parameter<LevelBreakoutSettings>] = parameters![
    "level_tick", POINTS, level_tick = points;
    "max_entries", COUNT, max_entries = count;
    "last_signal", TIME, last_signal = time_of_day;
    "square_off", TIME, square_off = time_of_day;
];

const fn index_pivot() -> IndexPivotSettings {
    IndexPivotSettings {
        family: Family::Traditional,
        cpr_narrow: Ppm::from_bp(10),
        cpr_wide: Ppm::from_bp(25),
        trade_on_wide: false,
        or_minutes: 15,
        buffer: Ppm::from_bp(2),
        min_body_ratio: Ppm(500_000),
        sig_percentile: 75,
        lookback: 20,
        min_history: 10,
        min_risk: Ppm::from_bp(5),
        max_risk: Ppm::from_bp(30),
        min_rr: Ppm(1_000_000),
        gap_extreme: Ppm::from_bp(150),
        entry_mode: EntryMode::BreakoutClose,
        bounce: false,
        time_stop_candles: 10,
        cooldown_candles: 2,
        max_entries_per_level: 2,
    }
}

const fn premium_pivot() -> PremiumPivotSettings {
    PremiumPivotSettings {
        neutral_band: Price::from_rupees(5),
        neutral_band_pct: None,
        strike_range: Price::from_rupees(500),
        strike_selection: StrikeSelection::Itm,
        candle_size_percentile: 75,
        candle_window: 20,
        min_reward: Price::from_rupees(1),
        max_candles_timeout: 10,
        max_re_entries: 1,
        exit_check: ExitCheck::Tick,
    }
}

const fn level_breakout() -> LevelBreakoutSettings {
    LevelBreakoutSettings {
        level_tick: Price::from_paise(5),
        max_entries: 3,
        last_signal: hms(14, 45, 0),
        square_off: hms(15, 15, 0),
    }
}

/// A decimal as a whole number of its last place.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 6 || fraction.len() > places {
        return None;
    }
    (digits(whole) && digits(fraction))
        .then(|| format!("{whole}{fraction:0<places$}").parse().ok())
        .flatten()
}

fn percent(text: &str) -> Option<Ppm> {
    decimal(text.trim_end_matches('%').trim(), 4).map(Ppm)
}

fn some_percent(text: &str) -> Option<Option<Ppm>> {
    percent(text).map(Some)
}

fn ratio(text: &str) -> Option<Ppm> {
    decimal(text, 6).map(Ppm)
}

fn count(text: &str) -> Option<u32> {
    text.parse().ok().filter(|value| *value <= 1000)
}

fn size(text: &str) -> Option<usize> {
    text.parse().ok().filter(|value| *value <= 1000)
}

fn percentile(text: &str) -> Option<u32> {
    text.parse().ok().filter(|value| *value <= 100)
}

fn points(text: &str) -> Option<Price> {
    text.parse().ok().filter(|value| *value >= Price::ZERO)
}

fn yes_no(text: &str) -> Option<bool> {
    text.parse().ok()
}

/// Reads `HH:MM` or `HH:MM:SS`.
pub fn time_of_day(text: &str) -> Option<NaiveTime> {
    ["%H:%M:%S", "%H:%M"].into_iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())
}

fn entry_mode(text: &str) -> Option<EntryMode> {
    match text {
        "BREAKOUT_CLOSE" => Some(EntryMode::BreakoutClose),
        "BREAKOUT_RETEST" => Some(EntryMode::BreakoutRetest),
        _ => None,
    }
}

fn selection(text: &str) -> Option<StrikeSelection> {
    match text {
        "itm" => Some(StrikeSelection::Itm),
        "range" => Some(StrikeSelection::Range),
        _ => None,
    }
}

fn exit_check(text: &str) -> Option<ExitCheck> {
    match text {
        "tick" => Some(ExitCheck::Tick),
        "candle" => Some(ExitCheck::Candle),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_exactly() {
        let mut settings = defaults("index-pivot").unwrap();
        for (key, value) in [
            ("buffer_pct", "0.05"),
            ("min_body_ratio", "0.625"),
            ("entry_mode", "BREAKOUT_RETEST"),
            ("trade_on_wide", "true"),
            ("pivot_family", "fibonacci"),
            ("sig_percentile", "60"),
        ] {
            set(&mut settings, key, value).unwrap();
        }
        let StrategySettings::IndexPivot(settings) = settings else { panic!("another strategy") };
        assert_eq!(settings.buffer, Ppm(500));
        assert_eq!(settings.min_body_ratio, Ppm(625_000));
        assert_eq!(settings.entry_mode, EntryMode::BreakoutRetest);
        assert_eq!(settings.family, Family::Fibonacci);
        assert!(settings.trade_on_wide);
        assert_eq!(settings.sig_percentile, 60);
    }

    #[test]
    fn a_wrong_name_or_value_says_what_is_right() {
        let check = |strategy: &str, key: &str, value: &str, expected: &str| {
            let mut settings = defaults(strategy).unwrap();
            let before = settings.clone();
            let error = set(&mut settings, key, value).unwrap_err().to_string();
            assert_eq!(error, expected);
            assert_eq!(settings, before);
        };
        check(
            "index-pivot",
            "bufer_pct",
            "0.02",
            "index-pivot has no parameter \"bufer_pct\"; did you mean buffer_pct?",
        );
        check("level-breakout", "qqq", "1", "level-breakout has no parameter \"qqq\"");
        check(
            "index-pivot",
            "buffer_pct",
            "0.00001",
            "buffer_pct takes a percentage with at most four decimals, such as 0.02, was \"0.00001\"",
        );
        check(
            "premium-pivot",
            "exit_check",
            "sometimes",
            "exit_check takes tick or candle, was \"sometimes\"",
        );
        for wrong in ["-0.1", "", ".", "1e3", "12345678"] {
            assert!(set(&mut defaults("index-pivot").unwrap(), "buffer_pct", wrong).is_err());
        }
        assert_eq!(
            defaults("pivot").unwrap_err().to_string(),
            "no strategy is called \"pivot\"; there are index-pivot, premium-pivot, level-breakout"
        );
    }
}
