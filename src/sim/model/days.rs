//! Which days trade and until when, as far as the model needs it.

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};

use crate::market::calendar::{Calendar, DayKind, SessionTimes};
use crate::market::time::hms;

/// Longest run of closed days that is stepped over.
const CLOSED_RUN_MAX: u32 = 30;

/// First instant of continuous trading.
pub(super) const OPEN: NaiveTime = hms(9, 15, 0);

/// The regular trading days of a calendar; where it ends, every weekday.
#[derive(Debug, Clone)]
pub(super) struct TradingDays {
    calendar: Calendar,
}

impl TradingDays {
    /// The regular days of a calendar.
    pub(super) fn of(calendar: Calendar) -> TradingDays {
        TradingDays { calendar }
    }

    /// True when a regular session is held.
    pub(super) fn is_trading(&self, date: NaiveDate) -> bool {
        match self.calendar.day(date) {
            DayKind::Unknown => !matches!(date.weekday(), Weekday::Sat | Weekday::Sun),
            kind @ (DayKind::Trading(_) | DayKind::Special(_) | DayKind::Closed(_)) => {
                kind.is_regular()
            }
        }
    }

    /// The trading day before `date`.
    pub(super) fn previous(&self, date: NaiveDate) -> NaiveDate {
        self.walk(date, |day| day.checked_sub_days(Days::new(1)))
    }

    /// The trading day after `date`.
    pub(super) fn next(&self, date: NaiveDate) -> NaiveDate {
        self.walk(date, |day| day.checked_add_days(Days::new(1)))
    }

    /// `date` itself when it trades, else the trading day before.
    pub(super) fn on_or_before(&self, date: NaiveDate) -> NaiveDate {
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
    pub(super) fn cash_seconds(&self, date: NaiveDate) -> u32 {
        seconds_until(self.times(date).index.close)
    }

    /// Seconds from 09:15 until derivatives stop trading.
    pub(super) fn derivative_seconds(&self, date: NaiveDate) -> u32 {
        seconds_until(self.times(date).derivatives.close)
    }

    fn times(&self, date: NaiveDate) -> SessionTimes {
        self.calendar.day(date).sessions().unwrap_or_else(|| SessionTimes::on(date))
    }
}

fn seconds_until(close: NaiveTime) -> u32 {
    u32::try_from((close - OPEN).num_seconds()).unwrap_or(0)
}
