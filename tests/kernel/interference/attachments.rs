//! What is done to the programs of eBPF where they are attached: links, filters, qdiscs, and programs in front of ours.

use super::kind::Kind;
use super::scene::Scene;
use super::{Interference, killed, row};
use crate::common::netns::{WAN, inside};
use crate::stranger::{self, TCX_EGRESS, TCX_INGRESS, TCX_NEXT, TCX_PASS, attach_first};
use crate::support::{has_tcx, index_of};

fn with_tcx(kind: Kind) -> bool {
    kind == Kind::Tcx
}

fn with_clsact(kind: Kind) -> bool {
    kind == Kind::Clsact
}

fn with_clsact_on_a_kernel_with_tcx(kind: Kind) -> bool {
    kind == Kind::Clsact && has_tcx()
}

/// All rows about attachments.
pub fn catalogue() -> Vec<Interference> {
    vec![
        row("detach the counters", Kind::is_ebpf, detach),
        killed("detach the counters, no agent there", Kind::is_ebpf, detach),
        row("detach one direction", Kind::is_ebpf, |scene| detach_at(scene, "ingress")),
        row("delete clsact", with_clsact, delete_clsact),
        killed("delete clsact, no agent there", with_clsact, delete_clsact),
        row("make and delete clsact beside the counters", with_tcx, |scene| {
            scene.host("tc qdisc add dev wan clsact");
            delete_clsact(scene);
        })
        .harmless(with_tcx),
        row("come first, and let packets pass", with_tcx, |scene| come_first(scene, TCX_PASS)),
        killed("come first, and let packets pass, no agent there", with_tcx, |scene| come_first(scene, TCX_PASS)),
        row("come first, and hand packets on", with_tcx, |scene| come_first(scene, TCX_NEXT)),
        row("come first with a filter", with_clsact, filter_first),
        killed("come first with a filter, no agent there", with_clsact, filter_first),
        row("come before clsact for a while", with_clsact_on_a_kernel_with_tcx, |scene| {
            come_first(scene, TCX_PASS);
            scene.wait_for_log("came before the counter", 1);
            scene.strangers.clear();
        }),
    ]
}

fn detach(scene: &mut Scene) {
    detach_at(scene, "ingress");
    detach_at(scene, "egress");
}

/// Links are detached through their pins, which is all that `bpftool` needs.
fn detach_at(scene: &mut Scene, direction: &str) {
    if scene.kind == Kind::Clsact {
        scene.host(&format!("tc filter del dev {WAN} {direction}"));
        return;
    }
    let links = std::fs::read_dir(scene.node.pins().join("links")).unwrap().map(|entry| entry.unwrap().path());
    let word = if direction == "ingress" { "-in-" } else { "-out-" };
    let link = links.into_iter().find(|path| path.to_string_lossy().contains(word));
    scene.host(&format!("bpftool link detach pinned {}", link.expect("it is pinned").display()));
}

fn delete_clsact(scene: &mut Scene) {
    scene.host(&format!("tc qdisc del dev {WAN} clsact"));
}

fn come_first(scene: &mut Scene, verdict: i32) {
    let host = scene.pair.host.clone();
    let attach = || [TCX_INGRESS, TCX_EGRESS].map(|hook| attach_first(index_of(WAN), hook, verdict).unwrap());
    scene.strangers.extend(inside(&host, attach));
}

/// Packets meet the newest filter of a priority first.
fn filter_first(scene: &mut Scene) {
    let program = scene.pair.bpffs.join("stranger");
    stranger::pin(TCX_PASS, &program).unwrap();
    for direction in ["ingress", "egress"] {
        let add = format!("tc filter add dev {WAN} {direction} prio 1 handle 1 bpf direct-action");
        scene.host(&format!("{add} object-pinned {}", program.display()));
    }
}
