//! One HTTP exchange: send, read the body within a cap, say what was seen.

use std::error::Error;
use std::io::Read;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::clock::real_now;

/// Largest body of an ordinary call.
pub(super) const BODY_MAX: usize = 16 << 20;

/// Largest instruments dump, unpacked (today's is about 12 MB).
pub(super) const DUMP_MAX: usize = 96 << 20;

/// Status and body.
#[derive(Debug)]
pub(super) struct Answer {
    pub http: u16,
    pub body: Vec<u8>,
    pub date: Option<DateTime<Utc>>,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum Lost {
    Nothing { reason: String },
    Body { http: u16, reason: String },
}

/// Sends a request and reads the answer, at most `cap` bytes of it.
pub(super) async fn exchange(
    http: &reqwest::Client,
    request: reqwest::Request,
    cap: usize,
) -> Result<Answer, Lost> {
    let mut response =
        http.execute(request).await.map_err(|error| Lost::Nothing { reason: describe(error) })?;
    let status = response.status().as_u16();
    let date = response
        .headers()
        .get(reqwest::header::DATE)
        .and_then(|value| DateTime::parse_from_rfc2822(value.to_str().ok()?).ok())
        .map(|date| date.with_timezone(&Utc));
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > cap => {
                let reason = format!("the body is larger than {cap} bytes");
                return Err(Lost::Body { http: status, reason });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(Lost::Body { http: status, reason: describe(error) }),
        }
    }
    Ok(Answer { http: status, body, date })
}

/// The span, up to a quarter longer or shorter, so that many clients do not
/// come back at the same instant. The sub-second part of the clock is random
/// enough for that.
pub(super) fn jittered(span: Duration) -> Duration {
    let share = real_now().timestamp_subsec_micros() % 1000;
    span.mul_f64(0.75 + f64::from(share) / 2000.0)
}

/// Unpacks a body that is gzip although its headers did not say so.
///
/// # Errors
/// When it is damaged or larger than the cap.
pub(super) fn unpack(body: Vec<u8>, cap: usize) -> Result<Vec<u8>, String> {
    if !body.starts_with(&[0x1f, 0x8b]) {
        return Ok(body);
    }
    let mut plain = Vec::new();
    let limit = cap as u64 + 1;
    flate2::read::MultiGzDecoder::new(body.as_slice())
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|error| format!("damaged gzip: {error}"))?;
    if plain.len() > cap {
        return Err(format!("the body is larger than {cap} bytes"));
    }
    Ok(plain)
}

/// The error and its causes in one line, without the URL: it can carry a
/// token.
fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
