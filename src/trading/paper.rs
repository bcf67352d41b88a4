//! Paper trading: real prices, fills by the matching code of the simulated
//! exchange, a book that survives a restart in a file of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::engine::event::{Outcome, Refusal};
use crate::market::time::ist_date;
use crate::market::{
    BrokerOrder, BrokerPosition, InstrumentKey, Money, OrderChange, OrderId, OrderRequest,
    OrderStatus, OrderType, Price, Product, Quantity, Quote, Side, Tag,
};
use crate::sim::matching::{Working, fills_at_touch, is_triggered};

/// The paper book. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(super) struct PaperBook {
    shared: Arc<Mutex<Book>>,
    clock: Clock,
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    date: Option<chrono::NaiveDate>,
    cash_paise: i64,
    next_id: u64,
    orders: Vec<Order>,
    #[serde(skip)]
    quotes: BTreeMap<InstrumentKey, Quote>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Order {
    id: u64,
    tag: String,
    instrument: String,
    buys: bool,
    product: String,
    order_type: String,
    quantity: Quantity,
    price_paise: i64,
    trigger_paise: i64,
    status: String,
    filled: Quantity,
    filled_value_paise: i64,
    placed_us: i64,
    updated_us: i64,
    arriving: bool,
}

impl PaperBook {
    /// Opens the paper book of today. One of an earlier day keeps its cash
    /// and drops its orders.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn open(dir: &Path, clock: Clock, capital: Money) -> std::io::Result<PaperBook> {
        let path = dir.join("paper-book.json");
        let mut book = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Book { cash_paise: capital.paise(), next_id: 1, ..Book::default() }
            }
            Err(error) => return Err(error),
        };
        book.begin(ist_date(clock.now()));
        Ok(PaperBook { shared: Arc::new(Mutex::new(book)), clock, path })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        let mut book = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        book.begin(ist_date(self.clock.now()));
        book
    }

    fn save(&self, book: &Book) {
        let text = serde_json::to_vec(book).unwrap_or_default();
        let fresh = self.path.with_extension("json.tmp");
        let written =
            std::fs::write(&fresh, text).and_then(|()| std::fs::rename(&fresh, &self.path));
        if let Err(error) = written {
            tracing::error!(%error, "the paper book could not be saved");
        }
    }

    pub(super) fn submit(&self, request: &OrderRequest) -> Outcome {
        let now_us = self.clock.now().timestamp_micros();
        let mut book = self.book();
        let cost = request.price * request.quantity;
        if request.side == Side::Buy && book.held(&request.instrument) >= 0 && cost > book.free() {
            return refused(
                Refusal::Margin,
                format!("paper cash {} is short of {cost}", book.free()),
            );
        }
        let id = book.next_id;
        book.next_id += 1;
        let waits = request.order_type == OrderType::StopLimit;
        book.orders.push(Order {
            id,
            tag: request.tag.as_str().into(),
            instrument: request.instrument.to_string(),
            buys: request.side == Side::Buy,
            product: request.product.as_str().into(),
            order_type: request.order_type.as_str().into(),
            quantity: request.quantity,
            price_paise: request.price.paise(),
            trigger_paise: request.trigger.map_or(0, Price::paise),
            status: if waits { "TRIGGER PENDING" } else { "OPEN" }.into(),
            filled: 0,
            filled_value_paise: 0,
            placed_us: now_us,
            updated_us: now_us,
            arriving: true,
        });
        self.save(&book);
        Outcome::Accepted { order_id: OrderId(format!("PAPER{id}")) }
    }

    pub(super) fn modify(&self, id: &OrderId, change: &OrderChange) -> Outcome {
        let now_us = self.clock.now().timestamp_micros();
        let mut book = self.book();
        let Some(order) = book.live(id) else {
            return refused(Refusal::Order, "the paper order is finished or unknown");
        };
        if let Some(order_type) = change.order_type {
            order.order_type = order_type.as_str().into();
        }
        order.quantity = change.quantity.unwrap_or(order.quantity);
        order.price_paise = change.price.map_or(order.price_paise, Price::paise);
        order.trigger_paise = change.trigger.map_or(order.trigger_paise, Price::paise);
        let waits = order.order_type == "SL" && order.status == "TRIGGER PENDING";
        order.status = if waits { "TRIGGER PENDING" } else { "OPEN" }.into();
        order.arriving = true;
        order.updated_us = now_us;
        self.save(&book);
        Outcome::Accepted { order_id: id.clone() }
    }

    pub(super) fn cancel(&self, id: &OrderId) -> Outcome {
        let now_us = self.clock.now().timestamp_micros();
        let mut book = self.book();
        let Some(order) = book.live(id) else {
            return refused(Refusal::Order, "the paper order is finished or unknown");
        };
        order.status = "CANCELLED".into();
        order.updated_us = now_us;
        self.save(&book);
        Outcome::Accepted { order_id: id.clone() }
    }

    /// Takes new prices; returns the orders that changed.
    pub(super) fn prices(&self, quotes: &[Quote]) -> Vec<BrokerOrder> {
        let now_us = self.clock.now().timestamp_micros();
        let mut book = self.book();
        let mut changed = Vec::new();
        for quote in quotes {
            book.quotes.insert(quote.instrument.clone(), quote.clone());
            let name = quote.instrument.to_string();
            for order in book.orders.iter_mut().filter(|order| order.instrument == name) {
                if order.meet(quote) {
                    order.updated_us = now_us;
                    changed.extend(order.row());
                }
            }
        }
        if !changed.is_empty() {
            self.save(&book);
        }
        changed
    }

    pub(super) fn orders(&self) -> Vec<BrokerOrder> {
        self.book().orders.iter().filter_map(Order::row).collect()
    }

    pub(super) fn positions(&self) -> Vec<BrokerPosition> {
        let book = self.book();
        let mut positions: BTreeMap<(InstrumentKey, String), BrokerPosition> = BTreeMap::new();
        for order in book.orders.iter().filter(|order| order.filled > 0) {
            let Some(key) = InstrumentKey::parse(&order.instrument) else { continue };
            let last_price = book.quotes.get(&key).map(|quote| quote.last).unwrap_or_default();
            let row = positions.entry((key.clone(), order.product.clone())).or_insert_with(|| {
                BrokerPosition {
                    instrument: key,
                    product: Product::parse(&order.product),
                    quantity: 0,
                    bought: 0,
                    bought_value: Money::ZERO,
                    sold: 0,
                    sold_value: Money::ZERO,
                    last_price,
                }
            });
            let value = Money::from_paise(order.filled_value_paise);
            if order.buys {
                row.quantity += order.filled;
                row.bought += order.filled;
                row.bought_value += value;
            } else {
                row.quantity -= order.filled;
                row.sold += order.filled;
                row.sold_value += value;
            }
        }
        positions.into_values().collect()
    }

    pub(super) fn available(&self) -> Money {
        self.book().free()
    }
}

impl Book {
    /// Keeps the cash and drops the orders of an earlier day.
    fn begin(&mut self, today: chrono::NaiveDate) {
        if self.date != Some(today) {
            self.cash_paise += self.orders.iter().map(Order::cash_flow).sum::<i64>();
            self.orders.clear();
            self.date = Some(today);
        }
    }

    fn free(&self) -> Money {
        Money::from_paise(self.cash_paise + self.orders.iter().map(Order::cash_flow).sum::<i64>())
    }

    fn held(&self, key: &InstrumentKey) -> Quantity {
        let name = key.to_string();
        let of_key = self.orders.iter().filter(|order| order.instrument == name);
        of_key.map(|order| if order.buys { order.filled } else { -order.filled }).sum()
    }

    fn live(&mut self, id: &OrderId) -> Option<&mut Order> {
        let number: u64 = id.0.strip_prefix("PAPER")?.parse().ok()?;
        self.orders
            .iter_mut()
            .find(|order| order.id == number && !OrderStatus::parse(&order.status).is_terminal())
    }
}

impl Order {
    fn cash_flow(&self) -> i64 {
        if self.buys { -self.filled_value_paise } else { self.filled_value_paise }
    }

    fn side(&self) -> Side {
        if self.buys { Side::Buy } else { Side::Sell }
    }

    /// Meets the market; true when something changed.
    fn meet(&mut self, quote: &Quote) -> bool {
        let mut changed = false;
        if self.status == "TRIGGER PENDING" {
            let trigger = Price::from_paise(self.trigger_paise);
            if !is_triggered(self.side(), trigger, quote.last) {
                return false;
            }
            self.status = "OPEN".into();
            self.arriving = true;
            changed = true;
        }
        if self.status != "OPEN" {
            return changed;
        }
        let working = Working {
            side: self.side(),
            limit: Price::from_paise(self.price_paise),
            quantity: self.quantity - self.filled,
            arriving: self.arriving,
        };
        self.arriving = false;
        for fill in fills_at_touch(&working, quote) {
            self.filled += fill.quantity;
            self.filled_value_paise += (fill.price * fill.quantity).paise();
            changed = true;
        }
        if self.filled >= self.quantity {
            self.status = "COMPLETE".into();
        }
        changed
    }

    fn row(&self) -> Option<BrokerOrder> {
        let at = |us| chrono::DateTime::from_timestamp_micros(us);
        Some(BrokerOrder {
            order_id: OrderId(format!("PAPER{}", self.id)),
            tag: Tag::new(self.tag.clone()),
            exchange_order_id: Some(self.id.to_string()),
            status: OrderStatus::parse(&self.status),
            status_message: None,
            instrument: InstrumentKey::parse(&self.instrument)?,
            side: self.side(),
            order_type: OrderType::parse(&self.order_type)?,
            product: Product::parse(&self.product),
            quantity: self.quantity,
            filled: self.filled,
            filled_value: Money::from_paise(self.filled_value_paise),
            price: Price::from_paise(self.price_paise),
            trigger: Price::from_paise(self.trigger_paise),
            placed_at: at(self.placed_us),
            updated_at: at(self.updated_us),
        })
    }
}

/// A refusal in our own words, before anything is sent.
fn refused(refusal: Refusal, message: impl Into<String>) -> Outcome {
    Outcome::Refused { refusal, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{BookLevel, Exchange};

    fn quote(last: i64) -> Quote {
        let level = |paise| Some(BookLevel { price: Price::from_paise(paise), quantity: 1_000 });
        Quote {
            instrument: InstrumentKey::new(Exchange::Bfo, "SENSEX26NOV81300CE"),
            at: chrono::DateTime::UNIX_EPOCH,
            last: Price::from_paise(last),
            bid: level(last - 40),
            ask: level(last + 40),
            ask_depth: 1_000,
            volume: 0,
            open_interest: 0,
            reference: Price::from_paise(last),
        }
    }

    fn request(
        side: Side,
        order_type: OrderType,
        price: i64,
        trigger: Option<i64>,
    ) -> OrderRequest {
        OrderRequest {
            instrument: quote(1).instrument,
            side,
            order_type,
            product: Product::Mis,
            quantity: 20,
            price: Price::from_paise(price),
            trigger: trigger.map(Price::from_paise),
            tag: Tag::new("P1123I001E1").unwrap(),
        }
    }

    #[test]
    fn a_round_trip_survives_a_restart_and_adds_up() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            PaperBook::open(folder.path(), Clock::system(), Money::from_rupees(200_000)).unwrap()
        };
        let book = open();
        book.submit(&request(Side::Buy, OrderType::Limit, 41_405, None));
        book.prices(&[quote(41_160)]);
        let stop = book.submit(&request(Side::Sell, OrderType::StopLimit, 25_955, Some(28_840)));
        book.prices(&[quote(41_000)]);
        drop(book);
        let book = open();
        assert_eq!(book.positions()[0].quantity, 20);
        assert_eq!(book.orders()[1].status, OrderStatus::TriggerPending);
        let Outcome::Accepted { order_id } = stop else { panic!("{stop:?}") };
        let change = OrderChange {
            order_type: Some(OrderType::Limit),
            price: Some(Price::from_paise(66_485)),
            ..OrderChange::default()
        };
        assert!(matches!(book.modify(&order_id, &change), Outcome::Accepted { .. }));
        let changed = book.prices(&[quote(66_860)]);
        assert_eq!(changed[0].status, OrderStatus::Complete);
        assert_eq!(changed[0].filled_value, Price::from_paise(66_820) * 20);
        assert_eq!(book.positions()[0].quantity, 0);
        let gained = (Price::from_paise(66_820) - Price::from_paise(41_200)) * 20;
        assert_eq!(book.available(), Money::from_rupees(200_000) + gained);
        assert!(matches!(book.cancel(&order_id), Outcome::Refused { .. }));
    }
}
