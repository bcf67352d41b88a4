//! Work on the databases that nobody waits for: a thread of pivot-bot, and of
//! pivot-auth for when pivot-bot is away. pivot-trading only appends.
//!
//! It merges the index of texts, whose parts each batch adds to, and throws
//! the oldest rows out when there is no room: damaged files first, then rows
//! of the archive, then rows of `logs.db`, whatever their level, so that what
//! is left is whole. All of it in short transactions with pauses between, so
//! that no service's batch waits for long.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::room::{self, Room, archive_of, free_bytes, on_disk};
use super::schema::{self, Identity, beside};
use super::sqlite::Writer;
use super::{RowsError, Table};

/// Rows of one step.
const STEP: usize = 500;

/// Pages of the index of texts written in one step.
const MERGE_PAGES: u32 = 256;

/// Steps of merging in one turn.
const MERGES: u32 = 50;

/// Parts of the index that its appenders let come together before they merge
/// them themselves; meanwhile it is done here.
const PARTS_MAX: u32 = 64;

/// A write-ahead log that has grown so far is emptied; the second one while
/// there is no room.
const WAL_BYTES: u64 = 16 << 20;
const WAL_BYTES_IN_NEED: u64 = 1 << 20;

/// Between two turns, of pivot-bot and of its stand-in.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_STANDING_IN: Duration = Duration::from_secs(10);

/// After a turn that made room, since more may be needed.
const AT_ONCE: Duration = Duration::from_millis(100);

/// After a turn that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(15);

/// Between two lines about rows that were thrown out, and about failures.
const TELL_EVERY: Duration = Duration::from_secs(3_600);

/// Pauses between steps: as long as the step took, within these.
const REST_MIN: Duration = Duration::from_millis(2);
const REST_MAX: Duration = Duration::from_millis(200);

/// What was thrown out before its days were over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Rows of `logs.db`.
    pub active: u64,
    /// Rows of the archive.
    pub archived: u64,
    /// Damaged databases that had been moved aside.
    pub files: u64,
}

impl Pruned {
    /// Rows of both.
    pub fn rows(&self) -> u64 {
        self.active + self.archived
    }

    fn add(&mut self, more: Pruned) {
        self.active += more.active;
        self.archived += more.archived;
        self.files += more.files;
    }
}

/// The thread. It ends when this is dropped.
#[derive(Debug)]
pub(in crate::telemetry) struct Caretaker {
    _stop: SyncSender<()>,
}

impl Caretaker {
    /// Starts the thread that cares for the database at `path`. `count` hears
    /// how many rows were thrown out.
    ///
    /// # Errors
    /// When the system gives none.
    pub(in crate::telemetry) fn start(
        path: PathBuf,
        room: Room,
        stands_in: bool,
        count: impl Fn(u64) + Send + 'static,
    ) -> std::io::Result<Caretaker> {
        let (stop, stopped) = sync_channel(0);
        let every = if stands_in { EVERY_STANDING_IN } else { EVERY };
        let work = move || live(&path, room, every, &count, &stopped);
        // Not joined: a step in hand when the process ends is done anew.
        std::thread::Builder::new().name("log-care".into()).spawn(work)?;
        Ok(Caretaker { _stop: stop })
    }
}

fn live(path: &Path, room: Room, every: Duration, count: &impl Fn(u64), stopped: &Receiver<()>) {
    let (mut open, mut pause) = (None, every);
    let (mut untold, mut told_at, mut failure_at) = (Pruned::default(), None, None);
    let is_due = |at: Option<Instant>| at.is_none_or(|at| at.elapsed() >= TELL_EVERY);
    loop {
        match stopped.recv_timeout(pause) {
            Err(RecvTimeoutError::Disconnected) => return,
            Ok(()) | Err(RecvTimeoutError::Timeout) => {}
        }
        match turn(path, room, &mut open) {
            Ok(pruned) => {
                count(pruned.rows());
                untold.add(pruned);
                pause = if pruned.rows() > 0 { AT_ONCE } else { every };
            }
            Err(error) => {
                (open, pause) = (None, AFTER_FAILURE);
                if is_due(failure_at) {
                    failure_at = Some(Instant::now());
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, "the log database is not cared for");
                }
            }
        }
        if untold != Pruned::default() && is_due(told_at) {
            told_at = Some(Instant::now());
            let Pruned { active, archived, files } = std::mem::take(&mut untold);
            tracing::warn!(
                event_type = "log_rows_pruned",
                active,
                archived,
                damaged_files = files,
                "the oldest log records were deleted: logging.database_max_mb is reached"
            );
        }
    }
}

/// Does what there is to do, for some seconds at most unless there is no
/// room. Nothing when somebody else is at it.
fn turn(path: &Path, room: Room, open: &mut Option<Care>) -> Result<Pruned, RowsError> {
    if !path.exists() {
        *open = None;
        return Ok(Pruned::default());
    }
    let Some(_lock) = lock(path)? else { return Ok(Pruned::default()) };
    let mut care = match open.take() {
        Some(care) if Identity::of(path).ok() == Some(care.identity) => care,
        Some(_) | None => Care::open(path)?,
    };
    care.merge()?;
    care.empty_wal(WAL_BYTES)?;
    let pruned = care.keep_within(room)?;
    *open = Some(care);
    Ok(pruned)
}

/// Throws out the older half of what the databases hold, and gives the disk
/// the room. For a disk that is nearly full. Blocks.
///
/// # Errors
/// When a file cannot be opened or written. What was done stays done.
pub fn make_room(active: &Path) -> Result<Pruned, RowsError> {
    if !active.exists() {
        return Ok(Pruned::default());
    }
    let mut care = Care::open(active)?;
    let half = care.taken()? / 2;
    let pruned = care.prune(half)?;
    care.shrink(half)?;
    Ok(pruned)
}

/// The lock of whoever cares; `None` when another process does.
fn lock(path: &Path) -> Result<Option<File>, RowsError> {
    let path = beside(path, ".care");
    let failed = |source| RowsError::Prepare { path: path.clone(), source };
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn rest(took: Duration) {
    std::thread::sleep(took.clamp(REST_MIN, REST_MAX));
}

/// A database that is cared for.
#[derive(Debug)]
pub(super) struct Care {
    path: PathBuf,
    identity: Identity,
    active: Writer,
}

impl Care {
    pub(super) fn open(path: &Path) -> Result<Care, RowsError> {
        let (connection, identity) = schema::open(path, true)?;
        for (setting, value) in [("automerge", 0), ("crisismerge", PARTS_MAX)] {
            set(&connection, setting, value)?;
        }
        let active = Writer::new(connection, true);
        Ok(Care { path: path.to_owned(), identity, active })
    }

    /// Merges parts of the index of texts, step by step.
    pub(super) fn merge(&self) -> Result<(), RowsError> {
        let connection = &self.active.connection;
        for _ in 0..MERGES {
            let (began, before) = (Instant::now(), connection.total_changes());
            let sql = "INSERT INTO system_logs_text (system_logs_text, rank) VALUES ('merge', ?1)";
            let merge = || connection.prepare_cached(sql)?.execute([MERGE_PAGES]);
            merge().map_err(RowsError::Write)?;
            // The order itself counts as one change.
            if connection.total_changes() - before < 2 {
                break;
            }
            rest(began.elapsed());
        }
        Ok(())
    }

    /// A log that always has a reader or a writer is never begun anew.
    fn empty_wal(&self, from: u64) -> Result<(), RowsError> {
        let bytes = std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |found| found.len());
        if bytes < from {
            return Ok(());
        }
        // Busy: the next turn tries again.
        let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
        self.active.connection.query_row(sql, [], |_| Ok(())).map_err(RowsError::Write)
    }

    /// What both databases take, without what is free within the active one.
    fn taken(&self) -> Result<u64, RowsError> {
        let damaged = room::aside(&self.path).unwrap_or_default();
        let damaged: u64 = damaged.iter().map(|path| on_disk(path)).sum();
        let active = on_disk(&self.path);
        let free = free_bytes(&self.active.connection)?.min(active);
        Ok(active - free + on_disk(&archive_of(&self.path)) + damaged)
    }

    pub(super) fn keep_within(&mut self, room: Room) -> Result<Pruned, RowsError> {
        let mut pruned = Pruned::default();
        if self.taken()? > room.pruned_from() {
            pruned = self.prune(room.pruned_to())?;
        }
        self.shrink(room.pruned_from())?;
        Ok(pruned)
    }

    /// Throws out until no more than `bytes` are taken.
    fn prune(&mut self, bytes: u64) -> Result<Pruned, RowsError> {
        let mut pruned = Pruned::default();
        loop {
            self.empty_wal(WAL_BYTES_IN_NEED)?;
            let taken = self.taken()?;
            if taken <= bytes {
                return Ok(pruned);
            }
            let failed = |source| RowsError::Prepare { path: self.path.clone(), source };
            if let Some(damaged) = room::aside(&self.path).map_err(failed)?.first() {
                room::remove(damaged).map_err(failed)?;
                pruned.files += 1;
                continue;
            }
            let archived = self.prune_archive(taken - bytes)?;
            pruned.archived += archived;
            if archived > 0 {
                continue;
            }
            let gone = drop_oldest(&mut self.active, taken - bytes, on_disk(&self.path))?;
            self.merge()?;
            pruned.active += gone;
            if gone == 0 {
                return Ok(pruned);
            }
        }
    }

    fn prune_archive(&self, excess: u64) -> Result<u64, RowsError> {
        let path = archive_of(&self.path);
        if !path.exists() {
            return Ok(0);
        }
        let (connection, _) = schema::open(&path, false)?;
        let mut archive = Writer::new(connection, false);
        let gone = drop_oldest(&mut archive, excess, on_disk(&path))?;
        archive.give_back(u64::MAX)?;
        Ok(gone)
    }

    /// Gives the disk what is free in a file that is too large, as far as
    /// both databases together are.
    fn shrink(&self, bytes: u64) -> Result<(), RowsError> {
        let on_disk = on_disk(&self.path) + on_disk(&archive_of(&self.path));
        match on_disk.checked_sub(bytes) {
            None | Some(0) => Ok(()),
            Some(excess) => {
                self.active.give_back(excess)?;
                // Only then is the file shorter.
                self.empty_wal(1)
            }
        }
    }
}

fn set(connection: &Connection, setting: &str, value: u32) -> Result<(), RowsError> {
    let sql = "SELECT v FROM system_logs_text_config WHERE k = ?1";
    let known = connection.query_row(sql, [setting], |row| row.get::<_, u32>(0)).ok();
    if known == Some(value) {
        return Ok(());
    }
    let sql = "INSERT INTO system_logs_text (system_logs_text, rank) VALUES (?1, ?2)";
    connection.execute(sql, (setting, value)).map(drop).map_err(RowsError::Write)
}

/// Deletes the oldest rows, as many as `excess` bytes of `bytes` are of all.
fn drop_oldest(from: &mut Writer, excess: u64, bytes: u64) -> Result<u64, RowsError> {
    let count = |table: Table| -> Result<u64, RowsError> {
        let sql = format!("SELECT COUNT(*) FROM {}", table.name());
        let rows: i64 =
            from.connection.query_row(&sql, [], |row| row.get(0)).map_err(RowsError::Read)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let all = count(Table::System)? + count(Table::Performance)?;
    let share = u128::from(all) * u128::from(excess) / u128::from(bytes.max(1));
    let wanted = u64::try_from(share).unwrap_or(all).clamp(1, all.max(1));
    let mut gone = 0;
    while gone < wanted {
        let began = Instant::now();
        let mut oldest: Vec<(i64, Table)> = Vec::new();
        for table in [Table::System, Table::Performance] {
            let ids = from.oldest_ids(table, STEP)?;
            oldest.extend(ids.into_iter().map(|id| (id, table)));
        }
        oldest.sort_unstable_by_key(|(id, _)| *id);
        oldest.truncate(STEP);
        let mut deleted = 0;
        for table in [Table::System, Table::Performance] {
            let of_it = oldest.iter().filter(|(_, its)| *its == table);
            let ids: Vec<i64> = of_it.map(|(id, _)| *id).collect();
            deleted += from.delete(table, &ids)?;
        }
        if deleted == 0 {
            break;
        }
        gone += deleted;
        rest(began.elapsed());
    }
    Ok(gone)
}

impl Writer {
    fn oldest_ids(&self, table: Table, rows_max: usize) -> Result<Vec<i64>, RowsError> {
        let sql = format!("SELECT id FROM {} ORDER BY id LIMIT {rows_max}", table.name());
        let read = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.connection.prepare_cached(&sql)?;
            statement.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(RowsError::Read)
    }
}
