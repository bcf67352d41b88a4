//! `pivotctl backup`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use super::data::{DataArgs, now};
use super::progress::Progress;
use crate::clock::Clock;
use crate::market::time::ist_text;
use crate::upkeep::backup::{
    self, Archive, Keep, Made, Order, Outcome, Report, Soundness, Target, Watch,
};
use crate::upkeep::{market_is_open, size_text};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl backup create\n  pivotctl backup list\n  \
                        pivotctl backup verify backups/pivot-20261123-160500-paper.tar.gz")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an archive of the data folder, and prove that it restores.
    Create(CreateArgs),
    /// Prove that an archive restores.
    Verify(VerifyArgs),
    /// Put the data of an archive into a folder.
    Restore(RestoreArgs),
    /// List archives, each compared with its checksum.
    List(ListArgs),
    /// Delete archives beyond those to be kept.
    Prune(PruneArgs),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl backup create\n  \
                        pivotctl backup create --with-logs --to /mnt/backups --json")]
struct CreateArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Folder of the archives, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// A full archive: also logs and pictures.
    #[arg(long)]
    with_logs: bool,
    /// Leave out the configuration, which holds secrets.
    #[arg(long)]
    without_config: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  \
                        pivotctl backup verify backups/pivot-20261123-160500-paper.tar.gz --json")]
struct VerifyArgs {
    /// The archive.
    archive: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
                        pivotctl backup restore pivot-20261123-160500-paper.tar.gz --to second\n  \
                        pivotctl backup restore pivot-20261123-160500-live.tar.gz --force")]
struct RestoreArgs {
    /// The archive.
    archive: PathBuf,
    #[command(flatten)]
    data: DataArgs,
    /// Folder that is to be the data folder; the present one when left out.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Take the place of a folder with data, which is kept under another
    /// name. No service may run.
    #[arg(long)]
    force: bool,
    /// Replace live data even while the market is open.
    #[arg(long)]
    during_market: bool,
    /// Also put out the configuration, as config.json in the folder.
    #[arg(long)]
    with_config: bool,
    /// Also put out the logs of a full archive: files in the folder's logs,
    /// and the databases of their records.
    #[arg(long)]
    with_logs: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl backup list\n  pivotctl backup list --json")]
struct ListArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Folder of the archives, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl backup prune --keep 30 --keep-full 8")]
struct PruneArgs {
    #[command(flatten)]
    data: DataArgs,
    /// Folder of the archives, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Sound archives of each mode that are kept; the configuration's number
    /// when left out. The newest sound one always is.
    #[arg(long, value_name = "N")]
    keep: Option<usize>,
    /// The same of full ones.
    #[arg(long, value_name = "N")]
    keep_full: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Create(args) => create(&args),
        Command::Verify(args) => verify(&args),
        Command::Restore(args) => restore(args),
        Command::List(args) => list(&args),
        Command::Prune(args) => prune(&args),
    }
}

/// Runs `work`, with a bar for people when it takes long.
fn watched<T>(json: bool, work: impl FnOnce(&mut Watch<'_>) -> T) -> T {
    let mut progress = Progress::new(json);
    work(&mut |what, done, total| progress.show(what, done, total))
}

/// Makes an archive as the arguments and the configuration say.
pub(super) fn make(
    data: &DataArgs,
    to: Option<&Path>,
    with_logs: bool,
    with_config: bool,
    json: bool,
) -> anyhow::Result<Made> {
    let config = data.config()?;
    let plan = config.backup_plan()?;
    let source = data.config_path();
    let order = Order {
        data: PathBuf::from(&config.data.dir),
        dir: to.map_or(plan.dir, Path::to_owned),
        config: (with_config && plan.with_config && source.exists()).then_some(source),
        logs: with_logs.then(|| PathBuf::from(&config.data.log_dir)),
        now: now()?,
    };
    Ok(watched(json, |watch| backup::create(&order, watch))?)
}

fn create(args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let with_config = !args.without_config;
    let made = make(&args.data, args.to.as_deref(), args.with_logs, with_config, args.json)?;
    if args.json {
        let value = json!({
            "archive": made.path, "size": made.size, "manifest": made.manifest,
            "steps": made.report.steps,
        });
        outln!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    print(&made.report);
    outln!("{}: {}, verified", made.path.display(), size_text(made.size));
    Ok(ExitCode::SUCCESS)
}

fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let report = watched(args.json, |watch| backup::verify(&args.archive, watch))?;
    let sound = report.is_sound();
    if args.json {
        outln!("{}", json!({ "archive": args.archive, "sound": sound, "steps": report.steps }));
    } else {
        print(&report);
        let verdict = if sound { "restores" } else { "is NOT sound: keep an older one" };
        outln!("{} {verdict}", args.archive.display());
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(report: &Report) {
    for step in &report.steps {
        let outcome = match step.outcome {
            Outcome::Ok => "ok",
            Outcome::Skipped => "skipped",
            Outcome::Failed => "FAILED",
        };
        outln!("{outcome:<8} {:<10} {}", step.name, step.text);
    }
}

fn restore(args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let config = args.data.config()?;
    let clock = Clock::from_env()?;
    let target = Target {
        dir: args.to.unwrap_or_else(|| PathBuf::from(&config.data.dir)),
        replace: args.force,
        with_config: args.with_config,
        with_logs: args.with_logs,
        market_is_open: !args.during_market && market_is_open(&config, &clock),
        now: clock.now(),
    };
    let restored = watched(args.json, |watch| backup::restore(&args.archive, &target, watch))?;
    let made_at = ist_text(restored.manifest.made_at);
    if args.json {
        let value = json!({
            "archive": args.archive, "dir": target.dir, "made_at": made_at,
            "before": restored.before, "steps": restored.report.steps,
        });
        outln!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    print(&restored.report);
    outln!("{} is as of {made_at}", target.dir.display());
    if let Some(before) = restored.before {
        outln!("what was there is kept in {}", before.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn folder(data: &DataArgs, named: Option<&Path>) -> anyhow::Result<PathBuf> {
    Ok(match named {
        Some(named) => named.to_owned(),
        None => data.config()?.backup_plan()?.dir,
    })
}

fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let dir = folder(&args.data, args.from.as_deref())?;
    let archives = watched(args.json, |watch| backup::list(&dir, watch))?;
    let damaged = archives.iter().any(|archive| archive.soundness == Soundness::Damaged);
    if args.json {
        outln!("{}", json!({ "dir": dir, "archives": archives }));
    } else if archives.is_empty() {
        outln!("no archives in {}", dir.display());
    } else {
        outln!("{}", table(&archives));
    }
    Ok(if damaged { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn table(archives: &[Archive]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(["archive", "made", "mode", "kind", "size", "checksum"]);
    for archive in archives {
        table.add_row([
            archive.name.clone(),
            ist_text(archive.made_at),
            archive.mode.clone(),
            if archive.full { "full" } else { "day" }.to_string(),
            size_text(archive.size),
            archive.soundness.as_str().to_string(),
        ]);
    }
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn prune(args: &PruneArgs) -> anyhow::Result<ExitCode> {
    let dir = folder(&args.data, args.from.as_deref())?;
    let plan = args.data.config()?.backup_plan()?;
    let keep = Keep {
        ordinary: args.keep.unwrap_or(plan.keep),
        full: args.keep_full.unwrap_or(plan.keep_full),
    };
    let deleted = watched(args.json, |watch| backup::prune(&dir, None, keep, watch))?;
    if args.json {
        outln!("{}", json!({ "dir": dir, "deleted": deleted }));
        return Ok(ExitCode::SUCCESS);
    }
    for name in &deleted {
        outln!("{name}");
    }
    outln!("{} deleted", deleted.len());
    Ok(ExitCode::SUCCESS)
}
