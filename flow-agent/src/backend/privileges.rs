//! EDGE kernel: the privileges of the calling thread, and those that it lacks.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use rustix::process::{Resource, getrlimit};
use rustix::system::uname;
use rustix::thread::{CapabilitySet, capabilities};

use super::host;

/// What the kernel permits a thread to do.
#[derive(Clone, Copy, Debug)]
pub struct Privileges {
    /// The effective capabilities. `None` if they cannot be read.
    pub effective: Option<CapabilitySet>,
    /// Whether the capabilities apply to the whole machine, and not only to a container's user namespace.
    pub of_the_machine: bool,
    /// Whether locked memory is limited and this kernel charges maps to that limit.
    pub locked_memory_is_limited: bool,
}

/// A capability with its name.
pub type Capability = (CapabilitySet, &'static str);

pub const BPF: Capability = (CapabilitySet::BPF, "CAP_BPF");
pub const NET_ADMIN: Capability = (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN");
pub const SYS_ADMIN: Capability = (CapabilitySet::SYS_ADMIN, "CAP_SYS_ADMIN");
pub const PERFMON: Capability = (CapabilitySet::PERFMON, "CAP_PERFMON");

/// The capabilities that counting with eBPF needs.
pub const FOR_EBPF: [Capability; 3] = [BPF, NET_ADMIN, PERFMON];

impl Privileges {
    /// Reads the privileges of the calling thread.
    pub fn of_this_thread() -> Self {
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        Self {
            effective: capabilities(None).map(|sets| sets.effective).ok(),
            of_the_machine: map.split_whitespace().eq(["0", "0", "4294967295"]),
            locked_memory_is_limited: holds_maps_against_limit(&uname().release().to_string_lossy())
                && getrlimit(Resource::Memlock).current.is_some(),
        }
    }

    /// Whether the thread has `capability`.
    pub fn has(&self, (capability, _): Capability) -> bool {
        // CAP_SYS_ADMIN includes the newer, finer capabilities, but not CAP_NET_ADMIN.
        let enough =
            if capability == CapabilitySet::NET_ADMIN { capability } else { capability | CapabilitySet::SYS_ADMIN };
        self.of_the_machine && self.effective.is_some_and(|effective| effective.intersects(enough))
    }

    /// The names of those `needed` capabilities that the thread lacks.
    pub fn missing(&self, needed: impl IntoIterator<Item = Capability>) -> Vec<&'static str> {
        needed.into_iter().filter(|capability| !self.has(*capability)).map(|(_, name)| name).collect()
    }
}

/// Whether a kernel charges maps to locked memory. Since 5.11 they are charged to the control group instead.
fn holds_maps_against_limit(release: &str) -> bool {
    host::series(release).is_some_and(|series| series < (5, 11))
}

#[cfg(test)]
mod tests;
