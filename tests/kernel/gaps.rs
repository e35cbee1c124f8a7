//! A time that nobody saw stands in the log, whatever becomes of the agent that noticed it.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::agent::Node;
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, LAN, PEER4, Pair, WAN};

const DEADLINE: Duration = Duration::from_secs(20);

/// From when until when, and of which interface, by all seals together.
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

/// Fails unless every moment between the two is told of, without a hole.
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

/// Lets the agent leave when the second is over in which `back_at` lies: a bucket has whole seconds.
fn stop_after(node: &mut Node, back_at: DateTime<Utc>) {
    wait_until("the second is over", DEADLINE, || Utc::now() > back_at + Duration::from_secs(2));
    node.stop();
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
        make_again(&pair);
        let back_at = Utc::now();
        let noticed = || node.log().contains("there is time that nobody saw");
        wait_until("the agent has noticed it", DEADLINE, noticed);
        node.kill();
        // The next one dies as well, before it closed a bucket.
        node.start(&arguments);
        node.kill();
        node.start(&arguments);
        stop_after(&mut node, back_at);
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
    let noticed = || node.log().contains("there is time that nobody saw");
    wait_until("the agent has noticed it", DEADLINE, noticed);
    node.kill();
    make_again(&pair);
    let back_at = Utc::now();
    node.start(&["--interface", WAN]);
    node.kill();
    node.start(&["--interface", WAN]);
    stop_after(&mut node, back_at);
    assert_told(&node, gone_at, back_at);
}
