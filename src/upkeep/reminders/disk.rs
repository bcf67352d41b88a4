//! How soon a disk is full if it goes on as it did.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// Figures that are kept, one of each day.
const KEPT: usize = 30;

/// What is compared lies a week apart: on some days of it more is written
/// than on others.
const APART: i64 = 7;

/// Fewer pairs of days tell nothing: what happened once is in seven of them.
const PAIRS_MIN: usize = 15;

/// Figures that are older than this tell nothing of today, in days.
const FRESH: i64 = 3;

/// What is further away is no news, in days.
const HORIZON: i64 = 180;

/// How much room there was on one day, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskDay {
    /// The day.
    pub date: NaiveDate,
    /// Free on the disk with the data folder.
    pub data_free: u64,
    /// Free on the disk with the log folder.
    pub logs_free: u64,
}

/// Where it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outlook {
    /// `data` or `log`.
    pub(super) folder: &'static str,
    /// Days until the disk is full.
    pub(super) days_left: i64,
    /// Bytes that it loses in a day.
    pub(super) bytes_a_day: u64,
}

/// Adds a day's figure; the first one of a day stays. True when it is new.
pub(super) fn add(days: &mut Vec<DiskDay>, day: DiskDay) -> bool {
    // A clock that was ahead has left days that are yet to come.
    days.retain(|kept| kept.date <= day.date);
    if days.last().is_some_and(|last| last.date == day.date) {
        return false;
    }
    days.push(day);
    let surplus = days.len().saturating_sub(KEPT);
    days.drain(..surplus);
    true
}

/// The disk that is full first, when that is near enough to matter.
pub(super) fn outlook(days: &[DiskDay], today: NaiveDate) -> Option<Outlook> {
    let last = days.last()?;
    if (today - last.date).num_days() > FRESH {
        return None;
    }
    let of = |folder, free: fn(&DiskDay) -> u64| {
        let bytes_a_day = lost_a_day(days, free).filter(|lost| *lost > 0)?;
        let left = i64::try_from(free(last) / bytes_a_day).unwrap_or(i64::MAX);
        let days_left = (left - (today - last.date).num_days()).max(0);
        Some(Outlook { folder, days_left, bytes_a_day })
    };
    let outlooks = [of("data", |day| day.data_free), of("log", |day| day.logs_free)];
    let soonest = outlooks.into_iter().flatten().min_by_key(|outlook| outlook.days_left);
    soonest.filter(|outlook| outlook.days_left <= HORIZON)
}

/// Bytes lost in a day: the median over all days and those a week before, so
/// that a day on which something was cleared away or copied does not decide.
fn lost_a_day(days: &[DiskDay], free: fn(&DiskDay) -> u64) -> Option<u64> {
    let mut slopes: Vec<i128> = Vec::new();
    for later in days {
        let apart = |earlier: &DiskDay| (later.date - earlier.date).num_days();
        let Some(earlier) = days.iter().rfind(|day| apart(day) >= APART) else { continue };
        let lost = i128::from(free(earlier)) - i128::from(free(later));
        slopes.push(lost / i128::from(apart(earlier)));
    }
    if slopes.len() < PAIRS_MIN {
        return None;
    }
    slopes.sort_unstable();
    let median = slopes.get(slopes.len() / 2)?;
    Some(u64::try_from(*median).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    const GB: u64 = 1_000_000_000;

    fn first() -> NaiveDate {
        "2026-11-01".parse().unwrap()
    }

    /// Figures of days in a row.
    fn days(count: i64, free_gb: impl Fn(i64) -> i64) -> Vec<DiskDay> {
        let day = |index| DiskDay {
            date: after(index),
            data_free: free_gb(index) as u64 * GB,
            logs_free: 500 * GB,
        };
        (0..count).map(day).collect()
    }

    fn after(days: i64) -> NaiveDate {
        first() + TimeDelta::days(days)
    }

    #[test]
    fn a_steady_loss_leads_to_a_day() {
        let steady = days(25, |day| 134 - 2 * day);
        let expect = Outlook { folder: "data", days_left: 43, bytes_a_day: 2 * GB };
        assert_eq!(outlook(&steady, after(24)), Some(expect));
        assert_eq!(outlook(&steady, after(26)).unwrap().days_left, 41);
        // Seven in one night of the week are one a day.
        let weekly = days(30, |day| 100 - 7 * (day / 7));
        assert_eq!(outlook(&weekly, after(29)).unwrap().bytes_a_day, GB);
    }

    #[test]
    fn one_large_copy_or_clearing_decides_nothing() {
        for copied_on in 0..30 {
            let copied = days(30, |day| if day < copied_on { 100 } else { 20 });
            assert_eq!(outlook(&copied, after(29)), None, "{copied_on}");
            let cleared = days(30, |day| 100 - 2 * day + if day < copied_on { 0 } else { 200 });
            let found = outlook(&cleared, after(29)).map(|found| found.bytes_a_day);
            assert!(found == Some(2 * GB), "{copied_on}: {found:?}");
        }
    }

    #[test]
    fn too_few_old_or_growing_figures_tell_nothing() {
        let steady = days(22, |day| 100 - 2 * day);
        assert!(outlook(&steady[..21], after(20)).is_none());
        assert!(outlook(&steady, after(21)).is_some());
        assert!(outlook(&steady, after(25)).is_none());
        assert!(outlook(&days(30, |day| 50 + day), after(29)).is_none());
        assert!(outlook(&[], after(0)).is_none());
        // In two years and more.
        assert!(outlook(&days(30, |day| 1000 - day), after(29)).is_none());
    }

    #[test]
    fn one_figure_of_each_day_is_kept_for_a_month() {
        let mut kept = Vec::new();
        for day in days(40, |_| 9) {
            assert!(add(&mut kept, day));
            assert!(!add(&mut kept, DiskDay { data_free: 1, ..day }));
        }
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept[0].date, after(10));
        assert!(kept.iter().all(|day| day.data_free == 9 * GB));
    }
}
