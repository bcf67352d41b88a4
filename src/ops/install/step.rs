//! The single things that are done, each said before and carried out by the
//! same value.

use std::fmt;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::ErrorKind::{DirectoryNotEmpty, NotFound};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Who owns a file: a name, and its numbers when they are known already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    /// The user; `None` keeps root.
    pub(super) user: Option<String>,
    pub(super) group: Option<String>,
}

impl Owner {
    pub(super) const ROOT: Owner = Owner { user: None, group: None };

    pub(super) fn user(name: &str) -> Owner {
        Owner { user: Some(name.to_string()), group: Some(name.to_string()) }
    }

    pub(super) fn group(name: &str) -> Owner {
        Owner { user: None, group: Some(name.to_string()) }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "root".to_string());
        write!(f, "{}:{}", name(&self.user), name(&self.group))
    }
}

/// One change. Paths are those of the machine, below the root in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    AddUser { name: String, home: PathBuf, sysusers: PathBuf },
    RemoveUser { name: String },
    MakeFolder { path: PathBuf, mode: u32, owner: Option<Owner> },
    SetAccess { path: PathBuf, mode: u32, owner: Option<Owner> },
    CopyProgram { from: PathBuf, to: PathBuf },
    WriteFile { path: PathBuf, text: String },
    KeepAside { path: PathBuf },
    RemoveFile { path: PathBuf },
    RemoveTree { path: PathBuf },
    RemoveIfEmpty { path: PathBuf },
    Systemctl { arguments: Vec<String> },
}

/// What kept a step from being done.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    #[error("could not {step}")]
    Files {
        step: String,
        #[source]
        source: io::Error,
    },
    #[error("could not {step}: {said}")]
    Program { step: String, said: String },
    #[error("there is no user or group {name}; systemd-sysusers or useradd makes it")]
    NoUser { name: String },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owned = |owner: &Option<Owner>| {
            owner.as_ref().map(|owner| format!(", owner {owner}")).unwrap_or_default()
        };
        match self {
            Step::AddUser { name, .. } => write!(f, "add the system user {name}"),
            Step::RemoveUser { name } => write!(f, "remove the user {name}"),
            Step::MakeFolder { path, mode, owner } => {
                write!(f, "make {}, mode {mode:o}{}", path.display(), owned(owner))
            }
            Step::SetAccess { path, mode, owner } => {
                write!(f, "set {} to mode {mode:o}{}", path.display(), owned(owner))
            }
            Step::CopyProgram { from, to } => {
                write!(f, "copy {} to {}", from.display(), to.display())
            }
            Step::WriteFile { path, .. } => write!(f, "write {}", path.display()),
            Step::KeepAside { path } => {
                write!(f, "keep {} as {}", path.display(), aside(path).display())
            }
            Step::RemoveFile { path } => write!(f, "remove {}", path.display()),
            Step::RemoveTree { path } => write!(f, "remove {} and all in it", path.display()),
            Step::RemoveIfEmpty { path } => write!(f, "remove {} if empty", path.display()),
            Step::Systemctl { arguments } => write!(f, "run systemctl {}", arguments.join(" ")),
        }
    }
}

/// Where a file of the operator's is kept: systemd reads no such name.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".orig");
    PathBuf::from(name)
}

/// The same, with a number when earlier ones are kept there.
fn free_aside(path: &Path) -> PathBuf {
    let first = aside(path);
    let numbered = |number: u32| {
        let mut name = first.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut names = std::iter::once(first.clone()).chain((1..).map(numbered));
    names.find(|name| !name.exists()).unwrap_or(first)
}

/// Does one step. Done twice it does no harm.
pub(super) fn carry_out(step: &Step, layout: &super::layout::Layout) -> Result<(), StepError> {
    let failed = |source| StepError::Files { step: step.to_string(), source };
    let here = |path: &Path| layout.here(path);
    match step {
        Step::AddUser { name, home, sysusers } => add_user(step, name, home, sysusers),
        Step::RemoveUser { name } => program(step, Command::new("userdel").arg(name)),
        Step::MakeFolder { path, mode, owner } => {
            DirBuilder::new().recursive(true).mode(*mode).create(here(path)).map_err(failed)?;
            set_access(&here(path), *mode, owner.as_ref(), failed)
        }
        Step::SetAccess { path, mode, owner } => {
            set_access(&here(path), *mode, owner.as_ref(), failed)
        }
        Step::CopyProgram { from, to } => {
            let content = fs::read(from).map_err(failed)?;
            replace(&here(to), &content, 0o755).map_err(failed)
        }
        Step::WriteFile { path, text } => {
            replace(&here(path), text.as_bytes(), 0o644).map_err(failed)
        }
        Step::KeepAside { path } => fs::rename(here(path), free_aside(&here(path))).map_err(failed),
        Step::RemoveFile { path } => match fs::remove_file(here(path)) {
            Err(error) if error.kind() != NotFound => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        },
        Step::RemoveTree { path } => match fs::remove_dir_all(here(path)) {
            Err(error) if error.kind() != NotFound => Err(failed(error)),
            Ok(()) | Err(_) => Ok(()),
        },
        Step::RemoveIfEmpty { path } => match fs::remove_dir(here(path)) {
            Err(error) if ![NotFound, DirectoryNotEmpty].contains(&error.kind()) => {
                Err(failed(error))
            }
            Ok(()) | Err(_) => Ok(()),
        },
        Step::Systemctl { arguments } => program(step, Command::new("systemctl").args(arguments)),
    }
}

fn set_access(
    path: &Path,
    mode: u32,
    owner: Option<&Owner>,
    failed: impl Fn(io::Error) -> StepError,
) -> Result<(), StepError> {
    if let Some(owner) = owner {
        let user = owner.user.as_deref().map_or(Ok(0), |name| number("/etc/passwd", name))?;
        let group = owner.group.as_deref().map_or(Ok(0), |name| number("/etc/group", name))?;
        std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(&failed)?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed)
}

/// The number of a user or group of this machine.
fn number(list: &str, name: &str) -> Result<u32, StepError> {
    let text = fs::read_to_string(list).unwrap_or_default();
    find_number(&text, name).ok_or_else(|| StepError::NoUser { name: name.to_string() })
}

/// The third field of the line that begins with a name.
pub(super) fn find_number(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| match fields.next() == Some(name) {
        true => fields.nth(1).and_then(|number| number.parse().ok()),
        false => None,
    })
}

/// Writes beside and renames: a program that runs keeps its old file, and
/// nobody ever sees half of one.
fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let write = || {
        let _ = fs::remove_file(&new);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

fn add_user(step: &Step, name: &str, home: &Path, sysusers: &Path) -> Result<(), StepError> {
    let made = program(step, Command::new("systemd-sysusers").arg(sysusers));
    if made.is_ok() && number("/etc/passwd", name).is_ok() {
        return Ok(());
    }
    let mut useradd = Command::new("useradd");
    useradd.args(["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]);
    program(step, useradd.arg("--home-dir").arg(home).arg(name))
}

fn program(step: &Step, command: &mut Command) -> Result<(), StepError> {
    let failed = |said: String| StepError::Program { step: step.to_string(), said };
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        failed(format!("{} does not run: {error}", command.get_program().display()))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.lines().last().unwrap_or("it says nothing").trim().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_whole_name() {
        let text = "root:x:0:0:root:/root:/bin/bash\npivot-a:x:7:8::/:/\npivot:x:5:6::/:/\n";
        assert_eq!(find_number(text, "pivot"), Some(5));
        assert_eq!(find_number(text, "pivo"), None);
        assert_eq!(find_number("pivot:x:many:", "pivot"), None);
    }

    #[test]
    fn what_was_kept_aside_is_not_lost_to_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let layout = super::super::layout::Layout {
            root: folder.path().into(),
            prefix: "/usr/local".into(),
            account: None,
        };
        for content in ["one", "two", "three"] {
            fs::write(folder.path().join("unit"), content).unwrap();
            carry_out(&Step::KeepAside { path: "/unit".into() }, &layout).unwrap();
        }
        for (name, content) in
            [("unit.orig", "one"), ("unit.orig.1", "two"), ("unit.orig.2", "three")]
        {
            assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), content);
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inner/file");
        for content in ["one", "two"] {
            replace(&path, content.as_bytes(), 0o755).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_dir(folder.path().join("inner")).unwrap().count(), 1);
    }
}
