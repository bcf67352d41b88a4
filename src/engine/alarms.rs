//! What people read when something needs watching or a hand.

use super::Engine;
use super::event::Refusal;
use super::ledger::{IntentId, Role};
use super::notice::{NoticeKind, Severity};
use super::orders::Draft;
use super::permission::PanicRun;
use super::position::LegId;
use super::settle::per_unit;
use super::text::{Told, by_hand, if_left_open};
use crate::market::{BrokerOrder, BrokerPosition, InstrumentKey, Money, Quantity, Side, Timestamp};

/// From this refusal on, someone must act.
const GRAVE_REFUSALS: u32 = 3;
/// Foreign positions named in one notice.
const NAMED: usize = 5;

impl Engine {
    fn trouble(&mut self, severity: Severity, headline: String, footer: Option<String>) {
        let trade = self.trade.as_ref().map(|trade| trade.record.trade_id.clone());
        let mut told = Told::new(NoticeKind::OrderTrouble, severity, headline);
        told.trade = trade;
        told.footer = footer;
        self.say(told);
    }

    /// What to press for everything that is open.
    pub(super) fn hand_text(&self) -> Option<String> {
        let strays = self.strays.iter().filter(|stray| stray.open).map(|stray| &stray.leg);
        let mut steps = Vec::new();
        for leg in self.trade.iter().map(|trade| &trade.leg).chain(strays) {
            let held = self.held(leg);
            let symbol = &leg.instrument.symbol;
            steps.push(if held > 0 {
                by_hand(leg, held, self.last_price_to_close(leg))
            } else {
                format!("By hand, in the Kite app: Orders, cancel every open order of {symbol}.")
            });
        }
        (!steps.is_empty()).then(|| steps.join(" "))
    }

    pub(super) fn say_feed(&mut self, up: bool) {
        let held = self.trade.is_some();
        let (severity, text) = match (up, held) {
            (true, _) => (Severity::Info, "Price feed is back"),
            (false, true) => (
                Severity::Warning,
                "Price feed is down with a position open; the stop rests at the exchange",
            ),
            (false, false) => (Severity::Warning, "Price feed is down; no entries"),
        };
        self.say(Told::new(NoticeKind::Data, severity, text));
    }

    pub(super) fn say_session(&mut self, alive: bool) {
        let held = self.trade.as_ref().is_some_and(|trade| trade.leg.opened > 0);
        let told = match (alive, held) {
            (true, _) => Told::new(NoticeKind::Service, Severity::Info, "Broker session is back; orders and positions are compared first"),
            (false, true) => Told::new(
                NoticeKind::Service,
                Severity::Critical,
                "Broker session is gone with a position open",
            )
            .footer(format!(
                "Log in again. The stop resting at the exchange stays; the bot can send nothing until then. {}",
                self.hand_text().unwrap_or_default()
            )),
            (false, false) => Told::new(
                NoticeKind::Service,
                Severity::Warning,
                "Broker session is gone: no entries until someone logs in",
            ),
        };
        self.say(told);
    }

    pub(super) fn say_clock_jumped(&mut self, by_ms: i64) {
        let text = format!(
            "This machine's clock is off or jumped by {by_ms} ms: no entries until it was right for 3 minutes"
        );
        self.say(Told::new(NoticeKind::Service, Severity::Warning, text));
    }

    pub(super) fn say_no_strategy(&mut self, why: &str) {
        let told = Told::new(NoticeKind::NoTrading, Severity::Warning, "No entries today")
            .field("Why", why)
            .once(self.once_a_day("no-strategy"));
        self.say(told);
    }

    pub(super) fn say_unknown(&mut self, id: IntentId, message: &str) {
        let Some(intent) = self.intents.get(&id) else { return };
        let what = format!(
            "No clear answer for the {} order of {}: reading the order book",
            intent.role.as_str().to_lowercase(),
            intent.instrument.symbol
        );
        let footer = format!("Tag {}. Seen instead of an answer: {message}", intent.tag);
        self.trouble(Severity::Warning, what, Some(footer));
    }

    pub(super) fn say_missing(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get(&id) else { return };
        let symbol = intent.instrument.symbol.clone();
        let (headline, footer) = match intent.role {
            Role::Entry => (
                format!("The entry order of {symbol} is in no order book; it is not sent again"),
                "No entries until it turns up or someone enables trading again after a look into Kite.",
            ),
            Role::Stop | Role::Exit => (
                format!(
                    "The closing order of {symbol} is in no order book; a new one follows the position"
                ),
                "Should the old one turn up, it is cancelled at once.",
            ),
        };
        let footer = format!("Tag {}. {footer}", intent.tag);
        self.trouble(Severity::Critical, headline, Some(footer));
    }

    pub(super) fn say_refused(
        &mut self,
        id: IntentId,
        refusal: Option<Refusal>,
        message: &str,
        times: u32,
    ) {
        let Some(intent) = self.intents.get(&id) else { return };
        // Trying again does not help against these.
        let hopeless = matches!(refusal, Some(Refusal::Permission | Refusal::Session));
        let grave = (times >= GRAVE_REFUSALS || hopeless) && intent.role != Role::Entry;
        let severity = if grave { Severity::Critical } else { Severity::Warning };
        let what = format!(
            "The broker refused the {} order of {}",
            intent.role.as_str().to_lowercase(),
            intent.instrument.symbol
        );
        let hand = if grave { self.hand_text().unwrap_or_default() } else { String::new() };
        self.trouble(severity, what, Some(format!("{message} {hand}").trim().to_string()));
    }

    pub(super) fn say_rejected(&mut self, id: IntentId, times: u32) {
        let message = self.intents.get(&id).and_then(|intent| intent.message.clone());
        self.say_refused(id, None, &message.unwrap_or_else(|| "no reason given".into()), times);
    }

    pub(super) fn say_last_look(&mut self, draft: &Draft, fault: &str) {
        let what = format!(
            "Own check stopped an order: {} {} {}",
            draft.side.as_str(),
            draft.terms.quantity,
            draft.instrument.symbol
        );
        self.trouble(Severity::Critical, what, Some(fault.to_string()));
    }

    pub(super) fn say_woken_stop(&mut self) {
        let what = "The stop at the exchange was triggered; following it until flat".to_string();
        self.trouble(Severity::Warning, what, None);
    }

    pub(super) fn say_stop_gone(&mut self) {
        let what = "The stop at the exchange is gone and units are held: closing them".to_string();
        let hand = self.hand_text();
        self.trouble(Severity::Critical, what, hand);
    }

    pub(super) fn say_unprotected(&mut self) {
        let what = "No stop was seen at the exchange in time: closing the position".to_string();
        let hand = self.hand_text();
        self.trouble(Severity::Critical, what, hand);
    }

    pub(super) fn say_blind(&mut self) {
        let told = Told::new(
            NoticeKind::Data,
            Severity::Critical,
            "No trustworthy price for too long: closing the position",
        );
        self.say(told);
    }

    pub(super) fn say_slow_exit(&mut self, since: Timestamp) {
        let span = (self.now.at - since).num_seconds();
        let what = format!("NOT FLAT after {span} s of closing. {}", self.progress_text());
        let hand = self.hand_text();
        self.trouble(Severity::Critical, what, hand);
    }

    pub(super) fn say_not_flat_in_time(&mut self, alarm: u32) {
        let severity = if alarm == 1 { Severity::Warning } else { Severity::Critical };
        let progress = self.progress_text();
        let what = match alarm {
            1 => format!("Two minutes to go and not flat. {progress}"),
            2 => format!("One minute to go and NOT FLAT. {progress}"),
            _ => format!("NOT FLAT at the end of the day's trading. {progress}"),
        };
        let key = self.once_a_day(&format!("not-flat-{alarm}"));
        let mut told = Told::new(NoticeKind::OrderTrouble, severity, what).once(key);
        let left = self.trade.as_ref().filter(|_| alarm > 1).map(|trade| trade.leg.kind);
        told.footer = match (self.hand_text(), left.map(if_left_open)) {
            (Some(hand), Some(left)) => Some(format!("{hand} {left}")),
            (hand, _) => hand,
        };
        self.say(told);
    }

    pub(super) fn say_daily_loss(&mut self, net: Money, limit: Money) {
        let told = Told::new(
            NoticeKind::RiskStop,
            Severity::Critical,
            format!("The day's loss limit is reached: ₹{}", net.signed()),
        )
        .field("Limit", format!("₹{}", limit.grouped()))
        .once(self.once_a_day("daily-loss"))
        .footer("Positions are closed; no entries before the next trading day.");
        self.say(told);
    }

    pub(super) fn say_drawdown(&mut self, net: Money, peak: Money) {
        let told = Told::new(
            NoticeKind::RiskStop,
            Severity::Critical,
            format!("Too much of the day's gain is given back: ₹{} left", net.signed()),
        )
        .field("Highest", format!("₹{}", peak.grouped()))
        .once(self.once_a_day("drawdown"))
        .footer("Positions are closed; no entries before the next trading day.");
        self.say(told);
    }

    pub(super) fn say_long_loss(&mut self, span: &str, net: Money, limit: Money) {
        let told = Told::new(
            NoticeKind::RiskStop,
            Severity::Critical,
            format!("The {span}'s loss limit is reached: ₹{}", net.signed()),
        )
        .field("Limit", format!("₹{}", limit.grouped()))
        .once(self.once_a_day(&format!("{span}-loss")))
        .footer("No entries until someone enables trading again.");
        self.say(told);
    }

    pub(super) fn say_panic_done(&mut self, panic: &PanicRun, left: &[BrokerPosition]) {
        let mut told = Told::new(
            NoticeKind::Panic,
            Severity::Critical,
            "PANIC: flat. The broker shows no position and no working order of the bot",
        );
        let took = (self.now.at - panic.asked_at).num_milliseconds().max(0);
        told = told.field("Took", format!("{}.{} s", took / 1000, took % 1000 / 100));
        let closed = panic.mark.as_ref().and_then(|mark| {
            let closed = self.book.closed.iter().find(|row| row.trade_id == mark.trade_id)?;
            Some((mark, closed))
        });
        if let Some((mark, closed)) = closed.filter(|(_, closed)| closed.closed_quantity > 0) {
            let units = closed.closed_quantity;
            let slipped = match mark.close {
                Side::Sell => mark.touch * units - closed.exit_value,
                Side::Buy => closed.exit_value - mark.touch * units,
            };
            let (symbol, paid) = (&closed.contract.symbol, per_unit(closed.exit_value, units));
            told = told.field("Closed", format!("{units} {symbol} at {paid}")).field(
                "Slippage",
                format!("₹{} against {} at the panic", slipped.signed(), mark.touch),
            );
        }
        if !left.is_empty() {
            let rows = left.iter().map(|row| {
                format!("{} {} {}", row.quantity, row.instrument.symbol, row.product.as_str())
            });
            let rows = rows.collect::<Vec<_>>().join(", ");
            told = told.field("Left alone, not the bot's", rows);
        }
        self.say(told.footer("Entries stay off until someone enables them again."));
    }

    pub(super) fn say_external(&mut self, units: Quantity, value: Money, by_broker: bool) {
        let Some(trade) = &self.trade else { return };
        let left = self.held(&trade.leg);
        let who = if by_broker { "the broker" } else { "somebody else" };
        let what = format!("{units} {} closed by {who}; {left} left", trade.record.contract.symbol);
        let told = Told::new(NoticeKind::Mismatch, Severity::Warning, what)
            .trade(trade.record.trade_id.clone())
            .field("Event", "EXTERNAL_EXIT")
            .field("Value", format!("₹{}", value.grouped()));
        self.say(told);
    }

    fn mismatch(&mut self, headline: String, footer: &str) {
        let told = Told::new(NoticeKind::Mismatch, Severity::Critical, headline).footer(footer);
        self.say(told);
    }

    pub(super) fn say_vanished(&mut self, which: LegId, missing: Quantity) {
        let symbol = self.leg(which).map(|leg| leg.instrument.symbol.clone()).unwrap_or_default();
        self.mismatch(
            format!("{missing} {symbol} are gone at the broker without an order that explains it"),
            "Taken as closed by hand. No entries until someone looks into it and enables trading.",
        );
    }

    pub(super) fn say_short(&mut self, which: LegId, shown: Quantity) {
        let symbol = self.leg(which).map(|leg| leg.instrument.symbol.clone()).unwrap_or_default();
        self.mismatch(
            format!("The broker shows {shown} {symbol}: a short that must not be"),
            &format!(
                "The bot sends nothing for it. In the Kite app: Orders, cancel every open order of {symbol}; Positions, {symbol}, Exit: BUY {}.",
                shown.abs()
            ),
        );
    }

    pub(super) fn say_contaminated(&mut self, units: Quantity) {
        let symbol = self.trade.as_ref().map(|trade| trade.record.contract.symbol.clone());
        let symbol = symbol.unwrap_or_default();
        self.mismatch(
            format!("SYMBOL_CONTAMINATED: {units} {symbol} more than the bot bought"),
            "They are left alone; the bot closes its own units only. No entries until someone enables trading.",
        );
    }

    pub(super) fn say_not_flat(&mut self, shown: Quantity) {
        self.mismatch(
            format!("RECONCILE_MISMATCH: sold by our orders, but the broker still shows {shown}"),
            "The trade stays open until the broker shows it flat. Look into Kite: Positions.",
        );
    }

    /// An entry that works on although it was cancelled long ago.
    pub(super) fn say_stuck(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get(&id) else { return };
        let status = intent.seen.as_ref().map_or("SENT", |seen| seen.status.as_str());
        let symbol = &intent.instrument.symbol;
        let what =
            format!("The entry order of {symbol} is stuck in {status} and cannot be cancelled");
        let footer = format!(
            "It may still fill; then it is protected and closed. Nothing else is entered. Tag {}. In the Kite app: Orders, cancel it.",
            intent.tag
        );
        self.trouble(Severity::Critical, what, Some(footer));
    }

    /// A closing order that could close more than is held and that the broker
    /// lets nobody change.
    pub(super) fn say_excess(&mut self, id: IntentId, held: Quantity) {
        let Some(intent) = self.intents.get(&id) else { return };
        let status = intent.seen.as_ref().map_or("SENT", |seen| seen.status.as_str());
        let (side, units) = (intent.side.as_str(), intent.open_at_broker());
        let symbol = &intent.instrument.symbol;
        let what = format!("{side} {units} {symbol} is at work while {held} are held ({status})");
        let footer = format!(
            "Units were closed elsewhere. It is fitted as soon as the broker lets go of it; should it fill before, too much is closed. Tag {}. In the Kite app: Orders, cancel it.",
            intent.tag
        );
        self.trouble(Severity::Critical, what, Some(footer));
    }

    /// Somebody else's order that works in the contract we hold.
    pub(super) fn say_foreign_order(&mut self, row: &BrokerOrder) {
        let what = format!(
            "Somebody else's order works in the contract that the bot holds: {} {} {}",
            row.side.as_str(),
            row.quantity,
            row.instrument.symbol
        );
        let told = Told::new(NoticeKind::Mismatch, Severity::Warning, what)
            .footer("It is left alone. When it fills, the bot's own orders follow what is left.");
        self.say(told);
    }

    /// Units that the bot's own orders hold although it has no record of them.
    pub(super) fn say_unrecorded(&mut self, key: &InstrumentKey, net: Quantity) {
        let (side, units, symbol) = (if net > 0 { "SELL" } else { "BUY" }, net.abs(), &key.symbol);
        self.mismatch(
            format!("Orders with the bot's mark that are not in its records hold {net} {symbol}"),
            &format!(
                "The bot sends nothing for them, and there may be no stop. In the Kite app: Orders, cancel every open order of {symbol}; Positions, {symbol}, Exit: {side} {units}. Or /panic all."
            ),
        );
    }

    /// The broker's result of the day differs from the bot's.
    pub(super) fn say_result_differs(&mut self, key: &InstrumentKey, ours: Money, theirs: Money) {
        let what = format!("The broker's result of {} differs from the bot's", key.symbol);
        let told = Told::new(NoticeKind::Mismatch, Severity::Warning, what)
            .field("Broker", format!("₹{} before charges", theirs.signed()))
            .field("Bot", format!("₹{} before charges", ours.signed()))
            .once(self.once_a_day(&format!("result-{}", key.symbol)))
            .footer(
                "Trades by hand in the same contract explain it; otherwise compare the tradebook.",
            );
        self.say(told);
    }

    pub(super) fn say_stranger(&mut self, row: &BrokerOrder, opens: bool) {
        let tag = row.tag.as_ref().map(ToString::to_string).unwrap_or_default();
        let what = format!(
            "An order with the bot's mark {tag} is not in its records: {} {} {}",
            row.side.as_str(),
            row.quantity,
            row.instrument.symbol
        );
        let footer = if opens {
            "It would open a position or is one too many, and is cancelled."
        } else {
            "It protects or closes and is left alone. Look into Kite."
        };
        self.mismatch(what, footer);
    }

    pub(super) fn say_foreign(&mut self, rows: &[BrokerPosition]) {
        let names: Vec<String> = rows
            .iter()
            .take(NAMED)
            .map(|row| format!("{} {}", row.quantity, row.instrument.symbol))
            .collect();
        let told = Told::new(
            NoticeKind::Mismatch,
            Severity::Info,
            format!("{} positions that the bot did not open are left alone", rows.len()),
        )
        .once(self.once_a_day(&format!("foreign-{}", rows.len())))
        .field("Positions", names.join(", "));
        self.say(told);
    }

    pub(super) fn say_late_fill(&mut self, id: IntentId) {
        let Some(intent) = self.intents.get(&id) else { return };
        let what = format!(
            "Late fill: {} {} {} by an order that was given up",
            intent.side.as_str(),
            intent.filled,
            intent.instrument.symbol
        );
        let tag = intent.tag.to_string();
        self.mismatch(
            what,
            &format!("Order {tag}. What can be closed safely is closed at once; look into Kite."),
        );
    }

    pub(super) fn say_lost_rows(&mut self, lost: usize) {
        self.mismatch(
            format!("The broker's order book lacks {lost} of the bot's orders that it showed before"),
            "Nothing is concluded from it; what is held stays under its stop. Look into the Kite app: Orders, Positions. No entries until someone decides.",
        );
    }

    pub(super) fn say_enlarged(&mut self, row: &BrokerOrder) {
        let what = format!(
            "Somebody changed the bot's order of {}: it is for {} now",
            row.instrument.symbol, row.quantity
        );
        let tag = row.tag.as_ref().map_or("-", |tag| tag.as_str());
        let footer = format!(
            "Order {tag}. The bot sets it back to what it holds, and protects or closes all that its orders buy. No entries until someone decides."
        );
        self.mismatch(what, &footer);
    }

    pub(super) fn say_stray_closed(&mut self, index: usize) {
        let Some(stray) = self.strays.get(index) else { return };
        let what = format!("{} is closed", stray.leg.instrument.symbol);
        let told = Told::new(NoticeKind::Panic, Severity::Info, what);
        self.say(told);
    }

    pub(super) fn say_left_open(&mut self, contract: &InstrumentKey) {
        let what = format!("{} is open from an earlier day", contract.symbol);
        self.mismatch(what, "The bot does not touch it. No entries until someone decides.");
    }

    pub(super) fn say_broken(&mut self, rule: &str) {
        let told = Told::new(
            NoticeKind::RiskStop,
            Severity::Critical,
            "HALTED: the engine broke a rule of its own and sends nothing any more",
        )
        .field("Rule", rule)
        .footer("Look into Kite now: Positions and Orders. Protective stops stay at the exchange.");
        self.say(told);
    }
}
