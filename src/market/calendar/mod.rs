//! When the exchanges trade: holidays, special sessions, session hours.
//!
//! The built-in tables cover NSE and BSE equity and equity derivatives, whose
//! calendars have been the same. What they do not cover is
//! [`DayKind::Unknown`], never a guess; a year whose holiday list is not
//! published yet is [`Coverage::Partial`].

mod hours;
mod tables;

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, Weekday};

pub use hours::{Session, SessionTimes};

/// Days looked at for the previous or next trading day. The longest closure
/// on record is under a week.
const SEARCH_DAYS_MAX: u64 = 31;

/// What kind of day a date is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DayKind {
    /// An ordinary trading day.
    Trading(SessionTimes),
    /// Trading outside the ordinary week, or at other hours.
    Special(SpecialDay),
    /// No trading.
    Closed(Closure),
    /// The calendar does not cover the date.
    Unknown,
}

/// Why there is no trading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closure {
    /// A Saturday or Sunday.
    Weekend,
    /// A trading holiday, by its name.
    Holiday(String),
}

/// A session that the ordinary week does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecialDay {
    /// What it is, such as `Muhurat trading`.
    pub name: String,
    /// When it trades.
    pub hours: SpecialHours,
    /// True when it trades for at least half the ordinary length of its
    /// date, and so counts as a previous session.
    pub is_regular: bool,
}

/// Hours of a special session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpecialHours {
    /// Those of an ordinary day.
    Ordinary(SessionTimes),
    /// These windows, in all segments.
    Windows(Vec<Session>),
    /// To be told by circular.
    Unannounced,
}

/// How well a date's year is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// Nothing is known.
    None,
    /// Only holidays of a fixed date; the exchanges' list is missing.
    Partial,
    /// The exchanges' list of holidays.
    Complete,
}

/// The trading days of the Indian exchanges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    coverage: BTreeMap<i32, Coverage>,
    holidays: BTreeMap<NaiveDate, String>,
    specials: BTreeMap<NaiveDate, SpecialDay>,
}

impl Calendar {
    /// The built-in calendar.
    pub fn india() -> Calendar {
        Calendar {
            coverage: tables::COVERAGE.iter().copied().collect(),
            holidays: tables::holidays().map(|(date, name)| (date, name.to_string())).collect(),
            specials: tables::special_days().collect(),
        }
    }

    /// Adds days without trading, such as those declared at short notice. A
    /// special session on the same date is called off.
    #[must_use]
    pub fn with_extra_holidays(
        mut self,
        holidays: impl IntoIterator<Item = (NaiveDate, String)>,
    ) -> Calendar {
        for (date, name) in holidays {
            self.specials.remove(&date);
            self.holidays.insert(date, name);
        }
        self
    }

    /// Adds a special session, or tells the hours of a known one.
    #[must_use]
    pub fn with_special_day(
        mut self,
        date: NaiveDate,
        name: impl Into<String>,
        hours: SpecialHours,
    ) -> Calendar {
        self.specials.insert(date, SpecialDay::new(date, name, hours));
        self
    }

    /// Declares the holidays of a year complete, once its list is added.
    #[must_use]
    pub fn with_complete_year(mut self, year: i32) -> Calendar {
        self.coverage.insert(year, Coverage::Complete);
        self
    }

    /// How well the year of a date is known.
    pub fn coverage(&self, date: NaiveDate) -> Coverage {
        self.coverage.get(&date.year()).copied().unwrap_or(Coverage::None)
    }

    /// The years that the calendar knows anything of.
    pub fn years(&self) -> impl Iterator<Item = (i32, Coverage)> + '_ {
        self.coverage.iter().map(|(year, coverage)| (*year, *coverage))
    }

    /// What kind of day a date is.
    pub fn day(&self, date: NaiveDate) -> DayKind {
        if let Some(special) = self.specials.get(&date) {
            return DayKind::Special(special.clone());
        }
        if let Some(name) = self.holidays.get(&date) {
            return DayKind::Closed(Closure::Holiday(name.clone()));
        }
        if self.coverage(date) == Coverage::None {
            return DayKind::Unknown;
        }
        if matches!(date.weekday(), Weekday::Sat | Weekday::Sun) {
            return DayKind::Closed(Closure::Weekend);
        }
        DayKind::Trading(SessionTimes::on(date))
    }

    /// The last day before `date` with a regular session: the day that pivot
    /// levels come from. Sessions under half the regular length, such as
    /// Muhurat trading, do not count. `None` where the calendar ends.
    pub fn previous_trading_day(&self, date: NaiveDate) -> Option<NaiveDate> {
        self.search(std::iter::successors(date.pred_opt(), NaiveDate::pred_opt))
    }

    /// The first day after `date` with a regular session. `None` where the
    /// calendar ends.
    pub fn next_trading_day(&self, date: NaiveDate) -> Option<NaiveDate> {
        self.search(std::iter::successors(date.succ_opt(), NaiveDate::succ_opt))
    }

    /// The last regular trading days before `date`, nearest first; fewer
    /// where the calendar ends.
    pub fn trading_days_before(&self, date: NaiveDate) -> impl Iterator<Item = NaiveDate> + '_ {
        std::iter::successors(self.previous_trading_day(date), |day| {
            self.previous_trading_day(*day)
        })
    }

    /// Every day of a year with any session, special ones included.
    pub fn open_days(&self, year: i32) -> impl Iterator<Item = NaiveDate> + '_ {
        NaiveDate::from_ymd_opt(year, 1, 1)
            .into_iter()
            .flat_map(|first| first.iter_days())
            .take_while(move |date| date.year() == year)
            .filter(|date| self.day(*date).is_open())
    }

    fn search(&self, days: impl Iterator<Item = NaiveDate>) -> Option<NaiveDate> {
        for date in days.take(SEARCH_DAYS_MAX as usize) {
            match self.day(date) {
                DayKind::Unknown => return None,
                kind if kind.is_regular() => return Some(date),
                DayKind::Trading(_) | DayKind::Special(_) | DayKind::Closed(_) => {}
            }
        }
        None
    }
}

impl DayKind {
    /// True when there is any session.
    pub const fn is_open(&self) -> bool {
        match self {
            DayKind::Trading(_) | DayKind::Special(_) => true,
            DayKind::Closed(_) | DayKind::Unknown => false,
        }
    }

    /// True when the day has a regular session: one of at least half the
    /// ordinary length.
    pub const fn is_regular(&self) -> bool {
        match self {
            DayKind::Trading(_) => true,
            DayKind::Special(special) => special.is_regular,
            DayKind::Closed(_) | DayKind::Unknown => false,
        }
    }

    /// Session times, where they are known: for a special session of other
    /// hours, from its first opening to its last close in every segment.
    pub fn sessions(&self) -> Option<SessionTimes> {
        match self {
            DayKind::Trading(times) => Some(*times),
            DayKind::Special(special) => special.sessions(),
            DayKind::Closed(_) | DayKind::Unknown => None,
        }
    }

    /// Why the day is open or closed, in words.
    pub fn reason(&self) -> &str {
        match self {
            DayKind::Trading(_) => "trading day",
            DayKind::Special(special) => &special.name,
            DayKind::Closed(Closure::Weekend) => "weekend",
            DayKind::Closed(Closure::Holiday(name)) => name,
            DayKind::Unknown => "not covered by the calendar",
        }
    }
}

impl SpecialDay {
    fn new(date: NaiveDate, name: impl Into<String>, hours: SpecialHours) -> SpecialDay {
        let is_regular = match &hours {
            SpecialHours::Ordinary(_) => true,
            SpecialHours::Windows(windows) => {
                let minutes: i64 = windows.iter().map(Session::minutes).sum();
                2 * minutes >= SessionTimes::on(date).index.minutes()
            }
            SpecialHours::Unannounced => false,
        };
        SpecialDay { name: name.into(), hours, is_regular }
    }

    fn sessions(&self) -> Option<SessionTimes> {
        match &self.hours {
            SpecialHours::Ordinary(times) => Some(*times),
            SpecialHours::Windows(windows) => {
                let (first, last) = (windows.first()?, windows.last()?);
                Some(SessionTimes::everywhere(Session { open: first.open, close: last.close }))
            }
            SpecialHours::Unannounced => None,
        }
    }
}

#[cfg(test)]
mod tests;
