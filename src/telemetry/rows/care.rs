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
use super::schema::{self, BUSY_TIMEOUT, Identity, beside, open_or_make};
use super::sqlite::{Writer, move_aside};
use super::{RowsError, Table};
use crate::clock::real_now;

/// Rows of one step.
const STEP: u32 = 500;

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

/// Attempts to copy all of it into the file, and how long services and readers
/// are waited for when it is then emptied.
const CHECKPOINTS: u32 = 5;
const TRUNCATE_WITHIN: Duration = Duration::from_millis(50);

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

/// So much is left when a disk is nearly full: what happened lately.
const LEFT_IN_NEED: u64 = 16 << 20;

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
        let before = untold.rows();
        let done = turn(path, room, &mut open, &mut untold);
        // Also what was thrown out before something failed.
        let pruned = untold.rows() - before;
        count(pruned);
        match done {
            Ok(()) => pause = if pruned > 0 { AT_ONCE } else { every },
            // The services need it; their turn is short.
            Err(error) if error.is_busy() => pause = AT_ONCE,
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
pub(super) fn turn(
    path: &Path,
    room: Room,
    open: &mut Option<Care>,
    pruned: &mut Pruned,
) -> Result<(), RowsError> {
    if !path.exists() {
        *open = None;
        return Ok(());
    }
    let Some(_lock) = lock(path)? else { return Ok(()) };
    let found = Identity::of(path).ok();
    let is_there = |care: &Care| found == Some(care.identity);
    let care = match open.take().filter(is_there).map_or_else(|| Care::open(path), Ok) {
        Ok(care) => open.insert(care),
        Err(error) => return without_damage(path, found, error),
    };
    // An index that cannot be merged does not stop the rest, nor is the file
    // damaged as a whole by it.
    let merged = care.merge();
    let emptied = care.empty_wal(WAL_BYTES);
    if let Err(error) = care.keep_within(room, pruned) {
        return without_damage(path, found, error);
    }
    merged.and(emptied.map(drop))
}

/// Moves a file aside that turned out to be damaged; services begin a new one
/// with their next batch.
///
/// # Errors
/// The error that was found when it tells of no damage; else when the file
/// cannot be moved.
fn without_damage(path: &Path, found: Option<Identity>, error: RowsError) -> Result<(), RowsError> {
    if !error.is_damage() {
        return Err(error);
    }
    if let Some(aside) = move_aside(path, found, real_now())? {
        let error = &error as &dyn std::error::Error;
        let moved_to = aside.display().to_string();
        tracing::error!(error, moved_to, "a log database was damaged and is begun anew");
    }
    Ok(())
}

/// Throws out the older half of what the databases hold, down to
/// 16 MB, and gives the disk the room. For a disk that is
/// nearly full. Blocks.
///
/// # Errors
/// When a file cannot be opened or written. What was done stays done.
pub fn make_room(active: &Path) -> Result<Pruned, RowsError> {
    halve(active, LEFT_IN_NEED)
}

pub(super) fn halve(active: &Path, left: u64) -> Result<Pruned, RowsError> {
    if !active.exists() {
        return Ok(Pruned::default());
    }
    let mut pruned = Pruned::default();
    let found = Identity::of(active).ok();
    if let Err(error) = keep_half(active, left, &mut pruned) {
        without_damage(active, found, error)?;
        // What was moved aside goes first.
        keep_half(active, left, &mut pruned)?;
    }
    Ok(pruned)
}

fn keep_half(active: &Path, left: u64, pruned: &mut Pruned) -> Result<(), RowsError> {
    let mut care = Care::open(active)?;
    let half = (care.taken()? / 2).max(left);
    let made = care.prune(half, pruned);
    made.and(care.shrink(half))
}

/// The lock of whoever cares; `None` when another process does.
fn lock(path: &Path) -> Result<Option<File>, RowsError> {
    let path = beside(path, ".care");
    let failed = |source| RowsError::Prepare { path: path.clone(), source };
    let mut options = OpenOptions::new();
    let file = open_or_make(options.write(true).mode(0o600), &path).map_err(failed)?;
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

    /// A log that always has a reader or a writer is never begun anew. False
    /// when it is still as large: somebody reads what an older part of it
    /// holds, or writes; then rows that are thrown out make no room yet.
    fn empty_wal(&self, from: u64) -> Result<bool, RowsError> {
        let bytes = std::fs::metadata(beside(&self.path, "-wal")).map_or(0, |found| found.len());
        if bytes < from {
            return Ok(true);
        }
        for _ in 0..CHECKPOINTS {
            let began = Instant::now();
            // The copying locks nobody out.
            if self.checkpoint("PASSIVE")? {
                return self.truncate();
            }
            rest(began.elapsed());
        }
        Ok(false)
    }

    /// Short, since no service can write meanwhile.
    fn truncate(&self) -> Result<bool, RowsError> {
        let connection = &self.active.connection;
        connection.busy_timeout(TRUNCATE_WITHIN).map_err(RowsError::Write)?;
        let emptied = self.checkpoint("TRUNCATE");
        connection.busy_timeout(BUSY_TIMEOUT).map_err(RowsError::Write)?;
        emptied
    }

    /// True when the file holds all of the log.
    fn checkpoint(&self, how: &str) -> Result<bool, RowsError> {
        let whole = |row: &rusqlite::Row<'_>| -> rusqlite::Result<bool> {
            let (is_busy, pages, copied): (bool, i64, i64) =
                (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(!is_busy && pages == copied)
        };
        let sql = format!("PRAGMA wal_checkpoint({how})");
        self.active.connection.query_row(&sql, [], whole).map_err(RowsError::Write)
    }

    /// What both databases take, without what is free within the active one.
    fn taken(&self) -> Result<u64, RowsError> {
        let damaged = room::damaged_bytes(&self.path);
        let active = on_disk(&self.path);
        let free = free_bytes(&self.active.connection)?.min(active);
        Ok(active - free + on_disk(&archive_of(&self.path)) + damaged)
    }

    pub(super) fn keep_within(&mut self, room: Room, pruned: &mut Pruned) -> Result<(), RowsError> {
        let mut made = Ok(());
        if self.taken()? > room.pruned_from() {
            made = self.prune(room.pruned_to(), pruned);
        }
        made.and(self.shrink(room.pruned_from()))
    }

    /// Throws out until no more than `bytes` are taken, and counts what goes.
    /// An archive that cannot be used is told of in the end.
    fn prune(&mut self, bytes: u64, pruned: &mut Pruned) -> Result<(), RowsError> {
        let mut archive = Ok(true);
        loop {
            if !self.empty_wal(WAL_BYTES_IN_NEED)? {
                return archive.map(drop);
            }
            let Some(excess) = self.taken()?.checked_sub(bytes).filter(|excess| *excess > 0) else {
                return archive.map(drop);
            };
            let failed = |source| RowsError::Prepare { path: self.path.clone(), source };
            if let Some(damaged) = room::damaged(&self.path).map_err(failed)?.first() {
                room::remove(damaged).map_err(failed)?;
                pruned.files += 1;
                continue;
            }
            if archive.is_ok() {
                archive = self.prune_archive(excess, &mut pruned.archived);
                match &archive {
                    Ok(true) => continue,
                    Err(error) if error.is_busy() => return archive.map(drop),
                    Ok(false) | Err(_) => {}
                }
            }
            let before = pruned.active;
            let size = on_disk(&self.path);
            drop_oldest(&mut self.active, excess, size, &mut pruned.active)?;
            // What keeps it from merging is told by each turn.
            let _ = self.merge();
            if pruned.active == before {
                return archive.map(drop);
            }
        }
    }

    /// False when there was nothing. A damaged archive is moved aside, and so
    /// becomes one of the files that go first.
    fn prune_archive(&self, excess: u64, gone: &mut u64) -> Result<bool, RowsError> {
        let path = archive_of(&self.path);
        let Ok(found) = Identity::of(&path) else { return Ok(false) };
        let before = *gone;
        match drop_archived(&path, excess, gone) {
            Ok(()) => Ok(*gone > before),
            Err(error) => without_damage(&path, Some(found), error).map(|()| true),
        }
    }

    /// Gives the disk what is free in a file that is too large, as far as
    /// both databases together are.
    fn shrink(&self, bytes: u64) -> Result<(), RowsError> {
        let on_disk = on_disk(&self.path) + on_disk(&archive_of(&self.path));
        match on_disk.checked_sub(bytes) {
            None | Some(0) => Ok(()),
            Some(excess) => {
                self.active.give_back(excess)?;
                // Only then is the file shorter; else after a later turn.
                self.empty_wal(1).map(drop)
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

fn drop_archived(path: &Path, excess: u64, gone: &mut u64) -> Result<(), RowsError> {
    let (connection, _) = schema::open(path, false)?;
    let mut archive = Writer::new(connection, false);
    drop_oldest(&mut archive, excess, on_disk(path), gone)?;
    archive.give_back(u64::MAX)
}

/// Deletes the oldest rows, as many as `excess` bytes of `bytes` are of all.
fn drop_oldest(
    from: &mut Writer,
    excess: u64,
    bytes: u64,
    gone: &mut u64,
) -> Result<(), RowsError> {
    let count = |table: Table| -> Result<u64, RowsError> {
        let sql = &table.statements().count;
        let rows: i64 =
            from.connection.query_row(sql, [], |row| row.get(0)).map_err(RowsError::Read)?;
        Ok(u64::try_from(rows).unwrap_or(0))
    };
    let all = count(Table::System)? + count(Table::Performance)?;
    let share = u128::from(all) * u128::from(excess) / u128::from(bytes.max(1));
    let mut left = u64::try_from(share).unwrap_or(all).clamp(1, all.max(1));
    while left > 0 {
        let began = Instant::now();
        let mut oldest: Vec<(i64, Table)> = Vec::new();
        for table in Table::ALL {
            let ids = from.oldest_ids(table)?;
            oldest.extend(ids.into_iter().map(|id| (id, table)));
        }
        oldest.sort_unstable_by_key(|(id, _)| *id);
        oldest.truncate(usize::try_from(STEP).unwrap_or(usize::MAX));
        let mut deleted = 0;
        for table in Table::ALL {
            let of_it = oldest.iter().filter(|(_, its)| *its == table);
            let ids: Vec<i64> = of_it.map(|(id, _)| *id).collect();
            let rows = from.delete(table, &ids)?;
            deleted += rows;
            *gone += rows;
        }
        if deleted == 0 {
            break;
        }
        left = left.saturating_sub(deleted);
        rest(began.elapsed());
    }
    Ok(())
}

impl Writer {
    fn oldest_ids(&self, table: Table) -> Result<Vec<i64>, RowsError> {
        let read = || -> rusqlite::Result<Vec<i64>> {
            let mut statement = self.connection.prepare_cached(&table.statements().oldest)?;
            statement.query_map((i64::MAX, STEP), |row| row.get(0))?.collect()
        };
        read().map_err(RowsError::Read)
    }
}
