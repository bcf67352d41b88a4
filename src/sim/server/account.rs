//! Sessions, profile, funds, positions and holdings.

use serde_json::{Value, json};

use super::call::Call;
use super::envelope::{ApiResult, token_error};
use super::json as write;
use super::params::Params;
use super::world::{App, World};
use crate::sim::exchange::ApiError;

const EXCHANGES: [&str; 4] = ["NSE", "BSE", "NFO", "BFO"];
const PRODUCTS: [&str; 3] = ["CNC", "NRML", "MIS"];
const ORDER_TYPES: [&str; 4] = ["MARKET", "LIMIT", "SL", "SL-M"];
const USER_NAME: &str = "Simulated Trader";
const SHORT_NAME: &str = "Trader";
const EMAIL: &str = "trader@example.com";

/// `POST /session/token`.
pub(super) fn start_session(app: &App, world: &mut World, call: &Call) -> ApiResult {
    let params = &call.params;
    let api_key = params.require("api_key")?;
    let request_token = params.require("request_token")?;
    let checksum = params.require("checksum")?;
    let now = world.now();
    let keep_earlier = world.exchange.faults().second_login_keeps;
    let granted = world.sessions.exchange(now, api_key, request_token, checksum, keep_earlier)?;
    Ok(json!({
        "user_type": "individual",
        "email": EMAIL,
        "user_name": USER_NAME,
        "user_shortname": SHORT_NAME,
        "broker": "ZERODHA",
        "exchanges": EXCHANGES,
        "products": PRODUCTS,
        "order_types": ORDER_TYPES,
        "avatar_url": null,
        "user_id": app.options.user_id,
        "api_key": api_key,
        "access_token": granted.access_token,
        "public_token": granted.public_token,
        "enctoken": granted.enctoken,
        "refresh_token": "",
        "silo": "",
        "login_time": write::stamp(now),
        "meta": { "demat_consent": "physical" },
    }))
}

/// `DELETE /session/token`.
pub(super) fn end_session(world: &mut World, call: &Call) -> ApiResult {
    let api_key = call.params.require("api_key")?;
    let access_token = call.params.require("access_token")?;
    if !world.is_alive(api_key, access_token) {
        return Err(token_error("Incorrect `api_key` or `access_token`."));
    }
    world.sessions.end(access_token);
    Ok(Value::Bool(true))
}

/// `GET /user/profile`.
pub(super) fn profile(world: &World) -> Value {
    json!({
        "user_id": world.exchange.user_id(),
        "user_type": "individual",
        "email": EMAIL,
        "user_name": USER_NAME,
        "user_shortname": SHORT_NAME,
        "broker": "ZERODHA",
        "exchanges": EXCHANGES,
        "products": PRODUCTS,
        "order_types": ORDER_TYPES,
        "avatar_url": null,
        "meta": { "demat_consent": "physical" },
    })
}

/// `GET /user/profile/full`.
pub(super) fn full_profile(world: &World) -> Value {
    json!({
        "user_id": world.exchange.user_id(),
        "twofa_type": "totp",
        "user_name": USER_NAME,
        "user_type": "individual",
        "email": EMAIL,
        "phone": "*0000",
        "broker": "ZERODHA",
        "bank_accounts": [{ "name": "SIMULATED BANK", "branch": "", "account": "*0000" }],
        "dp_ids": ["0000000000000000"],
        "products": PRODUCTS,
        "order_types": ORDER_TYPES,
        "exchanges": EXCHANGES,
        "pan": "*000X",
        "user_shortname": SHORT_NAME,
        "avatar_url": null,
        "tags": [],
        "password_timestamp": "1970-01-01 00:00:00",
        "twofa_timestamp": "1970-01-01 00:00:00",
        "meta": { "poa": "physical", "silo": "", "account_blocks": [] },
    })
}

/// `GET /user/margins`.
pub(super) fn margins(world: &World) -> Value {
    json!({ "equity": equity(world), "commodity": commodity() })
}

/// `GET /user/margins/{segment}`.
pub(super) fn margins_of(world: &World, segment: &str) -> ApiResult {
    match segment {
        "equity" => Ok(equity(world)),
        "commodity" => Ok(commodity()),
        _ => Err(ApiError::input("Invalid `segment`.")),
    }
}

fn equity(world: &World) -> Value {
    write::margins(&world.exchange.margins())
}

fn commodity() -> Value {
    write::margins(&crate::sim::exchange::Funds {
        opening_balance: crate::market::Money::ZERO,
        available: crate::market::Money::ZERO,
        debits: crate::market::Money::ZERO,
        option_premium: crate::market::Money::ZERO,
        span: crate::market::Money::ZERO,
        m2m_realised: crate::market::Money::ZERO,
        m2m_unrealised: crate::market::Money::ZERO,
    })
}

/// `GET /portfolio/positions`.
pub(super) fn positions(world: &World) -> Value {
    let positions = world.exchange.positions();
    let rows = |rows: &[crate::sim::exchange::PositionRow]| {
        Value::Array(rows.iter().map(write::position).collect())
    };
    json!({ "net": rows(&positions.net), "day": rows(&positions.day) })
}

/// `PUT /portfolio/positions`: checked, then refused, because a conversion
/// that is confirmed but does not happen would mislead.
pub(super) fn convert_position(world: &World, params: &Params) -> ApiResult {
    let wanted = ["exchange", "tradingsymbol", "old_product", "new_product", "position_type"];
    for name in wanted.into_iter().chain(["transaction_type", "quantity"]) {
        params.require(name)?;
    }
    let is_held = world.exchange.positions().net.iter().any(|row| {
        params.get("tradingsymbol") == Some(&row.instrument.symbol)
            && params.get("exchange") == Some(row.instrument.exchange.as_str())
            && params.get("old_product") == Some(row.product.as_str())
            && row.quantity != 0
    });
    let reason = if is_held {
        "Position conversion is not simulated."
    } else {
        "There is no such position to convert."
    };
    Err(ApiError::input(reason))
}

/// `GET /portfolio/holdings`.
pub(super) fn holdings(world: &World) -> Value {
    Value::Array(world.exchange.holdings().iter().map(write::holding).collect())
}

/// `GET /portfolio/holdings/summary`.
pub(super) fn holdings_summary(world: &World) -> Value {
    write::holdings_summary(&world.exchange.holdings())
}

/// `GET /portfolio/holdings/compact`.
pub(super) fn holdings_compact(world: &World) -> Value {
    let rows = world.exchange.holdings().into_iter().map(|row| {
        json!({
            "exchange": row.instrument.exchange.as_str(),
            "tradingsymbol": row.instrument.symbol,
            "instrument_token": row.instrument_token,
            "t1_quantity": 0,
            "quantity": row.quantity,
        })
    });
    Value::Array(rows.collect())
}
