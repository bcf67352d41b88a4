//! All that is written of one trade, in the order of time.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta};
use serde_json::Value;

use super::Step;
use super::engine::Follower;
use crate::engine::ledger::TradeRecord;
use crate::journal;
use crate::market::time::{from_ist, hms, ist_date};
use crate::market::{OrderId, Timestamp};
use crate::ops::logs::{fields, one_line};
use crate::store::{DeliveryState, Post, Store};
use crate::telemetry::rows::{Entry, LogQuery, ROWS_MAX, Reader};

/// Days of a trade that are looked into: positions are closed each day, and
/// one that was not may outlive a few.
const DAYS_MAX: usize = 10;

/// Postbacks read at a time.
const POSTBACKS: u32 = 1_000;

/// The story; empty when nobody knows the trade.
pub(super) fn story(
    store: &Store,
    readers: &[Reader],
    id: &str,
    trade: Option<&TradeRecord>,
) -> anyhow::Result<Vec<Step>> {
    let days = days(store, id, trade)?;
    let mut follower = Follower::new(id, trade);
    let mut steps = Vec::new();
    for day in &days {
        follower.begin_day(&store.orders(*day)?);
        for entry in journal::entries(store, *day)? {
            follower.entry(&entry);
        }
        let posts = store.outbox_of(*day)?;
        let ours = posts.iter().filter(|post| post.notice.trade.as_deref() == Some(id));
        ours.for_each(|post| messages(post, &mut steps));
    }
    if let (Some(first), Some(last)) = (days.first(), days.last()) {
        let from = from_ist(*first, hms(0, 0, 0));
        let until = from_ist(*last, hms(0, 0, 0)) + TimeDelta::days(1);
        postbacks(store, &follower.orders, (from, until), &mut steps)?;
        for reader in readers {
            for order in &follower.orders {
                let q = Some(order.to_string());
                let (since, until) = (Some(from), Some(until));
                let query = LogQuery { q, since, until, ..LogQuery::default() };
                logs(reader, query, &mut steps)?;
            }
        }
    }
    for reader in readers {
        let query = LogQuery { correlation_id: Some(id.to_owned()), ..LogQuery::default() };
        logs(reader, query, &mut steps)?;
    }
    // What stands in the journal first, where instants are the same.
    let mut story = follower.steps;
    story.append(&mut steps);
    story.sort_by_key(|step| step.at);
    let mut seen = BTreeSet::new();
    story.retain(|step| {
        // A row that names an order of the trade is found twice.
        step.source != "log" || seen.insert((step.at, step.service.clone(), step.what.clone()))
    });
    Ok(story)
}

/// The days that the trade lived.
fn days(store: &Store, id: &str, trade: Option<&TradeRecord>) -> anyhow::Result<Vec<NaiveDate>> {
    let (first, last) = match trade {
        Some(trade) => {
            let last = match trade.exited_at.filter(|_| trade.is_closed()) {
                Some(at) => ist_date(at),
                None => journal::last_day(store, None)?.unwrap_or(trade.date),
            };
            (trade.date, last)
        }
        // An order that never filled made no trade; its id tells the day.
        None => {
            let date = id.get(..8).and_then(|day| NaiveDate::parse_from_str(day, "%Y%m%d").ok());
            let Some(date) = date else { return Ok(Vec::new()) };
            (date, date)
        }
    };
    Ok(first.iter_days().take_while(|day| *day <= last).take(DAYS_MAX).collect())
}

/// A notice and its delivery.
fn messages(post: &Post, steps: &mut Vec<Step>) {
    let notice = &post.notice;
    let fields: String =
        notice.fields.iter().map(|(name, value)| format!(" · {name} {value}")).collect();
    let what = one_line(&format!("notice {}: {}{fields}", post.id, notice.headline));
    steps.push(Step { at: notice.at, service: "trading".to_owned(), source: "message", what });
    let Some(delivery) = &post.delivery else { return };
    let times = match delivery.attempts {
        0 | 1 => String::new(),
        attempts => format!(" at attempt {attempts}"),
    };
    let error = delivery.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let state = match delivery.state {
        DeliveryState::Sent => {
            let ids: Vec<String> = delivery.message_ids.iter().map(i64::to_string).collect();
            format!("delivered as message {}", ids.join(", "))
        }
        DeliveryState::Sending => "on its way".to_owned(),
        DeliveryState::Failed => "not delivered yet".to_owned(),
        DeliveryState::Summed => "told in a summary of old messages".to_owned(),
        DeliveryState::Dropped => "not sent".to_owned(),
    };
    let what = one_line(&format!("notice {} {state}{times}{error}", post.id));
    steps.push(Step { at: delivery.at, service: "bot".to_owned(), source: "message", what });
}

/// Hints that the broker sent of the trade's orders.
fn postbacks(
    store: &Store,
    orders: &BTreeSet<OrderId>,
    (from, until): (Timestamp, Timestamp),
    steps: &mut Vec<Step>,
) -> anyhow::Result<()> {
    let mut after = 0;
    loop {
        let found = store.postbacks_after(after, POSTBACKS)?;
        let Some(last) = found.last() else { return Ok(()) };
        after = last.id;
        for hint in &found {
            let is_ours = orders.iter().any(|order| order.0 == hint.order_id);
            if !is_ours || hint.at < from || hint.at >= until {
                continue;
            }
            let payload: Option<Value> = serde_json::from_str(&hint.payload).ok();
            let status = payload.as_ref().and_then(|order| order["status"].as_str());
            let status = one_line(status.unwrap_or("-"));
            let what = format!("postback of order {}: {status}", hint.order_id);
            let service = "auth".to_owned();
            steps.push(Step { at: hint.at, service, source: "postback", what });
        }
    }
}

/// Rows of the log database, all pages of them.
fn logs(reader: &Reader, query: LogQuery, steps: &mut Vec<Step>) -> anyhow::Result<()> {
    let mut query = LogQuery { limit: ROWS_MAX, ..query };
    loop {
        let page = reader.page(&query)?;
        steps.extend(page.entries.iter().map(log));
        if page.next.is_none() {
            return Ok(());
        }
        query.cursor = page.next;
    }
}

fn log(entry: &Entry) -> Step {
    let row = &entry.row;
    let message = one_line(&row.message);
    let what = format!("{} {message}{}", row.level.as_str(), fields(&row.data));
    Step { at: row.at, service: row.service.to_string(), source: "log", what }
}
