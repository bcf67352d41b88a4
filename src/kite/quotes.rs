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
    volume: i64,
    open_interest: i64,
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
                Some(_) | None => {
                    Entry { key, recent: VecDeque::new(), sum: 0, volume: 0, open_interest: 0 }
                }
            };
            self.instruments.insert(token, entry);
        }
    }

    /// The instrument that a token stands for.
    pub fn instrument(&self, token: u32) -> Option<&InstrumentKey> {
        self.instruments.get(&token).map(|entry| &entry.key)
    }

    /// Quotes of one message of the feed that arrived at `at`, in the order
    /// of its packets. Packets of unknown tokens are passed over.
    pub fn apply(&mut self, at: Timestamp, ticks: &[RawTick]) -> Vec<Quote> {
        ticks.iter().filter_map(|tick| self.quote(at, tick)).collect()
    }

    fn quote(&mut self, arrived: Timestamp, tick: &RawTick) -> Option<Quote> {
        let entry = self.instruments.get_mut(&tick.token)?;
        let at = exchange_time(tick).unwrap_or(arrived);
        let last = tick.price(tick.last);
        entry.note(at, last);
        if matches!(tick.kind, TickKind::Quote | TickKind::Full) {
            entry.volume = tick.volume.into();
        }
        if tick.kind == TickKind::Full {
            entry.open_interest = tick.open_interest.into();
        }
        Some(Quote {
            instrument: entry.key.clone(),
            at,
            last,
            bid: best(tick, &tick.bids),
            ask: best(tick, &tick.asks),
            ask_depth: tick.asks.iter().map(|level| i64::from(level.quantity)).sum(),
            volume: entry.volume,
            open_interest: entry.open_interest,
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
