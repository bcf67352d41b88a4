//! The documented request limits, counted in real time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::NaiveDate;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

const QUOTES_PER_SECOND: usize = 1;
const HISTORY_PER_SECOND: usize = 3;
const ORDERS_PER_SECOND: usize = 10;
const PLACEMENTS_PER_MINUTE: usize = 400;
const PLACEMENTS_PER_DAY: u32 = 5_000;
const OTHERS_PER_SECOND: usize = 10;

/// Which limit a request counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    /// `/quote`, `/quote/ohlc`, `/quote/ltp` together.
    Quote,
    /// Historical candles.
    History,
    /// Placing an order.
    Placement,
    /// Modifying or cancelling one: assumed to share the second's budget of
    /// placements, not the minute's and the day's.
    OrderChange,
    /// Everything else that is signed.
    Other,
}

/// Requests of the last moments, by limit.
#[derive(Debug, Default)]
pub(super) struct Limits {
    quotes: Window,
    history: Window,
    orders: Window,
    placements: Window,
    others: Window,
    day: Option<NaiveDate>,
    placements_today: u32,
}

#[derive(Debug, Default)]
struct Window {
    arrivals: VecDeque<Instant>,
}

impl Window {
    fn has_room(&mut self, now: Instant, span: Duration, most: usize) -> bool {
        while self.arrivals.front().is_some_and(|at| now.duration_since(*at) >= span) {
            self.arrivals.pop_front();
        }
        self.arrivals.len() < most
    }

    fn take(&mut self, now: Instant, span: Duration, most: usize) -> bool {
        let room = self.has_room(now, span, most);
        if room {
            self.arrivals.push_back(now);
        }
        room
    }
}

impl Limits {
    /// Counts a request. False: refuse it.
    pub(super) fn admit(&mut self, bucket: Bucket, now: Instant, today: NaiveDate) -> bool {
        match bucket {
            Bucket::Quote => self.quotes.take(now, SECOND, QUOTES_PER_SECOND),
            Bucket::History => self.history.take(now, SECOND, HISTORY_PER_SECOND),
            Bucket::OrderChange => self.orders.take(now, SECOND, ORDERS_PER_SECOND),
            Bucket::Placement => self.admit_placement(now, today),
            Bucket::Other => self.others.take(now, SECOND, OTHERS_PER_SECOND),
        }
    }

    fn admit_placement(&mut self, now: Instant, today: NaiveDate) -> bool {
        if self.day != Some(today) {
            self.day = Some(today);
            self.placements_today = 0;
        }
        let room = self.placements_today < PLACEMENTS_PER_DAY
            && self.placements.has_room(now, MINUTE, PLACEMENTS_PER_MINUTE)
            && self.orders.take(now, SECOND, ORDERS_PER_SECOND);
        if room {
            self.placements.take(now, MINUTE, PLACEMENTS_PER_MINUTE);
            self.placements_today += 1;
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bucket: Bucket, admitted_in_a_second: usize) {
        let mut limits = Limits::default();
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let start = Instant::now();
        let admitted = (0..50).filter(|_| limits.admit(bucket, start, today)).count();
        assert_eq!(admitted, admitted_in_a_second, "{bucket:?}");
        assert!(limits.admit(bucket, start + SECOND, today), "{bucket:?} a second later");
    }

    #[test]
    fn each_bucket_has_its_own_rate() {
        check(Bucket::Quote, 1);
        check(Bucket::History, 3);
        check(Bucket::Placement, 10);
        check(Bucket::OrderChange, 10);
        check(Bucket::Other, 10);
    }

    #[test]
    fn placements_have_a_limit_by_the_minute() {
        let mut limits = Limits::default();
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).unwrap();
        let start = Instant::now();
        let admitted = (0..59)
            .flat_map(|second| std::iter::repeat_n(second, 10))
            .filter(|second| {
                limits.admit(Bucket::Placement, start + Duration::from_secs(*second), today)
            })
            .count();
        assert_eq!(admitted, 400);
    }
}
