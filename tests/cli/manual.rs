//! The manual pages, the shell completions (run in the shells themselves), and the examples in the documentation.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{CommandFactory as _, Parser as _};
use flow_agent::cli::Cli;
use tempfile::TempDir;

use crate::common::have_program;

#[path = "../../flow-agent/examples/manual/generate.rs"]
mod generate;

fn file(name: &str) -> String {
    let files = generate::files().unwrap();
    files.into_iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name}")).1
}

/// Writes the completions of a shell to a file.
fn written(name: &str) -> (TempDir, PathBuf) {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, file(name)).unwrap();
    (directory, path)
}

/// Partial command lines, each with some words that must be offered and one that must not.
const TYPED: [(&str, &[&str], &str); 14] = [
    ("flow-agent ", &["run", "show", "uninstall"], "config.toml"),
    ("flow-agent sh", &["show"], "run"),
    ("flow-agent show ", &["hours", "days", "months", "top", "total"], "config.toml"),
    ("flow-agent show d", &["days"], "hours"),
    ("flow-agent show --js", &["--json"], "--csv"),
    ("flow-agent run --backend ", &["auto", "ebpf", "nftables", "iptables"], "config.toml"),
    ("flow-agent report --month th", &["this"], "config.toml"),
    ("flow-agent --config config.to", &["config.toml"], "run"),
    ("flow-agent --config run show ", &["hours"], "run"),
    ("flow-agent fleet ", &["init", "status"], "run"),
    ("flow-agent fleet st", &["status"], "init"),
    ("flow-agent fleet init --", &["--print", "--reduced", "--cluster"], "--write"),
    ("flow-agent init --", &["--write"], "--print"),
    ("flow-agent grant alice 1GiB --month th", &[], "this"),
];

/// Checks the words that `offered` returns for each partial line.
fn check_completions(offered: impl Fn(&str, &Path) -> Vec<String>) {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("config.toml"), "").unwrap();
    for (typed, wanted, unwanted) in TYPED {
        let words = offered(typed, directory.path());
        for word in wanted {
            assert!(words.iter().any(|offered| offered == word), "`{typed}` does not offer `{word}`: {words:?}");
        }
        assert!(!words.iter().any(|offered| offered == unwanted), "`{typed}` offers `{unwanted}`: {words:?}");
    }
}

fn lines(shell: &mut Command) -> Vec<String> {
    let output = shell.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn bash_offers_commands_views_and_values() {
    if !have_program("bash", "the completions of bash") {
        return;
    }
    let (_directory, script) = written("flow-agent.bash");
    // As bash calls it: with the words of the line, the one at the cursor, and the one before it.
    let drive = r#"source "$1"; line=$2
        read -ra COMP_WORDS <<< "$line"; [[ $line == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$line; COMP_POINT=${#line}
        [[ $(complete -p flow-agent) == *'-F _flow_agent flow-agent' ]] || exit 1
        _flow_agent flow-agent "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    check_completions(|typed, directory| {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", drive, "bash"]).arg(&script).arg(typed).current_dir(directory);
        lines(&mut bash)
    });
}

#[test]
fn fish_offers_commands_views_and_values() {
    if !have_program("fish", "the completions of fish") {
        return;
    }
    let (home, script) = written("flow-agent.fish");
    check_completions(|typed, directory| {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]).arg(&script).arg(typed);
        fish.env("HOME", home.path()).current_dir(directory);
        // Each word is followed by its description.
        lines(&mut fish).into_iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
    });
}

#[test]
fn every_manual_page_is_whole() {
    let program = Cli::command();
    let commands = generate::commands(&program).map(|words| format!("flow-agent-{}", words.replace(' ', "-")));
    let commands = commands.collect::<Vec<_>>();
    assert!(commands.iter().any(|name| name == "flow-agent-fleet-init"), "{commands:?}");
    for name in commands.iter().map(String::as_str).chain(["flow-agent"]) {
        let page = file(&format!("{name}.8"));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "FILES", "EXIT STATUS", "SEE ALSO"] {
            assert_eq!(
                page.lines()
                    .filter(|line| line.trim_matches('"') == format!(".SH {section}")
                        || *line == format!(".SH \"{section}\""))
                    .count(),
                1,
                "{section} of {name}:\n{page}"
            );
        }
    }
    let show = file("flow-agent-show.8");
    assert!(show.contains(r"[\fB\-\-port\fR \fI") && show.contains(r"[\fIhours|days|months|"), "{show}");
}

#[test]
fn the_page_of_the_configuration_has_every_key() {
    let page = file("flow-agent.toml.5");
    let configuration = include_str!("../../flow-agent/default-config.toml");
    let mut keys = 0;
    for line in configuration.lines() {
        let line = line.strip_prefix('#').unwrap_or(line);
        if let Some((key, _)) =
            line.split_once(" = ").filter(|(key, _)| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        {
            keys += 1;
            assert!(page.contains(&format!(".TP\n\\fB{key} = ")), "{key}");
        }
    }
    assert!(keys > 30, "{keys}");
}

#[test]
fn every_example_is_a_command_line() {
    let parse = |line: &str, place: &str| {
        let line = line.replace("COMMAND", "show");
        match Cli::try_parse_from(words(&line)) {
            Ok(_) => {}
            Err(error) if error.exit_code() == 0 => {}
            Err(error) => panic!("{place}: `{line}`\n{error}"),
        }
    };
    for line in generate::examples() {
        parse(line, "a manual page");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = 0;
    for path in documents(&root) {
        let text = fs::read_to_string(&path).unwrap();
        for line in examples(&text) {
            parse(&line, &path.display().to_string());
            found += 1;
        }
    }
    assert!(found > 20, "only {found} examples were found");
}

/// The READMEs and everything in `docs`.
fn documents(root: &Path) -> Vec<PathBuf> {
    let mut documents = vec![root.join("README.md"), root.join("README.zh-CN.md")];
    let mut directories = vec![root.join("docs")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => directories.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => documents.push(path),
                false => {}
            }
        }
    }
    documents
}

/// The words of a command line, split as a shell does: text in quotes is one word, or part of one.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, _) if c.is_whitespace() => words.extend(word.take()),
            (Some(_) | None, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The command lines of the program in code blocks and between backticks, up to a comment, a pipe, or the next command
/// of a list.
fn examples(text: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut is_code = false;
    let mut add = |line: &str| {
        let line = line.trim_start_matches(['$', ' ']).trim_start_matches("sudo ").trim_start_matches("exec ");
        let end = ["#", "|", "&&", ";", ">", "2>"].iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
        let line = line[..end].trim();
        if line == "flow-agent" || line.starts_with("flow-agent ") {
            examples.push(line.to_owned());
        }
    };
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if is_code {
            add(line);
        } else {
            // Every second part is between backticks.
            line.split('`').skip(1).step_by(2).filter(|code| *code != "flow-agent").for_each(&mut add);
        }
    }
    examples
}
