//! `iptables`: one rule for each port, protocol and direction, compared with our ipsets, our tree of rules and eBPF,
//! for an increasing number of ports.

use std::cell::RefCell;

use anyhow::{Context, Result};
use flow_agent::backend::AttachPlace;

use crate::common::variant::Variant;
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Series, Spread, Subject, interleave};
use crate::stand::Stand;
use crate::wire::{ports, times, variants};

const ROUNDS: usize = 15;
const SIZES: [usize; 4] = [10, 100, 1_000, 10_000];
/// The largest number of ports to visit in turn, which is enough to reach every leaf of the largest tree.
const VISITED: usize = 1_000;

/// The description of the traffic, its short name for goals, and the ports of its packets, given the number of ports.
/// With one port its rules are cached, and packets pay for the rules that they pass over; with random ports they also
/// pay for cache misses.
type Traffic = (&'static str, &'static str, fn(usize) -> Vec<u16>);
const TRAFFICS: [Traffic; 2] =
    [("the port in the middle", "one port", in_the_middle), ("ports at random", "at random", at_random)];

pub fn run(report: &mut Report) -> Result<()> {
    let (variants, without_ipset) = (variants(true)?, variants(false)?);
    let mut stands = Vec::new();
    for size in SIZES {
        let watched = ports(size);
        let mut stand = |name: &str, stand: Result<Stand>| {
            let name = format!("{name}, {size} ports");
            stands.push((stand.with_context(|| name.clone())?, name, size));
            anyhow::Ok(())
        };
        stand("nothing", Stand::with_nothing())?;
        stand("eBPF", Stand::with_ebpf(AttachPlace::Auto, &watched))?;
        for (at, variant) in variants.iter().enumerate() {
            stand(variant.name, Stand::with_a_rule_each(variant, &watched))?;
            stand(variant.name, Stand::with_our_rules(variant, &watched))?;
            let without = &without_ipset[at];
            stand(without.name, Stand::with_our_rules(without, &watched))?;
        }
    }
    let stands: Vec<_> = stands.into_iter().map(|(stand, name, size)| (RefCell::new(stand), name, size)).collect();
    for (traffic, short, visits) in TRAFFICS {
        let subjects = stands.iter().map(|(stand, name, size)| {
            let visits = visits(*size);
            Subject::new(name.clone(), move || stand.borrow_mut().measure(traffic, &[&visits]))
        });
        let costs = interleave(ROUNDS, &mut subjects.collect::<Vec<_>>())?;
        let sizes: Vec<Costs> = costs.chunks_exact(2 + OF_A_VARIANT * variants.len()).map(Costs::of).collect();
        for (at, variant) in variants.iter().enumerate() {
            tell(report, variant, at, &sizes, traffic, short);
        }
    }
    stands.iter().try_for_each(|(stand, name, _)| stand.borrow_mut().verify().context(name.clone()))
}

/// The additional costs for one number of ports.
struct Costs {
    ebpf: Series,
    /// For each variant: a rule for each port, our ipsets, and our tree.
    rules: Vec<[Series; OF_A_VARIANT]>,
}

const OF_A_VARIANT: usize = 3;

impl Costs {
    /// Computes them from the total costs, of which the first is the baseline.
    fn of(costs: &[Series]) -> Self {
        let added = |series: &Series| series.minus(&costs[0]);
        let of_a_variant = |of: &[Series]| std::array::from_fn(|at| added(&of[at]));
        let rules = costs[2..].chunks_exact(OF_A_VARIANT).map(of_a_variant).collect();
        Self { ebpf: added(&costs[1]), rules }
    }
}

fn tell(report: &mut Report, variant: &Variant, at: usize, sizes: &[Costs], traffic: &str, short: &str) {
    let name = format!("iptables-{}", variant.name);
    let mut table = Figures::new(
        "iptables",
        format!("{name}, added to a packet in and one out, {traffic}"),
        &[
            Column { name: "a rule each", unit: "ns" },
            Column { name: "ours", unit: "ns" },
            Column { name: "without ipset", unit: "ns" },
            Column { name: "eBPF", unit: "ns" },
            Column { name: "a rule each / ours", unit: "" },
            Column { name: "a rule each / without ipset", unit: "" },
            Column { name: "a rule each / eBPF", unit: "" },
            Column { name: "ours / at 100 ports", unit: "" },
            Column { name: "without ipset / at 100 ports", unit: "" },
        ],
    );
    let [_, hundred, hundred_in_a_tree] = &sizes[1].rules[at];
    for (size, costs) in SIZES.iter().zip(sizes) {
        let [each, ours, tree] = &costs.rules[at];
        let added = [each, ours, tree, &costs.ebpf].map(Series::spread);
        let ratios = [
            times(each, ours),
            times(each, tree),
            times(each, &costs.ebpf),
            times(ours, hundred),
            times(tree, hundred_in_a_tree),
        ];
        table.row(format!("{size} ports"), added.into_iter().chain(ratios.map(Spread::from)).map(Some));
    }
    report.add(&table);
    let [each, ours, _] = &sizes[2].rules[at];
    let cheaper = times(each, ours);
    report.goal(format!("{name}, {short}: a rule each against ours, 1,000 ports"), Bound::AtLeast(40.0), cheaper);
    let grown = times(&sizes[3].rules[at][1], hundred);
    report.goal(format!("{name}, {short}: ours at 10,000 ports against 100"), Bound::AtMost(2.0), grown);
}

fn in_the_middle(size: usize) -> Vec<u16> {
    vec![ports(size)[size / 2]]
}

/// Ports from the whole range of watched ports, in random order.
fn at_random(size: usize) -> Vec<u16> {
    let mut ports: Vec<u16> = ports(size).into_iter().step_by(size.div_ceil(VISITED)).collect();
    let mut random = 1_u64;
    for last in (1..ports.len()).rev() {
        // Knuth's MMIX generator, whose high bits are the random ones.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ports.swap(last, (random >> 33) as usize % (last + 1));
    }
    ports
}
