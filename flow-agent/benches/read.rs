//! `read`: a reading of all ports from mapped memory, compared with other ways to get the same numbers, and the cost of
//! closing a bucket.

mod cells;
mod close;
mod syscalls;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use flow_agent::backend::{AttachPlace, BackendOptions, Started, ebpf, iptables};
use flow_agent::clock;
use flow_agent::ledger::record::CountMode;

use crate::common::daemon::in_netns;
use crate::common::netns::{Pair, WAN, inside};
use crate::common::variant::Variant;
use crate::figures::{Bound, Column, Figures, Report};
use crate::rounds::{Subject, interleave};
use cells::Cells;

const ROUNDS: usize = 11;

/// The numbers of watched ports.
const SIZES: [u16; 3] = [100, 1_000, 65_530];

/// iptables takes minutes to load chains for 65,530 ports.
const MOST_WITH_IPTABLES: u16 = 1_000;

/// The minimal duration of the readings behind one figure.
const TURN: Duration = Duration::from_millis(10);

/// Measures readings, then buckets.
///
/// # Errors
/// When something cannot be measured, or when the ways to read give different numbers.
pub fn run(report: &mut Report) -> Result<()> {
    for ports in SIZES {
        readings(ports, report)?;
    }
    close::run(report)
}

fn readings(ports: u16, report: &mut Report) -> Result<()> {
    let pair = Pair::make().context("no network namespaces")?;
    let variants = if ports > MOST_WITH_IPTABLES { Vec::new() } else { Variant::both(false) };
    inside(&pair.host, || {
        // No device is attached, so that only the reading of the mapping is measured.
        let options = options(&pair, ports, "nothing*");
        let Started { mut backend, .. } = ebpf::start(&options, clock::now())?;
        let cells = Cells::open(&pins(&options)?)?;
        let expected = cells.fill(&backend.ports())?;
        let mapped: BTreeMap<_, _> = backend.read(&clock::now)?.ports.into_iter().collect();
        ensure!(mapped == expected, "the mapping does not hold what was written");
        ensure!(cells.by_batch(ports)? == expected, "LOOKUP_BATCH does not read what was written");
        ensure!(cells.by_element(ports)? == expected, "lookup_elem does not read what was written");

        let backend = RefCell::new(backend);
        let hosts: Vec<Pair> = variants.iter().map(|variant| rules(variant, ports)).collect::<Result<_>>()?;
        let system_calls = [
            Some(syscalls::count(|| drop(black_box(backend.borrow_mut().read(&clock::now))))?),
            None,
            Some(syscalls::count(|| drop(black_box(cells.batch())))?),
            Some(syscalls::count(|| drop(black_box(cells.elements(ports))))?),
        ];
        let mut subjects = vec![
            Subject::new("the mapping, as the agent reads it", || {
                per_reading(|| backend.borrow_mut().read(&clock::now).map_err(Into::into).map(drop))
            }),
            Subject::new("the mapping, into a BTreeMap", || {
                let tree = || -> Result<BTreeMap<_, _>> {
                    Ok(backend.borrow_mut().read(&clock::now)?.ports.into_iter().collect())
                };
                per_reading(|| tree().map(drop))
            }),
            Subject::new("LOOKUP_BATCH, of the whole map", || per_reading(|| cells.batch().map(drop))),
            Subject::new("lookup_elem", || per_reading(|| cells.elements(ports).map(drop))),
        ];
        for (variant, host) in variants.iter().zip(&hosts) {
            let program = format!("iptables-{}-save", variant.name);
            subjects.push(Subject::new(format!("{program} -c"), move || per_reading(|| save(&host.host, &program))));
        }
        let series = interleave(ROUNDS, &mut subjects)?;
        let mut figures = Figures::new(
            "read",
            format!("a reading of {ports} ports"),
            &[
                Column { name: "a reading", unit: "µs" },
                Column { name: "times the mapping", unit: "" },
                Column { name: "system calls", unit: "" },
            ],
        );
        let calls = system_calls.into_iter().chain(std::iter::repeat(None));
        for ((subject, micros), calls) in subjects.iter().zip(&series).zip(calls) {
            let times = micros.over(&series[0]).spread();
            figures.row(&subject.name, [Some(micros.spread()), Some(times), calls.map(|calls| (calls as f64).into())]);
        }
        report.add(&figures);
        if ports == 1_000 {
            let times = series[2].over(&series[0]).spread().median;
            report.goal("reading 1,000 ports: LOOKUP_BATCH against the mapping, times", Bound::AtLeast(100.0), times);
            let mapping = system_calls[0];
            report.goal("system calls of that reading", Bound::AtMost(0.0), mapping.unwrap_or(u64::MAX) as f64);
        }
        Ok(())
    })
}

/// A host with our own rules, without ipsets. The rules stay without an agent.
fn rules(variant: &Variant, ports: u16) -> Result<Pair> {
    let pair = Pair::make().context("no network namespaces")?;
    let options = options(&pair, ports, WAN);
    inside(&pair.host, || iptables::start_with(&options, &clock::now, &variant.path()).map(drop))?;
    Ok(pair)
}

/// The directory of pins of the only set of counters.
fn pins(options: &BackendOptions) -> Result<PathBuf> {
    let instance = options.bpffs.join("flow-agent").join(&options.instance);
    let entries = fs::read_dir(&instance)?.collect::<Result<Vec<_>, _>>()?;
    let set = entries.into_iter().find(|entry| entry.file_name().to_string_lossy().starts_with('v'));
    Ok(set.with_context(|| format!("no counters are pinned in {}", instance.display()))?.path())
}

/// The microseconds of the fastest reading in a turn, which is the one that nothing else has delayed.
fn per_reading(mut read: impl FnMut() -> Result<()>) -> Result<f64> {
    let (turn_at, mut fastest) = (Instant::now(), Duration::MAX);
    while turn_at.elapsed() < TURN {
        let begun_at = Instant::now();
        read()?;
        fastest = fastest.min(begun_at.elapsed());
    }
    Ok(fastest.as_secs_f64() * 1e6)
}

fn save(netns: &str, program: &str) -> Result<()> {
    let status = in_netns(netns, program).arg("-c").stdout(Stdio::null()).status()?;
    ensure!(status.success(), "{program} failed: {status}");
    Ok(())
}

/// The options of a backend that counts the ports from 1 to `ports` on `interface`.
fn options(pair: &Pair, ports: u16, interface: &str) -> BackendOptions {
    BackendOptions {
        instance: "bench".into(),
        bpffs: pair.bpffs.clone(),
        interfaces: vec![interface.into()],
        count: CountMode::Ip,
        max_ports: 65_530,
        ports: (1..=ports).collect(),
        known_epochs: BTreeSet::new(),
        newest_epoch: None,
        counted_before: BTreeSet::new(),
        last_known: None,
        allow_stacked: false,
        place: AttachPlace::Auto,
        log: false,
    }
}
