//! What earlier trades of the day forbid: levels used up, entries without a
//! reset, a pause after each exit.

use std::collections::BTreeMap;

use crate::engine::ledger::Direction;
use crate::market::{Price, Timestamp};

/// Which level, which way.
type Key = (Direction, String);

/// Memory of the day's trades, level by level.
#[derive(Debug, Default)]
pub(super) struct Locks {
    levels: BTreeMap<Key, Used>,
    last_exit_slot: Option<i64>,
}

#[derive(Debug, Default, Clone)]
struct Used {
    entries: u32,
    locked: bool,
    /// Set by a stop; cleared when a later candle closes back beyond the
    /// level.
    stopped_at: Option<Timestamp>,
}

impl Locks {
    pub(super) fn entered(&mut self, direction: Direction, level: &str) {
        self.used_mut(direction, level).entries += 1;
    }

    pub(super) fn missed(&mut self, direction: Direction, level: &str) {
        let used = self.used_mut(direction, level);
        used.entries = used.entries.saturating_sub(1);
    }

    /// A stop asks for a reset; any other exit uses the level up.
    pub(super) fn closed(
        &mut self,
        direction: Direction,
        level: &str,
        stopped_at: Option<Timestamp>,
        last_closed_slot: i64,
    ) {
        let used = self.used_mut(direction, level);
        match stopped_at {
            Some(at) => used.stopped_at = Some(at),
            None => used.locked = true,
        }
        self.last_exit_slot = Some(last_closed_slot);
    }

    /// Takes a candle's close: a level that `is_back` finds on the near side
    /// again is reset when its stop was earlier than the candle's end.
    pub(super) fn on_close(
        &mut self,
        end: Timestamp,
        close: Price,
        is_back: impl Fn(Direction, &str, Price) -> bool,
    ) {
        for ((direction, level), used) in &mut self.levels {
            let earlier = used.stopped_at.is_some_and(|stopped| stopped < end);
            if earlier && is_back(*direction, level, close) {
                used.stopped_at = None;
            }
        }
    }

    pub(super) fn is_locked(&self, direction: Direction, level: &str) -> bool {
        self.used(direction, level).is_some_and(|used| used.locked)
    }

    pub(super) fn awaits_reset(&self, direction: Direction, level: &str) -> bool {
        self.used(direction, level).is_some_and(|used| used.stopped_at.is_some())
    }

    pub(super) fn entries(&self, direction: Direction, level: &str) -> u32 {
        self.used(direction, level).map_or(0, |used| used.entries)
    }

    /// Candles since the last that was complete at the last exit.
    pub(super) fn candles_since_exit(&self, slot: i64) -> Option<i64> {
        self.last_exit_slot.map(|exit| slot - exit)
    }

    fn used(&self, direction: Direction, level: &str) -> Option<&Used> {
        self.levels
            .iter()
            .find(|((known, name), _)| *known == direction && name == level)
            .map(|(_, used)| used)
    }

    fn used_mut(&mut self, direction: Direction, level: &str) -> &mut Used {
        self.levels.entry((direction, level.to_string())).or_default()
    }
}
