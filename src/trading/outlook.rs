//! The pre-market message: the day's levels, in a trader's words, once.

use super::TradingError;
use super::context::Context;
use crate::engine::notice::{NoticeKind, Severity};
use crate::engine::strategy::Outlook;
use crate::engine::{DayPlan, Engine};

/// Contracts listed in the message at most.
const LISTED_MAX: usize = 6;

/// Stores the outlook for `/pivots` and tells people, once a day.
pub(super) fn publish(context: &Context, engine: &Engine) -> Result<(), TradingError> {
    let Some(plan) = engine.day() else { return Ok(()) };
    let outlook = engine.outlook();
    context.store.borrow_mut().outlook_keep(plan.date, &outlook)?;
    let headline = format!(
        "{} · {} · {}",
        plan.date.format("%a %d %b %Y"),
        plan.signal.key.symbol,
        plan.settings.strategy.name()
    );
    let mut notice = context.notice(NoticeKind::PreMarket, Severity::Info, &headline);
    notice.once = Some(format!("pre-market:{}", plan.date));
    notice.fields = fields(plan, &outlook);
    notice.footer = Some(footer(plan));
    context.store.borrow_mut().say(&notice)?;
    Ok(())
}

fn fields(plan: &DayPlan, outlook: &[Outlook]) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    if let Some(first) = outlook.iter().find(|outlook| outlook.instrument == plan.signal.key) {
        fields.push(("Day".into(), first.structure.clone()));
        for (name, price) in &first.levels {
            fields.push((name.clone(), price.to_string()));
        }
        fields.extend(first.facts.iter().cloned());
    }
    let others = outlook.iter().filter(|outlook| outlook.instrument != plan.signal.key);
    for contract in others.take(LISTED_MAX) {
        let levels: Vec<String> =
            contract.levels.iter().map(|(name, price)| format!("{name} {price}")).collect();
        let text = format!("{} {}", contract.structure, levels.join(" "));
        fields.push((contract.instrument.symbol.clone(), text));
    }
    if let Some(expiry) = plan.contracts.iter().find_map(|contract| contract.expiry) {
        fields.push(("Expiry".into(), expiry.format("%a %d %b").to_string()));
    }
    fields.push(("Funds".into(), format!("₹{}", plan.available.grouped())));
    fields.push((
        "Limits".into(),
        format!(
            "loss ₹{} a day, {} trades, {} lot(s)",
            plan.settings.risk.max_daily_loss.grouped(),
            plan.settings.risk.max_trades,
            plan.settings.risk.max_lots
        ),
    ));
    fields
}

fn footer(plan: &DayPlan) -> String {
    let schedule = &plan.settings.schedule;
    format!(
        "Entries {} to {}, flat by {}",
        schedule.first_entry.format("%H:%M"),
        schedule.last_entry.format("%H:%M"),
        schedule.hard_flat.format("%H:%M")
    )
}
