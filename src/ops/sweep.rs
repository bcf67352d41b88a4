//! `pivotctl sweep`: a backtest for each point of a grid of parameters.
//!
//! What goes to standard output depends on data and grid alone: neither on
//! the number of jobs nor on the machine.

mod grid;

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use anyhow::Context as _;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::WrongUsage;
use super::backtest::{Loaded, Subject, execute};
use super::progress::Progress;
use crate::backtest::options::Options;
use crate::backtest::report::Report;
use grid::{Axis, points};

/// Points of a grid: beyond it, nobody reads the answer.
const POINTS_MAX: usize = 100_000;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    pivotctl sweep --strategy index-pivot --data sensex_1m.csv.gz \\\n    \
    --vary or_minutes=15,30,45 --vary max_trades=1..4/1 --lot 20 --sort net\n  \
    pivotctl sweep --strategy level-breakout --data nifty_1m.csv --vary target=P,R1 --csv\n\n\
    The best point of a grid is the best of many tries and looks better than it is. Choose on one \
    part of your data and judge on another.")]
pub(super) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// A parameter and its values: KEY=A,B,C or KEY=FROM..TO/STEP, both ends
    /// included; may be given many times.
    #[arg(long, value_name = "KEY=VALUES", required = true, value_parser = Axis::parse)]
    vary: Vec<Axis>,
    /// Order the rows by this figure, the best first; by the grid when left
    /// out.
    #[arg(long, value_enum)]
    sort: Option<Figure>,
    /// Show only so many rows.
    #[arg(long, value_name = "ROWS")]
    top: Option<usize>,
    /// Runs side by side; as many as there are processors when left out.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Print CSV.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Figure {
    /// Gain of one unit.
    Points,
    /// Gain of all units after charges; needs --lot.
    Net,
    /// Share of trades that gained.
    WinRate,
    /// Largest fall from a peak, the smallest first.
    Drawdown,
    /// Number of trades.
    Trades,
}

/// A point of the grid and what came of it.
struct Row {
    values: Vec<String>,
    result: Result<Report, String>,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if args.sort == Some(Figure::Net) && args.subject.lot().is_none() {
        return Err(WrongUsage("--sort net needs --lot".to_string()).into());
    }
    let grid = points(&args.vary, POINTS_MAX).map_err(WrongUsage)?;
    let usage = |error: anyhow::Error| WrongUsage(format!("{error:#}"));
    let base = args.subject.options().map_err(usage)?;
    let options: Vec<Options> = grid
        .iter()
        .map(|values| with(&base, &args.vary, values))
        .collect::<anyhow::Result<_>>()
        .map_err(usage)?;
    let loaded = args.subject.load()?;
    let begun = Instant::now();
    let results = run_all(&args, &loaded, &options)?;
    let took_s = begun.elapsed().as_secs_f64();
    errln!("{} runs over {} bars in {took_s:.1} s", options.len(), loaded.bars.len());
    let mut rows: Vec<Row> =
        grid.into_iter().zip(results).map(|(values, result)| Row { values, result }).collect();
    if let Some(figure) = args.sort {
        // Stable: rows that are equal stay in the order of the grid.
        rows.sort_by_key(|row| rank(row, figure));
    }
    rows.truncate(args.top.unwrap_or(usize::MAX));
    print(&args, &rows)?;
    let ran = rows.iter().any(|row| row.result.is_ok());
    Ok(if ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn with(base: &Options, axes: &[Axis], values: &[String]) -> anyhow::Result<Options> {
    let mut options = base.clone();
    for (axis, value) in axes.iter().zip(values) {
        options.set(&axis.key, value)?;
    }
    Ok(options)
}

/// The first is the best; what did not run comes last.
fn rank(row: &Row, figure: Figure) -> (bool, i64) {
    let Ok(report) = &row.result else { return (true, 0) };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let rank = match figure {
        Figure::Points => -report.points.paise(),
        Figure::Net => -report.money.map_or(0, |money| money.net.paise()),
        Figure::WinRate => -count(report.win_rate_bp().unwrap_or(0)),
        Figure::Drawdown => report.drawdown.paise(),
        Figure::Trades => -count(report.trades),
    };
    (false, rank)
}

fn run_all(
    args: &Args,
    loaded: &Loaded,
    options: &[Options],
) -> anyhow::Result<Vec<Result<Report, String>>> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(processors, usize::from).min(options.len());
    let next = AtomicUsize::new(0);
    let (sender, done) = mpsc::channel();
    let mut results: Vec<Option<Result<Report, String>>> = vec![None; options.len()];
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(options) = options.get(index)
                {
                    if sender.send((index, run_one(args, loaded, options))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut progress = Progress::new(args.json);
        let total = options.len() as u64;
        for (ran, (index, result)) in (1..).zip(done) {
            progress.show("runs", ran, total);
            if let Some(place) = results.get_mut(index) {
                *place = Some(result);
            }
        }
    });
    results.into_iter().collect::<Option<_>>().context("a run ended without a result")
}

/// Parameters that do not go together are an answer, too.
fn run_one(args: &Args, loaded: &Loaded, options: &Options) -> Result<Report, String> {
    options.check().map_err(|error| error.to_string())?;
    let outcome =
        execute(&loaded.bars, &loaded.previous, options).map_err(|error| format!("{error:#}"))?;
    Ok(Report::of(&outcome.trades, args.subject.lot()))
}

fn print(args: &Args, rows: &[Row]) -> anyhow::Result<()> {
    if args.json {
        let rows: Vec<Value> = rows.iter().map(|row| row_json(&args.vary, row)).collect();
        outln!("{:#}", json!({ "rows": rows }));
    } else if args.csv {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(header(args))?;
        for row in rows {
            writer.write_record(cells(args, row))?;
        }
        out!("{}", String::from_utf8(writer.into_inner()?)?);
    } else {
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY).set_header(header(args));
        for row in rows {
            table.add_row(cells(args, row));
        }
        for column in table.column_iter_mut() {
            column.set_cell_alignment(CellAlignment::Right);
        }
        outln!("{table}");
    }
    Ok(())
}

fn header(args: &Args) -> Vec<String> {
    let mut header: Vec<String> = args.vary.iter().map(|axis| axis.key.clone()).collect();
    header.extend(["trades", "wins", "win_rate_pct", "points", "drawdown"].map(String::from));
    if args.subject.lot().is_some() {
        header.extend(["gross", "charges", "net"].map(String::from));
    }
    header.push("remark".to_string());
    header
}

fn cells(args: &Args, row: &Row) -> Vec<String> {
    let mut cells = row.values.clone();
    let width = header(args).len();
    match &row.result {
        Ok(report) => {
            cells.extend([report.trades.to_string(), report.wins.to_string(), win_rate(report)]);
            cells.extend([report.points.to_string(), report.drawdown.to_string()]);
            if let Some(money) = report.money {
                cells.extend([money.gross, money.charges, money.net].map(|it| it.to_string()));
            }
            cells.push(String::new());
        }
        Err(why) => {
            cells.resize(width - 1, String::new());
            cells.push(why.clone());
        }
    }
    cells
}

fn win_rate(report: &Report) -> String {
    let rate = report.win_rate_bp();
    rate.map_or_else(String::new, |rate| format!("{}.{:02}", rate / 100, rate % 100))
}

fn row_json(axes: &[Axis], row: &Row) -> Value {
    let parameters: serde_json::Map<String, Value> = axes
        .iter()
        .zip(&row.values)
        .map(|(axis, value)| (axis.key.clone(), Value::from(value.as_str())))
        .collect();
    match &row.result {
        Ok(report) => json!({
            "parameters": parameters,
            "trades": report.trades,
            "wins": report.wins,
            "win_rate_pct": report.win_rate_bp().map(|rate| rate as f64 / 100.0),
            "points": report.points.to_f64_rupees(),
            "max_drawdown_points": report.drawdown.to_f64_rupees(),
            "money": report.money.map(|money| json!({
                "gross": money.gross.to_f64_rupees(),
                "charges": money.charges.to_f64_rupees(),
                "net": money.net.to_f64_rupees(),
            })),
        }),
        Err(why) => json!({ "parameters": parameters, "error": why }),
    }
}
