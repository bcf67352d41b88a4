//! What all requests share, and whom it lets in.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

use super::access::Caller;
use super::heavy::Heavy;
use super::problem::Problem;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::health::Watchman;
use crate::service::{LoginLinks, SharedStore};

/// Streams at a time.
pub(super) const LISTENERS_MAX: usize = 4;

/// What all requests share.
#[derive(Debug)]
pub(super) struct App {
    pub(super) config: Config,
    pub(super) mode: Mode,
    pub(super) clock: Clock,
    /// For logins, tokens and order hints, which wait for nothing else.
    pub(super) store: SharedStore,
    /// For everything that may take long.
    pub(super) heavy: Heavy,
    pub(super) links: LoginLinks,
    /// Room for those who follow the logs.
    pub(super) listeners: Arc<Semaphore>,
    /// True once the server ends.
    pub(super) ending: watch::Sender<bool>,
    pub(super) watchman: Watchman,
}

impl App {
    /// Lets in a browser on this machine, or a program with the secret.
    pub(super) fn admit_browser(&self, caller: &Caller) -> Result<(), Problem> {
        if caller.local { Ok(()) } else { self.admit_program(caller) }
    }

    /// Lets in a program with the secret.
    pub(super) fn admit_program(&self, caller: &Caller) -> Result<(), Problem> {
        let known = caller.has(&self.config.auth.api_token);
        if known { Ok(()) } else { Err(Problem::Unauthorized) }
    }

    /// Lets in a program with the secret on this machine.
    pub(super) fn admit_local_program(&self, caller: &Caller) -> Result<(), Problem> {
        if !caller.local {
            return Err(Problem::NotLocal);
        }
        self.admit_program(caller)
    }
}
