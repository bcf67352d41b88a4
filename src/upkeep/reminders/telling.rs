//! On which days people are told of something: at fixed distances before it,
//! on its day, and every day once it is over.

use chrono::NaiveDate;

use super::ahead::Reminder;

/// Days before.
const STEPS: [i64; 6] = [30, 14, 7, 3, 1, 0];

/// True when it is to be told today. `told` is the day on which it was told
/// last: what falls into days on which nobody was there is made up for, and
/// a date that was moved counts as it is now.
pub(super) fn is_due(reminder: &Reminder, told: Option<NaiveDate>, today: NaiveDate) -> bool {
    if told.is_some_and(|day| day >= today)
        || reminder.quiet_until.is_some_and(|until| today < until)
    {
        return false;
    }
    let left = reminder.days_left(today);
    // Who set a reminder knows of it on that day.
    let known_on = told.or(reminder.quiet_until.and_then(|until| until.pred_opt()));
    let before = known_on.map(|day| reminder.days_left(day));
    let crossed = |step: &i64| left <= *step && before.is_none_or(|before| *step < before);
    left < 0 || STEPS.iter().any(crossed)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::ahead::Subject;
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn reminder(date: &str, set_on: Option<&str>) -> Reminder {
        Reminder {
            subject: Subject::Certificate,
            date: day(date),
            text: String::new(),
            advice: String::new(),
            quiet_until: set_on.and_then(|set_on| day(set_on).succ_opt()),
        }
    }

    /// Days left on the days on which it is told, when somebody looks on
    /// every day but those that are left out.
    fn told(reminder: &Reminder, from: &str, days: i64, left_out: &[&str]) -> Vec<i64> {
        let mut last = None;
        let mut told = Vec::new();
        for today in (0..days).map(|days| day(from) + TimeDelta::days(days)) {
            if left_out.iter().any(|out| day(out) == today) {
                continue;
            }
            if is_due(reminder, last, today) {
                last = Some(today);
                told.push(reminder.days_left(today));
                assert!(!is_due(reminder, last, today), "twice on {today}");
            }
        }
        told
    }

    #[test]
    fn people_are_told_at_fixed_distances_and_daily_once_it_is_over() {
        let certificate = reminder("2026-12-31", None);
        let expect = [30, 14, 7, 3, 1, 0, -1, -2];
        assert_eq!(told(&certificate, "2026-11-01", 63, &[]), expect);
        // What is near when it is first seen is told at once.
        assert_eq!(told(&certificate, "2026-12-11", 10, &[]), [20, 14]);
    }

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let certificate = reminder("2026-12-31", None);
        let away = ["2026-12-01", "2026-12-24", "2026-12-25", "2026-12-28"];
        assert_eq!(told(&certificate, "2026-11-01", 61, &away), [29, 14, 5, 2, 1, 0]);
    }

    #[test]
    fn whoever_set_a_reminder_is_not_told_on_that_day() {
        let set_on = Some("2026-12-11");
        assert_eq!(told(&reminder("2026-12-31", set_on), "2026-12-11", 21, &[]), [14, 7, 3, 1, 0]);
        assert_eq!(told(&reminder("2026-12-12", set_on), "2026-12-11", 2, &[]), [0]);
        assert_eq!(told(&reminder("2026-12-11", None), "2026-12-11", 1, &[]), [0]);
    }

    #[test]
    fn a_renewed_certificate_begins_anew() {
        let renewed = reminder("2027-03-01", None);
        assert!(!is_due(&renewed, Some(day("2026-12-28")), day("2026-12-29")));
        assert!(is_due(&renewed, Some(day("2026-12-28")), day("2027-01-30")));
    }
}
