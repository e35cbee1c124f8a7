//! From one watched port to all of them, with one hot port and with random ports, compared with the alternatives.

use anyhow::Result;
use aya::programs::SchedClassifier;

use super::BENCH;
use super::subjects::{AtRandom, Ours, Rivals, Watched, hot_frame, measure, subject};
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::Series;

const WATCHED: [Watched; 5] = [
    Watched { count: 1, apart: 1 },
    Watched { count: 64, apart: 1 },
    Watched { count: 10_000, apart: 1 },
    Watched { count: 10_000, apart: 6 },
    Watched { count: 65_530, apart: 1 },
];
const WAYS: [&str; 4] = ["empty program", "ours", "per-CPU hash", "LRU flow map"];
/// The positions in [`WAYS`].
const EMPTY: usize = 0;
const OURS: usize = 1;
const HASH: usize = 2;
const FLOWS: usize = 3;

/// The programs for the same watched ports.
struct Stage {
    watched: Watched,
    ours: Ours,
    rivals: Rivals,
    /// For each of [`WAYS`], the program that picks a port and continues with it.
    random: Vec<AtRandom>,
    frame: Vec<u8>,
}

impl Stage {
    fn load(watched: Watched) -> Result<Self> {
        let (ours, rivals) = (Ours::load(watched, &["ingress_eth"])?, Rivals::load(watched)?);
        // Only one copy of each, because their cells would displace each other in the caches.
        let random = ways(&ours, &rivals).map(|programs| AtRandom::load(watched, programs[0]));
        let random = random.into_iter().collect::<Result<_>>()?;
        let frame = hot_frame(50_000, watched.hot_port());
        Ok(Self { watched, ours, rivals, random, frame })
    }
}

fn ways<'a>(ours: &'a Ours, rivals: &'a Rivals) -> [Vec<&'a SchedClassifier>; 4] {
    [
        rivals.programs("empty"),
        ours.programs("ingress_eth"),
        rivals.programs("per_cpu_hash"),
        rivals.programs("flow_map"),
    ]
}

/// The runs of one stage in the order of [`WAYS`], with one hot port and with random ports.
struct Runs<'a> {
    hot: &'a [Series],
    random: &'a [Series],
}

impl Runs<'_> {
    fn net(&self, way: usize, at_random: bool) -> Series {
        let runs = if at_random { self.random } else { self.hot };
        runs[way].minus(&runs[EMPTY])
    }

    fn whole(&self, way: usize, at_random: bool) -> Series {
        self.net(way, at_random).with(&self.hot[EMPTY], |net, empty| net + empty)
    }

    fn ratio(&self, way: usize, at_random: bool) -> Series {
        self.whole(way, at_random).over(&self.hot[EMPTY])
    }
}

pub fn run(report: &mut Report) -> Result<()> {
    let stages = WATCHED.map(Stage::load).into_iter().collect::<Result<Vec<_>>>()?;
    let mut subjects = Vec::new();
    for Stage { ours, rivals, random, frame, .. } in &stages {
        for (way, programs) in WAYS.into_iter().zip(ways(ours, rivals)) {
            subjects.push(subject(way, programs, frame));
        }
        for (way, program) in WAYS.into_iter().zip(random) {
            subjects.push(subject(way, vec![program.program()], frame));
        }
    }
    let series = measure(&mut subjects)?;
    let runs: Vec<Runs<'_>> = series
        .chunks(2 * WAYS.len())
        .map(|runs| runs.split_at(WAYS.len()))
        .map(|(hot, random)| Runs { hot, random })
        .collect();
    for (hit, at_random) in [("one hot port", false), ("ports at random", true)] {
        let columns = COLUMNS.map(|(name, unit)| Column { name, unit });
        let mut table = Figures::new(BENCH, hit, &columns);
        for (stage, runs) in stages.iter().zip(&runs) {
            for way in [OURS, HASH, FLOWS] {
                let dearer = (way != OURS).then(|| runs.net(way, at_random).over(&runs.net(OURS, at_random)).spread());
                let Watched { count, apart } = stage.watched;
                let spread = if apart > 1 { ", spread" } else { "" };
                let case = format!("{}, {count} watched{spread}", WAYS[way]);
                let (whole, net) = (runs.whole(way, at_random), runs.net(way, at_random));
                let ratio = runs.ratio(way, at_random);
                table.row(case, [Some(whole.spread()), Some(net.spread()), Some(ratio.spread()), dearer]);
            }
        }
        report.add(&table);
    }
    goals(report, &runs);
    Ok(())
}

const COLUMNS: [(&str, &str); 4] =
    [("whole run", "ns"), ("net", "ns"), ("of the empty program's", "x"), ("net, of ours", "x")];

fn goals(report: &mut Report, runs: &[Runs<'_>]) {
    let [one, _, many, _, all] = runs else { unreachable!("one for each of `WATCHED`") };
    // Two measurements of the same program differ by this much.
    let noise = Bound::AtMost(1.03);
    let seen = all.ratio(OURS, false).over(&one.ratio(OURS, false)).spread().median;
    report.goal("packet: one hot port, 65,530 watched, of the run with 1 watched", noise, seen);
    let seen = many.ratio(OURS, true).spread().median;
    report.goal("packet: 10,000 ports at random, of the empty program's run", Bound::AtMost(1.5), seen);
    // The number of watched ports makes no difference for one hot port, so all stages measure the same figure.
    for (rival, name, reach) in [(HASH, "per-CPU hash", 6.0), (FLOWS, "LRU flow map", 15.0)] {
        let cheaper = |runs: &Runs<'_>| runs.net(rival, false).over(&runs.net(OURS, false)).spread().median;
        let mut seen: Vec<f64> = runs.iter().map(cheaper).collect();
        seen.sort_by(f64::total_cmp);
        let middle = seen[seen.len() / 2];
        report.goal(format!("packet: one hot port, net, times cheaper than a {name}"), Bound::AtLeast(reach), middle);
    }
}
