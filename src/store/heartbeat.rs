//! Signs of life.

use chrono::TimeDelta;
use serde_json::Value;

use super::columns::At;
use super::{Role, Store, StoreError};
use crate::market::Timestamp;

/// A service's sign of life.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// `trading`, `auth`, `bot`.
    pub service: String,
    /// Its process.
    pub pid: u32,
    /// When the process started.
    pub started_at: Timestamp,
    /// When it last gave a sign.
    pub at: Timestamp,
    /// Its version.
    pub version: String,
    /// What it is doing: `waiting for login`, `trading`, …
    pub phase: String,
    /// Figures for people and metrics; an object.
    pub detail: Value,
}

/// Age of the last sign of life at which a service counts as silent: four
/// signs have then not come, and there is time to tell within half a minute.
pub const SILENT_AFTER: TimeDelta = TimeDelta::seconds(20);

impl Heartbeat {
    /// True when the service has given no sign of life for too long.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        now - self.at > SILENT_AFTER
    }
}

impl Store {
    /// Writes this service's own row.
    ///
    /// # Errors
    /// When the role is not a service, or the write fails.
    pub fn beat(&mut self, beat: &Heartbeat) -> Result<(), StoreError> {
        let service = self.role.as_str();
        self.write("heartbeats", &[Role::Trading, Role::Auth, Role::Bot], |transaction| {
            let sql = "INSERT OR REPLACE INTO heartbeats
                (service, pid, started_at, at, version, phase, detail)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let detail = beat.detail.to_string();
            transaction.prepare_cached(sql)?.execute((
                service,
                beat.pid,
                At(beat.started_at),
                At(beat.at),
                &beat.version,
                &beat.phase,
                detail,
            ))?;
            Ok(())
        })
    }

    /// The last sign of life of every service, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn heartbeats(&self) -> Result<Vec<Heartbeat>, StoreError> {
        self.read("heartbeats", |connection| {
            let sql = "SELECT service, pid, started_at, at, version, phase, detail
                FROM heartbeats ORDER BY service";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(Heartbeat {
                    service: row.get(0)?,
                    pid: row.get(1)?,
                    started_at: row.get::<_, At>(2)?.0,
                    at: row.get::<_, At>(3)?.0,
                    version: row.get(4)?,
                    phase: row.get(5)?,
                    detail: serde_json::from_str(&row.get::<_, String>(6)?).unwrap_or_default(),
                })
            })?;
            rows.collect()
        })
    }
}
