//! The permission to enter: not a switch, but what follows from the holds
//! that are on. Each has a cause, and each is lifted by its own cause going
//! away.

use std::collections::{BTreeMap, BTreeSet};

use super::Engine;
use super::command::Command;
use super::day::{CarriedHold, DayPlan};
use super::ledger::{Fact, Permission, StateRecord};
use super::settings::{Limit, Settings, StrategySettings};
use crate::market::{Money, Price, Side, Timestamp};

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
    pub(super) const fn is_grave(self) -> bool {
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
    pub(super) fn configured(settings: &Settings) -> Limits {
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
    pub(super) fn get(&self, limit: Limit, strategy: &StrategySettings) -> i64 {
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
    pub(super) fn tighten(
        &mut self,
        limit: Limit,
        value: i64,
        strategy: &StrategySettings,
    ) -> bool {
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
pub(super) const fn re_entries_of(strategy: &StrategySettings) -> u32 {
    match strategy {
        StrategySettings::PremiumPivot(settings) => settings.max_re_entries,
        StrategySettings::IndexPivot(settings) => settings.max_entries_per_level.saturating_sub(1),
        StrategySettings::LevelBreakout(settings) => settings.max_entries,
    }
}

/// A limit's number with its unit.
pub(super) fn shown(limit: Limit, value: i64) -> String {
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
    pub(super) holds: BTreeMap<Hold, (String, Timestamp)>,
    state: StateRecord,
    recorded: Option<StateRecord>,
    pub(super) waived: BTreeSet<Hold>,
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
}
