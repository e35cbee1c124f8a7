//! The kernel tests as guests run them: all tests of this host, except those that cannot run in a guest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::series::Series;
use crate::process::{command, output, run};

/// A test that some guest cannot run.
struct Exception {
    /// The beginning of the names of such tests.
    name: &'static str,
    /// The first series that can run it. `None` if no guest can.
    from: Option<(u32, u32)>,
    why: &'static str,
}

const TCX: Option<(u32, u32)> = Some((6, 6));

const EXCEPTIONS: &[Exception] = &[
    Exception { name: "adopt::another_place_takes_over", from: TCX, why: "moves to TCX and back" },
    Exception { name: "answers::", from: None, why: "tries clients, not kernels" },
    Exception { name: "attach::a_program_behind_ours", from: TCX, why: "needs a foreign program on TCX" },
    Exception { name: "attach::a_program_that_came_before", from: TCX, why: "needs a foreign program on TCX" },
    Exception { name: "attach::it_is_first_even", from: TCX, why: "needs a foreign program on TCX" },
    Exception { name: "attach::programs_behind", from: TCX, why: "needs a foreign program on TCX" },
    Exception { name: "changes::", from: None, why: "hundreds of changes, a second each when emulated" },
    // Faketime works by a preloaded library, which a statically linked program does not load.
    Exception { name: "clock::a_clock", from: None, why: "sets the clock of the agent alone" },
    Exception { name: "clock::a_machine", from: None, why: "sets the clock of the agent alone" },
    Exception { name: "interference::", from: None, why: "takes a minute each, and needs firewalls that guests lack" },
    Exception { name: "lacking::without_bpffs_", from: None, why: "traces every thread, too slow when emulated" },
    Exception { name: "metrics::", from: None, why: "needs Prometheus, which guests lack" },
    Exception { name: "quota::a_hundred_runs", from: None, why: "minutes on a real machine" },
    Exception { name: "quota::agent::", from: None, why: "measures seconds, too slow when emulated" },
    Exception { name: "quota::rules::", from: None, why: "measures seconds, too slow when emulated" },
    Exception { name: "soak::", from: None, why: "hundreds of starts, seconds each when emulated" },
    Exception { name: "store::", from: None, why: "tries disks, not kernels" },
    Exception { name: "upgrade::", from: None, why: "hundreds of starts, seconds each when emulated" },
];

/// The prefixes of the names of tests whose results differ between kernels. `--quick` runs only these.
const QUICK: &[&str] = &[
    // Whether the programs load, how many instructions the verifier processes, and where `auto` attaches.
    "verifier::",
    "place::",
    // Both directions at both places, restarts, and a successor.
    "attach::datagrams_",
    "attach::a_stream_",
    "attach::ten_restarts_",
    "adopt::a_killed_agents_",
    // The second set of classifiers, and a budget used by four senders.
    "gated::",
    "quota::a_port_transfers_",
    // Super-packets and fragments of both address families, compared with iptables.
    "iptables::counted::ebpf_",
    "parts::",
    // Both variants of iptables, with and without ipsets.
    "iptables::counted::datagrams_",
    "iptables::ipsets::a_host_without_",
    // The messages when something is missing, and what counts instead.
    "lacking::",
    "privileges::",
];

/// The prefixes of the names of tests that run a second time, on a kernel that restricts eBPF as much as it can: tests
/// of loading, attaching and counting, and of the messages when something is missing.
const GUARDED: &[&str] = &["attach::datagrams_", "counted::the_hourly_log", "privileges::", "verifier::every_program"];

/// The selection of tests.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Only tests whose names contain this text.
    pub filter: Option<&'a str>,
    /// Only tests whose results differ between kernels.
    pub quick: bool,
}

/// The names of the tests that a guest runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestPlan {
    pub names: BTreeSet<String>,
    /// The tests that run once more while eBPF is restricted.
    pub guarded: BTreeSet<String>,
}

impl TestPlan {
    /// The names of all tests that must pass, as they appear on the console.
    pub fn expected(&self) -> BTreeSet<String> {
        let guarded = self.guarded.iter().map(|name| format!("guarded: {name}"));
        self.names.iter().cloned().chain(guarded).collect()
    }
}

/// A program built by cargo.
pub struct Program {
    /// The path at which the tests expect it.
    pub built: PathBuf,
    /// A copy without debug information, which is most of the file.
    pub stripped: PathBuf,
}

/// The test program and the agent that it tests.
pub struct Suite {
    pub tests: Program,
    pub agent: Program,
    /// The names of the selected tests.
    names: BTreeSet<String>,
}

impl Suite {
    /// The tests that must pass on a kernel of `series`. Prints which are left out, and why.
    pub fn plan_for(&self, series: &Series) -> TestPlan {
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
        let guarded = names.iter().filter(|name| begins_with_one_of(GUARDED, name)).cloned().collect();
        TestPlan { names, guarded }
    }
}

fn begins_with_one_of(beginnings: &[&str], name: &str) -> bool {
    beginnings.iter().any(|beginning| name.starts_with(beginning))
}

/// A line of the output of `cargo --message-format=json`.
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

/// Builds the tests with the same options as `cargo test`, so that nothing is built twice. Puts stripped copies into
/// `directory`.
///
/// # Errors
/// When cargo fails.
pub fn build(choice: Choice<'_>, directory: &Path) -> Result<Suite> {
    let arguments =
        ["test", "--workspace", "--features", "flow-agent/sqlite", "--locked", "--no-run", "--test", "kernel"];
    let mut cargo = command("cargo", arguments);
    let messages = output(cargo.args(["--message-format", "json-render-diagnostics"]))?;
    let strip = |kind, name| strip(executable(&messages, kind, name)?, directory.join(name));
    let (tests, agent) = (strip("test", "kernel")?, strip("bin", "flow-agent")?);
    let mut list = command(&tests.built.to_string_lossy(), ["--list", "--format=terse"]);
    let listed = output(list.args(choice.filter))?;
    let names = listed.lines().filter_map(|line| line.strip_suffix(": test"));
    let names = names.filter(|name| !choice.quick || begins_with_one_of(QUICK, name)).map(str::to_owned).collect();
    Ok(Suite { tests, agent, names })
}

fn strip(built: PathBuf, stripped: PathBuf) -> Result<Program> {
    run(command("strip", ["--strip-debug", "-o"]).args([&stripped, &built]))?;
    Ok(Program { built, stripped })
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
mod tests;
