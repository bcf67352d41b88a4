//! `pivotctl alert`: tells the owner that a unit has failed, without the help
//! of any service. systemd starts it by `OnFailure=`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use serde_json::json;

use super::data::usual_config;
use crate::clock::Clock;
use crate::config::Config;
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

/// The network may be what failed; it may come back within these.
const ATTEMPTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(15)];

const TIMEOUT: Duration = Duration::from_secs(8);

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let config = Config::load(&args.config)?;
    let text = message(&args.unit, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send(&config, &text))?;
    Ok(ExitCode::SUCCESS)
}

fn message(unit: &str, config: &Config) -> anyhow::Result<String> {
    let now = ist(Clock::from_env().context("could not read the clock")?.now());
    let mode = config.trading.mode.to_uppercase();
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
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
        if host.trim().is_empty() { "" } else { ", " },
        host.trim(),
    ))
}

async fn send(config: &Config, text: &str) -> anyhow::Result<()> {
    let token = config.telegram_token.expose_secret();
    if token.is_empty() || config.telegram_chat_id == 0 {
        anyhow::bail!("telegram_token and telegram_chat_id are not set; nobody can be told");
    }
    let url = format!("{}/bot{token}/sendMessage", config.telegram.api_url.trim_end_matches('/'));
    let body = json!({ "chat_id": config.telegram_chat_id, "text": text });
    let http = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let mut last = anyhow::anyhow!("not tried");
    for pause in ATTEMPTS {
        tokio::time::sleep(pause).await;
        match http.post(&url).json(&body).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => last = anyhow::anyhow!("Telegram answered {}", answer.status()),
            // The address contains the token.
            Err(error) => last = error.without_url().into(),
        }
    }
    Err(last.context("the owner could not be told"))
}
