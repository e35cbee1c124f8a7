//! PURE: direction and protocol, by which the bytes of a port are told apart.

pub use flow_common::frame::{Direction, Protocol};

/// The built-in chain that the packets of a direction pass.
pub fn hook(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "INPUT",
        Direction::Egress => "OUTPUT",
    }
}

/// The direction in the names of chains.
pub(super) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

/// What iptables calls the protocol, and its match.
pub fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// What is counted apart in a family: the ports of one protocol in one direction. Each has a tree of its own, or an ipset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlowClass {
    pub protocol: Protocol,
    pub direction: Direction,
}

impl FlowClass {
    pub const ALL: [Self; 4] = [
        Self { protocol: Protocol::Tcp, direction: Direction::Ingress },
        Self { protocol: Protocol::Tcp, direction: Direction::Egress },
        Self { protocol: Protocol::Udp, direction: Direction::Ingress },
        Self { protocol: Protocol::Udp, direction: Direction::Egress },
    ];

    pub(super) fn letters(self) -> &'static str {
        match (self.protocol, self.direction) {
            (Protocol::Tcp, Direction::Ingress) => "ti",
            (Protocol::Tcp, Direction::Egress) => "to",
            (Protocol::Udp, Direction::Ingress) => "ui",
            (Protocol::Udp, Direction::Egress) => "uo",
        }
    }
}
