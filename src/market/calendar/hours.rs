//! Session hours by segment, with the dates from which they hold.

use chrono::{Datelike, NaiveDate, NaiveTime};

use crate::market::time::hms;

/// A span of continuous trading, IST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session {
    /// First instant.
    pub open: NaiveTime,
    /// First instant after it.
    pub close: NaiveTime,
}

/// Continuous trading of a day, by segment, IST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// The index: it moves while its constituents trade.
    pub index: Session,
    /// Shares with derivatives.
    pub cash_fno: Session,
    /// Other shares.
    pub cash_other: Session,
    /// Index and stock derivatives.
    pub derivatives: Session,
    /// Order entry of the pre-open auction; `None` on special sessions of
    /// other hours.
    pub pre_open: Option<Session>,
}

impl Session {
    /// A session from literals: `Session::of((9, 15), (15, 30))`.
    pub(super) const fn of(open: (u32, u32), close: (u32, u32)) -> Session {
        Session { open: hms(open.0, open.1, 0), close: hms(close.0, close.1, 0) }
    }

    /// Its length.
    pub fn minutes(&self) -> i64 {
        (self.close - self.open).num_minutes()
    }

    /// True from the opening until just before the close.
    pub fn contains(&self, time: NaiveTime) -> bool {
        self.open <= time && time < self.close
    }
}

impl SessionTimes {
    /// The hours in force for an ordinary day on this date.
    pub fn on(date: NaiveDate) -> SessionTimes {
        let date = (date.year(), date.month(), date.day());
        let in_force = HOURS.iter().rev().find(|row| row.since <= date);
        in_force.map_or(OLDEST, |row| row.times)
    }

    /// One session for every segment.
    pub const fn everywhere(session: Session) -> SessionTimes {
        SessionTimes {
            index: session,
            cash_fno: session,
            cash_other: session,
            derivatives: session,
            pre_open: None,
        }
    }
}

/// Hours from a date on.
struct Row {
    since: (i32, u32, u32),
    times: SessionTimes,
}

const OLDEST: SessionTimes = SessionTimes {
    pre_open: Some(Session::of((9, 0), (9, 8))),
    ..SessionTimes::everywhere(Session::of((9, 15), (15, 30)))
};

/// Since the closing auction was introduced, shares with derivatives (and
/// with them the indices) stop continuous trading at 15:15, while
/// derivatives go on to 15:40.
const AUCTION: SessionTimes = SessionTimes {
    index: Session::of((9, 15), (15, 15)),
    cash_fno: Session::of((9, 15), (15, 15)),
    cash_other: Session::of((9, 15), (15, 30)),
    derivatives: Session::of((9, 15), (15, 40)),
    pre_open: OLDEST.pre_open,
};

/// Oldest first.
const HOURS: &[Row] = &[
    Row { since: (2010, 10, 18), times: OLDEST },
    Row { since: (2026, 8, 3), times: AUCTION },
    Row {
        since: (2026, 9, 7),
        times: SessionTimes { pre_open: Some(Session::of((9, 0), (9, 10))), ..AUCTION },
    },
];
