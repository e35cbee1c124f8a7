//! `ship` is killed at every system call with an outside effect and run again. ClickHouse then holds exactly the sealed
//! figures.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};

use super::engine::Engine;
use super::node::{Node, expected, found, hours_from};
use crate::common::have_program;
use crate::fleet::PROGRAM;

/// The calls that change a file, or what ClickHouse knows. `recvfrom` comes right after ClickHouse knows it.
const CALLS: &str = "write,fsync,rename,mkdir,flock,sendto,recvfrom";

/// How many points are tried, unless all of them are requested.
const SAMPLE: usize = 24;

const HOURS: u64 = 50;

fn ship_under_strace(node: &Node, inject: Option<(&str, usize)>) -> ExitStatus {
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-o"]).arg(node.dir.path().join("strace")).args(["-e", &format!("trace={CALLS}")]);
    if let Some((call, n)) = inject {
        strace.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
    }
    strace.arg(PROGRAM).args(["ship", "--once", "--config"]).arg(node.config());
    strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

fn node(name: &str, engine: &Engine) -> Node {
    let node = Node::new(name, engine);
    node.put(&hours_from("2026-10-05T00:00:00+00:00", HOURS, 1, "boot-1"));
    node
}

#[test]
fn a_node_that_is_killed_anywhere_has_sent_everything_once_in_the_end() {
    if !have_program("strace", "kills at every system call") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let Some(engine) = Engine::start(dir.path(), None) else { return };
    let untouched = node("untouched", &engine);
    untouched.init();
    assert!(ship_under_strace(&untouched, None).success());
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    for line in fs::read_to_string(untouched.dir.path().join("strace")).unwrap().lines() {
        if let Some((call, _)) = line.split_once('(') {
            *calls.entry(call.to_owned()).or_default() += 1;
        }
    }
    assert!(calls["fsync"] >= 6 && calls["sendto"] >= 6 && calls["rename"] >= 3, "{calls:?}");
    let points: Vec<(&str, usize)> =
        calls.iter().flat_map(|(call, count)| (1..=*count).map(|n| (call.as_str(), n))).collect();
    let all = std::env::var("FLOW_AGENT_SWEEP").is_ok_and(|value| value == "all");
    let step = if all { 1 } else { points.len().div_ceil(SAMPLE) };
    let (mut run, mut killed) = (0, 0);
    for (call, n) in points.iter().copied().step_by(step) {
        let name = format!("{call}-{n}");
        let node = node(&name, &engine);
        let status = ship_under_strace(&node, Some((call, n)));
        // The number of reads for an answer differs from run to run, so some points may not be reached.
        let is_killed = status.signal() == Some(9) || status.code() == Some(137);
        assert!(is_killed || status.success(), "{name}: {status:?}");
        killed += usize::from(is_killed);
        node.ship().with_code(0);
        assert_eq!(found(&engine, &name), expected(HOURS), "killed at {name}");
        run += 1;
    }
    assert!(killed * 4 >= run * 3, "only {killed} of {run} runs were killed");
    println!("ship: {run} of {} points of {calls:?} were run", points.len());
}
