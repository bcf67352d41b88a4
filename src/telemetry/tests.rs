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

#[test]
fn no_output_shows_a_secret_wherever_it_stands_and_however_it_was_cut() {
    let at_limit = |bytes: usize| format!("{}{SECRET}", "x".repeat(bytes - 10));
    for format in ["text", "json"] {
        let folder = tempfile::tempdir().unwrap();
        let logging = LoggingConfig { format: format.into(), ..LoggingConfig::default() };
        let limits = limits(&Config {
            data: crate::config::DataConfig {
                log_dir: folder.path().join("logs").display().to_string(),
                ..Config::default().data
            },
            logging: logging.clone(),
            ..Config::default()
        });
        let clock = Clock::system();
        let prepared = prepare("bot", &logging, limits, folder.path(), &clock, "demo");
        let (guard, _, subscriber) = prepared.unwrap();
        guard.shared.scrubber.hide(&SECRET.into());
        tracing::dispatcher::with_default(&subscriber.into(), || {
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
