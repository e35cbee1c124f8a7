//! `wire`: the cost of a packet across a veth pair, compared with no counter and with the ways in which people count.
//!
//! All figures are for one packet in and one out: each passes one hook of the host.

use std::cell::RefCell;

use anyhow::{Context, Result};
use flow_agent::backend::AttachPlace;

use crate::common::variant::Variant;
use crate::exchange::cpus;
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Series, Subject, interleave};
use crate::stand::Stand;

const ROUNDS: usize = 60;
/// The number of rounds for measurements on two CPUs.
const ROUNDS_OF_TWO: usize = 15;
const PORTS: usize = 1_000;

/// This many ports, evenly spread.
pub fn ports(count: usize) -> Vec<u16> {
    (2_000..).step_by(6).take(count).collect()
}

pub fn run(report: &mut Report) -> Result<()> {
    let [nft, legacy] = variants(true)?;
    let watched = ports(PORTS);
    let named = [
        ("nothing attached", Stand::with_nothing()?),
        ("empty TCX", Stand::with_empty_tcx()?),
        ("ours, TCX", Stand::with_ebpf(AttachPlace::Tcx, &watched)?),
        ("ours, clsact", Stand::with_ebpf(AttachPlace::Clsact, &watched)?),
        ("ours, iptables-nft", Stand::with_our_rules(&nft, &watched)?),
        ("ours, iptables-legacy", Stand::with_our_rules(&legacy, &watched)?),
        ("nftables sets with counters", Stand::with_nft_sets(&watched)?),
        ("iptables-nft, a rule each, 100 ports", Stand::with_a_rule_each(&nft, &ports(100))?),
        ("iptables-nft, a rule each", Stand::with_a_rule_each(&nft, &watched)?),
        ("iptables-legacy, a rule each, 100 ports", Stand::with_a_rule_each(&legacy, &ports(100))?),
        ("iptables-legacy, a rule each", Stand::with_a_rule_each(&legacy, &watched)?),
    ];
    let [nothing, empty, tcx, .., rules] = [0, 1, 2, 9, 10];
    let (names, stands): (Vec<&str>, Vec<Stand>) = named.into_iter().unzip();
    let stands: Vec<RefCell<Stand>> = stands.into_iter().map(RefCell::new).collect();
    let middle = &ports(100)[50..52];

    let one = measure(ROUNDS, &stands, &names, "one", &[&middle[..1]])?;
    let mut table = Figures::new(
        "wire",
        format!("a UDP datagram of 64 bytes in and one out, {PORTS} ports watched where not said otherwise, one CPU"),
        &[
            Column { name: "CPU time", unit: "ns" },
            Column { name: "added", unit: "ns" },
            Column { name: "packet rate", unit: "1/s" },
            Column { name: "against empty TCX", unit: "" },
        ],
    );
    for (name, cost) in names.iter().zip(&one) {
        let added = (*name != names[nothing]).then(|| cost.minus(&one[nothing]).spread());
        let rate = cost.map(|nanos| 2e9 / nanos);
        table.row(*name, [Some(cost.spread()), added, Some(rate.spread()), Some(one[empty].over(cost).spread())]);
    }
    report.add(&table);
    let rate = one[empty].over(&one[tcx]).spread().median;
    report.goal("wire: packet rate of ours on TCX against empty TCX", Bound::AtLeast(0.98), rate);
    let cheaper = times(&one[rules].minus(&one[nothing]), &one[tcx].minus(&one[nothing]));
    report.goal("wire: added CPU of legacy rules, 1,000 ports, against ours on TCX", Bound::AtLeast(300.0), cheaper);

    if cpus()?.len() > 1 {
        let same = measure(ROUNDS_OF_TWO, &stands, &names, "same", &[&middle[..1], &middle[..1]])?;
        let two = measure(ROUNDS_OF_TWO, &stands, &names, "two", &[&middle[..1], &middle[1..]])?;
        let mut table = Figures::new(
            "wire",
            "the same on two CPUs at once, added to each",
            &[Column { name: "one port", unit: "ns" }, Column { name: "two ports", unit: "ns" }],
        );
        for (at, name) in names.iter().enumerate().skip(1) {
            table.row(*name, [&same, &two].map(|all| Some(all[at].minus(&all[nothing]).spread())));
        }
        report.add(&table);
    }
    stands.iter().zip(names).try_for_each(|(stand, name)| stand.borrow_mut().verify().context(name))
}

/// The ratio of the costs that `many` and `few` add, computed from their medians over all rounds. In a single round a
/// few nanoseconds out of thousands are lost in noise, which would make the quotient meaningless.
pub fn times(many: &Series, few: &Series) -> f64 {
    many.spread().median / few.spread().median
}

/// Both variants of iptables.
///
/// # Errors
/// When they are not installed.
pub fn variants(with_ipset: bool) -> Result<[Variant; 2]> {
    Variant::both(with_ipset).try_into().ok().context("iptables is not installed")
}

/// Measures one kind of traffic on every stand.
fn measure(
    rounds: usize,
    stands: &[RefCell<Stand>],
    names: &[&str],
    traffic: &'static str,
    clients: &[&[u16]],
) -> Result<Vec<Series>> {
    let subjects = stands
        .iter()
        .zip(names)
        .map(|(stand, name)| Subject::new(*name, move || stand.borrow_mut().measure(traffic, clients)));
    interleave(rounds, &mut subjects.collect::<Vec<_>>())
}
