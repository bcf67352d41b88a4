//! The outbox: what people are to be told, and what became of telling them.

use chrono::NaiveDate;
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::columns::{At, Day, Doc};
use super::inbox::keep;
use super::{Role, Store, StoreError};
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::engine::settings::Mode;
use crate::market::Timestamp;
use crate::market::time::ist_date;

/// A notice in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Its number; counts up.
    pub id: i64,
    /// What is told.
    pub notice: Notice,
    /// What became of it; `None` when nothing was tried yet.
    pub delivery: Option<Delivery>,
}

/// What became of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it stands.
    pub state: DeliveryState,
    /// How often sending began.
    pub attempts: u32,
    /// Messages it became, as the channel numbers them.
    pub message_ids: Vec<i64>,
    /// When the state was reached.
    pub at: Timestamp,
    /// True when an earlier attempt may have reached people: say so.
    pub repeated: bool,
    /// What went wrong last.
    pub error: Option<String>,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeliveryState {
    /// Sending began. Found after a restart, nobody knows whether it arrived.
    Sending,
    /// It did not arrive and is to be tried again.
    Failed,
    /// It arrived.
    Sent,
    /// It went into a summary of stale notices.
    Summed,
    /// It is not wanted: switched off.
    Dropped,
}

impl DeliveryState {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Sending => "SENDING",
            DeliveryState::Failed => "FAILED",
            DeliveryState::Sent => "SENT",
            DeliveryState::Summed => "SUMMED",
            DeliveryState::Dropped => "DROPPED",
        }
    }

    fn parse(text: &str) -> DeliveryState {
        match text {
            "SENT" => DeliveryState::Sent,
            "SUMMED" => DeliveryState::Summed,
            "DROPPED" => DeliveryState::Dropped,
            "FAILED" => DeliveryState::Failed,
            _ => DeliveryState::Sending,
        }
    }
}

impl Store {
    /// Puts a notice of a shell into the outbox (the engine's own go through
    /// the journal). False when one with the same once-key was said that day.
    ///
    /// # Errors
    /// When the write fails.
    pub fn say(&mut self, notice: &Notice) -> Result<bool, StoreError> {
        self.write("outbox", &[Role::Trading], |transaction| post(transaction, notice))
    }

    /// Puts reminders into the outbox, which pivot-bot alone tells of, and
    /// keeps `value` for it, all or nothing. One whose once-key was said that
    /// day is left out. Answers how many are new.
    ///
    /// # Errors
    /// When the write fails.
    pub fn remind(
        &mut self,
        reminders: &[Notice],
        key: &str,
        value: &Value,
    ) -> Result<usize, StoreError> {
        self.write("outbox", &[Role::Bot], |transaction| {
            let mut new = 0;
            for notice in reminders {
                new += usize::from(post(transaction, notice)?);
            }
            keep(transaction, key, value)?;
            Ok(new)
        })
    }

    /// Marks `key` as done on `day`. True for the first to do so.
    ///
    /// # Errors
    /// When the write fails.
    pub fn once(&mut self, day: NaiveDate, key: &str, at: Timestamp) -> Result<bool, StoreError> {
        self.write("once", &[Role::Trading], |transaction| {
            let sql = "INSERT OR IGNORE INTO once (day, key, at) VALUES (?1, ?2, ?3)";
            Ok(transaction.prepare_cached(sql)?.execute((Day(day), key, At(at)))? == 1)
        })
    }

    /// True when `key` was marked as done on `day`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn was_done(&self, day: NaiveDate, key: &str) -> Result<bool, StoreError> {
        self.read("once", |connection| {
            let sql = "SELECT 1 FROM once WHERE day = ?1 AND key = ?2";
            connection.prepare_cached(sql)?.exists((Day(day), key))
        })
    }

    /// Notices that have not arrived, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outbox_pending(&self, limit: u32) -> Result<Vec<Post>, StoreError> {
        let filter = "WHERE delivery.state IS NULL OR delivery.state IN ('SENDING', 'FAILED')
            ORDER BY outbox.id LIMIT ?1";
        self.read("outbox", |connection| posts(connection, filter, [limit]))
    }

    /// How many notices have not arrived, and when the oldest of them was
    /// written.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outbox_backlog(&self) -> Result<(u32, Option<Timestamp>), StoreError> {
        self.read("outbox", |connection| {
            let sql = "SELECT COUNT(*), MIN(outbox.at)
                FROM outbox LEFT JOIN outbox_delivery AS delivery
                  ON delivery.outbox_id = outbox.id
                WHERE delivery.state IS NULL OR delivery.state IN ('SENDING', 'FAILED')";
            connection.prepare_cached(sql)?.query_row([], |row| {
                let oldest: Option<At> = row.get(1)?;
                Ok((row.get(0)?, oldest.map(|at| at.0)))
            })
        })
    }

    /// All notices of a day, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn outbox_of(&self, day: NaiveDate) -> Result<Vec<Post>, StoreError> {
        let filter = "WHERE outbox.day = ?1 ORDER BY outbox.id";
        self.read("outbox", |connection| posts(connection, filter, [Day(day)]))
    }

    /// Notes that sending begins. Called before the message leaves.
    ///
    /// # Errors
    /// When the write fails; then nothing must be sent.
    pub fn outbox_sending(&mut self, id: i64, at: Timestamp) -> Result<(), StoreError> {
        self.write("outbox_delivery", &[Role::Bot], |transaction| {
            let sql = "INSERT INTO outbox_delivery
                (outbox_id, state, attempts, message_ids, at, repeated)
                VALUES (?1, 'SENDING', 1, '[]', ?2, 0)
                ON CONFLICT (outbox_id) DO UPDATE SET
                    attempts = attempts + 1, at = excluded.at, error = NULL,
                    repeated = MAX(repeated, state = 'SENDING'), state = 'SENDING'";
            transaction.prepare_cached(sql)?.execute((id, At(at)))?;
            Ok(())
        })
    }

    /// Notes what became of it.
    ///
    /// # Errors
    /// When the write fails.
    pub fn outbox_done(
        &mut self,
        id: i64,
        state: DeliveryState,
        message_ids: &[i64],
        error: Option<&str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write("outbox_delivery", &[Role::Bot], |transaction| {
            let sql = "INSERT INTO outbox_delivery
                (outbox_id, state, attempts, message_ids, at, repeated, error)
                VALUES (?1, ?2, 0, ?3, ?4, 0, ?5)
                ON CONFLICT (outbox_id) DO UPDATE SET
                    state = excluded.state, message_ids = excluded.message_ids,
                    at = excluded.at, error = excluded.error";
            let message_ids = message_ids.to_vec();
            transaction.prepare_cached(sql)?.execute((
                id,
                state.as_str(),
                Doc(&message_ids),
                At(at),
                error,
            ))?;
            Ok(())
        })
    }
}

/// Puts a notice into the outbox; false when its once-key was used that day.
pub(crate) fn post(connection: &Connection, notice: &Notice) -> rusqlite::Result<bool> {
    let sql = "INSERT INTO outbox
        (at, day, kind, severity, mode, trade_id, once_key, headline, fields, footer)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
        ON CONFLICT (day, once_key) DO NOTHING";
    let inserted = connection.prepare_cached(sql)?.execute((
        At(notice.at),
        Day(ist_date(notice.at)),
        notice.kind.as_str(),
        severity_word(notice.severity),
        notice.mode.as_str(),
        &notice.trade,
        &notice.once,
        &notice.headline,
        Doc(&notice.fields),
        &notice.footer,
    ))?;
    Ok(inserted == 1)
}

const fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

fn posts(
    connection: &Connection,
    filter: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<Post>> {
    let sql = format!(
        "SELECT outbox.id, outbox.at, kind, severity, mode, trade_id, once_key, headline, fields,
            footer, state, attempts, message_ids, delivery.at, repeated, error
         FROM outbox LEFT JOIN outbox_delivery AS delivery ON delivery.outbox_id = outbox.id
         {filter}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters, read_post)?;
    rows.collect()
}

fn read_post(row: &Row<'_>) -> rusqlite::Result<Post> {
    let kind: String = row.get(2)?;
    let severity: String = row.get(3)?;
    let mode: String = row.get(4)?;
    let notice = Notice {
        kind: NoticeKind::parse(&kind).unwrap_or(NoticeKind::Service),
        severity: match severity.as_str() {
            "info" => Severity::Info,
            "warning" => Severity::Warning,
            _ => Severity::Critical,
        },
        mode: Mode::parse(&mode).unwrap_or(Mode::Live),
        at: row.get::<_, At>(1)?.0,
        trade: row.get(5)?,
        once: row.get(6)?,
        headline: row.get(7)?,
        fields: row.get::<_, Doc<Vec<(String, String)>>>(8)?.0,
        footer: row.get(9)?,
    };
    let delivery = match row.get::<_, Option<String>>(10)? {
        None => None,
        Some(state) => Some(Delivery {
            state: DeliveryState::parse(&state),
            attempts: row.get(11)?,
            message_ids: row.get::<_, Doc<Vec<i64>>>(12)?.0,
            at: row.get::<_, At>(13)?.0,
            repeated: row.get(14)?,
            error: row.get(15)?,
        }),
    };
    Ok(Post { id: row.get(0)?, notice, delivery })
}
