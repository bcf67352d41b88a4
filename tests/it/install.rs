//! `pivotctl install` and `uninstall` below a folder that stands for a
//! machine, and what they bring along.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pivot_trading::engine::ledger::Fact;
use pivot_trading::engine::{self};
use serde_json::{Value, json};

use super::store::{claim, entry, trade};

const PIVOTCTL: &str = env!("CARGO_BIN_EXE_pivotctl");

struct Machine {
    folder: tempfile::TempDir,
    /// Stand-ins for the four programs, which are large.
    programs: tempfile::TempDir,
}

const PROGRAMS: [&str; 4] = ["pivot-auth", "pivot-trading", "pivot-bot", "pivotctl"];

impl Machine {
    fn new() -> Machine {
        let programs = tempfile::tempdir().unwrap();
        for name in PROGRAMS {
            fs::write(programs.path().join(name), format!("#!/bin/sh\necho {name}\n")).unwrap();
        }
        Machine { folder: tempfile::tempdir().unwrap(), programs }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Runs a subcommand on this machine: exit code, report, standard error.
    fn run(&self, arguments: &[&str]) -> (i32, Value, String) {
        let mut command = Command::new(PIVOTCTL);
        command.args(arguments).args(["--json", "--root"]).arg(self.folder.path());
        if arguments[0] == "install" {
            command.arg("--programs").arg(self.programs.path());
        }
        let output = command.stdin(Stdio::null()).output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), report, said)
    }

    /// The same, expected to go well.
    fn does(&self, arguments: &[&str]) -> Value {
        let (code, report, said) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}\n{report:#}");
        report
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    /// Every file and folder with its mode, its number on the disk (a file
    /// written anew has another) and its content.
    fn everything(&self) -> BTreeMap<PathBuf, (u32, u64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let meta = fs::metadata(&path).unwrap();
                let content = if meta.is_dir() {
                    folders.push(path.clone());
                    Vec::new()
                } else {
                    fs::read(&path).unwrap()
                };
                let inside = path.strip_prefix(self.folder.path()).unwrap().to_owned();
                found.insert(inside, (meta.permissions().mode() & 0o7777, meta.ino(), content));
            }
        }
        found
    }

    fn mode(&self, path: &str) -> u32 {
        fs::metadata(self.path(path)).unwrap().permissions().mode() & 0o7777
    }
}

fn fates(report: &Value, fate: &str) -> Vec<String> {
    let items = report["items"].as_array().unwrap().iter();
    let wanted = items.filter(|item| item["fate"] == fate);
    wanted.map(|item| item["item"].as_str().unwrap().to_string()).collect()
}

#[test]
fn an_installation_is_whole_and_doing_it_again_does_nothing() {
    let machine = Machine::new();
    let plan = machine.does(&["install", "--dry-run"]);
    assert!(machine.everything().is_empty(), "a dry run changed something");
    let report = machine.does(&["install"]);
    assert_eq!(fates(&plan, "would"), fates(&report, "done"), "{report:#}");

    for program in PROGRAMS {
        let path = format!("usr/local/bin/{program}");
        assert_eq!(machine.mode(&path), 0o755);
        let shown = Command::new(machine.path(&path)).output().unwrap();
        assert_eq!(String::from_utf8(shown.stdout).unwrap().trim(), program);
    }
    for (folder, mode) in [
        ("etc/pivot-trading", 0o755),
        ("var/lib/pivot-trading", 0o700),
        ("var/log/pivot-trading", 0o750),
    ] {
        assert_eq!(machine.mode(folder), mode, "{folder}");
    }
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    let units = machine.path("etc/systemd/system");
    let count = fs::read_dir(&units).unwrap().inspect(|unit| {
        let name = unit.as_ref().unwrap().file_name();
        assert_eq!(fs::read(units.join(&name)).unwrap(), fs::read(sources.join(name)).unwrap());
    });
    assert_eq!(count.count(), 20);
    for file in ["share/man/man1/pivotctl-panic.1", "share/bash-completion/completions/pivotctl"] {
        assert_eq!(machine.mode(&format!("usr/local/{file}")), 0o644, "{file}");
    }
    assert!(machine.path("etc/sysusers.d/pivot-trading.conf").exists());
    assert!(!machine.path("etc/pivot-trading/config.json").exists(), "it wrote a configuration");

    let before = machine.everything();
    let again = machine.does(&["install"]);
    assert_eq!(again["conclusion"], "nothing to do", "{again:#}");
    assert_eq!(fates(&again, "done"), Vec::<String>::new());
    assert!(before == machine.everything(), "doing it again wrote something");
}

#[test]
fn what_is_missing_comes_back_and_what_is_wrong_is_set_right() {
    let machine = Machine::new();
    machine.write("etc/pivot-trading/config.json", "{}");
    machine.does(&["install"]);
    assert_eq!(machine.mode("etc/pivot-trading/config.json"), 0o600);
    let before = machine.everything();
    fs::remove_file(machine.path("etc/systemd/system/pivot-bot.service")).unwrap();
    fs::write(machine.path("usr/local/bin/pivot-bot"), "another version").unwrap();
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(machine.path("var/lib/pivot-trading"), open).unwrap();
    let report = machine.does(&["install"]);
    let done = fates(&report, "done");
    assert_eq!(done, ["/usr/local/bin/pivot-bot", "units", "/var/lib/pivot-trading"]);
    let after = machine.everything();
    let same = |(path, (mode, _, content)): (&PathBuf, &(u32, u64, Vec<u8>))| {
        after.get(path).is_some_and(|it| (it.0, &it.2) == (*mode, content))
    };
    assert!(before.iter().all(same) && before.len() == after.len());
}

#[test]
fn a_unit_that_somebody_changed_is_not_lost() {
    let machine = Machine::new();
    machine.does(&["install"]);
    let unit = "etc/systemd/system/pivot-trading.service";
    let shipped = fs::read_to_string(machine.path(unit)).unwrap();
    let changed = shipped.replace("MemoryMax=2G", "MemoryMax=3G");
    machine.write(unit, &changed);
    fs::remove_file(machine.path("usr/local/bin/pivot-bot")).unwrap();
    let before = machine.everything();
    let (code, report, _) = machine.run(&["install"]);
    assert_eq!((code, fates(&report, "refused").len()), (1, 1), "{report:#}");
    assert!(before == machine.everything(), "half an installation");

    machine.does(&["install", "--force"]);
    assert_eq!(fs::read_to_string(machine.path(unit)).unwrap(), shipped);
    assert_eq!(fs::read_to_string(machine.path(&format!("{unit}.orig"))).unwrap(), changed);
    assert!(machine.path("usr/local/bin/pivot-bot").exists());
}

#[test]
fn a_unit_of_an_earlier_version_is_renewed() {
    let machine = Machine::new();
    machine.does(&["install"]);
    let unit = "etc/systemd/system/pivot-bot.service";
    let shipped = fs::read_to_string(machine.path(unit)).unwrap();
    // As if an earlier version had written it.
    machine.write(unit, "earlier\n");
    let noted = "usr/local/share/pivot-trading/installed";
    let receipt = fs::read_to_string(machine.path(noted)).unwrap();
    let line = receipt.lines().find(|line| line.ends_with("/pivot-bot.service")).unwrap();
    let sum = Command::new("sha256sum").arg(machine.path(unit)).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap();
    let sum = sum.split_whitespace().next().unwrap();
    let line_then = format!("{sum}  /{unit}");
    machine.write(noted, &receipt.replace(line, &line_then));
    machine.does(&["install"]);
    assert_eq!(fs::read_to_string(machine.path(unit)).unwrap(), shipped);
    assert_eq!(fs::read_to_string(machine.path(noted)).unwrap(), receipt);
    assert!(!machine.path(&format!("{unit}.orig")).exists());
}

#[test]
fn an_account_has_folders_of_its_own_and_goes_alone() {
    let machine = Machine::new();
    machine.does(&["install"]);
    machine.does(&["install", "--account", "family"]);
    assert_eq!(machine.mode("etc/pivot-trading/family"), 0o750);
    assert_eq!(machine.mode("var/lib/pivot-trading-family"), 0o700);
    let user = machine.path("etc/sysusers.d/pivot-trading-family.conf");
    assert!(fs::read_to_string(user).unwrap().contains("u pivot-family - "));
    machine.write("etc/pivot-trading/family/config.json", "{}");

    let (code, report, _) = machine.run(&["uninstall"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(report.to_string().contains("first: pivotctl uninstall --account family"));
    machine.does(&["uninstall", "--account", "family", "--purge", "--yes"]);
    for gone in ["etc/pivot-trading/family", "var/lib/pivot-trading-family"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
    assert!(machine.path("usr/local/bin/pivotctl").exists());
    machine.does(&["uninstall"]);
    assert!(!machine.path("usr/local/bin/pivotctl").exists());
}

#[test]
fn uninstalling_keeps_what_is_the_operators() {
    let machine = Machine::new();
    machine.does(&["install"]);
    machine.write("etc/pivot-trading/config.json", "{}");
    machine.write("var/lib/pivot-trading/live/HALT", "");
    machine.write("etc/systemd/system/pivot-bot.service.d/mine.conf", "[Service]\n");
    let plan = machine.everything();
    machine.does(&["uninstall", "--dry-run"]);
    assert!(plan == machine.everything());
    machine.does(&["uninstall"]);
    let left: Vec<String> = machine
        .everything()
        .into_iter()
        .filter(|(path, _)| machine.folder.path().join(path).is_file())
        .map(|(path, _)| path.display().to_string())
        .collect();
    assert_eq!(
        left,
        [
            "etc/pivot-trading/config.json",
            "etc/systemd/system/pivot-bot.service.d/mine.conf",
            "var/lib/pivot-trading/live/HALT",
        ]
    );
    let again = machine.does(&["uninstall"]);
    assert_eq!(again["conclusion"], "nothing to do", "{again:#}");

    let (code, _, said) = machine.run(&["uninstall", "--purge"]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("add --yes"), "{said}");
    assert!(machine.path("var/lib/pivot-trading/live/HALT").exists());
    machine.does(&["uninstall", "--purge", "--yes"]);
    for gone in ["etc/pivot-trading", "var/lib/pivot-trading", "var/log/pivot-trading"] {
        assert!(!machine.path(gone).exists(), "{gone}");
    }
}

#[test]
fn nothing_is_taken_away_from_under_an_open_position() {
    let machine = Machine::new();
    machine.does(&["install"]);
    let data = machine.path("var/lib/pivot-trading/paper");
    let mut open = trade();
    (open.closed_quantity, open.exited_at) = (5, None);
    let fact = engine::Command::Record(Fact::Trade(Box::new(open)));
    claim(&data).append(&[entry(1, vec![fact])]).unwrap();
    let before = machine.everything();
    let (code, report, _) = machine.run(&["uninstall", "--purge", "--yes"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(report.to_string().contains("15 units of BFO:SENSEX26NOV84000CE are open"));
    let after = machine.everything();
    assert!(before.keys().all(|path| after.contains_key(path)));

    // What cannot be read may hold something, too.
    fs::write(data.join("trading.db"), "no database at all, and long enough to be read").unwrap();
    let (code, report, _) = machine.run(&["uninstall"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(report.to_string().contains("cannot be told"), "{report:#}");
    machine.does(&["uninstall", "--force"]);
    assert!(!machine.path("usr/local/bin/pivotctl").exists() && data.exists());
}

#[test]
fn a_database_elsewhere_is_looked_at_too() {
    let machine = Machine::new();
    machine.does(&["install"]);
    let config = json!({"data": {"dir": "/srv/trading"}});
    machine.write("etc/pivot-trading/config.json", &config.to_string());
    machine.write("srv/trading/trading.db", "unreadable");
    let (code, report, _) = machine.run(&["uninstall"]);
    assert_eq!(code, 1, "{report:#}");
    assert!(report.to_string().contains("cannot be told"), "{report:#}");
}

#[test]
fn a_package_keeps_what_it_brought() {
    let machine = Machine::new();
    machine.does(&["install", "--prefix", "/usr"]);
    let unit = "usr/lib/systemd/system/pivot-trading.service";
    let text = fs::read_to_string(machine.path(unit)).unwrap();
    assert!(text.contains("ExecStart=/usr/bin/pivot-trading "), "{text}");
    assert!(machine.path("usr/lib/tmpfiles.d/pivot-trading.conf").exists());
    let report = machine.does(&["install", "--account", "family"]);
    assert!(report.to_string().contains("left to the package"), "{report:#}");
    assert!(!machine.path("usr/local/bin").exists() && !machine.path("etc/systemd").exists());
    assert!(machine.path("var/lib/pivot-trading-family").exists());
}

#[test]
fn the_programs_are_those_beside_the_one_that_installs() {
    let machine = Machine::new();
    let folder = machine.folder.path();
    let installed = Command::new(PIVOTCTL)
        .args(["install", "--dry-run", "--root"])
        .arg(folder)
        .output()
        .unwrap();
    let said = String::from_utf8(installed.stdout).unwrap();
    let built = env!("CARGO_BIN_EXE_pivot-trading");
    assert!(
        said.contains(&format!("would copy {built} to /usr/local/bin/pivot-trading")),
        "{said}"
    );

    fs::remove_file(machine.programs.path().join("pivot-bot")).unwrap();
    let (code, _, said) = machine.run(&["install"]);
    assert_eq!(code, 1);
    assert!(said.contains("the four programs are installed from one folder"), "{said}");
}

/// `.ci/package` looks into a package that was built; this looks at what
/// needs no tools.
#[test]
fn a_package_starts_nothing_and_keeps_data() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["postinst", "prerm", "postrm"] {
        let path = sources.join("packaging/deb").join(name);
        let text = fs::read_to_string(&path).unwrap();
        for word in [" start ", " enable ", " restart "] {
            assert!(!text.contains(&format!("systemctl{word}")), "{name}:{word}");
        }
        // What is lost is lost on a purge only.
        let before_purge = text.split("= purge").next().unwrap();
        assert!(!before_purge.contains("rm -rf"), "{name}");
        let read = Command::new("sh").arg("-n").arg(&path).output().unwrap();
        assert!(read.status.success(), "{read:?}");
    }
    let manifest = fs::read_to_string(sources.join("Cargo.toml")).unwrap();
    let package = manifest.split("[package.metadata.deb]").nth(1).unwrap();
    assert!(package.contains("conf-files = []"));
    assert!(!package.split("\n[").next().unwrap().contains("\"etc/"));
}

#[test]
fn wrong_wishes_are_refused() {
    let machine = Machine::new();
    for (arguments, words) in [
        (["install", "--account", "A-B"], "small letters and digits"),
        (["install", "--prefix", "here"], "expected a whole path"),
    ] {
        let (code, _, said) = machine.run(&arguments);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(words), "{said}");
    }
    assert!(machine.everything().is_empty());
}

#[test]
fn shells_read_the_completions() {
    for (shell, program) in [("bash", "bash"), ("zsh", "zsh"), ("fish", "fish")] {
        let output = Command::new(PIVOTCTL).args(["completions", shell]).output().unwrap();
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("panic") && script.contains("install"), "{shell}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("script");
        fs::write(&file, script).unwrap();
        match Command::new(program).arg("-n").arg(&file).output() {
            Ok(read) => assert!(read.status.success(), "{shell}: {read:?}"),
            Err(_) => println!("skipped: {program} is not installed"),
        }
    }
}

#[test]
fn the_manual_is_printed_and_written() {
    let show = |arguments: &[&str]| Command::new(PIVOTCTL).args(arguments).output().unwrap();
    let page = show(&["man", "config", "check"]);
    let text = String::from_utf8(page.stdout).unwrap();
    assert!(text.contains(r"pivotctl config check \-\-config config.json \-\-json"), "{text}");
    assert_eq!(show(&["man", "nonsense"]).status.code(), Some(2));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let wrote = show(&["man", "--out", pages.to_str().unwrap()]);
    assert!(wrote.status.success());
    let count = fs::read_dir(&pages).unwrap().count();
    assert!(count > 40 && String::from_utf8_lossy(&wrote.stdout).contains(&count.to_string()));
}
