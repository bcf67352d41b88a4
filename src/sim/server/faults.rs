//! The list of switches with their words and values, for `GET /_sim/faults`.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};

use super::envelope::{ApiResult, html_response, network_error};
use crate::sim::exchange::ApiError;
use crate::sim::faults::{Faults, RejectNext};

/// Switches of the server itself; the exchange does not know them.
const SERVER_SWITCHES: [(&str, &str); 3] = [
    (
        "answer_delay_ms",
        "Milliseconds of real time before an answer leaves, after the work is done.",
    ),
    (
        "answer_lost_next",
        "COUNT:/path: the next requests of that path are worked on, but the connection closes without an answer.",
    ),
    ("heartbeat_late_ms", "Milliseconds of real time added between heartbeats of the ticker."),
];

/// Longest delay that a switch makes: a day.
const MILLIS_MAX: u64 = 86_400_000;

/// The number of a server switch; zero when it is not set.
pub(super) fn number(faults: &Faults, name: &str) -> u64 {
    faults.other.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The refusal of a call past a limit, in the form that the switches want.
pub(super) fn over_limit(faults: &Faults) -> Response {
    let mut response = match faults.rate_limit_html {
        true => html_response(429),
        false => network_error(429, "Too many requests").into_response(),
    };
    if faults.rate_limit_retry_after_s > 0 {
        let seconds = HeaderValue::from(faults.rate_limit_retry_after_s);
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// True when the answer to this path must be lost; counts down.
pub(super) fn take_lost_answer(faults: &mut Faults, path: &str) -> bool {
    const NAME: &str = "answer_lost_next";
    let Some((count, prefix)) = faults.other.get(NAME).and_then(|text| parse_lost(text)) else {
        return false;
    };
    if count == 0 || !path.starts_with(&prefix) {
        return false;
    }
    faults.other.insert(NAME.to_string(), format!("{}:{prefix}", count - 1));
    true
}

fn parse_lost(text: &str) -> Option<(u32, String)> {
    let (count, prefix) = text.split_once(':').unwrap_or((text, ""));
    Some((count.parse().ok()?, prefix.to_string()))
}

/// `POST /_sim/faults`: sets each named switch. Either all or none.
pub(super) fn set(faults: &mut Faults, body: &[u8]) -> ApiResult {
    let wishes: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        ApiError::input(format!("Expected a JSON object of switches and values: {error}"))
    })?;
    let mut changed = faults.clone();
    for (name, value) in &wishes {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Null => "off".to_string(),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string()
            }
        };
        check_name(name)?;
        check_server_value(name, &text)?;
        changed.set(name, &text).map_err(|error| ApiError::input(error.to_string()))?;
    }
    *faults = changed;
    Ok(list(faults))
}

fn check_name(name: &str) -> Result<(), ApiError> {
    let known = rows(&Faults::default()).iter().any(|row| row.0 == name);
    if known {
        return Ok(());
    }
    Err(ApiError::input(format!("No switch is called {name:?}; GET /_sim/faults lists them")))
}

fn check_server_value(name: &str, text: &str) -> Result<(), ApiError> {
    let fits = match name {
        "answer_delay_ms" | "heartbeat_late_ms" => {
            text.parse::<u64>().is_ok_and(|millis| millis <= MILLIS_MAX)
        }
        "answer_lost_next" => parse_lost(text).is_some(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(ApiError::input(format!("{name}: {text:?} does not fit"))) }
}

/// `GET /_sim/faults`: every switch with its value and what it does.
pub(super) fn list(faults: &Faults) -> Value {
    let switches = rows(faults)
        .into_iter()
        .map(|(name, does, value)| json!({ "name": name, "value": value, "does": does }));
    Value::Array(switches.collect())
}

type Row = (&'static str, &'static str, Value);

fn rows(faults: &Faults) -> Vec<Row> {
    // Taken apart in full, so that a new switch cannot be forgotten here.
    let Faults {
        response_lost_after_place,
        place_times_out_but_exists,
        place_times_out_not_placed,
        stuck_pending,
        release_stuck: _,
        late_visibility_s,
        reject_next,
        refuse_next,
        modify_refuse_next,
        cancel_refuse_next,
        modify_lost_next,
        ip_refused,
        funds_short,
        funds_refusal,
        no_fills,
        partial_fill_next,
        empty_book,
        modify_quantity_is_remaining,
        protection_echo_market,
        history_old_style,
        order_id_short,
        busy_is_input,
        history_cap_general,
        extra_latency_ms,
        order_events,
        order_event_before_answer,
        autoslice_shape,
        quote_overflow,
        http_next,
        rate_limit_429_next,
        rate_limit_html,
        rate_limit_retry_after_s,
        index_quote_zeros,
        token_expired,
        second_login_keeps,
        ticker_drop,
        ticker_refuse,
        ticker_freeze,
        ticker_silent,
        ticker_dead,
        bare_subscribe,
        ticker_no_snapshot,
        ticker_texts,
        session_end_cuts_tickers,
        other,
    } = faults;
    let http = http_next.iter().map(|next| format!("{}:{}:{}", next.status, next.count, next.path));
    let texts = ticker_texts.iter().map(|kind| kind.as_str());
    let rejection = |next: &Option<RejectNext>| {
        next.as_ref().map(|next| {
            let side = next.side.map_or(String::new(), |side| format!("{}:", side.as_str()));
            format!("{}:{side}{}", next.count, next.message)
        })
    };
    let mut rows: Vec<Row> = vec![
        (
            "response_lost_after_place",
            "COUNT: the next placed orders exist, but the connection closes without an answer.",
            json!(response_lost_after_place),
        ),
        (
            "place_times_out_but_exists",
            "COUNT: the next placed orders exist, but the answer is 400 \"timed out\".",
            json!(place_times_out_but_exists),
        ),
        (
            "place_times_out_not_placed",
            "COUNT: the next orders are not placed, and the answer is 400 \"timed out\".",
            json!(place_times_out_not_placed),
        ),
        (
            "stuck_pending",
            "COUNT: the next orders stay in OPEN PENDING until this is set to \"release\".",
            json!(stuck_pending),
        ),
        (
            "late_visibility_s",
            "Market seconds before a new order shows in the order book.",
            json!(late_visibility_s),
        ),
        (
            "reject_next",
            "[COUNT:][BUY:|SELL:]MESSAGE: the next orders become REJECTED rows with this text; LPP stands for the price-range refusal.",
            json!(rejection(reject_next)),
        ),
        (
            "refuse_next",
            "[COUNT:][BUY:|SELL:]MESSAGE: the next orders are refused with 400 OrderException.",
            json!(rejection(refuse_next)),
        ),
        (
            "modify_refuse_next",
            "COUNT: the next modifications are refused.",
            json!(modify_refuse_next),
        ),
        (
            "cancel_refuse_next",
            "COUNT: the next cancellations are refused.",
            json!(cancel_refuse_next),
        ),
        (
            "modify_lost_next",
            "COUNT: the next modifications are accepted, then come to nothing.",
            json!(modify_lost_next),
        ),
        (
            "ip_refused",
            "off, permission or general: orders are refused for their address.",
            json!(format!("{ip_refused:?}").to_lowercase()),
        ),
        ("funds_short", "No order has enough funds.", json!(funds_short)),
        (
            "funds_refusal",
            "answer or book: where a lack of funds shows.",
            json!(format!("{funds_refusal:?}").to_lowercase()),
        ),
        ("no_fills", "Nothing fills.", json!(no_fills)),
        (
            "partial_fill_next",
            "COUNT: the next orders fill half of their lots, then rest until modified.",
            json!(partial_fill_next),
        ),
        ("empty_book", "Nobody bids, nobody offers.", json!(empty_book)),
        (
            "modify_quantity_is_remaining",
            "A modification's quantity means the remainder, not the total.",
            json!(modify_quantity_is_remaining),
        ),
        (
            "protection_echo_market",
            "A protected market order shows MARKET with price zero.",
            json!(protection_echo_market),
        ),
        (
            "history_old_style",
            "History rows begin at PUT ORDER REQ RECEIVED and lack the newer fields.",
            json!(history_old_style),
        ),
        ("order_id_short", "Order ids of 15 digits instead of 19.", json!(order_id_short)),
        (
            "busy_is_input",
            "A conflict of changes is an InputException instead of an OrderException.",
            json!(busy_is_input),
        ),
        (
            "history_cap_general",
            "A history span that is too long is a GeneralException.",
            json!(history_cap_general),
        ),
        (
            "extra_latency_ms",
            "Milliseconds of market time added to the way to the exchange.",
            json!(extra_latency_ms),
        ),
        (
            "order_events",
            "once, duplicate, reordered or dropped: how order events are delivered.",
            json!(format!("{order_events:?}").to_lowercase()),
        ),
        (
            "order_event_before_answer",
            "An order's first event comes before the answer to its placement.",
            json!(order_event_before_answer),
        ),
        (
            "autoslice_shape",
            "children or flat: shape of the answer to an autosliced order.",
            json!(format!("{autoslice_shape:?}").to_lowercase()),
        ),
        (
            "quote_overflow",
            "refused, truncated or html: what too many symbols in a quote call give.",
            json!(format!("{quote_overflow:?}").to_lowercase()),
        ),
        (
            "http_next",
            "STATUS:COUNT:/path: the next answers of paths that begin so have this status; nothing is done. 502, 503 and 504 come as HTML. Adds up.",
            json!(http.collect::<Vec<_>>()),
        ),
        ("rate_limit_429_next", "COUNT: the next calls get 429.", json!(rate_limit_429_next)),
        ("rate_limit_html", "429 comes as an HTML page.", json!(rate_limit_html)),
        (
            "rate_limit_retry_after_s",
            "Seconds in the Retry-After header of a 429; 0 leaves it out.",
            json!(rate_limit_retry_after_s),
        ),
        (
            "index_quote_zeros",
            "/quote gives an index volume, depth and the rest as zeros instead of leaving them out.",
            json!(index_quote_zeros),
        ),
        (
            "token_expired",
            "Every call and every new ticker is told that the token is dead.",
            json!(token_expired),
        ),
        (
            "second_login_keeps",
            "A second login leaves the first token alive.",
            json!(second_login_keeps),
        ),
        (
            "ticker_drop",
            "COUNT: open tickers are cut, once in each of the next market seconds.",
            json!(ticker_drop),
        ),
        ("ticker_refuse", "New tickers are refused with 403.", json!(ticker_refuse)),
        (
            "ticker_freeze",
            "Tokens, separated by commas, whose ticks stop; empty for none.",
            json!(ticker_freeze),
        ),
        ("ticker_silent", "Tickers send heartbeats only.", json!(ticker_silent)),
        ("ticker_dead", "Tickers send nothing, not even heartbeats.", json!(ticker_dead)),
        (
            "bare_subscribe",
            "quote, ltp or nothing: the mode of a subscription that names none.",
            json!(format!("{bare_subscribe:?}").to_lowercase()),
        ),
        (
            "ticker_no_snapshot",
            "After a subscription nothing is sent until a price changes.",
            json!(ticker_no_snapshot),
        ),
        (
            "ticker_texts",
            "app_code, message, unknown, separated by commas: text frames that tickers get after the greeting and every market minute; empty for none.",
            json!(texts.collect::<Vec<_>>()),
        ),
        (
            "session_end_cuts_tickers",
            "Tickers are cut off in the market second in which their session ends, at 06:00 or before.",
            json!(session_end_cuts_tickers),
        ),
    ];
    for (name, does) in SERVER_SWITCHES {
        rows.push((name, does, json!(other.get(name))));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_are_set_together_or_not_at_all() {
        let mut faults = Faults::default();
        let error = set(&mut faults, br#"{"no_fills":true,"no_such":1}"#).unwrap_err();
        assert!(error.message.contains("no_such"), "{}", error.message);
        assert!(!faults.no_fills);
        set(&mut faults, br#"{"no_fills":true,"response_lost_after_place":2}"#).unwrap();
        assert!(faults.no_fills);
        assert_eq!(faults.response_lost_after_place, 2);
        assert!(set(&mut faults, br#"{"answer_delay_ms":"soon"}"#).is_err());
        let never = format!(r#"{{"heartbeat_late_ms":{}}}"#, u64::MAX);
        assert!(set(&mut faults, never.as_bytes()).is_err());
    }

    #[test]
    fn a_lost_answer_counts_down_on_its_path() {
        let mut faults = Faults::default();
        set(&mut faults, br#"{"answer_lost_next":"1:/orders/"}"#).unwrap();
        assert!(!take_lost_answer(&mut faults, "/trades"));
        assert!(take_lost_answer(&mut faults, "/orders/regular/1"));
        assert!(!take_lost_answer(&mut faults, "/orders/regular/1"));
    }

    #[test]
    fn every_listed_switch_can_be_set() {
        for (name, _, _) in rows(&Faults::default()) {
            let fitting =
                ["1", "once", "off", "answer", "children", "refused", "502:1:/quote", "ltp"];
            let fits = fitting.iter().any(|value| Faults::default().set(name, value).is_ok());
            assert!(fits, "{name}");
        }
    }

    #[test]
    fn the_page_for_strangers_tells_of_every_switch() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/SIMULATOR.md");
        let page = std::fs::read_to_string(page).unwrap();
        for (name, _, _) in rows(&Faults::default()) {
            assert!(page.contains(&format!("`{name}`")), "docs/SIMULATOR.md: {name}");
        }
    }
}
