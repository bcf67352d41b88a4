//! A position that differs from what our fills say.
//!
//! A snapshot's orders are read before its positions, so a difference counts
//! once a second snapshot, whose orders are younger than the first one's
//! positions, shows it again; somebody else's order that explains it counts
//! at once.

use chrono::TimeDelta;

use super::Engine;
use super::permission::Hold;
use super::position::{Gap, Leg, LegId};
use super::reconcile::{POSITIONS_TRAIL, SPACING};
use crate::market::{BrokerOrder, BrokerPosition, Money, OrderId, Quantity, Side, Timestamp};

/// Reads, and time between them, that prove that a position vanished.
const VANISHED_READS: u32 = 3;
const VANISHED_SPAN: TimeDelta = TimeDelta::seconds(10);
/// Reads in a row that prove a short which the order book does not explain.
const SHORT_READS: u32 = 2;

impl Engine {
    /// Compares one leg with the broker's positions.
    pub(super) fn judge(
        &mut self,
        which: LegId,
        rows: &[BrokerOrder],
        positions: &[BrokerPosition],
        taken_at: Timestamp,
    ) {
        let at = self.now.at;
        let Some(leg) = self.leg(which) else { return };
        let position = positions
            .iter()
            .find(|row| row.instrument == leg.instrument && row.product == leg.product);
        let net = position.map_or(0, |row| row.quantity);
        let shown_of_all = leg.in_our_direction(net);
        let shown = leg.in_our_direction(net - self.held_by_others_of_ours(which, leg));
        let held = self.held(leg);
        let expected = held + leg.foreign;
        let previous = leg.gap;
        let last_fill = self.last_fill_in_contract_of(leg);
        let recent = last_fill.is_some_and(|fill| taken_at < fill + POSITIONS_TRAIL);
        let old_news = last_fill.is_some_and(|fill| taken_at < fill);
        let gap = (shown != expected && !old_news).then(|| match previous {
            Some(gap) if gap.shown == shown && gap.held == held => {
                Gap { reads: gap.reads + 1, last: taken_at, ..gap }
            }
            Some(_) | None => {
                Gap { shown, held, since: taken_at, last: taken_at, reads: 1, said: false }
            }
        });
        let Some(leg) = self.leg_mut(which) else { return };
        if !old_news {
            leg.shown = Some((shown, taken_at));
        }
        leg.gap = gap;
        self.watch_for_short(which, shown_of_all, rows, recent);
        let Some(gap) = gap else { return };
        if shown < held {
            self.judge_shortfall(which, gap, rows, position, recent);
        } else if shown < expected && !recent && gap.reads >= 2 {
            self.foreign_units_left(which, shown - held.max(0), rows);
        } else if !recent && gap.reads >= 2 && at - gap.since >= SPACING {
            self.judge_surplus(which, gap, position);
        }
    }

    /// Net units of the same contract that belong to other legs of ours.
    fn held_by_others_of_ours(&self, which: LegId, leg: &Leg) -> Quantity {
        let strays = (0..self.strays.len()).filter(|index| self.strays[*index].open);
        let all = strays.map(LegId::Stray).chain([LegId::Trade]).filter(|id| *id != which);
        let same = all.filter_map(|id| self.leg(id)).filter(|other| other.shares_row_with(leg));
        same.map(|other| other.in_our_direction(self.held(other).max(0))).sum()
    }

    /// The last fill of any leg of ours that the same row of positions shows.
    fn last_fill_in_contract_of(&self, leg: &Leg) -> Option<Timestamp> {
        let legs = self.strays.iter().map(|stray| &stray.leg);
        let legs = legs.chain(self.trade.iter().map(|trade| &trade.leg));
        legs.filter(|other| other.shares_row_with(leg)).filter_map(|other| other.last_fill).max()
    }

    /// More was closed than was open: our order and somebody else's met, or
    /// somebody sold on. It is told once: at once when the order book explains
    /// it, else when a second read shows it.
    fn watch_for_short(
        &mut self,
        which: LegId,
        shown: Quantity,
        rows: &[BrokerOrder],
        recent: bool,
    ) {
        let (closed_by_others, ..) = self.foreign_closing(which, rows);
        let Some(leg) = self.leg(which) else { return };
        let is_explained = self.held(leg) + leg.foreign < closed_by_others;
        let before = leg.reads_beyond;
        let reads = if shown < 0 && is_explained {
            before.max(SHORT_READS)
        } else if recent {
            before
        } else if shown < 0 {
            before.saturating_add(1)
        } else {
            0
        };
        let Some(leg) = self.leg_mut(which) else { return };
        leg.reads_beyond = reads;
        if before < SHORT_READS && reads >= SHORT_READS {
            self.control.hold(Hold::Mismatch, "engine", self.now.at);
            self.touch();
            self.say_short(which, shown);
        }
    }

    /// The broker shows less than we hold: somebody else closed some of it.
    fn judge_shortfall(
        &mut self,
        which: LegId,
        gap: Gap,
        rows: &[BrokerOrder],
        position: Option<&BrokerPosition>,
        recent: bool,
    ) {
        let missing = gap.held - gap.shown.max(0);
        let (evidence, value, orders, seen) = self.foreign_closing(which, rows);
        let explained = evidence >= missing;
        let vanished =
            gap.shown <= 0 && gap.reads >= VANISHED_READS && gap.last - gap.since >= VANISHED_SPAN;
        let shrunk = gap.shown > 0 && gap.reads >= 2;
        if missing > 0 && (explained || (!recent && (vanished || shrunk))) {
            // Of an order that closed other units, too, ours are a share.
            let value = if explained {
                Money::from_paise(value.paise() * missing / evidence)
            } else {
                position.map_or(Money::ZERO, |row| self.value_of_missing(which, row, missing))
            };
            self.take_external(which, missing, value, orders, seen);
            if !explained && gap.shown <= 0 {
                self.control.hold(Hold::Mismatch, "engine", self.now.at);
                self.say_vanished(which, missing);
            }
        }
    }

    /// What somebody else got for units: what the broker's position shows
    /// beyond our own exits, else the last price.
    fn value_of_missing(&self, which: LegId, row: &BrokerPosition, missing: Quantity) -> Money {
        let by_price = row.last_price * missing;
        let Some(leg) = self.leg(which) else { return by_price };
        let (units, value) = match leg.close {
            Side::Sell => (row.sold, row.sold_value),
            Side::Buy => (row.bought, row.bought_value),
        };
        let own: Money = leg
            .closers
            .iter()
            .filter_map(|id| self.intents.get(id))
            .map(|intent| intent.filled_value)
            .sum();
        let counted = self.closed_by_us(leg) + leg.external;
        if units - counted == missing { value - own - leg.external_value } else { by_price }
    }

    /// Units that other people's orders closed and that are not counted yet,
    /// with their value and number.
    fn foreign_closing(
        &self,
        which: LegId,
        rows: &[BrokerOrder],
    ) -> (Quantity, Money, u32, Vec<(OrderId, Quantity)>) {
        let (LegId::Trade, Some(trade)) = (which, &self.trade) else {
            return (0, Money::ZERO, 1, Vec::new());
        };
        let entered = self.intents.get(&trade.entry).map(|intent| intent.decided_at);
        let (mut units, mut value, mut orders, mut seen) = (0, Money::ZERO, 0, Vec::new());
        for row in rows {
            let later = match (row.updated_at.or(row.placed_at), entered) {
                (Some(updated), Some(entered)) => updated >= entered - TimeDelta::seconds(1),
                (Some(_) | None, _) => true,
            };
            let matches = row.instrument == trade.leg.instrument
                && row.product == trade.leg.product
                && row.side == trade.leg.close
                && later
                && self.intent_of(row).is_none();
            if !matches {
                continue;
            }
            let counted = trade
                .foreign_seen
                .iter()
                .rev()
                .find(|(id, _)| *id == row.order_id)
                .map_or(0, |(_, units)| *units);
            if row.filled > counted {
                units += row.filled - counted;
                let share = row.filled_value.paise() * (row.filled - counted) / row.filled;
                value += Money::from_paise(share);
                orders += u32::from(counted == 0);
                seen.push((row.order_id.clone(), row.filled));
            }
        }
        (units, value, orders.max(1), seen)
    }

    fn take_external(
        &mut self,
        which: LegId,
        units: Quantity,
        value: Money,
        orders: u32,
        seen: Vec<(OrderId, Quantity)>,
    ) {
        let at = self.now.at;
        let by_broker = self.square_off_at().is_some_and(|off| at >= off - TimeDelta::seconds(60));
        let Some(leg) = self.leg_mut(which) else { return };
        leg.external += units;
        leg.external_value += value;
        leg.external_orders += orders;
        leg.last_fill = Some(at);
        leg.gap = None;
        if let (LegId::Trade, Some(trade)) = (which, &mut self.trade) {
            trade.foreign_seen.extend(seen);
            trade.squared_off |= by_broker;
            self.say_external(units, value, by_broker);
        }
        self.touch();
        self.sync.ask_now();
    }

    /// Somebody else's units of the symbol became fewer. Their orders are
    /// counted as theirs, so that none of them explains a later gap of ours.
    fn foreign_units_left(&mut self, which: LegId, left: Quantity, rows: &[BrokerOrder]) {
        let (_, _, _, seen) = self.foreign_closing(which, rows);
        let Some(leg) = self.leg_mut(which) else { return };
        leg.foreign = left;
        leg.gap = None;
        if let (LegId::Trade, Some(trade)) = (which, &mut self.trade) {
            trade.foreign_seen.extend(seen);
        }
        self.touch();
    }

    /// The broker shows more than we hold: somebody else trades the symbol,
    /// or the positions trail our own exit.
    fn judge_surplus(&mut self, which: LegId, gap: Gap, position: Option<&BrokerPosition>) {
        let at = self.now.at;
        let LegId::Trade = which else { return };
        let Some(leg) = self.leg_mut(which) else { return };
        let given_back = gap.shown.min(0) - gap.held;
        if given_back > 0 && leg.external >= given_back {
            // Somebody undid what was closed too much.
            leg.external -= given_back;
            leg.external_value -= position.map_or(Money::ZERO, |row| row.last_price * given_back);
            leg.gap = None;
            self.touch();
            self.sync.ask_now();
        } else if gap.held > 0 {
            leg.foreign = gap.shown - gap.held;
            leg.gap = None;
            self.control.hold(Hold::Contaminated, "engine", at);
            self.say_contaminated(gap.shown - gap.held);
        } else if gap.reads >= VANISHED_READS && gap.last - gap.since >= VANISHED_SPAN && !gap.said
        {
            if let Some(gap) = &mut leg.gap {
                gap.said = true;
            }
            self.control.hold(Hold::Mismatch, "engine", at);
            self.say_not_flat(gap.shown);
        }
    }
}
