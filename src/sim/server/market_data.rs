//! Quotes, the instruments file and historical candles.

use std::io::Write as _;
use std::ops::RangeInclusive;

use axum::body::{Body, Bytes};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use chrono::{Datelike as _, NaiveDate, NaiveDateTime};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::envelope::{ApiResult, html_response, no_route};
use super::json::{self as write, QuoteKind};
use super::params::Params;
use super::reply::Reply;
use super::world::World;
use crate::market::time::{from_ist, hms};
use crate::market::{Exchange as Venue, InstrumentKey, Timestamp};
use crate::sim::exchange::{ApiError, Interval};
use crate::sim::faults::QuoteOverflow;

/// Symbols of one `/quote` call.
const FULL_QUOTES_MAX: usize = 500;

/// Symbols of one `/quote/ohlc` or `/quote/ltp` call.
const SHORT_QUOTES_MAX: usize = 1_000;

/// Years of which history can be asked for.
const YEARS: RangeInclusive<i32> = 1900..=2199;

/// `GET /quote`, `/quote/ohlc` and `/quote/ltp`.
pub(super) fn quotes(world: &World, call: &Call, kind: Option<QuoteKind>) -> Reply {
    let (Some(kind), "GET") = (kind, call.method.as_str()) else {
        return Err(no_route()).into();
    };
    let most = match kind {
        QuoteKind::Full => FULL_QUOTES_MAX,
        QuoteKind::Ohlc | QuoteKind::Ltp => SHORT_QUOTES_MAX,
    };
    let mut symbols: Vec<&str> = call.params.all("i").collect();
    if symbols.is_empty() {
        return Err(super::envelope::missing("i")).into();
    }
    if symbols.len() > most {
        match world.exchange.faults().quote_overflow {
            QuoteOverflow::Refused => {
                let complaint = format!("At most {most} instruments can be asked for at once.");
                return Err(ApiError::input(complaint)).into();
            }
            QuoteOverflow::Html => return Reply::new(html_response(414)),
            QuoteOverflow::Truncated => symbols.truncate(most),
        }
    }
    let now = world.now();
    let index_zeros = world.exchange.faults().index_quote_zeros;
    let mut answer = Map::new();
    for symbol in symbols {
        let quote = token_of(world, symbol).and_then(|token| world.exchange.quote(token, now));
        if let Some(quote) = quote {
            let value = match kind {
                QuoteKind::Full if quote.is_index && index_zeros => write::index_with_zeros(&quote),
                QuoteKind::Full | QuoteKind::Ohlc | QuoteKind::Ltp => write::quote(&quote, kind),
            };
            answer.insert(symbol.to_string(), value);
        }
    }
    Ok(Value::Object(answer)).into()
}

/// `EXCHANGE:SYMBOL`, or a bare token.
fn token_of(world: &World, symbol: &str) -> Option<u32> {
    match symbol.parse() {
        Ok(token) => Some(token),
        Err(_) => world.exchange.token(&InstrumentKey::parse(symbol)?),
    }
}

/// `GET /instruments` and `GET /instruments/{exchange}`: CSV, compressed for
/// those who can read it so.
pub(super) fn instruments(world: &mut World, call: &Call, exchange: Option<&str>) -> Reply {
    let venue = match exchange.map(|name| (Venue::parse(name), name)) {
        None => None,
        Some((Some(venue), _)) => Some(venue),
        Some((None, _)) => return Err(ApiError::input("Invalid `exchange`.")).into(),
    };
    let etag = format!("W/\"{}-{}\"", world.exchange.date(), exchange.unwrap_or("all"));
    if call.known_etag() == Some(&etag) {
        return Reply::new((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response());
    }
    let file = match world.instrument_files.get(&venue) {
        Some(file) => file.clone(),
        None => {
            let file = Bytes::from(world.exchange.instruments_csv(venue));
            world.instrument_files.insert(venue, file.clone());
            file
        }
    };
    Reply::new(csv_response(file, etag, call.accepts_gzip()))
}

fn csv_response(file: Bytes, etag: String, compressed: bool) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/csv".to_string()), (header::ETAG, etag)];
    let packed = if compressed { gzip(&file).ok() } else { None };
    match packed {
        Some(packed) => {
            (headers, [(header::CONTENT_ENCODING, "gzip")], Body::from(packed)).into_response()
        }
        None => (headers, Body::from(file)).into_response(),
    }
}

fn gzip(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// `GET /instruments/historical/{token}/{interval}`.
pub(super) fn historical(world: &World, token: &str, interval: &str, params: &Params) -> ApiResult {
    let token: u32 = token.parse().map_err(|_| ApiError::input("invalid token"))?;
    let interval = Interval::parse(interval).ok_or_else(|| ApiError::input("invalid interval"))?;
    let from = moment(params, "from", false)?;
    let to = moment(params, "to", true)?;
    if from > to {
        return Err(ApiError::input("`from` cannot be later than `to`"));
    }
    let candles = world.exchange.historical(token, interval, from, to)?;
    let with_open_interest = params.flag("oi");
    let rows = candles.iter().map(|candle| write::candle(candle, with_open_interest));
    Ok(json!({ "candles": rows.collect::<Vec<_>>() }))
}

/// `yyyy-mm-dd hh:mm:ss` in India, or a date alone: its first second, or its
/// last one at the end of a range.
fn moment(params: &Params, name: &str, is_end: bool) -> Result<Timestamp, ApiError> {
    let text = params.require(name)?;
    let date_alone = || {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(date.and_time(if is_end { hms(23, 59, 59) } else { hms(0, 0, 0) }))
    };
    ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(date_alone)
        // The first and last years of the library cannot be shifted to UTC.
        .filter(|at| YEARS.contains(&at.year()))
        .map(|at| from_ist(at.date(), at.time()))
        .ok_or_else(|| {
            ApiError::input(format!("Invalid `{name}`: expected yyyy-mm-dd hh:mm:ss, got {text}"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::ist;
    use crate::sim::form::encode;

    #[test]
    fn moments_come_with_or_without_a_time() {
        let params = Params::parse(
            "from=2026-11-23+09:15:00&to=2026-11-23&odd=23/11/2026&t=2026-11-23T10:00:00",
        );
        let check = |name, is_end, expected: &str| {
            let at = moment(&params, name, is_end).unwrap();
            assert_eq!(ist(at).to_string(), expected);
        };
        check("from", false, "2026-11-23 09:15:00");
        check("to", true, "2026-11-23 23:59:59");
        check("to", false, "2026-11-23 00:00:00");
        check("t", false, "2026-11-23 10:00:00");
        assert!(moment(&params, "odd", false).is_err());
        for year in ["-262143", "+262142", "0000", "9999"] {
            let params = Params::parse(&format!("from={}-12-31", encode(year)));
            assert!(moment(&params, "from", true).is_err(), "{year}");
        }
    }
}
