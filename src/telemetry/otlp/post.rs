//! One request to a collector and what its answer means.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// Time for a connection, and for a whole request.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The longest pause that a collector can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Bytes of an answer that are read, and of its words that are shown.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
const WORDS_MAX: usize = 200;

/// Bodies from this size on are compressed.
const GZIP_FROM: usize = 1024;

/// Where the collector is and what it wants to see.
#[derive(Debug, Clone)]
pub struct Collector {
    /// Its address, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// Headers of every request.
    pub headers: HeaderMap,
}

/// Why a request was in vain.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// No answer.
    #[error("the OpenTelemetry collector does not answer: check logging.otlp_endpoint")]
    Unanswered(#[source] reqwest::Error),
    /// An answer after which the same request is to be sent again.
    #[error("the OpenTelemetry collector is busy: {status}")]
    Busy {
        /// The answer.
        status: StatusCode,
        /// How long it asks to be left alone.
        pause: Option<Duration>,
    },
    /// An answer after which the request must not be sent again.
    #[error("the OpenTelemetry collector refuses: {status} {words}")]
    Refused {
        /// The answer.
        status: StatusCode,
        /// What it says.
        words: String,
    },
    /// It asked to be left alone.
    #[error("the OpenTelemetry collector asked for a pause of {} s", .0.as_secs())]
    Pause(Duration),
}

/// What of a request that was taken was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) items: u64,
    pub(super) words: String,
}

/// Sends requests to a collector.
#[derive(Debug, Clone)]
pub(super) struct Poster {
    client: Client,
    collector: Collector,
}

impl Poster {
    pub(super) fn new(collector: Collector) -> Result<Poster, reqwest::Error> {
        let client = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // Keys in headers are for this host only.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Poster { client, collector })
    }

    /// Sends a request to a path such as `v1/logs`.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Rejected, PostError> {
        let url = format!("{}/{path}", self.collector.endpoint.trim_end_matches('/'));
        let request = self.client.post(url).headers(self.collector.headers.clone());
        // The address is no secret, but it says nothing new in an error.
        let unanswered = |error: reqwest::Error| PostError::Unanswered(error.without_url());
        let response = with_body(request, body.to_string()).send().await.map_err(unanswered)?;
        let status = response.status();
        let pause = pause(response.headers());
        let answer = read(response).await.map_err(unanswered)?;
        match status {
            _ if status.is_success() => Ok(rejected(&answer)),
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Err(PostError::Busy { status, pause }),
            _ => Err(PostError::Refused { status, words: words(&answer) }),
        }
    }
}

fn with_body(request: RequestBuilder, body: String) -> RequestBuilder {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if body.len() < GZIP_FROM {
        return request.headers(headers).body(body);
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    match gzip.write_all(body.as_bytes()).and_then(|()| gzip.finish()) {
        Ok(packed) => {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            request.headers(headers).body(packed)
        }
        // Memory takes everything; plain would do as well.
        Err(_) => request.headers(headers).body(body),
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut answer = Vec::new();
    while answer.len() < ANSWER_BYTES_MAX
        && let Some(chunk) = response.chunk().await?
    {
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// Seconds of `Retry-After`; a date there is left to the usual pauses.
fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(PAUSE_MAX))
}

/// What a success left out, by its `partialSuccess`.
fn rejected(answer: &[u8]) -> Rejected {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let partial = &answer["partialSuccess"];
    let names = ["rejectedLogRecords", "rejectedSpans", "rejectedDataPoints"];
    let count = |value: &Value| {
        value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
    };
    Rejected {
        items: names.iter().find_map(|name| count(&partial[*name])).unwrap_or(0),
        words: clipped(partial["errorMessage"].as_str().unwrap_or_default()),
    }
}

/// The message of a `Status`, or the beginning of whatever there is.
fn words(answer: &[u8]) -> String {
    let status: Value = serde_json::from_slice(answer).unwrap_or_default();
    match status["message"].as_str() {
        Some(message) => clipped(message),
        None => clipped(&String::from_utf8_lossy(answer)),
    }
}

fn clipped(text: &str) -> String {
    text.chars().take(WORDS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_either_way_of_writing_a_count() {
        for (answer, items, words) in [
            (r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"old"}}"#, 3, "old"),
            (r#"{"partialSuccess":{"rejectedSpans":2}}"#, 2, ""),
            (r#"{"partialSuccess":{}}"#, 0, ""),
            ("{}", 0, ""),
            ("", 0, ""),
        ] {
            let wanted = Rejected { items, words: words.into() };
            assert_eq!(rejected(answer.as_bytes()), wanted, "{answer}");
        }
        assert_eq!(words(br#"{"code": 3, "message": "bad name"}"#), "bad name");
        assert_eq!(words("ü".repeat(999).as_bytes()).chars().count(), WORDS_MAX);
    }

    #[test]
    fn a_pause_is_in_seconds_and_has_an_end() {
        let after = |text: &'static str| {
            pause(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]))
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("99999"), Some(PAUSE_MAX));
        assert_eq!(after("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(pause(&HeaderMap::new()), None);
    }
}
