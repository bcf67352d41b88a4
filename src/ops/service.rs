//! `pivotctl service`: runs a service in this process, so that one program
//! serves for everything. The demo starts its services this way.

use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl service trading --config config.json")]
pub(super) struct Args {
    /// Which service.
    #[arg(value_enum)]
    name: Name,
    /// Configuration file.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Name {
    Auth,
    Trading,
    Bot,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    Ok(match args.name {
        Name::Auth => crate::web::run_with(&args.config),
        Name::Trading => crate::trading::run_with(&args.config),
        Name::Bot => crate::telegram::run_with(&args.config),
    })
}
