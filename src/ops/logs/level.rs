//! `pivotctl logs level`: which lines are written, while the services run.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use serde_json::json;

use super::place::LogArgs;
use crate::config::LOG_COMPONENTS;
use crate::market::time::ist_text;
use crate::ops::WrongUsage;
use crate::ops::data::now;
use crate::telemetry::levels::{ALL, Override, read_overrides, write_overrides};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pivotctl logs level\n  pivotctl logs level order_watcher debug --for 30\n  \
                  pivotctl logs level all debug\n  pivotctl logs level --reset\n\n\
                  The services follow within a second. SIGHUP makes them read the levels of the \
                  configuration again."
)]
pub(super) struct Args {
    /// A component, or `all` for what has no level of its own; shows what was
    /// asked for when left out.
    #[arg(value_parser = component, requires = "level")]
    component: Option<String>,
    /// error, warn, info, debug or trace.
    #[arg(value_parser = ["error", "warn", "info", "debug", "trace"])]
    level: Option<String>,
    /// Minutes after which it ends; until it is reset when left out.
    #[arg(long = "for", value_name = "MINUTES", requires = "level")]
    minutes: Option<u32>,
    /// Take back what was asked for, of one component or of all.
    #[arg(long, conflicts_with = "level")]
    reset: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: LogArgs,
}

fn component(text: &str) -> Result<String, String> {
    if text == ALL || LOG_COMPONENTS.contains(&text) {
        return Ok(text.to_string());
    }
    Err(format!("expected {ALL} or one of {}", LOG_COMPONENTS.join(", ")))
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.place.data_folder()?;
    if !folder.is_dir() {
        bail!("{} is no folder; name the data folder with --data", folder.display());
    }
    let mut overrides = read_overrides(&folder)
        .with_context(|| format!("could not read the levels in {}", folder.display()))?;
    let now = now()?;
    overrides.retain(|_, wish| wish.until.is_none_or(|until| until > now));
    match (&args.component, &args.level) {
        (Some(component), Some(level)) => {
            let minutes = args.minutes.map(|minutes| TimeDelta::minutes(minutes.into()));
            let wish = Override { level: level.clone(), until: minutes.map(|span| now + span) };
            overrides.insert(component.clone(), wish);
        }
        (None, None) if args.reset => overrides.clear(),
        (None, None) => {}
        _ => return Err(WrongUsage("a component and a level go together".into()).into()),
    }
    if args.reset || args.level.is_some() {
        write_overrides(&folder, &overrides)
            .with_context(|| format!("could not write the levels in {}", folder.display()))?;
    }
    if args.json {
        outln!("{}", json!({ "asked_for": overrides }));
        return Ok(ExitCode::SUCCESS);
    }
    if overrides.is_empty() {
        outln!("no level was asked for; those of the configuration hold");
    }
    for (name, Override { level, until }) in &overrides {
        let until = until.map(|until| format!(" until {}", ist_text(until))).unwrap_or_default();
        outln!("{name}: {level}{until}");
    }
    Ok(ExitCode::SUCCESS)
}
