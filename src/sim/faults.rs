//! Switches that make the simulated broker misbehave, each named as in
//! `POST /_sim/faults {"name": value}`.
//!
//! Counters count down: `3` means "the next three times". What concerns
//! orders is honoured by the exchange, what concerns transport by the server.

use std::collections::BTreeMap;

/// How order events are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventDelivery {
    /// Each once, in order.
    #[default]
    Once,
    /// Each twice.
    Duplicate,
    /// Neighbours swapped.
    Reordered,
    /// None at all.
    Dropped,
}

/// Where a lack of funds shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FundsRefusal {
    /// At once: 400 `MarginException`, nothing in the book.
    #[default]
    Answer,
    /// An order id, then a REJECTED row.
    Book,
}

/// Shape of the answer to an autosliced order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutosliceShape {
    /// `{"order_id": …, "children": […]}`.
    #[default]
    Children,
    /// `[{"order_id": …}, …]`.
    Flat,
}

/// What too many symbols in one quote call give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuoteOverflow {
    /// 400 `InputException`.
    #[default]
    Refused,
    /// Only the first ones are answered.
    Truncated,
    /// 414 with an HTML page.
    Html,
}

/// What the static IP check gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpRefusal {
    /// Addresses are fine.
    #[default]
    Off,
    /// 403 `PermissionException`.
    Permission,
    /// 400 `GeneralException`.
    General,
}

/// Mode of a token that was subscribed to without ever naming one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareSubscribe {
    /// Mode `quote`.
    #[default]
    Quote,
    /// Mode `ltp`.
    Ltp,
    /// Nothing is sent until a mode is set.
    Nothing,
}

/// A text frame that tickers get besides the known ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickerText {
    /// `app_code`: a timestamp and no data.
    AppCode,
    /// `message`: words of the broker.
    Message,
    /// Of a type that nobody has seen.
    Unknown,
}

impl TickerText {
    /// The word that the switch takes.
    pub const fn as_str(self) -> &'static str {
        match self {
            TickerText::AppCode => "app_code",
            TickerText::Message => "message",
            TickerText::Unknown => "unknown",
        }
    }

    fn parse(text: &str) -> Option<TickerText> {
        [TickerText::AppCode, TickerText::Message, TickerText::Unknown]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }
}

/// What happens to the next answers of the paths that start with a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpFault {
    /// Path prefix; empty is every path.
    pub path: String,
    /// Status to answer with.
    pub status: u16,
    /// Answers left.
    pub count: u32,
}

/// All switches. The default is a broker that works.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    /// The next placed orders exist, but the connection closes without an answer.
    pub response_lost_after_place: u32,
    /// The next placed orders exist, but the answer is 400 "timed out".
    pub place_times_out_but_exists: u32,
    /// The next orders are not placed, and the answer is 400 "timed out".
    pub place_times_out_not_placed: u32,
    /// The next orders stay in OPEN PENDING until `stuck_pending` is set to `release`.
    pub stuck_pending: u32,
    /// Stuck orders go on; the exchange clears it.
    pub release_stuck: bool,
    /// Seconds of market time before an order shows in the order book.
    pub late_visibility_s: u32,
    /// The next orders of a side (or any) become REJECTED rows with this text.
    pub reject_next: Option<RejectNext>,
    /// The next orders are refused with 400 `OrderException` and this text.
    pub refuse_next: Option<RejectNext>,
    /// The next modifications are refused.
    pub modify_refuse_next: u32,
    /// The next cancellations are refused.
    pub cancel_refuse_next: u32,
    /// The next modifications are accepted, then come to nothing at the exchange.
    pub modify_lost_next: u32,
    /// Orders, modifications and cancellations are refused for their address.
    pub ip_refused: IpRefusal,
    /// No order has enough funds.
    pub funds_short: bool,
    /// Where a lack of funds shows.
    pub funds_refusal: FundsRefusal,
    /// Nothing fills.
    pub no_fills: bool,
    /// The next orders fill half of their lots, then rest until modified.
    pub partial_fill_next: u32,
    /// Books are empty: nobody bids, nobody offers.
    pub empty_book: bool,
    /// The remainder, not the total, is what a modification's quantity means.
    pub modify_quantity_is_remaining: bool,
    /// A protected market order shows MARKET with price zero.
    pub protection_echo_market: bool,
    /// History rows begin at PUT ORDER REQ RECEIVED.
    pub history_old_style: bool,
    /// Order ids of 15 digits instead of 19.
    pub order_id_short: bool,
    /// A conflict of changes is an `InputException` instead of an `OrderException`.
    pub busy_is_input: bool,
    /// A history span that is too long is a `GeneralException`.
    pub history_cap_general: bool,
    /// Milliseconds of market time added to the way to the exchange.
    pub extra_latency_ms: u32,
    /// How order events are delivered.
    pub order_events: EventDelivery,
    /// Order events come before the answer to the order that caused them.
    pub order_event_before_answer: bool,
    /// Shape of autoslice answers.
    pub autoslice_shape: AutosliceShape,
    /// Too many symbols in one quote call.
    pub quote_overflow: QuoteOverflow,
    /// Answers with a 5xx or other status.
    pub http_next: Vec<HttpFault>,
    /// The next calls get 429.
    pub rate_limit_429_next: u32,
    /// 429 comes as an HTML page without JSON.
    pub rate_limit_html: bool,
    /// Seconds named in the `Retry-After` header of a 429; zero leaves it out.
    pub rate_limit_retry_after_s: u32,
    /// `/quote` gives an index the fields of a share, as zeros.
    pub index_quote_zeros: bool,
    /// Every call says the token is dead.
    pub token_expired: bool,
    /// A second login leaves the first token alive.
    pub second_login_keeps: bool,
    /// Open tickers are cut once; counts the cuts.
    pub ticker_drop: u32,
    /// New tickers are refused with 403.
    pub ticker_refuse: bool,
    /// Instruments whose ticks no longer change.
    pub ticker_freeze: Vec<u32>,
    /// Tickers send heartbeats only.
    pub ticker_silent: bool,
    /// Tickers send nothing, not even heartbeats.
    pub ticker_dead: bool,
    /// Mode of a subscription that names none.
    pub bare_subscribe: BareSubscribe,
    /// The first packets after a subscription wait for a change.
    pub ticker_no_snapshot: bool,
    /// Text frames that tickers get after the greeting and every market minute.
    pub ticker_texts: Vec<TickerText>,
    /// Tickers are cut off when their session ends.
    pub session_end_cuts_tickers: bool,
    /// Switches of the server that this list does not know, by name.
    pub other: BTreeMap<String, String>,
}

/// A refusal of the next orders, with the broker's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectNext {
    /// Orders left.
    pub count: u32,
    /// Only orders of this side.
    pub side: Option<crate::market::Side>,
    /// The words.
    pub message: String,
}

/// The switch or its value is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fault {name:?}: expected {expected}, was {value:?}")]
pub struct FaultError {
    name: String,
    value: String,
    expected: &'static str,
}

/// The words of the broker when the price is outside the exchange's band.
pub const LPP_MESSAGE: &str =
    "Rejected due to order price being outside the LPP range. Place the order within the range.";

impl Faults {
    /// Sets one switch from text. Counters take a number; toggles take `true`
    /// and `false`; `reject_next` and `refuse_next` take
    /// `[COUNT:][BUY:|SELL:]message`; `http_next` takes `STATUS:COUNT:/path`;
    /// `ticker_freeze` and `ticker_texts` take tokens or words separated by
    /// commas, or nothing.
    ///
    /// # Errors
    /// When the value does not fit the switch. Unknown names are kept in
    /// [`Faults::other`].
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), FaultError> {
        let parse = Parse { name, value: value.trim() };
        match name {
            "response_lost_after_place" => self.response_lost_after_place = parse.count()?,
            "place_times_out_but_exists" => self.place_times_out_but_exists = parse.count()?,
            "place_times_out_not_placed" => self.place_times_out_not_placed = parse.count()?,
            "stuck_pending" if parse.value == "release" => self.release_stuck = true,
            "stuck_pending" => self.stuck_pending = parse.count()?,
            "late_visibility_s" => self.late_visibility_s = parse.count()?,
            "reject_next" => self.reject_next = parse.rejection()?,
            "refuse_next" => self.refuse_next = parse.rejection()?,
            "modify_refuse_next" => self.modify_refuse_next = parse.count()?,
            "cancel_refuse_next" => self.cancel_refuse_next = parse.count()?,
            "modify_lost_next" => self.modify_lost_next = parse.count()?,
            "ip_refused" => self.ip_refused = parse.ip_refusal()?,
            "funds_short" => self.funds_short = parse.toggle()?,
            "funds_refusal" => self.funds_refusal = parse.funds_refusal()?,
            "no_fills" => self.no_fills = parse.toggle()?,
            "partial_fill_next" => self.partial_fill_next = parse.count()?,
            "empty_book" => self.empty_book = parse.toggle()?,
            "modify_quantity_is_remaining" => {
                self.modify_quantity_is_remaining = parse.toggle()?;
            }
            "protection_echo_market" => self.protection_echo_market = parse.toggle()?,
            "history_old_style" => self.history_old_style = parse.toggle()?,
            "order_id_short" => self.order_id_short = parse.toggle()?,
            "busy_is_input" => self.busy_is_input = parse.toggle()?,
            "history_cap_general" => self.history_cap_general = parse.toggle()?,
            "extra_latency_ms" => self.extra_latency_ms = parse.count()?,
            _ => return self.set_transport(&parse),
        }
        Ok(())
    }

    fn set_transport(&mut self, parse: &Parse<'_>) -> Result<(), FaultError> {
        match parse.name {
            "order_events" => self.order_events = parse.delivery()?,
            "order_event_before_answer" => self.order_event_before_answer = parse.toggle()?,
            "autoslice_shape" => self.autoslice_shape = parse.autoslice()?,
            "quote_overflow" => self.quote_overflow = parse.quote_overflow()?,
            "http_next" | "http_5xx_next" => self.http_next.push(parse.http()?),
            "rate_limit_429_next" => self.rate_limit_429_next = parse.count()?,
            "rate_limit_html" => self.rate_limit_html = parse.toggle()?,
            "rate_limit_retry_after_s" => self.rate_limit_retry_after_s = parse.count()?,
            "index_quote_zeros" => self.index_quote_zeros = parse.toggle()?,
            "token_expired" => self.token_expired = parse.toggle()?,
            "second_login_keeps" => self.second_login_keeps = parse.toggle()?,
            "ticker_drop" => self.ticker_drop = parse.count()?,
            "ticker_refuse" => self.ticker_refuse = parse.toggle()?,
            "ticker_freeze" => self.ticker_freeze = parse.tokens()?,
            "ticker_silent" => self.ticker_silent = parse.toggle()?,
            "ticker_dead" => self.ticker_dead = parse.toggle()?,
            "bare_subscribe" => self.bare_subscribe = parse.bare_subscribe()?,
            "ticker_no_snapshot" => self.ticker_no_snapshot = parse.toggle()?,
            "ticker_texts" => self.ticker_texts = parse.texts()?,
            "session_end_cuts_tickers" => self.session_end_cuts_tickers = parse.toggle()?,
            other => {
                self.other.insert(other.to_string(), parse.value.to_string());
            }
        }
        Ok(())
    }

    /// Uses up one of a counter's times; true when there was one.
    pub fn take(counter: &mut u32) -> bool {
        let some_left = *counter > 0;
        *counter = counter.saturating_sub(1);
        some_left
    }

    /// The status that the next answer of this path must have, if any.
    pub fn take_http(&mut self, path: &str) -> Option<u16> {
        let index = self.http_next.iter().position(|fault| path.starts_with(&fault.path))?;
        let fault = self.http_next.get_mut(index)?;
        let status = fault.status;
        fault.count = fault.count.saturating_sub(1);
        if fault.count == 0 {
            self.http_next.remove(index);
        }
        Some(status)
    }
}

impl RejectNext {
    /// Uses up one time for an order of this side; the words when it applies.
    pub fn take(slot: &mut Option<RejectNext>, side: crate::market::Side) -> Option<String> {
        let fault = slot.as_mut().filter(|fault| fault.side.is_none_or(|wanted| wanted == side))?;
        let message = fault.message.clone();
        fault.count = fault.count.saturating_sub(1);
        if fault.count == 0 {
            *slot = None;
        }
        Some(message)
    }
}

struct Parse<'a> {
    name: &'a str,
    value: &'a str,
}

impl Parse<'_> {
    fn wrong(&self, expected: &'static str) -> FaultError {
        FaultError { name: self.name.to_string(), value: self.value.to_string(), expected }
    }

    fn count(&self) -> Result<u32, FaultError> {
        match self.value {
            "true" => Ok(1),
            "false" | "off" => Ok(0),
            text => text.parse().map_err(|_| self.wrong("a count, such as 1")),
        }
    }

    fn toggle(&self) -> Result<bool, FaultError> {
        match self.value {
            "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(self.wrong("true or false")),
        }
    }

    fn rejection(&self) -> Result<Option<RejectNext>, FaultError> {
        if matches!(self.value, "" | "off" | "false" | "0") {
            return Ok(None);
        }
        let (count, rest) = match self.value.split_once(':') {
            Some((head, rest)) => match head.parse::<u32>() {
                Ok(count) => (count.max(1), rest),
                Err(_) => (1, self.value),
            },
            None => (1, self.value),
        };
        let (side, message) = match rest.split_once(':') {
            Some((head, tail)) => match crate::market::Side::parse(head) {
                Some(side) => (Some(side), tail),
                None => (None, rest),
            },
            None => (None, rest),
        };
        let message = if message == "LPP" { LPP_MESSAGE } else { message };
        Ok(Some(RejectNext { count, side, message: message.to_string() }))
    }

    fn ip_refusal(&self) -> Result<IpRefusal, FaultError> {
        match self.value {
            "false" | "off" => Ok(IpRefusal::Off),
            "true" | "on" | "permission" => Ok(IpRefusal::Permission),
            "general" => Ok(IpRefusal::General),
            _ => Err(self.wrong("off, permission or general")),
        }
    }

    fn funds_refusal(&self) -> Result<FundsRefusal, FaultError> {
        match self.value {
            "answer" => Ok(FundsRefusal::Answer),
            "book" => Ok(FundsRefusal::Book),
            _ => Err(self.wrong("answer or book")),
        }
    }

    fn delivery(&self) -> Result<EventDelivery, FaultError> {
        match self.value {
            "once" => Ok(EventDelivery::Once),
            "duplicate" => Ok(EventDelivery::Duplicate),
            "reordered" => Ok(EventDelivery::Reordered),
            "dropped" => Ok(EventDelivery::Dropped),
            _ => Err(self.wrong("once, duplicate, reordered or dropped")),
        }
    }

    fn autoslice(&self) -> Result<AutosliceShape, FaultError> {
        match self.value {
            "children" | "v2" => Ok(AutosliceShape::Children),
            "flat" | "v1" => Ok(AutosliceShape::Flat),
            _ => Err(self.wrong("children or flat")),
        }
    }

    fn quote_overflow(&self) -> Result<QuoteOverflow, FaultError> {
        match self.value {
            "refused" => Ok(QuoteOverflow::Refused),
            "truncated" => Ok(QuoteOverflow::Truncated),
            "html" => Ok(QuoteOverflow::Html),
            _ => Err(self.wrong("refused, truncated or html")),
        }
    }

    fn bare_subscribe(&self) -> Result<BareSubscribe, FaultError> {
        match self.value {
            "quote" => Ok(BareSubscribe::Quote),
            "ltp" => Ok(BareSubscribe::Ltp),
            "nothing" => Ok(BareSubscribe::Nothing),
            _ => Err(self.wrong("quote, ltp or nothing")),
        }
    }

    fn http(&self) -> Result<HttpFault, FaultError> {
        let expected = "STATUS:COUNT:/path, such as 502:2:/orders";
        let mut parts = self.value.splitn(3, ':');
        let status: Option<u16> = parts.next().and_then(|text| text.parse().ok());
        let count: Option<u32> = parts.next().and_then(|text| text.parse().ok());
        let path = parts.next().unwrap_or("").to_string();
        match (status, count) {
            (Some(status @ 400..=599), Some(count @ 1..)) => Ok(HttpFault { path, status, count }),
            (_, _) => Err(self.wrong(expected)),
        }
    }

    fn items(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim).filter(|text| !text.is_empty())
    }

    fn tokens(&self) -> Result<Vec<u32>, FaultError> {
        self.items()
            .map(|text| text.parse().map_err(|_| self.wrong("tokens separated by commas")))
            .collect()
    }

    fn texts(&self) -> Result<Vec<TickerText>, FaultError> {
        let expected = "app_code, message or unknown, separated by commas";
        if self.value == "off" {
            return Ok(Vec::new());
        }
        self.items()
            .map(|text| TickerText::parse(text).ok_or_else(|| self.wrong(expected)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::Side;

    #[test]
    fn switches_are_set_from_text() {
        let mut faults = Faults::default();
        for (name, value) in [
            ("response_lost_after_place", "2"),
            ("reject_next", "2:SELL:LPP"),
            ("http_next", "502:1:/orders"),
            ("order_events", "duplicate"),
            ("ticker_freeze", "265, 256265"),
            ("funds_short", "true"),
            ("ticker_texts", "message, app_code"),
            ("bare_subscribe", "nothing"),
            ("something_of_the_server", "x"),
        ] {
            faults.set(name, value).unwrap();
        }
        assert_eq!(faults.response_lost_after_place, 2);
        assert_eq!(faults.ticker_freeze, [265, 256_265]);
        assert_eq!(faults.ticker_texts, [TickerText::Message, TickerText::AppCode]);
        assert_eq!(faults.bare_subscribe, BareSubscribe::Nothing);
        assert_eq!(faults.take_http("/orders/regular"), Some(502));
        assert_eq!(faults.take_http("/orders/regular"), None);
        assert_eq!(RejectNext::take(&mut faults.reject_next, Side::Buy), None);
        assert_eq!(
            RejectNext::take(&mut faults.reject_next, Side::Sell).as_deref(),
            Some(LPP_MESSAGE)
        );
        assert_eq!(faults.other.len(), 1);
        for (name, value) in [
            ("funds_short", "maybe"),
            ("http_next", "/orders"),
            ("no_fills", "3"),
            ("ticker_texts", "message,gossip"),
            ("bare_subscribe", "full"),
        ] {
            assert!(faults.set(name, value).is_err(), "{name}");
        }
    }

    #[test]
    fn colons_in_a_message_are_kept() {
        let mut faults = Faults::default();
        faults.set("reject_next", "RMS:Margin Exceeds,Required:95417.84").unwrap();
        let message = RejectNext::take(&mut faults.reject_next, Side::Buy);
        assert_eq!(message.as_deref(), Some("RMS:Margin Exceeds,Required:95417.84"));
        assert_eq!(faults.reject_next, None);
    }
}
