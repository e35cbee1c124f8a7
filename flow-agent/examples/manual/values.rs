//! What is known of the value of an argument before somebody types it.

use clap::{Arg, ArgAction, ValueHint};

/// What a shell offers as the value of an argument.
pub enum Offer {
    /// These words, each with its description.
    Words(Vec<(String, String)>),
    Files,
    Directories,
    /// A value that only the user knows.
    Nothing,
}

/// Values of options that the program reads by itself. Others are possible for all of them.
const KNOWN: [(&str, &[&str]); 6] = [
    ("backend", &["auto", "ebpf", "nftables", "iptables"]),
    ("from", &["today", "yesterday"]),
    ("interface", &["auto"]),
    ("month", &["this"]),
    ("resend", &["@admins"]),
    ("to", &["today", "yesterday"]),
];

/// `None` for a flag.
pub fn of(command: &str, argument: &Arg) -> Option<Offer> {
    if !matches!(argument.get_action(), ArgAction::Set | ArgAction::Append) {
        return None;
    }
    let possible: Vec<(String, String)> = argument
        .get_possible_values()
        .iter()
        .map(|value| (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default()))
        .collect();
    if !possible.is_empty() {
        return Some(Offer::Words(possible));
    }
    let name = argument.get_id().as_str();
    // `rollup --month` and `grant --month` take only months, and `check --from` an address.
    let is_ours = !matches!((command, name), ("rollup" | "grant", "month") | ("check", "from"));
    if let Some((_, words)) = KNOWN.iter().find(|(known, _)| *known == name).filter(|_| is_ours) {
        return Some(Offer::Words(words.iter().map(|word| ((*word).to_owned(), String::new())).collect()));
    }
    Some(match argument.get_value_hint() {
        ValueHint::AnyPath if name == "state_dir" => Offer::Directories,
        ValueHint::AnyPath | ValueHint::FilePath => Offer::Files,
        ValueHint::DirPath => Offer::Directories,
        _ => Offer::Nothing,
    })
}

/// `-v`, `--verbose`
pub fn names(argument: &Arg) -> Vec<String> {
    let short = argument.get_short().map(|short| format!("-{short}"));
    let long = argument.get_long().map(|long| format!("--{long}"));
    short.into_iter().chain(long).collect()
}

/// Every command below the program, with the words that lead to it (`fleet init`).
pub fn commands(program: &clap::Command) -> Vec<(String, &clap::Command)> {
    let mut all = Vec::new();
    for command in program.get_subcommands() {
        all.push((command.get_name().to_owned(), command));
        let below = commands(command).into_iter();
        all.extend(below.map(|(words, below)| (format!("{} {words}", command.get_name()), below)));
    }
    all
}

/// The options and flags that a user should know of.
pub fn options(command: &clap::Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|argument| !argument.is_positional() && !argument.is_hide_set())
}
