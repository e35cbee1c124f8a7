//! The steps of the agent's loop, in its order.

use super::disk::{Disk, Known};
use super::kernel::{Bytes, Kernel, Owner, Set};
use super::*;
use crate::ledger::unsealed::goes_on_after;

/// How an agent dies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Crash {
    Kill,
    /// `luck` says how much survives of what was written but not synced.
    PowerCut {
        luck: u16,
    },
}

/// What an agent works with, and what outlives it.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) disk: &'a mut Disk,
    pub(super) ledger: &'a mut Ledger,
}

impl Machine<'_> {
    fn live(&mut self) -> &mut Set {
        self.kernel.live.as_mut().expect("an agent has counters")
    }

    /// Counts what somebody destroyed as lost, where the agent died before it wrote down what it knew of it.
    pub(super) fn forget_destroyed(&mut self) {
        for epoch in self.kernel.take_destroyed() {
            self.ledger.lose(&epoch);
        }
    }

    /// A reading of the live counters, and what had passed by then.
    fn read(&mut self) -> (Counted, Passed) {
        let now = self.kernel.now;
        self.live().look();
        let counted = self.live().counted(now, false);
        let passed = self.ledger.passed(&counted.reading.epoch);
        (counted, passed)
    }
}

pub(super) struct Agent {
    meter: Meter,
    wanted: BTreeSet<u16>,
    /// What had passed at the newest reading that the meter saw.
    seen: Passed,
    /// The counters at that reading.
    last: BTreeMap<u16, Bytes>,
    unseen: Vec<Unseen>,
    pub(super) dies: Option<(u32, Crash)>,
}

type Step = Result<(), Crash>;

/// A point at which the agent may die.
fn step(dies: &mut Option<(u32, Crash)>) -> Step {
    match dies {
        Some((0, how)) => Err(*how),
        Some((left, _)) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

static NOBODY: BTreeMap<u16, String> = BTreeMap::new();

fn closing(unseen: &[Unseen]) -> Closing<'_> {
    Closing { users: &NOBODY, unseen, read_until: None }
}

impl Agent {
    pub(super) fn start(
        m: &mut Machine<'_>,
        settings: Settings,
        wanted: BTreeSet<u16>,
        layout: u32,
        mut dies: Option<(u32, Crash)>,
    ) -> Result<Self, Crash> {
        let baseline = m.disk.recover(m.ledger);
        m.forget_destroyed();
        step(&mut dies)?;
        let is_restored = m.kernel.live.as_ref().is_some_and(|set| set.restored != [false; 2]);
        if !is_restored && m.kernel.live.as_ref().is_some_and(|set| set.layout == layout) {
            for port in m.live().active().difference(&wanted).copied().collect::<Vec<_>>() {
                m.live().own(Owner::Active(port), Owner::Draining(port));
                step(&mut dies)?;
            }
        } else {
            m.kernel.make(layout, &wanted);
            step(&mut dies)?;
        }
        let now = m.kernel.now;
        let retired: Vec<Counted> = m.kernel.retired.iter().map(|set| set.counted(now, true)).collect();
        let (live, seen) = m.read();
        let must_close = !live.reading.draining.is_empty();
        let epochs = retired.iter().chain([&live]).map(|counted| &counted.reading.epoch);
        let unseen: Vec<Unseen> = epochs.flat_map(|epoch| baseline.unseen(epoch)).collect();
        let (meter, buckets) = Meter::resume(settings, &baseline, retired, live, closing(&unseen));
        let last = m.live().bytes();
        let mut agent = Self { meter, wanted: wanted.clone(), seen, last, unseen, dies };
        for bucket in buckets {
            let epoch = bucket.seal.epoch.clone();
            let lost = bucket.seal.quality == Quality::Restart;
            let passed = if lost { Passed::new() } else { m.ledger.passed(&epoch) };
            agent.append(bucket, Known { epoch, passed, last: false }, m)?;
        }
        while m.kernel.retired.pop().is_some() {
            step(&mut agent.dies)?;
        }
        if must_close {
            agent.close(m)?;
        }
        agent.apply_ports(wanted, m)?;
        agent.checkpoint(m)?;
        Ok(agent)
    }

    pub(super) fn tick(&mut self, m: &mut Machine<'_>) -> Step {
        self.mend(m)?;
        if self.meter.due(m.kernel.now) { self.close(m) } else { Ok(()) }
    }

    pub(super) fn close(&mut self, m: &mut Machine<'_>) -> Step {
        let (counted, passed) = m.read();
        self.last = m.live().bytes();
        let Counted { interfaces, reading, .. } = counted;
        let bucket = self.meter.close(interfaces, &reading, closing(&self.unseen)).unwrap();
        self.forget_until(&bucket);
        self.seen.clone_from(&passed);
        self.append(bucket, Known { epoch: reading.epoch, passed, last: false }, m)?;
        for port in reading.draining {
            m.live().own(Owner::Draining(port), Owner::Free);
            step(&mut self.dies)?;
        }
        Ok(())
    }

    fn append(&mut self, mut bucket: HourBlock, known: Known, m: &mut Machine<'_>) -> Step {
        let text = bucket.encode();
        let (begin, end) = text.split_at(text.len() / 2);
        m.disk.write(begin.as_bytes());
        step(&mut self.dies)?;
        m.disk.write(end.as_bytes());
        m.disk.written(known);
        step(&mut self.dies)?;
        m.disk.sync(m.ledger);
        step(&mut self.dies)
    }

    pub(super) fn checkpoint(&mut self, m: &mut Machine<'_>) -> Step {
        let (counted, passed) = m.read();
        self.last = m.live().bytes();
        self.seen = passed;
        if let Some(checkpoint) = self.meter.checkpoint(&counted.reading, &self.unseen).unwrap() {
            step(&mut self.dies)?;
            self.meter.checkpoint_kept(&checkpoint);
            m.ledger.noticed.extend(checkpoint.gaps.iter().map(|gap| gap.why.clone()));
            m.disk.checkpoint = Some(checkpoint);
            m.ledger.keep(&counted.reading.epoch, &self.seen);
            step(&mut self.dies)?;
        }
        Ok(())
    }

    pub(super) fn apply_ports(&mut self, wanted: BTreeSet<u16>, m: &mut Machine<'_>) -> Step {
        self.wanted = wanted;
        let counted = m.live().active();
        let gone: Vec<u16> = counted.difference(&self.wanted).copied().collect();
        for port in &gone {
            m.live().own(Owner::Active(*port), Owner::Draining(*port));
            step(&mut self.dies)?;
        }
        if !gone.is_empty() {
            self.close(m)?;
        }
        let new: BTreeSet<u16> = self.wanted.difference(&counted).copied().collect();
        if self.meter.has_closed(&new) {
            self.close(m)?;
        }
        for port in &new {
            // The slot is zeroed while it is free, so that after a death in between no port gets the bytes of another.
            let slot = m.live().slot(Owner::Free).expect("more slots than ports");
            slot.1 = [0; 2];
            step(&mut self.dies)?;
            m.live().own(Owner::Free, Owner::Active(*port));
            self.last.remove(port);
            step(&mut self.dies)?;
        }
        Ok(())
    }

    /// The port drains, and continues before its closed line is written.
    pub(super) fn waver(&mut self, port: u16, m: &mut Machine<'_>) -> Step {
        if m.live().active().contains(&port) {
            m.live().own(Owner::Active(port), Owner::Draining(port));
            step(&mut self.dies)?;
            self.checkpoint(m)?;
            m.live().own(Owner::Draining(port), Owner::Active(port));
            step(&mut self.dies)?;
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, layout: u32, m: &mut Machine<'_>) -> Step {
        m.kernel.make(layout, &self.wanted);
        step(&mut self.dies)?;
        let old = m.kernel.retired.last().expect("these counters were live").counted(m.kernel.now, true);
        let (epoch, passed) = (old.reading.epoch.clone(), m.ledger.passed(&old.reading.epoch));
        self.go_on(Some(old), Known { epoch, passed, last: false }, m)?;
        m.kernel.retired.pop();
        step(&mut self.dies)
    }

    pub(super) fn counters_destroyed(&mut self, m: &mut Machine<'_>) -> Step {
        let epoch = m.live().epoch.clone();
        let layout = m.kernel.destroy().expect("an agent has counters");
        m.kernel.make(layout, &self.wanted);
        step(&mut self.dies)?;
        let passed = self.seen.clone();
        self.go_on(None, Known { epoch, passed, last: true }, m)
    }

    fn go_on(&mut self, old: Option<Counted>, known: Known, m: &mut Machine<'_>) -> Step {
        let (live, passed) = m.read();
        self.last = m.live().bytes();
        let bucket = self.meter.replace(old, live, closing(&self.unseen)).unwrap();
        self.forget_until(&bucket);
        self.seen = passed;
        self.append(bucket, known, m)?;
        self.checkpoint(m)
    }

    fn forget_until(&mut self, bucket: &HourBlock) {
        self.unseen.retain(|unseen| goes_on_after(unseen, &bucket.seal));
    }

    pub(super) fn miss(&mut self, seconds: u32, m: &mut Machine<'_>) -> Step {
        let now = m.kernel.now;
        self.unseen.push(missed(now, seconds, &format!("missed at {} s", now.boot_ns / 1_000_000_000)));
        self.checkpoint(m)?;
        self.tick(m)
    }

    /// Replaces counters of which somebody restored a family. Of that family, only what the agent had seen before is
    /// taken.
    fn mend(&mut self, m: &mut Machine<'_>) -> Step {
        let now = m.kernel.now;
        let restored = m.live().restored;
        if restored == [false; 2] {
            return Ok(());
        }
        let (bytes, unlooked) = (m.live().bytes(), m.live().look());
        let of_families =
            |each: Bytes, of: [bool; 2]| each.iter().zip(of).filter(|(_, of)| *of).map(|(b, _)| b).sum::<u64>();
        let believed = |(port, bytes): (u16, Bytes)| {
            let before = self.last.get(&port).copied().unwrap_or_default();
            (port, of_families(before, restored) + of_families(bytes, restored.map(|restored| !restored)))
        };
        let old = m.live().saying(bytes.into_iter().map(believed).collect(), now, true);
        let layout = m.live().layout;
        let epoch = old.reading.epoch.clone();
        let mut lost = Passed::new();
        for (port, bytes) in unlooked {
            let bytes = of_families(bytes, restored);
            m.ledger.zeroed.insert(port);
            *m.ledger.lost.entry(port).or_default() += bytes;
            lost.extend(Some((port, bytes)).filter(|_| bytes > 0));
        }
        let counted = m.live().bytes().into_keys();
        m.ledger.zeroed.extend(counted);
        m.kernel.make(layout, &self.wanted);
        step(&mut self.dies)?;
        self.unseen.push(missed(now, 5, &format!("restored at {} s", now.boot_ns / 1_000_000_000)));
        let passed = m.ledger.passed(&epoch);
        self.go_on(Some(old), Known { epoch, passed, last: false }, m)?;
        m.ledger.lost_unseen.extend(lost);
        m.kernel.retired.pop();
        step(&mut self.dies)
    }

    /// Somebody sets the counters of a port to an earlier value, which shows only if they have decreased.
    pub(super) fn restored(&mut self, port: u16, luck: u16, m: &mut Machine<'_>) -> Step {
        let sum = |bytes: Bytes| bytes.iter().sum::<u64>();
        let now = |m: &mut Machine<'_>| sum(m.live().bytes().get(&port).copied().unwrap_or_default());
        let before = now(m);
        if m.kernel.restore(port, luck) {
            let seen = sum(self.last.get(&port).copied().unwrap_or_default());
            let taken = now(m).saturating_sub(seen);
            *m.ledger.lost.entry(port).or_default() += before.saturating_sub(seen) - taken;
            m.ledger.zeroed.insert(port);
            self.checkpoint(m)?;
        }
        self.tick(m)
    }
}

/// The last seconds, which were not measured.
fn missed(end: Moment, seconds: u32, why: &str) -> Unseen {
    let start = Moment {
        wall: end.wall - TimeDelta::seconds(i64::from(seconds)),
        boot_ns: end.boot_ns - u64::from(seconds) * 1_000_000_000,
    };
    Unseen { start, end, interface: "eth0".into(), why: why.to_owned() }
}
