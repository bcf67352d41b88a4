//! Limits of money and of messages (M16), and the last look at every order.

use super::Engine;
use super::intents::Intent;
use super::ledger::{ExitReason, Permission, Role};
use super::orders::Draft;
use super::permission::Hold;
use super::position::Leg;
use crate::market::{Instrument, Money, OrderType, Quantity, Side};

/// No entry order is sent when its value passes the cap by more than this,
/// in hundredths: prices move between sizing and sending.
const VALUE_MARGIN_PCT: i64 = 125;

impl Engine {
    /// Stops the day when a loss limit is reached.
    pub(super) fn keep_limits(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        if self.control.has(Hold::DailyLoss) {
            return;
        }
        let net = self.day_net();
        let limit = self.control.limits.daily_loss;
        if net <= -limit {
            self.control.hold(Hold::DailyLoss, "engine", self.now.at);
            self.touch();
            self.say_daily_loss(net, limit);
            self.start_exit(ExitReason::Risk);
        }
        let realised = self.book.realised();
        let risk = &plan.settings.risk;
        let sums = [
            (Hold::WeeklyLoss, plan.week_net + realised, risk.max_weekly_loss, "week"),
            (Hold::MonthlyLoss, plan.month_net + realised, risk.max_monthly_loss, "month"),
        ];
        for (hold, net, limit, span) in sums {
            if net <= -limit && !self.control.has(hold) && !self.control.is_waived(hold) {
                self.control.hold(hold, "engine", self.now.at);
                self.touch();
                self.say_long_loss(span, net, limit);
            }
        }
    }

    /// The last look at an order that opens.
    pub(super) fn last_look_entry(
        &self,
        draft: &Draft,
        contract: &Instrument,
    ) -> Result<(), String> {
        let Some(plan) = &self.plan else { return Err("there is no day".into()) };
        let risk = &plan.settings.risk;
        let terms = &draft.terms;
        if self.permission().permission != Permission::Active || self.control.blocks_entries() {
            return Err("entries are not allowed".into());
        }
        if !self.is_entry_window() {
            return Err("it is outside the hours of entries".into());
        }
        if self.trade.is_some() || self.intents.values().any(Intent::is_alive) {
            return Err("another order or position is there already".into());
        }
        let known = plan.contracts.iter().any(|row| row.key == draft.instrument)
            || plan.signal.key == draft.instrument;
        if !known || draft.product != plan.settings.product || draft.role != Role::Entry {
            return Err(format!("{} is not a contract of the day", draft.instrument));
        }
        let is_option = contract.kind.option_type().is_some();
        if is_option && draft.side != Side::Buy {
            return Err("options are only ever bought to open".into());
        }
        check_terms(draft, contract.lot)?;
        if !terms.price.is_on(contract.tick) || terms.order_type != OrderType::Limit {
            return Err(format!("{} is not a limit price of {}", terms.price, contract.key));
        }
        if is_option && risk.freeze_quantity > 0 && terms.quantity > risk.freeze_quantity {
            return Err(format!("{} units are above the freeze quantity", terms.quantity));
        }
        let value = terms.price * terms.quantity;
        let cap = Money::from_paise(risk.max_premium.paise() / 100 * VALUE_MARGIN_PCT);
        if is_option && value > cap {
            return Err(format!("an order of {} is above {}", value.grouped(), cap.grouped()));
        }
        Ok(())
    }

    /// The last look at an order that reduces: never more than what is held,
    /// together with everything that still works.
    pub(super) fn last_look_closer(
        &self,
        draft: &Draft,
        leg: &Leg,
        held: Quantity,
    ) -> Result<(), String> {
        let working: Quantity = self
            .alive_closers(leg)
            .iter()
            .filter_map(|id| self.intents.get(id))
            .map(Intent::open_quantity)
            .sum();
        let quantity = draft.terms.quantity;
        if working + quantity > held {
            return Err(format!(
                "{quantity} units and {working} at work are more than the {held} held"
            ));
        }
        if draft.side != leg.close || draft.instrument != leg.instrument {
            return Err("it is not the side that reduces".into());
        }
        check_terms(draft, 1)
    }
}

fn check_terms(draft: &Draft, lot: Quantity) -> Result<(), String> {
    let terms = &draft.terms;
    if terms.quantity <= 0 || terms.quantity % lot.max(1) != 0 {
        return Err(format!("{} units are not whole lots of {lot}", terms.quantity));
    }
    if terms.price.paise() <= 0 {
        return Err(format!("{} is not a price", terms.price));
    }
    match (terms.order_type, terms.trigger) {
        (OrderType::Limit, None) => Ok(()),
        (OrderType::StopLimit, Some(trigger)) => {
            let right = match draft.side {
                Side::Sell => terms.price <= trigger,
                Side::Buy => terms.price >= trigger,
            };
            if right { Ok(()) } else { Err("the limit is on the wrong side of the trigger".into()) }
        }
        (OrderType::Limit, Some(_))
        | (OrderType::StopLimit, None)
        | (OrderType::Market | OrderType::StopMarket, _) => {
            Err("only limit and stop-limit orders are sent".into())
        }
    }
}
