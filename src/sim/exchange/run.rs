//! Living through time: arrivals, triggers, fills, square-off and close, in
//! the order in which they happen.

use chrono::{DurationRound, TimeDelta};

use super::checks::Terms;
use super::order::{Message, NewTerms, Order, Place};
use super::rows::{EventKind, ExchangeEvent, Source, TradeRow, Validity};
use super::{Exchange, ids};
use crate::market::{BookLevel, OrderStatus, OrderType, Price, Product, Quantity, Side, Timestamp};
use crate::sim::faults::{EventDelivery, Faults};
use crate::sim::matching::{Book, Fill, Working, fills, is_triggered};
use crate::sim::model::InstrumentRow;

/// Span of the trades that the exchange's price protection looks at.
const REFERENCE_SECONDS: i64 = 30;

/// What was taken from the book of a second, by instrument and our side.
#[derive(Debug, Default)]
pub(super) struct Taken {
    second: i64,
    by_side: Vec<((u32, Side), Quantity)>,
}

impl Taken {
    fn units(&mut self, second: i64, key: (u32, Side)) -> &mut Quantity {
        if self.second != second {
            *self = Taken { second, by_side: Vec::new() };
        }
        let index = match self.by_side.iter().position(|(known, _)| *known == key) {
            Some(index) => index,
            None => {
                self.by_side.push((key, 0));
                self.by_side.len() - 1
            }
        };
        &mut self.by_side[index].1
    }
}

impl Exchange {
    /// Lives until `to` and hands out the order events since the last call,
    /// in the order of delivery. An earlier `to` changes nothing.
    pub fn advance(&mut self, to: Timestamp) -> Vec<ExchangeEvent> {
        self.run_to(to);
        let mut events = std::mem::take(&mut self.events);
        match self.config.faults.order_events {
            EventDelivery::Once => events,
            EventDelivery::Dropped => Vec::new(),
            EventDelivery::Duplicate => {
                events.into_iter().flat_map(|event| [event.clone(), event]).collect()
            }
            EventDelivery::Reordered => {
                for pair in events.chunks_mut(2) {
                    pair.reverse();
                }
                events
            }
        }
    }

    /// Lives until `to`.
    pub(super) fn run_to(&mut self, to: Timestamp) {
        if std::mem::take(&mut self.config.faults.release_stuck) {
            for order in &mut self.orders {
                order.is_stuck = false;
            }
        }
        while let Some(next) = self.next_instant(to) {
            self.now = next;
            self.square_off();
            self.release_amo();
            self.land_arrivals();
            if next.timestamp_subsec_millis() == 0 {
                self.match_resting();
            }
            self.close_orders();
        }
        self.now = self.now.max(to);
    }

    /// The next instant, after the present one and not after `to`, at which
    /// something can happen: an arrival, a whole second while orders live, or
    /// a fixed time of the day.
    fn next_instant(&self, to: Timestamp) -> Option<Timestamp> {
        let live = self.orders.iter().any(Order::is_live);
        let second = self.now.duration_trunc(TimeDelta::seconds(1)).unwrap_or(self.now)
            + TimeDelta::seconds(1);
        let arrivals = self
            .orders
            .iter()
            .filter(|order| !order.is_stuck)
            .filter_map(|order| order.flight.as_ref())
            .map(|flight| flight.arrives_at);
        let fixed = self
            .config
            .square_off
            .iter()
            .flat_map(|times| [self.today_at(times.equity), self.today_at(times.derivatives)]);
        arrivals
            .chain(fixed.filter(|_| !live))
            .chain(live.then_some(second.max(self.market.opens_at())))
            .filter(|instant| *instant > self.now && *instant <= to)
            .min()
    }

    fn land_arrivals(&mut self) {
        let now = self.now;
        for index in 0..self.orders.len() {
            let due = self.orders.get_mut(index).and_then(|order| {
                let due = !order.is_stuck
                    && order.flight.as_ref().is_some_and(|flight| flight.arrives_at <= now);
                if due { order.flight.take() } else { None }
            });
            if let Some(flight) = due {
                self.with_order(index, |exchange, order| exchange.land(order, flight.message));
            }
        }
    }

    /// Runs `work` on an order that is taken out of the book meanwhile.
    fn with_order(&mut self, index: usize, work: impl FnOnce(&mut Exchange, &mut Order)) {
        let Some(mut order) = self.orders.get(index).cloned() else { return };
        work(self, &mut order);
        if let Some(slot) = self.orders.get_mut(index) {
            *slot = order;
        }
    }

    fn land(&mut self, order: &mut Order, message: Message) {
        match message {
            Message::Enter => match self.exchange_refusal(order, None) {
                Some(words) => self.refuse(order, words),
                None => {
                    self.enter(order);
                    self.match_order(order, true);
                    self.end_if_immediate(order);
                }
            },
            Message::EnterRefused(words) => self.refuse(order, &words),
            Message::Modify(terms) => self.land_modification(order, terms),
            Message::Cancel => {
                order.cancel(self.now);
                self.emit(EventKind::Cancelled, order);
            }
        }
    }

    fn refuse(&mut self, order: &mut Order, words: &str) {
        order.reject(self.now, words);
        self.emit(EventKind::Rejected, order);
    }

    /// Puts an order into the exchange's book.
    pub(super) fn enter(&mut self, order: &mut Order) {
        let number = self.next_number();
        order.row.exchange_order_id = Some(ids::exchange_order_id(number));
        order.row.exchange_timestamp = Some(self.now);
        order.place = match order.row.order_type {
            OrderType::StopLimit | OrderType::StopMarket => Place::Asleep,
            OrderType::Limit | OrderType::Market => Place::Book,
        };
        order.record_at(self.now, order.resting_status());
    }

    fn land_modification(&mut self, order: &mut Order, terms: NewTerms) {
        let lost = Faults::take(&mut self.config.faults.modify_lost_next);
        let refused = self.exchange_refusal(order, Some(&terms)).is_some();
        if lost || refused || terms.quantity <= order.row.filled_quantity {
            order.record_at(self.now, order.resting_status());
            return;
        }
        order.row.order_type = terms.order_type;
        order.row.quantity = terms.quantity;
        order.row.pending_quantity = order.remaining();
        order.row.price = terms.price;
        order.row.trigger_price = terms.trigger_price;
        order.row.disclosed_quantity = terms.disclosed_quantity;
        order.row.validity = terms.validity;
        order.row.tags.extend(terms.tags);
        order.row.modified = true;
        order.fill_cap = None;
        if order.place != Place::Broker {
            order.place = match terms.order_type {
                OrderType::StopLimit | OrderType::StopMarket if !order.is_triggered => {
                    Place::Asleep
                }
                OrderType::StopLimit
                | OrderType::StopMarket
                | OrderType::Limit
                | OrderType::Market => Place::Book,
            };
        }
        order.record_at(self.now, OrderStatus::Pending("MODIFIED".to_string()));
        order.record_at(self.now, order.resting_status());
        self.emit(EventKind::Update, order);
        self.match_order(order, true);
        self.end_if_immediate(order);
    }

    fn exchange_refusal(&self, order: &Order, new: Option<&NewTerms>) -> Option<&'static str> {
        let row = self.market.by_token(order.row.instrument_token)?;
        let order_type = new.map_or(order.row.order_type, |terms| terms.order_type);
        let terms = Terms {
            row,
            side: order.row.side,
            order_type: if order.is_triggered { OrderType::Limit } else { order_type },
            quantity: order.row.quantity,
            price: new.map_or(order.row.price, |terms| terms.price),
            trigger: new.map_or(order.row.trigger_price, |terms| terms.trigger_price),
            last: self.last(row),
            band: (Price::ZERO, Price::ZERO),
        };
        terms.exchange_refusal(self.reference(row))
    }

    /// Mean trade price of the last 30 seconds.
    fn reference(&self, row: &InstrumentRow) -> Price {
        let prices: Vec<i64> = (0..REFERENCE_SECONDS)
            .map(|back| self.now - TimeDelta::seconds(back))
            .filter(|at| *at >= self.market.opens_at())
            .filter_map(|at| self.market.last(row.instrument.token, at))
            .map(Price::paise)
            .collect();
        match i64::try_from(prices.len()) {
            Ok(count @ 1..) => Price::from_paise(prices.iter().sum::<i64>() / count),
            Ok(_) | Err(_) => self.last(row),
        }
    }

    fn match_resting(&mut self) {
        for index in 0..self.orders.len() {
            if self.orders.get(index).is_some_and(|order| self.may_act(order)) {
                self.with_order(index, |exchange, order| exchange.match_order(order, false));
            }
        }
    }

    /// True when this second's prices wake an order or meet its limit.
    fn may_act(&self, order: &Order) -> bool {
        let token = order.row.instrument_token;
        match order.place {
            Place::Broker | Place::Underway | Place::Done => false,
            Place::Asleep => self
                .market
                .last(token, self.now)
                .is_some_and(|last| is_triggered(order.row.side, order.row.trigger_price, last)),
            Place::Book => {
                self.market.depth(token, self.now).is_some_and(|(bids, asks)| {
                    match order.row.side {
                        Side::Buy => {
                            asks[0].level.quantity > 0 && asks[0].level.price <= order.row.price
                        }
                        Side::Sell => bids[0].level.price >= order.row.price,
                    }
                })
            }
        }
    }

    /// Wakes an order if its trigger trades, and fills it as far as the book
    /// of this second goes.
    fn match_order(&mut self, order: &mut Order, arriving: bool) {
        let token = order.row.instrument_token;
        let closed = self.market.closes_at(token).is_none_or(|close| self.now >= close);
        if closed || self.now < self.market.opens_at() {
            return;
        }
        let mut arriving = arriving;
        if order.place == Place::Asleep {
            let Some(last) = self.market.last(token, self.now) else { return };
            if !is_triggered(order.row.side, order.row.trigger_price, last) {
                return;
            }
            order.is_triggered = true;
            order.place = Place::Book;
            arriving = true;
            self.record_resting(order);
            self.emit(EventKind::Open, order);
        }
        if order.place != Place::Book
            || self.config.faults.no_fills
            || self.config.faults.empty_book
        {
            return;
        }
        let before = order.row.filled_quantity;
        for fill in self.executions(order, arriving) {
            self.fill(order, fill);
        }
        if order.row.filled_quantity == before {
            return;
        }
        let kind = if order.is_live() { EventKind::Update } else { EventKind::Complete };
        self.emit(kind, order);
    }

    fn executions(&mut self, order: &mut Order, arriving: bool) -> Vec<Fill> {
        let token = order.row.instrument_token;
        let wanted = order.remaining().min(order.fill_cap.unwrap_or(Quantity::MAX));
        let Some((bids, asks)) = self.market.depth(token, self.now) else { return Vec::new() };
        let taken = self.taken.units(self.now.timestamp(), (token, order.row.side));
        let opposite = match order.row.side {
            Side::Buy => asks,
            Side::Sell => bids,
        };
        let mut gone = *taken;
        let levels: Vec<BookLevel> = opposite
            .iter()
            .map(|depth| {
                let used = gone.min(depth.level.quantity);
                gone -= used;
                BookLevel { quantity: depth.level.quantity - used, ..depth.level }
            })
            .filter(|level| level.quantity > 0)
            .collect();
        let working =
            Working { side: order.row.side, limit: order.row.price, quantity: wanted, arriving };
        let found = fills(&working, Book { bids: &levels, asks: &levels });
        let total: Quantity = found.iter().map(|fill| fill.quantity).sum();
        *taken += total;
        if let Some(cap) = order.fill_cap.as_mut() {
            *cap -= total;
        }
        found
    }

    /// Writes a status that hides neither a change nor an end on its way.
    fn record_resting(&self, order: &mut Order) {
        let status = match order.flight {
            Some(_) => order.row.status.clone(),
            None => order.resting_status(),
        };
        order.record_at(self.now, status);
    }

    /// Books an execution.
    pub(super) fn fill(&mut self, order: &mut Order, fill: Fill) {
        let number = self.next_number();
        order.row.filled_quantity += fill.quantity;
        order.row.filled_value += fill.price * fill.quantity;
        order.row.pending_quantity = order.remaining();
        self.trades.push(TradeRow {
            trade_id: ids::trade_id(number),
            order_id: order.row.order_id.clone(),
            exchange_order_id: order.row.exchange_order_id.clone().unwrap_or_default(),
            instrument: order.row.instrument.clone(),
            instrument_token: order.row.instrument_token,
            product: order.row.product.clone(),
            side: order.row.side,
            quantity: fill.quantity,
            price: fill.price,
            fill_timestamp: self.now,
        });
        if order.remaining() == 0 {
            order.finish(self.now, OrderStatus::Complete);
        } else {
            self.record_resting(order);
        }
    }

    fn end_if_immediate(&mut self, order: &mut Order) {
        if order.is_live() && order.row.validity == Validity::Ioc && order.place == Place::Book {
            order.cancel(self.now);
            self.emit(EventKind::Cancelled, order);
        }
    }

    /// After-market orders go to the exchange when it opens.
    fn release_amo(&mut self) {
        let open = self.market.opens_at();
        if self.now < open {
            return;
        }
        for index in 0..self.orders.len() {
            let waits = self
                .orders
                .get(index)
                .is_some_and(|order| order.place == Place::Broker && order.flight.is_none());
            if waits {
                let arrives_at = self.arrival();
                self.with_order(index, |_, order| {
                    order.place = Place::Underway;
                    order.record(order.resting_status());
                    order.flight =
                        Some(super::order::Flight { arrives_at, message: Message::Enter });
                });
            }
        }
    }

    /// Ends what the close or its own time ends.
    fn close_orders(&mut self) {
        for index in 0..self.orders.len() {
            let over = self.orders.get(index).is_some_and(|order| {
                let close = self.market.closes_at(order.row.instrument_token);
                let closed = close.is_some_and(|close| self.now >= close);
                let ended = order.ends_at.is_some_and(|end| self.now >= end);
                order.is_live() && order.place != Place::Broker && (closed || ended)
            });
            if over {
                self.with_order(index, |exchange, order| {
                    order.cancel(exchange.now);
                    exchange.emit(EventKind::Cancelled, order);
                });
            }
        }
    }

    /// The broker's own square-off of intraday positions.
    fn square_off(&mut self) {
        let Some(times) = self.config.square_off else { return };
        for (derivatives, time) in [(false, times.equity), (true, times.derivatives)] {
            if self.now >= self.today_at(time) && !self.squared_off.contains(&derivatives) {
                self.squared_off.push(derivatives);
                self.square_off_segment(derivatives);
            }
        }
    }

    fn square_off_segment(&mut self, derivatives: bool) {
        for index in 0..self.orders.len() {
            let ends = self.orders.get(index).is_some_and(|order| {
                order.is_live()
                    && order.row.product == Product::Mis
                    && order.row.instrument.exchange.is_derivatives() == derivatives
            });
            if ends {
                self.with_order(index, |exchange, order| {
                    order.cancel(exchange.now);
                    exchange.emit(EventKind::Cancelled, order);
                });
            }
        }
        for row in self.position_rows() {
            let ours = row.product == Product::Mis
                && row.quantity != 0
                && row.instrument.exchange.is_derivatives() == derivatives;
            if ours {
                let side = if row.quantity > 0 { Side::Sell } else { Side::Buy };
                // Outside the session there is nothing to trade against; the
                // position stays, as it does at a real broker.
                let _ = self.trade_at_once(
                    &row.instrument,
                    side,
                    row.quantity.abs(),
                    Product::Mis,
                    Source::Broker,
                );
            }
        }
    }

    /// Queues an order event.
    pub(super) fn emit(&mut self, kind: EventKind, order: &Order) {
        self.events.push(ExchangeEvent { at: self.now, kind, row: order.row.clone() });
    }
}
