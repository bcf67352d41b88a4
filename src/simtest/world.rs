//! A day under way: what there is, and what is wrong at present.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::audit::Audit;
use super::books::Books;
use super::day::{Day, Options, SimError};
use super::dice::{Dice, Stream};
use super::due::Due;
use super::fault::{FaultKind, Faults};
use super::market::Market;
use super::plan::{self, Stage};
use crate::clock::{Clock, ManualClock};
use crate::engine::event::CommandId;
use crate::engine::{DayPlan, Engine};
use crate::market::time::{hms, ist_time};
use crate::market::{InstrumentKey, Timestamp};
use crate::store::Store;
use crate::trading::kernel::Kernel;

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
    pub(super) seed: u64,
    pub(super) now: Timestamp,
    pub(super) hands: ManualClock,
    pub(super) clock: Clock,
    pub(super) kernel: Option<Kernel>,
    pub(super) store: Option<Store>,
    engine: Box<dyn Fn() -> Engine>,
    pub(super) plan: DayPlan,
    pub(super) market: Market,
    pub(super) books: Books,
    pub(super) audit: Audit,
    pub(super) faults: Faults,
    pub(super) dice: Dice,
    pub(super) people: Dice,
    pub(super) weather: Weather,
    pub(super) queue: BTreeMap<(Timestamp, u64), Due>,
    pub(super) count: u64,
    pub(super) life: u32,
    pub(super) connected: bool,
    pub(super) watch: Vec<InstrumentKey>,
    /// Sent or about to be, and not answered.
    pub(super) in_flight: Vec<CommandId>,
    pub(super) requests: i64,
    pub(super) heal: Timestamp,
    pub(super) market_close: Timestamp,
    pub(super) end: Timestamp,
    pub(super) rms_done: bool,
    pub(super) commits: u32,
    pub(super) sends: u32,
    pub(super) deaths: u32,
    pub(super) left_open: bool,
    /// The day is over once it is summed up as flat.
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
        #[cfg(test)]
        {
            let bug = options.sabotage;
            world = world.with_engine(move || Engine::with_bug(bug));
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
        (self.engine)()
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
