//! The figures of logging as metrics.

use serde_json::{Value, json};

use super::super::Figures;
use super::encode::{nanos, text};

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u8 = 2;

/// Names of the levels, in the order of [`Figures`].
const LEVELS: [&str; 5] = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];

/// What became of records on the way to the collector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) taken: u64,
    pub(super) refused: u64,
}

/// All metrics of a process that counts since `start_us`, at `now_us`.
pub(super) fn metrics(figures: &Figures, sent: Sent, start_us: i64, now_us: i64) -> Vec<Value> {
    let point = |attributes: Vec<Value>, value: u64| {
        json!({
            "attributes": attributes,
            "startTimeUnixNano": nanos(start_us),
            "timeUnixNano": nanos(now_us),
            "asInt": value.to_string(),
        })
    };
    let sum = |name: &str, unit: &str, description: &str, points: Vec<Value>| {
        let sum = json!({
            "dataPoints": points,
            "aggregationTemporality": CUMULATIVE,
            "isMonotonic": true,
        });
        json!({ "name": name, "unit": unit, "description": description, "sum": sum })
    };
    let gauge = |name: &str, unit: &str, description: &str, value: u64| {
        let points = [json!({ "timeUnixNano": nanos(now_us), "asInt": value.to_string() })];
        let gauge = json!({ "dataPoints": points });
        json!({ "name": name, "unit": unit, "description": description, "gauge": gauge })
    };
    let mut lines = Vec::new();
    for (outcome, counts) in [
        ("written", figures.written),
        ("sampled", figures.sampled),
        ("dropped", figures.dropped),
        ("lost", figures.lost),
    ] {
        for (level, count) in LEVELS.into_iter().zip(counts) {
            lines.push(point(vec![text("outcome", outcome), text("level", level)], count));
        }
    }
    let records = [("taken", sent.taken), ("refused", sent.refused)];
    let records = records.map(|(outcome, count)| point(vec![text("outcome", outcome)], count));
    let failing = u64::from(figures.failing.is_some());
    vec![
        sum("pivot.log.lines", "{line}", "Log lines by what became of them", lines),
        sum("pivot.log.bytes", "By", "Written to log files", vec![point(vec![], figures.bytes)]),
        sum("pivot.otlp.records", "{record}", "Records sent to this collector", records.to_vec()),
        gauge("pivot.log.queued", "{line}", "Log lines waiting for the writer", figures.queued),
        gauge("pivot.log.folder", "By", "Size of the log folder", figures.folder_bytes),
        gauge("pivot.log.failing", "1", "1 while log files cannot be written", failing),
    ]
}
