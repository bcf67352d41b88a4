//! `pivotctl install` and `pivotctl uninstall`: the user, folders, programs
//! and units of the services.
//!
//! [`inspect`] looks at the machine, [`plan`] says what follows, [`step`]
//! carries it out. Everything but the programs is inside this one.

mod inspect;
mod layout;
mod plan;
mod receipt;
pub(super) mod shipped;
mod step;
mod uninstall;

use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};

pub(super) use layout::{Account, folders_of};
pub(super) use uninstall::{Args as UninstallArgs, run as uninstall};

use super::WrongUsage;
use layout::Layout;
use plan::{Item, Verdict, Wishes};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo pivotctl install --dry-run\n  \
    sudo pivotctl install\n  \
    sudo pivotctl install --start\n  \
    sudo pivotctl install --account family --start\n\n\
    Run again, it repairs what is missing and renews what is older; what is as it should be stays \
    untouched. Units that you changed are never overwritten: keep changes in drop-ins \
    (systemctl edit pivot-trading).")]
pub(super) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// Where the four programs are; beside this one when left out.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Enable the services and start them.
    #[arg(long, conflicts_with = "root")]
    start: bool,
    /// Keep files that somebody changed as .orig and write ours.
    #[arg(long)]
    force: bool,
}

/// Where, and how it is told.
#[derive(Debug, clap::Args)]
struct PlaceArgs {
    /// Say what would be done; change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Work below this folder instead of on the machine: for images and
    /// packages. Neither users nor systemd are touched.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Folder of `bin` and `share`; with /usr everything goes where packages
    /// put it.
    #[arg(long, value_name = "DIR", default_value = "/usr/local")]
    prefix: PathBuf,
    /// An account of its own beside others, run by the units pivot-…@NAME.
    #[arg(long, value_name = "NAME", value_parser = Account::parse)]
    account: Option<Account>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl PlaceArgs {
    fn layout(&self) -> anyhow::Result<Layout> {
        if !self.prefix.is_absolute() {
            let prefix = self.prefix.display();
            return Err(WrongUsage(format!("--prefix {prefix}: expected a whole path")).into());
        }
        let root = match &self.root {
            None => PathBuf::from("/"),
            Some(root) => std::path::absolute(root)?,
        };
        let layout = Layout { root, prefix: self.prefix.clone(), account: self.account.clone() };
        if layout.is_real() && !self.dry_run && !rustix::process::geteuid().is_root() {
            anyhow::bail!(
                "this changes the machine and needs root: sudo pivotctl …; --dry-run shows what \
                 it would do"
            );
        }
        Ok(layout)
    }
}

pub(super) fn install(args: &Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    let programs = args.programs.clone().map_or_else(inspect::programs_beside, Ok)?;
    let found = inspect::inspect(&layout, &programs)?;
    let wishes = Wishes { start: args.start, force: args.force };
    let items = plan::install(&layout, &found, wishes);
    finish(&layout, &args.place, &items)
}

/// What became of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Nothing,
    Would,
    Done,
    Refused,
    Failed,
    /// Something before it failed or was refused.
    Left,
}

impl Fate {
    const fn as_str(self) -> &'static str {
        match self {
            Fate::Nothing => "nothing",
            Fate::Would => "would",
            Fate::Done => "done",
            Fate::Refused => "refused",
            Fate::Failed => "failed",
            Fate::Left => "left",
        }
    }
}

/// Carries a plan out, unless it is only to be shown, and tells of it.
fn finish(layout: &Layout, place: &PlaceArgs, items: &[Item]) -> anyhow::Result<ExitCode> {
    let is_refused = items.iter().any(|item| matches!(item.verdict, Verdict::Refused(_)));
    let mut stopped = is_refused;
    let mut rows = Vec::new();
    for item in items {
        let (fate, said) = match &item.verdict {
            Verdict::Nothing(text) => (Fate::Nothing, text.clone()),
            Verdict::Refused(text) => (Fate::Refused, text.clone()),
            Verdict::Do(steps) if place.dry_run => (Fate::Would, would(steps)),
            Verdict::Do(_) if stopped => (Fate::Left, "not done".to_string()),
            Verdict::Do(steps) => {
                match steps.iter().try_for_each(|one| step::carry_out(one, layout)) {
                    Ok(()) => (Fate::Done, done(steps)),
                    Err(error) => {
                        stopped = true;
                        (Fate::Failed, crate::service::in_full(&error))
                    }
                }
            }
        };
        rows.push((item, fate, said));
    }
    let count = |wanted: Fate| rows.iter().filter(|(_, fate, _)| *fate == wanted).count();
    let conclusion = match () {
        () if count(Fate::Failed) > 0 => "failed; run it again when the reason is gone",
        () if is_refused => "nothing was changed",
        () if count(Fate::Would) > 0 => "nothing was changed: this is what would be done",
        () if count(Fate::Done) > 0 => "done",
        () => "nothing to do",
    };
    if place.json {
        outln!("{:#}", report(&rows, conclusion));
    } else {
        outln!("{}", table(&rows));
        if place.dry_run {
            steps_of(items).for_each(|one| outln!("would {one}"));
        }
        outln!("{conclusion}");
    }
    let wrong = is_refused || count(Fate::Failed) > 0;
    Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn steps_of(items: &[Item]) -> impl Iterator<Item = &step::Step> {
    items.iter().flat_map(|item| match &item.verdict {
        Verdict::Do(steps) => steps.as_slice(),
        Verdict::Nothing(_) | Verdict::Refused(_) => &[],
    })
}

fn would(steps: &[step::Step]) -> String {
    match steps {
        [one] => format!("would {one}"),
        many => format!("would do {} things, see below", many.len()),
    }
}

fn done(steps: &[step::Step]) -> String {
    match steps {
        [_] => "done".to_string(),
        many => format!("done: {}", many.len()),
    }
}

fn table(rows: &[(&Item, Fate, String)]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY).set_header(["item", "state", "done"]);
    for (item, _, said) in rows {
        table.add_row([item.name.as_str(), item.state.as_str(), said.as_str()]);
    }
    table
}

fn report(rows: &[(&Item, Fate, String)], conclusion: &str) -> Value {
    let items: Vec<Value> = rows
        .iter()
        .map(|(item, fate, said)| {
            let steps: Vec<String> = match &item.verdict {
                Verdict::Do(steps) => steps.iter().map(ToString::to_string).collect(),
                Verdict::Nothing(_) | Verdict::Refused(_) => Vec::new(),
            };
            json!({
                "item": item.name, "state": item.state, "fate": fate.as_str(), "text": said,
                "steps": steps,
            })
        })
        .collect();
    json!({ "conclusion": conclusion, "items": items })
}
