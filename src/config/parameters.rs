//! `trading.parameters`: knobs of the chosen strategy, by the names and in
//! the units of [`crate::engine::strategy::parameters`].

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::Problem;
use super::amount::Checks;
use crate::engine::settings::StrategySettings;
use crate::engine::strategy::parameters::{STRATEGIES, defaults, names, set};
use crate::market::pivots::{Family, Levels};
use crate::market::{DayCandle, Price};

/// Where the parameters are.
pub(super) const PATH: &str = "trading.parameters";

/// The parameters of every strategy: whose, name, and what it takes.
pub(super) fn all() -> Vec<(&'static str, &'static str, &'static str)> {
    let of = |strategy: &'static str| {
        let settings = defaults(strategy).ok()?;
        Some(names(&settings).into_iter().map(move |(name, takes)| (strategy, name, takes)))
    };
    STRATEGIES.into_iter().filter_map(of).flatten().collect()
}

/// A schema of `trading.parameters`.
pub(super) fn schema() -> Value {
    let properties = all().into_iter().map(|(strategy, name, takes)| {
        let description = format!("{strategy}: takes {takes}.");
        (
            name.to_string(),
            json!({"description": description, "type": ["number", "string", "boolean"]}),
        )
    });
    json!({
        "description": "Strategy parameters by name; see the reference page.",
        "type": "object",
        "properties": Map::from_iter(properties),
        "additionalProperties": false,
    })
}

/// Resolves strategy, family of levels and parameters; notes every mistake.
pub(super) fn resolve(
    strategy: &str,
    pivot_method: &str,
    parameters: &Map<String, Value>,
    checks: &mut Checks,
) -> Option<StrategySettings> {
    let family = Family::parse(pivot_method);
    if family.is_none() {
        let names = Family::ALL.map(Family::as_str).join(", ");
        let message = format!("expected one of {names}, was {pivot_method:?}");
        checks.wrong("trading.pivot_method", message);
    }
    let mut settings = match defaults(strategy) {
        Ok(settings) => settings,
        Err(error) => {
            checks.wrong("trading.strategy", error.to_string());
            return None;
        }
    };
    if let (StrategySettings::IndexPivot(index), Some(family)) = (&mut settings, family) {
        index.family = family;
    }
    for (name, value) in parameters {
        let path = format!("{PATH}.{name}");
        match text(value) {
            Some(text) => {
                if let Err(error) = set(&mut settings, name, &text) {
                    checks.wrong(&path, error.to_string());
                }
            }
            None => checks.wrong(&path, "expected a number, a word, true or false"),
        }
    }
    for mut problem in misfits(&settings) {
        let given = parameters.keys().any(|name| name.eq_ignore_ascii_case(&problem.path));
        problem.path = match problem.path.as_str() {
            FAMILY if !given => "trading.pivot_method".to_string(),
            name => format!("{PATH}.{name}"),
        };
        checks.problems.push(problem);
    }
    Some(settings)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Parameters with which no day could be traded, each by its bare name: values
/// out of bounds, and those that do not fit each other.
pub fn misfits(settings: &StrategySettings) -> Vec<Problem> {
    let mut checks = Checks::default();
    match settings {
        StrategySettings::IndexPivot(index) => {
            if let Err(message) = ladder(index.family) {
                checks.wrong(FAMILY, message);
            }
            let narrow = index.cpr_narrow <= index.cpr_wide;
            checks.need(narrow, "cpr_narrow_pct", "must not be above cpr_wide_pct");
            let risk = index.min_risk <= index.max_risk;
            checks.need(risk, "min_risk_pct", "must not be above max_risk_pct");
            let history = (1..=index.lookback).contains(&index.min_history);
            checks.need(history, "min_history", "must be from 1 to lookback");
            checks.count("or_minutes", index.or_minutes, 3, 120);
        }
        StrategySettings::PremiumPivot(premium) => {
            checks.count("candle_window", premium.candle_window, 5, 1000);
        }
        StrategySettings::LevelBreakout(level) => {
            checks.need(level.level_tick.paise() > 0, "level_tick", "must be above 0");
            let message = "must not be after square_off";
            checks.need(level.last_signal <= level.square_off, "last_signal", message);
        }
    }
    checks.problems
}

/// The parameter that names the family of levels.
const FAMILY: &str = "pivot_family";

/// Levels that `index-pivot` signals on and aims at.
const LADDER: [&str; 6] = ["R1", "R2", "R3", "S1", "S2", "S3"];

/// Why `index-pivot` cannot trade the levels of a family, found by computing
/// them as it does before the market opens.
fn ladder(family: Family) -> Result<(), String> {
    let lack = lack(family);
    lack.map_or(Ok(()), |lack| {
        let fitting = Family::ALL.into_iter().filter(|family| self::lack(*family).is_none());
        let fitting: Vec<&str> = fitting.map(Family::as_str).collect();
        Err(format!(
            "index-pivot cannot trade {family} levels: {lack}; expected one of {}",
            fitting.join(", ")
        ))
    })
}

fn lack(family: Family) -> Option<String> {
    let [open, high, low, close] = [100, 102, 99, 101].map(Price::from_rupees);
    let day = DayCandle { date: NaiveDate::default(), open, high, low, close };
    match Levels::compute(family, &day, None) {
        Ok(levels) => {
            let missing = LADDER.into_iter().find(|name| levels.get(name).is_none())?;
            Some(format!("they have no {missing}"))
        }
        Err(error) if error.is_missing_open() => {
            Some("they need today's open, which is not known before the market opens".into())
        }
        Err(error) => Some(error.to_string()),
    }
}
