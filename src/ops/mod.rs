//! `pivotctl`, the operator's command. One file for each subcommand: its
//! arguments and what it does.
//!
//! Exit codes: 0 done, 1 found wrong, 2 wrong usage.

#[macro_use]
mod output;

mod alert;
mod backtest;
mod backup;
mod bench;
mod calendar;
mod charges;
mod completions;
mod config_cmd;
mod control;
mod data;
mod db;
mod decide;
mod demo;
mod doctor;
mod init;
mod install;
mod kite_cmd;
mod logs;
mod man;
mod pivots;
mod progress;
mod reminders;
mod replay;
mod service;
mod sim_cmd;
mod simtest;
mod status;
mod summary;
mod sweep;
mod trace;
mod trades;
mod why;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// Operates pivot-trading: a demo day, a local Kite, the services, their data.
#[derive(Debug, Parser)]
#[command(
    name = "pivotctl",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  pivotctl demo\n  pivotctl init\n  pivotctl status --json"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a whole trading day through the real services, without an account.
    Demo(demo::Args),
    /// Serve a local Kite (and a local Telegram) for tests and other clients.
    Sim(sim_cmd::Args),
    /// Show services, session, position and figures of today.
    Status(status::Args),
    /// List trades.
    Trades(trades::Args),
    /// Tell one trade's story, from its signal to its last message.
    Trace(trace::Args),
    /// Show a day's figures.
    Summary(summary::Args),
    /// Tell why a candle was traded or not.
    Why(why::Args),
    /// Allow entries.
    Enable(control::EnableArgs),
    /// Allow no more entries; positions go on being managed.
    Disable(control::DisableArgs),
    /// Cancel everything, flatten, stay disabled.
    Panic(control::PanicArgs),
    /// Check, show or describe the configuration.
    Config(config_cmd::Args),
    /// Write a configuration file, asking for what it needs.
    Init(init::Args),
    /// Put user, folders, programs and units in place.
    Install(install::Args),
    /// Take programs and units away; data stays unless it is to go.
    Uninstall(install::UninstallArgs),
    /// Look for what would keep the system from working.
    Doctor(doctor::Args),
    /// Follow, find, count and clean up logs.
    Logs(logs::Args),
    /// List what is to be renewed, nearest first.
    Reminders(reminders::Args),
    /// Make, verify, restore, list and prune backups.
    Backup(backup::Args),
    /// Check, rewrite, migrate or export the database.
    Db(db::Args),
    /// Compute pivot levels.
    Pivots(pivots::Args),
    /// Compute the charges of a trade.
    Charges(charges::Args),
    /// Ask the trading calendar.
    Calendar(calendar::Args),
    /// Run a strategy over a file of candles.
    Backtest(backtest::Args),
    /// Run a backtest for each point of a grid of parameters.
    Sweep(sweep::Args),
    /// Let this program decide recorded days again and compare.
    Replay(replay::Args),
    /// Judge recorded cases as a strategy would.
    Decide(decide::Args),
    /// Play whole days against a broker that misbehaves, out of seeds.
    Simtest(simtest::Args),
    /// Call the broker and print what was understood of the answer.
    Kite(kite_cmd::Args),
    /// Tell the owner on Telegram that a unit has failed; for systemd.
    Alert(alert::Args),
    /// Measure whether this machine is fast enough.
    Bench(bench::Args),
    /// Print or write the manual pages.
    Man(man::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Run a service in this process.
    #[command(hide = true)]
    Service(service::Args),
}

/// The command line asks for what cannot be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongUsage(String);

/// The command line as it is described to shells and in the manual.
fn cli() -> clap::Command {
    Cli::command()
}

/// Parses the command line and carries it out.
pub fn run_main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Sim(args) => sim_cmd::run(args),
        Command::Status(args) => status::run(args),
        Command::Trades(args) => trades::run(args),
        Command::Trace(args) => trace::run(&args),
        Command::Summary(args) => summary::run(args),
        Command::Why(args) => why::run(args),
        Command::Enable(args) => control::enable(args),
        Command::Disable(args) => control::disable(args),
        Command::Panic(args) => control::panic(args),
        Command::Config(args) => config_cmd::run(args),
        Command::Init(args) => init::run(args),
        Command::Install(args) => install::install(&args),
        Command::Uninstall(args) => install::uninstall(&args),
        Command::Doctor(args) => doctor::run(args),
        Command::Logs(args) => logs::run(args),
        Command::Reminders(args) => reminders::run(&args),
        Command::Backup(args) => backup::run(args),
        Command::Db(args) => db::run(args),
        Command::Pivots(args) => pivots::run(args),
        Command::Charges(args) => charges::run(args),
        Command::Calendar(args) => calendar::run(args),
        Command::Backtest(args) => backtest::run(args),
        Command::Sweep(args) => sweep::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Decide(args) => decide::run(args),
        Command::Simtest(args) => simtest::run(&args),
        Command::Kite(args) => kite_cmd::run(args),
        Command::Alert(args) => alert::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Service(args) => service::run(&args),
    };
    match result {
        Ok(_) if output::is_incomplete() => {
            errln!("error: not all of the output could be written");
            ExitCode::FAILURE
        }
        Ok(code) => code,
        Err(error) => {
            errln!("error: {error:#}");
            ExitCode::from(if error.is::<WrongUsage>() { 2 } else { 1 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command: &mut clap::Command, path: &str) {
        let path = format!("{path} {}", command.get_name());
        let help = command.render_long_help().to_string();
        assert!(help.contains("Example") && help.contains("pivotctl "), "{path}:\n{help}");
        // clap's own `help` takes no after-word.
        let inner = command.get_subcommands_mut().filter(|inner| inner.get_name() != "help");
        inner.for_each(|inner| check(inner, &path));
    }

    #[test]
    fn every_command_shows_an_example() {
        Cli::command().debug_assert();
        check(&mut Cli::command(), "");
    }
}
