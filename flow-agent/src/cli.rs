//! The command line (a contract): which commands there are, and what they all accept.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::exit::{Code, Failure};

/// Counts the bytes that every port moved, keeps exact logs, and mails the monthly statement.
#[derive(Debug, Parser)]
#[command(name = "flow-agent", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command accepts.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// The configuration; without it /etc/flow-agent/config.toml where that exists, else the defaults
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the logs are kept [default: /var/lib/flow-agent, or what the configuration says]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// One file in `commands` each: its arguments, and `execute`.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(commands::run::Args),
    Rollup(commands::rollup::Args),
}

/// Parses the command line, runs the command, prints its failure, and gives the exit code.
pub fn main() -> ExitCode {
    // A usage error exits with 2 from within.
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Run(args) => commands::run::execute(&cli.common, args),
        Command::Rollup(args) => commands::rollup::execute(&cli.common, args),
    };
    finish(outcome)
}

fn finish(outcome: Result<Code, Failure>) -> ExitCode {
    match outcome {
        Ok(code) => code.into(),
        Err(failure) => {
            eprintln!("{}", failure.render());
            failure.code.into()
        }
    }
}
