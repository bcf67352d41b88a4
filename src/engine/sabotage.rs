//! Bugs that are built in on purpose, to see that the simulation finds them.
//! In the tests of this crate only: no program has them.

use super::Engine;
use super::command::Command;
use super::event::{Outcome, Refusal};
use super::ledger::{ExitReason, IntentId, Role};
use crate::market::OrderRequest;

/// One bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Orders leave before their record is committed.
    SendBeforeCommit,
    /// No answer counts as a refusal.
    TimeoutIsRefused,
    /// An entry without an answer is sent again.
    ResubmitEntry,
    /// What others closed plays no part in what is held.
    ExitFromMemory,
    /// A panic forgets the stop that rests at the exchange.
    ForgetStopOnPanic,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Sabotage; 5] = [
        Sabotage::SendBeforeCommit,
        Sabotage::TimeoutIsRefused,
        Sabotage::ResubmitEntry,
        Sabotage::ExitFromMemory,
        Sabotage::ForgetStopOnPanic,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Sabotage::SendBeforeCommit => "send-before-commit",
            Sabotage::TimeoutIsRefused => "timeout-is-refused",
            Sabotage::ResubmitEntry => "resubmit-entry",
            Sabotage::ExitFromMemory => "exit-from-memory",
            Sabotage::ForgetStopOnPanic => "forget-stop-on-panic",
        }
    }
}

/// What a journal that trails behind has not been given yet.
#[derive(Debug)]
pub(crate) struct Late<T>(Vec<T>);

impl<T> Default for Late<T> {
    fn default() -> Late<T> {
        Late(Vec::new())
    }
}

impl<T: Clone> Late<T> {
    /// What is written down instead of a turn.
    pub(crate) fn instead_of(&mut self, engine: &Engine, turn: &[T]) -> Vec<T> {
        if engine.sabotaged == Some(Sabotage::SendBeforeCommit) {
            std::mem::replace(&mut self.0, turn.to_vec())
        } else {
            turn.to_vec()
        }
    }
}

impl Engine {
    /// An engine with a bug, or without.
    pub fn with_bug(bug: Option<Sabotage>) -> Engine {
        Engine { sabotaged: bug, ..Engine::new() }
    }

    pub(super) fn twist(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Unknown { message } if self.sabotaged == Some(Sabotage::TimeoutIsRefused) => {
                Outcome::Refused { refusal: Refusal::Gate, message }
            }
            Outcome::Accepted { .. } | Outcome::Refused { .. } | Outcome::Unknown { .. } => outcome,
        }
    }

    pub(super) fn send_again(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get(&id) else { return };
        if self.sabotaged != Some(Sabotage::ResubmitEntry) || intent.role != Role::Entry {
            return;
        }
        let order = OrderRequest {
            instrument: intent.instrument.clone(),
            side: intent.side,
            order_type: intent.asked.order_type,
            product: intent.product.clone(),
            quantity: intent.asked.quantity,
            price: intent.asked.price,
            trigger: intent.asked.trigger,
            tag: intent.tag.clone(),
        };
        self.emit(Command::Submit { intent: id, reduces: false, order });
    }

    pub(super) fn forget_stop(&mut self, reason: ExitReason) {
        if let (true, ExitReason::Panic, Some(trade)) =
            (self.sabotaged == Some(Sabotage::ForgetStopOnPanic), reason, &mut self.trade)
        {
            trade.leg.closers.clear();
        }
    }
}
