//! What is to be renewed outside of this system, and when people hear of it.

use std::path::PathBuf;

use chrono::{NaiveDate, NaiveTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::amount::Checks;
use super::{Config, ConfigError};
use crate::engine::strategy::parameters::time_of_day;

/// Longest period of a renewal, in days.
const DAYS_MAX: u32 = 3650;

/// Reminders of what is to be renewed.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RemindersConfig {
    /// When the owner is told of what is near, IST, on every day of the week.
    pub time: String,
    /// The TLS certificate of the web server, a PEM file; empty: none.
    pub certificate: String,
    /// Day by which the dynamic-DNS name is renewed, `YYYY-MM-DD`; empty:
    /// none.
    pub dns_renewal: String,
    /// Days from one such renewal to the next; 0: once.
    pub dns_every_days: u32,
    /// Day by which the broker's API subscription is renewed, `YYYY-MM-DD`;
    /// empty: none.
    pub broker_renewal: String,
    /// Days from one such renewal to the next; 0: once.
    pub broker_every_days: u32,
}

impl Default for RemindersConfig {
    fn default() -> RemindersConfig {
        RemindersConfig {
            time: "17:00".into(),
            certificate: String::new(),
            dns_renewal: String::new(),
            dns_every_days: 0,
            broker_renewal: String::new(),
            broker_every_days: 0,
        }
    }
}

/// Something that is renewed on a day, once or again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal {
    /// The day by which it is renewed.
    pub date: NaiveDate,
    /// Days to the next one.
    pub every_days: Option<u32>,
}

impl Renewal {
    /// The day by which it is next renewed: with a period the first one that
    /// is not over, without one the day itself, even when that is over.
    pub fn next(&self, today: NaiveDate) -> NaiveDate {
        let late = (today - self.date).num_days();
        match self.every_days {
            Some(every) if every > 0 && late > 0 => {
                let periods = (late + i64::from(every) - 1) / i64::from(every);
                let days = periods * i64::from(every);
                self.date.checked_add_signed(chrono::TimeDelta::days(days)).unwrap_or(self.date)
            }
            Some(_) | None => self.date,
        }
    }
}

/// What the `reminders` section comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReminderPlan {
    /// When the owner is told, IST.
    pub time: NaiveTime,
    /// The TLS certificate.
    pub certificate: Option<PathBuf>,
    /// The dynamic-DNS name.
    pub dns: Option<Renewal>,
    /// The broker's API subscription.
    pub broker: Option<Renewal>,
    /// Days named in `market.extra_holidays`.
    pub holidays: Vec<NaiveDate>,
}

impl Config {
    /// What the `reminders` section comes to.
    ///
    /// # Errors
    /// Every key of it whose value cannot be used.
    pub fn reminder_plan(&self) -> Result<ReminderPlan, ConfigError> {
        let mut checks = Checks::default();
        let plan = self.reminders(&mut checks);
        if checks.problems.is_empty() {
            Ok(plan)
        } else {
            Err(ConfigError::Invalid { problems: checks.problems })
        }
    }

    pub(super) fn reminders(&self, checks: &mut Checks) -> ReminderPlan {
        let section = &self.reminders;
        let time = time_of_day(&section.time);
        let message = format!("expected a time such as 17:00, was {:?}", section.time);
        checks.need(time.is_some(), "reminders.time", message);
        let mut renewal = |name: &str, date: &str, every_days: u32| {
            let key = format!("reminders.{name}_every_days");
            checks.count(&key, every_days, 0, DAYS_MAX);
            if date.is_empty() {
                let message = format!("needs reminders.{name}_renewal, the first day");
                checks.need(every_days == 0, &key, message);
                return None;
            }
            let parsed = NaiveDate::parse_from_str(date, "%Y-%m-%d");
            let message = format!("expected a date such as 2026-12-31, was {date:?}");
            checks.need(parsed.is_ok(), &format!("reminders.{name}_renewal"), message);
            let every_days = Some(every_days).filter(|days| *days > 0);
            parsed.ok().map(|date| Renewal { date, every_days })
        };
        let dns = renewal("dns", &section.dns_renewal, section.dns_every_days);
        let broker = renewal("broker", &section.broker_renewal, section.broker_every_days);
        let holidays = self.market.extra_holidays.iter().filter_map(|date| date.parse().ok());
        ReminderPlan {
            time: time.unwrap_or(NaiveTime::MIN),
            certificate: Some(&section.certificate)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            dns,
            broker,
            holidays: holidays.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_period_leads_to_the_next_renewal() {
        let monthly = Renewal { date: day("2026-11-01"), every_days: Some(30) };
        let check = |today: &str, expect: &str| {
            assert_eq!(monthly.next(day(today)), day(expect), "{today}");
        };
        check("2026-10-01", "2026-11-01");
        check("2026-11-01", "2026-11-01");
        check("2026-11-02", "2026-12-01");
        check("2026-12-01", "2026-12-01");
        check("2027-01-01", "2027-01-30");
        let once = Renewal { date: day("2026-11-01"), every_days: None };
        assert_eq!(once.next(day("2026-11-05")), day("2026-11-01"));
    }

    #[test]
    fn what_cannot_be_is_told_key_by_key() {
        let mut config = Config::default();
        assert!(config.reminder_plan().is_ok());
        config.reminders.time = "soon".into();
        config.reminders.dns_renewal = "31.12.2026".into();
        config.reminders.broker_every_days = 30;
        let error = config.reminder_plan().unwrap_err().to_string();
        for key in ["reminders.time", "reminders.dns_renewal", "reminders.broker_every_days: needs"]
        {
            assert!(error.contains(key), "{key}: {error}");
        }
    }
}
