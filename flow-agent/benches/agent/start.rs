//! How soon the agent counts.

use anyhow::{Context, Result};

use super::running::Node;
use crate::common::netns::{Pair, inside};
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Subject, interleave};

const ROUNDS: usize = 9;
const PORTS: u16 = 1_000;
const WITHIN_MS: f64 = 150.0;

pub fn run(report: &mut Report) -> Result<()> {
    let pair = Pair::make().context("no network namespaces")?;
    let series = inside(&pair.host, || {
        let node = Node::new(&pair, PORTS)?;
        let start = || {
            let running = node.run(&[])?;
            let millis = running.ready_after.as_secs_f64() * 1e3;
            running.leave()?;
            Ok(millis)
        };
        let series = interleave(
            ROUNDS,
            &mut [
                Subject::new("nothing is there", || {
                    node.forget()?;
                    start()
                }),
                Subject::new("the counters of the last one are", start),
            ],
        );
        node.forget()?;
        series
    })?;
    let title = format!("from the start of `run` to its word that {PORTS} ports are counted");
    let mut figures = Figures::new("agent", title, &[Column { name: "until then", unit: "ms" }]);
    for (case, millis) in ["the first start", "a start that adopts the counters"].into_iter().zip(&series) {
        figures.row(case, [Some(millis.spread())]);
        report.goal(format!("{case}, {PORTS} ports, ms"), Bound::AtMost(WITHIN_MS), millis.spread().median);
    }
    report.add(&figures);
    Ok(())
}
