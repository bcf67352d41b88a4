//! `pivotctl trades`.

use std::process::ExitCode;

use chrono::NaiveDate;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::WrongUsage;
use super::calendar::parse_date;
use super::data::{DataArgs, day_or_last};
use crate::engine::ledger::TradeRecord;
use crate::market::time::{ist, ist_text};
use crate::market::{Price, Timestamp};
use crate::store::figures::Figures;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl trades\n  pivotctl trades --date 2026-11-23\n  \
                        pivotctl trades --from 2026-11-01 --to 2026-11-30 --json")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    days: DayArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One day or a span of days.
#[derive(Debug, clap::Args)]
pub(super) struct DayArgs {
    /// The day; the last one with records when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date, conflicts_with_all = ["from", "to"])]
    date: Option<NaiveDate>,
    /// First day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    from: Option<NaiveDate>,
    /// Last day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    to: Option<NaiveDate>,
}

impl DayArgs {
    /// Refuses a span that ends before it begins.
    pub(super) fn check(&self) -> Result<(), WrongUsage> {
        match (self.from, self.to) {
            (Some(from), Some(to)) if from > to => {
                Err(WrongUsage(format!("--from {from} is later than --to {to}")))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }

    /// First and last day meant.
    pub(super) fn span(
        &self,
        store: &crate::store::Store,
    ) -> anyhow::Result<(NaiveDate, NaiveDate)> {
        if self.from.is_none() && self.to.is_none() {
            let day = day_or_last(store, self.date)?;
            return Ok((day, day));
        }
        let last = || day_or_last(store, None);
        let to = self.to.map_or_else(last, Ok)?;
        Ok((self.from.unwrap_or(to), to))
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.days.check()?;
    let store = args.data.reader()?;
    let (from, to) = args.days.span(&store)?;
    let trades = store.trades(from, to)?;
    if args.json {
        let trades: Vec<Value> = trades.iter().map(to_json).collect();
        let mode = store.mode().as_str();
        outln!("{}", json!({ "mode": mode, "from": from, "to": to, "trades": trades }));
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{} {}", store.mode().as_str().to_uppercase(), days_text(from, to));
    if trades.is_empty() {
        outln!("no trades");
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}", table(&trades));
    let figures = Figures::of(&trades);
    outln!(
        "{} closed, gross {}, charges {}, net {}",
        figures.trades,
        figures.gross.signed(),
        figures.charges.grouped(),
        figures.net().signed(),
    );
    Ok(ExitCode::SUCCESS)
}

/// `2026-11-23`, or `2026-11-01 to 2026-11-30`.
pub(super) fn days_text(from: NaiveDate, to: NaiveDate) -> String {
    if from == to { from.to_string() } else { format!("{from} to {to}") }
}

fn table(trades: &[TradeRecord]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header([
        "trade", "contract", "side", "setup", "units", "in", "at", "out", "at", "why", "net",
    ]);
    for trade in trades {
        table.add_row([
            trade.trade_id.clone(),
            trade.contract.symbol.clone(),
            trade.direction.as_str().to_owned(),
            trade.setup.clone(),
            trade.quantity.to_string(),
            time_text(trade.entered_at),
            price_text(trade.entry_value.per_unit(trade.quantity)),
            time_text(trade.exited_at),
            price_text(trade.exit_value.per_unit(trade.closed_quantity)),
            trade.exit_reason.map_or("open", |reason| reason.as_str()).to_owned(),
            trade.net().signed(),
        ]);
    }
    for place in [4, 6, 8, 10] {
        if let Some(column) = table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// A trade as JSON: rupees as decimal text, times in IST with their offset.
pub(super) fn to_json(trade: &TradeRecord) -> Value {
    json!({
        "trade_id": trade.trade_id,
        "date": trade.date,
        "signal": trade.signal.to_string(),
        "contract": trade.contract.to_string(),
        "direction": trade.direction.as_str(),
        "setup": trade.setup,
        "structure": trade.structure,
        "first_candle": trade.first_candle,
        "re_entry": trade.re_entry,
        "quantity": trade.quantity,
        "entry_time": trade.entered_at.map(ist_text),
        "entry_price": text(trade.entry_value.per_unit(trade.quantity)),
        "stop": text(Some(trade.stop)),
        "first_target": text(trade.first_target),
        "target": text(Some(trade.target)),
        "resting_stop": text(trade.resting_stop),
        "closed": trade.is_closed(),
        "closed_quantity": trade.closed_quantity,
        "exit_time": trade.exited_at.map(ist_text),
        "exit_price": text(trade.exit_value.per_unit(trade.closed_quantity)),
        "exit_reason": trade.exit_reason.map(|reason| reason.as_str()),
        "candles_held": trade.candles_held,
        "gross": text(Some(trade.gross)),
        "charges": text(Some(trade.charges)),
        "net": text(Some(trade.net())),
    })
}

/// A price or an amount as decimal text.
pub(super) fn text<T: std::fmt::Display>(value: Option<T>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn price_text(price: Option<Price>) -> String {
    price.map_or_else(|| "-".to_owned(), |price| price.to_string())
}

/// Time of day in India.
pub(super) fn time_text(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "-".to_owned(), |at| ist(at).format("%H:%M:%S").to_string())
}
