//! Counters in slots, which live until the machine reboots, and two clocks.

use super::*;

/// The number under which the ledger keeps what passed on ports that nobody watches.
pub(super) const OTHERS: u16 = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Free,
    Active(u16),
    Draining(u16),
}

/// One set of counters.
#[derive(Clone, Debug)]
pub(super) struct Set {
    pub(super) epoch: String,
    pub(super) layout: u32,
    /// Each slot's owner, and its bytes of each family; a free slot may hold anything.
    pub(super) slots: Vec<(Owner, Bytes)>,
    others: Bytes,
    /// What passed since the agent last looked, by port.
    unlooked: BTreeMap<u16, Bytes>,
    /// Families whose mark says that somebody zeroed or restored them.
    pub(super) restored: [bool; 2],
}

/// The bytes of each of the two families.
pub(super) type Bytes = [u64; 2];

impl Set {
    pub(super) fn slot(&mut self, owner: Owner) -> Option<&mut (Owner, Bytes)> {
        self.slots.iter_mut().find(|(of, _)| *of == owner)
    }

    /// Passes a slot from one owner to another.
    pub(super) fn own(&mut self, from: Owner, to: Owner) {
        self.slot(from).expect("it is owned so").0 = to;
    }

    pub(super) fn active(&self) -> BTreeSet<u16> {
        let active = |(owner, _): &(Owner, Bytes)| if let Owner::Active(port) = owner { Some(*port) } else { None };
        self.slots.iter().filter_map(active).collect()
    }

    pub(super) fn draining(&self) -> BTreeSet<u16> {
        let draining = |(owner, _): &(Owner, Bytes)| if let Owner::Draining(port) = owner { Some(*port) } else { None };
        self.slots.iter().filter_map(draining).collect()
    }

    /// The bytes of each family for every port that has counters, and for other traffic.
    pub(super) fn bytes(&self) -> BTreeMap<u16, Bytes> {
        let mut found = BTreeMap::from([(OTHERS, self.others)]);
        for (owner, bytes) in &self.slots {
            if let Owner::Active(port) | Owner::Draining(port) = owner {
                assert!(found.insert(*port, *bytes).is_none(), "one slot a port");
            }
        }
        found
    }

    pub(super) fn ports(&self) -> Vec<u16> {
        self.bytes().into_keys().filter(|port| *port != OTHERS).collect()
    }

    /// The agent looks: returns what passed since it last did.
    pub(super) fn look(&mut self) -> BTreeMap<u16, Bytes> {
        std::mem::take(&mut self.unlooked)
    }

    /// A reading of the set. In a retired set, every port is draining.
    pub(super) fn counted(&self, now: Moment, retired: bool) -> Counted {
        // Nothing is taken from a family that somebody restored.
        let believed =
            |bytes: Bytes| bytes.iter().zip(self.restored).filter(|(_, restored)| !restored).map(|(b, _)| b).sum();
        let bytes = self.bytes().into_iter().map(|(port, bytes)| (port, believed(bytes))).collect();
        self.saying(bytes, now, retired)
    }

    /// A reading with these bytes for the ports.
    pub(super) fn saying(&self, mut bytes: BTreeMap<u16, u64>, now: Moment, retired: bool) -> Counted {
        let others = bytes.remove(&OTHERS).unwrap_or(0);
        let counters = |bytes| Counters { tcp_in_bytes: bytes, ..Counters::default() };
        let ports: BTreeMap<u16, Counters> = bytes.into_iter().map(|(port, bytes)| (port, counters(bytes))).collect();
        let draining = if retired { ports.keys().copied().collect() } else { self.draining() };
        let other_ports = Flow { in_bytes: others, ..Flow::default() };
        let reading = Reading {
            epoch: self.epoch.clone(),
            at: now,
            ports: ports.into(),
            draining,
            others: Others { other_ports, ..Others::default() },
            blocked: Default::default(),
            devices: Vec::new(),
        };
        let (kind, count, pinned) = (BackendKind::Ebpf, CountMode::Ip, true);
        let identity = Identity { kind, count, epoch: self.epoch.clone(), pinned };
        Counted { identity, interfaces: vec!["eth0".into()], reading }
    }
}

pub(super) struct Kernel {
    pub(super) now: Moment,
    pub(super) live: Option<Set>,
    pub(super) retired: Vec<Set>,
    destroyed: Vec<String>,
    made: u32,
}

impl Kernel {
    pub(super) fn new(wall: DateTime<Utc>) -> Self {
        let now = Moment { wall, boot_ns: 30_000_000_000 };
        Self { now, live: None, retired: Vec::new(), destroyed: Vec::new(), made: 0 }
    }

    pub(super) fn run(&mut self, seconds: u32) {
        self.now.wall += TimeDelta::seconds(i64::from(seconds));
        self.now.boot_ns += u64::from(seconds) * 1_000_000_000;
    }

    pub(super) fn pass(&mut self, port: u16, bytes: u64, ledger: &mut Ledger) {
        let Some(live) = &mut self.live else { return };
        let epoch = live.epoch.clone();
        let family = usize::from(bytes / 2 % 2 == 1);
        let port = match live.slot(Owner::Active(port)) {
            Some((_, count)) => {
                count[family] += bytes;
                port
            }
            None => {
                live.others[family] += bytes;
                OTHERS
            }
        };
        live.unlooked.entry(port).or_default()[family] += bytes;
        ledger.pass(&epoch, port, bytes);
    }

    /// Somebody sets the counters of a port to an earlier value. Returns whether the port has counters.
    pub(super) fn restore(&mut self, port: u16, luck: u16) -> bool {
        let slot = self.live.as_mut().and_then(|live| live.slot(Owner::Active(port)));
        let is_counted = slot.is_some();
        slot.into_iter().flat_map(|(_, bytes)| bytes).for_each(|bytes| *bytes = earlier(*bytes, luck));
        is_counted
    }

    /// Somebody sets all counters of a family to earlier values, which its mark shows.
    pub(super) fn restore_family(&mut self, family: usize, luck: u16) {
        let Some(live) = &mut self.live else { return };
        live.restored[family] = true;
        let counters = live.slots.iter_mut().map(|(_, bytes)| bytes).chain([&mut live.others]);
        counters.for_each(|bytes| bytes[family] = earlier(bytes[family], luck));
    }

    /// Makes new counters for `ports`; those that counted so far are retired.
    pub(super) fn make(&mut self, layout: u32, ports: &BTreeSet<u16>) {
        self.made += 1;
        let mut slots: Vec<_> = ports.iter().map(|port| (Owner::Active(*port), [0; 2])).collect();
        slots.resize(6, (Owner::Free, [0; 2]));
        let epoch = format!("set-{}", self.made);
        let set = Set { epoch, layout, slots, others: [0; 2], unlooked: BTreeMap::new(), restored: [false; 2] };
        self.retired.extend(self.live.replace(set));
    }

    /// Somebody destroys the live counters. What is lost with them shows once the journal is read.
    pub(super) fn destroy(&mut self) -> Option<u32> {
        let set = self.live.take()?;
        self.destroyed.push(set.epoch);
        Some(set.layout)
    }

    pub(super) fn take_destroyed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.destroyed)
    }

    /// The machine reboots, and all counters are gone. Returns their epochs.
    pub(super) fn reboot(&mut self) -> Vec<String> {
        self.now.boot_ns = 7_000_000_000;
        self.now.wall += TimeDelta::seconds(20);
        self.live.take().into_iter().chain(self.retired.drain(..)).map(|set| set.epoch).collect()
    }
}

/// A value that the counter had, or could have had.
fn earlier(bytes: u64, luck: u16) -> u64 {
    bytes * u64::from(luck) / u64::from(u16::MAX)
}
