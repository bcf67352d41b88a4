//! Old rows, and how many of what.

use std::path::Path;

use chrono::TimeDelta;
use tracing::Level;

use super::super::{schema, sqlite};
use super::*;

#[test]
fn old_rows_go_to_the_archive_and_later_away() {
    let folder = tempfile::tempdir().unwrap();
    let (active, archive) = (folder.path().join(FILE_NAME), folder.path().join(ARCHIVE_NAME));
    let (connection, _) = schema::open(&active, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(11);
    let now = start() + TimeDelta::days(100);
    // Ten rows a day for 100 days, some of them figures.
    let records: Vec<Record> = (0..1_000)
        .map(|number| {
            let at = start() + TimeDelta::hours(number * 24 / 10);
            let duration_us = (number % 10 == 9).then_some(5);
            Record::new(Row { at, duration_us, ..row(&mut dice, 0) }, 0, 0)
        })
        .collect();
    writer.store(&records).unwrap();
    let all = LogQuery { limit: ROWS_MAX, ..LogQuery::default() };
    let held = |path: &Path| {
        let reader = Reader::open(path).unwrap();
        let figures = LogQuery { table: Table::Performance, ..all.clone() };
        let pages = [reader.page(&all).unwrap(), reader.page(&figures).unwrap()];
        let mut ids: Vec<i64> =
            pages.iter().flat_map(|page| page.entries.iter().map(|entry| entry.id)).collect();
        ids.sort_unstable();
        ids
    };
    let between = |from: i64, to: i64| -> Vec<i64> {
        let (from, to) = (now - TimeDelta::days(from), now - TimeDelta::days(to));
        let inside = |record: &&Record| (from..to).contains(&record.row.at);
        records.iter().filter(inside).map(|record| record.id).collect()
    };
    // A step that was cut short after its copy.
    let (connection, _) = schema::open(&archive, false).unwrap();
    sqlite::Writer::new(connection, false).store(&records[300..310]).unwrap();
    let retained = retain(&active, &archive, now, 30, 90).unwrap();
    assert_eq!(held(&active), between(30, -1));
    assert_eq!(held(&archive), between(90, 30));
    assert_eq!(retained, Retained { archived: 600, deleted: 100 });
    let again = retain(&active, &archive, now, 30, 90).unwrap();
    assert_eq!(again, Retained::default());
    // Texts of rows that are gone are not found, and those that stay are.
    let q = |path: &Path, q: &str| {
        let query = LogQuery { q: Some(q.into()), ..all.clone() };
        walk(&Reader::open(path).unwrap(), &query)
    };
    let tag = |record: &Record| record.row.data[8..16].to_owned();
    assert_eq!(q(&active, &tag(&records[301])), Vec::<i64>::new());
    assert_eq!(q(&archive, &tag(&records[301])), vec![records[301].id]);
    assert_eq!(q(&active, &tag(&records[900])), vec![records[900].id]);
    let later = retain(&active, &archive, now + TimeDelta::days(400), 30, 90).unwrap();
    assert_eq!(later, Retained { archived: 0, deleted: 900 });
    assert_eq!((held(&active), held(&archive)), (Vec::new(), Vec::new()));
}

#[test]
fn rows_are_counted_by_minute_service_and_level() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let (connection, _) = schema::open(&path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(1);
    let mut last = 0;
    let mut add = |seconds: i64, level: Level, service: &'static str| {
        let at = start() + TimeDelta::seconds(seconds);
        let new = Row { at, level, service: service.into(), ..row(&mut dice, 0) };
        let record = Record::new(new, last, 0);
        last = record.id;
        writer.store(&[record]).unwrap();
    };
    add(0, Level::ERROR, "bot");
    add(59, Level::ERROR, "bot");
    add(59, Level::WARN, "bot");
    add(59, Level::INFO, "bot");
    add(60, Level::ERROR, "trading");
    add(86_400, Level::INFO, "auth");
    let reader = Reader::open(&path).unwrap();
    let minute = |number: i64, service: &str, level: Level, rows: u64| MinuteCount {
        minute: start() + TimeDelta::minutes(number),
        service: service.into(),
        level,
        rows,
    };
    let counts = reader.minute_counts(start(), Level::WARN).unwrap();
    let expect = [
        minute(0, "bot", Level::WARN, 1),
        minute(0, "bot", Level::ERROR, 2),
        minute(1, "trading", Level::ERROR, 1),
    ];
    assert_eq!(counts, expect);
    let since = start() + TimeDelta::seconds(1);
    let later = reader.minute_counts(since, Level::ERROR).unwrap();
    assert_eq!(later, [minute(0, "bot", Level::ERROR, 1), minute(1, "trading", Level::ERROR, 1)]);
    let stats = reader.stats().unwrap();
    assert_eq!((stats.system, stats.performance), (6, 0));
    let last = stats.days.last().unwrap();
    assert_eq!((last.day.to_string(), last.rows), ("2026-11-24".into(), 1));
    assert_eq!(stats.span, Some((start(), start() + TimeDelta::days(1))));
}
