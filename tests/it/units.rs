//! The systemd units: what they promise is in their text, and systemd itself
//! finds nothing wrong with them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const SERVICES: [&str; 3] = ["pivot-auth.service", "pivot-trading.service", "pivot-bot.service"];

/// Highest exposure that `systemd-analyze security` may find.
const EXPOSURE_MAX: f64 = 2.0;

/// What each of the three services needs to say.
const ESSENTIALS: [&str; 34] = [
    "Type=notify",
    "WatchdogSec=",
    "RestartSec=10",
    "RestartPreventExitStatus=78",
    "TimeoutStopSec=30",
    "OnFailure=pivot-alert@%n.service",
    "StartLimitIntervalSec=300",
    "User=pivot",
    "Group=pivot",
    "StateDirectory=pivot-trading",
    "StateDirectoryMode=0700",
    "LogsDirectory=pivot-trading",
    "LoadCredential=api_secret:",
    "UMask=0077",
    "MemoryMax=2G",
    "CPUQuota=80%",
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "PrivateUsers=yes",
    "ProtectClock=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectControlGroups=yes",
    "MemoryDenyWriteExecute=yes",
    "RestrictNamespaces=yes",
    "RestrictSUIDSGID=yes",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "SocketBindDeny=any",
    "CapabilityBoundingSet=\n",
    "SystemCallFilter=@system-service",
    "SystemCallArchitectures=native",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_services_say_what_they_must() {
    for name in SERVICES {
        let text = read(name);
        for essential in ESSENTIALS {
            assert!(text.contains(essential), "{name} does not say {essential}");
        }
        let program = name.trim_end_matches(".service");
        assert!(text.contains(&format!("ExecStart=/usr/local/bin/{program} --config ")), "{name}");
    }
    let trading = read("pivot-trading.service");
    for line in ["Requires=pivot-auth.service", "Restart=on-failure", "StartLimitBurst=3"] {
        assert!(trading.contains(line), "{line}");
    }
    assert!(trading.lines().any(|line| line.starts_with("After=") && line.contains("pivot-auth")));
    for name in ["pivot-auth.service", "pivot-bot.service"] {
        assert!(read(name).contains("Restart=always"), "{name}");
    }
    assert!(read("pivot-auth.service").contains("IPAddressDeny=any"));
}

#[test]
fn the_morning_is_in_india_whatever_the_machine_thinks() {
    for (program, time) in [("auth", "08:00:00"), ("trading", "08:01:00")] {
        let timer = read(&format!("pivot-{program}-restart.timer"));
        assert!(timer.contains(&format!("OnCalendar=Mon..Fri *-*-* {time} Asia/Kolkata")));
        let service = read(&format!("pivot-{program}-restart.service"));
        assert!(service.contains(&format!("systemctl restart pivot-{program}.service")));
    }
}

#[test]
fn nginx_shows_the_world_four_paths_and_a_style_sheet() {
    let text = read("nginx.example.conf");
    let shown: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("proxy_pass"))
        .filter_map(|line| line.trim().strip_prefix("location = ")?.split_whitespace().next())
        .collect();
    assert_eq!(shown, ["/callback", "/redirect", "/postback", "/health", "/style.css"]);
    assert_eq!(text.matches("proxy_pass").count(), shown.len());
    assert!(text.contains("location / { return 404; }"));
    assert!(!text.contains("$request\"") && !text.contains("$request_uri\""), "tokens in the log");
}

/// Runs `systemd-analyze`; `None` where there is none.
fn analyze(arguments: &[&str], units: &[PathBuf]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).args(units).output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("skipped: systemd-analyze is not installed");
            None
        }
        Err(error) => panic!("systemd-analyze: {error}"),
    }
}

/// Copies of the units that name the programs just built, since `verify`
/// also looks for them.
fn with_programs_built(to: &Path) -> Vec<PathBuf> {
    let programs = BTreeMap::from([
        ("/usr/local/bin/pivot-auth ", env!("CARGO_BIN_EXE_pivot-auth")),
        ("/usr/local/bin/pivot-trading ", env!("CARGO_BIN_EXE_pivot-trading")),
        ("/usr/local/bin/pivot-bot ", env!("CARGO_BIN_EXE_pivot-bot")),
        ("/usr/local/bin/pivotctl ", env!("CARGO_BIN_EXE_pivotctl")),
    ]);
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let unit = path.extension().is_some_and(|kind| kind == "service" || kind == "timer");
        if !unit {
            continue;
        }
        let mut text = fs::read_to_string(&path).unwrap();
        for (installed, built) in &programs {
            text = text.replace(installed, &format!("{built} "));
        }
        let copy = to.join(path.file_name().unwrap());
        fs::write(&copy, text).unwrap();
        copies.push(copy);
    }
    copies.sort();
    copies
}

#[test]
fn systemd_finds_nothing_wrong() {
    let scratch = tempfile::tempdir().unwrap();
    let units = with_programs_built(scratch.path());
    assert_eq!(units.len(), 8, "{units:?}");
    let Some(output) = analyze(&["verify", "--man=no"], &units) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("pivot")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn systemd_finds_little_exposed() {
    for name in SERVICES.iter().chain(&["pivot-alert@.service"]) {
        let unit = folder().join(name);
        let Some(output) = analyze(&["security", "--offline=true", "--no-pager"], &[unit]) else {
            return;
        };
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains("Overall exposure")).expect("a verdict");
        let figure = line.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
        let exposure: f64 = figure.and_then(|text| text.parse().ok()).expect("a figure");
        assert!(exposure <= EXPOSURE_MAX, "{name}: {line}");
    }
}
