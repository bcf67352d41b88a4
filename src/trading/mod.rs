//! The service that trades: feed, candles, the loop around the engine, the executor.

use std::process::ExitCode;

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    ExitCode::FAILURE
}
