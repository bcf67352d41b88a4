//! What traders read of their trades and of the day.

use super::Engine;
use super::command::Command;
use super::entry::is_unknown_entry;
use super::ledger::{DaySummary, Decision, ExitReason};
use super::notice::{Notice, NoticeKind, Severity};
use super::position::{Leg, Trade};
use super::settle::per_unit;
use super::strategy::Signal;
use crate::market::time::ist_time;
use crate::market::{Candle, InstrumentKind, Money, Price, Quantity, Side, Timestamp};

/// One message before it is stamped with mode and time.
pub(super) struct Told {
    pub(super) kind: NoticeKind,
    pub(super) severity: Severity,
    pub(super) trade: Option<String>,
    pub(super) once: Option<String>,
    pub(super) headline: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) footer: Option<String>,
}

impl Told {
    pub(super) fn new(kind: NoticeKind, severity: Severity, headline: impl Into<String>) -> Told {
        Told {
            kind,
            severity,
            trade: None,
            once: None,
            headline: headline.into(),
            fields: Vec::new(),
            footer: None,
        }
    }

    pub(super) fn trade(mut self, trade: impl Into<String>) -> Told {
        self.trade = Some(trade.into());
        self
    }

    pub(super) fn once(mut self, key: impl Into<String>) -> Told {
        self.once = Some(key.into());
        self
    }

    pub(super) fn field(mut self, label: &str, value: impl Into<String>) -> Told {
        self.fields.push((label.to_string(), value.into()));
        self
    }

    pub(super) fn footer(mut self, text: impl Into<String>) -> Told {
        self.footer = Some(text.into());
        self
    }
}

impl Engine {
    pub(super) fn say(&mut self, told: Told) {
        let Some(plan) = &self.plan else { return };
        let notice = Notice {
            kind: told.kind,
            severity: told.severity,
            mode: plan.settings.mode,
            at: self.now.at,
            trade: told.trade,
            once: told.once,
            headline: told.headline,
            fields: told.fields,
            footer: told.footer,
        };
        self.emit(Command::Say(notice));
    }

    /// A key that makes a notice the only one of its kind that day.
    pub(super) fn once_a_day(&self, what: &str) -> String {
        let date = self.plan.as_ref().map(|plan| plan.date.to_string()).unwrap_or_default();
        format!("{what}:{date}")
    }

    pub(super) fn say_entry(&mut self) {
        let Some(trade) = &self.trade else { return };
        let (record, leg) = (&trade.record, &trade.leg);
        let price = per_unit(leg.opened_value, leg.opened);
        let word = if trade.is_short() { "Sold" } else { "Bought" };
        let mut headline = format!("{word} {} {} at {price}", leg.opened, record.contract.symbol);
        if record.re_entry {
            headline.push_str(" (re-entry)");
        }
        let told = Told::new(NoticeKind::Entry, Severity::Info, headline)
            .trade(record.trade_id.clone())
            .field("Trade", record.trade_id.clone())
            .field(
                "Signal",
                format!(
                    "{} {} on {}",
                    record.direction.as_str(),
                    record.setup,
                    record.signal.symbol
                ),
            )
            .field("Day", record.structure.clone())
            .field("Candle", candle_text(&record.candle))
            .field("Stop", format!("{} on {}", record.stop, record.signal.symbol))
            .field("Target", target_text(trade))
            .field("Quantity", format!("{} ({})", leg.opened, lots_text(leg.opened, leg.lot)))
            .field("Value", format!("₹{}", leg.opened_value.grouped()))
            .field("Risk", format!("about ₹{}", trade.expected_loss.grouped()))
            .field(
                "Reward",
                format!("about ₹{} at the first target", trade.expected_gain.grouped()),
            );
        self.say(told);
    }

    pub(super) fn say_missed(&mut self, trade: &Trade) {
        let record = &trade.record;
        let entry = self.intents.get(&trade.entry);
        let why = entry.and_then(|intent| intent.message.clone());
        let told = Told::new(
            NoticeKind::Refused,
            Severity::Info,
            format!("Entry missed: {} was not bought", record.contract.symbol),
        )
        .trade(record.trade_id.clone())
        .field("Signal", format!("{} {}", record.direction.as_str(), record.setup))
        .field("Why", why.unwrap_or_else(|| "not filled in time; no position".into()));
        self.say(told);
    }

    pub(super) fn say_gate(&mut self, signal: &Signal, decision: &Decision) {
        let mut told = Told::new(
            NoticeKind::Refused,
            Severity::Info,
            format!(
                "No entry: {} {} on {} refused by {}",
                signal.direction.as_str(),
                signal.setup,
                signal.instrument.symbol,
                decision.reason
            ),
        );
        told.fields.clone_from(&decision.numbers);
        self.say(told);
    }

    pub(super) fn say_runner(&mut self) {
        let Some(trade) = &self.trade else { return };
        let record = &trade.record;
        let told = Told::new(
            NoticeKind::Progress,
            Severity::Info,
            format!("First target reached: stop moved to {}", record.stop),
        )
        .trade(record.trade_id.clone())
        .field("Contract", record.contract.symbol.clone())
        .field("Next target", record.target.to_string())
        .field("Result now", format!("₹{} after charges", self.net_at_touch(trade).signed()));
        self.say(told);
    }

    pub(super) fn say_exit(&mut self, trade: &Trade, reason: ExitReason) {
        let record = &trade.record;
        let net = record.net();
        let entry = per_unit(record.entry_value, record.quantity);
        let exit = per_unit(record.exit_value, record.closed_quantity);
        let points = if trade.is_short() { entry - exit } else { exit - entry };
        let word = if net > Money::ZERO {
            "Profit"
        } else if net < Money::ZERO {
            "Loss"
        } else {
            "Even"
        };
        let told = Told::new(
            NoticeKind::Exit,
            Severity::Info,
            format!("{word} ₹{} on {} ({})", net.signed(), record.contract.symbol, reason.as_str()),
        )
        .trade(record.trade_id.clone())
        .field("Trade", record.trade_id.clone())
        .field("Reason", reason_text(reason))
        .field("In", at_text(entry, record.entered_at))
        .field("Out", at_text(exit, record.exited_at))
        .field("Quantity", record.quantity.to_string())
        .field("Candles held", record.candles_held.to_string())
        .field("Points", points.to_string())
        .field("Gross", format!("₹{}", record.gross.signed()))
        .field("Charges", format!("₹{} (estimated)", record.charges.grouped()))
        .field("Net", format!("₹{}", net.signed()))
        .field(
            "Day so far",
            format!("₹{} in {} trades", self.book.realised().signed(), self.trades_today()),
        )
        .footer("Flat: the broker shows no position and no working order of this trade.");
        self.say(told);
    }

    /// After a trade: whether the day's counters end entries.
    pub(super) fn say_entries_over(&mut self) {
        let Some(plan) = self.plan.clone() else { return };
        let trades = self.trades_today();
        let losses = self.book.consecutive_losses();
        let (what, key) = if losses >= plan.settings.risk.max_consecutive_losses {
            (format!("{losses} losses in a row"), "losses")
        } else if trades >= self.control.limits.trades {
            (format!("{trades} trades"), "trades")
        } else {
            return;
        };
        let told = Told::new(
            NoticeKind::RiskStop,
            Severity::Info,
            format!("No more entries today: {what}"),
        )
        .once(self.once_a_day(key));
        self.say(told);
    }

    /// Tells the day's figures, once; `again` when later fills have changed
    /// them.
    pub(super) fn say_summary(&mut self, summary: &DaySummary, again: bool) {
        let severity = if summary.flat { Severity::Info } else { Severity::Critical };
        let (word, key) = if again { (" (final)", "summary-again") } else { ("", "summary") };
        let headline = format!(
            "Day {}{word}: ₹{} in {} trades",
            summary.date.format("%d %b %Y"),
            summary.net().signed(),
            summary.trades
        );
        let join = |parts: Vec<String>| {
            if parts.is_empty() { "none".to_string() } else { parts.join(", ") }
        };
        let exits =
            summary.by_exit.iter().map(|(why, n)| format!("{} {n}", why.as_str())).collect();
        let setups = summary.by_setup.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let mut told = Told::new(NoticeKind::Summary, severity, headline)
            .once(self.once_a_day(key))
            .field("Trades", format!("{} won, {} lost", summary.wins, summary.losses))
            .field("Gross", format!("₹{}", summary.gross.signed()))
            .field("Charges", format!("₹{} (estimated)", summary.charges.grouped()))
            .field("Net", format!("₹{}", summary.net().signed()))
            .field("Deepest fall", format!("₹{}", summary.max_drawdown.grouped()))
            .field("Setups", join(setups))
            .field("Exits", join(exits));
        told = if summary.flat {
            told.footer("Flat: the broker shows nothing of the bot held or working.")
        } else {
            let open = self.progress_text();
            told.footer(format!(
                "NOT PROVEN FLAT. {open} Look into the Kite app now: Positions and Orders. {} {}",
                self.hand_text().unwrap_or_default(),
                self.trade.as_ref().map_or("", |trade| if_left_open(trade.leg.kind))
            ))
        };
        self.say(told);
    }

    pub(super) fn say_control(&mut self, what: &str, actor: &str) {
        let told = Told::new(NoticeKind::Control, Severity::Info, what).field("By", actor);
        self.say(told);
    }

    pub(super) fn say_panic_begins(&mut self, actor: &str) {
        let text = self.progress_text();
        let told = Told::new(NoticeKind::Panic, Severity::Critical, "PANIC: closing everything")
            .field("By", actor)
            .field("Now", text)
            .footer("Entries stay off until someone enables them again.");
        self.say(told);
    }

    /// What is still to be closed, in words.
    pub(super) fn progress_text(&self) -> String {
        let mut parts = Vec::new();
        if let Some(trade) = &self.trade {
            let held = self.held(&trade.leg);
            let name = &trade.record.contract.symbol;
            if held > 0 {
                let last = self.quotes.get(&trade.leg.instrument).map(|quote| quote.last);
                let last = last.map_or(String::new(), |price| format!(", last {price}"));
                parts.push(format!("{held} {name} held{last}"));
            } else if trade.leg.opened > 0 {
                parts.push(format!("{name} sold, waiting for the broker to show it flat"));
            } else if self.intents.get(&trade.entry).is_some_and(is_unknown_entry) {
                parts.push(format!("an entry order for {name} that was not found"));
            } else {
                parts.push(format!("an entry order for {name} at work"));
            }
        }
        for stray in self.strays.iter().filter(|stray| stray.open) {
            let held = self.held(&stray.leg);
            parts.push(format!("{held} {} held (not the bot's)", stray.leg.instrument.symbol));
        }
        let is_unread = self
            .control
            .panic
            .as_ref()
            .is_some_and(|panic| panic.all && self.sync.positions_since(panic.since).is_none());
        if is_unread {
            parts.push("the account's other positions are being read".to_string());
        }
        if parts.is_empty() {
            "Nothing is held.".to_string()
        } else {
            format!("{}.", parts.join("; "))
        }
    }
}

/// Open, high, low, close and size of a candle.
pub(super) fn candle_text(candle: &Candle) -> String {
    let body = (candle.close - candle.open).paise().abs();
    let open = candle.open.paise().max(1);
    let size = (body * 1_000_000 + open / 2) / open;
    format!(
        "{} {} {} {} ({}.{:04} %)",
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        size / 10_000,
        size % 10_000
    )
}

fn target_text(trade: &Trade) -> String {
    let on = &trade.record.signal.symbol;
    match trade.record.first_target {
        Some(first) if first != trade.record.target => {
            format!("{first}, then {} on {on}", trade.record.target)
        }
        Some(_) | None => format!("{} on {on}", trade.record.target),
    }
}

fn lots_text(units: i64, lot: i64) -> String {
    let lots = units / lot.max(1);
    if lots == 1 { "1 lot".into() } else { format!("{lots} lots") }
}

fn at_text(price: Price, at: Option<Timestamp>) -> String {
    let when = at.map_or(String::new(), |at| format!(" at {}", ist_time(at).format("%H:%M:%S")));
    format!("{price}{when}")
}

fn reason_text(reason: ExitReason) -> String {
    let words = match reason {
        ExitReason::Panic => "an operator's panic",
        ExitReason::Risk => "a limit of the day",
        ExitReason::StopLoss => "the stop was reached",
        ExitReason::Target => "the target was reached",
        ExitReason::Timeout => "no progress within the allowed candles",
        ExitReason::Eod => "end of the day",
        ExitReason::Manual => "closed by hand",
        ExitReason::CatastropheSl => "the stop resting at the exchange filled",
        ExitReason::BrokerSquareOff => "the broker squared it off",
        ExitReason::Blind => "no trustworthy price for too long",
        ExitReason::Unprotected => "no stop could be kept at the exchange",
        ExitReason::Event => "a window listed in the configuration began",
    };
    format!("{} ({words})", reason.as_str())
}

/// What a person presses to close a leg by hand, with contract, quantity and
/// price.
pub(super) fn by_hand(leg: &Leg, units: Quantity, price: Option<Price>) -> String {
    let symbol = &leg.instrument.symbol;
    let (side, worse) = match leg.close {
        Side::Sell => ("SELL", "lower"),
        Side::Buy => ("BUY", "higher"),
    };
    let limit = price.map_or_else(
        || "LIMIT at the touch".to_string(),
        |price| format!("LIMIT {price} or {worse}"),
    );
    format!(
        "By hand, in the Kite app: 1. Orders: cancel every open order of {symbol}. \
         2. Positions, {symbol} ({}), Exit: {side} {units}, {limit}. \
         3. Positions must show 0. Without the app: Zerodha's dealing desk.",
        leg.product.as_str()
    )
}

/// What becomes of units that are still held after the close.
pub(super) fn if_left_open(kind: InstrumentKind) -> &'static str {
    match kind {
        InstrumentKind::Call | InstrumentKind::Put => {
            "If it stays open: the broker sells it from the time of its square-off (₹59 a \
             position) or carries it; an option that expires worthless is gone."
        }
        InstrumentKind::Future => {
            "If it stays open: the broker squares it off (₹59 a position) or carries it with \
             overnight margin."
        }
        InstrumentKind::Equity | InstrumentKind::Index => {
            "If it stays open: bought shares become a delivery that must be paid, shares sold \
             short go to auction."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_candle_is_rounded_like_in_the_tables() {
        let price = |paise| Price::from_paise(paise);
        let candle = Candle {
            start: Timestamp::UNIX_EPOCH,
            open: price(8_090_000),
            high: price(8_102_000),
            low: price(8_090_000),
            close: price(8_102_001),
            volume: 0,
        };
        assert!(candle_text(&candle).ends_with("(0.1483 %)"), "{}", candle_text(&candle));
        let candle = Candle { close: price(8_102_003), ..candle };
        assert!(candle_text(&candle).ends_with("(0.1484 %)"), "{}", candle_text(&candle));
    }
}
