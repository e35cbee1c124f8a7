//! `flow-agent uninstall` by the real program: the last bytes are in the log before their counters go.

use std::fs;
use std::process::Command;

use crate::agent::Node;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, WAN, inside, run};
use crate::common::observer::Observer;
use crate::soak::{SmallDisk, compare_at_rest};
use crate::support::sets_of_all_instances;

const PORTS: [u16; 4] = [443, 4433, 8388, 9000];

/// Runs `uninstall`, which must succeed, and looks that nothing is left.
fn uninstall(node: &Node, pair: &Pair) {
    let output = node.command(&["uninstall"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sets_of_all_instances(pair), [""; 0]);
    let attached = inside(&pair.host, || run(Command::new("bpftool").args(["net", "show"])));
    assert!(!attached.contains("gress"), "{attached}");
    let rules = inside(&pair.host, || run(Command::new("iptables-save").args(["-t", "mangle"])));
    assert!(!rules.contains("flow-"), "{rules}");
}

#[test]
fn what_the_command_line_told_an_agent_to_count_is_in_the_last_bucket() {
    let Some(pair) = Pair::make() else { return };
    // The configuration names no port, and an interface that is not there.
    let mut node = Node::new(&pair, &[], "");
    let config = fs::read_to_string(node.path("config.toml")).unwrap();
    let config = config.replace("[count]\n", "[count]\ninterfaces = [\"not-there\"]\n");
    fs::write(node.path("config.toml"), config).unwrap();
    let ports = PORTS.map(|port| port.to_string());
    for backend in ["ebpf", "iptables"] {
        let arguments = ["--backend", backend, "--interface", WAN, "--ports"];
        let arguments: Vec<&str> = arguments.into_iter().chain(ports.iter().map(String::as_str)).collect();
        node.start(&arguments);
        let observer = Observer::install(&pair.host, &PORTS);
        let flood = Flood::begin(&pair, &PORTS);
        flood.pass(1_000);
        node.stop();
        flood.pass(1_000);
        flood.end();
        uninstall(&node, &pair);
        compare_at_rest(&node, &observer);
        inside(&pair.host, || run(Command::new("iptables").args(["-F"])));
        fs::remove_dir_all(node.state_dir()).unwrap();
    }
}

#[test]
fn counters_whose_last_bucket_cannot_be_written_stay() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    let disk = SmallDisk::mount(node.state_dir());
    node.start(&[]);
    let observer = Observer::install(&pair.host, &PORTS);
    let flood = Flood::begin(&pair, &PORTS);
    flood.pass(1_000);
    node.stop();
    flood.pass(1_000);
    flood.end();
    disk.fill();
    let refused = node.command(&["uninstall"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("help: make room") && !sets_of_all_instances(&pair).is_empty(), "{said}");
    disk.free();
    uninstall(&node, &pair);
    compare_at_rest(&node, &observer);
}
