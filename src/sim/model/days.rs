//! Which days trade and until when, as far as the model needs it.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};

use crate::market::time::hms;

/// Closed weekdays of 2026 and the year's end around it.
const HOLIDAYS: [(i32, u32, u32); 17] = [
    (2026, 1, 15),
    (2026, 1, 26),
    (2026, 3, 3),
    (2026, 3, 26),
    (2026, 3, 31),
    (2026, 4, 3),
    (2026, 4, 14),
    (2026, 5, 1),
    (2026, 5, 28),
    (2026, 6, 26),
    (2026, 9, 14),
    (2026, 10, 2),
    (2026, 10, 20),
    (2026, 11, 10),
    (2026, 11, 24),
    (2026, 12, 25),
    (2025, 12, 25),
];

/// Longest run of closed days that is stepped over.
const CLOSED_RUN_MAX: u32 = 30;

/// First instant of continuous trading.
pub(super) const OPEN: NaiveTime = hms(9, 15, 0);

/// The trading days of India's exchanges.
#[derive(Debug, Clone)]
pub struct TradingDays {
    extra_holidays: Vec<NaiveDate>,
}

impl TradingDays {
    /// The built-in calendar with more closed days.
    pub fn with_extra_holidays(extra_holidays: &[NaiveDate]) -> TradingDays {
        TradingDays { extra_holidays: extra_holidays.to_vec() }
    }

    /// True when a regular session is held.
    pub fn is_trading(&self, date: NaiveDate) -> bool {
        let weekend = matches!(date.weekday(), Weekday::Sat | Weekday::Sun);
        let listed = HOLIDAYS.iter().any(|&(year, month, day)| {
            (date.year(), date.month(), date.day()) == (year, month, day)
        });
        !weekend && !listed && !self.extra_holidays.contains(&date)
    }

    /// The trading day before `date`.
    pub fn previous(&self, date: NaiveDate) -> NaiveDate {
        self.walk(date, |day| day.checked_sub_days(Days::new(1)))
    }

    /// The trading day after `date`.
    pub fn next(&self, date: NaiveDate) -> NaiveDate {
        self.walk(date, |day| day.checked_add_days(Days::new(1)))
    }

    /// `date` itself when it trades, else the trading day before.
    pub fn on_or_before(&self, date: NaiveDate) -> NaiveDate {
        if self.is_trading(date) { date } else { self.previous(date) }
    }

    fn walk(&self, date: NaiveDate, step: impl Fn(NaiveDate) -> Option<NaiveDate>) -> NaiveDate {
        let mut day = date;
        for _ in 0..CLOSED_RUN_MAX {
            day = step(day).unwrap_or(day);
            if self.is_trading(day) {
                break;
            }
        }
        day
    }

    /// Seconds from 09:15 until indices and their shares stop trading.
    pub fn cash_seconds(&self, date: NaiveDate) -> u32 {
        if has_closing_auction(date) { 6 * 3600 } else { 6 * 3600 + 900 }
    }

    /// Seconds from 09:15 until derivatives stop trading.
    pub fn derivative_seconds(&self, date: NaiveDate) -> u32 {
        if has_closing_auction(date) { 6 * 3600 + 1500 } else { 6 * 3600 + 900 }
    }
}

fn has_closing_auction(date: NaiveDate) -> bool {
    NaiveDate::from_ymd_opt(2026, 8, 3).is_some_and(|since| date >= since)
}
