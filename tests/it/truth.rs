//! The session and the feed of the running service: what dies, what only
//! seems to, and how it comes back. The service runs in this process,
//! against the simulated Kite, on a clock that is twenty times as fast.

use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, TimeDelta};
use pivot_trading::clock::{Clock, Conductor};
use pivot_trading::config::Config;
use pivot_trading::engine::Mode;
use pivot_trading::market::time::{from_ist, hms};
use pivot_trading::sim::server::{self, Sim, SimOptions};
use pivot_trading::store::{Heartbeat, Role, Store};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const SPEED: f64 = 20.0;

fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

/// A simulated Kite at ten in the morning, a data folder, and a login.
struct Stage {
    sim: Sim,
    http: reqwest::Client,
    store: Store,
    config: Config,
    clock: Clock,
    logins: u32,
    _conductor: Conductor,
    folder: TempDir,
}

impl Stage {
    async fn open() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let start = from_ist(date(), hms(10, 0, 0));
        let clock_file = folder.path().join("clock");
        let mut conductor = Conductor::create(&clock_file, start).unwrap();
        let options = SimOptions { clock_file: Some(clock_file.clone()), ..SimOptions::local() };
        let sim = server::start(options).await.unwrap();
        let data = folder.path().join("data");
        let config = config(&data, &sim);
        let store = Store::open(&data, Role::Auth, Mode::Demo).unwrap();
        let redirect = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().redirect(redirect).build().unwrap();
        conductor.run(SPEED, start + TimeDelta::hours(4)).unwrap();
        let clock = Clock::scaled(&clock_file).unwrap();
        let _conductor = conductor;
        Stage { sim, http, store, config, clock, logins: 0, _conductor, folder }
    }

    /// A person logs in at the broker, and pivot-auth receives the token.
    async fn log_in(&mut self) {
        let url = format!("{}/connect/login?v=3&api_key=demo_key", self.sim.kite_url());
        let form =
            [("api_key", "demo_key"), ("user_id", "SIM001"), ("password", "x"), ("totp", "1")];
        let answer = self.http.post(url).form(&form).send().await.unwrap();
        let location = answer.headers()["location"].to_str().unwrap().to_string();
        let url = reqwest::Url::parse(&location).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "request_token").unwrap().1;
        let token = SecretString::from(token.into_owned());
        self.logins += 1;
        let state = format!("login-{}", self.logins);
        let now = self.clock.now();
        self.store.login_begin(&state, now).unwrap();
        self.store.login_receive(&state, &token, now).unwrap().unwrap();
    }

    async fn faults(&self, switches: Value) {
        let url = format!("{}/_sim/faults", self.sim.kite_url());
        let answer = self.http.post(url).json(&switches).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn until(&self, what: &str, reached: impl Fn(&Heartbeat, &str) -> bool) {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < PATIENCE {
            let beats = self.store.heartbeats().unwrap();
            let reason = self.store.state().unwrap().map_or_else(String::new, |state| state.reason);
            if let Some(beat) = beats.iter().find(|beat| beat.service == "trading") {
                if reached(beat, &reason) {
                    return;
                }
                last = format!("{} {} {reason}", beat.phase, beat.detail);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what} was not reached, but {last}");
    }

    async fn until_trading(&self) {
        self.until("trading", |beat, reason| {
            beat.phase == "trading" && beat.detail["feed"] == "up" && reason == "ENABLED"
        })
        .await;
    }

    /// Login requests of the day, by their reason.
    fn login_requests(&self, why: &str) -> usize {
        let posts = self.store.outbox_of(date()).unwrap();
        let has = |fields: &[(String, String)]| fields.iter().any(|(_, text)| text.contains(why));
        posts.iter().filter(|post| has(&post.notice.fields)).count()
    }
}

fn config(data: &Path, sim: &Sim) -> Config {
    let text = json!({
        "api_key": "demo_key",
        "api_secret": "demo_secret",
        "telegram_token": "4242:token-of-nobody",
        "telegram_chat_id": 1,
        "auth": {
            "listen": "127.0.0.1:1",
            "redirect_url": "http://127.0.0.1:1/callback",
            "allow_late_login": true,
        },
        "trading": { "mode": "demo", "strategy": "index-pivot", "instrument": "SENSEX" },
        "kite": {
            "base_url": sim.kite_url(),
            "login_url": format!("{}/connect/login", sim.kite_url()),
            "ticker_url": sim.ticker_url(),
        },
        "data": { "dir": data, "log_dir": data },
    });
    Config::parse(&text.to_string()).unwrap()
}

/// Runs the service while `script` has its way with it.
async fn play(script: impl AsyncFnOnce(&mut Stage)) {
    let mut stage = Stage::open().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (config, clock) = (stage.config.clone(), stage.clock.clone());
    let stopped = async {
        let _ = stopped.await;
    };
    let service = pivot_trading::trading::run(config, clock, stopped);
    let tasks = tokio::task::LocalSet::new();
    tasks
        .run_until(async {
            let service = tokio::task::spawn_local(service);
            stage.log_in().await;
            script(&mut stage).await;
            stop.send(()).unwrap();
            service.await.unwrap().unwrap();
        })
        .await;
    assert!(stage.folder.path().join("data").join("trading.db").exists());
}

#[tokio::test]
async fn a_session_that_dies_mid_day_is_noticed_asked_for_and_replaced() {
    play(async |stage: &mut Stage| {
        stage.until_trading().await;
        // The ticker that is open stays open; only calls tell.
        stage.faults(json!({ "token_expired": true })).await;
        stage.until("waiting", |beat, _| beat.phase == "waiting for login").await;
        assert_eq!(stage.login_requests("the broker ended the session"), 1);
        let ended = stage.store.session_last().unwrap().unwrap();
        assert!(ended.access_token.is_none(), "{ended:?}");
        stage.faults(json!({ "token_expired": false })).await;
        stage.log_in().await;
        stage.until_trading().await;
    })
    .await;
}

#[tokio::test]
async fn a_second_login_elsewhere_is_noticed_asked_for_and_replaced() {
    play(async |stage: &mut Stage| {
        stage.until_trading().await;
        let url = format!("{}/_sim/logout", stage.sim.kite_url());
        stage.http.post(url).send().await.unwrap();
        stage.until("waiting", |beat, _| beat.phase == "waiting for login").await;
        stage.log_in().await;
        stage.until_trading().await;
        assert_eq!(stage.login_requests("the broker ended the session"), 1);
    })
    .await;
}

#[tokio::test]
async fn a_feed_that_refuses_a_working_session_costs_no_login() {
    play(async |stage: &mut Stage| {
        stage.until_trading().await;
        stage.faults(json!({ "ticker_refuse": true, "ticker_drop": 1 })).await;
        stage.until("down", |beat, _| beat.detail["feed"] == "down").await;
        let token = |stage: &Stage| {
            let kept = stage.store.session_last().unwrap().unwrap();
            (kept.login_id, kept.access_token.is_some())
        };
        let kept = token(stage);
        assert!(kept.1);
        stage.faults(json!({ "ticker_refuse": false })).await;
        stage.until_trading().await;
        assert_eq!(token(stage), kept, "the same session all along");
        assert_eq!(stage.login_requests("the broker ended the session"), 0);
    })
    .await;
}
