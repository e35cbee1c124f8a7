//! The kernel tests as guests run them: those of this host, without those that cannot run there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::series::Series;
use crate::process::{command, output, run};

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
    Exception { name: "answers::", from: None, why: "tries clients, not kernels" },
    Exception { name: "attach::a_program_behind_ours", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::a_program_that_came_before", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::it_is_first_even", from: TCX, why: "a stranger on TCX" },
    Exception { name: "attach::programs_behind", from: TCX, why: "a stranger on TCX" },
    Exception { name: "changes::", from: None, why: "hundreds of changes, of a second each when emulated" },
    // A program that is linked statically loads no library that sets its clock.
    Exception { name: "clock::a_clock", from: None, why: "sets the clock of the agent alone" },
    Exception { name: "clock::a_machine", from: None, why: "sets the clock of the agent alone" },
    Exception { name: "interference::", from: None, why: "a minute each, and firewalls that guests have not" },
    Exception { name: "lacking::without_bpffs_", from: None, why: "traces every thread, too slow when emulated" },
    Exception { name: "metrics::", from: None, why: "a Prometheus, which guests have not" },
    Exception { name: "quota::a_hundred_runs", from: None, why: "minutes on a real machine" },
    Exception { name: "soak::", from: None, why: "hundreds of starts, of seconds each when emulated" },
    Exception { name: "store::", from: None, why: "tries disks, not kernels" },
    Exception { name: "upgrade::", from: None, why: "hundreds of starts, of seconds each when emulated" },
];

/// The tests, by the beginnings of their names, of what differs from kernel to kernel: all that `--quick` runs.
const QUICK: &[&str] = &[
    // Whether it loads, how much the verifier reads, and where `auto` attaches it.
    "verifier::",
    "place::",
    // Both directions of both places; restarts; a successor.
    "attach::datagrams_",
    "attach::a_stream_",
    "attach::ten_restarts_",
    "adopt::a_killed_agents_",
    // The second set of classifiers, and a budget against four senders.
    "gated::",
    "quota::a_port_transfers_",
    // Super-packets and fragments of both families, against iptables.
    "iptables::counted::ebpf_",
    "parts::",
    // Both variants of iptables, with ipsets and without.
    "iptables::counted::datagrams_",
    "iptables::ipsets::a_host_without_",
    // What is said, and what counts instead.
    "lacking::",
    "privileges::",
];

/// The tests, by the beginnings of their names, that are run a second time, on a kernel that guards eBPF as well as it can:
/// those of loading, of attaching and counting, and of what is said where something is missing.
const GUARDED: &[&str] = &["attach::datagrams_", "counted::the_hourly_log", "privileges::", "verifier::every_program"];

/// Which of the tests were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'a> {
    /// Those whose names contain this.
    pub filter: Option<&'a str>,
    /// Those of what differs from kernel to kernel.
    pub quick: bool,
}

/// The tests that a guest runs, by their names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestPlan {
    pub names: BTreeSet<String>,
    /// Once more, when eBPF is guarded.
    pub guarded: BTreeSet<String>,
}

impl TestPlan {
    /// What must be seen to pass.
    pub fn expected(&self) -> BTreeSet<String> {
        let guarded = self.guarded.iter().map(|name| format!("guarded: {name}"));
        self.names.iter().cloned().chain(guarded).collect()
    }
}

/// What cargo built.
pub struct Program {
    /// Where the tests expect it.
    pub built: PathBuf,
    /// A copy without what only a debugger reads, which is most of it.
    pub stripped: PathBuf,
}

/// The tests, and what they try.
pub struct Suite {
    pub tests: Program,
    pub agent: Program,
    /// The tests that were asked for.
    names: BTreeSet<String>,
}

impl Suite {
    /// The tests that must be seen to pass on a kernel of `series`; says which are left out, and why.
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

/// Builds the tests, as `cargo test` does: what that built is not built again. Stripped copies lie in `directory`.
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
