//! What monitoring asks, over real HTTP; and that dashboard, rules and the
//! documents name what there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::TimeDelta;
use pivot_trading::store::Heartbeat;
use pivot_trading::upkeep::ledger::Ledger;

use super::*;

impl Service {
    /// A service gives a sign of life, so many seconds ago.
    fn beat(&self, role: Role, age_s: i64, detail: Value) {
        let now = Clock::system().now();
        let beat = Heartbeat {
            service: role.as_str().into(),
            pid: 1,
            started_at: now - TimeDelta::hours(1),
            at: now - TimeDelta::seconds(age_s),
            version: "0".into(),
            phase: "trading".into(),
            detail,
        };
        self.store(role).beat(&beat).unwrap();
    }

    /// pivot-trading and pivot-bot are at work, with all figures that there
    /// are, and somebody is logged in.
    async fn at_work(&self) {
        let now = Clock::system().now();
        let log = json!({
            "queued": 3, "written": 1200, "sampled": 7, "dropped": 2, "errors": 4, "warnings": 9,
        });
        let process = json!({
            "cpu_pct": 1.5, "cpu_s": 12.25, "rss_bytes": 30_000_000, "threads": 5, "fds": 20,
            "fds_max": 1024,
        });
        let trading = json!({
            "process": process, "log": log, "feed": "up", "watched": 2, "last_price_at": now,
            "clock_skew_ms": -120, "order_round_trip_ms": 85, "order_messages": 6,
            "net": "-1250.50", "daily_loss_limit": "5000.00", "mode": "demo",
        });
        self.beat(Role::Trading, 0, trading);
        self.beat(Role::Bot, 0, json!({ "process": process, "log": log }));
        let session = BrokerSession {
            login_id: None,
            day: now.date_naive(),
            status: SessionStatus::Valid,
            access_token: Some("at".into()),
            user_id: "AB1234".into(),
            user_name: "A Person".into(),
            login_time: now - TimeDelta::minutes(10),
            valid_until: now + TimeDelta::hours(8),
            message: None,
        };
        self.store(Role::Trading).session_keep(&session).unwrap();
        Ledger::open(Path::new(&self.config.data.dir), now).unwrap();
        let reader = self.store(Role::Reader);
        until("a sign of life with figures", || {
            let beats = reader.heartbeats().unwrap();
            let own = beats.iter().find(|beat| beat.service == "auth");
            own.is_some_and(|beat| beat.detail["machine"].is_object())
        })
        .await;
    }

    async fn metrics(&self) -> String {
        let request = self.http.get(format!("{}/metrics", self.url)).bearer_auth(API_TOKEN);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let kind = answer.headers()[reqwest::header::CONTENT_TYPE].to_str().unwrap().to_string();
        assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
        answer.text().await.unwrap()
    }
}

#[tokio::test]
async fn health_has_a_word_and_its_reasons() {
    let service = service().await;
    service.at_work().await;
    let (status, health) = service.get_with_secret("/api/health").await;
    assert_eq!((status, &health["status"]), (StatusCode::OK, &json!("ok")), "{health:#}");
    assert_eq!(health["services"]["trading"]["status"], "ok");
    assert_eq!(health["services"]["auth"]["phase"], "serving");
    assert!(health["session"]["until"].is_string(), "{health:#}");
    assert!(!health["maintenance"].as_object().unwrap().is_empty(), "{health:#}");
    assert!(health["reminders"].is_array(), "{health:#}");
    service.beat(Role::Bot, 21, json!({}));
    let (_, health) = service.get_with_secret("/api/health").await;
    assert_eq!(health["status"], "degraded", "{health:#}");
    assert_eq!(health["services"]["bot"]["status"], "silent");
    assert_eq!(health["reasons"][0]["message"], "pivot-bot is silent");
    // Monitors that look at the open page see what they always saw.
    let open = service.get("/health").await;
    assert_eq!(open, (StatusCode::OK, r#"{"status":"ok","server":"running"}"#.to_string()));
    service.end().await;
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_is_critical() {
    let full = |config: &mut Config| {
        (config.health.disk_warning_pct, config.health.disk_critical_pct) = (1, 1);
    };
    let service = service_with(full).await;
    service.at_work().await;
    let (_, health) = service.get_with_secret("/api/health").await;
    assert_eq!(health["status"], "critical", "{health:#}");
    assert_eq!(health["reasons"][0]["name"], "disk");
    let text = service.metrics().await;
    assert!(text.contains("pivot_trouble{name=\"disk\",severity=\"critical\"} 1"), "{text}");
    assert!(text.contains("\npivot_health_level 2\n"), "{text}");
    service.end().await;
}

#[tokio::test]
async fn resources_are_shown_with_their_history() {
    let token = |config: &mut Config| {
        config.health.webhook_url = "https://hooks.example/T0KEN".into();
    };
    let service = service_with(token).await;
    service.at_work().await;
    let (status, figures) = service.get_with_secret("/api/metrics/health").await;
    assert_eq!(status, StatusCode::OK);
    let latest = &figures["latest"];
    assert!(latest["process"]["rss_bytes"].as_u64().unwrap() > 1 << 20, "{figures:#}");
    assert!(latest["machine"]["memory_pct"].as_f64().unwrap() > 0.0, "{figures:#}");
    assert_eq!(figures["history"].as_array().unwrap().first(), Some(latest));
    assert_eq!(figures["services"]["trading"]["log"]["dropped"], 2);
    assert_eq!(figures["thresholds"]["cpu_critical_pct"], 80);
    assert!(!figures.to_string().contains("T0KEN"));
    let (_, figures) = service.get_with_secret("/api/metrics/health?minutes=0").await;
    assert_eq!(figures["history"], json!([]));
    let url = format!("{}/api/metrics/health?minutes=x", service.url);
    let odd = service.http.get(url).bearer_auth(API_TOKEN).send().await.unwrap().status();
    assert_eq!(odd, StatusCode::BAD_REQUEST);
    service.end().await;
}

#[tokio::test]
async fn the_figures_of_the_day_are_shown() {
    let service = service().await;
    service.at_work().await;
    let (status, board) = service.get_with_secret("/api/monitoring").await;
    assert_eq!(status, StatusCode::OK);
    let expected = [
        ("/mode", json!("demo")),
        ("/phase", json!("trading")),
        ("/permission", Value::Null),
        ("/position", Value::Null),
        ("/today/trades", json!(0)),
        ("/today/net", json!("0.00")),
        ("/orders/messages", json!(6)),
        ("/orders/by_status/REJECTED", json!(0)),
        ("/feed/state", json!("up")),
        ("/feed/clock_offset_ms", json!(-120)),
        ("/limits/daily_loss", json!({"used": "1250.50", "limit": "5000.00"})),
        ("/limits/trades", json!({"used": 0, "limit": 3})),
        ("/waiting/outbox", json!(0)),
    ];
    for (pointer, value) in expected {
        assert_eq!(board.pointer(pointer), Some(&value), "{pointer}: {board:#}");
    }
    service.end().await;
}

/// One family of the text, by its TYPE line.
#[derive(Debug)]
struct Family {
    kind: String,
    samples: BTreeMap<String, f64>,
}

/// Reads the text strictly: HELP, TYPE, then samples of this name only; no
/// sample twice, no family twice, every line ended.
fn families(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n') && !text.contains('\r'), "{text}");
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|letter| matches!(letter, 'a'..='z' | '0'..='9' | '_'))
    };
    let mut found: BTreeMap<String, Family> = BTreeMap::new();
    let (mut helped, mut current) = (None, String::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && !help.trim().is_empty(), "{line}");
            helped = Some(name.to_string());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(helped.take().as_deref(), Some(name), "{line}");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current = name.to_string();
            let family = Family { kind: kind.into(), samples: BTreeMap::new() };
            assert!(found.insert(current.clone(), family).is_none(), "{line}");
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = match series.split_once('{') {
                Some((name, rest)) => (name, rest.strip_suffix('}').unwrap()),
                None => (series, ""),
            };
            assert_eq!(name, current, "{line}");
            assert_labels(labels, &is_name);
            let value: f64 = value.parse().unwrap();
            assert!(value.is_finite(), "{line}");
            let samples = &mut found.get_mut(name).unwrap().samples;
            assert!(samples.insert(series.into(), value).is_none(), "{line}");
        }
    }
    assert!(found.values().all(|family| !family.samples.is_empty()));
    found
}

/// `name="value",…`: quotes and backslashes in values only behind a
/// backslash.
fn assert_labels(labels: &str, is_name: &impl Fn(&str) -> bool) {
    let mut rest = labels;
    let mut names = BTreeSet::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{labels}"));
        assert!(is_name(name) && names.insert(name.to_string()), "{labels}");
        let mut escaped = false;
        let end = after.char_indices().find(|(_, letter)| {
            let closes = *letter == '"' && !escaped;
            escaped = *letter == '\\' && !escaped;
            closes
        });
        let (end, _) = end.unwrap_or_else(|| panic!("{labels}"));
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
}

#[tokio::test]
async fn metrics_are_as_prometheus_reads_them() {
    let service = service().await;
    service.at_work().await;
    let first = families(&service.metrics().await);
    let value = |name: &str, series: &str| first[name].samples[&format!("{name}{series}")];
    let check = |name: &str, series: &str, expected: f64| {
        let found = value(name, series);
        assert!((found - expected).abs() < 1e-9, "{name}{series}: {found}, not {expected}");
    };
    check("pivot_service_up", "{service=\"trading\"}", 1.0);
    check("pivot_process_cpu_seconds_total", "{service=\"trading\"}", 12.25);
    check("pivot_log_dropped_total", "{service=\"bot\"}", 2.0);
    check("pivot_clock_offset_seconds", "", -0.12);
    check("pivot_order_round_trip_seconds", "", 0.085);
    check("pivot_daily_loss_rupees", "", 1250.5);
    check("pivot_session_valid", "", 1.0);
    check("pivot_today_orders", "{status=\"REJECTED\"}", 0.0);
    assert!(value("pivot_database_bytes", "") > 0.0);
    assert!(value("pivot_machine_memory_ratio", "") < 1.0);
    // Labels are few, whatever happens.
    for (name, family) in &first {
        assert!(family.samples.len() <= 10, "{name}: {}", family.samples.len());
    }
    // Counters do not fall.
    let second = families(&service.metrics().await);
    for (name, family) in first.iter().filter(|(_, family)| family.kind == "counter") {
        for (series, before) in &family.samples {
            assert!(second[name].samples[series] >= *before, "{series}");
        }
    }
    service.end().await;
}

/// The names of our metrics in a file.
fn names_in(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let words = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    for word in words.filter(|word| word.starts_with("pivot_")) {
        names.insert(word.to_string());
    }
    names
}

#[tokio::test]
async fn dashboard_and_rules_name_metrics_that_exist() {
    let service = service().await;
    service.at_work().await;
    let known: BTreeSet<String> = families(&service.metrics().await).into_keys().collect();
    // What is bad is only there while something is, and what was done once it
    // was.
    let sometimes = ["pivot_trouble", "pivot_job_done_time_seconds"];
    let sometimes = BTreeSet::from(sometimes.map(str::to_string));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    for (name, least) in [("grafana-dashboard.json", 20), ("prometheus-rules.yml", 10)] {
        let names = names_in(&read(name));
        let unknown: Vec<_> = names
            .iter()
            .filter(|name| !known.contains(*name) && !sometimes.contains(*name))
            .collect();
        assert!(unknown.is_empty(), "{name}: {unknown:?}");
        assert!(names.len() >= least, "{name}: {names:?}");
    }
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<i64> = panels.iter().map(|panel| panel["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    // Every metric is described, and the page describes no other.
    let page = names_in(&read("README.md"));
    let undescribed: Vec<_> =
        known.union(&sometimes).filter(|name| !page.contains(*name)).collect();
    assert!(undescribed.is_empty(), "docs/monitoring/README.md: {undescribed:?}");
    let invented: Vec<_> =
        page.iter().filter(|name| !known.contains(*name) && !sometimes.contains(*name)).collect();
    assert!(invented.is_empty(), "docs/monitoring/README.md: {invented:?}");
    service.end().await;
}
