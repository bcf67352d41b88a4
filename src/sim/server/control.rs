//! The simulator's own door, `/_sim/…`: switches, the truth, the request
//! log, the time, and a trade by hand.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::envelope::{ApiResult, json_response, no_route};
use super::faults;
use super::json as write;
use super::orders::known_product;
use super::world::{App, World};
use crate::clock::real_now;
use crate::market::{Exchange as Venue, InstrumentKey, Side};
use crate::sim::exchange::ApiError;

/// Answers without Kite's envelope; errors bear it.
pub(super) fn route(app: &App, world: &mut World, call: &Call) -> Response {
    let result = match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/_sim/faults") => Ok(faults::list(world.exchange.faults())),
        ("POST", "/_sim/faults") => {
            let result = faults::set(world.exchange.faults_mut(), &call.body);
            world.cut_tickers();
            result
        }
        ("GET", "/_sim/books") => Ok(books(world)),
        ("POST", "/_sim/manual_trade") => manual_trade(world, &call.body),
        ("POST", "/_sim/logout") => {
            world.sessions.end_all();
            Ok(Value::Bool(true))
        }
        ("GET", "/_sim/time") => Ok(time(app, world)),
        ("GET", "/_sim/log") => log(world, call),
        _ => Err(no_route()),
    };
    match result {
        Ok(body) => json_response(StatusCode::OK, &body),
        Err(error) => error.into_response(),
    }
}

fn books(world: &World) -> Value {
    let books = world.exchange.books();
    json!({
        "date": books.date,
        "orders": books.orders.iter().map(write::order).collect::<Vec<_>>(),
        "trades": books.trades.iter().map(write::trade).collect::<Vec<_>>(),
        "positions": books.positions.iter().map(write::position).collect::<Vec<_>>(),
        "opening_cash": write::rupees(books.opening_cash.paise()),
        "cash": write::rupees(books.cash.paise()),
    })
}

fn time(app: &App, world: &World) -> Value {
    let now = world.now();
    let (delivered, busy) = world.hub.progress(world.pumped());
    json!({
        "now": now,
        "now_us": now.timestamp_micros(),
        "ist": write::stamp(now),
        "real_us": real_now().timestamp_micros(),
        "speed": app.clock().speed(),
        "frames_made_until": world.pumped(),
        "frames_sent_until": delivered,
        "busy": busy,
        "tickers": world.hub.len(),
        "ticker_cuts": world.ticker_cuts(),
    })
}

fn log(world: &World, call: &Call) -> ApiResult {
    let since = call.params.quantity("since")?.unwrap_or(0);
    let entries = world.log.since(u64::try_from(since).unwrap_or(0));
    serde_json::to_value(entries).map_err(|error| ApiError::general(500, error.to_string()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManualTrade {
    exchange: String,
    tradingsymbol: String,
    transaction_type: String,
    quantity: i64,
    product: String,
}

fn manual_trade(world: &mut World, body: &[u8]) -> ApiResult {
    let wish: ManualTrade = serde_json::from_slice(body).map_err(|error| {
        ApiError::input(format!(
            "Expected exchange, tradingsymbol, transaction_type, quantity and product: {error}"
        ))
    })?;
    let invalid = |name: &str| ApiError::input(format!("Invalid `{name}`."));
    let venue = Venue::parse(&wish.exchange).ok_or_else(|| invalid("exchange"))?;
    let side = Side::parse(&wish.transaction_type).ok_or_else(|| invalid("transaction_type"))?;
    let instrument = InstrumentKey::new(venue, wish.tradingsymbol);
    let product = known_product(&wish.product).ok_or_else(|| invalid("product"))?;
    let now = world.now();
    let order_id = world.exchange.manual_trade(now, &instrument, side, wish.quantity, product)?;
    Ok(json!({ "order_id": order_id }))
}
