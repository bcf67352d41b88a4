//! What this one program brings along.

use std::path::PathBuf;

use clap_complete::Shell;

use super::layout::Layout;
use crate::ops::{cli, completions, man};

/// A file as it is to be on the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct Shipped {
    pub(in crate::ops) path: PathBuf,
    pub(in crate::ops) text: String,
    pub(in crate::ops) group: Group,
}

/// What files are told together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ops) enum Group {
    Units,
    Settings,
    Manual,
    Completions,
    Examples,
}

impl Group {
    pub(super) const ALL: [Group; 5] =
        [Group::Settings, Group::Units, Group::Manual, Group::Completions, Group::Examples];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Group::Units => "units",
            Group::Settings => "system users",
            Group::Manual => "manual pages",
            Group::Completions => "completions",
            Group::Examples => "examples",
        }
    }
}

macro_rules! units {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../systemd/", $name)))),+]
    };
}

pub(in crate::ops) const UNITS: [(&str, &str); 20] = units![
    "pivot.target",
    "pivot-auth.service",
    "pivot-trading.service",
    "pivot-bot.service",
    "pivot-alert@.service",
    "pivot-auth-restart.service",
    "pivot-auth-restart.timer",
    "pivot-trading-restart.service",
    "pivot-trading-restart.timer",
    "pivot@.target",
    "pivot-auth@.service",
    "pivot-trading@.service",
    "pivot-bot@.service",
    "pivot-alert-auth@.service",
    "pivot-alert-trading@.service",
    "pivot-alert-bot@.service",
    "pivot-auth-restart@.service",
    "pivot-auth-restart@.timer",
    "pivot-trading-restart@.service",
    "pivot-trading-restart@.timer",
];

/// Where the units of the sources look for the programs.
const PROGRAMS_USUAL: &str = "/usr/local/bin/";

const SYSUSERS: &str = include_str!("../../../systemd/sysusers.conf");
const TMPFILES: &str = include_str!("../../../systemd/tmpfiles.conf");
const NGINX: &str = include_str!("../../../systemd/nginx.example.conf");
const CRONTAB: &str = include_str!("../../../systemd/crontab.example");
const CONFIG: &str = include_str!("../../../config.example.json");

/// What a unit says for programs in the folder of a layout.
pub(in crate::ops) fn unit_text(text: &str, programs: &std::path::Path) -> String {
    text.replace(PROGRAMS_USUAL, &format!("{}/", programs.display()))
}

/// The user of the services, as systemd-sysusers reads it.
pub(super) fn user_line(layout: &Layout) -> Shipped {
    let text = match &layout.account {
        None => SYSUSERS.to_string(),
        Some(account) => format!(
            "# The user that the services of account {0} run as.\n\
             u {1} - \"pivot-trading of {0}\" {2} /usr/sbin/nologin\n",
            account.as_str(),
            layout.user(),
            layout.data().display()
        ),
    };
    Shipped { path: layout.sysusers(), text, group: Group::Settings }
}

/// What all accounts of a machine share.
pub(super) fn shared(layout: &Layout) -> anyhow::Result<Vec<Shipped>> {
    let file = |path: PathBuf, text: &str, group| Shipped { path, text: text.to_string(), group };
    let mut files = Vec::new();
    if let Some(path) = layout.tmpfiles() {
        files.push(file(path, TMPFILES, Group::Settings));
    }
    for (name, text) in UNITS {
        let text = unit_text(text, &layout.programs());
        files.push(Shipped { path: layout.units().join(name), text, group: Group::Units });
    }
    let share = layout.share();
    for page in man::pages(&cli())? {
        let path = share.join("man/man1").join(&page.file);
        files.push(Shipped { path, text: page.text, group: Group::Manual });
    }
    for (shell, place) in [
        (Shell::Bash, "bash-completion/completions/pivotctl"),
        (Shell::Zsh, "zsh/site-functions/_pivotctl"),
        (Shell::Fish, "fish/vendor_completions.d/pivotctl.fish"),
    ] {
        let text = completions::script(shell)?;
        files.push(Shipped { path: share.join(place), text, group: Group::Completions });
    }
    let examples = share.join("pivot-trading/examples");
    for (name, text) in
        [("nginx.conf", NGINX), ("crontab", CRONTAB), ("config.example.json", CONFIG)]
    {
        files.push(file(examples.join(name), text, Group::Examples));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_the_sources_is_brought_along() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
        let is_unit = |name: &String| {
            [".service", ".timer", ".target"].iter().any(|kind| name.ends_with(kind))
        };
        let mut found: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(is_unit)
            .collect();
        found.sort();
        let mut ours: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        ours.sort_unstable();
        assert_eq!(found, ours);
    }

    #[test]
    fn units_name_the_programs_where_they_are() {
        let layout = Layout { root: "/".into(), prefix: "/opt/pivot".into(), account: None };
        for file in shared(&layout).unwrap() {
            let in_a_unit = file.group == Group::Units && file.text.contains("/usr/local/bin");
            assert!(!in_a_unit, "{}", file.path.display());
        }
        let trading = shared(&layout).unwrap().into_iter().find(|file| {
            file.path == std::path::Path::new("/etc/systemd/system/pivot-trading.service")
        });
        assert!(trading.unwrap().text.contains("ExecStart=/opt/pivot/bin/pivot-trading --config"));
    }
}
