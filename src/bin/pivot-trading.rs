//! The service that trades.

use std::process::ExitCode;

fn main() -> ExitCode {
    pivot_trading::trading::run_main()
}
