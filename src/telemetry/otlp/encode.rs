//! Records in the JSON of OTLP: names in camel case, enumerations as numbers,
//! 64-bit integers as text, ids in hex.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tracing::Level;

use super::super::rows::{Record, Row};

/// `SPAN_KIND_INTERNAL`.
const KIND_INTERNAL: u8 = 1;

/// `STATUS_CODE_ERROR`.
const STATUS_ERROR: u8 = 2;

/// Who speaks: the same in every request of a process.
#[derive(Debug, Clone)]
pub struct Resource {
    service: &'static str,
    instance: String,
    mode: String,
    host: String,
}

impl Resource {
    /// This process. `service` is `auth`, `trading` or `bot`.
    pub fn of_this_process(service: &'static str, mode: &str) -> Resource {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let instance = format!("{host}:{}", std::process::id());
        Resource { service, instance, mode: mode.to_owned(), host }
    }

    fn to_json(&self) -> Value {
        json!({ "attributes": [
            text("service.name", &format!("pivot-{}", self.service)),
            text("service.version", env!("CARGO_PKG_VERSION")),
            text("service.instance.id", &self.instance),
            text("host.name", &self.host),
            // Collectors know the older name, the conventions the newer.
            text("deployment.environment", &self.mode),
            text("deployment.environment.name", &self.mode),
        ]})
    }

    /// A request of one kind, such as `resourceLogs`.
    fn request(&self, outer: &str, inner: &str, items: &str, of: Vec<Value>) -> Value {
        let scope = json!({ "name": "pivot-trading", "version": env!("CARGO_PKG_VERSION") });
        let group = json!({ "scope": scope, items: of });
        json!({ outer: [{ "resource": self.to_json(), inner: [group] }] })
    }

    /// An `ExportLogsServiceRequest`.
    pub(super) fn logs(&self, records: &[&Record]) -> Value {
        let logs = records.iter().map(|record| log(record)).collect();
        self.request("resourceLogs", "scopeLogs", "logRecords", logs)
    }

    /// An `ExportTraceServiceRequest`.
    pub(super) fn spans(&self, records: &[&Record]) -> Value {
        let spans = records.iter().map(|record| self.span(record)).collect();
        self.request("resourceSpans", "scopeSpans", "spans", spans)
    }

    /// An `ExportMetricsServiceRequest`.
    pub(super) fn metrics(&self, metrics: Vec<Value>) -> Value {
        self.request("resourceMetrics", "scopeMetrics", "metrics", metrics)
    }

    fn span(&self, record: &Record) -> Value {
        let row = &record.row;
        let end = row.at.timestamp_micros();
        let took = i64::try_from(row.duration_us.unwrap_or(0)).unwrap_or(i64::MAX);
        // A span that is sent again is the same span.
        let own = format!("{} {} {}", self.instance, self.service, record.id);
        let trace = match &row.correlation_id {
            Some(id) => trace_id(id),
            None => hashed::<16>(&format!("trace {own}")),
        };
        let status = match row.level {
            Level::ERROR => json!({ "code": STATUS_ERROR }),
            _ => json!({}),
        };
        json!({
            "traceId": trace,
            "spanId": hashed::<8>(&own),
            "name": row.message,
            "kind": KIND_INTERNAL,
            "startTimeUnixNano": nanos(end.saturating_sub(took).max(0)),
            "endTimeUnixNano": nanos(end),
            "attributes": attributes(row),
            "status": status,
        })
    }
}

fn log(record: &Record) -> Value {
    let row = &record.row;
    let at = nanos(row.at.timestamp_micros());
    let mut log = json!({
        "timeUnixNano": at,
        "observedTimeUnixNano": at,
        "severityNumber": severity(row.level),
        "severityText": row.level.as_str(),
        "body": { "stringValue": row.message },
        "attributes": attributes(row),
    });
    if let Some(id) = &row.correlation_id {
        log["traceId"] = trace_id(id).into();
    }
    log
}

/// The first 16 bytes of the SHA-256 of a correlation id: all services put a
/// trade into the same trace.
fn trace_id(correlation_id: &str) -> String {
    hashed::<16>(correlation_id)
}

/// The first bytes of a hash, in hex. They are never all zero in practice,
/// which would be no id.
fn hashed<const BYTES: usize>(of: &str) -> String {
    let digest = Sha256::digest(of.as_bytes());
    digest.iter().take(BYTES).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

const fn severity(level: Level) -> u8 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

/// Microseconds as nanoseconds in text.
pub(super) fn nanos(us: i64) -> String {
    (i128::from(us) * 1_000).to_string()
}

/// What is known of a row besides its message. Names are distinct: a field
/// that is called as one of ours gets a prefix.
fn attributes(row: &Row) -> Vec<Value> {
    let mut known = vec![
        ("component", Some(row.component.as_ref())),
        ("target", Some(row.target.as_ref())),
        ("event_type", row.event_type.as_deref()),
        ("correlation_id", row.correlation_id.as_deref()),
    ];
    known.retain(|(_, value)| value.is_some());
    let mut all: Vec<Value> =
        known.iter().map(|(key, value)| text(key, value.unwrap_or_default())).collect();
    let fields = serde_json::from_str::<Map<String, Value>>(&row.data);
    // Stars where a number was are no JSON.
    let fields =
        fields.unwrap_or_else(|_| Map::from_iter([("data".into(), row.data.clone().into())]));
    for (name, value) in &fields {
        let taken = known.iter().any(|(key, _)| key == name);
        let key = if taken { format!("field.{name}") } else { name.clone() };
        all.push(json!({ "key": key, "value": any_value(value) }));
    }
    all
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Number(number) => match (number.as_i64(), number.is_u64()) {
            (Some(whole), _) => json!({ "intValue": whole.to_string() }),
            // Too large for what OTLP has.
            (None, true) => json!({ "stringValue": number.to_string() }),
            (None, false) => json!({ "doubleValue": number }),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => {
            json!({ "stringValue": value.to_string() })
        }
    }
}

pub(super) fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn record(data: &str, duration_us: Option<u64>) -> Record {
        let row = Row {
            at: DateTime::from_timestamp_micros(1_795_664_700_123_456).unwrap(),
            level: Level::WARN,
            service: "trading".into(),
            component: "api".into(),
            target: "pivot_trading::kite".into(),
            message: "order rejected".into(),
            data: data.into(),
            correlation_id: Some("20261126_001".into()),
            event_type: None,
            duration_us,
        };
        Record { id: 7, row }
    }

    fn resource() -> Resource {
        let of = Resource::of_this_process("trading", "paper");
        Resource { instance: "host:1".into(), host: "host".into(), ..of }
    }

    #[test]
    fn a_log_record_is_as_the_specification_writes_it() {
        let fields = r#"{"n": -3, "big": 18446744073709551615, "part": 0.5, "ok": true,
            "why": "no \"margin\"", "component": "x", "none": null}"#;
        let request = resource().logs(&[&record(fields, None)]);
        let attribute =
            |key: &str, kind: &str, value: Value| json!({ "key": key, "value": { kind: value } });
        let wanted = json!({ "resourceLogs": [{
            "resource": { "attributes": [
                text("service.name", "pivot-trading"),
                text("service.version", env!("CARGO_PKG_VERSION")),
                text("service.instance.id", "host:1"),
                text("host.name", "host"),
                text("deployment.environment", "paper"),
                text("deployment.environment.name", "paper"),
            ]},
            "scopeLogs": [{
                "scope": { "name": "pivot-trading", "version": env!("CARGO_PKG_VERSION") },
                "logRecords": [{
                    "timeUnixNano": "1795664700123456000",
                    "observedTimeUnixNano": "1795664700123456000",
                    "severityNumber": 13,
                    "severityText": "WARN",
                    "body": { "stringValue": "order rejected" },
                    // printf %s 20261126_001 | sha256sum
                    "traceId": "f3cca209201c9c43b3ca1630eae3ba5d",
                    "attributes": [
                        text("component", "api"),
                        text("target", "pivot_trading::kite"),
                        text("correlation_id", "20261126_001"),
                        attribute("big", "stringValue", json!("18446744073709551615")),
                        attribute("field.component", "stringValue", json!("x")),
                        attribute("n", "intValue", json!("-3")),
                        attribute("none", "stringValue", json!("null")),
                        attribute("ok", "boolValue", json!(true)),
                        attribute("part", "doubleValue", json!(0.5)),
                        attribute("why", "stringValue", json!("no \"margin\"")),
                    ],
                }],
            }],
        }]});
        assert_eq!(request, wanted);
    }

    #[test]
    fn fields_that_are_no_json_any_more_are_text() {
        let request = resource().logs(&[&record(r#"{"token":***}"#, None)]);
        let record = request.pointer("/resourceLogs/0/scopeLogs/0/logRecords/0").unwrap();
        let attributes = record["attributes"].as_array().unwrap();
        assert_eq!(attributes.last(), Some(&text("data", r#"{"token":***}"#)));
    }

    #[test]
    fn spans_of_a_trade_share_its_trace_and_are_themselves_when_sent_again() {
        let one = record("{}", Some(1_456));
        let other = Record { id: 8, ..one.clone() };
        let mut alone = Record { id: 9, ..one.clone() };
        alone.row.correlation_id = None;
        alone.row.level = Level::ERROR;
        let request = resource().spans(&[&one, &other, &alone]);
        assert_eq!(request, resource().spans(&[&one, &other, &alone]));
        let spans = request.pointer("/resourceSpans/0/scopeSpans/0/spans").unwrap();
        let hex = |value: &Value, length: usize| {
            let text = value.as_str().unwrap();
            text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        for span in spans.as_array().unwrap() {
            assert!(hex(&span["traceId"], 32) && hex(&span["spanId"], 16), "{span:#}");
            assert_eq!(span["startTimeUnixNano"], "1795664700122000000");
            assert_eq!(span["endTimeUnixNano"], "1795664700123456000");
            assert_eq!((&span["name"], &span["kind"]), (&json!("order rejected"), &json!(1)));
        }
        assert_eq!(spans[0]["traceId"], spans[1]["traceId"]);
        assert_ne!(spans[0]["traceId"], spans[2]["traceId"]);
        assert_ne!(spans[0]["spanId"], spans[1]["spanId"]);
        assert_eq!((&spans[0]["status"], &spans[2]["status"]), (&json!({}), &json!({"code": 2})));
    }
}
