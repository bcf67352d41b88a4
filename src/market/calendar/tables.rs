//! Holidays and special sessions of NSE and BSE, as their circulars named
//! them and as trading confirmed them.

use chrono::NaiveDate;

use super::{Coverage, Session, SessionTimes, SpecialDay, SpecialHours};

/// How well each year is known. The list of 2027 is not published yet.
pub(super) const COVERAGE: &[(i32, Coverage)] = &[
    (2024, Coverage::Complete),
    (2025, Coverage::Complete),
    (2026, Coverage::Complete),
    (2027, Coverage::Partial),
];

type Day = (i32, u32, u32);

/// Holidays on weekdays.
const HOLIDAYS: &[(Day, &str)] = &[
    ((2024, 1, 22), "Special holiday (Ram Mandir)"),
    ((2024, 1, 26), "Republic Day"),
    ((2024, 3, 8), "Maha Shivaratri"),
    ((2024, 3, 25), "Holi"),
    ((2024, 3, 29), "Good Friday"),
    ((2024, 4, 11), "Eid al-Fitr"),
    ((2024, 4, 17), "Ram Navami"),
    ((2024, 5, 1), "Maharashtra Day"),
    ((2024, 5, 20), "General election (Mumbai)"),
    ((2024, 6, 17), "Eid al-Adha"),
    ((2024, 7, 17), "Ashura"),
    ((2024, 8, 15), "Independence Day"),
    ((2024, 10, 2), "Gandhi Jayanti"),
    ((2024, 11, 15), "Guru Nanak Jayanti"),
    ((2024, 11, 20), "Maharashtra assembly election"),
    ((2024, 12, 25), "Christmas Day"),
    ((2025, 2, 26), "Maha Shivaratri"),
    ((2025, 3, 14), "Holi"),
    ((2025, 3, 31), "Eid al-Fitr"),
    ((2025, 4, 10), "Mahavir Jayanti"),
    ((2025, 4, 14), "Dr. B. R. Ambedkar Jayanti"),
    ((2025, 4, 18), "Good Friday"),
    ((2025, 5, 1), "Maharashtra Day"),
    ((2025, 8, 15), "Independence Day"),
    ((2025, 8, 27), "Ganesh Chaturthi"),
    ((2025, 10, 2), "Gandhi Jayanti, Dussehra"),
    ((2025, 10, 22), "Diwali Balipratipada"),
    ((2025, 11, 5), "Guru Nanak Jayanti"),
    ((2025, 12, 25), "Christmas Day"),
    ((2026, 1, 15), "Municipal corporation elections, Maharashtra"),
    ((2026, 1, 26), "Republic Day"),
    ((2026, 3, 3), "Holi"),
    ((2026, 3, 26), "Ram Navami"),
    ((2026, 3, 31), "Mahavir Jayanti"),
    ((2026, 4, 3), "Good Friday"),
    ((2026, 4, 14), "Dr. B. R. Ambedkar Jayanti"),
    ((2026, 5, 1), "Maharashtra Day"),
    ((2026, 5, 28), "Eid al-Adha"),
    ((2026, 6, 26), "Ashura"),
    ((2026, 9, 14), "Ganesh Chaturthi"),
    ((2026, 10, 2), "Gandhi Jayanti"),
    ((2026, 10, 20), "Dussehra"),
    ((2026, 11, 10), "Diwali Balipratipada"),
    ((2026, 11, 24), "Guru Nanak Jayanti"),
    ((2026, 12, 25), "Christmas Day"),
    // Of fixed date; those that follow the moon await the list.
    ((2027, 1, 26), "Republic Day (provisional)"),
    ((2027, 3, 26), "Good Friday (provisional)"),
    ((2027, 4, 14), "Dr. B. R. Ambedkar Jayanti (provisional)"),
];

/// Hours of a special session in the table.
enum Hours {
    Ordinary,
    Windows(&'static [Session]),
    Unannounced,
}

/// Both sites of an exchange in turn, to rehearse a disaster.
const TWO_SITES: &[Session] = &[Session::of((9, 15), (10, 0)), Session::of((11, 30), (12, 30))];

const SPECIAL_DAYS: &[(Day, &str, Hours)] = &[
    ((2024, 1, 20), "Special Saturday session", Hours::Ordinary),
    ((2024, 3, 2), "Special Saturday session (disaster recovery site)", Hours::Windows(TWO_SITES)),
    ((2024, 5, 18), "Special Saturday session (disaster recovery site)", Hours::Windows(TWO_SITES)),
    ((2024, 11, 1), "Muhurat trading", Hours::Windows(&[Session::of((18, 0), (19, 0))])),
    ((2025, 2, 1), "Union Budget session", Hours::Ordinary),
    ((2025, 10, 21), "Muhurat trading", Hours::Windows(&[Session::of((13, 45), (14, 45))])),
    ((2026, 2, 1), "Union Budget session", Hours::Ordinary),
    ((2026, 11, 8), "Muhurat trading (hours by circular)", Hours::Unannounced),
];

pub(super) fn holidays() -> impl Iterator<Item = (NaiveDate, &'static str)> {
    HOLIDAYS.iter().filter_map(|(day, name)| Some((date(*day)?, *name)))
}

pub(super) fn special_days() -> impl Iterator<Item = (NaiveDate, SpecialDay)> {
    SPECIAL_DAYS.iter().filter_map(|(day, name, hours)| {
        let date = date(*day)?;
        let hours = match hours {
            Hours::Ordinary => SpecialHours::Ordinary(SessionTimes::on(date)),
            Hours::Windows(windows) => SpecialHours::Windows(windows.to_vec()),
            Hours::Unannounced => SpecialHours::Unannounced,
        };
        Some((date, SpecialDay::new(date, *name, hours)))
    })
}

fn date((year, month, day): Day) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, Weekday};

    use super::*;

    #[test]
    fn every_row_is_a_date_and_stands_once() {
        let mut rows: Vec<NaiveDate> = holidays().map(|(date, _)| date).collect();
        assert_eq!(rows.len(), HOLIDAYS.len());
        assert!(rows.iter().all(|date| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun)));
        rows.extend(special_days().map(|(date, _)| date));
        assert_eq!(rows.len(), HOLIDAYS.len() + SPECIAL_DAYS.len());
        rows.sort_unstable();
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
