//! What was told outlives a restart: a small file in the data folder, one for
//! each service.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::alarm::Alarms;

fn path(folder: &Path, service: &str) -> PathBuf {
    folder.join(format!("health-{service}.json"))
}

/// What was kept; nothing, when it cannot be read: an alert too many does no
/// harm.
pub(super) fn load(folder: &Path, service: &str) -> Alarms {
    let text = std::fs::read_to_string(path(folder, service)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Keeps it, whole or not at all.
pub(super) fn save(folder: &Path, service: &str, alarms: &Alarms) -> io::Result<()> {
    let path = path(folder, service);
    let fresh = path.with_extension("new");
    let text = serde_json::to_vec(alarms)?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&fresh)?.write_all(&text)?;
    std::fs::rename(fresh, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path(), "bot").troubles().is_empty());
        std::fs::write(path(folder.path(), "bot"), "{\"disk\": 7").unwrap();
        assert!(load(folder.path(), "bot").troubles().is_empty());
        save(folder.path(), "bot", &Alarms::default()).unwrap();
        let meta = std::fs::metadata(path(folder.path(), "bot")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
        assert!(save(&folder.path().join("none"), "bot", &Alarms::default()).is_err());
    }
}
