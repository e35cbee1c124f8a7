//! PURE: direction and protocol, by which a port's bytes are counted separately.

pub use flow_common::frame::{Direction, Protocol};

/// The built-in chain that packets of a direction pass through.
pub fn hook(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "INPUT",
        Direction::Egress => "OUTPUT",
    }
}

/// The direction as it is written in chain names.
pub(super) fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    }
}

/// The name of the protocol in iptables, which is also the name of its match.
pub fn protocol_word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    }
}

/// One protocol in one direction. Ports are counted separately for each class, which has its own tree or ipset.
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
