//! Log records over HTTP: pages, refusals, and the stream of new ones.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use pivot_trading::clock::Clock;
use pivot_trading::telemetry::rows::{FILE_NAME, Options, Row, Sink, SqliteBackend};
use reqwest::StatusCode;
use serde_json::Value;
use tracing::Level;

use super::{API_TOKEN, DEADLINE, Service, service};

impl Service {
    fn sink(&self) -> Sink {
        let clock = Clock::system();
        let database = self.folder.path().join("data").join(FILE_NAME);
        let fallback = self.folder.path().join("bot_fallback.jsonl");
        let backend = SqliteBackend::new(&database, &clock);
        Sink::start(Options::new("bot", fallback, &clock), backend).unwrap()
    }

    async fn logs(&self, query: &str) -> (Vec<String>, Option<String>) {
        let (status, answer) = self.get_with_secret(&format!("/api/logs?{query}")).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let messages = answer["logs"].as_array().unwrap().iter();
        let messages = messages.map(|row| row["message"].as_str().unwrap().to_owned());
        (messages.collect(), answer["next"].as_str().map(str::to_owned))
    }

    async fn follow(&self, query: &str, seen: Option<&str>) -> Stream {
        let url = format!("{}/api/logs/stream?{query}", self.url);
        let mut request = self.http.get(url).bearer_auth(API_TOKEN);
        if let Some(seen) = seen {
            request = request.header("Last-Event-ID", seen);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Stream { answer, text: String::new() }
    }
}

/// A stream of events that is being read.
struct Stream {
    answer: reqwest::Response,
    text: String,
}

impl Stream {
    /// The next block of lines; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.answer.chunk()).await.unwrap();
            let chunk = chunk.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// Id and message of the next event.
    async fn event(&mut self) -> (String, String) {
        loop {
            let block = self.block().await.expect("an event");
            let line = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.map(|line| line.trim().to_owned())
            };
            let (Some(id), Some(data)) = (line("id:"), line("data:")) else { continue };
            let row: Value = serde_json::from_str(&data).unwrap();
            return (id, row["message"].as_str().unwrap().to_owned());
        }
    }
}

fn row(number: i64, level: Level, message: &str) -> Row {
    Row {
        at: DateTime::from_timestamp(1_795_400_000, 0).unwrap() + TimeDelta::seconds(number),
        level,
        service: "bot".into(),
        component: "command_service".into(),
        target: "pivot_trading::telegram".into(),
        message: message.to_owned(),
        data: r#"{"notice":7}"#.into(),
        correlation_id: (number % 2 == 0).then(|| "20261123_001".to_owned()),
        event_type: None,
        duration_us: None,
    }
}

#[tokio::test]
async fn logs_come_by_pages_and_filters() {
    let service = service().await;
    assert_eq!(service.logs("").await, (Vec::new(), None));
    let sink = service.sink();
    for number in 0..5 {
        assert!(sink.offer(row(number, Level::INFO, &format!("row {number}"))));
    }
    assert!(sink.offer(row(5, Level::ERROR, "a notice was not delivered")));
    assert!(sink.flush(DEADLINE));
    let (first, next) = service.logs("limit=4").await;
    assert_eq!(first, ["a notice was not delivered", "row 4", "row 3", "row 2"]);
    let (second, end) = service.logs(&format!("limit=4&cursor={}", next.unwrap())).await;
    assert_eq!((second, end), (vec!["row 1".to_owned(), "row 0".to_owned()], None));
    assert_eq!(service.logs("level=warn&service=bot").await.0.len(), 1);
    assert_eq!(service.logs("q=ROW%203&component=command_service").await.0, ["row 3"]);
    assert_eq!(service.logs("correlation_id=20261123_001").await.0.len(), 3);
    assert_eq!(service.logs("component=api").await.0.len(), 0);
    let (status, answer) = service.get_with_secret("/api/logs?limit=1").await;
    assert_eq!(status, StatusCode::OK);
    let shown = &answer["logs"][0];
    assert_eq!(shown["data"]["notice"], 7);
    assert_eq!((&shown["level"], &shown["service"]), (&"ERROR".into(), &"bot".into()));
    assert!(shown["at"].as_str().unwrap().ends_with("+05:30"), "{shown}");
    service.end().await;
}

#[tokio::test]
async fn filters_that_are_not_understood_are_refused_with_what_would_do() {
    let service = service().await;
    for (query, words) in [
        ("level=loud", "level: expected trace, debug, info, warn or error, was \"loud\""),
        ("limit=0", "limit: expected a number from 1 to 1000"),
        ("cursor=x", "cursor: expected the cursor of an earlier page"),
        ("since=soon", "since: expected a time such as"),
        ("colour=red", "colour: expected one of level, service"),
        ("level=info&level=warn", "level: expected one value"),
    ] {
        for path in ["/api/logs", "/api/logs/stream"] {
            let (status, answer) = service.get_with_secret(&format!("{path}?{query}")).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
            assert!(answer["message"].as_str().unwrap().contains(words), "{query}: {answer}");
        }
    }
    for path in ["/api/logs", "/api/logs/stream", "/api/logs?level=loud"] {
        assert_eq!(service.get(path).await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    service.end().await;
}

#[tokio::test]
async fn a_stream_tells_what_is_new_and_goes_on_where_it_was_cut_off() {
    let service = service().await;
    // Before there is a database at all.
    let mut early = service.follow("", None).await;
    let sink = service.sink();
    let write = |number: i64, level: Level, message: &str| {
        assert!(sink.offer(row(number, level, message)));
        assert!(sink.flush(DEADLINE));
    };
    write(10, Level::INFO, "first");
    assert_eq!(early.event().await.1, "first");
    let mut errors = service.follow("level=error", None).await;
    write(11, Level::INFO, "second");
    // Logged before, stored after.
    write(9, Level::ERROR, "late");
    assert_eq!(early.event().await.1, "second");
    let (seen, message) = early.event().await;
    assert_eq!(message, "late");
    assert_eq!(errors.event().await.1, "late");
    drop(early);
    write(12, Level::INFO, "while nobody listened");
    write(13, Level::INFO, "fourth");
    let mut again = service.follow("", Some(&seen)).await;
    assert_eq!(again.event().await.1, "while nobody listened");
    assert_eq!(again.event().await.1, "fourth");
    // It says that it is still there, and ends with the server.
    assert_eq!(again.block().await.unwrap(), ": still here");
    let began = std::time::Instant::now();
    service.end().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(again.block().await, None);
}

#[tokio::test]
async fn few_may_follow_and_one_that_leaves_makes_room() {
    let service = service().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(service.follow("", None).await);
    }
    let ask = || {
        let url = format!("{}/api/logs/stream", service.url);
        let request = service.http.get(url).bearer_auth(API_TOKEN);
        async move { request.send().await.unwrap().status() }
    };
    assert_eq!(ask().await, StatusCode::TOO_MANY_REQUESTS);
    streams.pop();
    let deadline = std::time::Instant::now() + DEADLINE;
    while ask().await != StatusCode::OK {
        assert!(std::time::Instant::now() < deadline, "no room was made");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    service.end().await;
}
