//! What the account holds and owes, as the exchange shows it: the fields of
//! Kite's answers, in the market's own types.

use chrono::NaiveDate;

use super::rows::{OrderRow, TradeRow, Variety, average};
use crate::market::{InstrumentKey, Money, OrderType, Price, Product, Quantity, Side};

/// One row of `GET /portfolio/positions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionRow {
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Today's token of it.
    pub instrument_token: u32,
    /// Product.
    pub product: Product,
    /// Net units; negative when short.
    pub quantity: Quantity,
    /// Units carried from before today.
    pub overnight_quantity: Quantity,
    /// Price of the carried units.
    pub overnight_price: Price,
    /// Always 1 on the exchanges simulated here.
    pub multiplier: i64,
    /// Units bought today.
    pub day_buy_quantity: Quantity,
    /// Their value.
    pub day_buy_value: Money,
    /// Units sold today.
    pub day_sell_quantity: Quantity,
    /// Their value.
    pub day_sell_value: Money,
    /// Last price.
    pub last_price: Price,
    /// Previous close.
    pub close_price: Price,
}

impl PositionRow {
    /// Units bought, carried ones included.
    pub fn buy_quantity(&self) -> Quantity {
        self.day_buy_quantity + self.overnight_quantity.max(0)
    }

    /// Units sold, carried shorts included.
    pub fn sell_quantity(&self) -> Quantity {
        self.day_sell_quantity + (-self.overnight_quantity).max(0)
    }

    /// Value of the units bought.
    pub fn buy_value(&self) -> Money {
        self.day_buy_value + self.overnight_price * self.overnight_quantity.max(0)
    }

    /// Value of the units sold.
    pub fn sell_value(&self) -> Money {
        self.day_sell_value + self.overnight_price * (-self.overnight_quantity).max(0)
    }

    /// Value of the units bought, the carried ones at the previous close.
    pub fn buy_m2m(&self) -> Money {
        self.day_buy_value + self.close_price * self.overnight_quantity.max(0)
    }

    /// Value of the units sold, the carried ones at the previous close.
    pub fn sell_m2m(&self) -> Money {
        self.day_sell_value + self.close_price * (-self.overnight_quantity).max(0)
    }

    /// Sold minus bought.
    pub fn value(&self) -> Money {
        self.sell_value() - self.buy_value()
    }

    /// Profit at the last price.
    pub fn pnl(&self) -> Money {
        self.value() + self.last_price * self.quantity
    }

    /// Profit of today at the last price.
    pub fn m2m(&self) -> Money {
        self.sell_m2m() - self.buy_m2m() + self.last_price * self.quantity
    }

    /// Average price of the open side in rupees; zero when flat.
    pub fn average_price(&self) -> f64 {
        match self.quantity.signum() {
            1 => average(self.buy_value(), self.buy_quantity()),
            -1 => average(self.sell_value(), self.sell_quantity()),
            _ => 0.0,
        }
    }
}

/// `GET /portfolio/positions`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Positions {
    /// Carried and traded today.
    pub net: Vec<PositionRow>,
    /// Traded today.
    pub day: Vec<PositionRow>,
}

/// One row of `GET /portfolio/holdings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldingRow {
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Today's token of it.
    pub instrument_token: u32,
    /// Units.
    pub quantity: Quantity,
    /// What they cost.
    pub average_price: Price,
    /// Last price.
    pub last_price: Price,
    /// Previous close.
    pub close_price: Price,
}

/// The equity segment of `GET /user/margins`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funds {
    /// Cash at the start of the day.
    pub opening_balance: Money,
    /// What can still be used; equals `net` and `live_balance`.
    pub available: Money,
    /// Used in all.
    pub debits: Money,
    /// Premium paid less received.
    pub option_premium: Money,
    /// Blocked for futures, short options and intraday shares.
    pub span: Money,
    /// Profit of today that is booked.
    pub m2m_realised: Money,
    /// Profit of today that is open.
    pub m2m_unrealised: Money,
}

/// One order of a margin or charges call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderQuery {
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Buy or sell.
    pub side: Side,
    /// Variety.
    pub variety: Variety,
    /// Product.
    pub product: Product,
    /// Type.
    pub order_type: OrderType,
    /// Units.
    pub quantity: Quantity,
    /// Limit or average price; zero asks at the last price.
    pub price: Price,
}

/// Components of the charges of one order, unrounded to rupees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderCharges {
    /// Securities transaction tax.
    pub transaction_tax: Money,
    /// Exchange's turnover charge.
    pub exchange_turnover_charge: Money,
    /// Regulator's turnover charge.
    pub sebi_turnover_charge: Money,
    /// Brokerage.
    pub brokerage: Money,
    /// Stamp duty.
    pub stamp_duty: Money,
    /// Goods and services tax.
    pub gst: Money,
    /// Sum.
    pub total: Money,
}

/// Answer of `POST /margins/orders` for one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderMargin {
    /// What was asked.
    pub query: OrderQuery,
    /// Span margin.
    pub span: Money,
    /// Exposure margin.
    pub exposure: Money,
    /// Premium.
    pub option_premium: Money,
    /// Value at risk margin of shares.
    pub var: Money,
    /// Sum that must be there.
    pub total: Money,
    /// Charges.
    pub charges: OrderCharges,
}

/// A position that the account brought into the day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedPosition {
    /// Instrument.
    pub instrument: InstrumentKey,
    /// Product; carried ones are NRML.
    pub product: Product,
    /// Units; negative when short.
    pub quantity: Quantity,
    /// What each unit cost.
    pub price: Price,
}

/// The truth as the exchange sees it: for tests, not for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// The date that the exchange simulates.
    pub date: NaiveDate,
    /// Every order with its present state, hidden ones included.
    pub orders: Vec<OrderRow>,
    /// Every execution.
    pub trades: Vec<TradeRow>,
    /// Net positions.
    pub positions: Vec<PositionRow>,
    /// Cash at the start of the day.
    pub opening_cash: Money,
    /// Opening cash, plus all that was sold, less all that was bought.
    pub cash: Money,
}
