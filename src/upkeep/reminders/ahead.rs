//! What there is to be reminded of. Reads no clock and no file.

use chrono::{Datelike as _, NaiveDate};
use serde_json::{Value, json};

use super::disk::{self, DiskDay};
use super::own::Own;
use crate::config::{ReminderPlan, Renewal};
use crate::market::calendar::{Calendar, Coverage};

/// Days from which on something is near.
const NEAR: i64 = 14;

/// So many days of a year named by hand are taken for the exchanges' list: a
/// year has 13 to 16 holidays on weekdays, and some have fixed dates.
const LIST_MIN: usize = 8;

/// What a reminder is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The end of the TLS certificate.
    Certificate,
    /// The renewal of the dynamic-DNS name.
    Dns,
    /// The broker's API subscription.
    Broker,
    /// The exchanges' list of holidays.
    Holidays,
    /// A disk that fills up.
    Disk,
    /// A person's own, by its number.
    Own(u32),
}

impl Subject {
    /// Its name in JSON and where it is noted: `certificate`, `own.3`.
    pub fn key(self) -> String {
        match self {
            Subject::Certificate => "certificate".into(),
            Subject::Dns => "dns".into(),
            Subject::Broker => "broker".into(),
            Subject::Holidays => "holidays".into(),
            Subject::Disk => "disk".into(),
            Subject::Own(number) => format!("own.{number}"),
        }
    }
}

/// How soon something must be seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// There is time.
    Ahead,
    /// Within two weeks.
    Near,
    /// Today, or over already.
    Now,
}

impl Nearness {
    /// `ahead`, `near`, `now`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Nearness::Ahead => "ahead",
            Nearness::Near => "near",
            Nearness::Now => "now",
        }
    }

    /// A mark for people.
    pub const fn sign(self) -> &'static str {
        match self {
            Nearness::Ahead => "🟢",
            Nearness::Near => "🟡",
            Nearness::Now => "🔴",
        }
    }
}

/// Something to see to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reminder {
    /// What it is about.
    pub subject: Subject,
    /// By when; today for what must be seen to at once.
    pub date: NaiveDate,
    /// What it is, without a full stop.
    pub text: String,
    /// What to do.
    pub advice: String,
    /// Before which day nobody need hear of it.
    pub quiet_until: Option<NaiveDate>,
}

impl Reminder {
    /// Days until then; below zero when it is over.
    pub fn days_left(&self, today: NaiveDate) -> i64 {
        (self.date - today).num_days()
    }

    /// How soon it must be seen to.
    pub fn nearness(&self, today: NaiveDate) -> Nearness {
        match self.days_left(today) {
            ..=0 => Nearness::Now,
            1..=NEAR => Nearness::Near,
            _ => Nearness::Ahead,
        }
    }

    /// `in 12 days`, `tomorrow`, `today`, `3 days ago`.
    pub fn when(&self, today: NaiveDate) -> String {
        match self.days_left(today) {
            -1 => "yesterday".into(),
            0 => "today".into(),
            1 => "tomorrow".into(),
            left @ 2.. => format!("in {left} days"),
            left => format!("{} days ago", -left),
        }
    }
}

/// What reminders follow from.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The date in India.
    pub today: NaiveDate,
    /// The `reminders` section.
    pub plan: &'a ReminderPlan,
    /// The trading calendar.
    pub calendar: &'a Calendar,
    /// The day on which the certificate ends, or why that is not known;
    /// `None` when none is named.
    pub certificate: Option<Result<NaiveDate, String>>,
    /// Room on the disks, oldest first.
    pub disk: &'a [DiskDay],
    /// People's own reminders.
    pub own: &'a [Own],
}

/// What is ahead, nearest first.
pub fn ahead(facts: &Facts<'_>) -> Vec<Reminder> {
    let mut found = Vec::new();
    found.extend(certificate(facts));
    found.extend(facts.plan.dns.map(|renewal| {
        let what = "renew the dynamic-DNS name";
        renewed(facts.today, Subject::Dns, renewal, what, "Renew it with its provider.")
    }));
    found.extend(facts.plan.broker.map(|renewal| {
        let what = "renew the broker's API subscription";
        let advice = "Renew it at developers.kite.trade.";
        renewed(facts.today, Subject::Broker, renewal, what, advice)
    }));
    found.extend(holidays(facts));
    found.extend(full_disk(facts));
    found.extend(facts.own.iter().map(|own| Reminder {
        subject: Subject::Own(own.number),
        date: own.date,
        text: own.text.clone(),
        advice: format!("/setreminder {} off removes it.", own.number),
        // One for the day on which it was set is told all the same.
        quiet_until: own.set_on.succ_opt().filter(|_| own.date > own.set_on),
    }));
    found.sort_by_key(|reminder| (reminder.date, reminder.subject));
    found
}

fn certificate(facts: &Facts<'_>) -> Option<Reminder> {
    let (date, text, advice) = match facts.certificate.as_ref()? {
        Ok(date) => {
            let advice = "Renew it (certbot renew), reload nginx, and copy it to where \
                          reminders.certificate looks.";
            (*date, "the TLS certificate ends".to_string(), advice)
        }
        Err(why) => {
            let advice = "See that reminders.certificate names a certificate in PEM form, and \
                          that the user of the services may read it: a copy beside the \
                          configuration does.";
            (facts.today, format!("the end of the TLS certificate is not known: {why}"), advice)
        }
    };
    let advice = advice.to_string();
    Some(Reminder { subject: Subject::Certificate, date, text, advice, quiet_until: None })
}

fn renewed(
    today: NaiveDate,
    subject: Subject,
    renewal: Renewal,
    what: &str,
    advice: &str,
) -> Reminder {
    let advice = match renewal.every_days {
        Some(_) => advice.to_string(),
        None => format!("{advice} Then set reminders.{}_renewal.", subject.key()),
    };
    let text = match renewal.every_days {
        Some(days) => format!("{what} (every {days} days)"),
        None => what.to_string(),
    };
    Reminder { subject, date: renewal.next(today), text, advice, quiet_until: None }
}

/// The list of the year ahead must be there before that year is.
fn holidays(facts: &Facts<'_>) -> Option<Reminder> {
    let is_known = |year: i32| {
        let first = NaiveDate::from_ymd_opt(year, 1, 1);
        let complete =
            first.is_some_and(|first| facts.calendar.coverage(first) == Coverage::Complete);
        let named = facts.plan.holidays.iter().filter(|date| date.year() == year).count();
        complete || named >= LIST_MIN
    };
    let this_year = facts.today.year();
    let missing = (this_year..=this_year + 1).find(|year| !is_known(*year))?;
    Some(Reminder {
        subject: Subject::Holidays,
        date: NaiveDate::from_ymd_opt(missing, 1, 1)?.pred_opt()?,
        text: format!("the exchanges' list of holidays of {missing} is missing"),
        advice: format!(
            "Install a version that knows {missing}, or name its days in market.extra_holidays."
        ),
        quiet_until: None,
    })
}

fn full_disk(facts: &Facts<'_>) -> Option<Reminder> {
    let outlook = disk::outlook(facts.disk, facts.today)?;
    let (folder, size) = (outlook.folder, crate::upkeep::size_text(outlook.bytes_a_day));
    Some(Reminder {
        subject: Subject::Disk,
        date: facts.today.checked_add_signed(chrono::TimeDelta::days(outlook.days_left))?,
        text: format!("the disk of the {folder} folder is full at the present rate, {size} a day"),
        advice: "See what grows: /health, pivotctl logs stats, old backups.".into(),
        quiet_until: None,
    })
}

/// Reminders as JSON.
pub fn report_json(reminders: &[Reminder], today: NaiveDate) -> Value {
    let one = |reminder: &Reminder| {
        json!({
            "subject": reminder.subject.key(),
            "date": reminder.date,
            "days_left": reminder.days_left(today),
            "state": reminder.nearness(today).as_str(),
            "text": reminder.text,
            "advice": reminder.advice,
        })
    };
    Value::Array(reminders.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn of(
        today: &str,
        config: &Config,
        certificate: Option<Result<&str, &str>>,
        own: &[Own],
    ) -> Vec<Reminder> {
        ahead(&Facts {
            today: day(today),
            plan: &config.reminder_plan().unwrap(),
            calendar: &config.calendar(),
            certificate: certificate.map(|end| end.map(day).map_err(str::to_string)),
            disk: &[],
            own,
        })
    }

    fn dates(reminders: &[Reminder]) -> Vec<(String, String)> {
        reminders.iter().map(|found| (found.subject.key(), found.date.to_string())).collect()
    }

    #[test]
    fn what_is_nearest_comes_first() {
        let mut config = Config::default();
        config.reminders.dns_renewal = "2026-12-20".into();
        config.reminders.broker_renewal = "2026-11-10".into();
        config.reminders.broker_every_days = 30;
        let own = Own {
            number: 3,
            date: day("2026-12-01"),
            text: "pay the server".into(),
            set_on: day("2026-11-20"),
        };
        let found = of("2026-11-23", &config, Some(Ok("2026-11-22")), &[own]);
        let expect = [
            ("certificate", "2026-11-22"),
            ("own.3", "2026-12-01"),
            ("broker", "2026-12-10"),
            ("dns", "2026-12-20"),
            ("holidays", "2026-12-31"),
        ];
        let expect = expect.map(|(key, date)| (key.to_string(), date.to_string()));
        assert_eq!(dates(&found), expect);
        let today = day("2026-11-23");
        let near: Vec<Nearness> = found.iter().map(|found| found.nearness(today)).collect();
        use Nearness::{Ahead, Near, Now};
        assert_eq!(near, [Now, Near, Ahead, Ahead, Ahead]);
        let when: Vec<String> = found.iter().map(|found| found.when(today)).collect();
        assert_eq!(when[..2], ["yesterday", "in 8 days"]);
        assert_eq!(found[1].advice, "/setreminder 3 off removes it.");
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_to_be_seen_to_today() {
        let unread = Some(Err("tls.pem: permission denied"));
        let found = of("2026-11-23", &Config::default(), unread, &[]);
        assert_eq!(found[0].date, day("2026-11-23"));
        assert!(found[0].text.ends_with("tls.pem: permission denied"), "{}", found[0].text);
        assert!(found[0].advice.contains("may read it"), "{}", found[0].advice);
    }

    #[test]
    fn the_list_of_holidays_is_due_before_its_year() {
        let mut config = Config::default();
        let of_year = |today: &str, config: &Config| {
            let found = of(today, config, None, &[]);
            found.first().map(|found| (found.date.to_string(), found.text.clone()))
        };
        // The built-in calendar knows 2026 and not 2027.
        assert_eq!(of_year("2025-06-01", &config), None);
        let missing = "the exchanges' list of holidays of 2027 is missing".to_string();
        let end = Some(("2026-12-31".to_string(), missing));
        assert_eq!(of_year("2026-06-01", &config), end);
        assert_eq!(of_year("2027-01-10", &config), end);
        config.market.extra_holidays = (1..=8).map(|day| format!("2027-03-{day:02}")).collect();
        assert_eq!(of_year("2026-06-01", &config), None);
    }

    #[test]
    fn json_tells_the_days_left() {
        let found = of("2026-12-30", &Config::default(), None, &[]);
        let shown = report_json(&found, day("2026-12-30"));
        assert_eq!(shown[0]["subject"], "holidays");
        assert_eq!(shown[0]["days_left"], 1);
        assert_eq!(shown[0]["state"], "near");
    }
}
