//! `pivotctl decide`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use chrono::NaiveTime;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};

use super::WrongUsage;
use crate::backtest::case::{self, Case, Judged, JudgedCross, Percent};
use crate::config::misfits;
use crate::engine::ledger::Direction;
use crate::engine::settings::StrategySettings;
use crate::engine::strategy::parameters;
use crate::market::Price;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl decide --case cases.json\n  \
                        pivotctl decide --case cases.json --set min_history=16 --json")]
pub(super) struct Args {
    /// The strategy that judges; only index-pivot judges cases.
    #[arg(long, default_value = "index-pivot", value_parser = ["index-pivot"])]
    strategy: String,
    /// A JSON file that maps names to cases: `prev_HLC`, `hist_body_pct`,
    /// `candles` as ["09:15", open, high, low, close].
    #[arg(long, value_name = "FILE.json")]
    case: PathBuf,
    /// Set a parameter of the strategy.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON, as it is anyway.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let text = std::fs::read_to_string(&args.case)
        .with_context(|| format!("could not read {}", args.case.display()))?;
    let settings = settings(&args).map_err(|error| WrongUsage(format!("{error:#}")))?;
    let mut source = serde_json::Deserializer::from_str(&text);
    let records: BTreeMap<String, Record> = serde_path_to_error::deserialize(&mut source)
        .with_context(|| format!("{} does not hold cases", args.case.display()))?;
    let mut filled = BTreeMap::new();
    for (name, record) in records {
        let judged = case::judge(&record.case(), settings.clone())
            .with_context(|| format!("case {name:?}"))?;
        filled.insert(name, Filled::new(record, judged));
    }
    outln!("{}", serde_json::to_string_pretty(&filled)?);
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &Args) -> anyhow::Result<StrategySettings> {
    let mut settings = parameters::defaults(&args.strategy)?;
    for pair in &args.set {
        let (key, value) = super::backtest::key_value(pair)?;
        parameters::set(&mut settings, key, value)?;
    }
    match misfits(&settings).into_iter().next() {
        Some(problem) => Err(problem.into()),
        None => Ok(settings),
    }
}

/// A case as it stands in the file; answers that are there already are read
/// over.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(rename = "prev_HLC")]
    previous: [Number; 3],
    #[serde(rename = "hist_body_pct")]
    history: Vec<Body>,
    candles: Vec<(Start, Number, Number, Number, Number)>,
    #[serde(rename = "daytype", default, skip_serializing)]
    _day_type: IgnoredAny,
    #[serde(rename = "gap_pct", default, skip_serializing)]
    _gap: IgnoredAny,
    #[serde(rename = "block", default, skip_serializing)]
    _block: IgnoredAny,
    #[serde(rename = "halt", default, skip_serializing)]
    _halt: IgnoredAny,
    #[serde(rename = "events", default, skip_serializing)]
    _events: IgnoredAny,
}

impl Record {
    fn case(&self) -> Case {
        let [high, low, close] = &self.previous;
        Case {
            previous: (high.price, low.price, close.price),
            history: self.history.iter().map(|body| body.percent).collect(),
            candles: self
                .candles
                .iter()
                .map(|(start, open, high, low, close)| {
                    (start.time, [open.price, high.price, low.price, close.price])
                })
                .collect(),
        }
    }
}

/// A case with what the strategy found.
#[derive(Debug, Serialize)]
struct Filled {
    #[serde(flatten)]
    record: Record,
    daytype: &'static str,
    gap_pct: Option<String>,
    block: Block,
    halt: Option<&'static str>,
    events: Vec<Event>,
}

#[derive(Debug, Serialize)]
struct Block {
    #[serde(rename = "L")]
    long: Option<&'static str>,
    #[serde(rename = "S")]
    short: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Event {
    t: String,
    side: &'static str,
    level: &'static str,
    #[serde(rename = "X")]
    value: String,
    close: String,
    sl: String,
    risk: String,
    #[serde(rename = "T1")]
    first: Option<(&'static str, String)>,
    #[serde(rename = "T2")]
    second: Option<(&'static str, String)>,
    rr: Option<String>,
    body: String,
    thr: Option<String>,
    reject: Option<String>,
}

impl Filled {
    fn new(record: Record, judged: Judged) -> Filled {
        Filled {
            record,
            daytype: judged.day_type,
            gap_pct: judged.gap_percent,
            block: Block { long: judged.no_longs, short: judged.no_shorts },
            halt: judged.halt,
            events: judged.crosses.into_iter().map(event).collect(),
        }
    }
}

fn event(judged: JudgedCross) -> Event {
    let cross = &judged.cross;
    Event {
        t: judged.at.format("%H:%M").to_string(),
        side: match cross.direction {
            Direction::Long => "L",
            Direction::Short => "S",
        },
        level: cross.level_name,
        value: cross.level.to_decimal(2),
        close: cross.close.to_string(),
        sl: cross.stop.to_string(),
        risk: cross.risk.to_string(),
        first: cross.targets.map(|targets| (targets.first.0, targets.first.1.to_decimal(2))),
        second: cross.targets.map(|targets| (targets.second.0, targets.second.1.to_decimal(2))),
        rr: cross.reward_ratio(),
        body: cross.body_percent(),
        thr: cross.threshold_percent(),
        reject: judged.reject,
    }
}

/// A price as text or number; printed as it was written.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Number {
    text: serde_json::Value,
    #[serde(skip)]
    price: Price,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Body {
    text: serde_json::Value,
    #[serde(skip)]
    percent: Percent,
}

#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Start {
    text: String,
    #[serde(skip)]
    time: NaiveTime,
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Number, D::Error> {
        let text = serde_json::Value::deserialize(source)?;
        let price: Price = plain(&text).parse().map_err(D::Error::custom)?;
        Ok(Number { text, price })
    }
}

impl<'de> Deserialize<'de> for Body {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Body, D::Error> {
        let text = serde_json::Value::deserialize(source)?;
        let percent = Percent::parse(&plain(&text)).ok_or_else(|| {
            D::Error::custom("expected a percentage with at most seven decimals, such as 0.012")
        })?;
        Ok(Body { text, percent })
    }
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Start, D::Error> {
        let text = String::deserialize(source)?;
        let time = parameters::time_of_day(&text)
            .ok_or_else(|| D::Error::custom("expected a time of day, such as 09:15"))?;
        Ok(Start { text, time })
    }
}
