//! Instants and Indian market time. Reads no clock.

use chrono::{
    DateTime, FixedOffset, NaiveDate, NaiveDateTime, NaiveTime, SecondsFormat, TimeZone, Utc,
};

/// An instant, in UTC. Rules are in IST; stored instants are UTC.
pub type Timestamp = DateTime<Utc>;

/// India Standard Time, UTC+05:30, without daylight saving.
pub const IST: FixedOffset = match FixedOffset::east_opt(5 * 3600 + 1800) {
    Some(offset) => offset,
    None => unreachable!(),
};

/// The wall-clock reading in India at this instant.
pub fn ist(at: Timestamp) -> NaiveDateTime {
    at.with_timezone(&IST).naive_local()
}

/// The calendar date in India at this instant.
pub fn ist_date(at: Timestamp) -> NaiveDate {
    ist(at).date()
}

/// The time of day in India at this instant.
pub fn ist_time(at: Timestamp) -> NaiveTime {
    ist(at).time()
}

/// With the offset of India, to the second: `2026-11-23T09:36:02+05:30`.
pub fn ist_text(at: Timestamp) -> String {
    at.with_timezone(&IST).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// The instant at which clocks in India show this date and time.
pub fn from_ist(date: NaiveDate, time: NaiveTime) -> Timestamp {
    let local = date.and_time(time) - chrono::TimeDelta::seconds(i64::from(IST.local_minus_utc()));
    Utc.from_utc_datetime(&local)
}

/// A time of day, for constants and tests: `hms(9, 15, 0)`.
///
/// # Panics
/// When the numbers are not a time of day.
#[expect(
    clippy::expect_used,
    reason = "called with literals; a wrong one must not compile silently"
)]
pub const fn hms(hour: u32, minute: u32, second: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(hour, minute, second).expect("a time of day")
}
