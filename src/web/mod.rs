//! The web service, pivot-auth: login callback, postbacks, health, status.
//!
//! It listens on this machine only; a proxy with TLS stands in front of what
//! the world may see. It holds no money's power: it writes request tokens and
//! order hints into the database, from where pivot-trading takes them.

mod access;
mod api;
mod app;
mod heavy;
mod login;
mod logs;
mod monitor;
mod pages;
mod postback;
mod problem;
mod serve;
#[cfg(test)]
mod tests;

pub use serve::{Bound, WebError, bind, run, run_with};

use std::process::ExitCode;

/// Runs the service with the process's arguments and environment.
pub fn run_main() -> ExitCode {
    serve::main()
}
