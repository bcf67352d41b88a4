//! Proves that an archive restores: every checksum, the database sound and
//! complete, and its last day replayed to the same decisions.

use std::path::Path;

use serde::Serialize;

use super::archive::{self, LOG_DATABASES};
use super::manifest::Manifest;
use super::{BackupError, Watch, failed, shelf};
use crate::engine::{Engine, Mode};
use crate::journal;
use crate::service::in_full;
use crate::store::whole::{self, Contents, RowCounts};
use crate::store::{FILE_NAME, Role, SCHEMA_VERSION, Store};
use crate::upkeep::files::{self, Scratch};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it must be.
    Ok,
    /// Not looked at, for a reason that does not speak against the archive.
    Skipped,
    /// Wrong.
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was found.
    pub text: String,
}

/// Everything that was looked at, in order. Ends with the first failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// The steps.
    pub steps: Vec<Step>,
}

impl Report {
    /// True when nothing failed.
    pub fn is_sound(&self) -> bool {
        self.first_failure().is_none()
    }

    /// What failed first: `rows: trading.db has …`.
    pub fn first_failure(&self) -> Option<String> {
        let failed = self.steps.iter().find(|step| step.outcome == Outcome::Failed);
        failed.map(|step| format!("{}: {}", step.name, step.text))
    }

    fn note(&mut self, name: &'static str, outcome: Outcome, text: impl Into<String>) {
        self.steps.push(Step { name, outcome, text: text.into() });
    }

    /// Notes a step; `None` when it failed.
    fn take<T>(&mut self, name: &'static str, found: Result<(T, String), String>) -> Option<T> {
        match found {
            Ok((value, text)) => {
                self.note(name, Outcome::Ok, text);
                Some(value)
            }
            Err(text) => {
                self.note(name, Outcome::Failed, text);
                None
            }
        }
    }
}

/// Verifies an archive: unpacks it into a private folder beside it (or, where
/// that cannot be written, in the system's folder for such things) that is
/// removed afterwards.
///
/// # Errors
/// When it cannot be looked at: it is not there, or there is no room to unpack
/// it. Whatever is wrong with it is in the report.
pub fn verify(archive: &Path, watch: &mut Watch<'_>) -> Result<Report, BackupError> {
    verify_against(archive, None, watch)
}

/// `sha256`: the digest that it must have, in place of that in the file beside
/// it.
pub(super) fn verify_against(
    archive: &Path,
    sha256: Option<&str>,
    watch: &mut Watch<'_>,
) -> Result<Report, BackupError> {
    let size = std::fs::metadata(archive).map_err(failed("read", archive))?.len();
    let mut report = Report::default();
    let mut done = 0;
    let (_, found) = files::digest(archive, |bytes| {
        done += bytes;
        watch("reading", done, size);
    })
    .map_err(failed("read", archive))?;
    match sha256.map(str::to_string).or_else(|| shelf::checksum_beside(archive)) {
        Some(expected) if expected == found => report.note("checksum", Outcome::Ok, found),
        Some(_) => {
            let text = "the archive is not the one that was written";
            report.note("checksum", Outcome::Failed, text);
            return Ok(report);
        }
        None => {
            let text = "there is no .sha256 beside it; its contents have their own";
            report.note("checksum", Outcome::Skipped, text);
        }
    }
    let beside = archive.parent().filter(|parent| !parent.as_os_str().is_empty());
    let scratch = Scratch::new(beside.unwrap_or(Path::new(".")))
        .or_else(|_| Scratch::new(&std::env::temp_dir()))
        .map_err(failed("unpack", archive))?;
    let folder = scratch.path();
    match archive::extract(archive, folder, |name| name.ends_with(".db"), watch) {
        Ok(manifest) => {
            let text = format!(
                "{} files, {}, each as the manifest says",
                manifest.files.len(),
                files::size_text(manifest.size())
            );
            report.note("contents", Outcome::Ok, text);
            watch("checking", 0, 1);
            examine(&mut report, folder, &manifest);
        }
        Err(archive::Damage::Unwritable(source)) => {
            return Err(failed("unpack", archive)(source));
        }
        Err(damage) => report.note("contents", Outcome::Failed, damage.to_string()),
    }
    Ok(report)
}

/// Looks at what was unpacked, until something fails.
fn examine(report: &mut Report, folder: &Path, manifest: &Manifest) {
    let database = folder.join(FILE_NAME);
    let logs = LOG_DATABASES.into_iter().filter(|name| manifest.member(name).is_some());
    let logs: Vec<&str> = logs.collect();
    let mut looked = || {
        let names = std::iter::once(FILE_NAME).chain(logs.iter().copied());
        report.take("integrity", sound(folder, names))?;
        let contents = report.take("rows", complete(&database, manifest))?;
        for name in &logs {
            report.take("log rows", same_rows(&folder.join(name), name, manifest))?;
        }
        report.take("journal", journal_of(&contents, manifest))?;
        replays(report, folder, &contents)
    };
    // What failed is in the report.
    let _: Option<()> = looked();
}

fn sound<'a>(folder: &Path, names: impl Iterator<Item = &'a str>) -> Result<((), String), String> {
    for name in names {
        let faults = whole::faults(&folder.join(name)).map_err(|error| in_full(&error))?;
        if !faults.is_empty() {
            return Err(format!("{name}: {}", faults.join("; ")));
        }
    }
    Ok(((), "every page and every reference is sound".into()))
}

fn complete(database: &Path, manifest: &Manifest) -> Result<(Contents, String), String> {
    let contents = whole::contents(database).map_err(|error| in_full(&error))?;
    let text = compare_rows(&contents.rows, FILE_NAME, manifest)?;
    for table in ["runs", "meta"] {
        if contents.rows_of(table) == 0 {
            return Err(format!("{table} is empty: this backup holds nothing"));
        }
    }
    Ok((contents, text))
}

fn same_rows(path: &Path, name: &str, manifest: &Manifest) -> Result<((), String), String> {
    let found = whole::row_counts(path).map_err(|error| in_full(&error))?;
    compare_rows(&found, name, manifest).map(|text| ((), text))
}

fn compare_rows(found: &RowCounts, name: &str, manifest: &Manifest) -> Result<String, String> {
    let empty = RowCounts::new();
    let told = manifest.rows.get(name).unwrap_or(&empty);
    let tables = told.keys().chain(found.keys());
    for table in tables {
        let rows = |counts: &RowCounts| counts.get(table).copied().unwrap_or(0);
        let (told, found) = (rows(told), rows(found));
        if told != found {
            return Err(format!("{table} of {name} has {found} rows, the manifest says {told}"));
        }
    }
    let sum: u64 = found.values().sum();
    Ok(format!("{sum} rows in {} tables of {name}", found.len()))
}

fn journal_of(contents: &Contents, manifest: &Manifest) -> Result<((), String), String> {
    if contents.last_seq != manifest.last_seq {
        let (found, told) = (contents.last_seq, manifest.last_seq);
        return Err(format!("it ends with entry {found}, the manifest says {told}"));
    }
    if contents.days != manifest.days {
        return Err("its days are not those of the manifest".into());
    }
    let mode = contents.mode.map_or("unknown", Mode::as_str);
    if mode != manifest.mode {
        return Err(format!("it is of {mode} mode, the manifest says {}", manifest.mode));
    }
    Ok(((), format!("{} days, last entry {}", contents.days.len(), contents.last_seq)))
}

/// The last day's events must cause the recorded commands again, and lead to
/// the recorded state.
fn replays(report: &mut Report, folder: &Path, contents: &Contents) -> Option<()> {
    let (Some(mode), Some(day)) = (contents.mode, contents.days.last()) else {
        report.note("replay", Outcome::Skipped, "the journal has no day yet");
        return Some(());
    };
    // A copy of an older schema is brought up to date here as a service would
    // do it: that it can be is a part of the proof.
    let replayed = || -> Result<Result<String, String>, String> {
        let store = Store::open(folder, Role::Bot, mode).map_err(|error| in_full(&error))?;
        let entries = journal::entries(&store, *day).map_err(|error| in_full(&error))?;
        let mut engine = Engine::new();
        if let Err(mismatch) = journal::replay(&mut engine, &entries, |_, _, _| {}) {
            return Ok(Err(mismatch.to_string()));
        }
        let (told, found) = (store.state().map_err(|error| in_full(&error))?, engine.permission());
        if told.as_ref().is_some_and(|told| told != found) {
            return Ok(Err(format!("it leads to {}, the tables say another", found.reason)));
        }
        let held = engine.open_position().map(|position| position.trade_id);
        let open = store.open_trade().map_err(|error| in_full(&error))?;
        let open = open.map(|trade| trade.trade_id);
        if held != open {
            return Ok(Err("the position it leads to is not that of the tables".into()));
        }
        let held = held.map_or_else(|| "no position".to_string(), |id| format!("trade {id} open"));
        let count = entries.len();
        Ok(Ok(format!("{count} entries of {day} decide the same again; {}, {held}", found.reason)))
    };
    match replayed() {
        Ok(Ok(text)) => report.note("replay", Outcome::Ok, text),
        Ok(Err(difference)) => {
            let own = (env!("CARGO_PKG_VERSION"), option_env!("PIVOT_BUILD").unwrap_or("source"));
            let writer = contents.last_writer.as_ref();
            let same_program = writer
                .is_some_and(|(version, build)| (version.as_str(), build.as_str()) == own)
                && contents.schema == SCHEMA_VERSION;
            // Another version may decide otherwise, which no backup can help.
            let outcome = if same_program { Outcome::Failed } else { Outcome::Skipped };
            report.note("replay", outcome, difference);
        }
        Err(unreadable) => report.note("replay", Outcome::Failed, unreadable),
    }
    Some(())
}
