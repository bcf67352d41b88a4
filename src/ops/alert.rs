//! `pivotctl alert`: tells the owner that a unit has failed, without the help
//! of any service. systemd starts it by `OnFailure=`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;

use super::data::usual_config;
use crate::clock::Clock;
use crate::config::Config;
use crate::health::tell::{Owner, host_name};
use crate::market::time::ist;
use crate::store::lock::ServiceLock;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl alert --config /etc/pivot-trading/config.json \
                        pivot-trading.service")]
pub(super) struct Args {
    /// Configuration file.
    #[arg(long, default_value_os_t = usual_config())]
    config: PathBuf,
    /// The unit that failed.
    unit: String,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let text = message(&args.unit, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let owner = Owner::new(&config)?;
    runtime.block_on(owner.tell(&text)).context("the owner could not be told")?;
    Ok(ExitCode::SUCCESS)
}

fn message(unit: &str, config: &Config) -> anyhow::Result<String> {
    let now = ist(Clock::from_env().context("could not read the clock")?.now());
    let mode = config.trading.mode.to_uppercase();
    let host = host_name();
    let folder = std::path::Path::new(&config.data.dir);
    let running: Vec<&str> = ["trading", "auth", "bot"]
        .into_iter()
        .filter(|service| ServiceLock::holder(folder, service).is_some())
        .collect();
    let running = if running.is_empty() { "none".to_string() } else { running.join(", ") };
    Ok(format!(
        "🔴 [{mode}] {unit} has failed and stays down\n\
         {} IST{}{}\n\
         Running now: {running}\n\
         Stops at the exchange stay in force. See: journalctl -u {unit} -n 50\n\
         Then: systemctl reset-failed {unit} && systemctl start {unit}",
        now.format("%a %-d %b, %H:%M:%S"),
        if host.is_empty() { "" } else { ", " },
        host,
    ))
}
