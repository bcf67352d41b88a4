//! Candles: open, high, low, close of a span of exchange time.

use chrono::TimeDelta;

use super::money::{Price, Quantity};
use super::quote::Quote;
use super::time::Timestamp;

/// Prices of one span. The start names it; the span is `[start, start + width)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candle {
    /// First instant of the span.
    pub start: Timestamp,
    /// First price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Last price.
    pub close: Price,
    /// Units traded; zero for an index.
    pub volume: Quantity,
}

/// Highest, lowest and closing price of a session, with its open: the input
/// of pivot levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayCandle {
    /// The session's date.
    pub date: chrono::NaiveDate,
    /// Opening price.
    pub open: Price,
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
    /// Official closing price.
    pub close: Price,
}

/// A candle that will not change any more, with what is known of its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedCandle {
    /// The candle.
    pub candle: Candle,
    /// Quotes that it was made of.
    pub ticks: u32,
    /// Spans right before it that had no quote at all, back to the last
    /// candle or the opening.
    pub absent_before: u32,
    /// True when nothing suggests that prices are missing: the feed was
    /// watched from the start of the span without a gap, enough quotes came,
    /// in order, and no span right before it is absent.
    pub sound: bool,
}

/// Fewest quotes that make a candle sound.
const TICKS_MIN: u32 = 3;
/// How long after the end of a span a quote that belongs to it is waited
/// for, by the wall clock, unless told otherwise.
const GRACE: TimeDelta = TimeDelta::seconds(2);

/// Builds candles from quotes by the exchange's time, on a grid anchored at
/// the session's opening. A closed candle is never rewritten; a span without
/// quotes has no candle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandleBuilder {
    open: Timestamp,
    close: Timestamp,
    width_s: i64,
    grace: TimeDelta,
    /// Spans before this one are closed.
    next: i64,
    /// The span after the last candle, to count absent ones.
    expected: i64,
    forming: Option<Forming>,
    /// From when on the feed is watched without a gap.
    watched_from: Option<Timestamp>,
    /// Units traded today up to the last quote.
    volume_seen: Option<Quantity>,
    late_ticks: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Forming {
    index: i64,
    candle: Candle,
    latest: Timestamp,
    ticks: u32,
    in_order: bool,
}

impl CandleBuilder {
    /// Builds candles of `width_s` seconds for the session from `open` to
    /// `close`. A width of zero counts as one second.
    pub fn new(open: Timestamp, close: Timestamp, width_s: u32) -> CandleBuilder {
        CandleBuilder {
            open,
            close,
            width_s: i64::from(width_s.max(1)),
            grace: GRACE,
            next: 0,
            expected: 0,
            forming: None,
            watched_from: None,
            volume_seen: None,
            late_ticks: 0,
        }
    }

    /// Waits this long after the end of a span for quotes that belong to it.
    #[must_use]
    pub fn with_grace(mut self, grace: TimeDelta) -> CandleBuilder {
        self.grace = grace;
        self
    }

    /// Takes the candle that starts at `start`, and all before it, as closed:
    /// history or a journal has shown them.
    pub fn close_through(&mut self, start: Timestamp) {
        let index = self.index_of(start) + 1;
        self.next = self.next.max(index);
        self.expected = self.expected.max(index);
        if self.forming.is_some_and(|forming| forming.index < index) {
            self.forming = None;
        }
    }

    /// Tells that the feed is watched without a gap from `at` on: after
    /// subscribing, and after every reconnection. Candles of spans that began
    /// earlier are not sound.
    pub fn watch_from(&mut self, at: Timestamp) {
        self.watched_from = Some(at);
    }

    /// Takes a quote: a last price and the units traded today, at a time of
    /// the exchange. Returns the candle that it closes, if it is the first of
    /// a later span. Quotes outside the session and quotes of closed spans
    /// change nothing.
    pub fn push(
        &mut self,
        at: Timestamp,
        last: Price,
        volume_today: Quantity,
    ) -> Option<ClosedCandle> {
        self.watched_from.get_or_insert(at);
        if at < self.open || at >= self.close {
            self.volume_seen = Some(volume_today);
            return None;
        }
        let index = (at - self.open).num_seconds().div_euclid(self.width_s);
        if index < self.next {
            self.late_ticks += 1;
            return None;
        }
        let closed = match self.forming {
            Some(forming) if forming.index < index => self.finish(),
            Some(_) | None => None,
        };
        self.next = index;
        let traded = volume_today - self.volume_seen.unwrap_or(volume_today);
        self.volume_seen = Some(volume_today);
        let forming = self.forming.get_or_insert_with(|| Forming {
            index,
            candle: Candle {
                start: self.open + TimeDelta::seconds(index * self.width_s),
                open: last,
                high: last,
                low: last,
                close: last,
                volume: 0,
            },
            latest: at,
            ticks: 0,
            in_order: true,
        });
        forming.add(at, last, traded.max(0));
        closed
    }

    /// [`CandleBuilder::push`] of a quote's last price.
    pub fn push_quote(&mut self, quote: &Quote) -> Option<ClosedCandle> {
        self.push(quote.at, quote.last, quote.volume)
    }

    /// Closes the forming candle when the wall clock is past its span and the
    /// grace, or past the session.
    pub fn close_due(&mut self, now: Timestamp) -> Option<ClosedCandle> {
        let due = self.next_deadline()?;
        if now < due {
            return None;
        }
        let closed = self.finish();
        if let Some(closed) = &closed {
            self.next = self.index_of(closed.candle.start) + 1;
        }
        closed
    }

    /// When [`CandleBuilder::close_due`] will close the forming candle.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let forming = self.forming?;
        let end = forming.candle.start + TimeDelta::seconds(self.width_s);
        Some(end.min(self.close) + self.grace)
    }

    /// The candle that is still changing.
    pub fn forming(&self) -> Option<Candle> {
        self.forming.map(|forming| forming.candle)
    }

    /// Quotes that came after their span was closed.
    pub const fn late_ticks(&self) -> u64 {
        self.late_ticks
    }

    fn index_of(&self, at: Timestamp) -> i64 {
        (at - self.open).num_seconds().div_euclid(self.width_s)
    }

    fn finish(&mut self) -> Option<ClosedCandle> {
        let Forming { index, candle, ticks, in_order, .. } = self.forming.take()?;
        let absent = index - self.expected;
        self.expected = index + 1;
        let watched = self.watched_from.is_some_and(|from| from <= candle.start + GRACE);
        Some(ClosedCandle {
            candle,
            ticks,
            absent_before: u32::try_from(absent).unwrap_or(0),
            sound: watched && in_order && ticks >= TICKS_MIN && absent == 0,
        })
    }
}

impl Forming {
    fn add(&mut self, at: Timestamp, last: Price, traded: Quantity) {
        self.ticks += 1;
        self.candle.high = self.candle.high.max(last);
        self.candle.low = self.candle.low.min(last);
        self.candle.volume += traded;
        if at < self.latest {
            self.in_order = false;
        } else {
            self.latest = at;
            self.candle.close = last;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::time::{from_ist, hms};
    use chrono::NaiveDate;

    fn at(hour: u32, minute: u32, second: u32) -> Timestamp {
        let date = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a date");
        from_ist(date, hms(hour, minute, second))
    }

    fn builder() -> CandleBuilder {
        let mut builder = CandleBuilder::new(at(9, 15, 0), at(15, 15, 0), 180);
        builder.watch_from(at(9, 0, 0));
        builder
    }

    fn price(rupees: i64) -> Price {
        Price::from_rupees(rupees)
    }

    /// Pushes prices at seconds after 09:15; returns what closed.
    fn feed(builder: &mut CandleBuilder, quotes: &[(i64, i64)]) -> Vec<ClosedCandle> {
        let push = |(second, rupees): &(i64, i64)| {
            builder.push(at(9, 15, 0) + TimeDelta::seconds(*second), price(*rupees), 0)
        };
        quotes.iter().filter_map(push).collect()
    }

    #[test]
    fn the_first_quote_of_the_next_span_closes_a_candle() {
        let mut builder = builder();
        let closed = feed(&mut builder, &[(0, 100), (60, 108), (179, 97), (179, 99), (180, 101)]);
        let candle = Candle {
            start: at(9, 15, 0),
            open: price(100),
            high: price(108),
            low: price(97),
            close: price(99),
            volume: 0,
        };
        assert_eq!(closed, [ClosedCandle { candle, ticks: 4, absent_before: 0, sound: true }]);
        assert_eq!(builder.forming().map(|candle| candle.start), Some(at(9, 18, 0)));
    }

    #[test]
    fn the_wall_clock_closes_a_candle_once() {
        let mut builder = builder();
        feed(&mut builder, &[(0, 100), (1, 100), (2, 100)]);
        assert_eq!(builder.next_deadline(), Some(at(9, 18, 2)));
        assert_eq!(builder.close_due(at(9, 18, 1)), None);
        assert!(builder.close_due(at(9, 18, 2)).is_some_and(|closed| closed.sound));
        assert_eq!(builder.close_due(at(9, 18, 3)), None);
        // A late quote of the closed span changes nothing.
        assert_eq!(feed(&mut builder, &[(179, 500)]), []);
        assert_eq!((builder.late_ticks(), builder.forming()), (1, None));
        assert_eq!(feed(&mut builder, &[(181, 101), (200, 101), (300, 102), (360, 103)]).len(), 1);
    }

    #[test]
    fn spans_without_quotes_have_no_candle_and_taint_the_next() {
        let mut builder = builder();
        let quotes = [(0, 100), (1, 100), (2, 100), (540, 101), (541, 101), (542, 101), (720, 102)];
        let closed = feed(&mut builder, &quotes);
        let seen: Vec<_> =
            closed.iter().map(|c| (c.candle.start, c.absent_before, c.sound)).collect();
        assert_eq!(seen, [(at(9, 15, 0), 0, true), (at(9, 24, 0), 2, false)]);
    }

    #[test]
    fn candles_that_may_lack_prices_are_not_sound() {
        let sound = |quotes: &[(i64, i64)]| feed(&mut builder(), quotes)[0].sound;
        assert!(sound(&[(1, 100), (2, 100), (3, 100), (180, 100)]));
        assert!(!sound(&[(1, 100), (2, 100), (180, 100)]), "too few");
        assert!(!sound(&[(1, 100), (9, 100), (8, 100), (180, 100)]), "out of order");

        let mut joined = CandleBuilder::new(at(9, 15, 0), at(15, 15, 0), 180);
        let quotes = [(60, 100), (61, 100), (62, 100), (180, 100), (181, 100), (182, 100)];
        assert!(!feed(&mut joined, &quotes)[0].sound, "joined in the middle");
        joined.watch_from(at(9, 19, 0));
        assert!(!feed(&mut joined, &[(360, 100)])[0].sound, "reconnected in the middle");
        assert!(feed(&mut joined, &[(361, 1), (362, 1), (540, 1)])[0].sound);
    }

    #[test]
    fn only_the_session_counts_and_volume_is_a_difference() {
        let mut builder = builder();
        assert_eq!(builder.push(at(9, 7, 0), price(90), 700), None);
        builder.push(at(9, 15, 0), price(100), 1_000);
        builder.push(at(9, 15, 5), price(100), 1_300);
        builder.push(at(9, 15, 9), price(100), 1_200);
        let closed = builder.push(at(15, 14, 59), price(101), 9_000).expect("closed");
        assert_eq!((closed.candle.low, closed.candle.volume), (price(100), 600));
        assert_eq!(builder.push(at(15, 15, 0), price(500), 9_900), None);
        assert_eq!(builder.next_deadline(), Some(at(15, 15, 2)));
        let last = builder.close_due(at(15, 15, 2)).expect("closed");
        assert_eq!((last.candle.start, last.candle.high), (at(15, 12, 0), price(101)));
    }

    proptest::proptest! {
        #[test]
        fn every_quote_lies_inside_its_candle(
            quotes in proptest::collection::vec((0_i64..3_000, 1_i64..1_000), 1..200),
        ) {
            let mut builder = builder();
            let mut closed = feed(&mut builder, &quotes);
            closed.extend(builder.close_due(at(15, 15, 2)));
            let starts: Vec<_> = closed.iter().map(|c| c.candle.start).collect();
            proptest::prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1]));
            let ticks: u64 = closed.iter().map(|c| u64::from(c.ticks)).sum();
            proptest::prop_assert_eq!(ticks + builder.late_ticks(), quotes.len() as u64);
            for ClosedCandle { candle: c, .. } in closed {
                proptest::prop_assert!(c.low <= c.open.min(c.close) && c.open.max(c.close) <= c.high);
                let since_open = (c.start - at(9, 15, 0)).num_seconds();
                proptest::prop_assert_eq!(since_open % 180, 0);
            }
        }
    }
}
