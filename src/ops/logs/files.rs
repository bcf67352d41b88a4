//! `pivotctl logs rotate`, `compress` and `cleanup`: the files of the log
//! folder, out of turn.

use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::archive::{bytes_text, file_json};
use super::place::LogArgs;
use crate::market::time::ist_date;
use crate::ops::data::now;
use crate::telemetry::{self, Listed};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl logs rotate\n\n\
                        The services begin new files with their next line.")]
pub(super) struct RotateArgs {
    #[command(flatten)]
    place: LogArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl logs compress")]
pub(super) struct CompressArgs {
    #[command(flatten)]
    place: LogArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl logs cleanup --days 3 --dry-run\n  \
                        pivotctl logs cleanup --days 3")]
pub(super) struct CleanupArgs {
    #[command(flatten)]
    place: LogArgs,
    /// Delete finished files of dates longer ago than this; the
    /// configuration's `logging.keep_days` when left out.
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Only say what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Sets all logs aside.
pub(super) fn rotate(args: &RotateArgs) -> anyhow::Result<ExitCode> {
    let limits = args.place.limits()?;
    let done = telemetry::rotate(&limits, ist_date(now()?))
        .with_context(|| format!("could not rotate in {}", limits.folder.display()))?;
    tell(args.json, "set aside", &done);
    Ok(ExitCode::SUCCESS)
}

/// Compresses what is finished.
pub(super) fn compress(args: &CompressArgs) -> anyhow::Result<ExitCode> {
    let limits = args.place.limits()?;
    let done = telemetry::compress(&limits, ist_date(now()?))
        .with_context(|| format!("could not compress in {}", limits.folder.display()))?;
    if args.json {
        outln!(
            "{}",
            json!({
                "files": done.files, "from_bytes": done.from_bytes, "to_bytes": done.to_bytes,
                "busy": done.busy, "elsewhere": done.elsewhere,
            })
        );
    } else if done.elsewhere {
        outln!("another process compresses just now");
    } else {
        let (from, to) = (bytes_text(done.from_bytes), bytes_text(done.to_bytes));
        outln!("{} files compressed, {from} to {to}; {} are still open", done.files, done.busy);
    }
    // Found wrong only what nobody is at.
    Ok(ExitCode::SUCCESS)
}

/// Deletes what is old.
pub(super) fn clean_up(args: &CleanupArgs) -> anyhow::Result<ExitCode> {
    let limits = args.place.limits()?;
    let days = args.days.unwrap_or(limits.days);
    let done = telemetry::delete_old(&limits.folder, ist_date(now()?), days, args.dry_run)
        .with_context(|| format!("could not clean up {}", limits.folder.display()))?;
    tell(args.json, if args.dry_run { "would be deleted" } else { "deleted" }, &done);
    Ok(ExitCode::SUCCESS)
}

fn tell(json: bool, what: &str, files: &[Listed]) {
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    if json {
        let files: Vec<Value> = files.iter().map(file_json).collect();
        outln!("{}", json!({ "what": what, "bytes": total, "files": files }));
        return;
    }
    for file in files {
        outln!("{:>10}  {}", bytes_text(file.bytes), file.path.display());
    }
    outln!("{} files {what}, {}", files.len(), bytes_text(total));
}
