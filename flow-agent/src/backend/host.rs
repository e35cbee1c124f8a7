//! EDGE kernel: facts about this host that every backend needs.
#![expect(clippy::disallowed_methods, reason = "edge: files")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::Duration;

use rustix::thread::{MembarrierCommand, membarrier};

use super::interface::Interface;
use super::interfaces::Patterns;
use super::{BackendError, netlink};
use crate::ledger::counters::Device;

/// The index of `lo`, in every network namespace.
pub const LOOPBACK: u32 = 1;

/// With at least this many devices, listing all of them is cheaper than one request for each.
const ASK_FOR_ALL_FROM: usize = 8;

/// The major and minor version of a kernel release, such as `6.18` of `6.18.15-cloud-amd64`.
pub fn series(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Whether this is a realtime kernel, where two programs may interleave on one CPU.
pub fn is_realtime() -> bool {
    fs::read_to_string("/sys/kernel/realtime").is_ok_and(|text| text.trim() == "1")
}

/// The id of this boot. No set of counters outlives a boot.
///
/// # Errors
/// When the kernel's file cannot be read.
pub fn boot_id() -> Result<String, BackendError> {
    let path = "/proc/sys/kernel/random/boot_id";
    match fs::read_to_string(path) {
        Ok(id) => Ok(id.trim().to_owned()),
        Err(source) => Err(BackendError::Path { action: "read", path: path.into(), source }),
    }
}

/// The inode of this thread's network namespace, which is unique among the existing namespaces.
///
/// # Errors
/// When /proc is not mounted.
pub fn netns() -> Result<u64, BackendError> {
    let path = "/proc/thread-self/ns/net";
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.ino()),
        Err(source) => Err(BackendError::Path { action: "inspect", path: path.into(), source }),
    }
}

/// Waits until every program that was running at the time of the call has ended.
///
/// `membarrier(GLOBAL)` amounts to `synchronize_rcu()`, which also waits for code that runs with bottom halves
/// disabled, as classifiers do. It is refused with `nohz_full`; then one second is longer than any program runs. With
/// one CPU it returns at once, which is right unless the kernel is a realtime kernel, where we may have interrupted a
/// program; so there we wait for a second as well.
pub fn grace() {
    if is_realtime() || membarrier(MembarrierCommand::Global).is_err() {
        thread::sleep(Duration::from_secs(1));
    }
}

/// The devices of this network namespace, with their default routes and whether they have addresses, where that
/// matters.
///
/// # Errors
/// When the kernel does not answer.
pub fn present(patterns: &Patterns) -> Result<Vec<Interface>, BackendError> {
    let routes = if patterns.follow_routes() { netlink::default_routes()? } else { BTreeSet::new() };
    let mut present = netlink::interfaces(&routes)?;
    if present.iter().any(|interface| interface.below.is_some()) {
        let addressed = netlink::with_addresses()?;
        present.iter_mut().for_each(|interface| interface.has_address = addressed.contains(&interface.index));
    }
    Ok(present)
}

/// The devices' own counters, sorted by name, for devices given by index and name.
///
/// They are only for comparison with our counters and no reason to fail: a device that has gone away, or that the
/// kernel does not answer for, is left out.
pub fn device_counters<'a>(devices: impl ExactSizeIterator<Item = (u32, &'a str)>) -> Vec<Device> {
    let mut counters = Vec::new();
    // If this fails, each device is asked for separately, which reports what is wrong.
    let mut all = if devices.len() < ASK_FOR_ALL_FROM { None } else { netlink::devices().ok() };
    for (index, name) in devices {
        match all.as_mut().map_or_else(|| netlink::device(index), |all| Ok(all.remove(&index))) {
            Ok(Some(device)) => counters.push(Device { name: name.to_owned(), ..device }),
            Ok(None) => {}
            Err(error) => tracing::warn!(interface = name, %error, "failed to read device counters"),
        }
    }
    counters.sort_by(|a, b| a.name.cmp(&b.name));
    counters
}

/// Whether a device has not moved a packet since it was made, so that nothing on it was missed.
pub fn is_untouched(index: u32) -> bool {
    netlink::device(index)
        .is_ok_and(|device| device.is_some_and(|device| device.rx_packets == 0 && device.tx_packets == 0))
}
