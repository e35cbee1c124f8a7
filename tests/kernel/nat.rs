//! NAT rules that affect a watched port are reported, whoever made them, and do not change what is counted.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::agent::Node;
use crate::common::daemon::{in_netns, wait_until};
use crate::common::have_program;
use crate::common::netns::{HOST4, PEER4, Pair, inside, run};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(20);

/// Port hopping, in the syntax of iptables-restore and of nft.
const HOPS: &str = "*nat\n-A PREROUTING -p udp --dport 20000:20010 -j REDIRECT --to-ports 443\nCOMMIT\n";
const NATIVE: &str = "table inet hops {\n chain in {\n  type nat hook prerouting priority dstnat;\n\
                      udp dport 30000-30010 redirect to :443\n }\n}\n";

fn feed(pair: &Pair, program: &str, arguments: &[&str], input: &str) {
    let mut command = in_netns(&pair.host, program);
    let mut child = command.args(arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{program} failed");
}

#[test]
fn a_rule_that_touches_a_watched_port_is_told_whoever_made_it() {
    let Some(pair) = Pair::make() else { return };
    if !["iptables-legacy-restore", "iptables-nft-restore", "nft"].iter().all(|program| have_program(program, "NAT")) {
        return;
    }
    feed(&pair, "iptables-legacy-restore", &[], HOPS);
    feed(&pair, "ip6tables-nft-restore", &[], HOPS);
    feed(&pair, "nft", &["-f", "-"], NATIVE);
    let said = |node: &Node, text: &str| {
        let text = format!("NAT touches port 443: {text}");
        wait_until("the rule is told", DEADLINE, || node.log().contains(&text));
    };
    let means = "traffic to ports 20000-20010 is redirected to port 443; eBPF counts it on ports 20000-20010; \
                 nftables and iptables, if it stays on this host, on port 443";
    let rule = "`-t nat -A PREROUTING -p udp -m udp --dport 20000:20010 -j REDIRECT --to-ports 443`";
    let mut node = Node::new(&pair, &[443, 20_003], "");
    node.start(&["--ports", "443"]);
    said(&node, &format!("iptables-legacy rule {rule}: {means}"));
    wait_until("the rule is told", DEADLINE, || node.log().contains(&format!("rule {rule}: {means}")));
    wait_until("the rule is told", DEADLINE, || {
        node.log().contains("in `inet hops in`: traffic to ports 30000-30010 is redirected to port 443")
    });
    node.stop();

    // The report is right: it is counted under the port at which it arrives.
    node.start(&[]);
    inside(&pair.peer, || send(PEER4, (HOST4, 20_003), 100, 7));
    node.stop();
    let totals = node.totals();
    assert_eq!((totals[&443]["udp_in_packets"], totals[&20_003]["udp_in_packets"]), (0, 7));

    let checked = node.command(&["check"]);
    let text = String::from_utf8(checked.stdout).unwrap();
    assert!(text.contains("NAT touches ports 443,20003: iptables"), "{text}");
    assert!(text.contains("watch the ports before and after the rule"), "{text}");
}

/// iptables shows nothing of this, although the table has the name of its own: the chain's name is in lower case.
const HIDDEN: &str = "table ip nat {\n chain prerouting {\n  type nat hook prerouting priority dstnat;\n\
                      tcp dport 8000 redirect to :8001\n }\n}\n";

#[test]
fn a_native_rule_in_the_table_of_iptables_is_told_once() {
    let Some(pair) = Pair::make() else { return };
    if !["iptables-nft-save", "nft"].iter().all(|program| have_program(program, "NAT")) {
        return;
    }
    feed(&pair, "nft", &["-f", "-"], HIDDEN);
    let mut node = Node::new(&pair, &[8000, 8001], "");
    node.start(&[]);
    let expected = "`ip nat prerouting`: traffic to port 8000 is redirected to port 8001";
    wait_until("the rule is told", DEADLINE, || node.log().contains(expected));
    assert_eq!(node.log().matches("traffic to port 8000 is redirected").count(), 1, "{}", node.log());
}

#[test]
fn programs_that_fail_hang_or_lie_do_not_stop_counting() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    let programs = node.path("programs");
    fs::create_dir(&programs).unwrap();
    for (name, text) in [
        ("iptables-save", "echo '*nat'; echo half"),
        ("iptables-restore", "echo iptables 1.8"),
        ("ip6tables-save", "exit 3"),
        ("ip6tables-restore", "echo iptables 1.8 nf_tables"),
        // This one hangs and prints nothing.
        ("nft", "echo $$ >> \"$0.pid\"; exec sleep 1000"),
    ] {
        let path = programs.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    node.start_under(&["env", &format!("PATH={path}")], &["--bucket", "1s"]);
    let pid = programs.join("nft.pid");
    wait_until("nft hangs", DEADLINE, || fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n')));
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 5));
    node.wait_for_buckets(2);
    node.stop();
    for pid in fs::read_to_string(&pid).unwrap().lines() {
        run(Command::new("kill").arg(pid));
    }
    assert_eq!(node.totals()[&443]["udp_in_packets"], 5);
}
