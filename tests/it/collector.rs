//! A stand-in for an OpenTelemetry collector, strict about what it is sent.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

/// What it does with requests to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Take,
    /// Takes them, but says that one item was not.
    Partial,
    Busy {
        status: u16,
        pause_s: Option<u32>,
    },
    Refuse(u16),
    Never,
}

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) at: Instant,
    pub(crate) path: String,
    pub(crate) authorization: String,
    /// Set when it was taken.
    pub(crate) body: Option<Value>,
}

#[derive(Debug, Default)]
struct Book {
    answers: BTreeMap<&'static str, Answer>,
    requests: Vec<Request>,
    /// What was wrong with requests.
    mistakes: Vec<String>,
}

pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    socket: Option<TcpSocket>,
    book: Arc<Mutex<Book>>,
    runtime: tokio::runtime::Runtime,
}

async fn take(
    State(book): State<Arc<Mutex<Book>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name: &str| {
        headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    };
    let mut text = String::new();
    match header("content-encoding").as_str() {
        "gzip" => flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap(),
        _ => (&body[..]).read_to_string(&mut text).unwrap(),
    };
    let path = uri.path().to_owned();
    let answer = {
        let mut book = book.lock().unwrap();
        let answer = *book.answers.get(path.as_str()).unwrap_or(&Answer::Take);
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if header("content-type") != "application/json" {
            book.mistakes.push(format!("content-type of {path}"));
        }
        book.mistakes.extend(mistakes(&path, &body));
        let is_taken = matches!(answer, Answer::Take | Answer::Partial);
        book.requests.push(Request {
            at: Instant::now(),
            path,
            authorization: header("authorization"),
            body: is_taken.then_some(body),
        });
        answer
    };
    let partial =
        json!({ "partialSuccess": { "rejectedLogRecords": "1", "errorMessage": "too old" } });
    match answer {
        Answer::Take => axum::Json(json!({ "partialSuccess": {} })).into_response(),
        Answer::Partial => axum::Json(partial).into_response(),
        Answer::Busy { status, pause_s } => {
            let status = StatusCode::from_u16(status).unwrap();
            match pause_s {
                Some(pause) => (status, [("retry-after", pause.to_string())]).into_response(),
                None => status.into_response(),
            }
        }
        Answer::Refuse(status) => {
            // As careless servers do.
            let authorization = header("authorization");
            let key = authorization.rsplit(' ').next().unwrap_or_default();
            let why = axum::Json(json!({ "code": 3, "message": format!("no key: {key}!") }));
            (StatusCode::from_u16(status).unwrap(), why).into_response()
        }
        Answer::Never => std::future::pending().await,
    }
}

impl StandIn {
    /// Has an address, at which connections are refused.
    pub(crate) fn prepare() -> StandIn {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        StandIn { address, socket: Some(socket), book: Arc::default(), runtime }
    }

    pub(crate) fn start(&mut self) {
        let routes = axum::Router::new().fallback(take).with_state(Arc::clone(&self.book));
        let socket = self.socket.take().unwrap();
        self.runtime.spawn(async move {
            let listener: TcpListener = socket.listen(64).unwrap();
            axum::serve(listener, routes).await
        });
    }

    pub(crate) fn start_now() -> StandIn {
        let mut started = StandIn::prepare();
        started.start();
        started
    }

    pub(crate) fn answer(&self, path: &'static str, answer: Answer) {
        self.book.lock().unwrap().answers.insert(path, answer);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let book = self.book.lock().unwrap();
        assert!(book.mistakes.is_empty(), "{:#?}", book.mistakes);
        book.requests.clone()
    }

    /// Items of one kind that were taken, in order, each with the resource
    /// attributes of its request as `resource`.
    fn items(&self, path: &str, pointers: [&str; 3]) -> Vec<Value> {
        let mut items = Vec::new();
        for request in self.requests().into_iter().filter(|request| request.path == path) {
            for group in list(&request.body.unwrap_or_default(), pointers[0]) {
                for scope in list(&group, pointers[1]) {
                    for mut item in list(&scope, pointers[2]) {
                        item["resource"] = group["resource"].clone();
                        items.push(item);
                    }
                }
            }
        }
        items
    }

    pub(crate) fn logs(&self) -> Vec<Value> {
        self.items("/v1/logs", ["resourceLogs", "scopeLogs", "logRecords"])
    }

    pub(crate) fn spans(&self) -> Vec<Value> {
        self.items("/v1/traces", ["resourceSpans", "scopeSpans", "spans"])
    }

    pub(crate) fn metrics(&self) -> Vec<Value> {
        self.items("/v1/metrics", ["resourceMetrics", "scopeMetrics", "metrics"])
    }
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value[name].as_array().cloned().unwrap_or_default()
}

/// The value of an attribute.
pub(crate) fn attribute(item: &Value, key: &str) -> Option<Value> {
    list(item, "attributes").into_iter().find(|it| it["key"] == key).map(|it| it["value"].clone())
}

/// How a value must look.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Text,
    /// A 64-bit integer as text, of at least zero.
    Count,
    /// One of these numbers.
    OneOf(&'static [u64]),
    /// Lower-case hex of so many digits.
    Hex(usize),
    True,
    List(Object),
    Of(Object),
    Attributes,
    AnyValue,
}

/// Names of an object with their shapes, and whether they must be there.
type Object = &'static [(&'static str, Shape, bool)];

const SCOPE: Object = &[("name", Shape::Text, true), ("version", Shape::Text, false)];
const RESOURCE: Object = &[("attributes", Shape::Attributes, true)];

const LOGS: Object = &[("resourceLogs", Shape::List(RESOURCE_LOGS), true)];
const RESOURCE_LOGS: Object =
    &[("resource", Shape::Of(RESOURCE), true), ("scopeLogs", Shape::List(SCOPE_LOGS), true)];
const SCOPE_LOGS: Object =
    &[("scope", Shape::Of(SCOPE), true), ("logRecords", Shape::List(LOG_RECORD), true)];
const LOG_RECORD: Object = &[
    ("timeUnixNano", Shape::Count, true),
    ("observedTimeUnixNano", Shape::Count, true),
    ("severityNumber", Shape::OneOf(&[1, 5, 9, 13, 17]), true),
    ("severityText", Shape::Text, true),
    ("body", Shape::AnyValue, true),
    ("attributes", Shape::Attributes, true),
    ("traceId", Shape::Hex(32), false),
    ("spanId", Shape::Hex(16), false),
];

const TRACES: Object = &[("resourceSpans", Shape::List(RESOURCE_SPANS), true)];
const RESOURCE_SPANS: Object =
    &[("resource", Shape::Of(RESOURCE), true), ("scopeSpans", Shape::List(SCOPE_SPANS), true)];
const SCOPE_SPANS: Object =
    &[("scope", Shape::Of(SCOPE), true), ("spans", Shape::List(SPAN), true)];
const SPAN: Object = &[
    ("traceId", Shape::Hex(32), true),
    ("spanId", Shape::Hex(16), true),
    ("name", Shape::Text, true),
    ("kind", Shape::OneOf(&[1, 2, 3, 4, 5]), true),
    ("startTimeUnixNano", Shape::Count, true),
    ("endTimeUnixNano", Shape::Count, true),
    ("attributes", Shape::Attributes, true),
    ("status", Shape::Of(&[("code", Shape::OneOf(&[0, 1, 2]), false)]), true),
];

const METRICS: Object = &[("resourceMetrics", Shape::List(RESOURCE_METRICS), true)];
const RESOURCE_METRICS: Object =
    &[("resource", Shape::Of(RESOURCE), true), ("scopeMetrics", Shape::List(SCOPE_METRICS), true)];
const SCOPE_METRICS: Object =
    &[("scope", Shape::Of(SCOPE), true), ("metrics", Shape::List(METRIC), true)];
const METRIC: Object = &[
    ("name", Shape::Text, true),
    ("unit", Shape::Text, true),
    ("description", Shape::Text, true),
    ("sum", Shape::Of(SUM), false),
    ("gauge", Shape::Of(GAUGE), false),
];
const SUM: Object = &[
    ("dataPoints", Shape::List(POINT), true),
    ("aggregationTemporality", Shape::OneOf(&[2]), true),
    ("isMonotonic", Shape::True, true),
];
const GAUGE: Object = &[("dataPoints", Shape::List(POINT), true)];
const POINT: Object = &[
    ("attributes", Shape::Attributes, false),
    ("startTimeUnixNano", Shape::Count, false),
    ("timeUnixNano", Shape::Count, true),
    ("asInt", Shape::Count, true),
];

/// Where a body is not as the specification says.
fn mistakes(path: &str, body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    match path {
        "/v1/logs" => object(path, body, LOGS, &mut found),
        "/v1/traces" => object(path, body, TRACES, &mut found),
        "/v1/metrics" => object(path, body, METRICS, &mut found),
        _ => found.push(format!("{path} is no path of OTLP")),
    }
    found
}

fn object(place: &str, value: &Value, shape: Object, found: &mut Vec<String>) {
    let Some(names) = value.as_object() else { return found.push(format!("{place}: {value}")) };
    for name in names.keys() {
        if !shape.iter().any(|(known, ..)| known == name) {
            found.push(format!("{place} has {name}"));
        }
    }
    for (name, shape, is_needed) in shape {
        match names.get(*name) {
            Some(value) => shaped(&format!("{place}.{name}"), value, *shape, found),
            None if *is_needed => found.push(format!("{place} lacks {name}")),
            None => {}
        }
    }
}

fn shaped(place: &str, value: &Value, shape: Shape, found: &mut Vec<String>) {
    let text = value.as_str();
    let holds = match shape {
        Shape::Text => text.is_some_and(|text| !text.is_empty()),
        Shape::Count => text.is_some_and(|text| text.parse::<u64>().is_ok()),
        Shape::OneOf(numbers) => value.as_u64().is_some_and(|number| numbers.contains(&number)),
        Shape::Hex(digits) => text.is_some_and(|text| {
            let is_hex = text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            text.len() == digits && is_hex && text.bytes().any(|byte| byte != b'0')
        }),
        Shape::True => *value == json!(true),
        Shape::Of(shape) => return object(place, value, shape, found),
        Shape::List(shape) => {
            for item in value.as_array().into_iter().flatten() {
                object(place, item, shape, found);
            }
            value.is_array()
        }
        Shape::Attributes => {
            let items = list(&json!({ "it": value }), "it");
            let mut keys: Vec<&Value> = items.iter().map(|item| &item["key"]).collect();
            for item in &items {
                shaped(&format!("{place}.{}", item["key"]), &item["value"], Shape::AnyValue, found);
            }
            let whole = items
                .iter()
                .all(|item| item.as_object().unwrap().len() == 2 && item["key"].as_str().is_some());
            let count = keys.len();
            keys.sort_by_key(|key| key.to_string());
            keys.dedup();
            value.is_array() && whole && keys.len() == count
        }
        Shape::AnyValue => match value.as_object().map(|it| it.iter().collect::<Vec<_>>()) {
            Some(parts) if parts.len() == 1 => match (parts[0].0.as_str(), parts[0].1) {
                ("stringValue", it) => it.is_string(),
                ("boolValue", it) => it.is_boolean(),
                ("doubleValue", it) => it.is_number(),
                ("intValue", it) => it.as_str().is_some_and(|text| text.parse::<i64>().is_ok()),
                _ => false,
            },
            _ => false,
        },
    };
    if !holds {
        found.push(format!("{place}: {value} is not {shape:?}"));
    }
}
