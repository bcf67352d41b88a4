//! The WebSocket ticker: one task for each connection.

pub(super) mod hub;
mod packet;

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::{Html, IntoResponse as _, Response};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};

use self::hub::{Outgoing, Seat, TICKERS_MAX};
use super::envelope::token_error;
use super::faults;
use super::params::Params;
use super::world::App;

/// Messages handed to the socket before it is flushed.
const BATCH_MAX: usize = 256;

const FRONT_PAGE: &str = "<!doctype html><title>Simulated Kite</title><h1>Simulated Kite</h1>\
<p>REST and, on this very path, the WebSocket ticker. \
<a href=\"/_sim/faults\">Switches</a>, <a href=\"/_sim/books\">books</a>, \
<a href=\"/_sim/log\">requests</a>, <a href=\"/_sim/time\">time</a>.";

/// `GET /` and `GET /ws`: the ticker, or a page for people.
pub(super) async fn connect(
    State(app): State<Arc<App>>,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else { return Html(FRONT_PAGE).into_response() };
    let params = Params::parse(uri.query().unwrap_or_default());
    let seat = {
        let mut world = app.world();
        world.advance(app.clock().now());
        let api_key = params.get("api_key").unwrap_or_default();
        let access_token = params.get("access_token").unwrap_or_default();
        if world.exchange.faults().ticker_refuse || !world.is_alive(api_key, access_token) {
            return token_error("Incorrect `api_key` or `access_token`.").into_response();
        }
        if world.hub.len() >= TICKERS_MAX {
            return faults::over_limit(world.exchange.faults());
        }
        world.seat_ticker(access_token)
    };
    let (id, app_on_failure) = (seat.id, Arc::clone(&app));
    upgrade
        .on_failed_upgrade(move |_| app_on_failure.world().hub.leave(id))
        .on_upgrade(move |socket| serve(app, seat, socket))
}

async fn serve(app: Arc<App>, seat: Seat, socket: WebSocket) {
    let id = seat.id;
    let (sink, stream) = socket.split();
    tokio::select! {
        () = write(&app, seat, sink) => {}
        () = read(&app, id, stream) => {}
    }
    app.world().hub.leave(id);
}

async fn read(app: &App, id: u64, mut stream: SplitStream<WebSocket>) {
    while let Some(Ok(message)) = stream.next().await {
        match message {
            Message::Text(words) => app.world().hear_ticker(id, &words),
            // Reading on sends the answer to a close and finds the end.
            Message::Close(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => {}
        }
    }
}

async fn write(app: &App, mut seat: Seat, mut sink: SplitSink<WebSocket, Message>) {
    let mut next_beat = Instant::now() + app.heartbeat_period();
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        let sent = tokio::select! {
            count = seat.outgoing.recv_many(&mut batch, BATCH_MAX) => {
                if count == 0 {
                    return;
                }
                send_all(&mut sink, &mut batch, &seat).await
            }
            () = tokio::time::sleep(next_beat.saturating_duration_since(Instant::now())) => {
                next_beat += app.heartbeat_period();
                beat(app, &mut sink).await
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn send_all(
    sink: &mut SplitSink<WebSocket, Message>,
    batch: &mut Vec<Outgoing>,
    seat: &Seat,
) -> Result<(), axum::Error> {
    let mut delivered = Vec::with_capacity(batch.len());
    for outgoing in batch.drain(..) {
        sink.feed(outgoing.message).await?;
        delivered.push(outgoing.second);
    }
    sink.flush().await?;
    for second in delivered {
        seat.delivery.sent(second);
    }
    Ok(())
}

async fn beat(app: &App, sink: &mut SplitSink<WebSocket, Message>) -> Result<(), axum::Error> {
    if app.world().exchange.faults().ticker_dead {
        return Ok(());
    }
    sink.send(Message::Binary(Bytes::from_static(packet::HEARTBEAT))).await
}
