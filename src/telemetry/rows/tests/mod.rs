//! What the tests of rows share.

mod finding;
mod keeping;
mod room;
mod storing;

use std::path::Path;

use chrono::{NaiveDate, TimeDelta};
use tracing::Level;

use super::*;
use crate::market::time::{from_ist, hms};

pub(super) fn start() -> Timestamp {
    from_ist(NaiveDate::from_ymd_opt(2026, 11, 23).unwrap(), hms(9, 0, 0))
}

/// A generator of numbers, the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (self.0 >> 33) % sides
    }

    pub(super) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[usize::try_from(self.throw(u64::try_from(of.len()).unwrap())).unwrap()]
    }
}

/// A row as a busy system writes it.
pub(super) fn row(dice: &mut Dice, number: u64) -> Row {
    let level = match dice.throw(1_000) {
        0 => Level::ERROR,
        1..=9 => Level::WARN,
        10..=599 => Level::INFO,
        600..=989 => Level::DEBUG,
        _ => Level::TRACE,
    };
    let service = dice.one(&["trading", "trading", "trading", "bot", "auth"]);
    let component = if service == "trading" {
        dice.one(&["execution_service", "order_watcher", "risk_manager", "trading_bot", "metrics"])
    } else {
        dice.one(&["command_service", "api", "dashboard"])
    };
    let message = dice.one(&[
        "order",
        "quote is stale",
        "no setup: body=0.4 threshold=0.5",
        "position compared with the broker",
        "a notice was delivered",
        "order accepted by the exchange",
    ]);
    let trade = (dice.throw(10) == 0).then(|| format!("20261123_{:03}", dice.throw(5_000)));
    let event = (dice.throw(3) == 0).then(|| dice.one(&["order", "fill", "signal"]).to_owned());
    let data = format!(
        r#"{{"tag":"{:08x}","contract":"NFO:NIFTY26NOV{}CE","price":"{}.{:02}","filled":{}}}"#,
        dice.throw(1 << 31),
        24_000 + 50 * dice.throw(40),
        50 + dice.throw(400),
        dice.throw(100),
        75 * dice.throw(20),
    );
    Row {
        at: start() + TimeDelta::microseconds(i64::try_from(number).unwrap() * 1_900),
        level,
        service: service.to_owned().into(),
        component: component.to_owned().into(),
        target: "pivot_trading::tests".into(),
        message: message.to_owned(),
        data,
        correlation_id: trade,
        event_type: event,
        duration_us: None,
    }
}

/// Rows in a new file; answers them, oldest first.
pub(super) fn fill(path: &Path, count: u64) -> Vec<Record> {
    let (connection, _) = schema::open(path, true).unwrap();
    let mut writer = sqlite::Writer::new(connection, true);
    let mut dice = Dice(7);
    let mut all = Vec::new();
    let mut last = 0;
    for chunk in 0..count.div_ceil(1_000) {
        let numbers = chunk * 1_000..(chunk * 1_000 + 1_000).min(count);
        let records: Vec<Record> = numbers
            .map(|number| {
                let record = Record::new(row(&mut dice, number), last, 0);
                last = record.id;
                record
            })
            .collect();
        writer.store(&records).unwrap();
        if count <= 20_000 {
            all.extend(records);
        }
    }
    all
}

/// All rows of a query, page by page.
pub(super) fn walk(reader: &Reader, query: &LogQuery) -> Vec<i64> {
    let mut query = query.clone();
    let mut found = Vec::new();
    loop {
        let page = reader.page(&query).unwrap();
        found.extend(page.entries.iter().map(|entry| entry.id));
        match page.next {
            Some(_) => query.cursor = page.next,
            None => return found,
        }
    }
}
