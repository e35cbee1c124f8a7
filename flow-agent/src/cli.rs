//! The command line (a contract): its commands, and the options that they all accept.

pub mod log;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands::{self, Common, output};
use crate::exit::{Code, Failure};

/// Counts the bytes of every port, keeps exact logs, and mails monthly statements.
#[derive(Debug, Parser)]
#[command(name = "flow-agent", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 unexpected, 2 usage, 3 configuration, 4 kernel or permission, \
                        5 files or a lock, 6 incomplete, 7 mail.")]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// One file in `commands` each: its arguments, and `execute`.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(commands::run::Args),
    Rollup(commands::rollup::Args),
    Report(commands::report::Args),
    Show(commands::show::Args),
    Top(commands::top::Args),
    Ship(commands::ship::Args),
    Fleet(commands::fleet::Args),
    Check(commands::check::Args),
    Users(commands::users::Args),
    Grant(commands::grant::Args),
    Notify(commands::notify::Args),
    Import(commands::import::Args),
    Init(commands::init::Args),
    FrpsHooks(commands::frps_hooks::Args),
    Prune(commands::prune::Args),
    Uninstall(commands::uninstall::Args),
}

/// Parses the command line, runs the command, prints its failure, and gives the exit code.
pub fn main() -> ExitCode {
    // If the arguments are wrong, this exits with 2 itself.
    let cli = Cli::parse();
    // Commands that keep running log what they do; commands that answer a question log only problems.
    let usual = match &cli.command {
        Command::Run(_) | Command::Ship(_) | Command::FrpsHooks(_) => tracing::Level::INFO,
        Command::Rollup(_)
        | Command::Report(_)
        | Command::Show(_)
        | Command::Top(_)
        | Command::Check(_)
        | Command::Users(_)
        | Command::Grant(_)
        | Command::Notify(_)
        | Command::Fleet(_)
        | Command::Import(_)
        | Command::Init(_)
        | Command::Prune(_)
        | Command::Uninstall(_) => tracing::Level::WARN,
    };
    log::start(usual, cli.common.verbose, cli.common.quiet);
    let outcome = match cli.command {
        Command::Run(args) => commands::run::execute(&cli.common, args),
        Command::Rollup(args) => commands::rollup::execute(&cli.common, args),
        Command::Report(args) => {
            let may_send = args.may_send();
            let outcome = commands::report::execute(&cli.common, args);
            if may_send {
                // The nodes were gathered: whatever became of the report, users may have reached their quotas.
                commands::notify::after_report(&cli.common);
            }
            outcome
        }
        Command::Show(args) => commands::show::execute(&cli.common, args),
        Command::Top(args) => commands::top::execute(&cli.common, args),
        Command::Ship(args) => commands::ship::execute(&cli.common, args),
        Command::Fleet(args) => commands::fleet::execute(&cli.common, args),
        Command::Check(args) => commands::check::execute(&cli.common, args),
        Command::Users(args) => commands::users::execute(&cli.common, args),
        Command::Grant(args) => commands::grant::execute(&cli.common, args),
        Command::Notify(args) => commands::notify::execute(&cli.common, args),
        Command::Import(args) => commands::import::execute(&cli.common, args),
        Command::Init(args) => commands::init::execute(&cli.common, args),
        Command::FrpsHooks(args) => commands::frps_hooks::execute(&cli.common, args),
        Command::Prune(args) => commands::prune::execute(&cli.common, args),
        Command::Uninstall(args) => commands::uninstall::execute(&cli.common, args),
    };
    finish(outcome)
}

fn finish(outcome: Result<Code, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            output::complain(&failure.render());
            failure.code.into()
        }
    }
}

#[cfg(test)]
mod tests;
