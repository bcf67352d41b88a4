//! Files within a room do not import each other in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{is_test_file, production, sources};

/// The names that a `use` line brings in, each whole: `a::{b, c::d}` is
/// `a::b` and `a::c::d`.
fn spelled_out(import: &str) -> Vec<String> {
    let import: String = import.chars().filter(|letter| !letter.is_whitespace()).collect();
    let Some((before, group)) = import.split_once('{') else { return vec![import] };
    let (mut names, mut name, mut depth) = (Vec::new(), String::new(), 0_u32);
    for letter in group.chars() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(std::mem::take(&mut name));
                continue;
            }
            _ => {}
        }
        name.push(letter);
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names.iter().flat_map(|name| spelled_out(&format!("{before}{name}"))).collect()
}

/// A file's place in the crate: `src/web/logs.rs` is `web::logs`.
fn module(root: &Path, path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root).unwrap().with_extension("");
    let mut parts: Vec<String> =
        relative.iter().map(|part| part.to_str().unwrap().to_string()).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}

/// Where a name of `from` is to be found, as a path within the crate.
fn resolved(from: &[String], name: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = name.split("::").map(str::to_string).collect();
    let mut base = match parts.first()?.as_str() {
        "crate" => Vec::new(),
        "super" | "self" => from.to_vec(),
        _ => return None,
    };
    while let Some("crate" | "self" | "super") = parts.first().map(String::as_str) {
        if parts.remove(0) == "super" {
            base.pop();
        }
    }
    base.append(&mut parts);
    Some(base)
}

/// The modules that one imports from. Those around it are not among them:
/// they hand names on.
fn imports(from: &[String], code: &str, all: &BTreeSet<Vec<String>>) -> BTreeSet<Vec<String>> {
    let lines = code.split(';').filter_map(|item| {
        let item = item.trim_start();
        let item = item.rsplit_once("\nuse ").map_or(item, |(_, import)| import);
        let import = item.strip_prefix("use ").unwrap_or(item);
        let is_path = ["crate::", "super::", "self::"].iter().any(|root| import.starts_with(root));
        is_path.then(|| import.to_string())
    });
    let names = lines.flat_map(|import| spelled_out(&import)).collect::<Vec<_>>();
    let found = names.iter().filter_map(|name| {
        let full = resolved(from, name)?;
        (1..=full.len()).rev().map(|length| full[..length].to_vec()).find(|it| all.contains(it))
    });
    found.filter(|to| !from.starts_with(to)).collect()
}

/// Takes away what imports nothing that is left, until nothing changes: what
/// stays is in a circle, or above one.
fn circles(mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>>) -> Vec<String> {
    loop {
        let before = edges.len();
        let left: BTreeSet<Vec<String>> = edges.keys().cloned().collect();
        edges.retain(|_, uses| uses.iter().any(|to| left.contains(to)));
        if edges.len() == before {
            break;
        }
    }
    // And what nobody in a circle imports is only above one.
    loop {
        let used: BTreeSet<Vec<String>> = edges.values().flatten().cloned().collect();
        let before = edges.len();
        edges.retain(|from, _| used.contains(from));
        if edges.len() == before {
            break;
        }
    }
    edges.keys().map(|parts| parts.join("::")).collect()
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files.retain(|path| !is_test_file(path));
    let all: BTreeSet<Vec<String>> = files.iter().map(|path| module(&root, path)).collect();
    let edges = files.iter().map(|path| {
        let (from, code) = (module(&root, path), production(&fs::read_to_string(path).unwrap()));
        let uses = imports(&from, &code, &all);
        (from, uses)
    });
    let edges: BTreeMap<_, _> = edges.collect();
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 1_000, "imports are not found");
    let circles = circles(edges);
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found_and_what_is_above_it_is_not_one() {
    let of = |name: &str| vec!["room".to_string(), name.to_string()];
    let all = BTreeSet::from(["a", "b", "c", "d"].map(of));
    let uses = |from: &str, code: &str| (of(from), imports(&of(from), code, &all));
    let edges = BTreeMap::from([
        uses("a", "use super::b::{self, One};"),
        uses("b", "use std::fmt;\nuse super::{c::Two, d::Three};"),
        uses("c", "use crate::room::a::Four;"),
        uses("d", "use super::Five;"),
    ]);
    assert_eq!(circles(edges.clone()), ["room::a", "room::b", "room::c"]);
    let mut open = edges;
    open.insert(of("c"), BTreeSet::from([of("d")]));
    assert_eq!(circles(open), Vec::<String>::new());
}
