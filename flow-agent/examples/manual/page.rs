//! A manual page of section 8.

use std::io;

use clap::{Arg, Command};
use clap_mangen::Man;

use super::sections::{self, EXIT_STATUS, Sections};
use super::values;

/// Of programs for whoever runs the machine.
const SECTION: &str = "8";

/// `flow-agent.8`, `flow-agent-run.8` and so on, with its text.
pub fn page(command: &Command) -> io::Result<(String, String)> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let man = Man::new(command.clone()).section(SECTION).manual("System administration");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut page = text(page);
    page += &synopsis(command);
    let mut rest = Vec::new();
    man.render_description_section(&mut rest)?;
    man.render_options_section(&mut rest)?;
    page += &text(rest);
    let own = sections::of(name.strip_prefix("flow-agent-").unwrap_or(name));
    if command.has_subcommands() {
        page += ".SH COMMANDS\n";
        for subcommand in command.get_subcommands() {
            let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
            page += &entry(&format!("\\fB{}\\fR(8)", escaped(&format!("{name}-{}", subcommand.get_name()))), &about);
        }
    }
    if !own.examples.is_empty() {
        page += &examples(own);
    }
    page += ".SH FILES\n";
    for (path, what) in own.files {
        page += &entry(&format!("\\fI{}\\fR", escaped(path)), what);
    }
    page += ".SH EXIT STATUS\n";
    for (code, meaning) in EXIT_STATUS.iter().filter(|(code, _)| own.codes.contains(code)) {
        page += &entry(&format!("\\fB{code}\\fR"), meaning);
    }
    page += &see_also(name, command);
    Ok((format!("{name}.{SECTION}"), page))
}

/// The command line with the names of all values, for an option without the name of its value says little.
fn synopsis(command: &Command) -> String {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let mut line = format!("\\fB{}\\fR", escaped(name));
    for option in values::options(command).filter(|option| !option.is_global_set()) {
        let repeated = if matches!(option.get_action(), clap::ArgAction::Append) { "..." } else { "" };
        line += &format!(" [{}]{repeated}", signature(option));
    }
    line += " [\\fIoptions of every command\\fR]";
    for positional in command.get_positionals() {
        let value = format!("\\fI{}\\fR", escaped(&value_name(positional)));
        let repeated = if matches!(positional.get_action(), clap::ArgAction::Append) { "..." } else { "" };
        line +=
            &if positional.is_required_set() { format!(" {value}{repeated}") } else { format!(" [{value}]{repeated}") };
    }
    if command.has_subcommands() {
        line += " \\fICOMMAND\\fR";
    }
    format!(".SH SYNOPSIS\n{line}\n")
}

/// `--month MONTH`
fn signature(option: &Arg) -> String {
    let name = values::names(option).pop().unwrap_or_default();
    let name = format!("\\fB{}\\fR", escaped(&name));
    if option.get_action().takes_values() { format!("{name} \\fI{}\\fR", escaped(&value_name(option))) } else { name }
}

fn value_name(argument: &Arg) -> String {
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    if !possible.is_empty() {
        return possible.join("|");
    }
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| argument.get_id().as_str().to_uppercase(), ToString::to_string)
}

fn examples(own: &Sections) -> String {
    let mut text = ".SH EXAMPLES\n".to_owned();
    for (what, line) in own.examples {
        text += &format!(".PP\n{}\n.PP\n.RS 4\n.nf\n{}\n.fi\n.RE\n", escaped(what), escaped(line));
    }
    text
}

fn see_also(name: &str, command: &Command) -> String {
    let mut pages: Vec<String> = sections::ALL
        .iter()
        .map(|sections| match sections.command {
            "flow-agent" => "flow-agent".to_owned(),
            other => format!("flow-agent-{other}"),
        })
        .filter(|page| page != name)
        .map(|page| format!("\\fB{}\\fR(8)", escaped(&page)))
        .collect();
    pages.push("\\fBflow\\-agent.toml\\fR(5)".to_owned());
    if command.get_name() == "run" {
        pages.push("\\fBtc\\fR(8), \\fBiptables\\fR(8), \\fBsystemd.service\\fR(5)".to_owned());
    }
    format!(".SH SEE ALSO\n{}\n.PP\nThe documentation in \\fI/usr/share/doc/flow\\-agent\\fR.\n", pages.join(", "))
}

/// A term and its explanation.
pub fn entry(term: &str, explanation: &str) -> String {
    format!(".TP\n{term}\n{}\n", escaped(explanation))
}

/// Text as roff takes it literally.
pub fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines =
        text.lines().map(|line| if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("a manual page is text")
}
