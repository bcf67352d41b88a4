//! The core of the service: takes inputs, steps the engine, makes the journal
//! durable, and only then lets commands out.
//!
//! # Order of work
//! What waits together is taken by rank: operators, order updates, outcomes
//! and snapshots, then prices. All that one turn causes is
//! committed in one transaction, and what a turn returns is committed: its
//! commands may be carried out. A failed commit ends the process: nothing of
//! the turn has been sent, and a restart finds the journal as it was.
//!
//! # What is journaled
//! Every event that changed more than quotes or that caused a command. Prices
//! that changed nothing are folded into the next record, so that a replay
//! sees the quotes that a decision saw.
//!
//! It waits for nothing, sends nothing and knows no runtime: the service puts
//! a real clock, a feed and an executor around it, the simulation a virtual
//! clock and a broker of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{NaiveDate, TimeDelta};

use super::album::Album;
use super::desk::Desk;
use super::input::Input;
use crate::clock::{Clock, JumpWatch};
use crate::engine::day::CarriedHold;
use crate::engine::event::{CommandId, Event, FeedState, OperatorCommand, Stamp};
use crate::engine::{Command, Engine, Fact, Permission};
use crate::journal::{self, Entry, Journal, JournalError, ReplayMismatch};
use crate::market::time::ist_date;
use crate::market::{InstrumentKey, Quote, Timestamp};
use crate::telemetry::PERFORMANCE;

/// The exchange's time may be ahead of ours by this much: its seconds are
/// whole, and clocks differ.
const BEHIND_MAX: TimeDelta = TimeDelta::seconds(2);
/// A clock that is behind is told again after this long, which is shorter
/// than the engine keeps entries off for.
const TELL_BEHIND_EVERY: TimeDelta = TimeDelta::seconds(150);

/// The engine with its journal. The only writer of both.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) engine: Engine,
    journal: Journal,
    clock: Clock,
    jumps: JumpWatch,
    desk: Option<Desk>,
    feed_up: bool,
    grace_ms: u64,
    /// Pictures of the day, and the data folder that they go to.
    album: Option<(Album, PathBuf)>,
    behind_told: Option<Timestamp>,
    #[cfg(test)]
    late: crate::engine::sabotage::Late<Entry>,
    last_seq: u64,
    unjournaled: BTreeMap<InstrumentKey, Quote>,
    turn: Vec<Entry>,
    /// Market time up to which prices have been worked off.
    progress: Option<Timestamp>,
    /// Instruments wanted from the feed; taken when it changed.
    watch: Option<Vec<InstrumentKey>>,
    /// What a replay found to differ from the journal.
    mismatch: Option<ReplayMismatch>,
    /// The date (IST) that the engine works on.
    date: NaiveDate,
}

/// What a turn has made durable.
#[derive(Debug, Default)]
#[must_use = "its commands wait to be carried out"]
pub(crate) struct Committed {
    /// What happened and what it caused, in order.
    pub(crate) entries: Vec<Entry>,
    /// Whether an order that opens may leave, as of the end of the turn.
    pub(crate) may_enter: bool,
}

impl Committed {
    /// The commands with their names.
    pub(crate) fn commands(&self) -> impl Iterator<Item = (CommandId, &Command)> {
        self.entries.iter().flat_map(|entry| {
            let seq = entry.stamp.seq;
            (0_u32..)
                .zip(&entry.commands)
                .map(move |(index, command)| (CommandId { seq, index }, command))
        })
    }
}

impl Kernel {
    pub(crate) fn new(engine: Engine, journal: Journal, clock: Clock, grace_ms: u64) -> Kernel {
        let last_seq = journal.last_seq();
        Kernel {
            engine,
            journal,
            jumps: clock.watch_jumps(),
            date: ist_date(clock.now()),
            clock,
            desk: None,
            feed_up: false,
            grace_ms,
            album: None,
            behind_told: None,
            #[cfg(test)]
            late: crate::engine::sabotage::Late::default(),
            last_seq,
            unjournaled: BTreeMap::new(),
            turn: Vec::new(),
            progress: None,
            watch: None,
            mismatch: None,
        }
    }

    /// Keeps pictures of the day, in the data folder.
    pub(crate) fn with_pictures(mut self, data_dir: &Path) -> Kernel {
        self.album = Some((Album::default(), data_dir.to_owned()));
        self
    }

    /// Feeds the journal of the last recorded date to the engine, then tells
    /// it that the process has restarted. Commands of that date are not sent
    /// again: those without an outcome are unknown. Of an earlier date only
    /// what it left behind counts.
    pub(crate) fn replay(&mut self, entries: &[Entry]) -> Result<Committed, JournalError> {
        let Kernel { engine, desk, album, grace_ms, .. } = self;
        let replayed = journal::replay(engine, entries, |engine, entry, commands| {
            if let Event::Day(plan) = &entry.event {
                *desk = Some(Desk::new(plan, *grace_ms));
            }
            if let (Event::Candle { instrument, candle, .. }, Some(desk)) =
                (&entry.event, &mut *desk)
            {
                desk.replayed(instrument, candle.start);
            }
            if let Some((album, _)) = album {
                album.entry(&entry.event, commands, engine, entry.stamp.at);
            }
        });
        let is_past = entries.last().is_some_and(|entry| ist_date(entry.stamp.at) != self.date);
        match replayed {
            // An older program may have written it, and nothing rests on it.
            Err(mismatch) if is_past => {
                tracing::warn!(%mismatch, "an earlier date replays to something else")
            }
            Err(mismatch) => {
                tracing::error!(%mismatch, "replay differs from the journal");
                self.mismatch = Some(mismatch);
            }
            Ok(()) => {}
        }
        if is_past {
            let recorded = self.journal.store().state()?;
            self.begin_date(recorded.map(CarriedHold::from));
        }
        self.watch = Some(self.engine.watch_list().to_vec());
        self.step(Event::Restarted);
        self.finish_turn()
    }

    /// Lets the engine forget the day before. `recorded` is the hold that the
    /// tables show, should the replay not have come to it.
    fn begin_date(&mut self, recorded: Option<CarriedHold>) {
        let mut carried = self.engine.carried();
        let is_new = |hold: &CarriedHold| carried.holds.iter().all(|it| it.reason != hold.reason);
        let missing = recorded.filter(is_new);
        carried.holds.extend(missing);
        self.desk = None;
        self.unjournaled.clear();
        if let Some((album, _)) = &mut self.album {
            *album = Album::default();
        }
        self.step(Event::NewDate(carried));
    }

    /// Takes everything that waits, then makes it durable.
    pub(crate) fn turn(
        &mut self,
        mut inputs: Vec<Input>,
        operators: Vec<OperatorCommand>,
    ) -> Result<Committed, JournalError> {
        inputs.sort_by_key(Input::rank);
        if let Some(by_ms) = self.jumps.look(&self.clock) {
            self.step(Event::ClockJumped { by_ms });
        }
        for command in operators {
            self.step(Event::Operator(command));
        }
        for input in inputs {
            self.take(input);
        }
        self.time_passes();
        self.finish_turn()
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Outcome { command, outcome } => self.step(Event::Outcome { command, outcome }),
            Input::Snapshot(snapshot) => self.step(Event::Snapshot(snapshot)),
            Input::Order(order) => self.step(Event::Order(order)),
            Input::Feed(state) => self.feed(state),
            Input::Frame(quotes) => self.frame(quotes),
            Input::Day(plan) => {
                let mut desk = Desk::new(&plan, self.grace_ms);
                if let Some(old) = &self.desk {
                    desk.carry_over(old);
                }
                desk.feed(self.feed_up, self.clock.now());
                self.desk = Some(desk);
                self.step(Event::Day(plan));
            }
            Input::Backfill { instrument, candles } => {
                let events = match &mut self.desk {
                    Some(desk) => desk.backfill(&instrument, &candles),
                    None => Vec::new(),
                };
                for event in events {
                    self.step(event);
                }
            }
            Input::Session { alive } => self.step(Event::Session { alive }),
            Input::ClockOff { by_ms } => self.step(Event::ClockJumped { by_ms }),
            Input::FeedRefused => {}
        }
    }

    fn feed(&mut self, state: FeedState) {
        let at = self.clock.now();
        self.feed_up = state == FeedState::Up;
        if let Some(desk) = &mut self.desk {
            desk.feed(self.feed_up, at);
        }
        self.step(Event::Feed(state));
    }

    fn frame(&mut self, quotes: Vec<Quote>) {
        let latest = quotes.iter().map(|quote| quote.at).max();
        self.progress = latest.max(self.progress);
        self.compare_clocks(latest);
        let closed: Vec<Event> = match &mut self.desk {
            Some(desk) => quotes.iter().filter_map(|quote| desk.take(quote)).collect(),
            None => Vec::new(),
        };
        self.step(Event::Quotes(quotes));
        for event in closed {
            self.step(event);
        }
    }

    /// The exchange's time cannot be ahead of ours: when it is, our clock is
    /// behind, and what is old looks fresh. Told again before the engine
    /// trusts the clock again.
    fn compare_clocks(&mut self, exchange: Option<Timestamp>) {
        let now = self.clock.now();
        let behind = exchange.map_or(TimeDelta::zero(), |at| at - now);
        let told = self.behind_told.is_some_and(|told| now - told < TELL_BEHIND_EVERY);
        // Of a scaled clock milliseconds are seconds.
        if behind > BEHIND_MAX && !told && !self.clock.is_scaled() {
            self.behind_told = Some(now);
            self.step(Event::ClockJumped { by_ms: -behind.num_milliseconds() });
        }
    }

    fn time_passes(&mut self) {
        let now = self.clock.now();
        let closed = match &mut self.desk {
            Some(desk) => desk.close_due(now),
            None => Vec::new(),
        };
        for event in closed {
            self.step(event);
        }
        if self.engine.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.step(Event::Deadline);
        }
    }

    /// When the loop must turn again even if nothing arrives.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let desk = self.desk.as_ref().and_then(Desk::next_due);
        [desk, self.engine.next_deadline()].into_iter().flatten().min()
    }

    fn step(&mut self, event: Event) {
        let at = self.clock.now();
        if ist_date(at) != self.date {
            self.date = ist_date(at);
            self.begin_date(None);
        }
        let stamp = Stamp { seq: self.last_seq + 1, at };
        let revision = self.engine.revision();
        let mut commands = Vec::new();
        self.engine.step(stamp, &event, &mut commands);
        let silent = commands.is_empty() && self.engine.revision() == revision;
        if silent {
            // The next record holds the quotes that nothing came of.
            if let Event::Quotes(quotes) = &event {
                Quote::keep_latest(&mut self.unjournaled, quotes);
            }
            return;
        }
        self.last_seq = stamp.seq;
        if let Some((album, _)) = &mut self.album {
            album.entry(&event, &commands, &self.engine, stamp.at);
        }
        let seen = std::mem::take(&mut self.unjournaled).into_values().collect();
        self.turn.push(Entry { stamp, seen, event, commands });
    }

    fn finish_turn(&mut self) -> Result<Committed, JournalError> {
        let entries = std::mem::take(&mut self.turn);
        if !entries.is_empty() {
            self.draw_pictures(&entries);
            #[cfg(test)]
            let entries = self.late.instead_of(&self.engine, &entries);
            let _timed = tracing::info_span!(
                target: PERFORMANCE, "journal commit", events = entries.len()
            )
            .entered();
            self.journal.append(&entries)?;
        }
        let watch = entries.iter().rev().flat_map(|entry| entry.commands.iter().rev());
        let watch = watch.into_iter().find_map(|command| match command {
            Command::Watch(list) => Some(list.clone()),
            Command::Submit { .. }
            | Command::Modify { .. }
            | Command::Cancel { .. }
            | Command::Fetch(_)
            | Command::Say(_)
            | Command::Record(_) => None,
        });
        self.watch = watch.or(self.watch.take());
        let may_enter = self.engine.permission().permission == Permission::Active;
        Ok(Committed { entries, may_enter })
    }

    /// Draws the day's picture before its summary becomes visible.
    fn draw_pictures(&self, entries: &[Entry]) {
        let Some((album, data_dir)) = &self.album else { return };
        let mode = self.engine.day().map_or("", |plan| plan.settings.mode.as_str());
        for command in entries.iter().flat_map(|entry| &entry.commands) {
            if let Command::Record(Fact::Day(summary)) = command {
                album.draw(data_dir, summary, mode);
            }
        }
    }

    /// The new list of wanted instruments, once after each change.
    pub(crate) fn take_watch(&mut self) -> Option<Vec<InstrumentKey>> {
        self.watch.take()
    }

    /// The candles under construction, once a day is prepared.
    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// What a replay found to differ from the journal, once.
    pub(crate) fn take_mismatch(&mut self) -> Option<ReplayMismatch> {
        self.mismatch.take()
    }

    /// How far prices have been worked off, and whether something held needs
    /// real time to come to an end.
    pub(crate) fn progress(&self) -> (Option<Timestamp>, bool) {
        let at_work = self.engine.open_position().is_some_and(|position| {
            position.quantity == 0 || position.resting_stop.is_none() || position.closing.is_some()
        });
        (self.progress, at_work)
    }

    /// The journal, for whoever looks on.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Lets go of the journal: this process writes it no more.
    pub(crate) fn into_journal(self) -> Journal {
        self.journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use crate::engine::Mode;
    use crate::engine::event::OperatorAction;
    use crate::journal::Run;
    use crate::market::{Exchange, Price};
    use crate::store::Store;

    fn kernel(hands: &ManualClock) -> Kernel {
        let clock = hands.clock();
        let run = Run {
            kind: "trading",
            pid: 1,
            started_at: clock.now(),
            version: "0".into(),
            build: "test".into(),
            config_hash: "0".into(),
        };
        let journal = Journal::claim(Store::in_memory(Mode::Live).unwrap(), &run).unwrap();
        Kernel::new(Engine::new(), journal, clock, 2_000)
    }

    /// A price that is ahead of our clock by so much; answers what it says of
    /// the clock.
    fn price(kernel: &mut Kernel, ahead_ms: i64) -> Option<i64> {
        let last = Price::from_rupees(81_335);
        let quote = Quote {
            instrument: InstrumentKey::new(Exchange::Bse, "SENSEX"),
            at: kernel.clock.now() + TimeDelta::milliseconds(ahead_ms),
            last,
            bid: None,
            ask: None,
            ask_depth: 0,
            volume: 0,
            open_interest: 0,
            reference: last,
        };
        let turn = kernel.turn(vec![Input::Frame(vec![quote])], Vec::new()).unwrap();
        turn.entries.iter().find_map(|entry| {
            let Event::ClockJumped { by_ms } = entry.event else { return None };
            Some(by_ms)
        })
    }

    #[test]
    fn m14_a_price_from_the_future_means_that_our_clock_is_behind() {
        let hands = ManualClock::new(chrono::DateTime::from_timestamp(1_795_400_000, 0).unwrap());
        let mut kernel = kernel(&hands);
        assert_eq!(price(&mut kernel, -9_000), None);
        assert_eq!(price(&mut kernel, 2_000), None, "whole seconds of another machine");
        assert_eq!(price(&mut kernel, 2_001), Some(-2_001));
        hands.pass(TimeDelta::seconds(149));
        assert_eq!(price(&mut kernel, 9_000), None, "told a moment ago");
        hands.pass(TimeDelta::seconds(1));
        let again = "told again before the engine would trust the clock";
        assert_eq!(price(&mut kernel, 9_000), Some(-9_000), "{again}");
    }

    /// The process dies and starts again from the journal.
    fn restarted(kernel: Kernel) -> Kernel {
        let (clock, journal) = (kernel.clock.clone(), kernel.into_journal());
        let day = journal.last_day(None).unwrap();
        let entries = day.map_or(Vec::new(), |day| journal.replay(day).unwrap());
        let mut kernel = Kernel::new(Engine::new(), journal, clock, 2_000);
        let _ = kernel.replay(&entries).unwrap();
        let mismatch = kernel.take_mismatch();
        assert!(mismatch.is_none(), "{mismatch:?}");
        kernel
    }

    fn holds(kernel: &Kernel) -> Vec<String> {
        kernel.engine.carried().holds.into_iter().map(|hold| hold.reason).collect()
    }

    #[test]
    fn every_date_replays_by_itself_and_keeps_what_only_people_lift() {
        let hands = ManualClock::new(chrono::DateTime::from_timestamp(1_795_400_000, 0).unwrap());
        let mut kernel = kernel(&hands);
        let _ = kernel.replay(&[]).unwrap();
        let ask = |kernel: &mut Kernel, action| {
            let (actor, asked_at) = ("test:1".to_string(), kernel.clock.now());
            let command = OperatorCommand { request: 1, actor, asked_at, action };
            let _ = kernel.turn(Vec::new(), vec![command]).unwrap();
        };
        ask(&mut kernel, OperatorAction::Disable);
        ask(&mut kernel, OperatorAction::Panic { all: false });
        for starts in [2, 0, 1, 3] {
            hands.pass(TimeDelta::hours(24));
            if starts == 0 {
                let _ = kernel.turn(Vec::new(), Vec::new()).unwrap();
            }
            for _ in 0..starts {
                kernel = restarted(kernel);
                assert_eq!(holds(&kernel), ["PANIC", "OPERATOR"]);
            }
        }
        let before = holds(&kernel);
        ask(&mut kernel, OperatorAction::Enable { confirmed: true });
        assert_eq!(holds(&restarted(kernel)), before, "the day is not prepared");
    }
}
