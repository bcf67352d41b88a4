//! The operator's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pivot_trading::ops::run_main()
}
