//! `/logs`: the last lines as a message, or as a file.

use chrono::TimeDelta;
use pivot_trading::clock::Clock;
use pivot_trading::sim::telegram::Happened;
use pivot_trading::store::Role;
use pivot_trading::telemetry::rows::{FILE_NAME, Options, Row, Sink, SqliteBackend};
use tracing::Level;

use super::stage::{DEADLINE, OWNER, Stage, VIEWER};

/// Puts lines into the database of logs, a second apart, the last one now.
fn log(stage: &Stage, lines: &[(Level, &'static str, String)]) {
    let clock = Clock::system();
    let backend = SqliteBackend::new(&stage.data().join(FILE_NAME), &clock);
    let fallback = stage.data().join("bot_fallback.jsonl");
    let sink = Sink::start(Options::new("bot", fallback, &clock), backend).unwrap();
    let now = clock.now();
    for (place, (level, component, message)) in lines.iter().enumerate() {
        let age = TimeDelta::seconds((lines.len() - place) as i64);
        assert!(sink.offer(Row {
            at: now - age,
            level: *level,
            service: "bot".into(),
            component: (*component).into(),
            target: "here".into(),
            message: message.clone(),
            data: "{}".into(),
            correlation_id: None,
            event_type: None,
            duration_us: None,
        }));
    }
    assert!(sink.flush(DEADLINE));
}

#[test]
fn the_last_lines_come_newest_last_and_many_come_as_a_file() {
    let mut stage = Stage::new();
    stage.start();
    stage.write(OWNER, "/logs");
    stage.expect(OWNER, "There are no lines of the log.");
    let mut lines: Vec<(Level, &'static str, String)> = (0..300)
        .map(|number| (Level::INFO, "general", format!("routine number {number:03} of many")))
        .collect();
    lines.push((Level::WARN, "api", "first <b>warning</b> & more".into()));
    lines.push((Level::ERROR, "execution_service", "second, an error".into()));
    lines.push((Level::INFO, "general", "the newest".into()));
    log(&stage, &lines);

    stage.write(OWNER, "/logs 3");
    let page = stage.expect(OWNER, "The last 3 lines of the log");
    assert_eq!(page.kind, Happened::Text);
    let places = ["first <b>warning</b> & more", "second, an error", "the newest"];
    let places = places.map(|text| page.text.find(text));
    assert!(places[0].is_some() && places.is_sorted(), "{}", page.text);
    assert!(!page.text.contains("routine"), "{}", page.text);

    stage.write(OWNER, "/logs warn 50 execution_service");
    let page = stage.expect(OWNER, "The last line of execution_service, WARN and above");
    assert!(page.text.contains("second, an error") && !page.text.contains("first"));
    stage.write(OWNER, "/logs api error");
    stage.expect(OWNER, "There are no lines of api, ERROR and above.");
    stage.write(OWNER, "/logs trading");
    stage.expect(OWNER, "There are no lines of pivot-trading.");

    stage.control(
        "faults",
        serde_json::json!({ "method": "sendDocument", "status": 429, "retry_after": 1 }),
    );
    stage.write(OWNER, "/logs 300");
    let file = stage.expect(OWNER, "The last 300 lines of the log");
    assert_eq!(file.kind, Happened::Document);
    let name = file.file.unwrap();
    assert!(name.starts_with("log-") && name.ends_with(".txt"), "{name}");
    // Lines with date, level, component and message.
    assert!(file.bytes > 300 * 60, "{}", file.bytes);
}

#[test]
fn the_log_is_for_operators_and_wrong_words_are_answered_with_an_example() {
    let mut stage = Stage::new();
    log(&stage, &[(Level::INFO, "general", "not for everybody".into())]);
    stage.start();
    stage.write(VIEWER, "/logs");
    stage.expect(VIEWER, "Only operators may see this");
    stage.write(OWNER, "/logs loud");
    let usage = stage.expect(OWNER, "expected a number of lines");
    assert!(usage.text.contains("Example: /logs 50 warn"), "{}", usage.text);
    stage.write(OWNER, "/logs");
    stage.expect(OWNER, "not for everybody");
    assert!(stage.texts(VIEWER).iter().all(|text| !text.contains("not for")));
    let audit = stage.store(Role::Reader).audit_tail(10).unwrap();
    let outcomes: Vec<&str> = audit.iter().map(|line| line.outcome.as_str()).collect();
    assert_eq!(outcomes, ["done", "not allowed"], "{audit:?}");
}
