//! Where everything goes, and under which names.

use std::path::{Path, PathBuf};

/// An account of its own on a machine that trades several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct Account(String);

/// Longest name: with `pivot-` before it, it must do for a user.
const ACCOUNT_LEN_MAX: usize = 24;

impl Account {
    /// Reads a name that can stand in names of units, users and folders.
    pub(in crate::ops) fn parse(text: &str) -> Result<Account, String> {
        let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
        let good = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        if begins && text.len() <= ACCOUNT_LEN_MAX && text.chars().all(good) {
            return Ok(Account(text.to_string()));
        }
        Err(format!(
            "expected a letter and then up to {} small letters and digits, was {text:?}",
            ACCOUNT_LEN_MAX - 1
        ))
    }

    pub(in crate::ops) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What is installed where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// `/`, or a folder that stands for it.
    pub(super) root: PathBuf,
    /// Folder of `bin` and `share`, `/usr/local` for instance.
    pub(super) prefix: PathBuf,
    pub(super) account: Option<Account>,
}

/// The four programs.
pub(super) const PROGRAMS: [&str; 4] = ["pivot-auth", "pivot-trading", "pivot-bot", "pivotctl"];

impl Layout {
    /// True for the machine itself: users are made, systemd is told.
    pub(super) fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// True when a package owns the files: then they go where a vendor's do.
    fn is_vendors(&self) -> bool {
        self.prefix == Path::new("/usr")
    }

    /// Where a path of the machine is from here.
    pub(super) fn here(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn programs(&self) -> PathBuf {
        self.prefix.join("bin")
    }

    pub(super) fn units(&self) -> PathBuf {
        let folder = if self.is_vendors() { "/usr/lib/systemd/system" } else { UNITS_OWN };
        PathBuf::from(folder)
    }

    pub(super) fn sysusers(&self) -> PathBuf {
        let folder = if self.is_vendors() { "/usr/lib/sysusers.d" } else { "/etc/sysusers.d" };
        PathBuf::from(folder).join(format!("{}.conf", self.folder_name()))
    }

    /// Only a package needs it: who installs by hand makes folders at once.
    pub(super) fn tmpfiles(&self) -> Option<PathBuf> {
        self.is_vendors().then(|| PathBuf::from("/usr/lib/tmpfiles.d/pivot-trading.conf"))
    }

    pub(super) fn share(&self) -> PathBuf {
        self.prefix.join("share")
    }

    /// What was installed, with digests.
    pub(super) fn receipt(&self) -> PathBuf {
        self.share().join("pivot-trading/installed")
    }

    /// The user that the services run as.
    pub(super) fn user(&self) -> String {
        self.named("pivot")
    }

    /// Folder of configurations, of all accounts.
    pub(super) fn etc_of_all(&self) -> PathBuf {
        PathBuf::from("/etc/pivot-trading")
    }

    pub(super) fn etc(&self) -> PathBuf {
        match &self.account {
            Some(account) => self.etc_of_all().join(account.as_str()),
            None => self.etc_of_all(),
        }
    }

    pub(super) fn config(&self) -> PathBuf {
        self.etc().join("config.json")
    }

    pub(super) fn data(&self) -> PathBuf {
        Path::new("/var/lib").join(self.folder_name())
    }

    pub(super) fn logs(&self) -> PathBuf {
        Path::new("/var/log").join(self.folder_name())
    }

    fn folder_name(&self) -> String {
        self.named("pivot-trading")
    }

    fn named(&self, name: &str) -> String {
        match &self.account {
            Some(account) => format!("{name}-{}", account.as_str()),
            None => name.to_string(),
        }
    }

    /// The unit that stands for all of them.
    pub(super) fn target(&self) -> String {
        self.unit("pivot", "target")
    }

    /// What is enabled to have it run.
    pub(super) fn enabled(&self) -> [String; 3] {
        [
            self.target(),
            self.unit("pivot-auth-restart", "timer"),
            self.unit("pivot-trading-restart", "timer"),
        ]
    }

    /// The three services.
    pub(super) fn services(&self) -> [String; 3] {
        ["pivot-trading", "pivot-auth", "pivot-bot"].map(|stem| self.unit(stem, "service"))
    }

    fn unit(&self, stem: &str, kind: &str) -> String {
        match &self.account {
            Some(account) => format!("{stem}@{}.{kind}", account.as_str()),
            None => format!("{stem}.{kind}"),
        }
    }

    /// A package's unit, when a package brought the programs.
    pub(super) fn package(&self) -> Option<PathBuf> {
        if self.is_vendors() {
            return None;
        }
        let folders = ["/usr/lib/systemd/system", "/lib/systemd/system"];
        let units = folders.map(|folder| Path::new(folder).join("pivot-trading.service"));
        units.into_iter().find(|unit| self.here(unit).exists())
    }
}

/// Folders of data and of logs for a configuration that is where the units
/// look for it.
pub(in crate::ops) fn folders_of(config: &Path) -> Option<(PathBuf, PathBuf)> {
    let account = match config.strip_prefix("/etc/pivot-trading").ok()?.parent()?.to_str()? {
        "" => None,
        name => Some(Account::parse(name).ok()?),
    };
    let layout = Layout { root: "/".into(), prefix: "/usr/local".into(), account };
    Some((layout.data(), layout.logs()))
}

const UNITS_OWN: &str = "/etc/systemd/system";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_names_everything_of_its_own() {
        let layout = |account: Option<&str>| Layout {
            root: "/".into(),
            prefix: "/usr/local".into(),
            account: account.map(|name| Account::parse(name).unwrap()),
        };
        let (one, mine) = (layout(None), layout(Some("mine")));
        assert_eq!((one.user().as_str(), mine.user().as_str()), ("pivot", "pivot-mine"));
        assert_eq!(one.config(), Path::new("/etc/pivot-trading/config.json"));
        assert_eq!(mine.config(), Path::new("/etc/pivot-trading/mine/config.json"));
        assert_eq!(mine.data(), Path::new("/var/lib/pivot-trading-mine"));
        assert_eq!(mine.enabled()[1], "pivot-auth-restart@mine.timer");
        assert_eq!(one.target(), "pivot.target");
    }

    #[test]
    fn the_folders_follow_from_where_the_configuration_is() {
        let data = |path: &str| folders_of(Path::new(path)).map(|(data, _)| data);
        let expect = |path: &str| Some(PathBuf::from(path));
        assert_eq!(data("/etc/pivot-trading/config.json"), expect("/var/lib/pivot-trading"));
        assert_eq!(data("/etc/pivot-trading/a/config.json"), expect("/var/lib/pivot-trading-a"));
        for other in ["config.json", "/etc/pivot-trading/a/b/config.json", "/etc/config.json"] {
            assert_eq!(data(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_could_be_something_else_are_refused() {
        for bad in ["", "A", "1a", "a-b", "a/b", "..", "a b", "ä", "abcdefghijklmnopqrstuvwxyz"] {
            assert!(Account::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Account::parse("family2").is_ok());
    }
}
