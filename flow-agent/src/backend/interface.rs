//! A network device.

/// A network device as the kernel lists it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    /// `ARPHRD_…`: what its frames begin with.
    pub device_type: u16,
    /// Whether a default route (IPv4 or IPv6, of any table) leaves through it.
    pub default_route: bool,
    /// What made it, as in `bridge`; empty for hardware.
    pub kind: String,
    /// The index of the device below (`IFLA_LINK`), if it is in this network namespace.
    pub below: Option<u32>,
    /// The index of the device that this one is a port or member of (`IFLA_MASTER`).
    pub master: Option<u32>,
    /// Whether it has an address of more than the link itself; looked up only where devices are stacked.
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
    /// Which programs can read this device's frames; `None`: none of ours.
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
