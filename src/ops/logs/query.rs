//! `pivotctl logs query`.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::place::LogArgs;
use crate::ops::WrongUsage;
use crate::ops::data::now;
use crate::ops::output::is_read;
use crate::telemetry::rows::{self, Entry, LogQuery, ROWS_MAX, Reader, RowsError};

/// How often new rows are looked for, in real time.
const LOOK_EVERY: Duration = Duration::from_millis(300);

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Times are such as 2026-11-23T09:15:00+05:30, 2026-11-23, 09:15 (IST, today), or a span back \
                        from now: 15m, 2h, 3d.\n\nExamples:\n  pivotctl logs query --level warn --since 2h\n  \
                        pivotctl logs query --q 'rejected' --service trading --json\n  \
                        pivotctl logs query --correlation-id 20261126_001\n  \
                        pivotctl logs query --level error --follow"
)]
pub(super) struct Args {
    #[command(flatten)]
    place: LogArgs,
    #[command(flatten)]
    filters: FilterArgs,
    /// Look into the archive instead.
    #[arg(long, conflicts_with = "follow")]
    archived: bool,
    /// Go on with rows as they come.
    #[arg(short, long, conflicts_with = "cursor")]
    follow: bool,
    /// Print JSON; one object a line with --follow.
    #[arg(long)]
    json: bool,
}

/// The filters; their values are read as the web service reads them.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// This level and above: trace, debug, info, warn, error.
    #[arg(long)]
    level: Option<String>,
    /// trading, auth, bot or ctl.
    #[arg(long)]
    service: Option<String>,
    /// Such as execution_service.
    #[arg(long)]
    component: Option<String>,
    /// Text in message or fields.
    #[arg(short, long, value_name = "TEXT")]
    q: Option<String>,
    /// A trade's id.
    #[arg(long, value_name = "ID")]
    correlation_id: Option<String>,
    /// Kind of event.
    #[arg(long, value_name = "KIND")]
    event_type: Option<String>,
    /// Not before.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Before.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most this many rows; 100 when left out.
    #[arg(short = 'n', long, value_name = "ROWS")]
    limit: Option<String>,
    /// Go on where an earlier page ended.
    #[arg(long)]
    cursor: Option<String>,
    /// system, or performance for how long things took.
    #[arg(long)]
    table: Option<String>,
}

impl FilterArgs {
    fn query(&self) -> anyhow::Result<LogQuery> {
        let now = now()?;
        let mut query = LogQuery { limit: 100, ..LogQuery::default() };
        let values = [
            ("level", &self.level),
            ("service", &self.service),
            ("component", &self.component),
            ("q", &self.q),
            ("correlation_id", &self.correlation_id),
            ("event_type", &self.event_type),
            ("since", &self.since),
            ("until", &self.until),
            ("limit", &self.limit),
            ("cursor", &self.cursor),
            ("table", &self.table),
        ];
        for (name, value) in values {
            let Some(value) = value else { continue };
            rows::filter(&mut query, name, value, now)
                .map_err(|error| WrongUsage(error.to_string()))?;
        }
        Ok(query)
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let query = args.filters.query()?;
    let path = if args.archived { args.place.archive()? } else { args.place.database()? };
    let reader = match Reader::open(&path) {
        Ok(reader) => Some(reader),
        // Rows to come are waited for.
        Err(RowsError::NotThere { .. }) if args.follow => None,
        Err(error) => return Err(error.into()),
    };
    let (after, mut found, next) = match &reader {
        Some(reader) => {
            let after = reader.last_arrival(query.table)?;
            let (found, next) = gather(reader, &query)?;
            (after, found, next)
        }
        None => (0, Vec::new(), None),
    };
    if args.follow {
        found.reverse();
        found.iter().for_each(|entry| print(entry, args.json));
        return follow(&path, reader, &query, after, args.json);
    }
    if args.json {
        let logs: Vec<Value> = found.iter().map(Entry::to_json).collect();
        let next = next.map(|cursor| cursor.to_string());
        outln!("{}", json!({ "logs": logs, "next": next }));
        return Ok(ExitCode::SUCCESS);
    }
    found.iter().rev().for_each(|entry| print(entry, false));
    if let Some(next) = next {
        errln!("older ones: --cursor {next}");
    }
    if found.is_empty() {
        errln!("no rows");
    }
    Ok(ExitCode::SUCCESS)
}

/// As many rows as asked for, however short the pages are.
fn gather(
    reader: &Reader,
    query: &LogQuery,
) -> Result<(Vec<Entry>, Option<rows::Cursor>), RowsError> {
    let mut query = query.clone();
    let wanted = query.limit.min(ROWS_MAX);
    let mut found = Vec::new();
    loop {
        let page = reader.page(&query)?;
        found.extend(page.entries);
        let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
        if count >= wanted || page.next.is_none() {
            return Ok((found, page.next));
        }
        query.cursor = page.next;
        query.limit = wanted - count;
    }
}

fn print(entry: &Entry, json: bool) {
    if json { outln!("{}", entry.to_json()) } else { outln!("{}", entry.line()) }
}

/// Prints what comes until nobody reads.
fn follow(
    path: &Path,
    reader: Option<Reader>,
    query: &LogQuery,
    after: i64,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (mut reader, mut after) = (reader, after);
    while is_read() {
        if !reader.as_ref().is_some_and(Reader::is_current) {
            reader = Reader::open_if_there(path)?;
        }
        let mut entries = Vec::new();
        if let Some(reader) = &reader {
            (entries, after) = reader.arrived(query, after)?;
        }
        entries.iter().for_each(|entry| print(entry, json));
        if entries.is_empty() {
            std::thread::sleep(LOOK_EVERY);
        }
    }
    Ok(ExitCode::SUCCESS)
}
