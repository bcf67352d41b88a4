//! Prices into the loop: keeps the wanted instruments subscribed, names each
//! tick, and lets paper orders meet the prices.

use std::collections::BTreeMap;
use std::rc::Rc;

use tokio::sync::mpsc::{Receiver, UnboundedSender};

use super::input::Input;
use super::paper::PaperBook;
use crate::engine::DayPlan;
use crate::engine::event::FeedState;
use crate::kite::quotes::QuoteBook;
use crate::kite::ticker::{SESSION_CHANGED, TickMode, Ticker, TickerEvent, Wanted};
use crate::market::InstrumentKey;

/// Frames that may wait for the loop; beyond it the feed waits.
pub(super) const FRAMES_WAITING_MAX: usize = 256;

/// The ticker with the day's instruments.
#[derive(Debug)]
pub(super) struct Feed {
    ticker: Rc<Ticker>,
    events: Receiver<TickerEvent>,
    quotes: QuoteBook,
    tokens: BTreeMap<InstrumentKey, u32>,
    signals: Vec<InstrumentKey>,
    paper: Option<PaperBook>,
}

impl Feed {
    pub(super) fn new(
        ticker: Rc<Ticker>,
        events: Receiver<TickerEvent>,
        paper: Option<PaperBook>,
    ) -> Feed {
        Feed {
            ticker,
            events,
            quotes: QuoteBook::new(),
            tokens: BTreeMap::new(),
            signals: Vec::new(),
            paper,
        }
    }

    /// Learns the instruments of a day.
    pub(super) fn prepare(&mut self, plan: &DayPlan) {
        let all = plan.contracts.iter().chain([&plan.signal]);
        self.tokens = all.map(|instrument| (instrument.key.clone(), instrument.token)).collect();
        let names = self.tokens.iter().map(|(key, token)| (*token, key.clone()));
        self.quotes.set_instruments(names.collect::<Vec<_>>());
        self.signals = plan.histories.iter().map(|history| history.instrument.clone()).collect();
    }

    /// Subscribes the deciding instruments and these.
    pub(super) fn want(&self, list: &[InstrumentKey]) {
        let tokens = self.signals.iter().chain(list).filter_map(|key| self.tokens.get(key));
        let wanted: Wanted = tokens.map(|token| (*token, TickMode::Full)).collect();
        self.ticker.want(wanted);
    }

    /// The next thing the feed has to say, as inputs of the loop.
    pub(super) async fn next(&mut self) -> Option<Vec<Input>> {
        let event = self.events.recv().await?;
        Some(self.inputs(event))
    }

    /// What else has arrived by now.
    pub(super) fn ready(&mut self, inputs: &mut Vec<Input>) {
        while inputs.len() < FRAMES_WAITING_MAX {
            let Ok(event) = self.events.try_recv() else { return };
            let more = self.inputs(event);
            inputs.extend(more);
        }
    }

    fn inputs(&mut self, event: TickerEvent) -> Vec<Input> {
        match event {
            TickerEvent::Ticks { at, ticks } => {
                let quotes = self.quotes.apply(at, &ticks);
                let mut inputs = Vec::new();
                if let Some(paper) = &self.paper {
                    inputs.extend(paper.prices(&quotes).into_iter().map(Input::Order));
                }
                if !quotes.is_empty() {
                    inputs.push(Input::Frame(quotes));
                }
                inputs
            }
            // Paper orders live in their own book; the account's own orders
            // must not be taken for them.
            TickerEvent::Order(_) if self.paper.is_some() => Vec::new(),
            TickerEvent::Order(order) => vec![Input::Order(order)],
            TickerEvent::BadOrder(reason) => {
                tracing::warn!(%reason, "an order update is unreadable");
                Vec::new()
            }
            TickerEvent::Up => vec![Input::Feed(FeedState::Up)],
            TickerEvent::Down { reason } => {
                // The end of the session closes it every day.
                if reason == SESSION_CHANGED {
                    tracing::debug!(%reason, "price feed down");
                } else {
                    tracing::warn!(%reason, "price feed down");
                }
                vec![Input::Feed(FeedState::Down)]
            }
            TickerEvent::LoginNeeded => vec![Input::Feed(FeedState::Down), Input::FeedRefused],
            TickerEvent::Message(text) => {
                tracing::info!(%text, "message of the broker");
                Vec::new()
            }
        }
    }
}

/// Hands inputs of a task to the loop.
pub(super) type Inputs = UnboundedSender<Input>;
