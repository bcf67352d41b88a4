//! Builds the candles that the strategy is shown, instrument by instrument,
//! and hands each out once.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use crate::engine::DayPlan;
use crate::engine::event::Event;
use crate::market::candle::{CandleBuilder, ClosedCandle};
use crate::market::{Candle, InstrumentKey, Quote, Timestamp};

/// The candles under construction.
#[derive(Debug)]
pub(crate) struct Desk {
    open: Timestamp,
    width: TimeDelta,
    books: BTreeMap<InstrumentKey, Book>,
    up: bool,
}

#[derive(Debug)]
struct Book {
    builder: CandleBuilder,
    last_start: Option<Timestamp>,
}

impl Desk {
    pub(crate) fn new(plan: &DayPlan, grace_ms: u64) -> Desk {
        let grace = TimeDelta::milliseconds(i64::try_from(grace_ms).unwrap_or(i64::MAX / 4));
        let book = || Book {
            builder: CandleBuilder::new(plan.open, plan.close, plan.candle_s).with_grace(grace),
            last_start: None,
        };
        let keys = plan.histories.iter().map(|history| history.instrument.clone());
        Desk {
            open: plan.open,
            width: TimeDelta::seconds(i64::from(plan.candle_s.max(1))),
            books: keys.map(|key| (key, book())).collect(),
            up: false,
        }
    }

    /// The feed came up or went down.
    pub(crate) fn feed(&mut self, up: bool, at: Timestamp) {
        if up && !self.up {
            for book in self.books.values_mut() {
                book.builder.watch_from(at);
            }
        }
        self.up = up;
    }

    /// Takes a price; returns the candle that it completes.
    pub(crate) fn take(&mut self, quote: &Quote) -> Option<Event> {
        let closed = self.books.get_mut(&quote.instrument)?.builder.push_quote(quote)?;
        self.hand_out(&quote.instrument, closed)
    }

    /// The candles whose end and grace have passed.
    pub(crate) fn close_due(&mut self, now: Timestamp) -> Vec<Event> {
        let due: Vec<(InstrumentKey, ClosedCandle)> = self
            .books
            .iter_mut()
            .filter_map(|(key, book)| Some((key.clone(), book.builder.close_due(now)?)))
            .collect();
        due.into_iter().filter_map(|(key, closed)| self.hand_out(&key, closed)).collect()
    }

    /// When [`Desk::close_due`] has something to do next.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.books.values().filter_map(|book| book.builder.next_deadline()).min()
    }

    /// Takes complete candles of today from history, oldest first. Returns
    /// those that were not handed out yet.
    pub(crate) fn backfill(&mut self, key: &InstrumentKey, candles: &[Candle]) -> Vec<Event> {
        let Some(book) = self.books.get_mut(key) else { return Vec::new() };
        let mut events = Vec::new();
        for candle in candles {
            if book.last_start.is_none_or(|last| candle.start > last) {
                book.last_start = Some(candle.start);
                book.builder.close_through(candle.start);
                let instrument = key.clone();
                events.push(Event::Candle { instrument, candle: *candle, sound: true });
            }
        }
        events
    }

    /// Takes over what an earlier preparation of the same day has handed out.
    pub(crate) fn carry_over(&mut self, old: &Desk) {
        if old.open != self.open {
            return;
        }
        for (key, book) in &old.books {
            if let Some(start) = book.last_start {
                self.replayed(key, start);
            }
        }
    }

    /// Marks candles as handed out, as a replayed journal shows them.
    pub(crate) fn replayed(&mut self, key: &InstrumentKey, start: Timestamp) {
        if let Some(book) = self.books.get_mut(key) {
            book.last_start = book.last_start.max(Some(start));
            book.builder.close_through(start);
        }
    }

    /// The deciding instruments with the end of the last candle handed out.
    pub(crate) fn handed_out(&self) -> Vec<(InstrumentKey, Timestamp)> {
        let until = |book: &Book| book.last_start.map_or(self.open, |start| start + self.width);
        self.books.iter().map(|(key, book)| (key.clone(), until(book))).collect()
    }

    fn hand_out(&mut self, key: &InstrumentKey, closed: ClosedCandle) -> Option<Event> {
        let book = self.books.get_mut(key)?;
        if book.last_start.is_some_and(|last| closed.candle.start <= last) {
            return None;
        }
        book.last_start = Some(closed.candle.start);
        let sound = closed.sound && self.up;
        Some(Event::Candle { instrument: key.clone(), candle: closed.candle, sound })
    }
}
