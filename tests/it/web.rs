//! The web service over real HTTP: login, tokens, postbacks, health.

mod logs;

use std::time::Duration;

use pivot_trading::clock::Clock;
use pivot_trading::config::Config;
use pivot_trading::engine::Mode;
use pivot_trading::service::hex;
use pivot_trading::store::{BrokerSession, LoginStatus, Role, SessionStatus, Store};
use pivot_trading::upkeep::Keeper;
use pivot_trading::web;
use reqwest::StatusCode;
use reqwest::header::LOCATION;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

mod monitor;

const API_TOKEN: &str = "let-me-in";
const DEADLINE: Duration = Duration::from_secs(10);

struct Service {
    url: String,
    http: reqwest::Client,
    config: Config,
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), web::WebError>>,
}

async fn service() -> Service {
    service_with(|_| {}).await
}

async fn service_with(change: impl FnOnce(&mut Config)) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let mut config =
        Config { api_key: "kitekey".into(), api_secret: "kitesecret".into(), ..Config::default() };
    config.auth.listen = "127.0.0.1:0".into();
    config.auth.api_token = API_TOKEN.into();
    config.data.dir = folder.path().join("data").display().to_string();
    config.data.log_dir = folder.path().join("logs").display().to_string();
    // How the machine of the test is, is another matter.
    (config.health.memory_warning_pct, config.health.memory_critical_pct) = (100, 100);
    (config.health.disk_warning_pct, config.health.disk_critical_pct) = (100, 100);
    change(&mut config);
    let bound = web::bind(config.clone(), Clock::system()).await.unwrap();
    let url = format!("http://{}", bound.addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(bound.serve(async {
        let _ = stopped.await;
    }));
    let http =
        reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    Service { url, http, config, folder, stop, task }
}

impl Service {
    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn get_with_secret(&self, path: &str) -> (StatusCode, Value) {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(API_TOKEN);
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: String) -> StatusCode {
        let request = self.http.post(format!("{}{path}", self.url)).body(body);
        request.send().await.unwrap().status()
    }

    /// Follows `/login` as far as the broker; answers with the state.
    async fn begin_login(&self) -> String {
        let answer = self.http.get(format!("{}/login", self.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND);
        let link = answer.headers()[LOCATION].to_str().unwrap().to_string();
        let start = "https://kite.zerodha.com/connect/login?v=3&api_key=kitekey&redirect_params=";
        let parameters = link.strip_prefix(start).unwrap_or_else(|| panic!("{link}"));
        parameters.strip_prefix("state%3D").unwrap().to_string()
    }

    fn store(&self, role: Role) -> Store {
        Store::open(self.folder.path().join("data").as_path(), role, Mode::Demo).unwrap()
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + DEADLINE;
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn health_is_exactly_what_monitors_look_for() {
    let service = service().await;
    let health = service.get("/health").await;
    assert_eq!(health, (StatusCode::OK, r#"{"status":"ok","server":"running"}"#.to_string()));
    let (status, page) = service.get("/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("DEMO") && page.contains("Login needed"), "{page}");
    service.end().await;
}

#[tokio::test]
async fn health_in_full_tells_how_the_upkeep_stands() {
    let service = service().await;
    let maintenance = async || service.get_with_secret("/api/health").await.1["maintenance"].take();
    assert_eq!(maintenance().await, json!({}), "nobody has looked after it yet");
    let mut config = service.config.clone();
    config.data.log_dir = service.folder.path().join("logs").display().to_string();
    let keeper = Keeper::new(config, Mode::Demo, None, Clock::system()).unwrap();
    tokio::task::spawn_blocking(move || keeper.turn()).await.unwrap().unwrap();
    let shown = maintenance().await;
    assert_eq!(shown["cleanup"]["outcome"], "done", "{shown}");
    assert!(shown["backup"]["next_due"].is_string(), "{shown}");
    assert_eq!(shown["backup"]["late"], false);
    service.end().await;
}

#[tokio::test]
async fn a_login_comes_back_once() {
    let service = service().await;
    let state = service.begin_login().await;
    let back = format!("/callback?status=success&request_token=rt1&type=login&state={state}");
    let (status, page) = service.get(&back).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert!(page.contains("Login received") && page.contains("DEMO"), "{page}");
    let (status, page) = service.get(&back).await;
    assert_eq!(status, StatusCode::GONE, "{page}");

    let (status, answer) = service.get_with_secret("/get_token").await;
    assert_eq!((status, &answer["request_token"]), (StatusCode::OK, &json!("rt1")));
    let (status, _) = service.get_with_secret("/get_token").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    service.end().await;
}

#[tokio::test]
async fn a_login_that_is_not_ours_or_failed_changes_nothing() {
    let service = service().await;
    let state = service.begin_login().await;
    let check = async |path: String, status: StatusCode, words: &str| {
        let (got, page) = service.get(&path).await;
        assert_eq!(got, status, "{path}: {page}");
        assert!(page.contains(words), "{path}: {page}");
    };
    let forbidden = StatusCode::FORBIDDEN;
    check("/callback?status=success&request_token=rt".into(), forbidden, "failed").await;
    let forged = "/redirect?status=success&request_token=rt&state=1-2-3";
    check(forged.into(), forbidden, "failed").await;
    check("/callback?status=cancelled".into(), StatusCode::OK, "cancelled").await;
    let other = format!("/callback?status=no_idea&state={}", service.begin_login().await);
    check(other, StatusCode::OK, "cancelled").await;
    for stray in ["/callback", "/redirect?", "/callback?status=&x=1", "/callback?state=1-2-3"] {
        let bad = StatusCode::BAD_REQUEST;
        check(stray.into(), bad, "only opened by the broker's redirect").await;
        check(stray.into(), bad, "href=\"/login\"").await;
    }
    let empty = format!("/callback?status=success&request_token=&state={state}");
    check(empty, StatusCode::BAD_REQUEST, "failed").await;
    assert!(service.store(Role::Reader).login_pending().unwrap().is_none());
    service.end().await;
}

#[tokio::test]
async fn a_link_that_another_service_made_comes_back_once() {
    let service = service().await;
    let links = pivot_trading::service::LoginLinks::new(&service.config);
    let (_, state) = links.make(Clock::system().now()).unwrap();
    let back = format!("/redirect?state={state}&request_token=rt7&status=success");
    assert_eq!(service.get(&back).await.0, StatusCode::OK);
    assert_eq!(service.get(&back).await.0, StatusCode::GONE);
    // Used by pivot-trading, it is wiped.
    let login = service.store(Role::Reader).login_pending().unwrap().unwrap();
    let now = Clock::system().now();
    let session = BrokerSession {
        login_id: Some(login.id),
        day: now.date_naive(),
        status: SessionStatus::Valid,
        access_token: Some("at".into()),
        user_id: "AB1234".into(),
        user_name: "A Person".into(),
        login_time: now,
        valid_until: now + chrono::TimeDelta::hours(8),
        message: None,
    };
    service.store(Role::Trading).session_keep(&session).unwrap();
    let reader = service.store(Role::Reader);
    until("a wiped token", || reader.login_last().unwrap().unwrap().status == LoginStatus::Cleared)
        .await;
    let (_, status) = service.get_with_secret("/status").await;
    assert_eq!((&status["authenticated"], &status["user_id"]), (&json!(true), &json!("AB1234")));
    service.end().await;
}

#[tokio::test]
async fn a_postback_counts_when_the_secret_signed_it() {
    let service = service().await;
    let sum = Sha256::digest("2511220000012026-11-23 09:33:01kitesecret");
    let body = |checksum: String| {
        json!({
            "order_id": "251122000001", "order_timestamp": "2026-11-23 09:33:01",
            "status": "COMPLETE", "checksum": checksum,
        })
        .to_string()
    };
    assert_eq!(service.post("/postback", body(hex(&[0; 32]))).await, StatusCode::FORBIDDEN);
    assert_eq!(service.post("/postback", "nonsense".into()).await, StatusCode::BAD_REQUEST);
    assert_eq!(service.post("/postback", body(hex(&sum))).await, StatusCode::OK);
    let hints = service.store(Role::Reader).postbacks_after(0, 10).unwrap();
    assert_eq!(hints.len(), 1);
    assert_eq!(hints[0].order_id, "251122000001");
    assert!(hints[0].payload.contains("COMPLETE"));
    service.end().await;
}

#[tokio::test]
async fn what_is_not_for_the_world_asks_for_the_secret() {
    let service = service().await;
    for path in [
        "/status",
        "/api/health",
        "/api/metrics/health",
        "/api/monitoring",
        "/metrics",
        "/get_token",
    ] {
        assert_eq!(service.get(path).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert_eq!(service.post("/clear_token", String::new()).await, StatusCode::UNAUTHORIZED);
    let proxied = |path: &str| {
        let url = format!("{}{path}", service.url);
        let request = service.http.get(url).header("X-Forwarded-For", "203.0.113.9");
        async move { request.bearer_auth(API_TOKEN).send().await.unwrap().status() }
    };
    assert_eq!(proxied("/get_token").await, StatusCode::FORBIDDEN);
    assert_eq!(proxied("/status").await, StatusCode::OK);
    let foreign = service.http.get(format!("{}/login", service.url)).header("Host", "evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    service.end().await;
}

#[tokio::test]
async fn a_second_instance_says_who_runs() {
    let service = service().await;
    let error = web::bind(service.config.clone(), Clock::system()).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains(&std::process::id().to_string()), "{cause}");
    let reader = service.store(Role::Reader);
    until("a sign of life", || {
        reader.heartbeats().unwrap().iter().any(|beat| beat.service == "auth")
    })
    .await;
    service.end().await;
}
