//! The memory of the maps: computed from their layout for this host and for one with 64 CPUs, and as accounted by the
//! kernel on this host.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};

use anyhow::{Context, Result};
use aya::Ebpf;
use aya::maps::{Map, MapData};
use flow_agent::backend::ebpf::{possible_cpus, slots_for};
use flow_common::wire::{Line, MAX_SLOTS, PortSlots, SlotOwner, lines_for};

use super::BENCH;
use super::classifiers::{self, Settings};
use crate::figures::{Column, Figures, Report};
use crate::rounds::Spread;

const PORTS: [usize; 2] = [1_000, 65_530];
/// The number of CPUs of a large host.
const CPUS: u32 = 64;
const COLUMNS: [&str; 5] = ["cells", "port table", "slot owners", "fragments", "all"];

pub fn run(report: &mut Report) -> Result<()> {
    let mut table = Figures::new(BENCH, "memory of the maps", &COLUMNS.map(|name| Column { name, unit: "MiB" }));
    for ports in PORTS {
        let slots = slots_for(ports, MAX_SLOTS)?;
        let object = classifiers::object(slots, Settings::default());
        let said = ["CELLS", "PORT_SLOT", "SLOT_OWNER", "FRAGMENTS"].map(|map| accounted(&object, map));
        let [cells, routes, owners, fragments] = said;
        let (said, here) = ([cells?, routes?, owners?, fragments?], possible_cpus()?);
        table.row(format!("{ports} ports, {here} CPUs, as the kernel accounts"), figures(said));
        for cpus in [here, CPUS] {
            let computed = [
                u64::from(cpus) * u64::from(lines_for(slots)) * size_of::<Line>() as u64,
                size_of::<PortSlots>() as u64,
                (u64::from(slots) + 1) * size_of::<SlotOwner>() as u64,
                // This is the kernel's number, which is the same on every host except for a few lists.
                said[3],
            ];
            table.row(format!("{ports} ports, {cpus} CPUs, computed"), figures(computed));
        }
    }
    report.add(&table);
    Ok(())
}

fn figures(bytes: [u64; 4]) -> impl Iterator<Item = Option<Spread>> {
    let all = bytes.iter().sum();
    bytes.into_iter().chain([all]).map(|bytes| Some(Spread::from(bytes as f64 / f64::from(1 << 20))))
}

/// The bytes that the kernel accounts for a map.
fn accounted(object: &Ebpf, name: &str) -> Result<u64> {
    let map = object.map(name).with_context(|| format!("no {name}"))?;
    let (Map::Array(map) | Map::LruHashMap(map)) = map else { anyhow::bail!("{name} is another kind of map") };
    memlock(map).with_context(|| format!("the kernel does not say what {name} takes"))
}

fn memlock(map: &MapData) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("memlock:")).context("no line `memlock`")?;
    Ok(line.trim().parse()?)
}
