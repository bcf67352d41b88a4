//! Guards of the day besides the loss limits: what was won and is given back,
//! windows that people listed, and messages that come to nothing.

use super::Engine;
use super::book::count;
use super::ledger::ExitReason;
use super::permission::Hold;
use super::settings::{EventWindow, Ppm};
use crate::market::time::from_ist;
use crate::market::{Money, Timestamp};

/// The day's highest net is followed in steps of this share of where the
/// guard begins: each step is written down.
const PEAK_STEPS: i64 = 100;

impl Engine {
    /// Stops the day when too much of its highest net was given back.
    pub(super) fn keep_gains(&mut self) {
        let guard = self.plan.as_ref().and_then(|plan| plan.settings.risk.drawdown);
        let Some(guard) = guard.filter(|_| !self.control.has(Hold::Drawdown)) else { return };
        let net = self.day_net();
        let step = (guard.from.paise() / PEAK_STEPS).max(1);
        let reached = Money::from_paise(net.paise() / step * step);
        if reached >= guard.from && reached > self.book.peak {
            self.book.peak = reached;
            self.touch();
        }
        let peak = self.book.peak;
        let kept = share_of(peak, Ppm(Ppm::WHOLE - guard.give_back.0));
        if peak >= guard.from && net <= kept {
            self.control.hold(Hold::Drawdown, "engine", self.now.at);
            self.touch();
            self.say_drawdown(net, peak);
            self.start_exit(ExitReason::Risk);
        }
    }

    /// The listed window that this instant is in.
    pub(super) fn event_now(&self) -> Option<&EventWindow> {
        let plan = self.plan.as_ref()?;
        let at = self.now.at;
        plan.settings.risk.events.iter().find(|event| {
            event.date == plan.date
                && (from_ist(event.date, event.from)..from_ist(event.date, event.to)).contains(&at)
        })
    }

    /// True in a window in which nothing may be held.
    pub(super) fn is_event_to_leave_for(&self) -> bool {
        self.event_now().is_some_and(|event| event.flatten)
    }

    /// When the listed windows of the day begin.
    pub(super) fn event_marks(&self) -> Vec<Timestamp> {
        let Some(plan) = &self.plan else { return Vec::new() };
        let today = plan.settings.risk.events.iter().filter(|event| event.date == plan.date);
        today.map(|event| from_ist(event.date, event.from)).collect()
    }

    /// Order messages of the day and how many are allowed for the orders that
    /// were filled, when they are too many.
    pub(super) fn too_many_messages(&self) -> Option<(u32, u32)> {
        let most = self.plan.as_ref()?.settings.risk.max_order_to_trade?;
        let filled = self.intents.values().filter(|intent| intent.filled > 0).count();
        let allowed = most.saturating_mul(count(filled).max(1));
        (self.book.order_messages > allowed).then_some((self.book.order_messages, allowed))
    }
}

fn share_of(value: Money, share: Ppm) -> Money {
    let paise = i128::from(value.paise()) * i128::from(share.0) / i128::from(Ppm::WHOLE);
    Money::from_paise(i64::try_from(paise).unwrap_or(i64::MAX))
}
