//! The route table, and the way of every request through it: read, noted,
//! perhaps spoiled by a switch, checked, carried out, answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde_json::Value;

use super::call::Call;
use super::envelope::{html_response, network_error, no_route, token_error};
use super::json::QuoteKind;
use super::limits::Bucket;
use super::listener::Scissors;
use super::reply::Reply;
use super::world::{App, World};
use super::{account, control, faults, login, market_data, orders, ticker};
use crate::clock::real_now;
use crate::sim::exchange::ApiError;
use crate::sim::faults::Faults;

/// Longest real time that an answer waits for its order's first event, when
/// the switch wants the event first.
const EVENT_FIRST_WAIT: Duration = Duration::from_secs(2);

/// All routes of the Kite port.
pub(super) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(ticker::connect))
        .route("/ws", get(ticker::connect))
        .fallback(serve)
        .with_state(app)
}

async fn serve(
    State(app): State<Arc<App>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: Request,
) -> Response {
    let arrived_us = real_now().timestamp_micros();
    let call = match Call::read(request).await {
        Ok(call) => call,
        Err(error) => return error.into_response(),
    };
    let _underway = Underway::new(&app.in_flight);
    answer(&app, &scissors, &call, arrived_us).await
}

/// Counts a request until it is answered or its caller hangs up, which drops
/// the work on it at whatever point it is.
struct Underway<'a>(&'a AtomicU32);

impl<'a> Underway<'a> {
    fn new(count: &'a AtomicU32) -> Underway<'a> {
        count.fetch_add(1, Ordering::Relaxed);
        Underway(count)
    }
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer(app: &App, scissors: &Scissors, call: &Call, arrived_us: i64) -> Response {
    let (seq, reply, delay, event_first) = {
        let mut world = app.world();
        world.advance(app.clock().now());
        let market_at = world.now();
        let pairs = call.params.pairs();
        let seq = world.log.arrived(arrived_us, market_at, call.method.as_str(), &call.path, pairs);
        let reply = carry_out(app, &mut world, call);
        if let Some(order_id) = &reply.order_id {
            world.log.made_order(seq, order_id);
        }
        let delay = faults::number(world.exchange.faults(), "answer_delay_ms");
        (seq, reply, delay, world.exchange.faults().order_event_before_answer)
    };
    if !is_own_route(&call.path) {
        tokio::time::sleep(Duration::from_millis(delay)).await;
    }
    if let (true, Some(order_id)) = (event_first, &reply.order_id) {
        wait_for_event(app, order_id).await;
    }
    if reply.lost {
        scissors.cut();
        app.world().log.answered(seq, 0);
    } else {
        app.world().log.answered(seq, reply.response.status().as_u16());
    }
    reply.response
}

async fn wait_for_event(app: &App, order_id: &str) {
    let told = async {
        while !app.world().has_told_of(order_id) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    // Without an event in time the answer goes out all the same.
    let _ = tokio::time::timeout(EVENT_FIRST_WAIT, told).await;
}

/// The simulator's own routes and the login page, which switches leave alone.
fn is_own_route(path: &str) -> bool {
    path.starts_with("/_sim/") || path.starts_with("/connect/")
}

fn carry_out(app: &App, world: &mut World, call: &Call) -> Reply {
    if is_own_route(&call.path) {
        return own_route(app, world, call);
    }
    if let Some(spoiled) = spoil(world.exchange.faults_mut(), &call.path) {
        return Reply::new(spoiled);
    }
    let mut reply = api_route(app, world, call);
    if faults::take_lost_answer(world.exchange.faults_mut(), &call.path) {
        reply.lost = true;
    }
    reply
}

/// The answer that a switch gives in place of the API.
fn spoil(faults: &mut Faults, path: &str) -> Option<Response> {
    if Faults::take(&mut faults.rate_limit_429_next) {
        return Some(faults::over_limit(faults));
    }
    let http = faults.take_http(path)?;
    Some(match http {
        502..=504 => html_response(http),
        429 => faults::over_limit(faults),
        500 | 505..=599 => network_error(http, "Request failed (kitetrade-oms)").into_response(),
        _ => ApiError::general(http, "Something went wrong").into_response(),
    })
}

fn own_route(app: &App, world: &mut World, call: &Call) -> Reply {
    let now = world.now();
    let options = &app.options;
    match (call.method.as_str(), call.path.as_str()) {
        ("GET", "/connect/login") => page(login::page(&world.sessions, &call.params)),
        ("POST", "/connect/login") => {
            page(login::submit(&mut world.sessions, now, &options.redirect_url, call))
        }
        _ => Reply::new(control::route(app, world, call)),
    }
}

fn page(result: Result<Response, ApiError>) -> Reply {
    Reply::new(result.unwrap_or_else(ApiError::into_response))
}

/// What the route table finds for a path.
fn api_route(app: &App, world: &mut World, call: &Call) -> Reply {
    let segments = call.segments();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (&call.method, path.as_slice()) {
        (&Method::POST, ["session", "token"]) => {
            return account::start_session(app, world, call).into();
        }
        (&Method::DELETE, ["session", "token"]) => return account::end_session(world, call).into(),
        (&Method::GET, ["instruments"]) => return market_data::instruments(world, call, None),
        (&Method::GET, ["instruments", exchange]) => {
            return market_data::instruments(world, call, Some(exchange));
        }
        _ => {}
    }
    if let Err(refusal) = check_session(world, call) {
        return Reply::new(refusal.into_response());
    }
    if !world.admit(bucket(&call.method, &path)) {
        return Reply::new(faults::over_limit(world.exchange.faults()));
    }
    if let (&Method::POST, ["orders", variety]) = (&call.method, path.as_slice()) {
        return orders::place(world, variety, &call.params);
    }
    match path.first() {
        Some(&"quote") => market_data::quotes(world, call, quote_kind(&path)),
        _ => signed_route(world, call, &path).into(),
    }
}

fn check_session(world: &World, call: &Call) -> Result<(), ApiError> {
    let (api_key, access_token) =
        call.credentials().ok_or_else(|| token_error("Incorrect `api_key` or `access_token`."))?;
    if !world.is_alive(api_key, access_token) {
        return Err(token_error("Incorrect `api_key` or `access_token`."));
    }
    Ok(())
}

fn bucket(method: &Method, path: &[&str]) -> Bucket {
    match (method, path) {
        (_, ["quote", ..]) => Bucket::Quote,
        (_, ["instruments", "historical", ..]) => Bucket::History,
        (&Method::POST, ["orders", _]) => Bucket::Placement,
        (&Method::PUT | &Method::DELETE, ["orders", ..]) => Bucket::OrderChange,
        _ => Bucket::Other,
    }
}

fn quote_kind(path: &[&str]) -> Option<QuoteKind> {
    match path {
        ["quote"] => Some(QuoteKind::Full),
        ["quote", "ohlc"] => Some(QuoteKind::Ohlc),
        ["quote", "ltp"] => Some(QuoteKind::Ltp),
        _ => None,
    }
}

fn signed_route(world: &mut World, call: &Call, path: &[&str]) -> Result<Value, ApiError> {
    match (call.method.as_str(), path) {
        ("GET", ["user", "profile"]) => Ok(account::profile(world)),
        ("GET", ["user", "profile", "full"]) => Ok(account::full_profile(world)),
        ("GET", ["user", "margins"]) => Ok(account::margins(world)),
        ("GET", ["user", "margins", segment]) => account::margins_of(world, segment),
        ("PUT", ["orders", variety, order_id]) => {
            orders::modify(world, variety, order_id, &call.params)
        }
        ("DELETE", ["orders", variety, order_id]) => orders::cancel(world, variety, order_id),
        ("GET", ["orders"]) => Ok(orders::book(world)),
        ("GET", ["orders", order_id]) => orders::history(world, order_id),
        ("GET", ["orders", order_id, "trades"]) => orders::trades_of(world, order_id),
        ("GET", ["trades"]) => Ok(orders::trades(world)),
        ("GET", ["portfolio", "positions"]) => Ok(account::positions(world)),
        ("PUT", ["portfolio", "positions"]) => account::convert_position(world, &call.params),
        ("GET", ["portfolio", "holdings"]) => Ok(account::holdings(world)),
        ("GET", ["portfolio", "holdings", "summary"]) => Ok(account::holdings_summary(world)),
        ("GET", ["portfolio", "holdings", "compact"]) => Ok(account::holdings_compact(world)),
        ("GET", ["portfolio", "holdings", "auctions"]) => Ok(Value::Array(Vec::new())),
        ("POST", ["margins", "orders"]) => orders::margins(world, &call.body),
        ("POST", ["margins", "basket"]) => orders::basket(world, &call.body),
        ("POST", ["charges", "orders"]) => orders::charges(world, &call.body),
        ("GET", ["instruments", "historical", token, interval]) => {
            market_data::historical(world, token, interval, &call.params)
        }
        _ => Err(no_route()),
    }
}
