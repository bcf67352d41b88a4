//! Filters as people write them, on a command line or in a query string.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};

use super::level_of;
use super::query::{Cursor, LogQuery, ROWS_MAX, Table};
use crate::market::Timestamp;
use crate::market::time::{from_ist, ist_date};

/// Longest text that is looked for.
const TEXT_MAX: usize = 200;

/// Names of the filters.
pub const FILTERS: [&str; 11] = [
    "level",
    "service",
    "component",
    "q",
    "correlation_id",
    "event_type",
    "since",
    "until",
    "limit",
    "cursor",
    "table",
];

/// A filter is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: expected {expected}, was {was:?}")]
pub struct BadFilter {
    /// Which.
    pub name: String,
    /// What would do.
    pub expected: String,
    /// What was written.
    pub was: String,
}

/// Sets the filter of this name. An empty value sets nothing, as a form sends
/// it. `now` is what spans such as `2h` count from.
///
/// # Errors
/// When there is no such filter, or it cannot be this.
pub fn filter(
    query: &mut LogQuery,
    name: &str,
    value: &str,
    now: Timestamp,
) -> Result<(), BadFilter> {
    let bad = |expected: &str| BadFilter {
        name: name.to_owned(),
        expected: expected.to_owned(),
        was: value.chars().take(100).collect(),
    };
    let is_known = FILTERS.contains(&name);
    if value.is_empty() && is_known {
        return Ok(());
    }
    let text = || Some(value.to_owned());
    let instant = || {
        parse_instant(value, now).ok_or_else(|| {
            bad("a time such as 2026-11-23T09:15:00+05:30, 2026-11-23, 09:15 (IST, today) or a \
                 span back from now such as 15m, 2h, 3d")
        })
    };
    match name {
        "level" => {
            let level = level_of(value).ok_or_else(|| bad("trace, debug, info, warn or error"));
            query.level = Some(level?);
        }
        "service" => query.service = text(),
        "component" => query.component = text(),
        "q" if value.chars().count() > TEXT_MAX => {
            return Err(bad(&format!("a text of at most {TEXT_MAX} characters")));
        }
        "q" => query.q = text(),
        "correlation_id" => query.correlation_id = text(),
        "event_type" => query.event_type = text(),
        "since" => query.since = Some(instant()?),
        "until" => query.until = Some(instant()?),
        "limit" => {
            let limit = value.parse().ok().filter(|limit| (1..=ROWS_MAX).contains(limit));
            query.limit = limit.ok_or_else(|| bad(&format!("a number from 1 to {ROWS_MAX}")))?;
        }
        "cursor" => {
            let cursor = Cursor::parse(value);
            query.cursor = Some(cursor.ok_or_else(|| bad("the cursor of an earlier page"))?);
        }
        "table" => {
            query.table = match value {
                "system" => Table::System,
                "performance" => Table::Performance,
                _ => return Err(bad("system or performance")),
            };
        }
        _ => {
            let known = FILTERS.join(", ");
            return Err(BadFilter {
                name: name.chars().take(100).collect(),
                expected: format!("one of {known}"),
                was: name.chars().take(100).collect(),
            });
        }
    }
    Ok(())
}

fn parse_instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    // In a query string a plus that is not escaped arrives as a blank.
    let offset = || {
        let (start, end) = text.rsplit_once(' ')?;
        chrono::DateTime::parse_from_rfc3339(&format!("{start}+{end}")).ok()
    };
    if let Some(at) = chrono::DateTime::parse_from_rfc3339(text).ok().or_else(offset) {
        return Some(at.to_utc());
    }
    if let Ok(date) = text.parse::<NaiveDate>() {
        return Some(from_ist(date, NaiveTime::MIN));
    }
    let local = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    if let Some(local) = local {
        return Some(from_ist(local.date(), local.time()));
    }
    let time = ["%H:%M:%S", "%H:%M"]
        .into_iter()
        .find_map(|form| NaiveTime::parse_from_str(text, form).ok());
    if let Some(time) = time {
        return Some(from_ist(ist_date(now), time));
    }
    let number: u32 = text.get(..text.len().checked_sub(1)?)?.parse().ok()?;
    let seconds = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        _ => return None,
    };
    now.checked_sub_signed(TimeDelta::seconds(i64::from(number) * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::hms;

    fn now() -> Timestamp {
        from_ist(NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(), hms(10, 0, 0))
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let check = |text: &str, expect: &str| {
            let at = parse_instant(text, now()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(crate::market::time::ist_text(at), expect, "{text}");
        };
        check("2026-11-23T04:03:00Z", "2026-11-23T09:33:00+05:30");
        check("2026-11-23T09:33:00+05:30", "2026-11-23T09:33:00+05:30");
        check("2026-11-23T09:33:00 05:30", "2026-11-23T09:33:00+05:30");
        check("2026-11-22", "2026-11-22T00:00:00+05:30");
        check("2026-11-22 09:15", "2026-11-22T09:15:00+05:30");
        check("09:15", "2026-11-23T09:15:00+05:30");
        check("90s", "2026-11-23T09:58:30+05:30");
        check("2h", "2026-11-23T08:00:00+05:30");
        check("3d", "2026-11-20T10:00:00+05:30");
        for text in ["", "h", "yesterday", "25:00", "-2h", "é", "2026-13-01", "1w"] {
            assert_eq!(parse_instant(text, now()), None, "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_says_what_would_do() {
        let said = |name: &str, value: &str| {
            filter(&mut LogQuery::default(), name, value, now()).unwrap_err().to_string()
        };
        assert_eq!(
            said("level", "loud"),
            "level: expected trace, debug, info, warn or error, was \"loud\""
        );
        assert!(said("limit", "0").contains("a number from 1 to 1000"));
        assert!(said("limit", "1001").contains("a number from 1 to 1000"));
        assert!(said("cursor", "x").contains("the cursor of an earlier page"));
        assert!(said("since", "soon").contains("such as 15m, 2h, 3d"));
        assert!(said("q", &"x".repeat(201)).contains("at most 200 characters"));
        assert!(said("levle", "info").contains("one of level, service"));
        let mut query = LogQuery::default();
        for (name, value) in [("level", "Warn"), ("q", ""), ("limit", "7"), ("service", "bot")] {
            filter(&mut query, name, value, now()).unwrap();
        }
        let service = Some("bot".to_owned());
        let level = Some(tracing::Level::WARN);
        assert_eq!(query, LogQuery { level, service, limit: 7, ..LogQuery::default() });
    }
}
