//! Completions for bash.

use clap::Command;

use super::values::{self, Offer};

/// The script. `@…@` are filled in; each command has a `case` of its own for the values of its options, for options of
/// one name differ between commands.
const SCRIPT: &str = r#"# Completions of flow-agent for bash.
_flow_agent() {
    local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command='' index
    COMPREPLY=()
    # bash splits `--option=value` at the sign.
    if [[ $current == = ]]; then
        current=''
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            @WITH_VALUE@) ((index++)); continue ;;
        esac
        case "$command ${COMP_WORDS[index]}" in
            @COMMANDS@) command+=" ${COMP_WORDS[index]}" ;;
        esac
    done
    case $command in
@CASES@
    esac
}

_flow_agent_words() {
    local IFS=$'\n'
    COMPREPLY=($(IFS=' '; compgen -W "$1" -- "$current"))
}

_flow_agent_paths() {
    local IFS=$'\n'
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen "$1" -- "$current"))
}

complete -F _flow_agent flow-agent
"#;

pub fn script(program: &Command) -> String {
    let mut all = vec![(String::new(), program)];
    all.extend(values::commands(program).into_iter().map(|(words, command)| (format!(" {words}"), command)));
    let commands: Vec<String> = all.iter().skip(1).map(|(words, _)| format!("'{words}'")).collect();
    let mut with_value: Vec<String> = all
        .iter()
        .flat_map(|(_, command)| values::options(command).map(move |option| (command, option)))
        .filter(|(command, option)| values::of(command.get_name(), option).is_some())
        .flat_map(|(_, option)| values::names(option))
        .collect();
    with_value.sort();
    with_value.dedup();
    let cases: Vec<String> = all.iter().map(|(words, command)| case(words, command)).collect();
    SCRIPT
        .replace("@WITH_VALUE@", &with_value.join(" | "))
        .replace("@COMMANDS@", &commands.join(" | "))
        .replace("@CASES@", &cases.join("\n"))
}

/// What is offered after `command`, to which `words_before` lead.
fn case(words_before: &str, command: &Command) -> String {
    let mut text = format!("        '{words_before}')\n            case $previous in\n");
    let mut words: Vec<String> = Vec::new();
    for option in values::options(command) {
        let names = values::names(option);
        if let Some(offer) = values::of(command.get_name(), option) {
            text += &format!("                {}) {}return ;;\n", names.join(" | "), call(&offer));
        }
        words.extend(names);
    }
    text += "            esac\n";
    words.splice(0..0, command.get_subcommands().map(|command| command.get_name().to_owned()));
    let mut paths = "";
    for positional in command.get_positionals() {
        match values::of(command.get_name(), positional) {
            Some(Offer::Words(known)) => drop(words.splice(0..0, known.into_iter().map(|(word, _)| word))),
            Some(Offer::Files) => paths = "            [[ $current == -* ]] || { _flow_agent_paths -f; return; }\n",
            _ => {}
        }
    }
    text += paths;
    text + &format!("            _flow_agent_words '{}'\n            ;;", words.join(" "))
}

fn call(offer: &Offer) -> String {
    match offer {
        Offer::Words(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| word.as_str()).collect();
            format!("_flow_agent_words '{}'; ", words.join(" "))
        }
        Offer::Files => "_flow_agent_paths -f; ".to_owned(),
        Offer::Directories => "_flow_agent_paths -d; ".to_owned(),
        Offer::Nothing => String::new(),
    }
}
