//! Network devices, as far as the backends need to know them.

/// A network device as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// The `ARPHRD_…` number, which says what its frames begin with.
    pub device_type: u16,
    /// Whether a default route (IPv4 or IPv6, in any table) leaves through this device.
    pub default_route: bool,
    /// The kind of virtual device, such as `bridge`; empty for hardware.
    pub kind: String,
    /// The index of the lower device (`IFLA_LINK`), if it is in this network namespace.
    pub below: Option<u32>,
    /// The index of the device that this one is a port or member of (`IFLA_MASTER`).
    pub master: Option<u32>,
    /// Whether it has an address with global scope. Looked up only if devices are stacked.
    pub has_address: bool,
}

/// What the frames of a device begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkLayer {
    /// An Ethernet header.
    Ethernet,
    /// The IP header itself.
    Ip,
}

impl Interface {
    /// The link layer that decides which programs can read this device's frames. `None` if we have no program for it.
    pub fn link_layer(&self) -> Option<LinkLayer> {
        // The numbers are those of include/uapi/linux/if_arp.h.
        match self.device_type {
            // ETHER, LOOPBACK
            1 | 772 => Some(LinkLayer::Ethernet),
            // NONE (tun, WireGuard), RAWIP, PPP, SIT, TUNNEL, TUNNEL6
            0xfffe | 519 | 512 | 776 | 768 | 769 => Some(LinkLayer::Ip),
            _ => None,
        }
    }
}
