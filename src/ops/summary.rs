//! `pivotctl summary`.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::data::DataArgs;
use super::trades::{DayArgs, days_text, text};
use crate::market::Money;
use crate::store::figures::Figures;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl summary\n  pivotctl summary --date 2026-11-23\n  \
                        pivotctl summary --from 2026-11-01 --to 2026-11-30 --json")]
pub(super) struct Args {
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    days: DayArgs,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    args.days.check()?;
    let store = args.data.reader()?;
    let (from, to) = args.days.span(&store)?;
    let figures = Figures::of(&store.trades(from, to)?);
    let closed_days = store.summaries(from, to)?;
    if args.json {
        let days: Vec<Value> = closed_days
            .iter()
            .map(|day| json!({ "date": day.date, "net": text(Some(day.net())), "flat": day.flat }))
            .collect();
        let mut value = to_json(&figures);
        value["from"] = json!(from);
        value["to"] = json!(to);
        value["mode"] = json!(store.mode().as_str());
        value["days_closed"] = json!(days);
        outln!("{value}");
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{} {}", store.mode().as_str().to_uppercase(), days_text(from, to));
    print(&figures);
    for day in closed_days {
        let flat = if day.flat { "flat" } else { "NOT FLAT" };
        outln!("{}  closed, {flat}, net {}", day.date, day.net().signed());
    }
    Ok(ExitCode::SUCCESS)
}

fn print(figures: &Figures) {
    let line = |name: &str, value: String| outln!("{name:<14}{value:>16}");
    line("trades", figures.trades.to_string());
    line("wins", figures.wins.to_string());
    line("losses", figures.losses.to_string());
    if let Some(rate) = figures.win_rate_bp() {
        line("win rate", format!("{}.{:02} %", rate / 100, rate % 100));
    }
    line("gross", figures.gross.signed());
    line("charges", figures.charges.grouped());
    line("net", figures.net().signed());
    for (name, value) in
        [("average", figures.average()), ("best", figures.best), ("worst", figures.worst)]
    {
        if let Some(value) = value {
            line(name, value.signed());
        }
    }
    line("max drawdown", figures.max_drawdown.grouped());
    for (setup, count, net) in &figures.by_setup {
        line(&format!("{setup} × {count}"), net.signed());
    }
    for (reason, count, net) in &figures.by_exit {
        line(&format!("{} × {count}", reason.as_str()), net.signed());
    }
}

fn to_json(figures: &Figures) -> Value {
    let group = |name: &str, count: &u32, net: &Money| json!({ "name": name, "trades": count, "net": text(Some(net)) });
    let by_setup: Vec<Value> =
        figures.by_setup.iter().map(|(name, count, net)| group(name, count, net)).collect();
    let by_exit: Vec<Value> =
        figures.by_exit.iter().map(|(why, count, net)| group(why.as_str(), count, net)).collect();
    let by_day: Vec<Value> = figures
        .by_day
        .iter()
        .map(|(day, net)| json!({ "date": day, "net": text(Some(net)) }))
        .collect();
    json!({
        "trades": figures.trades,
        "wins": figures.wins,
        "losses": figures.losses,
        "win_rate_pct": figures.win_rate_bp().map(|rate| f64::from(rate) / 100.0),
        "gross": text(Some(figures.gross)),
        "charges": text(Some(figures.charges)),
        "net": text(Some(figures.net())),
        "average": text(figures.average()),
        "best": text(figures.best),
        "worst": text(figures.worst),
        "max_drawdown": text(Some(figures.max_drawdown)),
        "by_setup": by_setup,
        "by_exit": by_exit,
        "by_day": by_day,
    })
}
