//! `pivotctl logs archive`: what was set aside.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::place::LogArgs;
use crate::market::Timestamp;
use crate::market::time::ist_text;
use crate::ops::data::now;
use crate::telemetry::rows::{self, Reader, Retained, RowsError};
use crate::telemetry::{Listed, list};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl logs archive list\n  pivotctl logs archive cleanup --dry-run"
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List files that were set aside, and what the archive of rows holds.
    #[command(after_help = "Example:\n  pivotctl logs archive list --json")]
    List(ListArgs),
    /// Move old rows into the archive, and delete those that are older still.
    #[command(after_help = "Examples:\n  pivotctl logs archive cleanup\n  \
                            pivotctl logs archive cleanup --keep 30 --days 90 --dry-run")]
    Cleanup(CleanupArgs),
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    place: LogArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct CleanupArgs {
    #[command(flatten)]
    place: LogArgs,
    /// Days for which rows stay in the active database; the configuration's
    /// `logging.database_keep_days` when left out.
    #[arg(long, value_name = "DAYS")]
    keep: Option<u32>,
    /// Days for which rows stay in the archive; the configuration's
    /// `logging.archive_keep_days` when left out.
    #[arg(long, value_name = "DAYS")]
    days: Option<u32>,
    /// Only say what would be done.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::List(args) => show(&args),
        What::Cleanup(args) => clean_up(&args),
    }
}

fn show(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let mut files =
        list(&folder).with_context(|| format!("could not read {}", folder.display()))?;
    files.retain(|file| file.compressed || file.number.is_some());
    let archive = args.place.archive()?;
    let stats = Reader::open_if_there(&archive)?.map(|reader| reader.stats()).transpose()?;
    if args.json {
        let files: Vec<Value> = files.iter().map(file_json).collect();
        let rows = stats.map(|stats| {
            json!({
                "path": archive, "bytes": stats.bytes, "rows": stats.system,
                "performance_rows": stats.performance,
                "from": stats.span.map(|(from, _)| ist_text(from)),
                "to": stats.span.map(|(_, to)| ist_text(to)),
            })
        });
        outln!("{}", json!({ "folder": folder, "files": files, "database": rows }));
        return Ok(ExitCode::SUCCESS);
    }
    for file in &files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        outln!("{:>10}  {name}", bytes_text(file.bytes));
    }
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    outln!("{:>10}  {} files in {}", bytes_text(total), files.len(), folder.display());
    match stats {
        None => outln!("no rows in {}", archive.display()),
        Some(stats) => {
            let span = stats.span.map_or_else(String::new, |(from, to)| {
                format!(", {} to {}", ist_text(from), ist_text(to))
            });
            let rows = stats.system + stats.performance;
            let bytes = bytes_text(stats.bytes);
            outln!("{bytes:>10}  {rows} rows in {}{span}", archive.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn file_json(file: &Listed) -> Value {
    json!({
        "path": file.path, "bytes": file.bytes, "log": file.stem,
        "date": file.date, "number": file.number, "compressed": file.compressed,
    })
}

/// `512 B`, `1.5 kB`, `12.3 MB`: bytes for people.
pub(super) fn bytes_text(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", tenths(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

fn clean_up(args: &CleanupArgs) -> anyhow::Result<ExitCode> {
    let (active, archive) = (args.place.database()?, args.place.archive()?);
    let now = now()?;
    let (keep, days) = match (args.keep, args.days) {
        (Some(keep), Some(days)) => (keep, days),
        (keep, days) => {
            let (usual_keep, usual_days) = args.place.days_of_rows()?;
            (keep.unwrap_or(usual_keep), days.unwrap_or(usual_days))
        }
    };
    let done = if args.dry_run {
        foresee(&active, &archive, now, keep, days)?
    } else {
        rows::retain(&active, &archive, now, keep, days)?
    };
    let Retained { archived, deleted } = done;
    if args.json {
        let dry_run = args.dry_run;
        outln!("{}", json!({ "archived": archived, "deleted": deleted, "dry_run": dry_run }));
        return Ok(ExitCode::SUCCESS);
    }
    let would = if args.dry_run { "would be " } else { "" };
    outln!("{archived} rows {would}archived, {deleted} {would}deleted");
    Ok(ExitCode::SUCCESS)
}

/// What a clean-up would do.
fn foresee(
    active: &Path,
    archive: &Path,
    now: Timestamp,
    keep: u32,
    days: u32,
) -> Result<Retained, RowsError> {
    let older = |path: &Path, days: u32| match Reader::open_if_there(path)? {
        Some(reader) => reader.older_than(now, days),
        None => Ok(0),
    };
    let gone = older(active, keep.max(days))?;
    Ok(Retained {
        archived: older(active, keep)?.saturating_sub(gone),
        deleted: gone + older(archive, days)?,
    })
}
