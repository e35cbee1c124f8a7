//! The map of the cells, read with the system calls that a reader without a mapping uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use aya::maps::MapData;
use flow_agent::ledger::counters::Counters;
use flow_common::wire::{Line, PORTS, PortSlots};
use memmap2::{MmapMut, MmapOptions};

/// The number of 64-bit words in a line.
const WORDS: usize = size_of::<Line>() / size_of::<u64>();

/// Values of `enum bpf_cmd`, from include/uapi/linux/bpf.h.
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;

/// The cells of a set of counters in which the ports have the first slots.
pub struct Cells {
    cells: MapData,
    port_slot: MapData,
    cpus: usize,
    /// The number of lines for each CPU.
    lines: usize,
}

/// The content of a line.
type Words = [u64; WORDS];

/// The layout of `union bpf_attr` for BPF_MAP_LOOKUP_ELEM.
#[repr(C)]
#[derive(Default)]
struct Element {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// The layout of `union bpf_attr` for BPF_MAP_LOOKUP_BATCH.
#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

impl Cells {
    /// Opens the cells of the set that is pinned at `pins`.
    pub fn open(pins: &Path) -> Result<Self> {
        let cells = MapData::from_pin(pins.join("CELLS"))?;
        let possible = fs::read_to_string("/sys/devices/system/cpu/possible")?;
        let last = possible.trim().rsplit(['-', ',']).next().context("no CPU")?;
        let cpus = last.parse::<usize>()? + 1;
        let lines = cells.info()?.max_entries() as usize / cpus;
        Ok(Self { cells, port_slot: MapData::from_pin(pins.join("PORT_SLOT"))?, cpus, lines })
    }

    /// Adds `number` and a constant to every number of every line.
    pub fn add(&self, number: u64) -> Result<()> {
        let mut memory = self.memory()?;
        for word in memory.chunks_exact_mut(size_of::<u64>()) {
            let before = u64::from_ne_bytes(word.try_into()?);
            word.copy_from_slice(&(before + 1_000_003 + number).to_ne_bytes());
        }
        Ok(())
    }

    fn memory(&self) -> Result<MmapMut> {
        let bytes = self.cpus * self.lines * size_of::<Line>();
        // SAFETY: the map has this length, and no packets pass where programs are attached.
        Ok(unsafe { MmapOptions::new().len(bytes).map_mut(self.cells.fd().as_fd().as_raw_fd())? })
    }

    /// Writes different numbers into the lines of each port. Returns what a reading has to find then.
    pub fn fill(&self, ports: &BTreeSet<u16>) -> Result<BTreeMap<u16, Counters>> {
        let mut memory = self.memory()?;
        let slots = self.slots()?;
        let mut expected = BTreeMap::new();
        for port in ports {
            let slot = usize::from(slots[usize::from(*port)]);
            ensure!((1..=ports.len()).contains(&slot), "the ports do not have the first slots");
            let mut sum = Words::default();
            for cpu in 0..self.cpus {
                for (word, total) in sum.iter_mut().enumerate() {
                    // Numbers with as many digits as in a busy month.
                    let number = 1_000_000_000_000 * (cpu as u64 + 1) + 1_000 * u64::from(*port) + word as u64;
                    let at = (cpu * self.lines + slot) * size_of::<Line>() + word * size_of::<u64>();
                    memory[at..at + size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
                    *total += number;
                }
            }
            expected.insert(*port, Counters::from_array(sum));
        }
        Ok(expected)
    }

    /// Reads every line of the map with one system call.
    pub fn batch(&self) -> Result<Vec<Words>> {
        let all = self.cpus * self.lines;
        let (mut keys, mut values) = (vec![0_u32; all], vec![Words::default(); all]);
        let mut last = 0_u32;
        let mut attributes = Batch {
            out_batch: &raw mut last as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(all)?,
            map_fd: self.fd()?,
            ..Batch::default()
        };
        match bpf(BPF_MAP_LOOKUP_BATCH, &mut attributes) {
            // With this error the kernel says that these were the last elements.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {}
            other => other?,
        }
        ensure!(attributes.count as usize == all, "only {} of {all} lines came", attributes.count);
        Ok(values)
    }

    /// Reads every line of the first `ports` slots with one system call each, into its place in the map's order.
    pub fn elements(&self, ports: u16) -> Result<Vec<Words>> {
        let mut values = vec![Words::default(); self.cpus * self.lines];
        let of_ports = (0..self.cpus).flat_map(|cpu| (1..=usize::from(ports)).map(move |slot| cpu * self.lines + slot));
        for at in of_ports {
            let (key, value) = (u32::try_from(at)?, &mut values[at]);
            let mut attributes = Element {
                map_fd: self.fd()?,
                key: address(&key),
                value: value.as_mut_ptr() as u64,
                ..Element::default()
            };
            bpf(BPF_MAP_LOOKUP_ELEM, &mut attributes)?;
        }
        Ok(values)
    }

    /// The counters of every port according to [`Cells::batch`].
    pub fn by_batch(&self, ports: u16) -> Result<BTreeMap<u16, Counters>> {
        self.sum(&self.batch()?, ports)
    }

    /// The counters of every port according to [`Cells::elements`].
    pub fn by_element(&self, ports: u16) -> Result<BTreeMap<u16, Counters>> {
        self.sum(&self.elements(ports)?, ports)
    }

    fn sum(&self, lines: &[Words], ports: u16) -> Result<BTreeMap<u16, Counters>> {
        let slots = self.slots()?;
        let sum = |port: u16| {
            let slot = usize::from(slots[usize::from(port)]);
            let of_cpus = lines.chunks_exact(self.lines).map(|of_cpu| of_cpu[slot]);
            let add = |sum: Words, line: Words| std::array::from_fn(|word| sum[word] + line[word]);
            (port, Counters::from_array(of_cpus.fold(Words::default(), add)))
        };
        Ok((1..=ports).map(sum).collect())
    }

    fn slots(&self) -> Result<Vec<u16>> {
        let (key, mut value) = (0_u32, vec![0_u16; PORTS]);
        debug_assert_eq!(size_of::<PortSlots>(), size_of_val(&value[..]));
        let map_fd = u32::try_from(self.port_slot.fd().as_fd().as_raw_fd())?;
        let value_address = value.as_mut_ptr() as u64;
        bpf(
            BPF_MAP_LOOKUP_ELEM,
            &mut Element { map_fd, key: address(&key), value: value_address, ..Element::default() },
        )?;
        Ok(value)
    }

    fn fd(&self) -> Result<u32> {
        Ok(u32::try_from(self.cells.fd().as_fd().as_raw_fd())?)
    }
}

fn address<T>(value: *const T) -> u64 {
    value as u64
}

fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<()> {
    // SAFETY: the attributes belong to the command, and point to memory of the size of the map's keys and values.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes as *mut T, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
