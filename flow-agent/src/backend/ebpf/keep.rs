//! Maintains what the agent needs besides the counters: the pins, and the locks under /run.
//!
//! Other programs unmount bpffs, mount another one over it, or remove directories. The running agent holds its maps and
//! links open and loses no bytes by that. But a successor finds the counters by their pins, so they are pinned again.
//! If that is not possible, counting goes on unpinned, the log and the seals say so, and each inspection tries again.

use super::counting::EbpfBackend;
use super::gate::Gate;
use super::pins::bpffs::{self, Pin, Pins};
use super::pins::layout;
use crate::backend::BackendError;
use crate::errors::chain;

impl EbpfBackend {
    /// Pins again everything that is not pinned any more.
    pub(super) fn keep_pinned(&mut self) {
        let was_pinned = self.attacher.pins.is_some();
        if was_pinned && self.is_all_pinned() {
            return;
        }
        match self.pin_all() {
            Ok(()) if was_pinned => tracing::warn!(
                bpffs = %self.bpffs.display(),
                "somebody removed pins: they were re-created, and no packet was missed"
            ),
            Ok(()) => tracing::info!(bpffs = %self.bpffs.display(), "the counters are pinned now"),
            Err(error) => self.go_on_unpinned(was_pinned, &error),
        }
    }

    fn is_all_pinned(&self) -> bool {
        let is_marked = || match &self.set.path {
            Some(path) if self.sealed => bpffs::exists(&path.join(layout::SEALED)).unwrap_or(false),
            Some(_) => true,
            None => false,
        };
        let mut attachments = self.counted.values().flat_map(|counted| &counted.attachments);
        self.set.pins.len() == self.set.maps().count()
            && self.gate.as_ref().is_none_or(Gate::is_pinned)
            && self.set.pins.iter().all(Pin::is_intact)
            && is_marked()
            && attachments.all(|(_, attachment)| attachment.is_pinned())
    }

    fn pin_all(&mut self) -> Result<(), BackendError> {
        bpffs::mount_bpffs(&self.bpffs)?;
        let pins = Pins::open(&self.bpffs, &self.attacher.instance)?;
        let path = pins.set_path(&self.set.name);
        bpffs::ensure_directory(&path)?;
        let pinned = self.set.maps().map(|map| {
            let pin = path.join(map);
            let before = self.set.pins.iter().find(|before| before.path == pin && before.is_intact());
            before.map_or_else(|| Pin::make(self.programs.map(map), pin.clone()), |before| Ok(before.clone()))
        });
        self.set.pins = pinned.collect::<Result<_, _>>()?;
        if let Some(gate) = &mut self.gate {
            gate.pin(|name| self.programs.map(name), &pins.gate_path(&gate.found.name))?;
            self.constants.gate = Some(gate.found.clone());
        }
        if self.sealed {
            bpffs::ensure_directory(&path.join(layout::SEALED))?;
        }
        for (_, attachment) in self.counted.values_mut().flat_map(|counted| &mut counted.attachments) {
            attachment.pin(&pins)?;
        }
        self.set.path = Some(path);
        self.attacher.pins = Some(pins);
        Ok(())
    }

    fn go_on_unpinned(&mut self, was_pinned: bool, error: &BackendError) {
        let error = chain(error);
        if was_pinned {
            tracing::error!(
                error,
                "somebody removed pins, and they cannot be re-created: counting continues, but only as long as this \
                 process"
            );
        } else {
            tracing::debug!(error, "the counters are still not pinned");
        }
        self.attacher.pins = None;
        self.set.path = None;
        self.set.pins.clear();
        for (_, attachment) in self.counted.values_mut().flat_map(|counted| &mut counted.attachments) {
            attachment.forget_pin();
        }
    }

    /// Takes every lock again whose file somebody has removed.
    pub(super) fn keep_locked(&mut self) {
        for counted in self.counted.values_mut() {
            counted.lock.keep(&counted.name);
        }
    }
}
