//! Carries out the engine's commands at the broker. Each order command gets
//! exactly one outcome, each fetch exactly one snapshot; both come back as
//! inputs of the loop.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::mpsc::UnboundedSender;
use tracing::Instrument as _;

use super::broker::Broker;
use super::input::Input;
use crate::clock::Clock;
use crate::engine::Command;
use crate::engine::command::Fetch;
use crate::engine::event::{CommandId, Outcome, Refusal, Snapshot};
use crate::engine::ledger::IntentId;

/// The file whose presence alone forbids anything that opens a position. It
/// needs no database and no process (M15).
pub const HALT_FILE: &str = "HALT";

/// Sends commands, one task each.
#[derive(Debug, Clone)]
pub(super) struct Executor {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: Broker,
    clock: Clock,
    halt_file: PathBuf,
    may_enter: AtomicBool,
    in_flight: AtomicU32,
    orders_in_flight: AtomicU32,
    /// The trade of each intent, for the log.
    trades: RefCell<BTreeMap<IntentId, String>>,
    /// Of the last order call, in milliseconds and one more; 0 before it.
    round_trip: AtomicU64,
    inputs: UnboundedSender<Input>,
}

impl Executor {
    pub(super) fn new(
        broker: Broker,
        clock: Clock,
        data_dir: &std::path::Path,
        inputs: UnboundedSender<Input>,
    ) -> Executor {
        Executor {
            shared: Rc::new(Shared {
                broker,
                clock,
                halt_file: data_dir.join(HALT_FILE),
                may_enter: AtomicBool::new(false),
                in_flight: AtomicU32::new(0),
                orders_in_flight: AtomicU32::new(0),
                trades: RefCell::default(),
                round_trip: AtomicU64::new(0),
                inputs,
            }),
        }
    }

    /// Whether entries are allowed, looked at again just before sending.
    pub(super) fn set_may_enter(&self, allowed: bool) {
        self.shared.may_enter.store(allowed, Ordering::Release);
    }

    /// Remembers which trade an order serves, so that lines about its requests
    /// can say so.
    pub(super) fn note_trade(&self, intent: IntentId, trade: &str) {
        let mut trades = self.shared.trades.borrow_mut();
        if trades.get(&intent).is_none_or(|known| known != trade) {
            trades.insert(intent, trade.to_string());
        }
    }

    /// Requests that have not been answered yet.
    pub(super) fn in_flight(&self) -> u32 {
        self.shared.in_flight.load(Ordering::Acquire)
    }

    /// The same, of those that can change an order.
    pub(super) fn orders_in_flight(&self) -> u32 {
        self.shared.orders_in_flight.load(Ordering::Acquire)
    }

    /// Real time from the last order command to its outcome, in milliseconds:
    /// waiting for its turn is part of it.
    pub(super) fn round_trip_ms(&self) -> Option<u64> {
        self.shared.round_trip.load(Ordering::Acquire).checked_sub(1)
    }

    /// Starts to carry out a command. Its record is durable by now (M1).
    pub(super) fn dispatch(&self, id: CommandId, command: Command) {
        match command {
            Command::Submit { .. } | Command::Modify { .. } | Command::Cancel { .. } => {
                self.shared.orders_in_flight.fetch_add(1, Ordering::AcqRel);
                let trade = intent_of(&command)
                    .and_then(|intent| self.shared.trades.borrow().get(&intent).cloned());
                let span = match trade {
                    Some(trade) => tracing::info_span!("order", correlation_id = trade),
                    None => tracing::info_span!("order"),
                };
                let answered = move |shared: Rc<Shared>| async move {
                    let began = Instant::now();
                    let outcome = shared.order(&command).await;
                    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
                    shared.round_trip.store(took_ms.saturating_add(1), Ordering::Release);
                    shared.orders_in_flight.fetch_sub(1, Ordering::AcqRel);
                    tracing::info!(?id, ?outcome, "order request answered");
                    Input::Outcome { command: id, outcome }
                };
                self.spawn(move |shared| answered(shared).instrument(span));
            }
            Command::Fetch(fetch) => self.spawn(move |shared| async move {
                Input::Snapshot(shared.snapshot(id, fetch).await)
            }),
            Command::Watch(_) | Command::Say(_) | Command::Record(_) => {}
        }
    }

    fn spawn<F, T>(&self, work: F)
    where
        F: FnOnce(Rc<Shared>) -> T + 'static,
        T: Future<Output = Input> + 'static,
    {
        let shared = Rc::clone(&self.shared);
        shared.in_flight.fetch_add(1, Ordering::AcqRel);
        tokio::task::spawn_local(async move {
            let input = work(Rc::clone(&shared)).await;
            shared.in_flight.fetch_sub(1, Ordering::AcqRel);
            // The loop is gone only while the process ends; the journal then
            // holds the command without an outcome, which means unknown.
            let _ = shared.inputs.send(input);
        });
    }
}

const fn intent_of(command: &Command) -> Option<IntentId> {
    match command {
        Command::Submit { intent, .. } | Command::Modify { intent, .. } => Some(*intent),
        Command::Cancel { intent, .. } => *intent,
        Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => None,
    }
}

/// Why an order must not leave, at the last moment before it would.
pub(crate) fn closed_gate(reduces: bool, halted: bool, may_enter: bool) -> Option<&'static str> {
    if reduces {
        return None;
    }
    if halted {
        return Some("the data folder holds a file named HALT: no new positions");
    }
    (!may_enter).then_some("entries are not allowed now")
}

impl Shared {
    /// The broker said that the session is gone. News only when it is still
    /// the session that the call was made with.
    fn session_is_dead(&self, session: Option<u64>) {
        if session.is_some() && session == self.broker.session() {
            // Fails only while the process ends.
            let _ = self.inputs.send(Input::Session { alive: false });
        }
    }

    async fn order(&self, command: &Command) -> Outcome {
        let session = self.broker.session();
        let outcome = self.send_order(command).await;
        if let Outcome::Refused { refusal: Refusal::Session, .. } = outcome {
            self.session_is_dead(session);
        }
        outcome
    }

    async fn send_order(&self, command: &Command) -> Outcome {
        match command {
            Command::Submit { reduces, order, .. } => {
                let may_enter = self.may_enter.load(Ordering::Acquire);
                if let Some(why) = closed_gate(*reduces, self.halt_file.exists(), may_enter) {
                    return Outcome::Refused { refusal: Refusal::Gate, message: why.into() };
                }
                self.broker.submit(order, *reduces).await
            }
            Command::Modify { order_id, change, .. } => self.broker.modify(order_id, change).await,
            Command::Cancel { order_id, .. } => self.broker.cancel(order_id).await,
            Command::Fetch(_) | Command::Watch(_) | Command::Say(_) | Command::Record(_) => {
                Outcome::Refused { refusal: Refusal::Gate, message: "not an order".into() }
            }
        }
    }

    /// Reads what a fetch asks for. Complete means that orders and positions
    /// are (M7); without the margins the rest is as good.
    async fn snapshot(&self, command: CommandId, fetch: Fetch) -> Snapshot {
        let session = self.broker.session();
        let mut session_dead = false;
        let taken_at = self.clock.now();
        let mut snapshot = Snapshot {
            command,
            taken_at,
            complete: true,
            orders: None,
            positions: None,
            available: None,
        };
        if fetch.orders {
            let read = self.broker.orders().await;
            snapshot.complete &= read.complete;
            session_dead |= read.session_dead;
            snapshot.orders = read.value;
        }
        if fetch.positions {
            let read = self.broker.positions().await;
            snapshot.complete &= read.complete;
            session_dead |= read.session_dead;
            snapshot.positions = read.value;
        }
        if fetch.margins {
            let read = self.broker.available().await;
            session_dead |= read.session_dead;
            snapshot.available = read.value;
        }
        if session_dead {
            self.session_is_dead(session);
        }
        snapshot
    }
}
