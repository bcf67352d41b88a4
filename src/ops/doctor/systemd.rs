//! The units: installed, as this program ships them, started at boot, and
//! under the watchdog.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Finding, Level, Patient};
use crate::engine::Mode;
use crate::ops::install::folders_of;
use crate::ops::install::shipped::{UNITS, unit_text};

/// Where units are installed, the one that wins first.
const UNIT_FOLDERS: [&str; 3] =
    ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];

/// Units without which something is missing, for the one account.
const NEEDED: [&str; 6] = [
    "pivot-auth.service",
    "pivot-trading.service",
    "pivot-bot.service",
    "pivot-alert@.service",
    "pivot-auth-restart.timer",
    "pivot-trading-restart.timer",
];

const SERVICES: [&str; 3] = ["pivot-auth", "pivot-trading", "pivot-bot"];

/// Everything about systemd, where it runs the machine.
pub(super) fn examine(patient: &Patient) -> Vec<Finding> {
    let name = "systemd units";
    if !Path::new("/run/systemd/system").exists() {
        return vec![Finding::ok(name, "systemd does not run this machine")];
    }
    let account = account(&patient.config_path);
    let installed = Installed::look(Path::new("/"));
    let missing = installed.missing(account.as_deref());
    if !missing.is_empty() {
        return vec![match patient.mode {
            Mode::Demo => Finding::ok(name, "not installed; the demo needs none"),
            Mode::Paper | Mode::Live => Finding::bad(
                name,
                Level::Warning,
                format!("not installed: {}", missing.join(", ")),
                "sudo pivotctl install",
            ),
        }];
    }
    let mut findings = vec![installed.compared(), at_boot(account.as_deref())];
    findings.push(watched(account.as_deref()));
    findings
}

/// The account whose configuration it is, when it has units of its own.
fn account(config: &Path) -> Option<String> {
    folders_of(config)?;
    let folder = config.parent()?.file_name()?.to_str()?;
    (folder != "pivot-trading").then(|| folder.to_string())
}

/// A unit's name, for an account of its own.
fn instance(unit: &str, account: Option<&str>) -> String {
    match (account, unit.rsplit_once('.')) {
        (Some(account), Some((stem, kind))) => format!("{stem}@{account}.{kind}"),
        (Some(_) | None, _) => unit.to_string(),
    }
}

/// The units that are there, with what they say.
struct Installed {
    units: Vec<(&'static str, PathBuf, String)>,
}

impl Installed {
    fn look(root: &Path) -> Installed {
        let units = UNITS.iter().filter_map(|(name, _)| {
            UNIT_FOLDERS.iter().find_map(|folder| {
                let path = root.join(folder.trim_start_matches('/')).join(name);
                let text = std::fs::read_to_string(&path).ok()?;
                Some((*name, path, text))
            })
        });
        Installed { units: units.collect() }
    }

    fn missing(&self, account: Option<&str>) -> Vec<String> {
        let is_there = |unit: &str| self.units.iter().any(|(name, ..)| *name == unit);
        let wanted = NEEDED.iter().map(|unit| match account {
            None => (*unit).to_string(),
            Some(_) if unit.contains('@') => "pivot-alert-trading@.service".to_string(),
            Some(_) => instance(unit, Some("")),
        });
        wanted.filter(|unit| !is_there(unit)).collect()
    }

    /// Whether they say what this program ships, wherever the programs are.
    fn compared(&self) -> Finding {
        let name = "systemd units";
        let differs = |(unit, _, text): &&(&'static str, PathBuf, String)| {
            let shipped = UNITS.iter().find(|(known, _)| known == unit);
            let programs = programs_of(text);
            shipped.is_some_and(|(_, shipped)| unit_text(shipped, &programs) != *text)
        };
        let changed: Vec<String> = self
            .units
            .iter()
            .filter(differs)
            .map(|(_, path, _)| path.display().to_string())
            .collect();
        if changed.is_empty() {
            return Finding::ok(name, "installed, as this version ships them");
        }
        let text = format!("not as this version ships them: {}", changed.join(", "));
        let remedy = "sudo pivotctl install renews older ones; keep changes of your own in \
                      drop-ins (systemctl edit), which it leaves alone";
        Finding::bad(name, Level::Warning, text, remedy)
    }
}

/// The folder of the programs that a unit starts.
fn programs_of(unit: &str) -> PathBuf {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let program = line.and_then(|line| line.split_whitespace().next());
    let folder = program.and_then(|program| Path::new(program).parent());
    folder.map_or_else(|| PathBuf::from("/usr/local/bin"), Path::to_owned)
}

fn at_boot(account: Option<&str>) -> Finding {
    let name = "at boot";
    let target = instance("pivot.target", account);
    let enabled = |unit: &str| {
        let asked = systemctl(&["is-enabled", unit]);
        asked.is_some_and(|answer| answer.trim() == "enabled")
    };
    let services = SERVICES.map(|service| instance(&format!("{service}.service"), account));
    let timers = ["pivot-auth-restart.timer", "pivot-trading-restart.timer"];
    let asleep: Vec<String> = timers
        .iter()
        .map(|timer| instance(timer, account))
        .filter(|timer| !enabled(timer))
        .collect();
    if !enabled(&target) && !services.iter().all(|service| enabled(service)) {
        let text = format!("{target} is not enabled: after a boot nothing runs");
        return Finding::bad(name, Level::Warning, text, "sudo pivotctl install --start");
    }
    if !asleep.is_empty() {
        let text = format!("not enabled: {}", asleep.join(", "));
        let remedy = "systemctl enable --now them, unless crontab does their work";
        return Finding::bad(name, Level::Warning, text, remedy);
    }
    Finding::ok(name, format!("{target} and the timers of the morning are enabled"))
}

fn watched(account: Option<&str>) -> Finding {
    let units = SERVICES.map(|service| instance(&format!("{service}.service"), account));
    let shown = units.each_ref().map(|unit| {
        systemctl(&["show", unit, "--property=ActiveState,Result,NRestarts,WatchdogUSec"])
    });
    let states: Vec<(&str, String)> = units
        .iter()
        .zip(shown)
        .map(|(unit, shown)| (unit.as_str(), shown.unwrap_or_default()))
        .collect();
    judge(&states)
}

/// What `systemctl show` says of the services.
fn judge(states: &[(&str, String)]) -> Finding {
    let name = "watchdog";
    for (unit, shown) in states {
        let value = |key: &str| {
            let mut lines = shown.lines().filter_map(|line| line.split_once('='));
            lines.find(|(found, _)| *found == key).map(|(_, value)| value)
        };
        if value("ActiveState") == Some("failed") {
            let result = value("Result").unwrap_or("unknown");
            let text = format!("{unit} has failed ({result}) and stays down");
            let remedy = format!(
                "journalctl -u {unit} -n 50; systemctl reset-failed {unit}; systemctl start {unit}"
            );
            return Finding::bad(name, Level::Error, text, remedy);
        }
        if matches!(value("WatchdogUSec"), None | Some("0" | "infinity")) {
            let text = format!("{unit} has no watchdog: a service that hangs stays so");
            return Finding::bad(name, Level::Warning, text, "sudo pivotctl install");
        }
        let restarts: u32 = value("NRestarts").and_then(|text| text.parse().ok()).unwrap_or(0);
        if restarts > 0 {
            let text = format!("{unit} died and was started again, {restarts} times");
            let remedy = format!("journalctl -u {unit}; systemctl reset-failed {unit}");
            return Finding::bad(name, Level::Warning, text, remedy);
        }
    }
    Finding::ok(name, "systemd watches the services; none died since it started them")
}

fn systemctl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("systemctl")
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    String::from_utf8(output.stdout).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_compared_wherever_the_programs_are() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("etc/systemd/system");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in UNITS {
            let text = unit_text(text, Path::new("/opt/pivot/bin"));
            std::fs::write(folder.join(name), text).unwrap();
        }
        let installed = Installed::look(root.path());
        assert_eq!(installed.missing(None), Vec::<String>::new());
        assert_eq!(installed.missing(Some("family")), Vec::<String>::new());
        assert_eq!(installed.compared().level, Level::Ok, "{:?}", installed.compared());

        let path = folder.join("pivot-bot.service");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replace("80%", "90%")).unwrap();
        std::fs::remove_file(folder.join("pivot-auth@.service")).unwrap();
        let installed = Installed::look(root.path());
        let found = installed.compared();
        assert_eq!(found.level, Level::Warning);
        assert!(found.text.ends_with("pivot-bot.service"), "{found:?}");
        assert_eq!(installed.missing(Some("family")), ["pivot-auth@.service"]);
    }

    #[test]
    fn what_systemd_says_of_the_services_is_understood() {
        let state = |active: &str, restarts: u32, watchdog: &str| {
            format!(
                "ActiveState={active}\nResult=watchdog\nNRestarts={restarts}\n\
                 WatchdogUSec={watchdog}\n"
            )
        };
        let level = |state: String| judge(&[("pivot-bot.service", state)]).level;
        assert_eq!(level(state("active", 0, "1min")), Level::Ok);
        assert_eq!(level(state("active", 2, "30s")), Level::Warning);
        assert_eq!(level(state("active", 0, "0")), Level::Warning);
        assert_eq!(level(state("active", 0, "infinity")), Level::Warning);
        assert_eq!(level(state("failed", 0, "30s")), Level::Error);
        assert_eq!(level(String::new()), Level::Warning);
    }

    #[test]
    fn the_account_follows_from_where_the_configuration_is() {
        let account = |path: &str| account(Path::new(path));
        assert_eq!(account("/etc/pivot-trading/config.json"), None);
        assert_eq!(account("/etc/pivot-trading/family/config.json"), Some("family".into()));
        assert_eq!(account("config.json"), None);
        assert_eq!(instance("pivot-bot.service", Some("family")), "pivot-bot@family.service");
    }
}
