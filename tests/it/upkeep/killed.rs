//! `pivotctl backup restore --force`, killed before each of its steps on the
//! file system: the data folder is wholly the old one or wholly the new one,
//! nothing of the old one is lost, and the next restore leaves all in order.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Desk, Writer};

/// A folder's files and what they hold; without locks, which tell of
/// processes only.
type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let text = name.to_str().unwrap();
        if entry.file_type().unwrap().is_dir() {
            let inner = files(&entry.path()).into_iter();
            found.extend(inner.map(|(path, bytes)| (Path::new(&name).join(path), bytes)));
            continue;
        }
        let bytes = fs::read(entry.path()).unwrap();
        // Whoever looks into a database leaves these.
        let is_passing = text.ends_with("-shm") || text.ends_with("-wal") && bytes.is_empty();
        if !is_passing && !text.ends_with(".lock") && text != ".restoring" {
            found.insert(name.into(), bytes);
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The library that kills; `None` where there is no C compiler.
fn killer(folder: &Path) -> Option<PathBuf> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/upkeep/killer.c");
    let library = folder.join("killer.so");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let compiled = Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(source)
        .arg("-ldl")
        .status();
    compiled.is_ok_and(|status| status.success()).then_some(library)
}

struct Place {
    desk: Desk,
    archive: String,
    library: PathBuf,
}

impl Place {
    fn restore(&self, variable: &str, value: &str) -> std::process::ExitStatus {
        Command::new(env!("CARGO_BIN_EXE_pivotctl"))
            .args(["backup", "restore", self.archive.as_str(), "--force"])
            .current_dir(&self.desk.folder)
            .env_remove("PIVOT_DATA_DIR")
            .env("LD_PRELOAD", &self.library)
            .env(variable, value)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
    }

    /// What stands beside the data folder, by how its names begin.
    fn beside(&self, begin: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.desk.folder).unwrap().map(|entry| entry.unwrap());
        let of = |entry: &fs::DirEntry| entry.file_name().to_str().unwrap().starts_with(begin);
        entries.filter(of).map(|entry| entry.path()).collect()
    }

    /// The old data in its place and nothing beside it.
    fn reset(&self) {
        for begin in ["data", ".pivot-unfinished-"] {
            for path in self.beside(begin) {
                fs::remove_dir_all(path).unwrap();
            }
        }
        copy(&self.desk.path("old"), &self.desk.path("data"));
    }
}

#[test]
fn a_restore_that_is_killed_at_any_step_leaves_the_old_data_or_the_new() {
    let desk = Desk::new();
    let Some(library) = killer(desk.folder.path()) else {
        println!("skipped: there is no C compiler");
        return;
    };
    let made = desk.json(&["backup", "create"]);
    let archive = made["archive"].as_str().unwrap().to_string();
    // The day went on, and people left something there.
    let mut writer = Writer::new(&desk.path("data"));
    writer.next = 3;
    writer.commit();
    drop(writer);
    fs::write(desk.path("data/HALT"), "stop").unwrap();
    copy(&desk.path("data"), &desk.path("old"));
    let place = Place { desk, archive, library };
    let old = files(&place.desk.path("old"));

    let counted = place.desk.path("count");
    let done = place.restore("PIVOT_KILL_COUNT", counted.to_str().unwrap());
    assert!(done.success(), "{done}");
    let steps: usize = fs::read_to_string(&counted).unwrap().parse().unwrap();
    let new = files(&place.desk.path("data"));
    assert_ne!(new, old);
    assert_eq!(new[Path::new("HALT")], b"stop");
    let (mut kept_old, mut took_new) = (0, 0);
    println!("{steps} steps");
    for step in 1..=steps {
        place.reset();
        let status = place.restore("PIVOT_KILL_AT", &step.to_string());
        assert_eq!(status.signal(), Some(9), "step {step} of {steps}: {status}");
        let now = files(&place.desk.path("data"));
        assert!(now == old || now == new, "step {step}: {:?}", now.keys());
        kept_old += usize::from(now == old);
        took_new += usize::from(now == new);
        let somewhere = place.beside("data").iter().any(|folder| files(folder) == old);
        assert!(somewhere, "step {step}: the old data is nowhere");
        // And the next one finds its way, from the steps that matter.
        if place.beside("data.").is_empty() && step % 16 != 0 {
            continue;
        }
        let done = place.restore("PIVOT_KILL_AT", "0");
        assert!(done.success(), "after step {step}: {done}");
        assert_eq!(files(&place.desk.path("data")), new, "after step {step}");
        assert!(!place.desk.path("data/.restoring").exists());
        let left = [place.beside("data.restoring-"), place.beside(".pivot-unfinished-")].concat();
        assert_eq!(left, Vec::<PathBuf>::new(), "after step {step}");
        let before = place.beside("data.before-restore-");
        assert!(before.iter().any(|folder| files(folder) == old), "after step {step}: {before:?}");
    }
    assert!(kept_old > 0 && took_new > 0, "{kept_old} {took_new}");
}
