//! `pivotctl pivots`.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::WrongUsage;
use crate::market::pivots::{Bar, Cpr, Family, Level, Levels};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  pivotctl pivots --high 81200 --low 80600 --close 81050 \
                        --family traditional\n\n\
                        Families differ in what they call R3: 81900 (traditional) is 82150 on a \
                        Kite chart (kite).")]
pub(super) struct Args {
    /// High of the previous session, in rupees.
    #[arg(long, value_name = "RUPEES")]
    high: Level,
    /// Low of the previous session.
    #[arg(long, value_name = "RUPEES")]
    low: Level,
    /// Close of the previous session; every family but woodie needs it.
    #[arg(long, value_name = "RUPEES")]
    close: Option<Level>,
    /// Open of the previous session; demark needs it.
    #[arg(long, value_name = "RUPEES")]
    open: Option<Level>,
    /// Open of today; woodie needs it.
    #[arg(long, value_name = "RUPEES")]
    today_open: Option<Level>,
    /// traditional, kite, premium, fibonacci, camarilla, camarilla-b, woodie, woodie-close,
    /// demark or cpr.
    #[arg(long, default_value = "traditional", value_parser = parse_choice)]
    family: Choice,
    /// Print JSON, with four decimals.
    #[arg(long)]
    json: bool,
}

/// What can be asked for: a family of levels, or the central pivot range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Family(Family),
    Cpr,
}

impl Choice {
    const fn as_str(self) -> &'static str {
        match self {
            Choice::Family(family) => family.as_str(),
            Choice::Cpr => "cpr",
        }
    }
}

fn parse_choice(text: &str) -> Result<Choice, String> {
    let lower = text.to_ascii_lowercase();
    if lower == "cpr" {
        return Ok(Choice::Cpr);
    }
    Family::parse(&lower).map(Choice::Family).ok_or_else(|| {
        let names = Family::ALL.map(Family::as_str).join(", ");
        format!("expected one of {names}, cpr")
    })
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (bar, stretched) = bar(&args)?;
    if stretched {
        errln!("note: the close lies outside high and low; the range was stretched to it");
    }
    let rows = match args.family {
        Choice::Family(family) => family_rows(family, &bar, args.today_open)?,
        Choice::Cpr => cpr_rows(&bar, args.today_open)?,
    };
    if args.json {
        let levels: Map<String, Value> =
            rows.into_iter().map(|(name, value)| (name.to_string(), Value::from(value))).collect();
        let mut answer = json!({ "family": args.family.as_str(), "levels": levels });
        if stretched {
            answer["flags"] = json!(["CLOSE_OUTSIDE_RANGE"]);
        }
        outln!("{answer}");
    } else {
        outln!("{} levels of H {} L {}", args.family.as_str(), bar.high, bar.low);
        for (name, value) in rows {
            outln!("{name:<9} {value:>14}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The session asked about, stretched to a close outside its range as the
/// services do; second, whether that was needed.
fn bar(args: &Args) -> Result<(Bar, bool), WrongUsage> {
    let needs_close = args.family != Choice::Family(Family::Woodie);
    let close = match args.close {
        Some(close) => close,
        None if needs_close => {
            return Err(WrongUsage(format!("--family {} needs --close", args.family.as_str())));
        }
        // Woodie's formulas do not read it.
        None => args.low,
    };
    if args.high < args.low {
        return Err(WrongUsage(format!(
            "the high {} is below the low {}: are they swapped?",
            args.high, args.low
        )));
    }
    let bar = Bar { open: args.open, high: args.high.max(close), low: args.low.min(close), close };
    Ok((bar, (bar.high, bar.low) != (args.high, args.low)))
}

type Rows = Vec<(&'static str, String)>;

fn family_rows(family: Family, bar: &Bar, today_open: Option<Level>) -> Result<Rows, WrongUsage> {
    let levels = Levels::of(family, bar, today_open).map_err(|error| {
        let hint = match family {
            Family::Woodie => ": give --today-open",
            Family::DeMark => ": give --open",
            Family::Traditional
            | Family::Kite
            | Family::Premium
            | Family::Fibonacci
            | Family::CamarillaA
            | Family::CamarillaB
            | Family::WoodieClose => "",
        };
        WrongUsage(if error.is_missing_open() {
            format!("{error}{hint}")
        } else {
            error.to_string()
        })
    })?;
    Ok(levels.iter().map(|(name, level)| (name, level.to_decimal(4))).collect())
}

fn cpr_rows(bar: &Bar, today_open: Option<Level>) -> Result<Rows, WrongUsage> {
    // The same checks as for levels.
    Levels::of(Family::Traditional, bar, today_open)
        .map_err(|error| WrongUsage(error.to_string()))?;
    let cpr = Cpr::of_bar(bar);
    Ok(vec![
        ("TC", cpr.tc.to_decimal(4)),
        ("PP", cpr.pp.to_decimal(4)),
        ("BC", cpr.bc.to_decimal(4)),
        ("HI", cpr.hi.to_decimal(4)),
        ("LO", cpr.lo.to_decimal(4)),
        ("SIGNED", cpr.signed.to_decimal(4)),
        ("WIDTH_PCT", cpr.width_percent(4)),
    ])
}
