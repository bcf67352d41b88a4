//! What broker and exchange look at before an order counts, with the
//! broker's words.

use super::error::ApiError;
use super::rows::{NewOrder, Protection};
use crate::market::{Exchange as Venue, InstrumentKind, OrderType, Price, Product, Quantity, Side};
use crate::sim::faults::LPP_MESSAGE;
use crate::sim::model::InstrumentRow;

/// Options dearer than this may not be bought or sold far from their price.
const FAR_LIMIT_FROM: Price = Price::from_rupees(100);
/// Options at or below this have bands in rupees instead of percent.
const SMALL_PREMIUM: Price = Price::from_rupees(50);
/// Most slices of an order.
pub(super) const SLICES_MAX: i64 = 10;

/// Longest life of a TTL order; all orders end with the day.
const TTL_MINUTES_MAX: i64 = 24 * 60;

/// An order's terms against the market of the moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms<'a> {
    pub(super) row: &'a InstrumentRow,
    pub(super) side: Side,
    pub(super) order_type: OrderType,
    pub(super) quantity: Quantity,
    pub(super) price: Price,
    pub(super) trigger: Price,
    /// Last traded price.
    pub(super) last: Price,
    /// Daily price range.
    pub(super) band: (Price, Price),
}

impl Terms<'_> {
    /// The broker's checks: a failure is an answer, not an order.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        check_quantity(self.row, self.quantity)?;
        self.check_ticks()?;
        self.check_trigger()?;
        self.check_range()
    }

    fn check_ticks(&self) -> Result<(), ApiError> {
        let tick = self.row.instrument.tick;
        let complain = |what: &str| {
            Err(ApiError::input(format!(
                "Tick size for this script is {tick}. Kindly enter {what} in the multiple of tick size for this script"
            )))
        };
        if self.price <= Price::ZERO {
            return Err(ApiError::input("Invalid `price`."));
        }
        if !self.price.is_on(tick) {
            return complain("price");
        }
        if self.is_stop() && self.trigger <= Price::ZERO {
            return Err(ApiError::input("Invalid `trigger_price`."));
        }
        if self.is_stop() && !self.trigger.is_on(tick) {
            return complain("trigger price");
        }
        Ok(())
    }

    fn check_trigger(&self) -> Result<(), ApiError> {
        if !self.is_stop() {
            return Ok(());
        }
        let last = self.last;
        match self.side {
            Side::Sell if self.trigger >= last => Err(ApiError::input(format!(
                "Trigger price for stoploss sell orders should be lower than the last traded price ({last})."
            ))),
            Side::Buy if self.trigger <= last => Err(ApiError::input(format!(
                "Trigger price for stoploss buy orders should be higher than the last traded price ({last})."
            ))),
            Side::Sell if self.price > self.trigger => Err(ApiError::input(
                "Trigger price for stoploss sell orders cannot be below the limit price.",
            )),
            Side::Buy if self.price < self.trigger => Err(ApiError::input(
                "Trigger price for stoploss buy orders cannot be above the limit price.",
            )),
            Side::Sell if self.trigger < self.band.0 => Err(ApiError::input(format!(
                "Trigger price for stoploss sell orders cannot be below the lower circuit price. Please try placing the order with trigger price above {}.",
                self.band.0
            ))),
            Side::Buy | Side::Sell => Ok(()),
        }
    }

    fn check_range(&self) -> Result<(), ApiError> {
        let (low, high) = self.band;
        if self.price < low {
            return Err(ApiError::input(format!(
                "Your order price is lower than the current lower circuit limit of {low}. Place an order within the daily range."
            )));
        }
        if self.price > high {
            return Err(ApiError::input(format!(
                "Your order price is higher than the current upper circuit limit of {high}. Place an order within the daily range."
            )));
        }
        if !self.is_stop() && self.is_option() && self.last >= FAR_LIMIT_FROM {
            let far = match self.side {
                Side::Buy => self.price >= self.last.scale_floor(150, 100),
                Side::Sell => self.price <= self.last.scale_floor(50, 100),
            };
            if far {
                return Err(ApiError::input(format!(
                    "Your limit price is too far from the last traded price of {}. Place an order closer to it.",
                    self.last
                )));
            }
        }
        Ok(())
    }

    /// The exchange's checks: a failure is a rejected order. `reference` is
    /// the mean trade price of the last 30 seconds.
    pub(super) fn exchange_refusal(&self, reference: Price) -> Option<&'static str> {
        let instrument = &self.row.instrument;
        if self.is_stop() {
            let gap = if self.price > self.trigger {
                self.price - self.trigger
            } else {
                self.trigger - self.price
            };
            let most = if !self.is_option() {
                return None;
            } else if self.trigger > SMALL_PREMIUM {
                self.trigger.scale_floor(20, 100)
            } else {
                Price::from_rupees(10)
            };
            return (gap > most).then_some("Stop limit order price range check failed");
        }
        let reach = match instrument.kind {
            InstrumentKind::Index | InstrumentKind::Equity => return None,
            InstrumentKind::Future => reference.scale_floor(2, 100).max(Price::from_rupees(200)),
            InstrumentKind::Call | InstrumentKind::Put if reference > SMALL_PREMIUM => {
                reference.scale_floor(40, 100)
            }
            InstrumentKind::Call | InstrumentKind::Put => Price::from_rupees(20),
        };
        let outside = match self.side {
            Side::Buy => self.price > reference + reach,
            Side::Sell => self.price < reference - reach,
        };
        outside.then_some(LPP_MESSAGE)
    }

    fn is_stop(&self) -> bool {
        match self.order_type {
            OrderType::StopLimit | OrderType::StopMarket => true,
            OrderType::Market | OrderType::Limit => false,
        }
    }

    fn is_option(&self) -> bool {
        self.row.instrument.kind.option_type().is_some()
    }
}

/// The broker's rules on quantities: whole lots, at most what the exchange
/// takes in one order.
pub(super) fn check_quantity(row: &InstrumentRow, quantity: Quantity) -> Result<(), ApiError> {
    let lot = row.instrument.lot.max(1);
    if quantity <= 0 {
        return Err(ApiError::input("Invalid `quantity`."));
    }
    if quantity % lot != 0 {
        return Err(ApiError::input(format!(
            "Invalid quantity {quantity}. Quantity should be in multiples of {lot}."
        )));
    }
    let most = row.freeze_quantity / lot * lot;
    if quantity > most {
        return Err(ApiError::input(format!(
            "The order quantity {quantity} ({} lots) is higher than the maximum quantity of {most} ({} lots) allowed by the exchanges. Please reduce the order quantity or use iceberg orders. [Read more.](https://support.zerodha.com)",
            quantity / lot,
            most / lot
        )));
    }
    Ok(())
}

/// Refuses a disclosed quantity that is none.
pub(super) fn check_disclosed(disclosed: Quantity) -> Result<(), ApiError> {
    if disclosed < 0 {
        return Err(ApiError::input("Invalid `disclosed_quantity`."));
    }
    Ok(())
}

/// Refuses a life in minutes that is negative or outlasts a day.
pub(super) fn check_validity_ttl(minutes: i64) -> Result<(), ApiError> {
    if (0..=TTL_MINUTES_MAX).contains(&minutes) {
        return Ok(());
    }
    Err(ApiError::input("Invalid `validity_ttl`."))
}

/// The broker's rules on products.
pub(super) fn check_product(product: &Product, venue: Venue) -> Result<(), ApiError> {
    let (allowed, advice) = if venue.is_derivatives() {
        (matches!(product, Product::Mis | Product::Nrml), "NRML/MIS")
    } else {
        (matches!(product, Product::Mis | Product::Cnc | Product::Mtf), "CNC/MIS")
    };
    if allowed {
        return Ok(());
    }
    Err(ApiError::input(format!(
        "Trading in {venue} is not allowed using {} product type. Try placing an order in {advice}.",
        product.as_str()
    )))
}

/// The refusal of a market order that says nothing about protection.
pub(super) fn check_protection(order: &NewOrder) -> Result<(), ApiError> {
    match order.order_type {
        OrderType::Market | OrderType::StopMarket => need_protection(order.market_protection),
        OrderType::Limit | OrderType::StopLimit => Ok(()),
    }
}

/// Refuses the lack of market protection.
pub(super) fn need_protection(protection: Protection) -> Result<(), ApiError> {
    if protection == Protection::AUTO || (1..=10_000).contains(&protection.0) {
        return Ok(());
    }
    Err(ApiError::input(
        "Market orders without market protection are not allowed via API. Please set market protection or use a Limit order.",
    ))
}

/// What the exchange says to stop-market orders where it has none.
pub(super) fn stop_market_refusal(
    order_type: OrderType,
    row: &InstrumentRow,
) -> Option<&'static str> {
    let instrument = &row.instrument;
    let banned = match instrument.key.exchange {
        Venue::Bse | Venue::Bfo => true,
        Venue::Nfo => instrument.kind.option_type().is_some(),
        Venue::Nse | Venue::Cds | Venue::Bcd | Venue::Mcx | Venue::Nco => false,
    };
    (banned && order_type == OrderType::StopMarket).then_some("16052: Function not available")
}

/// Protection in hundredths of a percent, the broker's own band for `AUTO`.
pub(super) fn protection_band(protection: Protection, row: &InstrumentRow, last: Price) -> i64 {
    if protection != Protection::AUTO {
        return protection.0;
    }
    let rupees = last.paise() / 100;
    let steps: &[(i64, i64)] = if row.instrument.kind.option_type().is_some() {
        &[(10, 500), (100, 300), (500, 200), (i64::MAX, 100)]
    } else {
        &[(100, 200), (500, 100), (i64::MAX, 50)]
    };
    steps.iter().find(|(below, _)| rupees < *below).map_or(100, |(_, band)| *band)
}

/// Limit of a protected market order around `from`.
pub(super) fn protected_limit(side: Side, from: Price, band: i64, tick: Price) -> Price {
    match side {
        Side::Buy => from.scale_floor(10_000 + band, 10_000).floor_to(tick).max(tick),
        Side::Sell => from.scale_floor(10_000 - band, 10_000).ceil_to(tick).max(tick),
    }
}
