//! The kernel tests as guests run them: statically linked, and without those that cannot run there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::series::Series;
use crate::process::{command, output};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A test that some guest cannot run.
struct Exception {
    /// The beginning of its name.
    name: &'static str,
    /// The first series that can run it; none if no guest can.
    from: Option<(u32, u32)>,
    why: &'static str,
}

const TCX: Option<(u32, u32)> = Some((6, 6));

const EXCEPTIONS: &[Exception] = &[
    Exception { name: "adopt::another_place_takes_over", from: TCX, why: "moves to TCX and back" },
    Exception { name: "attach::a_program_behind_ours", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::a_program_that_came_before", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::it_is_first_even", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::programs_behind", from: TCX, why: "a stranger on TCX" },
    Exception { name: "soak::", from: None, why: "hundreds of starts, of seconds each when emulated" },
    Exception { name: "store::", from: None, why: "tries disks, not kernels" },
];

/// What cargo built.
pub struct Suite {
    /// The test binary.
    pub tests: PathBuf,
    /// The agent, where the tests expect it.
    pub agent: PathBuf,
    /// The tests that were asked for.
    names: BTreeSet<String>,
}

impl Suite {
    /// The tests that must be seen to pass on a kernel of `series`; says which are left out, and why.
    pub fn tests_for(&self, series: &Series) -> BTreeSet<String> {
        let left_out = |name: &str| {
            let from_later = |from: Option<(u32, u32)>| from.is_none_or(|from| series.version() < from);
            EXCEPTIONS.iter().find(|exception| name.starts_with(exception.name) && from_later(exception.from))
        };
        let mut names = self.names.clone();
        names.retain(|name| match left_out(name) {
            Some(exception) => {
                eprintln!("not on {}: {name} ({})", series.name, exception.why);
                false
            }
            None => true,
        });
        names
    }
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

/// Builds the tests, into a target directory of their own: other flags would build everything anew at each turn. Those
/// whose names contain `filter` are to be run.
///
/// # Errors
/// When cargo fails.
pub fn build(filter: Option<&str>) -> Result<Suite> {
    let mut cargo = command("cargo", ["test", "--no-run", "--locked", "--package", "flow-agent", "--test", "kernel"]);
    cargo.args(["--target", TARGET, "--target-dir", "target/kernels/build"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    // Symbols would only be copied about. The library that parses the kernel's types takes seconds on an emulated machine
    // when it is not optimised.
    for setting in ["debug=false", "strip=true", "package.aya-obj.opt-level=3"] {
        cargo.arg("--config").arg(format!("profile.dev.{setting}"));
    }
    cargo.env("RUSTFLAGS", "-C target-feature=+crt-static").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let messages = output(&mut cargo)?;
    let tests = executable(&messages, "test", "kernel")?;
    let agent = executable(&messages, "bin", "flow-agent")?;
    // Statically linked, it runs here too.
    let mut list = command(&tests.to_string_lossy(), ["--list", "--format=terse"]);
    let listed = output(list.args(filter))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect();
    Ok(Suite { tests, agent, names })
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

#[cfg(test)]
mod tests {
    use super::super::series::named;
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
    fn what_a_kernel_cannot_run_is_left_out_on_that_kernel_alone() {
        let names = ["adopt::a", "attach::it_is_first_even_so", "soak::b"].map(str::to_owned).into();
        let suite = Suite { tests: PathBuf::new(), agent: PathBuf::new(), names };
        let names_for = |series| suite.tests_for(named(series).unwrap()).into_iter().collect::<Vec<_>>();
        assert_eq!(names_for("5.10"), ["adopt::a"]);
        assert_eq!(names_for("6.12"), ["adopt::a", "attach::it_is_first_even_so"]);
    }
}
