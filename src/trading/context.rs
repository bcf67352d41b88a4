//! What the tasks of the trading service share. All of them run on one
//! thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::sync::Notify;

use super::feed::Inputs;
use super::input::Input;
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::engine::notice::{Notice, NoticeKind, Severity};
use crate::kite::Client;
use crate::kite::ticker::Ticker;
use crate::market::calendar::Calendar;
use crate::store::Store;

/// Shared by reference counting; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Context {
    pub(super) config: Rc<Config>,
    pub(super) mode: Mode,
    pub(super) clock: Clock,
    pub(super) calendar: Rc<Calendar>,
    pub(super) client: Client,
    pub(super) ticker: Rc<Ticker>,
    pub(super) store: Rc<RefCell<Store>>,
    pub(super) inputs: Inputs,
    /// Woken when the broker refuses the session.
    pub(super) session_lost: Rc<Notify>,
    phase: Rc<Cell<&'static str>>,
}

/// What a context is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: Rc<Config>,
    pub(super) mode: Mode,
    pub(super) clock: Clock,
    pub(super) calendar: Calendar,
    pub(super) client: Client,
    pub(super) ticker: Rc<Ticker>,
    pub(super) store: Store,
    pub(super) inputs: Inputs,
}

impl Context {
    pub(super) fn new(parts: Parts) -> Context {
        Context {
            config: parts.config,
            mode: parts.mode,
            clock: parts.clock,
            calendar: Rc::new(parts.calendar),
            client: parts.client,
            ticker: parts.ticker,
            store: Rc::new(RefCell::new(parts.store)),
            inputs: parts.inputs,
            session_lost: Rc::new(Notify::new()),
            phase: Rc::new(Cell::new("starting")),
        }
    }

    /// Hands an input to the loop.
    pub(super) fn send(&self, input: Input) {
        // Fails only while the process ends.
        let _ = self.inputs.send(input);
    }

    /// Says what the service is doing, for heartbeats and `/status`.
    pub(super) fn phase(&self, phase: &'static str) {
        if self.phase.replace(phase) != phase {
            tracing::info!(phase, "phase");
        }
    }

    pub(super) fn current_phase(&self) -> &'static str {
        self.phase.get()
    }

    /// A notice without fields, stamped now.
    pub(super) fn notice(&self, kind: NoticeKind, severity: Severity, headline: &str) -> Notice {
        Notice {
            kind,
            severity,
            mode: self.mode,
            at: self.clock.now(),
            trade: None,
            once: None,
            headline: headline.into(),
            fields: Vec::new(),
            footer: None,
        }
    }
}
