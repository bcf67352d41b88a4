//! `/trades`, `/summary`, `/week`, `/month`.

use std::collections::BTreeMap;

use chrono::{Datelike as _, Days, Months, NaiveDate};

use super::super::html::Page;
use super::Scene;
use crate::engine::ledger::TradeRecord;
use crate::market::time::ist;
use crate::market::{Money, Price};
use crate::store::{Store, StoreError};

/// Trades shown one by one, at most.
const LISTED_MAX: usize = 60;

pub(super) fn trades(
    store: &Store,
    scene: Scene<'_>,
    date: Option<NaiveDate>,
) -> Result<Page, StoreError> {
    let date = date.unwrap_or_else(|| scene.today());
    let trades = store.trades(date, date)?;
    let mut page = scene.page().title(format!("Trades of {date}"));
    let entered: Vec<&TradeRecord> = trades.iter().filter(|trade| trade.quantity > 0).collect();
    if entered.is_empty() {
        return Ok(page.line("None."));
    }
    for trade in entered.iter().take(LISTED_MAX) {
        page = page.gap().title(format!("{} {}", trade.trade_id, trade.contract.symbol));
        page = page.line(format!(
            "{} {} · {}",
            trade.direction.as_str(),
            trade.setup,
            trade.structure
        ));
        page = page.table(lines(trade));
    }
    Ok(totals(page.gap(), &entered))
}

fn lines(trade: &TradeRecord) -> Vec<String> {
    let time = |at: Option<crate::market::Timestamp>| {
        at.map_or("--:--:--".to_string(), |at| ist(at).format("%H:%M:%S").to_string())
    };
    let entry = trade.entry_value.per_unit(trade.quantity).unwrap_or(Price::ZERO);
    let mut lines = vec![format!("in  {} {entry} x {}", time(trade.entered_at), trade.quantity)];
    if trade.closed_quantity > 0 {
        let exit = trade.exit_value.per_unit(trade.closed_quantity).unwrap_or(Price::ZERO);
        let reason = trade.exit_reason.map_or("", |reason| reason.as_str());
        lines.push(format!("out {} {exit} {reason}", time(trade.exited_at)));
    } else {
        lines.push("open".into());
    }
    let net = trade.net().signed();
    lines.push(format!("net {net} = {} - {}", trade.gross.signed(), trade.charges.grouped()));
    lines
}

fn totals(page: Page, trades: &[&TradeRecord]) -> Page {
    let closed: Vec<&&TradeRecord> = trades.iter().filter(|trade| trade.is_closed()).collect();
    if closed.is_empty() {
        return page.line("None closed yet.");
    }
    let nets: Vec<Money> = closed.iter().map(|trade| trade.net()).collect();
    let wins = nets.iter().filter(|net| **net > Money::ZERO).count();
    let gross: Money = closed.iter().map(|trade| trade.gross).sum();
    let charges: Money = closed.iter().map(|trade| trade.charges).sum();
    let net: Money = nets.iter().copied().sum();
    let count = closed.len();
    let average = Money::from_paise(net.paise() / count as i64);
    let rate = 1000 * wins / count;
    let best = nets.iter().max().copied().unwrap_or_default();
    let worst = nets.iter().min().copied().unwrap_or_default();
    page.field("Trades", format!("{count}: {wins} won, {} lost", count - wins))
        .field("Win rate", format!("{}.{} %", rate / 10, rate % 10))
        .field("Gross", format!("₹{}", gross.signed()))
        .field("Charges (estimated)", format!("₹{}", charges.grouped()))
        .field("Net", format!("₹{}", net.signed()))
        .field("Average", format!("₹{}", average.signed()))
        .field("Best / worst", format!("₹{} / ₹{}", best.signed(), worst.signed()))
        .field("Deepest fall", format!("₹{}", deepest_fall(&nets).grouped()))
}

/// How far the sum of results fell below its highest point.
fn deepest_fall(nets: &[Money]) -> Money {
    let (mut sum, mut top, mut fall) = (Money::ZERO, Money::ZERO, Money::ZERO);
    for net in nets {
        sum += *net;
        top = top.max(sum);
        fall = fall.max(top - sum);
    }
    fall
}

fn groups(page: Page, trades: &[&TradeRecord]) -> Page {
    let mut by_setup: BTreeMap<&str, u32> = BTreeMap::new();
    let mut by_exit: BTreeMap<&str, u32> = BTreeMap::new();
    for trade in trades {
        *by_setup.entry(&trade.setup).or_default() += 1;
        if let Some(reason) = trade.exit_reason {
            *by_exit.entry(reason.as_str()).or_default() += 1;
        }
    }
    let list = |counts: &BTreeMap<&str, u32>| {
        let parts: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        parts.join(", ")
    };
    page.field("By setup", list(&by_setup)).field("By exit", list(&by_exit))
}

pub(super) fn summary(
    store: &Store,
    scene: Scene<'_>,
    date: Option<NaiveDate>,
) -> Result<Page, StoreError> {
    let date = date.unwrap_or_else(|| scene.today());
    let trades = store.trades(date, date)?;
    let entered: Vec<&TradeRecord> = trades.iter().filter(|trade| trade.quantity > 0).collect();
    let page = scene.page().title(format!("Day {date}"));
    if entered.is_empty() {
        return Ok(page.line("No trades."));
    }
    let mut page = groups(totals(page, &entered), &entered);
    for summary in store.summaries(date, date)? {
        page = page.field("At the end", if summary.flat { "flat" } else { "NOT flat" });
    }
    Ok(page)
}

pub(super) fn week(store: &Store, scene: Scene<'_>) -> Result<Page, StoreError> {
    let today = scene.today();
    let monday = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
    span(store, scene, "Week", monday, today)
}

pub(super) fn month(
    store: &Store,
    scene: Scene<'_>,
    first: Option<NaiveDate>,
) -> Result<Page, StoreError> {
    let today = scene.today();
    let first = first.unwrap_or_else(|| today - Days::new(u64::from(today.day0())));
    let last = first + Months::new(1) - Days::new(1);
    span(store, scene, "Month", first, last.min(today))
}

fn span(
    store: &Store,
    scene: Scene<'_>,
    name: &str,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Page, StoreError> {
    let trades = store.trades(from, to)?;
    let entered: Vec<&TradeRecord> = trades.iter().filter(|trade| trade.quantity > 0).collect();
    let page = scene.page().title(format!("{name} {from} to {to}"));
    if entered.is_empty() {
        return Ok(page.line("No trades."));
    }
    let mut by_day: BTreeMap<NaiveDate, (u32, Money)> = BTreeMap::new();
    for trade in &entered {
        let day = by_day.entry(trade.date).or_default();
        day.0 += 1;
        day.1 += trade.net();
    }
    let lines = by_day.iter().map(|(day, (count, net))| {
        format!("{} {count:>2} {:>14}", day.format("%a %d %b"), net.signed())
    });
    Ok(groups(totals(page.table(lines).gap(), &entered), &entered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_from_the_highest_point() {
        let check = |rupees: &[i64], fall: i64| {
            let nets: Vec<Money> = rupees.iter().map(|net| Money::from_rupees(*net)).collect();
            assert_eq!(deepest_fall(&nets), Money::from_rupees(fall));
        };
        check(&[], 0);
        check(&[100, 200], 0);
        check(&[-50], 50);
        check(&[100, -30, 50, -120, 10], 120);
    }
}
