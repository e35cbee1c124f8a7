//! The cost of answering requests, and of being able to: agents without a socket, with a socket that nobody uses, and
//! with one that is asked once a second, as `top` does. They run at the same time, each in its own namespace, so that
//! all have the same machine.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use flow_agent::answer::client;

use super::running::{Node, Running};
use crate::common::netns::{Pair, inside};
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::Series;

const PORTS: u16 = 1_000;

/// Long enough for an inspection, which happens every five seconds.
const WINDOW: Duration = Duration::from_secs(5);
const WINDOWS: usize = 8;

const ASK_EVERY: Duration = Duration::from_secs(1);

/// By then everything that a start leaves to be done is over.
const SETTLE: Duration = Duration::from_secs(6);

/// An unused socket should cost nothing. Anything above 1 is the noise of a shared machine.
const MOST_UNASKED: f64 = 1.1;

struct Subject<'a> {
    name: &'static str,
    node: Node<'a>,
    running: Running,
    is_asked: bool,
}

pub fn run(report: &mut Report) -> Result<()> {
    let cases =
        [("no socket", "socket = \"\"\n", false), ("nobody asks", "", false), ("asked once a second", "", true)];
    let pairs = cases.iter().map(|_| Pair::make().context("no network namespaces")).collect::<Result<Vec<Pair>>>()?;
    let mut subjects = Vec::new();
    for ((name, keys, is_asked), pair) in cases.into_iter().zip(&pairs) {
        let node = Node::with(pair, PORTS, &name.replace(' ', "-"), keys)?;
        let running = inside(&pair.host, || node.run(&["--bucket", "1h", "--checkpoint", "1h"]))?;
        subjects.push(Subject { name, node, running, is_asked });
    }
    thread::sleep(SETTLE);
    let series = windows(&subjects)?;
    let columns = [
        Column { name: "CPU a second", unit: "ms" },
        Column { name: "ratio", unit: "x" },
        Column { name: "resident", unit: "MiB" },
    ];
    let mut figures = Figures::new("agent", format!("what it costs to be asked, {PORTS} ports"), &columns);
    for (subject, cpu) in subjects.iter().zip(&series) {
        let ratio = cpu.over(&series[0]).spread();
        let resident = subject.running.resident_mib()?.0;
        figures.row(subject.name, [Some(cpu.spread()), Some(ratio), Some(resident.into())]);
    }
    let unasked = series[1].over(&series[0]).spread().median;
    report.goal("CPU of an agent that nobody asks / without a socket", Bound::AtMost(MOST_UNASKED), unasked);
    report.add(&figures);
    for (Subject { node, running, .. }, pair) in subjects.into_iter().zip(&pairs) {
        inside(&pair.host, || running.leave().and_then(|()| node.forget()))?;
    }
    Ok(())
}

/// The CPU time that each subject uses, in milliseconds per second, for each window.
fn windows(subjects: &[Subject<'_>]) -> Result<Vec<Series>> {
    let asked = subjects.iter().filter(|subject| subject.is_asked);
    let sockets = asked.map(|subject| socket(&subject.node)).collect::<Result<Vec<PathBuf>>>()?;
    let mut all = vec![Vec::with_capacity(WINDOWS); subjects.len()];
    for _ in 0..WINDOWS {
        let begun_at = Instant::now();
        let before = subjects.iter().map(|subject| subject.running.used()).collect::<Result<Vec<_>>>()?;
        while begun_at.elapsed() < WINDOW {
            for socket in &sockets {
                client::now(socket)?;
            }
            thread::sleep(ASK_EVERY);
        }
        let seconds = begun_at.elapsed().as_secs_f64();
        for ((subject, before), series) in subjects.iter().zip(before).zip(&mut all) {
            series.push((subject.running.used()?.cpu_secs - before.cpu_secs) * 1e3 / seconds);
        }
    }
    Ok(all.into_iter().map(Series::from_iter).collect())
}

fn socket(node: &Node<'_>) -> Result<PathBuf> {
    let instance = fs::read_to_string(node.state().join("instance"))?;
    Ok(flow_agent::answer::default_socket(instance.trim()))
}
