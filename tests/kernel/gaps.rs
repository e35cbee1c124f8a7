//! Time that was not measured is in the log, whatever happens to the agent that noticed it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, LAN, PEER4, Pair, WAN, inside};
use crate::support::send;

const DEADLINE: Duration = Duration::from_secs(20);

/// The beginning, end and interface of each gap in all seals together.
fn gaps(node: &Node) -> Vec<(DateTime<Utc>, DateTime<Utc>, String)> {
    let seals = node.hourly().into_iter().filter(|line| line["kind"] == "seal");
    let instant = |text: &serde_json::Value| text.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    let gaps = seals.flat_map(|seal| {
        let gaps = seal["gaps"].as_array().unwrap().clone();
        assert_eq!(seal["quality"] == "gap", !gaps.is_empty(), "{seal}");
        gaps
    });
    gaps.map(|gap| (instant(&gap["start"]), instant(&gap["end"]), gap["interface"].as_str().unwrap().to_owned()))
        .collect()
}

/// Panics unless the gaps cover the whole time between the two.
fn assert_told(node: &Node, from: DateTime<Utc>, until: DateTime<Utc>) {
    let mut gaps = gaps(node);
    gaps.sort();
    let mut told = from;
    for (start, end, interface) in &gaps {
        assert_eq!(interface, WAN);
        if *start <= told {
            told = told.max(*end);
        }
    }
    assert!(told >= until, "told until {told} of {from} to {until}: {gaps:?}\n{}", node.log());
}

fn make_again(pair: &Pair) {
    pair.join(WAN, LAN);
    pair.host_ip(&["addr", "add", &format!("{HOST4}/24"), "dev", WAN]);
    pair.peer_ip(&["addr", "add", &format!("{PEER4}/24"), "dev", LAN]);
}

/// Waits until the agent has noticed it and written it down.
fn wait_until_written(node: &Node, why: &str) {
    let checkpoint = node.state_dir().join("checkpoint.json");
    wait_until(why, DEADLINE, || std::fs::read_to_string(&checkpoint).is_ok_and(|text| text.contains(why)));
}

#[test]
fn a_gap_survives_the_death_of_the_agent_that_noticed_it() {
    for place in ["tcx", "clsact"] {
        let arguments = ["--attach", place, "--interface", WAN];
        let Some(pair) = Pair::make() else { return };
        let mut node = Node::new(&pair, &[443], "");
        node.start(&arguments);
        let gone_at = Utc::now();
        pair.host_ip(&["link", "del", WAN]);
        // The agent attaches as soon as the interface exists, and sees everything that comes later.
        let back_at = Utc::now();
        make_again(&pair);
        wait_until_written(&node, "the interface was made again");
        node.kill();
        // The next one dies as well, before it closes a bucket.
        node.start(&arguments);
        node.kill();
        node.start(&arguments);
        node.stop_after_this_second();
        assert_told(&node, gone_at, back_at);
    }
}

#[test]
fn a_gap_that_lasts_over_the_death_of_the_agent_is_told_from_its_beginning_to_its_end() {
    let Some(pair) = Pair::make() else { return };
    let mut node = Node::new(&pair, &[443], "");
    node.start(&["--interface", WAN]);
    let gone_at = Utc::now();
    pair.host_ip(&["link", "del", WAN]);
    wait_until_written(&node, "the interface does not exist");
    node.kill();
    make_again(&pair);
    // Some traffic passes that nobody counts; otherwise nothing was missed.
    inside(&pair.peer, || send(PEER4, (HOST4, 443), 100, 3));
    let back_at = Utc::now();
    node.start(&["--interface", WAN]);
    node.kill();
    node.start(&["--interface", WAN]);
    node.stop_after_this_second();
    assert_told(&node, gone_at, back_at);
}
