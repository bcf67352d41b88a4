//! `pivotctl why`.

use std::process::ExitCode;

use chrono::{NaiveDate, NaiveTime};
use serde_json::{Value, json};

use super::calendar::parse_date;
use super::data::{DataArgs, day_or_last};
use super::{WrongUsage, trades};
use crate::engine::ledger::{Decision, Verdict};
use crate::market::time::ist_text;
use crate::store::DecisionQuery;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl why\n  pivotctl why 09:33\n  \
                        pivotctl why SENSEX 09:33 --date 2026-11-23 --json")]
pub(super) struct Args {
    /// Symbol, and a time of day (IST) within the candle or at its close; the latest candle
    /// when left out.
    #[arg(value_name = "SYMBOL|HH:MM", num_args = 0..=2)]
    what: Vec<String>,
    /// The day; the last one with records when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date)]
    date: Option<NaiveDate>,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Contracts watched at most: candles that end at the same time.
const DECISIONS_SHOWN_MAX: u32 = 200;

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (symbol, time) = parse_what(&args.what)?;
    let store = args.data.reader()?;
    let day = day_or_last(&store, args.date)?;
    let limit = if time.is_some() { DECISIONS_SHOWN_MAX } else { 1 };
    let query = DecisionQuery { symbol, time, without_quiet: false, limit };
    let decisions = store.decisions(day, &query)?;
    if args.json {
        let decisions: Vec<Value> = decisions.iter().map(to_json).collect();
        outln!("{}", json!({ "mode": store.mode().as_str(), "date": day, "decisions": decisions }));
    } else {
        outln!("{} {day}", store.mode().as_str().to_uppercase());
        decisions.iter().for_each(print);
    }
    if decisions.is_empty() {
        errln!("no candle was judged then");
        return Ok(ExitCode::from(1));
    }
    Ok(ExitCode::SUCCESS)
}

/// True for what is meant as a time: a colon with no exchange before it.
fn is_like_time(text: &str) -> bool {
    let before = text.split_once(':').map(|(before, _)| before);
    before.is_some_and(|before| !before.contains(|letter: char| letter.is_ascii_alphabetic()))
}

fn parse_what(words: &[String]) -> Result<(Option<String>, Option<NaiveTime>), WrongUsage> {
    let time = |text: &str| {
        let full = NaiveTime::parse_from_str(text, "%H:%M:%S");
        full.or_else(|_| NaiveTime::parse_from_str(text, "%H:%M")).ok()
    };
    let no_time = |text: &str| WrongUsage(format!("expected a time such as 09:33, was {text:?}"));
    match words {
        [] => Ok((None, None)),
        [one] => match time(one) {
            Some(time) => Ok((None, Some(time))),
            None if is_like_time(one) => Err(no_time(one)),
            None => Ok((Some(symbol(one)), None)),
        },
        [name, at, ..] => match time(at) {
            Some(_) if is_like_time(name) => {
                Err(WrongUsage(format!("expected a symbol such as SENSEX, was {name:?}")))
            }
            Some(at) => Ok((Some(symbol(name)), Some(at))),
            None => Err(no_time(at)),
        },
    }
}

/// People may write the exchange or not.
fn symbol(text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    upper.split_once(':').map_or(upper.as_str(), |(_, symbol)| symbol).to_owned()
}

fn print(decision: &Decision) {
    let candle = &decision.candle;
    outln!(
        "\n{}  candle {} to {}  open {} high {} low {} close {}",
        decision.instrument,
        trades::time_text(Some(candle.start)),
        trades::time_text(Some(decision.at)),
        candle.open,
        candle.high,
        candle.low,
        candle.close,
    );
    let direction = decision.direction.map_or("", |direction| direction.as_str());
    let level = decision.level.as_deref().unwrap_or_default();
    outln!("{}: {} {direction} {level}", verdict(decision), decision.reason);
    let width = decision.numbers.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &decision.numbers {
        outln!("  {name:<width$}  {value}");
    }
}

const fn verdict(decision: &Decision) -> &'static str {
    match decision.verdict {
        Verdict::Quiet => "nothing to judge",
        Verdict::Rejected => "not entered",
        Verdict::Enter => "entry decided",
    }
}

fn to_json(decision: &Decision) -> Value {
    let candle = &decision.candle;
    let numbers: Vec<Value> = decision
        .numbers
        .iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({
        "instrument": decision.instrument.to_string(),
        "start": ist_text(candle.start),
        "at": ist_text(decision.at),
        "open": candle.open.to_string(),
        "high": candle.high.to_string(),
        "low": candle.low.to_string(),
        "close": candle.close.to_string(),
        "verdict": verdict(decision),
        "reason": decision.reason,
        "direction": decision.direction.map(|direction| direction.as_str()),
        "level": decision.level,
        "numbers": numbers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_asked() {
        let check = |words: &[&str], symbol: Option<&str>, time: Option<&str>| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let expect = (symbol.map(str::to_owned), time.map(|time| time.parse().unwrap()));
            assert_eq!(parse_what(&words).unwrap(), expect);
        };
        check(&[], None, None);
        check(&["09:33"], None, Some("09:33:00"));
        check(&["sensex"], Some("SENSEX"), None);
        check(&["BSE:SENSEX", "09:33:10"], Some("SENSEX"), Some("09:33:10"));
        check(&["BSE:SENSEX"], Some("SENSEX"), None);
        check(&["BFO:SENSEX26NOV85000CE"], Some("SENSEX26NOV85000CE"), None);
        let refuse = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let error = parse_what(&words).unwrap_err();
            assert!(error.0.starts_with("expected a "), "{words:?}: {error}");
        };
        refuse(&["SENSEX", "soon"]);
        refuse(&["99:99"]);
        refuse(&["9:3x"]);
        refuse(&["10:00", "11:00"]);
    }
}
