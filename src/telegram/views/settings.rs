//! `/config`: what matters, and nothing secret.

use super::super::command::{limit_name, limit_value};
use super::super::html::Page;
use super::Scene;
use crate::store::{Store, StoreError};

pub(super) fn settings(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let config = scene.config;
    let trading = &config.trading;
    let risk = &config.risk_management;
    let mut page = scene
        .page()
        .title("Settings")
        .field("Mode", &trading.mode)
        .field("Strategy", &trading.strategy)
        .field("Instrument", &trading.instrument)
        .field("Levels", &trading.pivot_method)
        .field("Lots", trading.max_lots.to_string())
        .gap()
        .field("Capital", format!("₹{}", risk.capital))
        .field("Loss of a day", format!("₹{}", risk.max_daily_loss))
        .field("Loss of a week", format!("₹{}", risk.max_weekly_loss))
        .field("Loss of a month", format!("₹{}", risk.max_monthly_loss))
        .field("Trades of a day", risk.max_trades_per_day.to_string())
        .field("Losses in a row", risk.max_consecutive_losses.to_string())
        .field("Risk of a trade", format!("{} %", risk.risk_per_trade_pct))
        .gap();
    for (name, value) in &trading.parameters {
        page = page.field(name, value.to_string());
    }
    for (kind, level) in &config.notifications {
        page = page.field(&format!("Messages {kind}"), format!("{level:?}").to_lowercase());
    }
    let changed = store.limits()?;
    if changed.is_empty() {
        return Ok(page.line("No limit was changed from here."));
    }
    page = page.title("Changed from here");
    for record in changed {
        let value = limit_value(record.limit, record.value);
        let since = if record.at_once { "since" } else { "from the trading day after" };
        let text = format!("{value}, {since} {}, by {}", record.date, record.actor);
        page = page.field(limit_name(record.limit), text);
    }
    Ok(page)
}
