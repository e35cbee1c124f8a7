//! What is done to rules and ipsets of iptables, by hand or by programs. Others have none that could be affected.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::kind::Kind;
use super::scene::Scene;
use super::{Interference, killed, row};

const SOON: Duration = Duration::from_millis(2_500);

fn everywhere(_: Kind) -> bool {
    true
}

fn always(kind: Kind) -> bool {
    kind.is_iptables()
}

fn with_nft_flushed(kind: Kind) -> bool {
    !kind.is_ebpf() && kind.is_with_nft()
}

fn with_nft(kind: Kind) -> bool {
    always(kind) && kind.is_with_nft()
}

fn with_ipsets(kind: Kind) -> bool {
    kind == Kind::Ipset
}

fn with_rules(kind: Kind) -> bool {
    always(kind) && kind != Kind::Ipset
}

/// All rows about rules and ipsets.
pub fn catalogue() -> Vec<Interference> {
    vec![
        row("flush", everywhere, |scene| scene.iptables("-t mangle -F")).harmless(Kind::is_apart_from_iptables),
        row("delete", always, delete),
        killed("delete, no agent there", always, delete),
        row("zero", everywhere, |scene| scene.iptables("-t mangle -Z")).harmless(Kind::is_apart_from_iptables),
        killed("zero, no agent there", always, |scene| scene.iptables("-t mangle -Z")),
        row("zero one family", always, zero_one_family),
        killed("zero one family, no agent there", always, zero_one_family),
        row("restore older counters", always, |scene| restore(scene, SOON, 1)),
        // Restored legacy rules cannot be distinguished from those that were there, unless a counter decreases.
        row("restore older counters at once", with_nft, |scene| restore(scene, Duration::from_millis(100), 1)),
        killed("restore older counters, no agent there", with_nft, |scene| restore(scene, SOON, 1)),
        row("restore older counters three times", always, |scene| restore(scene, SOON, 3)),
        row("restore older rules", always, older_rules),
        row("restore rules beside those that are there", with_nft, twice),
        row("rename a chain", always, rename),
        row("remove the way to the counters", always, remove_jumps),
        row("come first", everywhere, |scene| scene.iptables("-t mangle -I INPUT -p udp -j ACCEPT"))
            .harmless(Kind::is_apart_from_iptables),
        row("replace a chain", with_rules, replace_chain),
        row("empty ipsets", with_ipsets, |scene| {
            each_ipset(scene, |scene, name| drop(scene.host(&format!("ipset flush {name}"))))
        }),
        row("replace ipsets", with_ipsets, replace_ipsets),
        row("restore older ipsets", with_ipsets, older_ipsets),
        row("switch the variant of iptables", always, switch_variant),
        row("nft flush ruleset", Kind::is_with_nft, |scene| drop(scene.host("nft flush ruleset")))
            .harmless(Kind::is_ebpf)
            .removing_nft(),
        killed("nft flush ruleset, no agent there", with_nft_flushed, |scene| drop(scene.host("nft flush ruleset"))),
        replaced_before_a_failure(),
        row("keep the programs waiting", always, read_slowly).harmless(everywhere),
        row("chains as Docker makes them", everywhere, docker).harmless(everywhere),
    ]
}

/// The counters are replaced, and the next step fails. The bucket of the replaced counters must be closed all the same;
/// otherwise no bucket could be closed any more. Here the failing step concerns an interface that appeared meanwhile.
pub fn replaced_before_a_failure() -> Interference {
    row("delete, and refuse the next step", always, |scene| {
        scene.node.asleep(|| {
            scene.iptables("-t mangle -F");
            scene.iptables("-t mangle -X");
            scene.pair.join("wan2", "lan2");
            scene.host("ip addr add 10.97.0.2/24 dev wan2");
            scene.host("ip route add default via 10.97.0.1 dev wan2 metric 500");
            scene.variant.refuse("iptables-restore", "wan2");
        });
        scene.wait_for_log("interfaces are not counted", 1);
        scene.wait_for_log("no such match", 1);
        scene.pass(SOON);
        scene.variant.allow("iptables-restore");
    })
}

fn delete(scene: &mut Scene) {
    scene.iptables("-t mangle -F");
    scene.iptables("-t mangle -X");
}

fn zero_one_family(scene: &mut Scene) {
    scene.host(&format!("iptables-{} -t mangle -Z", scene.variant.name));
}

/// As `netfilter-persistent` and the reload of a firewall do it.
fn restore(scene: &mut Scene, after: Duration, times: usize) {
    let saved = scene.save();
    for _ in 0..times {
        scene.pass(after);
        scene.restore(&saved);
    }
}

/// The saved rules belong to a set of counters that was replaced since.
fn older_rules(scene: &mut Scene) {
    let saved = scene.save();
    delete(scene);
    scene.wait_for_log("some time was not measured", 1);
    scene.pass(SOON);
    scene.restore(&saved);
    scene.begin();
}

/// As by restoring a file with `--noflush`: packets enter the counters twice.
fn twice(scene: &mut Scene) {
    let saved = scene.save();
    scene.pass(SOON);
    crate::common::netns::inside(&scene.pair.host, || {
        for (program, rules) in ["iptables-restore", "ip6tables-restore"].into_iter().zip(&saved) {
            scene.variant.try_restore(program, &["-n", "-c"], rules);
        }
    });
}

fn rename(scene: &mut Scene) {
    for chain in scene.chains("-in").into_iter().filter(|chain| !chain.contains("ip-") && !chain.contains("rest")) {
        scene.iptables(&format!("-t mangle -E {chain} old-in"));
    }
}

fn remove_jumps(scene: &mut Scene) {
    for hook in ["INPUT", "OUTPUT"] {
        scene.iptables(&format!("-t mangle -D {hook} 1"));
    }
}

/// Somebody empties a chain of counters and fills it again from a listing: the rules are ours, but the counters are
/// not.
fn replace_chain(scene: &mut Scene) {
    for chain in scene.chains("-ui-0000") {
        for program in ["iptables", "ip6tables"] {
            let program = format!("{program}-{}", scene.variant.name);
            let rules = scene.host(&format!("{program}-save -t mangle"));
            scene.host(&format!("{program} -t mangle -F {chain}"));
            for rule in rules.lines().filter(|line| line.starts_with(&format!("-A {chain} "))) {
                scene.host(&format!("{program} -t mangle {rule}"));
            }
        }
    }
}

fn each_ipset(scene: &mut Scene, work: fn(&mut Scene, &str)) {
    let names = scene.host("ipset list -name");
    for name in names.lines().filter(|name| name.starts_with("flow-") && !name.contains("sealed")) {
        work(scene, name);
    }
}

/// Replaces each ipset by another one.
fn replace_ipsets(scene: &mut Scene) {
    each_ipset(scene, |scene, name| {
        if name.contains("still") {
            return;
        }
        scene.host("ipset create other bitmap:port range 0-65535 counters");
        for port in [0, 443, 8388] {
            scene.host(&format!("ipset add other {port}"));
        }
        scene.host(&format!("ipset swap other {name}"));
        scene.host("ipset destroy other");
    });
}

fn older_ipsets(scene: &mut Scene) {
    let saved = scene.host("ipset save");
    scene.pass(SOON);
    let file = scene.node.path("ipsets");
    std::fs::write(&file, saved).unwrap();
    scene.host(&format!("ipset restore -exist -file {}", file.display()));
}

/// A bucket is closed while reading takes longer than a second. It must not claim to end at a certain second.
fn read_slowly(scene: &mut Scene) {
    let programs = ["iptables-save", "ip6tables-save"];
    programs.iter().for_each(|program| scene.variant.delay(program));
    // When the state directory is created again, a bucket is closed at once.
    std::fs::rename(scene.node.state_dir(), scene.node.path("aside")).unwrap();
    scene.node.wait_for_buckets(1);
    programs.iter().for_each(|program| scene.variant.allow(program));
}

/// As `update-alternatives` does it.
fn switch_variant(scene: &mut Scene) {
    let other = if scene.variant.name == "nft" { "legacy" } else { "nft" };
    for program in ["iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore"] {
        scene.variant.remove(program);
        symlink(format!("/usr/sbin/xtables-{other}-multi"), scene.variant.program(program)).unwrap();
    }
    // From then on the host uses the other variant.
    for program in ["iptables", "ip6tables"] {
        scene.host(&format!("{program}-{other} -t filter -A INPUT -p tcp --dport 22 -j ACCEPT"));
    }
}

/// What dockerd was seen to do when it starts (24.0), without its network.
fn docker(scene: &mut Scene) {
    for arguments in [
        "-t nat -N DOCKER",
        "-t filter -N DOCKER",
        "-t filter -N DOCKER-ISOLATION-STAGE-1",
        "-t filter -N DOCKER-ISOLATION-STAGE-2",
        "-t filter -N DOCKER-USER",
        "-t filter -A DOCKER-USER -j RETURN",
        "-t filter -A DOCKER-ISOLATION-STAGE-1 -j RETURN",
        "-t filter -A DOCKER-ISOLATION-STAGE-2 -j RETURN",
        "-t filter -I FORWARD -j DOCKER-ISOLATION-STAGE-1",
        "-t filter -I FORWARD -j DOCKER-USER",
        "-t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-t nat -A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER",
        "-t filter -P FORWARD DROP",
    ] {
        scene.iptables(arguments);
    }
}
