//! The last that is known of an instrument's price and book.

use std::collections::BTreeMap;

use super::instrument::InstrumentKey;
use super::money::{Price, Quantity};
use super::time::Timestamp;

/// A price in the book with what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BookLevel {
    /// The price.
    pub price: Price,
    /// Units on offer at it.
    pub quantity: Quantity,
}

/// One update of an instrument, from the ticker or from a quote call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Which instrument.
    pub instrument: InstrumentKey,
    /// The exchange's time of the update (one-second resolution on Kite), or
    /// the time of arrival when the packet bears none.
    pub at: Timestamp,
    /// Last traded price.
    pub last: Price,
    /// Best bid, when the packet has a book and someone bids.
    pub bid: Option<BookLevel>,
    /// Best ask, when the packet has a book and someone offers.
    pub ask: Option<BookLevel>,
    /// Units in the top five asks together.
    pub ask_depth: Quantity,
    /// Units traded today.
    pub volume: Quantity,
    /// Open interest, in units; zero when unknown.
    pub open_interest: Quantity,
    /// Mean price of the last 30 s of this feed: the reference of the
    /// exchange's limit price protection. Equals `last` until more is known.
    pub reference: Price,
}

impl Quote {
    /// Keeps the latest quote of each instrument. What is known is written
    /// over in place.
    pub fn keep_latest(known: &mut BTreeMap<InstrumentKey, Quote>, quotes: &[Quote]) {
        for quote in quotes {
            match known.get_mut(&quote.instrument) {
                Some(known) => known.update(quote),
                None => {
                    known.insert(quote.instrument.clone(), quote.clone());
                }
            }
        }
    }

    /// Takes the values of a later quote of the same instrument.
    fn update(&mut self, later: &Quote) {
        let Quote {
            instrument: _,
            at,
            last,
            bid,
            ask,
            ask_depth,
            volume,
            open_interest,
            reference,
        } = later;
        self.at = *at;
        self.last = *last;
        self.bid = *bid;
        self.ask = *ask;
        self.ask_depth = *ask_depth;
        self.volume = *volume;
        self.open_interest = *open_interest;
        self.reference = *reference;
    }

    /// Middle of the book, when both sides are there.
    pub fn mid(&self) -> Option<Price> {
        let (bid, ask) = (self.bid?.price, self.ask?.price);
        Some(Price::from_paise((bid.paise() + ask.paise()) / 2))
    }

    /// Ask minus bid, when both sides are there.
    pub fn spread(&self) -> Option<Price> {
        Some(self.ask?.price - self.bid?.price)
    }
}
