//! What the agent uses per hour: CPU time, bytes written, and memory.
//!
//! Nobody waits for a whole hour; its events are measured instead: an inspection every 5 seconds, a checkpoint every
//! 30, a bucket, and a roll-up of the day. The most expensive roll-up is that at the end of a month: 24 buckets, and a
//! file with 30 other days. Checkpoints and buckets are measured with an agent that makes one every second, less the
//! cost of one that only inspects:
//!
//! ```text
//! hour = 3,600 × (a second of inspections) + 120 × (a checkpoint) + 1 × (a bucket) + 1 × (a roll-up)
//! ```

use std::fs;
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::month;
use super::running::{Cost, Node, children};
use crate::common::daemon::wait_until;
use crate::common::netns::{HOST4, Pair, inside};
use crate::figures::{Bound, Column, Figures, Report};

const SIZES: [u16; 2] = [1_000, 65_530];
const MOST_MIB: f64 = 20.0;

/// The length of each measurement: two inspections, and as many checkpoints or buckets as fit.
const WINDOW: Duration = Duration::from_secs(10);

const CHECKPOINTS_AN_HOUR: f64 = 120.0;

/// How often to check for an event, which happens once a second.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A start that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn run(report: &mut Report) -> Result<()> {
    let mut figures = Figures::new(
        "agent",
        "what it takes an hour, when every port moved bytes in it",
        &[
            Column { name: "resident", unit: "MiB" },
            Column { name: "peak", unit: "MiB" },
            Column { name: "CPU an hour", unit: "s" },
            Column { name: "written an hour", unit: "MiB" },
        ],
    );
    let mut parts = Figures::new(
        "agent",
        "of that hour: 3,600 × a second + 120 × a checkpoint + a bucket + a roll-up",
        &[Column { name: "CPU", unit: "ms" }, Column { name: "written", unit: "KiB" }],
    );
    for ports in SIZES {
        let measured = measure(ports)?;
        let hour = measured.hour();
        figures.row(
            format!("{ports} ports"),
            [
                Some(measured.resident_mib.into()),
                Some(measured.peak_mib.into()),
                Some(hour.cpu_secs.into()),
                Some((hour.written_bytes / f64::from(1 << 20)).into()),
            ],
        );
        for (part, cost) in [
            ("a second of inspections", measured.second),
            ("a checkpoint", measured.checkpoint),
            ("a bucket", measured.bucket),
            ("the last roll-up of a month", measured.roll_up),
        ] {
            parts.row(
                format!("{ports} ports: {part}"),
                [Some((cost.cpu_secs * 1e3).into()), Some((cost.written_bytes / 1024.0).into())],
            );
        }
        if ports == 1_000 {
            report.goal("resident, 1,000 ports, MiB", Bound::AtMost(MOST_MIB), measured.resident_mib);
        }
    }
    report.add(&figures);
    report.add(&parts);
    Ok(())
}

/// What was measured of one agent.
struct Measured {
    /// The largest value at the end of a window.
    resident_mib: f64,
    /// The peak reported by the kernel, which includes the start.
    peak_mib: f64,
    second: Cost,
    checkpoint: Cost,
    bucket: Cost,
    roll_up: Cost,
}

impl Measured {
    fn hour(&self) -> Cost {
        let rare = self.bucket.plus(self.roll_up);
        self.second.times(3_600.0).plus(self.checkpoint.times(CHECKPOINTS_AN_HOUR)).plus(rare)
    }
}

fn measure(ports: u16) -> Result<Measured> {
    let pair = Pair::make().context("no network namespaces")?;
    inside(&pair.host, || {
        let node = Node::new(&pair, ports)?;
        let measured = Windows { node: &node, pair: &pair, resident_mib: 0.0, peak_mib: 0.0 }.measure();
        node.forget()?;
        measured
    })
}

/// Runs the agent repeatedly and observes it for one window each time.
struct Windows<'a> {
    node: &'a Node<'a>,
    pair: &'a Pair,
    resident_mib: f64,
    peak_mib: f64,
}

/// Returns a value that changes with every event.
type Mark = fn(&Path) -> Result<u64>;

impl Windows<'_> {
    fn measure(mut self) -> Result<Measured> {
        let (quiet, seconds, _) = self.look(["--bucket", "1h", "--checkpoint", "1h"], None)?;
        let second = quiet.times(1.0 / seconds);
        let mut event = |arguments, mark: Mark| -> Result<Cost> {
            let (cost, seconds, events) = self.look(arguments, Some(mark))?;
            ensure!(events > 0.0, "nothing happened in {seconds} seconds");
            Ok(cost.plus(second.times(-seconds)).times(1.0 / events))
        };
        let checkpoint = event(["--bucket", "1h", "--checkpoint", "1s"], checkpoint_mark)?;
        let bucket = event(["--bucket", "1s", "--checkpoint", "1h"], hourly_mark)?;
        let roll_up = roll_up(self.node)?;
        Ok(Measured { resident_mib: self.resident_mib, peak_mib: self.peak_mib, second, checkpoint, bucket, roll_up })
    }

    /// The cost, the duration in seconds, and the number of events.
    fn look(&mut self, arguments: [&str; 4], mark: Option<Mark>) -> Result<(Cost, f64, f64)> {
        let state = self.node.state();
        let running = self.node.run(&arguments)?;
        sweep(self.pair, 1..=self.node.ports())?;
        if let Some(mark) = mark {
            // The first event includes what the start left to be done, and the second one includes every port.
            for _ in 0..2 {
                let before = mark(&state)?;
                wait_until("something happens", PATIENCE, || {
                    sweep(self.pair, 1..=1).and_then(|()| mark(&state)).is_ok_and(|now| now != before)
                });
            }
        }
        let (begun_at, before) = (Instant::now(), running.used()?);
        let mut last = mark.map(|mark| mark(&state)).transpose()?;
        let mut events = 0.0;
        while begun_at.elapsed() < WINDOW {
            // Without new traffic nothing would be written.
            sweep(self.pair, 1..=1)?;
            thread::sleep(LOOK_EVERY);
            let now = mark.map(|mark| mark(&state)).transpose()?;
            events += if now == last { 0.0 } else { 1.0 };
            last = now;
        }
        let cost = running.used()?.plus(before.times(-1.0));
        let seconds = begun_at.elapsed().as_secs_f64();
        let (resident, peak) = running.resident_mib()?;
        (self.resident_mib, self.peak_mib) = (self.resident_mib.max(resident), self.peak_mib.max(peak));
        running.leave()?;
        Ok((cost, seconds, events))
    }
}

/// The modification time of the checkpoint, which is replaced for each new one.
fn checkpoint_mark(state: &Path) -> Result<u64> {
    let made_at = fs::metadata(state.join("checkpoint.json"))?.modified()?;
    Ok(u64::try_from(made_at.duration_since(std::time::UNIX_EPOCH)?.as_nanos())?)
}

/// The size of the hourly log, to which buckets are appended.
fn hourly_mark(state: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(state.join("hourly"))? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

/// Sends a datagram to each port of the host.
fn sweep(pair: &Pair, ports: RangeInclusive<u16>) -> Result<()> {
    inside(&pair.peer, || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        for port in ports {
            socket.send_to(b"x", (HOST4, port))?;
        }
        Ok(())
    })
}

fn roll_up(node: &Node<'_>) -> Result<Cost> {
    node.forget()?;
    month::write(&node.state(), node.ports())?;
    let before = children()?;
    let status = node.command(&["rollup", "--day", month::LAST_DAY]).status()?;
    ensure!(status.success(), "the roll-up failed: {status}");
    let cost = children()?.plus(before.times(-1.0));
    // This state has never had counters, so there is nothing in the kernel to remove.
    fs::remove_dir_all(node.state())?;
    Ok(cost)
}
