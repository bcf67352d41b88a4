//! A line on its whole way, from the call to file and row.

use super::*;
use crate::clock::real_now;
use crate::market::time::IST;

/// As an operator may choose it, quotes and all.
const SECRET: &str = r#"s3"cr\3t-of-ours"#;

/// Texts of everything that was written into a folder, and of the rows.
fn written(folder: &Path) -> Vec<String> {
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder.join("logs")).unwrap() {
        texts.extend(std::fs::read_to_string(entry.unwrap().path()).ok());
    }
    let reader = rows::Reader::open(&folder.join(rows::FILE_NAME)).unwrap();
    for table in [rows::Table::System, rows::Table::Performance] {
        let query = rows::LogQuery { table, limit: rows::ROWS_MAX, ..rows::LogQuery::default() };
        let page = reader.page(&query).unwrap();
        texts.extend(page.entries.into_iter().map(|entry| format!("{:?}", entry.row)));
    }
    texts
}

/// Outputs of a service in a folder of their own.
fn prepared(service: &'static str, folder: &Path, logging: &LoggingConfig) -> (Guard, Dispatch) {
    let mut config = Config { logging: logging.clone(), ..Config::default() };
    config.data.log_dir = folder.join("logs").display().to_string();
    let (limits, clock) = (limits(&config), Clock::system());
    let prepared = prepare(service, logging, limits, folder, &clock, "demo");
    let (guard, _, subscriber) = prepared.unwrap();
    (guard, subscriber.into())
}

#[test]
fn only_services_that_are_not_on_the_way_of_an_order_care_for_the_database() {
    let none = LoggingConfig { database: false, ..LoggingConfig::default() };
    for (service, logging, cares) in [
        ("trading", LoggingConfig::default(), false),
        ("bot", LoggingConfig::default(), true),
        ("auth", LoggingConfig::default(), true),
        ("bot", none, false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (guard, _) = prepared(service, folder.path(), &logging);
        assert_eq!(guard.care.is_some(), cares, "{service}");
    }
}

#[test]
fn no_output_shows_a_secret_wherever_it_stands_and_however_it_was_cut() {
    let at_limit = |bytes: usize| format!("{}{SECRET}", "x".repeat(bytes - 10));
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let logging = LoggingConfig { format: format.into(), ..LoggingConfig::default() };
        let (guard, dispatch) = prepared("bot", folder.path(), &logging);
        guard.shared.scrubber.hide(&SECRET.into());
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!(correlation_id = SECRET, event_type = SECRET, "told of {SECRET}");
            tracing::info!(field = SECRET, debug = ?SECRET, "in fields");
            tracing::info!(data = ?serde_json::json!({ "inner": SECRET }), "in JSON in quotes");
            tracing::info!("{}", at_limit(8 * 1024));
            tracing::info!(long = at_limit(16 * 1024), "a long field");
            tracing::info!(event_type = at_limit(255), correlation_id = at_limit(255), "short");
            for _ in 0..20 {
                tracing::info!("{}", at_limit(512));
            }
        });
        drop(guard);
        let texts = written(folder.path());
        let all = texts.join("\n");
        let today = real_now().with_timezone(&IST).format("%Y").to_string();
        assert!(all.contains(&today) && all.contains("***"), "{format}");
        assert!(all.contains("repeated 10 times") && all.contains("a long field"), "{format}");
        for part in ["s3\"c", "s3\\", "of-ours", "3t-of"] {
            let found = all.find(part).map(|at| &all[at.saturating_sub(80)..at + part.len()]);
            assert_eq!(found, None, "{format}: {part}");
        }
    }
}
