//! Names of log files.
//!
//! | name | is |
//! | --- | --- |
//! | `trading.log` | being written |
//! | `system_20261126.log` | being written on that day, finished afterwards |
//! | `trading_20261126.2.log` | the second that was full on that day, or the rest of it |
//! | `trading_20261126.2.log.gz` | the same, compressed |

use chrono::NaiveDate;

/// A file that is not written any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Finished {
    pub(super) stem: String,
    pub(super) date: NaiveDate,
    /// Its number within the day; the rest of a day has none.
    pub(super) number: Option<u32>,
    pub(super) compressed: bool,
}

/// The name under which `stem` is written.
pub(super) fn current(stem: &str, date: Option<NaiveDate>) -> String {
    match date {
        Some(date) => format!("{stem}_{}.log", date.format("%Y%m%d")),
        None => format!("{stem}.log"),
    }
}

/// The name of a part that is full.
pub(super) fn finished(stem: &str, date: NaiveDate, number: u32) -> String {
    format!("{stem}_{}.{number}.log", date.format("%Y%m%d"))
}

/// Reads the name of a file with a date.
pub(super) fn parse(name: &str) -> Option<Finished> {
    let (name, compressed) = match name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (name, false),
    };
    let name = name.strip_suffix(".log")?;
    let (name, number) = match name.rsplit_once('.') {
        Some((name, number)) => (name, Some(number.parse().ok().filter(|number| *number > 0)?)),
        None => (name, None),
    };
    let (stem, date) = name.rsplit_once('_')?;
    let digits = date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit());
    let date = NaiveDate::parse_from_str(date, "%Y%m%d").ok().filter(|_| digits)?;
    Some(Finished { stem: stem.to_string(), date, number, compressed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 26).unwrap();
        assert_eq!(current("system", Some(date)), "system_20261126.log");
        assert_eq!(current("bot_error", None), "bot_error.log");
        assert_eq!(finished("bot_error", date, 12), "bot_error_20261126.12.log");
        let read = |name| parse(name).map(|it| (it.stem, it.date, it.number, it.compressed));
        assert_eq!(read("system_20261126.log"), Some(("system".into(), date, None, false)));
        assert_eq!(
            read("bot_error_20261126.12.log.gz"),
            Some(("bot_error".into(), date, Some(12), true))
        );
        for other in [
            "bot_error.log",
            "system_notes.log",
            "system_20261199.log",
            "system_2026112.log",
            "system_+2611226.log",
            "x_20261126.0.log",
            "x_20261126.a.log",
            "x_20261126.log.gz.tmp",
            "x_20261126.txt",
        ] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
