//! The same events must cause the same commands.

use super::Entry;
use crate::engine::{Command, Engine};
use crate::store::wire::Wire;

/// Feeds entries to an engine, the quotes seen before each first. `after` is
/// shown each entry with what the engine asks for now. Goes on to the end
/// whatever differs.
///
/// # Errors
/// The first difference between what the journal holds and what the engine
/// asks for.
pub fn replay<'a>(
    engine: &mut Engine,
    entries: impl IntoIterator<Item = &'a Entry>,
    mut after: impl FnMut(&Engine, &Entry, &[Command]),
) -> Result<(), ReplayMismatch> {
    let mut found = Ok(());
    let mut commands = Vec::new();
    for entry in entries {
        commands.clear();
        engine.observe(&entry.seen);
        engine.step(entry.stamp, &entry.event, &mut commands);
        after(engine, entry, &commands);
        found = found.and_then(|()| compare(entry, &commands));
    }
    found
}

/// What regenerated entries are compared with: the same events must cause the
/// same commands.
///
/// # Errors
/// At the first entry where they differ.
pub fn compare(stored: &Entry, regenerated: &[Command]) -> Result<(), ReplayMismatch> {
    let seq = stored.stamp.seq;
    let longest = stored.commands.len().max(regenerated.len());
    for index in 0..longest {
        let (then, now) = (stored.commands.get(index), regenerated.get(index));
        if then != now {
            let show = |command: Option<&Command>| {
                command.map_or_else(|| "nothing".to_owned(), Wire::to_text)
            };
            return Err(ReplayMismatch { seq, index, stored: show(then), regenerated: show(now) });
        }
    }
    Ok(())
}

/// A replay asked for something else than the journal holds: the program or
/// its memory is not what it was. Trading must halt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "replay differs at entry {seq}, command {index}: journal has {stored}, replay {regenerated}"
)]
pub struct ReplayMismatch {
    /// The entry.
    pub seq: u64,
    /// Place among its commands.
    pub index: usize,
    /// What the journal holds.
    pub stored: String,
    /// What the replay asked for.
    pub regenerated: String,
}
