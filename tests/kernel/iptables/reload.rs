//! How the running agent copes with firewalls that reload, and with administrators who flush and zero rules: it is
//! noticed at the next checkpoint and recorded in the seal, and nothing is counted twice.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Variant;
use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::support::send;

/// A datagram of 100 bytes after 28 of headers.
const DATAGRAM: u64 = 128;

struct Reload {
    name: &'static str,
    /// The commands that it runs.
    commands: Vec<String>,
    loss: Loss,
}

/// What of ours is lost with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Loss {
    Nothing,
    /// The rules that lead to the counters. The counters continue from where they were.
    TheWay,
    Counters,
}

impl Reload {
    fn new(name: &'static str, loss: Loss, commands: impl IntoIterator<Item = String>) -> Self {
        Self { name, commands: commands.into_iter().collect(), loss }
    }
}

/// The commands that `ufw reload` runs with `MANAGE_BUILTINS` or without, those of `firewall-cmd --reload` (1.3.3,
/// Debian 12), and some that are typed by hand. `table` is the one with our counters.
fn reloads(table: &str) -> Vec<Reload> {
    let both = |arguments: String| ["iptables", "ip6tables"].map(|program| format!("{program} {arguments}"));
    let own = [
        "-N ufw-user-input",
        "-F ufw-user-input",
        "-Z ufw-user-input",
        "-A ufw-user-input -p tcp --dport 22 -j ACCEPT",
    ];
    let plain = ["-F", "-X"];
    let hooks = ["INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"];
    let built_in = plain.map(str::to_owned).into_iter().chain(hooks.map(|hook| format!("-t mangle -F {hook}")));
    let (built_in_loss, plain_loss) =
        if table == "filter" { (Loss::Counters, Loss::Counters) } else { (Loss::TheWay, Loss::Nothing) };
    let tables = ["filter", "mangle"].into_iter();
    let firewalld = tables.flat_map(|table| ["-F", "-X", "-Z"].map(|flag| format!("-t {table} {flag}")));
    vec![
        Reload::new("ufw", Loss::Nothing, own.iter().flat_map(|arguments| both((*arguments).to_owned()))),
        Reload::new("ufw that manages the built-in chains", built_in_loss, built_in.flat_map(both)),
        Reload::new("firewalld", Loss::Counters, firewalld.flat_map(both)),
        Reload::new("iptables -F", plain_loss, ["iptables -F".to_owned()]),
        Reload::new("iptables -F of our table", Loss::Counters, [format!("iptables -t {table} -F")]),
    ]
}

fn datagrams(pair: &Pair, count: usize) {
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, count));
}

fn seals(node: &Node) -> Vec<Value> {
    node.hourly().into_iter().filter(|line| line["kind"] == "seal").collect()
}

fn backend(variant: &Variant) -> &'static str {
    if variant.is_native() { "nftables" } else { "iptables" }
}

/// Removes the rules that lead to the counters.
fn remove_the_way(variant: &Variant) {
    if variant.is_native() {
        let tables = run(Command::new("nft").args(["list", "tables", "inet"]));
        let ours = tables.lines().find_map(|line| line.strip_prefix("table inet flow-")).unwrap();
        run(Command::new("nft").arg(format!("flush chain inet flow-{ours} input")));
    } else {
        ["INPUT", "OUTPUT"]
            .iter()
            .for_each(|chain| drop(variant.iptables("iptables", &format!("-t mangle -F {chain}"))));
    }
}

/// An agent that counts port 443 and has five datagrams in a checkpoint.
fn node_that_has_counted_five(pair: &Pair, variant: &Variant) -> Node {
    let mut node = Node::new(pair, &[443], "");
    node.use_programs(variant.path());
    node.start(&["--backend", backend(variant), "--checkpoint", "2s"]);
    datagrams(pair, 5);
    node.wait_for_checkpoint(443, 5 * DATAGRAM);
    node
}

/// Makes `work` remove our counters while seven datagrams pass, and sends eleven more once that was noticed.
fn take_and_go_on(pair: &Pair, variant: &Variant, loss: Loss, work: impl FnOnce()) -> Node {
    let mut node = node_that_has_counted_five(pair, variant);
    node.asleep(|| {
        work();
        datagrams(pair, 7);
    });
    let repaired = match loss {
        Loss::TheWay => "packets reach the counters first again",
        Loss::Nothing | Loss::Counters => "some time was not measured",
    };
    wait_until("it is repaired", Duration::from_secs(30), || node.log().contains(repaired));
    datagrams(pair, 11);
    node.stop();
    node
}

/// The five were known, nobody saw the seven, and the eleven are counted.
fn assert_told(node: &Node, loss: Loss, what: &str) {
    assert_eq!(node.totals()[&443]["udp_in_bytes"], 16 * DATAGRAM, "{what}: {}", node.log());
    let seals = seals(node);
    let gap = seals.iter().find(|seal| seal["quality"] == "gap").unwrap_or_else(|| panic!("{what}: {seals:?}"));
    let why = gap["gaps"][0]["why"].as_str().unwrap();
    assert!(why.contains("somebody "), "{what}: {why}");
    assert_eq!(seals[0]["epoch"] != seals[seals.len() - 1]["epoch"], loss == Loss::Counters, "{what}");
}

/// Nothing after the repair says that there was one: no bucket, and no checkpoint.
#[test]
fn an_agent_that_dies_right_after_a_repair_has_told_of_it_before() {
    for variant in Variant::every() {
        let Some(pair) = Pair::make() else { return };
        let program = if variant.is_native() { "nft" } else { "iptables-restore" };
        if !variant.is_native() {
            inside(&pair.host, || ["iptables", "ip6tables"].map(|program| variant.iptables(program, "-t mangle -L")));
        }
        let mut node = node_that_has_counted_five(&pair, &variant);
        node.asleep(|| {
            inside(&pair.host, || remove_the_way(&variant));
            variant.kill_the_caller_of(program);
            datagrams(&pair, 7);
        });
        assert_eq!(node.wait_for_end(), None, "{}", node.log());
        variant.allow(program);
        node.start(&["--backend", backend(&variant)]);
        datagrams(&pair, 11);
        node.stop();
        assert_told(&node, Loss::TheWay, variant.name);
    }
}

#[test]
fn a_reload_that_takes_our_counters_is_a_gap_and_others_are_nothing() {
    for variant in Variant::all() {
        // Our legacy rules are in the filter table only if no other table is in use.
        for table in if variant.name == "legacy" { &["mangle", "filter"][..] } else { &["mangle"] } {
            for reload in reloads(table) {
                let what = format!("{} ({}, {table})", reload.name, variant.name);
                let Some(pair) = Pair::make() else { return };
                inside(&pair.host, || {
                    for program in ["iptables", "ip6tables"] {
                        variant.iptables(program, &format!("-t {table} -L"));
                    }
                });
                let commands = || {
                    inside(&pair.host, || {
                        for command in &reload.commands {
                            let (program, arguments) = command.split_once(' ').unwrap();
                            variant.iptables(program, arguments);
                        }
                    });
                };
                if reload.loss != Loss::Nothing {
                    assert_told(&take_and_go_on(&pair, &variant, reload.loss, commands), reload.loss, &what);
                    continue;
                }
                let mut node = node_that_has_counted_five(&pair, &variant);
                node.asleep(commands);
                datagrams(&pair, 7);
                node.wait_for_checkpoint(443, 12 * DATAGRAM);
                node.stop();
                assert_eq!(node.totals()[&443]["udp_in_bytes"], 12 * DATAGRAM, "{what}");
                assert!(seals(&node).iter().all(|seal| seal["quality"] == "exact"), "{what}: {:?}", seals(&node));
            }
        }
    }
}

#[test]
fn a_flush_of_the_whole_ruleset_is_a_gap() {
    for variant in [Variant::both(true).into_iter().next(), Variant::native()].into_iter().flatten() {
        let Some(pair) = Pair::make() else { return };
        let flush = || drop(inside(&pair.host, || run(Command::new("nft").args(["flush", "ruleset"]))));
        assert_told(&take_and_go_on(&pair, &variant, Loss::Counters, flush), Loss::Counters, variant.name);
    }
}

#[test]
fn somebodys_zeroing_is_a_gap() {
    for variant in Variant::all() {
        let Some(pair) = Pair::make() else { return };
        let node = take_and_go_on(&pair, &variant, Loss::Counters, || {
            inside(&pair.host, || variant.iptables("iptables", "-t mangle -Z"));
        });
        // The five were known before. The seven were counted in rules that were zeroed before they were read, or in
        // ipsets, which nobody zeroed. The eleven were counted by other counters.
        let counted = if variant.has_ipset { 23 } else { 16 };
        assert_eq!(node.totals()[&443]["udp_in_bytes"], counted * DATAGRAM, "{}: {}", variant.name, node.log());
        let seals = seals(&node);
        assert_eq!(seals[0]["quality"], "gap", "{seals:?}");
        assert_ne!(seals[0]["epoch"], seals[seals.len() - 1]["epoch"]);
    }
}
