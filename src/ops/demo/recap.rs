//! The end of a demo day: its trades, what was checked, where things lie.

use chrono::NaiveDate;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{CellAlignment, Table};

use super::check::Finding;
use super::stage::Stage;
use crate::engine::Mode;
use crate::engine::ledger::TradeRecord;
use crate::market::Money;
use crate::market::time::ist;
use crate::store::{Role, Store};
use crate::trading::picture_path;

/// Prints the day; true when every finding is sound.
pub(super) fn show(stage: &Stage, date: NaiveDate, findings: &[Finding]) -> anyhow::Result<bool> {
    let store = Store::open(&stage.data_dir(), Role::Reader, Mode::Demo)?;
    let trades = store.trades(date, date)?;
    outln!();
    outln!("{}", table(&trades));
    let picture = picture_path(&stage.data_dir(), date);
    if picture.exists() {
        outln!("Picture   {}", picture.display());
    }
    outln!("Database  {}", stage.data_dir().join("trading.db").display());
    outln!("Logs      {}", stage.folder.join("logs").display());
    outln!();
    for finding in findings {
        let mark = if finding.sound { "✓" } else { "✗" };
        outln!("{mark} {}: {}", finding.what, finding.detail);
    }
    outln!();
    Ok(findings.iter().all(|finding| finding.sound))
}

fn table(trades: &[TradeRecord]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "trade", "contract", "setup", "in", "at", "out", "at", "reason", "gross", "charges", "net",
    ]);
    let time = |at: Option<crate::market::Timestamp>| {
        at.map(|at| ist(at).format("%H:%M:%S").to_string()).unwrap_or_default()
    };
    for trade in trades {
        table.add_row([
            trade.trade_id.clone(),
            trade.contract.symbol.clone(),
            format!("{} {}", trade.direction.as_str(), trade.setup),
            time(trade.entered_at),
            each(trade.entry_value, trade.quantity),
            time(trade.exited_at),
            each(trade.exit_value, trade.closed_quantity),
            trade.exit_reason.map_or("open", |reason| reason.as_str()).to_string(),
            trade.gross.signed(),
            trade.charges.grouped(),
            trade.net().signed(),
        ]);
    }
    let total = |value: fn(&TradeRecord) -> Money| trades.iter().map(value).sum::<Money>();
    let mut last = vec![String::new(); 8];
    last[0] = format!("{} trades", trades.len());
    last.push(total(|trade| trade.gross).signed());
    last.push(total(|trade| trade.charges).grouped());
    last.push(total(TradeRecord::net).signed());
    table.add_row(last);
    for column in [4, 6, 8, 9, 10] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn each(value: Money, units: i64) -> String {
    if units == 0 { String::new() } else { Money::from_paise(value.paise() / units).to_string() }
}
