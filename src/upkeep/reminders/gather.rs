//! Gathers what is to be reminded of, and puts what is to be told into the
//! outbox.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::ahead::{Facts, Reminder, ahead};
use super::disk::{self, DiskDay};
use super::own::Notebook;
use super::{DISK, OWN, TOLD, certificate, telling};
use crate::config::{Config, ConfigError, ReminderPlan};
use crate::engine::Notice;
use crate::engine::notice::{NoticeKind, Severity};
use crate::market::Timestamp;
use crate::market::calendar::Calendar;
use crate::market::time::{ist_date, ist_time};
use crate::store::{Store, StoreError};

/// Days before something from which on it is no routine any more.
const URGENT: i64 = 3;

/// What pivot-bot keeps under a name; nothing when it cannot be understood.
fn kept<T: DeserializeOwned + Default>(store: &Store, key: &str) -> Result<T, StoreError> {
    let value = store.bot_kept(key)?;
    Ok(value.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default())
}

/// What does not come from the database. It is read before, so that a folder
/// that does not answer keeps no connection from those who need it.
#[derive(Debug)]
pub struct Outside {
    plan: ReminderPlan,
    calendar: Calendar,
    certificate: Option<Result<NaiveDate, String>>,
}

impl Outside {
    /// Reads what the configuration names. Blocks.
    ///
    /// # Errors
    /// When the `reminders` section is wrong.
    pub fn read(config: &Config) -> Result<Outside, ConfigError> {
        let plan = config.reminder_plan()?;
        let certificate = plan.certificate.as_deref().map(certificate::end_of);
        Ok(Outside { plan, calendar: config.calendar(), certificate })
    }
}

/// What is ahead, nearest first.
///
/// # Errors
/// When the database cannot be read.
pub fn gather(
    store: &Store,
    outside: &Outside,
    now: Timestamp,
) -> Result<Vec<Reminder>, StoreError> {
    let notebook: Notebook = kept(store, OWN)?;
    let disk: Vec<DiskDay> = kept(store, DISK)?;
    Ok(ahead(&Facts {
        today: ist_date(now),
        plan: &outside.plan,
        calendar: &outside.calendar,
        certificate: outside.certificate.clone(),
        disk: &disk,
        own: notebook.own(),
    }))
}

/// Notes the disks' figures of today and puts what is to be told today into
/// the outbox, once the hour for it has come. Answers how many are new.
///
/// # Errors
/// When the database cannot be read or written.
pub fn tell(
    store: &mut Store,
    outside: &Outside,
    now: Timestamp,
    disk: Option<DiskDay>,
) -> Result<usize, StoreError> {
    let today = ist_date(now);
    if ist_time(now) < outside.plan.time {
        return Ok(0);
    }
    if let Some(figure) = disk {
        let mut days: Vec<DiskDay> = kept(store, DISK)?;
        if disk::add(&mut days, figure) {
            store.bot_keep(DISK, &json!(days))?;
        }
    }
    let reminders = gather(store, outside, now)?;
    let known: BTreeMap<String, NaiveDate> = kept(store, TOLD)?;
    let mut told = BTreeMap::new();
    let mut notices = Vec::new();
    for reminder in &reminders {
        let key = reminder.subject.key();
        let last = known.get(&key).copied();
        if telling::is_due(reminder, last, today) {
            notices.push(notice(store, reminder, now));
            told.insert(key, today);
        } else if let Some(last) = last {
            told.insert(key, last);
        }
    }
    if notices.is_empty() { Ok(0) } else { store.remind(&notices, TOLD, &json!(told)) }
}

fn notice(store: &Store, reminder: &Reminder, now: Timestamp) -> Notice {
    let today = ist_date(now);
    let is_urgent = reminder.days_left(today) <= URGENT;
    let mut when = reminder.when(today);
    if let Some(first) = when.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Notice {
        kind: NoticeKind::Reminders,
        severity: if is_urgent { Severity::Warning } else { Severity::Info },
        mode: store.mode(),
        at: now,
        trade: None,
        once: Some(format!("reminder.{}", reminder.subject.key())),
        headline: format!("{when}: {}", reminder.text),
        fields: vec![("Date".into(), reminder.date.format("%a %Y-%m-%d").to_string())],
        footer: Some(reminder.advice.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Mode;
    use crate::store::Role;

    fn at(text: &str) -> Timestamp {
        format!("{text}:00+05:30").parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    struct Bench {
        folder: tempfile::TempDir,
        config: Config,
    }

    impl Bench {
        fn new() -> Bench {
            let folder = tempfile::tempdir().unwrap();
            let mut config = Config::default();
            config.reminders.broker_renewal = "2026-11-30".into();
            Bench { folder, config }
        }

        /// A store as a process finds it that has just started.
        fn store(&self) -> Store {
            Store::open(self.folder.path(), Role::Bot, Mode::Paper).unwrap()
        }

        fn tell(&self, now: &str) -> usize {
            let outside = Outside::read(&self.config).unwrap();
            let date = at(now).date_naive();
            let disk = Some(DiskDay { date, data_free: 9, logs_free: 9 });
            tell(&mut self.store(), &outside, at(now), disk).unwrap()
        }

        fn headlines(&self, day: &str) -> Vec<String> {
            let posts = self.store().outbox_of(day.parse().unwrap()).unwrap();
            posts.into_iter().map(|post| post.notice.headline).collect()
        }
    }

    #[test]
    fn each_is_told_once_a_day_at_its_hour_whatever_is_restarted() {
        let bench = Bench::new();
        assert_eq!(bench.tell("2026-11-23T16:59"), 0);
        assert_eq!(bench.tell("2026-11-23T17:00"), 1);
        assert_eq!(bench.tell("2026-11-23T17:01"), 0);
        assert_eq!(bench.tell("2026-11-24T17:00"), 0);
        assert_eq!(bench.tell("2026-11-29T23:59"), 1);
        let expect = ["In 7 days: renew the broker's API subscription"];
        assert_eq!(bench.headlines("2026-11-23"), expect);
        let posts = bench.store().outbox_of(day("2026-11-29")).unwrap();
        let notice = &posts[0].notice;
        assert_eq!(notice.headline, "Tomorrow: renew the broker's API subscription");
        assert_eq!(notice.severity, Severity::Warning);
        assert_eq!(notice.fields[0].1, "Mon 2026-11-30");
        assert!(notice.footer.as_ref().unwrap().contains("reminders.broker_renewal"));
        let disk: Vec<DiskDay> = kept(&bench.store(), DISK).unwrap();
        assert_eq!(disk.len(), 3);
    }

    #[test]
    fn what_is_noted_twice_is_said_once() {
        let bench = Bench::new();
        assert_eq!(bench.tell("2026-11-23T17:00"), 1);
        // What was told is forgotten, as by a backup that was put back.
        bench.store().bot_keep(TOLD, &json!({})).unwrap();
        assert_eq!(bench.tell("2026-11-23T17:05"), 0);
        assert_eq!(bench.headlines("2026-11-23").len(), 1);
    }

    #[test]
    fn own_reminders_are_told_until_they_are_removed() {
        let bench = Bench::new();
        let mut book = Notebook::default();
        book.add(day("2026-11-24"), "pay the server", day("2026-11-23")).unwrap();
        bench.store().bot_keep(OWN, &json!(book)).unwrap();
        assert_eq!(bench.tell("2026-11-23T18:00"), 1);
        assert_eq!(bench.tell("2026-11-24T17:00"), 1);
        assert_eq!(bench.tell("2026-11-25T17:00"), 1);
        assert_eq!(bench.headlines("2026-11-24"), ["Today: pay the server"]);
        assert_eq!(bench.headlines("2026-11-25"), ["Yesterday: pay the server"]);
        book.remove(1).unwrap();
        bench.store().bot_keep(OWN, &json!(book)).unwrap();
        assert_eq!(bench.tell("2026-11-26T17:00"), 0);
    }
}
