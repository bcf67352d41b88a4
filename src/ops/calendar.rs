//! `pivotctl calendar`.

use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{NaiveDate, NaiveTime};
use clap::Subcommand;
use serde_json::{Map, Value, json};

use super::WrongUsage;
use super::data::usual_config;
use crate::config::Config;
use crate::market::calendar::{
    Calendar, Coverage, DayKind, Session, SessionTimes, SpecialDay, SpecialHours,
};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl calendar day 2026-11-24\n  \
                        pivotctl calendar previous 2026-11-25\n  pivotctl calendar year 2026")]
pub(super) struct Args {
    /// Configuration whose market.extra_holidays count too; config.json here,
    /// else the installed one, when left out and usable.
    #[arg(long, value_name = "PATH", global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    question: Question,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// Tell whether the exchanges trade on a day, and when.
    #[command(after_help = "Example:\n  pivotctl calendar day 2026-11-24")]
    Day {
        /// The day.
        #[arg(value_name = "YYYY-MM-DD", value_parser = parse_date)]
        date: NaiveDate,
    },
    /// Find the last regular session before a day.
    #[command(after_help = "Example:\n  pivotctl calendar previous 2026-11-25")]
    Previous {
        /// The day.
        #[arg(value_name = "YYYY-MM-DD", value_parser = parse_date)]
        date: NaiveDate,
    },
    /// Find the first regular session after a day.
    #[command(after_help = "Example:\n  pivotctl calendar next 2026-11-23")]
    Next {
        /// The day.
        #[arg(value_name = "YYYY-MM-DD", value_parser = parse_date)]
        date: NaiveDate,
    },
    /// List every day of a year on which the exchanges trade.
    #[command(after_help = "Example:\n  pivotctl calendar year 2026")]
    Year {
        /// The year.
        year: i32,
    },
}

/// Reads a date; for clap.
pub(super) fn parse_date(text: &str) -> Result<NaiveDate, String> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map_err(|_| "expected a date such as 2026-11-24".to_string())
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let calendar = calendar(args.config)?;
    match args.question {
        Question::Day { date } => show_day(&calendar, date, args.json)?,
        Question::Previous { date } => {
            known(&calendar, date)?;
            let none = || not_covered(&calendar, format!("does not know a session before {date}"));
            let found = calendar.previous_trading_day(date).ok_or_else(none)?;
            show_day(&calendar, found, args.json)?;
        }
        Question::Next { date } => {
            known(&calendar, date)?;
            let none = || not_covered(&calendar, format!("does not know a session after {date}"));
            let found = calendar.next_trading_day(date).ok_or_else(none)?;
            show_day(&calendar, found, args.json)?;
        }
        Question::Year { year } => show_year(&calendar, year, args.json)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The exchanges' calendar, with the configuration's own holidays.
fn calendar(config: Option<PathBuf>) -> anyhow::Result<Calendar> {
    if let Some(path) = config {
        return Ok(Config::load(&path)?.calendar());
    }
    let path = usual_config();
    if !path.exists() {
        return Ok(Calendar::india());
    }
    Ok(Config::load(&path).map(|config| config.calendar()).unwrap_or_else(|_| {
        let path = path.display();
        errln!("note: {path} cannot be used, so its market.extra_holidays are not counted");
        Calendar::india()
    }))
}

fn known(calendar: &Calendar, date: NaiveDate) -> Result<(), WrongUsage> {
    match calendar.day(date) {
        DayKind::Unknown => Err(not_covered(calendar, format!("does not know {date}"))),
        DayKind::Trading(_) | DayKind::Special(_) | DayKind::Closed(_) => Ok(()),
    }
}

fn not_covered(calendar: &Calendar, what: impl std::fmt::Display) -> WrongUsage {
    let years: Vec<String> = calendar.years().map(|(year, _)| year.to_string()).collect();
    WrongUsage(format!("the calendar {what}; it covers {}", years.join(", ")))
}

fn show_day(calendar: &Calendar, date: NaiveDate, as_json: bool) -> Result<(), WrongUsage> {
    known(calendar, date)?;
    let kind = calendar.day(date);
    let sessions = kind.sessions();
    if as_json {
        let mut answer = json!({
            "date": date.to_string(),
            "open": kind.is_open(),
            "regular": kind.is_regular(),
            "reason": kind.reason(),
            "sessions": sessions.map_or_else(Map::new, |times| sessions_json(&times)),
            "coverage": coverage_word(calendar.coverage(date)),
        });
        if let Some(windows) = windows(&kind) {
            answer["windows"] = windows.iter().map(session_json).collect();
        }
        outln!("{answer}");
        return Ok(());
    }
    let open = if kind.is_open() { "open" } else { "closed" };
    outln!("{date} {}: {open}, {}", date.format("%a"), kind.reason());
    if kind.is_open() && !kind.is_regular() {
        outln!("  not a regular session: it gives no pivot levels and is not traded");
    }
    let windows = windows(&kind).unwrap_or_default();
    let rows = windows.iter().map(|window| ("all segments", *window));
    let ordinary = sessions.filter(|_| windows.is_empty());
    for (name, session) in rows.chain(ordinary.iter().flat_map(named)) {
        outln!("  {name:<12} {} to {}", clock(session.open), clock(session.close));
    }
    if calendar.coverage(date) == Coverage::Partial {
        outln!("  the exchanges' list of holidays for this year is not built in yet");
    }
    Ok(())
}

fn show_year(calendar: &Calendar, year: i32, as_json: bool) -> Result<(), WrongUsage> {
    let coverage = calendar.years().find(|(known, _)| *known == year).map(|(_, coverage)| coverage);
    let coverage =
        coverage.ok_or_else(|| not_covered(calendar, format!("does not know {year}")))?;
    let days: Vec<NaiveDate> = calendar.open_days(year).collect();
    if as_json {
        let days: Vec<String> = days.iter().map(NaiveDate::to_string).collect();
        outln!("{}", json!({ "year": year, "coverage": coverage_word(coverage), "days": days }));
        return Ok(());
    }
    for date in &days {
        match calendar.day(*date) {
            DayKind::Special(special) => outln!("{date} {} {}", date.format("%a"), special.name),
            DayKind::Trading(_) | DayKind::Closed(_) | DayKind::Unknown => {
                outln!("{date} {}", date.format("%a"));
            }
        }
    }
    if coverage == Coverage::Partial {
        errln!("note: the exchanges' list of holidays for {year} is not built in yet");
    }
    Ok(())
}

fn named(times: &SessionTimes) -> Vec<(&'static str, Session)> {
    let mut sessions = vec![
        ("index", times.index),
        ("cash_fno", times.cash_fno),
        ("cash_other", times.cash_other),
        ("derivatives", times.derivatives),
    ];
    sessions.extend(times.pre_open.map(|session| ("pre_open", session)));
    sessions
}

/// The windows of a special session whose hours are its own.
fn windows(kind: &DayKind) -> Option<Vec<Session>> {
    match kind {
        DayKind::Special(SpecialDay { hours: SpecialHours::Windows(windows), .. }) => {
            Some(windows.clone())
        }
        DayKind::Special(_) | DayKind::Trading(_) | DayKind::Closed(_) | DayKind::Unknown => None,
    }
}

fn sessions_json(times: &SessionTimes) -> Map<String, Value> {
    let rows = named(times).into_iter();
    rows.map(|(name, session)| (name.to_string(), session_json(&session))).collect()
}

fn session_json(session: &Session) -> Value {
    json!({ "open": clock(session.open), "close": clock(session.close) })
}

fn clock(time: NaiveTime) -> String {
    time.format("%H:%M").to_string()
}

const fn coverage_word(coverage: Coverage) -> &'static str {
    match coverage {
        Coverage::None => "none",
        Coverage::Partial => "partial",
        Coverage::Complete => "complete",
    }
}
