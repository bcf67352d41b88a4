//! Pages of rows: against a list in memory, by SQLite's plan, by the clock.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tracing::Level;

use super::super::{MESSAGE_MAX, counts, schema, sqlite};
use super::*;

/// Rows of the large file; a million by this environment variable.
const ROWS_ENV: &str = "LOG_ROWS";

fn queries() -> Vec<(&'static str, LogQuery)> {
    let all = LogQuery::default;
    let text = |q: &str| Some(q.to_owned());
    let bot = || LogQuery { service: text("bot"), ..all() };
    let q = |q: &str| LogQuery { q: text(q), ..all() };
    vec![
        ("nothing", all()),
        ("level", LogQuery { level: Some(Level::WARN), ..all() }),
        ("level info", LogQuery { level: Some(Level::INFO), ..all() }),
        ("level error", LogQuery { level: Some(Level::ERROR), ..all() }),
        ("service", bot()),
        ("component", LogQuery { component: text("risk_manager"), ..all() }),
        ("event", LogQuery { event_type: text("fill"), ..all() }),
        ("correlation", LogQuery { correlation_id: text("20261123_042"), ..all() }),
        ("no such correlation", LogQuery { correlation_id: text("x"), ..all() }),
        ("no such service", LogQuery { service: text("x"), ..all() }),
        (
            "service that has no such component",
            LogQuery { component: text("risk_manager"), ..bot() },
        ),
        (
            "service, component, level, event",
            LogQuery {
                level: Some(Level::ERROR),
                component: text("api"),
                event_type: text("signal"),
                ..bot()
            },
        ),
        ("text in most rows", q("NFO:NIFTY")),
        ("text in large letters", q("ORDER ACCEPTED")),
        ("text in one row or none", q("7fffdeadbeef")),
        ("text that matches nothing", q("nothing like this")),
        ("text of runs that are in all rows and never together", q("order compared setup")),
        ("short text", q("e,")),
        ("short text that matches nothing", q("~~")),
        ("text and level", LogQuery { level: Some(Level::ERROR), ..q("accepted") }),
        ("text and service", LogQuery { q: text("position"), ..bot() }),
        (
            "text, service and component that never meet",
            LogQuery { q: text("position"), component: text("metrics"), ..bot() },
        ),
        ("text and correlation", LogQuery { correlation_id: text("20261123_042"), ..q("order") }),
        (
            "times",
            LogQuery {
                since: Some(start() + TimeDelta::seconds(5)),
                until: Some(start() + TimeDelta::seconds(8)),
                ..all()
            },
        ),
        (
            "times and service",
            LogQuery {
                since: Some(start() + TimeDelta::seconds(5)),
                until: Some(start() + TimeDelta::seconds(8)),
                ..bot()
            },
        ),
        ("times and text", LogQuery { until: Some(start() + TimeDelta::seconds(8)), ..q("stale") }),
        ("times before everything", LogQuery { until: Some(start()), ..bot() }),
    ]
}

#[test]
fn every_filter_finds_what_a_look_at_all_rows_finds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let all = fill(&path, 12_000);
    let reader = Reader::open(&path).unwrap();
    for (name, query) in queries() {
        let wanted = query.q.as_ref().map(|q| q.to_lowercase());
        let expect: Vec<i64> = all
            .iter()
            .rev()
            .filter(|record| query.fits(&record.row, wanted.as_deref()))
            .map(|record| record.id)
            .collect();
        for limit in [0, 7, 1_000] {
            let query = LogQuery { limit, ..query.clone() };
            assert_eq!(walk(&reader, &query), expect, "{name}, {limit} a page");
        }
    }
}

/// What SQLite says of how it will find the rows.
fn plan(reader: &Reader, sql: &str) -> String {
    let mut statement = reader.connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = statement.parameter_count();
    let parameters = rusqlite::params_from_iter((0..count).map(|_| 1));
    let lines = statement.query_map(parameters, |row| row.get::<_, String>(3)).unwrap();
    lines.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn no_filter_reads_or_sorts_the_whole_table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    fill(&path, 2_000);
    let reader = Reader::open(&path).unwrap();
    let check = |table: Table| {
        let (statements, table) = (table.statements(), table.name());
        let served = [
            (&statements.by_time, format!("SEARCH {table} USING INTEGER PRIMARY KEY")),
            (
                &statements.by_kind,
                format!("USING COVERING INDEX {table}_by_kind (kind=? AND rowid"),
            ),
            (
                &statements.by_correlation,
                format!("USING COVERING INDEX {table}_by_correlation (correlation_id=? AND rowid"),
            ),
            (&statements.by_id, format!("SEARCH {table} USING INTEGER PRIMARY KEY (rowid=?)")),
            (&statements.by_arrival, format!("USING INDEX {table}_by_arrival (arrival>?)")),
        ];
        for (sql, expect) in served {
            let plan = plan(&reader, sql);
            assert!(plan.contains(&expect), "{sql}\n{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
        }
    };
    Table::ALL.into_iter().for_each(check);
    let by_text = plan(&reader, Table::System.statements().by_text.unwrap());
    assert!(by_text.contains("VIRTUAL TABLE INDEX") && !by_text.contains("TEMP"), "{by_text}");
    let grouped = plan(&reader, counts::GROUPED);
    let expect = "SEARCH system_logs USING COVERING INDEX system_logs_by_kind (kind=? AND rowid";
    assert!(grouped.contains(expect), "{grouped}");
}

#[test]
fn pages_of_many_rows_come_quickly() {
    let asked = std::env::var(ROWS_ENV).ok().map(|rows| rows.parse().unwrap());
    // A test among others only finds what is slow beyond all doubt.
    let limit = Duration::from_millis(if asked.is_some() { 50 } else { 2_000 });
    let rows = asked.unwrap_or(20_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let began = Instant::now();
    fill(&path, rows);
    let each = began.elapsed() / u32::try_from(rows).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    println!("{rows} rows, {each:?} to store one, {} bytes each", bytes / rows);
    let mut slow = Vec::new();
    for (name, query) in queries() {
        // A connection of its own, as a request has.
        let began = Instant::now();
        let reader = Reader::open(&path).unwrap();
        let page = reader.page(&query).unwrap();
        let mut took = began.elapsed();
        // A machine that was busy elsewhere gets a second look.
        if took > limit {
            let began = Instant::now();
            reader.page(&query).unwrap();
            took = took.min(began.elapsed());
        }
        let next = if page.next.is_some() { ", more" } else { "" };
        println!("{took:>10.2?} {name}: {} rows{next}", page.entries.len());
        if took > limit {
            slow.push(name);
        }
    }
    assert!(slow.is_empty(), "{slow:?}");
    let began = Instant::now();
    let stats = Reader::open(&path).unwrap().stats().unwrap();
    println!("{:>10.2?} stats", began.elapsed());
    assert_eq!(stats.system, rows);
}

#[test]
fn pages_stay_as_they_are_while_rows_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let all = fill(&path, 3_000);
    let expect: Vec<i64> = all.iter().rev().map(|record| record.id).collect();
    let (connection, _) = schema::open(&path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let reader = Reader::open(&path).unwrap();
    let mut query = LogQuery { limit: 250, ..LogQuery::default() };
    let mut found = Vec::new();
    let mut dice = Dice(99);
    let mut last = all.last().unwrap().id;
    loop {
        let page = reader.page(&query).unwrap();
        found.extend(page.entries.iter().map(|entry| entry.id));
        let new: Vec<Record> = (3_000..3_100)
            .map(|number| {
                let record = Record::new(row(&mut dice, number), last, 0);
                last = record.id;
                record
            })
            .collect();
        writer.store(&new).unwrap();
        match page.next {
            Some(_) => query.cursor = page.next,
            None => break,
        }
    }
    assert_eq!(found, expect);
    assert_eq!(reader.count(Table::System).unwrap(), 3_000 + 12 * 100);
}

#[test]
fn rows_that_come_late_are_followed_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let (connection, _) = schema::open(&path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(3);
    let records: Vec<Record> =
        (0..30).map(|number| Record::new(row(&mut dice, number), 0, 0)).collect();
    writer.store(&records[20..]).unwrap();
    let reader = Reader::open(&path).unwrap();
    let query = LogQuery::default();
    let (first, after) = reader.arrived(&query, 0).unwrap();
    assert_eq!(first.len(), 10);
    assert_eq!(after, reader.last_arrival(Table::System).unwrap());
    // Older rows of another service, and some that are there already.
    writer.store(&records[..25]).unwrap();
    let (late, after) = reader.arrived(&query, after).unwrap();
    let ids: Vec<i64> = late.iter().map(|entry| entry.id).collect();
    let expect: Vec<i64> = records[..20].iter().map(|record| record.id).collect();
    assert_eq!(ids, expect);
    assert_eq!(reader.arrived(&query, after).unwrap().0, []);
    // A file that was begun anew is shorter than what was seen of the old.
    assert_eq!(reader.arrived(&query, after + 5).unwrap().0.len(), 30);
}

#[test]
fn rows_of_one_microsecond_are_all_kept_and_none_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let (connection, _) = schema::open(&path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(5);
    let at = start();
    // As two processes make them: each knows its own numbers only.
    let records: Vec<Record> =
        (0..4).map(|_| Record::new(Row { at, ..row(&mut dice, 0) }, 0, 0)).collect();
    assert!(records.iter().all(|record| record.id == records[0].id));
    writer.store(&records).unwrap();
    writer.store(&records).unwrap();
    let reader = Reader::open(&path).unwrap();
    let page = reader.page(&LogQuery::default()).unwrap();
    let mut found: Vec<&str> = page.entries.iter().map(|entry| &*entry.row.data).collect();
    let mut expect: Vec<&str> = records.iter().map(|record| &*record.row.data).collect();
    found.sort_unstable();
    expect.sort_unstable();
    assert_eq!(found, expect);
}

#[test]
fn long_and_odd_texts_are_kept_and_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let (connection, _) = schema::open(&path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(5);
    let texts = ["₹ÜBER\"quo\"tes' OR 1=1 --", "zero\0byte behind", "a%b_c*d", "tail of x"];
    let records: Vec<Record> = (0..)
        .zip(texts)
        .map(|(number, text)| {
            let long = format!("{text}{}", "é".repeat(20_000));
            let message = if text.starts_with("tail") { long } else { text.to_owned() };
            Record::new(Row { message, ..row(&mut dice, number) }, 0, 0)
        })
        .collect();
    assert!(records[3].row.message.len() <= MESSAGE_MAX + 3);
    writer.store(&records).unwrap();
    let reader = Reader::open(&path).unwrap();
    let check = |q: &str, expect: &[usize]| {
        let page = reader.page(&LogQuery { q: Some(q.into()), ..LogQuery::default() }).unwrap();
        let found: Vec<i64> = page.entries.iter().map(|entry| entry.id).collect();
        let expect: Vec<i64> = expect.iter().map(|index| records[*index].id).collect();
        assert_eq!(found, expect, "{q:?}");
    };
    check("über\"QUO\"", &[0]);
    check("' or 1=1", &[0]);
    check("byte behind", &[1]);
    check("o\0b", &[1]);
    check("a%b_", &[2]);
    check("a_b%", &[]);
    check("éé", &[3]);
    check("ééééé", &[3]);
    check(&"x".repeat(200), &[]);
}

#[test]
fn a_cursor_is_what_it_says_or_refused() {
    let cursor = Cursor::parse("r0123456789abcdef").unwrap();
    assert_eq!(cursor.to_string(), "r0123456789abcdef");
    for text in ["", "r", "r0", "0123456789abcdef", "rffffffffffffffff", "r+123456789abcdef"] {
        assert_eq!(Cursor::parse(text), None, "{text}");
    }
}
