//! EDGE clock: follows devices as they appear, disappear, are made again or are renamed, and repairs what others do to
//! our attachments.
#![expect(clippy::disallowed_methods, reason = "edge: clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::attach::attacher::AttachmentStatus;
use super::attach::foreign;
use super::attach::link::TcxLink;
use super::counting::{Counted, EbpfBackend};
use crate::backend::interface::Interface;
use crate::backend::lock::InterfaceLock;
use crate::backend::netlink::Direction;
use crate::backend::stacks::{LeftOut, Pair};
use crate::backend::{BackendError, Inspection, host};
use crate::ledger::reading::{Moment, Unseen};

impl EbpfBackend {
    /// Inspects everything once and repairs what is broken. Returns the gaps in which traffic was not counted.
    pub(super) fn look_around(&mut self, now: Moment) -> Result<Inspection, BackendError> {
        // A gap ends only when the repair is done, which may be long after `now` if there are many devices.
        let begun_at = Instant::now();
        let time = || now.after(begun_at.elapsed());
        self.attacher.qdiscs.refresh();
        let present = self.present()?;
        let selection = self.patterns.select(&present, &self.counted.keys().copied().collect());
        let mut unseen = Vec::new();
        self.leave(&selection.chosen);
        for interface in &selection.chosen {
            let seen = if self.counted.contains_key(&interface.index) {
                self.look_at(interface, now, &time)
            } else {
                self.join(interface, now, &time)
            };
            unseen.extend(seen);
        }
        for name in &selection.absent {
            unseen.push(self.miss(name, "the interface does not exist", now));
        }
        for interface in &selection.refused {
            let (name, device_type) = (interface.name.clone(), interface.device_type);
            let why = BackendError::DeviceType { interface: name.clone(), device_type }.to_string();
            unseen.push(self.miss(&name, &why, now));
        }
        let mut left_out: BTreeSet<LeftOut> = selection.left_out.iter().cloned().collect();
        std::mem::swap(&mut self.watch.left_out, &mut left_out);
        self.watch.left_out.difference(&left_out).for_each(LeftOut::say);
        for left in selection.left_out.iter().filter(|left| left.is_missed) {
            unseen.push(self.miss(&left.interface, &left.to_string(), now));
        }
        // These were not stacked when the agent started, or it would have refused to start.
        for Pair { upper, lower } in &selection.stacked {
            let why = BackendError::Stacked { upper: upper.clone(), lower: lower.clone() }.to_string();
            unseen.push(self.miss(lower, &why, now));
        }
        let expected: BTreeSet<&str> = selection.chosen.iter().map(|interface| interface.name.as_str()).collect();
        let lacking = |name: &str| {
            expected.contains(name)
                || selection.absent.contains(name)
                || selection.refused.iter().any(|interface| interface.name == name)
                || selection.left_out.iter().any(|left| left.is_missed && left.interface == name)
                || selection.stacked.iter().any(|pair| pair.lower == name)
        };
        self.watch.missing.retain(|name, _| lacking(name));
        // Devices that are missed by name were reported above.
        if self.counted.is_empty() && unseen.is_empty() {
            unseen.push(self.patterns.nothing_counted(self.watch.looked_at, now));
        }
        self.watch.looked_at = now;
        let is_broken = self.counted.values().any(|counted| counted.is_reported);
        Ok(Inspection { unseen, is_broken, ..Inspection::default() })
    }

    /// Stops counting devices that are gone or that should not be counted any more.
    fn leave(&mut self, chosen: &[Interface]) {
        let stay: BTreeSet<u32> = chosen.iter().map(|interface| interface.index).collect();
        let (stay, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            std::mem::take(&mut self.counted).into_iter().partition(|(index, _)| stay.contains(index));
        self.counted = stay;
        for counted in gone.into_values() {
            let (name, well_at) = (counted.name.clone(), counted.well_at);
            match counted.detach(&self.attacher) {
                Ok(()) => tracing::info!(interface = name, "no longer counted"),
                Err(error) => tracing::warn!(interface = name, error = %error, "failed to detach"),
            }
            // A device that is configured by name has to exist, so it counts as missing from the last time it was well
            // until it is back. If another device has taken its name, it is found below.
            if self.patterns.name_literally(&name) || chosen.iter().any(|interface| interface.name == name) {
                self.watch.missing.insert(name, well_at);
            }
        }
    }

    /// Inspects a counted device. `time` returns the current time, for when a repaired attachment counts again.
    fn look_at(&mut self, interface: &Interface, now: Moment, time: &dyn Fn() -> Moment) -> Option<Unseen> {
        let counted = self.counted.get_mut(&interface.index).expect("it was found there");
        if counted.name != interface.name {
            tracing::info!(interface = interface.name, before = counted.name, "renamed");
            counted.name.clone_from(&interface.name);
        }
        let was_reported = std::mem::take(&mut counted.is_reported);
        let mut reasons = Vec::new();
        for direction in Direction::BOTH {
            let position = counted.attachments.iter().position(|(attached, _)| *attached == direction);
            let sight = match position {
                Some(position) => self.attacher.look(&counted.attachments[position].1),
                None => Ok(AttachmentStatus::Broken(format!("the counter could not be attached ({direction})"))),
            };
            let why = match sight {
                Ok(AttachmentStatus::Attached) => continue,
                Ok(AttachmentStatus::Broken(why)) => why,
                Ok(AttachmentStatus::Hidden(why)) => {
                    reasons.push(why);
                    continue;
                }
                // If the attachment cannot be inspected, it is left in place, because it may still be counting.
                Err(error) => {
                    reasons.push(error.to_string());
                    continue;
                }
            };
            if !was_reported {
                counted.is_reported = true;
                reasons.push(why);
                continue;
            }
            let mended = self.programs.get(counted.layer, direction).and_then(|program| {
                if let Some(position) = position {
                    self.attacher.detach(counted.attachments.remove(position).1)?;
                }
                let device = (interface.index, interface.name.as_str());
                self.attacher.attach(program, device, direction, &self.set.name)
            });
            reasons.push(match mended {
                Ok(attachment) => {
                    counted.attachments.push((direction, attachment));
                    why
                }
                Err(error) => format!("{why}; {error}"),
            });
        }
        let start = counted.well_at;
        if !counted.is_reported {
            counted.well_at = now;
        }
        if reasons.is_empty() {
            return None;
        }
        let why = reasons.join("; ");
        Some(Unseen { start, end: time(), interface: interface.name.clone(), why })
    }

    /// Starts counting a device. `time` returns the current time, for when the device is counted.
    fn join(&mut self, interface: &Interface, now: Moment, time: &dyn Fn() -> Moment) -> Option<Unseen> {
        let missed = self.watch.missing.get(&interface.name).copied();
        let start = missed.unwrap_or(self.watch.looked_at);
        match self.count(interface, now) {
            Ok(()) => {
                self.watch.missing.remove(&interface.name);
                tracing::info!(interface = interface.name, "counted");
                // If a new device has not moved a packet by the time its counter is in place, nothing was missed.
                if missed.is_none() && host::is_untouched(interface.index) {
                    return None;
                }
                let why = if missed.is_some() { "the interface was made again" } else { "the interface appeared" };
                Some(Unseen { start, end: time(), interface: interface.name.clone(), why: why.into() })
            }
            Err(error) => {
                self.watch.missing.entry(interface.name.clone()).or_insert(start);
                Some(self.miss(&interface.name, &error.to_string(), now))
            }
        }
    }

    /// Locks the device and attaches both directions, or leaves nothing behind.
    pub(super) fn count(&mut self, interface: &Interface, now: Moment) -> Result<(), BackendError> {
        let layer = interface.link_layer().expect("only devices that can be read are chosen");
        let device = (interface.index, interface.name.as_str());
        let lock = InterfaceLock::take(self.attacher.netns, device.0, device.1, &self.attacher.instance)?;
        let own = self.attacher.pins.as_ref().map_or(Ok(Vec::new()), |pins| {
            pins.links_where(|name| (name.netns, name.index) == (self.attacher.netns, device.0))
        })?;
        let own = own.iter().filter_map(|found| TcxLink::open(&found.path).ok()).map(|link| link.id).collect();
        foreign::refuse(&self.attacher, &self.bpffs, device, &own)?;
        let mut counted = Counted {
            name: interface.name.clone(),
            layer,
            attachments: Vec::new(),
            lock,
            well_at: now,
            is_reported: false,
        };
        for direction in Direction::BOTH {
            let attached = self
                .programs
                .get(layer, direction)
                .and_then(|program| self.attacher.attach(program, device, direction, &self.set.name));
            match attached {
                Ok(attachment) => counted.attachments.push((direction, attachment)),
                Err(error) => {
                    if let Err(left) = counted.detach(&self.attacher) {
                        tracing::warn!(interface = interface.name, error = %left, "failed to detach");
                    }
                    return Err(error);
                }
            }
        }
        self.counted.insert(interface.index, counted);
        Ok(())
    }

    /// Records that a device should be counted but is not. The gap spans from the last time it was missed, or else from
    /// the last inspection, until `now`.
    fn miss(&mut self, name: &str, why: &str, now: Moment) -> Unseen {
        let start = self.watch.missing.insert(name.to_owned(), now).unwrap_or(self.watch.looked_at);
        Unseen { start, end: now, interface: name.to_owned(), why: why.to_owned() }
    }
}
