//! What the journal says of one trade.

use std::collections::BTreeSet;

use super::Step;
use crate::engine::command::Command;
use crate::engine::event::{CommandId, Event, Outcome, Stamp};
use crate::engine::ledger::{Decision, Fact, IntentId, OrderRecord, TradeRecord, Verdict};
use crate::journal::Entry;
use crate::market::{BrokerOrder, OrderChange, OrderId, Timestamp};

/// Follows a trade through the entries of its days.
pub(super) struct Follower<'a> {
    id: &'a str,
    trade: Option<&'a TradeRecord>,
    intents: BTreeSet<IntentId>,
    /// Its order requests, to know their outcomes.
    sent: BTreeSet<CommandId>,
    /// The broker's names of its orders.
    pub(super) orders: BTreeSet<OrderId>,
    last_order: Vec<(IntentId, String)>,
    last_trade: String,
    last_shown: Vec<(OrderId, String)>,
    pub(super) steps: Vec<Step>,
}

impl<'a> Follower<'a> {
    pub(super) fn new(id: &'a str, trade: Option<&'a TradeRecord>) -> Follower<'a> {
        Follower {
            id,
            trade,
            intents: BTreeSet::new(),
            sent: BTreeSet::new(),
            orders: BTreeSet::new(),
            last_order: Vec::new(),
            last_trade: String::new(),
            last_shown: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// The orders of a day that serve the trade. Intents are numbered by day.
    pub(super) fn begin_day(&mut self, orders: &[OrderRecord]) {
        let ours = orders.iter().filter(|order| order.trade_id == self.id);
        self.intents = ours.clone().map(|order| order.intent).collect();
        self.orders.extend(ours.filter_map(|order| order.order_id.clone()));
        self.last_order.clear();
    }

    pub(super) fn entry(&mut self, entry: &Entry) {
        let at = entry.stamp.at;
        match &entry.event {
            Event::Outcome { command, outcome } if self.sent.contains(command) => {
                self.step(at, outcome_text(outcome));
            }
            Event::Order(order) if self.orders.contains(&order.order_id) => {
                self.shown(at, order);
            }
            Event::Outcome { .. }
            | Event::Order(_)
            | Event::NewDate(_)
            | Event::Day(_)
            | Event::Quotes(_)
            | Event::Candle { .. }
            | Event::Feed(_)
            | Event::Snapshot(_)
            | Event::Operator(_)
            | Event::Deadline
            | Event::Restarted
            | Event::ClockJumped { .. }
            | Event::Session { .. } => {}
        }
        for (index, command) in (0..).zip(&entry.commands) {
            self.command(entry.stamp, index, command);
        }
    }

    fn command(&mut self, stamp: Stamp, index: u32, command: &Command) {
        let name = CommandId { seq: stamp.seq, index };
        let text = match command {
            Command::Submit { intent, order, .. } if self.intents.contains(intent) => {
                format!(
                    "sends {} {} {} of {}, tag {}",
                    order.side.as_str(),
                    order.order_type.as_str(),
                    order.quantity,
                    order.instrument,
                    order.tag
                )
            }
            Command::Modify { intent, order_id, change } if self.intents.contains(intent) => {
                format!("changes order {order_id}:{}", change_text(change))
            }
            Command::Cancel { intent: Some(intent), order_id } if self.intents.contains(intent) => {
                format!("cancels order {order_id}")
            }
            Command::Record(fact) => return self.fact(stamp.at, fact),
            Command::Submit { .. }
            | Command::Modify { .. }
            | Command::Cancel { .. }
            | Command::Fetch(_)
            | Command::Watch(_)
            | Command::Say(_) => return,
        };
        self.sent.insert(name);
        self.step(stamp.at, text);
    }

    fn fact(&mut self, at: Timestamp, fact: &Fact) {
        match fact {
            Fact::Decision(decision) if self.caused(decision) => {
                self.step(at, decision_text(decision));
            }
            Fact::Order(order) if order.trade_id == self.id => self.order(at, order),
            Fact::Trade(trade) if trade.trade_id == self.id => {
                let text = trade_text(trade);
                if text != self.last_trade {
                    self.last_trade.clone_from(&text);
                    self.step(at, text);
                }
            }
            Fact::Decision(_)
            | Fact::Order(_)
            | Fact::Trade(_)
            | Fact::State(_)
            | Fact::Answer { .. }
            | Fact::Limit(_)
            | Fact::Day(_) => {}
        }
    }

    /// True for the verdict that asked for this trade.
    fn caused(&self, decision: &Decision) -> bool {
        self.trade.is_some_and(|trade| {
            decision.verdict == Verdict::Enter
                && decision.instrument == trade.signal
                && decision.candle.start == trade.candle.start
                && decision.direction.is_none_or(|direction| direction == trade.direction)
        })
    }

    fn order(&mut self, at: Timestamp, order: &OrderRecord) {
        self.orders.extend(order.order_id.clone());
        let text = order_text(order);
        let last = self.last_order.iter_mut().find(|(intent, _)| *intent == order.intent);
        match last {
            Some((_, last)) if *last == text => return,
            Some((_, last)) => last.clone_from(&text),
            None => self.last_order.push((order.intent, text.clone())),
        }
        self.step(at, text);
    }

    /// The broker's word on an order, when it is new.
    fn shown(&mut self, at: Timestamp, order: &BrokerOrder) {
        let filled = match order.filled {
            0 => String::new(),
            filled => format!(", {filled} of {} filled", order.quantity),
        };
        let id = &order.order_id;
        let text = format!("the broker shows order {id}: {}{filled}", order.status.as_str());
        let last = self.last_shown.iter_mut().find(|(known, _)| known == id);
        match last {
            Some((_, last)) if *last == text => return,
            Some((_, last)) => last.clone_from(&text),
            None => self.last_shown.push((id.clone(), text.clone())),
        }
        self.step(at, text);
    }

    fn step(&mut self, at: Timestamp, what: String) {
        self.steps.push(Step { at, service: "trading".to_owned(), source: "journal", what });
    }
}

fn decision_text(decision: &Decision) -> String {
    let level = decision.level.as_deref().map(|level| format!(" at {level}")).unwrap_or_default();
    let direction =
        decision.direction.map(|side| format!(" {}", side.as_str())).unwrap_or_default();
    let numbers: String =
        decision.numbers.iter().map(|(name, value)| format!(" {name}={value}")).collect();
    let (instrument, reason) = (&decision.instrument, &decision.reason);
    format!("signal on {instrument}: {reason}{direction}{level}{numbers}")
}

fn order_text(order: &OrderRecord) -> String {
    let trigger = order.trigger.map(|trigger| format!(" trigger {trigger}")).unwrap_or_default();
    let id = order.order_id.as_ref().map(|id| format!(" (order {id})")).unwrap_or_default();
    let filled = match order.filled {
        0 => String::new(),
        filled => {
            let average = order.filled_value.per_unit(filled);
            let average = average.map(|price| format!(" at {price}")).unwrap_or_default();
            format!(", {filled} filled{average}")
        }
    };
    let words = order.message.as_ref().map(|words| format!(", said: {words}")).unwrap_or_default();
    format!(
        "{} order {} {} of {} at {}{trigger}: {}{filled}{words}{id}",
        order.role.as_str(),
        order.side.as_str(),
        order.quantity,
        order.instrument,
        order.price,
        order.status,
    )
}

fn trade_text(trade: &TradeRecord) -> String {
    let price = |value: crate::market::Money, units: i64| {
        value.per_unit(units).map(|price| format!(" at {price}")).unwrap_or_default()
    };
    let entered = price(trade.entry_value, trade.quantity);
    let mut text = format!(
        "trade: {} units of {}{entered}, stop {}, target {}",
        trade.quantity, trade.contract, trade.stop, trade.target
    );
    if trade.closed_quantity != 0 {
        let exited = price(trade.exit_value, trade.closed_quantity);
        text.push_str(&format!(", {} closed{exited}", trade.closed_quantity));
    }
    if let Some(reason) = trade.exit_reason {
        let word = if trade.is_closed() { "EXIT" } else { "leaving:" };
        text.push_str(&format!(", {word} {}", reason.as_str()));
    }
    if trade.is_closed() {
        text.push_str(&format!(", net {}", trade.net().signed()));
    }
    text
}

fn change_text(change: &OrderChange) -> String {
    let kind = change.order_type.map(|kind| format!(" {}", kind.as_str()));
    let quantity = change.quantity.map(|quantity| format!(" {quantity} units"));
    let price = change.price.map(|price| format!(" at {price}"));
    let trigger = change.trigger.map(|trigger| format!(" trigger {trigger}"));
    [kind, quantity, price, trigger].into_iter().flatten().collect()
}

fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Accepted { order_id } => format!("the broker took it: order {order_id}"),
        Outcome::Refused { refusal, message } => {
            format!("the broker refused it ({refusal:?}): {message}")
        }
        Outcome::Unknown { message } => format!("the broker's answer is unknown: {message}"),
    }
}
