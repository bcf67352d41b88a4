//! The loop around the engine: takes inputs, steps the engine, makes the
//! journal durable, and only then lets commands out.
//!
//! # Order of work
//! Inputs that wait together are taken by rank: order updates, outcomes and
//! snapshots, then operators, then prices. All that one turn causes is
//! committed in one transaction. A failed commit ends the process: nothing of
//! the turn has been sent, and a restart finds the journal as it was.
//!
//! # What is journaled
//! Every event that changed more than quotes or that caused a command. Prices
//! that changed nothing are folded into the next record, so that a replay
//! sees the quotes that a decision saw.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::album::Album;
use super::desk::Desk;
use super::executor::Executor;
use super::input::Input;
use crate::clock::Clock;
use crate::engine::event::{CommandId, Event, FeedState, OperatorCommand, Stamp};
use crate::engine::{Command, Engine, Fact, Permission};
use crate::journal::{Entry, Journal, JournalError, ReplayMismatch, compare};
use crate::market::{InstrumentKey, Quote, Timestamp};

/// The engine with its journal. The only writer of both.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) engine: Engine,
    journal: Journal,
    clock: Clock,
    executor: Executor,
    desk: Option<Desk>,
    feed_up: bool,
    grace_ms: u64,
    album: Album,
    data_dir: PathBuf,
    last_seq: u64,
    unjournaled: BTreeMap<InstrumentKey, Quote>,
    turn: Turn,
    /// Market time up to which prices have been worked off.
    progress: Option<Timestamp>,
    /// Instruments wanted from the feed; taken when it changed.
    watch: Option<Vec<InstrumentKey>>,
    /// What a replay found to differ from the journal.
    mismatch: Option<ReplayMismatch>,
}

/// What one turn of the loop has gathered.
#[derive(Debug, Default)]
struct Turn {
    entries: Vec<Entry>,
}

impl Kernel {
    pub(super) fn new(
        engine: Engine,
        journal: Journal,
        clock: Clock,
        executor: Executor,
        data_dir: &Path,
        grace_ms: u64,
    ) -> Kernel {
        let last_seq = journal.last_seq();
        Kernel {
            engine,
            journal,
            clock,
            executor,
            desk: None,
            feed_up: false,
            grace_ms,
            album: Album::default(),
            data_dir: data_dir.to_owned(),
            last_seq,
            unjournaled: BTreeMap::new(),
            turn: Turn::default(),
            progress: None,
            watch: None,
            mismatch: None,
        }
    }

    /// Feeds the journal of the last recorded day to the engine, then tells
    /// it that the process has restarted. Commands of that day are not sent
    /// again: those without an outcome are unknown.
    pub(super) fn replay(&mut self, entries: Vec<Entry>) -> Result<(), JournalError> {
        for entry in entries {
            let mut commands = Vec::new();
            if let Event::Day(plan) = &entry.event {
                self.desk = Some(Desk::new(plan.as_ref(), self.grace_ms));
            }
            if let (Event::Candle { instrument, candle, .. }, Some(desk)) =
                (&entry.event, &mut self.desk)
            {
                desk.replayed(instrument, candle.start);
            }
            self.album.event(&entry.event);
            let is_day = matches!(entry.event, Event::Day(_));
            let stored = entry.clone();
            self.engine.observe(entry.seen);
            self.engine.step(entry.stamp, entry.event, &mut commands);
            if is_day {
                self.begin_album();
            }
            self.keep_in_album(&commands, stored.stamp.at);
            if let Err(mismatch) = compare(&stored, &commands) {
                tracing::error!(%mismatch, "replay differs from the journal");
                self.mismatch.get_or_insert(mismatch);
            }
        }
        self.watch = Some(self.engine.watch_list().to_vec());
        self.step(Event::Restarted);
        self.finish_turn()
    }

    /// Takes everything that waits, then makes it durable and sends.
    pub(super) fn turn(
        &mut self,
        mut inputs: Vec<Input>,
        operators: Vec<OperatorCommand>,
    ) -> Result<(), JournalError> {
        inputs.sort_by_key(Input::rank);
        let mut prices = inputs.split_off(inputs.partition_point(|input| input.rank() < 3));
        for command in operators {
            self.step(Event::Operator(command));
        }
        for input in inputs {
            self.take(input);
        }
        for input in prices.drain(..) {
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
        self.progress = quotes.iter().map(|quote| quote.at).max().max(self.progress);
        let closed: Vec<Event> = match &mut self.desk {
            Some(desk) => quotes.iter().filter_map(|quote| desk.take(quote)).collect(),
            None => Vec::new(),
        };
        self.step(Event::Quotes(quotes));
        for event in closed {
            self.step(event);
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
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let desk = self.desk.as_ref().and_then(Desk::next_due);
        [desk, self.engine.next_deadline()].into_iter().flatten().min()
    }

    fn step(&mut self, event: Event) {
        let stamp = Stamp { seq: self.last_seq + 1, at: self.clock.now() };
        let revision = self.engine.revision();
        let mut commands = Vec::new();
        self.engine.step(stamp, event.clone(), &mut commands);
        let silent = commands.is_empty() && self.engine.revision() == revision;
        if silent {
            if let Event::Quotes(quotes) = event {
                let latest = quotes.into_iter().map(|quote| (quote.instrument.clone(), quote));
                self.unjournaled.extend(latest);
            }
            return;
        }
        self.last_seq = stamp.seq;
        self.album.event(&event);
        self.keep_in_album(&commands, stamp.at);
        let seen = std::mem::take(&mut self.unjournaled).into_values().collect();
        self.turn.entries.push(Entry { stamp, seen, event, commands });
    }

    fn finish_turn(&mut self) -> Result<(), JournalError> {
        if self.turn.entries.is_empty() {
            return Ok(());
        }
        let entries = std::mem::take(&mut self.turn.entries);
        self.draw_pictures(&entries);
        self.journal.append(&entries)?;
        let may_enter = self.engine.permission().permission == Permission::Active;
        self.executor.set_may_enter(may_enter);
        for entry in entries {
            self.dispatch(entry);
        }
        Ok(())
    }

    fn dispatch(&mut self, entry: Entry) {
        for (index, command) in (0_u32..).zip(entry.commands) {
            match command {
                Command::Watch(list) => self.watch = Some(list),
                Command::Say(notice) => tracing::info!(
                    kind = notice.kind.as_str(),
                    trade = notice.trade.as_deref().unwrap_or("-"),
                    "{}",
                    notice.headline
                ),
                Command::Record(fact) => super::activity::log(&fact),
                command @ (Command::Submit { .. }
                | Command::Modify { .. }
                | Command::Cancel { .. }
                | Command::Fetch(_)) => {
                    self.executor.dispatch(CommandId { seq: entry.stamp.seq, index }, command);
                }
            }
        }
    }

    /// Shows the album the day that the engine now has.
    pub(super) fn begin_album(&mut self) {
        if let Some(plan) = self.engine.day() {
            self.album.begin(plan, &self.engine.outlook());
        }
    }

    fn keep_in_album(&mut self, commands: &[Command], at: Timestamp) {
        for command in commands {
            if let Command::Record(fact) = command {
                self.album.fact(fact, &self.engine, at);
            }
        }
    }

    /// Draws the day's picture before its summary becomes visible.
    fn draw_pictures(&self, entries: &[Entry]) {
        let mode = self.engine.day().map_or("", |plan| plan.settings.mode.as_str());
        for command in entries.iter().flat_map(|entry| &entry.commands) {
            if let Command::Record(Fact::Day(summary)) = command {
                self.album.draw(&self.data_dir, summary, mode);
            }
        }
    }

    /// True when nothing is in flight, working or held.
    pub(super) fn is_quiet(&self) -> bool {
        self.executor.in_flight() == 0 && !self.engine.busy()
    }

    /// The new list of wanted instruments, once after each change.
    pub(super) fn take_watch(&mut self) -> Option<Vec<InstrumentKey>> {
        self.watch.take()
    }

    /// The candles under construction, once a day is prepared.
    pub(super) fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// What a replay found to differ from the journal, once.
    pub(super) fn take_mismatch(&mut self) -> Option<ReplayMismatch> {
        self.mismatch.take()
    }

    /// How far prices have been worked off, and whether anything needs real
    /// time to come to an end.
    pub(super) fn progress(&self) -> (Option<Timestamp>, bool) {
        let at_work = self.engine.open_position().is_some_and(|position| {
            position.quantity == 0 || position.resting_stop.is_none() || position.closing.is_some()
        });
        (self.progress, at_work || self.executor.in_flight() > 0)
    }
}
