//! `pivotctl replay`: lets today's engine decide recorded days again.

use std::process::ExitCode;
use std::time::Instant;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::calendar::parse_date;
use super::data::{DataArgs, day_or_last};
use super::progress::Progress;
use crate::engine::Engine;
use crate::journal::{self, Entry, ReplayMismatch};
use crate::market::time::{ist, ist_text};
use crate::store::Store;
use crate::store::wire::{Wire, variant};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl replay\n  pivotctl replay --date 2026-11-23\n  \
                        pivotctl replay --all --json\n\n\
    Feeds a day's journal to the engine of this program and compares what it asks for with what \
    was asked for then. A difference is no fault where the program is newer than the day; on the \
    day itself it means that program or disk are not what they were. Exit code 1 when a day \
    differs. It changes nothing.")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// The day; the last one with records when left out.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse_date, conflicts_with = "all")]
    date: Option<NaiveDate>,
    /// Every day on record.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A day decided again.
struct Replayed {
    date: NaiveDate,
    entries: usize,
    commands: usize,
    took_s: f64,
    difference: Option<Difference>,
}

struct Difference {
    mismatch: ReplayMismatch,
    entry: Entry,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let store = args.data.reader()?;
    let days = if args.all { all_days(&store)? } else { vec![day_or_last(&store, args.date)?] };
    let mut replayed = Vec::new();
    let mut progress = Progress::new(args.json);
    let total = days.len() as u64;
    for (done, day) in (0..).zip(days) {
        progress.show("days", done, total);
        let entries = journal::entries(&store, day)?;
        anyhow::ensure!(!entries.is_empty(), "nothing is on record of {day}");
        replayed.push(decide_again(day, entries));
    }
    drop(progress);
    if args.json {
        let days: Vec<Value> = replayed.iter().map(to_json).collect();
        outln!("{}", json!({ "mode": store.mode().as_str(), "days": days }));
    } else {
        replayed.iter().for_each(print);
    }
    let same = replayed.iter().all(|day| day.difference.is_none());
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Days with records, the first one first.
fn all_days(store: &Store) -> anyhow::Result<Vec<NaiveDate>> {
    let mut days = Vec::new();
    let mut before = None;
    while let Some(day) = journal::last_day(store, before)? {
        days.push(day);
        before = Some(day);
    }
    anyhow::ensure!(!days.is_empty(), "nothing is on record");
    days.reverse();
    Ok(days)
}

/// A date replays by itself: its first event holds what earlier days left.
fn decide_again(date: NaiveDate, entries: Vec<Entry>) -> Replayed {
    let begun = Instant::now();
    let found = journal::replay(&mut Engine::new(), &entries, |_, _, _| {});
    let took_s = begun.elapsed().as_secs_f64();
    let commands = entries.iter().map(|entry| entry.commands.len()).sum();
    let count = entries.len();
    let difference = found.err().and_then(|mismatch| {
        let entry = entries.into_iter().find(|entry| entry.stamp.seq == mismatch.seq)?;
        Some(Difference { mismatch, entry })
    });
    Replayed { date, entries: count, commands, took_s, difference }
}

fn print(day: &Replayed) {
    let Replayed { date, entries, commands, took_s, difference } = day;
    let read = format!("{date}: {entries} entries, {commands} commands");
    let Some(Difference { mismatch, entry }) = difference else {
        return outln!("{read}: decided the same again ({took_s:.3} s)");
    };
    let at = ist(entry.stamp.at).format("%H:%M:%S%.3f");
    outln!("{read}: DIFFERS, first at entry {}, {at} IST", mismatch.seq);
    outln!("  event    {}", entry.event.to_text());
    outln!("  command  {}", mismatch.index);
    outln!("  journal  {}", mismatch.stored);
    outln!("  replay   {}", mismatch.regenerated);
}

fn to_json(day: &Replayed) -> Value {
    let difference = day.difference.as_ref().map(|Difference { mismatch, entry }| {
        let event = entry.event.write();
        let kind = variant(&event).map(|(name, _)| name.to_owned()).ok();
        json!({
            "seq": mismatch.seq,
            "at": ist_text(entry.stamp.at),
            "kind": kind,
            "event": event,
            "command": mismatch.index,
            "journal": mismatch.stored,
            "replay": mismatch.regenerated,
        })
    });
    json!({
        "date": day.date,
        "entries": day.entries,
        "commands": day.commands,
        "same": day.difference.is_none(),
        "seconds": day.took_s,
        "difference": difference,
    })
}
