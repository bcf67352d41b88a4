//! The simulated broker's own books: orders in Kite's sequences of states,
//! fills against the market, net positions. What is checked is checked
//! against these, never against the engine's memory.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::market::Market;
use crate::market::{
    BrokerOrder, BrokerPosition, InstrumentKey, Money, OrderChange, OrderId, OrderRequest,
    OrderStatus, OrderType, Price, Product, Quantity, Side, Timestamp,
};
use crate::sim::matching::{self, Working};

/// An order that is on its way to the exchange for this long is held up.
const HELD_UP: TimeDelta = TimeDelta::seconds(10);

/// Whose order it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Bot,
    User,
    Rms,
}

/// What is on its way to the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Place,
    Modify(OrderChange),
    Cancel,
}

/// One order.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) row: BrokerOrder,
    pub(super) owner: Owner,
    /// On its way to the exchange, with a number that names the way.
    pub(super) step: Option<(u32, Step)>,
    /// When that began.
    step_since: Timestamp,
    /// When the broker let go of it, after it had held it up for long.
    pub(super) freed_at: Option<Timestamp>,
    arriving: bool,
    /// What stood before a change was on its way.
    before: OrderStatus,
}

impl Order {
    pub(super) fn is_live(&self) -> bool {
        !self.row.status.is_terminal()
    }

    pub(super) fn left(&self) -> Quantity {
        self.row.quantity - self.row.filled
    }

    /// True for an order of the bot's that opens.
    pub(super) fn is_entry(&self) -> bool {
        self.owner == Owner::Bot
            && self.row.tag.as_ref().is_some_and(|tag| tag.as_str().ends_with("E1"))
    }

    /// True for an order of the bot's that reduces.
    pub(super) fn is_closer(&self) -> bool {
        self.owner == Owner::Bot && !self.is_entry()
    }

    /// True when the exchange has it: it can fill.
    pub(super) fn is_at_exchange(&self) -> bool {
        self.is_live() && !matches!(self.step, Some((_, Step::Place)))
    }
}

/// Why the broker says no at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct No {
    pub(super) word: &'static str,
    pub(super) message: String,
}

/// What was bought and sold of one instrument by one owner.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flow {
    pub(super) bought: Quantity,
    pub(super) bought_value: i64,
    pub(super) sold: Quantity,
    pub(super) sold_value: i64,
}

impl Flow {
    pub(super) fn net(&self) -> Quantity {
        self.bought - self.sold
    }

    fn add(&mut self, side: Side, units: Quantity, value: i64) {
        match side {
            Side::Buy => {
                self.bought += units;
                self.bought_value += value;
            }
            Side::Sell => {
                self.sold += units;
                self.sold_value += value;
            }
        }
    }
}

/// A rule that an order broke on its way in or at a fill.
#[derive(Debug)]
pub(super) struct Breach {
    pub(super) rule: &'static str,
    pub(super) key: InstrumentKey,
    pub(super) what: String,
    /// The order that filled, as it stood before.
    pub(super) order: Option<Order>,
}

/// Units that people or the broker closed of the bot's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outside {
    pub(super) at: Timestamp,
}

/// Units that the bot's orders closed too many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Over {
    pub(super) since: Timestamp,
    /// Sign of what came of it.
    pub(super) sign: Quantity,
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) orders: Vec<Order>,
    all: BTreeMap<InstrumentKey, Flow>,
    bot: BTreeMap<InstrumentKey, Flow>,
    /// Units of the bot that others closed, signed like what it held.
    taken: BTreeMap<InstrumentKey, Quantity>,
    /// Where the bot's orders closed more than was there.
    pub(super) over: BTreeMap<InstrumentKey, Over>,
    /// Where somebody else closed units that the bot had opened, and when
    /// last.
    pub(super) outside: BTreeMap<InstrumentKey, Outside>,
    ways: u32,
    /// Most units that one order may carry.
    pub(super) freeze: Quantity,
    /// Counts changes.
    pub(super) revision: u64,
    /// Rules that an order broke on its way in or at a fill.
    pub(super) faults: Vec<Breach>,
    /// Shown positions before the last changes, oldest first.
    past: Vec<(Timestamp, Vec<BrokerPosition>)>,
}

fn whole_second(at: Timestamp) -> Option<Timestamp> {
    Timestamp::from_timestamp(at.timestamp(), 0)
}

impl Books {
    /// Empty books of a broker with this freeze limit.
    pub(super) fn new(freeze: Quantity) -> Books {
        Books { freeze, ..Books::default() }
    }

    fn way(&mut self) -> u32 {
        self.ways += 1;
        self.ways
    }

    pub(super) fn find(&self, id: &OrderId) -> Option<usize> {
        self.orders.iter().position(|order| order.row.order_id == *id)
    }

    /// Takes an order in. It is on its way to the exchange then.
    pub(super) fn place(
        &mut self,
        at: Timestamp,
        request: &OrderRequest,
        owner: Owner,
    ) -> Result<(usize, u32), No> {
        if self.freeze > 0 && request.quantity > self.freeze {
            let message =
                format!("Quantity {} exceeds the freeze limit {}", request.quantity, self.freeze);
            self.breach("no order above the freeze limit", &request.instrument, message.clone());
            return Err(No { word: "InputException", message });
        }
        if owner == Owner::Bot
            && self.orders.iter().any(|order| order.row.tag.as_ref() == Some(&request.tag))
        {
            let what = format!("{} was sent twice", request.tag);
            self.breach("one order for each intent", &request.instrument, what);
        }
        let number = self.orders.len() + 1;
        let prefix = match owner {
            Owner::Bot => 26,
            Owner::User => 77,
            Owner::Rms => 99,
        };
        let way = self.way();
        let status = OrderStatus::Pending("OPEN PENDING".into());
        let row = BrokerOrder {
            order_id: OrderId(format!("{prefix}1123{number:09}")),
            tag: (owner == Owner::Bot).then(|| request.tag.clone()),
            exchange_order_id: None,
            status: status.clone(),
            status_message: None,
            instrument: request.instrument.clone(),
            side: request.side,
            order_type: request.order_type,
            product: request.product.clone(),
            quantity: request.quantity,
            filled: 0,
            filled_value: Money::ZERO,
            price: request.price,
            trigger: request.trigger.unwrap_or(Price::ZERO),
            placed_at: whole_second(at),
            updated_at: whole_second(at),
        };
        let step = Some((way, Step::Place));
        let order = Order {
            row,
            owner,
            step,
            step_since: at,
            freed_at: None,
            arriving: true,
            before: status,
        };
        self.orders.push(order);
        self.revision += 1;
        Ok((number - 1, way))
    }

    /// Takes a change or a cancel in.
    pub(super) fn change(
        &mut self,
        at: Timestamp,
        id: &OrderId,
        step: Step,
    ) -> Result<(usize, u32), No> {
        let no = |message: &str| No { word: "OrderException", message: message.into() };
        let Some(index) = self.find(id) else { return Err(no("Order not found")) };
        let way = self.way();
        let Some(order) = self.orders.get_mut(index) else { return Err(no("Order not found")) };
        if !order.is_live() {
            return Err(no("Order cannot be modified as it is finished"));
        }
        if order.step.is_some() {
            return Err(no("Order cannot be modified as it is being processed. Try later."));
        }
        if let Step::Modify(change) = &step
            && change.quantity.is_some_and(|total| total <= order.row.filled)
        {
            return Err(No {
                word: "InputException",
                message: "Quantity is filled already".into(),
            });
        }
        let word = match &step {
            Step::Cancel => "CANCEL PENDING",
            Step::Modify(_) | Step::Place => "MODIFY PENDING",
        };
        order.before = order.row.status.clone();
        order.row.status = OrderStatus::Pending(word.into());
        order.row.updated_at = whole_second(at);
        order.step = Some((way, step));
        order.step_since = at;
        self.revision += 1;
        Ok((index, way))
    }

    /// What was on its way reaches the exchange. False when that way is over.
    pub(super) fn arrive(&mut self, at: Timestamp, index: usize, way: u32, rejected: bool) -> bool {
        let Some(order) = self.orders.get_mut(index) else { return false };
        if order.step.as_ref().is_none_or(|(on, _)| *on != way) || !order.is_live() {
            return false;
        }
        let Some((_, step)) = order.step.take() else { return false };
        if at - order.step_since >= HELD_UP {
            order.freed_at = Some(at);
        }
        let row = &mut order.row;
        row.updated_at = whole_second(at);
        row.exchange_order_id.get_or_insert_with(|| format!("X{index}"));
        let resting = match row.order_type {
            OrderType::StopLimit | OrderType::StopMarket => OrderStatus::TriggerPending,
            OrderType::Limit | OrderType::Market => OrderStatus::Open,
        };
        match step {
            Step::Place if rejected => {
                row.status = OrderStatus::Rejected;
                row.status_message = Some("RMS: rejected by the exchange".into());
            }
            Step::Place => row.status = resting,
            Step::Modify(_) if rejected => {
                row.status = order.before.clone();
                row.status_message = Some("the change was rejected by the exchange".into());
            }
            Step::Modify(change) => {
                row.status = order.before.clone();
                if let Some(order_type) = change.order_type {
                    row.order_type = order_type;
                    row.status = OrderStatus::Open;
                    row.trigger = Price::ZERO;
                }
                row.price = change.price.unwrap_or(row.price);
                row.trigger = change.trigger.unwrap_or(row.trigger);
                row.quantity = change.quantity.unwrap_or(row.quantity);
                order.arriving = true;
                if row.filled >= row.quantity {
                    row.quantity = row.filled;
                    row.status = OrderStatus::Complete;
                }
            }
            Step::Cancel => row.status = OrderStatus::Cancelled,
        }
        self.revision += 1;
        true
    }

    /// Lets the market meet what the exchange has. Answers what changed.
    pub(super) fn meet(
        &mut self,
        at: Timestamp,
        market: &Market,
        only: Option<usize>,
    ) -> Vec<usize> {
        let mut changed = Vec::new();
        for index in 0..self.orders.len() {
            if only.is_some_and(|one| one != index) {
                continue;
            }
            if self.meet_one(at, market, index) {
                changed.push(index);
            }
        }
        changed
    }

    fn meet_one(&mut self, at: Timestamp, market: &Market, index: usize) -> bool {
        let Some(order) = self.orders.get_mut(index) else { return false };
        if !order.is_at_exchange() {
            return false;
        }
        let Some(quote) = market.quote(&order.row.instrument) else { return false };
        let waiting = order.row.status == OrderStatus::TriggerPending
            || (order.step.is_some() && order.before == OrderStatus::TriggerPending);
        let mut woke = false;
        if waiting {
            if !matching::is_triggered(order.row.side, order.row.trigger, quote.last) {
                return false;
            }
            woke = true;
            order.arriving = true;
            order.before = OrderStatus::Open;
            if order.step.is_none() {
                order.row.status = OrderStatus::Open;
            }
        }
        let working = Working {
            side: order.row.side,
            limit: order.row.price,
            quantity: order.left(),
            arriving: order.arriving,
        };
        let fills = matching::fills_at_touch(&working, &quote);
        order.arriving = false;
        if woke {
            order.row.updated_at = whole_second(at);
            self.revision += 1;
        }
        for fill in &fills {
            self.fill(at, index, fill.quantity, fill.price.paise());
        }
        woke || !fills.is_empty()
    }

    /// Fills units of an order at a price.
    pub(super) fn fill(&mut self, at: Timestamp, index: usize, units: Quantity, price: i64) {
        self.remember(at);
        let Some(order) = self.orders.get_mut(index) else { return };
        let as_it_was = order.clone();
        let units = units.min(order.left());
        if units <= 0 {
            return;
        }
        order.row.filled += units;
        order.row.filled_value += Money::from_paise(price * units);
        order.row.updated_at = whole_second(at);
        if order.row.filled == order.row.quantity {
            order.row.status = OrderStatus::Complete;
            order.step = None;
        }
        let (key, side, owner, closer) =
            (order.row.instrument.clone(), order.row.side, order.owner, order.is_closer());
        let tag = order.row.tag.clone();
        self.all.entry(key.clone()).or_default().add(side, units, price * units);
        self.revision += 1;
        if owner != Owner::Bot {
            return;
        }
        let before = self.bot_net(&key);
        self.bot.entry(key.clone()).or_default().add(side, units, price * units);
        let after = self.bot_net(&key);
        if closer && (before == 0 || before.signum() * after.signum() < 0) {
            let name = tag.map(|tag| tag.to_string()).unwrap_or_default();
            let what = format!("{name} took {} from {before} to {after}", key.symbol);
            self.over.entry(key.clone()).or_insert(Over { since: at, sign: after.signum() });
            let (rule, order) = ("never oversold", Some(as_it_was));
            self.faults.push(Breach { rule, key, what, order });
        }
    }

    /// Somebody else trades at once, at a price.
    pub(super) fn trade_at_once(
        &mut self,
        at: Timestamp,
        request: &OrderRequest,
        owner: Owner,
        price: i64,
    ) -> Option<usize> {
        let freeze = std::mem::take(&mut self.freeze);
        let placed = self.place(at, request, owner);
        self.freeze = freeze;
        let (index, way) = placed.ok()?;
        let opened = self.bot_net(&request.instrument);
        self.arrive(at, index, way, false);
        self.fill(at, index, request.quantity, price);
        let closes = match request.side {
            Side::Sell => opened > 0,
            Side::Buy => opened < 0,
        };
        if closes {
            let key = &request.instrument;
            let lost = opened - self.held(key);
            *self.taken.entry(key.clone()).or_default() += lost;
            self.outside.insert(key.clone(), Outside { at });
        }
        Some(index)
    }

    /// Cancels at the exchange without asking anyone.
    pub(super) fn kill(&mut self, at: Timestamp, index: usize) -> bool {
        let Some(order) = self.orders.get_mut(index) else { return false };
        if !order.is_live() {
            return false;
        }
        order.step = None;
        order.row.status = OrderStatus::Cancelled;
        order.row.updated_at = whole_second(at);
        self.revision += 1;
        true
    }

    fn breach(&mut self, rule: &'static str, key: &InstrumentKey, what: String) {
        self.faults.push(Breach { rule, key: key.clone(), what, order: None });
    }

    /// Units that the bot's own orders opened and nobody has closed.
    pub(super) fn bot_net(&self, key: &InstrumentKey) -> Quantity {
        let taken = self.taken.get(key).copied().unwrap_or(0);
        self.bot.get(key).map_or(0, Flow::net) - taken
    }

    /// Net units at the broker, whoever traded them.
    pub(super) fn net(&self, key: &InstrumentKey) -> Quantity {
        self.all.get(key).map_or(0, Flow::net)
    }

    /// Units of the bot that are there: what it opened, less what others
    /// took of it.
    pub(super) fn held(&self, key: &InstrumentKey) -> Quantity {
        let (own, all) = (self.bot_net(key), self.net(key));
        if own >= 0 { all.clamp(0, own) } else { all.clamp(own, 0) }
    }

    /// Instruments that the bot has traded.
    pub(super) fn bot_keys(&self) -> impl Iterator<Item = &InstrumentKey> {
        self.bot.keys()
    }

    /// What the bot's own fills brought, in paise.
    pub(super) fn bot_gross(&self) -> i64 {
        self.bot.values().map(|flow| flow.sold_value - flow.bought_value).sum()
    }

    /// Instruments with anything net.
    pub(super) fn open_keys(&self) -> Vec<InstrumentKey> {
        self.all.iter().filter(|(_, flow)| flow.net() != 0).map(|(key, _)| key.clone()).collect()
    }

    pub(super) fn rows(&self) -> Vec<BrokerOrder> {
        self.orders.iter().map(|order| order.row.clone()).collect()
    }

    pub(super) fn positions(&self, market: &Market) -> Vec<BrokerPosition> {
        priced(self.bare_positions(), market)
    }

    fn bare_positions(&self) -> Vec<BrokerPosition> {
        self.all
            .iter()
            .map(|(key, flow)| BrokerPosition {
                instrument: key.clone(),
                product: Product::Mis,
                quantity: flow.net(),
                bought: flow.bought,
                bought_value: Money::from_paise(flow.bought_value),
                sold: flow.sold,
                sold_value: Money::from_paise(flow.sold_value),
                last_price: Price::ZERO,
            })
            .collect()
    }

    fn remember(&mut self, at: Timestamp) {
        self.past.push((at, self.bare_positions()));
    }

    /// The positions as they stood at an instant.
    pub(super) fn positions_at(&self, at: Timestamp, market: &Market) -> Vec<BrokerPosition> {
        match self.past.iter().find(|(changed, _)| *changed > at) {
            Some((_, rows)) => priced(rows.clone(), market),
            None => self.positions(market),
        }
    }
}

fn priced(mut rows: Vec<BrokerPosition>, market: &Market) -> Vec<BrokerPosition> {
    for row in &mut rows {
        if let Some(quote) = market.quote(&row.instrument) {
            row.last_price = quote.last;
        }
    }
    rows
}
