//! What people may ask, and what is answered.

use chrono::TimeDelta;

use super::Engine;
use super::command::Command;
use super::event::{OperatorAction, OperatorCommand};
use super::ledger::{ExitReason, Fact, LimitRecord};
use super::permission::{Hold, Limits, PanicMark, PanicRun, shown};
use super::settings::{Limit, Mode};

/// A reconciliation counts as fresh for this long.
const CLEAN_WITHIN: TimeDelta = TimeDelta::seconds(90);

impl Engine {
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
