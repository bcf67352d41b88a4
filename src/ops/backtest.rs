//! `pivotctl backtest`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::NaiveDate;
use serde_json::{Value, json};

use super::WrongUsage;
use crate::backtest::bars::{Bars, DayCandles};
use crate::backtest::options::Options;
use crate::backtest::report::{Lot, Report};
use crate::backtest::trades::Trade;
use crate::backtest::{csv, index_pivot, level_breakout, trades};
use crate::engine::settings::StrategySettings;
use crate::market::calendar::{Calendar, DayKind};
use crate::market::charges::ChargeSegment;
use crate::market::{DayCandle, Exchange, Price, Quantity};

/// Days left out that are named one by one.
const LEFT_OUT_SHOWN: usize = 5;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    pivotctl backtest --strategy level-breakout --data nifty_1m.csv.gz --trades trades.csv\n  \
    pivotctl backtest --strategy index-pivot --data sensex_1m.csv --set or_minutes=30 --json")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Write the trades here.
    #[arg(long, value_name = "OUT.csv")]
    trades: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// What is run over what, and what it is worth.
#[derive(Debug, clap::Args)]
pub(super) struct Subject {
    /// `index-pivot` or `level-breakout`.
    #[arg(long)]
    strategy: String,
    /// One-minute bars: `ts,open,high,low,close,volume`, plain or gzipped.
    #[arg(long, value_name = "FILE.csv[.gz]")]
    data: PathBuf,
    /// Day candles in the same columns: levels then come from the official
    /// high, low and close instead of from the bars.
    #[arg(long, value_name = "DAYS.csv[.gz]")]
    daily: Option<PathBuf>,
    /// Set a parameter of the strategy; may be given many times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Units of each trade: adds money and estimated charges to the report.
    #[arg(long, value_name = "UNITS", value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    lot: Option<Quantity>,
    /// What the units are, for the charges.
    #[arg(long, value_enum, default_value_t = Segment::Futures)]
    segment: Segment,
    /// Where they trade, for the charges.
    #[arg(long, default_value = "NSE", value_parser = ["NSE", "BSE"])]
    exchange: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Segment {
    Futures,
    Equity,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let options = args.subject.options().and_then(|options| {
        options.check()?;
        Ok(options)
    });
    let options = options.map_err(|error| WrongUsage(format!("{error:#}")))?;
    let begun = Instant::now();
    let Loaded { bars, previous, special_days } = args.subject.load()?;
    let load = begun.elapsed();
    let outcome = execute(&bars, &previous, &options)?;
    if let Some(path) = &args.trades {
        let describe = || format!("could not write {}", path.display());
        let file = File::create(path).with_context(describe)?;
        trades::write(BufWriter::new(file), &outcome.trades).with_context(describe)?;
    }
    let shown = Shown {
        strategy: options.strategy.name(),
        report: Report::of(&outcome.trades, args.subject.lot()),
        bars: &bars,
        special_days,
        without_levels: previous.iter().filter(|candle| candle.is_none()).count(),
        load,
        outcome,
    };
    if args.json {
        outln!("{:#}", shown.json());
    } else {
        outln!("{}", shown.text().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// Splits `key=value`.
pub(super) fn key_value(pair: &str) -> anyhow::Result<(&str, &str)> {
    pair.split_once('=')
        .map(|(key, value)| (key.trim(), value.trim()))
        .ok_or_else(|| anyhow::anyhow!("expected KEY=VALUE, was {pair:?}"))
}

/// The bars with what is known before each day begins.
pub(super) struct Loaded {
    pub(super) bars: Bars,
    pub(super) previous: Vec<Option<DayCandle>>,
    special_days: usize,
}

impl Subject {
    /// The strategy with what was set, not yet checked as a whole.
    pub(super) fn options(&self) -> anyhow::Result<Options> {
        let mut options = Options::new(&self.strategy)?;
        if let StrategySettings::PremiumPivot(_) = options.strategy {
            anyhow::bail!(
                "premium-pivot needs the candles of many options at once; one file of bars cannot \
                 hold them. index-pivot and level-breakout can be backtested"
            );
        }
        for pair in &self.set {
            let (key, value) = key_value(pair)?;
            options.set(key, value)?;
        }
        Ok(options)
    }

    /// What the units are, when their number was given.
    pub(super) fn lot(&self) -> Option<Lot> {
        let is_bse = self.exchange == "BSE";
        let (segment, exchange) = match self.segment {
            Segment::Futures if is_bse => (ChargeSegment::Futures, Exchange::Bfo),
            Segment::Futures => (ChargeSegment::Futures, Exchange::Nfo),
            Segment::Equity if is_bse => (ChargeSegment::EquityIntraday, Exchange::Bse),
            Segment::Equity => (ChargeSegment::EquityIntraday, Exchange::Nse),
        };
        self.lot.map(|quantity| Lot { quantity, segment, exchange })
    }

    /// Reads the bars and leaves out sessions that are no regular day, such
    /// as Muhurat trading.
    pub(super) fn load(&self) -> anyhow::Result<Loaded> {
        let mut bars = read(&self.data, csv::read)?;
        let calendar = Calendar::india();
        let all = bars.days.len();
        bars.days.retain(|day| is_regular(&calendar, day.date));
        let special_days = all - bars.days.len();
        let previous = bars.previous_days(self.daily()?.as_ref());
        Ok(Loaded { bars, previous, special_days })
    }

    fn daily(&self) -> anyhow::Result<Option<DayCandles>> {
        let Some(path) = &self.daily else { return Ok(None) };
        let mut days = read(path, csv::read_days)?;
        let calendar = Calendar::india();
        days.retain(|date, _| is_regular(&calendar, *date));
        Ok(Some(days))
    }
}

fn read<T>(path: &Path, parse: fn(File) -> Result<T, csv::ReadError>) -> anyhow::Result<T> {
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("could not open {shown}"))?;
    parse(file).with_context(|| format!("{shown}"))
}

/// False for a special session; days that the calendar does not know count.
fn is_regular(calendar: &Calendar, date: NaiveDate) -> bool {
    match calendar.day(date) {
        DayKind::Special(special) => special.is_regular,
        DayKind::Trading(_) | DayKind::Closed(_) | DayKind::Unknown => true,
    }
}

/// What a run brought.
pub(super) struct Outcome {
    pub(super) trades: Vec<Trade>,
    run: Duration,
    /// What became of the crosses, where the strategy says it.
    crosses: Vec<(String, u64)>,
    left_out: Vec<String>,
}

/// Runs the strategy.
pub(super) fn execute(
    bars: &Bars,
    previous: &[Option<DayCandle>],
    options: &Options,
) -> anyhow::Result<Outcome> {
    match &options.strategy {
        StrategySettings::LevelBreakout(settings) => {
            let levels = level_breakout::levels(previous, settings.level_tick);
            let begun = Instant::now();
            let fills = level_breakout::run(bars, &levels, settings);
            let run = begun.elapsed();
            let trades = level_breakout::trades(bars, &fills);
            Ok(Outcome { trades, run, crosses: Vec::new(), left_out: Vec::new() })
        }
        StrategySettings::IndexPivot(_) | StrategySettings::PremiumPivot(_) => {
            let begun = Instant::now();
            let outcome = index_pivot::run(bars, previous, options)?;
            Ok(Outcome {
                trades: outcome.trades,
                run: begun.elapsed(),
                crosses: outcome.crosses.into_iter().collect(),
                left_out: outcome
                    .left_out
                    .into_iter()
                    .map(|(date, reason)| format!("{date}: {reason}"))
                    .collect(),
            })
        }
    }
}

struct Shown<'a> {
    strategy: &'static str,
    report: Report,
    bars: &'a Bars,
    special_days: usize,
    /// Days for which no earlier day is known.
    without_levels: usize,
    load: Duration,
    outcome: Outcome,
}

impl Shown<'_> {
    fn bars_per_s(&self) -> u64 {
        let run = self.outcome.run.as_secs_f64();
        if run > 0.0 { (self.bars.len() as f64 / run) as u64 } else { 0 }
    }

    fn json(&self) -> Value {
        let report = &self.report;
        let by_reason: serde_json::Map<String, Value> = report
            .by_reason
            .iter()
            .map(|(reason, (count, points))| {
                let figures = json!({ "trades": count, "points": points.to_f64_rupees() });
                (reason.as_str().to_string(), figures)
            })
            .collect();
        let money = report.money.map(|money| {
            json!({
                "gross": money.gross.to_f64_rupees(),
                "charges": money.charges.to_f64_rupees(),
                "net": money.net.to_f64_rupees(),
            })
        });
        let crosses: serde_json::Map<String, Value> = self
            .outcome
            .crosses
            .iter()
            .map(|(reason, count)| (reason.clone(), json!(count)))
            .collect();
        json!({
            "strategy": self.strategy,
            "bars": self.bars.len(),
            "days": self.bars.days.len(),
            "bars_outside_session": self.bars.outside_session,
            "special_days": self.special_days,
            "days_without_levels": self.without_levels,
            "trades": report.trades,
            "wins": report.wins,
            "win_rate_pct": report.win_rate_bp().map(|rate| rate as f64 / 100.0),
            "points": report.points.to_f64_rupees(),
            "max_drawdown_points": report.drawdown.to_f64_rupees(),
            "by_reason": by_reason,
            "money": money,
            "crosses": crosses,
            "days_left_out": self.outcome.left_out,
            "load_s": self.load.as_secs_f64(),
            "run_s": self.outcome.run.as_secs_f64(),
            "bars_per_s": self.bars_per_s(),
        })
    }

    fn text(&self) -> String {
        let report = &self.report;
        let days = &self.bars.days;
        let date = |day: Option<&crate::backtest::bars::Day>| {
            day.map(|day| day.date.to_string()).unwrap_or_default()
        };
        let mut rows = vec![
            ("strategy", self.strategy.to_string()),
            ("days", format!("{}, {} to {}", days.len(), date(days.first()), date(days.last()))),
            ("bars", self.bars.len().to_string()),
            ("trades", report.trades.to_string()),
            ("wins", wins(report)),
            ("points", signed(report.points)),
            ("max drawdown", report.drawdown.to_string()),
        ];
        if let Some(money) = report.money {
            rows.push(("gross", format!("₹{}", money.gross.grouped())));
            rows.push(("charges", format!("₹{} (estimate)", money.charges.grouped())));
            rows.push(("net", format!("₹{}", money.net.grouped())));
        }
        if self.without_levels > 0 {
            rows.push((
                "no levels",
                format!("{} days: no day before is known", self.without_levels),
            ));
        }
        if self.special_days > 0 {
            rows.push(("special days", format!("{} left out", self.special_days)));
        }
        if self.bars.outside_session > 0 {
            let text = format!("{} bars before 09:15 or after 15:40", self.bars.outside_session);
            rows.push(("not used", text));
        }
        let speed = format!(
            "loaded in {:.3} s, ran in {:.6} s ({} bars/s)",
            self.load.as_secs_f64(),
            self.outcome.run.as_secs_f64(),
            self.bars_per_s()
        );
        rows.push(("time", speed));
        let mut text = String::new();
        for (name, value) in rows {
            line(&mut text, name, &value);
        }
        for (reason, (count, points)) in &report.by_reason {
            line(
                &mut text,
                &format!("by {}", reason.as_str()),
                &format!("{count}, {}", signed(*points)),
            );
        }
        for (reason, count) in &self.outcome.crosses {
            line(&mut text, &format!("crosses {reason}"), &count.to_string());
        }
        for day in self.outcome.left_out.iter().take(LEFT_OUT_SHOWN) {
            line(&mut text, "left out", day);
        }
        let more = self.outcome.left_out.len().saturating_sub(LEFT_OUT_SHOWN);
        if more > 0 {
            line(&mut text, "left out", &format!("{more} more days"));
        }
        text
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<30} {value}");
}

fn wins(report: &Report) -> String {
    match report.win_rate_bp() {
        Some(rate) => format!("{} ({}.{:02} %)", report.wins, rate / 100, rate % 100),
        None => "0".to_string(),
    }
}

fn signed(points: Price) -> String {
    if points > Price::ZERO { format!("+{points}") } else { points.to_string() }
}
