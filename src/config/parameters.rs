//! `trading.parameters`: knobs of the chosen strategy, by the names and in
//! the units of [`crate::engine::strategy::parameters`].

use serde_json::{Map, Value, json};

use super::amount::Checks;
use crate::engine::settings::StrategySettings;
use crate::engine::strategy::parameters::{STRATEGIES, defaults, names, set};
use crate::market::pivots::Family;

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
    check(&settings, checks);
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

/// Parameters that must fit each other.
fn check(settings: &StrategySettings, checks: &mut Checks) {
    let at = |name: &str| format!("{PATH}.{name}");
    match settings {
        StrategySettings::IndexPivot(index) => {
            let narrow = index.cpr_narrow <= index.cpr_wide;
            checks.need(narrow, &at("cpr_narrow_pct"), "must not be above cpr_wide_pct");
            let risk = index.min_risk <= index.max_risk;
            checks.need(risk, &at("min_risk_pct"), "must not be above max_risk_pct");
            let history = (1..=index.lookback).contains(&index.min_history);
            checks.need(history, &at("min_history"), "must be from 1 to lookback");
            checks.count(&at("or_minutes"), index.or_minutes, 3, 120);
            let has_ladder = index.family != Family::DeMark;
            let message = "demark has no R2 and R3, which index-pivot needs";
            checks.need(has_ladder, "trading.pivot_method", message);
        }
        StrategySettings::PremiumPivot(premium) => {
            checks.count(&at("candle_window"), premium.candle_window, 5, 1000);
        }
        StrategySettings::LevelBreakout(level) => {
            let message = "must be above 0";
            checks.need(level.level_tick.paise() > 0, &at("level_tick"), message);
            let message = "must not be after square_off";
            checks.need(level.last_signal <= level.square_off, &at("last_signal"), message);
        }
    }
}
