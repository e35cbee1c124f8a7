//! Counters in slots, which live until the machine boots; two clocks.

use super::*;

/// Under this number the ledger keeps what passed on ports that nobody watches.
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
    /// Who owns it, and bytes; a free slot may hold anything.
    pub(super) slots: Vec<(Owner, u64)>,
    others: u64,
}

impl Set {
    pub(super) fn slot(&mut self, owner: Owner) -> Option<&mut (Owner, u64)> {
        self.slots.iter_mut().find(|(of, _)| *of == owner)
    }

    /// The slot changes hands.
    pub(super) fn own(&mut self, from: Owner, to: Owner) {
        self.slot(from).expect("it is owned so").0 = to;
    }

    pub(super) fn active(&self) -> BTreeSet<u16> {
        let active = |(owner, _): &(Owner, u64)| if let Owner::Active(port) = owner { Some(*port) } else { None };
        self.slots.iter().filter_map(active).collect()
    }

    pub(super) fn draining(&self) -> BTreeSet<u16> {
        let draining = |(owner, _): &(Owner, u64)| if let Owner::Draining(port) = owner { Some(*port) } else { None };
        self.slots.iter().filter_map(draining).collect()
    }

    /// What a reading says; of a set that stands still, every port drains.
    pub(super) fn counted(&self, now: Moment, retired: bool) -> Counted {
        let mut ports = BTreeMap::new();
        for (owner, bytes) in &self.slots {
            if let Owner::Active(port) | Owner::Draining(port) = owner {
                let twice = ports.insert(*port, Counters { tcp_in_bytes: *bytes, ..Counters::default() });
                assert!(twice.is_none(), "one slot a port");
            }
        }
        let draining = if retired { ports.keys().copied().collect() } else { self.draining() };
        let other_ports = Flow { in_bytes: self.others, ..Flow::default() };
        let reading = Reading {
            epoch: self.epoch.clone(),
            at: now,
            ports: ports.into(),
            draining,
            others: Others { other_ports, ..Others::default() },
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
        match live.slot(Owner::Active(port)) {
            Some((_, count)) => {
                *count += bytes;
                ledger.pass(&epoch, port, bytes);
            }
            None => {
                live.others += bytes;
                ledger.pass(&epoch, OTHERS, bytes);
            }
        }
    }

    /// New counters count for `ports`; those that counted stand still.
    pub(super) fn make(&mut self, layout: u32, ports: &BTreeSet<u16>) {
        self.made += 1;
        let mut slots: Vec<_> = ports.iter().map(|port| (Owner::Active(*port), 0)).collect();
        slots.resize(6, (Owner::Free, 0));
        let set = Set { epoch: format!("set-{}", self.made), layout, slots, others: 0 };
        self.retired.extend(self.live.replace(set));
    }

    /// Somebody destroys the counters that count. What of it is lost shows when the journal was read.
    pub(super) fn destroy(&mut self) -> Option<u32> {
        let set = self.live.take()?;
        self.destroyed.push(set.epoch);
        Some(set.layout)
    }

    pub(super) fn take_destroyed(&mut self) -> Vec<String> {
        std::mem::take(&mut self.destroyed)
    }

    /// All counters are gone; their epochs.
    pub(super) fn reboot(&mut self) -> Vec<String> {
        self.now.boot_ns = 7_000_000_000;
        self.now.wall += TimeDelta::seconds(20);
        self.live.take().into_iter().chain(self.retired.drain(..)).map(|set| set.epoch).collect()
    }
}
