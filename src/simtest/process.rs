//! The process that trades, from outside: its turns, its deaths and starts,
//! and what reaches it besides answers.

use chrono::TimeDelta;

use super::day::SimError;
use super::due::Due;
use super::world::World;
use crate::engine::event::{FeedState, OperatorAction, OperatorCommand};
use crate::engine::{Command, DayPlan};
use crate::journal::{Journal, Run};
use crate::market::InstrumentKey;
use crate::trading::input::Input;
use crate::trading::kernel::{Committed, Kernel};

/// How long a candle waits for late quotes.
const GRACE_MS: u64 = 2_000;

impl World {
    /// Hands requests of people to the process, when it lives; they wait for
    /// it otherwise.
    pub(super) fn ask(&mut self, asks: Vec<(i64, OperatorAction)>) -> Result<(), SimError> {
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
    pub(super) fn start(&mut self) -> Result<(), SimError> {
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

    /// What the service does while the feed is down and something is held.
    pub(super) fn ask_for_quotes(&mut self) {
        let held = self.kernel.as_ref().and_then(|kernel| kernel.engine.open_position());
        if let Some(position) = held {
            let (life, keys) = (self.life, vec![position.contract, position.signal]);
            let after = self.dice.millis(40, 300);
            self.later(after, Due::Fallback { life, keys });
        }
    }

    pub(super) fn frame(&mut self, keys: &[InstrumentKey]) -> Result<(), SimError> {
        let quotes: Vec<_> = keys.iter().filter_map(|key| self.market.quote(key)).collect();
        if self.kernel.is_some()
            && let Some(quote) =
                quotes.iter().find(|quote| quote.instrument == *self.market.signal())
        {
            self.audit.priced(quote.at);
        }
        self.turn(vec![Input::Frame(quotes)], Vec::new())
    }

    pub(super) fn connect(&mut self, life: u32) -> Result<(), SimError> {
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

    pub(super) fn disconnect(&mut self, life: u32) -> Result<(), SimError> {
        if life != self.life || !self.connected {
            return Ok(());
        }
        self.connected = false;
        self.audit.fed(FeedState::Down);
        self.turn(vec![Input::Feed(FeedState::Down)], Vec::new())
    }

    pub(super) fn backfill(&mut self, life: u32) -> Result<(), SimError> {
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

    pub(super) fn prepare(&mut self, life: u32) -> Result<(), SimError> {
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

    pub(super) fn log_in(&mut self) -> Result<(), SimError> {
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
}
