//! What the server's tasks share: the exchange and all that hangs on it,
//! under one lock.
//!
//! Whoever holds the lock first moves the exchange to the present. Market
//! seconds are lived through one by one, and each hands its frames to the
//! tickers before the next begins.

use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use chrono::{NaiveDate, TimeDelta};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

use super::journal::RequestLog;
use super::json;
use super::limits::{Bucket, Limits};
use super::session::Sessions;
use super::ticker::hub::{Hub, Seat};
use super::{SimOptions, StartError};
use crate::clock::Clock;
use crate::market::time::{from_ist, hms, ist_date};
use crate::market::{Exchange as Venue, Timestamp};
use crate::sim::exchange::{CarriedPosition, Exchange, ExchangeConfig, ExchangeEvent, Source};
use crate::sim::faults::Faults;

/// Real time between heartbeats of a ticker.
const HEARTBEAT_PERIOD: Duration = Duration::from_secs(3);

/// Postbacks that may wait for their receiver; more are lost, as they would
/// be with the real broker.
pub(super) const POSTBACKS_MAX: usize = 4_096;

/// Order events remembered for answers that must come after their event.
const RECENT_EVENTS_MAX: usize = 256;

/// One running server.
#[derive(Debug)]
pub(super) struct App {
    pub(super) options: SimOptions,
    /// Requests that are being worked on.
    pub(super) in_flight: AtomicU32,
    clock: Clock,
    world: Mutex<World>,
}

/// The exchange, its clients and their traces.
#[derive(Debug)]
pub(super) struct World {
    pub(super) exchange: Exchange,
    pub(super) sessions: Sessions,
    pub(super) log: RequestLog,
    pub(super) hub: Hub,
    pub(super) instrument_files: BTreeMap<Option<Venue>, Bytes>,
    limits: Option<Limits>,
    postbacks: mpsc::Sender<String>,
    config: ExchangeConfig,
    pumped: Timestamp,
    recent_events: Vec<String>,
    ticker_cuts: u32,
    rolled_to: NaiveDate,
}

impl App {
    pub(super) fn new(
        options: SimOptions,
        clock: Clock,
        postbacks: mpsc::Sender<String>,
    ) -> Result<App, StartError> {
        let world = World::new(&options, clock.now(), postbacks)?;
        Ok(App { options, in_flight: AtomicU32::new(0), clock, world: Mutex::new(world) })
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The world, whoever held it before.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Real time until the next heartbeat of a ticker.
    pub(super) fn heartbeat_period(&self) -> Duration {
        let late = super::faults::number(self.world().exchange.faults(), "heartbeat_late_ms");
        HEARTBEAT_PERIOD + Duration::from_millis(late)
    }
}

impl World {
    fn new(
        options: &SimOptions,
        now: Timestamp,
        postbacks: mpsc::Sender<String>,
    ) -> Result<World, StartError> {
        let mut config = ExchangeConfig::new(options.seed, ist_date(now));
        config.start = now;
        config.opening_cash = options.cash;
        config.user_id = options.user_id.clone();
        config.script = options.script.clone();
        let exchange = Exchange::new(config.clone())?;
        Ok(World {
            exchange,
            sessions: Sessions::new(&options.api_key, options.api_secret.clone(), options.seed),
            log: RequestLog::default(),
            hub: Hub::default(),
            instrument_files: BTreeMap::new(),
            limits: options.counts_requests().then(Limits::default),
            postbacks,
            config,
            pumped: whole_second(now),
            recent_events: Vec::new(),
            ticker_cuts: 0,
            rolled_to: ist_date(now),
        })
    }

    /// The instant up to which the exchange has lived.
    pub(super) fn now(&self) -> Timestamp {
        self.exchange.now().max(self.pumped)
    }

    /// The last market second that is complete.
    pub(super) fn pumped(&self) -> Timestamp {
        self.pumped
    }

    /// Lives until `now`, second by second.
    pub(super) fn advance(&mut self, now: Timestamp) {
        while self.step(now) {}
        let events = self.exchange.advance(now);
        self.publish(&events);
    }

    /// Lives at most `seconds_max` seconds towards `now`. True when it is there.
    pub(super) fn advance_some(&mut self, now: Timestamp, seconds_max: u32) -> bool {
        for _ in 0..seconds_max {
            if !self.step(now) {
                let events = self.exchange.advance(now);
                self.publish(&events);
                return true;
            }
        }
        false
    }

    fn step(&mut self, now: Timestamp) -> bool {
        let second = self.pumped + TimeDelta::seconds(1);
        if second > now {
            return false;
        }
        self.roll_day(second);
        let events = self.exchange.advance(second);
        self.publish(&events);
        self.cut_tickers();
        self.hub.publish_second(&self.exchange, second, self.exchange.faults());
        self.pumped = second;
        true
    }

    fn publish(&mut self, events: &[ExchangeEvent]) {
        for event in events {
            let user_id = self.exchange.user_id();
            let data = json::order_event(event, user_id).into();
            self.hub.publish_order(&data, self.exchange.faults());
            if event.kind.is_posted() && event.row.source == Source::Api {
                let stamp = json::stamp(event.row.order_timestamp);
                let checksum = self.sessions.checksum(&[&event.row.order_id, &stamp]);
                let body = json::postback(event, user_id, checksum).to_string();
                if self.postbacks.try_send(body).is_err() {
                    tracing::warn!(order = event.row.order_id, "a postback was not sent");
                }
            }
            if self.recent_events.len() >= RECENT_EVENTS_MAX {
                self.recent_events.remove(0);
            }
            self.recent_events.push(event.row.order_id.clone());
        }
    }

    /// True when an event of this order has gone out lately.
    pub(super) fn has_told_of(&self, order_id: &str) -> bool {
        self.recent_events.iter().any(|told| told == order_id)
    }

    /// Takes in a ticker whose session is alive.
    pub(super) fn seat_ticker(&mut self, access_token: &str) -> Seat {
        self.hub.join(access_token, &self.exchange, self.pumped)
    }

    /// Cuts tickers off when the switches say so.
    pub(super) fn cut_tickers(&mut self) {
        if self.exchange.faults().session_end_cuts_tickers {
            let (now, expired) = (self.now(), self.exchange.faults().token_expired);
            self.hub.keep(|token| !expired && self.sessions.is_open(now, token));
        }
        if Faults::take(&mut self.exchange.faults_mut().ticker_drop) {
            self.ticker_cuts += 1;
            self.hub.cut_all();
        }
    }

    pub(super) fn ticker_cuts(&self) -> u32 {
        self.ticker_cuts
    }

    /// Carries out what a ticker's client asks for.
    pub(super) fn hear_ticker(&mut self, id: u64, words: &str) {
        self.hub.hear(id, words, &self.exchange, self.pumped);
    }

    /// True while this pair opens doors.
    pub(super) fn is_alive(&self, api_key: &str, access_token: &str) -> bool {
        !self.exchange.faults().token_expired
            && self.sessions.is_alive(self.now(), api_key, access_token)
    }

    /// Counts a request; false when it is one too many.
    pub(super) fn admit(&mut self, bucket: Bucket) -> bool {
        let today = ist_date(self.pumped);
        self.limits.as_mut().is_none_or(|limits| limits.admit(bucket, Instant::now(), today))
    }

    /// On the morning of another trading day sets up that day: carried
    /// positions and cash come along, orders and trades do not.
    fn roll_day(&mut self, second: Timestamp) {
        let date = ist_date(second);
        if date <= self.rolled_to {
            return;
        }
        self.rolled_to = date;
        let next = ExchangeConfig {
            date,
            start: midnight(date),
            opening_cash: self.exchange.books().cash,
            carried: self.carried(),
            script: Vec::new(),
            faults: self.exchange.faults().clone(),
            ..self.config.clone()
        };
        // A closed day changes nothing: the last session stays in view.
        if let Ok(exchange) = Exchange::new(next.clone()) {
            self.config = next;
            self.exchange = exchange;
            self.instrument_files.clear();
        }
    }

    fn carried(&self) -> Vec<CarriedPosition> {
        let positions = self.exchange.positions().net;
        let open = positions.into_iter().filter(|row| row.quantity != 0);
        open.map(|row| CarriedPosition {
            price: row.last_price,
            instrument: row.instrument,
            product: row.product,
            quantity: row.quantity,
        })
        .collect()
    }
}

fn midnight(date: NaiveDate) -> Timestamp {
    from_ist(date, hms(0, 0, 0))
}

fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_timestamp(at.timestamp(), 0).unwrap_or(at)
}
