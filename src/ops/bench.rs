//! `pivotctl bench`: whether this machine is fast enough to trade on.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::progress::Progress;
use crate::clock::{Clock, real_now};
use crate::config::{Config, LoggingConfig};
use crate::engine::strategy::parameters::STRATEGIES;
use crate::engine::{Engine, Event, Mode};
use crate::journal::{Entry, Journal, Run};
use crate::kite::ticker::frame;
use crate::simtest::{Options, Profile, Theatre};
use crate::store::{Role, Store};
use crate::telemetry::{self, Limits};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl bench\n  \
    sudo -u pivot pivotctl bench --dir /var/lib/pivot-trading\n  pivotctl bench --json\n\n\
    Run it on the machine and the disk that are to trade, when nothing is traded. Exit code 1 \
    when something takes longer than its limit.")]
pub(super) struct Args {
    /// Where to measure the disk: a folder in which one may be made for it.
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The strategy whose decisions are measured.
    #[arg(long, default_value = "index-pivot", value_parser = STRATEGIES)]
    strategy: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// The recorded days that are decided again, by their seeds.
const SEEDS: std::ops::Range<u64> = 0..6;

/// Commits that are timed: enough for a p99.
const COMMITS: usize = 300;

const MESSAGES: usize = 2_000;

/// Log lines that are timed: fewer than may wait.
const LINES: u64 = 5_000;
const FLUSH_WITHIN: Duration = Duration::from_secs(10);

/// Full packets of one message in a busy second.
const PACKETS: u16 = 50;

const WAKES: usize = 200;
const NAP: Duration = Duration::from_millis(2);

/// What is measured, and how long it may take at p99. A candle's decision
/// has until the next price, an order's record is written before it leaves.
struct Measure {
    name: &'static str,
    what: &'static str,
    limit: Duration,
    /// In order of size.
    samples: Vec<Duration>,
}

impl Measure {
    fn new(
        name: &'static str,
        what: &'static str,
        limit_us: u64,
        mut samples: Vec<Duration>,
    ) -> Measure {
        samples.sort_unstable();
        Measure { name, what, limit: Duration::from_micros(limit_us), samples }
    }

    /// The sample that so many of a thousand do not exceed.
    fn quantile(&self, permille: usize) -> Duration {
        let rank = (self.samples.len() * permille).div_ceil(1_000).max(1);
        self.samples.get(rank - 1).copied().unwrap_or_default()
    }

    fn is_fit(&self) -> bool {
        !self.samples.is_empty() && self.quantile(990) <= self.limit
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let progress = Progress::busy(args.json, "measuring");
    let entries = recorded(&args.strategy)?;
    let mut measures = decisions(&entries);
    measures.push(ticker());
    measures.push(commits(&args.dir, &entries)?);
    measures.push(lines(&args.dir)?);
    measures.push(wakes());
    drop(progress);
    let fit = measures.iter().all(Measure::is_fit);
    if args.json {
        let rows: Vec<Value> = measures.iter().map(to_json).collect();
        outln!("{:#}", json!({ "fit": fit, "measures": rows }));
    } else {
        outln!("{}", table(&measures));
        outln!("{}", if fit { "fast enough" } else { "TOO SLOW: see the rows that say so" });
        if cfg!(debug_assertions) {
            outln!("this is a debug build: a release is many times faster");
        }
    }
    Ok(if fit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Journals of simulated days.
fn recorded(strategy: &str) -> anyhow::Result<Vec<Vec<Entry>>> {
    let theatre = Theatre::new()?;
    let options = Options::new(strategy, Profile::Calm, false);
    SEEDS.map(|seed| theatre.record(seed, &options).context("could not play a day")).collect()
}

/// Each step of the engine over the recorded days.
fn decisions(days: &[Vec<Entry>]) -> Vec<Measure> {
    let (mut candles, mut others) = (Vec::new(), Vec::new());
    let mut commands = Vec::new();
    for entries in days {
        let mut engine = Engine::new();
        for entry in entries {
            commands.clear();
            let begun = Instant::now();
            engine.observe(&entry.seen);
            engine.step(entry.stamp, &entry.event, &mut commands);
            let took = begun.elapsed();
            black_box(&commands);
            let is_candle = matches!(entry.event, Event::Candle { .. });
            if is_candle { &mut candles } else { &mut others }.push(took);
        }
    }
    vec![
        Measure::new("candle decided", "engine, one closed candle", 5_000, candles),
        Measure::new("event decided", "engine, prices, orders, answers", 5_000, others),
    ]
}

/// A message of full packets, as a busy second brings them.
fn message() -> Vec<u8> {
    let mut bytes = PACKETS.to_be_bytes().to_vec();
    for number in 0..PACKETS {
        bytes.extend(184_u16.to_be_bytes());
        bytes.extend(((u32::from(number) << 8) | 2).to_be_bytes());
        bytes.extend((0..180_u8).map(|byte| byte % 100));
    }
    bytes
}

fn ticker() -> Measure {
    let bytes = message();
    let mut ticks = Vec::new();
    let samples = (0..MESSAGES).map(|_| {
        ticks.clear();
        let begun = Instant::now();
        frame::decode(black_box(&bytes), &mut ticks);
        black_box(&ticks);
        begun.elapsed()
    });
    Measure::new("ticker message", "50 full packets decoded", 5_000, samples.collect())
}

/// A folder that is gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path, name: &str) -> Scratch {
        Scratch(dir.join(format!(".pivot-bench-{name}-{}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if self.0.exists()
            && let Err(error) = std::fs::remove_dir_all(&self.0)
        {
            errln!("could not remove {}: {error}", self.0.display());
        }
    }
}

fn unfit(dir: &Path) -> String {
    format!("could not measure the disk in {}; --dir names another folder", dir.display())
}

/// Commits recorded entries one by one, as they come in: each is on the disk
/// when its commit returns.
fn commits(dir: &Path, days: &[Vec<Entry>]) -> anyhow::Result<Measure> {
    let folder = Scratch::new(dir, "journal");
    let samples = commit_into(&folder.0, days).with_context(|| unfit(dir))?;
    Ok(Measure::new("journal commit", "one event on this disk", 50_000, samples))
}

fn commit_into(folder: &Path, days: &[Vec<Entry>]) -> anyhow::Result<Vec<Duration>> {
    let store = Store::open(folder, Role::Trading, Mode::Demo)?;
    let run = Run {
        kind: "trading",
        pid: std::process::id(),
        started_at: real_now(),
        version: env!("CARGO_PKG_VERSION").to_string(),
        build: "bench".to_string(),
        config_hash: String::new(),
    };
    let mut journal = Journal::claim(store, &run)?;
    let mut samples = Vec::new();
    // Commands write into tables of a day that must be there; events alone
    // are the usual commit.
    let events = days.iter().flatten().cycle().take(COMMITS);
    for (seq, entry) in (journal.last_seq() + 1..).zip(events) {
        let mut entry = Entry { commands: Vec::new(), ..entry.clone() };
        entry.stamp.seq = seq;
        let begun = Instant::now();
        journal.append(&[entry])?;
        samples.push(begun.elapsed());
    }
    Ok(samples)
}

/// A line for each sample, as pivot-trading logs it: what its thread pays, not
/// what the threads that write do afterwards.
fn lines(dir: &Path) -> anyhow::Result<Measure> {
    let folder = Scratch::new(dir, "logs");
    let config = Config::default();
    let logging = LoggingConfig { sample_per_minute: 0, ..config.logging.clone() };
    let limits = Limits { folder: folder.0.join("logs"), ..telemetry::limits(&config) };
    std::fs::create_dir_all(&folder.0).with_context(|| unfit(dir))?;
    let guard = telemetry::start(
        "trading",
        &logging,
        limits,
        &folder.0,
        &Clock::system(),
        Mode::Demo.as_str(),
    )?;
    let samples = (0..LINES).map(|number| {
        let begun = Instant::now();
        tracing::info!(
            correlation_id = "20261126_001",
            event_type = "bench",
            number,
            price = "104.35",
            "an order was accepted by the exchange"
        );
        begun.elapsed()
    });
    let samples = samples.collect();
    let flushed = guard.flush(FLUSH_WITHIN);
    let written: u64 = guard.figures().written.iter().sum();
    drop(guard);
    flushed.with_context(|| unfit(dir))?;
    anyhow::ensure!(written >= LINES, "{}: {written} lines written", unfit(dir));
    Ok(Measure::new("log line", "handed over, to files and rows", 5_000, samples))
}

/// How late a short sleep ends: what a busy or a stolen processor costs.
fn wakes() -> Measure {
    let samples = (0..WAKES).map(|_| {
        let begun = Instant::now();
        std::thread::sleep(NAP);
        begun.elapsed().saturating_sub(NAP)
    });
    Measure::new("wake-up", "how late a sleep ends", 20_000, samples.collect())
}

fn table(measures: &[Measure]) -> Table {
    let mut table = Table::new();
    let head = ["", "", "samples", "median", "p99", "worst", "limit", ""];
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(head);
    for measure in measures {
        table.add_row([
            measure.name.to_string(),
            measure.what.to_string(),
            measure.samples.len().to_string(),
            text(measure.quantile(500)),
            text(measure.quantile(990)),
            text(measure.quantile(1_000)),
            text(measure.limit),
            if measure.is_fit() { "ok" } else { "TOO SLOW" }.to_string(),
        ]);
    }
    for place in 2..7 {
        if let Some(column) = table.column_mut(place) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

fn text(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    if us < 1_000.0 { format!("{us:.1} µs") } else { format!("{:.2} ms", us / 1e3) }
}

fn to_json(measure: &Measure) -> Value {
    let us = |duration: Duration| duration.as_nanos() as f64 / 1e3;
    json!({
        "name": measure.name,
        "what": measure.what,
        "samples": measure.samples.len(),
        "median_us": us(measure.quantile(500)),
        "p99_us": us(measure.quantile(990)),
        "worst_us": us(measure.quantile(1_000)),
        "limit_us": us(measure.limit),
        "fit": measure.is_fit(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples_and_the_limit_is_for_the_p99() {
        let measure = |slow: u64| {
            let sample = |at: u64| Duration::from_micros(if at > 100 - slow { 9_000 } else { at });
            Measure::new("", "", 1_000, (1..=100).map(sample).collect())
        };
        let one = measure(1);
        assert_eq!(one.quantile(500), Duration::from_micros(50));
        assert_eq!(one.quantile(1_000), Duration::from_micros(9_000));
        assert!(one.is_fit() && !measure(2).is_fit());
        assert!(!Measure::new("", "", 1_000, Vec::new()).is_fit());
    }
}
