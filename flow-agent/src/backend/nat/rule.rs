//! PURE: what a NAT rule does to a port, and what that means for the counted bytes.

use std::collections::BTreeSet;
use std::fmt;

use super::ports::PortSet;

/// If more watched ports than this are affected, only their number is given.
const MOST_NAMED: usize = 8;

/// A rule that changes the source or destination of packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// A name by which a person can find the rule.
    pub name: String,
    pub way: Way,
    /// The ports of this host that packets have before the rule.
    pub before: PortSet,
    /// The ports that they have after the rule. `None` if it does not change the port.
    pub after: Option<PortSet>,
}

/// Which packets a rule applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Incoming packets, which stay on this host.
    ToThisHost,
    /// Incoming packets, which may be forwarded to another host.
    ToAnyHost,
    /// Outgoing packets.
    Out,
}

/// A rule, and the watched ports that it affects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    pub ports: BTreeSet<u16>,
    rule: NatRule,
}

impl NatRule {
    /// Whether both change the same packets in the same way, whatever they are called.
    pub fn does_the_same_as(&self, other: &Self) -> bool {
        (self.way, &self.before, &self.after) == (other.way, &other.before, &other.after)
    }

    /// The ports of `watched` whose bytes are counted differently than one would expect.
    pub fn touches(&self, watched: &BTreeSet<u16>) -> Option<Touch> {
        let is_before = |port| self.before.contains(port);
        let is_after = |port| self.after.as_ref().is_some_and(|after| after.contains(port));
        let is_touched = |port: &&u16| match (self.way, &self.after) {
            (Way::ToThisHost | Way::ToAnyHost, Some(_)) => is_before(**port) || is_after(**port),
            (Way::ToAnyHost, None) => is_before(**port),
            // A rule for outgoing packets of any port does not concern a watched port, unless packets are given such a
            // port.
            (Way::Out, Some(_)) => is_after(**port) || (!self.before.is_every() && is_before(**port)),
            (Way::ToThisHost | Way::Out, None) => false,
        };
        let ports: BTreeSet<u16> = watched.iter().filter(is_touched).copied().collect();
        (!ports.is_empty()).then(|| Touch { ports, rule: self.clone() })
    }
}

impl Touch {
    /// What can be done about it.
    pub fn help(&self) -> &'static str {
        match (self.rule.way, &self.rule.after) {
            (Way::ToThisHost | Way::ToAnyHost, Some(_)) | (Way::Out, _) => {
                "watch the ports before and after the rule for the same user; their sum is the same with every \
                 backend"
            }
            (Way::ToThisHost | Way::ToAnyHost, None) => "use eBPF to count forwarded traffic as well",
        }
    }
}

impl fmt::Display for Touch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NatRule { name, way, before, after } = &self.rule;
        if self.ports.len() > MOST_NAMED {
            write!(f, "NAT touches {} watched ports: {name}: ", self.ports.len())?;
        } else {
            write!(f, "NAT touches {}: {name}: ", PortSet::of(self.ports.iter().map(|port| (*port, *port))))?;
        }
        match (way, after) {
            (Way::ToThisHost | Way::ToAnyHost, Some(after)) => write!(
                f,
                "traffic to {before} is redirected to {after}; eBPF counts it on {before}; nftables and iptables, if \
                 it stays on this host, on {after}"
            ),
            (Way::ToThisHost | Way::ToAnyHost, None) => write!(
                f,
                "traffic to {before} may be forwarded to another host; eBPF counts all of it, nftables and \
                 iptables only what stays here"
            ),
            (Way::Out, after) => {
                let after = after.as_ref().unwrap_or(before);
                write!(
                    f,
                    "traffic from {before} leaves as {after}; eBPF counts it on {after}; nftables and iptables, \
                     if it originates on this host, on {before}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
