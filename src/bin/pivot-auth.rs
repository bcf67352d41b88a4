//! The web service: login callback, postbacks, health, status.

use std::process::ExitCode;

fn main() -> ExitCode {
    pivot_trading::web::run_main()
}
