//! `pivotctl demo`: a whole trading day through the real services, real HTTP,
//! real WebSocket and a real database, in about a minute. No account, no
//! network, no configuration.
//!
//! The simulator and the three services run as processes of their own. This
//! process conducts their clock, plays the operator at the phone and in the
//! browser, shows the day, and checks at its end that everything agrees.

mod chat;
mod check;
mod choice;
mod conductor;
mod operator;
mod recap;
mod screen;
mod script;
mod signals;
mod stage;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{NaiveDate, NaiveTime};

use super::calendar::parse_date;
use crate::engine::strategy::parameters::STRATEGIES;
use choice::Kill;

/// A day with a winner and a stopped trade.
const SEED: u64 = 87;

/// Days of one demo at most.
const DAYS_MAX: i64 = 60;

/// Plays a whole trading day.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl demo\n  pivotctl demo --seed 7 --kill trading@10:30\n  \
                        pivotctl demo --strategy level-breakout --instrument NSE:INFY\n  \
                        pivotctl demo --panic-at 11:00 --keep day"
)]
pub(super) struct Args {
    /// Names the day: same seed, same prices, same decisions.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Trading date of the first day.
    #[arg(long, default_value = "2026-11-23", value_parser = parse_date)]
    date: NaiveDate,
    /// Fastest pace of the clock, in market seconds a second; from 1 on.
    #[arg(long, default_value_t = 600.0, allow_negative_numbers = true, value_parser = choice::speed)]
    speed: f64,
    /// The strategy that trades.
    #[arg(long, default_value = "index-pivot", value_parser = STRATEGIES)]
    strategy: String,
    /// SENSEX, NIFTY, or a share such as NSE:RELIANCE or NSE:INFY for level-breakout.
    #[arg(long)]
    instrument: Option<String>,
    /// Trading days to play, one after the other.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=DAYS_MAX))]
    days: u32,
    /// Type /panic at this time, from 07:58 to 15:46.
    #[arg(long, value_name = "HH:MM", value_parser = choice::time_of_demo)]
    panic_at: Option<NaiveTime>,
    /// Kill a service without warning and start it again:
    /// auth, trading or bot, from 08:01 to 15:40. May be given several times.
    #[arg(long, value_name = "SERVICE@HH:MM", value_parser = choice::kill)]
    kill: Vec<Kill>,
    /// Where database, logs and picture go; a fresh folder unless given.
    #[arg(long)]
    keep: Option<PathBuf>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let dates = choice::dates(&args)?;
    let instrument = choice::instrument(&args)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(play(&args, &dates, &instrument))
}

async fn play(args: &Args, dates: &[NaiveDate], instrument: &str) -> anyhow::Result<ExitCode> {
    let mut signals = signals::Signals::listen().context("could not listen to signals")?;
    let folder = folder(args)?;
    let first = dates.first().copied().unwrap_or(args.date);
    let mut stage = stage::Stage::open(&folder, args, instrument, first)?;
    let mut screen = screen::Screen::new();
    screen.headline(&format!(
        "pivot-trading demo · seed {} · {} · {}",
        args.seed,
        args.strategy,
        folder.display()
    ));
    let ended = tokio::select! {
        ended = play_days(args, dates, &mut stage, &mut screen) => Ok(ended),
        signal = signals.next() => Err(signal),
    };
    screen.clear();
    // Whoever asks twice does not want to wait: what still runs is then
    // killed with the stage.
    tokio::select! {
        () = stage.close() => {}
        _ = signals.next() => {}
    }
    match ended {
        Ok(Ok(sound)) => {
            outln!("Everything lies in {}", folder.display());
            Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Ok(Err(error)) => {
            stage.show_last_words();
            Err(error.context(format!(
                "the day did not come to its end; everything lies in {}",
                folder.display()
            )))
        }
        Err(signal) => {
            errln!("stopped by {}; everything lies in {}", signal.name(), folder.display());
            Ok(signal.exit_code())
        }
    }
}

/// True when all that was checked at the end of each day agreed.
async fn play_days(
    args: &Args,
    dates: &[NaiveDate],
    stage: &mut stage::Stage,
    screen: &mut screen::Screen,
) -> anyhow::Result<bool> {
    let mut sound = true;
    for (index, date) in dates.iter().enumerate() {
        stage.open_day(*date, index == 0).await?;
        script::Script::new(args, *date).play(stage, screen).await?;
        screen.clear();
        let books = stage.books().await?;
        let findings = check::check(stage, &books, *date)?;
        sound &= recap::show(stage, *date, &findings)?;
    }
    Ok(sound)
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
