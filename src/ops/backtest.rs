//! `pivotctl backtest`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Args {} = args;
    anyhow::bail!("not built yet")
}

/// Splits `key=value`.
pub(super) fn key_value(pair: &str) -> anyhow::Result<(&str, &str)> {
    pair.split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .ok_or_else(|| anyhow::anyhow!("expected KEY=VALUE, was {pair:?}"))
}
