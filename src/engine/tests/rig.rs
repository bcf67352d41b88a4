//! Drives an engine: time, quotes, a broker, a journal to replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use chrono::TimeDelta;

use super::broker::Broker;
use super::fixture::{Scripted, clock, p, quote};
use crate::engine::command::{Command, Fetch};
use crate::engine::event::{
    CommandId, FeedState, OperatorAction, OperatorCommand, Outcome, Refusal, Snapshot,
};
use crate::engine::ledger::{Decision, Fact, TradeRecord};
use crate::engine::strategy::Signal;
use crate::engine::{DayPlan, Engine, Event, Notice, Stamp};
use crate::market::time::ist_time;
use crate::market::{Candle, InstrumentKey, OrderId, Quantity, Quote, Timestamp};

/// How the broker answers.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers {
    /// Nothing comes back, and nothing arrives.
    pub(super) dead: bool,
    /// Requests arrive, but no answer comes back.
    pub(super) deaf: bool,
    /// The next changes are refused like this.
    pub(super) refuse_modifies: VecDeque<Refusal>,
    /// The next placements are refused like this.
    pub(super) refuse_submits: VecDeque<Refusal>,
    /// The next placements never arrive, and no answer comes.
    pub(super) lose_submits: u32,
    /// Order updates come by the feed.
    pub(super) hints: bool,
}

pub(super) type Journal = Vec<(Stamp, Vec<Quote>, Event, Vec<Command>)>;

pub(super) struct Rig {
    pub(super) engine: Engine,
    pub(super) broker: Broker,
    pub(super) at: Timestamp,
    seq: u64,
    pub(super) answers: Answers,
    pub(super) quotes: BTreeMap<InstrumentKey, Quote>,
    pub(super) journal: Journal,
    pub(super) sent: Vec<Command>,
    pub(super) said: Vec<Notice>,
    pub(super) facts: Vec<Fact>,
    signals: Vec<Signal>,
    pub(super) told: Arc<Mutex<Vec<String>>>,
}

pub(super) fn engine(signals: &[Signal], told: &Arc<Mutex<Vec<String>>>) -> Engine {
    let (signals, told) = (signals.to_vec(), Arc::clone(told));
    Engine::with_strategies(Arc::new(move |_plan| {
        let (signals, told) = (signals.clone(), Arc::clone(&told));
        Ok(Box::new(Scripted { signals, told }))
    }))
}

impl Rig {
    /// A day that began at 08:45 and is reconciled, with a live feed.
    pub(super) fn new(plan: DayPlan, signals: Vec<Signal>) -> Rig {
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut rig = Rig {
            engine: engine(&signals, &told),
            broker: Broker::default(),
            at: clock("08:45"),
            seq: 0,
            answers: Answers { hints: true, ..Answers::default() },
            quotes: BTreeMap::new(),
            journal: Vec::new(),
            sent: Vec::new(),
            said: Vec::new(),
            facts: Vec::new(),
            signals,
            told,
        };
        rig.send(Event::Day(Box::new(plan)));
        rig.send(Event::Feed(FeedState::Up));
        rig
    }

    /// One event, and everything that the broker answers at once.
    pub(super) fn send(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        let mut turns = 0;
        while let Some(event) = events.pop_front() {
            turns += 1;
            assert!(turns < 500, "the engine and the broker talk without end");
            for (id, command) in self.step(event) {
                self.answer(id, command, &mut events);
            }
        }
    }

    /// One event alone; the commands are returned unanswered.
    pub(super) fn step(&mut self, event: Event) -> Vec<(CommandId, Command)> {
        self.seq += 1;
        let stamp = Stamp { seq: self.seq, at: self.at };
        let before = self.engine.revision();
        let mut out = Vec::new();
        self.engine.step(stamp, &event, &mut out);
        let due = self.engine.next_deadline();
        assert!(due.is_none_or(|due| due > self.at), "a deadline of {due:?} at {}", self.at);
        assert_eq!(self.engine.marks.broken, None);
        let forgets = matches!(event, Event::NewDate(_));
        let fresh = if let Event::Quotes(quotes) = &event { quotes.clone() } else { Vec::new() };
        if self.engine.revision() != before || !out.is_empty() {
            let merged = self.quotes.values().cloned().collect();
            self.journal.push((stamp, merged, event, out.clone()));
        }
        if forgets {
            self.quotes.clear();
        }
        for quote in fresh {
            self.quotes.insert(quote.instrument.clone(), quote);
        }
        for command in &out {
            match command {
                Command::Say(notice) => self.said.push(notice.clone()),
                Command::Record(fact) => self.facts.push(fact.clone()),
                Command::Submit { .. } | Command::Modify { .. } | Command::Cancel { .. } => {
                    self.sent.push(command.clone());
                }
                Command::Fetch(_) | Command::Watch(_) => {}
            }
        }
        let id = |index: usize| CommandId { seq: stamp.seq, index: u32::try_from(index).unwrap() };
        out.into_iter().enumerate().map(|(index, command)| (id(index), command)).collect()
    }

    pub(super) fn answer(&mut self, id: CommandId, command: Command, to: &mut VecDeque<Event>) {
        if let Command::Fetch(fetch) = command {
            to.push_back(Event::Snapshot(self.snapshot(id, fetch)));
            return;
        }
        let outcome = self.carry_out(command, to);
        if let Some(outcome) = outcome {
            to.push_back(Event::Outcome { command: id, outcome });
        }
    }

    pub(super) fn snapshot(&self, command: CommandId, fetch: Fetch) -> Snapshot {
        let dead = self.answers.dead || self.answers.deaf;
        Snapshot {
            command,
            taken_at: self.at,
            complete: !dead,
            orders: (fetch.orders && !dead).then(|| self.broker.rows.clone()),
            positions: (fetch.positions && !dead).then(|| self.broker.positions()),
            available: None,
        }
    }

    fn carry_out(&mut self, command: Command, to: &mut VecDeque<Event>) -> Option<Outcome> {
        if !command.is_order() {
            return None;
        }
        let unknown = || Outcome::Unknown { message: "timed out".into() };
        if self.answers.dead {
            return Some(unknown());
        }
        let at = self.at;
        let refused = |refusal| Outcome::Refused { refusal, message: "refused".into() };
        let (order_id, outcome) = match command {
            Command::Submit { .. } if self.answers.lose_submits > 0 => {
                self.answers.lose_submits -= 1;
                return Some(unknown());
            }
            Command::Submit { order, .. } => {
                if let Some(refusal) = self.answers.refuse_submits.pop_front() {
                    return Some(refused(refusal));
                }
                (Some(self.broker.place(at, &order)), None)
            }
            Command::Modify { order_id, change, .. } => {
                if let Some(refusal) = self.answers.refuse_modifies.pop_front() {
                    return Some(refused(refusal));
                }
                let done = self.broker.modify(at, &order_id, &change);
                (Some(order_id), (!done).then(|| refused(Refusal::Order)))
            }
            Command::Cancel { order_id, .. } => {
                let done = self.broker.cancel(at, &order_id);
                (Some(order_id), (!done).then(|| refused(Refusal::Order)))
            }
            Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {
                (None, None)
            }
        };
        let order_id = order_id?;
        if self.answers.deaf {
            return Some(unknown());
        }
        if self.answers.hints {
            to.extend(self.broker.row(&order_id).cloned().map(Event::Order));
        }
        Some(outcome.unwrap_or(Outcome::Accepted { order_id }))
    }

    /// Lets time pass, with every deadline on the way.
    pub(super) fn run_to(&mut self, text: &str) {
        self.run_until(clock(text));
    }

    pub(super) fn run_until(&mut self, until: Timestamp) {
        let mut turns = 0;
        while let Some(due) = self.engine.next_deadline().filter(|due| *due <= until) {
            turns += 1;
            assert!(turns < 200_000, "deadlines without end");
            self.at = due.max(self.at);
            self.keep_index_alive();
            self.send(Event::Deadline);
        }
        self.at = until;
        self.keep_index_alive();
    }

    /// Ticks go on coming while nothing of note happens.
    fn keep_index_alive(&mut self) {
        let at = self.at;
        let stale = |quote: &&mut Quote| at - quote.at >= TimeDelta::seconds(3);
        let fresh: Vec<Quote> = self
            .quotes
            .values_mut()
            .filter(stale)
            .map(|quote| Quote { at, ..quote.clone() })
            .collect();
        if self.engine.feed_up && !fresh.is_empty() {
            self.send(Event::Quotes(fresh));
        }
    }

    /// A tick of the index.
    pub(super) fn spot(&mut self, price: &str) {
        let key = self.engine.day().map(|plan| plan.signal.key.clone()).unwrap();
        let quote = quote(&key, self.at, price, None);
        self.send(Event::Quotes(vec![quote]));
    }

    /// A tick of an option: last, bid, ask.
    pub(super) fn book(&mut self, key: &InstrumentKey, last: &str, bid: &str, ask: &str) {
        let quote = quote(key, self.at, last, Some((bid, ask)));
        self.send(Event::Quotes(vec![quote]));
    }

    /// The same with the mean of the last half minute.
    pub(super) fn book_ref(&mut self, key: &InstrumentKey, reference: &str, bid: &str, ask: &str) {
        let mut quote = quote(key, self.at, reference, Some((bid, ask)));
        quote.reference = p(reference);
        self.send(Event::Quotes(vec![quote]));
    }

    pub(super) fn close_candle(&mut self, candle: Candle) {
        let instrument = self.engine.day().map(|plan| plan.signal.key.clone()).unwrap();
        self.send(Event::Candle { instrument, candle, sound: true });
    }

    /// Fills a live order, and tells by the feed.
    pub(super) fn fill(&mut self, id: &OrderId, units: Quantity, price: &str) {
        self.broker.fill(self.at, id, units, p(price));
        if self.answers.hints {
            let row = self.broker.row(id).cloned().unwrap();
            self.send(Event::Order(row));
        }
        self.run_until(self.at + TimeDelta::milliseconds(300));
    }

    pub(super) fn ask(&mut self, action: OperatorAction) -> (bool, String) {
        let request = OperatorCommand {
            request: i64::try_from(self.seq).unwrap(),
            actor: "test:1".into(),
            asked_at: self.at,
            action,
        };
        self.send(Event::Operator(request));
        self.facts
            .iter()
            .rev()
            .find_map(|fact| match fact {
                Fact::Answer { done, text, .. } => Some((*done, text.clone())),
                Fact::Decision(_)
                | Fact::Trade(_)
                | Fact::Order(_)
                | Fact::State(_)
                | Fact::Limit(_)
                | Fact::Day(_) => None,
            })
            .unwrap()
    }

    /// Kills the process and starts another from the journal.
    pub(super) fn restart(&mut self) {
        self.die();
        self.send(Event::Restarted);
        self.send(Event::Feed(FeedState::Up));
    }

    /// The process is gone, and with it every quote that no journaled event
    /// has carried into the file.
    pub(super) fn die(&mut self) {
        self.check_replay();
        self.engine = self.replayed();
        self.quotes = self.engine.quotes.clone();
    }

    fn replayed(&self) -> Engine {
        let mut engine = engine(&self.signals, &Arc::new(Mutex::new(Vec::new())));
        for (stamp, quotes, event, commands) in &self.journal {
            engine.observe(quotes);
            let mut out = Vec::new();
            engine.step(*stamp, event, &mut out);
            assert_eq!(&out, commands, "replay of {stamp:?} {event:?}");
        }
        engine
    }

    /// The journal makes the same commands and the same state again.
    pub(super) fn check_replay(&self) {
        let replayed = self.replayed();
        assert_eq!(format!("{replayed:?}"), format!("{:?}", self.engine));
    }

    pub(super) fn last_trade(&self) -> TradeRecord {
        self.facts
            .iter()
            .rev()
            .find_map(|fact| match fact {
                Fact::Trade(trade) => Some((**trade).clone()),
                Fact::Decision(_)
                | Fact::Answer { .. }
                | Fact::Order(_)
                | Fact::State(_)
                | Fact::Limit(_)
                | Fact::Day(_) => None,
            })
            .unwrap()
    }

    pub(super) fn last_decision(&self) -> Decision {
        self.facts
            .iter()
            .rev()
            .find_map(|fact| match fact {
                Fact::Decision(decision) => Some(decision.clone()),
                Fact::Trade(_)
                | Fact::Answer { .. }
                | Fact::Order(_)
                | Fact::State(_)
                | Fact::Limit(_)
                | Fact::Day(_) => None,
            })
            .unwrap()
    }

    pub(super) fn last_id(&self) -> OrderId {
        self.broker.last_own().order_id.clone()
    }

    /// What was sent so far, short: `10:03:00 BUY 20 LIMIT 414.05`.
    pub(super) fn sent_text(&self) -> Vec<String> {
        self.sent.iter().map(text_of).collect()
    }

    pub(super) fn headlines(&self) -> Vec<String> {
        self.said.iter().map(|notice| notice.headline.clone()).collect()
    }

    pub(super) fn time(&self) -> String {
        ist_time(self.at).to_string()
    }
}

fn text_of(command: &Command) -> String {
    match command {
        Command::Submit { order, .. } => {
            let trigger = order.trigger.map_or(String::new(), |price| format!(" {price}"));
            format!(
                "{} {} {}{trigger} {}",
                order.side.as_str(),
                order.quantity,
                order.order_type.as_str(),
                order.price
            )
        }
        Command::Modify { change, .. } => {
            let mut text = "modify".to_string();
            if let Some(order_type) = change.order_type {
                text.push_str(&format!(" {}", order_type.as_str()));
            }
            if let Some(quantity) = change.quantity {
                text.push_str(&format!(" qty {quantity}"));
            }
            if let Some(price) = change.price {
                text.push_str(&format!(" {price}"));
            }
            text
        }
        Command::Cancel { .. } => "cancel".into(),
        Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {
            String::new()
        }
    }
}
