//! Whether the day holds together: the broker is flat, journal, tables and
//! the exchange's books agree to the paisa, nothing was sent twice.

use std::collections::BTreeMap;

use anyhow::Context as _;
use chrono::NaiveDate;
use serde_json::Value;

use super::stage::Stage;
use crate::engine::ledger::{OrderRecord, TradeRecord};
use crate::engine::{Command, notice::NoticeKind};
use crate::engine::{Engine, Fact, Mode};
use crate::journal;
use crate::market::{Money, Price};
use crate::store::{Role, Store};

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) what: String,
    pub(super) sound: bool,
    pub(super) detail: String,
}

fn finding(what: &str, sound: bool, detail: String) -> Finding {
    Finding { what: what.into(), sound, detail }
}

/// Looks at everything.
pub(super) fn check(stage: &Stage, books: &Value, date: NaiveDate) -> anyhow::Result<Vec<Finding>> {
    let store = Store::open(&stage.data_dir(), Role::Reader, Mode::Demo)?;
    let trades = store.trades(date, date)?;
    let orders = store.orders(date)?;
    Ok(vec![
        flat(books)?,
        orders_agree(books, &orders)?,
        money_agrees(books, &trades)?,
        journal_agrees(&store, date, &trades)?,
        once_a_day(&store, date)?,
    ])
}

fn rows<'a>(books: &'a Value, name: &str) -> anyhow::Result<&'a Vec<Value>> {
    books[name].as_array().with_context(|| format!("the books have no {name}"))
}

fn text<'a>(row: &'a Value, name: &str) -> &'a str {
    row[name].as_str().unwrap_or_default()
}

fn flat(books: &Value) -> anyhow::Result<Finding> {
    let held: Vec<String> = rows(books, "positions")?
        .iter()
        .filter(|row| row["quantity"].as_i64() != Some(0))
        .map(|row| format!("{} {}", row["quantity"], text(row, "tradingsymbol")))
        .collect();
    let done = ["COMPLETE", "CANCELLED", "REJECTED"];
    let working: Vec<&str> = rows(books, "orders")?
        .iter()
        .filter(|row| !done.contains(&text(row, "status")))
        .map(|row| text(row, "order_id"))
        .collect();
    let sound = held.is_empty() && working.is_empty();
    let detail = format!("{} held, {} working", held.join(", "), working.len());
    let detail = if sound { "nothing held, nothing working".into() } else { detail };
    Ok(finding("the broker is flat", sound, detail))
}

fn orders_agree(books: &Value, ours: &[OrderRecord]) -> anyhow::Result<Finding> {
    let mut theirs: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows(books, "orders")? {
        *theirs.entry(text(row, "tag")).or_default() += 1;
    }
    let doubled: Vec<&&str> =
        theirs.iter().filter(|(_, count)| **count > 1).map(|(tag, _)| tag).collect();
    let known: Vec<&str> = ours.iter().map(|order| order.tag.as_str()).collect();
    let foreign: Vec<&&str> = theirs.keys().filter(|tag| !known.contains(tag)).collect();
    let filled: i64 =
        rows(books, "orders")?.iter().filter_map(|row| row["filled_quantity"].as_i64()).sum();
    let ours_filled: i64 = ours.iter().map(|order| order.filled).sum();
    let sound = doubled.is_empty() && foreign.is_empty() && filled == ours_filled;
    let detail = format!(
        "{} orders at the exchange, {} in the journal, {filled} and {ours_filled} units filled, \
         doubled {doubled:?}, unknown {foreign:?}",
        rows(books, "orders")?.len(),
        ours.len(),
    );
    Ok(finding("every order is known and none is doubled", sound, detail))
}

fn money(value: &Value) -> anyhow::Result<Money> {
    let price: Option<Price> = match value.as_str() {
        Some(text) => text.parse().ok(),
        None => value.as_f64().and_then(Price::from_f64_rupees),
    };
    Ok(Money::from_paise(price.context("an amount of the books is unreadable")?.paise()))
}

fn money_agrees(books: &Value, trades: &[TradeRecord]) -> anyhow::Result<Finding> {
    let at_exchange = money(&books["cash"])? - money(&books["opening_cash"])?;
    let ours: Money = trades.iter().map(|trade| trade.gross).sum();
    let detail = format!("₹{} at the exchange, ₹{} here", at_exchange.signed(), ours.signed());
    Ok(finding("gross result agrees to the paisa", at_exchange == ours, detail))
}

/// Replays the journal through a fresh engine: the same commands must come
/// out, and the trades among them must be those of the tables.
fn journal_agrees(
    store: &Store,
    date: NaiveDate,
    trades: &[TradeRecord],
) -> anyhow::Result<Finding> {
    let mut engine = Engine::new();
    let mut replayed: BTreeMap<String, TradeRecord> = BTreeMap::new();
    let entries = journal::entries(store, date)?;
    let found = journal::replay(&mut engine, &entries, |_, _, commands| {
        for command in commands {
            if let Command::Record(Fact::Trade(trade)) = command {
                replayed.insert(trade.trade_id.clone(), (**trade).clone());
            }
        }
    });
    if let Err(mismatch) = found {
        return Ok(finding("the journal replays to the same", false, mismatch.to_string()));
    }
    let sound = replayed.len() == trades.len()
        && trades.iter().all(|trade| replayed.get(&trade.trade_id) == Some(trade));
    let detail = format!("{} entries, {} trades", entries.len(), replayed.len());
    Ok(finding("the journal replays to the same", sound, detail))
}

fn once_a_day(store: &Store, date: NaiveDate) -> anyhow::Result<Finding> {
    let mut counts: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for post in store.outbox_of(date)? {
        let entry = counts.entry(post.notice.kind.as_str()).or_default();
        entry.0 += 1;
        entry.1 += post
            .delivery
            .map_or(0, |delivery| u32::try_from(delivery.message_ids.len()).unwrap_or(0).min(1));
    }
    let kinds = [NoticeKind::Authenticated, NoticeKind::PreMarket, NoticeKind::Summary];
    let of = |kind: NoticeKind| counts.get(kind.as_str()).copied().unwrap_or_default();
    let sound = kinds.into_iter().all(|kind| of(kind) == (1, 1));
    let detail: Vec<String> = kinds
        .into_iter()
        .map(|kind| format!("{} {}/{}", kind.as_str(), of(kind).1, of(kind).0))
        .collect();
    Ok(finding("once-a-day messages were sent once", sound, detail.join(", ")))
}
