//! What must hold after every step, in tests, in simulation and in
//! production. A rule that breaks halts the engine: it keeps quiet towards
//! the broker and loud towards people.

use chrono::TimeDelta;

use super::Engine;
use super::command::Command;
use super::intents::{End, Intent, RequestKind};
use super::permission::Hold;
use super::position::{Aim, Leg};

/// A held position without a stop at work and without an exit is broken
/// after this long beyond the time that protection may take.
const UNPROTECTED_FOR: TimeDelta = TimeDelta::seconds(30);

impl Engine {
    pub(super) fn check_invariants(&mut self) {
        if self.marks.broken.is_some() {
            return;
        }
        let Some(rule) = self.broken_rule() else { return };
        self.marks.broken = Some(rule.clone());
        self.control.hold(Hold::Invariant, "engine", self.now.at);
        self.take_back_orders();
        self.say_broken(&rule);
        self.write_state();
    }

    fn broken_rule(&self) -> Option<String> {
        let legs = self.trade.iter().map(|trade| &trade.leg);
        let legs = legs.chain(self.strays.iter().map(|stray| &stray.leg));
        for leg in legs {
            if let Some(rule) = self.broken_leg_rule(leg) {
                return Some(rule);
            }
        }
        for intent in self.intents.values() {
            if intent.filled > intent.intended && !intent.is_enlarged() {
                let (filled, most) = (intent.filled, intent.intended);
                return Some(format!("{} filled {filled} of {most}", intent.tag));
            }
        }
        let opens = self.out.iter().any(|command| match command {
            Command::Submit { reduces, .. } => !reduces,
            Command::Modify { .. }
            | Command::Cancel { .. }
            | Command::Fetch(_)
            | Command::Watch(_)
            | Command::Say(_)
            | Command::Record(_) => false,
        });
        if opens && (self.control.blocks_entries() || !self.is_entry_window()) {
            return Some("an entry was sent while entries are not allowed".into());
        }
        self.unprotected_rule()
    }

    /// The bot's own orders never close more than is held. What others close
    /// and what turns up after it was given up is not the bot's own doing.
    fn broken_leg_rule(&self, leg: &Leg) -> Option<String> {
        let held = self.held(leg);
        let open: i64 = leg
            .closers
            .iter()
            .filter_map(|id| self.intents.get(id))
            .map(Intent::open_quantity)
            .sum();
        let mut closers = leg.closers.iter().filter_map(|id| self.intents.get(id));
        let of_others =
            leg.external > 0 || self.has_lost_order(leg) || closers.any(Intent::is_enlarged);
        if of_others {
            return None;
        }
        if held < 0 {
            return Some(format!("{} closed by {} too many", leg.instrument.symbol, -held));
        }
        (open > held)
            .then(|| format!("{open} to close of {} while {held} are held", leg.instrument.symbol))
    }

    fn has_lost_order(&self, leg: &Leg) -> bool {
        leg.closers.iter().filter_map(|id| self.intents.get(id)).any(|intent| intent.was_missing)
    }

    fn unprotected_rule(&self) -> Option<String> {
        let trade = self.trade.as_ref()?;
        let plan = self.plan.as_ref()?;
        let within = TimeDelta::seconds(i64::from(plan.settings.risk.protect_within_s));
        let overdue = trade.leg.last_fill? + within + UNPROTECTED_FOR;
        let none_at_work = trade.leg.closers.is_empty();
        let aims_to_protect = matches!(trade.leg.aim, Aim::Protect { .. });
        let broken = self.held(&trade.leg) > 0
            && none_at_work
            && aims_to_protect
            && self.may_send()
            && trade.leg.not_before.is_none()
            && self.now.at > overdue;
        broken.then(|| "a position is held without a stop".to_string())
    }

    /// Orders of the very step that broke a rule are not sent.
    fn take_back_orders(&mut self) {
        let (at, seq) = (self.now.at, self.now.seq);
        self.out.retain(|command| !command.is_answered());
        self.sync.restart(at);
        for intent in self.intents.values_mut() {
            let Some(request) = intent.request.take_if(|it| it.command.seq == seq) else {
                continue;
            };
            match request.kind {
                RequestKind::Submit => intent.end(End::Refused, at),
                RequestKind::Modify | RequestKind::Cancel => intent.asked = request.before,
            }
        }
    }
}
