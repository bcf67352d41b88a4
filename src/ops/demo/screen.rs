//! What the terminal shows: the day as a trader would like to see it.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::Path;

use super::chat::Message;
use crate::engine::Mode;
use crate::engine::ledger::{Decision, OrderRecord, TradeRecord, Verdict};
use crate::market::Timestamp;
use crate::market::time::{hms, ist, ist_date, ist_time};
use crate::store::{DecisionQuery, Role, Store};

/// Width of the progress bar, in letters.
const BAR: i64 = 32;

/// Decisions looked through in one look.
const DECISIONS_MAX: u32 = 2_000;

/// Lines of one chat message that are shown.
const MESSAGE_LINES: usize = 14;

/// The terminal, and what it has shown.
#[derive(Debug)]
pub(super) struct Screen {
    live: bool,
    store: Option<Store>,
    decided: Option<Timestamp>,
    orders: BTreeMap<String, String>,
    trades: BTreeMap<String, bool>,
    day: Option<chrono::NaiveDate>,
}

impl Screen {
    pub(super) fn new() -> Screen {
        Screen {
            live: std::io::stdout().is_terminal(),
            store: None,
            decided: None,
            orders: BTreeMap::new(),
            trades: BTreeMap::new(),
            day: None,
        }
    }

    pub(super) fn headline(&self, text: &str) {
        outln!("{text}");
        outln!("{}", "─".repeat(text.chars().count().min(100)));
    }

    fn line(&self, at: Timestamp, text: &str) {
        self.clear();
        outln!("{}  {text}", ist(at).format("%H:%M:%S"));
    }

    /// Takes the progress bar away.
    pub(super) fn clear(&self) {
        if self.live {
            out!("\r\x1b[2K");
        }
    }

    /// Shows the clock, on a terminal.
    pub(super) fn clock(&mut self, now: Timestamp, speed: f64) {
        self.day = Some(ist_date(now));
        if !self.live {
            return;
        }
        let from = hms(7, 58, 0);
        let whole = (hms(15, 46, 0) - from).num_seconds();
        let done = (ist_time(now) - from).num_seconds().clamp(0, whole);
        let filled = done * BAR / whole;
        let bar: String = (0..BAR).map(|at| if at < filled { '█' } else { '░' }).collect();
        out!(
            "\r\x1b[2K{} {bar} {:>3} %  {speed:>5.0} ×",
            ist(now).format("%H:%M:%S"),
            done * 100 / whole
        );
    }

    pub(super) fn stage(&self, at: Timestamp, text: &str) {
        self.line(at, &format!("‣ {text}"));
    }

    pub(super) fn typed(&self, at: Timestamp, text: &str) {
        self.line(at, &format!("you  › {text}"));
    }

    /// Shows a message of the bot.
    pub(super) fn message(&self, message: &Message) {
        self.clear();
        let lines: Vec<&str> =
            message.text.lines().filter(|line| !line.trim().is_empty()).collect();
        for (index, line) in lines.iter().take(MESSAGE_LINES).enumerate() {
            let lead = if index == 0 { "chat ‹" } else { "     │" };
            outln!("          {lead} {line}");
        }
        if lines.len() > MESSAGE_LINES {
            outln!("          │ … {} more lines", lines.len() - MESSAGE_LINES);
        }
        if message.bytes > 0 {
            outln!("          │ [picture, {} KB]", message.bytes / 1024);
        }
    }

    /// Shows what is new in the tables.
    pub(super) fn records(&mut self, data_dir: &Path) -> anyhow::Result<()> {
        if self.store.is_none() {
            self.store = Store::open(data_dir, Role::Reader, Mode::Demo).ok();
        }
        let Some(day) = self.day else { return Ok(()) };
        let Some(store) = self.store.as_mut() else { return Ok(()) };
        if !store.changed()? {
            return Ok(());
        }
        let query =
            DecisionQuery { symbol: None, time: None, without_quiet: true, limit: DECISIONS_MAX };
        let mut decisions = store.decisions(day, &query)?;
        let orders = store.orders(day)?;
        let trades = store.trades(day, day)?;
        decisions.sort_by_key(|decision| decision.at);
        self.decisions(&decisions);
        self.orders(&orders);
        self.closed(&trades);
        Ok(())
    }

    fn decisions(&mut self, decisions: &[Decision]) {
        let shown = self.decided;
        for decision in decisions.iter().filter(|one| shown.is_none_or(|at| one.at > at)) {
            let direction = decision.direction.map_or("", |direction| direction.as_str());
            let level = decision.level.as_deref().unwrap_or("");
            let verdict = match decision.verdict {
                Verdict::Enter => "signal".to_string(),
                Verdict::Quiet | Verdict::Rejected => format!("no: {}", decision.reason),
            };
            let numbers: Vec<String> = decision
                .numbers
                .iter()
                .take(6)
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            self.line(
                decision.at,
                &format!("◆ {direction} {level} · {verdict} · {}", numbers.join(", ")),
            );
            self.decided = Some(decision.at);
        }
    }

    fn orders(&mut self, orders: &[OrderRecord]) {
        for order in orders {
            let state = format!("{} {} {}", order.status, order.filled, order.price);
            let key = format!("{}-{}", order.date, order.intent.0);
            if self.orders.insert(key, state.clone()).as_ref() == Some(&state) {
                continue;
            }
            if matches!(order.status.as_str(), "SENDING" | "SENT") {
                continue;
            }
            let trigger =
                order.trigger.map(|trigger| format!(" trigger {trigger}")).unwrap_or_default();
            let at = order.ended_at.or(order.answered_at).unwrap_or(order.decided_at);
            self.line(
                at,
                &format!(
                    "● {} {} {} {} {} {}{trigger} → {} {}",
                    order.role.as_str(),
                    order.side.as_str(),
                    order.quantity,
                    order.instrument.symbol,
                    order.order_type.as_str(),
                    order.price,
                    order.status,
                    if order.filled > 0 {
                        format!("({} filled)", order.filled)
                    } else {
                        String::new()
                    },
                ),
            );
        }
    }

    fn closed(&mut self, trades: &[TradeRecord]) {
        for trade in trades.iter().filter(|trade| trade.is_closed()) {
            if self.trades.insert(trade.trade_id.clone(), true).is_some() {
                continue;
            }
            let reason = trade.exit_reason.map_or("", |reason| reason.as_str());
            let Some(at) = trade.exited_at else { continue };
            self.line(
                at,
                &format!("■ {} closed: {reason}, net ₹{}", trade.trade_id, trade.net().signed()),
            );
        }
    }
}
