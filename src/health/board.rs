//! The figures of the day, as the database has them: for programs that look
//! on, and for metrics.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use super::judge::Detail;
use crate::config::Config;
use crate::engine::ledger::TradeRecord;
use crate::market::time::ist_date;
use crate::market::{Money, Timestamp};
use crate::store::figures::Figures;
use crate::store::{Heartbeat, Store, StoreError};

/// Requests that are counted, at most.
const WAITING_MAX: u32 = 1_000;

/// Statuses of orders that are told apart; all others are `OTHER`.
const STATUSES: [&str; 5] = ["OPEN", "TRIGGER PENDING", "COMPLETE", "CANCELLED", "REJECTED"];

/// A limit and how much of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Used<T> {
    /// How much.
    pub used: T,
    /// Of how much.
    pub limit: T,
}

/// Permission as it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Allowed {
    /// `ACTIVE`, `REDUCING`, `HALTED`.
    pub state: &'static str,
    /// Why.
    pub reason: String,
    /// Who or what caused it.
    pub actor: String,
    /// Since when.
    pub since: Timestamp,
}

/// The broker session.
#[derive(Debug, Clone, Serialize)]
pub struct Login {
    /// When it was made.
    pub since: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// What is held.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// The trade.
    pub trade_id: String,
    /// The contract.
    pub contract: String,
    /// Units held now.
    pub quantity: i64,
    /// What leaving now would bring, in rupees, as pivot-trading last said.
    pub net: Option<String>,
}

/// The trades of the day. Amounts in rupees.
#[derive(Debug, Clone, Serialize)]
pub struct Today {
    /// The day.
    pub date: NaiveDate,
    /// Trades with a fill, the open one included.
    pub trades: usize,
    /// Closed ones that won.
    pub wins: u32,
    /// Closed ones that did not.
    pub losses: u32,
    /// Losing ones in a row, up to the last one.
    pub consecutive_losses: u32,
    /// Before charges, of the closed ones.
    pub gross: String,
    /// Estimated charges of the closed ones.
    pub charges: String,
    /// After charges, of the closed ones.
    pub net: String,
}

/// The orders of the day.
#[derive(Debug, Clone, Serialize)]
pub struct Orders {
    /// By the broker's status.
    pub by_status: BTreeMap<&'static str, u64>,
    /// Order messages: placed, changed, cancelled.
    pub messages: Option<u64>,
    /// How long the broker took to answer the last order call.
    pub round_trip_ms: Option<u64>,
}

/// The feed of prices.
#[derive(Debug, Clone, Serialize)]
pub struct Feed {
    /// `up` or `down`.
    pub state: Option<String>,
    /// Instruments whose prices are wanted.
    pub watched: u64,
    /// When the last price was worked off.
    pub last_price_at: Option<Timestamp>,
    /// Milliseconds that our clock is ahead of the broker's.
    pub clock_offset_ms: Option<i64>,
}

/// How much of the limits is used.
#[derive(Debug, Clone, Serialize)]
pub struct Limits {
    /// Loss of the day, in rupees; as pivot-trading last said.
    pub daily_loss: Option<Used<Rupees>>,
    /// Trades, of those that the configuration allows.
    pub trades: Used<u64>,
    /// Losing trades in a row, likewise.
    pub consecutive_losses: Used<u64>,
    /// Order messages, likewise.
    pub order_messages: Used<u64>,
}

/// What waits.
#[derive(Debug, Clone, Serialize)]
pub struct Waiting {
    /// Notices that have not arrived.
    pub outbox: u32,
    /// When the oldest of them was written.
    pub outbox_oldest: Option<Timestamp>,
    /// Requests without an answer.
    pub inbox: u64,
}

/// An amount that is shown in rupees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rupees(pub Money);

impl Serialize for Rupees {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_string())
    }
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Board {
    /// Market time.
    pub at: Timestamp,
    /// `demo`, `paper`, `live`.
    pub mode: &'static str,
    /// What pivot-trading is doing; `None` when it never ran.
    pub phase: Option<String>,
    /// Whether entries are allowed.
    pub permission: Option<Allowed>,
    /// The session that is valid now.
    pub session: Option<Login>,
    /// What is held.
    pub position: Option<Held>,
    /// Trades.
    pub today: Today,
    /// Candles judged today, by verdict.
    pub decisions: BTreeMap<String, u32>,
    /// Orders.
    pub orders: Orders,
    /// The feed.
    pub feed: Feed,
    /// Limits.
    pub limits: Limits,
    /// What waits.
    pub waiting: Waiting,
    /// The signs of life it was made from.
    #[serde(skip)]
    pub beats: Vec<Heartbeat>,
}

impl Board {
    /// Reads it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn gather(store: &Store, config: &Config, now: Timestamp) -> Result<Board, StoreError> {
        let day = ist_date(now);
        let beats = store.heartbeats()?;
        let trading = beats.iter().find(|beat| beat.service == "trading");
        // Figures of another day are not today's.
        let detail = trading.filter(|beat| ist_date(beat.at) == day).map(Detail::of);
        let detail = detail.unwrap_or_default();
        let trades = store.trades(day, day)?;
        let today = today(day, &trades);
        let (outbox, outbox_oldest) = store.outbox_backlog()?;
        let inbox = store.inbox_unanswered(WAITING_MAX)?.len() as u64;
        let session = store.session(now)?;
        let state = store.state()?;
        let position = store.open_trade()?.map(|trade| held(&trade, trading));
        Ok(Board {
            at: now,
            mode: store.mode().as_str(),
            phase: trading.map(|beat| beat.phase.clone()),
            permission: state.map(|state| Allowed {
                state: state.permission.as_str(),
                reason: state.reason,
                actor: state.actor,
                since: state.since,
            }),
            session: session
                .map(|session| Login { since: session.login_time, until: session.valid_until }),
            position,
            decisions: store.decision_counts(day)?.into_iter().collect(),
            orders: orders(store, day, &detail)?,
            limits: limits(config, &today, &detail),
            today,
            feed: Feed {
                state: detail.feed,
                watched: detail.watched,
                last_price_at: detail.last_price_at,
                clock_offset_ms: detail.clock_skew_ms,
            },
            waiting: Waiting { outbox, outbox_oldest, inbox },
            beats,
        })
    }
}

fn today(date: NaiveDate, trades: &[TradeRecord]) -> Today {
    let figures = Figures::of(trades);
    let closed = trades.iter().rev().filter(|trade| trade.is_closed());
    let losing = closed.take_while(|trade| trade.net() <= Money::ZERO).count();
    Today {
        date,
        trades: trades.iter().filter(|trade| trade.quantity > 0).count(),
        wins: figures.wins,
        losses: figures.losses,
        consecutive_losses: u32::try_from(losing).unwrap_or(u32::MAX),
        gross: figures.gross.to_string(),
        charges: figures.charges.to_string(),
        net: figures.net().to_string(),
    }
}

fn held(trade: &TradeRecord, trading: Option<&Heartbeat>) -> Held {
    let position = trading.and_then(|beat| beat.detail.get("position"));
    let same = |position: &&serde_json::Value| {
        position.get("trade_id").and_then(serde_json::Value::as_str) == Some(&trade.trade_id)
    };
    let net = position.filter(same).and_then(|position| position.get("net")?.as_str());
    Held {
        trade_id: trade.trade_id.clone(),
        contract: trade.contract.to_string(),
        quantity: trade.quantity - trade.closed_quantity,
        net: net.map(str::to_string),
    }
}

fn orders(store: &Store, day: NaiveDate, detail: &Detail) -> Result<Orders, StoreError> {
    let mut by_status: BTreeMap<&'static str, u64> =
        STATUSES.iter().chain(&["OTHER"]).map(|status| (*status, 0)).collect();
    for order in store.orders(day)? {
        let known = STATUSES.iter().find(|status| **status == order.status);
        *by_status.entry(known.copied().unwrap_or("OTHER")).or_default() += 1;
    }
    Ok(Orders {
        by_status,
        messages: detail.order_messages,
        round_trip_ms: detail.order_round_trip_ms,
    })
}

fn limits(config: &Config, today: &Today, detail: &Detail) -> Limits {
    let money = |text: &Option<String>| text.as_ref().and_then(|text| text.parse::<Money>().ok());
    let loss = money(&detail.net).zip(money(&detail.daily_loss_limit));
    let loss = loss.filter(|(_, limit)| *limit > Money::ZERO);
    let risk = &config.risk_management;
    Limits {
        daily_loss: loss
            .map(|(net, limit)| Used { used: Rupees(-net.min(Money::ZERO)), limit: Rupees(limit) }),
        trades: Used { used: today.trades as u64, limit: u64::from(risk.max_trades_per_day) },
        consecutive_losses: Used {
            used: u64::from(today.consecutive_losses),
            limit: u64::from(risk.max_consecutive_losses),
        },
        order_messages: Used {
            used: detail.order_messages.unwrap_or(0),
            limit: u64::from(config.orders.max_messages_per_day),
        },
    }
}
