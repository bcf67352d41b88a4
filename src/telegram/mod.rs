//! The chat service: commands into the inbox, the outbox to people.

use std::process::ExitCode;

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    ExitCode::FAILURE
}

/// Runs the service with this configuration file.
pub fn run_with(config: &std::path::Path) -> ExitCode {
    let _ = config;
    ExitCode::FAILURE
}
