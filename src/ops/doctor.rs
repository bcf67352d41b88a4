//! `pivotctl doctor`: looks for what would keep the system from working. It
//! reads; it changes nothing and asks the network only when told to.

mod data;
mod files;
mod machine;
mod systemd;
mod upkeep;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use serde_json::json;

use super::data::usual_config;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::service::in_full;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  pivotctl doctor\n  \
                        sudo -u pivot pivotctl doctor --config /etc/pivot-trading/config.json \
                        --online\n  pivotctl doctor --json")]
pub(super) struct Args {
    /// Configuration file.
    #[arg(long, value_name = "PATH", default_value_os_t = usual_config())]
    config: PathBuf,
    /// Data folder, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Also ask the broker's server for the time, and Telegram for the bot.
    #[arg(long)]
    online: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Ok,
    Warning,
    Error,
}

impl Level {
    const fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// One line of the report.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    name: &'static str,
    level: Level,
    text: String,
    /// What to do about it; empty when there is nothing to do.
    remedy: String,
}

impl Finding {
    fn ok(name: &'static str, text: impl Into<String>) -> Finding {
        Finding { name, level: Level::Ok, text: text.into(), remedy: String::new() }
    }

    fn bad(
        name: &'static str,
        level: Level,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Finding {
        Finding { name, level, text: text.into(), remedy: remedy.into() }
    }
}

/// What the checks look at. Without a usable configuration they go by the
/// defaults, so that one mistake does not hide the rest.
struct Patient {
    config_path: PathBuf,
    config: Config,
    mode: Mode,
    /// False when the defaults stand in for a configuration.
    configured: bool,
    folder: PathBuf,
    clock: Clock,
}

impl Patient {
    /// Grave where money is at stake.
    fn error_if_live(&self) -> Level {
        match self.mode {
            Mode::Live => Level::Error,
            Mode::Demo | Mode::Paper => Level::Warning,
        }
    }
}

pub(super) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let (configuration, config) = files::configuration(&args.config);
    let configured = configuration.level == Level::Ok;
    let mode = config.mode().unwrap_or(Mode::Demo);
    let folder = args.data.unwrap_or_else(|| PathBuf::from(&config.data.dir));
    let clock = Clock::from_env().context("could not read the clock")?;
    let patient = Patient { config_path: args.config, config, mode, configured, folder, clock };

    let mut findings = vec![configuration, files::configuration_mode(&patient)];
    findings.extend(files::data_folder(&patient));
    findings.push(files::log_folder(&patient));
    findings.push(files::secrets(&patient));
    findings.push(files::halt_file(&patient));
    findings.extend(data::examine(&patient));
    findings.extend(upkeep::examine(&patient));
    findings.extend(upkeep::reminders(&patient));
    findings.push(machine::clock(&patient));
    if args.online {
        findings.push(machine::clock_against_broker(&patient)?);
        findings.push(machine::telegram(&patient)?);
    }
    findings.push(machine::calendar(&patient));
    findings.push(machine::port(&patient));
    findings.extend(machine::disk(&patient));
    findings.extend(systemd::examine(&patient));

    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    if args.json {
        outln!("{}", report_json(&findings, worst));
    } else {
        findings.iter().for_each(print);
        outln!("{}", conclusion(&findings));
    }
    Ok(if worst == Level::Error { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(finding: &Finding) {
    outln!("{:<8} {:<16} {}", finding.level.as_str(), finding.name, finding.text);
    if !finding.remedy.is_empty() {
        outln!("{:<8} {:<16} -> {}", "", "", finding.remedy);
    }
}

fn conclusion(findings: &[Finding]) -> String {
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => "all is well".to_string(),
        (errors, warnings) => format!("errors: {errors}, warnings: {warnings}"),
    }
}

fn report_json(findings: &[Finding], worst: Level) -> serde_json::Value {
    let rows: Vec<_> = findings
        .iter()
        .map(|finding| {
            json!({
                "name": finding.name,
                "level": finding.level.as_str(),
                "text": finding.text,
                "remedy": finding.remedy,
            })
        })
        .collect();
    json!({ "level": worst.as_str(), "findings": rows })
}

/// The permission bits of a file.
fn permissions(path: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o777)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn patient(folder: &Path, mode: Mode) -> Patient {
        let mut config = Config::default();
        config.data.dir = folder.join("data").display().to_string();
        config.data.log_dir = folder.join("logs").display().to_string();
        config.trading.mode = mode.as_str().to_string();
        Patient {
            configured: true,
            config_path: folder.join("config.json"),
            folder: folder.join("data"),
            config,
            mode,
            clock: Clock::system(),
        }
    }

    #[test]
    fn open_doors_are_worse_where_money_is_at_stake() {
        let folder = tempfile::tempdir().unwrap();
        for (mode, bits, level) in [
            (Mode::Live, 0o600, Level::Ok),
            (Mode::Live, 0o640, Level::Warning),
            (Mode::Live, 0o644, Level::Error),
            (Mode::Paper, 0o644, Level::Warning),
        ] {
            let patient = patient(folder.path(), mode);
            std::fs::write(&patient.config_path, "{}").unwrap();
            let set = std::fs::Permissions::from_mode(bits);
            std::fs::set_permissions(&patient.config_path, set).unwrap();
            let found = files::configuration_mode(&patient);
            assert_eq!(found.level, level, "{bits:o}: {found:?}");
            assert_eq!(found.remedy.is_empty(), level == Level::Ok);
        }
    }

    #[test]
    fn a_halt_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let patient = patient(folder.path(), Mode::Demo);
        assert_eq!(files::halt_file(&patient).level, Level::Ok);
        std::fs::create_dir(&patient.folder).unwrap();
        std::fs::write(patient.folder.join("HALT"), "").unwrap();
        let found = files::halt_file(&patient);
        assert_eq!(found.level, Level::Warning);
        assert!(found.remedy.starts_with("rm "), "{found:?}");
    }

    #[test]
    fn what_an_interrupted_restore_left_is_told_with_and_without_a_data_folder() {
        let folder = tempfile::tempdir().unwrap();
        let patient = patient(folder.path(), Mode::Live);
        std::fs::create_dir(folder.path().join("data.restoring-20261123-160500")).unwrap();
        for _ in 0..2 {
            let findings = files::data_folder(&patient);
            let found = findings.iter().find(|finding| finding.name == "restore").unwrap();
            assert_eq!(found.level, Level::Error);
            assert!(found.remedy.starts_with("run pivotctl backup restore again"), "{found:?}");
            std::fs::create_dir_all(&patient.folder).unwrap();
        }
    }

    #[test]
    fn a_port_in_other_hands_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut patient = patient(folder.path(), Mode::Demo);
        patient.config.auth.listen = listener.local_addr().unwrap().to_string();
        assert_eq!(machine::port(&patient).level, Level::Error);
        let _lock = crate::store::lock::ServiceLock::acquire(&patient.folder, "auth", 4711);
        assert_eq!(machine::port(&patient).level, Level::Ok);
        drop(listener);
    }

    #[test]
    fn every_problem_comes_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let patient = patient(folder.path(), Mode::Live);
        let mut findings = vec![
            files::configuration(&patient.config_path).0,
            files::configuration_mode(&patient),
            files::log_folder(&patient),
            machine::clock(&patient),
            machine::calendar(&patient),
            files::secrets(&patient),
        ];
        findings.extend(systemd::examine(&patient));
        findings.extend(files::data_folder(&patient));
        findings.extend(data::examine(&patient));
        findings.extend(upkeep::examine(&patient));
        findings.extend(machine::disk(&patient));
        for finding in findings {
            assert_eq!(finding.remedy.is_empty(), finding.level == Level::Ok, "{finding:?}");
        }
    }
}
