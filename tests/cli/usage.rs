//! Arguments that make no sense, and files that are missing: a clear message and the documented exit code.

use std::fs;

use crate::program::flow_agent;
use crate::state::State;

/// Runs it with the configuration of `state`. Returns the exit code and the output on stderr.
fn refused(state: &State, arguments: &[&str]) -> (Option<i32>, String) {
    let config = state.config();
    let said = flow_agent(&[arguments, &["--config", config.to_str().unwrap()]].concat());
    assert_eq!(said.stdout, "");
    (said.code, state.without_path(&said.stderr))
}

#[track_caller]
fn is_refused(state: &State, arguments: &[&str], code: i32, text: &str) {
    let (found, said) = refused(state, arguments);
    assert!(found == Some(code) && said.starts_with(text), "{found:?}: {said}");
}

#[test]
fn what_can_be_no_value_is_a_usage_error_that_says_what_was_expected() {
    let state = State::empty();
    let cases: [(&[&str], &str); 5] = [
        (
            &["run", "--once", "--interface", "a/b"],
            "error: invalid value 'a/b' for '--interface <NAME>...': \"a/b\" is not an interface's name, a glob such as \
             \"wg*\", or \"auto\"\n",
        ),
        (&["run", "--once", "--ports", "0"], "error: port 0 is out of range, expected 1 to 65535\n"),
        (&["run", "--bucket", "7m"], "error: invalid value '7m' for '--bucket <TIME>': \"7m\" does not divide an hour"),
        (
            &["rollup", "--day", "2026-02-30"],
            "error: invalid value '2026-02-30' for '--day <DAY>': \"2026-02-30\" is not a day such as 2026-10-05\n",
        ),
        (&["show", "--from", "2026-10-05", "--to", "2026-10-04"], "error: --to is before --from\n"),
    ];
    for (arguments, text) in cases {
        is_refused(&state, arguments, 2, text);
    }
    // Both ends are included, and a month includes all its days.
    for (from, to) in [("2026-10-05", "2026-10-05"), ("2026-10", "2026-10-05"), ("2026-10-05", "2026-10")] {
        let config = state.config();
        let said = flow_agent(&["show", "--from", from, "--to", to, "--config", config.to_str().unwrap()]);
        assert_eq!(said.code, Some(0), "{from} to {to}: {}", said.stderr);
    }
}

#[test]
fn a_state_directory_that_is_a_file_is_named() {
    let state = State::empty();
    let file = state.config().with_file_name("file");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let run = ["run", "--once", "--interface", "lo", "--ports", "443", "--state-dir", file];
    let help = "help: choose a directory with --state-dir or `state_dir`; there is a file in its place\n";
    let (code, said) = refused(&state, &run);
    assert!(code == Some(5) && said.ends_with(help), "{code:?}: {said}");
    is_refused(&state, &["show", "--state-dir", file], 5, "error: `file` is not a directory\n  help: choose another ");
    is_refused(&state, &["rollup", "--state-dir", file], 5, "error: failed to read `file/hourly`\n");
}

#[test]
fn what_is_to_be_imported_or_enrolled_and_is_not_there_is_named_with_what_to_do() {
    let state = State::empty();
    is_refused(
        &state,
        &["import", "/nowhere/2601_daylog.txt"],
        5,
        "error: failed to read `/nowhere/2601_daylog.txt`\n  caused by: No such file or directory (os error 2)\n  \
         help: name logs of the scripts, or directories that contain such logs\n",
    );
    is_refused(
        &state,
        &["check", "--enroll", "hk-2"],
        3,
        "error: there is no node `hk-2` in the configuration\n  help: name the nodes in `[[nodes]]` on the main node; \
         there are none\n",
    );
}
