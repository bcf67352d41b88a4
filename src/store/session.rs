//! Logging in at the broker: request tokens from pivot-auth, sessions from
//! pivot-trading; order updates that reached the web service.

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, Row};
use secrecy::{ExposeSecret, SecretString};

use super::columns::{At, Day};
use super::{Role, Store, StoreError};
use crate::market::Timestamp;

/// A login that was begun, and what came back.
#[derive(Debug, Clone)]
pub struct Login {
    /// Its number; counts up.
    pub id: i64,
    /// The one-time word that went with the redirect.
    pub state: String,
    /// When it was begun.
    pub asked_at: Timestamp,
    /// When the broker's redirect came back.
    pub received_at: Option<Timestamp>,
    /// The broker's request token, until it is cleared.
    pub request_token: Option<SecretString>,
    /// Where it stands.
    pub status: LoginStatus,
    /// What went wrong.
    pub message: Option<String>,
}

/// Where a login stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LoginStatus {
    /// The person was sent to the broker.
    Asked,
    /// The request token is there.
    Received,
    /// The broker or the person said no.
    Failed,
    /// The request token was handed out through the API.
    Taken,
    /// The request token was wiped.
    Cleared,
}

impl LoginStatus {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            LoginStatus::Asked => "ASKED",
            LoginStatus::Received => "RECEIVED",
            LoginStatus::Failed => "FAILED",
            LoginStatus::Taken => "TAKEN",
            LoginStatus::Cleared => "CLEARED",
        }
    }

    fn parse(text: &str) -> LoginStatus {
        match text {
            "ASKED" => LoginStatus::Asked,
            "RECEIVED" => LoginStatus::Received,
            "TAKEN" => LoginStatus::Taken,
            "CLEARED" => LoginStatus::Cleared,
            _ => LoginStatus::Failed,
        }
    }
}

/// A session at the broker, or the attempt to get one.
#[derive(Debug, Clone)]
pub struct BrokerSession {
    /// The login it came from; each login is used once.
    pub login_id: Option<i64>,
    /// The trading day it is for.
    pub day: NaiveDate,
    /// Whether it works.
    pub status: SessionStatus,
    /// The access token, while it works.
    pub access_token: Option<SecretString>,
    /// The broker's name of the account.
    pub user_id: String,
    /// The account holder.
    pub user_name: String,
    /// When the session was made.
    pub login_time: Timestamp,
    /// When the broker ends it.
    pub valid_until: Timestamp,
    /// What went wrong.
    pub message: Option<String>,
}

/// Whether a session works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionStatus {
    /// It works.
    Valid,
    /// The broker gave none for this login.
    Refused,
    /// It worked and does no more.
    Ended,
}

impl SessionStatus {
    /// The word in the table.
    pub const fn as_str(self) -> &'static str {
        match self {
            SessionStatus::Valid => "VALID",
            SessionStatus::Refused => "REFUSED",
            SessionStatus::Ended => "ENDED",
        }
    }

    fn parse(text: &str) -> SessionStatus {
        match text {
            "VALID" => SessionStatus::Valid,
            "REFUSED" => SessionStatus::Refused,
            _ => SessionStatus::Ended,
        }
    }
}

/// An order update that the broker posted. A hint: may be late or doubled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postback {
    /// Its number; counts up.
    pub id: i64,
    /// When it came.
    pub at: Timestamp,
    /// The order it tells of.
    pub order_id: String,
    /// The body as received, its checksum verified.
    pub payload: String,
}

const LOGIN_COLUMNS: &str = "id, state, asked_at, received_at, request_token, status, message";

impl Store {
    /// Notes that a person is sent to the broker with `state`.
    ///
    /// # Errors
    /// When the write fails, also when `state` was used before.
    pub fn login_begin(&mut self, state: &str, at: Timestamp) -> Result<i64, StoreError> {
        self.write("login_tokens", &[Role::Auth], |transaction| {
            let sql = "INSERT INTO login_tokens (state, asked_at, status) VALUES (?1, ?2, 'ASKED')";
            transaction.prepare_cached(sql)?.execute((state, At(at)))?;
            Ok(transaction.last_insert_rowid())
        })
    }

    /// Keeps the request token that came back for `state`. `None` when no
    /// login with that state waits for one: unknown, or answered before.
    ///
    /// # Errors
    /// When the write fails.
    pub fn login_receive(
        &mut self,
        state: &str,
        request_token: &SecretString,
        at: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let token = Some(request_token.expose_secret());
        self.login_settle(state, LoginStatus::Received, token, None, at)
    }

    /// Notes that a login came to nothing. `None` as for
    /// [`Store::login_receive`].
    ///
    /// # Errors
    /// When the write fails.
    pub fn login_fail(
        &mut self,
        state: &str,
        message: &str,
        at: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.login_settle(state, LoginStatus::Failed, None, Some(message), at)
    }

    /// Ends the asking: once, whatever comes back how often.
    fn login_settle(
        &mut self,
        state: &str,
        status: LoginStatus,
        request_token: Option<&str>,
        message: Option<&str>,
        at: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        self.write("login_tokens", &[Role::Auth], |transaction| {
            let sql = "UPDATE login_tokens
                SET status = ?2, request_token = ?3, message = ?4, received_at = ?5
                WHERE state = ?1 AND status = 'ASKED' RETURNING id";
            transaction
                .prepare_cached(sql)?
                .query_row((state, status.as_str(), request_token, message, At(at)), |row| {
                    row.get(0)
                })
                .optional()
        })
    }

    /// Marks a received login as taken or cleared and wipes its token. False
    /// when it held none any more.
    ///
    /// # Errors
    /// When the write fails.
    pub fn login_wipe(&mut self, id: i64, status: LoginStatus) -> Result<bool, StoreError> {
        self.write("login_tokens", &[Role::Auth], |transaction| {
            let sql = "UPDATE login_tokens SET request_token = NULL, status = ?2
                WHERE id = ?1 AND request_token IS NOT NULL";
            Ok(transaction.prepare_cached(sql)?.execute((id, status.as_str()))? == 1)
        })
    }

    /// The newest login that holds a request token and that pivot-trading has
    /// not used yet.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn login_pending(&self) -> Result<Option<Login>, StoreError> {
        self.login_where(
            "request_token IS NOT NULL AND status = 'RECEIVED'
             AND id NOT IN (SELECT login_id FROM broker_session WHERE login_id IS NOT NULL)",
        )
    }

    /// The newest login, whatever became of it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn login_last(&self) -> Result<Option<Login>, StoreError> {
        self.login_where("TRUE")
    }

    /// Logins that still hold a token though pivot-trading has used them:
    /// pivot-auth wipes them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn logins_used(&self) -> Result<Vec<i64>, StoreError> {
        self.read("login_tokens", |connection| {
            let sql = "SELECT id FROM login_tokens WHERE request_token IS NOT NULL
                AND id IN (SELECT login_id FROM broker_session WHERE login_id IS NOT NULL)";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        })
    }

    fn login_where(&self, filter: &str) -> Result<Option<Login>, StoreError> {
        let sql = format!(
            "SELECT {LOGIN_COLUMNS} FROM login_tokens WHERE {filter} ORDER BY id DESC LIMIT 1"
        );
        self.read("login_tokens", |connection| {
            connection.prepare_cached(&sql)?.query_row([], read_login).optional()
        })
    }

    /// Keeps a session, or the refusal of one. A login is used once.
    ///
    /// # Errors
    /// When the write fails, also when the login was used before.
    pub fn session_keep(&mut self, session: &BrokerSession) -> Result<(), StoreError> {
        self.write("broker_session", &[Role::Trading], |transaction| {
            let sql = "INSERT INTO broker_session (login_id, day, status, access_token, user_id,
                user_name, login_time, valid_until, message)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            transaction.prepare_cached(sql)?.execute((
                session.login_id,
                Day(session.day),
                session.status.as_str(),
                session.access_token.as_ref().map(|token| token.expose_secret()),
                &session.user_id,
                &session.user_name,
                At(session.login_time),
                At(session.valid_until),
                &session.message,
            ))?;
            Ok(())
        })
    }

    /// Ends every session and wipes its token.
    ///
    /// # Errors
    /// When the write fails.
    pub fn session_end(&mut self) -> Result<(), StoreError> {
        self.write("broker_session", &[Role::Trading], |transaction| {
            let sql = "UPDATE broker_session SET access_token = NULL, status = 'ENDED'
                WHERE status = 'VALID'";
            transaction.execute(sql, [])?;
            Ok(())
        })
    }

    /// The last session or refusal, of whatever day.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn session_last(&self) -> Result<Option<BrokerSession>, StoreError> {
        self.session_where("TRUE")
    }

    /// The session that works at `now`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn session(&self, now: Timestamp) -> Result<Option<BrokerSession>, StoreError> {
        let session = self.session_where("status = 'VALID' AND access_token IS NOT NULL")?;
        Ok(session.filter(|session| session.valid_until > now))
    }

    fn session_where(&self, filter: &str) -> Result<Option<BrokerSession>, StoreError> {
        let sql = format!(
            "SELECT login_id, day, status, access_token, user_id, user_name, login_time,
                valid_until, message
             FROM broker_session WHERE {filter} ORDER BY id DESC LIMIT 1"
        );
        self.read("broker_session", |connection| {
            connection.prepare_cached(&sql)?.query_row([], read_session).optional()
        })
    }

    /// Appends an order update that the broker posted.
    ///
    /// # Errors
    /// When the write fails.
    pub fn postback_keep(
        &mut self,
        order_id: &str,
        payload: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.write("postbacks", &[Role::Auth], |transaction| {
            let sql = "INSERT INTO postbacks (at, order_id, payload) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute((At(at), order_id, payload))?;
            Ok(())
        })
    }

    /// Order updates with a number above `after`, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn postbacks_after(&self, after: i64, limit: u32) -> Result<Vec<Postback>, StoreError> {
        self.read("postbacks", |connection| {
            let sql = "SELECT id, at, order_id, payload FROM postbacks
                WHERE id > ?1 ORDER BY id LIMIT ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map((after, limit), |row| {
                Ok(Postback {
                    id: row.get(0)?,
                    at: row.get::<_, At>(1)?.0,
                    order_id: row.get(2)?,
                    payload: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Number of the last order update; 0 when there is none.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn postback_last_id(&self) -> Result<i64, StoreError> {
        self.read("postbacks", |connection| {
            let sql = "SELECT COALESCE(MAX(id), 0) FROM postbacks";
            connection.prepare_cached(sql)?.query_row([], |row| row.get(0))
        })
    }
}

fn read_login(row: &Row<'_>) -> rusqlite::Result<Login> {
    Ok(Login {
        id: row.get(0)?,
        state: row.get(1)?,
        asked_at: row.get::<_, At>(2)?.0,
        received_at: row.get::<_, Option<At>>(3)?.map(|at| at.0),
        request_token: row.get::<_, Option<String>>(4)?.map(SecretString::from),
        status: LoginStatus::parse(&row.get::<_, String>(5)?),
        message: row.get(6)?,
    })
}

fn read_session(row: &Row<'_>) -> rusqlite::Result<BrokerSession> {
    Ok(BrokerSession {
        login_id: row.get(0)?,
        day: row.get::<_, Day>(1)?.0,
        status: SessionStatus::parse(&row.get::<_, String>(2)?),
        access_token: row.get::<_, Option<String>>(3)?.map(SecretString::from),
        user_id: row.get(4)?,
        user_name: row.get(5)?,
        login_time: row.get::<_, At>(6)?.0,
        valid_until: row.get::<_, At>(7)?.0,
        message: row.get(8)?,
    })
}
