//! The tables that are meant for people, row by row.

use std::ops::ControlFlow;

use chrono::NaiveDate;
use rusqlite::types::ValueRef;

use super::columns::Day;
use super::{Store, StoreError};

/// A table that is meant for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// Trades, one row each.
    Trades,
    /// Orders and what became of them.
    Orders,
    /// What was decided about each candle.
    Decisions,
    /// Candles that signalled.
    Signals,
    /// Figures of the days.
    DailySummary,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A whole number.
    Whole(i64),
    /// A number with decimals.
    Decimal(f64),
    /// Text.
    Text(String),
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 5] =
        [Table::Trades, Table::Orders, Table::Decisions, Table::Signals, Table::DailySummary];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Table::Trades => "trades",
            Table::Orders => "orders",
            Table::Decisions => "decisions",
            Table::Signals => "signals",
            Table::DailySummary => "daily_summary",
        }
    }

    /// The table of this name.
    pub fn parse(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.as_str() == name)
    }

    const fn order(self) -> &'static str {
        match self {
            Table::Trades => "date, trade_id",
            Table::Orders => "date, intent",
            Table::Decisions => "id",
            Table::Signals => "signal_id",
            Table::DailySummary => "date, instrument",
        }
    }
}

/// The column that this program reads itself, in a form of its own.
const OWN: &str = "record";

impl Store {
    /// Names of a table's columns, as [`Store::export`] gives them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn export_columns(&self, table: Table) -> Result<Vec<String>, StoreError> {
        self.read(table.as_str(), |connection| {
            let sql = format!("SELECT * FROM {} LIMIT 0", table.as_str());
            let statement = connection.prepare(&sql)?;
            let names = statement.column_names().filter(|name| *name != OWN);
            Ok(names.map(str::to_string).collect())
        })
    }

    /// Shows `each` the rows of a table from one IST day to another (both
    /// included; absent: without that bound), until it breaks off.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn export(
        &self,
        table: Table,
        from: Option<NaiveDate>,
        to: Option<NaiveDate>,
        mut each: impl FnMut(&[Cell]) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let columns = self.export_columns(table)?;
        self.read(table.as_str(), |connection| {
            let sql = format!(
                "SELECT {} FROM {} WHERE (?1 IS NULL OR date >= ?1)
                 AND (?2 IS NULL OR date <= ?2) ORDER BY {}",
                columns.join(", "),
                table.as_str(),
                table.order()
            );
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query((from.map(Day), to.map(Day)))?;
            let mut cells = Vec::with_capacity(columns.len());
            while let Some(row) = rows.next()? {
                cells.clear();
                for place in 0..columns.len() {
                    cells.push(cell(row.get_ref(place)?));
                }
                if each(&cells).is_break() {
                    break;
                }
            }
            Ok(())
        })
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Empty,
        ValueRef::Integer(number) => Cell::Whole(number),
        ValueRef::Real(number) => Cell::Decimal(number),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            Cell::Text(String::from_utf8_lossy(text).into_owned())
        }
    }
}
