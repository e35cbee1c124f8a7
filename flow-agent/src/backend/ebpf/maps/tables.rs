//! The maps of a set as memory, read and written with relaxed atomics and without system calls.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};

use flow_common::gate::Refused;
use flow_common::wire::{self, Line, OTHER_PORTS, PORTS, PortSlots, Reserved, SlotOwner};
use memmap2::{MmapOptions, MmapRaw};

use super::slots::{Occupant, SlotOwners, SlotStep};
use crate::backend::BackendError;
use crate::ledger::blocked::Blocked;
use crate::ledger::counters::{Counters, Flow, Others};
use crate::ledger::limits::budget::Transferred;

/// The number of 64-bit words in a line.
const LINE_WORDS: usize = size_of::<Line>() / size_of::<u64>();

/// The number of 64-bit words that record what a slot refused.
const REFUSED_WORDS: usize = size_of::<Refused>() / size_of::<u64>();

/// The memory of `PORT_SLOT`, `SLOT_OWNER` and `CELLS` of one set.
pub struct MapTables {
    routes: SharedMemory,
    owners: SharedMemory,
    cells: SharedMemory,
    /// What was refused, by slot. Present once a user has been limited.
    refused: Option<SharedMemory>,
    cpus: usize,
    lines: usize,
}

/// Memory that is shared with the kernel; in tests, ordinary memory.
pub enum SharedMemory {
    Map(MmapRaw),
    #[cfg(test)]
    Own(Vec<AtomicU64>),
}

impl MapTables {
    /// Maps the three maps. The caller has verified their sizes, and that they can be mapped.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn map(routes: impl AsFd, owners: impl AsFd, cells: impl AsFd, cpus: u32, lines: u32) -> std::io::Result<Self> {
        let (cpus, lines) = (cpus as usize, lines as usize);
        let slots = lines - wire::lines_for(0) as usize;
        Ok(Self {
            routes: SharedMemory::map(&routes, size_of::<PortSlots>())?,
            owners: SharedMemory::map(&owners, (slots + 1) * size_of::<SlotOwner>())?,
            cells: SharedMemory::map(&cells, cpus * lines * size_of::<Line>())?,
            refused: None,
            cpus,
            lines,
        })
    }

    /// Maps the map of what was refused, which the caller has verified as well.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn map_refused(&mut self, refused: impl AsFd) -> std::io::Result<()> {
        self.refused = Some(SharedMemory::map(&refused, (self.slots() + 1) * size_of::<Refused>())?);
        Ok(())
    }

    /// Whether the set has a map of what was refused.
    pub fn has_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// What was refused, by port, where it is not zero.
    pub fn refused(&self) -> Blocked {
        let Some(refused) = &self.refused else { return Blocked::default() };
        let (refused, _) = refused.words().as_chunks::<REFUSED_WORDS>();
        let of_port = |(slot, owner): (u16, Occupant)| {
            let [in_bytes, in_packets, out_bytes, out_packets] =
                std::array::from_fn(|word| refused[usize::from(slot)][word].load(Ordering::Relaxed));
            let flow = Flow { in_bytes, in_packets, out_bytes, out_packets };
            owner.port().map(|port| (port, flow))
        };
        self.owned().filter_map(of_port).collect()
    }

    /// The sum of the bytes of some slots, TCP and UDP together.
    pub fn transferred(&self, slots: &[u16]) -> Transferred {
        let sums = slots.iter().map(|slot| Counters::from_array(self.sum(usize::from(*slot)))).collect::<Vec<_>>();
        Transferred::sum(&sums)
    }

    /// The owner of every slot.
    ///
    /// # Errors
    /// Says what is wrong if the table contradicts itself.
    pub fn owners(&self) -> Result<SlotOwners, String> {
        let words = &self.owners.words()[1..=self.slots()];
        let owners = (1..).zip(words).map(|(slot, word)| {
            Occupant::from_wire(unpack(word.load(Ordering::Relaxed)))
                .ok_or_else(|| format!("slot {slot} has an unknown state"))
        });
        SlotOwners::new(owners.collect::<Result<_, _>>()?)
    }

    /// Every slot that holds a port's bytes, and its owner. Cheaper than [`MapTables::owners`], because the table was
    /// validated when this agent took it over, and nobody else writes it.
    pub fn owned(&self) -> impl Iterator<Item = (u16, Occupant)> {
        let words = &self.owners.words()[1..=self.slots()];
        (1..).zip(words).filter_map(|(slot, word)| {
            let owner = Occupant::from_wire(unpack(word.load(Ordering::Relaxed)))?;
            (owner != Occupant::Free).then_some((slot, owner))
        })
    }

    /// The ports that are routed to a slot of their own, with that slot.
    pub fn routes(&self) -> BTreeMap<u16, u16> {
        let routes = self.route_table().iter().map(|slot| slot.load(Ordering::Relaxed));
        (0..=u16::MAX).zip(routes).filter(|(_, slot)| *slot != OTHER_PORTS).collect()
    }

    /// The eight counters of every port, and the set of draining ports.
    ///
    /// This is one plain loop because it compiles well: loop-invariant values are looked up once, and the sums stay in
    /// registers until they are stored in their final place. Passing them on by value costs three times as much,
    /// because the copy has to wait until they are in memory.
    pub fn read(&self) -> (Vec<(u16, Counters)>, BTreeSet<u16>) {
        let (lines, _) = self.cells.words().as_chunks::<LINE_WORDS>();
        let (first, others) = lines.split_at(self.lines);
        let mut ports = Vec::with_capacity(self.slots());
        let mut draining = BTreeSet::new();
        for (slot, owner) in self.owned() {
            let port = match owner {
                Occupant::Free => continue,
                Occupant::Active(port) => port,
                Occupant::Draining(port) => {
                    draining.insert(port);
                    port
                }
            };
            let slot = usize::from(slot);
            let mut sum: [u64; LINE_WORDS] = std::array::from_fn(|word| first[slot][word].load(Ordering::Relaxed));
            for cpu in others.chunks_exact(self.lines) {
                for (sum, word) in sum.iter_mut().zip(&cpu[slot]) {
                    *sum = sum.wrapping_add(word.load(Ordering::Relaxed));
                }
            }
            ports.push((port, Counters::from_array(sum)));
        }
        (ports, draining)
    }

    /// Everything that belongs to no watched port.
    pub fn others(&self) -> Others {
        let reserved = |reserved| {
            let lines = u32::try_from(self.lines).expect("lines are at most 65,536");
            flow(self.sum(wire::reserved_line(lines, reserved) as usize))
        };
        Others {
            other_ports: flow(self.sum(usize::from(OTHER_PORTS))),
            other_ip: reserved(Reserved::OtherIp),
            non_ip: reserved(Reserved::NonIp),
            other_host: reserved(Reserved::OtherHost),
            fragment_unmatched: reserved(Reserved::FragmentUnmatched),
            unparsed: reserved(Reserved::Unparsed),
        }
    }

    /// Executes the steps in order.
    ///
    /// # Errors
    /// [`BackendError::SlotInUse`] if a slot that was zeroed does not stay zero.
    pub fn apply(&self, steps: &[SlotStep], grace: &dyn Fn()) -> Result<(), BackendError> {
        for step in steps {
            match *step {
                SlotStep::Own { slot, owner } => self.set_owner(slot, owner),
                SlotStep::Route { port, slot } => self.set_route(port, slot),
                SlotStep::Zero { slot } => self.zero(slot),
                SlotStep::Grace => grace(),
                SlotStep::VerifyZero { slot } if self.is_zero(slot) => {}
                SlotStep::VerifyZero { slot } => return Err(BackendError::SlotInUse { slot: u32::from(slot) }),
            }
        }
        Ok(())
    }

    fn set_owner(&self, slot: u16, owner: Occupant) {
        self.owners.words()[usize::from(slot)].store(pack(owner.to_wire()), Ordering::Release);
    }

    pub(super) fn set_route(&self, port: u16, slot: u16) {
        self.route_table()[usize::from(port)].store(slot, Ordering::Release);
    }

    fn zero(&self, slot: u16) {
        for cpu in 0..self.cpus {
            self.line(cpu, usize::from(slot)).iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
        if let Some(refused) = &self.refused {
            let (refused, _) = refused.words().as_chunks::<REFUSED_WORDS>();
            refused[usize::from(slot)].iter().for_each(|word| word.store(0, Ordering::Relaxed));
        }
    }

    fn is_zero(&self, slot: u16) -> bool {
        self.sum(usize::from(slot)) == [0; LINE_WORDS]
    }

    /// The number of slots.
    pub fn slots(&self) -> usize {
        self.lines - wire::lines_for(0) as usize
    }

    /// Sums a line over all CPUs. At 400 Gbit/s 2^64 bytes take eleven years, so wrapping is not a concern.
    fn sum(&self, line: usize) -> [u64; LINE_WORDS] {
        let mut sum = [0_u64; LINE_WORDS];
        for cpu in 0..self.cpus {
            let words = self.line(cpu, line);
            sum = std::array::from_fn(|word| sum[word].wrapping_add(words[word].load(Ordering::Relaxed)));
        }
        sum
    }

    fn line(&self, cpu: usize, line: usize) -> &[AtomicU64; LINE_WORDS] {
        let (lines, _) = self.cells.words().as_chunks();
        &lines[cpu * self.lines + line]
    }

    fn route_table(&self) -> &[AtomicU16] {
        let words = self.routes.words();
        // SAFETY: the memory is that of `words`, with four 16-bit cells per 64-bit word, suitably aligned. It is shared
        // with the kernel, which only reads it, and this process accesses it only through these cells.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast::<AtomicU16>(), PORTS) }
    }
}

impl SharedMemory {
    pub fn map(fd: &impl AsFd, bytes: usize) -> std::io::Result<Self> {
        MmapOptions::new().len(bytes).map_raw(fd.as_fd().as_raw_fd()).map(Self::Map)
    }

    #[cfg(test)]
    pub fn own(words: usize) -> Self {
        Self::Own((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    pub fn words(&self) -> &[AtomicU64] {
        match self {
            // SAFETY: the mapping is readable and writable, page-aligned, `len()` bytes long, and lives as long as
            // `self`. The kernel may change it at any time, hence the atomics.
            Self::Map(map) => unsafe {
                std::slice::from_raw_parts(map.as_mut_ptr().cast::<AtomicU64>(), map.len() / size_of::<u64>())
            },
            #[cfg(test)]
            Self::Own(words) => words,
        }
    }
}

/// Adds up a line that has only two directions and no protocols: fields of both protocols are summed.
fn flow(
    [in_bytes, in_packets, out_bytes, out_packets, udp_in_bytes, udp_in_packets, udp_out_bytes, udp_out_packets]: [u64; LINE_WORDS],
) -> Flow {
    Flow {
        in_bytes: in_bytes.wrapping_add(udp_in_bytes),
        in_packets: in_packets.wrapping_add(udp_in_packets),
        out_bytes: out_bytes.wrapping_add(udp_out_bytes),
        out_packets: out_packets.wrapping_add(udp_out_packets),
    }
}

/// The eight bytes of the entry as one word, so that a single store changes them all.
fn pack(owner: SlotOwner) -> u64 {
    let mut bytes = [0; 8];
    bytes[..2].copy_from_slice(&owner.port.to_ne_bytes());
    bytes[2..4].copy_from_slice(&owner.state.to_ne_bytes());
    u64::from_ne_bytes(bytes)
}

fn unpack(word: u64) -> SlotOwner {
    let [p, q, r, s, ..] = word.to_ne_bytes();
    SlotOwner { port: u16::from_ne_bytes([p, q]), state: u16::from_ne_bytes([r, s]), padding: 0 }
}

#[cfg(test)]
impl MapTables {
    /// The eight counters of a slot.
    pub(super) fn counters(&self, slot: u16) -> Counters {
        Counters::from_array(self.sum(usize::from(slot)))
    }

    /// Tables in ordinary memory instead of kernel maps.
    pub(super) fn own(cpus: usize, slots: usize) -> Self {
        let words = SharedMemory::own;
        let lines = slots + wire::lines_for(0) as usize;
        Self {
            routes: words(PORTS / 4),
            owners: words(slots + 1),
            cells: words(cpus * lines * LINE_WORDS),
            refused: None,
            cpus,
            lines,
        }
    }

    /// What a program does on `cpu`: it looks up the slot now, and adds to it when the returned function is called.
    pub(super) fn packet(&self, cpu: usize, port: u16, bytes: u64) -> impl FnOnce() + '_ {
        let slot = usize::from(self.route_table()[usize::from(port)].load(Ordering::Relaxed));
        move || {
            let line = self.line(cpu, slot);
            line[0].fetch_add(bytes, Ordering::Relaxed);
            line[1].fetch_add(1, Ordering::Relaxed);
        }
    }
}
