//! Runs the loop: waits for whatever comes first, lets the core take a turn,
//! and sees to what a turn leaves to do.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use tokio::sync::mpsc::UnboundedReceiver;

use super::TradingError;
use super::context::Context;
use super::doubt::{is_stale, off_by_ms};
use super::executor::Executor;
use super::feed::Feed;
use super::input::Input;
use super::kernel::{Committed, Kernel};
use super::outlook;
use crate::engine::event::{FeedState, OperatorAction, OperatorCommand};
use crate::engine::{Command, Fact, Mode, PositionView};
use crate::health::Watchman;
use crate::journal::Fence;
use crate::kite::Interval;
use crate::market::{Candle, InstrumentKey, Quote, Timestamp};
use crate::store::{Answer, Ask, Heartbeat};

/// How often the database is looked at for requests, in real time.
const INBOX_POLL: Duration = Duration::from_millis(20);

/// Market time between heartbeats, and the least real time between them (a
/// scaled clock may run hundreds of times faster).
const HEARTBEAT: TimeDelta = TimeDelta::seconds(5);
const HEARTBEAT_REAL_MIN: Duration = Duration::from_millis(250);

/// Requests taken from the inbox in one turn at most.
const INBOX_MAX: u32 = 50;

/// Market time between quote calls while the feed is down or mute and
/// something is held.
const FALLBACK_EVERY: TimeDelta = TimeDelta::seconds(1);

/// Market time within which a request must have been found, unless it makes
/// things safer. Whoever asked was told by then that nobody answers.
const REQUEST_WITHIN: TimeDelta = TimeDelta::seconds(60);

/// Pause between two reports that the clock is off.
const CLOCK_AGAIN: TimeDelta = TimeDelta::seconds(60);

/// The service: the core with what surrounds it.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) context: Context,
    pub(super) core: Kernel,
    executor: Executor,
    pub(super) feed: Feed,
    pub(super) inputs: UnboundedReceiver<Input>,
    started_at: Timestamp,
    last_beat: Option<(Timestamp, Instant)>,
    taken: BTreeSet<i64>,
    postback: i64,
    feed_up: bool,
    fallback_due: Option<Timestamp>,
    falling_back: Rc<Cell<bool>>,
    clock_due: Option<Timestamp>,
    restart: bool,
    fence: Arc<Fence>,
    watchman: Option<Watchman>,
}

/// True for what nobody expects any more and is no stop.
fn is_too_late(ask: &Ask, age: TimeDelta) -> bool {
    let stops = match ask {
        Ask::Operator(action) => match action {
            OperatorAction::Disable | OperatorAction::Panic { .. } => true,
            OperatorAction::Enable { .. }
            | OperatorAction::Exit
            | OperatorAction::Arm
            | OperatorAction::Set { .. } => false,
        },
        Ask::Login => true,
        Ask::Restart { .. } => false,
    };
    !stops && age > REQUEST_WITHIN
}

const fn is_panic(ask: &Ask) -> bool {
    matches!(ask, Ask::Operator(OperatorAction::Panic { .. }))
}

/// What a turn starts from.
enum Woken {
    Inputs(Vec<Input>),
    Time,
}

impl Service {
    pub(super) fn new(
        context: Context,
        core: Kernel,
        executor: Executor,
        feed: Feed,
        inputs: UnboundedReceiver<Input>,
        fence: Arc<Fence>,
    ) -> Result<Service, TradingError> {
        let postback = context.store.borrow().postback_last_id()?;
        Ok(Service {
            started_at: context.clock.now(),
            context,
            core,
            executor,
            feed,
            inputs,
            last_beat: None,
            taken: BTreeSet::new(),
            postback,
            feed_up: false,
            fallback_due: None,
            falling_back: Rc::default(),
            clock_due: None,
            restart: false,
            fence,
            watchman: None,
        })
    }

    /// Has its signs of life show what this process uses.
    pub(super) fn measured_by(&mut self, watchman: Watchman) {
        self.watchman = Some(watchman);
    }

    /// Turns until `stop` is ready, or `done` says that there is nothing left
    /// to do.
    pub(super) async fn run(
        &mut self,
        stop: impl Future<Output = ()>,
        done: impl Fn(&Service) -> bool,
    ) -> Result<(), TradingError> {
        tokio::pin!(stop);
        loop {
            let woken = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                woken = self.wait() => woken,
            };
            self.turn(woken)?;
            if done(self) {
                return Ok(());
            }
        }
    }

    /// True when a restart was asked for; what is left to do then is done as
    /// before any other end.
    pub(super) fn is_restart_asked(&self) -> bool {
        self.restart
    }

    async fn wait(&mut self) -> Woken {
        let wake = self.core.next_wake();
        let clock = &self.context.clock;
        let timer = async {
            match wake {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(input) = self.inputs.recv() => Woken::Inputs(vec![input]),
            Some(inputs) = self.feed.next() => Woken::Inputs(inputs),
            () = timer => Woken::Time,
            () = tokio::time::sleep(INBOX_POLL) => Woken::Time,
        }
    }

    fn turn(&mut self, woken: Woken) -> Result<(), TradingError> {
        let mut inputs = match woken {
            Woken::Inputs(inputs) => inputs,
            Woken::Time => Vec::new(),
        };
        while let Ok(input) = self.inputs.try_recv() {
            inputs.push(input);
        }
        self.feed.ready(&mut inputs);
        inputs.extend(self.watch_clock().map(|by_ms| Input::ClockOff { by_ms }));
        self.look_at(&inputs);
        let prepared = inputs.iter().any(|input| matches!(input, Input::Day(_)));
        let operators = self.requests()?;
        self.take_turn(inputs, operators)?;
        if prepared {
            self.day_prepared()?;
        }
        if let Some(watch) = self.core.take_watch() {
            self.feed.want(&watch);
        }
        self.fallback();
        self.beat()?;
        let (progress, busy) = self.progress();
        let progress = match progress {
            Some(progress) if self.feed_up => progress,
            _ => self.context.clock.now(),
        };
        self.context.clock.report("trading", progress, busy);
        // Only here, at the end of a turn whose commit succeeded (M12).
        crate::service::alive();
        Ok(())
    }

    /// Lets the core take a turn and carries out what it asks for.
    pub(super) fn take_turn(
        &mut self,
        inputs: Vec<Input>,
        operators: Vec<OperatorCommand>,
    ) -> Result<(), TradingError> {
        let committed = self.core.turn(inputs, operators)?;
        self.carry_out(&committed);
        Ok(())
    }

    /// Sends what is durable by now.
    pub(super) fn carry_out(&self, committed: &Committed) {
        self.executor.set_may_enter(committed.may_enter);
        for (_, command) in committed.commands() {
            if let Command::Record(Fact::Order(order)) = command {
                self.executor.note_trade(order.intent, &order.trade_id);
            }
        }
        for (id, command) in committed.commands() {
            match command {
                Command::Watch(_) => {}
                Command::Say(notice) => tracing::info!(
                    kind = notice.kind.as_str(),
                    correlation_id = notice.trade.as_deref().unwrap_or(""),
                    event_type = "notice",
                    "{}",
                    notice.headline
                ),
                Command::Record(fact) => super::activity::log(fact),
                Command::Submit { .. }
                | Command::Modify { .. }
                | Command::Cancel { .. }
                | Command::Fetch(_) => self.executor.dispatch(id, command.clone()),
            }
        }
    }

    /// Requests to the broker that have not been answered yet.
    pub(super) fn in_flight(&self) -> u32 {
        self.executor.in_flight()
    }

    /// True when the process may end: no answer to an order is awaited, and
    /// what is held has its stop at the exchange.
    pub(super) fn may_end(&self) -> bool {
        let position = self.core.engine.open_position();
        self.executor.orders_in_flight() == 0
            && position.is_none_or(|position| position.resting_stop.is_some())
    }

    /// Takes note of what concerns the shell in what is about to be taken.
    fn look_at(&mut self, inputs: &[Input]) {
        for input in inputs {
            match input {
                Input::Feed(FeedState::Up) => {
                    self.feed_up = true;
                    self.backfill();
                }
                Input::Feed(FeedState::Down) => self.feed_up = false,
                // Who has ended the session sees to another one as well.
                Input::Session { alive: false } if !self.context.client.has_session() => {}
                Input::Session { alive: false } | Input::FeedRefused => {
                    self.context.session_lost.notify_one();
                }
                Input::ClockOff { by_ms } => {
                    tracing::warn!(by_ms, "the clock cannot be trusted");
                }
                Input::Session { alive: true }
                | Input::Outcome { .. }
                | Input::Snapshot(_)
                | Input::Order(_)
                | Input::Frame(_)
                | Input::Day(_)
                | Input::Backfill { .. } => {}
            }
        }
    }

    /// Sets the feed and the tables to the day that the engine now has.
    pub(super) fn day_prepared(&mut self) -> Result<(), TradingError> {
        if let Some(plan) = self.core.engine.day() {
            self.feed.prepare(plan);
        }
        self.feed.want(self.core.engine.watch_list());
        outlook::publish(&self.context, &self.core.engine)?;
        self.backfill();
        Ok(())
    }

    fn requests(&mut self) -> Result<Vec<OperatorCommand>, TradingError> {
        if !self.context.store.borrow_mut().changed()? {
            return Ok(Vec::new());
        }
        // Whoever was taken over while it slept ends here, before it writes.
        self.fence.check()?;
        self.postbacks()?;
        let waiting = self.context.store.borrow().inbox_unanswered(INBOX_MAX)?;
        let panics = self.core.engine.is_panic_under_way()
            || waiting.iter().any(|receipt| is_panic(&receipt.request.ask));
        let mut commands = Vec::new();
        for receipt in waiting {
            if !self.taken.insert(receipt.id) {
                continue;
            }
            let (actor, asked_at) = (receipt.request.actor, receipt.request.asked_at);
            // Of a scaled clock a minute is a moment.
            let age = self.context.clock.now() - asked_at;
            if is_too_late(&receipt.request.ask, age) && !self.context.clock.is_scaled() {
                let text = "Asked while pivot-trading was away, and too old to be carried out now.";
                self.answer(receipt.id, false, text.into())?;
                continue;
            }
            match receipt.request.ask {
                Ask::Operator(action) => {
                    commands.push(OperatorCommand { request: receipt.id, actor, asked_at, action });
                }
                Ask::Login => self.answer(receipt.id, true, "see the login link".into())?,
                Ask::Restart { force } => {
                    let (done, text) = self.restart(asked_at, force, panics);
                    self.answer(receipt.id, done, text.into())?;
                }
            }
        }
        // A panic goes first, whatever else was asked with it.
        commands.sort_by_key(|command| !matches!(command.action, OperatorAction::Panic { .. }));
        Ok(commands)
    }

    /// Whether it is done, and what is answered.
    fn restart(&mut self, asked_at: Timestamp, force: bool, panics: bool) -> (bool, &'static str) {
        if panics {
            return (false, "Not restarted: a panic is being carried out.");
        }
        if asked_at < self.started_at {
            return (true, "It was started since you asked.");
        }
        if self.core.engine.busy() && !force {
            let text = "Not restarted: a position or an order is open. Force it if you must.";
            return (false, text);
        }
        self.restart = true;
        (true, "Restarting now.")
    }

    fn answer(&mut self, request: i64, done: bool, text: String) -> Result<(), TradingError> {
        let at = self.context.clock.now();
        self.context.store.borrow_mut().answer(&Answer { request, done, text, at })?;
        Ok(())
    }

    /// Order updates that the broker posted to the web service.
    fn postbacks(&mut self) -> Result<(), TradingError> {
        let posted = self.context.store.borrow().postbacks_after(self.postback, INBOX_MAX)?;
        for postback in posted {
            self.postback = postback.id;
            if self.context.mode == Mode::Paper {
                continue;
            }
            match crate::kite::read_postback(&postback.payload) {
                Ok(order) => self.context.send(Input::Order(order)),
                Err(reason) => tracing::warn!(%reason, "a postback is unreadable"),
            }
        }
        Ok(())
    }

    /// Asks history for the candles of today that were not seen.
    fn backfill(&self) {
        let now = self.context.clock.now();
        let (Some(plan), Some(desk)) = (self.core.engine.day(), self.core.desk()) else { return };
        let width = TimeDelta::seconds(i64::from(plan.candle_s));
        let Some(interval) = Interval::of_minutes(plan.candle_s / 60) else { return };
        let instruments = plan.contracts.iter().chain([&plan.signal]);
        for (key, from) in desk.handed_out() {
            let Some(instrument) = instruments.clone().find(|one| one.key == key) else { continue };
            if from + width > now.min(plan.close) {
                continue;
            }
            let (context, token) = (self.context.clone(), instrument.token);
            tokio::task::spawn_local(async move {
                let read = context.client.historical(token, interval, from, now, false).await;
                match read {
                    Ok(rows) => {
                        let complete = |candle: &Candle| candle.start + width <= now;
                        let candles: Vec<Candle> =
                            rows.into_iter().map(|row| row.candle).filter(complete).collect();
                        context.send(Input::Backfill { instrument: key, candles });
                    }
                    Err(error) => tracing::warn!(%error, %key, "candles could not be filled in"),
                }
            });
        }
    }

    /// How far the clock differs from the broker's, when that is too much to
    /// trust prices by their age (M14). The core watches for jumps and for
    /// prices from the future itself.
    fn watch_clock(&mut self) -> Option<i64> {
        let clock = &self.context.clock;
        if clock.is_scaled() {
            return None;
        }
        let now = clock.now();
        let skew_ms = self.context.client.clock_skew_ms();
        let off_ms = off_by_ms(skew_ms)?;
        if self.clock_due.is_some_and(|due| now < due) {
            return None;
        }
        self.clock_due = Some(now + CLOCK_AGAIN);
        Some(off_ms)
    }

    /// Asks for quotes one by one while something is held and the feed is
    /// down, or up and mute about what is held: a stop must not go blind with
    /// the feed.
    fn fallback(&mut self) {
        let now = self.context.clock.now();
        let holding = self.core.engine.open_position();
        let Some(position) = holding.filter(|position| {
            self.context.client.has_session() && (!self.feed_up || self.is_mute(position, now))
        }) else {
            self.fallback_due = None;
            return;
        };
        if *self.fallback_due.get_or_insert(now) > now || self.falling_back.get() {
            return;
        }
        self.fallback_due = Some(now + FALLBACK_EVERY);
        self.falling_back.set(true);
        let falling_back = Rc::clone(&self.falling_back);
        let keys: BTreeSet<InstrumentKey> = [position.contract, position.signal].into();
        let context = self.context.clone();
        tokio::task::spawn_local(async move {
            let keys: Vec<InstrumentKey> = keys.into_iter().collect();
            match context.client.quote(&keys).await {
                Ok(decoded) => {
                    let quotes: Vec<Quote> =
                        decoded.rows.into_iter().map(|row| row.quote).collect();
                    if !quotes.is_empty() {
                        context.send(Input::Frame(quotes));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "quotes could not be read");
                    if error.is_session_dead() {
                        context.session_lost.notify_one();
                    }
                }
            }
            falling_back.set(false);
        });
    }

    fn progress(&self) -> (Option<Timestamp>, bool) {
        let (progress, at_work) = self.core.progress();
        (progress, at_work || self.executor.in_flight() > 0)
    }

    /// True when the feed has not told of what is held for too long, although
    /// it is connected.
    fn is_mute(&self, position: &PositionView, now: Timestamp) -> bool {
        let Some(plan) = self.core.engine.day() else { return false };
        let risk = &plan.settings.risk;
        [(&position.signal, risk.index_stale_s), (&position.contract, risk.option_stale_s)]
            .into_iter()
            .any(|(key, most_s)| is_stale(now, self.core.engine.quote(key), most_s))
    }

    fn beat(&mut self) -> Result<(), TradingError> {
        let now = self.context.clock.now();
        if let Some((at, real)) = self.last_beat
            && (now - at < HEARTBEAT || real.elapsed() < HEARTBEAT_REAL_MIN)
        {
            return Ok(());
        }
        self.last_beat = Some((now, Instant::now()));
        let (progress, busy) = self.progress();
        let figures = self.core.engine.figures();
        let position = self.core.engine.open_position();
        let mut detail = serde_json::json!({
            "mode": self.context.mode.as_str(),
            "feed": if self.feed_up { "up" } else { "down" },
            "last_price_at": progress.map(|at| at.to_rfc3339()),
            "busy": busy,
            "trades": figures.trades,
            "net": figures.net.to_string(),
            "daily_loss_limit": figures.daily_loss_limit.to_string(),
            "order_messages": figures.order_messages,
            "clock_skew_ms": self.context.client.clock_skew_ms(),
            "order_round_trip_ms": self.executor.round_trip_ms(),
            "requests_in_flight": self.executor.in_flight(),
            "watched": self.core.engine.watch_list().len(),
            "position": position.map(|position| serde_json::json!({
                "trade_id": position.trade_id,
                "contract": position.contract.to_string(),
                "quantity": position.quantity,
                "entry_price": position.entry_price.to_string(),
                "last": position.last.map(|last| last.to_string()),
                "stop": position.stop.to_string(),
                "target": position.target.to_string(),
                "net": position.net.to_string(),
                "candles_held": position.candles_held,
            })),
        });
        if let Some(watchman) = &self.watchman {
            watchman.add_to(&mut detail);
        }
        self.context.store.borrow_mut().beat(&Heartbeat {
            service: "trading".into(),
            pid: std::process::id(),
            started_at: self.started_at,
            at: now,
            version: env!("CARGO_PKG_VERSION").into(),
            phase: self.context.current_phase().into(),
            detail,
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_late_is_carried_out_only_when_it_makes_things_safer() {
        let (late, in_time) = (TimeDelta::milliseconds(60_001), TimeDelta::seconds(60));
        let check = |action: OperatorAction, too_late: bool| {
            let ask = Ask::Operator(action);
            assert_eq!(is_too_late(&ask, late), too_late, "{ask:?}");
            assert!(!is_too_late(&ask, in_time), "{ask:?}");
        };
        check(OperatorAction::Panic { all: true }, false);
        check(OperatorAction::Disable, false);
        check(OperatorAction::Enable { confirmed: true }, true);
        check(OperatorAction::Exit, true);
        check(OperatorAction::Arm, true);
        assert!(is_too_late(&Ask::Restart { force: false }, late));
    }
}
