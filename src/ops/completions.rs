//! `pivotctl completions`: what a shell offers on the tabulator key.

use std::process::ExitCode;

use anyhow::Context as _;
use clap_complete::Shell;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  source <(pivotctl completions bash)\n  \
                        pivotctl completions zsh > _pivotctl")]
pub(super) struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    out!("{}", script(args.shell)?);
    Ok(ExitCode::SUCCESS)
}

/// The script for a shell.
pub(super) fn script(shell: Shell) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::cli(), "pivotctl", &mut text);
    String::from_utf8(text).context("a completion script is no text")
}
