//! EDGE kernel: whether anybody may have changed rules since the last look, asked for a few microseconds where a look costs
//! milliseconds.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::tools::{Tools, Variant};
use crate::backend::iptables::model::family::Family;
use crate::backend::netlink;

/// Differs from the one before when rules were changed in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fingerprint {
    /// The number of the ruleset's generation, which every change of any rule raises.
    Generation(u32),
    /// Where the rules of the table lie; a change that leaves them as many and as long is not seen.
    Extent(Extent),
}

/// `struct ipt_getinfo`, as `struct ip6t_getinfo` (include/uapi/linux/netfilter_ipv4/ip_tables.h).
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

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`.
const SO_GET_INFO: libc::c_int = 64;

impl Fingerprint {
    /// Of the rules that `tools` speak of.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn take(tools: &Tools) -> io::Result<Self> {
        match tools.variant {
            Variant::Nft => netlink::ruleset_generation().map(Self::Generation),
            Variant::Legacy => extent(tools.family, tools.table).map(Self::Extent),
        }
    }

    /// Whether it sees every change.
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
    // The last byte stays zero: our tables' names are short.
    extent.name.iter_mut().zip(table.bytes()).for_each(|(to, from)| *to = from);
    let mut length = libc::socklen_t::try_from(size_of::<Extent>()).expect("84 bytes");
    // SAFETY: the option reads the name from, and writes itself to, the one structure that it is defined with, whose length
    // is told and which lives over the call.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, SO_GET_INFO, (&raw mut extent).cast(), &raw mut length) };
    if result == 0 { Ok(extent) } else { Err(io::Error::last_os_error()) }
}
