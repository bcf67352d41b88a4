//! What must hold after every step, seen from outside: computed from the
//! broker's own books, from what was delivered and from what was said.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::books::{Books, Order};
use crate::engine::Command;
use crate::engine::event::{CommandId, FeedState, OperatorAction};
use crate::engine::ledger::{Fact, OrderRecord};
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::market::{InstrumentKey, OrderRequest, Quantity, Side, Tag, Timestamp};

/// Units may be without an order at the exchange that closes them for this
/// long before somebody must have been told.
const UNPROTECTED_MAX: TimeDelta = TimeDelta::seconds(45);
/// A warning counts for units that are unprotected this much later.
const WARNED_BEFORE: TimeDelta = TimeDelta::seconds(90);
/// Closing orders must have been fitted to what others left of a position
/// this long after the broker could show it.
const FITTED_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// A short must have been told this long after the first complete read that
/// shows it: a second one must show it, too, and reads may fail for a while.
const SHORT_TOLD_WITHIN: TimeDelta = TimeDelta::minutes(2);
/// A person must be able to see an order without a clear answer by then.
const UNKNOWN_SEEN_WITHIN: TimeDelta = TimeDelta::seconds(5);
/// A price of the signal instrument may be this old when an entry leaves: the
/// engine's limit, and the second that ticks are cut to.
const STALE_MAX: TimeDelta = TimeDelta::seconds(12);

/// A rule that did not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Market time.
    pub at: Timestamp,
    /// Which rule.
    pub rule: &'static str,
    /// What was seen.
    pub what: String,
}

/// What the outside knows about the process and its surroundings.
#[derive(Debug, Default)]
pub(super) struct Audit {
    pub(super) violation: Option<Violation>,
    /// Since when the process runs; `None` while it is dead.
    pub(super) alive_since: Option<Timestamp>,
    /// Told to the process: feed, session, last price of the signal.
    feed_up: bool,
    session_alive: bool,
    last_signal_quote: Option<Timestamp>,
    /// Operators' words that were carried out: entries are off.
    entries_off: Option<&'static str>,
    asked: BTreeMap<i64, OperatorAction>,
    /// Warnings and worse: when the last one was said.
    last_alarm: Option<Timestamp>,
    /// When a short was last told, by symbol.
    shorts_told: BTreeMap<String, Timestamp>,
    /// When an order was last cried out by its name.
    cried_out: BTreeMap<Tag, Timestamp>,
    pub(super) alarms: u32,
    pub(super) criticals: u32,
    /// The session or the feed was reported gone while something is held.
    unprotected: BTreeMap<InstrumentKey, Timestamp>,
    /// Longest time without protection, for the story.
    pub(super) longest_unprotected: TimeDelta,
    /// When what others did last to an instrument could be seen by the
    /// process.
    outside_seen: BTreeMap<InstrumentKey, Timestamp>,
    /// When a short that is there could be seen by the process.
    short_seen: BTreeMap<InstrumentKey, Timestamp>,
    unknown: BTreeMap<CommandId, (Timestamp, Tag)>,
    /// Requests by name: the order's mark, and whether it places one.
    tags: BTreeMap<CommandId, (Tag, bool)>,
    orders: BTreeMap<Tag, OrderRecord>,
    /// Largest entry asked for.
    largest_entry: Quantity,
    /// A person gave up an entry that nobody found.
    released: bool,
    /// A panic over all: what others hold may be closed too.
    pub(super) panic_all: bool,
    /// Gross of closed trades, by trade, in paise.
    pub(super) gross: BTreeMap<String, i64>,
    pub(super) summary_flat: Option<bool>,
    pub(super) halted: Option<String>,
    pub(super) not_flat_told: bool,
    revision: u64,
    /// Something else than the books changed.
    stale: bool,
}

impl Audit {
    pub(super) fn new() -> Audit {
        Audit { session_alive: true, ..Audit::default() }
    }

    pub(super) fn fail(&mut self, at: Timestamp, rule: &'static str, what: String) {
        self.violation.get_or_insert(Violation { at, rule, what });
    }

    pub(super) fn started(&mut self, at: Timestamp, in_flight: &[CommandId]) {
        self.alive_since = Some(at);
        self.feed_up = false;
        self.session_alive = true;
        self.last_signal_quote = None;
        for id in in_flight {
            self.answered_unknown(at, *id);
        }
    }

    pub(super) fn died(&mut self) {
        self.alive_since = None;
    }

    pub(super) fn fed(&mut self, state: FeedState) {
        self.feed_up = state == FeedState::Up;
    }

    pub(super) fn session(&mut self, alive: bool) {
        self.session_alive = alive;
    }

    pub(super) fn priced(&mut self, at: Timestamp) {
        self.last_signal_quote = self.last_signal_quote.max(Some(at));
    }

    pub(super) fn asked(&mut self, request: i64, action: OperatorAction) {
        self.asked.insert(request, action);
    }

    /// Requests that were not answered, with what they ask.
    pub(super) fn unanswered(&self) -> Vec<(i64, OperatorAction)> {
        self.asked.iter().map(|(request, action)| (*request, action.clone())).collect()
    }

    /// An outcome that nobody can read anything from was delivered.
    pub(super) fn answered_unknown(&mut self, at: Timestamp, id: CommandId) {
        let Some((tag, places)) = self.tags.get(&id) else { return };
        // What was learnt another way is not unknown any more.
        let known = self.orders.get(tag).is_some_and(|order| {
            let doubtful = matches!(order.status.as_str(), "SENDING" | "UNKNOWN");
            order.ended_at.is_some() || (*places && !doubtful)
        });
        if !known {
            self.unknown.insert(id, (at + UNKNOWN_SEEN_WITHIN, tag.clone()));
        }
    }

    /// A whole snapshot was delivered whose reads began at `sent`.
    pub(super) fn saw(&mut self, books: &Books, sent: Timestamp, at: Timestamp) {
        for (key, outside) in &books.outside {
            let seen = self.outside_seen.get(key).copied();
            if outside.at <= sent && seen.is_none_or(|seen| seen < outside.at) {
                self.outside_seen.insert(key.clone(), at);
            }
        }
        for (key, over) in &books.over {
            if over.since <= sent {
                self.short_seen.entry(key.clone()).or_insert(at);
            }
        }
    }

    pub(super) fn said(&mut self, at: Timestamp, notice: &Notice, books: &Books) {
        if notice.severity >= Severity::Warning {
            self.last_alarm = Some(at);
            self.alarms += 1;
        }
        if notice.severity == Severity::Critical {
            self.criticals += 1;
            self.cried_out(at, notice, books);
        }
        if let Some(footer) = &notice.footer {
            self.unknown.retain(|_, (_, tag)| !footer.contains(tag.as_str()));
        }
        if notice.headline.starts_with("HALTED") {
            let rule = notice.fields.first().map(|(_, rule)| rule.clone()).unwrap_or_default();
            self.halted.get_or_insert(rule);
        }
        self.not_flat_told |= notice.severity == Severity::Critical && notice.footer.is_some();
        if notice.kind == NoticeKind::Panic && notice.headline.starts_with("PANIC: flat") {
            self.must_be_flat(at, books, &notice.headline);
        }
    }

    /// Someone must act: on which short, on which order.
    fn cried_out(&mut self, at: Timestamp, notice: &Notice, books: &Books) {
        if notice.headline.ends_with("a short that must not be") {
            let keys = books.over.keys().filter(|key| notice.headline.contains(&key.symbol));
            self.shorts_told.extend(keys.map(|key| (key.symbol.clone(), at)));
        }
        let Some(footer) = &notice.footer else { return };
        let named = self.orders.keys().filter(|tag| footer.contains(tag.as_str()));
        self.cried_out.extend(named.map(|tag| (tag.clone(), at)));
    }

    fn must_be_flat(&mut self, at: Timestamp, books: &Books, said: &str) {
        let held: Vec<String> = books
            .bot_keys()
            .filter(|key| books.held(key) != 0)
            .map(|key| format!("{} {}", books.held(key), key.symbol))
            .collect();
        if !held.is_empty() {
            self.fail(
                at,
                "flat is true when said",
                format!("{said:?}, and {} held", held.join(", ")),
            );
        }
    }

    pub(super) fn recorded(&mut self, at: Timestamp, fact: &Fact, books: &Books) {
        match fact {
            Fact::Trade(trade) => {
                self.gross.insert(trade.trade_id.clone(), trade.gross.paise());
                let closed = trade.exit_reason.is_some();
                let held = books.held(&trade.contract);
                if closed && held != 0 {
                    let what = format!(
                        "{} is closed, and {held} {} are held",
                        trade.trade_id, trade.contract.symbol
                    );
                    self.fail(at, "closed is true when said", what);
                }
            }
            Fact::Order(order) => {
                if order.status != "UNKNOWN" && order.status != "SENDING" {
                    self.unknown.retain(|_, (_, tag)| *tag != order.tag);
                }
                self.orders.insert(order.tag.clone(), (**order).clone());
            }
            Fact::Answer { request, done, .. } => {
                if let Some(action) = self.asked.remove(request) {
                    self.carried_out(&action, *done);
                }
            }
            Fact::Day(summary) => {
                self.summary_flat = Some(summary.flat);
                if summary.flat {
                    self.must_be_flat(at, books, "the day is flat");
                }
            }
            Fact::Decision(_) | Fact::State(_) | Fact::Limit(_) => {}
        }
    }

    fn carried_out(&mut self, action: &OperatorAction, done: bool) {
        if !done {
            return;
        }
        match action {
            OperatorAction::Disable => {
                self.entries_off.get_or_insert("disabled");
            }
            OperatorAction::Panic { all } => {
                self.entries_off = Some("panic");
                self.panic_all |= *all;
            }
            OperatorAction::Enable { confirmed } => {
                self.entries_off = None;
                self.released |= *confirmed;
            }
            OperatorAction::Exit | OperatorAction::Arm | OperatorAction::Set { .. } => {}
        }
    }

    /// Looks at an order command as it leaves.
    pub(super) fn sends(
        &mut self,
        at: Timestamp,
        id: CommandId,
        command: &Command,
        durable: bool,
        books: &Books,
        session: (Timestamp, Timestamp),
    ) {
        if !durable {
            self.fail(
                at,
                "durable before sent",
                format!("entry {} of the journal is not there", id.seq),
            );
        }
        match command {
            Command::Submit { reduces, order, .. } => {
                self.tags.insert(id, (order.tag.clone(), true));
                if *reduces {
                    self.sends_closer(at, order, books);
                } else {
                    self.sends_entry(at, order, session);
                }
            }
            Command::Modify { order_id, .. } | Command::Cancel { order_id, .. } => {
                let index = books.find(order_id);
                let tag = index.and_then(|index| books.orders[index].row.tag.clone());
                if let Some(tag) = tag {
                    self.tags.insert(id, (tag, false));
                }
                let foreign = index.is_some_and(|index| books.orders[index].row.tag.is_none());
                if foreign {
                    self.fail(
                        at,
                        "foreign orders are left alone",
                        format!("{order_id} is not the bot's"),
                    );
                }
            }
            Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {}
        }
    }

    fn sends_entry(
        &mut self,
        at: Timestamp,
        order: &OrderRequest,
        session: (Timestamp, Timestamp),
    ) {
        self.largest_entry = self.largest_entry.max(order.quantity);
        let stale = self.last_signal_quote.is_none_or(|seen| at - seen > STALE_MAX);
        let why = if let Some(off) = self.entries_off {
            Some(off)
        } else if self.halted.is_some() {
            Some("halted")
        } else if !self.feed_up {
            Some("the feed is down")
        } else if stale {
            Some("prices are stale")
        } else if !self.session_alive {
            Some("the session is dead")
        } else if at < session.0 || at >= session.1 {
            Some("it is outside the session")
        } else {
            None
        };
        if let Some(why) = why {
            self.fail(
                at,
                "no entry while entries are off",
                format!("{} left while {why}", order.tag),
            );
        }
    }

    fn sends_closer(&mut self, at: Timestamp, order: &OrderRequest, books: &Books) {
        let net = books.net(&order.instrument);
        let towards = match order.side {
            Side::Sell => net,
            Side::Buy => -net,
        };
        if order.quantity > towards && !self.is_excused(&order.instrument, at, books) {
            let what = format!(
                "{} {} {} of {net} net",
                order.side.as_str(),
                order.quantity,
                order.instrument.symbol
            );
            self.fail(at, "exits by what the broker shows", what);
        }
    }

    /// True while the process cannot know yet, or has just learnt, what
    /// others did to the instrument.
    fn is_excused(&self, key: &InstrumentKey, at: Timestamp, books: &Books) -> bool {
        let Some(outside) = books.outside.get(key) else { return false };
        let seen = self.outside_seen.get(key).filter(|seen| **seen >= outside.at);
        seen.is_none_or(|seen| at <= *seen + FITTED_WITHIN)
    }

    /// True for an order that cannot be fitted now: the broker holds it up on
    /// its way and refuses every change, and since others closed units it was
    /// cried out by its name. A minute is given once the broker lets go of it.
    fn is_held_up(&self, order: &Order, at: Timestamp, books: &Books) -> bool {
        let Some(outside) = books.outside.get(&order.row.instrument) else { return false };
        let told = order.row.tag.as_ref().and_then(|tag| self.cried_out.get(tag));
        let told = told.is_some_and(|told| *told >= outside.at);
        let freed = order.freed_at.is_some_and(|freed| at <= freed + FITTED_WITHIN);
        freed || (order.step.is_some() && told)
    }

    /// Something that the books do not show may have changed.
    pub(super) fn touch(&mut self) {
        self.stale = true;
    }

    /// Looks at everything.
    pub(super) fn look(&mut self, at: Timestamp, books: &mut Books) {
        for breach in std::mem::take(&mut books.faults) {
            let held_up =
                breach.order.as_ref().is_some_and(|order| self.is_held_up(order, at, books));
            let excused = self.panic_all || held_up || self.is_excused(&breach.key, at, books);
            if breach.rule != "never oversold" || !excused {
                self.fail(at, breach.rule, breach.what);
            }
        }
        if self.revision != books.revision || self.stale {
            self.revision = books.revision;
            self.stale = false;
            self.look_at_books(at, books);
        }
        self.look_at_shorts(at, books);
        self.look_at_time(at);
    }

    fn look_at_books(&mut self, at: Timestamp, books: &Books) {
        let mut exposure: Quantity = books
            .orders
            .iter()
            .filter(|order| order.is_live() && order.is_entry())
            .map(|order| order.left())
            .sum();
        let keys: Vec<InstrumentKey> = books.bot_keys().cloned().collect();
        for key in keys {
            let held = books.held(&key);
            exposure += held.abs();
            let closers = books.orders.iter().filter(|order| {
                order.is_live() && order.is_closer() && order.row.instrument == key
            });
            let (mut working, mut resting, mut live) = (0, 0, 0);
            let mut held_up = false;
            for order in closers {
                live += 1;
                working += order.left();
                held_up |= self.is_held_up(order, at, books);
                if order.is_at_exchange() {
                    resting += order.left();
                }
            }
            let excused = self.is_excused(&key, at, books);
            if live > 1 {
                self.fail(
                    at,
                    "one live order that reduces",
                    format!("{live} orders reduce {}", key.symbol),
                );
            }
            let most = if self.panic_all { books.net(&key).abs() } else { held.abs() };
            if working > most && !excused && !held_up {
                let what = format!("{working} to close of {} while {most} are held", key.symbol);
                self.fail(at, "working exits fit what is held", what);
            }
            let own = books.bot_net(&key);
            let net = books.net(&key);
            if own.signum() * net.signum() < 0
                && !excused
                && !self.panic_all
                && !books.outside.contains_key(&key)
            {
                self.fail(
                    at,
                    "never oversold",
                    format!("{net} {} net, {own} by the bot", key.symbol),
                );
            }
            let is_short = books.over.get(&key).is_some_and(|over| over.sign == held.signum());
            if held.abs() > resting && !is_short {
                self.unprotected.entry(key).or_insert(at);
            } else if let Some(since) = self.unprotected.remove(&key) {
                self.longest_unprotected = self.longest_unprotected.max(at - since);
            }
        }
        if exposure > self.largest_entry && !self.released && !self.panic_all {
            let what = format!(
                "{exposure} units held or being opened, the largest entry is {}",
                self.largest_entry
            );
            self.fail(at, "bought no more than intended", what);
        }
    }

    /// Where more was closed than was there, somebody must be told.
    fn look_at_shorts(&mut self, at: Timestamp, books: &mut Books) {
        books.over.retain(|_, _| !self.panic_all);
        let undone: Vec<InstrumentKey> =
            books.over.keys().filter(|key| books.bot_net(key) == 0).cloned().collect();
        for key in undone {
            books.over.remove(&key);
            self.short_seen.remove(&key);
        }
        let Some(alive_since) = self.alive_since else { return };
        for (key, over) in &books.over {
            let told = self.shorts_told.get(&key.symbol).is_some_and(|told| *told >= over.since);
            let seen = self.short_seen.get(key).map(|seen| (*seen).max(alive_since));
            if seen.is_some_and(|seen| at - seen > SHORT_TOLD_WITHIN) && !told {
                let what = format!("{} {} and nobody was told", books.bot_net(key), key.symbol);
                self.violation.get_or_insert(Violation { at, rule: "a short is told", what });
            }
        }
    }

    fn look_at_time(&mut self, at: Timestamp) {
        let Some(alive_since) = self.alive_since else { return };
        let late = self
            .unknown
            .iter()
            .find(|(_, (until, _))| at > (*until).max(alive_since + UNKNOWN_SEEN_WITHIN));
        if let Some((_, (_, tag))) = late {
            let what = format!("{tag} has no clear answer and nobody was told");
            self.fail(at, "unknown is visible", what);
        }
        for (key, since) in &self.unprotected {
            let from = (*since).max(alive_since);
            let warned = self.last_alarm.is_some_and(|said| said >= *since - WARNED_BEFORE);
            if at - from > UNPROTECTED_MAX && !warned {
                let what = format!(
                    "{} has had no order that closes it for {} s and nobody was told",
                    key.symbol,
                    (at - *since).num_seconds()
                );
                self.violation.get_or_insert(Violation { at, rule: "protected or alarmed", what });
                return;
            }
        }
    }
}
