//! What takes long holds up neither logins nor order hints.

use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use reqwest::header::RETRY_AFTER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::heavy::SEATS;
use super::problem::Problem;
use super::serve::{bind, runtime};
use crate::clock::Clock;
use crate::config::Config;
use crate::service::hex;
use crate::store::Store;

/// Far above what a request takes that waits for nothing.
const DEADLINE: Duration = Duration::from_secs(20);

fn config(folder: &std::path::Path) -> Config {
    let mut config =
        Config { api_key: "kitekey".into(), api_secret: "kitesecret".into(), ..Config::default() };
    config.auth.listen = "127.0.0.1:0".into();
    config.auth.api_token = "let-me-in".into();
    config.data.dir = folder.join("data").display().to_string();
    config.data.log_dir = folder.join("logs").display().to_string();
    config
}

fn postback() -> String {
    let sum = hex(&Sha256::digest("2511220000012025-11-22 09:33:01kitesecret"));
    json!({
        "order_id": "251122000001", "order_timestamp": "2025-11-22 09:33:01", "checksum": sum,
    })
    .to_string()
}

async fn ask(address: SocketAddr) {
    let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
    let url = |path: &str| format!("http://{address}{path}");
    let get = async |path: &str| http.get(url(path)).bearer_auth("let-me-in").send().await.unwrap();
    let taken = http.post(url("/postback")).body(postback()).send().await.unwrap();
    assert_eq!(taken.status(), StatusCode::OK);
    assert_eq!(get("/callback").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(get("/get_token").await.status(), StatusCode::NOT_FOUND);
    assert_eq!(get("/health").await.status(), StatusCode::OK);
    let long = ["/api/logs", "/api/logs/stream", "/api/monitoring", "/metrics", "/status"];
    let answers = futures_util::future::join_all(long.map(get)).await;
    for (path, answer) in long.iter().zip(answers) {
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers()[RETRY_AFTER], "5", "{path}");
        assert!(answer.text().await.unwrap().contains("try again"), "{path}");
    }
}

#[test]
fn what_takes_long_holds_up_neither_logins_nor_order_hints() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime().unwrap();
    runtime.block_on(async {
        let bound = bind(config(folder.path()), Clock::system()).await.unwrap();
        let (address, app) = (bound.addr().unwrap(), Arc::clone(&bound.app));
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        // As many as have seats, the connection with them, and whoever asked
        // is gone.
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(std::sync::Mutex::new(held));
        let (began, mut begun) = tokio::sync::mpsc::unbounded_channel();
        for seat in 0..SEATS {
            let (app, held, began) = (Arc::clone(&app), Arc::clone(&held), began.clone());
            let hang = move || {
                began.send(()).unwrap();
                let _ = held.lock().unwrap().recv();
            };
            let asked = tokio::spawn(async move {
                if seat == 0 {
                    let read = move |_: &mut Store| {
                        hang();
                        Ok(())
                    };
                    drop(app.heavy.read(read).await);
                } else {
                    let work = move || {
                        hang();
                        Ok::<_, Problem>(())
                    };
                    drop(app.heavy.run(work).await);
                }
            });
            begun.recv().await.unwrap();
            asked.abort();
        }
        let began = Instant::now();
        ask(address).await;
        assert!(began.elapsed() < DEADLINE, "{:?}", began.elapsed());
        drop(release);
        let http = reqwest::Client::builder().timeout(DEADLINE).build().unwrap();
        let status = http.get(format!("http://{address}/status")).bearer_auth("let-me-in");
        assert_eq!(status.send().await.unwrap().status(), StatusCode::OK);
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
    });
    crate::service::end(runtime);
}
