//! A host and its peer: two network namespaces that are joined by a veth pair, and a bpffs of their own. They are
//! removed when dropped. Those of test processes that died are removed by the next one.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const PREFIX: &str = "fa-test";

/// The host's device that leads to the peer and carries the default route.
pub const WAN: &str = "wan";
/// The peer's end of the pair.
pub const LAN: &str = "lan";

/// Two joined hosts.
pub struct Pair {
    /// The namespace in which the agent counts.
    pub host: String,
    /// The namespace of everybody else.
    pub peer: String,
    /// A bpffs only for this pair (mode 0700).
    pub bpffs: PathBuf,
    directory: PathBuf,
}

/// A device's own counters: frames, including 14 bytes of Ethernet header each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounters {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
}

impl DeviceCounters {
    /// The IP bytes that came in since `before`. Only right if no frame was padded and none was a segment of a
    /// super-packet.
    pub fn ip_in_since(self, before: Self) -> u64 {
        (self.rx_bytes - before.rx_bytes) - 14 * (self.rx_packets - before.rx_packets)
    }

    /// The IP bytes that went out since `before`.
    pub fn ip_out_since(self, before: Self) -> u64 {
        (self.tx_bytes - before.tx_bytes) - 14 * (self.tx_packets - before.tx_packets)
    }
}

pub const HOST4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 2));
pub const PEER4: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 99, 0, 1));
pub const HOST6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 2));
pub const PEER6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1));

impl Pair {
    /// Makes the pair. Without root, prints that on stderr and returns `None`, or panics if the tests must not be
    /// skipped.
    pub fn make() -> Option<Self> {
        if !super::have_root("network namespaces") {
            return None;
        }
        static REMOVE_REMAINS: Once = Once::new();
        REMOVE_REMAINS.call_once(remove_remains);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = Path::new("/run").join(&name);
        let pair = Self {
            host: format!("{name}-host"),
            peer: format!("{name}-peer"),
            bpffs: directory.join("bpf"),
            directory,
        };
        std::fs::create_dir_all(&pair.bpffs).unwrap();
        mount("bpf", &pair.bpffs, "bpf", MountFlags::empty(), c"mode=0700").unwrap();
        for netns in [&pair.host, &pair.peer] {
            ip(&["netns", "add", netns]);
            // Only our own addresses, so that nothing is sent except by the test.
            quiet(netns);
            ip(&["-n", netns, "link", "set", "lo", "up"]);
        }
        pair.join(WAN, LAN);
        for (netns, device, v4, v6) in [(&pair.host, WAN, HOST4, HOST6), (&pair.peer, LAN, PEER4, PEER6)] {
            ip(&["-n", netns, "addr", "add", &format!("{v4}/24"), "dev", device]);
            ip(&["-n", netns, "addr", "add", &format!("{v6}/64"), "dev", device, "nodad"]);
        }
        ip(&["-n", &pair.host, "route", "add", "default", "via", &PEER4.to_string()]);
        Some(pair)
    }

    /// Joins the two by another pair of devices, which are up and have no addresses.
    pub fn join(&self, in_host: &str, in_peer: &str) {
        ip(&["-n", &self.host, "link", "add", in_host, "type", "veth", "peer", "name", in_peer, "netns", &self.peer]);
        for (netns, device) in [(&self.host, in_host), (&self.peer, in_peer)] {
            ip(&["-n", netns, "link", "set", device, "up"]);
        }
    }

    /// Makes each host know the other's hardware address permanently, so that no packet waits for it or is dropped
    /// meanwhile.
    pub fn know_each_other(&self) {
        let address = |netns: &str, device: &str| {
            let text = run(Command::new("ip").args(["-n", netns, "-j", "link", "show", "dev", device]));
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            json[0]["address"].as_str().unwrap().to_owned()
        };
        let (host, peer) = (address(&self.host, WAN), address(&self.peer, LAN));
        for (netns, device, ips, address) in
            [(&self.host, WAN, [PEER4, PEER6], &peer), (&self.peer, LAN, [HOST4, HOST6], &host)]
        {
            for neighbour in ips.map(|address| address.to_string()) {
                let entry = ["neigh", "replace", &neighbour, "lladdr", address, "dev", device, "nud", "permanent"];
                ip(&[&["-n", netns][..], &entry].concat());
            }
        }
    }

    /// Runs `ip` in the host's namespace.
    pub fn host_ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.host], arguments].concat());
    }

    /// Runs `ip` in the peer's namespace.
    pub fn peer_ip(&self, arguments: &[&str]) {
        ip(&[&["-n", &self.peer], arguments].concat());
    }

    /// Runs `tc` in the host's namespace, and returns what it prints.
    pub fn host_tc(&self, arguments: &[&str]) -> String {
        run(Command::new("tc").args(["-n", &self.host]).args(arguments))
    }

    /// A host device's own counters.
    pub fn host_counters(&self, device: &str) -> DeviceCounters {
        counters(&self.host, device)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        remove(&self.host, &self.peer, &self.directory);
    }
}

/// Runs `work` on a separate thread in the namespace. Sockets stay in the namespace in which they were made.
pub fn inside<T: Send>(netns: &str, work: impl FnOnce() -> T + Send) -> T {
    let file = File::open(Path::new("/run/netns").join(netns)).unwrap();
    std::thread::scope(|scope| {
        let thread = scope.spawn(move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        // Reports a panic where it happened rather than here.
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn counters(netns: &str, device: &str) -> DeviceCounters {
    let text = run(Command::new("ip").args(["-n", netns, "-s", "-j", "link", "show", "dev", device]));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let count = |direction: &str, what: &str| json[0]["stats64"][direction][what].as_u64().unwrap();
    DeviceCounters {
        rx_bytes: count("rx", "bytes"),
        rx_packets: count("rx", "packets"),
        tx_bytes: count("tx", "bytes"),
        tx_packets: count("tx", "packets"),
    }
}

/// Turns off link-local addresses, router solicitations and multicast reports.
fn quiet(netns: &str) {
    inside(netns, || {
        for (key, value) in [
            ("addr_gen_mode", "1"),
            ("router_solicitations", "0"),
            ("accept_dad", "0"),
            // A group is reported when it is joined, and again up to this many milliseconds later.
            ("mldv1_unsolicited_report_interval", "3600000"),
            ("mldv2_unsolicited_report_interval", "3600000"),
        ] {
            std::fs::write(format!("/proc/sys/net/ipv6/conf/default/{key}"), value).unwrap();
        }
    });
}

fn ip(arguments: &[&str]) {
    run(Command::new("ip").args(arguments));
}

/// Runs a command that must succeed, and returns what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

fn remove(host: &str, peer: &str, directory: &Path) {
    for netns in [host, peer] {
        if Path::new("/run/netns").join(netns).exists() {
            // If this fails, nothing more can be done in a destructor; the next test process tries again.
            let _ = Command::new("ip").args(["netns", "del", netns]).status();
        }
    }
    let _ = unmount(directory.join("bpf"), UnmountFlags::DETACH);
    let _ = std::fs::remove_dir_all(directory);
}

/// Removes what test processes have left that did not end properly.
fn remove_remains() {
    let Ok(entries) = std::fs::read_dir("/run") else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(rest) = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix('-')) else { continue };
        let Some(pid) = rest.split('-').next() else { continue };
        if !Path::new("/proc").join(pid).exists() {
            remove(&format!("{name}-host"), &format!("{name}-peer"), &entry.path());
        }
    }
}
