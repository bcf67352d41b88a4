//! Placing orders.

use super::checks::{
    SLICES_MAX, Terms, check_disclosed, check_product, check_protection, check_quantity,
    check_validity_ttl, protected_limit, protection_band, stop_market_refusal,
};
use super::error::ApiError;
use super::order::{Flight, Message, Order, Place};
use super::rows::{EventKind, NewOrder, OrderRow, PlaceOk, Protection, Source, Validity, Variety};
use super::{Exchange, ids};
use crate::market::time::{from_ist, ist_time};
use crate::market::{
    InstrumentKey, InstrumentKind, Money, OrderStatus, OrderType, Price, Product, Quantity, Side,
    Timestamp,
};
use crate::sim::faults::{Faults, FundsRefusal, IpRefusal, RejectNext};
use crate::sim::matching::Fill;
use crate::sim::model::InstrumentRow;

/// Market protection that Kite's own app puts on a market order.
const APP_PROTECTION: Protection = Protection::AUTO;
/// Words of the 400 answer that says nothing about the order.
const TIMED_OUT: &str =
    "Order request timed out. Please check the order book and confirm before placing again.";
/// Shortest way to the exchange, and how much longer it may take.
const LATENCY_MS: (i64, i64) = (40, 80);

impl Exchange {
    /// Places an order.
    ///
    /// # Errors
    /// The broker's refusal. With some faults the order exists all the same.
    pub fn place(&mut self, at: Timestamp, order: NewOrder) -> Result<PlaceOk, ApiError> {
        self.run_to(at);
        self.check_address()?;
        if Faults::take(&mut self.config.faults.place_times_out_not_placed) {
            return Err(ApiError::order(TIMED_OUT));
        }
        if let Some(message) = RejectNext::take(&mut self.config.faults.refuse_next, order.side) {
            return Err(ApiError::order(message));
        }
        let placed = self.place_whole_or_sliced(order)?;
        if Faults::take(&mut self.config.faults.place_times_out_but_exists) {
            return Err(ApiError::order(TIMED_OUT));
        }
        let response_lost = Faults::take(&mut self.config.faults.response_lost_after_place);
        Ok(PlaceOk { response_lost, ..placed })
    }

    pub(super) fn check_address(&self) -> Result<(), ApiError> {
        let words = "IP not allowed to place orders for this app";
        match self.config.faults.ip_refused {
            IpRefusal::Off => Ok(()),
            IpRefusal::Permission => Err(ApiError::permission(words)),
            IpRefusal::General => Err(ApiError::general(400, words)),
        }
    }

    fn place_whole_or_sliced(&mut self, order: NewOrder) -> Result<PlaceOk, ApiError> {
        let row = self.listed(&order.instrument)?;
        let lot = row.instrument.lot.max(1);
        let most = row.freeze_quantity / lot * lot;
        if !order.autoslice || order.quantity <= most {
            let order_id = self.place_one(&order, None)?;
            return Ok(PlaceOk { order_id, slices: None, response_lost: false });
        }
        if order.quantity > most * SLICES_MAX {
            return Err(ApiError::input(format!(
                "Order cannot be split into more than {SLICES_MAX} slices."
            )));
        }
        let parent = ids::order_id(self.now, self.next_number(), self.config.faults.order_id_short);
        let mut left = order.quantity;
        let mut slices = Vec::new();
        while left > 0 {
            let slice = NewOrder { quantity: left.min(most), ..order.clone() };
            left -= slice.quantity;
            slices.push(self.place_one(&slice, Some(&parent)));
        }
        Ok(PlaceOk { order_id: parent, slices: Some(slices), response_lost: false })
    }

    fn place_one(&mut self, new: &NewOrder, parent: Option<&str>) -> Result<String, ApiError> {
        let listed = self.listed(&new.instrument)?.clone();
        check_product(&new.product, new.instrument.exchange)?;
        check_protection(new)?;
        check_disclosed(new.disclosed_quantity)?;
        check_validity_ttl(new.validity_ttl)?;
        self.check_hours(new, &listed)?;
        let (price, tags) = self.limit_and_tags(new, &listed);
        let terms = Terms {
            row: &listed,
            side: new.side,
            order_type: new.order_type,
            quantity: new.quantity,
            price,
            trigger: new.trigger_price,
            last: self.last(&listed),
            band: self.market.band(listed.instrument.token).unwrap_or_default(),
        };
        terms.check()?;
        self.check_holdings(new, &listed)?;
        let funds =
            self.funds_refusal(&new.instrument, &new.product, new.side, new.quantity, price);
        let refusal = match funds {
            Some((error, raw)) => match self.config.faults.funds_refusal {
                FundsRefusal::Answer => return Err(error),
                FundsRefusal::Book => Some(raw),
            },
            None => RejectNext::take(&mut self.config.faults.reject_next, new.side)
                .or_else(|| stop_market_refusal(new.order_type, &listed).map(str::to_string)),
        };
        let mut order = self.new_order(new, &listed, price, tags);
        if let Some(parent) = parent {
            order.row.parent_order_id = Some(parent.to_string());
            order.row.tags.extend(["autoslice".to_string(), format!("autoslice:{parent}")]);
        }
        Ok(self.send(order, new.variety, refusal))
    }

    /// Sends an order on its way to the exchange.
    fn send(&mut self, mut order: Order, variety: Variety, refusal: Option<String>) -> String {
        let faults = &mut self.config.faults;
        if Faults::take(&mut faults.stuck_pending) {
            order.is_stuck = true;
        }
        if Faults::take(&mut faults.partial_fill_next) {
            let lot = self
                .market
                .by_token(order.row.instrument_token)
                .map_or(1, |row| row.instrument.lot.max(1));
            order.fill_cap = Some(order.row.quantity / lot / 2 * lot);
        }
        if faults.history_old_style {
            for status in ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING"] {
                order.record(OrderStatus::Pending(status.to_string()));
            }
        }
        if variety == Variety::Amo {
            order.place = Place::Broker;
            order.record(order.resting_status());
        } else {
            order.record(order.resting_status());
            let message = refusal.map_or(Message::Enter, Message::EnterRefused);
            order.flight = Some(Flight { arrives_at: self.arrival(), message });
        }
        let order_id = order.row.order_id.clone();
        self.orders.push(order);
        order_id
    }

    fn check_hours(&self, new: &NewOrder, listed: &InstrumentRow) -> Result<(), ApiError> {
        if new.variety == Variety::Amo {
            return Ok(());
        }
        let open = self.market.opens_at();
        let close = self.market.closes_at(listed.instrument.token).unwrap_or(open);
        if self.now < open || self.now >= close {
            return Err(ApiError::input(
                "Markets are closed right now. Use an AMO order to place it for the next trading session.",
            ));
        }
        let blocked = self.config.square_off.is_some_and(|times| {
            let time = if new.instrument.exchange.is_derivatives() {
                times.derivatives
            } else {
                times.equity
            };
            new.product == Product::Mis && ist_time(self.now) >= time
        });
        if blocked {
            return Err(ApiError::input(
                "MIS orders are blocked as it is past the auto square-off time. Try placing an order in NRML/CNC.",
            ));
        }
        Ok(())
    }

    /// The limit that an order carries to the exchange, and the system's tags.
    fn limit_and_tags(&self, new: &NewOrder, listed: &InstrumentRow) -> (Price, Vec<String>) {
        let from = match new.order_type {
            OrderType::Limit | OrderType::StopLimit => return (new.price, Vec::new()),
            OrderType::Market => self.last(listed),
            OrderType::StopMarket => new.trigger_price,
        };
        let band = protection_band(new.market_protection, listed, from);
        let price = protected_limit(new.side, from, band, listed.instrument.tick);
        (price, protection_tags(band))
    }

    fn check_holdings(&self, new: &NewOrder, listed: &InstrumentRow) -> Result<(), ApiError> {
        let is_delivery_sale = new.side == Side::Sell
            && new.product == Product::Cnc
            && listed.instrument.kind == InstrumentKind::Equity;
        if !is_delivery_sale {
            return Ok(());
        }
        let stored: Quantity = self
            .config
            .holdings
            .iter()
            .filter(|holding| holding.instrument == new.instrument)
            .map(|holding| holding.quantity)
            .sum();
        let held = stored + self.held(&new.instrument, &new.product);
        if new.quantity <= held {
            return Ok(());
        }
        Err(ApiError::holding(format!(
            "Insufficient stock holding. Required quantity is {} but available quantity is {held}.",
            new.quantity
        )))
    }

    /// The two forms of a lack of funds: the answer, and the words of the
    /// order book.
    pub(super) fn funds_refusal(
        &self,
        instrument: &InstrumentKey,
        product: &Product,
        side: Side,
        quantity: Quantity,
        price: Price,
    ) -> Option<(ApiError, String)> {
        let required = self.margin_for(instrument, product, side, quantity, price);
        let short = self.config.faults.funds_short && required > Money::ZERO;
        let available = if short { Money::ZERO } else { self.margins().available };
        (required > available && required > Money::ZERO).then(|| {
            let user = &self.config.user_id;
            let answer = ApiError::margin(format!(
                "Insufficient funds. Required margin is {required} but available margin is {available}. Check the orderbook for open orders."
            ));
            let raw = format!(
                "RMS:Margin Exceeds,Required:{required}, Available:{available} for entity account-{user} across exchange across segment across product "
            );
            (answer, raw)
        })
    }

    fn new_order(
        &mut self,
        new: &NewOrder,
        listed: &InstrumentRow,
        price: Price,
        system_tags: Vec<String>,
    ) -> Order {
        let number = self.next_number();
        let user = self.config.user_id.clone();
        let order_type = match new.order_type {
            OrderType::Market if self.config.faults.protection_echo_market => OrderType::Market,
            OrderType::Market | OrderType::Limit => OrderType::Limit,
            OrderType::StopMarket | OrderType::StopLimit => OrderType::StopLimit,
        };
        let visible_from =
            self.now + chrono::TimeDelta::seconds(i64::from(self.config.faults.late_visibility_s));
        let ends_at = (new.validity == Validity::Ttl)
            .then(|| self.now + chrono::TimeDelta::minutes(new.validity_ttl.max(1)));
        let row = OrderRow {
            account_id: user.clone(),
            placed_by: user,
            source: Source::Api,
            order_id: ids::order_id(self.now, number, self.config.faults.order_id_short),
            exchange_order_id: None,
            parent_order_id: None,
            status: OrderStatus::Pending("OPEN PENDING".to_string()),
            status_message: None,
            status_message_raw: None,
            order_timestamp: self.now,
            exchange_update_timestamp: None,
            exchange_timestamp: None,
            variety: new.variety,
            modified: false,
            instrument: new.instrument.clone(),
            instrument_token: listed.instrument.token,
            order_type,
            side: new.side,
            validity: new.validity,
            validity_ttl: new.validity_ttl,
            product: new.product.clone(),
            quantity: new.quantity,
            disclosed_quantity: new.disclosed_quantity,
            filled_quantity: 0,
            pending_quantity: new.quantity,
            cancelled_quantity: 0,
            price,
            trigger_price: new.trigger_price,
            filled_value: Money::ZERO,
            market_protection: Protection::NONE,
            tag: new.tag.clone(),
            tags: new.tag.iter().cloned().chain(system_tags).collect(),
            guid: Some(ids::guid(number)),
        };
        Order {
            row,
            history: Vec::new(),
            place: Place::Underway,
            flight: None,
            is_triggered: false,
            is_stuck: false,
            modifications: 0,
            visible_from,
            fill_cap: None,
            ends_at,
        }
    }

    /// When a message that leaves now reaches the exchange.
    pub(super) fn arrival(&mut self) -> Timestamp {
        let number = self.next_number();
        let own = ids::draw(self.config.seed, number, LATENCY_MS.1);
        let extra = i64::from(self.config.faults.extra_latency_ms);
        self.now + chrono::TimeDelta::milliseconds(LATENCY_MS.0 + own + extra)
    }

    /// Trades at the market as if the user had done so in Kite's app: in full
    /// and at once, at the best price of the other side. Returns the order's id.
    ///
    /// # Errors
    /// When the instrument does not exist, the market is closed, or the broker
    /// takes no such quantity or product.
    pub fn manual_trade(
        &mut self,
        at: Timestamp,
        instrument: &InstrumentKey,
        side: Side,
        quantity: Quantity,
        product: Product,
    ) -> Result<String, ApiError> {
        self.run_to(at);
        check_product(&product, instrument.exchange)?;
        check_quantity(self.listed(instrument)?, quantity)?;
        self.trade_at_once(instrument, side, quantity, product, Source::App)
    }

    pub(super) fn trade_at_once(
        &mut self,
        instrument: &InstrumentKey,
        side: Side,
        quantity: Quantity,
        product: Product,
        source: Source,
    ) -> Result<String, ApiError> {
        let listed = self.listed(instrument)?.clone();
        let new = NewOrder {
            variety: Variety::Regular,
            instrument: instrument.clone(),
            side,
            order_type: OrderType::Market,
            quantity,
            product,
            price: Price::ZERO,
            trigger_price: Price::ZERO,
            disclosed_quantity: 0,
            validity: Validity::Day,
            validity_ttl: 0,
            market_protection: APP_PROTECTION,
            autoslice: false,
            tag: None,
        };
        let open = self.market.opens_at()
            ..self.market.closes_at(listed.instrument.token).unwrap_or(self.now);
        if !open.contains(&self.now) {
            return Err(ApiError::input("Markets are closed right now."));
        }
        let (bids, asks) = self.market.depth(listed.instrument.token, self.now).unwrap_or_default();
        let touch = match side {
            Side::Buy => asks[0].level.price,
            Side::Sell => bids[0].level.price,
        };
        let price = if touch > Price::ZERO { touch } else { self.last(&listed) };
        let mut order = self.new_order(&new, &listed, price, Vec::new());
        order.row.source = source;
        if source == Source::Broker {
            order.row.placed_by = "RMS".to_string();
        }
        order.record(OrderStatus::Pending("OPEN PENDING".to_string()));
        self.enter(&mut order);
        self.fill(&mut order, Fill { price, quantity });
        let order_id = order.row.order_id.clone();
        self.emit(EventKind::Complete, &order);
        self.orders.push(order);
        Ok(order_id)
    }

    /// First instant of today at this time of day.
    pub(super) fn today_at(&self, time: chrono::NaiveTime) -> Timestamp {
        from_ist(self.config.date, time)
    }
}

/// Kite's marks of a protected market order.
pub(super) fn protection_tags(band: i64) -> Vec<String> {
    vec!["mktp".to_string(), format!("mktp:{}.{:02}", band / 100, band % 100)]
}
