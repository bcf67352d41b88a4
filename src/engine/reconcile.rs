//! What the broker shows against what we know.
//!
//! The broker is right about quantities, the journal about intentions. A
//! failed read is not an empty answer: only a complete snapshot means that
//! something is not there.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;

use super::Engine;
use super::command::{Command, Fetch};
use super::entry::is_unknown_entry;
use super::event::{CommandId, Snapshot};
use super::intents::{self, End, Intent, Stage};
use super::ledger::{IntentId, Role};
use super::permission::Hold;
use super::position::LegId;
use super::strategy::Signal;
use crate::market::{
    BrokerOrder, BrokerPosition, InstrumentKey, Money, OrderId, Product, Quantity, Side, Timestamp,
};

/// Pauses between reads while something is in doubt (M6), one after the
/// other; the last one repeats.
const DOUBT_PAUSES_S: [i64; 5] = [0, 1, 1, 3, 5];
/// Pause while a request or an order is on its way.
const BUSY_PAUSE: TimeDelta = TimeDelta::seconds(2);
/// Pause while something is held or works, with and without a live feed.
const HELD_PAUSE: TimeDelta = TimeDelta::seconds(15);
const HELD_DARK_PAUSE: TimeDelta = TimeDelta::seconds(3);
/// Pause otherwise, in market hours.
const IDLE_PAUSE: TimeDelta = TimeDelta::seconds(60);
/// Two reads are at least this far apart.
pub(super) const SPACING: TimeDelta = TimeDelta::milliseconds(250);
/// Positions may trail the order book: no judgement this soon after a fill
/// without another person's order as evidence (M21).
pub(super) const POSITIONS_TRAIL: TimeDelta = TimeDelta::seconds(10);
/// A fetch without an answer for this long is asked again.
const ANSWER_WITHIN: TimeDelta = TimeDelta::seconds(20);
/// A panic over all waits this long for other people's orders to be
/// cancelled before it closes what they would close.
const FOREIGN_CANCEL_WITHIN: TimeDelta = TimeDelta::seconds(10);
/// Closing orders wait this long for the first comparison after a start or a
/// login; an order at the exchange protects meanwhile.
const COMPARED_WITHIN: TimeDelta = TimeDelta::seconds(15);
/// An order that was seen at all is in every order book after this long.
const SHOWN_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// Order books in a row that lack it until it is told.
const LOST_READS: u32 = 3;
/// Reads before the opening count from this much earlier.
const BEFORE_OPEN: TimeDelta = TimeDelta::minutes(15);

/// State of the comparison with the broker.
#[derive(Debug, Clone, Default)]
pub(super) struct SyncState {
    in_flight: Option<(CommandId, Timestamp)>,
    last_sent: Option<Timestamp>,
    urgent: bool,
    polls: u32,
    pub(super) last_clean: Option<Timestamp>,
    pub(super) available: Option<Money>,
    /// The last complete positions, and when they were asked for.
    positions: Option<(Timestamp, Vec<BrokerPosition>)>,
    /// A clean comparison must be at least as young as this.
    pub(super) clean_from: Option<Timestamp>,
    /// Orders with our mark that nobody here remembers.
    strange: BTreeMap<OrderId, Option<Timestamp>>,
    /// What filled orders with our mark that nobody here remembers add up to.
    unrecorded: BTreeMap<InstrumentKey, Quantity>,
    /// Other people's orders that a panic over all cancels, since when.
    taken_back: BTreeMap<OrderId, Timestamp>,
    /// Reads in a row whose order book lacked orders that it had shown.
    lost_reads: u32,
    /// Other people's orders in the contract we hold that were told.
    others: BTreeSet<OrderId>,
}

impl SyncState {
    /// Wants a read as soon as one may be sent.
    pub(super) fn ask_now(&mut self) {
        self.urgent = true;
    }

    /// Forgets what was under way: the process that asked is gone.
    pub(super) fn restart(&mut self, at: Timestamp) {
        self.in_flight = None;
        self.polls = 0;
        self.clean_from = Some(at);
    }

    /// The last complete positions that were asked for at or after `from`.
    pub(super) fn positions_since(&self, from: Timestamp) -> Option<&[BrokerPosition]> {
        self.positions.as_ref().filter(|(at, _)| *at >= from).map(|(_, rows)| rows.as_slice())
    }
}

/// True while a request is unanswered or the order has not reached its rest:
/// a stop that the broker shows as pending protects nothing yet, and its
/// arrival at the exchange may come without an update.
fn is_on_its_way(intent: &Intent) -> bool {
    let at_rest = intent.seen.as_ref().is_some_and(|seen| seen.status.is_at_rest());
    intent.request.is_some() || (intent.stage == Stage::Working && !at_rest)
}

impl Engine {
    pub(super) fn fetch_when_due(&mut self) {
        let Some(due) = self.fetch_due() else { return };
        if self.now.at < due {
            return;
        }
        let doubt = self.is_in_doubt();
        let fetch =
            Fetch { orders: true, positions: true, margins: !doubt || self.sync.polls == 0 };
        let command = self.emit(Command::Fetch(fetch));
        self.sync.in_flight = Some((command, self.now.at));
        self.sync.last_sent = Some(self.now.at);
        self.sync.urgent = false;
        self.sync.polls = if doubt { self.sync.polls + 1 } else { 0 };
    }

    /// When the next read is due.
    pub(super) fn fetch_due(&self) -> Option<Timestamp> {
        let plan = self.plan.as_ref()?;
        if !self.session_alive || self.marks.closed {
            return None;
        }
        if let Some((_, sent)) = self.sync.in_flight {
            return Some(sent + ANSWER_WITHIN);
        }
        let Some(last) = self.sync.last_sent else { return Some(self.now.at) };
        if self.sync.urgent {
            return Some(last + SPACING);
        }
        if self.is_in_doubt() {
            let polls = usize::try_from(self.sync.polls).unwrap_or(usize::MAX);
            let pause = DOUBT_PAUSES_S[polls.min(DOUBT_PAUSES_S.len() - 1)];
            return Some((last + TimeDelta::seconds(pause)).max(last + SPACING));
        }
        if self.intents.values().any(is_on_its_way) {
            return Some(last + BUSY_PAUSE);
        }
        if self.busy() {
            return Some(last + if self.feed_up { HELD_PAUSE } else { HELD_DARK_PAUSE });
        }
        let begin = plan.open - BEFORE_OPEN;
        Some((last + IDLE_PAUSE).max(begin))
    }

    /// True when only the broker can tell how things stand.
    fn is_in_doubt(&self) -> bool {
        self.control.has(Hold::Starting)
            || self.intents.values().any(Intent::is_doubtful)
            || self.trade.as_ref().is_some_and(|trade| self.awaits_proof(&trade.leg))
            || self.strays.iter().any(|stray| stray.open && self.awaits_proof(&stray.leg))
            || self.is_panic_under_way()
            || self.awaits_final_proof()
    }

    /// True after a start or a login until positions were read: while nobody
    /// looked, people may have closed what the journal shows as held.
    pub(super) fn awaits_comparison(&self) -> bool {
        self.comparison_due().is_some_and(|due| self.now.at < due)
    }

    /// When closing orders stop waiting for a comparison that is still to
    /// come.
    pub(super) fn comparison_due(&self) -> Option<Timestamp> {
        let from = self.sync.clean_from?;
        self.sync.positions_since(from).is_none().then(|| from + COMPARED_WITHIN)
    }

    /// True when the leg's next move needs a position read.
    fn awaits_proof(&self, leg: &super::position::Leg) -> bool {
        let none_alive = self.alive_closers(leg).is_empty();
        leg.gap.is_some() || (leg.opened > 0 && none_alive && !leg.closers.is_empty())
    }

    pub(super) fn on_snapshot(&mut self, snapshot: &Snapshot) {
        if self.sync.in_flight.is_some_and(|(command, _)| command == snapshot.command) {
            self.sync.in_flight = None;
        }
        if self.plan.is_none() {
            return;
        }
        if snapshot.available.is_some() {
            self.sync.available = snapshot.available;
        }
        let orders = snapshot.orders.as_deref();
        let complete = snapshot.complete && !self.has_lost_rows(orders, snapshot.taken_at);
        if let Some(rows) = orders {
            self.take_book(rows, snapshot.taken_at, complete);
        }
        let Some(positions) = snapshot.positions.as_deref() else { return };
        let (true, Some(rows)) = (complete, orders) else { return };
        let newer = self.sync.positions.as_ref().is_none_or(|(at, _)| snapshot.taken_at >= *at);
        if !newer {
            return;
        }
        self.sync.positions = Some((snapshot.taken_at, positions.to_vec()));
        self.judge(LegId::Trade, rows, positions, snapshot.taken_at);
        for index in 0..self.strays.len() {
            self.judge(LegId::Stray(index), rows, positions, snapshot.taken_at);
        }
        self.take_in_foreign(rows, positions, snapshot.taken_at);
        self.note_clean(snapshot.taken_at);
    }

    /// True for an order book without orders that the broker has shown before:
    /// it keeps them all day, so that what else is not in this book proves
    /// nothing either.
    fn has_lost_rows(&mut self, orders: Option<&[BrokerOrder]>, taken_at: Timestamp) -> bool {
        let Some(rows) = orders else { return false };
        let is_due = |intent: &&Intent| {
            let answered = intent.answered_at.unwrap_or(intent.decided_at);
            intent.seen.is_some() && taken_at >= answered + SHOWN_WITHIN
        };
        let is_lost = |intent: &Intent| {
            let id = intent.order_id.as_ref();
            id.is_some_and(|id| rows.iter().all(|row| row.order_id != *id))
        };
        let lost = self.intents.values().filter(is_due).filter(|intent| is_lost(intent)).count();
        self.sync.lost_reads = if lost > 0 { self.sync.lost_reads.saturating_add(1) } else { 0 };
        if self.sync.lost_reads == LOST_READS {
            self.control.hold(Hold::Mismatch, "engine", self.now.at);
            self.touch();
            self.say_lost_rows(lost);
        }
        lost > 0
    }

    fn take_book(&mut self, rows: &[BrokerOrder], taken_at: Timestamp, complete: bool) {
        let mut present: Vec<IntentId> = Vec::new();
        let mut unrecorded: BTreeMap<InstrumentKey, Quantity> = BTreeMap::new();
        for row in rows {
            match self.intent_of(row) {
                Some(id) => {
                    present.push(id);
                    self.absorb(id, row, Some(taken_at));
                }
                None => {
                    self.meet_stranger(row);
                    if row.filled > 0 && self.has_our_mark(row) {
                        let units = match row.side {
                            Side::Buy => row.filled,
                            Side::Sell => -row.filled,
                        };
                        *unrecorded.entry(row.instrument.clone()).or_default() += units;
                    }
                }
            }
        }
        if !complete {
            return;
        }
        self.judge_unrecorded(unrecorded);
        let at = self.now.at;
        let absent: Vec<IntentId> = self
            .intents
            .values()
            .filter(|intent| !intent.is_ended() && !present.contains(&intent.id))
            .map(|intent| intent.id)
            .collect();
        for id in absent {
            let Some(intent) = self.intents.get_mut(&id) else { continue };
            let before = intent.stage;
            intent.not_in_book(taken_at, at);
            let (after, ended) = (intent.stage, intent.is_ended());
            if ended {
                self.after_progress(id, false, true);
            } else if before != after {
                self.after_missing(id);
            }
        }
    }

    /// True for an order that carries a mark of this program and day.
    pub(super) fn has_our_mark(&self, row: &BrokerOrder) -> bool {
        let date = self.plan.as_ref().map(|plan| plan.date);
        let tag = row.tag.as_ref();
        tag.zip(date).is_some_and(|(tag, date)| intents::is_our_tag(tag, date))
    }

    /// Orders with our mark are filled and not in our records: the bot's own
    /// doing, with no stop that it knows of.
    fn judge_unrecorded(&mut self, now: BTreeMap<InstrumentKey, Quantity>) {
        if now == self.sync.unrecorded {
            return;
        }
        for (key, net) in &now {
            if *net != 0 && self.sync.unrecorded.get(key) != Some(net) {
                self.control.hold(Hold::Mismatch, "engine", self.now.at);
                self.say_unrecorded(key, *net);
            }
        }
        self.sync.unrecorded = now;
        self.touch();
    }

    /// An order that no intent knows. One with our mark is cancelled when it
    /// would open something or when it is the second of an intent (I1), and
    /// left alone when it protects.
    fn meet_stranger(&mut self, row: &BrokerOrder) {
        if !self.has_our_mark(row) {
            return self.meet_foreign(row);
        }
        if row.status.is_terminal() {
            self.sync.strange.remove(&row.order_id);
            return;
        }
        let tag = row.tag.as_ref();
        let is_second = self.intents.values().any(|intent| {
            Some(&intent.tag) == tag
                && intent.instrument == row.instrument
                && intent.side == row.side
        });
        let opens = is_second || tag.is_some_and(|tag| tag.as_str().ends_with("E1"));
        let known = self.sync.strange.get(&row.order_id).copied();
        let again = known.flatten().is_none_or(|asked| self.now.at >= asked + BUSY_PAUSE);
        let cancels = opens && again && self.may_send();
        let asked = if cancels { Some(self.now.at) } else { known.flatten() };
        self.sync.strange.insert(row.order_id.clone(), asked);
        if known.is_none() {
            self.control.hold(Hold::Mismatch, "engine", self.now.at);
            self.say_stranger(row, opens);
        }
        if cancels {
            self.emit(Command::Cancel { intent: None, order_id: row.order_id.clone() });
        }
    }

    /// Somebody else's order: told when it works in the contract that we
    /// hold, and never touched (M4).
    fn meet_foreign(&mut self, row: &BrokerOrder) {
        let is_near = self.trade.as_ref().is_some_and(|trade| {
            trade.leg.opened > 0
                && trade.leg.instrument == row.instrument
                && trade.leg.product == row.product
        });
        if is_near && !row.status.is_terminal() && self.sync.others.insert(row.order_id.clone()) {
            self.touch();
            self.say_foreign_order(row);
        }
    }

    /// True for somebody else's order in the contract that we hold.
    pub(super) fn is_foreign_of_interest(&self, row: &BrokerOrder) -> bool {
        self.trade.as_ref().is_some_and(|trade| trade.leg.instrument == row.instrument)
            && row.filled > 0
    }

    /// Positions that are not the bot's: counted, told once, left alone,
    /// unless a panic is over all.
    fn take_in_foreign(
        &mut self,
        rows: &[BrokerOrder],
        positions: &[BrokerPosition],
        taken_at: Timestamp,
    ) {
        let over_all = self
            .control
            .panic
            .as_ref()
            .filter(|panic| panic.all && !panic.done && taken_at >= panic.since)
            .map(|panic| panic.since);
        if over_all.is_some() {
            self.cancel_foreign(rows);
        }
        let foreign: Vec<BrokerPosition> = positions
            .iter()
            .filter(|row| row.quantity != 0 && !self.is_ours(row))
            .filter(|row| !self.may_trail(row, rows, taken_at))
            .cloned()
            .collect();
        if foreign.is_empty() {
            return;
        }
        if self.marks.foreign_told != Some(foreign.len()) {
            self.marks.foreign_told = Some(foreign.len());
            self.say_foreign(&foreign);
        }
        let Some(since) = over_all else { return };
        let patient = taken_at < since + FOREIGN_CANCEL_WITHIN;
        for row in foreign {
            let closes = Engine::closing_side(row.quantity);
            let sold_already = rows.iter().any(|order| {
                order.instrument == row.instrument
                    && order.product == row.product
                    && order.side == closes
                    && !order.status.is_terminal()
            });
            if !(sold_already && patient) {
                self.adopt_foreign(&row, taken_at);
            }
        }
    }

    /// A panic over all takes back other people's orders first: a stop of
    /// theirs beside our sale would make a short.
    fn cancel_foreign(&mut self, rows: &[BrokerOrder]) {
        let at = self.now.at;
        for row in rows {
            let intraday = row.instrument.exchange.is_derivatives() || row.product == Product::Mis;
            if row.status.is_terminal() || !intraday || self.intent_of(row).is_some() {
                continue;
            }
            let asked = self.sync.taken_back.get(&row.order_id);
            if self.may_send() && asked.is_none_or(|asked| at >= *asked + BUSY_PAUSE) {
                self.sync.taken_back.insert(row.order_id.clone(), at);
                self.emit(Command::Cancel { intent: None, order_id: row.order_id.clone() });
            }
        }
    }

    fn is_ours(&self, row: &BrokerPosition) -> bool {
        let same = |leg: &super::position::Leg| {
            leg.instrument == row.instrument && leg.product == row.product
        };
        self.trade.as_ref().is_some_and(|trade| same(&trade.leg))
            || self.strays.iter().any(|stray| stray.open && same(&stray.leg))
    }

    /// True for a position that may be from before the last fill of its
    /// contract, ours or anyone's (M21): closing it could close it twice.
    fn may_trail(
        &self,
        position: &BrokerPosition,
        rows: &[BrokerOrder],
        taken_at: Timestamp,
    ) -> bool {
        let key = &position.instrument;
        let ours = self.ghosts.iter().map(|trade| &trade.leg);
        let mut ours = ours.chain(self.strays.iter().map(|stray| &stray.leg));
        let fresh = |filled: Timestamp| taken_at < filled + POSITIONS_TRAIL;
        ours.any(|leg| leg.instrument == *key && leg.last_fill.is_some_and(fresh))
            || rows.iter().any(|row| {
                // Rows bear whole seconds.
                let at = row.updated_at.or(row.placed_at);
                let at = at.map(|at| at + TimeDelta::seconds(1));
                row.instrument == *key && row.filled > 0 && at.is_some_and(fresh)
            })
    }

    /// The contract of a signal when somebody else holds it.
    pub(super) fn contaminated(&self, signal: &Signal) -> Option<InstrumentKey> {
        let (_, rows) = self.sync.positions.as_ref()?;
        let chosen = self.choose(signal).ok()?.contract.key;
        rows.iter()
            .find(|row| row.instrument == chosen && row.quantity != 0)
            .map(|row| row.instrument.clone())
    }

    fn note_clean(&mut self, taken_at: Timestamp) {
        let legs_agree = self.trade.iter().all(|trade| trade.leg.gap.is_none())
            && self.strays.iter().all(|stray| !stray.open || stray.leg.gap.is_none());
        let doubtful =
            self.intents.values().any(|intent| intent.is_doubtful() && !is_unknown_entry(intent));
        let unsettled = self
            .intents
            .values()
            .any(|intent| matches!(intent.stage, Stage::Unsure { .. } | Stage::Sending));
        if !legs_agree || doubtful || unsettled || !self.sync.strange.is_empty() {
            return;
        }
        self.sync.last_clean = Some(taken_at);
        if self.sync.clean_from.is_none_or(|from| taken_at >= from) {
            self.control.lift(Hold::Starting);
        }
    }

    /// A fill or an end became known.
    pub(super) fn after_progress(&mut self, id: IntentId, gained: bool, ended: bool) {
        let at = self.now.at;
        if self.trade.as_ref().is_some_and(|trade| trade.entry == id) {
            self.after_entry_progress(gained, ended);
            return;
        }
        let Some(which) = self.leg_of(id) else {
            if gained {
                self.adopt_late_fill(id);
            }
            return;
        };
        let stage = self.intents.get(&id).map(|intent| intent.stage);
        let Some(leg) = self.leg_mut(which) else { return };
        if gained {
            leg.last_fill = Some(at);
        }
        if ended {
            leg.proof_from = Some(at);
            if stage == Some(Stage::Ended(End::Rejected)) {
                leg.refusals += 1;
                leg.off_price = leg.refusals;
                let refusals = leg.refusals;
                let rungs =
                    self.plan.as_ref().map_or(0, |plan| plan.settings.risk.exit_ladder.len());
                let many = usize::try_from(refusals).unwrap_or(usize::MAX) > rungs;
                if let Some(leg) = self.leg_mut(which) {
                    leg.not_before = many.then(|| at + TimeDelta::seconds(5));
                }
                self.say_rejected(id, refusals);
            }
        }
    }

    /// An order could not be found time and again.
    fn after_missing(&mut self, id: IntentId) {
        let at = self.now.at;
        if let Some(leg) = self.leg_of(id).and_then(|which| self.leg_mut(which)) {
            leg.proof_from = Some(at);
        }
        self.touch();
        self.say_missing(id);
    }

    /// True for an entry of a trade that a person has given up.
    pub(super) fn is_released(&self, intent: &Intent) -> bool {
        intent.role == Role::Entry
            && self.trade.as_ref().is_none_or(|trade| trade.entry != intent.id)
    }

    /// The side that reduces a position of this sign.
    pub(super) fn closing_side(net: Quantity) -> Side {
        if net > 0 { Side::Sell } else { Side::Buy }
    }
}
