//! EDGE clock: the running iptables backend: one set of counters in rules, and the interfaces that it counts on.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::found::{self, Piece};
use super::host::fingerprint::Fingerprint;
use super::host::tools::Tools;
use super::model::flow::Direction;
use super::model::pace::Pace;
use super::model::script::Script;
use super::model::set_name::{RuleSetName, instance_tag};
use super::retired::{RetiredRules, identity};
use super::set::{Numbers, RuleSet};
use crate::backend::error::iptables::IptablesError;
use crate::backend::followed::FollowedDevices;
use crate::backend::{Backend, BackendError, Identity, Inspection, Retired, host};
use crate::ledger::blocked::Blocked;
use crate::ledger::limits::budget::UserBudget;
use crate::ledger::reading::{Moment, Reading};

pub struct IptablesBackend {
    pub(super) instance: String,
    pub(super) max_ports: u32,
    pub(super) epoch: String,
    pub(super) set: RuleSet,
    pub(super) devices: FollowedDevices,
    pub(super) watch: Watch,
    /// Whether the rules carry the mark that a bucket has been sealed.
    pub(super) sealed: bool,
    pub(super) pace: Pace,
    /// What was refused up to the time when the last budget was lifted.
    pub(super) lifted: Blocked,
    /// The ids that a new set must not have.
    pub(super) taken: BTreeSet<String>,
}

/// A set that was replaced by a new one.
struct Aside {
    set: RuleSet,
    epoch: String,
    /// What was found of the set right before it was replaced.
    pieces: Vec<Piece>,
    left_at: Instant,
}

/// What inspections remember.
pub(super) struct Watch {
    /// The last time at which every rule was found to be as it should be.
    pub(super) well_at: Moment,
    /// The number of bytes that the devices had moved right before then.
    pub(super) moved: u64,
    /// The fingerprints of the rules at that time, one for each side. `None` if the rules have to be inspected in any
    /// case.
    pub(super) fingerprints: Option<Vec<Fingerprint>>,
    /// Whether it was reported that packets may pass before reaching the rules, which is then repaired.
    pub(super) is_reported: bool,
}

impl Backend for IptablesBackend {
    fn identity(&self) -> Identity {
        identity(self.epoch.clone())
    }

    fn interfaces(&self) -> Vec<String> {
        self.set.interfaces.clone()
    }

    fn ports(&self) -> BTreeSet<u16> {
        self.set.ports.clone()
    }

    fn read(&mut self, now: &dyn Fn() -> Moment) -> Result<Reading, BackendError> {
        let fingerprints = self.fingerprints();
        self.watch.fingerprints = None;
        let moved = self.devices.moved();
        let Numbers { at, ports, others, mut blocked } = self.set.read(now)?;
        blocked.add(&self.lifted);
        self.watch.well_at = at;
        self.watch.moved = moved;
        self.watch.fingerprints = fingerprints;
        let devices = self.devices.counters();
        let (epoch, draining) = (self.epoch.clone(), self.set.draining.clone());
        Ok(Reading { epoch, at, ports: ports.into(), draining, others, blocked, devices })
    }

    fn add(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let back: BTreeSet<u16> = ports.intersection(&self.set.draining).copied().collect();
        let fresh: BTreeSet<u16> =
            ports.iter().copied().filter(|port| !self.set.ports.contains(port) && !back.contains(port)).collect();
        let counted: BTreeSet<u16> = self.set.ports.union(ports).copied().collect();
        refuse_too_many(counted.len(), self.max_ports)?;
        let all = counted.union(&self.set.draining).copied().collect();
        if !self.set.dispatch.has_room_for(&all) {
            let slots = u32::try_from(self.set.dispatch.capacity()).unwrap_or(u32::MAX);
            return Err(BackendError::Full { wanted: all.len(), slots });
        }
        let still: BTreeSet<u16> = self.set.draining.difference(&back).copied().collect();
        self.set.change(
            |script, layout| {
                script.unshield(layout, &back, &still).add(layout, &fresh);
            },
            |script, layout| {
                script.remove(layout, &fresh).shield(layout, &back, &still);
            },
        )?;
        self.set.set_draining(still);
        self.set.ports = counted;
        Ok(())
    }

    fn drain(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let gone: BTreeSet<u16> = ports.intersection(&self.set.ports).copied().collect();
        let still = self.set.draining.clone();
        self.set.change(
            |script, layout| {
                script.shield(layout, &gone, &still);
            },
            |script, layout| {
                script.unshield(layout, &gone, &still);
            },
        )?;
        host::grace();
        self.set.ports.retain(|port| !gone.contains(port));
        self.set.set_draining(still.into_iter().chain(gone).collect());
        Ok(())
    }

    fn release(&mut self, ports: &BTreeSet<u16>) -> Result<(), BackendError> {
        let gone: BTreeSet<u16> = ports.intersection(&self.set.draining).copied().collect();
        let still: BTreeSet<u16> = self.set.draining.difference(&gone).copied().collect();
        self.set.forget_blocked(&gone)?;
        self.set.change(
            |script, layout| {
                script.remove(layout, &gone).unshield(layout, &gone, &still);
            },
            // To undo a release would make counters that start at zero. So they stay removed, and the next inspection
            // detects it.
            |_, _| {},
        )?;
        self.set.set_draining(still);
        self.set.forget(&gone);
        Ok(())
    }

    fn replace(&mut self, ports: &BTreeSet<u16>) -> Result<Box<dyn Retired>, BackendError> {
        refuse_too_many(ports.len(), self.max_ports)?;
        let Aside { set, epoch, left_at, .. } = self.put_aside(ports)?;
        Ok(Box::new(RetiredRules::replaced(set, epoch, left_at)))
    }

    fn inspect(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        self.devices.keep_locks();
        self.look_around(now)
    }

    fn enforce(&mut self, budgets: &[UserBudget], now: Moment) -> Result<(), BackendError> {
        self.limit(budgets, now)
    }

    fn enforce_again_after(&self) -> Option<Duration> {
        self.pace.again_after
    }

    fn sealed(&mut self) -> Result<(), BackendError> {
        if !self.sealed {
            for side in &self.set.sides {
                let mut script = Script::default();
                script.seal(&side.layout(&self.set));
                side.tools.restore(&script)?;
            }
        }
        self.sealed = true;
        Ok(())
    }
}

impl IptablesBackend {
    /// Replaces a set that somebody else changed.
    ///
    /// # Errors
    /// Like [`Backend::replace`].
    pub(super) fn replace_damaged(&mut self) -> Result<Box<dyn Retired>, BackendError> {
        let Aside { set, epoch, pieces, left_at } = self.put_aside(&self.set.ports.clone())?;
        Ok(Box::new(RetiredRules::damaged(set, epoch, &pieces, left_at)))
    }

    /// Makes a new set for `ports` and directs packets into it instead of the present one. Returns the former set.
    fn put_aside(&mut self, ports: &BTreeSet<u16>) -> Result<Aside, BackendError> {
        let tools: Vec<Tools> = self.set.sides.iter().map(|side| side.tools.clone()).collect();
        let name = new_name(&self.instance, &mut self.taken);
        let epoch = found::epoch(&name)?;
        let find = |set: &RuleSet| -> Result<Vec<Piece>, IptablesError> {
            let pieces = set.sides.iter().map(|side| set.piece(&side.tools));
            Ok(pieces.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        };
        let before = find(&self.set)?;
        let mut set =
            RuleSet::make(name, tools, self.set.interfaces.clone(), ports.clone(), &before.iter().collect::<Vec<_>>())?;
        // Ports that are cut stay cut: the new set refuses their packets before any packet enters it.
        set.go_on_cutting(&self.set.cut_ports());
        let entered = find(&self.set).and_then(|pieces| self.switch(&set).map(|()| pieces));
        let pieces = match entered {
            Ok(pieces) => pieces,
            Err(error) => {
                // Packets are directed to the old set again. What the new set counted meanwhile was counted by the old
                // one too, or lies in a gap.
                set.abandon();
                return Err(error.into());
            }
        };
        let left_at = Instant::now();
        host::grace();
        self.sealed = false;
        self.watch.fingerprints = None;
        self.lifted = Blocked::default();
        self.pace.forget();
        let (set, epoch) = (std::mem::replace(&mut self.set, set), std::mem::replace(&mut self.epoch, epoch));
        Ok(Aside { set, epoch, pieces, left_at })
    }

    /// The present fingerprints of the rules of every side. `None` if the kernel does not answer.
    pub(super) fn fingerprints(&self) -> Option<Vec<Fingerprint>> {
        self.set.sides.iter().map(|side| Fingerprint::take(&side.tools).ok()).collect()
    }

    /// Directs packets into `new` instead of the present set, atomically in each family.
    fn switch(&self, new: &RuleSet) -> Result<(), IptablesError> {
        let lead = |from: &RuleSet, to: &RuleSet, side: &super::set::FamilySet| {
            let mut script = Script::default();
            for set in [from, to] {
                // There may already be a jump into this set, and two jumps would count twice.
                if let Some(piece) = set.piece(&side.tools)? {
                    piece.leave(&mut script);
                }
            }
            script.enter(&to.name);
            side.tools.restore(&script)
        };
        for (index, side) in self.set.sides.iter().enumerate() {
            let Err(error) = lead(&self.set, new, side) else { continue };
            for side in &self.set.sides[..index] {
                if let Err(error) = lead(new, &self.set, side) {
                    tracing::error!(
                        family = side.tools.family.name(), %error,
                        "failed to lead packets back to the counters"
                    );
                }
            }
            return Err(error);
        }
        Ok(())
    }

    /// Makes the jumps of a side, one for each direction, the first rules of their chains.
    ///
    /// # Errors
    /// When the table cannot be read or changed.
    pub(super) fn enter_first(&self, side: &super::set::FamilySet) -> Result<(), IptablesError> {
        let jumps = self.set.piece(&side.tools)?.map_or([0, 0], |piece| piece.jumps);
        let mut script = Script::default();
        for (direction, jumps) in Direction::BOTH.into_iter().zip(jumps) {
            script.enter_first(&self.set.name, direction, jumps);
        }
        side.tools.restore(&script)
    }
}

/// Fails if more ports are wanted than `max_ports`.
///
/// # Errors
/// [`BackendError::TooManyPorts`].
pub fn refuse_too_many(wanted: usize, max_ports: u32) -> Result<(), BackendError> {
    if u32::try_from(wanted).is_ok_and(|wanted| wanted <= max_ports) {
        return Ok(());
    }
    Err(BackendError::TooManyPorts { wanted, max_ports })
}

/// A fresh name for a set, which is unlike all in `taken` and is added to them.
pub fn new_name(instance: &str, taken: &mut BTreeSet<String>) -> RuleSetName {
    loop {
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let name = RuleSetName::new(instance_tag(instance), u32::try_from(random >> 32).expect("32 bits are left"));
        if taken.insert(name.id()) {
            return name;
        }
    }
}
