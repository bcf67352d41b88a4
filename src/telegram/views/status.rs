//! `/status` and `/position`.

use super::super::html::Page;
use super::{Scene, age, clock_time, figure};
use crate::engine::Permission;
use crate::engine::ledger::TradeRecord;
use crate::market::time::{ist, ist_date};
use crate::market::{Money, Price};
use crate::store::{Heartbeat, Store, StoreError};

/// Causes that an operator lifts with one word; all others want to be seen
/// and confirmed.
const LIGHT_CAUSES: [&str; 4] = ["ENABLED", "OPERATOR", "STARTING", "ARM"];

/// True when entries are allowed.
pub(in crate::telegram) fn is_enabled(store: &Store) -> Result<bool, StoreError> {
    Ok(store.state()?.is_some_and(|state| state.permission == Permission::Active))
}

/// Why enabling must be confirmed; `None` when it need not be.
pub(in crate::telegram) fn stop_reason(store: &Store) -> Result<Option<String>, StoreError> {
    let state = store.state()?;
    Ok(state.filter(|state| !LIGHT_CAUSES.contains(&state.reason.as_str())).map(|state| {
        let since = ist(state.since).format("%-d %b %H:%M:%S");
        format!("{} by {} since {since}", state.reason, state.actor)
    }))
}

pub(super) fn status(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let now = scene.now;
    let beats = store.heartbeats()?;
    let trading = beats.iter().find(|beat| beat.service == "trading");
    let mut page = scene.page().title("Status");
    page = match store.state()? {
        None => page.line("Trading: not started yet"),
        Some(state) => {
            let sign = match state.permission {
                Permission::Active => "✅ Entries enabled",
                Permission::Reducing => "⏸ Exits only",
                Permission::Halted => "🛑 Halted",
            };
            let since = age(now, state.since);
            page.title(sign).line(format!("{} by {}, {since} ago", state.reason, state.actor))
        }
    };
    if let Some(beat) = trading {
        page = page.field("Phase", &beat.phase);
    }
    page = match store.session(now)? {
        Some(session) => {
            let until = ist(session.valid_until).format("%a %H:%M");
            page.field("Broker", format!("{} until {until}", session.user_id))
        }
        None => page.field("Broker", "not logged in, see /login"),
    };
    page = page.gap();
    page = match store.open_trade()? {
        None => page.line("No open position"),
        Some(trade) => open_trade(page, &trade, trading, scene),
    };
    page = figures(store, scene, page, trading)?.gap();
    for service in ["auth", "trading", "bot"] {
        let beat = beats.iter().find(|beat| beat.service == service);
        page = page.line(match beat {
            None => format!("⚪ pivot-{service}: never seen"),
            Some(beat) if scene.is_silent(beat) => {
                format!("🔴 pivot-{service}: silent for {}", age(now, beat.at))
            }
            Some(beat) => format!("🟢 pivot-{service}: {} ago", age(now, beat.at)),
        });
    }
    Ok(page.line(format!("{} IST", ist(now).format("%a %-d %b %H:%M:%S"))))
}

fn figures(
    store: &Store,
    scene: Scene<'_>,
    page: Page,
    trading: Option<&Heartbeat>,
) -> Result<Page, StoreError> {
    let today = scene.today();
    let trades = store.trades(today, today)?;
    let closed: Vec<&TradeRecord> = trades.iter().filter(|trade| trade.is_closed()).collect();
    let wins = closed.iter().filter(|trade| trade.net() > Money::ZERO).count();
    let net: Money = closed.iter().map(|trade| trade.net()).sum();
    let entered = trades.iter().filter(|trade| trade.quantity > 0).count();
    let page = page.field("Today", format!("{entered} trades, {wins} won, net ₹{}", net.signed()));
    let of_today = trading.filter(|beat| ist_date(beat.at) == today);
    let limit = of_today.and_then(|beat| figure(beat, "daily_loss_limit"));
    let limit = limit.and_then(|text| text.parse::<Money>().ok());
    let limit = limit.filter(|limit| *limit > Money::ZERO);
    let used = of_today.and_then(|beat| figure(beat, "net")).and_then(|net| net.parse().ok());
    let used: Money = -used.unwrap_or(net).min(Money::ZERO);
    let mut page = match limit {
        Some(limit) => {
            page.field("Risk used", format!("₹{} of ₹{}", used.grouped(), limit.grouped()))
        }
        None => page,
    };
    if let Some(at) = of_today.and_then(|beat| figure(beat, "last_price_at"))
        && let Ok(at) = chrono::DateTime::parse_from_rfc3339(&at)
    {
        page = page.field("Last price", format!("{} ago", age(scene.now, at.to_utc())));
    }
    Ok(page)
}

fn open_trade(page: Page, trade: &TradeRecord, beat: Option<&Heartbeat>, scene: Scene<'_>) -> Page {
    let held = trade.quantity - trade.closed_quantity;
    let page = page.title(format!("{} × {held}", trade.contract.symbol));
    let net = live(beat, trade, "net");
    let last = live(beat, trade, "last");
    let page = match (last, net) {
        (Some(last), Some(net)) => {
            page.line(format!("in at {}, now {last}, open P&L ₹{net}", entry_price(trade)))
        }
        _ => page.line(format!("in at {}", entry_price(trade))),
    };
    let since = trade.entered_at.map(|at| age(scene.now, at)).unwrap_or_default();
    page.line(format!("stop {} · target {} · {since}", trade.stop, trade.target))
}

/// A figure of the position in the trading service's last sign of life.
fn live(beat: Option<&Heartbeat>, trade: &TradeRecord, name: &str) -> Option<String> {
    let position = beat?.detail.get("position")?;
    let same = position.get("trade_id")?.as_str()? == trade.trade_id;
    let text = position.get(name)?.as_str()?;
    same.then(|| text.to_string())
}

fn entry_price(trade: &TradeRecord) -> Price {
    trade.entry_value.per_unit(trade.quantity).unwrap_or(Price::ZERO)
}

pub(super) fn position(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let Some(trade) = store.open_trade()? else {
        return Ok(scene.page().title("Position").line("No open position."));
    };
    let beats = store.heartbeats()?;
    let beat = beats.iter().find(|beat| beat.service == "trading");
    let held = trade.quantity - trade.closed_quantity;
    let mut page = scene
        .page()
        .title(format!("Position {}", trade.trade_id))
        .field("Contract", trade.contract.to_string())
        .field("Held", format!("{held} at {}", entry_price(&trade)));
    if let Some(last) = live(beat, &trade, "last") {
        page = page.field("Last price", last);
    }
    if let Some(net) = live(beat, &trade, "net") {
        page = page.field("Open P&L after charges", format!("₹{net}"));
    }
    page = page
        .gap()
        .field(
            "View",
            format!("{} on {} ({})", trade.direction.as_str(), trade.signal.symbol, trade.setup),
        )
        .field("Stop", trade.stop.to_string());
    if let Some(first) = trade.first_target {
        page = page.field("First target", first.to_string());
    }
    page = page.field("Target", trade.target.to_string());
    page = match trade.resting_stop {
        Some(trigger) => {
            page.field("Stop at the exchange", format!("{} {trigger}", trade.contract.symbol))
        }
        None => page.line("⚠️ No stop rests at the exchange."),
    };
    if let Some(at) = trade.entered_at {
        page = page.field("Entered", format!("{}, {} ago", clock_time(at), age(scene.now, at)));
    }
    Ok(page.field("Candles held", trade.candles_held.to_string()))
}
