//! `flow-agent uninstall` by the real program: the last bytes are in the log before their counters are removed.

use std::fs;
use std::process::Command;

use aya::programs::SchedClassifier;
use aya::programs::tc::TcAttachType;

use crate::agent::Node;
use crate::common::flood::Flood;
use crate::common::netns::{Pair, WAN, inside, run};
use crate::common::observer::Observer;
use crate::soak::{SmallDisk, compare_at_rest};
use crate::support::{has_tcx, sets_of_all_instances};

const PORTS: [u16; 4] = [443, 4433, 8388, 9000];

/// Runs `uninstall`, which must succeed, and checks that nothing is left.
fn uninstall(node: &Node, pair: &Pair) {
    let output = node.command(&["uninstall"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(sets_of_all_instances(pair), [""; 0]);
    let attached = inside(&pair.host, || run(Command::new("bpftool").args(["net", "show"])));
    assert!(!attached.contains("gress"), "{attached}");
    assert_eq!(inside(&pair.host, attached_by_tcx), 0);
    let rules = inside(&pair.host, || run(Command::new("iptables-save").args(["-t", "mangle"])));
    assert!(!rules.contains("flow-"), "{rules}");
    assert!(!node.socket().exists());
}

#[test]
fn what_the_command_line_told_an_agent_to_count_is_in_the_last_bucket() {
    let Some(pair) = Pair::make() else { return };
    // The configuration names no port, and an interface that does not exist.
    let mut node = Node::new(&pair, &[], "");
    let config = fs::read_to_string(node.path("config.toml")).unwrap();
    let config = config.replace("[count]\n", "[count]\ninterfaces = [\"not-there\"]\n");
    fs::write(node.path("config.toml"), config).unwrap();
    let ports = PORTS.map(|port| port.to_string());
    for backend in ["ebpf", "nftables", "iptables"] {
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
    // It leaves its socket, too.
    node.kill();
    assert!(node.socket().exists());
    flood.pass(1_000);
    flood.end();
    disk.fill();
    let refused = node.command(&["uninstall"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(5), "{said}");
    assert!(said.contains("help: free some space") && !sets_of_all_instances(&pair).is_empty(), "{said}");
    disk.free();
    uninstall(&node, &pair);
    compare_at_rest(&node, &observer);
}

/// Whether none of our programs, filters and rules are in the host.
fn is_clean(pair: &Pair) -> bool {
    inside(&pair.host, || {
        let filters = run(Command::new("bpftool").args(["net", "show"]));
        let rules = run(Command::new("iptables-save").args(["-t", "mangle"]));
        attached_by_tcx() == 0 && !filters.contains("flow-agent") && !rules.contains("flow-")
    })
}

/// How many programs are attached to the host's device with TCX. The bpftool of Debian 12 does not list them.
pub fn attached_by_tcx() -> usize {
    if !has_tcx() {
        return 0;
    }
    let attached = |hook| SchedClassifier::query_tcx(WAN, hook).map_or(0, |(_, programs)| programs.len());
    attached(TcAttachType::Ingress) + attached(TcAttachType::Egress)
}

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}

/// What is lost, and how.
type Loss = (&'static str, fn(&Node));

#[test]
fn what_a_lost_state_directory_left_is_shown_and_removed() {
    let lost: [Loss; 2] = [
        ("the instance", |node| fs::remove_file(node.state_dir().join("instance")).unwrap()),
        ("the state directory", |node| fs::remove_dir_all(node.state_dir()).unwrap()),
    ];
    for (what, lose) in lost {
        for arguments in [&["--attach", "auto"][..], &["--attach", "clsact"], &["--iptables"]] {
            let Some(pair) = Pair::make() else { return };
            let mut node = Node::new(&pair, &PORTS, "");
            node.start(arguments);
            let instance = fs::read_to_string(node.state_dir().join("instance")).unwrap();
            node.kill();
            lose(&node);
            let is_ebpf = arguments[0] == "--attach";
            if is_ebpf {
                let refused = node.command(&[&["run", "--once"], arguments].concat());
                assert_eq!(refused.status.code(), Some(4), "{what}: {}", text(&refused));
                assert!(text(&refused).contains("flow-agent uninstall --all"), "{}", text(&refused));
            }
            let check = node.command(&["check"]);
            let line = if is_ebpf { format!("instance {}", instance.trim()) } else { "rules flow-".to_owned() };
            let said = text(&check);
            let line = said.lines().find(|text| text.contains(&line)).unwrap_or_else(|| panic!("{said}"));
            assert!(line.contains("(another state directory's): attached to wan; counters of 4 ports"), "{line}");
            assert_eq!(check.status.code(), Some(4), "{said}");

            let plain = node.command(&["uninstall"]);
            assert!(text(&plain).contains("`flow-agent uninstall --all` shows them"), "{}", text(&plain));
            // Nobody confirms.
            let asked = node.command(&["uninstall", "--all"]);
            assert_eq!(asked.status.code(), Some(6), "{}", text(&asked));
            assert!(text(&asked).contains("nothing was changed") && !is_clean(&pair), "{}", text(&asked));

            let removed = node.command(&["uninstall", "--all", "--yes"]);
            assert!(removed.status.success(), "{}", text(&removed));
            assert!(is_clean(&pair), "{}", text(&removed));
            assert!(!pair.bpffs.join("flow-agent").exists());
            node.start(arguments);
            node.stop();
        }
    }
}

#[test]
fn an_agent_that_runs_is_not_uninstalled_by_another() {
    let Some(pair) = Pair::make() else { return };
    for arguments in [&["--attach", "auto"][..], &["--attach", "clsact"], &["--iptables"]] {
        let mut node = Node::new(&pair, &PORTS, "");
        node.start(arguments);
        let observer = Observer::install(&pair.host, &PORTS);
        let flood = Flood::begin(&pair, &PORTS);
        let other = Node::new(&pair, &PORTS, "");
        let refused = other.command(&["uninstall", "--all", "--yes"]);
        assert_eq!(refused.status.code(), Some(5), "{}", text(&refused));
        flood.pass(500);
        flood.end();
        node.stop();
        compare_at_rest(&node, &observer);
        inside(&pair.host, || run(Command::new("iptables").args(["-F"])));
        let own = node.command(&["uninstall", "--all", "--yes"]);
        assert!(own.status.success() && text(&own).contains("(this state directory's)"), "{}", text(&own));
        assert!(is_clean(&pair));
    }
}

#[test]
fn a_counter_whose_pins_are_elsewhere_is_shown_and_removed() {
    if !has_tcx() {
        return;
    }
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &PORTS, "");
    node.start(&[]);
    let elsewhere = node.path("another-bpffs");
    let other = Node::new(&pair, &PORTS, "");
    other.replace_config(&format!("bpffs = {:?}", pair.bpffs), &format!("bpffs = {elsewhere:?}"));
    let busy = other.command(&["uninstall", "--all", "--yes"]);
    assert_eq!(busy.status.code(), Some(5), "{}", text(&busy));
    node.kill();
    let removed = other.command(&["uninstall", "--all", "--yes"]);
    assert!(removed.status.success(), "{}", text(&removed));
    assert!(
        text(&removed).contains("a counter whose pins are not in this bpffs: attached to wan"),
        "{}",
        text(&removed)
    );
    assert!(is_clean(&pair));
}
