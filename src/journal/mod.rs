//! The write-ahead journal: what happened and what it caused, committed
//! before anything is sent.
//!
//! One transaction holds a batch of events with their commands and what
//! follows from them in the tables that people query. The single writer
//! claims an epoch when it starts; a process of an older epoch cannot append
//! any more, whatever it believes (M10).

mod fence;
pub mod record;
mod replay;

pub use fence::Fence;
pub use replay::{ReplayMismatch, compare, replay};

use chrono::NaiveDate;
use rusqlite::{OptionalExtension, Transaction};

use crate::engine::command::Command;
use crate::engine::event::{CommandId, Event, Stamp};
use crate::market::time::ist_date;
use crate::market::{Quote, Timestamp};
use crate::store::columns::{At, Day, Doc, Seq};
use crate::store::project::Projector;
use crate::store::wire::{Wire, variant};
use crate::store::{Role, SCHEMA_VERSION, Store, StoreError};

/// One event with what it caused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its place and instant.
    pub stamp: Stamp,
    /// Quotes that the engine took since the entry before without anything
    /// coming of them: the latest of each instrument. A replay shows them to
    /// the engine before the event.
    pub seen: Vec<Quote>,
    /// What happened.
    pub event: Event,
    /// What the engine asked for.
    pub commands: Vec<Command>,
}

/// The manifest of a run: who writes from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// `trading`, or `flatten` for a run that only gets out of positions.
    pub kind: &'static str,
    /// The process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Version of the program.
    pub version: String,
    /// Commit it was built from.
    pub build: String,
    /// Digest of the configuration.
    pub config_hash: String,
}

/// The journal, open for its single writer.
#[derive(Debug)]
pub struct Journal {
    store: Store,
    epoch: i64,
    last_seq: u64,
    projector: Projector,
}

impl Journal {
    /// Claims the journal: from now on only this process may append. The
    /// caller holds the service lock of pivot-trading.
    ///
    /// # Errors
    /// When the claim cannot be committed, or the last records cannot be
    /// read.
    pub fn claim(mut store: Store, run: &Run) -> Result<Journal, JournalError> {
        let mode = store.mode();
        let epoch = store.write("writer", &[Role::Trading], |transaction| {
            let sql = "UPDATE writer SET epoch = epoch + 1, pid = ?1, claimed_at = ?2
                RETURNING epoch";
            let claim = (run.pid, At(run.started_at));
            let epoch: i64 = transaction.query_row(sql, claim, |row| row.get(0))?;
            let sql = "INSERT INTO runs (epoch, kind, pid, started_at, version, build,
                config_hash, sqlite, schema, mode)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
            transaction.execute(
                sql,
                (
                    epoch,
                    run.kind,
                    run.pid,
                    At(run.started_at),
                    &run.version,
                    &run.build,
                    &run.config_hash,
                    rusqlite::version(),
                    SCHEMA_VERSION,
                    mode.as_str(),
                ),
            )?;
            Ok(epoch)
        })?;
        let last_seq = store.read("journal", |connection| {
            connection.query_row("SELECT COALESCE(MAX(seq), 0) FROM journal", [], |row| {
                row.get::<_, Seq>(0)
            })
        })?;
        let last_seq = last_seq.0;
        let mut journal = Journal { store, epoch, last_seq, projector: Projector::default() };
        journal.projector = journal.projector_of_last_plan()?;
        Ok(journal)
    }

    /// Commits a batch in one transaction: the entries, the rows of their
    /// facts, and their notices. What is not in the journal must not be sent.
    ///
    /// # Errors
    /// Any error is fatal (M18): nothing of the batch is written or may
    /// be sent, and the process must exit. The commit must not be tried again
    /// on this connection, because a failed flush may have lost pages that
    /// the next one would not write.
    pub fn append(&mut self, batch: &[Entry]) -> Result<(), JournalError> {
        let mut last_seq = self.last_seq;
        for entry in batch {
            if entry.stamp.seq <= last_seq {
                return Err(JournalError::Sequence { found: entry.stamp.seq, last: last_seq });
            }
            last_seq = entry.stamp.seq;
        }
        if batch.is_empty() {
            return Ok(());
        }
        let (epoch, projector) = (self.epoch, &mut self.projector);
        let committed = self.store.write("journal", &[Role::Trading], |transaction| {
            for entry in batch {
                insert(transaction, epoch, entry)?;
                projector.event(&entry.event);
                for command in &entry.commands {
                    projector.command(transaction, entry.stamp.at, command)?;
                }
            }
            Ok(())
        });
        match committed {
            Ok(()) => {
                self.last_seq = last_seq;
                Ok(())
            }
            Err(error) if is_fenced(&error) => Err(JournalError::Fenced { epoch }),
            Err(error) => Err(error.into()),
        }
    }

    /// The last sequence that is durable; 0 when there is none.
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The epoch claimed.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// Tells whether this process is still the writer; looks with `reader`.
    pub fn fence(&self, reader: Store) -> Fence {
        Fence::new(reader, self.epoch)
    }

    /// The entries of an IST day, in order.
    ///
    /// # Errors
    /// When they cannot be read, or a record is not of a form this program
    /// knows.
    pub fn replay(&self, day: NaiveDate) -> Result<Vec<Entry>, JournalError> {
        entries(&self.store, day)
    }

    /// The last day that has entries; `before` leaves out that day and later
    /// ones.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn last_day(&self, before: Option<NaiveDate>) -> Result<Option<NaiveDate>, JournalError> {
        last_day(&self.store, before)
    }

    /// The connection, for what pivot-trading writes and reads besides.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The connection, for what pivot-trading writes besides.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// True when the order request of this name is written down for good.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn holds(&self, command: CommandId) -> Result<bool, JournalError> {
        let found = self.store.read("intents", |connection| {
            let sql = "SELECT 1 FROM intents WHERE seq = ?1 AND idx = ?2";
            let mut statement = connection.prepare_cached(sql)?;
            let durable = connection.is_autocommit();
            Ok(durable && statement.exists((Seq(command.seq), command.index))?)
        })?;
        Ok(found)
    }

    /// Lets go of the journal: this process writes it no more.
    pub fn into_store(self) -> Store {
        self.store
    }

    fn projector_of_last_plan(&self) -> Result<Projector, JournalError> {
        let last: Option<(u64, String)> = self.store.read("journal", |connection| {
            let sql = "SELECT seq, event FROM journal WHERE kind = 'Day' ORDER BY seq DESC LIMIT 1";
            connection
                .query_row(sql, [], |row| Ok((row.get::<_, Seq>(0)?.0, row.get(1)?)))
                .optional()
        })?;
        let mut projector = Projector::default();
        if let Some((seq, text)) = last {
            let event = Event::from_text(&text)
                .map_err(|source| JournalError::Unreadable { seq, source })?;
            projector.event(&event);
        }
        Ok(projector)
    }
}

/// The entries of an IST day, for readers: `why`, replay, traces.
///
/// # Errors
/// When they cannot be read, or a record is not of a form this program knows.
pub fn entries(store: &Store, day: NaiveDate) -> Result<Vec<Entry>, JournalError> {
    let rows: Vec<Row> = store.read("journal", |connection| {
        let sql = "SELECT seq, at, v, event, seen, commands FROM journal
            WHERE day = ?1 ORDER BY seq";
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map([Day(day)], |row| {
            Ok(Row {
                seq: row.get::<_, Seq>(0)?.0,
                at: row.get::<_, At>(1)?.0,
                version: row.get(2)?,
                event: row.get(3)?,
                seen: row.get(4)?,
                commands: row.get(5)?,
            })
        })?;
        rows.collect()
    })?;
    rows.into_iter().map(Row::parse).collect()
}

/// The last day that has entries; `before` leaves out that day and later
/// ones.
///
/// # Errors
/// When the file cannot be read.
pub fn last_day(
    store: &Store,
    before: Option<NaiveDate>,
) -> Result<Option<NaiveDate>, JournalError> {
    let day = store.read("journal", |connection| {
        let sql = "SELECT MAX(day) FROM journal WHERE ?1 IS NULL OR day < ?1";
        connection.query_row(sql, [before.map(Day)], |row| row.get::<_, Option<Day>>(0))
    })?;
    Ok(day.map(|day| day.0))
}

/// The last IST day before `before` (or at all) that was prepared for trading.
///
/// # Errors
/// When the file cannot be read.
pub fn last_prepared_day(
    store: &Store,
    before: Option<NaiveDate>,
) -> Result<Option<NaiveDate>, JournalError> {
    let mut before = before;
    while let Some(day) = last_day(store, before)? {
        let prepared: bool = store.read("journal", |connection| {
            let sql = "SELECT EXISTS (SELECT 1 FROM journal WHERE day = ?1 AND kind = 'Day')";
            connection.query_row(sql, [Day(day)], |row| row.get(0))
        })?;
        if prepared {
            return Ok(Some(day));
        }
        before = Some(day);
    }
    Ok(None)
}

struct Row {
    seq: u64,
    at: Timestamp,
    version: u32,
    event: String,
    seen: String,
    commands: String,
}

impl Row {
    fn parse(self) -> Result<Entry, JournalError> {
        let Row { seq, at, version, event, seen, commands } = self;
        if version > record::VERSION {
            return Err(JournalError::Version { seq, version });
        }
        let unreadable = |source| JournalError::Unreadable { seq, source };
        Ok(Entry {
            stamp: Stamp { seq, at },
            seen: Wire::from_text(&seen).map_err(unreadable)?,
            event: Wire::from_text(&event).map_err(unreadable)?,
            commands: Wire::from_text(&commands).map_err(unreadable)?,
        })
    }
}

fn insert(transaction: &Transaction<'_>, epoch: i64, entry: &Entry) -> rusqlite::Result<()> {
    let event = entry.event.write();
    let kind = variant(&event).map(|(name, _)| name.to_owned()).unwrap_or_default();
    let day = Day(ist_date(entry.stamp.at));
    let sql = "INSERT INTO journal (seq, epoch, day, at, v, kind, event, seen, commands)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.prepare_cached(sql)?.execute((
        Seq(entry.stamp.seq),
        epoch,
        &day,
        At(entry.stamp.at),
        record::VERSION,
        kind,
        event.to_string(),
        Doc(&entry.seen),
        Doc(&entry.commands),
    ))?;
    for (index, command) in (0_i64..).zip(&entry.commands) {
        insert_intent(transaction, entry.stamp.seq, index, &day, command)?;
    }
    Ok(())
}

fn insert_intent(
    transaction: &Transaction<'_>,
    seq: u64,
    index: i64,
    day: &Day,
    command: &Command,
) -> rusqlite::Result<()> {
    let (kind, intent, tag, order_id) = match command {
        Command::Submit { intent, order, .. } => {
            ("SUBMIT", Some(intent.0), Some(order.tag.as_str()), None)
        }
        Command::Modify { intent, order_id, .. } => {
            ("MODIFY", Some(intent.0), None, Some(order_id.0.as_str()))
        }
        Command::Cancel { intent, order_id } => {
            ("CANCEL", intent.map(|intent| intent.0), None, Some(order_id.0.as_str()))
        }
        Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {
            return Ok(());
        }
    };
    let sql = "INSERT INTO intents (seq, idx, day, kind, intent, tag, order_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    transaction.prepare_cached(sql)?.execute((
        Seq(seq),
        index,
        day,
        kind,
        intent,
        tag,
        order_id,
    ))?;
    Ok(())
}

fn is_fenced(error: &StoreError) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("fenced"))
}

/// The journal failed. Fatal for its writer.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A newer process writes the journal.
    #[error("another process has taken over the journal (this one had epoch {epoch})")]
    Fenced {
        /// The epoch this process had claimed.
        epoch: i64,
    },
    /// Sequences must increase.
    #[error("entry {found} cannot follow entry {last}")]
    Sequence {
        /// The sequence to append.
        found: u64,
        /// The last one.
        last: u64,
    },
    /// A record was written by a newer program.
    #[error("entry {seq} has form {version}, this program knows up to {}", record::VERSION)]
    Version {
        /// The entry.
        seq: u64,
        /// Its form.
        version: u32,
    },
    /// A record is not of a known form.
    #[error(
        "entry {seq} of the journal cannot be read: put a backup of trading.db in its place, or, \
         once the Kite app shows nothing open, move trading.db away and begin afresh"
    )]
    Unreadable {
        /// The entry.
        seq: u64,
        /// Where it differs.
        #[source]
        source: crate::store::wire::Malformed,
    },
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests;
