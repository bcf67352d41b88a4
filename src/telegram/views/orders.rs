//! `/orders`

use super::super::html::Page;
use super::{Scene, clock_time};
use crate::engine::ledger::OrderRecord;
use crate::market::{OrderType, Price, Side};
use crate::store::{Store, StoreError};

pub(super) fn orders(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let orders = store.orders(scene.today())?;
    let mut page = scene.page().title(format!("Orders of {}", scene.today()));
    if orders.is_empty() {
        return Ok(page.line("None."));
    }
    for order in &orders {
        page = one(page.gap(), order);
    }
    Ok(page)
}

fn one(page: Page, order: &OrderRecord) -> Page {
    let side = match order.side {
        Side::Buy => "BUY",
        Side::Sell => "SELL",
    };
    let kind = match order.order_type {
        OrderType::Market => "MARKET",
        OrderType::Limit => "LIMIT",
        OrderType::StopLimit => "SL",
        OrderType::StopMarket => "SL-M",
    };
    let role = order.role.as_str();
    let mut page = page
        .title(format!("{role} {side} {} × {}", order.instrument.symbol, order.quantity))
        .line(format!("{kind} {} · {}", order.price, order.status));
    if let Some(trigger) = order.trigger {
        page = page.line(format!("trigger {trigger}"));
    }
    if order.filled > 0 {
        let price = order.filled_value.per_unit(order.filled).unwrap_or(Price::ZERO);
        page = page.line(format!("filled {} at {price}", order.filled));
    }
    if let Some(message) = &order.message {
        page = page.line(message);
    }
    let mut life = format!("{} decided", clock_time(order.decided_at));
    if let Some(at) = order.answered_at {
        let trip = (at - order.decided_at).num_milliseconds().max(0);
        life.push_str(&format!(" · answered after {trip} ms"));
    }
    if let Some(at) = order.ended_at {
        life.push_str(&format!(" · ended {}", clock_time(at)));
    }
    if order.changes > 0 {
        life.push_str(&format!(" · changed {} ×", order.changes));
    }
    let id = order.order_id.as_ref().map_or("no id yet", |id| &id.0);
    page.line(life).table([format!("{id} {}", order.tag)])
}
