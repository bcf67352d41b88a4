//! Lines a minute against their own usual number.
//!
//! The usual number is an exponentially weighted mean, its spread the mean
//! distance from it. Minutes that stand out are taken in only as far as they
//! do not, so that an outbreak does not become the usual thing at once.

use chrono::TimeDelta;

use crate::market::Timestamp;

/// Weight of the newest minute.
const WEIGHT: f64 = 0.1;

/// How many spreads above the mean stand out. The mean distance of a normal
/// spread is four fifths of its standard deviation.
const SPREADS: f64 = 5.0;

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// A counter that grows, looked at again and again.
#[derive(Debug, Clone, Default)]
pub(super) struct Rate {
    /// The process that counts, by its start, and its count.
    last: Option<(Timestamp, u64)>,
    minute: Option<Timestamp>,
    current: u64,
    complete: u64,
    mean: f64,
    spread: f64,
}

impl Rate {
    /// Takes the count of a process that started at `started`.
    pub(super) fn take(&mut self, started: Timestamp, count: u64, now: Timestamp, floor: u64) {
        let begun = *self.minute.get_or_insert(now);
        if now - begun >= MINUTE || now < begun {
            self.finish(floor);
            self.minute = Some(now);
        }
        let news = match self.last {
            // What was counted before anybody looked is nobody's minute.
            None => 0,
            Some((process, last)) if process == started => count.saturating_sub(last),
            Some(_) => count,
        };
        self.last = Some((started, count));
        self.current = self.current.saturating_add(news);
    }

    fn finish(&mut self, floor: u64) {
        let usual = self.current.min(self.limit(floor)) as f64;
        self.spread += WEIGHT * ((usual - self.mean).abs() - self.spread);
        self.mean += WEIGHT * (usual - self.mean);
        self.complete = std::mem::take(&mut self.current);
    }

    /// Lines of the last whole minute, or of this one when they are more.
    pub(super) fn per_minute(&self) -> u64 {
        self.current.max(self.complete)
    }

    /// Below so many lines a minute it is as usual again: half way from the
    /// usual number to the one that stands out.
    pub(super) fn calm(&self, floor: u64) -> f64 {
        let limit = self.limit(floor) as f64;
        self.mean.min(limit).midpoint(limit)
    }

    /// The least number of lines a minute that stands out; never below
    /// `floor`.
    pub(super) fn limit(&self, floor: u64) -> u64 {
        // A cast from a float stays within the bounds of the number.
        ((self.mean + SPREADS * self.spread).ceil() as u64).max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOOR: u64 = 10;

    fn at(minute: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_795_400_000 + 60 * minute, 0).unwrap()
    }

    /// Feeds lines of minutes; answers with the minutes that stood out.
    fn outstanding(lines: &[u64]) -> Vec<usize> {
        let mut rate = Rate::default();
        let mut count = 0;
        rate.take(at(0), count, at(0), FLOOR);
        let mut found = Vec::new();
        for (minute, lines) in lines.iter().enumerate() {
            count += lines;
            // Half a minute later, so that the minute is the one meant.
            let now = at(i64::try_from(minute).unwrap()) + TimeDelta::seconds(30);
            rate.take(at(0), count, now, FLOOR);
            if rate.current >= rate.limit(FLOOR) {
                found.push(minute);
            }
        }
        found
    }

    #[test]
    fn few_lines_never_stand_out() {
        let lines: Vec<u64> = (0..200).map(|minute| minute % 10).collect();
        assert_eq!(outstanding(&lines), Vec::<usize>::new());
    }

    #[test]
    fn what_is_usual_does_not_stand_out_and_what_is_far_above_does() {
        let mut lines: Vec<u64> = (0..300).map(|minute| 40 + minute * 7 % 11).collect();
        let settled: Vec<usize> =
            outstanding(&lines).into_iter().filter(|minute| *minute > 40).collect();
        assert_eq!(settled, Vec::<usize>::new());
        lines[250] = 400;
        let settled: Vec<usize> =
            outstanding(&lines).into_iter().filter(|minute| *minute > 40).collect();
        assert_eq!(settled, [250]);
    }

    #[test]
    fn a_new_process_begins_anew_and_the_first_look_counts_nothing() {
        let mut rate = Rate::default();
        rate.take(at(0), 5_000, at(1), FLOOR);
        assert_eq!(rate.per_minute(), 0);
        rate.take(at(0), 5_003, at(1), FLOOR);
        assert_eq!(rate.per_minute(), 3);
        rate.take(at(9), 20, at(1), FLOOR);
        assert_eq!(rate.per_minute(), 23);
        rate.take(at(9), 20, at(2), FLOOR);
        assert_eq!((rate.per_minute(), rate.current), (23, 0));
        rate.take(at(9), 20, at(3), FLOOR);
        assert_eq!(rate.per_minute(), 0);
    }
}
