//! What is recorded of trades, orders, decisions and days, read back.

use chrono::{NaiveDate, NaiveTime};
use rusqlite::{OptionalExtension, Params};

use super::columns::{At, Day, Doc};
use super::wire::Wire;
use super::{Role, Store, StoreError};
use crate::engine::ledger::{
    DaySummary, Decision, LimitRecord, OrderRecord, Permission, StateRecord, TradeRecord,
};
use crate::engine::strategy::Outlook;
use crate::market::time::from_ist;
use crate::market::{Exchange, InstrumentKey, Price};

/// Which decisions are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionQuery {
    /// Of this symbol only.
    pub symbol: Option<String>,
    /// Of the candle that this time of day (IST) falls into only, and of the
    /// one that closed just then.
    pub time: Option<NaiveTime>,
    /// Without those where there was nothing to judge.
    pub without_quiet: bool,
    /// At most this many, the latest.
    pub limit: u32,
}

impl Store {
    /// Permission as it stands, with its cause; `None` before the first day.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state(&self) -> Result<Option<StateRecord>, StoreError> {
        self.read("state", |connection| {
            let sql = "SELECT permission, reason, actor, since FROM state ORDER BY id DESC LIMIT 1";
            let read = |row: &rusqlite::Row<'_>| {
                Ok(StateRecord {
                    permission: match row.get::<_, String>(0)?.as_str() {
                        "ACTIVE" => Permission::Active,
                        "REDUCING" => Permission::Reducing,
                        _ => Permission::Halted,
                    },
                    reason: row.get(1)?,
                    actor: row.get(2)?,
                    since: row.get::<_, At>(3)?.0,
                })
            };
            connection.prepare_cached(sql)?.query_row([], read).optional()
        })
    }

    /// Trades from one day to another (both included), oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trades(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<TradeRecord>, StoreError> {
        let sql = "SELECT record FROM trades WHERE date BETWEEN ?1 AND ?2 ORDER BY date, trade_id";
        self.records("trades", sql, (Day(from), Day(to)))
    }

    /// One trade.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn trade(&self, trade_id: &str) -> Result<Option<TradeRecord>, StoreError> {
        let sql = "SELECT record FROM trades WHERE trade_id = ?1";
        Ok(self.records("trades", sql, [trade_id])?.pop())
    }

    /// The trade that is open, when one is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open_trade(&self) -> Result<Option<TradeRecord>, StoreError> {
        let sql = "SELECT record FROM trades WHERE closed = 0 AND lot_size > 0
            ORDER BY date DESC, trade_id DESC LIMIT 1";
        Ok(self.records("trades", sql, [])?.pop())
    }

    /// Orders of a day, in the order in which they were decided.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn orders(&self, day: NaiveDate) -> Result<Vec<OrderRecord>, StoreError> {
        let sql = "SELECT record FROM orders WHERE date = ?1 ORDER BY intent";
        self.records("orders", sql, [Day(day)])
    }

    /// Decisions of a day, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decisions(
        &self,
        day: NaiveDate,
        query: &DecisionQuery,
    ) -> Result<Vec<Decision>, StoreError> {
        let sql = "SELECT record FROM decisions
            WHERE date = ?1
              AND (?2 IS NULL OR symbol = ?2)
              AND (?3 IS NULL OR (start <= ?3 AND at >= ?3))
              AND (?4 = 0 OR verdict <> 'QUIET')
            ORDER BY id DESC LIMIT ?5";
        let moment = query.time.map(|time| At(from_ist(day, time)));
        let parameters = (Day(day), &query.symbol, moment, query.without_quiet, query.limit);
        let mut decisions = self.records("decisions", sql, parameters)?;
        decisions.reverse();
        Ok(decisions)
    }

    /// How many candles of a day were judged, by verdict.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn decision_counts(&self, day: NaiveDate) -> Result<Vec<(String, u32)>, StoreError> {
        self.read("decisions", |connection| {
            let sql = "SELECT verdict, COUNT(*) FROM decisions WHERE date = ?1
                GROUP BY verdict ORDER BY verdict";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([Day(day)], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect()
        })
    }

    /// The last day with a decision.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_decided_day(&self) -> Result<Option<NaiveDate>, StoreError> {
        self.read("decisions", |connection| {
            let sql = "SELECT MAX(date) FROM decisions";
            let day: Option<Day> = connection.query_row(sql, [], |row| row.get(0))?;
            Ok(day.map(|day| day.0))
        })
    }

    /// Figures of days from one to another (both included), oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn summaries(&self, from: NaiveDate, to: NaiveDate) -> Result<Vec<DaySummary>, StoreError> {
        let sql = "SELECT record FROM daily_summary WHERE date BETWEEN ?1 AND ?2
            ORDER BY date, instrument";
        self.records("daily_summary", sql, (Day(from), Day(to)))
    }

    /// The last change of each limit by a person, whenever it was made.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn limits(&self) -> Result<Vec<LimitRecord>, StoreError> {
        let sql = "SELECT record FROM limits
            WHERE id IN (SELECT MAX(id) FROM limits GROUP BY name) ORDER BY name";
        self.records("limits", sql, [])
    }

    /// True when the intent with this tag is durable, so that its order may
    /// be sent.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn has_intent(&self, tag: &str) -> Result<bool, StoreError> {
        self.read("intents", |connection| {
            connection.prepare_cached("SELECT 1 FROM intents WHERE tag = ?1")?.exists([tag])
        })
    }

    /// Keeps what the strategy says of the day; replaces what it said before.
    ///
    /// # Errors
    /// When the write fails.
    pub fn outlook_keep(&mut self, day: NaiveDate, outlook: &[Outlook]) -> Result<(), StoreError> {
        self.write("outlook", &[Role::Trading], |transaction| {
            transaction.execute("DELETE FROM outlook WHERE date = ?1", [Day(day)])?;
            let sql = "INSERT INTO outlook
                (date, position, exchange, symbol, structure, levels, facts)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut statement = transaction.prepare_cached(sql)?;
            for (position, entry) in outlook.iter().enumerate() {
                statement.execute((
                    Day(day),
                    i64::try_from(position).unwrap_or(i64::MAX),
                    entry.instrument.exchange.as_str(),
                    &entry.instrument.symbol,
                    &entry.structure,
                    Doc(&entry.levels),
                    Doc(&entry.facts),
                ))?;
            }
            Ok(())
        })
    }

    /// What the strategy said of the day, in its order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outlook(&self, day: NaiveDate) -> Result<Vec<Outlook>, StoreError> {
        self.read("outlook", |connection| {
            let sql = "SELECT exchange, symbol, structure, levels, facts FROM outlook
                WHERE date = ?1 ORDER BY position";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([Day(day)], |row| {
                let exchange: String = row.get(0)?;
                let exchange = Exchange::parse(&exchange).unwrap_or(Exchange::Nse);
                Ok(Outlook {
                    instrument: InstrumentKey::new(exchange, row.get::<_, String>(1)?),
                    structure: row.get(2)?,
                    levels: row.get::<_, Doc<Vec<(String, Price)>>>(3)?.0,
                    facts: row.get::<_, Doc<Vec<(String, String)>>>(4)?.0,
                })
            })?;
            rows.collect()
        })
    }

    fn records<T: Wire>(
        &self,
        table: &'static str,
        sql: &str,
        parameters: impl Params,
    ) -> Result<Vec<T>, StoreError> {
        self.read(table, |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows =
                statement.query_map(parameters, |row| row.get::<_, Doc<T>>(0).map(|doc| doc.0))?;
            rows.collect()
        })
    }
}
