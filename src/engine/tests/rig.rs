//! Drives an engine: time, quotes, a broker, a journal to replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use chrono::{NaiveDate, NaiveTime, TimeDelta};

use super::broker::Broker;
use crate::engine::command::{Command, Fetch};
use crate::engine::event::{
    CommandId, FeedState, OperatorAction, OperatorCommand, Outcome, Refusal, Snapshot,
};
use crate::engine::ledger::{Decision, Direction, Fact, TradeRecord, Verdict};
use crate::engine::settings::{
    LevelBreakoutSettings, Mode, Ppm, RiskSettings, Schedule, Settings, StrategySettings,
};
use crate::engine::strategy::{
    CandleInput, ClosedTrade, Judgement, Outlook, Signal, Strategy, Vehicle,
};
use crate::engine::{DayPlan, Engine, Event, Notice, Stamp};
use crate::market::time::{from_ist, hms, ist_time};
use crate::market::{
    BookLevel, Candle, Exchange, Instrument, InstrumentKey, InstrumentKind, Money, OrderId, Price,
    Product, Quantity, Quote, Timestamp,
};

pub(super) fn date() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, 23).unwrap()
}

pub(super) fn p(text: &str) -> Price {
    text.parse().unwrap()
}

pub(super) fn m(text: &str) -> Money {
    text.parse().unwrap()
}

pub(super) fn clock(text: &str) -> Timestamp {
    let format = if text.len() > 5 { "%H:%M:%S%.f" } else { "%H:%M" };
    from_ist(date(), NaiveTime::parse_from_str(text, format).unwrap())
}

pub(super) fn index() -> InstrumentKey {
    InstrumentKey::new(Exchange::Bse, "SENSEX")
}

pub(super) fn option(symbol: &str) -> InstrumentKey {
    InstrumentKey::new(Exchange::Bfo, symbol)
}

/// An underlying with its chain.
#[derive(Debug, Clone, Copy)]
pub(super) enum Market {
    Sensex,
    Nifty,
}

pub(super) fn risk() -> RiskSettings {
    RiskSettings {
        capital: Money::from_rupees(200_000),
        max_daily_loss: Money::from_rupees(5_000),
        max_weekly_loss: Money::from_rupees(10_000),
        max_monthly_loss: Money::from_rupees(20_000),
        max_trades: 3,
        max_consecutive_losses: 2,
        trade_risk_budget: Money::from_rupees(2_000),
        max_premium: Money::from_rupees(20_000),
        max_lots: 1,
        min_edge_multiple: 3,
        catastrophe: Ppm(300_000),
        catastrophe_gap: Ppm(100_000),
        protect_within_s: 5,
        entry_slip: Ppm(5_000),
        entry_cap: Ppm(30_000),
        entry_ttl_s: 10,
        signal_ttl_s: 15,
        exit_ladder: [5_000, 20_000, 50_000, 100_000, 200_000].map(Ppm).to_vec(),
        exit_step_s: 3,
        max_spread_pct: Ppm(15_000),
        max_spread: Price::from_rupees(6),
        min_depth_multiple: 5,
        min_open_interest: 10_000,
        min_premium: Price::from_rupees(20),
        max_premium_price: Price::from_rupees(1_500),
        index_stale_s: 10,
        option_stale_s: 15,
        blind_s: 60,
        delta_atm: Ppm(500_000),
        delta_itm: Ppm(600_000),
        min_dte: 1,
        freeze_quantity: 1_000,
        max_order_messages: 200,
        require_arm: false,
    }
}

pub(super) fn plan(market: Market) -> DayPlan {
    let (signal, exchange, name, step, lot, strikes, expiry) = match market {
        Market::Sensex => (index(), Exchange::Bfo, "SENSEX", 100, 20, 79_000..83_000, 26),
        Market::Nifty => {
            let key = InstrumentKey::new(Exchange::Nse, "NIFTY 50");
            (key, Exchange::Nfo, "NIFTY", 50, 65, 24_000..26_000, 30)
        }
    };
    let expiry = NaiveDate::from_ymd_opt(2026, 11, expiry);
    let row = |kind: InstrumentKind, strike: i64| Instrument {
        key: InstrumentKey::new(
            exchange,
            format!("{name}26NOV{strike}{}", kind.option_type().unwrap()),
        ),
        token: 1,
        name: name.into(),
        kind,
        expiry,
        strike: Price::from_rupees(strike),
        tick: Price::from_paise(5),
        lot,
    };
    let contracts = strikes
        .step_by(step)
        .flat_map(|strike| [row(InstrumentKind::Call, strike), row(InstrumentKind::Put, strike)])
        .collect();
    DayPlan {
        date: date(),
        open: clock("09:15"),
        close: clock("15:15"),
        candle_s: 180,
        settings: Settings {
            mode: Mode::Paper,
            strategy: StrategySettings::LevelBreakout(LevelBreakoutSettings {
                level_tick: Price::from_paise(5),
                max_entries: 3,
                last_signal: hms(14, 45, 0),
                square_off: hms(15, 15, 0),
            }),
            risk: risk(),
            schedule: Schedule {
                first_entry: hms(9, 33, 0),
                last_entry: hms(14, 45, 0),
                flatten_start: hms(15, 10, 0),
                hard_flat: hms(15, 15, 0),
                broker_square_off: hms(15, 25, 0),
                day_close: hms(15, 45, 0),
            },
            product: Product::Mis,
        },
        signal: Instrument {
            key: signal,
            token: 2,
            name: name.into(),
            kind: InstrumentKind::Index,
            expiry: None,
            strike: Price::ZERO,
            tick: Price::ZERO,
            lot: 0,
        },
        strike_step: Price::from_rupees(i64::try_from(step).unwrap()),
        histories: Vec::new(),
        contracts,
        available: Money::from_rupees(200_000),
        week_net: Money::ZERO,
        month_net: Money::ZERO,
        late: false,
        carried: None,
    }
}

/// A strategy that asks for the entries it was given, by candle start.
#[derive(Debug)]
struct Scripted {
    signals: Vec<Signal>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Strategy for Scripted {
    fn on_candle(&mut self, input: CandleInput<'_>) -> Judgement {
        let signal = self
            .signals
            .iter()
            .find(|signal| {
                signal.candle.start == input.candle.start && signal.instrument == *input.instrument
            })
            .cloned();
        let decision = Decision {
            instrument: input.instrument.clone(),
            candle: *input.candle,
            at: input.at,
            verdict: if signal.is_some() { Verdict::Enter } else { Verdict::Quiet },
            reason: if signal.is_some() { "ENTER" } else { "NO_CROSS" }.into(),
            direction: signal.as_ref().map(|signal| signal.direction),
            level: signal.as_ref().map(|signal| signal.setup.clone()),
            numbers: Vec::new(),
        };
        Judgement { decision, signal }
    }

    fn on_missed(&mut self, setup: &str, direction: Direction) {
        self.told.lock().unwrap().push(format!("missed {setup} {}", direction.as_str()));
    }

    fn on_closed(&mut self, closed: ClosedTrade<'_>) {
        self.told.lock().unwrap().push(format!(
            "closed {} {}",
            closed.setup,
            closed.reason.as_str()
        ));
    }

    fn outlook(&self) -> Vec<Outlook> {
        Vec::new()
    }

    fn wants(&self, _spot: Price) -> Vec<InstrumentKey> {
        Vec::new()
    }
}

pub(super) fn candle(start: &str, ohlc: [&str; 4]) -> Candle {
    let [open, high, low, close] = ohlc.map(p);
    Candle { start: clock(start), open, high, low, close, volume: 0 }
}

pub(super) fn signal(
    instrument: &InstrumentKey,
    direction: Direction,
    candle: Candle,
    stop: &str,
    targets: (&str, &str),
) -> Signal {
    Signal {
        instrument: instrument.clone(),
        direction,
        setup: "R1".into(),
        structure: "MODERATE".into(),
        candle,
        reference: candle.close,
        stop: p(stop),
        first_target: Some(p(targets.0)),
        target: p(targets.1),
        time_stop_candles: Some(10),
        on_ticks: true,
        vehicle: Vehicle::Option,
        first_candle: false,
        re_entry: false,
        levels: Vec::new(),
    }
}

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
        self.engine.step(stamp, event.clone(), &mut out);
        let due = self.engine.next_deadline();
        assert!(due.is_none_or(|due| due > self.at), "a deadline of {due:?} at {}", self.at);
        assert_eq!(self.engine.marks.broken, None);
        let fresh = match &event {
            Event::Quotes(quotes) => quotes.clone(),
            Event::Day(_)
            | Event::Candle { .. }
            | Event::Feed(_)
            | Event::Order(_)
            | Event::Outcome { .. }
            | Event::Snapshot(_)
            | Event::Operator(_)
            | Event::Deadline
            | Event::Restarted
            | Event::ClockJumped { .. }
            | Event::Session { .. } => Vec::new(),
        };
        if self.engine.revision() != before || !out.is_empty() {
            let merged = self.quotes.values().cloned().collect();
            self.journal.push((stamp, merged, event, out.clone()));
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
            engine.observe(quotes.clone());
            let mut out = Vec::new();
            engine.step(*stamp, event.clone(), &mut out);
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

pub(super) fn quote(
    key: &InstrumentKey,
    at: Timestamp,
    last: &str,
    book: Option<(&str, &str)>,
) -> Quote {
    let level = |price: &str| BookLevel { price: p(price), quantity: 5_000 };
    Quote {
        instrument: key.clone(),
        at,
        last: p(last),
        bid: book.map(|(bid, _)| level(bid)),
        ask: book.map(|(_, ask)| level(ask)),
        ask_depth: if book.is_some() { 25_000 } else { 0 },
        volume: 0,
        open_interest: if book.is_some() { 500_000 } else { 0 },
        reference: p(last),
    }
}
