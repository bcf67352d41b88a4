//! Rate limits, kept on our side of the wire.
//!
//! Reads wait their turn in a bucket each. Order calls have a budget that is
//! stricter than Kite's: an entry beyond it is refused at once (a late entry
//! is no entry), while what reduces a position may use all of it, waits
//! briefly when a second is full, and is stopped only by Kite's own limits.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::KiteError;
use crate::clock::Clock;
use crate::market::time::ist_date;

/// Longest time that a read waits for its turn.
const READ_WAIT_MAX: Duration = Duration::from_secs(10);

/// Longest time that an exit waits for its turn.
const EXIT_WAIT_MAX: Duration = Duration::from_secs(2);

/// One quote call a second; the rest is for the way to the broker, which is
/// not equally long each time.
const QUOTE: Spacing = Spacing::new(Duration::from_millis(1050), 1);

/// Three calls for history a second.
const HISTORICAL: Spacing = Spacing::new(Duration::from_millis(360), 1);

/// Ten other calls a second: nine, however they fall.
const OTHER: Spacing = Spacing::new(Duration::from_millis(130), 2);

/// Kite's own caps on order calls.
const KITE_PER_SECOND: u32 = 10;
const KITE_PER_MINUTE: u32 = 400;
const KITE_PER_DAY: u32 = 5000;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Which share of the order budget a call draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Opens or enlarges a position. At most half of the budget.
    Entry,
    /// Can only reduce what is held: exits, stops, modifies, cancels.
    Exit,
}

/// Our own budget of order calls (placed, modified, cancelled).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderBudget {
    /// In any second.
    pub per_second: u32,
    /// In any 60 seconds.
    pub per_minute: u32,
    /// In a day (IST).
    pub per_day: u32,
}

impl Default for OrderBudget {
    fn default() -> OrderBudget {
        OrderBudget { per_second: 3, per_minute: 30, per_day: 200 }
    }
}

impl From<&crate::config::OrdersConfig> for OrderBudget {
    fn from(orders: &crate::config::OrdersConfig) -> OrderBudget {
        OrderBudget {
            per_second: orders.max_messages_per_second,
            per_minute: orders.max_messages_per_minute,
            per_day: orders.max_messages_per_day,
        }
    }
}

/// Families of reads with a limit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bucket {
    Quote,
    Historical,
    Other,
}

/// Time since the start of the process: the clock's own when it is scaled,
/// the machine's monotonic one otherwise.
#[derive(Debug)]
struct Elapsed {
    clock: Clock,
    started: Instant,
    started_at: crate::market::Timestamp,
}

impl Elapsed {
    fn now(&self) -> Duration {
        if self.clock.is_scaled() {
            (self.clock.now() - self.started_at).to_std().unwrap_or_default()
        } else {
            self.started.elapsed()
        }
    }
}

/// All limits of one client.
#[derive(Debug)]
pub(super) struct Limits {
    elapsed: Elapsed,
    quote: Mutex<Spacing>,
    historical: Mutex<Spacing>,
    other: Mutex<Spacing>,
    orders: Mutex<OrderLog>,
}

impl Limits {
    pub(super) fn new(clock: Clock, budget: OrderBudget) -> Limits {
        let started_at = clock.now();
        Limits {
            elapsed: Elapsed { clock, started: Instant::now(), started_at },
            quote: Mutex::new(QUOTE),
            historical: Mutex::new(HISTORICAL),
            other: Mutex::new(OTHER),
            orders: Mutex::new(OrderLog::new(budget)),
        }
    }

    pub(super) fn set_budget(&self, budget: OrderBudget) {
        if let Ok(mut log) = self.orders.lock() {
            log.budget = budget;
        }
    }

    /// Waits until a read of this family may be sent.
    pub(super) async fn turn(&self, bucket: Bucket) -> Result<(), KiteError> {
        let spacing = match bucket {
            Bucket::Quote => &self.quote,
            Bucket::Historical => &self.historical,
            Bucket::Other => &self.other,
        };
        let wait = match spacing.lock() {
            Ok(mut spacing) => spacing.reserve(self.elapsed.now(), READ_WAIT_MAX),
            Err(_) => Ok(Duration::ZERO),
        };
        let wait = wait.map_err(|wait| KiteError::Busy {
            wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        })?;
        self.elapsed.clock.sleep(wait).await;
        Ok(())
    }

    /// Waits until an order call may be sent; says why it may not.
    pub(super) async fn order_turn(&self, lane: Lane) -> Result<(), String> {
        let begun = self.elapsed.now();
        loop {
            let now = self.elapsed.now();
            let today = ist_date(self.elapsed.clock.now());
            let verdict = match self.orders.lock() {
                Ok(mut log) => log.ask(now, today, lane),
                Err(_) => Verdict::Go,
            };
            match verdict {
                Verdict::Go => return Ok(()),
                Verdict::Wait(wait) if now + wait < begun + EXIT_WAIT_MAX => {
                    self.elapsed.clock.sleep(wait).await;
                }
                Verdict::Wait(_) => return Err("the second's order calls are used up".into()),
                Verdict::No(reason) => return Err(reason),
            }
        }
    }
}

/// Lets a burst through and then one call for each interval.
#[derive(Debug)]
struct Spacing {
    interval: Duration,
    burst: u32,
    /// When the bucket would be full again.
    full_at: Duration,
}

impl Spacing {
    const fn new(interval: Duration, burst: u32) -> Spacing {
        Spacing { interval, burst, full_at: Duration::ZERO }
    }

    /// Takes a place; says how long to wait for it, or, when that is longer
    /// than allowed, takes none.
    fn reserve(&mut self, now: Duration, wait_max: Duration) -> Result<Duration, Duration> {
        let full_at = self.full_at.max(now) + self.interval;
        let wait = full_at.saturating_sub(now + self.interval * self.burst);
        if wait > wait_max {
            return Err(wait);
        }
        self.full_at = full_at;
        Ok(wait)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Go,
    Wait(Duration),
    No(String),
}

/// The order calls of the last minute, and the count of the day.
#[derive(Debug)]
struct OrderLog {
    budget: OrderBudget,
    /// Oldest first; at most [`KITE_PER_MINUTE`] are younger than a minute.
    recent: VecDeque<Duration>,
    day: Option<chrono::NaiveDate>,
    today: u32,
}

impl OrderLog {
    fn new(budget: OrderBudget) -> OrderLog {
        OrderLog { budget, recent: VecDeque::new(), day: None, today: 0 }
    }

    fn ask(&mut self, now: Duration, today: chrono::NaiveDate, lane: Lane) -> Verdict {
        if self.day != Some(today) {
            self.day = Some(today);
            self.today = 0;
        }
        while self.recent.front().is_some_and(|at| *at + MINUTE <= now) {
            self.recent.pop_front();
        }
        let verdict = match lane {
            Lane::Entry => self.ask_entry(now),
            Lane::Exit => self.ask_exit(now),
        };
        if verdict == Verdict::Go {
            self.recent.push_back(now);
            self.today += 1;
        }
        verdict
    }

    fn ask_entry(&self, now: Duration) -> Verdict {
        let half = |limit: u32| limit - limit.div_ceil(2);
        let windows = [
            (self.in_last(now, SECOND), half(self.budget.per_second).max(1), "second"),
            (self.in_last(now, MINUTE), half(self.budget.per_minute), "minute"),
            (self.today, half(self.budget.per_day), "day"),
        ];
        match windows.iter().find(|(used, limit, _)| used >= limit) {
            Some((used, limit, window)) => Verdict::No(format!(
                "{used} order calls in this {window}; entries may use {limit} of our budget"
            )),
            None => Verdict::Go,
        }
    }

    fn ask_exit(&self, now: Duration) -> Verdict {
        if self.in_last(now, MINUTE) >= KITE_PER_MINUTE || self.today >= KITE_PER_DAY {
            return Verdict::No("the broker's own cap on order calls is reached".into());
        }
        let limit = self.budget.per_second.clamp(1, KITE_PER_SECOND) as usize;
        // The call that must leave the last second before this one fits in.
        let blocking = self.recent.iter().rev().nth(limit - 1);
        match blocking {
            Some(at) if *at + SECOND > now => Verdict::Wait(*at + SECOND - now),
            Some(_) | None => Verdict::Go,
        }
    }

    fn in_last(&self, now: Duration, span: Duration) -> u32 {
        let count = self.recent.iter().rev().take_while(|at| **at + span > now).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> chrono::NaiveDate {
        chrono::NaiveDate::from_ymd_opt(2026, 11, number).unwrap()
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn reads_are_spaced_and_bounded() {
        let mut quote = Spacing::new(ms(1000), 1);
        assert_eq!(quote.reserve(ms(0), ms(2000)), Ok(ms(0)));
        assert_eq!(quote.reserve(ms(0), ms(2000)), Ok(ms(1000)));
        assert_eq!(quote.reserve(ms(500), ms(2000)), Ok(ms(1500)));
        assert_eq!(quote.reserve(ms(500), ms(2000)), Err(ms(2500)));
        assert_eq!(quote.reserve(ms(9000), ms(2000)), Ok(ms(0)));
        let mut other = Spacing::new(ms(100), 3);
        let waits: Vec<_> = (0..5).map(|_| other.reserve(ms(0), ms(900)).unwrap()).collect();
        assert_eq!(waits, [ms(0), ms(0), ms(0), ms(100), ms(200)]);
    }

    #[test]
    fn entries_leave_half_to_exits() {
        let mut log = OrderLog::new(OrderBudget { per_second: 4, per_minute: 8, per_day: 100 });
        assert_eq!(log.ask(ms(0), day(1), Lane::Entry), Verdict::Go);
        assert_eq!(log.ask(ms(1), day(1), Lane::Entry), Verdict::Go);
        assert!(matches!(log.ask(ms(2), day(1), Lane::Entry), Verdict::No(_)));
        assert_eq!(log.ask(ms(3), day(1), Lane::Exit), Verdict::Go);
        assert_eq!(log.ask(ms(4), day(1), Lane::Exit), Verdict::Go);
        assert_eq!(log.ask(ms(5), day(1), Lane::Exit), Verdict::Wait(ms(995)));
        assert!(matches!(log.ask(ms(2_000), day(1), Lane::Entry), Verdict::No(_)), "minute");
        assert_eq!(log.ask(ms(2_000), day(1), Lane::Exit), Verdict::Go);
        assert_eq!(log.ask(ms(62_000), day(1), Lane::Entry), Verdict::Go);
    }

    #[test]
    fn exits_go_on_beyond_our_own_budget() {
        let mut log = OrderLog::new(OrderBudget { per_second: 10, per_minute: 2, per_day: 3 });
        for at in 0..50 {
            assert_eq!(log.ask(ms(at * 200), day(1), Lane::Exit), Verdict::Go, "{at}");
        }
        assert!(matches!(log.ask(ms(200_000), day(1), Lane::Entry), Verdict::No(_)));
        assert_eq!(log.ask(ms(200_000), day(2), Lane::Entry), Verdict::Go);
    }

    #[test]
    fn exits_stop_at_the_brokers_cap() {
        let mut log = OrderLog::new(OrderBudget::default());
        log.today = KITE_PER_DAY;
        log.day = Some(day(1));
        assert!(matches!(log.ask(ms(0), day(1), Lane::Exit), Verdict::No(_)));
    }
}
