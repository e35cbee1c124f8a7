//! EDGE kernel: a quick check whether rules may have changed since the last look. It takes a few microseconds, where
//! reading the rules takes milliseconds.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::tools::{Tools, Variant};
use crate::backend::iptables::model::family::Family;
use crate::backend::netlink;

/// A value that differs from an earlier one if rules were changed in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// The ruleset's generation, which every change of any rule increments.
    Generation(u32),
    /// Offsets and sizes of the table's rules. Changes that keep their number and size are not noticed.
    Extent(Extent),
}

/// The layout of `struct ipt_getinfo` and `struct ip6t_getinfo` (include/uapi/linux/netfilter_ipv4/ip_tables.h).
#[repr(C)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    name: [u8; 32],
    valid_hooks: u32,
    hook_entry: [u32; 5],
    underflow: [u32; 5],
    num_entries: u32,
    size: u32,
}

/// The value of both `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const SO_GET_INFO: libc::c_int = 64;

impl Fingerprint {
    /// Takes the fingerprint of the rules that `tools` work on.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn take(tools: &Tools) -> io::Result<Self> {
        match tools.variant {
            Variant::Nft => netlink::ruleset_generation().map(Self::Generation),
            Variant::Legacy => extent(tools.family, tools.table).map(Self::Extent),
        }
    }

    /// Whether the fingerprint changes with every change of the rules.
    pub fn is_exact(&self) -> bool {
        matches!(self, Self::Generation(_))
    }
}

fn extent(family: Family, table: &str) -> io::Result<Extent> {
    let (domain, level) = match family {
        Family::V4 => (AddressFamily::INET, libc::IPPROTO_IP),
        Family::V6 => (AddressFamily::INET6, libc::IPPROTO_IPV6),
    };
    let socket: OwnedFd = socket_with(domain, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW))?;
    let mut extent =
        Extent { name: [0; 32], valid_hooks: 0, hook_entry: [0; 5], underflow: [0; 5], num_entries: 0, size: 0 };
    // The name stays zero-terminated, because our tables' names are short.
    extent.name.iter_mut().zip(table.bytes()).for_each(|(to, from)| *to = from);
    let mut length = libc::socklen_t::try_from(size_of::<Extent>()).expect("84 bytes");
    // SAFETY: the option reads the name from, and writes its answer to, the one structure that it is defined with. Its
    // length is stated, and it outlives the call.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, SO_GET_INFO, (&raw mut extent).cast(), &raw mut length) };
    if result == 0 { Ok(extent) } else { Err(io::Error::last_os_error()) }
}
