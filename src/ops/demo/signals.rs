//! Signals that end a demo: its processes must not outlive it.

use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    HangUp,
    Interrupt,
    Terminate,
}

impl Ended {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Ended::HangUp => "SIGHUP",
            Ended::Interrupt => "SIGINT",
            Ended::Terminate => "SIGTERM",
        }
    }

    /// What a shell reports of a program that such a signal ended.
    pub(super) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Ended::HangUp => 129,
            Ended::Interrupt => 130,
            Ended::Terminate => 143,
        })
    }
}

/// Hears the signals from its beginning on.
#[derive(Debug)]
pub(super) struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.hang_up.recv() => Ended::HangUp,
            _ = self.interrupt.recv() => Ended::Interrupt,
            _ = self.terminate.recv() => Ended::Terminate,
        }
    }
}
