//! `pivotctl trace`: one trade's story across all services.

mod engine;
mod gather;

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{NaiveDate, TimeDelta};
use serde_json::{Value, json};

use super::data::DataArgs;
use crate::market::Timestamp;
use crate::market::time::{IST, ist};
use crate::ops::trades;
use crate::store::Store;
use crate::telemetry::rows::{self, Reader, RowsError};

/// Ids that an unknown one is compared with, by days before today.
const KNOWN_DAYS: i64 = 400;

/// Ids that are offered in place of an unknown one.
const NEAR: usize = 3;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl trace 20261126_001\n  \
                        pivotctl trace 20261126_001 --json")]
pub(super) struct Args {
    /// The trade, as `pivotctl trades` names it.
    #[arg(value_name = "ID")]
    trade: String,
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    at: Timestamp,
    /// Who did or said it.
    service: String,
    /// Where it is written: `journal`, `message`, `postback`, `log`.
    source: &'static str,
    what: String,
}

impl Step {
    fn to_json(&self) -> Value {
        let at = self.at.with_timezone(&IST);
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, false);
        let Step { service, source, what, .. } = self;
        json!({ "at": at, "service": service, "source": source, "what": what })
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let store = args.data.reader()?;
    let path = args.data.folder()?;
    let mut readers = Vec::new();
    for name in [rows::FILE_NAME, rows::ARCHIVE_NAME] {
        match Reader::open(&path.join(name)) {
            Ok(reader) => readers.push(reader),
            Err(RowsError::NotThere { .. }) => {}
            // The story is told without what cannot be read.
            Err(error) => errln!("warning: {:#}", anyhow::Error::from(error)),
        }
    }
    let id = &args.trade;
    let trade = store.trade(id)?;
    let story = gather::story(&store, &readers, id, trade.as_ref())?;
    if story.is_empty() {
        errln!("error: no trade {id:?}{}", nearest(&store, id)?);
        return Ok(ExitCode::FAILURE);
    }
    if args.json {
        let steps: Vec<Value> = story.iter().map(Step::to_json).collect();
        let trade = trade.as_ref().map(trades::to_json);
        outln!("{}", json!({ "trade_id": id, "trade": trade, "story": steps }));
        return Ok(ExitCode::SUCCESS);
    }
    let mode = store.mode().as_str().to_uppercase();
    match &trade {
        None => outln!("{mode} {id}"),
        Some(trade) => {
            let end = trade.exit_reason.map_or("open", |reason| reason.as_str());
            let (side, net) = (trade.direction.as_str(), trade.net().signed());
            outln!("{mode} {id}: {side} {} on {}, {end}, net {net}", trade.contract, trade.signal);
        }
    }
    let mut day: Option<NaiveDate> = None;
    for step in &story {
        let at = ist(step.at);
        if day != Some(at.date()) {
            day = Some(at.date());
            outln!("{} IST", at.date());
        }
        let (service, source) = (&step.service, step.source);
        outln!("{} {service:<8} {source:<9} {}", at.format("%H:%M:%S%.3f"), step.what);
    }
    Ok(ExitCode::SUCCESS)
}

/// `; did you mean …?`, with the known ids that are most like it.
fn nearest(store: &Store, id: &str) -> anyhow::Result<String> {
    let today = crate::market::time::ist_date(super::data::now()?);
    let from = today.checked_sub_signed(TimeDelta::days(KNOWN_DAYS)).context("no such date")?;
    let mut known: Vec<String> =
        store.trades(from, today)?.into_iter().map(|trade| trade.trade_id).collect();
    // The newest first among those that are as near.
    known.reverse();
    known.sort_by_key(|known| strsim::damerau_levenshtein(known, id));
    known.truncate(NEAR);
    Ok(match known.as_slice() {
        [] => String::new(),
        near => format!("; did you mean {}?", near.join(", ")),
    })
}
