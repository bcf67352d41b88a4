//! The clockwork of a day: one queue of what is going to happen, one clock.

use chrono::TimeDelta;

use super::day::SimError;
use super::due::Due;
use super::world::World;
use crate::engine::event::{Outcome, Refusal};
use crate::market::{InstrumentKey, Timestamp};
use crate::trading::input::Input;

/// Seconds between ticks while nothing is at stake, and while something is.
const IDLE_TICK_S: (i64, i64) = (3, 9);
const BUSY_TICK: TimeDelta = TimeDelta::seconds(1);
/// A turn takes at least this long.
const LEAST: TimeDelta = TimeDelta::milliseconds(1);
/// The longest step of time.
const BLINK: TimeDelta = TimeDelta::seconds(60);
/// How much longer a process may take whose clock is behind.
const PATIENCE: TimeDelta = TimeDelta::minutes(10);
/// Turns of a day at most; more means that it talks to itself without end.
const TURNS_MAX: u32 = 400_000;

impl World {
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
        if self.ends_with_summary && self.audit.summary_flat == Some(true) {
            return true;
        }
        let slow = self.kernel.is_some() && self.process_now() < self.end;
        self.now >= self.end && (!slow || self.now >= self.end + PATIENCE)
    }

    fn wake(&self) -> Option<Timestamp> {
        let wake = self.kernel.as_ref()?.next_wake()?;
        Some(self.now + (wake - self.clock.now()).max(LEAST))
    }

    pub(super) fn pass_to(&mut self, at: Timestamp) {
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
}
