//! Reminders that people set themselves.

use chrono::{Months, NaiveDate};
use serde::{Deserialize, Serialize};

/// Longest text, in characters.
pub const TEXT_MAX: usize = 200;

/// So many at a time.
const KEPT_MAX: usize = 50;

/// How far ahead, in months.
const MONTHS_MAX: u32 = 120;

/// A reminder that somebody set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Own {
    /// Its number, which no later one has.
    pub number: u32,
    /// By when.
    pub date: NaiveDate,
    /// What.
    pub text: String,
    /// When it was set.
    pub set_on: NaiveDate,
}

/// Why one is not set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The day is over.
    #[error("{date} is over; today is {today}")]
    Past {
        /// The day.
        date: NaiveDate,
        /// Today in India.
        today: NaiveDate,
    },
    /// The day is too far away.
    #[error("{date} is more than ten years away")]
    TooFar {
        /// The day.
        date: NaiveDate,
    },
    /// Nothing is said.
    #[error("it needs a text")]
    NoText,
    /// Too much is said.
    #[error("the text has {found} characters, at most {TEXT_MAX} fit")]
    TooLong {
        /// How many there are.
        found: usize,
    },
    /// There are enough.
    #[error("there are {KEPT_MAX} already; remove one first")]
    TooMany,
}

/// What people have set, by the day they set it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notebook {
    last_number: u32,
    own: Vec<Own>,
}

impl Notebook {
    /// What is in it.
    pub fn own(&self) -> &[Own] {
        &self.own
    }

    /// Writes one down, and answers it.
    ///
    /// # Errors
    /// When day or text will not do, or too many are there.
    pub fn add(&mut self, date: NaiveDate, text: &str, today: NaiveDate) -> Result<&Own, Refused> {
        let characters = text.chars().count();
        if date < today {
            return Err(Refused::Past { date, today });
        }
        if today.checked_add_months(Months::new(MONTHS_MAX)).is_some_and(|last| date > last) {
            return Err(Refused::TooFar { date });
        }
        if text.trim().is_empty() {
            return Err(Refused::NoText);
        }
        if characters > TEXT_MAX {
            return Err(Refused::TooLong { found: characters });
        }
        if self.own.len() >= KEPT_MAX {
            return Err(Refused::TooMany);
        }
        self.last_number = self.last_number.wrapping_add(1);
        let own = Own { number: self.last_number, date, text: text.to_owned(), set_on: today };
        Ok(self.own.push_mut(own))
    }

    /// Takes one out.
    pub fn remove(&mut self, number: u32) -> Option<Own> {
        let index = self.own.iter().position(|own| own.number == number)?;
        Some(self.own.remove(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_not_used_twice() {
        let today = day("2026-11-23");
        let mut book = Notebook::default();
        assert_eq!(book.add(today, "a", today).unwrap().number, 1);
        assert_eq!(book.add(day("2036-11-23"), "b", today).unwrap().number, 2);
        assert_eq!(book.remove(2).unwrap().text, "b");
        assert_eq!(book.remove(2), None);
        assert_eq!(book.add(today, "c", today).unwrap().number, 3);
        let kept = serde_json::to_value(&book).unwrap();
        assert_eq!(serde_json::from_value::<Notebook>(kept).unwrap(), book);
    }

    #[test]
    fn what_will_not_do_is_refused() {
        let today = day("2026-11-23");
        let mut book = Notebook::default();
        let past = Refused::Past { date: day("2026-11-22"), today };
        assert_eq!(book.add(day("2026-11-22"), "a", today), Err(past));
        let far = day("2036-11-24");
        assert_eq!(book.add(far, "a", today), Err(Refused::TooFar { date: far }));
        assert_eq!(book.add(today, " ", today), Err(Refused::NoText));
        assert!(book.add(today, &"é".repeat(200), today).is_ok());
        let long = Refused::TooLong { found: 201 };
        assert_eq!(book.add(today, &"é".repeat(201), today), Err(long));
        for _ in 1..50 {
            book.add(today, "a", today).unwrap();
        }
        assert_eq!(book.add(today, "a", today), Err(Refused::TooMany));
    }
}
