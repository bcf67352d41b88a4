//! What people may ask, and what the engine may do.
//!
//! The permission is not a switch but follows from the holds that are on:
//! each has a cause, and each is lifted by its own cause going away.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::Engine;
use super::command::Command;
use super::day::{CarriedHold, DayPlan};
use super::event::{Limit, OperatorAction, OperatorCommand};
use super::ledger::{ExitReason, Fact, LimitRecord, Permission, StateRecord};
use super::settings::{Mode, Settings, StrategySettings};
use crate::market::{Money, Price, Side, Timestamp};

/// A reconciliation counts as fresh for this long.
const CLEAN_WITHIN: TimeDelta = TimeDelta::seconds(90);

/// A reason not to enter, in the order in which it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hold {
    /// An operator's panic.
    Panic,
    /// A rule of the engine itself was broken.
    Invariant,
    /// The day's loss limit.
    DailyLoss,
    /// Too much of the day's gain was given back.
    Drawdown,
    /// The month's loss limit.
    MonthlyLoss,
    /// The week's loss limit.
    WeeklyLoss,
    /// The broker shows something else than we know.
    Mismatch,
    /// Someone else trades the contract that we hold.
    Contaminated,
    /// An operator disabled entries.
    Operator,
    /// Orders and positions are not compared yet.
    Starting,
    /// Live trading waits for the day's word.
    Arm,
}

impl Hold {
    pub(super) const fn code(self) -> &'static str {
        match self {
            Hold::Panic => "PANIC",
            Hold::Invariant => "INVARIANT",
            Hold::DailyLoss => "DAILY_LOSS",
            Hold::Drawdown => "DAY_DRAWDOWN",
            Hold::MonthlyLoss => "MONTHLY_LOSS",
            Hold::WeeklyLoss => "WEEKLY_LOSS",
            Hold::Mismatch => "MISMATCH",
            Hold::Contaminated => "SYMBOL_CONTAMINATED",
            Hold::Operator => "OPERATOR",
            Hold::Starting => "STARTING",
            Hold::Arm => "ARM",
        }
    }

    /// Holds that outlive the day: only a person lifts them.
    const LASTING: [Hold; 3] = [Hold::Panic, Hold::Invariant, Hold::Operator];

    /// True when lifting it needs the person's second word, a clean
    /// reconciliation and a flat book.
    const fn is_grave(self) -> bool {
        match self {
            Hold::Panic
            | Hold::Invariant
            | Hold::DailyLoss
            | Hold::Drawdown
            | Hold::MonthlyLoss
            | Hold::WeeklyLoss
            | Hold::Mismatch
            | Hold::Contaminated => true,
            Hold::Operator | Hold::Starting | Hold::Arm => false,
        }
    }
}

/// Limits as they stand now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limits {
    pub(super) lots: u32,
    pub(super) trades: u32,
    /// Re-entries of the whole day; `None` leaves them to the strategy.
    pub(super) re_entries: Option<u32>,
    pub(super) daily_loss: Money,
}

impl Limits {
    /// As configured.
    fn configured(settings: &Settings) -> Limits {
        Limits {
            lots: settings.risk.max_lots,
            trades: settings.risk.max_trades,
            re_entries: None,
            daily_loss: settings.risk.max_daily_loss,
        }
    }

    /// As configured, or as people have tightened them since.
    fn of(plan: &DayPlan) -> Limits {
        let mut limits = Limits::configured(&plan.settings);
        for record in &plan.limits {
            limits.tighten(record.limit, record.value, &plan.settings.strategy);
        }
        limits
    }

    /// A limit as a number: lots, trades, re-entries, paise.
    fn get(&self, limit: Limit, strategy: &StrategySettings) -> i64 {
        match limit {
            Limit::Lots => i64::from(self.lots),
            Limit::Trades => i64::from(self.trades),
            Limit::ReEntries => {
                i64::from(self.re_entries.unwrap_or_else(|| re_entries_of(strategy)))
            }
            Limit::DailyLoss => self.daily_loss.paise(),
        }
    }

    /// Takes a new value if it is no looser; whether it is.
    fn tighten(&mut self, limit: Limit, value: i64, strategy: &StrategySettings) -> bool {
        if value > self.get(limit, strategy) {
            return false;
        }
        let small = u32::try_from(value).unwrap_or_default();
        match limit {
            Limit::Lots => self.lots = small,
            Limit::Trades => self.trades = small,
            Limit::ReEntries => self.re_entries = Some(small),
            Limit::DailyLoss => self.daily_loss = Money::from_paise(value),
        }
        true
    }
}

/// Re-entries that a strategy allows by itself.
const fn re_entries_of(strategy: &StrategySettings) -> u32 {
    match strategy {
        StrategySettings::PremiumPivot(settings) => settings.max_re_entries,
        StrategySettings::IndexPivot(settings) => settings.max_entries_per_level.saturating_sub(1),
        StrategySettings::LevelBreakout(settings) => settings.max_entries,
    }
}

/// A limit's number with its unit.
fn shown(limit: Limit, value: i64) -> String {
    match limit {
        Limit::Lots => format!("{value} lots"),
        Limit::Trades => format!("{value} trades"),
        Limit::ReEntries => format!("{value} re-entries"),
        Limit::DailyLoss => format!("a daily loss of {}", Money::from_paise(value).grouped()),
    }
}

/// A panic under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PanicRun {
    /// When it began: only what the broker showed later proves anything.
    pub(super) since: Timestamp,
    pub(super) asked_at: Timestamp,
    pub(super) all: bool,
    /// True once the broker was seen flat, and said so.
    pub(super) done: bool,
    /// The trade that was open, and what its units would have fetched at the
    /// touch: what the exit is measured by.
    pub(super) mark: Option<PanicMark>,
}

/// What a panic met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PanicMark {
    pub(super) trade_id: String,
    pub(super) close: Side,
    /// Best bid for a sale, best ask for a purchase.
    pub(super) touch: Price,
}

/// Permission, its causes, and the limits that people may change.
#[derive(Debug, Clone)]
pub(super) struct Control {
    holds: BTreeMap<Hold, (String, Timestamp)>,
    state: StateRecord,
    recorded: Option<StateRecord>,
    waived: BTreeSet<Hold>,
    pub(super) limits: Limits,
    pub(super) panic: Option<PanicRun>,
}

impl Control {
    pub(super) fn new() -> Control {
        let since = Timestamp::UNIX_EPOCH;
        let state = StateRecord {
            permission: Permission::Reducing,
            reason: Hold::Starting.code().into(),
            actor: "engine".into(),
            since,
        };
        Control {
            holds: BTreeMap::from([(Hold::Starting, ("engine".to_string(), since))]),
            state,
            recorded: None,
            waived: BTreeSet::new(),
            limits: Limits { lots: 0, trades: 0, re_entries: None, daily_loss: Money::ZERO },
            panic: None,
        }
    }

    /// The first event has come: what holds from the start holds since then.
    pub(super) fn begin(&mut self, at: Timestamp) {
        self.state.since = at;
        self.holds.values_mut().for_each(|(_, since)| *since = at);
    }

    pub(super) fn state(&self) -> &StateRecord {
        &self.state
    }

    pub(super) fn has(&self, hold: Hold) -> bool {
        self.holds.contains_key(&hold)
    }

    pub(super) fn hold(&mut self, hold: Hold, actor: &str, at: Timestamp) {
        self.holds.entry(hold).or_insert_with(|| (actor.to_string(), at));
    }

    pub(super) fn lift(&mut self, hold: Hold) {
        self.holds.remove(&hold);
    }

    pub(super) fn is_waived(&self, hold: Hold) -> bool {
        self.waived.contains(&hold)
    }

    pub(super) fn is_panicking(&self) -> bool {
        self.has(Hold::Panic)
    }

    pub(super) fn is_loss_stopped(&self) -> bool {
        self.has(Hold::DailyLoss) || self.has(Hold::Drawdown)
    }

    pub(super) fn blocks_entries(&self) -> bool {
        !self.holds.is_empty()
    }

    /// The hold that is shown, and since when.
    pub(super) fn first_block(&self) -> (&'static str, Option<Timestamp>) {
        self.holds
            .first_key_value()
            .map_or(("ENABLED", None), |(hold, (_, since))| (hold.code(), Some(*since)))
    }

    /// Starts a day: limits come from the plan.
    pub(super) fn begin_day(&mut self, plan: &DayPlan) {
        self.limits = Limits::of(plan);
    }

    /// The holds that outlive the day.
    pub(super) fn lasting(&self) -> Vec<CarriedHold> {
        let lasting = self.holds.iter().filter(|(hold, _)| Hold::LASTING.contains(hold));
        lasting
            .map(|(hold, (actor, since))| CarriedHold {
                reason: hold.code().to_string(),
                actor: actor.clone(),
                since: *since,
            })
            .collect()
    }

    /// Takes over what earlier days left behind.
    pub(super) fn carry(&mut self, carried: &CarriedHold) {
        let hold = Hold::LASTING.into_iter().find(|hold| hold.code() == carried.reason);
        if let Some(hold) = hold {
            self.hold(hold, &carried.actor, carried.since);
        }
    }

    /// What follows from the holds. `settled` is true when nothing is held
    /// and nothing works any more.
    fn follow(&mut self, settled: bool, at: Timestamp) {
        let stopped = self.has(Hold::Panic) || self.is_loss_stopped();
        let permission = if self.has(Hold::Invariant) || (stopped && settled) {
            Permission::Halted
        } else if self.holds.is_empty() {
            Permission::Active
        } else {
            Permission::Reducing
        };
        let (reason, since) = self.first_block();
        let actor =
            self.holds.first_key_value().map_or("operator", |(_, (actor, _))| actor.as_str());
        if self.state.permission != permission || self.state.reason != reason {
            self.state = StateRecord {
                permission,
                reason: reason.to_string(),
                actor: actor.to_string(),
                since: since.unwrap_or(at),
            };
        }
    }
}

impl Engine {
    /// Derives the permission and writes it down when it changed.
    pub(super) fn write_state(&mut self) {
        let settled = self.is_settled();
        self.control.follow(settled, self.now.at);
        if self.control.recorded.as_ref() != Some(&self.control.state) {
            self.control.recorded = Some(self.control.state.clone());
            let state = self.control.state.clone();
            self.emit(Command::Record(Fact::State(state)));
        }
    }

    /// True when nothing is held and nothing works.
    pub(super) fn is_settled(&self) -> bool {
        let held = self.trade.as_ref().is_some_and(|trade| self.held(&trade.leg) > 0);
        !held
            && !self.strays.iter().any(|stray| stray.open)
            && !self.intents.values().any(|intent| intent.is_alive() || intent.request.is_some())
    }

    pub(super) fn on_operator(&mut self, request: &OperatorCommand) {
        let (done, text) = match &request.action {
            OperatorAction::Enable { confirmed } => self.enable(*confirmed, &request.actor),
            OperatorAction::Disable => self.disable(&request.actor),
            OperatorAction::Panic { all } => self.panic(*all, request),
            OperatorAction::Exit => self.exit_by_hand(),
            OperatorAction::Arm => self.arm(&request.actor),
            OperatorAction::Set { limit, value } => self.set(*limit, *value, &request.actor),
        };
        self.emit(Command::Record(Fact::Answer { request: request.request, done, text }));
    }

    fn enable(&mut self, confirmed: bool, actor: &str) -> (bool, String) {
        if self.plan.is_none() {
            return (false, "The trading day is not prepared yet; nothing was changed.".into());
        }
        let was_on = !self.control.blocks_entries();
        if self.control.is_loss_stopped() {
            let text = "A limit of the day was reached: no more entries today. \
                        It can be enabled on the next trading day.";
            return (false, text.into());
        }
        let grave: Vec<Hold> =
            self.control.holds.keys().copied().filter(|hold| hold.is_grave()).collect();
        let unknown_entry = self.intents.values().any(super::entry::is_unknown_entry);
        if !grave.is_empty() || unknown_entry {
            let mut codes: Vec<&str> = grave.iter().map(|hold| hold.code()).collect();
            if unknown_entry {
                codes.push("ENTRY_UNKNOWN");
            }
            let codes = codes.join(", ");
            if !confirmed {
                return (false, format!("Stopped by {codes}. Confirm to enable all the same."));
            }
            if !self.is_settled_but_missing() {
                return (
                    false,
                    format!(
                        "Stopped by {codes}, and something is still held or at work. First it must be flat; see /status."
                    ),
                );
            }
            let fresh =
                self.sync.last_clean.is_some_and(|clean| self.now.at - clean <= CLEAN_WITHIN);
            if !fresh {
                self.sync.ask_now();
                return (
                    false,
                    format!(
                        "Stopped by {codes}. Orders and positions could not be compared with the broker in the last {} s; a comparison is on its way, ask again in a moment.",
                        CLEAN_WITHIN.num_seconds()
                    ),
                );
            }
            self.lift_grave(&grave);
        }
        self.control.lift(Hold::Operator);
        let text = if was_on {
            "Entries are enabled already.".to_string()
        } else if self.control.has(Hold::Starting) {
            "Enabled. Entries begin once orders and positions are compared with the broker."
                .to_string()
        } else if self.control.has(Hold::Arm) {
            "Enabled, but live trading is not armed today: /arm.".to_string()
        } else {
            self.say_control("Entries enabled", actor);
            self.entries_hint("Entries are enabled.")
        };
        (true, text)
    }

    /// Adds what still stands in the way of an entry today.
    fn entries_hint(&self, text: &str) -> String {
        let Some(plan) = &self.plan else { return text.to_string() };
        let trades = self.trades_today();
        let losses = self.book.consecutive_losses();
        if trades >= self.control.limits.trades {
            return format!("{text} But today's {trades} trades are used up.");
        }
        if losses >= plan.settings.risk.max_consecutive_losses {
            return format!("{text} But {losses} losses in a row end today's entries.");
        }
        text.to_string()
    }

    fn is_settled_but_missing(&self) -> bool {
        let held = self.trade.as_ref().is_some_and(|trade| trade.leg.opened > 0);
        self.is_settled() && !held
    }

    fn lift_grave(&mut self, grave: &[Hold]) {
        for &hold in grave {
            self.control.lift(hold);
            if matches!(hold, Hold::WeeklyLoss | Hold::MonthlyLoss) {
                self.control.waived.insert(hold);
            }
        }
        self.control.panic = None;
        self.left_open.clear();
        self.release_missing_entries();
    }

    fn disable(&mut self, actor: &str) -> (bool, String) {
        if self.control.has(Hold::Operator) {
            return (true, "Entries are disabled already.".into());
        }
        self.control.hold(Hold::Operator, actor, self.now.at);
        self.say_control("Entries disabled", actor);
        let open = self.trade.as_ref().is_some_and(|trade| trade.leg.opened > 0);
        let text = if open {
            "Entries are disabled. The open position goes on being managed; /panic closes it."
        } else {
            "Entries are disabled."
        };
        (true, text.into())
    }

    fn panic(&mut self, all: bool, request: &OperatorCommand) -> (bool, String) {
        let (at, actor) = (self.now.at, request.actor.as_str());
        if let Some(run) = &mut self.control.panic
            && !run.done
            && !self.marks.closed
        {
            run.all |= all;
            self.sync.ask_now();
            return (true, format!("Panic is under way. {}", self.progress_text()));
        }
        self.control.hold(Hold::Panic, actor, at);
        if self.plan.is_none() || !self.reopen() {
            self.say_control("Panic: entries are stopped", actor);
            return (!all, self.nothing_can_be_sent(all));
        }
        let mark = self.panic_mark();
        self.control.panic =
            Some(PanicRun { since: at, asked_at: request.asked_at, all, done: false, mark });
        self.pending = None;
        self.start_exit(ExitReason::Panic);
        if let Some(super::position::Aim::Exit(exit)) =
            self.trade.as_mut().map(|trade| &mut trade.leg.aim)
        {
            exit.reason = ExitReason::Panic;
        }
        self.sync.ask_now();
        self.say_panic_begins(actor);
        if !self.session_alive {
            let (progress, hand) = (self.progress_text(), self.hand_text().unwrap_or_default());
            return (
                true,
                format!(
                    "Panic: entries are stopped, but the broker cannot be reached without a login. ACT IN THE KITE APP NOW, or log in: it goes on by itself then. {progress} {hand}"
                ),
            );
        }
        (true, format!("Panic: entries are stopped. {}", self.progress_text()))
    }

    /// Why a panic closes nothing outside the day's hours.
    fn nothing_can_be_sent(&self, all: bool) -> String {
        let why = if self.plan.is_none() {
            "the trading day is not prepared, so nothing can be sent"
        } else {
            "the day is over and the broker session is given back, so nothing can be sent"
        };
        let open = self.left_open.iter().map(|key| key.symbol.as_str());
        let open = open.chain(self.trade.iter().map(|trade| trade.record.contract.symbol.as_str()));
        let open: Vec<&str> = open.collect();
        let bots = match (open.is_empty(), self.hand_text()) {
            (true, _) => "By the records the bot holds nothing.".to_string(),
            (false, Some(steps)) => steps,
            (false, None) => format!("{} was not proven flat: look into Kite.", open.join(", ")),
        };
        let others = if all {
            " NOTHING WAS CLOSED: close other positions in the Kite app, Positions, Exit."
        } else {
            ""
        };
        format!("Panic: entries are stopped; {why}. {bots}{others}")
    }

    fn panic_mark(&self) -> Option<PanicMark> {
        let trade = self.trade.as_ref().filter(|trade| self.held(&trade.leg) > 0)?;
        let quote = self.quotes.get(&trade.leg.instrument)?;
        let close = trade.leg.close;
        let touch = super::order_terms::touch(Some(quote), quote.last, close);
        Some(PanicMark { trade_id: trade.record.trade_id.clone(), close, touch })
    }

    /// True once a panic has ended: the broker showed nothing of the bot held
    /// or working, in orders and positions that were read after it began.
    pub fn is_panic_over(&self) -> bool {
        self.control.panic.as_ref().is_some_and(|panic| panic.done)
    }

    /// True while a panic is not at its end: something is left to close, or
    /// to prove.
    pub fn is_panic_under_way(&self) -> bool {
        !self.marks.closed && self.control.panic.as_ref().is_some_and(|panic| !panic.done)
    }

    fn exit_by_hand(&mut self) -> (bool, String) {
        let Some(trade) = &self.trade else {
            return (false, "Nothing is open.".into());
        };
        let name = trade.record.contract.symbol.clone();
        if let Some(reason) = trade.leg.exit_reason() {
            let text = format!("{name} is being closed already ({}).", reason.as_str());
            return (true, text);
        }
        self.start_exit(ExitReason::Manual);
        (true, format!("Closing {name}. The exit is reported when the broker shows it flat."))
    }

    fn arm(&mut self, actor: &str) -> (bool, String) {
        let Some(plan) = &self.plan else {
            return (false, "The trading day is not prepared yet; arm after the levels.".into());
        };
        if plan.settings.mode != Mode::Live {
            return (
                false,
                format!("Only live mode is armed; this is {}.", plan.settings.mode.as_str()),
            );
        }
        if !self.control.has(Hold::Arm) {
            return (true, "Live trading is armed for today already.".into());
        }
        self.control.lift(Hold::Arm);
        self.say_control("Live trading armed for today", actor);
        let text = match self.control.first_block().0 {
            "ENABLED" => "Live trading is armed for today.".to_string(),
            other => format!("Armed for today. Entries still wait: {other}."),
        };
        (true, text)
    }

    fn set(&mut self, limit: Limit, value: i64, actor: &str) -> (bool, String) {
        let Some(plan) = self.plan.clone() else {
            return (false, "The trading day is not prepared yet; nothing was changed.".into());
        };
        let strategy = &plan.settings.strategy;
        let most = Limits::configured(&plan.settings).get(limit, strategy);
        let least = i64::from(!matches!(limit, Limit::ReEntries));
        if value < least {
            return (false, format!("Expected {} or more.", shown(limit, least)));
        }
        if value > most {
            let text = format!(
                "The configuration allows at most {}; more has to be allowed there first.",
                shown(limit, most)
            );
            return (false, text);
        }
        let was = self.control.limits.get(limit, strategy);
        let tightens = self.control.limits.tighten(limit, value, strategy);
        let record = LimitRecord {
            limit,
            value,
            date: plan.date,
            at_once: tightens,
            actor: actor.to_string(),
        };
        self.emit(Command::Record(Fact::Limit(record)));
        let when = if tightens { "from now on" } else { "from the next trading day on" };
        let text = format!(
            "The limit is {} {when} (today it was {}).",
            shown(limit, value),
            shown(limit, was)
        );
        self.say_control(&text, actor);
        (true, text)
    }
}
