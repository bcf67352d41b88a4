//! `pivotctl logs …`: log files and the rows of the log database.

mod archive;
mod files;
mod level;
mod monitor;
mod place;
mod query;
mod stats;
mod tail;

use std::process::ExitCode;

pub(super) use crate::telemetry::rows::{fields, one_line};

use clap::Subcommand;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl logs tail -f\n  pivotctl logs tail execution_service -n 50\n  \
                        pivotctl logs query --level warn --since 2h\n  pivotctl logs monitor 30"
)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the last lines of a log file, and follow it.
    Tail(tail::Args),
    /// Find rows of the log database by filters.
    Query(Box<query::Args>),
    /// Count what is logged, live.
    Monitor(monitor::Args),
    /// List what was set aside, and clean it up.
    Archive(archive::Args),
    /// Show or change which lines are written, while the services run.
    Level(level::Args),
    /// Set all log files aside; their writers begin new ones.
    Rotate(files::RotateArgs),
    /// Compress what is finished, at once.
    Compress(files::CompressArgs),
    /// Delete finished files that are old.
    Cleanup(files::CleanupArgs),
    /// Sizes of files, rows by day, service and level.
    Stats(stats::Args),
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.what {
        What::Tail(args) => tail::run(&args),
        What::Query(args) => query::run(&args),
        What::Monitor(args) => monitor::run(&args),
        What::Archive(args) => archive::run(args),
        What::Level(args) => level::run(&args),
        What::Rotate(args) => files::rotate(&args),
        What::Compress(args) => files::compress(&args),
        What::Cleanup(args) => files::clean_up(&args),
        What::Stats(args) => stats::run(&args),
    }
}
