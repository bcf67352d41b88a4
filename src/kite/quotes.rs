//! From packets of the feed to quotes.

use std::collections::{BTreeMap, VecDeque};

use chrono::{DateTime, TimeDelta};

use super::ticker::frame::{RawLevel, RawTick, TickKind};
use crate::market::{BookLevel, InstrumentKey, Price, Quote, Timestamp};

/// Span of the reference price.
const REFERENCE_SPAN: TimeDelta = TimeDelta::seconds(30);

/// Prices kept for one reference: the feed brings about four a second.
const REFERENCE_MAX: usize = 512;

/// Knows which instrument a token stands for today, and what is needed from
/// earlier packets to make a quote of the next.
#[derive(Debug, Default)]
pub struct QuoteBook {
    instruments: BTreeMap<u32, Entry>,
}

#[derive(Debug)]
struct Entry {
    key: InstrumentKey,
    recent: VecDeque<(Timestamp, i64)>,
    /// Sum of the prices in `recent`, in paise.
    sum: i64,
}

impl QuoteBook {
    /// A book that knows no instrument.
    pub fn new() -> QuoteBook {
        QuoteBook::default()
    }

    /// Replaces the instruments. What is known of those that stay is kept.
    pub fn set_instruments(&mut self, tokens: impl IntoIterator<Item = (u32, InstrumentKey)>) {
        let mut old = std::mem::take(&mut self.instruments);
        for (token, key) in tokens {
            let entry = match old.remove(&token) {
                Some(entry) if entry.key == key => entry,
                Some(_) | None => Entry { key, recent: VecDeque::new(), sum: 0 },
            };
            self.instruments.insert(token, entry);
        }
    }

    /// The instrument that a token stands for.
    pub fn instrument(&self, token: u32) -> Option<&InstrumentKey> {
        self.instruments.get(&token).map(|entry| &entry.key)
    }

    /// Quotes of one message of the feed that arrived at `at`, in the order
    /// of its packets. Passed over are packets of unknown tokens, and packets
    /// without a book of instruments that have one: they come between
    /// subscription and mode, and would look like an empty book.
    pub fn apply(&mut self, at: Timestamp, ticks: &[RawTick]) -> Vec<Quote> {
        ticks.iter().filter_map(|tick| self.quote(at, tick)).collect()
    }

    fn quote(&mut self, arrived: Timestamp, tick: &RawTick) -> Option<Quote> {
        if !tick.is_index() && tick.kind != TickKind::Full {
            return None;
        }
        let entry = self.instruments.get_mut(&tick.token)?;
        let at = exchange_time(tick).unwrap_or(arrived);
        let last = tick.price(tick.last);
        entry.note(at, last);
        Some(Quote {
            instrument: entry.key.clone(),
            at,
            last,
            bid: best(tick, &tick.bids),
            ask: best(tick, &tick.asks),
            ask_depth: tick.asks.iter().map(|level| i64::from(level.quantity)).sum(),
            volume: tick.volume.into(),
            open_interest: tick.open_interest.into(),
            reference: entry.reference(last),
        })
    }
}

impl Entry {
    fn note(&mut self, at: Timestamp, last: Price) {
        self.recent.push_back((at, last.paise()));
        self.sum += last.paise();
        while let Some((oldest, paise)) = self.recent.front().copied() {
            if at - oldest < REFERENCE_SPAN && self.recent.len() <= REFERENCE_MAX {
                break;
            }
            self.recent.pop_front();
            self.sum -= paise;
        }
    }

    /// Mean of the last prices, rounded down to the paisa.
    fn reference(&self, last: Price) -> Price {
        match i64::try_from(self.recent.len()) {
            Ok(count) if count > 0 => Price::from_paise(self.sum.div_euclid(count)),
            Ok(_) | Err(_) => last,
        }
    }
}

fn exchange_time(tick: &RawTick) -> Option<Timestamp> {
    let second = i64::from(tick.exchange_s);
    if second == 0 { None } else { DateTime::from_timestamp(second, 0) }
}

fn best(tick: &RawTick, side: &[RawLevel]) -> Option<BookLevel> {
    let level = side.iter().find(|level| level.quantity > 0)?;
    Some(BookLevel { price: tick.price(level.price), quantity: level.quantity.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kite::ticker::frame;
    use crate::market::Exchange;

    fn packet(last: i32, bid_quantity: u32, second: u32) -> RawTick {
        let mut tick = frame::tick(&[0; 184]).unwrap();
        tick.token = 0x0102;
        tick.last = last;
        tick.exchange_s = second;
        tick.bids[1] = RawLevel { quantity: bid_quantity, price: last - 5, orders: 1 };
        tick.asks[0] = RawLevel { quantity: 7, price: last + 5, orders: 1 };
        tick.asks[4] = RawLevel { quantity: 3, price: last + 25, orders: 1 };
        tick
    }

    #[test]
    fn quotes_carry_book_and_reference() {
        let key = InstrumentKey::new(Exchange::Nfo, "NIFTY26NOV25000CE");
        let mut book = QuoteBook::new();
        book.set_instruments([(0x0102, key.clone())]);
        let arrived = DateTime::from_timestamp(1_795_400_100, 0).unwrap();
        let mut apply = |last, quantity, second| {
            let other = RawTick { token: 9, ..packet(1, 0, 0) };
            book.apply(arrived, &[other, packet(last, quantity, second)]).remove(0)
        };
        let first = apply(10_000, 60, 1_795_400_000);
        assert_eq!(first.instrument, key);
        assert_eq!(first.at.timestamp(), 1_795_400_000);
        let level = |paise, quantity| BookLevel { price: Price::from_paise(paise), quantity };
        assert_eq!(first.bid, Some(level(9_995, 60)));
        assert_eq!((first.ask, first.ask_depth), (Some(level(10_005, 7)), 10));
        assert_eq!(first.reference.paise(), 10_000);
        let second = apply(10_101, 0, 1_795_400_029);
        assert_eq!((second.bid, second.reference.paise()), (None, 10_050));
        let third = apply(10_201, 0, 1_795_400_030);
        assert_eq!(third.reference.paise(), 10_151, "the first price is 30 s old");
        let undated = apply(10_201, 0, 0);
        assert_eq!(undated.at, arrived);
        let mut bookless = frame::tick(&[0; 44]).unwrap();
        bookless.token = 0x0102;
        assert_eq!(book.apply(arrived, &[bookless]), []);
    }

    #[test]
    fn a_replaced_list_keeps_what_stays() {
        let key = |symbol: &str| InstrumentKey::new(Exchange::Nfo, symbol);
        let mut book = QuoteBook::new();
        book.set_instruments([(0x0102, key("A")), (0x0202, key("B"))]);
        let at = DateTime::from_timestamp(1_795_400_000, 0).unwrap();
        book.apply(at, &[packet(100, 1, 1_795_400_000)]);
        book.set_instruments([(0x0102, key("A"))]);
        let quote = book.apply(at, &[packet(200, 1, 1_795_400_001)]).remove(0);
        assert_eq!(quote.reference.paise(), 150);
        assert_eq!(book.instrument(0x0202), None);
        // A token that now stands for something else starts afresh.
        book.set_instruments([(0x0102, key("C"))]);
        let quote = book.apply(at, &[packet(200, 1, 1_795_400_002)]).remove(0);
        assert_eq!(quote.reference.paise(), 200);
    }
}
