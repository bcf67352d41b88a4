//! `pivotctl doctor` and `pivotctl alert`, as an operator and systemd run
//! them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use pivot_trading::clock::Clock;
use pivot_trading::engine::Mode;
use pivot_trading::sim::telegram;
use pivot_trading::store::lock::ServiceLock;
use pivot_trading::store::{Heartbeat, Role, Store};
use serde_json::{Value, json};

struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// A folder with a configuration whose servers are all at `url`.
    fn with_servers_at(url: &str) -> Machine {
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name).display().to_string();
        let config = json!({
            "api_key": "key", "api_secret": "s3cr3t-s3cr3t", "telegram_token": "1:T0K3N",
            "telegram_chat_id": 7,
            "trading": {"mode": "paper"},
            "auth": {"listen": "127.0.0.1:0"},
            "data": {"dir": inside("data"), "log_dir": inside("logs")},
            "kite": {"base_url": url},
            "telegram": {"api_url": url},
        });
        let path = folder.path().join("config.json");
        fs::write(&path, config.to_string()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(folder.path().join("logs")).unwrap();
        Machine { folder }
    }

    fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    async fn pivotctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pivotctl"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("config.json"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn doctor(&self) -> (bool, Value) {
        let output = self.pivotctl(&["doctor", "--online", "--json"]).await;
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.success(), report)
    }
}

fn level(report: &Value, name: &str) -> String {
    let rows = report["findings"].as_array().unwrap();
    let row = rows.iter().find(|row| row["name"] == name);
    let row = row.unwrap_or_else(|| panic!("no line {name}: {report}"));
    row["level"].as_str().unwrap().to_string()
}

async fn telegram() -> telegram::Handle {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    telegram::start(listener, Clock::system()).unwrap()
}

/// pivot-auth's traces without the service: its lock and a sign of life.
fn auth_runs(data: &Path) -> ServiceLock {
    let lock = ServiceLock::acquire(data, "auth", std::process::id()).unwrap();
    let mut store = Store::open(data, Role::Auth, Mode::Paper).unwrap();
    let now = Clock::system().now();
    store
        .beat(&Heartbeat {
            service: "auth".into(),
            pid: std::process::id(),
            started_at: now,
            at: now,
            version: "test".into(),
            phase: "serving".into(),
            detail: json!({}),
        })
        .unwrap();
    lock
}

#[tokio::test]
async fn the_doctor_tells_what_is_well_and_what_is_not() {
    let server = telegram().await;
    let machine = Machine::with_servers_at(&server.url);
    let _lock = auth_runs(&machine.data());
    let (well, report) = machine.doctor().await;
    assert!(well, "{report}");
    for name in [
        "configuration",
        "config mode",
        "data folder",
        "data writable",
        "logs writable",
        "halt file",
        "sqlite",
        "database",
        "integrity",
        "pivot-auth",
        "broker clock",
        "telegram bot",
        "secrets",
        "port",
    ] {
        assert_eq!(level(&report, name), "ok", "{name}: {report}");
    }
    assert_eq!(level(&report, "pivot-trading"), "warning");

    fs::write(machine.data().join("HALT"), "").unwrap();
    fs::set_permissions(machine.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let (_, report) = machine.doctor().await;
    assert_eq!(level(&report, "halt file"), "warning");
    assert_eq!(level(&report, "data folder"), "warning");
    server.stop().await;
}

#[tokio::test]
async fn the_doctor_sees_a_database_of_another_mode_and_an_unknown_key() {
    let server = telegram().await;
    let machine = Machine::with_servers_at(&server.url);
    drop(Store::open(&machine.data(), Role::Auth, Mode::Demo).unwrap());
    let (well, report) = machine.doctor().await;
    assert!(!well, "{report}");
    assert_eq!(level(&report, "database"), "error");

    let path = machine.folder.path().join("config.json");
    let wrong = fs::read_to_string(&path).unwrap().replace("\"mode\"", "\"mood\"");
    fs::write(&path, wrong).unwrap();
    let (well, report) = machine.doctor().await;
    assert!(!well, "{report}");
    assert_eq!(level(&report, "configuration"), "error");
    assert!(!report.to_string().contains("s3cr3t"), "{report}");
    server.stop().await;
}

#[test]
fn no_service_starts_in_live_mode_with_secrets_that_everyone_can_read() {
    let machine = Machine::with_servers_at("http://127.0.0.1:1");
    let path = machine.folder.path().join("config.json");
    let live = fs::read_to_string(&path).unwrap().replace("\"paper\"", "\"live\"");
    fs::write(&path, live).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    for program in [
        env!("CARGO_BIN_EXE_pivot-trading"),
        env!("CARGO_BIN_EXE_pivot-auth"),
        env!("CARGO_BIN_EXE_pivot-bot"),
    ] {
        let output = Command::new(program).arg("--config").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // 78 tells systemd that starting again will not help.
        assert_eq!(output.status.code(), Some(78), "{program}: {said}");
        assert!(said.contains("readable by everyone"), "{program}: {said}");
        assert!(said.contains("chmod 600") && !said.contains("s3cr3t"), "{program}: {said}");
    }
    assert!(!machine.data().exists(), "nothing was begun");
}

#[tokio::test]
async fn an_alert_reaches_the_owner_and_never_shows_the_token() {
    let server = telegram().await;
    let machine = Machine::with_servers_at(&server.url);
    let output = machine.pivotctl(&["alert", "pivot-trading.service"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = format!("{}/_sim/telegram/messages?since=0", server.url);
    let body: Value = reqwest::get(messages).await.unwrap().json().await.unwrap();
    let text = body["messages"][0]["text"].as_str().unwrap();
    assert!(text.contains("[PAPER] pivot-trading.service has failed"), "{text}");

    let gone = Machine::with_servers_at("http://127.0.0.1:1");
    let output = gone.pivotctl(&["doctor", "--online"]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("does not answer"), "{said}");
    assert!(!said.contains("T0K3N"), "{said}");
    server.stop().await;
}
