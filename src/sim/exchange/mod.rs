//! One account at a simulated exchange and broker, for one day.
//!
//! Every call takes the market time; the exchange first lives through all
//! that happened until then (arrivals, triggers, fills, the close), second by
//! second of the model's path. What fills is a function of market time and
//! seed, never of how often somebody asks.

mod config;
mod error;
mod market_data;
mod rows;

pub use config::{ExchangeConfig, SquareOff};
pub use error::ApiError;
pub use rows::{
    Books, CarriedPosition, EventKind, ExchangeEvent, Funds, HoldingRow, Modification, NewOrder,
    OrderCharges, OrderMargin, OrderQuery, OrderRow, PlaceOk, PositionRow, Positions, Protection,
    Source, TradeRow, Validity, Variety,
};

pub use crate::sim::model::{
    DEPTH_LEVELS, DepthLevel, HistoryCandle, InstrumentRow, Interval, MarketQuote,
};

use crate::market::{InstrumentKey, Money, Product, Quantity, Side, Timestamp};
use crate::sim::faults::Faults;
use crate::sim::model::{DayProfile, Market, ModelError, TradingDays};

/// The exchange with the account's book.
#[derive(Debug)]
pub struct Exchange {
    config: ExchangeConfig,
    now: Timestamp,
    events: Vec<ExchangeEvent>,
    market: Market,
}

impl Exchange {
    /// Sets up a day.
    ///
    /// # Errors
    /// When the date has no trading session.
    pub fn new(config: ExchangeConfig) -> Result<Exchange, ModelError> {
        let calendar = TradingDays::with_extra_holidays(&config.extra_holidays);
        let market = Market::with_script(
            config.seed,
            config.date,
            calendar,
            DayProfile::DEFAULT,
            &config.script,
        )?;
        let now = config.start;
        Ok(Exchange { config, now, events: Vec::new(), market })
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

    /// Lives until `to` and hands out the order events since the last call,
    /// in the order of delivery. An earlier `to` changes nothing.
    pub fn advance(&mut self, to: Timestamp) -> Vec<ExchangeEvent> {
        self.now = self.now.max(to);
        std::mem::take(&mut self.events)
    }

    /// Places an order.
    ///
    /// # Errors
    /// The broker's refusal. With some faults the order exists all the same.
    pub fn place(&mut self, at: Timestamp, order: NewOrder) -> Result<PlaceOk, ApiError> {
        self.now = self.now.max(at);
        Err(ApiError::input(format!("{} cannot be traded", order.instrument)))
    }

    /// Asks for a change of an order. Success means that it was passed on.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn modify(
        &mut self,
        at: Timestamp,
        order_id: &str,
        change: &Modification,
    ) -> Result<(), ApiError> {
        self.now = self.now.max(at);
        Err(ApiError::order(format!("Couldn't find that `order_id`: {order_id} {change:?}")))
    }

    /// Asks for the end of an order. Success means that it was passed on.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn cancel(&mut self, at: Timestamp, order_id: &str) -> Result<(), ApiError> {
        self.now = self.now.max(at);
        Err(ApiError::order(format!("Couldn't find that `order_id`: {order_id}")))
    }

    /// Trades at the market as if the user had done so in Kite's app.
    /// Returns the order's id.
    ///
    /// # Errors
    /// The broker's refusal.
    pub fn manual_trade(
        &mut self,
        at: Timestamp,
        instrument: &InstrumentKey,
        side: Side,
        quantity: Quantity,
        product: Product,
    ) -> Result<String, ApiError> {
        self.now = self.now.max(at);
        Err(ApiError::input(format!("{instrument} {side:?} {quantity} {product:?}")))
    }

    /// Today's orders, as far as they are visible, oldest first.
    pub fn orders(&self) -> Vec<OrderRow> {
        Vec::new()
    }

    /// Every state of an order, oldest first.
    pub fn order_history(&self, order_id: &str) -> Option<Vec<OrderRow>> {
        let _ = order_id;
        None
    }

    /// Today's executions, oldest first.
    pub fn trades(&self) -> Vec<TradeRow> {
        Vec::new()
    }

    /// Executions of an order; `None` when there is no such order.
    pub fn order_trades(&self, order_id: &str) -> Option<Vec<TradeRow>> {
        let _ = order_id;
        None
    }

    /// Positions.
    pub fn positions(&self) -> Positions {
        Positions::default()
    }

    /// Shares in the depository.
    pub fn holdings(&self) -> Vec<HoldingRow> {
        self.config.holdings.clone()
    }

    /// Funds of the equity segment.
    pub fn margins(&self) -> Funds {
        Funds {
            opening_balance: self.config.opening_cash,
            available: self.config.opening_cash,
            debits: Money::ZERO,
            option_premium: Money::ZERO,
            span: Money::ZERO,
            m2m_realised: Money::ZERO,
            m2m_unrealised: Money::ZERO,
        }
    }

    /// What orders would block.
    ///
    /// # Errors
    /// When an instrument does not exist.
    pub fn order_margins(&self, queries: &[OrderQuery]) -> Result<Vec<OrderMargin>, ApiError> {
        let _ = queries;
        Ok(Vec::new())
    }

    /// What orders would cost in charges.
    ///
    /// # Errors
    /// When an instrument does not exist.
    pub fn charges(&self, queries: &[OrderQuery]) -> Result<Vec<OrderCharges>, ApiError> {
        let _ = queries;
        Ok(Vec::new())
    }

    /// The truth.
    pub fn books(&self) -> Books {
        Books {
            date: self.config.date,
            orders: Vec::new(),
            trades: Vec::new(),
            positions: Vec::new(),
            opening_cash: self.config.opening_cash,
            cash: self.config.opening_cash,
        }
    }

    /// The switches.
    pub fn faults(&self) -> &Faults {
        &self.config.faults
    }

    /// The switches, to be set.
    pub fn faults_mut(&mut self) -> &mut Faults {
        &mut self.config.faults
    }
}
