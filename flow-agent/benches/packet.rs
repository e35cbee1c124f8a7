//! The cost of the classifiers per packet, compared with an empty program and with other ways to count
//! (`BPF_PROG_TEST_RUN`).
//!
//! The kernel runs a program 200,000 times on one packet and reports the average in whole nanoseconds. Instead of that,
//! the CPU time of the waiting thread is measured here, which does not advance while others have the CPU. "Whole run"
//! is the time of a run including the kernel's own loop; "net" is the rest after subtracting the empty program's run of
//! the same round.
//!
//! Where the kernel places a program, and thus the alignment of its instructions to cache lines, is random and makes
//! half a nanosecond of difference. So several copies of each program are measured in turn.
//!
//! The kernel passes the same packet to every run. To use all ports at random, a small program first picks a port,
//! writes it into the packet and continues, by a tail call, with the measured program: with the shipped object, with
//! the alternatives, or with the empty program, so that these steps are in the baseline too. For such runs "whole run"
//! is the cost of the empty program alone plus the net cost, because the higher baseline would otherwise improve the
//! ratio. The ports are adjacent or, where that is stated, spread over the whole range, so that their entries in the
//! port table are spread as well.
//!
//! The alternatives (`benches/rivals`) use the same parser and are built with the same toolchain.

mod memory;
mod subjects;
mod watched;

#[path = "../../tests/common/classifiers.rs"]
mod classifiers;
#[path = "../../tests/common/instructions.rs"]
mod instructions;

use anyhow::Result;

use self::classifiers::PROGRAMS;
use self::instructions::Plain;
use self::subjects::{Ours, Rivals, UNWATCHED_PORT, Watched, hot_frame, measure, subject};
use crate::common::frames::{
    self, FRAGMENT, MORE_FRAGMENTS, TCP, UDP, ethernet, fragment6, ipv4, ipv4_with, ipv6, padded, tagged, tcp, udp,
};
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::Spread;

const BENCH: &str = "packet";
/// Rows of programs that can refuse: for a port with a budget, and for one without.
const FAR: &str = "TCP, IPv4, budget far away";
const NONE: &str = "TCP, IPv4, no budget";
const FEW: Watched = Watched { count: 64, apart: 1 };

/// Runs the bench.
///
/// # Errors
/// When the kernel refuses a program or a map.
pub fn run(report: &mut Report) -> Result<()> {
    kinds(report)?;
    watched::run(report)?;
    instructions(report)?;
    memory::run(report)
}

/// Every kind of frame, with 64 watched ports.
fn kinds(report: &mut Report) -> Result<()> {
    let ours = Ours::load(FEW, &["ingress_eth", "egress_eth"])?;
    let gated = Ours::load_with_budget(FEW, &["gated_in_eth"])?;
    let rivals = Rivals::load(FEW)?;
    let port = FEW.hot_port();
    let datagram = udp(50_000, port, 3_000);
    let kinds = [
        ("TCP, IPv4", frames::frame(&ipv4(TCP, &tcp(50_000, port, 100)))),
        ("UDP, IPv4", frames::frame(&ipv4(UDP, &udp(50_000, port, 100)))),
        ("TCP, IPv6", frames::frame(&ipv6(TCP, &tcp(50_000, port, 100)))),
        ("UDP, IPv6", frames::frame(&ipv6(UDP, &udp(50_000, port, 100)))),
        ("TCP, unwatched port", frames::frame(&ipv4(TCP, &tcp(50_000, UNWATCHED_PORT, 100)))),
        ("TCP, VLAN tag", tagged(&[0x8100], &ipv4(TCP, &tcp(50_000, port, 100)))),
        ("UDP, first fragment", frames::frame(&ipv4_with(UDP, 0, 1, MORE_FRAGMENTS, &datagram[..1480]))),
        ("UDP, later fragment", frames::frame(&ipv4_with(UDP, 0, 1, 185, &datagram[1480..2960]))),
        ("UDP, IPv6, first fragment", frames::frame(&ipv6(FRAGMENT, &fragment6(UDP, 0, true, 1, &datagram[..1448])))),
        ("ICMP", frames::frame(&ipv4(1, &[0; 64]))),
        ("ARP", padded(ethernet(0x0806, &[1; 28]))),
    ];
    let empty = rivals.programs("empty");
    let outgoing = hot_frame(port, 50_000);
    let mut subjects = vec![
        subject("empty program", empty.clone(), &outgoing),
        subject("empty program, again", empty, &outgoing),
        subject("TCP, IPv4, outgoing", ours.programs("egress_eth"), &outgoing),
    ];
    let without_budget = frames::frame(&ipv4(TCP, &tcp(50_000, FEW.hot_port() - 1, 100)));
    subjects.push(subject(FAR, gated.programs("gated_in_eth"), &kinds[0].1));
    subjects.push(subject(NONE, gated.programs("gated_in_eth"), &without_budget));
    subjects.extend(kinds.iter().map(|(name, frame)| subject(*name, ours.programs("ingress_eth"), frame)));
    let series = measure(&mut subjects)?;
    let columns = [("whole run", "ns"), ("net", "ns"), ("of the empty program's", "x")];
    let mut table =
        Figures::new(BENCH, "64 ports watched, one hot", &columns.map(|(name, unit)| Column { name, unit }));
    let mut plain = Vec::new();
    let mut limited = [0.0; 2];
    for (subject, run) in subjects.iter().zip(&series) {
        let ratio = run.over(&series[0]).spread();
        table.row(&subject.name, [run.spread(), run.minus(&series[0]).spread(), ratio].map(Some));
        if kinds[..4].iter().any(|(name, _)| *name == subject.name) {
            plain.push(ratio.median);
        }
        if let Some(row) = [FAR, NONE].iter().position(|name| *name == subject.name) {
            limited[row] = ratio.median;
        }
    }
    report.add(&table);
    let worst = plain.into_iter().fold(0.0, f64::max);
    report.goal(
        "packet: one hot port, TCP or UDP, IPv4 or IPv6, of the empty program's run",
        Bound::AtMost(1.2),
        worst,
    );
    let [far, none] = limited;
    report.goal("packet: a budget that is far away, of the empty program's run", Bound::AtMost(1.3), far);
    report.goal("packet: a port without a budget beside it, of the empty program's run", Bound::AtMost(1.22), none);
    Ok(())
}

/// The kernel's translation of the code for plain packets.
fn instructions(report: &mut Report) -> Result<()> {
    let columns = ["instructions", "most on a packet's way", "helper calls", "atomics"];
    let columns = columns.map(|name| Column { name, unit: "" });
    let mut table = Figures::new(BENCH, "the code for plain packets, as the kernel runs it", &columns);
    let ours = Ours::load(FEW, &PROGRAMS)?;
    let mut calls = 0;
    for name in PROGRAMS {
        let plain = Plain::of(ours.programs(name)[0]);
        calls += plain.helper_calls() + plain.atomics();
        let figures = [plain.instructions(), plain.longest_way(), plain.helper_calls(), plain.atomics()];
        table.row(name, figures.map(|count| Some(Spread::from(count as f64))));
    }
    report.add(&table);
    report.goal("packet: helper calls and atomics on the common path", Bound::AtMost(0.0), calls as f64);
    Ok(())
}
