//! One log line for what traders look for: signals, orders, entries, exits.
//! A trade begins with one line of the words `ENTRY SIGNAL` and ends with one
//! of the word `EXIT`; both carry its id.

use crate::engine::Fact;
use crate::engine::ledger::{Decision, OrderRecord, Role, TradeRecord, Verdict};
use crate::telemetry::ACTIVITY;

/// Writes a fact to the log, at the level of its weight.
pub(super) fn log(fact: &Fact) {
    match fact {
        Fact::Decision(decision) => decided(decision),
        Fact::Trade(trade) => traded(trade),
        Fact::Order(order) => ordered(order),
        Fact::State(state) => tracing::info!(
            target: ACTIVITY,
            event_type = "permission",
            permission = state.permission.as_str(),
            reason = %state.reason,
            actor = %state.actor,
            "permission"
        ),
        Fact::Answer { request, done, text } => {
            tracing::info!(request, done, "operator answered: {text}");
        }
        Fact::Limit(limit) => tracing::info!(?limit, "limit changed"),
        Fact::Day(summary) => tracing::info!(
            target: ACTIVITY,
            event_type = "summary",
            date = %summary.date,
            trades = summary.trades,
            net = %summary.net(),
            flat = summary.flat,
            "day summary"
        ),
    }
}

fn decided(decision: &Decision) {
    let numbers: Vec<String> =
        decision.numbers.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let numbers = numbers.join(" ");
    match decision.verdict {
        Verdict::Quiet => tracing::debug!(
            instrument = %decision.instrument, reason = %decision.reason, "no setup: {numbers}"
        ),
        Verdict::Rejected => tracing::info!(
            target: ACTIVITY,
            event_type = "signal",
            instrument = %decision.instrument, reason = %decision.reason, "signal refused: {numbers}"
        ),
        Verdict::Enter => tracing::info!(
            target: ACTIVITY,
            event_type = "signal",
            instrument = %decision.instrument, reason = %decision.reason, "signal taken: {numbers}"
        ),
    }
}

fn traded(trade: &TradeRecord) {
    let id = &trade.trade_id;
    match trade.exit_reason {
        Some(reason) if trade.is_closed() => tracing::info!(
            target: ACTIVITY,
            event_type = "exit",
            correlation_id = %id,
            contract = %trade.contract,
            net = %trade.net(),
            "EXIT {}",
            reason.as_str()
        ),
        _ => tracing::debug!(
            correlation_id = %id,
            contract = %trade.contract,
            quantity = trade.quantity,
            "trade"
        ),
    }
}

fn ordered(order: &OrderRecord) {
    if is_signal(order) {
        tracing::info!(
            target: ACTIVITY,
            event_type = "entry",
            correlation_id = %order.trade_id,
            contract = %order.instrument,
            quantity = order.quantity,
            price = %order.price,
            "ENTRY SIGNAL"
        );
    }
    tracing::info!(
        target: ACTIVITY,
        event_type = if order.status == "COMPLETE" { "fill" } else { "order" },
        correlation_id = %order.trade_id,
        role = order.role.as_str(),
        tag = %order.tag,
        status = %order.status,
        side = order.side.as_str(),
        quantity = order.quantity,
        price = %order.price,
        filled = order.filled,
        "order"
    );
}

/// True for the first record of the order that opens a trade.
fn is_signal(order: &OrderRecord) -> bool {
    order.role == Role::Entry && order.answered_at.is_none() && order.status == "SENDING"
}
