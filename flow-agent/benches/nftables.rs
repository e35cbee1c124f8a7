//! `nftables`: our table compared with plain sets with counters, for an increasing number of ports, and the time that it
//! takes to make and to read it.

use std::cell::RefCell;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Series, Spread, Subject, interleave};
use crate::stand::Stand;
use crate::wire::{ports, times};

const ROUNDS: usize = 30;
const SIZES: [usize; 3] = [10, 1_000, 10_000];
/// How often a reading is measured.
const READINGS: usize = 20;

pub fn run(report: &mut Report) -> Result<()> {
    let mut stands = vec![("nothing".to_owned(), RefCell::new(Stand::with_nothing()?))];
    let mut set_up = 0.0;
    for size in SIZES {
        let watched = ports(size);
        stands.push((format!("sets, {size} ports"), RefCell::new(Stand::with_nft_sets(&watched)?)));
        let begun_at = Instant::now();
        stands.push((format!("ours, {size} ports"), RefCell::new(Stand::with_our_table(&watched)?)));
        set_up = begun_at.elapsed().as_secs_f64();
    }
    let visits = [ports(10)[5]];
    let subjects = stands
        .iter()
        .map(|(name, stand)| Subject::new(name.clone(), move || stand.borrow_mut().measure("one", &[&visits])));
    let costs = interleave(ROUNDS, &mut subjects.collect::<Vec<_>>())?;
    let added: Vec<Series> = costs[1..].iter().map(|cost| cost.minus(&costs[0])).collect();
    let mut table = Figures::new(
        "nftables",
        "added to a packet in and one out, one busy port".to_owned(),
        &[
            Column { name: "sets with counters", unit: "ns" },
            Column { name: "ours", unit: "ns" },
            Column { name: "ours / sets", unit: "" },
            Column { name: "ours / at 10 ports", unit: "" },
        ],
    );
    for (size, pair) in SIZES.iter().zip(added.chunks_exact(2)) {
        let [sets, ours] = pair else { continue };
        let ratios = [times(ours, sets), times(ours, &added[1])];
        let columns = [sets.spread(), ours.spread()].into_iter().chain(ratios.map(Spread::from));
        table.row(format!("{size} ports"), columns.map(Some));
        report.goal(format!("nftables: ours against sets with counters, {size} ports"), Bound::AtMost(1.15), ratios[0]);
    }
    report.add(&table);
    let grown = times(&added[5], &added[1]);
    report.goal("nftables: ours at 10,000 ports against 10", Bound::AtMost(1.15), grown);

    let mut table =
        Figures::new("nftables", "the time of a reading".to_owned(), &[Column { name: "time", unit: "ms" }]);
    for (size, (_, stand)) in SIZES.iter().zip(stands[1..].chunks_exact(2).map(|pair| &pair[1])) {
        let spread = Spread::from(reading_ms(&mut stand.borrow_mut())?);
        table.row(format!("{size} ports"), [Some(spread)]);
        if *size == 1_000 {
            report.goal("nftables: ms of a reading of 1,000 ports", Bound::AtMost(15.0), spread.median);
        }
    }
    report.add(&table);
    report.goal("nftables: seconds to set up 10,000 ports, with two network namespaces", Bound::AtMost(1.0), set_up);
    stands.iter().try_for_each(|(name, stand)| stand.borrow_mut().verify().context(name.clone()))
}

/// The median time of a reading in milliseconds.
fn reading_ms(stand: &mut Stand) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..READINGS {
        let begun_at = Instant::now();
        stand.read()?;
        times.push(begun_at.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times[READINGS / 2])
}
