//! The folder of the archives: what is there, what may go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::NaiveDateTime;
use serde::Serialize;

use super::{BackupError, LOCK, Watch, archive, failed};
use crate::market::Timestamp;
use crate::market::time::{from_ist, ist};
use crate::store::lock::ServiceLock;
use crate::upkeep::files;

/// What the name of the file with the checksum ends with.
pub(super) const CHECKSUM: &str = ".sha256";

const BEGIN: &str = "pivot-";
const END: &str = ".tar.gz";
const FULL: &str = "-full";
const STAMP: &str = "%Y%m%d-%H%M%S";

/// Whether an archive is the one that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Soundness {
    /// It is, and was proved to restore when it was made.
    Sound,
    /// It is not.
    Damaged,
    /// Its checksum is missing; `verify` tells more.
    Unknown,
}

impl Soundness {
    /// `sound`, `damaged`, `unknown`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Soundness::Sound => "sound",
            Soundness::Damaged => "damaged",
            Soundness::Unknown => "unknown",
        }
    }
}

/// An archive in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Archive {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// `demo`, `paper` or `live`.
    pub mode: String,
    /// True with logs and pictures.
    pub full: bool,
    /// Bytes.
    pub size: u64,
    /// Whether it is what was written.
    pub soundness: Soundness,
}

/// How many archives are kept of each kind; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of those without logs.
    pub ordinary: usize,
    /// Of full ones.
    pub full: usize,
}

/// `pivot-20261123-160500-live.tar.gz`
pub(super) fn file_name(at: Timestamp, mode: &str, full: bool) -> String {
    let kind = if full { FULL } else { "" };
    format!("{BEGIN}{}-{mode}{kind}{END}", ist(at).format(STAMP))
}

fn parse_name(name: &str) -> Option<(Timestamp, &str, bool)> {
    let middle = name.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let (stamp, rest) = middle.split_at_checked("YYYYMMDD-HHMMSS".len())?;
    let at = NaiveDateTime::parse_from_str(stamp, STAMP).ok()?;
    let mode = rest.strip_prefix('-')?;
    let (mode, full) = match mode.strip_suffix(FULL) {
        Some(mode) => (mode, true),
        None => (mode, false),
    };
    let plain = !mode.is_empty() && mode.bytes().all(|byte| byte.is_ascii_lowercase());
    plain.then(|| (from_ist(at.date(), at.time()), mode, full))
}

/// The SHA-256 that the file beside an archive tells.
pub(super) fn checksum_beside(archive: &Path) -> Option<String> {
    let mut path = archive.as_os_str().to_owned();
    path.push(CHECKSUM);
    let text = std::fs::read_to_string(PathBuf::from(path)).ok()?;
    text.split_whitespace().next().map(str::to_string)
}

/// The archives of a folder, newest first, without a look into them.
///
/// # Errors
/// When the folder cannot be read. One that is not there has no archives.
pub fn glance(dir: &Path) -> Result<Vec<Archive>, BackupError> {
    let mut found = Vec::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in std::fs::read_dir(dir).map_err(failed("read", dir))? {
        let entry = entry.map_err(failed("read", dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((made_at, mode, full)) = parse_name(&name) else { continue };
        let path = entry.path();
        let size = entry.metadata().map_err(failed("look at", &path))?.len();
        let mode = mode.to_string();
        found.push(Archive { name, made_at, mode, full, size, soundness: Soundness::Unknown });
    }
    found.sort_by(|one, other| (other.made_at, &other.name).cmp(&(one.made_at, &one.name)));
    Ok(found)
}

/// The archives of a folder, newest first. Each is read to its end and
/// compared with its checksum.
///
/// # Errors
/// When the folder or an archive cannot be read. A folder that is not there
/// has no archives.
pub fn list(dir: &Path, watch: &mut Watch<'_>) -> Result<Vec<Archive>, BackupError> {
    let mut found = glance(dir)?;
    let total = found.iter().map(|archive| archive.size).sum();
    let mut done = 0;
    for archive in &mut found {
        let path = dir.join(&archive.name);
        let Some(expected) = checksum_beside(&path) else { continue };
        let seen = |bytes| {
            done += bytes;
            watch("reading", done, total);
        };
        let (_, digest) = files::digest(&path, seen).map_err(failed("read", &path))?;
        archive.soundness = if digest == expected { Soundness::Sound } else { Soundness::Damaged };
    }
    Ok(found)
}

/// Which archives may go: of each mode and kind, those that are older than the
/// `keep` newest sound ones. Where nothing is sound, nothing goes.
pub(super) fn superfluous(archives: &[Archive], keep: Keep) -> Vec<&Archive> {
    let mut newest_first: Vec<&Archive> = archives.iter().collect();
    newest_first.sort_by_key(|archive| std::cmp::Reverse(archive.made_at));
    let mut counts: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    newest_first.retain(|archive| {
        let count = counts.entry((archive.mode.as_str(), archive.full)).or_default();
        let keep = if archive.full { keep.full } else { keep.ordinary };
        let goes = *count >= keep.max(1);
        *count += usize::from(archive.soundness == Soundness::Sound);
        goes
    });
    newest_first
}

/// Deletes the archives (of one mode, or of each by itself) that are older
/// than those to be kept, and answers their names.
///
/// # Errors
/// When the folder cannot be read, an archive not be deleted, or a backup is
/// being made.
pub fn prune(
    dir: &Path,
    mode: Option<&str>,
    keep: Keep,
    watch: &mut Watch<'_>,
) -> Result<Vec<String>, BackupError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let _lock = ServiceLock::acquire_in(dir, LOCK, std::process::id())?;
    let mut archives = list(dir, watch)?;
    archives.retain(|archive| mode.is_none_or(|mode| archive.mode == mode));
    let mut deleted = Vec::new();
    for archive in superfluous(&archives, keep) {
        let path = dir.join(&archive.name);
        std::fs::remove_file(&path).map_err(failed("delete", &path))?;
        let checksum = dir.join(format!("{}{CHECKSUM}", archive.name));
        match std::fs::remove_file(&checksum) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed("delete", checksum)(error));
            }
            Ok(()) | Err(_) => deleted.push(archive.name.clone()),
        }
    }
    Ok(deleted)
}

/// What an archive says of itself, read from its beginning.
///
/// # Errors
/// When it does not begin as a backup does.
pub(super) fn manifest(path: &Path) -> Result<super::Manifest, BackupError> {
    archive::read_manifest(path).map_err(|damage| BackupError::Damaged {
        path: path.to_owned(),
        damage: damage.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn archive(minutes: i64, full: bool, soundness: Soundness) -> Archive {
        let made_at = chrono::DateTime::from_timestamp(1_795_400_000 + 60 * minutes, 0).unwrap();
        let name = file_name(made_at, "live", full);
        Archive { name, made_at, mode: "live".into(), full, size: 1, soundness }
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        let at = from_ist("2026-11-23".parse().unwrap(), crate::market::time::hms(16, 5, 0));
        let name = file_name(at, "live", false);
        assert_eq!(name, "pivot-20261123-160500-live.tar.gz");
        assert_eq!(parse_name(&name), Some((at, "live", false)));
        assert_eq!(parse_name(&file_name(at, "demo", true)), Some((at, "demo", true)));
        for other in ["pivot-20261123-160500-live.tar.gz.sha256", "pivot-2026-live.tar.gz", "x"] {
            assert_eq!(parse_name(other), None);
        }
    }

    fn shelf() -> impl Strategy<Value = Vec<Archive>> {
        let kind = prop_oneof![
            3 => Just(Soundness::Sound),
            1 => Just(Soundness::Damaged),
            1 => Just(Soundness::Unknown),
        ];
        prop::collection::vec((0_i64..500, any::<bool>(), kind), 0..40).prop_map(|drawn| {
            let drawn: BTreeMap<i64, (bool, Soundness)> =
                drawn.into_iter().map(|(at, full, kind)| (at, (full, kind))).collect();
            drawn.into_iter().map(|(at, (full, kind))| archive(at, full, kind)).collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_newest_sound_ones_never_go(
            shelf in shelf(), ordinary in 0_usize..6, full in 0_usize..6,
        ) {
            let gone = superfluous(&shelf, Keep { ordinary, full });
            for kind in [false, true] {
                let keep = if kind { full } else { ordinary }.max(1);
                let mut sound: Vec<&Archive> = shelf
                    .iter()
                    .filter(|it| it.full == kind && it.soundness == Soundness::Sound)
                    .collect();
                sound.sort_by_key(|it| std::cmp::Reverse(it.made_at));
                prop_assert!(sound.iter().take(keep).all(|it| !gone.contains(it)));
                // And no more stay than shall.
                prop_assert!(sound.iter().skip(keep).all(|it| gone.contains(it)));
                let of_kind = gone.iter().filter(|it| it.full == kind);
                let oldest_kept = sound.get(keep - 1).map(|it| it.made_at);
                for gone in of_kind {
                    prop_assert!(oldest_kept.is_some_and(|kept| gone.made_at < kept));
                }
            }
        }
    }
}
