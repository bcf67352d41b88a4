//! Looks at the machine. Changes nothing.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use super::layout::{Layout, PROGRAMS};
use super::plan::{Access, Folder, Found, Inspected, folders};
use super::receipt::Receipt;
use super::shipped::{Shipped, shared, user_line};
use super::step::{Owner, find_number};
use crate::config::Config;
use crate::service::in_full;

/// What is there of all that an installation wants. `programs` is the folder
/// of the four programs.
pub(super) fn inspect(layout: &Layout, programs: &Path) -> anyhow::Result<Inspected> {
    let receipt_text = text_of(&layout.here(&layout.receipt()))?.unwrap_or_default();
    let receipt = Receipt::parse(&receipt_text);
    let package = layout.package();
    let mut shipped = vec![user_line(layout)];
    let mut copies = Vec::new();
    if package.is_none() {
        shipped.extend(shared(layout)?);
        for name in PROGRAMS {
            let (from, to) = (programs.join(name), layout.programs().join(name));
            let state = program(&from, &layout.here(&to))?;
            copies.push((from, to, state));
        }
    }
    let files = shipped.into_iter().map(|file| {
        let found = file_state(layout, &file, &receipt)?;
        Ok((file, found))
    });
    let folders = folders(layout).into_iter().map(|folder| {
        let access = folder_access(layout, &folder);
        (folder, access)
    });
    let config = Folder {
        path: layout.config(),
        mode: 0o600,
        owner: layout.is_real().then(|| Owner::user(&layout.user())),
    };
    let systemd = layout.is_real() && Path::new("/run/systemd/system").exists();
    let is = |question: &str, units: &[String]| {
        systemd && units.iter().all(|unit| systemctl_says_yes(question, unit))
    };
    Ok(Inspected {
        has_user: has_user(layout),
        files: files.collect::<anyhow::Result<_>>()?,
        folders: folders.collect(),
        programs: copies,
        config: folder_access(layout, &config),
        config_fault: config_fault(layout),
        receipt,
        receipt_text,
        package,
        systemd,
        enabled: is("is-enabled", &layout.enabled()),
        active: is("is-active", &[layout.target()]),
    })
}

/// The folder of the program that runs.
pub(super) fn programs_beside() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("could not tell where this program is")?;
    let folder = own.parent().context("this program is in no folder")?;
    Ok(folder.to_owned())
}

pub(super) fn has_user(layout: &Layout) -> bool {
    let text = fs::read_to_string(layout.here(Path::new("/etc/passwd"))).unwrap_or_default();
    find_number(&text, &layout.user()).is_some()
}

pub(super) fn file_state(
    layout: &Layout,
    file: &Shipped,
    receipt: &Receipt,
) -> anyhow::Result<Found> {
    Ok(match text_of(&layout.here(&file.path))? {
        None => Found::Missing,
        Some(text) if text == file.text => Found::Same,
        Some(text) if receipt.wrote(&file.path, text.as_bytes()) => Found::Installed,
        Some(_) => Found::Changed,
    })
}

/// The text of a file, when there is one. What is no text is told apart from
/// everything that is.
pub(super) fn text_of(path: &Path) -> anyhow::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

fn program(from: &Path, to: &Path) -> anyhow::Result<Found> {
    let ours = fs::read(from).with_context(|| {
        let from = from.display();
        format!("could not read {from}: the four programs are installed from one folder")
    })?;
    match fs::read(to) {
        Ok(theirs) if theirs == ours => Ok(Found::Same),
        Ok(_) => Ok(Found::Installed),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Found::Missing),
        Err(error) => Err(error).with_context(|| format!("could not read {}", to.display())),
    }
}

fn folder_access(layout: &Layout, folder: &Folder) -> Access {
    let Ok(there) = fs::metadata(layout.here(&folder.path)) else { return Access::Missing };
    let mode = there.permissions().mode() & 0o7777;
    let mut wrong = Vec::new();
    if mode != folder.mode {
        wrong.push(format!("mode {mode:o}"));
    }
    if let Some(owner) = &folder.owner {
        let number = |list: &str, name: &Option<String>| match name {
            None => Some(0),
            Some(name) => find_number(&fs::read_to_string(list).unwrap_or_default(), name),
        };
        let user = number("/etc/passwd", &owner.user);
        let group = number("/etc/group", &owner.group);
        if user != Some(there.uid()) || group != Some(there.gid()) {
            wrong.push(format!("owner {}:{}", there.uid(), there.gid()));
        }
    }
    if wrong.is_empty() { Access::Right } else { Access::Wrong(wrong.join(", ")) }
}

fn config_fault(layout: &Layout) -> Option<String> {
    let path = layout.here(&layout.config());
    if !path.exists() {
        let shown = layout.config();
        return Some(format!(
            "there is no configuration: pivotctl init --config {}",
            shown.display()
        ));
    }
    // Secrets that systemd hands over are seen by the services alone.
    let elsewhere = layout.here(&layout.etc()).join("credentials").exists();
    match Config::load(&path) {
        Err(error) if !elsewhere => Some(in_full(&error)),
        Ok(_) | Err(_) => None,
    }
}

pub(super) fn systemctl_says_yes(question: &str, unit: &str) -> bool {
    let asked = Command::new("systemctl")
        .args([question, "--quiet", unit])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success())
}
