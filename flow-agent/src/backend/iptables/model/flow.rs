//! PURE: direction and protocol, by which the bytes of a port are told apart.

/// Which way a packet goes, as the host sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    In,
    Out,
}

impl Direction {
    pub const BOTH: [Self; 2] = [Self::In, Self::Out];

    /// The built-in chain that its packets pass.
    pub fn hook(self) -> &'static str {
        match self {
            Self::In => "INPUT",
            Self::Out => "OUTPUT",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub const BOTH: [Self; 2] = [Self::Tcp, Self::Udp];

    /// As iptables calls it, and its match.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
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
        Self { protocol: Protocol::Tcp, direction: Direction::In },
        Self { protocol: Protocol::Tcp, direction: Direction::Out },
        Self { protocol: Protocol::Udp, direction: Direction::In },
        Self { protocol: Protocol::Udp, direction: Direction::Out },
    ];

    pub(super) fn letters(self) -> &'static str {
        match (self.protocol, self.direction) {
            (Protocol::Tcp, Direction::In) => "ti",
            (Protocol::Tcp, Direction::Out) => "to",
            (Protocol::Udp, Direction::In) => "ui",
            (Protocol::Udp, Direction::Out) => "uo",
        }
    }
}
