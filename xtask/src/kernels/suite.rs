//! The kernel tests as a guest runs them: statically linked, and without those that cannot run there.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{command, output};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Tests that no guest runs, by the beginning of their names, and why.
const NOT_IN_GUESTS: &[(&str, &str)] = &[];

/// What cargo built.
pub struct Suite {
    /// The test binary.
    pub tests: PathBuf,
    /// The agent, where the tests expect it.
    pub agent: PathBuf,
    /// Every test that must be seen to pass.
    pub expected: BTreeSet<String>,
}

/// A line of `cargo --message-format=json`.
#[derive(Deserialize)]
struct Artifact {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Builds the tests, into a target directory of their own: other flags would build everything anew at each turn.
///
/// # Errors
/// When cargo fails.
pub fn build() -> Result<Suite> {
    let mut cargo = command("cargo", ["test", "--no-run", "--locked", "--package", "flow-agent", "--test", "kernel"]);
    cargo.args(["--target", TARGET, "--target-dir", "target/kernels/build"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    // Nothing of the guest's libraries is needed; symbols would only be copied about.
    cargo.args(["--config", "profile.dev.debug=false", "--config", "profile.dev.strip=true"]);
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let messages = output(&mut cargo)?;
    let tests = executable(&messages, "test", "kernel")?;
    let agent = executable(&messages, "bin", "flow-agent")?;
    let listed = output(command(&tests.to_string_lossy(), ["--list", "--format", "terse"]).stdin(Stdio::null()))?;
    Ok(Suite { tests, agent, expected: expected(&listed) })
}

/// The arguments that keep out what no guest runs.
pub fn skipped() -> impl Iterator<Item = &'static str> {
    NOT_IN_GUESTS.iter().map(|(name, _)| *name)
}

/// Says which tests no guest runs.
pub fn say_what_is_skipped() {
    for (name, why) in NOT_IN_GUESTS {
        eprintln!("not in guests: {name} ({why})");
    }
}

fn executable(messages: &str, kind: &str, name: &str) -> Result<PathBuf> {
    for line in messages.lines() {
        let artifact: Artifact = serde_json::from_str(line).context("failed to read cargo's messages")?;
        if let (Some(target), Some(executable)) = (artifact.target, artifact.executable)
            && target.name == name
            && target.kind.iter().any(|found| found == kind)
        {
            return Ok(executable);
        }
    }
    bail!("cargo built no {kind} `{name}`")
}

/// The tests in `name: test` lines that guests run.
fn expected(listed: &str) -> BTreeSet<String> {
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    names.filter(|name| !skipped().any(|skipped| name.contains(skipped))).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_of_a_target_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"flow-agent","kind":["bin"]},"executable":"/t/flow-agent"}
{"reason":"compiler-artifact","target":{"name":"kernel","kind":["test"]},"executable":"/t/kernel-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "test", "kernel").unwrap(), PathBuf::from("/t/kernel-1"));
        assert_eq!(executable(messages, "bin", "flow-agent").unwrap(), PathBuf::from("/t/flow-agent"));
        assert!(executable(messages, "bin", "kernel").is_err());
    }

    #[test]
    fn every_listed_test_is_expected() {
        let names: Vec<String> = expected("a::b: test\nc: test\n\n2 tests, 0 benchmarks\n").into_iter().collect();
        assert_eq!(names, ["a::b", "c"]);
    }
}
