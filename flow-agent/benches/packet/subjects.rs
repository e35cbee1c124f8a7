//! What is run, and how long it takes.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, ensure};
use aya::maps::{PerCpuHashMap, PerCpuValues, ProgramArray};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use rustix::time::{ClockId, clock_gettime};

use super::classifiers::{self, Settings};
use crate::common::frames::{TCP, frame, ipv4, tcp};
use crate::rounds::{Series, Subject, interleave};

const ROUNDS: usize = 60;
const REPEAT: u32 = 200_000;
/// The number of copies of a program that are measured, one per round.
const COPIES: usize = 6;

/// [`COPIES`] instances of the shipped object that watch the same ports.
pub struct Ours(Vec<Ebpf>);

/// The same number of instances of the programs in `benches/rivals`, with the same watched ports.
pub struct Rivals(Vec<Ebpf>);

/// Picks one of the watched ports and continues with a program.
pub struct AtRandom(Ebpf);

/// Watched ports, starting at 1.
#[derive(Clone, Copy)]
pub struct Watched {
    pub count: u16,
    /// The distance between ports; 1 for adjacent ports, as when each customer gets the next port.
    pub apart: u16,
}

/// A port that is never watched.
pub const UNWATCHED_PORT: u16 = u16::MAX;

impl Watched {
    fn ports(self) -> impl Iterator<Item = u16> {
        (0..self.count).map(move |number| 1 + number * self.apart)
    }

    /// A port in the middle of the watched ones.
    pub fn hot_port(self) -> u16 {
        1 + self.count / 2 * self.apart
    }
}

/// A TCP packet over IPv4 to this port.
pub fn hot_frame(source: u16, destination: u16) -> Vec<u8> {
    frame(&ipv4(TCP, &tcp(source, destination, 100)))
}

impl Ours {
    pub fn load(watched: Watched, programs: &[&str]) -> Result<Self> {
        let load = |_| {
            let mut object = classifiers::object(u32::from(watched.count), Settings::default());
            for name in programs {
                classifiers::load(&mut object, name)?;
            }
            classifiers::watch(&mut object, watched.ports());
            Ok(object)
        };
        Ok(Self((0..COPIES).map(load).collect::<Result<_>>()?))
    }

    /// The same with budgets: the port in the middle has one with a distant limit, and no other port has one.
    pub fn load_with_budget(watched: Watched, programs: &[&str]) -> Result<Self> {
        let load = |_| {
            let mut object =
                classifiers::object_with_budget(u32::from(watched.count), Settings::default(), u64::MAX >> 1);
            for name in programs {
                classifiers::load(&mut object, name)?;
            }
            classifiers::watch(&mut object, watched.ports());
            classifiers::lead_to_budget(&mut object, watched.hot_port());
            Ok(object)
        };
        Ok(Self((0..COPIES).map(load).collect::<Result<_>>()?))
    }

    pub fn programs(&self, name: &str) -> Vec<&SchedClassifier> {
        self.0.iter().map(|object| classifiers::program(object, name)).collect()
    }
}

impl Rivals {
    pub fn load(watched: Watched) -> Result<Self> {
        // A hash map without spare room would not be a fair comparison.
        let flows = 2 * u32::from(watched.count).max(1_000);
        let cpus = aya::util::nr_cpus().map_err(|(path, error)| anyhow!("failed to read {path}: {error}"))?;
        let load = |_| {
            let mut object = load_rivals(watched, flows, &["empty", "per_cpu_hash", "flow_map"])?;
            let mut cells: PerCpuHashMap<_, u32, [u64; 8]> = object.map_mut("PORTS").context("no PORTS")?.try_into()?;
            for port in watched.ports() {
                cells.insert(u32::from(port), PerCpuValues::try_from(vec![[0; 8]; cpus])?, 0)?;
            }
            Ok(object)
        };
        Ok(Self((0..COPIES).map(load).collect::<Result<_>>()?))
    }

    pub fn programs(&self, name: &str) -> Vec<&SchedClassifier> {
        self.0.iter().map(|object| classifiers::program(object, name)).collect()
    }
}

impl AtRandom {
    pub fn load(watched: Watched, next: &SchedClassifier) -> Result<Self> {
        let mut object = load_rivals(watched, 1, &["random_port"])?;
        let mut programs: ProgramArray<_> = object.map_mut("NEXT").context("no NEXT")?.try_into()?;
        programs.set(0, next.fd()?, 0)?;
        Ok(Self(object))
    }

    pub fn program(&self) -> &SchedClassifier {
        classifiers::program(&self.0, "random_port")
    }
}

fn load_rivals(watched: Watched, flows: u32, programs: &[&str]) -> Result<Ebpf> {
    let path = env::var_os("FLOW_AGENT_RIVALS").context("`cargo xtask bench` builds the rivals, and says where")?;
    let path = PathBuf::from(path);
    let bytes = fs::read(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let mut object = EbpfLoader::new()
        .map_max_entries("PORTS", u32::from(watched.count))
        .map_max_entries("FLOWS", flows)
        .override_global("WATCHED", &u32::from(watched.count), true)
        .override_global("STRIDE", &u32::from(watched.apart), true)
        .load(&bytes)?;
    for name in programs {
        classifiers::load(&mut object, name)?;
    }
    Ok(object)
}

/// Measures every subject in turn. Returns nanoseconds per run.
///
/// # Errors
/// When a subject cannot be measured.
pub fn measure(subjects: &mut [Subject<'_>]) -> Result<Vec<Series>> {
    let series = interleave(ROUNDS, subjects)?;
    Ok(series.into_iter().map(|runs| runs.map(|taken| taken / f64::from(REPEAT))).collect())
}

/// Copies of a program, run on a frame. Measures the nanoseconds of [`REPEAT`] runs, including the kernel's own loop.
pub fn subject<'a>(name: impl Into<String>, programs: Vec<&'a SchedClassifier>, frame: &[u8]) -> Subject<'a> {
    // The kernel runs programs on `lo`, whose address is all zeros. With another destination the frame would be for
    // another host.
    let frame = [&[0; 6], &frame[6..]].concat();
    let mut copies = programs.into_iter().cycle();
    Subject::new(name, move || {
        let program = copies.next().context("no program")?;
        let begun = cpu_time();
        let run = TestRunOptions { data_in: Some(&frame), repeat: REPEAT, ..TestRunOptions::new() };
        let verdict = program.test_run(run)?.return_value;
        let taken = cpu_time() - begun;
        ensure!(verdict.cast_signed() == -1, "the verdict is {verdict}");
        Ok(taken)
    })
}

/// The nanoseconds for which this thread had the CPU.
fn cpu_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
