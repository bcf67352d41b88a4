//! What lies in the folder, and the limit of the whole.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::NaiveDate;

use super::super::component::Component;
use super::names::{self, Finished};
use super::{Limits, about};

#[cfg(test)]
thread_local! {
    static LISTINGS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

/// How often this thread listed a folder.
#[cfg(test)]
pub(in super::super) fn listings() -> u32 {
    LISTINGS.get()
}

/// A file of the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written.
    pub written: SystemTime,
    /// The log it belongs to: `trading`, `errors`, …
    pub stem: String,
    /// The day of a finished file.
    pub date: Option<NaiveDate>,
    /// Its number within that day.
    pub number: Option<u32>,
    /// True for a compressed one.
    pub compressed: bool,
}

/// The log files of the folder, and what else lies there, by name. A folder
/// that is not there holds nothing.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> io::Result<Vec<Listed>> {
    #[cfg(test)]
    LISTINGS.set(LISTINGS.get() + 1);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        // Somebody else may have deleted it meanwhile.
        let Ok(meta) = entry.metadata() else { continue };
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|_| meta.is_file()) else { continue };
        let finished = names::parse(name);
        let stem = match &finished {
            Some(finished) => finished.stem.clone(),
            None => name.strip_suffix(".log").unwrap_or(name).to_string(),
        };
        found.push(Listed {
            path: entry.path(),
            bytes: meta.len(),
            written: meta.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            stem,
            date: finished.as_ref().map(|finished| finished.date),
            number: finished.as_ref().and_then(|finished| finished.number),
            compressed: finished.is_some_and(|finished| finished.compressed),
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl Listed {
    /// True for what is not written any more, by its name. The file of a day
    /// counts as being written: only its date tells.
    pub(super) fn is_set_aside(&self) -> bool {
        self.compressed || self.number.is_some()
    }

    /// What tells of trouble and of trades is thrown away last.
    fn matters(&self) -> bool {
        self.stem.ends_with("_error") || self.stem == "errors" || self.stem == "trading_activity"
    }

    /// True for what the services write here, and what becomes of it.
    fn is_ours(&self) -> bool {
        const OWN: [&str; 4] = ["trading", "auth_server", "bot", "ctl"];
        let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let half = name.strip_suffix(".gz.tmp").and_then(names::parse).map(|it| it.stem);
        let stem = half.as_deref().unwrap_or(&self.stem);
        let service = stem.strip_suffix("_error").unwrap_or(stem);
        OWN.contains(&service)
            || matches!(stem, "errors" | "system")
            || Component::parse(stem).is_some()
            || name.contains("_fallback.jsonl")
    }

    /// True for a log of ours, in any state.
    pub(super) fn is_log(&self) -> bool {
        self.is_ours()
            && (self.date.is_some() || self.path.extension().is_some_and(|kind| kind == "log"))
    }

    /// The same file's inode, to tell whether it was replaced.
    pub(super) fn inode(path: &Path) -> io::Result<(u64, u64)> {
        let meta = fs::metadata(path)?;
        Ok((meta.dev(), meta.ino()))
    }
}

/// Deletes finished files, oldest first, until the folder holds no more than
/// it may; sets the largest ones aside for that when nothing else is left.
/// Answers the bytes that lie there now.
///
/// # Errors
/// When the folder cannot be read, or holds too much that cannot be deleted.
pub(in super::super) fn enforce(limits: &Limits) -> io::Result<u64> {
    let target = limits.target_bytes();
    let mut files = list(&limits.folder)?;
    // What somebody else left here is neither ours to delete nor ours to make
    // room for.
    files.retain(Listed::is_ours);
    let mut total: u64 = files.iter().map(|file| file.bytes).sum();
    if total <= target {
        return Ok(total);
    }
    let mut aside: Vec<&Listed> = files.iter().filter(|file| file.is_set_aside()).collect();
    aside.sort_by_key(|file| (file.matters(), file.written, file.date, file.number));
    // Left behind by a process that was killed while it compressed.
    let halves = files.iter().filter(|file| file.path.extension().is_some_and(|it| it == "tmp"));
    let mut active: Vec<&Listed> =
        files.iter().filter(|file| file.is_log() && !file.is_set_aside()).collect();
    active.sort_by_key(|file| (file.matters(), std::cmp::Reverse(file.bytes)));
    let mut failed = None;
    for file in aside.into_iter().chain(halves).chain(active) {
        if total <= target {
            break;
        }
        match fs::remove_file(&file.path) {
            Ok(()) => total -= file.bytes,
            // Somebody else makes room as well.
            Err(error) if error.kind() == io::ErrorKind::NotFound => total -= file.bytes,
            // Then the next one has to go.
            Err(error) => failed = Some(about(&file.path)(error)),
        }
    }
    match failed {
        Some(error) if total > target => Err(error),
        Some(_) | None => Ok(total),
    }
}

/// Deletes the oldest finished files of one name beyond those that are kept;
/// `fresh` of them are newer than the list.
///
/// # Errors
/// When a file cannot be deleted.
pub(super) fn keep_newest(
    limits: &Limits,
    files: &[Listed],
    stem: &str,
    fresh: usize,
) -> io::Result<()> {
    let mut aside: Vec<&Listed> =
        files.iter().filter(|file| file.stem == stem && file.is_set_aside()).collect();
    // What has no number is the rest of its day.
    aside.sort_by_key(|file| (file.date, file.number.is_none(), file.number));
    let surplus = (aside.len() + fresh).saturating_sub(limits.files);
    for file in aside.into_iter().take(surplus) {
        match fs::remove_file(&file.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(about(&file.path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The first free number for a finished file of a day, as far as is known.
pub(super) fn next_number(files: &[Listed], stem: &str, date: NaiveDate) -> u32 {
    let same = files.iter().filter(|file| file.stem == stem && file.date == Some(date));
    same.filter_map(|file| file.number).max().unwrap_or(0).saturating_add(1)
}

/// Whether a name is that of a finished file of a day before `today`.
pub(super) fn is_of_earlier_day(finished: &Finished, today: NaiveDate) -> bool {
    finished.number.is_some() || finished.date < today
}
