//! The web service: login callback, postbacks, health, status.

use std::process::ExitCode;

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    ExitCode::FAILURE
}
