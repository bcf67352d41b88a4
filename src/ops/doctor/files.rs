//! Configuration, folders, permissions.

use std::path::Path;

use rustix::fs::statfs;
use secrecy::ExposeSecret as _;

use super::{Finding, Level, Patient, in_full, permissions};
use crate::config::Config;
use crate::engine::Mode;
use crate::store::interrupted_restores;
use crate::trading::HALT_FILE;

/// File systems of other machines, on which SQLite's locks cannot be relied
/// on, by the number that the kernel gives them.
const NETWORK: [(u32, &str); 9] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
    (0x6573_5546, "FUSE"),
];

const TMPFS: u32 = 0x0102_1994;

/// Loads and resolves the configuration; the defaults when it is unusable.
pub(super) fn configuration(path: &Path) -> (Finding, Config) {
    let name = "configuration";
    let loaded = Config::load(path).and_then(|config| config.settings().map(|_| config));
    match loaded {
        Ok(config) => {
            let trading = &config.trading;
            let text = format!(
                "{}: {} mode, {} on {}",
                path.display(),
                trading.mode,
                trading.strategy,
                trading.instrument
            );
            (Finding::ok(name, text), config)
        }
        Err(error) => {
            let remedy = if path.exists() {
                "correct these keys; docs/CONFIGURATION.md describes each".to_string()
            } else {
                "pivotctl init writes one; --config names another file".to_string()
            };
            (Finding::bad(name, Level::Error, in_full(&error), remedy), Config::default())
        }
    }
}

/// The configuration holds secrets.
pub(super) fn configuration_mode(patient: &Patient) -> Finding {
    let name = "config mode";
    let path = &patient.config_path;
    let Ok(bits) = permissions(path) else {
        return Finding::ok(name, "there is no file to be read by others");
    };
    let text = format!("{} has mode {bits:03o}", path.display());
    let level = match bits {
        bits if bits & 0o077 == 0 => return Finding::ok(name, text),
        bits if bits & 0o007 != 0 => patient.error_if_live(),
        _ => Level::Warning,
    };
    Finding::bad(
        name,
        level,
        format!("{text}: others can read its secrets"),
        format!("chmod 600 {}", path.display()),
    )
}

/// Whether the secrets are there; none is shown.
pub(super) fn secrets(patient: &Patient) -> Finding {
    let name = "secrets";
    let config = &patient.config;
    let is_there = [
        ("api_key", !config.api_key.is_empty()),
        ("api_secret", !config.api_secret.expose_secret().is_empty()),
        ("telegram_token", !config.telegram_token.expose_secret().is_empty()),
        ("telegram_chat_id", config.telegram_chat_id != 0),
    ];
    let missing: Vec<&str> =
        is_there.into_iter().filter(|(_, there)| !there).map(|(key, _)| key).collect();
    if missing.is_empty() {
        return Finding::ok(name, "api_key, api_secret, telegram_token, telegram_chat_id are set");
    }
    let text = format!("not set: {}", missing.join(", "));
    match patient.mode {
        Mode::Demo => Finding::ok(name, format!("{text}; the demo brings its own")),
        Mode::Paper | Mode::Live => {
            let remedy = "pivotctl init asks for them; where systemd hands them over, run this as \
                          docs/OPERATIONS.md says under \"Secrets\"";
            Finding::bad(name, Level::Error, text, remedy)
        }
    }
}

/// Permissions, room to write, the kind of disk, and what an interrupted
/// restore left.
pub(super) fn data_folder(patient: &Patient) -> Vec<Finding> {
    let mut findings = folder_itself(patient);
    findings.extend(interrupted_restores(&patient.folder).into_iter().map(|left| {
        let text = format!("a restore was interrupted: {} is left of it", left.display());
        let remedy = "run pivotctl backup restore again, with --force: it clears up first, and \
                      deletes nothing that was ever in place";
        Finding::bad("restore", Level::Error, text, remedy)
    }));
    findings
}

fn folder_itself(patient: &Patient) -> Vec<Finding> {
    let name = "data folder";
    let folder = &patient.folder;
    let bits = match permissions(folder) {
        Ok(bits) => bits,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let text = format!("{} is not there yet", folder.display());
            let remedy = "the first service to start makes it; a relative path counts from the \
                          folder in which a service runs";
            return vec![Finding::bad(name, Level::Warning, text, remedy)];
        }
        Err(error) => {
            let text = format!("{} cannot be looked at: {error}", folder.display());
            return vec![Finding::bad(name, Level::Error, text, as_the_services_do())];
        }
    };
    let private = bits & 0o077 == 0;
    let text = format!("{} has mode {bits:03o}", folder.display());
    let access = if private {
        Finding::ok(name, text)
    } else {
        let text = format!("{text}: others on this machine can look into it");
        let remedy = format!("chmod 700 {}", folder.display());
        Finding::bad(name, patient.error_if_live(), text, remedy)
    };
    vec![access, writable("data writable", folder), disk_kind(folder)]
}

/// Where the log files go.
pub(super) fn log_folder(patient: &Patient) -> Finding {
    let folder = Path::new(&patient.config.data.log_dir);
    if !folder.exists() {
        let text = format!("{} is not there yet", folder.display());
        return Finding::bad("logs writable", Level::Warning, text, "the services make it");
    }
    writable("logs writable", folder)
}

fn as_the_services_do() -> &'static str {
    "run this as the user of the services: sudo -u pivot pivotctl doctor …"
}

/// Writes an empty file and takes it away.
fn writable(name: &'static str, folder: &Path) -> Finding {
    let probe = folder.join(format!(".doctor-{}", std::process::id()));
    let tried = std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe));
    match tried {
        Ok(()) => Finding::ok(name, format!("{} takes files", folder.display())),
        Err(error) => {
            let text = format!("{} takes no files: {error}", folder.display());
            Finding::bad(name, Level::Error, text, as_the_services_do())
        }
    }
}

fn disk_kind(folder: &Path) -> Finding {
    let name = "data disk";
    let kind = match statfs(folder) {
        Ok(system) => system.f_type as u32,
        Err(error) => {
            let text = format!("the kind of disk is unknown: {error}");
            let remedy = "see to it that the folder is on a disk of this machine";
            return Finding::bad(name, Level::Warning, text, remedy);
        }
    };
    if let Some((_, network)) = NETWORK.iter().find(|(number, _)| *number == kind) {
        let text = format!("{} is on {network}", folder.display());
        let remedy = "a database shared by processes needs a disk of this machine: move data.dir";
        return Finding::bad(name, Level::Error, text, remedy);
    }
    if kind == TMPFS {
        let text = format!("{} is in memory: it is lost when the machine stops", folder.display());
        return Finding::bad(name, Level::Warning, text, "move data.dir to a disk");
    }
    Finding::ok(name, format!("{} is on a local disk", folder.display()))
}

/// The file that forbids entries by being there.
pub(super) fn halt_file(patient: &Patient) -> Finding {
    let path = patient.folder.join(HALT_FILE);
    if !path.exists() {
        return Finding::ok("halt file", "there is none: entries are up to the services");
    }
    let text = format!("{} is there: nothing new will be bought", path.display());
    let remedy = format!("rm {}, when its reason is gone", path.display());
    Finding::bad("halt file", Level::Warning, text, remedy)
}
