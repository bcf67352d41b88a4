//! `pivotctl service`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args {} = args;
    anyhow::bail!("not built yet")
}
