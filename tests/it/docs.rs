//! Documents and sources keep what they promise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What has no business in a public repository: folders of somebody's
/// machine.
const MACHINE_PATHS: [&str; 4] = ["/work/", "/root/", "/home/", "/Users/"];

/// Notes to oneself, spelled so that this file does not contain them.
const NOTES: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text_files(folder: &Path, found: &mut Vec<PathBuf>) {
    const SKIPPED: [&str; 5] = [".git", "target", "data", "logs", "node_modules"];
    const KINDS: [&str; 12] =
        ["rs", "md", "toml", "json", "sql", "service", "timer", "conf", "py", "txt", "css", "yml"];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                text_files(&path, found);
            }
        } else if path.extension().is_some_and(|kind| KINDS.iter().any(|known| kind == *known)) {
            found.push(path);
        }
    }
}

fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    text_files(root(), &mut found);
    found.sort();
    found
}

/// Names of the subcommands, as the program's own help lists them.
fn subcommands() -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_pivotctl")).arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_string)
        .collect()
}

#[test]
fn operators_find_every_subcommand_described() {
    let text = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    let commands = subcommands();
    assert!(commands.len() > 10, "{commands:?}");
    for command in commands {
        assert!(text.contains(&format!("pivotctl {command}")), "docs/OPERATIONS.md: {command}");
    }
}

#[test]
fn operators_find_every_unit_and_every_file_described() {
    let text = fs::read_to_string(root().join("docs/OPERATIONS.md")).unwrap();
    for word in [
        "pivot-auth-restart.timer",
        "pivot-trading-restart.timer",
        "pivot-alert@",
        "nginx.example.conf",
        "0 8 * * 1-5 systemctl restart pivot-auth.service",
        "1 8 * * 1-5 systemctl restart pivot-trading.service",
        "trading.db",
        "trading.lock",
        "HALT",
        "paper-book.json",
    ] {
        assert!(text.contains(word), "docs/OPERATIONS.md does not tell of {word}");
    }
}

/// A fenced block of a page.
pub(super) struct Fence {
    /// What stands behind the fence's marks.
    pub(super) info: String,
    pub(super) text: String,
    /// What the page says since the block before.
    pub(super) before: String,
}

pub(super) fn fences(page: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut before = String::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            before.push_str(line);
            before.push('\n');
            continue;
        };
        let block = lines.by_ref().take_while(|line| !line.starts_with("```"));
        let text = block.map(|line| format!("{line}\n")).collect();
        fences.push(Fence { info: info.to_string(), text, before: std::mem::take(&mut before) });
    }
    fences
}

/// The words of each pivotctl command in a shell block, from behind
/// `pivotctl`.
fn pivotctl_calls(block: &str) -> Vec<Vec<String>> {
    let joined = block.replace("\\\n", " ");
    let mut calls = Vec::new();
    for line in joined.lines() {
        let line = line.split(" #").next().unwrap_or_default();
        for part in line.split(['|', ';', '&', '<', '>', '(', ')']) {
            let mut words = part.split_whitespace().map(|word| word.trim_matches('`'));
            if words.any(|word| word == "pivotctl" || word.ends_with("/pivotctl")) {
                let call: Vec<String> = words.map(str::to_string).collect();
                calls.extend((!call.is_empty()).then_some(call));
            }
        }
    }
    calls
}

/// What is wrong with a call, by the program's own help.
fn wrong_with(call: &[String]) -> Option<String> {
    let help = |path: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pivotctl"));
        let output = command.args(path).arg("--help").output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let mut path = Vec::new();
    let mut shown = help(&path)?;
    for word in call {
        if word.starts_with('-') {
            continue;
        }
        // Words that are no subcommands are values; the first one must be.
        let is_listed = shown.lines().any(|line| {
            line.strip_prefix("  ").is_some_and(|rest| rest.split(' ').next() == Some(word))
        });
        let mut longer = path.clone();
        longer.push(word.as_str());
        match is_listed.then(|| help(&longer)).flatten() {
            Some(inner) => (path, shown) = (longer, inner),
            None if path.is_empty() => return Some(format!("there is no subcommand {word}")),
            None => break,
        }
    }
    let flags = call.iter().filter(|word| word.starts_with("--"));
    let names = flags.map(|flag| flag.split('=').next().unwrap_or_default());
    let known =
        |flag: &str| shown.split_whitespace().any(|word| word.trim_end_matches(',') == flag);
    let mut unknown = names.filter(|flag| *flag != "--version" && !known(flag));
    unknown.next().map(|flag| format!("{} has no {flag}", path.join(" ")))
}

#[test]
fn pages_name_subcommands_and_flags_that_exist() {
    let mut checked = 0;
    let mut seen = std::collections::BTreeSet::new();
    for page in ["README.md", "docs/OPERATIONS.md", "docs/RUNBOOK.md"] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for fence in fences(&text).into_iter().filter(|fence| fence.info.starts_with("sh")) {
            for call in pivotctl_calls(&fence.text) {
                checked += 1;
                if seen.insert(call.clone())
                    && let Some(wrong) = wrong_with(&call)
                {
                    panic!("{page}: pivotctl {}: {wrong}", call.join(" "));
                }
            }
        }
    }
    assert!(checked > 40, "{checked}");
}

#[test]
fn calls_that_are_wrong_are_told() {
    let wrong = |line: &str| wrong_with(&pivotctl_calls(line)[0]);
    assert_eq!(wrong("sudo -u pivot pivotctl status --config x | head"), None);
    assert_eq!(wrong("target/release/pivotctl config check --config=x"), None);
    assert!(wrong("pivotctl statu").is_some());
    assert!(wrong("pivotctl status --confg x").unwrap().contains("--confg"));
    assert!(wrong("pivotctl config check --online").is_some());
}

/// The rooms of the house, as its front door lists them.
fn rooms() -> Vec<String> {
    let door = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rooms = door.lines().filter_map(|line| line.strip_prefix("pub mod "));
    rooms.map(|room| room.trim_end_matches(';').to_string()).collect()
}

#[test]
fn the_map_names_every_room() {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for room in rooms() {
        assert!(map.contains(&format!("`{room}`")), "ARCHITECTURE.md does not name {room}");
    }
}

#[test]
fn the_engines_map_names_every_room_that_decides() {
    let text = fs::read_to_string(root().join("src/engine/mod.rs")).unwrap();
    let map: String = text.lines().filter(|line| line.starts_with("//! |")).collect();
    let private = text.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let rooms: Vec<&str> = private.filter(|room| *room != "tests").collect();
    assert!(rooms.len() > 15, "{rooms:?}");
    for room in rooms {
        assert!(map.contains(&format!("`{room}`")), "src/engine/mod.rs does not tell of {room}");
    }
}

/// Paths of modules in backquotes that begin with one of our rooms.
fn paths(text: &str) -> Vec<String> {
    let rooms = rooms();
    let quoted = text.split('`').skip(1).step_by(2);
    let ours = quoted.filter(|path| {
        path.split_once("::").is_some_and(|(first, _)| rooms.iter().any(|room| room == first))
    });
    // Variants and methods are looked for by the type before them.
    ours.map(|path| {
        let parts: Vec<&str> = path.split("::").collect();
        let upper = parts.iter().position(|part| part.starts_with(char::is_uppercase));
        upper.map_or_else(|| path.to_string(), |index| parts[..=index].join("::"))
    })
    .collect()
}

/// A path of modules such as `engine::exit`, and whether there is such a file
/// or folder. The last part may be a name within it.
fn leads_somewhere(path: &str) -> bool {
    let parts: Vec<&str> = path.split("::").collect();
    let Some((last, parents)) = parts.split_last() else { return false };
    let folder = parents.iter().fold(root().join("src"), |folder, part| folder.join(part));
    if folder.join(format!("{last}.rs")).exists() || folder.join(last).is_dir() {
        return true;
    }
    let mut inside = Vec::new();
    if folder.is_dir() {
        text_files(&folder, &mut inside);
    }
    inside.push(folder.with_extension("rs"));
    inside.iter().any(|file| {
        fs::read_to_string(file).is_ok_and(|text| {
            ["fn ", "struct ", "enum ", "trait ", "const ", "type "]
                .iter()
                .any(|kind| text.contains(&format!("{kind}{last}")))
        })
    })
}

#[test]
fn the_map_leads_somewhere() {
    for (page, least) in [("ARCHITECTURE.md", 30), ("docs/ORDERS.md", 20)] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        // Names of tests are looked for elsewhere, commands are none of ours.
        let text = text.split("```").step_by(2).collect::<String>();
        let paths: Vec<String> =
            paths(&text).into_iter().filter(|path| !path.contains(' ')).collect();
        for path in &paths {
            assert!(leads_somewhere(path), "{page} points to {path}");
        }
        assert!(paths.len() > least, "{page}: {}", paths.len());
    }
}

#[test]
fn nothing_names_somebodys_machine() {
    let own = root().join("tests/it/docs.rs");
    for file in files().into_iter().filter(|file| *file != own) {
        let text = fs::read_to_string(&file).unwrap_or_default();
        for path in MACHINE_PATHS {
            assert!(!text.contains(path), "{} contains {path}", file.display());
        }
    }
}

#[test]
fn no_notes_to_oneself() {
    for file in files().into_iter().filter(|file| file.extension().is_some_and(|kind| kind == "rs"))
    {
        let text = fs::read_to_string(&file).unwrap();
        for note in NOTES {
            assert!(!text.contains(note), "{} contains {note}", file.display());
        }
    }
}

/// The sources of program and tests, in one text.
fn sources() -> String {
    let is_source = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "rs");
    files()
        .iter()
        .filter(|file| is_source(file))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

/// The cells of the rows of a page's tables, without heads.
fn table_rows(page: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = page.lines().collect();
    let is_rule = |line: &str| line.starts_with("| ---");
    let mut rows = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let is_head = lines.get(index + 1).is_some_and(|next| is_rule(next));
        if line.starts_with('|') && !is_head && !is_rule(line) {
            let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_string());
            rows.push(cells.collect());
        }
    }
    rows
}

#[test]
fn every_row_of_the_order_policy_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/ORDERS.md")).unwrap();
    let sources = sources();
    let rows = table_rows(&page);
    assert!(rows.len() > 90, "{}", rows.len());
    for row in rows {
        let tests: Vec<&str> = row.last().unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "docs/ORDERS.md: no test shows {row:?}");
        for test in tests {
            let named = sources.contains(&format!("fn {test}("));
            assert!(named, "docs/ORDERS.md names {test}, which is no test");
        }
    }
}

#[test]
fn every_rule_of_reliability_is_named_where_it_lives() {
    let page = fs::read_to_string(root().join("docs/ORDERS.md")).unwrap();
    let sources = sources();
    for number in 1..=22 {
        let named = [format!("(M{number})"), format!("fn m{number}_")];
        assert!(named.iter().any(|name| sources.contains(name)), "M{number} is named nowhere");
        assert!(page.contains(&format!("| M{number} |")), "docs/ORDERS.md: M{number}");
    }
}

#[test]
fn m17_releases_stop_at_the_first_panic() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let release = manifest.split("[profile.release]").nth(1).unwrap().split("\n[").next().unwrap();
    for line in ["panic = \"abort\"", "overflow-checks = true"] {
        assert!(release.lines().any(|found| found == line), "{line}");
    }
}
