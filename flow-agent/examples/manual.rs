//! Writes the manual pages and the shells' completions into a directory: what `cargo xtask dist` packs.
//!
//! They are made from the command line itself, and the program that is installed need not carry what makes them.

#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use flow_agent::cli::Cli;

/// Of programs for whoever runs the machine.
const SECTION: &str = "8";

fn main() -> io::Result<()> {
    let Some(directory) = env::args_os().nth(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a directory to write to"));
    };
    let directory = Path::new(&directory);
    fs::create_dir_all(directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    page(&command, directory)?;
    command.get_subcommands().try_for_each(|subcommand| page(subcommand, directory))?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        clap_complete::generate_to(shell, &mut Cli::command(), "flow-agent", directory)?;
    }
    Ok(())
}

/// `flow-agent.8`, `flow-agent-run.8` and so on.
fn page(command: &Command, directory: &Path) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut file = File::create(directory.join(format!("{name}.{SECTION}")))?;
    Man::new(command.clone()).section(SECTION).render(&mut file)
}
