//! `pivotctl logs stats`: how much there is of what.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::archive::bytes_text;
use super::place::LogArgs;
use crate::telemetry::rows::{DayCount, Reader, RowsError, Stats};
use crate::telemetry::{Listed, list};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl logs stats\n  pivotctl logs stats --json")]
pub(super) struct Args {
    #[command(flatten)]
    place: LogArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Files of one log.
#[derive(Debug, Default, Clone, Copy)]
struct Files {
    files: u64,
    bytes: u64,
}

/// Rows that wait for the database.
#[derive(Debug)]
struct Waiting {
    path: PathBuf,
    bytes: u64,
    rows: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.place.folder()?;
    let listed = list(&folder).with_context(|| format!("could not read {}", folder.display()))?;
    let waiting = waiting(&listed)?;
    let (database, archive) = (args.place.database()?, args.place.archive()?);
    let (active, archived) = (stats(&database)?, stats(&archive)?);
    let moved = moved_aside(&database);
    if args.json {
        outln!(
            "{}",
            json!({
                "folder": folder,
                "bytes": listed.iter().map(|file| file.bytes).sum::<u64>(),
                "logs": logs(&listed).into_iter().map(|(name, files)| json!({
                    "log": name, "files": files.files, "bytes": files.bytes,
                })).collect::<Vec<Value>>(),
                "database": active.as_ref().map(|stats| stats_json(&database, stats)),
                "archive": archived.as_ref().map(|stats| stats_json(&archive, stats)),
                "waiting": waiting.iter().map(|waiting| json!({
                    "path": waiting.path, "bytes": waiting.bytes, "rows": waiting.rows,
                })).collect::<Vec<Value>>(),
                "damaged": moved,
            })
        );
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}", logs_table(&listed));
    let total: u64 = listed.iter().map(|file| file.bytes).sum();
    outln!("{} in {} files in {}", bytes_text(total), listed.len(), folder.display());
    for (path, stats) in [(&database, &active), (&archive, &archived)] {
        let Some(stats) = stats else { continue };
        outln!();
        if !stats.days.is_empty() {
            outln!("{}", days_table(&stats.days));
        }
        let (rows, figures) = (stats.system, stats.performance);
        let bytes = bytes_text(stats.bytes);
        outln!("{rows} rows and {figures} of performance, {bytes}, in {}", path.display());
    }
    for file in &waiting {
        let (rows, bytes) = (file.rows, bytes_text(file.bytes));
        outln!("{rows} rows ({bytes}) wait for the database in {}", file.path.display());
    }
    for path in &moved {
        outln!("a damaged database was moved to {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn stats(path: &Path) -> Result<Option<Stats>, RowsError> {
    Reader::open_if_there(path)?.map(|reader| reader.stats()).transpose()
}

fn logs(listed: &[Listed]) -> BTreeMap<&str, Files> {
    let mut logs: BTreeMap<&str, Files> = BTreeMap::new();
    for file in listed {
        let log = logs.entry(&file.stem).or_default();
        log.files += 1;
        log.bytes += file.bytes;
    }
    logs
}

/// Files of rows that the database could not take.
fn waiting(listed: &[Listed]) -> anyhow::Result<Vec<Waiting>> {
    let mut found = Vec::new();
    for file in listed {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.contains("_fallback.jsonl") {
            continue;
        }
        let text = match std::fs::read(&file.path) {
            Ok(text) => text,
            // Brought in meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => {
                let path = file.path.display();
                return Err(error).with_context(|| format!("could not read {path}"));
            }
        };
        let rows = text.iter().filter(|byte| **byte == b'\n').count();
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        found.push(Waiting { path: file.path.clone(), bytes: file.bytes, rows });
    }
    Ok(found)
}

fn moved_aside(database: &Path) -> Vec<PathBuf> {
    let Some((folder, name)) = database.parent().zip(database.file_name()) else {
        return Vec::new();
    };
    let start = format!("{}.corrupt-", name.to_string_lossy());
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = names
        .filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with(&start) && name.ends_with('Z')
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn stats_json(path: &Path, stats: &Stats) -> Value {
    let days = stats.days.iter().map(|count| {
        json!({
            "day": count.day, "service": count.service,
            "level": count.level.as_str(), "rows": count.rows,
        })
    });
    json!({
        "path": path, "bytes": stats.bytes, "rows": stats.system,
        "performance_rows": stats.performance, "days": days.collect::<Vec<Value>>(),
    })
}

fn logs_table(listed: &[Listed]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["log", "files", "size"]);
    for (name, files) in logs(listed) {
        table.add_row([name.to_owned(), files.files.to_string(), bytes_text(files.bytes)]);
    }
    align_right(&mut table, &[1, 2]);
    table
}

fn days_table(days: &[DayCount]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["day", "service", "level", "rows"]);
    for count in days {
        table.add_row([
            count.day.to_string(),
            count.service.clone(),
            count.level.as_str().to_owned(),
            count.rows.to_string(),
        ]);
    }
    align_right(&mut table, &[3]);
    table
}

fn align_right(table: &mut Table, places: &[usize]) {
    for place in places {
        if let Some(column) = table.column_mut(*place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}
