//! Between the process and the broker: requests and their answers, reads,
//! order updates, and everything that can happen to them on the way. Answers
//! are HTTP and JSON, read by the production mapping.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::books::{No, Owner, Step};
use super::day::SimError;
use super::due::{Due, Lost};
use super::fault::FaultKind;
use super::world::World;
use crate::engine::Command;
use crate::engine::command::Fetch;
use crate::engine::event::{CommandId, Outcome, Refusal, Snapshot};
use crate::kite::decode;
use crate::kite::outcome::{OrderCall, classify};
use crate::market::time::ist;
use crate::market::{BrokerOrder, Money, OrderId, OrderStatus, OrderType, Timestamp};

/// The client waits this long for an answer.
const TIMEOUT: TimeDelta = TimeDelta::seconds(7);
/// A request may reach the broker this long after nobody waits any more.
const LATE_ENTRY: (i64, i64) = (200, 30_000);
const LATE_CLOSER: (i64, i64) = (200, 2_000);
/// Free money that is shown.
const AVAILABLE: Money = Money::from_rupees(500_000);
/// One order book in so many is read from JSON, row by row.
const DECODED_ONE_IN: i64 = 12;

/// What came back of an order call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    call: OrderCall,
    /// Status and body; the body may have broken off.
    answer: Option<(u16, Option<String>)>,
}

impl Reply {
    pub(super) fn outcome(&self) -> Outcome {
        use crate::kite::outcome::Reply as Seen;
        let seen = match &self.answer {
            Some((http, Some(body))) => Seen::Answer { http: *http, body: body.as_bytes() },
            Some((http, None)) => Seen::BodyLost { http: *http, reason: "connection reset" },
            None => Seen::Nothing { reason: "operation timed out" },
        };
        classify(self.call, seen)
    }

    fn success(call: OrderCall, id: &OrderId) -> Reply {
        let body = json!({ "status": "success", "data": { "order_id": id.0 } });
        Reply { call, answer: Some((200, Some(body.to_string()))) }
    }

    fn error(call: OrderCall, http: u16, word: &str, message: &str) -> Reply {
        let body = json!({ "status": "error", "message": message, "error_type": word });
        Reply { call, answer: Some((http, Some(body.to_string()))) }
    }

    fn html(call: OrderCall, http: u16) -> Reply {
        let page = format!("<html><head><title>{http}</title></head><body>nginx</body></html>");
        Reply { call, answer: Some((http, Some(page))) }
    }

    fn nothing(call: OrderCall) -> Reply {
        Reply { call, answer: None }
    }
}

fn call_of(command: &Command) -> OrderCall {
    if matches!(command, Command::Submit { .. }) { OrderCall::Place } else { OrderCall::Change }
}

fn is_entry(command: &Command) -> bool {
    matches!(command, Command::Submit { reduces: false, .. })
}

/// A row of the order book as Kite writes it.
fn row_json(row: &BrokerOrder) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| ist(at).format("%Y-%m-%d %H:%M:%S").to_string());
    let average =
        if row.filled > 0 { row.filled_value.to_f64_rupees() / row.filled as f64 } else { 0.0 };
    json!({
        "order_id": row.order_id.0,
        "exchange_order_id": row.exchange_order_id,
        "tag": row.tag.as_ref().map(|tag| tag.as_str()),
        "status": row.status.as_str(),
        "status_message": row.status_message,
        "exchange": row.instrument.exchange.as_str(),
        "tradingsymbol": row.instrument.symbol,
        "transaction_type": row.side.as_str(),
        "order_type": row.order_type.as_str(),
        "product": row.product.as_str(),
        "quantity": row.quantity,
        "filled_quantity": row.filled,
        "average_price": average,
        "price": row.price.to_f64_rupees(),
        "trigger_price": row.trigger.to_f64_rupees(),
        "order_timestamp": time(row.placed_at),
        "exchange_update_timestamp": time(row.updated_at),
    })
}

fn text_of(command: &Command) -> String {
    match command {
        Command::Submit { order, .. } => {
            let trigger = order.trigger.map_or(String::new(), |price| format!(" trigger {price}"));
            format!(
                "{} {} {} {} {}{trigger} [{}]",
                order.side.as_str(),
                order.quantity,
                order.instrument.symbol,
                order.order_type.as_str(),
                order.price,
                order.tag
            )
        }
        Command::Modify { order_id, change, .. } => format!("modify {order_id} {change:?}"),
        Command::Cancel { order_id, .. } => format!("cancel {order_id}"),
        Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {
            String::new()
        }
    }
}

impl World {
    fn latency(&mut self) -> TimeDelta {
        if self.dice.percent(4) { self.dice.millis(200, 900) } else { self.dice.millis(12, 120) }
    }

    /// An order command leaves the process.
    pub(super) fn send(
        &mut self,
        id: CommandId,
        command: &Command,
        may_enter: bool,
    ) -> Result<(), SimError> {
        let durable = match &self.kernel {
            Some(kernel) => kernel.journal().holds(id)?,
            None => false,
        };
        let session = (self.plan.open, self.market_close);
        self.audit.sends(self.now, id, command, durable, &self.books, session);
        self.sends += 1;
        let (seq, index) = (id.seq, id.index);
        self.tell_story(|| format!("sends {seq}/{index}: {}", text_of(command)));
        let (life, call) = (self.life, call_of(command));
        self.in_flight.push(id);
        let reduces = !is_entry(command);
        if let Some(message) = crate::trading::executor::closed_gate(reduces, false, may_enter) {
            let message = message.to_string();
            let outcome = Outcome::Refused { refusal: Refusal::Gate, message };
            self.later(TimeDelta::zero(), Due::Answer { id, life, outcome });
            return Ok(());
        }
        if self.strikes(FaultKind::RequestDropped, 100) {
            self.hit(FaultKind::RequestDropped, "the request is lost");
            self.reply(id, life, TIMEOUT, &Reply::nothing(call));
            return Ok(());
        }
        let lost = self.lose();
        let mut after = self.latency();
        if self.strikes(FaultKind::ResponseDelayed, 100) {
            self.hit(FaultKind::ResponseDelayed, "the request is slow");
            after += self.dice.millis(800, 5_500);
        } else if lost == Some(Lost::Response) && self.dice.percent(20) {
            // It arrives after everyone has stopped waiting.
            let (low, high) = if reduces { LATE_CLOSER } else { LATE_ENTRY };
            after = TIMEOUT + self.dice.millis(low, high);
            self.reply(id, life, TIMEOUT, &Reply::nothing(call));
        }
        let patience = self.now + TIMEOUT;
        let command = command.clone();
        self.later(after, Due::Arrive { id, life, command, lost, patience });
        Ok(())
    }

    /// Sends the answer of a call back, in the broker's words.
    pub(super) fn reply(&mut self, id: CommandId, life: u32, after: TimeDelta, reply: &Reply) {
        let outcome = reply.outcome();
        self.later(after, Due::Answer { id, life, outcome });
    }

    fn lose(&mut self) -> Option<Lost> {
        let ways = [
            (FaultKind::ResponseLost, Lost::Response, "the answer is lost"),
            (FaultKind::ServerError, Lost::Server, "the answer is a page of HTML"),
            (FaultKind::TimedOutButLive, Lost::TimedOut, "\"timed out\", and it lives"),
        ];
        for (kind, lost, what) in ways {
            if self.strikes(kind, 100) {
                self.hit(kind, what);
                return Some(lost);
            }
        }
        None
    }

    /// A request reaches the broker.
    pub(super) fn arrive(
        &mut self,
        id: CommandId,
        life: u32,
        command: &Command,
        lost: Option<Lost>,
        patience: Timestamp,
    ) {
        let call = call_of(command);
        let back = self.latency();
        if let Some(reply) = self.stopped_at_the_door(call, command) {
            return self.reply_by(id, life, back, patience, reply);
        }
        if lost == Some(Lost::Server) && self.dice.percent(50) {
            return self.reply_by(id, life, back, patience, Reply::html(call, 502));
        }
        let done = match command {
            Command::Submit { order, .. } => self.books.place(self.now, order, Owner::Bot),
            Command::Modify { order_id, change, .. } => {
                self.books.change(self.now, order_id, Step::Modify(change.clone()))
            }
            Command::Cancel { order_id, .. } => self.books.change(self.now, order_id, Step::Cancel),
            Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => return,
        };
        let (index, way) = match done {
            Ok(done) => done,
            Err(No { word, message }) => {
                return self.reply_by(
                    id,
                    life,
                    back,
                    patience,
                    Reply::error(call, 400, word, &message),
                );
            }
        };
        self.set_out(index, way);
        self.tell(index);
        let order_id = self.books.orders[index].row.order_id.clone();
        let reply = match lost {
            None => Reply::success(call, &order_id),
            Some(Lost::Response) if self.dice.percent(50) => {
                Reply { call, answer: Some((200, None)) }
            }
            Some(Lost::Response) => Reply::nothing(call),
            Some(Lost::Server) => Reply::html(call, 504),
            Some(Lost::TimedOut) => Reply::error(
                call,
                400,
                "OrderException",
                "Order request timed out. Please check the order book",
            ),
        };
        self.reply_by(id, life, back, patience, reply);
    }

    /// Sends an answer back, unless nobody waits for it any more.
    fn reply_by(
        &mut self,
        id: CommandId,
        life: u32,
        back: TimeDelta,
        patience: Timestamp,
        reply: Reply,
    ) {
        if self.now >= patience {
            return;
        }
        if self.now + back >= patience || reply.answer.is_none() {
            let nothing = Reply::nothing(reply.call);
            return self.reply(id, life, patience - self.now, &nothing);
        }
        self.reply(id, life, back, &reply);
    }

    /// Refusals before the order system is asked.
    fn stopped_at_the_door(&mut self, call: OrderCall, command: &Command) -> Option<Reply> {
        if self.weather.session_dead {
            return Some(Reply::error(
                call,
                403,
                "TokenException",
                "Incorrect `api_key` or `access_token`.",
            ));
        }
        if self.now < self.weather.rate_limited {
            let page = self.dice.percent(30);
            let json = Reply::error(call, 429, "NetworkException", "Too many requests");
            return Some(if page { Reply::html(call, 429) } else { json });
        }
        if self.now < self.weather.wrong_address {
            let message = "The IP address is not allowed to place orders";
            return Some(Reply::error(call, 403, "PermissionException", message));
        }
        if is_entry(command) && self.strikes(FaultKind::MarginShort, 100) {
            self.hit(FaultKind::MarginShort, "no money for the entry");
            return Some(Reply::error(call, 400, "MarginException", "Insufficient funds"));
        }
        if matches!(command, Command::Modify { .. }) && self.strikes(FaultKind::ModifyRejected, 50)
        {
            self.hit(FaultKind::ModifyRejected, "the change is refused");
            let word = if self.dice.percent(50) { "OrderException" } else { "InputException" };
            return Some(Reply::error(call, 400, word, "The order cannot be changed like this"));
        }
        None
    }

    /// An order or a change is on its way to the exchange.
    fn set_out(&mut self, order: usize, way: u32) {
        let mut after = self.dice.millis(5, 120);
        if self.strikes(FaultKind::PendingStuck, 100) {
            let most = (self.heal - self.now).num_milliseconds().clamp(2_000, 900_000);
            after = if self.dice.percent(70) {
                self.dice.millis(2_000, most.min(20_000))
            } else {
                self.dice.millis(2_000, most)
            };
            self.hit(FaultKind::PendingStuck, &format!("for {} s", after.num_seconds()));
        }
        self.later(after, Due::Settle { order, way });
    }

    /// The way to the exchange ends.
    pub(super) fn settle(&mut self, index: usize, way: u32) {
        let Some(order) = self.books.orders.get(index) else { return };
        let Some((_, step)) = order.step.clone().filter(|(on, _)| *on == way) else { return };
        let marketable = order.row.order_type == OrderType::Limit;
        let (price, left) = (order.row.price.paise(), order.left());
        let rejected = match step {
            Step::Place => self.strikes(FaultKind::RejectedAfterAccept, 100),
            Step::Modify(_) => self.strikes(FaultKind::ModifyRejected, 50),
            Step::Cancel => {
                if marketable && self.strikes(FaultKind::CancelLosesRace, 100) {
                    self.hit(FaultKind::CancelLosesRace, "it fills first");
                    self.books.fill(self.now, index, left, price);
                }
                false
            }
        };
        match (rejected, &step) {
            (true, Step::Place) => self.hit(FaultKind::RejectedAfterAccept, "at the exchange"),
            (true, Step::Modify(_) | Step::Cancel) => {
                self.hit(FaultKind::ModifyRejected, "by the exchange");
            }
            (false, _) => {}
        }
        self.books.arrive(self.now, index, way, rejected);
        self.books.meet(self.now, &self.market, Some(index));
        self.tell(index);
    }

    /// The broker tells of an order: by the ticker and by postback.
    pub(super) fn tell(&mut self, index: usize) {
        let Some(order) = self.books.orders.get(index) else { return };
        let body = row_json(&order.row).to_string();
        let row = order.row.clone();
        self.tell_story(|| {
            format!(
                "BROKER {} {} {} {}/{} {} {}",
                row.order_id,
                row.status,
                row.side.as_str(),
                row.filled,
                row.quantity,
                row.order_type.as_str(),
                row.price
            )
        });
        let life = self.life;
        if self.strikes(FaultKind::UpdateDropped, 100) {
            return self.hit(FaultKind::UpdateDropped, "nobody is told");
        }
        let mut after = self.dice.millis(8, 150);
        if self.strikes(FaultKind::UpdateReordered, 100) {
            self.hit(FaultKind::UpdateReordered, "told after later ones");
            after = self.dice.millis(400, 6_000);
        } else if self.strikes(FaultKind::UpdateLate, 100) {
            after = self.dice.millis(60_000, 10_800_000);
            self.hit(FaultKind::UpdateLate, &format!("told after {} s", after.num_seconds()));
        }
        if self.strikes(FaultKind::UpdateDuplicated, 100) {
            self.hit(FaultKind::UpdateDuplicated, "told twice");
            let again = after + self.dice.millis(1, 2_000);
            self.later(again, Due::Update { life, body: body.clone() });
        }
        self.later(after, Due::Update { life, body });
    }

    /// The process asks how things stand.
    pub(super) fn fetch(&mut self, id: CommandId, fetch: Fetch) {
        let (life, sent) = (self.life, self.now);
        let after = self.latency();
        self.later(after, Due::Orders { id, life, positions: fetch.positions, sent });
    }

    fn is_read_refused(&self) -> bool {
        self.weather.session_dead || self.now < self.weather.rate_limited
    }

    /// The order book is read.
    pub(super) fn read_orders(
        &mut self,
        id: CommandId,
        life: u32,
        positions: bool,
        sent: Timestamp,
    ) {
        let mut complete = true;
        let mut orders = None;
        let fails = self.strikes(FaultKind::OrdersReadFails, 100);
        if fails {
            self.hit(FaultKind::OrdersReadFails, "the order book is not answered");
        }
        if fails || self.is_read_refused() {
            complete = false;
        } else {
            let mut rows = self.books.rows();
            let partial = !rows.is_empty() && self.strikes(FaultKind::OrdersReadPartial, 100);
            if partial || self.dice.below(DECODED_ONE_IN) == 0 {
                let mut body: Vec<Value> = rows.iter().map(row_json).collect();
                if partial {
                    self.hit(FaultKind::OrdersReadPartial, "rows are unreadable");
                    for row in &mut body {
                        if self.dice.percent(50) {
                            *row = json!({ "order_id": row["order_id"], "quantity": "some" });
                        }
                    }
                }
                let decoded = decode::rows(&Value::Array(body), decode::order);
                if let Ok(decoded) = decoded {
                    complete = decoded.complete();
                    rows = decoded.rows;
                }
            }
            orders = Some(rows);
        }
        let after = self.latency();
        if positions {
            self.later(after, Due::Positions { id, life, sent, complete, orders });
        } else {
            self.snapshot(id, life, sent, complete, orders, None, sent);
        }
    }

    /// The positions are read.
    pub(super) fn read_positions(
        &mut self,
        id: CommandId,
        life: u32,
        sent: Timestamp,
        mut complete: bool,
        orders: Option<Vec<BrokerOrder>>,
    ) {
        let mut as_of = sent;
        let mut positions = None;
        let fails = self.strikes(FaultKind::PositionsReadFails, 100);
        if fails {
            self.hit(FaultKind::PositionsReadFails, "the positions are not answered");
        }
        if fails || self.is_read_refused() {
            complete = false;
        } else if self.strikes(FaultKind::PositionsStale, 100) {
            self.hit(FaultKind::PositionsStale, "the positions are old");
            as_of = self.now - self.dice.millis(1_000, 9_000);
            positions = Some(self.books.positions_at(as_of, &self.market));
        } else {
            positions = Some(self.books.positions(&self.market));
        }
        self.snapshot(id, life, sent, complete, orders, positions, as_of);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one answer")]
    fn snapshot(
        &mut self,
        command: CommandId,
        life: u32,
        taken_at: Timestamp,
        complete: bool,
        orders: Option<Vec<BrokerOrder>>,
        positions: Option<Vec<crate::market::BrokerPosition>>,
        as_of: Timestamp,
    ) {
        let available = complete.then_some(AVAILABLE);
        let taken_at = self.as_the_process_saw(taken_at);
        let snapshot = Snapshot { command, taken_at, complete, orders, positions, available };
        let after = self.latency();
        self.later(after, Due::Snapshot { life, snapshot, as_of });
    }

    /// True when the order is shown as waiting for somebody.
    pub(super) fn is_pending(&self, index: usize) -> bool {
        let order = self.books.orders.get(index);
        order.is_some_and(|order| matches!(order.row.status, OrderStatus::Pending(_)))
    }
}
