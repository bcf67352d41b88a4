//! What the calendar and the clock ask for: the day, its hours, its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveTime, TimeDelta};

use super::Engine;
use super::book::count;
use super::command::Command;
use super::day::{Carried, DayPlan};
use super::entry::is_unknown_entry;
use super::intents::Intent;
use super::ledger::{DaySummary, ExitReason, Fact};
use super::permission::Hold;
use super::settings::Mode;
use crate::market::time::from_ist;
use crate::market::{Candle, InstrumentKey, Price, Timestamp};

/// While anything is open, the engine looks again at least this often.
const PULSE: TimeDelta = TimeDelta::seconds(1);
/// Alarms before everything must be flat.
const WARN_BEFORE: TimeDelta = TimeDelta::minutes(2);
const CRY_BEFORE: TimeDelta = TimeDelta::minutes(1);
/// A read this long before the day's end shows what is left of it.
const LAST_READ: TimeDelta = TimeDelta::minutes(1);
/// A candle follows another when it starts where that one ended.
const ONE_CANDLE: i64 = 1;

/// Moments of the day that have passed, and what was told once.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks {
    /// True while nothing is left to do today: no further commands.
    pub(super) closed: bool,
    /// The day as it was summed up.
    summed: Option<DaySummary>,
    /// How many of the three alarms before the end were raised.
    alarms: u32,
    /// When the wall clock jumped last.
    pub(super) clock_jumped: Option<Timestamp>,
    /// How many foreign positions were told.
    pub(super) foreign_told: Option<usize>,
    /// Start of the last unsound candle of each instrument.
    unsound: BTreeMap<InstrumentKey, Timestamp>,
    /// Spot that the watch list was made for.
    watched_at: Option<Price>,
    /// The entry order that was told to be stuck.
    pub(super) stuck_told: Option<super::ledger::IntentId>,
    /// A rule that broke, told once.
    pub(super) broken: Option<String>,
}

impl Marks {
    /// Notes a candle. Answers whether a signal may rest on it: neither it
    /// nor the one before had a gap.
    pub(super) fn note_soundness(
        &mut self,
        instrument: &InstrumentKey,
        candle: &Candle,
        sound: bool,
        candle_s: u32,
    ) -> bool {
        let before = self.unsound.get(instrument).copied();
        if !sound {
            self.unsound.insert(instrument.clone(), candle.start);
            return false;
        }
        let width = TimeDelta::seconds(i64::from(candle_s) * ONE_CANDLE);
        before.is_none_or(|unsound| candle.start > unsound + width)
    }
}

impl Engine {
    /// What outlives the date.
    pub fn carried(&self) -> Carried {
        let trade = self.trade.iter().map(|trade| &trade.leg).filter(|leg| leg.opened > 0);
        let strays = self.strays.iter().filter(|stray| stray.open && stray.late.is_some());
        let open = trade.chain(strays.map(|stray| &stray.leg));
        Carried {
            holds: self.control.lasting(),
            open: self.left_open.iter().chain(open.map(|leg| &leg.instrument)).cloned().collect(),
            session_alive: self.session_alive,
            feed_up: self.feed_up,
        }
    }

    /// Forgets everything but what earlier days have left behind.
    pub(super) fn on_new_date(&mut self, carried: &Carried) {
        let fresh = Engine::with_strategies(Arc::clone(&self.builder));
        *self = Engine {
            now: self.now,
            revision: self.revision,
            #[cfg(test)]
            sabotaged: self.sabotaged,
            session_alive: carried.session_alive,
            feed_up: carried.feed_up,
            left_open: carried.open.clone(),
            ..fresh
        };
        self.control.begin(self.now.at);
        carried.holds.iter().for_each(|hold| self.control.carry(hold));
    }

    pub(super) fn on_day(&mut self, plan: &DayPlan) {
        if self.plan.is_some() {
            if self.strategy.is_none() {
                self.plan = Some(Arc::new(plan.clone()));
                self.build_strategy();
                self.watch_afresh();
            }
            self.sync.ask_now();
            return;
        }
        let at = self.now.at;
        self.sync.restart(at);
        self.control.begin_day(plan);
        self.control.hold(Hold::Starting, "engine", at);
        if plan.settings.mode == Mode::Live && plan.settings.risk.require_arm {
            self.control.hold(Hold::Arm, "engine", at);
        }
        self.plan = Some(Arc::new(plan.clone()));
        for contract in self.left_open.clone() {
            self.control.hold(Hold::Mismatch, "engine", at);
            self.say_left_open(&contract);
        }
        if self.day_close_at().is_some_and(|close| at >= close) {
            self.marks.closed = true;
        }
        self.build_strategy();
        self.watch_afresh();
    }

    fn build_strategy(&mut self) {
        let Some(plan) = &self.plan else { return };
        match (self.builder)(plan) {
            Ok(strategy) => self.strategy = Some(strategy),
            Err(error) => {
                self.strategy = None;
                self.say_no_strategy(&error.to_string());
            }
        }
    }

    /// A start is the same after a crash: entries wait until orders and
    /// positions were compared (M5).
    pub(super) fn on_restarted(&mut self) {
        let at = self.now.at;
        self.feed_up = false;
        self.session_alive = true;
        self.sync.restart(at);
        self.control.hold(Hold::Starting, "engine", at);
        self.give_up_on_outcomes(false);
    }

    /// The clock cannot be trusted (M14). Told once while it goes on.
    pub(super) fn on_clock_jumped(&mut self, by_ms: i64) {
        let before = self.marks.clock_jumped.replace(self.now.at);
        self.sync.ask_now();
        if before.is_none_or(|before| self.now.at >= before + super::entry::CLOCK_TRUST_AFTER) {
            self.say_clock_jumped(by_ms);
        }
    }

    pub(super) fn on_session(&mut self, alive: bool) {
        if self.session_alive == alive {
            return;
        }
        self.session_alive = alive;
        if self.plan.is_some() && !self.marks.closed {
            self.say_session(alive);
        }
        if alive {
            let at = self.now.at;
            self.sync.restart(at);
            self.sync.ask_now();
            self.control.hold(Hold::Starting, "engine", at);
            if let Some(trade) = &mut self.trade {
                trade.leg.not_before = None;
            }
        }
    }

    /// True when orders can be sent at all.
    pub(super) fn may_send(&self) -> bool {
        self.plan.is_some()
            && self.session_alive
            && !self.marks.closed
            && !self.control.has(Hold::Invariant)
    }

    fn time_of_day(
        &self,
        pick: impl Fn(&super::settings::Schedule) -> NaiveTime,
    ) -> Option<Timestamp> {
        let plan = self.plan.as_ref()?;
        Some(from_ist(plan.date, pick(&plan.settings.schedule)))
    }

    pub(super) fn flatten_at(&self) -> Option<Timestamp> {
        self.time_of_day(|schedule| schedule.flatten_start)
    }

    pub(super) fn hard_flat_at(&self) -> Option<Timestamp> {
        self.time_of_day(|schedule| schedule.hard_flat)
    }

    pub(super) fn square_off_at(&self) -> Option<Timestamp> {
        self.time_of_day(|schedule| schedule.broker_square_off)
    }

    pub(super) fn day_close_at(&self) -> Option<Timestamp> {
        self.time_of_day(|schedule| schedule.day_close)
    }

    /// True between the first and the last instant of an entry, the time
    /// that a signal lives included.
    pub(super) fn is_entry_window(&self) -> bool {
        let Some(plan) = &self.plan else { return false };
        let schedule = &plan.settings.schedule;
        let ttl = TimeDelta::seconds(i64::from(plan.settings.risk.signal_ttl_s));
        let first = from_ist(plan.date, schedule.first_entry);
        let last = from_ist(plan.date, schedule.last_entry) + ttl;
        (first..=last).contains(&self.now.at) && !self.is_flatten_time()
    }

    pub(super) fn is_flatten_time(&self) -> bool {
        self.flatten_at().is_some_and(|flatten| self.now.at >= flatten)
    }

    /// Raises the alarms before everything must be flat.
    pub(super) fn keep_schedule(&mut self) {
        let Some(hard_flat) = self.hard_flat_at() else { return };
        if self.marks.closed || self.is_settled() {
            return;
        }
        let marks = [hard_flat - WARN_BEFORE, hard_flat - CRY_BEFORE, hard_flat];
        let due = count(marks.iter().filter(|mark| self.now.at >= **mark).count());
        if due > self.marks.alarms {
            self.marks.alarms = due;
            self.touch();
            self.say_not_flat_in_time(due);
        }
    }

    /// True when the last comparison of the day is still to come.
    pub(super) fn awaits_final_proof(&self) -> bool {
        !self.marks.closed && self.hard_flat_at().is_some_and(|flat| self.now.at >= flat)
    }

    /// Sums the day up: once it is proven flat, or at its very end.
    pub(super) fn close_day(&mut self) {
        let (Some(hard_flat), Some(day_close)) = (self.hard_flat_at(), self.day_close_at()) else {
            return;
        };
        if self.marks.closed || self.now.at < hard_flat {
            return;
        }
        let is_over = self.now.at >= day_close;
        // An entry that nobody found may turn up as long as the exchange works.
        let may_fill = self.intents.values().any(Intent::may_turn_up);
        let read_from = if may_fill && is_over { day_close - LAST_READ } else { hard_flat };
        let proven = self.sync.positions_since(read_from).is_some() && self.is_settled();
        let holds = self.trade.as_ref().is_some_and(|trade| trade.leg.opened > 0);
        let misses = !is_over && self.intents.values().any(is_unknown_entry);
        let flat = proven && !holds && !misses;
        if self.marks.summed.is_none() && !(is_over || (proven && !holds)) {
            return;
        }
        let panics = self.is_panic_under_way();
        let closes = is_over || (flat && !may_fill && !panics);
        if self.marks.summed.is_some() && !closes {
            return;
        }
        let Some(summary) = self.summary(flat) else { return };
        if self.marks.summed.as_ref().is_none_or(|told| *told != summary) {
            self.compare_results();
            self.say_summary(&summary, self.marks.summed.is_some());
            self.emit(Command::Record(Fact::Day(Box::new(summary.clone()))));
            self.marks.summed = Some(summary);
            self.touch();
        }
        if closes {
            self.marks.closed = true;
            self.touch();
        }
    }

    /// Goes on with a day that was over, for somebody who panics. False when
    /// it is too late: the session is given back.
    pub(super) fn reopen(&mut self) -> bool {
        let in_time = self.day_close_at().is_some_and(|close| self.now.at < close);
        if self.marks.closed && in_time {
            self.marks.closed = false;
            self.touch();
        }
        !self.marks.closed
    }

    fn summary(&self, flat: bool) -> Option<DaySummary> {
        let plan = self.plan.as_ref()?;
        let mut setups: BTreeMap<String, u32> = BTreeMap::new();
        let mut exits: BTreeMap<ExitReason, u32> = BTreeMap::new();
        for trade in &self.book.closed {
            *setups.entry(trade.setup.clone()).or_default() += 1;
            if let Some(reason) = trade.exit_reason {
                *exits.entry(reason).or_default() += 1;
            }
        }
        let closed = &self.book.closed;
        let wins = self.book.wins();
        Some(DaySummary {
            date: plan.date,
            instrument: plan.signal.key.clone(),
            trades: self.trades_today(),
            wins,
            losses: count(closed.len()) - wins,
            gross: closed.iter().map(|trade| trade.gross).sum(),
            charges: closed.iter().map(|trade| trade.charges).sum(),
            max_drawdown: self.book.max_drawdown(),
            by_setup: setups.into_iter().collect(),
            by_exit: exits.into_iter().collect(),
            first_candle_entries: count(closed.iter().filter(|trade| trade.first_candle).count()),
            flat,
        })
    }

    /// Everything that the clock alone may bring about, earliest first.
    pub(super) fn earliest_deadline(&self) -> Option<Timestamp> {
        let now = self.now.at;
        if self.plan.is_none() || self.marks.closed {
            return None;
        }
        let mut due: Vec<Timestamp> = Vec::new();
        due.extend(self.fetch_due());
        due.extend(self.outcome_due());
        due.extend(self.pending.as_ref().map(|pending| pending.until));
        due.extend(self.flatten_at());
        due.extend(self.day_close_at());
        due.extend(self.event_marks());
        if let Some(hard_flat) = self.hard_flat_at() {
            due.extend([hard_flat - WARN_BEFORE, hard_flat - CRY_BEFORE, hard_flat]);
        }
        if let Some(trade) = &self.trade {
            due.push(self.entry_until(trade));
            due.extend(trade.protect_by);
            due.extend(self.blind_at(trade));
            due.extend(self.slow_exit_at(trade));
            due.extend(self.leg_deadlines(&trade.leg));
            due.extend(self.sales_pause_marks());
        }
        for stray in self.strays.iter().filter(|stray| stray.open) {
            due.extend(self.leg_deadlines(&stray.leg));
        }
        if self.busy() {
            due.push(now + PULSE);
        }
        due.into_iter().filter(|at| *at > now).min()
    }

    /// The watch list after a change of what is held.
    pub(super) fn watch_held(&mut self) {
        self.watch_for(self.marks.watched_at);
    }

    /// The watch list around a new spot.
    pub(super) fn watch_around(&mut self, spot: Price) {
        self.watch_for(Some(spot));
    }

    fn watch_afresh(&mut self) {
        let Some(plan) = &self.plan else { return };
        let key = &plan.signal.key;
        let history = plan.histories.iter().find(|row| row.instrument == *key);
        let spot = self
            .quotes
            .get(key)
            .map(|quote| quote.last)
            .or_else(|| history.map(|row| row.previous.close));
        self.watch.clear();
        self.watch_for(spot);
    }

    fn watch_for(&mut self, spot: Option<Price>) {
        let Some(plan) = self.plan.clone() else { return };
        self.marks.watched_at = spot;
        let mut list = vec![plan.signal.key.clone()];
        // A signal that waits keeps the contracts that it may be traded by.
        let waiting = self.pending.as_ref().map(|pending| &pending.signal);
        let spots = spot.into_iter().chain(waiting.map(|signal| signal.reference));
        let strategy = self.strategy.as_ref();
        let wanted: Vec<InstrumentKey> = strategy
            .map(|strategy| spots.flat_map(|spot| strategy.wants(spot)).collect())
            .unwrap_or_default();
        let strategys = plan.histories.iter().map(|row| row.instrument.clone());
        let held = self.trade.iter().map(|trade| trade.leg.instrument.clone());
        let strays = self.strays.iter().filter(|stray| stray.open);
        let strays = strays.map(|stray| stray.leg.instrument.clone());
        let is_single = plan.histories.len() == 1;
        let all = strategys
            .filter(|_| is_single)
            .chain(wanted)
            .chain(held)
            .chain(strays)
            .chain(waiting.map(|signal| signal.instrument.clone()));
        for key in all {
            if !list.contains(&key) {
                list.push(key);
            }
        }
        list[1..].sort_unstable();
        if list != self.watch {
            self.watch.clone_from(&list);
            self.emit(Command::Watch(list));
        }
    }
}
