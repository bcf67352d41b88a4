//! `trading.parameters`: knobs of the chosen strategy. Shares of a price are
//! in percent, amounts in rupees.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::amount::Checks;
use super::load::{json_path, suggestion};
use super::settings::time_of_day;
use crate::engine::settings::{
    EntryMode, ExitCheck, IndexPivotSettings, LevelBreakoutSettings, PremiumPivotSettings,
    StrategySettings, StrikeSelection,
};
use crate::market::Price;
use crate::market::pivots::Family;

/// Where the parameters are.
pub(super) const PATH: &str = "trading.parameters";

/// Names of the strategies.
pub(super) const STRATEGIES: [&str; 3] = ["index-pivot", "premium-pivot", "level-breakout"];

/// Parameters of `index-pivot`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct IndexPivot {
    /// index-pivot: a CPR narrower than this is NARROW, in percent of its middle.
    cpr_narrow_pct: f64,
    /// index-pivot: a CPR wider than this is WIDE.
    cpr_wide_pct: f64,
    /// index-pivot: trade on WIDE days too.
    trade_on_wide: bool,
    /// index-pivot: minutes of the opening range.
    or_minutes: u32,
    /// index-pivot: a close must pass a level by this.
    buffer_pct: f64,
    /// index-pivot: smallest body over range of the candle.
    min_body_ratio: f64,
    /// index-pivot: percentile of body sizes that counts as significant.
    sig_percentile: u32,
    /// index-pivot: candles that the percentile looks back on.
    lookback: u32,
    /// index-pivot: fewest candles for a percentile.
    min_history: u32,
    /// index-pivot: smallest risk, in percent of the close.
    min_risk_pct: f64,
    /// index-pivot: largest risk, in percent of the close.
    max_risk_pct: f64,
    /// index-pivot: smallest reward to the first target over risk.
    min_rr: f64,
    /// index-pivot: a gap of this or more ends the day.
    gap_extreme_pct: f64,
    /// index-pivot: `breakout_close` or `breakout_retest`.
    entry_mode: String,
    /// index-pivot: candles after which a trade that reached nothing is closed.
    time_stop_candles: u32,
    /// index-pivot: candles without entries after an exit.
    cooldown_candles: u32,
    /// index-pivot: entries for each side and level in a day.
    max_entries_per_level: u32,
}

impl Default for IndexPivot {
    fn default() -> IndexPivot {
        IndexPivot {
            cpr_narrow_pct: 0.10,
            cpr_wide_pct: 0.25,
            trade_on_wide: false,
            or_minutes: 15,
            buffer_pct: 0.02,
            min_body_ratio: 0.50,
            sig_percentile: 75,
            lookback: 20,
            min_history: 10,
            min_risk_pct: 0.05,
            max_risk_pct: 0.30,
            min_rr: 1.0,
            gap_extreme_pct: 1.5,
            entry_mode: "breakout_close".into(),
            time_stop_candles: 10,
            cooldown_candles: 2,
            max_entries_per_level: 2,
        }
    }
}

/// Parameters of `premium-pivot`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PremiumPivot {
    /// premium-pivot: a structure nearer to zero than this is NEUTRAL, in rupees.
    neutral_band_points: f64,
    /// premium-pivot: the same in percent of PP; replaces the points when set.
    neutral_band_pct: Option<f64>,
    /// premium-pivot: strikes watched on each side of the money, in points of
    /// the index; five steps when absent.
    strike_range: Option<f64>,
    /// premium-pivot: `itm` or `range`.
    strike_selection: String,
    /// premium-pivot: percentile of candle sizes that counts as significant.
    candle_size_percentile: u32,
    /// premium-pivot: candles that the percentile looks back on.
    candle_window: u32,
    /// premium-pivot: the target must be above the close by this, in rupees.
    min_reward_points: f64,
    /// premium-pivot: candles after which a first-candle entry is closed.
    max_candles_timeout: u32,
    /// premium-pivot: further entries after a stop-loss.
    max_re_entries: u32,
    /// premium-pivot: `tick` or `candle`: when stop and target are looked at.
    exit_check: String,
}

impl Default for PremiumPivot {
    fn default() -> PremiumPivot {
        PremiumPivot {
            neutral_band_points: 5.0,
            neutral_band_pct: None,
            strike_range: None,
            strike_selection: "itm".into(),
            candle_size_percentile: 75,
            candle_window: 20,
            min_reward_points: 1.0,
            max_candles_timeout: 10,
            max_re_entries: 1,
            exit_check: "tick".into(),
        }
    }
}

/// Parameters of `level-breakout`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct LevelBreakout {
    /// level-breakout: levels are rounded to this, in rupees.
    level_tick: f64,
    /// level-breakout: entries of a day.
    max_entries: u32,
    /// level-breakout: last candle close that may signal.
    last_signal: String,
    /// level-breakout: when a position is closed.
    square_off: String,
}

impl Default for LevelBreakout {
    fn default() -> LevelBreakout {
        LevelBreakout {
            level_tick: 0.05,
            max_entries: 3,
            last_signal: "14:45".into(),
            square_off: "15:15".into(),
        }
    }
}

/// The schema of each strategy's parameters.
pub(super) fn schemas() -> [(&'static str, Value); 3] {
    [
        (STRATEGIES[0], schemars::schema_for!(IndexPivot).to_value()),
        (STRATEGIES[1], schemars::schema_for!(PremiumPivot).to_value()),
        (STRATEGIES[2], schemars::schema_for!(LevelBreakout).to_value()),
    ]
}

/// Resolves strategy and parameters.
pub(super) fn resolve(
    strategy: &str,
    pivot_method: &str,
    strike_step: Price,
    parameters: &serde_json::Map<String, Value>,
    checks: &mut Checks,
) -> Option<StrategySettings> {
    let family = Family::parse(pivot_method);
    let names = || Family::ALL.map(Family::as_str).join(", ");
    checks.need(
        family.is_some(),
        "trading.pivot_method",
        format!("expected one of {}, was {pivot_method:?}", names()),
    );
    let family = family.unwrap_or(Family::Traditional);
    match strategy {
        "index-pivot" => {
            let raw = read(strategy, parameters, checks)?;
            Some(StrategySettings::IndexPivot(index_pivot(&raw, family, checks)))
        }
        "premium-pivot" => {
            let raw = read(strategy, parameters, checks)?;
            Some(StrategySettings::PremiumPivot(premium_pivot(&raw, strike_step, checks)))
        }
        "level-breakout" => {
            let raw = read(strategy, parameters, checks)?;
            Some(StrategySettings::LevelBreakout(level_breakout(&raw, checks)))
        }
        other => {
            let message = format!("expected {}, was {other:?}", STRATEGIES.join(", "));
            checks.wrong("trading.strategy", message);
            None
        }
    }
}

fn at(name: &str) -> String {
    format!("{PATH}.{name}")
}

/// Reads the parameters; notes every unknown key and the first wrong value.
fn read<T: DeserializeOwned>(
    strategy: &str,
    parameters: &serde_json::Map<String, Value>,
    checks: &mut Checks,
) -> Option<T> {
    let schema = schemas().into_iter().find(|(name, _)| *name == strategy)?.1;
    let known: Vec<&str> =
        super::schema::properties(&schema, &schema).map(|(name, _)| name.as_str()).collect();
    let before = checks.problems.len();
    for name in parameters.keys().filter(|name| !known.contains(&name.as_str())) {
        let message = format!("{strategy} has no such parameter{}", suggestion(name, &known));
        checks.wrong(&at(name), message);
    }
    if checks.problems.len() > before {
        return None;
    }
    match serde_path_to_error::deserialize(Value::Object(parameters.clone())) {
        Ok(read) => Some(read),
        Err(error) => {
            checks.wrong(&at(&json_path(error.path())), error.inner().to_string());
            None
        }
    }
}

fn index_pivot(raw: &IndexPivot, family: Family, checks: &mut Checks) -> IndexPivotSettings {
    let named = |family: Family| match family {
        Family::DeMark => false,
        Family::Traditional
        | Family::Kite
        | Family::Premium
        | Family::Fibonacci
        | Family::CamarillaA
        | Family::CamarillaB
        | Family::Woodie
        | Family::WoodieClose => true,
    };
    checks.need(
        named(family),
        "trading.pivot_method",
        "demark has no R2 and R3, which index-pivot needs",
    );
    let settings = IndexPivotSettings {
        family,
        cpr_narrow: checks.percent(&at("cpr_narrow_pct"), raw.cpr_narrow_pct, 0, 100),
        cpr_wide: checks.percent(&at("cpr_wide_pct"), raw.cpr_wide_pct, 0, 100),
        trade_on_wide: raw.trade_on_wide,
        or_minutes: checks.count(&at("or_minutes"), raw.or_minutes, 3, 120),
        buffer: checks.percent(&at("buffer_pct"), raw.buffer_pct, 0, 5),
        min_body_ratio: checks.ratio(&at("min_body_ratio"), raw.min_body_ratio, 0, 1),
        sig_percentile: checks.count(&at("sig_percentile"), raw.sig_percentile, 0, 100),
        lookback: checks.count(&at("lookback"), raw.lookback, 1, 120) as usize,
        min_history: checks.count(&at("min_history"), raw.min_history, 1, raw.lookback.max(1))
            as usize,
        min_risk: checks.percent(&at("min_risk_pct"), raw.min_risk_pct, 0, 10),
        max_risk: checks.percent(&at("max_risk_pct"), raw.max_risk_pct, 0, 10),
        min_rr: checks.ratio(&at("min_rr"), raw.min_rr, 0, 100),
        gap_extreme: checks.percent(&at("gap_extreme_pct"), raw.gap_extreme_pct, 0, 100),
        entry_mode: match raw.entry_mode.to_lowercase().as_str() {
            "breakout_retest" => EntryMode::BreakoutRetest,
            word => {
                let message = format!("expected breakout_close or breakout_retest, was {word:?}");
                checks.need(word == "breakout_close", &at("entry_mode"), message);
                EntryMode::BreakoutClose
            }
        },
        time_stop_candles: checks.count(&at("time_stop_candles"), raw.time_stop_candles, 1, 125),
        cooldown_candles: checks.count(&at("cooldown_candles"), raw.cooldown_candles, 0, 125),
        max_entries_per_level: checks.count(
            &at("max_entries_per_level"),
            raw.max_entries_per_level,
            1,
            20,
        ),
    };
    checks.need(
        settings.cpr_narrow <= settings.cpr_wide,
        &at("cpr_narrow_pct"),
        "must not be above cpr_wide_pct",
    );
    checks.need(
        settings.min_risk <= settings.max_risk,
        &at("min_risk_pct"),
        "must not be above max_risk_pct",
    );
    settings
}

fn premium_pivot(raw: &PremiumPivot, step: Price, checks: &mut Checks) -> PremiumPivotSettings {
    let five_steps = Price::from_paise(step.paise() * 5);
    PremiumPivotSettings {
        neutral_band: checks.price(&at("neutral_band_points"), raw.neutral_band_points),
        neutral_band_pct: raw
            .neutral_band_pct
            .map(|percent| checks.percent(&at("neutral_band_pct"), percent, 0, 100)),
        strike_range: match raw.strike_range {
            Some(points) => checks.price(&at("strike_range"), points),
            None => five_steps,
        },
        strike_selection: match raw.strike_selection.as_str() {
            "range" => StrikeSelection::Range,
            word => {
                let message = format!("expected itm or range, was {word:?}");
                checks.need(word == "itm", &at("strike_selection"), message);
                StrikeSelection::Itm
            }
        },
        candle_size_percentile: checks.count(
            &at("candle_size_percentile"),
            raw.candle_size_percentile,
            0,
            100,
        ),
        candle_window: checks.count(&at("candle_window"), raw.candle_window, 5, 120) as usize,
        min_reward: checks.price(&at("min_reward_points"), raw.min_reward_points),
        max_candles_timeout: checks.count(
            &at("max_candles_timeout"),
            raw.max_candles_timeout,
            1,
            125,
        ),
        max_re_entries: checks.count(&at("max_re_entries"), raw.max_re_entries, 0, 20),
        exit_check: match raw.exit_check.as_str() {
            "candle" => ExitCheck::Candle,
            word => {
                let message = format!("expected tick or candle, was {word:?}");
                checks.need(word == "tick", &at("exit_check"), message);
                ExitCheck::Tick
            }
        },
    }
}

fn level_breakout(raw: &LevelBreakout, checks: &mut Checks) -> LevelBreakoutSettings {
    let level_tick = checks.price(&at("level_tick"), raw.level_tick);
    checks.need(level_tick > Price::ZERO, &at("level_tick"), "must be above 0");
    LevelBreakoutSettings {
        level_tick,
        max_entries: checks.count(&at("max_entries"), raw.max_entries, 1, 100),
        last_signal: checks.take(&at("last_signal"), time_of_day(&raw.last_signal)),
        square_off: checks.take(&at("square_off"), time_of_day(&raw.square_off)),
    }
}
