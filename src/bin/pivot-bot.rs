//! The Telegram service.

use std::process::ExitCode;

fn main() -> ExitCode {
    pivot_trading::telegram::run_main()
}
