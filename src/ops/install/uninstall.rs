//! `pivotctl uninstall`: takes the programs and units away and leaves what is
//! the operator's, unless that is to go too.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::inspect::{file_state, has_user, systemctl_says_yes, text_of};
use super::layout::{Layout, PROGRAMS};
use super::plan::{Found, Item, Verdict, nothing};
use super::receipt::Receipt;
use super::shipped::{Group, Shipped, UNITS, shared, user_line};
use super::step::Step;
use super::{PlaceArgs, WrongUsage, finish};
use crate::service::in_full;
use crate::store::lock::ServiceLock;
use crate::store::{FILE_NAME, Role, Store};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sudo pivotctl uninstall --dry-run\n  \
    sudo pivotctl uninstall\n  \
    sudo pivotctl uninstall --account family --purge --yes\n\n\
    Configuration, data and logs stay, unless --purge is given: then they are gone for good.")]
pub(in crate::ops) struct Args {
    #[command(flatten)]
    place: PlaceArgs,
    /// Also remove configuration, data, logs and the user.
    #[arg(long)]
    purge: bool,
    /// With --purge: do not ask.
    #[arg(long, requires = "purge")]
    yes: bool,
    /// Go on although a position is open, or although nobody can tell.
    #[arg(long)]
    force: bool,
}

/// What the operator types to lose everything.
const WORD: &str = "purge";

pub(in crate::ops) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let layout = args.place.layout()?;
    let found = inspect(&layout)?;
    let items = plan(&layout, &found, args.purge, args.force);
    let is_refused = items.iter().any(|item| matches!(item.verdict, Verdict::Refused(_)));
    if args.purge && !args.yes && !args.place.dry_run && !is_refused && !is_confirmed(&layout)? {
        errln!("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    finish(&layout, &args.place, &items)
}

fn is_confirmed(layout: &Layout) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        let text = "--purge asks first, and there is no terminal to ask: add --yes";
        return Err(WrongUsage(text.to_string()).into());
    }
    err!(
        "{} and {} will be gone, with every trade on record. Type {WORD} to go on: ",
        layout.data().display(),
        layout.etc().display()
    );
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim() == WORD)
}

/// What was found on the machine.
#[derive(Debug)]
struct Installed {
    files: Vec<(Shipped, Found)>,
    programs: Vec<PathBuf>,
    /// Files that hold what is known of the files above.
    receipt: Option<PathBuf>,
    accounts: Vec<String>,
    /// Why nobody should take it away now.
    in_use: Vec<String>,
    kept: Vec<PathBuf>,
    has_user: bool,
    package: bool,
    /// systemd runs the machine and has units of these names.
    units: bool,
}

fn inspect(layout: &Layout) -> anyhow::Result<Installed> {
    let receipt_text = text_of(&layout.here(&layout.receipt()))?;
    let receipt = Receipt::parse(receipt_text.as_deref().unwrap_or_default());
    let package = layout.package().is_some();
    let is_whole = layout.account.is_none();
    let mut shipped = vec![user_line(layout)];
    let mut programs = Vec::new();
    if is_whole && !package {
        shipped.extend(shared(layout)?);
        programs.extend(PROGRAMS.map(|name| layout.programs().join(name)));
    }
    let files = shipped.into_iter().map(|file| {
        let found = file_state(layout, &file, &receipt)?;
        Ok((file, found))
    });
    let mut kept = vec![layout.etc(), layout.data(), layout.logs()];
    if is_whole {
        kept.extend(drop_ins(layout));
    }
    let units = layout.units().join(if is_whole { "pivot.target" } else { "pivot@.target" });
    let has_units = package || layout.here(&units).exists();
    let systemd = layout.is_real() && Path::new("/run/systemd/system").exists();
    Ok(Installed {
        files: files.collect::<anyhow::Result<_>>()?,
        programs: programs.into_iter().filter(|path| layout.here(path).exists()).collect(),
        receipt: (is_whole && receipt_text.is_some()).then(|| layout.receipt()),
        accounts: if is_whole { accounts(layout) } else { Vec::new() },
        in_use: in_use(layout),
        kept: kept.into_iter().filter(|path| layout.here(path).exists()).collect(),
        has_user: has_user(layout),
        package,
        units: systemd && has_units,
    })
}

/// Changes of units by the operator (`systemctl edit`).
fn drop_ins(layout: &Layout) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(layout.here(&layout.units())) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let ours = |name: &String| {
        let unit = name.strip_suffix(".d");
        unit.is_some_and(|unit| UNITS.iter().any(|(known, _)| *known == unit))
    };
    let mut found: Vec<PathBuf> =
        names.filter(ours).map(|name| layout.units().join(name)).collect();
    found.sort();
    found
}

/// Accounts of their own, which run by the same programs and units.
fn accounts(layout: &Layout) -> Vec<String> {
    let Ok(entries) = fs::read_dir(layout.here(&layout.etc_of_all())) else { return Vec::new() };
    let folders = entries.flatten().filter(|entry| entry.path().join("config.json").exists());
    let mut names: Vec<String> =
        folders.map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Databases that the services of this layout may have: those below the data
/// folder, and the one that the configuration names.
fn databases(layout: &Layout) -> Vec<PathBuf> {
    let data = layout.here(&layout.data());
    let mut folders = vec![data.clone()];
    if let Ok(entries) = fs::read_dir(&data) {
        folders.extend(entries.flatten().map(|entry| entry.path()));
    }
    let config = fs::read_to_string(layout.here(&layout.config())).unwrap_or_default();
    let config: Value = serde_json::from_str(&config).unwrap_or_default();
    if let Some(named) = config.pointer("/data/dir").and_then(Value::as_str) {
        // A relative one counts from where the services run.
        folders.push(layout.here(&layout.data().join(named)));
    }
    folders.sort();
    folders.dedup();
    folders.retain(|folder| folder.join(FILE_NAME).exists());
    folders
}

fn in_use(layout: &Layout) -> Vec<String> {
    let mut reasons = Vec::new();
    for folder in databases(layout) {
        let shown = folder.join(FILE_NAME);
        let shown = shown.display();
        let open = Store::open_existing(&folder, Role::Reader)
            .and_then(|store| Ok((store.mode(), store.open_trade()?)));
        match open {
            Ok((_, None)) => {}
            Ok((mode, Some(trade))) => reasons.push(format!(
                "{} units of {} are open in {} mode ({shown}): flatten first (pivotctl panic), \
                 or --force",
                trade.quantity - trade.closed_quantity,
                trade.contract,
                mode.as_str()
            )),
            Err(error) => reasons.push(format!(
                "whether something is open cannot be told: {} ({shown}): look at the Kite app, \
                 then --force",
                in_full(&error)
            )),
        }
        // What was started by hand is not stopped by systemd.
        for (service, unit) in ["trading", "auth", "bot"].into_iter().zip(layout.services()) {
            let holder = ServiceLock::holder(&folder, service);
            let by_hand = |_: &u32| !layout.is_real() || !systemctl_says_yes("is-active", &unit);
            if let Some(pid) = holder.filter(by_hand) {
                reasons.push(format!("pivot-{service} runs (pid {pid}): stop it, or --force"));
            }
        }
    }
    reasons
}

fn plan(layout: &Layout, found: &Installed, purge: bool, force: bool) -> Vec<Item> {
    let mut items = Vec::new();
    for reason in &found.in_use {
        let verdict = match force {
            true => Verdict::Nothing("gone on with by --force".to_string()),
            false => Verdict::Refused(reason.clone()),
        };
        items.push(Item::new("position", "not known to be flat", verdict));
    }
    if let Some(account) = found.accounts.first().filter(|_| !force) {
        let first = format!("first: pivotctl uninstall --account {account}; or --force");
        let state = format!("used by {}", found.accounts.join(", "));
        items.push(Item::new("programs, units", state, Verdict::Refused(first)));
    }
    items.extend(stop(layout, found));
    if found.package {
        let verdict = Verdict::Nothing("apt remove pivot-trading".to_string());
        items.push(Item::new("programs, units", "from a package", verdict));
    }
    for group in Group::ALL {
        files(group, found, &mut items);
    }
    let goes =
        |(file, state): &(Shipped, Found)| file.group == Group::Units && *state != Found::Missing;
    if found.units && found.files.iter().any(goes) {
        let arguments = vec!["daemon-reload".to_string()];
        let verdict = Verdict::Do(vec![Step::Systemctl { arguments }]);
        items.push(Item::new("systemd", "units go", verdict));
    }
    let steps = found.programs.iter().map(|path| Step::RemoveFile { path: path.clone() });
    items.push(removal("programs", steps.collect()));
    items.extend(found.receipt.iter().map(|path| {
        let folder = layout.share().join("pivot-trading");
        let steps = vec![
            Step::RemoveFile { path: path.clone() },
            Step::RemoveIfEmpty { path: folder.join("examples") },
            Step::RemoveIfEmpty { path: folder },
        ];
        Item::new(path.display().to_string(), "there", Verdict::Do(steps))
    }));
    for path in &found.kept {
        let name = path.display().to_string();
        items.push(match purge {
            true => removal(&name, vec![Step::RemoveTree { path: path.clone() }]),
            false => Item::new(name, "yours", Verdict::Nothing("kept".to_string())),
        });
    }
    if found.has_user {
        let name = layout.user();
        let item = format!("user {name}");
        items.push(match purge && layout.is_real() {
            true => removal(&item, vec![Step::RemoveUser { name }]),
            false => Item::new(item, "there", Verdict::Nothing("kept".to_string())),
        });
    }
    items
}

/// Each service is named: stopping the target alone does not wait for them.
fn stop(layout: &Layout, found: &Installed) -> Option<Item> {
    if !found.units {
        return None;
    }
    let systemctl = |verb: &str, units: Vec<String>| {
        let arguments = std::iter::once(verb.to_string()).chain(units).collect();
        Step::Systemctl { arguments }
    };
    let all: Vec<String> = layout.enabled().into_iter().chain(layout.services()).collect();
    let steps = vec![systemctl("disable", all.clone()), systemctl("stop", all)];
    Some(Item::new(layout.target(), "installed", Verdict::Do(steps)))
}

fn files(group: Group, found: &Installed, items: &mut Vec<Item>) {
    let members = || found.files.iter().filter(|(file, _)| file.group == group);
    let steps: Vec<Step> = members()
        .filter(|(_, state)| matches!(state, Found::Same | Found::Installed))
        .map(|(file, _)| Step::RemoveFile { path: file.path.clone() })
        .collect();
    if members().next().is_some() {
        items.push(removal(group.as_str(), steps));
    }
    for (file, _) in members().filter(|(_, state)| *state == Found::Changed) {
        let name = file.path.display().to_string();
        let steps = vec![Step::KeepAside { path: file.path.clone() }];
        items.push(Item::new(name, "changed by somebody", Verdict::Do(steps)));
    }
}

fn removal(name: &str, steps: Vec<Step>) -> Item {
    match steps.len() {
        0 => Item::new(name, "not there", nothing()),
        1 => Item::new(name, "there", Verdict::Do(steps)),
        count => Item::new(name, format!("{count} there"), Verdict::Do(steps)),
    }
}
