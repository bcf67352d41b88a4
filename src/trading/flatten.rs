//! Panic when pivot-trading is dead or hangs: the same loop in flatten-only
//! mode, run by pivot-bot or pivotctl. There is no second implementation of
//! how a position is closed.
//!
//! # Two at once
//! A dead process has let go of its lock, and the stand-in takes it. One that
//! hangs keeps it: it looks for requests fifty times a second, so when it has
//! run and a panic stays without an answer, the stand-in goes on without the
//! lock and takes the next epoch of the journal. From then on the old process
//! can neither commit nor send, however it wakes. So nothing is lost when it
//! was only slow: it ends itself. One that hangs in the middle of a commit
//! keeps the database from everybody, and is killed. A lock of their own keeps
//! two stand-ins apart; one that hangs is passed over in the same way. A
//! pivot-trading that starts meanwhile ends at once and is started again later.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use rustix::process::{Pid, Signal, kill_process};

use super::context::Context;
use super::service::Service;
use super::{Seat, TradingError, build, login};
use crate::clock::Clock;
use crate::config::Config;
use crate::engine::Mode;
use crate::engine::event::{OperatorAction, OperatorCommand};
use crate::market::Timestamp;
use crate::market::time::ist_date;
use crate::store::lock::{LockError, ServiceLock};
use crate::store::{self, Answer, Ask, Heartbeat, Role, Store};

/// Real time within which pivot-trading must answer a panic before somebody
/// stands in.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(1500);

/// Real time after which a pivot-trading that does not run is not waited for:
/// nobody holds its lock.
pub const DEAD_AFTER: Duration = Duration::from_secs(1);

/// Name of the lock of whoever stands in.
pub(crate) const LOCK: &str = "flatten";

/// Market time without a sign of life after which a process hangs that could
/// not be asked: they come every five seconds.
const SILENT_AFTER: TimeDelta = TimeDelta::seconds(6);

/// Real time besides: on a fast clock signs are at least a quarter of a
/// second apart.
const SILENT_REAL: Duration = Duration::from_millis(500);

/// Real time that a process may take to start before its first sign of life.
const STARTING_MAX: Duration = Duration::from_secs(10);

/// Real time that a process which gives signs of life is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks at lock, answer and signs of life.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Real time after which flatten-only mode gives up and says what is left.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// Real time that a login is waited for when there is no session.
const LOGIN_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flattened {
    /// The broker shows nothing of the bot's held or working.
    Flat,
    /// What is left, in words.
    Left(String),
    /// Why nobody asked the broker, in words.
    Unchecked(String),
    /// pivot-trading, or another stand-in, answered after all and sees to it.
    Answered(Answer),
}

/// Cancels and flattens in pivot-trading's place, and returns when the broker
/// shows that nothing is left or time is up. `request` is the row of the inbox
/// that asked, without an answer for [`ANSWER_WITHIN`]; it says whether
/// positions opened by hand are meant as well. Without a row (0), because it
/// could not be written, they are not. Needs a `LocalSet`.
///
/// # Errors
/// When pivot-trading lives and does not answer, or the database fails.
pub async fn run(
    config: Config,
    clock: Clock,
    actor: &str,
    request: i64,
) -> Result<Flattened, TradingError> {
    let began_at = clock.now();
    let dir = PathBuf::from(&config.data.dir);
    let seat = match take_over(&dir, config.mode()?, &clock, request).await? {
        Way::Clear(seat) => seat,
        Way::Answered(answer) => return Ok(Flattened::Answered(answer)),
    };
    let mut built = build(config, clock, |_| Ok(seat))?;
    let service = &mut built.service;
    service.context.phase("flattening");
    // Whoever answered began with it and is gone: one answer is enough.
    let answered = request > 0 && !service.context.store.borrow().answers(request)?.is_empty();
    let asked = service.context.store.borrow().inbox_after(request - 1, 1)?;
    let asked = asked.into_iter().find(|receipt| receipt.id == request);
    let (asked_at, all) = asked.map_or((began_at, false), |receipt| {
        let all = receipt.request.ask == Ask::Operator(OperatorAction::Panic { all: true });
        (receipt.request.asked_at, all)
    });
    begin(service)?;
    let panic = OperatorCommand {
        request: if answered { 0 } else { request },
        actor: actor.to_string(),
        asked_at,
        action: OperatorAction::Panic { all },
    };
    service.take_turn(Vec::new(), vec![panic])?;
    finish(service).await
}

/// Sets session and feed as far as the records go.
fn begin(service: &mut Service) -> Result<(), TradingError> {
    let context = service.context.clone();
    let kept = context.store.borrow().session(context.clock.now())?;
    if let Some(token) = kept.and_then(|session| session.access_token) {
        context.ticker.set_session(token);
    }
    Ok(())
}

/// Turns until the panic is over, or time is.
async fn finish(service: &mut Service) -> Result<Flattened, TradingError> {
    let context = service.context.clone();
    let engine = &service.core.engine;
    if !engine.is_panic_over() && !engine.is_panic_under_way() {
        let text = match engine.day() {
            None => "today is not prepared, so nothing of the bot's can be open by the records",
            Some(_) => "the day is over, and nothing can be sent any more",
        };
        return Ok(Flattened::Unchecked(text.into()));
    }
    let keeper = tokio::task::spawn_local(keep_session(context.clone()));
    let began = Instant::now();
    loop {
        service.run(tokio::time::sleep(GIVE_UP_AFTER), is_over).await?;
        let waits = !context.client.has_session() && began.elapsed() < LOGIN_WITHIN;
        if is_over(service) || !waits {
            break;
        }
    }
    keeper.abort();
    if is_over(service) {
        return Ok(Flattened::Flat);
    }
    let position = service.core.engine.open_position().filter(|position| position.quantity > 0);
    Ok(Flattened::Left(position.map_or_else(
        || "nothing by the fills of its orders, but NOT PROVEN flat: an order works, or the broker does not show its books".to_owned(),
        |position| format!("{} of {}", position.quantity, position.contract),
    )))
}

fn is_over(service: &Service) -> bool {
    service.core.engine.is_panic_over() && service.in_flight() == 0
}

/// Gets a session when there is none, and another one when it is lost.
async fn keep_session(context: Context) {
    let day = ist_date(context.clock.now());
    loop {
        if context.client.has_session() {
            context.session_lost.notified().await;
        }
        if let Err(error) = login::restore(&context, day).await {
            tracing::error!(error = &error as &dyn std::error::Error, "no session can be had");
            return;
        }
    }
}

/// Whether to stand in.
enum Way {
    Clear(Seat),
    Answered(Answer),
}

/// Waits until pivot-trading has answered, is dead, or is known to hang.
async fn take_over(
    dir: &Path,
    mode: Mode,
    clock: &Clock,
    request: i64,
) -> Result<Way, TradingError> {
    let reader = Store::open(dir, Role::Reader, mode)?;
    let answer = || -> Result<Option<Answer>, TradingError> {
        Ok(reader.answers(request)?.pop().filter(|_| request > 0))
    };
    let began = Instant::now();
    let mut pulse = Pulse { began, seen: None };
    loop {
        let answered = answer()?;
        let holder = match (try_seat(dir)?, answered) {
            // Whoever answered is gone and may not have come to the end.
            (Try::Free(seat), _) => return Ok(Way::Clear(seat)),
            (Try::Held { .. } | Try::Busy { .. }, Some(answer)) => {
                return Ok(Way::Answered(answer));
            }
            (Try::Held { pid, flatten }, None) => {
                let life = pulse.life(&reader.heartbeats()?, pid, clock.now());
                // A commit that takes a second hangs, so this may take one.
                let locked = life != Life::Starting && store::is_write_locked(dir)?;
                // It may have answered since the last look; a slow disk is no
                // reason to end it then.
                if let Some(answer) = answer()? {
                    return Ok(Way::Answered(answer));
                }
                if locked {
                    tracing::error!(pid, "pivot-trading hangs in a commit: killing it");
                    kill(pid)?;
                } else if life == Life::Silent || (life == Life::Running && request > 0) {
                    tracing::error!(pid, "pivot-trading hangs: going on without its lock");
                    return Ok(Way::Clear(Seat::of_stand_in(None, Some(flatten))));
                }
                pid
            }
            (Try::Busy { pid }, None) if request > 0 && began.elapsed() >= STARTING_MAX => {
                tracing::error!(pid, "whoever starts or stands in hangs: going on without locks");
                return Ok(Way::Clear(Seat::of_stand_in(None, None)));
            }
            (Try::Busy { pid }, None) => pid,
        };
        if began.elapsed() >= PATIENCE {
            return Err(TradingError::NoAnswer { pid: holder, waited_s: PATIENCE.as_secs() });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Kills the process that holds pivot-trading's lock.
fn kill(pid: u32) -> Result<(), TradingError> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let Some(process) = process.filter(|_| pid != std::process::id()) else { return Ok(()) };
    kill_process(process, Signal::KILL).map_err(|error| TradingError::System {
        what: "end a pivot-trading that hangs and keeps the database locked",
        source: error.into(),
    })
}

/// What became of an attempt at the locks.
enum Try {
    Free(Seat),
    /// pivot-trading's is held by this process; the other one is ours.
    Held {
        pid: u32,
        flatten: ServiceLock,
    },
    /// Somebody stands in, or pivot-trading is about to take its epoch.
    Busy {
        pid: u32,
    },
}

fn try_seat(dir: &Path) -> Result<Try, LockError> {
    let us = std::process::id();
    let flatten = match ServiceLock::acquire(dir, LOCK, us) {
        Ok(lock) => lock,
        Err(LockError::AlreadyRunning { pid, .. }) => return Ok(Try::Busy { pid }),
        Err(error @ LockError::Lock { .. }) => return Err(error),
    };
    match ServiceLock::acquire(dir, Role::Trading.as_str(), us) {
        Ok(trading) => Ok(Try::Free(Seat::of_stand_in(Some(trading), Some(flatten)))),
        Err(LockError::AlreadyRunning { pid, .. }) => Ok(Try::Held { pid, flatten }),
        Err(error @ LockError::Lock { .. }) => Err(error),
    }
}

/// Signs of life of the process that holds the lock.
struct Pulse {
    began: Instant,
    seen: Option<(Timestamp, Instant)>,
}

/// What the signs of life say of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// It has given none yet, and may be busy with its start.
    Starting,
    /// It has taken turns, so it has looked for requests; whether it still
    /// does, its answers show.
    Running,
    /// It hangs.
    Silent,
}

impl Pulse {
    fn life(&mut self, beats: &[Heartbeat], pid: u32, now: Timestamp) -> Life {
        let beat = beats.iter().find(|beat| beat.service == "trading" && beat.pid == pid);
        let Some(beat) = beat else {
            let starting = self.began.elapsed() < STARTING_MAX;
            return if starting { Life::Starting } else { Life::Silent };
        };
        let since = match self.seen {
            Some((at, since)) if at == beat.at => since,
            Some(_) | None => Instant::now(),
        };
        self.seen = Some((beat.at, since));
        let silent = now - beat.at >= SILENT_AFTER && since.elapsed() >= SILENT_REAL;
        if silent { Life::Silent } else { Life::Running }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(pid: u32, at: Timestamp) -> Heartbeat {
        Heartbeat {
            service: "trading".into(),
            pid,
            started_at: at,
            at,
            version: String::new(),
            phase: String::new(),
            detail: serde_json::Value::Null,
        }
    }

    #[test]
    fn only_a_process_that_is_silent_for_long_hangs() {
        let at = chrono::DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let check = |beat: Heartbeat, silence_s: i64, seen: Option<Timestamp>, expected: Life| {
            let seen = seen.map(|at| (at, long_ago));
            let mut pulse = Pulse { began: Instant::now(), seen };
            let now = at + TimeDelta::seconds(silence_s);
            assert_eq!(pulse.life(&[beat], 7, now), expected, "{silence_s} {seen:?}");
        };
        check(beat(7, at), 6, Some(at), Life::Silent);
        check(beat(7, at), 5, Some(at), Life::Running);
        // A fast clock: old in market time, but not seen twice yet.
        check(beat(7, at), 600, None, Life::Running);
        check(beat(7, at), 600, Some(at - TimeDelta::seconds(5)), Life::Running);
        // The sign of an earlier process says nothing of the one that starts.
        check(beat(6, at), 600, Some(at), Life::Starting);
        let mut starting = Pulse { began: long_ago, seen: None };
        assert_eq!(starting.life(&[beat(6, at)], 7, at), Life::Silent);
    }
}
