//! `pivotctl reminders`.

use std::process::ExitCode;

use super::data::{DataArgs, now};
use crate::market::time::ist_date;
use crate::upkeep::reminders::{self, Nearness, Outside, Reminder};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl reminders\n  pivotctl reminders --json")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let store = args.data.reader()?;
    let config = args.data.config()?;
    let now = now()?;
    let found = reminders::gather(&store, &Outside::read(&config)?, now)?;
    let today = ist_date(now);
    if args.json {
        outln!("{}", reminders::report_json(&found, today));
        return Ok(ExitCode::SUCCESS);
    }
    for reminder in &found {
        outln!("{}", line(reminder, today));
        if reminder.nearness(today) > Nearness::Ahead {
            outln!("{:<12} {:<14} -> {}", "", "", reminder.advice);
        }
    }
    if found.is_empty() {
        outln!("nothing is ahead");
    }
    Ok(ExitCode::SUCCESS)
}

fn line(reminder: &Reminder, today: chrono::NaiveDate) -> String {
    format!("{:<12} {:<14} {}", reminder.date.to_string(), reminder.when(today), reminder.text)
}
