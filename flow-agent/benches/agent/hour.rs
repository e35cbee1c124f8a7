//! What the agent uses per hour: CPU time, bytes written, and memory.
//!
//! Nobody waits for a whole hour; its events are measured instead: an inspection every 5 seconds, a checkpoint every
//! 30, a bucket, and a roll-up of the day. The roll-up is that of the last hour of a month, as a running agent does it:
//! 23 buckets of the day are added up already. What happens once a day is shown for one time, and a 24th of it is part of
//! the hour: the day is over and appended to a file with 30 other days. Checkpoints and buckets are measured with an agent
//! that makes one every second, less the cost of one that only inspects:
//!
//! ```text
//! hour = 3,600 × (a second of inspections) + 120 × (a checkpoint) + 1 × (a bucket) + 1 × (a roll-up) + (the end of a day) ÷ 24
//! ```

use std::fs;
use std::net::UdpSocket;
use std::ops::RangeInclusive;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flow_agent::commands::rollup::{self, DaySoFar};
use flow_agent::ledger::reading::Moment;
use flow_agent::store::table::DayOutcome;

use super::month;
use super::running::{Cost, Node, this_thread};
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
            Column { name: "and if every port moves all the time", unit: "MiB" },
        ],
    );
    let mut parts = Figures::new(
        "agent",
        "of that hour: 3,600 × a second + 120 × a checkpoint + a bucket + a roll-up + the end of a day ÷ 24",
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
                Some(mib(hour).into()),
                Some(mib(measured.busy_hour()).into()),
            ],
        );
        for (part, cost) in [
            ("a second of inspections", measured.second),
            ("a checkpoint", measured.checkpoint),
            ("a checkpoint, every port moved", measured.busy_checkpoint),
            ("a bucket", measured.bucket),
            ("the hourly roll-up", measured.roll_up.hourly),
            ("the end of a day", measured.roll_up.end_of_day),
            ("a roll-up that reads the whole day", measured.roll_up.whole),
        ] {
            parts.row(
                format!("{ports} ports: {part}"),
                [Some((cost.cpu_secs * 1e3).into()), Some((cost.written_bytes / 1024.0).into())],
            );
        }
        if ports == 1_000 {
            report.goal("resident, 1,000 ports, MiB", Bound::AtMost(MOST_MIB), measured.resident_mib);
            report.goal("written an hour, 1,000 ports, MiB", Bound::AtMost(3.0), mib(hour));
        } else {
            report.goal("written an hour, 65,530 ports, MiB", Bound::AtMost(60.0), mib(hour));
            let roll_up = measured.roll_up.hourly.cpu_secs * 1e3;
            report.goal("roll-up an hour, 65,530 ports, ms of CPU", Bound::AtMost(100.0), roll_up);
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
    busy_checkpoint: Cost,
    bucket: Cost,
    roll_up: RollUps,
}

/// The roll-ups of the last day of a month.
struct RollUps {
    /// The first one of an agent, which reads 23 hours.
    whole: Cost,
    /// The next one, which reads the 24th.
    hourly: Cost,
    /// The one after the end of the day.
    end_of_day: Cost,
}

fn mib(cost: Cost) -> f64 {
    cost.written_bytes / f64::from(1 << 20)
}

impl Measured {
    /// Every port moved bytes in it, but not between any two checkpoints.
    fn hour(&self) -> Cost {
        self.hour_with(self.checkpoint)
    }

    /// Every port moved bytes between any two checkpoints.
    fn busy_hour(&self) -> Cost {
        self.hour_with(self.busy_checkpoint)
    }

    fn hour_with(&self, checkpoint: Cost) -> Cost {
        let rare = self.bucket.plus(self.roll_up.hourly).plus(self.roll_up.end_of_day.times(1.0 / 24.0));
        self.second.times(3_600.0).plus(checkpoint.times(CHECKPOINTS_AN_HOUR)).plus(rare)
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
        let (quiet, seconds, _) = self.look(["--bucket", "1h", "--checkpoint", "1h"], None, 1)?;
        let second = quiet.times(1.0 / seconds);
        let every = self.node.ports();
        let mut event = |arguments, mark: Mark, moving| -> Result<Cost> {
            let (cost, seconds, events) = self.look(arguments, Some(mark), moving)?;
            ensure!(events > 0.0, "nothing happened in {seconds} seconds");
            Ok(cost.plus(second.times(-seconds)).times(1.0 / events))
        };
        let checkpoint = event(["--bucket", "1h", "--checkpoint", "1s"], checkpoint_mark, 1)?;
        let busy_checkpoint = event(["--bucket", "1h", "--checkpoint", "1s"], checkpoint_mark, every)?;
        let bucket = event(["--bucket", "1s", "--checkpoint", "1h"], hourly_mark, 1)?;
        let roll_up = roll_up(self.node)?;
        Ok(Measured {
            resident_mib: self.resident_mib,
            peak_mib: self.peak_mib,
            second,
            checkpoint,
            busy_checkpoint,
            bucket,
            roll_up,
        })
    }

    /// The cost, the duration in seconds, and the number of events; `moving` ports move bytes between two of them.
    fn look(&mut self, arguments: [&str; 4], mark: Option<Mark>, moving: u16) -> Result<(Cost, f64, f64)> {
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
            if now != last {
                events += 1.0;
                sweep(self.pair, 1..=moving)?;
            }
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

/// Rolls up in this process, as the thread of an agent does.
fn roll_up(node: &Node<'_>) -> Result<RollUps> {
    node.forget()?;
    month::write(&node.state(), node.ports())?;
    let config = flow_agent::config::load(Some(&node.config()), None)?;
    let days = [month::LAST_DAY.parse()?].into();
    let mut so_far = DaySoFar::default();
    let mut at = |wall: &str| -> Result<Cost> {
        let now = Moment { wall: wall.parse()?, boot_ns: 0 };
        let before = this_thread()?;
        let rolled_up = rollup::roll_up(&config, &days, now, false, Some(&mut so_far));
        let cost = this_thread()?.plus(before.times(-1.0));
        let rolled_up = rolled_up.map_err(|failure| anyhow::anyhow!("the roll-up failed: {}", failure.render()))?;
        let is_written = rolled_up.days.values().all(|(_, outcome)| *outcome == DayOutcome::Written);
        ensure!(is_written && rolled_up.damages.is_empty(), "the roll-up wrote nothing");
        Ok(cost)
    };
    let whole = at("2025-10-31T23:00:01Z")?;
    month::write_last_hour(&node.state(), node.ports())?;
    let hourly = at("2025-10-31T23:59:59Z")?;
    let end_of_day = at("2025-11-01T00:00:01Z")?;
    // This state has never had counters, so there is nothing in the kernel to remove.
    fs::remove_dir_all(node.state())?;
    Ok(RollUps { whole, hourly, end_of_day })
}
