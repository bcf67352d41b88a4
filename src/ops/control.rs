//! `pivotctl enable`, `disable` and `panic`.

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub(super) struct EnableArgs {}

#[derive(Debug, clap::Args)]
pub(super) struct DisableArgs {}

#[derive(Debug, clap::Args)]
pub(super) struct PanicArgs {}

pub(super) fn enable(args: EnableArgs) -> anyhow::Result<ExitCode> {
    let EnableArgs {} = args;
    anyhow::bail!("not built yet")
}

pub(super) fn disable(args: DisableArgs) -> anyhow::Result<ExitCode> {
    let DisableArgs {} = args;
    anyhow::bail!("not built yet")
}

pub(super) fn panic(args: PanicArgs) -> anyhow::Result<ExitCode> {
    let PanicArgs {} = args;
    anyhow::bail!("not built yet")
}
