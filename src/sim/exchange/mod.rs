//! One account at a simulated exchange and broker, for one day.
//!
//! Every call takes the market time; the exchange first lives through all
//! that happened until then (arrivals, triggers, fills, the close), second by
//! second of the model's path. What fills is a function of market time and
//! seed, never of how often somebody asks.
//!
//! Orders go the broker's ways: an answer to `place` says only that the order
//! was taken; it reaches the exchange some milliseconds of market time later.

mod account;
mod account_rows;
mod change;
mod checks;
mod config;
mod error;
mod ids;
mod market_data;
mod order;
mod place;
mod rows;
mod run;

#[cfg(test)]
mod tests;

pub use account_rows::{
    Books, CarriedPosition, Funds, HoldingRow, OrderCharges, OrderMargin, OrderQuery, PositionRow,
    Positions,
};
pub use change::MODIFICATIONS_MAX;
pub use config::{ExchangeConfig, SquareOff};
pub use error::ApiError;
pub use rows::{
    EventKind, ExchangeEvent, Modification, NewOrder, OrderRow, PlaceOk, Protection, Source,
    TradeRow, Validity, Variety,
};

pub use crate::sim::model::{
    DEPTH_LEVELS, DepthLevel, HistoryCandle, InstrumentRow, Interval, MarketQuote,
};

use crate::market::{InstrumentKey, InstrumentKind, Price, Timestamp};
use crate::sim::faults::Faults;
use crate::sim::model::{DayProfile, Market, ModelError};
use order::Order;
use run::Taken;

/// The exchange with the account's book.
#[derive(Debug)]
pub struct Exchange {
    config: ExchangeConfig,
    market: Market,
    now: Timestamp,
    orders: Vec<Order>,
    trades: Vec<TradeRow>,
    events: Vec<ExchangeEvent>,
    taken: Taken,
    numbers: u64,
    /// Segments (true for derivatives) whose square-off is done.
    squared_off: Vec<bool>,
}

impl Exchange {
    /// Sets up a day.
    ///
    /// # Errors
    /// When the date has no trading session.
    pub fn new(config: ExchangeConfig) -> Result<Exchange, ModelError> {
        let market = Market::with_script(
            config.seed,
            config.date,
            config.calendar.clone(),
            DayProfile::DEFAULT,
            &config.script,
        )?;
        Ok(Exchange {
            now: config.start,
            config,
            market,
            orders: Vec::new(),
            trades: Vec::new(),
            events: Vec::new(),
            taken: Taken::default(),
            numbers: 0,
            squared_off: Vec::new(),
        })
    }

    /// The instant up to which the exchange has lived.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The simulated date.
    pub fn date(&self) -> chrono::NaiveDate {
        self.config.date
    }

    /// The account's name.
    pub fn user_id(&self) -> &str {
        &self.config.user_id
    }

    /// Today's orders, as far as they are visible, oldest first.
    pub fn orders(&self) -> Vec<OrderRow> {
        self.visible().map(|order| self.shown(&order.row)).collect()
    }

    /// Every state of an order, oldest first; `None` when none is visible.
    pub fn order_history(&self, order_id: &str) -> Option<Vec<OrderRow>> {
        let order = self.visible().find(|order| order.row.order_id == order_id)?;
        Some(order.history.iter().map(|row| self.shown(row)).collect())
    }

    /// Today's executions, oldest first.
    pub fn trades(&self) -> Vec<TradeRow> {
        self.trades.clone()
    }

    /// Executions of an order; `None` when there is no such order.
    pub fn order_trades(&self, order_id: &str) -> Option<Vec<TradeRow>> {
        self.visible().find(|order| order.row.order_id == order_id)?;
        Some(self.trades.iter().filter(|trade| trade.order_id == order_id).cloned().collect())
    }

    /// The switches.
    pub fn faults(&self) -> &Faults {
        &self.config.faults
    }

    /// The switches, to be set.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.config.faults
    }

    fn visible(&self) -> impl Iterator<Item = &Order> {
        self.orders.iter().filter(|order| order.visible_from <= self.now)
    }

    /// A row as the API shows it: a market order that is echoed as such has
    /// no price.
    fn shown(&self, row: &OrderRow) -> OrderRow {
        let mut row = row.clone();
        if row.order_type == crate::market::OrderType::Market {
            row.price = Price::ZERO;
        }
        row
    }

    /// An instrument that can be traded.
    fn listed(&self, key: &InstrumentKey) -> Result<&InstrumentRow, ApiError> {
        self.market
            .by_key(key)
            .filter(|row| row.instrument.kind != InstrumentKind::Index)
            .ok_or_else(|| {
                ApiError::input(
                    "The instrument you are placing an order for has either expired or does not exist.",
                )
            })
    }

    fn last(&self, row: &InstrumentRow) -> Price {
        self.market.last(row.instrument.token, self.now).unwrap_or(Price::ZERO)
    }

    fn next_number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}
