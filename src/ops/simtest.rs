//! `pivotctl simtest`.
//!
//! What goes to standard output depends on the seeds alone: not on the number
//! of jobs, not on the machine. Rates and progress go to standard error.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::engine::strategy::parameters::STRATEGIES;
use crate::market::time::ist_time;
use crate::simtest::{Day, FaultKind, Options, Profile, SimError, Theatre, Violation};

/// From this many hostile days on, a kind of fault that never happened means
/// that something is not tried at all.
const COVERED_FROM: u64 = 200;
/// Days that are reported one by one.
const FAILURES_SHOWN: usize = 20;
/// How often the progress line is drawn.
const DRAW_EVERY: Duration = Duration::from_millis(200);
const BAR: usize = 30;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl simtest\n  pivotctl simtest --seeds 0..1000 --json")]
pub(super) struct Args {
    /// Seeds to play, the second one left out.
    #[arg(long, value_name = "FROM..TO", default_value = "0..100", value_parser = seeds)]
    seeds: Range<u64>,
    /// Days that are played side by side; as many as there are processors
    /// when not given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// The strategy that trades.
    #[arg(long, default_value = "index-pivot", value_parser = STRATEGIES)]
    strategy: String,
    /// How rough the days are.
    #[arg(long, value_enum, default_value_t = Profile::Hostile)]
    profile: Profile,
    /// Tell the story of one day, up to the first rule that breaks.
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "json"])]
    explain: Option<u64>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let read =
        |part: &str| part.trim().parse::<u64>().map_err(|error| format!("{part:?}: {error}"));
    let (from, to) = text.split_once("..").ok_or("expected FROM..TO, such as 0..1000")?;
    let (from, to) = (read(from)?, read(to.trim_start_matches('='))?);
    if from < to { Ok(from..to) } else { Err(format!("there is no seed in {from}..{to}")) }
}

/// What came of all days, in the order of their seeds.
#[derive(Debug, Default)]
struct Tally {
    days: u64,
    trades: u64,
    orders: u64,
    commits: u64,
    deaths: u64,
    alarms: u64,
    left_open: u64,
    faults: Vec<(u64, u64)>,
    failures: Vec<(u64, Violation)>,
}

impl Tally {
    fn add(&mut self, day: Day) {
        self.days += 1;
        self.trades += u64::from(day.trades);
        self.orders += u64::from(day.orders);
        self.commits += u64::from(day.commits);
        self.deaths += u64::from(day.deaths);
        self.alarms += u64::from(day.alarms);
        self.left_open += u64::from(day.left_open);
        self.faults.resize(FaultKind::COUNT, (0, 0));
        for (sum, count) in self.faults.iter_mut().zip(day.faults) {
            sum.0 += u64::from(count);
            sum.1 += u64::from(count > 0);
        }
        if let Some(violation) = day.violation {
            self.failures.push((day.seed, violation));
        }
    }

    fn never(&self, profile: Profile) -> Vec<FaultKind> {
        let wanted = profile == Profile::Hostile && self.days >= COVERED_FROM;
        let missing = FaultKind::ALL.into_iter().zip(&self.faults);
        missing.filter(|(_, (_, days))| wanted && *days == 0).map(|(kind, _)| kind).collect()
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    name_the_day_of_a_panic(args);
    if let Some(seed) = args.explain {
        return explain(args, seed);
    }
    let started = Instant::now();
    let tally = play_all(args)?;
    let took = started.elapsed().as_secs_f64();
    let rate = tally.days as f64 / took.max(0.001);
    errln!("{} days in {took:.1} s, {rate:.1} days a second", tally.days);
    let never = tally.never(args.profile);
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&as_json(args, &tally, &never))?)
    } else {
        as_text(args, &tally, &never)
    };
    out!("{text}");
    let sound = tally.failures.is_empty() && never.is_empty();
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

thread_local! {
    /// The day that this thread plays.
    static PLAYED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// A panic ends a release, which stops at the first one: the seed and the
/// line that plays its day again are said before that.
fn name_the_day_of_a_panic(args: &Args) {
    let (strategy, profile) = (args.strategy.clone(), args.profile);
    std::panic::set_hook(Box::new(move |panic| {
        let Some(seed) = PLAYED.get() else { return errln!("{panic}") };
        errln!("PANIC seed {seed}: {panic}\n  {}", again(&strategy, profile, seed));
    }));
}

fn options(args: &Args, explain: bool) -> Options {
    Options::new(&args.strategy, args.profile, explain)
}

fn explain(args: &Args, seed: u64) -> anyhow::Result<ExitCode> {
    PLAYED.set(Some(seed));
    let day = Theatre::new()?.play(seed, &options(args, true))?;
    let mut text = day.story.join("\n");
    text.push_str(&format!(
        "\n\nseed {seed}: {} trades, {} orders, {} deaths, {} alarms\n",
        day.trades, day.orders, day.deaths, day.alarms
    ));
    text.push_str(&match &day.violation {
        Some(violation) => format!("{}: {}\n", violation.rule, violation.what),
        None => "every rule held\n".to_string(),
    });
    out!("{text}");
    Ok(if day.violation.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn play_all(args: &Args) -> anyhow::Result<Tally> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or(processors, usize::from);
    let next = AtomicU64::new(args.seeds.start);
    let (sender, days) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || work(args, next, &sender));
        }
        drop(sender);
        gather(args, &days)
    })
}

type Played = Result<Day, SimError>;

fn work(args: &Args, next: &AtomicU64, sender: &Sender<Played>) {
    let options = options(args, false);
    let theatre = match Theatre::new() {
        Ok(theatre) => theatre,
        Err(error) => {
            // Nobody listens only after another day has failed.
            let _ = sender.send(Err(error));
            return;
        }
    };
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        PLAYED.set(Some(seed));
        if seed >= args.seeds.end || sender.send(theatre.play(seed, &options)).is_err() {
            return;
        }
    }
}

/// Adds days up in the order of their seeds, however they come.
fn gather(args: &Args, days: &Receiver<Played>) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let mut waiting: BTreeMap<u64, Day> = BTreeMap::new();
    let mut seed = args.seeds.start;
    let progress = Progress::new(args.seeds.end - args.seeds.start);
    for day in days {
        let day = day?;
        waiting.insert(day.seed, day);
        while let Some(day) = waiting.remove(&seed) {
            tally.add(day);
            seed += 1;
        }
        progress.draw(&tally);
    }
    progress.clear();
    Ok(tally)
}

/// A line on a terminal that is drawn over again.
struct Progress {
    total: u64,
    shown: bool,
    started: Instant,
    drawn: RefCell<Option<Instant>>,
}

impl Progress {
    fn new(total: u64) -> Progress {
        let shown = std::io::stderr().is_terminal();
        Progress { total, shown, started: Instant::now(), drawn: RefCell::new(None) }
    }

    fn draw(&self, tally: &Tally) {
        let mut drawn = self.drawn.borrow_mut();
        if !self.shown || drawn.is_some_and(|at| at.elapsed() < DRAW_EVERY) {
            return;
        }
        *drawn = Some(Instant::now());
        let done = usize::try_from(tally.days * BAR as u64 / self.total.max(1)).unwrap_or(BAR);
        let rate = tally.days as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let faults: u64 = tally.faults.iter().map(|(times, _)| times).sum();
        err!(
            "\r[{}{}] {}/{} days  {rate:.1} days/s  {faults} faults  {} violations ",
            "█".repeat(done.min(BAR)),
            "·".repeat(BAR - done.min(BAR)),
            tally.days,
            self.total,
            tally.failures.len()
        );
    }

    fn clear(&self) {
        if self.shown {
            err!("\r{}\r", " ".repeat(100));
        }
    }
}

/// The one line that plays a day again.
fn again(strategy: &str, profile: Profile, seed: u64) -> String {
    let profile = profile.name();
    format!("pivotctl simtest --strategy {strategy} --profile {profile} --explain {seed}")
}

fn as_text(args: &Args, tally: &Tally, never: &[FaultKind]) -> String {
    let mut text = format!(
        "{} days of {} ({}), seeds {}..{}\n{} trades, {} orders, {} commits, {} deaths of the process, {} alarms, {} days left open and told\n\n",
        tally.days,
        args.strategy,
        args.profile.name(),
        args.seeds.start,
        args.seeds.end,
        tally.trades,
        tally.orders,
        tally.commits,
        tally.deaths,
        tally.alarms,
        tally.left_open
    );
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["fault", "times", "days", "what happens"]);
    for (kind, (times, days)) in FaultKind::ALL.into_iter().zip(&tally.faults) {
        let row = [kind.name().into(), times.to_string(), days.to_string(), kind.what().into()];
        table.add_row(row);
    }
    for column in [1, 2] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.push_str(&table.trim_fmt());
    text.push_str("\n\n");
    for kind in never {
        text.push_str(&format!("{} never happened: it is not tried\n", kind.name()));
    }
    for (seed, violation) in tally.failures.iter().take(FAILURES_SHOWN) {
        let time = ist_time(violation.at).format("%H:%M:%S");
        text.push_str(&format!(
            "VIOLATION seed {seed} {time} {}: {}\n  {}\n",
            violation.rule,
            violation.what,
            again(&args.strategy, args.profile, *seed)
        ));
    }
    if tally.failures.len() > FAILURES_SHOWN {
        text.push_str(&format!("and {} more\n", tally.failures.len() - FAILURES_SHOWN));
    }
    text.push_str(&format!("{} violations\n", tally.failures.len()));
    text
}

fn as_json(args: &Args, tally: &Tally, never: &[FaultKind]) -> Value {
    let faults: BTreeMap<&str, Value> = FaultKind::ALL
        .into_iter()
        .zip(&tally.faults)
        .map(|(kind, (times, days))| (kind.name(), json!({ "times": times, "days": days })))
        .collect();
    let violations: Vec<Value> = tally
        .failures
        .iter()
        .map(|(seed, violation)| {
            json!({
                "seed": seed,
                "at": violation.at.to_rfc3339(),
                "rule": violation.rule,
                "what": violation.what,
                "again": again(&args.strategy, args.profile, *seed),
            })
        })
        .collect();
    json!({
        "strategy": args.strategy,
        "profile": args.profile.name(),
        "seeds": { "from": args.seeds.start, "to": args.seeds.end },
        "days": tally.days,
        "trades": tally.trades,
        "orders": tally.orders,
        "commits": tally.commits,
        "deaths": tally.deaths,
        "alarms": tally.alarms,
        "left_open": tally.left_open,
        "faults": faults,
        "never": never.iter().map(|kind| kind.name()).collect::<Vec<_>>(),
        "violations": violations,
    })
}
