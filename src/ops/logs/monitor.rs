//! `pivotctl logs monitor`: what is logged, counted live.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};
use tracing::Level;

use super::place::LogArgs;
use crate::market::time::ist;
use crate::ops::data::now;
use crate::ops::output::is_read;
use crate::telemetry::rows::{Entry, LogQuery, Reader, Table as LogTable};

/// The columns, heaviest first.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

#[derive(Debug, clap::Args)]
#[command(after_help = "Rows are stored within a second of being logged.\n\n\
                        Examples:\n  pivotctl logs monitor 30\n  pivotctl logs monitor 60 --json")]
pub(super) struct Args {
    #[command(flatten)]
    place: LogArgs,
    /// For how long.
    #[arg(value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Print JSON: one object a second, then the sums.
    #[arg(long)]
    json: bool,
}

/// Rows by component, then by level.
#[derive(Debug, Default)]
struct Counts {
    by_component: BTreeMap<String, BTreeMap<&'static str, u64>>,
}

impl Counts {
    fn add(&mut self, entries: &[Entry]) {
        for entry in entries {
            let component = self.by_component.entry(entry.row.component.to_string()).or_default();
            *component.entry(entry.row.level.as_str()).or_default() += 1;
        }
    }

    fn level(&self, level: Level) -> u64 {
        self.by_component.values().filter_map(|levels| levels.get(level.as_str())).sum()
    }

    fn total(&self) -> u64 {
        self.by_component.values().flat_map(BTreeMap::values).sum()
    }

    fn to_json(&self) -> Value {
        let levels: serde_json::Map<String, Value> = LEVELS
            .into_iter()
            .map(|level| (level.as_str().to_owned(), self.level(level).into()))
            .collect();
        json!({ "rows": self.total(), "levels": levels, "components": self.by_component })
    }

    fn line(&self) -> String {
        let levels: Vec<String> = LEVELS
            .into_iter()
            .map(|level| format!("{} {}", level.as_str(), self.level(level)))
            .collect();
        let components: Vec<String> = self
            .by_component
            .iter()
            .map(|(name, levels)| format!("{name} {}", levels.values().sum::<u64>()))
            .collect();
        format!("{:>5} rows  {}  {}", self.total(), levels.join("  "), components.join(", "))
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        let names = LEVELS.iter().map(|level| level.as_str());
        table.load_style(presets::UTF8_BORDERS_ONLY);
        table.set_header(["component"].into_iter().chain(names).chain(["all"]));
        let rows = self.by_component.iter();
        for (name, levels) in rows {
            let count = |level: &Level| levels.get(level.as_str()).copied().unwrap_or(0);
            let counts = LEVELS.iter().map(count).chain([levels.values().sum()]);
            table.add_row([name.clone()].into_iter().chain(counts.map(|rows| rows.to_string())));
        }
        let sums = LEVELS.into_iter().map(|level| self.level(level)).chain([self.total()]);
        table.add_row(["all".to_owned()].into_iter().chain(sums.map(|rows| rows.to_string())));
        for place in 1..=LEVELS.len() + 1 {
            if let Some(column) = table.column_mut(place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let path = args.place.database()?;
    let query = LogQuery::default();
    let mut reader = Reader::open_if_there(&path)?;
    let mut after = match &reader {
        Some(reader) => reader.last_arrival(LogTable::System)?,
        None => 0,
    };
    let mut sums = Counts::default();
    let began = Instant::now();
    for second in 1..=args.seconds {
        let until = Duration::from_secs(u64::from(second));
        std::thread::sleep(until.saturating_sub(began.elapsed()));
        if !reader.as_ref().is_some_and(Reader::is_current) {
            reader = Reader::open_if_there(&path)?;
        }
        let mut counts = Counts::default();
        while let Some(reader) = &reader {
            let (entries, reached) = reader.arrived(&query, after)?;
            counts.add(&entries);
            sums.add(&entries);
            let is_all = reached == after || entries.is_empty();
            after = reached;
            if is_all {
                break;
            }
        }
        let at = now()?;
        if args.json {
            let mut shown = counts.to_json();
            shown["at"] = at.to_rfc3339().into();
            outln!("{shown}");
        } else {
            outln!("{} {}", ist(at).format("%H:%M:%S"), counts.line());
        }
        if !is_read() {
            return Ok(ExitCode::SUCCESS);
        }
    }
    if args.json {
        outln!("{}", json!({ "seconds": args.seconds, "sums": sums.to_json() }));
    } else {
        outln!("{}", sums.table());
    }
    Ok(ExitCode::SUCCESS)
}
