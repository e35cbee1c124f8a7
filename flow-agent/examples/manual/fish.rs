//! Completions for fish.

use clap::{Arg, Command};

use super::values::{self, Offer};

pub fn script(program: &Command) -> String {
    let mut script = "# Completions of flow-agent for fish.\ncomplete -c flow-agent -f\n".to_owned();
    for command in program.get_subcommands() {
        let about = quoted(&command.get_about().map(ToString::to_string).unwrap_or_default());
        script += &format!("complete -c flow-agent -n __fish_use_subcommand -a {} -d {about}\n", command.get_name());
    }
    for option in values::options(program) {
        script += &line(program, None, option);
    }
    for (words, command) in values::commands(program) {
        let seen = seen(program, &words);
        let below: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        for subcommand in command.get_subcommands() {
            let condition = quoted(&format!("{seen}; and not __fish_seen_subcommand_from {}", below.join(" ")));
            let about = quoted(&subcommand.get_about().map(ToString::to_string).unwrap_or_default());
            script += &format!("complete -c flow-agent -n {condition} -a {} -d {about}\n", subcommand.get_name());
        }
        for positional in command.get_positionals() {
            match values::of(command.get_name(), positional) {
                Some(Offer::Words(words)) => {
                    let names: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
                    let condition = format!("{seen}; and not __fish_seen_subcommand_from {}", names.join(" "));
                    for (word, about) in &words {
                        let about = quoted(about);
                        script += &format!("complete -c flow-agent -n {} -a {word} -d {about}\n", quoted(&condition));
                    }
                }
                Some(Offer::Files) => script += &format!("complete -c flow-agent -n {} -F\n", quoted(&seen)),
                _ => {}
            }
        }
        // Options of every command are those of the program, too.
        for option in values::options(command).filter(|option| !option.is_global_set()) {
            script += &line(command, Some(&seen), option);
        }
    }
    script
}

/// The condition under which `words` have been typed. A command and one below another may have the same name.
fn seen(program: &Command, words: &str) -> String {
    let typed: Vec<&str> = words.split(' ').collect();
    let mut conditions: Vec<String> = typed.iter().map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
    if let [word] = typed[..] {
        let others = program.get_subcommands().filter(|command| command.find_subcommand(word).is_some());
        conditions.extend(others.map(|other| format!("not __fish_seen_subcommand_from {}", other.get_name())));
    }
    conditions.join("; and ")
}

fn line(command: &Command, condition: Option<&str>, option: &Arg) -> String {
    let mut line = "complete -c flow-agent".to_owned();
    if let Some(condition) = condition {
        line += &format!(" -n {}", quoted(condition));
    }
    if let Some(short) = option.get_short() {
        line += &format!(" -s {short}");
    }
    if let Some(long) = option.get_long() {
        line += &format!(" -l {long}");
    }
    line += &match values::of(command.get_name(), option) {
        None => String::new(),
        Some(Offer::Files) => " -r -F".to_owned(),
        Some(Offer::Directories) => " -x -a '(__fish_complete_directories)'".to_owned(),
        Some(Offer::Nothing) => " -x".to_owned(),
        Some(Offer::Words(words)) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
            format!(" -x -a {}", quoted(&words.join(" ")))
        }
    };
    let help = option.get_help().map(ToString::to_string).unwrap_or_default();
    line + &format!(" -d {}\n", quoted(help.lines().next().unwrap_or_default()))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
