use super::*;
use crate::market::time::hms;

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}

#[test]
fn the_previous_day_is_the_last_regular_session() {
    let calendar = Calendar::india();
    for (today, previous) in [
        ("2026-11-25", "2026-11-23"), // a holiday between
        ("2026-11-09", "2026-11-06"), // Muhurat on the Sunday between
        ("2026-11-11", "2026-11-09"),
        ("2026-02-02", "2026-02-01"), // a Budget Sunday counts
        ("2026-01-16", "2026-01-14"), // closed at three days' notice
        ("2027-01-01", "2026-12-31"),
        ("2027-01-04", "2027-01-01"),
        ("2024-03-04", "2024-03-01"), // two short windows do not count
        ("2024-01-23", "2024-01-20"), // a full Saturday does
        ("2024-11-04", "2024-10-31"), // Muhurat on the Friday between
    ] {
        assert_eq!(calendar.previous_trading_day(date(today)), Some(date(previous)), "{today}");
    }
    assert_eq!(calendar.next_trading_day(date("2026-11-23")), Some(date("2026-11-25")));
    assert_eq!(calendar.next_trading_day(date("2026-11-06")), Some(date("2026-11-09")));
    let before: Vec<_> = calendar.trading_days_before(date("2024-01-04")).collect();
    assert_eq!(before, ["2024-01-03", "2024-01-02", "2024-01-01"].map(date));
}

#[test]
fn beyond_its_years_the_calendar_knows_nothing() {
    let calendar = Calendar::india();
    for day in ["2023-12-29", "2028-01-03", "2028-01-01"] {
        assert_eq!(calendar.day(date(day)), DayKind::Unknown, "{day}");
        assert_eq!(calendar.coverage(date(day)), Coverage::None);
    }
    assert_eq!(calendar.previous_trading_day(date("2024-01-01")), None);
    assert_eq!(calendar.next_trading_day(date("2027-12-31")), None);
    assert_eq!(calendar.coverage(date("2027-06-01")), Coverage::Partial);
    assert_eq!(calendar.coverage(date("2026-06-01")), Coverage::Complete);
}

#[test]
fn holidays_and_sessions_can_be_added() {
    let day = date("2026-12-01");
    let calendar = Calendar::india()
        .with_extra_holidays([
            (day, "Election".to_string()),
            (date("2026-11-08"), "Called off".to_string()),
        ])
        .with_complete_year(2027);
    assert_eq!(calendar.day(day).reason(), "Election");
    assert!(!calendar.day(date("2026-11-08")).is_open());
    assert_eq!(calendar.previous_trading_day(date("2026-12-02")), Some(date("2026-11-30")));
    assert_eq!(calendar.coverage(date("2027-06-01")), Coverage::Complete);

    let hours = SpecialHours::Windows(vec![Session::of((18, 0), (19, 0))]);
    let day = date("2026-11-08");
    let kind = Calendar::india().with_special_day(day, "Muhurat trading", hours).day(day);
    assert_eq!(kind.sessions().map(|times| times.index.open), Some(hms(18, 0, 0)));
    assert!(!kind.is_regular());
}

#[test]
fn hours_follow_the_date() {
    let closes = |day: &str| {
        let times = SessionTimes::on(date(day));
        let close = |session: Session| session.close.format("%H:%M").to_string();
        [times.index, times.cash_fno, times.cash_other, times.derivatives].map(close).join(" ")
    };
    assert_eq!(closes("2026-07-31"), "15:30 15:30 15:30 15:30");
    assert_eq!(closes("2026-08-03"), "15:15 15:15 15:30 15:40");
    let pre_open = |day: &str| SessionTimes::on(date(day)).pre_open.map(|session| session.close);
    assert_eq!(pre_open("2026-09-04"), Some(hms(9, 8, 0)));
    assert_eq!(pre_open("2026-09-07"), Some(hms(9, 10, 0)));
    let index = SessionTimes::on(date("2026-11-23")).index;
    assert!(index.contains(hms(9, 15, 0)) && index.contains(hms(15, 14, 59)));
    assert!(!index.contains(hms(9, 14, 59)) && !index.contains(hms(15, 15, 0)));
}

#[test]
fn special_days_are_open_but_not_always_regular() {
    let calendar = Calendar::india();
    for (day, regular) in [
        ("2024-01-20", true),
        ("2024-03-02", false),
        ("2024-05-18", false),
        ("2024-11-01", false),
        ("2025-02-01", true),
        ("2025-10-21", false),
        ("2026-02-01", true),
        ("2026-11-08", false),
    ] {
        let kind = calendar.day(date(day));
        assert!(kind.is_open(), "{day}");
        assert_eq!(kind.is_regular(), regular, "{day}");
    }
    let open = |year| calendar.open_days(year).count();
    assert_eq!((open(2024), open(2025)), (249, 249));
}
