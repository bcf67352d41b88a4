//! The inbox: what people ask of pivot-trading, and its answers; the audit
//! log; what pivot-bot remembers. A message of Telegram that comes again is
//! taken once (M19).

use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::Value;

use super::columns::{At, Doc};
use super::open::{BUSY_TIMEOUT, COMMIT_MAX};
use super::wire::wire_enum;
use super::{Role, Store, StoreError};
use crate::engine::event::OperatorAction;
use crate::market::Timestamp;

/// Who may append to the inbox and to the audit log.
const ASKERS: [Role; 3] = [Role::Auth, Role::Bot, Role::Ctl];

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The chat.
    Telegram,
    /// pivotctl.
    Ctl,
    /// The dashboard.
    Web,
}

impl Source {
    /// `telegram`, `pivotctl`, `web`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Source::Telegram => "telegram",
            Source::Ctl => "pivotctl",
            Source::Web => "web",
        }
    }

    fn parse(text: &str) -> Source {
        match text {
            "telegram" => Source::Telegram,
            "web" => Source::Web,
            _ => Source::Ctl,
        }
    }
}

/// What can be asked of pivot-trading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Something that the engine decides on.
    Operator(OperatorAction),
    /// Send the login link again.
    Login,
    /// Exit so that the supervisor starts the service again.
    Restart {
        /// Even with a position open.
        force: bool,
    },
}

wire_enum!(Ask { Operator(action), Login, Restart { force } });

/// A request to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Where it came from.
    pub source: Source,
    /// The channel's number of it; the same number is taken once.
    pub update_id: Option<i64>,
    /// Chat to answer to.
    pub chat: Option<i64>,
    /// User who asked.
    pub user: Option<i64>,
    /// Who asked, for people: `telegram:12345`, `pivotctl:root`.
    pub actor: String,
    /// What is asked.
    pub ask: Ask,
    /// When it was asked.
    pub asked_at: Timestamp,
}

/// A request in the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its number; counts up. The engine answers by it.
    pub id: i64,
    /// The request.
    pub request: Request,
}

/// An answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Number of the request.
    pub request: i64,
    /// True when it was carried out.
    pub done: bool,
    /// What to tell the person.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Through what.
    pub source: Source,
    /// Who.
    pub actor: String,
    /// What was asked.
    pub what: String,
    /// What became of it.
    pub outcome: String,
    /// The trade or request it belongs to.
    pub correlation: Option<String>,
}

impl Store {
    /// Appends a request and returns its number; for an update that was taken
    /// before, the number of then and `false`. A panic does not wait long for
    /// other writers: it can be carried out without being written down.
    ///
    /// # Errors
    /// When the write fails.
    pub fn ask(&mut self, request: &Request) -> Result<(i64, bool), StoreError> {
        if !matches!(request.ask, Ask::Operator(OperatorAction::Panic { .. })) {
            return self.append(request);
        }
        let wait = |store: &Store, timeout| {
            let set = store.connection.busy_timeout(timeout);
            set.map_err(|source| StoreError::Write { table: "inbox", source })
        };
        wait(self, COMMIT_MAX)?;
        let asked = self.append(request);
        wait(self, BUSY_TIMEOUT)?;
        asked
    }

    fn append(&mut self, request: &Request) -> Result<(i64, bool), StoreError> {
        self.write("inbox", &ASKERS, |transaction| {
            let sql = "INSERT OR IGNORE INTO inbox
                (source, update_id, chat, user, actor, command, asked_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let inserted = transaction.prepare_cached(sql)?.execute((
                request.source.as_str(),
                request.update_id,
                request.chat,
                request.user,
                &request.actor,
                Doc(&request.ask),
                At(request.asked_at),
            ))?;
            if inserted == 1 {
                return Ok((transaction.last_insert_rowid(), true));
            }
            let sql = "SELECT id FROM inbox WHERE source = ?1 AND update_id = ?2";
            let key = (request.source.as_str(), request.update_id);
            Ok((transaction.query_row(sql, key, |row| row.get(0))?, false))
        })
    }

    /// Requests with a number above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn inbox_after(&self, after: i64, limit: u32) -> Result<Vec<Receipt>, StoreError> {
        self.read("inbox", |connection| {
            let sql = "SELECT id, source, update_id, chat, user, actor, command, asked_at
                FROM inbox WHERE id > ?1 ORDER BY id LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((after, limit), read_receipt)?;
            rows.collect()
        })
    }

    /// Requests without any answer, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn inbox_unanswered(&self, limit: u32) -> Result<Vec<Receipt>, StoreError> {
        self.read("inbox", |connection| {
            let sql = "SELECT id, source, update_id, chat, user, actor, command, asked_at
                FROM inbox
                WHERE NOT EXISTS (SELECT 1 FROM answers WHERE answers.request = inbox.id)
                ORDER BY id LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([limit], read_receipt)?;
            rows.collect()
        })
    }

    /// Answers a request that the engine never sees (the engine's own answers
    /// go through the journal).
    ///
    /// # Errors
    /// When the write fails.
    pub fn answer(&mut self, answer: &Answer) -> Result<(), StoreError> {
        self.write("answers", &[Role::Trading], |transaction| insert_answer(transaction, answer))
    }

    /// The answers to a request, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn answers(&self, request: i64) -> Result<Vec<Answer>, StoreError> {
        self.read("answers", |connection| {
            let sql = "SELECT request, done, text, at FROM answers WHERE request = ?1 ORDER BY id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([request], |row| {
                Ok(Answer {
                    request: row.get(0)?,
                    done: row.get(1)?,
                    text: row.get(2)?,
                    at: row.get::<_, At>(3)?.0,
                })
            })?;
            rows.collect()
        })
    }

    /// Appends to the audit log.
    ///
    /// # Errors
    /// When the write fails.
    pub fn audit(&mut self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.write("audit", &ASKERS, |transaction| {
            let sql = "INSERT INTO audit (at, source, actor, what, outcome, correlation)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            transaction.prepare_cached(sql)?.execute((
                At(entry.at),
                entry.source.as_str(),
                &entry.actor,
                &entry.what,
                &entry.outcome,
                &entry.correlation,
            ))?;
            Ok(())
        })
    }

    /// The last lines of the audit log, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn audit_tail(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.read("audit", |connection| {
            let sql = "SELECT at, source, actor, what, outcome, correlation
                FROM audit ORDER BY id DESC LIMIT ?1";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([limit], |row| {
                Ok(AuditEntry {
                    at: row.get::<_, At>(0)?.0,
                    source: Source::parse(&row.get::<_, String>(1)?),
                    actor: row.get(2)?,
                    what: row.get(3)?,
                    outcome: row.get(4)?,
                    correlation: row.get(5)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Notes an update of the chat. True when it was not noted before: only
    /// then it is to be handled.
    ///
    /// # Errors
    /// When the write fails.
    pub fn first_seen(&mut self, update_id: i64, at: Timestamp) -> Result<bool, StoreError> {
        self.write("telegram_updates", &[Role::Bot], |transaction| {
            let sql = "INSERT OR IGNORE INTO telegram_updates (update_id, at) VALUES (?1, ?2)";
            Ok(transaction.prepare_cached(sql)?.execute((update_id, At(at)))? == 1)
        })
    }

    /// Keeps a value for pivot-bot: reading place, mute, panels, reminders.
    ///
    /// # Errors
    /// When the write fails.
    pub fn bot_keep(&mut self, key: &str, value: &Value) -> Result<(), StoreError> {
        self.write("bot_state", &[Role::Bot], |transaction| keep(transaction, key, value))
    }

    /// A value that pivot-bot keeps.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn bot_kept(&self, key: &str) -> Result<Option<Value>, StoreError> {
        self.read("bot_state", |connection| {
            let sql = "SELECT value FROM bot_state WHERE key = ?1";
            let text: Option<String> =
                connection.prepare_cached(sql)?.query_row([key], |row| row.get(0)).optional()?;
            Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
        })
    }
}

pub(super) fn keep(connection: &Connection, key: &str, value: &Value) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO bot_state (key, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute((key, value.to_string()))?;
    Ok(())
}

pub(crate) fn insert_answer(connection: &Connection, answer: &Answer) -> rusqlite::Result<()> {
    let sql = "INSERT INTO answers (request, done, text, at) VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute((
        answer.request,
        answer.done,
        &answer.text,
        At(answer.at),
    ))?;
    Ok(())
}

fn read_receipt(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    let request = Request {
        source: Source::parse(&row.get::<_, String>(1)?),
        update_id: row.get(2)?,
        chat: row.get(3)?,
        user: row.get(4)?,
        actor: row.get(5)?,
        ask: row.get::<_, Doc<Ask>>(6)?.0,
        asked_at: row.get::<_, At>(7)?.0,
    };
    Ok(Receipt { id: row.get(0)?, request })
}
