//! Fills to results: what a trade and the day have brought, after charges.

use super::Engine;
use super::ledger::TradeRecord;
use super::order_terms;
use super::position::{Leg, Trade};
use super::view::{Figures, PositionView};
use crate::market::charges::{self, ChargeSegment, SQUARE_OFF_FEE};
use crate::market::{Exchange, InstrumentKey, InstrumentKind, Money, Price, Product, Side};

/// The day's closed trades and counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) closed: Vec<TradeRecord>,
    pub(super) order_messages: u32,
    /// Highest net of the day, followed in steps while a guard needs it.
    pub(super) peak: Money,
    pub(super) entry_refusals: u32,
    pub(super) re_entries: u32,
}

impl Book {
    /// Net of the closed trades.
    pub(super) fn realised(&self) -> Money {
        self.closed.iter().map(TradeRecord::net).sum()
    }

    /// Losing trades in a row, up to the last.
    pub(super) fn consecutive_losses(&self) -> u32 {
        let losing = |trade: &&TradeRecord| trade.net() < Money::ZERO;
        count(self.closed.iter().rev().take_while(losing).count())
    }

    /// Trades with net above zero.
    pub(super) fn wins(&self) -> u32 {
        count(self.closed.iter().filter(|trade| trade.net() > Money::ZERO).count())
    }

    /// Deepest fall of the net from its highest point, trade by trade.
    pub(super) fn max_drawdown(&self) -> Money {
        let (mut net, mut peak, mut deepest) = (Money::ZERO, Money::ZERO, Money::ZERO);
        for trade in &self.closed {
            net += trade.net();
            peak = peak.max(net);
            deepest = deepest.max(peak - net);
        }
        deepest
    }
}

/// A count as it is shown.
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The tariff of an instrument.
pub(super) fn segment(kind: InstrumentKind, product: &Product) -> ChargeSegment {
    match kind {
        InstrumentKind::Call | InstrumentKind::Put => ChargeSegment::Options,
        InstrumentKind::Future => ChargeSegment::Futures,
        InstrumentKind::Index | InstrumentKind::Equity => match product {
            Product::Cnc => ChargeSegment::EquityDelivery,
            Product::Mis | Product::Nrml | Product::Mtf | Product::Other(_) => {
                ChargeSegment::EquityIntraday
            }
        },
    }
}

impl Engine {
    /// Charges of a trade's legs: what was opened, what was closed.
    fn charges_of(&self, leg: &Leg, opened: Money, closed: &[charges::Leg]) -> Money {
        let Some(plan) = &self.plan else { return Money::ZERO };
        let mut legs = vec![charges::Leg { side: leg.close.opposite(), value: opened, orders: 1 }];
        legs.extend_from_slice(closed);
        let exchange: Exchange = leg.instrument.exchange;
        charges::estimate(segment(leg.kind, &leg.product), exchange, plan.date, &legs).total
    }

    /// The closing side as charges see it.
    fn closed_legs(&self, leg: &Leg) -> Vec<charges::Leg> {
        let side = leg.close;
        let filled = leg.closers.iter().filter_map(|id| self.intents.get(id));
        let mut legs: Vec<charges::Leg> = filled
            .filter(|intent| intent.filled > 0)
            .map(|intent| charges::Leg { side, value: intent.filled_value, orders: 1 })
            .collect();
        if leg.external > 0 {
            let orders = leg.external_orders.max(1);
            legs.push(charges::Leg { side, value: leg.external_value, orders });
        }
        legs
    }

    /// Estimated charges of buying and selling back at one price.
    pub(super) fn round_trip_charges(
        &self,
        key: &InstrumentKey,
        kind: InstrumentKind,
        product: &Product,
        value: Money,
    ) -> Money {
        let Some(plan) = &self.plan else { return Money::ZERO };
        let leg = |side| charges::Leg { side, value, orders: 1 };
        let legs = [leg(Side::Buy), leg(Side::Sell)];
        charges::estimate(segment(kind, product), key.exchange, plan.date, &legs).total
    }

    /// Brings a trade's row up to what its fills say.
    pub(super) fn refresh_record(&self, trade: &mut Trade) {
        let leg = &trade.leg;
        let legs = self.closed_legs(leg);
        let closed = leg.external + self.closed_by_us(leg);
        let exit_value: Money = legs.iter().map(|leg| leg.value).sum();
        let record = &mut trade.record;
        record.quantity = leg.opened;
        record.entry_value = leg.opened_value;
        record.closed_quantity = closed;
        record.exit_value = exit_value;
        if closed == 0 || leg.opened == 0 {
            return;
        }
        let share = Money::from_paise(leg.opened_value.paise() * closed / leg.opened);
        record.gross = gain(leg.close, share, exit_value);
        let fee = if trade.squared_off { SQUARE_OFF_FEE } else { Money::ZERO };
        record.charges = self.charges_of(leg, share, &legs) + fee;
    }

    /// Net of a trade if what is still held left at the touch now.
    pub(super) fn net_at_touch(&self, trade: &Trade) -> Money {
        let leg = &trade.leg;
        if leg.opened == 0 {
            return Money::ZERO;
        }
        let held = self.held(leg).max(0);
        let mut legs = self.closed_legs(leg);
        if held > 0 {
            let value = self.touch_price(leg) * held;
            legs.push(charges::Leg { side: leg.close, value, orders: 1 });
        }
        let out: Money = legs.iter().map(|leg| leg.value).sum();
        let fee = if trade.squared_off { SQUARE_OFF_FEE } else { Money::ZERO };
        gain(leg.close, leg.opened_value, out) - self.charges_of(leg, leg.opened_value, &legs) - fee
    }

    /// What one unit would bring now: the bid of what is long, the ask of
    /// what is short, else the last price, else what was paid.
    fn touch_price(&self, leg: &Leg) -> Price {
        let paid = Price::from_paise(leg.opened_value.paise() / leg.opened.max(1));
        order_terms::touch(self.quotes.get(&leg.instrument), paid, leg.close)
    }

    /// Net of the day, closed and open.
    pub(super) fn day_net(&self) -> Money {
        let open = self.trade.as_ref().map_or(Money::ZERO, |trade| self.net_at_touch(trade));
        self.book.realised() + open
    }

    /// Trades with a fill today, the open one included.
    pub(super) fn trades_today(&self) -> u32 {
        let open = self.trade.as_ref().is_some_and(|trade| trade.leg.opened > 0);
        count(self.book.closed.len()) + u32::from(open)
    }

    /// The day so far.
    pub fn figures(&self) -> Figures {
        let wins = self.book.wins();
        Figures {
            trades: self.trades_today(),
            wins,
            losses: count(self.book.closed.len()) - wins,
            consecutive_losses: self.book.consecutive_losses(),
            realised: self.book.realised(),
            net: self.day_net(),
            daily_loss_limit: self.control.limits.daily_loss,
            order_messages: self.book.order_messages,
        }
    }

    /// The open position (or the entry at work), at the last quotes.
    pub fn open_position(&self) -> Option<PositionView> {
        let trade = self.trade.as_ref()?;
        let leg = &trade.leg;
        let record = &trade.record;
        let resting = leg
            .closers
            .iter()
            .filter_map(|id| self.intents.get(id))
            .find(|intent| intent.rests_as_stop(1))
            .and_then(|intent| intent.asked.trigger);
        Some(PositionView {
            trade_id: record.trade_id.clone(),
            contract: record.contract.clone(),
            signal: record.signal.clone(),
            direction: record.direction,
            setup: record.setup.clone(),
            quantity: self.held(leg).max(0),
            entry_price: leg.opened_value.per_unit(leg.opened).unwrap_or(Price::ZERO),
            entered_at: record.entered_at,
            stop: record.stop,
            first_target: record.first_target,
            target: record.target,
            runner: trade.runner,
            resting_stop: resting,
            closing: leg.exit_reason(),
            last: self.quotes.get(&leg.instrument).map(|quote| quote.last),
            net: self.net_at_touch(trade),
            candles_held: record.candles_held,
        })
    }
}

fn gain(close: Side, opened: Money, closed: Money) -> Money {
    match close {
        Side::Sell => closed - opened,
        Side::Buy => opened - closed,
    }
}
