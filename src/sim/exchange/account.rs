//! What the account holds and owes: positions, funds, margins, charges. All
//! of it is added up from the trades, nothing is kept twice.

use std::collections::BTreeMap;

use super::account_rows::{
    Books, Funds, HoldingRow, OrderCharges, OrderMargin, OrderQuery, PositionRow, Positions,
};
use super::error::ApiError;
use super::{Exchange, Order};
use crate::market::charges::{ChargeSegment, Leg, estimate};
use crate::market::{InstrumentKey, InstrumentKind, Money, Price, Product, Quantity, Side};
use crate::sim::model::InstrumentRow;

/// Margin of futures and short options, in percent of the contract's value.
const DERIVATIVE_MARGIN_PERCENT: i64 = 12;
/// Part of that margin that is called exposure, in percent.
const EXPOSURE_PERCENT: i64 = 17;
/// Margin of intraday shares, in percent.
const INTRADAY_MARGIN_PERCENT: i64 = 20;

impl Exchange {
    /// Positions.
    pub fn positions(&self) -> Positions {
        let rows = self.position_rows();
        let day = rows
            .iter()
            .filter(|row| row.day_buy_quantity + row.day_sell_quantity > 0)
            .map(|row| PositionRow {
                quantity: row.day_buy_quantity - row.day_sell_quantity,
                overnight_quantity: 0,
                overnight_price: Price::ZERO,
                ..row.clone()
            })
            .collect();
        Positions { net: rows, day }
    }

    /// Shares in the depository.
    pub fn holdings(&self) -> Vec<HoldingRow> {
        let mut holdings = self.config.holdings.clone();
        for holding in &mut holdings {
            if let Some(last) = self.market.last(holding.instrument_token, self.now) {
                holding.last_price = last;
            }
        }
        holdings
    }

    /// The truth.
    pub fn books(&self) -> Books {
        let flow: Money = self
            .trades
            .iter()
            .map(|trade| match trade.side {
                Side::Buy => -(trade.price * trade.quantity),
                Side::Sell => trade.price * trade.quantity,
            })
            .sum();
        Books {
            date: self.config.date,
            orders: self.orders.iter().map(|order| order.row.clone()).collect(),
            trades: self.trades.clone(),
            positions: self.position_rows(),
            opening_cash: self.config.opening_cash,
            cash: self.config.opening_cash + flow,
        }
    }

    pub(super) fn position_rows(&self) -> Vec<PositionRow> {
        let mut rows: BTreeMap<(InstrumentKey, Product), PositionRow> = BTreeMap::new();
        for carried in &self.config.carried {
            let row = rows
                .entry((carried.instrument.clone(), carried.product.clone()))
                .or_insert_with(|| self.empty_position(&carried.instrument, &carried.product));
            row.overnight_quantity += carried.quantity;
            row.overnight_price = carried.price;
            row.quantity += carried.quantity;
        }
        for trade in &self.trades {
            let row = rows
                .entry((trade.instrument.clone(), trade.product.clone()))
                .or_insert_with(|| self.empty_position(&trade.instrument, &trade.product));
            match trade.side {
                Side::Buy => {
                    row.day_buy_quantity += trade.quantity;
                    row.day_buy_value += trade.price * trade.quantity;
                    row.quantity += trade.quantity;
                }
                Side::Sell => {
                    row.day_sell_quantity += trade.quantity;
                    row.day_sell_value += trade.price * trade.quantity;
                    row.quantity -= trade.quantity;
                }
            }
        }
        rows.into_values().collect()
    }

    fn empty_position(&self, instrument: &InstrumentKey, product: &Product) -> PositionRow {
        let token = self.token(instrument).unwrap_or(0);
        let quote = self.market.quote(token, self.now);
        PositionRow {
            instrument: instrument.clone(),
            instrument_token: token,
            product: product.clone(),
            quantity: 0,
            overnight_quantity: 0,
            overnight_price: Price::ZERO,
            multiplier: 1,
            day_buy_quantity: 0,
            day_buy_value: Money::ZERO,
            day_sell_quantity: 0,
            day_sell_value: Money::ZERO,
            last_price: quote.as_ref().map_or(Price::ZERO, |quote| quote.last_price),
            close_price: quote.as_ref().map_or(Price::ZERO, |quote| quote.close),
        }
    }

    /// Units of an instrument and product that the account has.
    pub(super) fn held(&self, instrument: &InstrumentKey, product: &Product) -> Quantity {
        let carried: Quantity = self
            .config
            .carried
            .iter()
            .filter(|row| row.instrument == *instrument && row.product == *product)
            .map(|row| row.quantity)
            .sum();
        let traded: Quantity = self
            .trades
            .iter()
            .filter(|trade| trade.instrument == *instrument && trade.product == *product)
            .map(|trade| match trade.side {
                Side::Buy => trade.quantity,
                Side::Sell => -trade.quantity,
            })
            .sum();
        carried + traded
    }

    /// Funds of the equity segment.
    pub fn margins(&self) -> Funds {
        let mut funds = Funds {
            opening_balance: self.config.opening_cash,
            available: Money::ZERO,
            debits: Money::ZERO,
            option_premium: Money::ZERO,
            span: Money::ZERO,
            m2m_realised: Money::ZERO,
            m2m_unrealised: Money::ZERO,
        };
        for row in self.position_rows() {
            self.count_position(&row, &mut funds);
        }
        let waiting: Money = self
            .orders
            .iter()
            .filter(|order| order.is_live())
            .map(|order| self.blocks(order))
            .sum();
        let booked = funds.m2m_realised + funds.m2m_unrealised.min(Money::ZERO);
        funds.debits = funds.option_premium + funds.span + waiting - booked;
        funds.available = funds.opening_balance - funds.debits;
        funds
    }

    fn count_position(&self, row: &PositionRow, funds: &mut Funds) {
        let Some(listed) = self.market.by_token(row.instrument_token) else { return };
        let today = row.day_buy_value - row.day_sell_value;
        if is_paid_in_full(listed.instrument.kind, &row.product) {
            funds.option_premium += today;
            if row.quantity < 0 {
                funds.span += short_margin(listed, row.last_price).times(-row.quantity);
            }
            return;
        }
        let share = margin_percent(listed.instrument.kind);
        funds.span += percent(row.last_price * row.quantity.abs(), share);
        let matched = row.buy_quantity().min(row.sell_quantity());
        let realised = part(row.sell_m2m(), matched, row.sell_quantity())
            - part(row.buy_m2m(), matched, row.buy_quantity());
        funds.m2m_realised += realised;
        funds.m2m_unrealised += row.m2m() - realised;
    }

    /// What a live order keeps from other use.
    fn blocks(&self, order: &Order) -> Money {
        let Some(listed) = self.market.by_token(order.row.instrument_token) else {
            return Money::ZERO;
        };
        let ahead = self.same_side_before(order);
        let opening = self.opening_units(
            &order.row.instrument,
            &order.row.product,
            order.row.side,
            order.remaining(),
            ahead,
        );
        unit_margin(listed, order.row.side, &order.row.product, order.row.price).times(opening)
    }

    /// Units that live orders of the same instrument, product and side want,
    /// counted until (and without) this order.
    fn same_side_before(&self, order: &Order) -> Quantity {
        self.orders
            .iter()
            .take_while(|other| other.row.order_id != order.row.order_id)
            .filter(|other| {
                competes(other, &order.row.instrument, &order.row.product, order.row.side)
            })
            .map(Order::remaining)
            .sum()
    }

    /// Units of an order that open a position instead of closing one.
    fn opening_units(
        &self,
        instrument: &InstrumentKey,
        product: &Product,
        side: Side,
        quantity: Quantity,
        ahead: Quantity,
    ) -> Quantity {
        let held = self.held(instrument, product);
        let closable = match side {
            Side::Buy => -held,
            Side::Sell => held,
        };
        (quantity - (closable.max(0) - ahead).max(0)).max(0)
    }

    /// Margin that a new order, or more units of one, would need.
    pub(super) fn margin_for(
        &self,
        instrument: &InstrumentKey,
        product: &Product,
        side: Side,
        quantity: Quantity,
        price: Price,
    ) -> Money {
        let Some(listed) = self.market.by_key(instrument) else { return Money::ZERO };
        let ahead = self
            .orders
            .iter()
            .filter(|order| competes(order, instrument, product, side))
            .map(Order::remaining)
            .sum();
        let opening = self.opening_units(instrument, product, side, quantity, ahead);
        unit_margin(listed, side, product, price).times(opening)
    }

    /// What orders would block.
    ///
    /// # Errors
    /// When an instrument does not exist.
    pub fn order_margins(&self, queries: &[OrderQuery]) -> Result<Vec<OrderMargin>, ApiError> {
        queries.iter().map(|query| self.order_margin(query)).collect()
    }

    fn order_margin(&self, query: &OrderQuery) -> Result<OrderMargin, ApiError> {
        let listed = self.listed(&query.instrument)?;
        let price = self.query_price(query, listed);
        let total = unit_margin(listed, query.side, &query.product, price).times(query.quantity);
        let zero = Money::ZERO;
        let mut margin = OrderMargin {
            query: query.clone(),
            span: zero,
            exposure: zero,
            option_premium: zero,
            var: zero,
            total,
            charges: self.charge(query)?,
        };
        match listed.instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity => margin.var = total,
            InstrumentKind::Call | InstrumentKind::Put if query.side == Side::Buy => {
                margin.option_premium = total;
            }
            InstrumentKind::Future | InstrumentKind::Call | InstrumentKind::Put => {
                margin.exposure = percent(total, EXPOSURE_PERCENT);
                margin.span = total - margin.exposure;
            }
        }
        Ok(margin)
    }

    /// What orders would cost in charges.
    ///
    /// # Errors
    /// When an instrument does not exist.
    pub fn charges(&self, queries: &[OrderQuery]) -> Result<Vec<OrderCharges>, ApiError> {
        queries.iter().map(|query| self.charge(query)).collect()
    }

    fn charge(&self, query: &OrderQuery) -> Result<OrderCharges, ApiError> {
        let listed = self.listed(&query.instrument)?;
        let price = self.query_price(query, listed);
        let segment = match listed.instrument.kind {
            InstrumentKind::Call | InstrumentKind::Put => ChargeSegment::Options,
            InstrumentKind::Future => ChargeSegment::Futures,
            InstrumentKind::Index | InstrumentKind::Equity if query.product == Product::Mis => {
                ChargeSegment::EquityIntraday
            }
            InstrumentKind::Index | InstrumentKind::Equity => ChargeSegment::EquityDelivery,
        };
        let leg = Leg::at(query.side, query.quantity, price, 1);
        let found = estimate(segment, query.instrument.exchange, self.config.date, &[leg]);
        Ok(OrderCharges {
            transaction_tax: found.stt,
            exchange_turnover_charge: found.txn,
            sebi_turnover_charge: found.sebi,
            brokerage: found.brokerage,
            stamp_duty: found.stamp,
            gst: found.gst,
            total: found.total,
        })
    }

    fn query_price(&self, query: &OrderQuery, listed: &InstrumentRow) -> Price {
        if query.price > Price::ZERO {
            return query.price;
        }
        self.market.last(listed.instrument.token, self.now).unwrap_or(Price::ZERO)
    }
}

/// Margin of one unit.
#[derive(Debug, Clone, Copy)]
struct UnitMargin(Money);

impl UnitMargin {
    fn times(self, quantity: Quantity) -> Money {
        Money::from_paise(self.0.paise() * quantity)
    }
}

fn competes(order: &Order, instrument: &InstrumentKey, product: &Product, side: Side) -> bool {
    order.is_live()
        && order.row.instrument == *instrument
        && order.row.product == *product
        && order.row.side == side
}

fn is_paid_in_full(kind: InstrumentKind, product: &Product) -> bool {
    match kind {
        InstrumentKind::Call | InstrumentKind::Put => true,
        InstrumentKind::Future => false,
        InstrumentKind::Index | InstrumentKind::Equity => *product != Product::Mis,
    }
}

fn margin_percent(kind: InstrumentKind) -> i64 {
    match kind {
        InstrumentKind::Index | InstrumentKind::Equity => INTRADAY_MARGIN_PERCENT,
        InstrumentKind::Future | InstrumentKind::Call | InstrumentKind::Put => {
            DERIVATIVE_MARGIN_PERCENT
        }
    }
}

fn short_margin(listed: &InstrumentRow, price: Price) -> UnitMargin {
    let strike = Money::from_paise(listed.instrument.strike.paise());
    UnitMargin(percent(strike, DERIVATIVE_MARGIN_PERCENT) + Money::from_paise(price.paise()))
}

fn unit_margin(listed: &InstrumentRow, side: Side, product: &Product, price: Price) -> UnitMargin {
    let value = Money::from_paise(price.paise());
    let kind = listed.instrument.kind;
    match (kind, side) {
        (InstrumentKind::Call | InstrumentKind::Put, Side::Sell) => short_margin(listed, price),
        (InstrumentKind::Call | InstrumentKind::Put, Side::Buy) => UnitMargin(value),
        (
            InstrumentKind::Future | InstrumentKind::Index | InstrumentKind::Equity,
            Side::Buy | Side::Sell,
        ) => {
            if is_paid_in_full(kind, product) {
                UnitMargin(value)
            } else {
                UnitMargin(percent(value, margin_percent(kind)))
            }
        }
    }
}

fn percent(value: Money, share: i64) -> Money {
    Money::from_paise(value.paise() * share / 100)
}

/// `value × some / all`, to the paisa.
fn part(value: Money, some: Quantity, all: Quantity) -> Money {
    if all == 0 {
        return Money::ZERO;
    }
    let product = i128::from(value.paise()) * i128::from(some) / i128::from(all);
    Money::from_paise(i64::try_from(product).unwrap_or(i64::MAX))
}
