//! `pivotctl sim`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use crate::market::calendar::Calendar;
use crate::market::time::from_ist;
use crate::market::{Exchange, InstrumentKey, InstrumentKind, Money};
use crate::sim::model::{Market, ScriptPoint};
use crate::sim::server::{self, SimOptions};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where REST and the ticker listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Where the stand-in for Telegram listens.
    #[arg(long, default_value = "127.0.0.1:9002")]
    telegram_listen: SocketAddr,
    /// The trading day to simulate.
    #[arg(long, default_value = "2026-11-23")]
    date: NaiveDate,
    /// Time of day at the start, in India.
    #[arg(long, default_value = "09:14:00")]
    time: NaiveTime,
    /// Market seconds in a second of real time.
    #[arg(long, default_value_t = 1.0, value_parser = positive)]
    speed: f64,
    /// Names the day: same seed, same prices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The app's public key.
    #[arg(long, default_value = "demo_key")]
    api_key: String,
    /// The app's secret.
    #[arg(long, default_value = "demo_secret")]
    api_secret: String,
    /// Where the login page sends the browser afterwards.
    #[arg(long, default_value = "http://127.0.0.1:8001/callback")]
    redirect_url: String,
    /// Where order updates are posted.
    #[arg(long)]
    postback_url: Option<String>,
    /// The account's user id.
    #[arg(long, default_value = "SIM001")]
    user_id: String,
    /// Cash in the account at the start, in rupees.
    #[arg(long, default_value = "1000000")]
    cash: Money,
    /// Follow this scaled clock instead of an own one; `--date`, `--time` and
    /// `--speed` then mean nothing.
    #[arg(long)]
    clock_file: Option<PathBuf>,
    /// Count requests against Kite's limits. Default: on at speed 1 with an
    /// own clock, else off.
    #[arg(long, value_parser = on_or_off)]
    rate_limits: Option<bool>,
    /// File of prices to be met on the first day, one a line, straight in
    /// between: `09:20:00 NSE:RELIANCE 2850.50`. Indices and shares.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed > 0.0 && speed.is_finite() => Ok(speed),
        Ok(_) | Err(_) => Err("expected a number above zero, such as 1 or 60".to_string()),
    }
}

fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_string()),
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let script = match &args.script {
        Some(path) => read_script(path, args.seed, args.date)?,
        None => Vec::new(),
    };
    runtime.block_on(serve(args.into_options(script)))
}

fn read_script(path: &Path, seed: u64, date: NaiveDate) -> anyhow::Result<Vec<ScriptPoint>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("could not read {}", path.display()))?;
    let market = Market::new(seed, date, Calendar::india())?;
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            script_point(line, &market).with_context(|| {
                format!("{}:{number}: expected a line such as 09:20:00 NSE:RELIANCE 2850.50, was {line:?}", path.display())
            })
        })
        .collect()
}

fn script_point(line: &str, market: &Market) -> anyhow::Result<ScriptPoint> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [at, name, price] = words[..] else { anyhow::bail!("{} words", words.len()) };
    let (venue, symbol) = name.split_once(':').context("no exchange before the name")?;
    let venue = Exchange::parse(venue).context("an unknown exchange")?;
    let row = market.by_key(&InstrumentKey::new(venue, symbol)).context("an unknown instrument")?;
    let kind = row.instrument.kind;
    anyhow::ensure!(
        matches!(kind, InstrumentKind::Index | InstrumentKind::Equity),
        "only prices of indices and shares can be forced"
    );
    Ok(ScriptPoint { token: row.instrument.token, at: at.parse()?, price: price.parse()? })
}

impl Args {
    fn into_options(self, script: Vec<ScriptPoint>) -> SimOptions {
        SimOptions {
            kite_listen: self.listen,
            telegram_listen: self.telegram_listen,
            start: from_ist(self.date, self.time),
            speed: self.speed,
            clock_file: self.clock_file,
            seed: self.seed,
            api_key: self.api_key,
            api_secret: SecretString::from(self.api_secret),
            redirect_url: self.redirect_url,
            postback_url: self.postback_url,
            user_id: self.user_id,
            cash: self.cash,
            script,
            rate_limits: self.rate_limits,
        }
    }
}

async fn serve(options: SimOptions) -> anyhow::Result<ExitCode> {
    let mut terminated = signal(SignalKind::terminate()).context("cannot await SIGTERM")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("cannot await ctrl-c")?;
    let sim = server::start(options).await.context("the simulator did not start")?;
    announce(&sim)?;
    tokio::select! {
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    sim.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Tells on one line where everything is; whoever started this waits for it.
fn announce(sim: &server::Sim) -> anyhow::Result<()> {
    let line = serde_json::json!({
        "kite": sim.kite_url(),
        "ticker": sim.ticker_url(),
        "telegram": sim.telegram_url(),
        "clock": sim.clock_file(),
    });
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").context("cannot write to stdout")?;
    stdout.flush().context("cannot write to stdout")
}
