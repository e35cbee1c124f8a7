//! The help texts, and the messages about an invalid command line.

use clap::CommandFactory as _;
use flow_agent::cli::Cli;

use crate::program::flow_agent;

#[test]
fn every_command_has_its_help() {
    let program = Cli::command();
    let commands = program.get_subcommands().map(|command| vec![command.get_name().to_owned()]);
    for mut arguments in commands.chain([Vec::new()]) {
        // A snapshot for each, so that a new command adds a file.
        let name = format!("help {}", arguments.join(" "));
        arguments.push("--help".to_owned());
        let said = flow_agent(&arguments);
        assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{name}");
        insta::assert_snapshot!(name.trim().replace(' ', "_"), said.stdout);
    }
}

#[test]
fn a_command_line_that_is_none_is_code_2() {
    for arguments in [
        &["shwo"][..],
        &[],
        &["show", "--port", "70000"],
        &["show", "--from", "tomorrow"],
        &["show", "--json", "--csv"],
        &["show", "--limit", "-1"],
        &["run", "--bucket", "7m"],
        &["run", "--backend", "epbf"],
        &["check", "-v", "-q"],
    ] {
        let said = flow_agent(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(!said.stderr.is_empty(), "{arguments:?}");
    }
    let said = flow_agent(&["show", "--port", "443,70000"]);
    assert!(said.stderr.contains("port 70000 is out of range, expected 1 to 65535"), "{}", said.stderr);
}

#[test]
fn the_version_is_told() {
    assert_eq!(flow_agent(&["--version"]).stdout, concat!("flow-agent ", env!("CARGO_PKG_VERSION"), "\n"));
}
