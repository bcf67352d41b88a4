//! `pivotctl db`.

mod export;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde_json::json;

use super::data::DataArgs;
use super::progress::Progress;
use crate::clock::Clock;
use crate::engine::Mode;
use crate::store::lock::ServiceLock;
use crate::store::whole::{self, Contents, Vacuumed};
use crate::store::{FILE_NAME, Role, SCHEMA_VERSION, Store};
use crate::upkeep::{VACUUM_WITHIN, market_is_open, size_text};

/// Those who share the database.
const SERVICES: [Role; 3] = [Role::Trading, Role::Auth, Role::Bot];

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl db check\n  pivotctl db vacuum\n  \
                        pivotctl db export trades --from 2026-11-01 --to 2026-11-30")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the database: structure, references, schema; exit code 1 when
    /// something is wrong.
    #[command(after_help = "Example:\n  pivotctl db check --json")]
    Check(CommonArgs),
    /// Rewrite the database without its holes.
    #[command(after_help = "Example:\n  pivotctl db vacuum")]
    Vacuum(CommonArgs),
    /// Bring the schema up to date, after a backup. Services do it too.
    #[command(after_help = "Example:\n  pivotctl db migrate")]
    Migrate(MigrateArgs),
    /// Write tables as CSV or JSON lines.
    Export(export::Args),
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct MigrateArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Make no backup first.
    #[arg(long)]
    without_backup: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Check(args) => check(&args),
        Command::Vacuum(args) => vacuum(&args),
        Command::Migrate(args) => migrate(&args),
        Command::Export(args) => export::run(&args),
    }
}

/// The database of a data folder.
fn database(data: &DataArgs) -> anyhow::Result<PathBuf> {
    let path = data.folder()?.join(FILE_NAME);
    if !path.exists() {
        bail!("no database at {}; name the folder with --data", path.display());
    }
    Ok(path)
}

fn check(args: &CommonArgs) -> anyhow::Result<ExitCode> {
    let path = database(&args.data)?;
    let progress = Progress::busy(args.json, "checking");
    let mut faults = whole::faults(&path)?;
    drop(progress);
    let contents = whole::contents(&path);
    if let Err(error) = &contents {
        faults.push(crate::service::in_full(error));
    }
    let contents = contents.ok();
    faults.extend(contents.as_ref().and_then(schema_fault));
    let size = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    if args.json {
        let value = json!({
            "path": path, "size": size, "sound": faults.is_empty(), "faults": faults,
            "schema": contents.as_ref().map(|contents| contents.schema),
            "mode": contents.as_ref().and_then(|contents| contents.mode).map(Mode::as_str),
            "rows": contents.as_ref().map(|contents| &contents.rows),
        });
        outln!("{value}");
    } else {
        if let Some(contents) = &contents {
            print(&path, size, contents);
        }
        for fault in &faults {
            outln!("WRONG: {fault}");
        }
        match faults.is_empty() {
            true => outln!("the database is sound"),
            false => outln!("stop the services, keep a copy of the folder, restore a backup"),
        }
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn schema_fault(contents: &Contents) -> Option<String> {
    let found = contents.schema;
    match found.cmp(&SCHEMA_VERSION) {
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Less => Some(format!(
            "it has schema {found}, this program needs {SCHEMA_VERSION}: pivotctl db migrate"
        )),
        std::cmp::Ordering::Greater => Some(format!(
            "it has schema {found}, this program knows up to {SCHEMA_VERSION}: run the newer one"
        )),
    }
}

fn print(path: &Path, size: u64, contents: &Contents) {
    let mode = contents.mode.map_or("no mode", Mode::as_str);
    let schema = contents.schema;
    outln!("{}: {}, schema {schema}, {mode}", path.display(), size_text(size));
    for (table, rows) in &contents.rows {
        outln!("{table:<20}{rows:>12}");
    }
}

/// Services that run on a data folder.
fn running(data: &Path) -> Vec<&'static str> {
    let names = SERVICES.into_iter().map(Role::as_str);
    names.filter(|name| ServiceLock::holder(data, name).is_some()).collect()
}

fn vacuum(args: &CommonArgs) -> anyhow::Result<ExitCode> {
    let path = database(&args.data)?;
    let folder = args.data.folder()?;
    let clock = Clock::from_env().context("could not read the clock")?;
    let running = running(&folder);
    let trades = running.contains(&Role::Trading.as_str());
    if trades && market_is_open(&args.data.config()?, &clock) {
        bail!("pivot-trading runs and the market is open: it would have to wait; try after 16:00");
    }
    let progress = Progress::busy(args.json, "rewriting");
    let done = whole::vacuum(&path, (!running.is_empty()).then_some(VACUUM_WITHIN))?;
    drop(progress);
    match done {
        Vacuumed::Done { before, after } if args.json => {
            outln!("{}", json!({ "path": path, "before": before, "after": after }));
        }
        Vacuumed::Done { before, after } => {
            outln!("{}: from {} to {}", path.display(), size_text(before), size_text(after));
        }
        Vacuumed::GivenUp => bail!(
            "given up after {} s, since {} would have had to wait: stop the services first",
            VACUUM_WITHIN.as_secs(),
            running.join(", ")
        ),
    }
    Ok(ExitCode::SUCCESS)
}

fn migrate(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let path = database(&args.data)?;
    let folder = args.data.folder()?;
    let contents = whole::contents(&path)?;
    let found = contents.schema;
    if found > SCHEMA_VERSION {
        bail!("{}", schema_fault(&contents).unwrap_or_default());
    }
    let Some(mode) = contents.mode else {
        bail!("{} belongs to no mode yet: start a service", path.display());
    };
    let mut archive = None;
    if found < SCHEMA_VERSION {
        let running = running(&folder);
        if !running.is_empty() {
            bail!("stop the services first; these run: {}", running.join(", "));
        }
        if !args.without_backup {
            let made = super::backup::make(&args.data, None, false, true, args.json)
                .context("nothing was migrated, since no backup could be made")?;
            archive = Some(made.path);
        }
        // Services migrate when they open it, and so does this.
        drop(Store::open(&folder, Role::Bot, mode)?);
    }
    if args.json {
        let value = json!({
            "path": path, "from": found, "to": SCHEMA_VERSION, "backup": archive,
        });
        outln!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(archive) = archive {
        outln!("backup: {}", archive.display());
    }
    match found == SCHEMA_VERSION {
        true => outln!("{} is up to date: schema {found}", path.display()),
        false => outln!("{}: from schema {found} to {SCHEMA_VERSION}", path.display()),
    }
    Ok(ExitCode::SUCCESS)
}
