//! What was done when: `<data>/maintenance.db`.
//!
//! A file of its own, beside the records of trading. It tells of this
//! machine's files and logs: an older `trading.db` that is put back must not
//! make last week's jobs look undone, and a broken one must not keep logs
//! from being cleared. Restoring takes it along.
//!
//! Who carries something out holds the lock [`LOCK`], which the kernel frees
//! when a process dies, and claims the row of its job and due time before it
//! begins. So nothing is done twice at once, and a row that still says
//! `running` to the lock's holder was interrupted.
//!
//! A row that is dated later than the clock was written while the clock stood
//! in the future. It counts for nothing, and whoever meets it with the lock
//! makes it void, so that it does not count when its time comes either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, ToSql, TransactionBehavior};
use serde::Serialize;

use super::files;
use super::schedule::{Job, Known, Noted, State, horizon};
use crate::market::Timestamp;
use crate::store::columns::At;
use crate::store::lock::ServiceLock;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "maintenance.db";

/// Name of the lock of whoever carries out what is due.
pub const LOCK: &str = "maintenance";

const SCHEMA: i64 = 1;

const CREATE: &str = "
CREATE TABLE ledger (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    since TEXT NOT NULL
) STRICT;
CREATE TABLE jobs (
    job        TEXT NOT NULL,
    due        TEXT NOT NULL,
    state      TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    pid        INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    detail     TEXT NOT NULL,
    PRIMARY KEY (job, due)
) STRICT, WITHOUT ROWID;";

const COLUMNS: &str = "job, due, state, attempts, started_at, ended_at, detail";

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long rows are kept.
const KEEP: TimeDelta = TimeDelta::days(400);

/// One run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    /// What.
    pub job: Job,
    /// When it was due.
    pub due: Timestamp,
    /// What became of it.
    pub state: State,
    /// How often it was begun.
    pub attempts: u32,
    /// When it was begun last.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it.
    pub detail: String,
}

/// The ledger failed.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be made.
    #[error("could not make {}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be used.
    #[error("could not use {}; it may be moved away: it only tells what was done when", path.display())]
    Use {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A newer program wrote it.
    #[error("{} was written by a newer program", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
    },
}

/// The ledger, open.
#[derive(Debug)]
pub struct Ledger {
    connection: Connection,
    path: PathBuf,
}

impl Ledger {
    /// Opens the ledger of a data folder, and begins one where none is.
    ///
    /// # Errors
    /// When the file cannot be made or used.
    pub fn open(data: &Path, now: Timestamp) -> Result<Ledger, LedgerError> {
        let path = data.join(FILE_NAME);
        match files::create(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(LedgerError::Create { path, source: error });
            }
            Ok(_) | Err(_) => {}
        }
        let mut ledger = Ledger::connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        let version = ledger.prepare(now).map_err(ledger.failed())?;
        if version > SCHEMA { Err(LedgerError::Newer { path: ledger.path }) } else { Ok(ledger) }
    }

    /// Opens the ledger for reading; `None` where none is.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn look(data: &Path) -> Result<Option<Ledger>, LedgerError> {
        let path = data.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let ledger = Ledger::connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let version = version(&ledger.connection).map_err(ledger.failed())?;
        Ok((version == SCHEMA).then_some(ledger))
    }

    fn connect(path: PathBuf, access: OpenFlags) -> Result<Ledger, LedgerError> {
        let connect = || {
            let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&path, flags)?;
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            Ok(connection)
        };
        match connect() {
            Ok(connection) => Ok(Ledger { connection, path }),
            Err(source) => Err(LedgerError::Use { path, source }),
        }
    }

    /// Makes the tables where there are none. Answers the schema.
    fn prepare(&mut self, now: Timestamp) -> rusqlite::Result<i64> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = version(&transaction)?;
        if found == 0 {
            transaction.execute_batch(CREATE)?;
            transaction.execute("INSERT INTO ledger (id, since) VALUES (1, ?1)", [At(now)])?;
            transaction.pragma_update(None, "user_version", SCHEMA)?;
        }
        transaction.commit()?;
        Ok(found.max(SCHEMA))
    }

    fn failed(&self) -> impl FnOnce(rusqlite::Error) -> LedgerError + use<> {
        let path = self.path.clone();
        move |source| LedgerError::Use { path, source }
    }

    /// What a decision at `now` on what is due rests on.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn known(&self, now: Timestamp) -> Result<Known, LedgerError> {
        let since = "SELECT since FROM ledger WHERE id = 1";
        let since = self.connection.query_row(since, [], |row| Ok(row.get::<_, At>(0)?.0));
        let noted = |run: Run| {
            let Run { job, due, state, attempts, ended_at, .. } = run;
            (job, Noted { due, state, attempts, ended_at })
        };
        let last = self.last_runs(now)?.into_iter().map(noted).collect::<BTreeMap<Job, Noted>>();
        // Begun by a clock that stood in the future, it was begun by now.
        Ok(Known { since: since.map_err(self.failed())?.min(now), last })
    }

    /// The latest run of each job, as the clock stands.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_runs(&self, now: Timestamp) -> Result<Vec<Run>, LedgerError> {
        self.last("state <> 'void'", now)
    }

    /// The latest run of each job that was done, as the clock stands.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_done(&self, now: Timestamp) -> Result<Vec<Run>, LedgerError> {
        self.last("state = 'done'", now)
    }

    fn last(&self, which: &str, now: Timestamp) -> Result<Vec<Run>, LedgerError> {
        let counts = format!("{which} AND due <= ?1 AND started_at <= ?1");
        let newest = format!(
            "{counts} AND due = (SELECT MAX(due) FROM jobs AS of_job
                WHERE of_job.job = jobs.job AND {counts})"
        );
        self.runs(&newest, &[&At(horizon(now))])
    }

    /// All runs that are kept, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn history(&self) -> Result<Vec<Run>, LedgerError> {
        self.runs("1", &[])
    }

    /// Makes runs void that are dated later than the clock allows, and answers
    /// with them. The lock shows that nobody is at one of them.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn disown_future(
        &mut self,
        _lock: &ServiceLock,
        now: Timestamp,
    ) -> Result<Vec<Run>, LedgerError> {
        let ahead = "state <> 'void' AND (due > ?1 OR started_at > ?1)";
        let limit = At(horizon(now));
        let runs = self.runs(ahead, &[&limit])?;
        let mut disown = || -> rusqlite::Result<()> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            transaction
                .execute(&format!("UPDATE jobs SET state = 'void' WHERE {ahead}"), [&limit])?;
            let begun = "UPDATE ledger SET since = ?2 WHERE since > ?1";
            transaction.execute(begun, [&limit, &At(now)])?;
            transaction.commit()
        };
        disown().map_err(self.failed())?;
        Ok(runs)
    }

    fn runs(&self, which: &str, values: &[&dyn ToSql]) -> Result<Vec<Run>, LedgerError> {
        let read = || -> rusqlite::Result<Vec<Run>> {
            let sql = format!("SELECT {COLUMNS} FROM jobs WHERE {which} ORDER BY due, job");
            let mut statement = self.connection.prepare(&sql)?;
            let runs = statement.query_map(values, read_run)?;
            // Jobs that this program does not know are another version's.
            runs.filter_map(Result::transpose).collect()
        };
        read().map_err(self.failed())
    }

    /// Claims a run, and answers which attempt it is; `None` when it is over.
    /// The lock shows that nobody else is at it.
    ///
    /// # Errors
    /// When the claim cannot be committed.
    pub fn claim(
        &mut self,
        _lock: &ServiceLock,
        job: Job,
        due: Timestamp,
        now: Timestamp,
    ) -> Result<Option<u32>, LedgerError> {
        let mut claim = || -> rusqlite::Result<Option<u32>> {
            let transaction =
                self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let sql = "INSERT INTO jobs (job, due, state, attempts, pid, started_at, detail)
                VALUES (?1, ?2, 'running', 1, ?3, ?4, '')
                ON CONFLICT (job, due) DO UPDATE SET
                    attempts = CASE state WHEN 'void' THEN 1 ELSE attempts + 1 END,
                    state = 'running', pid = excluded.pid, started_at = excluded.started_at
                WHERE state IN ('running', 'waiting', 'void')
                RETURNING attempts";
            let row = (job.as_str(), At(due), std::process::id(), At(now));
            let claimed = transaction.query_row(sql, row, |row| row.get(0)).optional()?;
            let forget = "DELETE FROM jobs WHERE due < ?1";
            transaction.execute(forget, [At(now - KEEP)])?;
            transaction.commit()?;
            Ok(claimed)
        };
        claim().map_err(self.failed())
    }

    /// Notes how a claimed run ended.
    ///
    /// # Errors
    /// When it cannot be committed.
    pub fn end(
        &mut self,
        job: Job,
        due: Timestamp,
        state: State,
        detail: &str,
        now: Timestamp,
    ) -> Result<(), LedgerError> {
        let sql = "UPDATE jobs SET state = ?3, detail = ?4, ended_at = ?5
            WHERE job = ?1 AND due = ?2";
        let row = (job.as_str(), At(due), state.as_str(), detail, At(now));
        self.connection.execute(sql, row).map(drop).map_err(self.failed())
    }
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn read_run(row: &Row<'_>) -> rusqlite::Result<Option<Run>> {
    let (job, state): (String, String) = (row.get(0)?, row.get(2)?);
    let (Some(job), Some(state)) = (Job::parse(&job), State::parse(&state)) else {
        return Ok(None);
    };
    Ok(Some(Run {
        job,
        due: row.get::<_, At>(1)?.0,
        state,
        attempts: row.get(3)?,
        started_at: row.get::<_, At>(4)?.0,
        ended_at: row.get::<_, Option<At>>(5)?.map(|at| at.0),
        detail: row.get(6)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-23T{text}+05:30").parse().unwrap()
    }

    #[test]
    fn a_run_is_claimed_once_and_again_only_when_it_was_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ServiceLock::acquire(dir.path(), LOCK, 1).unwrap();
        let mut ledger = Ledger::open(dir.path(), at("16:00:00")).unwrap();
        let (due, now) = (at("16:05:00"), at("16:05:01"));
        assert_eq!(ledger.claim(&lock, Job::Backup, due, now).unwrap(), Some(1));
        // Its process died.
        let mut ledger = Ledger::open(dir.path(), at("17:00:00")).unwrap();
        let known = ledger.known(at("17:00:00")).unwrap();
        assert_eq!(known.since, at("16:00:00"));
        let noted = Noted { due, state: State::Running, attempts: 1, ended_at: None };
        assert_eq!(known.last, BTreeMap::from([(Job::Backup, noted)]));
        assert_eq!(ledger.claim(&lock, Job::Backup, due, now).unwrap(), Some(2));
        ledger.end(Job::Backup, due, State::Waiting, "busy", at("16:05:05")).unwrap();
        assert_eq!(ledger.claim(&lock, Job::Backup, due, now).unwrap(), Some(3));
        ledger.end(Job::Backup, due, State::Done, "1.2 MB", at("16:05:09")).unwrap();
        assert_eq!(ledger.claim(&lock, Job::Backup, due, now).unwrap(), None);
        let run = ledger.last_done(now).unwrap().pop().unwrap();
        assert_eq!((run.attempts, run.detail.as_str()), (3, "1.2 MB"));
        assert_eq!(run.ended_at, Some(at("16:05:09")));
        let looked = Ledger::look(dir.path()).unwrap().unwrap();
        assert_eq!(looked.history().unwrap(), [run]);
    }

    #[test]
    fn rows_of_long_ago_and_of_other_versions_are_left_aside() {
        let dir = tempfile::tempdir().unwrap();
        let lock = ServiceLock::acquire(dir.path(), LOCK, 1).unwrap();
        assert!(Ledger::look(dir.path()).unwrap().is_none());
        let mut ledger = Ledger::open(dir.path(), at("16:00:00")).unwrap();
        let past = at("16:05:00") - TimeDelta::days(500);
        ledger.claim(&lock, Job::Backup, past, past).unwrap();
        let other = "INSERT INTO jobs VALUES ('polish', '2026', 'done', 1, 1, '', NULL, '')";
        ledger.connection.execute(other, []).unwrap();
        ledger.claim(&lock, Job::Check, at("05:00:00"), at("05:00:00")).unwrap();
        let jobs: Vec<Job> = ledger.history().unwrap().iter().map(|run| run.job).collect();
        assert_eq!(jobs, [Job::Check]);
        ledger.connection.pragma_update(None, "user_version", 9).unwrap();
        assert!(Ledger::look(dir.path()).unwrap().is_none());
        let error = Ledger::open(dir.path(), at("16:00:00")).unwrap_err();
        assert!(matches!(error, LedgerError::Newer { .. }), "{error}");
    }
}
