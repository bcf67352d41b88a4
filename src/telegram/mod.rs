//! The chat service, pivot-bot: commands into the inbox, the outbox to
//! people.
//!
//! # What runs beside each other
//!
//! - polling: takes updates in order; what changes something is in the inbox,
//!   durably, before the next update is looked at;
//! - replies: one task for each update, so that a slow or failing one holds
//!   up nobody;
//! - the outbox: tells what pivot-trading has to tell, in order, until it
//!   arrived;
//! - the watch: tells when another service falls silent;
//! - reminders: puts what is to be renewed soon into the outbox.
//!
//! Trading never waits for any of it.

mod api;
mod asker;
mod backup;
mod bot;
mod buttons;
mod command;
mod desk;
mod follow;
#[cfg(test)]
mod hostile;
mod html;
mod logs;
mod outbox;
mod people;
mod poll;
mod reminders;
mod restart;
mod serve;
mod stale;
mod views;
mod voice;
mod watch;

pub use serve::{BotError, run, run_flattening};

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;

/// A request to flatten in pivot-trading's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlattenOrder {
    /// Who asked, for the audit.
    pub actor: String,
    /// Row of the inbox that asked.
    pub request: i64,
}

/// What came of it: words for the person who asked, or `None` when
/// pivot-trading answered after all.
pub type Flattening = Pin<Box<dyn Future<Output = Result<Option<String>, String>> + Send>>;

/// Flattens without pivot-trading, under its lock.
pub type FlattenOnly = Arc<dyn Fn(FlattenOrder) -> Flattening + Send + Sync>;

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    serve::main()
}

/// Runs the service with this configuration file until it is told to stop.
pub fn run_with(config: &Path) -> ExitCode {
    serve::service(config, None)
}
