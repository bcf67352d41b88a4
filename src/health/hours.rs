//! What is expected at which hour of which day.

use chrono::{NaiveTime, TimeDelta};

use crate::market::Timestamp;
use crate::market::calendar::{Calendar, DayKind, Session, SpecialHours};
use crate::market::time::{hms, ist_date, ist_time};

/// When services are expected to live, when a session, and when prices, on an
/// ordinary day.
const SERVICES: (NaiveTime, NaiveTime) = (hms(8, 15, 0), hms(15, 45, 0));
const SESSION: (NaiveTime, NaiveTime) = (hms(9, 0, 0), hms(15, 15, 0));
const PRICES: (NaiveTime, NaiveTime) = (hms(9, 17, 0), hms(15, 15, 0));

/// The same around the hours of a special session.
const SERVICES_BEFORE: TimeDelta = TimeDelta::minutes(60);
const SERVICES_AFTER: TimeDelta = TimeDelta::minutes(15);
const SESSION_BEFORE: TimeDelta = TimeDelta::minutes(15);
const PRICES_AFTER: TimeDelta = TimeDelta::minutes(2);

/// What is expected at this hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// Services give signs of life.
    pub services: bool,
    /// Somebody has logged in.
    pub session: bool,
    /// Prices come.
    pub prices: bool,
}

impl Hours {
    /// Nothing is expected.
    const NONE: Hours = Hours { services: false, session: false, prices: false };

    /// What the calendar and the time of day say. On a special day that is
    /// traded like others (a Saturday's session, say) all is expected around
    /// its hours; in a short one (Muhurat) nothing is traded, and only signs
    /// of life are. Of one whose hours are not announced nobody knows them.
    pub fn at(calendar: &Calendar, now: Timestamp) -> Hours {
        let time = ist_time(now);
        let within = |(from, to): (NaiveTime, NaiveTime)| (from..to).contains(&time);
        let ordinary =
            Hours { services: within(SERVICES), session: within(SESSION), prices: within(PRICES) };
        match calendar.day(ist_date(now)) {
            DayKind::Trading(_) | DayKind::Unknown => ordinary,
            DayKind::Closed(_) => Hours::NONE,
            DayKind::Special(day) => match &day.hours {
                SpecialHours::Ordinary(_) => ordinary,
                SpecialHours::Windows(windows) => Hours::around(windows, day.is_regular, time),
                SpecialHours::Unannounced => Hours::NONE,
            },
        }
    }

    /// The hours of a special day with these windows.
    fn around(windows: &[Session], is_traded: bool, time: NaiveTime) -> Hours {
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
            return Hours::NONE;
        };
        let within = |from: NaiveTime, to: NaiveTime| (from..to).contains(&time);
        // The day of pivot-trading ends as on any other.
        let end = last.close.min(SESSION.1);
        let session = within(early(first.open, SESSION_BEFORE), end);
        let has_prices =
            |window: &Session| within(late(window.open, PRICES_AFTER), window.close.min(end));
        Hours {
            services: within(early(first.open, SERVICES_BEFORE), late(last.close, SERVICES_AFTER)),
            session: is_traded && session,
            prices: is_traded && windows.iter().any(has_prices),
        }
    }
}

/// So much earlier, on the same day.
fn early(time: NaiveTime, span: TimeDelta) -> NaiveTime {
    let (time, wrapped) = time.overflowing_sub_signed(span);
    if wrapped == 0 { time } else { NaiveTime::MIN }
}

/// So much later, on the same day.
fn late(time: NaiveTime, span: TimeDelta) -> NaiveTime {
    let (time, wrapped) = time.overflowing_add_signed(span);
    if wrapped == 0 { time } else { hms(23, 59, 59) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::from_ist;

    /// Services, session, prices at a time of 7 November 2026, a Saturday.
    fn expected(hours: Option<SpecialHours>, times: &[(u32, u32)]) -> Vec<(bool, bool, bool)> {
        let saturday = chrono::NaiveDate::from_ymd_opt(2026, 11, 7).unwrap();
        let mut calendar = Calendar::india();
        if let Some(hours) = hours {
            calendar = calendar.with_special_day(saturday, "special", hours);
        }
        let at = |(hour, minute): &(u32, u32)| {
            let found = Hours::at(&calendar, from_ist(saturday, hms(*hour, *minute, 0)));
            (found.services, found.session, found.prices)
        };
        times.iter().map(at).collect()
    }

    fn window(open: (u32, u32), close: (u32, u32)) -> Session {
        Session { open: hms(open.0, open.1, 0), close: hms(close.0, close.1, 0) }
    }

    const NOTHING: (bool, bool, bool) = (false, false, false);
    const ALIVE: (bool, bool, bool) = (true, false, false);
    const LOGGED_IN: (bool, bool, bool) = (true, true, false);
    const ALL: (bool, bool, bool) = (true, true, true);

    #[test]
    fn a_special_day_of_ordinary_hours_is_a_day_like_others() {
        let times = [(8, 0), (8, 20), (9, 5), (12, 0), (15, 20), (16, 0)];
        let ordinary = SpecialHours::Ordinary(crate::market::calendar::SessionTimes::on(
            chrono::NaiveDate::from_ymd_opt(2026, 11, 7).unwrap(),
        ));
        let all = [NOTHING, ALIVE, LOGGED_IN, ALL, ALIVE, NOTHING];
        assert_eq!(expected(Some(ordinary), &times), all);
        assert_eq!(expected(None, &times), [NOTHING; 6], "a plain Saturday");
        assert_eq!(expected(Some(SpecialHours::Unannounced), &times), [NOTHING; 6]);
        // The budget of 2026 was on a Sunday.
        let budget = chrono::NaiveDate::from_ymd_opt(2026, 2, 1).unwrap();
        let found = Hours::at(&Calendar::india(), from_ist(budget, hms(11, 0, 0)));
        assert_eq!(found, Hours { services: true, session: true, prices: true });
    }

    #[test]
    fn windows_of_a_special_day_count_one_by_one() {
        let windows = vec![window((9, 15), (11, 0)), window((11, 30), (13, 30))];
        let times =
            [(8, 10), (8, 20), (9, 5), (9, 16), (9, 17), (11, 15), (12, 0), (13, 31), (13, 46)];
        assert_eq!(
            expected(Some(SpecialHours::Windows(windows)), &times),
            [NOTHING, ALIVE, LOGGED_IN, LOGGED_IN, ALL, LOGGED_IN, ALL, ALIVE, NOTHING]
        );
    }

    #[test]
    fn in_a_short_session_which_is_not_traded_services_are_to_live() {
        let muhurat = SpecialHours::Windows(vec![window((18, 0), (19, 0))]);
        let times = [(12, 0), (16, 59), (17, 0), (18, 30), (19, 14), (19, 15)];
        assert_eq!(
            expected(Some(muhurat), &times),
            [NOTHING, NOTHING, ALIVE, ALIVE, ALIVE, NOTHING]
        );
        let midnight = SpecialHours::Windows(vec![window((0, 15), (23, 55))]);
        assert_eq!(expected(Some(midnight), &[(0, 0), (23, 59)]), [LOGGED_IN, ALIVE]);
    }
}
