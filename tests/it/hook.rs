//! Somebody's webhook: a server that writes down what is posted to it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;

/// How long anything is waited for.
const DEADLINE: Duration = Duration::from_secs(40);

#[derive(Debug, Default)]
struct Book {
    /// Requests that are still to be refused.
    refusals: u32,
    received: Vec<Value>,
}

pub(crate) struct Hook {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
    _runtime: tokio::runtime::Runtime,
}

async fn take(State(book): State<Arc<Mutex<Book>>>, Json(alert): Json<Value>) -> StatusCode {
    let mut book = book.lock().unwrap();
    if book.refusals > 0 {
        book.refusals -= 1;
        return StatusCode::BAD_GATEWAY;
    }
    book.received.push(alert);
    StatusCode::NO_CONTENT
}

impl Hook {
    /// Refuses the first requests, then takes all.
    pub(crate) fn start(refusals: u32) -> Hook {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let book = Arc::new(Mutex::new(Book { refusals, received: Vec::new() }));
        let routes = axum::Router::new().route("/hooks/T0KEN", post(take));
        let routes = routes.with_state(Arc::clone(&book));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}/hooks/T0KEN", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Hook { url, book, _runtime: runtime }
    }

    /// What was taken of one name: status and severity, in order.
    pub(crate) fn of(&self, name: &str) -> Vec<Value> {
        let book = self.book.lock().unwrap();
        book.received.iter().filter(|alert| alert["name"] == name).cloned().collect()
    }

    pub(crate) fn wait_for(&self, name: &str, status: &str) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let found = self.of(name).into_iter().find(|alert| alert["status"] == status);
            if let Some(alert) = found {
                return alert;
            }
            assert!(Instant::now() < deadline, "no {status} {name}: {:#?}", self.book.lock());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
