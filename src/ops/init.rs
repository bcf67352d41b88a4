//! `pivotctl init`.

use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use serde_json::{Value, json};

use super::WrongUsage;
use super::install::folders_of;
use crate::config::Config;
use crate::engine::Mode;
use crate::engine::settings::RiskSettings;
use crate::market::Money;

/// Times that a question is asked again.
const ASKED_MAX: usize = 5;

/// Limits in hundredths of a percent of the capital.
const DAILY_LOSS_BP: i64 = 250;
const WEEKLY_LOSS_BP: i64 = 500;
const MONTHLY_LOSS_BP: i64 = 1000;
const PREMIUM_BP: i64 = 1000;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl init\n  \
    pivotctl init --mode paper --instrument NIFTY --capital 300000\n\n\
    What is not given is asked for on a terminal. Secrets are better typed, or given in \
    PIVOT_API_SECRET and PIVOT_TELEGRAM_TOKEN, than written on a command line; PIVOT_API_KEY and \
    PIVOT_TELEGRAM_CHAT_ID are taken too.")]
pub(super) struct Args {
    /// File to write.
    #[arg(long, default_value = "config.json")]
    config: PathBuf,
    /// demo, paper or live.
    #[arg(long, value_parser = mode)]
    mode: Option<Mode>,
    /// SENSEX, NIFTY, BANKNIFTY, a share such as NSE:RELIANCE, …
    #[arg(long)]
    instrument: Option<String>,
    /// Account size in rupees; the limits follow from it.
    #[arg(long)]
    capital: Option<Money>,
    /// Kite Connect API key.
    #[arg(long)]
    api_key: Option<String>,
    /// Kite Connect API secret.
    #[arg(long)]
    api_secret: Option<String>,
    /// Token of the Telegram bot.
    #[arg(long)]
    telegram_token: Option<String>,
    /// Telegram chat that is told everything.
    #[arg(long, allow_negative_numbers = true)]
    chat_id: Option<i64>,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let path = args.config.clone();
    if path.exists() && !args.force {
        anyhow::bail!("{} is there already; --force replaces it", path.display());
    }
    let mut answers = answers(args)?;
    if let Some((data, logs)) = folders_of(&path) {
        // The units may write nowhere else. Modes never share a database.
        let mode = answers["trading"]["mode"].as_str().unwrap_or_default();
        answers["data"] = json!({ "dir": data.join(mode), "log_dir": logs });
    }
    let text = format!("{answers:#}\n");
    let config = Config::parse(&text).context("these answers do not make a configuration")?;
    let settings = config.settings().context("these answers do not make a configuration")?;
    write(&path, &text)?;
    outln!("{}", limits(&settings.risk));
    outln!("wrote {} (readable by you alone); next: pivotctl config check", path.display());
    Ok(ExitCode::SUCCESS)
}

/// The limits that were written, for a person to look over.
fn limits(risk: &RiskSettings) -> String {
    let rupees = |money: Money| format!("₹{}", money.grouped());
    format!(
        "limits for a capital of {}: a day may lose {}, a week {}, a month {}; one trade is \
         expected to lose at most {} and may cost {} in premium",
        rupees(risk.capital),
        rupees(risk.max_daily_loss),
        rupees(risk.max_weekly_loss),
        rupees(risk.max_monthly_loss),
        rupees(risk.trade_risk_budget),
        rupees(risk.max_premium),
    )
}

fn answers(args: Args) -> anyhow::Result<Value> {
    let known = |name: &str| std::env::var(name).ok();
    let mode = match args.mode {
        Some(mode) => mode,
        None => ask("Mode: demo, paper or live", "demo", mode)?,
    };
    let instrument = match args.instrument {
        Some(instrument) => instrument,
        None => ask("Instrument: SENSEX, NIFTY, BANKNIFTY, NSE:RELIANCE, …", "SENSEX", instrument)?,
    };
    let capital = match args.capital {
        Some(capital) => capital,
        None => ask("Capital in rupees", "200000", money)?,
    };
    let share = |bp: i64| {
        let paise = i128::from(capital.paise()) * i128::from(bp) / 10_000;
        Money::from_paise(i64::try_from(paise).unwrap_or(i64::MAX)).to_f64_rupees()
    };
    let share_of_index = !instrument.contains(':');
    let mut config = json!({
        "trading": {
            "mode": mode.as_str(),
            "strategy": if share_of_index { "index-pivot" } else { "level-breakout" },
            "instrument": instrument,
            "max_lots": 1,
        },
        "risk_management": {
            "capital": capital.to_f64_rupees(),
            "max_daily_loss": share(DAILY_LOSS_BP),
            "max_weekly_loss": share(WEEKLY_LOSS_BP),
            "max_monthly_loss": share(MONTHLY_LOSS_BP),
            "max_premium": share(PREMIUM_BP),
        },
    });
    if mode == Mode::Demo && args.api_key.is_none() {
        return Ok(config);
    }
    config["api_key"] = match args.api_key.or_else(|| known("PIVOT_API_KEY")) {
        Some(key) => key,
        None => ask("Kite API key", "", filled)?,
    }
    .into();
    config["api_secret"] = match args.api_secret.or_else(|| known("PIVOT_API_SECRET")) {
        Some(secret) => secret,
        None => ask_secret("Kite API secret")?,
    }
    .into();
    config["telegram_token"] =
        match args.telegram_token.or_else(|| known("PIVOT_TELEGRAM_TOKEN")) {
            Some(token) => token,
            None => ask_secret("Telegram bot token")?,
        }
        .into();
    let named = |text: String| {
        let wrong = |why| WrongUsage(format!("PIVOT_TELEGRAM_CHAT_ID: {why}, was {text:?}"));
        chat_id(&text).map_err(wrong)
    };
    let known_chat = known("PIVOT_TELEGRAM_CHAT_ID").map(named);
    config["telegram_chat_id"] = match (args.chat_id, known_chat) {
        (Some(chat), _) => chat,
        (None, Some(chat)) => chat?,
        (None, None) => ask("Telegram chat id", "", chat_id)?,
    }
    .into();
    Ok(config)
}

/// Created readable by its owner alone, and only then filled.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let new = path.with_extension("json.new");
    let fill = || -> std::io::Result<()> {
        let _ = std::fs::remove_file(&new);
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    };
    fill().with_context(|| format!("cannot write {}", path.display()))
}

/// Asks on the terminal until the answer can be read. Without a terminal the
/// default is taken, when there is one.
fn ask<T>(
    question: &str,
    default: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> anyhow::Result<T> {
    if !std::io::stdin().is_terminal() {
        let needed =
            || WrongUsage(format!("{question}: not given, and there is no terminal to ask"));
        return Ok(read(default).map_err(|_| needed())?);
    }
    for _ in 0..ASKED_MAX {
        let offered = if default.is_empty() { String::new() } else { format!(" [{default}]") };
        let line = line(&format!("{question}{offered}: "))?;
        let answer = if line.is_empty() { default } else { line.as_str() };
        match read(answer) {
            Ok(value) => return Ok(value),
            Err(wrong) => errln!("{wrong}"),
        }
    }
    anyhow::bail!("{question}: no usable answer")
}

/// Asks without showing what is typed.
fn ask_secret(question: &str) -> anyhow::Result<String> {
    let hidden = std::io::stdin().is_terminal() && stty("-echo");
    let answer = ask(question, "", filled);
    if hidden {
        stty("echo");
        errln!();
    }
    answer
}

fn stty(setting: &str) -> bool {
    let status = Command::new("stty").arg(setting).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn line(prompt: &str) -> anyhow::Result<String> {
    err!("{prompt}");
    std::io::stderr().flush()?;
    let mut line = String::new();
    anyhow::ensure!(std::io::stdin().lock().read_line(&mut line)? > 0, "no answer");
    Ok(line.trim().to_string())
}

fn mode(text: &str) -> Result<Mode, String> {
    Mode::parse(text).ok_or_else(|| "expected demo, paper or live".into())
}

fn instrument(text: &str) -> Result<String, String> {
    crate::config::Traded::parse(text).map(|_| text.to_string())
}

fn money(text: &str) -> Result<Money, String> {
    text.parse().map_err(|error: crate::market::money::ParseMoneyError| error.to_string())
}

fn chat_id(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "expected a number".into())
}

fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("expected an answer".into()) } else { Ok(text.to_string()) }
}
