//! The end of a day: what must have come right once the faults stopped.

use super::day::SimError;
use super::world::World;
use crate::engine::Engine;
use crate::journal;
use crate::market::Timestamp;

impl World {
    /// The process's own reading of an instant that has passed: its clock may
    /// have been set since.
    pub(super) fn as_the_process_saw(&self, at: Timestamp) -> Timestamp {
        self.process_now() - (self.now - at)
    }

    pub(super) fn finish(&mut self) -> Result<(), SimError> {
        self.live_orders();
        self.flat_or_told();
        self.money();
        if let Some(rule) = self.audit.halted.clone() {
            self.audit.fail(self.now, "the engine breaks no rule of its own", rule);
        }
        if self.audit.summary_flat.is_none()
            && self.kernel.as_ref().is_some_and(|kernel| kernel.engine.day().is_some())
        {
            self.audit.fail(self.now, "the day is summed up", "no summary was written".into());
        }
        self.replays()
    }

    fn live_orders(&mut self) {
        let live: Vec<String> = self
            .books
            .orders
            .iter()
            .filter(|order| order.is_live() && order.row.tag.is_some())
            .map(|order| format!("{} {}", order.row.order_id, order.row.status))
            .collect();
        if !live.is_empty() {
            self.audit.fail(self.now, "nothing works at the end", live.join(", "));
        }
    }

    fn flat_or_told(&mut self) {
        let held: Vec<String> = self
            .books
            .bot_keys()
            .filter(|key| self.books.held(key) != 0)
            .map(|key| format!("{} {}", self.books.held(key), key.symbol))
            .collect();
        if held.is_empty() {
            return;
        }
        self.left_open = true;
        if !self.audit.not_flat_told {
            self.audit.fail(self.now, "flat or loudly told", format!("{} held", held.join(", ")));
        }
    }

    /// When nobody else touched the bot's units, its books and the broker's
    /// agree to the paisa.
    fn money(&mut self) {
        if !self.books.outside.is_empty() || self.left_open {
            return;
        }
        let ours: i64 = self.audit.gross.values().sum();
        let theirs = self.books.bot_gross();
        if ours != theirs && !self.audit.panic_all {
            let what = format!("{ours} paise here, {theirs} at the broker");
            self.audit.fail(self.now, "gross agrees to the paisa", what);
        }
    }

    /// The journal makes the same commands and the same state again.
    fn replays(&mut self) -> Result<(), SimError> {
        let Some(kernel) = &self.kernel else { return Ok(()) };
        let Some(day) = kernel.journal().last_day(None)? else { return Ok(()) };
        let entries = kernel.journal().replay(day)?;
        let mut engine: Engine = self.fresh_engine();
        if let Err(mismatch) = journal::replay(&mut engine, &entries, |_, _, _| {}) {
            self.audit.fail(self.now, "replays to the same", mismatch.to_string());
            return Ok(());
        }
        let (then, now) = (format!("{:?}", kernel.engine), format!("{engine:?}"));
        if then != now {
            let at = then.bytes().zip(now.bytes()).take_while(|(one, two)| one == two).count();
            let from = at.saturating_sub(60);
            let shown = |text: &str| text.chars().skip(from).take(160).collect::<String>();
            let what = format!("state {:?} and {:?}", shown(&then), shown(&now));
            self.audit.fail(self.now, "replays to the same", what);
        }
        Ok(())
    }
}
