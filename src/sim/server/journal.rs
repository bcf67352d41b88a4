//! Every request received, for tests that look for a doubled order or
//! measure how long a panic took.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::market::Timestamp;

/// Requests remembered; older ones are forgotten.
const ENTRIES_MAX: usize = 100_000;

/// Parameters never shown.
const SECRETS: [&str; 6] =
    ["access_token", "request_token", "refresh_token", "checksum", "password", "totp"];

/// One request as it arrived.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Entry {
    /// Number of the request, from 1.
    pub(super) seq: u64,
    /// Real time of arrival, microseconds since 1970.
    pub(super) at_us: i64,
    /// Market time of arrival, UTC.
    pub(super) market_at: Timestamp,
    pub(super) method: String,
    pub(super) path: String,
    /// Parameters of query and body together; secrets are hidden.
    pub(super) params: BTreeMap<String, String>,
    /// HTTP status of the answer; null while none was given, 0 when the
    /// connection was dropped instead.
    pub(super) status: Option<u16>,
    /// The order that a placement made.
    pub(super) order_id: Option<String>,
}

/// The requests, newest last.
#[derive(Debug, Default)]
pub(super) struct RequestLog {
    entries: VecDeque<Entry>,
    last_seq: u64,
}

impl RequestLog {
    /// Notes a request; the number names it later.
    pub(super) fn arrived(
        &mut self,
        at_us: i64,
        market_at: Timestamp,
        method: &str,
        path: &str,
        params: &[(String, String)],
    ) -> u64 {
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.pop_front();
        }
        self.last_seq += 1;
        let params = params.iter().map(|(name, value)| {
            let hidden = SECRETS.contains(&name.as_str());
            (name.clone(), if hidden { "…".to_string() } else { value.clone() })
        });
        self.entries.push_back(Entry {
            seq: self.last_seq,
            at_us,
            market_at,
            method: method.to_string(),
            path: path.to_string(),
            params: params.collect(),
            status: None,
            order_id: None,
        });
        self.last_seq
    }

    /// Notes what was answered.
    pub(super) fn answered(&mut self, seq: u64, status: u16) {
        if let Some(entry) = self.entry(seq) {
            entry.status = Some(status);
        }
    }

    /// Notes which order a request made.
    pub(super) fn made_order(&mut self, seq: u64, order_id: &str) {
        if let Some(entry) = self.entry(seq) {
            entry.order_id = Some(order_id.to_string());
        }
    }

    fn entry(&mut self, seq: u64) -> Option<&mut Entry> {
        let first = self.entries.front()?.seq;
        let index = usize::try_from(seq.checked_sub(first)?).ok()?;
        self.entries.get_mut(index)
    }

    /// Requests with a number above `seq`.
    pub(super) fn since(&self, seq: u64) -> Vec<Entry> {
        self.entries.iter().filter(|entry| entry.seq > seq).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_answers_found_again() {
        let mut log = RequestLog::default();
        let params =
            [("tag".to_string(), "A1".to_string()), ("access_token".to_string(), "x".to_string())];
        let now = Timestamp::UNIX_EPOCH;
        let first = log.arrived(1, now, "POST", "/orders/regular", &params);
        let second = log.arrived(2, now, "GET", "/orders", &[]);
        log.answered(second, 200);
        log.made_order(first, "77");
        let entries = log.since(0);
        assert_eq!(entries[0].params["tag"], "A1");
        assert_eq!(entries[0].params["access_token"], "…");
        assert_eq!(entries[0].order_id.as_deref(), Some("77"));
        assert_eq!(entries[1].status, Some(200));
        assert_eq!(log.since(first).len(), 1);
    }
}
