//! `pivotctl sim`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{Datelike as _, NaiveDate, NaiveTime};
use secrecy::SecretString;
use tokio::signal::unix::{SignalKind, signal};

use crate::market::calendar::Calendar;
use crate::market::time::from_ist;
use crate::market::{Exchange, InstrumentKey, InstrumentKind, Money, Price};
use crate::sim::model::{Market, ScriptPoint};
use crate::sim::server::{self, SPEEDS, SimOptions};

/// Years that can be simulated; far from them the calendar is only weekdays.
const YEARS: RangeInclusive<i32> = 2000..=2099;

/// Most cash in an account, ₹10,000 crore, and dearest price of a script:
/// what they are multiplied with and added to stays within 64 bits.
const CASH_MAX: Money = Money::from_rupees(100_000_000_000);
const SCRIPT_PRICE_MAX: Price = Price::from_rupees(1_000_000);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl sim\n  \
                        pivotctl sim --date 2026-11-23 --time 09:14:00 --speed 10 --seed 7\n\n\
                        When ready it prints one line of JSON with its addresses; \
                        docs/SIMULATOR.md tells the rest.")]
pub(super) struct Args {
    /// Where REST and the ticker listen; port 0 takes any free one.
    #[arg(long, default_value = "127.0.0.1:9001")]
    listen: SocketAddr,
    /// Where the stand-in for Telegram listens.
    #[arg(long, default_value = "127.0.0.1:9002")]
    telegram_listen: SocketAddr,
    /// The trading day to simulate.
    #[arg(long, default_value = "2026-11-23", value_parser = near_date)]
    date: NaiveDate,
    /// Time of day at the start, in India.
    #[arg(long, default_value = "09:14:00")]
    time: NaiveTime,
    /// Market seconds in a second of real time.
    #[arg(long, default_value_t = 1.0, value_parser = pace)]
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
    #[arg(long, default_value = "1000000", value_parser = affordable)]
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

fn pace(text: &str) -> Result<f64, String> {
    let (slowest, fastest) = (SPEEDS.start(), SPEEDS.end());
    match text.parse::<f64>() {
        Ok(speed) if SPEEDS.contains(&speed) => Ok(speed),
        Ok(_) | Err(_) => Err(format!("expected a number from {slowest} to {fastest}")),
    }
}

fn near_date(text: &str) -> Result<NaiveDate, String> {
    let (first, last) = (YEARS.start(), YEARS.end());
    match text.parse::<NaiveDate>() {
        Ok(date) if YEARS.contains(&date.year()) => Ok(date),
        Ok(_) | Err(_) => Err(format!("expected a date such as 2026-11-23, of {first} to {last}")),
    }
}

fn affordable(text: &str) -> Result<Money, String> {
    match text.parse::<Money>() {
        Ok(cash) if (Money::ZERO..=CASH_MAX).contains(&cash) => Ok(cash),
        Ok(_) => Err(format!("expected at most {} rupees, and no debt", CASH_MAX.grouped())),
        Err(error) => Err(error.to_string()),
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
    let price: Price = price.parse()?;
    anyhow::ensure!(
        price > Price::ZERO && price <= SCRIPT_PRICE_MAX,
        "a price above zero and at most {SCRIPT_PRICE_MAX}"
    );
    Ok(ScriptPoint { token: row.instrument.token, at: at.parse()?, price })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_counted_with_is_refused_at_the_door() {
        for text in ["1e300", "-1", "0", "NaN", "inf", "1e-300", ""] {
            assert!(pace(text).is_err(), "{text}");
        }
        assert_eq!(pace("60"), Ok(60.0));
        for text in ["92233720368547758.07", "-1", "1e300", ""] {
            assert!(affordable(text).is_err(), "{text}");
        }
        assert_eq!(affordable("1000000"), Ok(Money::from_rupees(1_000_000)));
        for text in ["+262142-12-31", "-262143-01-01", "0000-01-01", "1999-12-31", ""] {
            assert!(near_date(text).is_err(), "{text}");
        }
        assert!(near_date("2026-11-23").is_ok());
    }

    #[test]
    fn a_script_takes_prices_that_a_share_can_have() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let market = Market::new(1, date, Calendar::india()).unwrap();
        let line = |price: &str| script_point(&format!("09:20:00 NSE:RELIANCE {price}"), &market);
        assert_eq!(line("2850.50").unwrap().price, Price::from_paise(285_050));
        for price in ["0", "-1", "1000000.01", "92233720368547758.07", "NaN"] {
            assert!(line(price).is_err(), "{price}");
        }
    }
}
