//! When to leave.

use chrono::TimeDelta;

use super::Engine;
use super::ledger::{Direction, ExitReason};
use super::position::{Aim, Exit, Trade};
use crate::market::{Candle, InstrumentKey, Price, Quote};

/// A price this far from the mean of the last half minute is doubted until
/// the book confirms it, in hundredths.
const FREAK_PCT: i64 = 25;
/// An exit that works for this long without an end is cried out, and again
/// at each further span.
const EXIT_ALARM: TimeDelta = TimeDelta::seconds(30);
const EXIT_ALARM_AGAIN: TimeDelta = TimeDelta::seconds(60);
/// Ticks carry whole seconds: one that bears the second of the decision
/// may be from before it, and none older counts.
const TICK_SECOND: TimeDelta = TimeDelta::seconds(1);

impl Engine {
    pub(super) fn look_for_exits(&mut self) {
        self.confirm_protection();
        self.cry_out_slow_strays();
        let Some(trade) = &self.trade else { return };
        match &trade.leg.aim {
            Aim::Exit(_) => self.cry_out_slow_exit(),
            Aim::Protect { .. } => match self.exit_wanted(trade) {
                Some(reason) => self.start_exit(reason),
                None => self.move_stop_at_first_target(),
            },
        }
    }

    /// The first reason that holds.
    fn exit_wanted(&self, trade: &Trade) -> Option<ExitReason> {
        if self.control.is_panicking() {
            return Some(ExitReason::Panic);
        }
        if self.control.is_loss_stopped() {
            return Some(ExitReason::Risk);
        }
        if self.is_flatten_time() {
            return Some(ExitReason::Eod);
        }
        if self.is_event_to_leave_for() {
            return Some(ExitReason::Event);
        }
        if let Some(price) = self.acting_price(trade) {
            if trade.is_stopped(price) && self.is_trustworthy(trade, price) {
                return Some(ExitReason::StopLoss);
            }
            if trade.at_or_beyond(price, trade.record.target) && self.is_trustworthy(trade, price) {
                return Some(ExitReason::Target);
            }
        }
        self.is_blind(trade).then_some(ExitReason::Blind)
    }

    /// The signal instrument's price, when ticks act and one has come since
    /// the decision.
    pub(super) fn acting_price(&self, trade: &Trade) -> Option<Price> {
        let quote = self.quotes.get(&trade.signal.instrument)?;
        let since = trade.decided_at - TICK_SECOND;
        (trade.signal.on_ticks && quote.at >= since).then_some(quote.last)
    }

    /// Doubts a lone price far from the recent mean, unless the book stands
    /// there too. An index has no book and cannot print freaks by one trade.
    pub(super) fn is_trustworthy(&self, trade: &Trade, price: Price) -> bool {
        let Some(quote) = self.quotes.get(&trade.signal.instrument) else { return false };
        let far = (price - quote.reference).paise().abs() * 100
            > quote.reference.paise().abs() * FREAK_PCT;
        let Quote { bid, ask, .. } = quote;
        let Some(side) = (if price < quote.reference { bid } else { ask }) else { return true };
        !far || (side.price - price).paise().abs() * 100 <= price.paise().abs() * FREAK_PCT
    }

    /// True when no price of the signal instrument came for too long.
    fn is_blind(&self, trade: &Trade) -> bool {
        self.blind_at(trade).is_some_and(|blind_at| self.now.at >= blind_at)
    }

    /// When the trade would be closed for want of prices.
    pub(super) fn blind_at(&self, trade: &Trade) -> Option<crate::market::Timestamp> {
        let plan = self.plan.as_ref()?;
        let known = self.quotes.get(&trade.signal.instrument).map(|quote| quote.at);
        let since = known.map_or(trade.decided_at, |at| at.max(trade.decided_at));
        Some(since + TimeDelta::seconds(i64::from(plan.settings.risk.blind_s)))
    }

    /// Turns the aim of the open trade to leaving. The first reason stays.
    pub(super) fn start_exit(&mut self, reason: ExitReason) {
        let at = self.now.at;
        let Some(trade) = &mut self.trade else { return };
        if matches!(trade.leg.aim, Aim::Exit(_)) {
            return;
        }
        trade.leg.aim = Aim::Exit(Exit { reason, since: at, rung: 0, rung_at: None });
        trade.leg.not_before = None;
        trade.protect_by = None;
        #[cfg(test)]
        self.forget_stop(reason);
        self.pending = None;
        self.touch();
        if reason == ExitReason::Blind {
            self.say_blind();
        }
    }

    fn move_stop_at_first_target(&mut self) {
        let Some(trade) = &self.trade else { return };
        let (Some(first), Some(price)) = (trade.record.first_target, self.acting_price(trade))
        else {
            return;
        };
        let reached = !trade.runner && trade.leg.opened > 0 && trade.at_or_beyond(price, first);
        if reached && self.is_trustworthy(trade, price) {
            self.become_runner();
        }
    }

    fn become_runner(&mut self) {
        let Some(trade) = &mut self.trade else { return };
        trade.runner = true;
        let (stop, reference) = (trade.record.stop, trade.signal.reference);
        trade.record.stop = match trade.signal.direction {
            Direction::Long => stop.max(reference),
            Direction::Short => stop.min(reference),
        };
        self.touch();
        self.say_runner();
    }

    /// A candle of the signal instrument closed while the trade lives.
    pub(super) fn on_trade_candle(&mut self, instrument: &InstrumentKey, candle: &Candle) {
        let Some(trade) = &mut self.trade else { return };
        if trade.signal.instrument != *instrument || candle.start <= trade.signal.candle.start {
            return;
        }
        trade.record.candles_held += 1;
        if matches!(trade.leg.aim, Aim::Exit(_)) {
            return;
        }
        let (close, held) = (candle.close, trade.record.candles_held);
        if !trade.signal.on_ticks {
            if trade.is_stopped(close) {
                return self.start_exit(ExitReason::StopLoss);
            }
            if trade.at_or_beyond(close, trade.record.target) {
                return self.start_exit(ExitReason::Target);
            }
            let first = trade.record.first_target;
            if !trade.runner && first.is_some_and(|first| trade.at_or_beyond(close, first)) {
                return self.become_runner();
            }
        }
        let timed_out = trade.signal.time_stop_candles.is_some_and(|limit| held >= limit);
        if timed_out && !trade.runner {
            self.start_exit(ExitReason::Timeout);
        }
    }

    /// Notes that the stop was read back, or leaves when it was not in time.
    fn confirm_protection(&mut self) {
        let at = self.now.at;
        let Some(trade) = &self.trade else { return };
        let Some(by) = trade.protect_by else { return };
        let held = self.held(&trade.leg);
        let resting = trade
            .leg
            .closers
            .iter()
            .filter_map(|id| self.intents.get(id))
            .find(|intent| intent.rests_as_stop(held))
            .and_then(|intent| intent.asked.trigger);
        if let (Some(trigger), Some(trade)) = (resting, &mut self.trade) {
            trade.protect_by = None;
            trade.record.resting_stop = Some(trigger);
            self.touch();
            return;
        }
        if held > 0 && at >= by && self.may_send() {
            self.say_unprotected();
            self.start_exit(ExitReason::Unprotected);
        }
    }

    fn cry_out_slow_exit(&mut self) {
        let at = self.now.at;
        let Some(trade) = &mut self.trade else { return };
        let Aim::Exit(exit) = &trade.leg.aim else { return };
        let due = exit.since + EXIT_ALARM + EXIT_ALARM_AGAIN * i32_of(trade.exit_alarms);
        if at < due || trade.leg.opened == 0 {
            return;
        }
        trade.exit_alarms += 1;
        let since = exit.since;
        self.touch();
        self.say_slow_exit(since);
    }

    /// The same for what belongs to no trade: one cry for all that is due.
    fn cry_out_slow_strays(&mut self) {
        let at = self.now.at;
        let mut oldest = None;
        for stray in self.strays.iter_mut().filter(|stray| stray.open) {
            let Aim::Exit(exit) = &stray.leg.aim else { continue };
            if at >= exit.since + EXIT_ALARM + EXIT_ALARM_AGAIN * i32_of(stray.exit_alarms) {
                stray.exit_alarms += 1;
                oldest = Some(oldest.map_or(exit.since, |since| exit.since.min(since)));
            }
        }
        if let Some(since) = oldest {
            self.touch();
            self.say_slow_exit(since);
        }
    }

    /// When the next cry is due.
    pub(super) fn slow_exit_at(&self, trade: &Trade) -> Option<crate::market::Timestamp> {
        match &trade.leg.aim {
            Aim::Exit(exit) if trade.leg.opened > 0 => {
                Some(exit.since + EXIT_ALARM + EXIT_ALARM_AGAIN * i32_of(trade.exit_alarms))
            }
            Aim::Exit(_) | Aim::Protect { .. } => None,
        }
    }
}

fn i32_of(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
