//! What is done to our table of nftables, by hand or by restoring a saved ruleset.

use std::time::Duration;

use super::kind::Kind;
use super::scene::Scene;
use super::{Interference, killed, row};

const SOON: Duration = Duration::from_millis(2_500);

fn native(kind: Kind) -> bool {
    kind == Kind::Native
}

/// All rows about our table.
pub fn catalogue() -> Vec<Interference> {
    vec![
        row("delete the table", native, |scene| on_table(scene, "delete table inet TABLE")),
        killed("delete the table, no agent there", native, |scene| on_table(scene, "delete table inet TABLE")),
        row("flush the table", native, |scene| on_table(scene, "flush table inet TABLE")),
        killed("flush the table, no agent there", native, |scene| on_table(scene, "flush table inet TABLE")),
        row("switch the table off", native, |scene| on_table(scene, "add table inet TABLE { flags dormant; }")),
        killed("switch the table off, no agent there", native, |scene| {
            on_table(scene, "add table inet TABLE { flags dormant; }");
        }),
        row("come first in the table", native, |scene| {
            on_table(scene, "insert rule inet TABLE input meta l4proto udp accept");
        }),
        row("remove the way to the table's counters", native, |scene| on_table(scene, "flush chain inet TABLE input")),
        killed("remove the way to the table's counters, no agent there", native, |scene| {
            on_table(scene, "flush chain inet TABLE input");
        }),
        row("remove the way to the table's counters and make it again", native, |scene| {
            let (table, set) = (table(scene), counters(scene));
            scene.host(&format!("nft flush chain inet {table} input"));
            scene.pass(Duration::from_millis(200));
            scene.host(&format!("nft add rule inet {table} input iifname wan goto {set}-in"));
        }),
        row("remove a chain of the table", native, remove_outgoing_chain),
        killed("remove a chain of the table, no agent there", native, remove_outgoing_chain),
        row("look up the table's counters in a chain of its own", native, look_up),
        killed("look up the table's counters in a chain of its own, no agent there", native, look_up),
        row("look up a counter before it is counted", native, |scene| {
            let (table, set) = (table(scene), counters(scene));
            scene.host(&format!("nft insert rule inet {table} {set}-in udp dport @{set}-ui"));
        }),
        row("replace elements", native, replace_elements),
        killed("replace elements, no agent there", native, replace_elements),
        row("restore an older table", native, |scene| restore(scene, SOON, 1)),
        row("restore an older table at once", native, |scene| restore(scene, Duration::from_millis(100), 1)),
        row("restore an older table three times", native, |scene| restore(scene, SOON, 3)),
        killed("restore an older table, no agent there", native, |scene| restore(scene, SOON, 1)),
        row("restore the table beside what is there", native, |scene| {
            let saved = save(scene);
            scene.pass(SOON);
            load(scene, &saved);
        }),
        row("add and remove rules elsewhere", native, |scene| {
            for _ in 0..50 {
                scene.host("nft add table inet other");
                scene.host("nft add chain inet other c");
                scene.host("nft add rule inet other c counter");
                scene.host("nft delete table inet other");
            }
        })
        .harmless(native),
    ]
}

/// The name of our table.
fn table(scene: &Scene) -> String {
    let tables = scene.host("nft list tables inet");
    let mut ours = tables.lines().filter_map(|line| line.strip_prefix("table inet flow-"));
    format!("flow-{}", ours.next_back().expect("the agent has made it"))
}

/// The common part of the names of our chains and sets.
fn counters(scene: &Scene) -> String {
    let listed = scene.host(&format!("nft list table inet {}", table(scene)));
    let mut sets = listed.lines().filter_map(|line| line.trim().strip_prefix("set ")?.strip_suffix("-ui {"));
    sets.next_back().expect("the agent has made them").to_owned()
}

fn remove_outgoing_chain(scene: &mut Scene) {
    let table = table(scene);
    scene.host(&format!("nft flush chain inet {table} output"));
    scene.host(&format!("nft delete chain inet {table} output"));
}

/// Counts incoming UDP packets a second time.
fn look_up(scene: &mut Scene) {
    let (table, set) = (table(scene), counters(scene));
    scene.host(&format!("nft add chain inet {table} mine {{ type filter hook input priority 5 ; }}"));
    scene.host(&format!("nft add rule inet {table} mine udp dport @{set}-ui"));
}

fn on_table(scene: &mut Scene, command: &str) {
    let command = command.replace("TABLE", &table(scene));
    scene.host(&format!("nft {command}"));
}

/// Deletes the counters of the watched ports and adds them again. They then begin at zero.
fn replace_elements(scene: &mut Scene) {
    let table = table(scene);
    let sets = scene.host(&format!("nft list table inet {table}"));
    let names = sets.lines().filter_map(|line| line.trim().strip_prefix("set ")?.strip_suffix(" {"));
    for name in names.filter(|name| ["-ti", "-to", "-ui", "-uo"].iter().any(|end| name.ends_with(end))) {
        scene.host(&format!("nft delete element inet {table} {name} {{ 443, 8388 }}"));
        scene.host(&format!("nft add element inet {table} {name} {{ 443, 8388 }}"));
    }
}

/// Our table with its counters.
fn save(scene: &Scene) -> String {
    scene.host(&format!("nft list table inet {}", table(scene)))
}

/// Restores that, as `nftables.service` does with a saved ruleset.
fn restore(scene: &mut Scene, after: Duration, times: usize) {
    let saved = save(scene);
    for _ in 0..times {
        scene.pass(after);
        let table = table(scene);
        load(scene, &format!("delete table inet {table}\n{saved}"));
    }
}

fn load(scene: &Scene, commands: &str) {
    let file = scene.node.path("saved.nft");
    std::fs::write(&file, commands).unwrap();
    scene.host(&format!("nft -f {}", file.display()));
}
