//! EDGE kernel: what the calling thread may do, and what it lacks.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
use rustix::thread::{CapabilitySet, capabilities};

use super::host;

/// What the kernel lets a thread do.
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// `None` when the kernel does not say.
    pub effective: Option<CapabilitySet>,
    /// Whether its capabilities are the machine's, and not those of a container's user namespace.
    pub of_the_machine: bool,
    /// Whether the memory that it may lock has a limit, and the kernel is one that holds maps against it.
    pub locked_memory_is_limited: bool,
}

/// A capability by its bit and its name.
pub type Capability = (CapabilitySet, &'static str);

pub const BPF: Capability = (CapabilitySet::BPF, "CAP_BPF");
pub const NET_ADMIN: Capability = (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN");
pub const SYS_ADMIN: Capability = (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN");
pub const PERFMON: Capability = (CapabilitySet::PERFMON, "CAP_PERFMON");

/// What counting with eBPF needs.
pub const FOR_EBPF: [Capability; 3] = [BPF, NET_ADMIN, PERFMON];

impl Privileges {
    /// Those of the calling thread.
    pub fn of_this_thread() -> Self {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Self {
            effective: capabilities(None).map(|sets| sets.effective).ok(),
            of_the_machine: map.split_whitespace().eq(["0", "0", "4294967295"]),
            locked_memory_is_limited: holds_maps_against_limit(&uname().release().to_string_lossy())
                && getrlimit(Resource::Memlock).current.is_some(),
        }
    }

    /// Whether `capability` is there.
    pub fn has(&self, (capability, _): Capability) -> bool {
        // Root's old right holds for the newer, finer ones, but not for the network.
        let enough =
            if capability == CapabilitySet::NET_ADMIN { capability } else { capability | CapabilitySet::SYS_ADMIN };
        self.of_the_machine && self.effective.is_some_and(|effective| effective.intersects(enough))
    }

    /// The names of those of `needed` that are not there.
    pub fn missing(&self, needed: impl IntoIterator<Item = Capability>) -> Vec<&'static str> {
        needed.into_iter().filter(|capability| !self.has(*capability)).map(|(_, name)| name).collect()
    }
}

/// Since 5.11 maps are held against the memory of the control group.
fn holds_maps_against_limit(release: &str) -> bool {
    host::series(release).is_some_and(|series| series < (5, 11))
}

#[cfg(test)]
mod tests;
