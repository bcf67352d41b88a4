//! The systemd units: what they promise is in their text, and systemd itself
//! finds nothing wrong with them.

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

/// `/restart` ends pivot-trading with a code of its own, which is no failure.
#[test]
fn a_restart_that_was_asked_for_is_no_failure() {
    for name in ["pivot-trading.service", "pivot-trading@.service"] {
        let unit = read(name);
        assert!(unit.contains("\nSuccessExitStatus=10\nRestartForceExitStatus=10\n"), "{name}");
    }
}

/// Load and memory of the machine are in `/proc`, which units hide unless they
/// say otherwise.
#[test]
fn those_who_measure_the_machine_see_it() {
    for name in
        ["pivot-auth.service", "pivot-bot.service", "pivot-auth@.service", "pivot-bot@.service"]
    {
        assert!(read(name).contains("\nProcSubset=all\n"), "{name}");
    }
    assert!(read("pivot-trading.service").contains("\nProcSubset=pid\n"));
}

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
    for line in ["Restart=on-failure", "StartLimitBurst=3"] {
        assert!(trading.contains(line), "{line}");
    }
    // A restart of a service that is required restarts who requires it.
    for name in SERVICES {
        let ties = ["Requires=", "BindsTo=", "Requisite="];
        assert!(
            !read(name).lines().any(|line| ties.iter().any(|tie| line.starts_with(tie))),
            "{name}"
        );
    }
    assert!(trading.lines().any(|line| line.starts_with("Wants=") && line.contains("pivot-auth")));
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
    assert_eq!(text.matches("access_log /var/log/nginx/pivot-trading.log pivot;").count(), 2);
    assert!(!text.contains("$request\"") && !text.contains("$request_uri\""), "tokens in the log");
}

/// nginx reads the site as it stands, with a certificate of the test's own.
#[test]
fn nginx_takes_the_site() {
    let found = |names: &[&'static str]| {
        let found =
            names.iter().copied().find(|name| Command::new(name).arg("-v").output().is_ok());
        if found.is_none() {
            println!("skipped: {} is not installed", names[0]);
        }
        found
    };
    // Where it is installed, only root's path may lead to it.
    let (Some(nginx), Some(_)) = (found(&["nginx", "/usr/sbin/nginx"]), found(&["openssl"])) else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let inside = |name: &str| scratch.path().join(name).display().to_string();
    let (certificate, key) = (inside("certificate.pem"), inside("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=pivot.example.com", "-keyout", &key, "-out", &certificate])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let site = read("nginx.example.conf")
        .replace("/etc/letsencrypt/live/pivot.example.com/fullchain.pem", &certificate)
        .replace("/etc/letsencrypt/live/pivot.example.com/privkey.pem", &key)
        .replace("/var/log/nginx/pivot-trading.log", &inside("access.log"))
        // Everybody may listen on these.
        .replace("443 ssl", "18443 ssl")
        .replace("80;", "18080;");
    let folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {};\n", inside(kind)))
        .concat();
    let whole = format!(
        "pid {};\nerror_log {};\nevents {{}}\nhttp {{\n{folders}{site}\n}}\n",
        inside("pid"),
        inside("error.log")
    );
    fs::write(scratch.path().join("nginx.conf"), whole).unwrap();
    let output = Command::new(nginx).args(["-t", "-c", &inside("nginx.conf")]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("[warn]"), "{said}");
}

/// What a unit of the one account says for an account of its own.
fn for_account(name: &str, text: &str) -> String {
    let mut text = text.to_string();
    for program in ["auth", "trading", "bot"] {
        for (part, kind) in [("", "service"), ("-restart", "service"), ("-restart", "timer")] {
            let unit = format!("pivot-{program}{part}");
            text = text.replace(&format!("{unit}.{kind}"), &format!("{unit}@%i.{kind}"));
        }
    }
    let alert = name.replace("pivot-", "pivot-alert-").replace(".service", "@%i.service");
    for (one, each) in [
        ("pivot.target", "pivot@%i.target"),
        ("pivot-alert@%n.service", alert.as_str()),
        ("=pivot\n", "=pivot-%i\n"),
        ("/etc/pivot-trading/", "/etc/pivot-trading/%i/"),
        ("/var/lib/pivot-trading", "/var/lib/pivot-trading-%i"),
        ("Directory=pivot-trading\n", "Directory=pivot-trading-%i\n"),
        ("Description=pivot-trading", "Description=pivot-trading of %i"),
        ("tcp:8001\n", "tcp:8001-8099\n"),
    ] {
        text = text.replace(one, each);
    }
    text
}

/// What systemd reads of a unit.
fn without_comments(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with("# ") && !line.is_empty()).collect()
}

#[test]
fn the_units_of_an_account_are_those_of_the_one_account() {
    let mut compared = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some((stem, kind)) = name.rsplit_once('.') else { continue };
        if stem.contains('@') || !["service", "timer", "target"].contains(&kind) {
            continue;
        }
        let expected = for_account(&name, &read(&name));
        let template = read(&format!("{stem}@.{kind}"));
        assert_eq!(without_comments(&template), without_comments(&expected), "{stem}@.{kind}");
        compared += 1;
    }
    assert_eq!(compared, 8);
    let alert = read("pivot-alert@.service")
        .replace("tell that %i failed", "tell that pivot-%j failed")
        .replace("config.json %i", "config.json pivot-%j@%i.service");
    for program in ["auth", "trading", "bot"] {
        let template = read(&format!("pivot-alert-{program}@.service"));
        let expected = for_account("", &alert);
        assert_eq!(without_comments(&template), without_comments(&expected), "{program}");
    }
}

#[test]
fn one_name_stands_for_all() {
    let target = read("pivot.target");
    for name in SERVICES {
        assert!(target.contains(name), "{name}");
        assert!(read(name).contains("\nPartOf=pivot.target\n"), "{name}");
    }
    for name in ["pivot-auth-restart.timer", "pivot-trading-restart.timer"] {
        let timer = read(name);
        assert!(timer.contains("\nPartOf=pivot.target\n"), "{name}");
        // With or without the target, it runs after a boot.
        assert!(timer.contains("\nWantedBy=timers.target pivot.target\n"), "{name}");
    }
}

#[test]
fn crontab_lines_are_those_of_the_documents() {
    let docs = fs::read_to_string(folder().join("../docs/OPERATIONS.md")).unwrap();
    let crontab = read("crontab.example");
    let lines: Vec<&str> = crontab.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| docs.lines().any(|said| said == *line)), "{lines:?}");
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

/// Every unit, as files in a scratch folder that name the programs just
/// built, since `verify` also looks for them; templates as of one account.
fn with_programs_built(to: &Path) -> Vec<PathBuf> {
    let programs = [
        ("/usr/local/bin/pivot-auth ", env!("CARGO_BIN_EXE_pivot-auth")),
        ("/usr/local/bin/pivot-trading ", env!("CARGO_BIN_EXE_pivot-trading")),
        ("/usr/local/bin/pivot-bot ", env!("CARGO_BIN_EXE_pivot-bot")),
        ("/usr/local/bin/pivotctl ", env!("CARGO_BIN_EXE_pivotctl")),
    ];
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if ![".service", ".timer", ".target"].iter().any(|kind| name.ends_with(kind)) {
            continue;
        }
        let mut text = read(&name);
        for (installed, built) in programs {
            text = text.replace(installed, &format!("{built} "));
        }
        // Dependencies of an instance are looked for by the template's name.
        fs::write(to.join(&name), &text).unwrap();
        let name = name.replace("@.", "@first.");
        fs::write(to.join(&name), &text).unwrap();
        copies.push(to.join(name));
    }
    copies.sort();
    copies
}

#[test]
fn systemd_finds_nothing_wrong() {
    let scratch = tempfile::tempdir().unwrap();
    let units = with_programs_built(scratch.path());
    assert_eq!(units.len(), 20, "{units:?}");
    let Some(output) = analyze(&["verify", "--man=no"], &units) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("pivot")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
}

#[test]
fn systemd_finds_little_exposed() {
    let scratch = tempfile::tempdir().unwrap();
    let units = with_programs_built(scratch.path());
    let services = units.iter().filter(|unit| unit.extension().is_some_and(|it| it == "service"));
    let mut judged = 0;
    for unit in services {
        let arguments = ["security", "--offline=true", "--no-pager"];
        let Some(output) = analyze(&arguments, std::slice::from_ref(unit)) else { return };
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains("Overall exposure")).expect("a verdict");
        let figure = line.rsplit(": ").next().and_then(|rest| rest.split(' ').next());
        let exposure: f64 = figure.and_then(|text| text.parse().ok()).expect("a figure");
        assert!(exposure <= EXPOSURE_MAX, "{}: {line}", unit.display());
        judged += 1;
    }
    assert_eq!(judged, 14);
}
