//! Guards the floors of the house: imports point downwards only, and the
//! pure rooms stay pure. Inside one package the compiler does not.

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import from the crate, besides itself.
const MAY_USE: [(&str, &[&str]); 19] = [
    ("market", &[]),
    ("engine", &["market"]),
    ("clock", &["market"]),
    ("config", &["market", "engine"]),
    ("telemetry", &["market", "clock", "config"]),
    ("chart", &["market"]),
    ("store", &["market", "engine", "clock"]),
    ("journal", &["market", "engine", "clock", "store"]),
    ("kite", &["market", "engine", "clock", "config", "telemetry"]),
    ("sim", &["market", "clock"]),
    ("service", &["market", "engine", "clock", "config", "telemetry", "store"]),
    (
        "upkeep",
        &["market", "engine", "clock", "config", "telemetry", "store", "journal", "service"],
    ),
    ("health", &["market", "engine", "clock", "config", "telemetry", "store", "service"]),
    ("backtest", &["market", "engine", "config"]),
    (
        "trading",
        &[
            "market",
            "engine",
            "clock",
            "config",
            "telemetry",
            "chart",
            "store",
            "journal",
            "kite",
            "sim",
            "service",
            "health",
        ],
    ),
    ("simtest", &["market", "engine", "clock", "store", "journal", "kite", "sim", "trading"]),
    (
        "web",
        &[
            "market",
            "engine",
            "clock",
            "config",
            "telemetry",
            "store",
            "service",
            "upkeep",
            "health",
        ],
    ),
    (
        "telegram",
        &[
            "market",
            "engine",
            "clock",
            "config",
            "telemetry",
            "store",
            "chart",
            "service",
            "upkeep",
            "health",
            "trading",
        ],
    ),
    (
        "ops",
        &[
            "market",
            "engine",
            "clock",
            "config",
            "telemetry",
            "chart",
            "store",
            "journal",
            "kite",
            "sim",
            "service",
            "upkeep",
            "health",
            "backtest",
            "trading",
            "simtest",
            "web",
            "telegram",
        ],
    ),
];

/// Words that a pure room must not contain outside its tests.
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time",
    "SystemTime",
    "Utc::now",
    "Local::now",
    "HashMap",
    "HashSet",
    "tokio",
    "serde",
    "tracing",
    "rusqlite",
    "reqwest",
];

/// Where floats may stand in the pure rooms: between money and JSON or
/// pictures, and in how alike two misspelt names are.
const FLOAT_EDGES: [&str; 2] = ["market/money.rs", "engine/strategy/parameters.rs"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The room a file belongs to: its first folder under `src`.
fn room(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).unwrap();
    let first = relative.components().next()?.as_os_str().to_str()?;
    Some(first.trim_end_matches(".rs").to_string())
}

/// Code without comments, and without the items that only tests see.
fn production(text: &str) -> String {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() == "#[cfg(test)]" {
            skip_item(&mut lines);
        } else if !line.trim_start().starts_with("//") {
            kept.push(line);
        }
    }
    kept.join("\n")
}

/// Skips the item after an attribute: to its semicolon, or to the closing
/// brace that stands as far in as the item begins (sources are formatted).
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>) {
    let Some(first) = lines.find(|line| !line.trim_start().starts_with("#[")) else { return };
    if first.ends_with(';') || first.ends_with('}') {
        return;
    }
    let indent = &first[..first.len() - first.trim_start().len()];
    lines.find(|line| *line == format!("{indent}}}") || *line == format!("{indent}}};"));
}

#[test]
fn code_after_a_test_item_is_read_too() {
    let text = "use a;\n#[cfg(test)]\nmod tests;\nuse b;\n// no\n    #[cfg(test)]\n    #[x]\n    fn f() {\n        {}\n    }\nuse c;";
    assert_eq!(production(text), "use a;\nuse b;\nuse c;");
}

fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
        || path.file_stem().is_some_and(|stem| stem == "tests")
}

#[test]
fn imports_point_downwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = BTreeSet::new();
    for path in files {
        let Some(from) = room(&root, &path) else { continue };
        if from == "lib" || from == "bin" || is_test_file(&path) {
            continue;
        }
        let may = allowed.get(from.as_str()).unwrap_or_else(|| panic!("room {from} has no floor"));
        let code = production(&fs::read_to_string(&path).unwrap());
        for (to, _) in &MAY_USE {
            let named = code.contains(&format!("crate::{to}::"))
                || code.contains(&format!("crate::{to};"))
                || code.contains(&format!("crate::{to} "));
            if named && *to != from && !may.contains(to) {
                wrong.insert(format!("{} uses crate::{to}", path.display()));
            }
        }
        let grouped = code.split("use crate::{").skip(1).any(|rest| {
            let group = rest.split('}').next().unwrap_or_default();
            MAY_USE.iter().any(|(to, _)| group.contains(&format!("{to}::")))
        });
        assert!(!grouped, "{}: import room by room", path.display());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn market_and_engine_are_pure() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for pure in ["market", "engine"] {
        let mut files = Vec::new();
        sources(&root.join(pure), &mut files);
        for path in files.into_iter().filter(|path| !is_test_file(path)) {
            let code = production(&fs::read_to_string(&path).unwrap());
            for word in IMPURE {
                if code.contains(word) {
                    wrong.push(format!("{} contains {word}", path.display()));
                }
            }
            let is_edge = FLOAT_EDGES.iter().any(|edge| path.ends_with(edge));
            if !is_edge && (code.contains("f64") || code.contains("f32")) {
                wrong.push(format!("{} contains a float", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn mains_are_thin() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let mut files = Vec::new();
    sources(&folder, &mut files);
    assert_eq!(files.len(), 4);
    for path in files {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines < 60, "{} has {lines} lines", path.display());
    }
}
