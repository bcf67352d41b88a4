//! What is wanted, what is there, and what follows from the two. Pure: the
//! same plan is shown by `--dry-run` and carried out without it.

use std::path::PathBuf;

use super::layout::Layout;
use super::receipt::Receipt;
use super::shipped::{Group, Shipped};
use super::step::{Owner, Step};

/// A file that the program brings, as it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Missing,
    /// As this program would write it.
    Same,
    /// As an earlier installation wrote it.
    Installed,
    /// Neither: somebody changed or wrote it.
    Changed,
}

/// A folder or a file of which only the access matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    Missing,
    Right,
    Wrong(String),
}

/// What was found on the machine.
#[derive(Debug, Clone)]
pub(super) struct Inspected {
    pub(super) has_user: bool,
    pub(super) files: Vec<(Shipped, Found)>,
    pub(super) folders: Vec<(Folder, Access)>,
    pub(super) programs: Vec<(PathBuf, PathBuf, Found)>,
    pub(super) config: Access,
    /// Why the services would not start with it.
    pub(super) config_fault: Option<String>,
    pub(super) receipt: Receipt,
    pub(super) receipt_text: String,
    /// A package brought programs and units: they are left alone.
    pub(super) package: Option<PathBuf>,
    /// systemd runs this machine.
    pub(super) systemd: bool,
    pub(super) enabled: bool,
    pub(super) active: bool,
}

/// A folder with its access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) owner: Option<Owner>,
}

/// A row of the table: a thing, how it is, and what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is as it should be; the text says more where there is more to say.
    Nothing(String),
    Do(Vec<Step>),
    /// Nothing at all is done while one thing is refused.
    Refused(String),
}

impl Item {
    pub(super) fn new(name: impl Into<String>, state: impl Into<String>, verdict: Verdict) -> Item {
        Item { name: name.into(), state: state.into(), verdict }
    }
}

pub(super) fn nothing() -> Verdict {
    Verdict::Nothing("nothing to do".to_string())
}

/// What the operator wants beyond the files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wishes {
    pub(super) start: bool,
    pub(super) force: bool,
}

/// Folders in the order in which they are made.
pub(super) fn folders(layout: &Layout) -> Vec<Folder> {
    // Below another root the user may have no number yet.
    let owned = |owner: Owner| layout.is_real().then_some(owner);
    let user = layout.user();
    let mut folders =
        vec![Folder { path: layout.etc_of_all(), mode: 0o755, owner: owned(Owner::ROOT) }];
    if layout.account.is_some() {
        let owner = owned(Owner::group(&user));
        folders.push(Folder { path: layout.etc(), mode: 0o750, owner });
    }
    for (path, mode) in [(layout.data(), 0o700), (layout.logs(), 0o750)] {
        folders.push(Folder { path, mode, owner: owned(Owner::user(&user)) });
    }
    folders
}

/// What is to be done.
pub(super) fn install(layout: &Layout, found: &Inspected, wishes: Wishes) -> Vec<Item> {
    let mut items = vec![];
    if let Some(package) = &found.package {
        let text = format!("from a package ({})", package.display());
        let verdict = Verdict::Nothing("left to the package".to_string());
        items.push(Item::new("programs, units", text, verdict));
    }
    for (from, to, state) in &found.programs {
        items.push(program(from, to, state));
    }
    let units_change = files(&found.files, wishes.force, &mut items);
    items.push(user(layout, found));
    items.extend(found.folders.iter().map(|(folder, access)| folder_item(folder, access)));
    items.push(config(layout, found));
    items.extend(receipt(layout, found));
    items.extend(systemd(layout, found, wishes, units_change));
    items
}

fn program(from: &std::path::Path, to: &std::path::Path, state: &Found) -> Item {
    let copy = || Verdict::Do(vec![Step::CopyProgram { from: from.into(), to: to.into() }]);
    let (state, verdict) = match state {
        Found::Same => ("this version", nothing()),
        Found::Missing => ("missing", copy()),
        Found::Installed | Found::Changed => ("another version", copy()),
    };
    Item::new(to.display().to_string(), state, verdict)
}

/// A row for each group of files and one for each file that somebody
/// changed. True when units change.
fn files(files: &[(Shipped, Found)], force: bool, items: &mut Vec<Item>) -> bool {
    let mut units_change = false;
    for group in Group::ALL {
        let members = || files.iter().filter(|(file, _)| file.group == group);
        let count = |wanted: Found| members().filter(|(_, found)| *found == wanted).count();
        let (missing, older) = (count(Found::Missing), count(Found::Installed));
        let same = count(Found::Same);
        let write =
            |file: &Shipped| Step::WriteFile { path: file.path.clone(), text: file.text.clone() };
        let steps: Vec<Step> = members()
            .filter(|(_, found)| matches!(found, Found::Missing | Found::Installed))
            .map(|(file, _)| write(file))
            .collect();
        units_change |= group == Group::Units && !steps.is_empty();
        if missing + older + same > 0 {
            let counts = [(same, "as they should be"), (missing, "missing"), (older, "older")];
            let words: Vec<String> = counts
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, word)| format!("{count} {word}"))
                .collect();
            let verdict = if steps.is_empty() { nothing() } else { Verdict::Do(steps) };
            items.push(Item::new(group.as_str(), words.join(", "), verdict));
        }
        for (file, _) in members().filter(|(_, found)| *found == Found::Changed) {
            let name = file.path.display().to_string();
            let verdict = if force {
                units_change |= group == Group::Units;
                Verdict::Do(vec![Step::KeepAside { path: file.path.clone() }, write(file)])
            } else {
                Verdict::Refused(
                    "your change would be lost: keep it in a drop-in (systemctl edit), or let \
                     --force keep the file as .orig"
                        .to_string(),
                )
            };
            items.push(Item::new(name, "changed by somebody", verdict));
        }
    }
    units_change
}

fn user(layout: &Layout, found: &Inspected) -> Item {
    let (name, item) = (layout.user(), format!("user {}", layout.user()));
    if found.has_user {
        return Item::new(item, "there", nothing());
    }
    if !layout.is_real() {
        let verdict = Verdict::Nothing("left to systemd-sysusers".to_string());
        return Item::new(item, "missing", verdict);
    }
    let (home, sysusers) = (layout.data(), layout.sysusers());
    Item::new(item, "missing", Verdict::Do(vec![Step::AddUser { name, home, sysusers }]))
}

fn folder_item(folder: &Folder, access: &Access) -> Item {
    let Folder { path, mode, owner } = folder.clone();
    let name = path.display().to_string();
    match access {
        Access::Right => Item::new(name, format!("mode {mode:o}"), nothing()),
        Access::Missing => {
            Item::new(name, "missing", Verdict::Do(vec![Step::MakeFolder { path, mode, owner }]))
        }
        Access::Wrong(what) => {
            Item::new(name, what, Verdict::Do(vec![Step::SetAccess { path, mode, owner }]))
        }
    }
}

fn config(layout: &Layout, found: &Inspected) -> Item {
    let path = layout.config();
    let name = path.display().to_string();
    match &found.config {
        Access::Right => Item::new(name, "mode 600", nothing()),
        Access::Missing => {
            let next = format!("yours to write: pivotctl init --config {name}");
            Item::new(name, "missing", Verdict::Nothing(next))
        }
        Access::Wrong(what) => {
            let owner = layout.is_real().then(|| Owner::user(&layout.user()));
            let step = Step::SetAccess { path, mode: 0o600, owner };
            Item::new(name, what, Verdict::Do(vec![step]))
        }
    }
}

/// The receipt holds what stands there afterwards.
fn receipt(layout: &Layout, found: &Inspected) -> Option<Item> {
    if found.files.is_empty() {
        return None;
    }
    let mut receipt = found.receipt.clone();
    for (file, _) in &found.files {
        receipt.note(&file.path, file.text.as_bytes());
    }
    let (path, text) = (layout.receipt(), receipt.text());
    let name = path.display().to_string();
    Some(if text == found.receipt_text {
        Item::new(name, "up to date", nothing())
    } else {
        Item::new(name, "out of date", Verdict::Do(vec![Step::WriteFile { path, text }]))
    })
}

fn systemd(layout: &Layout, found: &Inspected, wishes: Wishes, units_change: bool) -> Vec<Item> {
    let mut items = Vec::new();
    if !layout.is_real() {
        return items;
    }
    let run = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| (*argument).to_string()).collect();
        Verdict::Do(vec![Step::Systemctl { arguments }])
    };
    if !found.systemd {
        let text = "does not run this machine";
        let verdict = match wishes.start {
            true => Verdict::Refused("--start needs systemd".to_string()),
            false => Verdict::Nothing("nothing is started".to_string()),
        };
        return vec![Item::new("systemd", text, verdict)];
    }
    let verdict = if units_change { run(&["daemon-reload"]) } else { nothing() };
    let state = if units_change { "units change" } else { "knows the units" };
    items.push(Item::new("systemd", state, verdict));
    let units = layout.enabled();
    let enable: Vec<&str> =
        std::iter::once("enable").chain(units.iter().map(String::as_str)).collect();
    let faulty = found.config_fault.as_ref().map(|fault| Verdict::Refused(fault.clone()));
    let later = || Verdict::Nothing("left as it is without --start".to_string());
    let name = format!("{} at boot", layout.target());
    items.push(match (found.enabled, wishes.start) {
        (true, _) => Item::new(name, "enabled", nothing()),
        (false, true) => Item::new(name, "not enabled", faulty.clone().unwrap_or(run(&enable))),
        (false, false) => Item::new(name, "not enabled", later()),
    });
    let name = layout.target();
    let programs_change = found.programs.iter().any(|(_, _, state)| *state != Found::Same);
    items.push(match (found.active, wishes.start) {
        (true, _) if programs_change || units_change => {
            let next = format!("outside market hours: systemctl restart {name}");
            Item::new(name, "runs as it was", Verdict::Nothing(next))
        }
        (true, _) => Item::new(name, "runs", nothing()),
        (false, true) => {
            let start = || run(&["start", layout.target().as_str()]);
            Item::new(name, "does not run", faulty.unwrap_or_else(start))
        }
        (false, false) => Item::new(name, "does not run", later()),
    });
    items
}

#[cfg(test)]
mod tests {
    use super::super::layout::Layout;
    use super::*;

    fn layout() -> Layout {
        Layout { root: "/".into(), prefix: "/usr/local".into(), account: None }
    }

    /// A machine on which everything is in place.
    fn found() -> Inspected {
        let file = Shipped { path: "/unit".into(), text: "text".into(), group: Group::Units };
        let mut receipt = Receipt::default();
        receipt.note(&file.path, file.text.as_bytes());
        Inspected {
            has_user: true,
            files: vec![(file, Found::Same)],
            folders: folders(&layout()).into_iter().map(|it| (it, Access::Right)).collect(),
            programs: vec![("/built/pivotctl".into(), "/bin/pivotctl".into(), Found::Same)],
            config: Access::Right,
            config_fault: None,
            receipt_text: receipt.text(),
            receipt,
            package: None,
            systemd: true,
            enabled: true,
            active: true,
        }
    }

    fn steps(found: &Inspected, start: bool, force: bool) -> Vec<String> {
        let items = install(&layout(), found, Wishes { start, force });
        let said = items.into_iter().flat_map(|item| match item.verdict {
            Verdict::Do(steps) => steps.iter().map(ToString::to_string).collect(),
            Verdict::Refused(_) => vec![format!("refused: {}", item.name)],
            Verdict::Nothing(_) => Vec::new(),
        });
        said.collect()
    }

    #[test]
    fn nothing_follows_from_a_machine_that_is_as_it_should_be() {
        assert_eq!(steps(&found(), true, true), Vec::<String>::new());
    }

    #[test]
    fn services_start_only_when_that_is_wished() {
        let stopped = Inspected { enabled: false, active: false, ..found() };
        assert_eq!(steps(&stopped, false, false), Vec::<String>::new());
        let all = "pivot.target pivot-auth-restart.timer pivot-trading-restart.timer";
        let enable = format!("run systemctl enable {all}");
        assert_eq!(steps(&stopped, true, false), [&enable, "run systemctl start pivot.target"]);
        let without = Inspected { config_fault: Some("none".into()), ..stopped.clone() };
        let refused = ["refused: pivot.target at boot", "refused: pivot.target"];
        assert_eq!(steps(&without, true, false), refused);
        let elsewhere = Inspected { systemd: false, ..stopped };
        assert_eq!(steps(&elsewhere, true, false), ["refused: systemd"]);
        assert_eq!(steps(&elsewhere, false, false), Vec::<String>::new());
    }

    #[test]
    fn units_that_change_are_told_to_systemd_and_what_runs_is_left_running() {
        let mut older = found();
        older.files[0].1 = Found::Installed;
        older.programs[0].2 = Found::Installed;
        assert_eq!(
            steps(&older, true, false),
            ["copy /built/pivotctl to /bin/pivotctl", "write /unit", "run systemctl daemon-reload"]
        );
        let mut changed = found();
        changed.files[0].1 = Found::Changed;
        assert_eq!(steps(&changed, false, false), ["refused: /unit"]);
        let forced = ["keep /unit as /unit.orig", "write /unit", "run systemctl daemon-reload"];
        assert_eq!(steps(&changed, false, true), forced);
    }

    #[test]
    fn the_user_comes_before_the_folders_that_it_owns() {
        let mut bare = found();
        bare.has_user = false;
        for folder in &mut bare.folders {
            folder.1 = Access::Missing;
        }
        assert_eq!(
            steps(&bare, false, false),
            [
                "add the system user pivot",
                "make /etc/pivot-trading, mode 755, owner root:root",
                "make /var/lib/pivot-trading, mode 700, owner pivot:pivot",
                "make /var/log/pivot-trading, mode 750, owner pivot:pivot",
            ]
        );
    }
}
