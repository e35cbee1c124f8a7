//! PURE: the files, by name.

mod bash;
mod configuration;
mod fish;
mod page;
mod sections;
mod values;

use std::io;

use clap::CommandFactory as _;
use clap_complete::Shell;
use flow_agent::cli::Cli;

/// Every manual page and every shell's completions: the name and the text of the file.
pub fn files() -> io::Result<Vec<(String, String)>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut files = vec![
        ("flow-agent.bash".to_owned(), bash::script(&command)),
        ("flow-agent.fish".to_owned(), fish::script(&command)),
        ("_flow-agent".to_owned(), zsh()),
        ("flow-agent.toml.5".to_owned(), configuration::page()),
        page::page(&command)?,
    ];
    for (_, subcommand) in values::commands(&command) {
        files.push(page::page(subcommand)?);
    }
    Ok(files)
}

/// The examples of the manual pages, for the test that they are command lines of ours.
#[allow(dead_code, reason = "only the test `manual` needs them")]
pub fn examples() -> impl Iterator<Item = &'static str> {
    sections::ALL.iter().flat_map(|sections| sections.examples.iter().map(|(_, line)| *line))
}

/// The words of every command (`fleet init`), for the test that each has a page.
#[allow(dead_code, reason = "only the test `manual` needs them")]
pub fn commands(program: &clap::Command) -> impl Iterator<Item = String> {
    values::commands(program).into_iter().map(|(words, _)| words)
}

fn zsh() -> String {
    let mut script = Vec::new();
    clap_complete::generate(Shell::Zsh, &mut Cli::command(), "flow-agent", &mut script);
    String::from_utf8(script).expect("the script is text")
}
