//! One folder takes the place of another, and whoever is killed in between
//! leaves something that can be told.
//!
//! The new folder bears a mark. It is given a name beside the old one
//! (`<folder>.restoring-<time>`), the two are exchanged in one step, the old
//! one gets its lasting name (`<folder>.before-restore-<time>`), and the mark
//! goes. So a folder that is left with the name of the middle is a new one
//! that never was in place when it bears the mark, and the old one else.
//!
//! Where a file system cannot exchange two names, there is a moment without
//! a data folder. Services refuse to begin an empty one in it, and
//! [`repair`] puts the old one back.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::market::Timestamp;
use crate::market::time::ist;
use crate::store::{RESTORING, interrupted_restores};
use crate::upkeep::files;

/// The mark of a folder that is not in place yet.
pub(super) const MARK: &str = ".restoring";

/// What the old folder's name is followed by.
const BEFORE: &str = ".before-restore-";

fn beside(dir: &Path, middle: &str, end: &str) -> PathBuf {
    let mut name = dir.as_os_str().to_owned();
    name.push(middle);
    name.push(end);
    PathBuf::from(name)
}

/// Puts `fresh` in the place of `dir`, and answers where the old one went.
pub(super) fn swap(
    fresh: &Path,
    dir: &Path,
    now: Timestamp,
    exchange: impl FnOnce(&Path, &Path) -> io::Result<bool>,
) -> io::Result<PathBuf> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let stamp = ist(now).format("%Y%m%d-%H%M%S").to_string();
    let free =
        |end: &String| [RESTORING, BEFORE].iter().all(|middle| !beside(dir, middle, end).exists());
    let mut ends =
        std::iter::once(stamp.clone()).chain((1_u32..).map(|count| format!("{stamp}-{count}")));
    let end = ends.find(free).unwrap_or(stamp);
    let (middle, before) = (beside(dir, RESTORING, &end), beside(dir, BEFORE, &end));
    // What an earlier end without power left would make the old one look new.
    unmark(dir)?;
    files::create(&fresh.join(MARK))?.sync_all()?;
    files::sync_folder(fresh)?;
    std::fs::rename(fresh, &middle)?;
    files::sync_folder(parent)?;
    // What did not work leaves nothing behind.
    let exchanged = exchange(&middle, dir).or_else(|error| {
        std::fs::rename(&middle, fresh)?;
        Err(error)
    })?;
    if exchanged {
        files::sync_folder(parent)?;
        std::fs::rename(&middle, &before)?;
    } else {
        std::fs::rename(dir, &before)?;
        files::sync_folder(parent)?;
        if let Err(error) = std::fs::rename(&middle, dir) {
            std::fs::rename(&before, dir)?;
            return Err(error);
        }
    }
    files::sync_folder(parent)?;
    unmark(dir)?;
    Ok(before)
}

/// Exchanges two names at once; false where the file system cannot.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<bool> {
    use rustix::io::Errno;
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Clears up what interrupted restores left beside a data folder, whose locks
/// the caller holds. Nothing that was ever in place is deleted.
pub(super) fn repair(dir: &Path) -> io::Result<()> {
    for left in interrupted_restores(dir) {
        let end = end_of(dir, &left);
        let before = beside(dir, BEFORE, &end.to_string_lossy());
        if !dir.exists() && before.exists() {
            std::fs::rename(&before, dir)?;
        }
        if left.join(MARK).exists() {
            std::fs::remove_dir_all(&left)?;
        } else if !before.exists() {
            std::fs::rename(&left, &before)?;
        }
    }
    unmark(dir)
}

fn end_of(dir: &Path, left: &Path) -> OsString {
    let taken = dir.file_name().map_or(0, |name| name.len()) + RESTORING.len();
    let name = left.file_name().map(|name| name.to_string_lossy().into_owned());
    name.and_then(|name| name.get(taken..).map(OsString::from)).unwrap_or_default()
}

fn unmark(dir: &Path) -> io::Result<()> {
    match std::fs::remove_file(dir.join(MARK)) {
        Ok(()) => files::sync_folder(dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::lock::ServiceLock;

    fn folder(path: &Path, text: &str) {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join("trading.db"), text).unwrap();
    }

    fn holds(path: &Path) -> String {
        std::fs::read_to_string(path.join("trading.db")).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn now() -> Timestamp {
        "2026-11-23T16:05:00+05:30".parse().unwrap()
    }

    const OLD: &str = "data.before-restore-20261123-160500";

    #[test]
    fn a_file_system_without_an_exchange_does_as_well() {
        for exchange in [exchange, |_: &Path, _: &Path| Ok(false)] {
            let place = tempfile::tempdir().unwrap();
            let (dir, fresh) = (place.path().join("data"), place.path().join("fresh"));
            folder(&dir, "old");
            folder(&fresh, "new");
            let before = swap(&fresh, &dir, now(), exchange).unwrap();
            assert_eq!(before, place.path().join(OLD));
            assert_eq!((holds(&dir), holds(&before)), ("new".into(), "old".into()));
            assert_eq!(
                (names(place.path()), names(&dir)),
                (vec!["data".to_string(), OLD.to_string()], vec!["trading.db".to_string()],)
            );
        }
    }

    #[test]
    fn a_mark_that_an_earlier_restore_left_goes_before_the_old_one_moves() {
        let place = tempfile::tempdir().unwrap();
        let (dir, fresh) = (place.path().join("data"), place.path().join("fresh"));
        folder(&dir, "old");
        folder(&fresh, "new");
        std::fs::write(dir.join(MARK), "").unwrap();
        let looked = |middle: &Path, dir: &Path| {
            assert!(middle.join(MARK).exists() && !dir.join(MARK).exists());
            exchange(middle, dir)
        };
        let before = swap(&fresh, &dir, now(), looked).unwrap();
        assert_eq!((holds(&dir), holds(&before)), ("new".into(), "old".into()));
    }

    #[test]
    fn without_a_data_folder_no_service_begins_an_empty_one() {
        let place = tempfile::tempdir().unwrap();
        let (dir, middle) = (place.path().join("data"), place.path().join("data.restoring-x"));
        // Killed between the two steps of a file system without an exchange.
        folder(&place.path().join("data.before-restore-x"), "old");
        folder(&middle, "new");
        std::fs::write(middle.join(MARK), "").unwrap();
        let error = ServiceLock::acquire(&dir, "trading", 1).unwrap_err();
        let error = crate::service::in_full(&error);
        assert!(error.contains("run pivotctl backup restore again"), "{error}");
        assert!(!dir.exists());
        repair(&dir).unwrap();
        assert_eq!((holds(&dir), names(place.path())), ("old".into(), vec!["data".to_string()]));
        ServiceLock::acquire(&dir, "trading", 1).unwrap();
    }

    #[test]
    fn what_is_left_with_the_name_of_the_middle_is_told_by_its_mark() {
        let place = tempfile::tempdir().unwrap();
        let (dir, middle) = (place.path().join("data"), place.path().join("data.restoring-x"));
        // Killed before the exchange: the new one never was in place.
        folder(&dir, "old");
        folder(&middle, "new");
        std::fs::write(middle.join(MARK), "").unwrap();
        repair(&dir).unwrap();
        assert_eq!((holds(&dir), names(place.path())), ("old".into(), vec!["data".to_string()]));
        // Killed after it.
        folder(&middle, "older");
        std::fs::write(dir.join(MARK), "").unwrap();
        repair(&dir).unwrap();
        assert_eq!(names(place.path()), ["data", "data.before-restore-x"]);
        assert_eq!(holds(&place.path().join("data.before-restore-x")), "older");
        assert_eq!(names(&dir), ["trading.db"]);
    }
}
