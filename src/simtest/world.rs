//! The loop of a day: one queue of what is going to happen, one clock, one
//! process that may be dead.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::audit::Audit;
use super::books::Books;
use super::dice::{Dice, Stream};
use super::fault::{FaultKind, Faults};
use super::market::Market;
use super::plan::{self, Stage};
use super::run::{Day, Options, SimError};
use super::wire::{Lost, Reply};
use crate::clock::{Clock, ManualClock};
use crate::engine::event::{
    CommandId, FeedState, OperatorAction, OperatorCommand, Outcome, Refusal, Snapshot,
};
use crate::engine::{Command, DayPlan, Engine};
use crate::journal::{Journal, Run};
use crate::market::time::{hms, ist_time};
use crate::market::{BrokerOrder, InstrumentKey, Timestamp};
use crate::store::Store;
use crate::trading::input::Input;
use crate::trading::kernel::{Committed, Kernel};

/// Seconds between ticks while nothing is at stake, and while something is.
const IDLE_TICK_S: (i64, i64) = (3, 9);
const BUSY_TICK: TimeDelta = TimeDelta::seconds(1);
/// How long a candle waits for late quotes.
const GRACE_MS: u64 = 2_000;
/// A turn takes at least this long.
const LEAST: TimeDelta = TimeDelta::milliseconds(1);
/// The longest step of time.
const BLINK: TimeDelta = TimeDelta::seconds(60);
/// How much longer a process may take whose clock is behind.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// Turns of a day at most; more means that it talks to itself without end.
const TURNS_MAX: u32 = 400_000;

/// Something that is going to happen.
#[derive(Debug)]
pub(super) enum Due {
    /// The market moves.
    Tick,
    /// A request reaches the broker.
    Arrive { id: CommandId, life: u32, command: Command, lost: Option<Lost>, patience: Timestamp },
    /// The broker's order book is read.
    Orders { id: CommandId, life: u32, positions: bool, sent: Timestamp },
    /// The positions are read.
    Positions {
        id: CommandId,
        life: u32,
        sent: Timestamp,
        complete: bool,
        orders: Option<Vec<BrokerOrder>>,
    },
    /// An order's way to the exchange ends.
    Settle { order: usize, way: u32 },
    /// An answer to an order request comes back.
    Answer { id: CommandId, life: u32, outcome: Outcome },
    /// A snapshot is complete; `as_of` is how old its oldest part is.
    Snapshot { life: u32, snapshot: Snapshot, as_of: Timestamp },
    /// An order update comes.
    Update { life: u32, body: String },
    /// Prices from a quote call.
    Fallback { life: u32, keys: Vec<InstrumentKey> },
    /// Candles from history.
    Backfill { life: u32 },
    /// The ticker connects.
    Connect { life: u32 },
    /// The ticker's connection is gone.
    Disconnect { life: u32 },
    /// The broker refuses the session.
    LoginNeeded { life: u32 },
    /// The user logs in.
    LogIn,
    /// The day's facts are gathered.
    Prepare { life: u32 },
    /// Somebody asks for something.
    Ask(OperatorAction),
    /// The process starts again.
    Start,
    /// Everything works from here on.
    Heal,
    /// More units than one order may carry, then a panic over all.
    Flood,
    /// The user closes what the bot holds.
    #[cfg(test)]
    Sale,
}

/// What is wrong at present, and until when.
#[derive(Debug)]
pub(super) struct Weather {
    pub(super) rate_limited: Timestamp,
    pub(super) wrong_address: Timestamp,
    pub(super) session_dead: bool,
    pub(super) mute: Timestamp,
    pub(super) stale: Option<(InstrumentKey, Timestamp)>,
    /// Dies after so many further commits or sent requests.
    pub(super) dies_after_commits: Option<u32>,
    pub(super) dies_after_sends: Option<u32>,
}

/// A day under way.
pub(super) struct World {
    seed: u64,
    pub(super) now: Timestamp,
    hands: ManualClock,
    clock: Clock,
    pub(super) kernel: Option<Kernel>,
    store: Option<Store>,
    engine: Box<dyn Fn() -> Engine>,
    #[cfg(feature = "sabotage")]
    sabotage: Option<crate::engine::sabotage::Sabotage>,
    pub(super) plan: DayPlan,
    pub(super) market: Market,
    pub(super) books: Books,
    pub(super) audit: Audit,
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    pub(super) people: Dice,
    pub(super) weather: Weather,
    queue: BTreeMap<(Timestamp, u64), Due>,
    count: u64,
    pub(super) life: u32,
    pub(super) connected: bool,
    watch: Vec<InstrumentKey>,
    /// Sent or about to be, and not answered.
    pub(super) in_flight: Vec<CommandId>,
    requests: i64,
    pub(super) heal: Timestamp,
    pub(super) market_close: Timestamp,
    pub(super) end: Timestamp,
    pub(super) rms_done: bool,
    pub(super) commits: u32,
    pub(super) sends: u32,
    pub(super) deaths: u32,
    pub(super) left_open: bool,
    /// The day is over once it is summed up.
    pub(super) ends_with_summary: bool,
    pub(super) story: Option<Vec<String>>,
}

impl World {
    pub(super) fn new(seed: u64, options: &Options, store: Store) -> Result<World, SimError> {
        let mut dice = Dice::new(seed, Stream::Plan);
        let stage = plan::stage(&options.strategy, &mut dice)?;
        let faults = Faults::new(options.profile, &mut dice);
        // A third of the days heal only when everything should be flat.
        let schedule = &stage.plan.settings.schedule;
        let heal = if dice.percent(33) { schedule.hard_flat } else { hms(14, 45, 0) };
        let mut world = World::set(seed, stage, faults, store, Vec::new());
        world.heal = plan::at(heal);
        world.story = options.explain.then(Vec::new);
        #[cfg(feature = "sabotage")]
        {
            world.sabotage = options.sabotage;
        }
        world.begin();
        Ok(world)
    }

    /// A stage with nothing on its way yet.
    pub(super) fn set(
        seed: u64,
        stage: Stage,
        faults: Faults,
        store: Store,
        script: Vec<(Timestamp, i64)>,
    ) -> World {
        let Stage { plan, pace, spot } = stage;
        let start = plan.open - TimeDelta::minutes(30);
        let hands = ManualClock::new(start);
        let derivatives = plan.signal.lot == 0;
        let schedule = plan.settings.schedule;
        World {
            seed,
            now: start,
            clock: hands.clock(),
            hands,
            kernel: None,
            store: Some(store),
            engine: Box::new(Engine::new),
            #[cfg(feature = "sabotage")]
            sabotage: None,
            market: Market::new(seed, &plan, pace, spot, script),
            books: Books::new(if derivatives { plan.settings.risk.freeze_quantity } else { 0 }),
            audit: Audit::new(),
            faults,
            dice: Dice::new(seed, Stream::World),
            people: Dice::new(seed, Stream::People),
            weather: Weather {
                rate_limited: start,
                wrong_address: start,
                session_dead: false,
                mute: start,
                stale: None,
                dies_after_commits: None,
                dies_after_sends: None,
            },
            queue: BTreeMap::new(),
            count: 0,
            life: 0,
            connected: false,
            watch: Vec::new(),
            in_flight: Vec::new(),
            requests: 0,
            heal: start,
            market_close: plan::at(if derivatives { hms(15, 40, 0) } else { hms(15, 30, 0) }),
            end: plan::at(schedule.day_close) + TimeDelta::minutes(1),
            plan,
            rms_done: false,
            commits: 0,
            sends: 0,
            deaths: 0,
            left_open: false,
            ends_with_summary: false,
            story: None,
        }
    }

    /// Begins later.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, at: Timestamp) {
        self.pass_to(at);
    }

    /// With strategies of another kind.
    #[cfg(test)]
    pub(super) fn with_engine(mut self, engine: impl Fn() -> Engine + 'static) -> World {
        self.engine = Box::new(engine);
        self
    }

    /// Puts the first things on their way.
    pub(super) fn begin(&mut self) {
        self.later(TimeDelta::zero(), Due::Start);
        let until_open = self.plan.open - TimeDelta::seconds(30) - self.now;
        self.later(until_open, Due::Tick);
        if self.strikes(FaultKind::TokenDeadAtSix, 100) {
            self.hit(FaultKind::TokenDeadAtSix, "no session this morning");
            self.weather.session_dead = true;
            let after = self.people.between(300, 5_400);
            self.later(TimeDelta::seconds(after), Due::LogIn);
        }
        if self.strikes(FaultKind::FreezeSlicing, 100) {
            let after = self.people.between(5_400, 18_000);
            self.later(TimeDelta::seconds(after), Due::Flood);
        }
        self.at(self.heal, Due::Heal);
    }

    /// Plays until the end of the day or the first rule that breaks.
    pub(super) fn play(mut self) -> Result<World, SimError> {
        let mut turns = 0;
        while self.audit.violation.is_none() && !self.is_over() {
            turns += 1;
            if turns > TURNS_MAX {
                self.audit.fail(self.now, "comes to an end", "turns without end".into());
                break;
            }
            let queued = self.queue.keys().next().map(|(when, _)| *when);
            let wake = self.wake();
            let next = queued.into_iter().chain(wake).chain([self.now + BLINK]).min();
            self.pass_to(next.unwrap_or(self.end));
            if queued.is_some_and(|when| when <= self.now) {
                if let Some((_, due)) = self.queue.pop_first() {
                    self.happen(due)?;
                }
            } else if wake.is_some_and(|when| when <= self.now) {
                self.turn(Vec::new(), Vec::new())?;
            }
            self.audit.look(self.now, &mut self.books);
        }
        if self.audit.violation.is_none() {
            self.finish()?;
        }
        Ok(self)
    }

    /// The process closes the day by its own clock.
    fn is_over(&self) -> bool {
        if self.ends_with_summary && self.audit.summary_flat.is_some() {
            return true;
        }
        let slow = self.kernel.is_some() && self.process_now() < self.end;
        self.now >= self.end && (!slow || self.now >= self.end + PATIENCE)
    }

    fn wake(&self) -> Option<Timestamp> {
        let wake = self.kernel.as_ref()?.next_wake()?;
        Some(self.now + (wake - self.clock.now()).max(LEAST))
    }

    fn pass_to(&mut self, at: Timestamp) {
        if at > self.now {
            self.hands.pass(at - self.now);
            self.now = at;
        }
    }

    pub(super) fn later(&mut self, after: TimeDelta, due: Due) {
        self.at(self.now + after, due);
    }

    pub(super) fn at(&mut self, at: Timestamp, due: Due) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), due);
    }

    /// Whether a fault of this kind strikes now. None does once all is
    /// healed.
    pub(super) fn strikes(&mut self, kind: FaultKind, weight: i64) -> bool {
        self.now < self.heal && self.faults.strikes(kind, weight, &mut self.dice)
    }

    pub(super) fn hit(&mut self, kind: FaultKind, what: &str) {
        self.faults.count(kind);
        self.tell_story(|| format!("FAULT {}: {what}", kind.name()));
    }

    pub(super) fn tell_story(&mut self, what: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let time = ist_time(self.now);
            story.push(format!("{} {}", time.format("%H:%M:%S%.3f"), what()));
        }
    }

    /// What the process takes for the time.
    pub(super) fn process_now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn fresh_engine(&self) -> Engine {
        #[cfg_attr(not(feature = "sabotage"), expect(unused_mut, reason = "bugs are built in"))]
        let mut engine = (self.engine)();
        #[cfg(feature = "sabotage")]
        engine.sabotage(self.sabotage);
        engine
    }

    /// Sets the wall clock ahead or back.
    pub(super) fn set_clock(&mut self, by: TimeDelta) {
        self.hands.set_by(by);
    }

    /// True while the process or its orders need close watching.
    pub(super) fn is_busy(&self) -> bool {
        self.kernel.as_ref().is_none_or(|kernel| kernel.engine.busy())
            || !self.books.open_keys().is_empty()
    }

    fn happen(&mut self, due: Due) -> Result<(), SimError> {
        match due {
            Due::Tick => self.tick()?,
            Due::Arrive { id, life, command, lost, patience } => {
                self.arrive(id, life, &command, lost, patience);
            }
            Due::Orders { id, life, positions, sent } => {
                self.read_orders(id, life, positions, sent);
            }
            Due::Positions { id, life, sent, complete, orders } => {
                self.read_positions(id, life, sent, complete, orders);
            }
            Due::Settle { order, way } => self.settle(order, way),
            Due::Answer { id, life, outcome } => {
                if life == self.life {
                    self.in_flight.retain(|one| *one != id);
                    self.tell_story(|| format!("answer to {}/{}: {outcome:?}", id.seq, id.index));
                    if matches!(outcome, Outcome::Unknown { .. }) {
                        self.audit.answered_unknown(self.now, id);
                    }
                    let session = Refusal::Session;
                    if matches!(&outcome, Outcome::Refused { refusal, .. } if *refusal == session) {
                        self.later(TimeDelta::zero(), Due::LoginNeeded { life });
                    }
                    self.turn(vec![Input::Outcome { command: id, outcome }], Vec::new())?;
                }
            }
            Due::Snapshot { life, snapshot, as_of } => {
                if life == self.life {
                    if self.weather.session_dead {
                        self.later(TimeDelta::zero(), Due::LoginNeeded { life });
                    }
                    if snapshot.complete {
                        self.audit.saw(&self.books, as_of, self.now);
                    }
                    self.turn(vec![Input::Snapshot(snapshot)], Vec::new())?;
                }
            }
            Due::Update { life, body } => {
                if life == self.life
                    && let Ok(order) = crate::kite::read_postback(&body)
                {
                    self.turn(vec![Input::Order(order)], Vec::new())?;
                }
            }
            Due::Fallback { life, keys } => {
                if life == self.life && !self.connected {
                    self.frame(&keys)?;
                }
            }
            Due::Backfill { life } => self.backfill(life)?,
            Due::Connect { life } => self.connect(life)?,
            Due::Disconnect { life } => self.disconnect(life)?,
            Due::LoginNeeded { life } => {
                if life == self.life && self.weather.session_dead {
                    self.audit.session(false);
                    self.turn(vec![Input::Session { alive: false }], Vec::new())?;
                }
            }
            Due::LogIn => self.log_in()?,
            Due::Prepare { life } => self.prepare(life)?,
            Due::Ask(action) => {
                self.requests += 1;
                let request = self.requests;
                self.tell_story(|| format!("OPERATOR asks {action:?}"));
                self.audit.asked(request, action.clone());
                self.ask(vec![(request, action)])?;
            }
            Due::Start => self.start()?,
            Due::Heal => self.heal_all()?,
            Due::Flood => self.flood(),
            #[cfg(test)]
            Due::Sale => self.manual_sale(),
        }
        Ok(())
    }

    /// Hands requests of people to the process, when it lives; they wait for
    /// it otherwise.
    fn ask(&mut self, asks: Vec<(i64, OperatorAction)>) -> Result<(), SimError> {
        let asked_at = self.clock.now();
        let commands = asks
            .into_iter()
            .map(|(request, action)| OperatorCommand {
                request,
                actor: "simtest:1".into(),
                asked_at,
                action,
            })
            .collect();
        self.turn(Vec::new(), commands)
    }

    /// Lets the process take a turn, and carries out what it asks for.
    pub(super) fn turn(
        &mut self,
        inputs: Vec<Input>,
        operators: Vec<OperatorCommand>,
    ) -> Result<(), SimError> {
        let Some(kernel) = &mut self.kernel else { return Ok(()) };
        match kernel.turn(inputs, operators) {
            Ok(committed) => self.carry_out(&committed),
            Err(_) => {
                self.tell_story(|| "the journal cannot be written: the process dies".into());
                self.die()
            }
        }
    }

    /// What is durable is said, and then sent.
    fn carry_out(&mut self, committed: &Committed) -> Result<(), SimError> {
        if committed.entries.is_empty() {
            return Ok(());
        }
        self.commits += 1;
        let now = self.now;
        self.audit.touch();
        for (_, command) in committed.commands() {
            match command {
                Command::Say(notice) => {
                    let severity = notice.severity;
                    self.tell_story(|| {
                        let footer = notice.footer.as_deref().unwrap_or_default();
                        format!("says [{severity:?}] {} {footer}", notice.headline)
                    });
                    self.audit.said(now, notice, &self.books);
                }
                Command::Record(fact) => {
                    self.tell_fact(fact);
                    self.audit.recorded(now, fact, &self.books);
                }
                Command::Watch(list) => self.watch.clone_from(list),
                Command::Submit { .. }
                | Command::Modify { .. }
                | Command::Cancel { .. }
                | Command::Fetch(_) => {}
            }
        }
        if let Some(left) = &mut self.weather.dies_after_commits {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.tell_story(|| "dies after a commit, before anything is sent".into());
                let lost = committed.commands().filter(|(_, command)| command.is_order());
                self.in_flight.extend(lost.map(|(id, _)| id));
                return self.die();
            }
        }
        for (id, command) in committed.commands() {
            if command.is_order() {
                self.send(id, command, committed.may_enter)?;
                if let Some(left) = &mut self.weather.dies_after_sends {
                    *left = left.saturating_sub(1);
                    if *left == 0 {
                        self.tell_story(|| "dies after sending".into());
                        return self.die();
                    }
                }
            } else if let Command::Fetch(fetch) = command {
                self.fetch(id, *fetch);
            }
        }
        Ok(())
    }

    fn tell_fact(&mut self, fact: &crate::engine::Fact) {
        use crate::engine::Fact;
        use crate::engine::ledger::Verdict;
        self.tell_story_of(match fact {
            Fact::Decision(decision) if decision.verdict != Verdict::Quiet => Some(format!(
                "decides {:?} {} {:?}",
                decision.verdict, decision.reason, decision.level
            )),
            Fact::State(state) => {
                Some(format!("is {} ({})", state.permission.as_str(), state.reason))
            }
            Fact::Answer { done, text, .. } => Some(format!("answers {done}: {text}")),
            Fact::Order(order) => Some(format!(
                "knows {} {} {}/{} {} {}",
                order.tag,
                order.status,
                order.filled,
                order.quantity,
                order.order_type.as_str(),
                order.price
            )),
            Fact::Decision(_) | Fact::Trade(_) | Fact::Limit(_) | Fact::Day(_) => None,
        });
    }

    fn tell_story_of(&mut self, text: Option<String>) {
        if let Some(text) = text {
            self.tell_story(|| text);
        }
    }

    /// The process is gone; what it sent goes on without it.
    pub(super) fn die(&mut self) -> Result<(), SimError> {
        let Some(kernel) = self.kernel.take() else { return Ok(()) };
        self.store = Some(kernel.into_journal().into_store());
        self.life += 1;
        self.deaths += 1;
        self.connected = false;
        self.weather.dies_after_commits = None;
        self.weather.dies_after_sends = None;
        self.audit.died();
        let after = self.dice.millis(1_000, 20_000);
        self.later(after, Due::Start);
        Ok(())
    }

    /// Starts the process: the order of work of a production start.
    fn start(&mut self) -> Result<(), SimError> {
        let Some(store) = self.store.take() else { return Ok(()) };
        store.fail_writes(false)?;
        let run = Run {
            kind: "trading",
            pid: 1,
            started_at: self.clock.now(),
            version: env!("CARGO_PKG_VERSION").into(),
            build: "simtest".into(),
            config_hash: format!("{:016x}", self.seed),
        };
        let journal = Journal::claim(store, &run)?;
        let entries = match journal.last_day(None)? {
            Some(day) => journal.replay(day)?,
            None => Vec::new(),
        };
        let mut kernel = Kernel::new(self.fresh_engine(), journal, self.clock.clone(), GRACE_MS);
        #[cfg(feature = "sabotage")]
        {
            use crate::engine::sabotage::Sabotage;
            kernel.sends_early = self.sabotage == Some(Sabotage::SendBeforeCommit);
        }
        let committed = kernel.replay(&entries)?;
        self.tell_story(|| format!("the process starts, {} entries replayed", entries.len()));
        if let Some(mismatch) = kernel.take_mismatch() {
            self.audit.fail(self.now, "replays to the same", mismatch.to_string());
        }
        self.watch = kernel.take_watch().unwrap_or_default();
        let planned = kernel.engine.day().is_some();
        self.kernel = Some(kernel);
        let lost = std::mem::take(&mut self.in_flight);
        self.audit.started(self.now, &lost);
        self.carry_out(&committed)?;
        let life = self.life;
        if !planned && !self.weather.session_dead {
            self.later(TimeDelta::seconds(3), Due::Prepare { life });
        }
        if self.weather.session_dead {
            let after = self.dice.millis(800, 3_000);
            self.later(after, Due::LoginNeeded { life });
        }
        let after = self.dice.millis(500, 3_000);
        self.later(after, Due::Connect { life });
        let waiting = self.audit.unanswered();
        if !waiting.is_empty() {
            self.ask(waiting)?;
        }
        Ok(())
    }

    /// The market moves, and everyone who looks at it acts.
    fn tick(&mut self) -> Result<(), SimError> {
        self.market.run_to(self.now);
        let changed = self.books.meet(self.now, &self.market, None);
        for order in changed {
            self.tell(order);
        }
        self.trouble()?;
        self.square_off();
        if self.connected && self.now >= self.weather.mute {
            let signal = std::iter::once(self.market.signal());
            let mut keys: Vec<InstrumentKey> =
                signal.chain(self.market.deciding()).chain(&self.watch).cloned().collect();
            keys.sort_unstable();
            keys.dedup();
            if let Some((stale, until)) = &self.weather.stale {
                if self.now < *until {
                    keys.retain(|key| key != stale);
                } else {
                    self.weather.stale = None;
                }
            }
            self.frame(&keys)?;
        } else if !self.connected && !self.weather.session_dead {
            self.ask_for_quotes();
        }
        let pause = if self.is_busy() {
            BUSY_TICK
        } else {
            TimeDelta::seconds(self.dice.between(IDLE_TICK_S.0, IDLE_TICK_S.1))
        };
        if self.now + pause < self.market_close {
            self.later(pause, Due::Tick);
        }
        Ok(())
    }

    /// What the service does while the feed is down and something is held.
    fn ask_for_quotes(&mut self) {
        let held = self.kernel.as_ref().and_then(|kernel| kernel.engine.open_position());
        if let Some(position) = held {
            let (life, keys) = (self.life, vec![position.contract, position.signal]);
            let after = self.dice.millis(40, 300);
            self.later(after, Due::Fallback { life, keys });
        }
    }

    fn frame(&mut self, keys: &[InstrumentKey]) -> Result<(), SimError> {
        let quotes: Vec<_> = keys.iter().filter_map(|key| self.market.quote(key)).collect();
        if self.kernel.is_some()
            && let Some(quote) =
                quotes.iter().find(|quote| quote.instrument == *self.market.signal())
        {
            self.audit.priced(quote.at);
        }
        self.turn(vec![Input::Frame(quotes)], Vec::new())
    }

    fn connect(&mut self, life: u32) -> Result<(), SimError> {
        if life != self.life || self.connected || self.kernel.is_none() {
            return Ok(());
        }
        if self.weather.session_dead {
            self.later(TimeDelta::seconds(5), Due::Connect { life });
            return Ok(());
        }
        self.connected = true;
        self.audit.fed(FeedState::Up);
        self.turn(vec![Input::Feed(FeedState::Up)], Vec::new())?;
        let after = self.dice.millis(200, 2_000);
        self.later(after, Due::Backfill { life });
        Ok(())
    }

    fn disconnect(&mut self, life: u32) -> Result<(), SimError> {
        if life != self.life || !self.connected {
            return Ok(());
        }
        self.connected = false;
        self.audit.fed(FeedState::Down);
        self.turn(vec![Input::Feed(FeedState::Down)], Vec::new())
    }

    fn backfill(&mut self, life: u32) -> Result<(), SimError> {
        if life != self.life || self.weather.session_dead {
            return Ok(());
        }
        let Some(desk) = self.kernel.as_ref().and_then(Kernel::desk) else { return Ok(()) };
        let inputs = desk
            .handed_out()
            .into_iter()
            .map(|(instrument, until)| {
                let mut candles = self.market.history(&instrument, self.now);
                candles.retain(|candle| candle.start >= until);
                Input::Backfill { instrument, candles }
            })
            .collect();
        self.turn(inputs, Vec::new())
    }

    fn prepare(&mut self, life: u32) -> Result<(), SimError> {
        if life != self.life || self.weather.session_dead {
            return Ok(());
        }
        let late = self.now > self.plan.open + TimeDelta::minutes(30);
        let plan = DayPlan { late, ..self.plan.clone() };
        self.turn(vec![Input::Day(Box::new(plan))], Vec::new())?;
        let after = self.dice.millis(200, 2_000);
        self.later(after, Due::Backfill { life });
        Ok(())
    }

    fn log_in(&mut self) -> Result<(), SimError> {
        if !std::mem::take(&mut self.weather.session_dead) {
            return Ok(());
        }
        self.tell_story(|| "the user logs in".into());
        let life = self.life;
        if self.kernel.as_ref().is_some_and(|kernel| kernel.engine.day().is_none()) {
            self.later(TimeDelta::seconds(5), Due::Prepare { life });
        }
        let after = self.dice.millis(500, 3_000);
        self.later(after, Due::Connect { life });
        if self.kernel.is_some() {
            self.audit.session(true);
        }
        self.turn(vec![Input::Session { alive: true }], Vec::new())
    }

    /// Everything works from now on.
    fn heal_all(&mut self) -> Result<(), SimError> {
        self.tell_story(|| "all faults end".into());
        self.weather.rate_limited = self.now;
        self.weather.wrong_address = self.now;
        self.weather.mute = self.now;
        self.weather.stale = None;
        self.weather.dies_after_commits = None;
        self.weather.dies_after_sends = None;
        self.market.thin_until = self.now;
        self.log_in()?;
        let life = self.life;
        self.later(TimeDelta::seconds(2), Due::Connect { life });
        Ok(())
    }

    /// Sends the answer of a call back, in the broker's words.
    pub(super) fn reply(&mut self, id: CommandId, life: u32, after: TimeDelta, reply: &Reply) {
        let outcome = reply.outcome();
        self.later(after, Due::Answer { id, life, outcome });
    }

    /// What came of the day.
    pub(super) fn day(self) -> Day {
        let mut story = self.story.unwrap_or_default();
        if let Some(violation) = &self.audit.violation {
            let time = ist_time(violation.at).format("%H:%M:%S%.3f");
            story.push(format!("{time} VIOLATION {}: {}", violation.rule, violation.what));
        }
        Day {
            seed: self.seed,
            trades: u32::try_from(self.audit.gross.len()).unwrap_or(u32::MAX),
            orders: self.sends,
            commits: self.commits,
            deaths: self.deaths,
            alarms: self.audit.alarms,
            faults: self.faults.tally,
            left_open: self.left_open,
            violation: self.audit.violation,
            story,
        }
    }
}
