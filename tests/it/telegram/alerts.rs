//! What is not well is told by the bot, once, and when it is over.

use std::io::Write as _;

use pivot_trading::clock::Clock;
use pivot_trading::config::NotifyLevel;
use pivot_trading::market::Timestamp;
use pivot_trading::store::{Heartbeat, Role};
use serde_json::{Value, json};

use super::stage::{OWNER, Stage};
use crate::hook::Hook;

impl Stage {
    /// pivot-auth gives a sign of life with this log.
    fn beat_of_auth(&self, started_at: Timestamp, log: &Value) {
        let now = Clock::system().now();
        let beat = Heartbeat {
            service: "auth".into(),
            pid: 1,
            started_at,
            at: now,
            version: "0".into(),
            phase: "serving".into(),
            detail: json!({ "log": log }),
        };
        self.store(Role::Auth).beat(&beat).unwrap();
    }
}

#[test]
fn a_machine_that_is_nearly_full_is_told_of_once_across_restarts() {
    let hook = Hook::start(1);
    let mut stage = Stage::with(|config| {
        config.health.disk_warning_pct = 1;
        config.health.disk_critical_pct = 1;
        config.health.patterns = vec!["InsufficientFunds".into()];
        config.health.webhook_url = hook.url.clone().into();
    });
    let logs = stage.data().with_file_name("logs");
    std::fs::create_dir_all(&logs).unwrap();
    let (old, new) = (logs.join("system_20200101.log"), logs.join("trading.log"));
    std::fs::write(&old, "long ago").unwrap();
    std::fs::write(&new, "").unwrap();
    stage.start();
    let told = stage.expect(OWNER, "Disk at");
    assert!(told.text.contains("🚨") && told.text.contains("Make room"), "{}", told.text);
    assert!(!told.silent);
    stage.until("old logs gone", || (!old.exists()).then_some(()));
    // The webhook refused it once, and got it all the same.
    let alert = hook.wait_for("disk", "firing");
    assert_eq!((&alert["severity"], &alert["threshold"]), (&json!("critical"), &json!(1.0)));
    // The first sign of life may come before the first figures.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let page = loop {
        stage.write(OWNER, "/health");
        let page = stage.expect(OWNER, "Health");
        if page.text.contains("threads") {
            break page;
        }
        assert!(std::time::Instant::now() < deadline, "no figures: {}", page.text);
    };
    assert!(page.text.contains("Disk: ") && page.text.contains("🔴"), "{}", page.text);
    assert!(page.text.contains("🚨 Disk at"), "{}", page.text);
    stage.stop();

    stage.start();
    let mut log = std::fs::File::options().append(true).open(&new).unwrap();
    // Where the log ends is found at the first look, which is soon.
    let told = stage.until("news of the log", || {
        writeln!(log, "ERROR the broker says InsufficientFunds").unwrap();
        let mut texts = stage.texts(OWNER).into_iter();
        texts.find(|text| text.contains("\"InsufficientFunds\" is in the log of pivot-trading"))
    });
    assert!(told.contains("⚠️"), "{told}");
    let disk = stage.texts(OWNER).into_iter().filter(|text| text.contains("Disk at"));
    // The page of /health is the other one.
    assert_eq!(disk.filter(|text| text.contains("Make room")).count(), 1);
    let page = std::fs::read_to_string(stage.data().join("health-bot.json")).unwrap();
    assert!(!page.contains("T0KEN"));
}

#[test]
fn trouble_with_logs_is_told_and_cleared() {
    let hook = Hook::start(0);
    let mut stage = Stage::with(|config| {
        config.health.webhook_url = hook.url.clone().into();
        config.notifications.insert("health".into(), NotifyLevel::Silent);
    });
    let first = Clock::system().now() - chrono::TimeDelta::hours(1);
    stage.beat_of_auth(first, &json!({ "errors": 0 }));
    stage.start();
    // The bot has seen where the counter stands.
    stage.write(OWNER, "/health");
    stage.expect(OWNER, "Health");
    let since = Clock::system().now();
    let mut errors = 0;
    stage.until("too many errors", || {
        errors += 40;
        stage.beat_of_auth(first, &json!({ "errors": errors, "failing_since": since }));
        let texts = stage.texts(OWNER);
        texts.iter().any(|text| text.contains("errors in a minute")).then_some(())
    });
    let loud = stage.question(OWNER, "pivot-auth cannot write its log files");
    assert!(!loud.silent, "what is critical is heard");
    assert!(stage.question(OWNER, "pivot-auth logs").silent);
    stage.beat_of_auth(first, &json!({ "errors": errors }));
    hook.wait_for("logs_failing.auth", "resolved");
    let over = stage.question(OWNER, "pivot-auth can write its log files again");
    assert!(over.silent && over.text.contains("✅"), "{}", over.text);
    // What was said of a process ends with it.
    stage.beat_of_auth(since, &json!({ "errors": 0 }));
    let over = hook.wait_for("error_rate.auth", "resolved");
    let message = over["message"].as_str().unwrap();
    assert!(message.contains("errors in a minute: over, the service was restarted"), "{over}");
    for name in ["logs_failing.auth", "error_rate.auth"] {
        assert_eq!(hook.of(name).iter().filter(|alert| alert["status"] == "firing").count(), 1);
    }
}
