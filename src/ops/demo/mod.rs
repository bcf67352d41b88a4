//! `pivotctl demo`: a whole trading day through the real services, real HTTP,
//! real WebSocket and a real database, in about a minute. No account, no
//! network, no configuration.
//!
//! The simulator and the three services run as processes of their own. This
//! process conducts their clock, plays the operator at the phone and in the
//! browser, shows the day, and checks at its end that everything agrees.

mod chat;
mod check;
mod conductor;
mod operator;
mod recap;
mod screen;
mod script;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime};

use crate::market::calendar::Calendar;
use crate::market::time::hms;

/// A day with a winner and a stopped trade.
const SEED: u64 = 87;

/// Days of one demo at most.
const DAYS_MAX: u32 = 60;

/// Plays a whole trading day.
///
/// Example: pivotctl demo --seed 7 --kill trading@10:30
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Names the day: same seed, same prices, same decisions.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Trading date of the first day.
    #[arg(long, default_value = "2026-11-23")]
    date: NaiveDate,
    /// Fastest pace of the clock, in market seconds a second.
    #[arg(long, default_value_t = 600.0)]
    speed: f64,
    /// index-pivot, premium-pivot or level-breakout.
    #[arg(long, default_value = "index-pivot")]
    strategy: String,
    /// SENSEX, NIFTY, BANKNIFTY, or a share such as NSE:RELIANCE.
    #[arg(long)]
    instrument: Option<String>,
    /// Trading days to play, one after the other.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Type /panic at this time.
    #[arg(long, value_name = "HH:MM", value_parser = time)]
    panic_at: Option<NaiveTime>,
    /// Kill a service without warning and start it again:
    /// auth, trading or bot. May be given several times.
    #[arg(long, value_name = "SERVICE@HH:MM", value_parser = kill)]
    kill: Vec<Kill>,
    /// Where database, logs and picture go; a fresh folder unless given.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// A service to kill, and when.
#[derive(Debug, Clone, Copy)]
struct Kill {
    service: stage::Service,
    at: NaiveTime,
}

fn time(text: &str) -> Result<NaiveTime, String> {
    NaiveTime::parse_from_str(text, "%H:%M")
        .map_err(|_| format!("expected a time such as 10:30, was {text:?}"))
}

fn kill(text: &str) -> Result<Kill, String> {
    let (service, at) = text
        .split_once('@')
        .ok_or_else(|| format!("expected SERVICE@HH:MM such as trading@10:30, was {text:?}"))?;
    let service = stage::Service::parse(service)
        .ok_or_else(|| format!("expected auth, trading or bot, was {service:?}"))?;
    let at = time(at)?;
    if at < hms(8, 1, 0) || at > hms(15, 40, 0) {
        return Err(format!("{} is outside 08:01 to 15:40", at.format("%H:%M")));
    }
    Ok(Kill { service, at })
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(play(args))
}

async fn play(args: Args) -> anyhow::Result<ExitCode> {
    let dates = dates(&args)?;
    let folder = folder(&args)?;
    let mut screen = screen::Screen::new();
    screen.headline(&format!(
        "pivot-trading demo · seed {} · {} · {}",
        args.seed,
        args.strategy,
        folder.display()
    ));
    let mut stage = stage::Stage::open(&folder, &args, dates[0])?;
    let mut sound = true;
    for (index, date) in dates.iter().enumerate() {
        stage.open_day(*date, index == 0).await?;
        let script = script::Script::new(&args, *date);
        let course = script.play(&mut stage, &mut screen).await;
        screen.clear();
        if let Err(error) = course {
            stage.close().await;
            stage.show_last_words();
            return Err(error.context(format!(
                "the day did not come to its end; everything lies in {}",
                folder.display()
            )));
        }
        let books = stage.books().await?;
        let findings = check::check(&stage, &books, *date)?;
        sound &= recap::show(&stage, *date, &findings)?;
    }
    stage.close().await;
    outln!("Everything lies in {}", folder.display());
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn dates(args: &Args) -> anyhow::Result<Vec<NaiveDate>> {
    let calendar = Calendar::india();
    let is_open = calendar.day(args.date).is_regular();
    anyhow::ensure!(
        is_open,
        "{} is no trading day ({}); the next is {}",
        args.date,
        calendar.day(args.date).reason(),
        calendar
            .next_trading_day(args.date)
            .map_or_else(|| "not in the calendar".to_string(), |date| date.to_string())
    );
    anyhow::ensure!(
        (1..=DAYS_MAX).contains(&args.days),
        "--days must be 1 to {DAYS_MAX}, was {}",
        args.days
    );
    let mut dates = vec![args.date];
    while dates.len() < args.days as usize {
        let last = dates.last().copied().unwrap_or(args.date);
        let next = calendar.next_trading_day(last);
        dates.push(next.context("the calendar ends before the demo does")?);
    }
    Ok(dates)
}

fn folder(args: &Args) -> anyhow::Result<PathBuf> {
    let folder = match &args.keep {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!("pivot-demo-{}", std::process::id())),
    };
    let fresh = !folder.join("data").exists();
    anyhow::ensure!(
        fresh,
        "{} holds an earlier run; choose another folder or remove it",
        folder.display()
    );
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("could not make the folder {}", folder.display()))?;
    Ok(folder)
}
