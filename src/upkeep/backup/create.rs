//! Makes an archive, proves it, and only then gives it its name.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;

use super::manifest::{FORMAT, Manifest, Member};
use super::shelf::{CHECKSUM, file_name};
use super::verify::{self, Report};
use super::{BackupError, LOCK, Watch, archive, failed};
use crate::market::Timestamp;
use crate::store::lock::ServiceLock;
use crate::store::{FILE_NAME, whole};
use crate::upkeep::files::{self, Scratch};

/// What is to be backed up, and where to.
#[derive(Debug, Clone)]
pub struct Order {
    /// The data folder.
    pub data: PathBuf,
    /// Folder of the archives.
    pub dir: PathBuf,
    /// The configuration file, when it is to be kept.
    pub config: Option<PathBuf>,
    /// The folder of log files, when they, the databases of log records and the
    /// pictures are to be kept: a full archive.
    pub logs: Option<PathBuf>,
    /// Market time.
    pub now: Timestamp,
}

/// An archive that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// The archive.
    pub path: PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// What is in it.
    pub manifest: Manifest,
    /// How it was proved.
    pub report: Report,
}

/// Makes an archive. It stands under its name only once it has been verified:
/// who is killed on the way leaves none.
///
/// # Errors
/// When something cannot be read or written, when the copy lacks what the
/// database has, when there is nothing to back up, or when the archive does
/// not verify. No archive is left then.
pub fn create(order: &Order, watch: &mut Watch<'_>) -> Result<Made, BackupError> {
    let dir = &order.dir;
    files::create_folder(dir).map_err(failed("make", dir))?;
    let _lock = ServiceLock::acquire_in(dir, LOCK, std::process::id())?;
    files::remove_unfinished(dir).map_err(failed("clear", dir))?;
    let database = order.data.join(FILE_NAME);
    need_room(order, &database)?;
    let scratch = Scratch::new(dir).map_err(failed("use", dir))?;
    let inside = scratch.path().join("inside");
    files::create_folder(&inside).map_err(failed("make", &inside))?;

    let manifest = gather(order, &database, &inside, watch)?;
    let unnamed = scratch.path().join("archive");
    let file = files::create(&unnamed).map_err(failed("write", &unnamed))?;
    let (file, sha256) = archive::write(file, &manifest, &inside, watch)
        .and_then(|(file, sha256)| file.sync_all().map(|()| (file, sha256)))
        .map_err(failed("write", &unnamed))?;
    drop(file);
    // Its place is needed to unpack the archive.
    std::fs::remove_dir_all(&inside).map_err(failed("clear", &inside))?;

    let report = verify::verify_against(&unnamed, Some(&sha256), watch)?;
    if let Some(damage) = report.first_failure() {
        return Err(BackupError::Unproved { damage });
    }
    let path = give_name(&unnamed, &sha256, &manifest, dir)?;
    let size = std::fs::metadata(&path).map_err(failed("look at", &path))?.len();
    Ok(Made { path, size, manifest, report })
}

/// Copies everything into `inside` and says what is there.
fn gather(
    order: &Order,
    database: &Path,
    inside: &Path,
    watch: &mut Watch<'_>,
) -> Result<Manifest, BackupError> {
    let there = whole::contents(database)?;
    if there.rows_of("runs") == 0 {
        return Err(BackupError::NothingRecorded { path: database.to_owned() });
    }
    let copied = copy_database(database, inside, FILE_NAME, watch)?;
    whole::seal(&copied)?;
    let contents = whole::contents(&copied)?;
    for table in ["runs", "journal", "trades"] {
        let (copied, there) = (contents.rows_of(table), there.rows_of(table));
        if copied < there {
            return Err(BackupError::Incomplete { table, copied, there });
        }
    }
    let mut names = vec![FILE_NAME.to_string()];
    let mut rows = BTreeMap::from([(FILE_NAME.to_string(), contents.rows.clone())]);
    let book = order.data.join(archive::PAPER_BOOK);
    if book.exists() {
        copy_file(&book, inside, archive::PAPER_BOOK, &mut names)?;
    }
    if let Some(config) = &order.config {
        copy_file(config, inside, archive::CONFIG, &mut names)?;
    }
    if let Some(logs) = &order.logs {
        for name in archive::LOG_DATABASES {
            let records = order.data.join(name);
            if records.exists() {
                let copied = copy_database(&records, inside, name, watch)?;
                rows.insert(name.to_string(), whole::row_counts(&copied)?);
                names.push(name.to_string());
            }
        }
        copy_folder(logs, inside, archive::LOGS, &mut names)?;
        copy_folder(&order.data.join("pictures"), inside, archive::PICTURES, &mut names)?;
    }
    let mut members = Vec::new();
    for name in names {
        let path = inside.join(&name);
        let (size, sha256) = files::digest(&path, |_| {}).map_err(failed("read", &path))?;
        members.push(Member { name, size, sha256 });
    }
    Ok(Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_string(),
        build: option_env!("PIVOT_BUILD").unwrap_or("source").to_string(),
        schema: contents.schema,
        mode: contents.mode.map_or("unknown", crate::engine::Mode::as_str).to_string(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        made_at: order.now,
        full: order.logs.is_some(),
        files: members,
        rows,
        last_seq: contents.last_seq,
        days: contents.days,
    })
}

fn copy_database(
    from: &Path,
    inside: &Path,
    name: &str,
    watch: &mut Watch<'_>,
) -> Result<PathBuf, BackupError> {
    let to = inside.join(name);
    // SQLite would make it with wider permissions.
    files::create(&to).map_err(failed("write", &to))?;
    whole::copy(from, &to, |done, total| watch("copying", done, total))?;
    Ok(to)
}

/// Copies a file as it is now; what is appended meanwhile is left out.
fn copy_file(
    from: &Path,
    inside: &Path,
    name: &str,
    names: &mut Vec<String>,
) -> Result<(), BackupError> {
    let to = inside.join(name);
    let copy = || -> io::Result<()> {
        let source = File::open(from)?;
        let size = source.metadata()?.len();
        let target = files::create(&to)?;
        files::copy_digested(source, target, size, |_| {}).map(drop)
    };
    copy().map_err(failed("copy", from))?;
    names.push(name.to_string());
    Ok(())
}

/// Copies the plain files of a folder. One that is gone by the time (logs are
/// rotated) is left out.
fn copy_folder(
    from: &Path,
    inside: &Path,
    prefix: &str,
    names: &mut Vec<String>,
) -> Result<(), BackupError> {
    if !from.exists() {
        return Ok(());
    }
    let to = inside.join(prefix);
    files::create_folder(&to).map_err(failed("make", to))?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let name = entry.file_name().to_string_lossy().into_owned();
        if is_file && archive::is_fit(&format!("{prefix}{name}")) {
            found.push(name);
        }
    }
    found.sort();
    for name in found {
        match copy_file(&from.join(&name), inside, &format!("{prefix}{name}"), names) {
            Err(BackupError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            copied => copied?,
        }
    }
    Ok(())
}

/// The copy, the archive, and the copy unpacked again: the first makes way
/// for the third.
fn need_room(order: &Order, database: &Path) -> Result<(), BackupError> {
    let size_of = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.size());
    let mut size = size_of(database) + size_of(&database.with_extension("db-wal"));
    if let Some(logs) = &order.logs {
        size +=
            archive::LOG_DATABASES.map(|name| size_of(&order.data.join(name))).iter().sum::<u64>();
        let logs = std::fs::read_dir(logs).into_iter().flatten().flatten();
        size += logs.map(|entry| size_of(&entry.path())).sum::<u64>();
    }
    let needed = 2 * size;
    let room = files::room(&order.dir).map_err(failed("look at", &order.dir))?;
    if room < needed {
        return Err(BackupError::NoRoom { path: order.dir.clone(), room, needed });
    }
    Ok(())
}

/// The checksum first: an archive that is there has one.
fn give_name(
    unnamed: &Path,
    sha256: &str,
    manifest: &Manifest,
    dir: &Path,
) -> Result<PathBuf, BackupError> {
    let mut stamp = manifest.made_at;
    let (name, path) = loop {
        let name = file_name(stamp, &manifest.mode, manifest.full);
        let path = dir.join(&name);
        if !path.exists() {
            break (name, path);
        }
        stamp += TimeDelta::seconds(1);
    };
    let checksum = dir.join(format!("{name}{CHECKSUM}"));
    let unnamed_checksum = unnamed.with_extension("sha256");
    let write = || -> io::Result<()> {
        let mut file = files::create(&unnamed_checksum)?;
        io::Write::write_all(&mut file, format!("{sha256}  {name}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&unnamed_checksum, &checksum)?;
        std::fs::rename(unnamed, &path)?;
        files::sync_folder(dir)
    };
    write().map_err(failed("write", &path))?;
    Ok(path)
}
