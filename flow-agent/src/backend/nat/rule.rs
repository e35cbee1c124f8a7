//! PURE: what a NAT rule does to a port, and what that means for the figures.

use std::collections::BTreeSet;
use std::fmt;

use super::ports::PortSet;

/// More watched ports than these are counted, not named.
const MOST_NAMED: usize = 8;

/// A rule that changes where packets go to, or come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatRule {
    /// How a person finds it again.
    pub name: String,
    pub way: Way,
    /// The ports, of this host, that packets have when they come to the rule.
    pub before: PortSet,
    /// Those that they have behind it; `None`: the same.
    pub after: Option<PortSet>,
}

/// Which packets a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// That come in, and stay on this host.
    ToThisHost,
    /// That come in, and may be sent on to another.
    ToAnyHost,
    /// That go out.
    Out,
}

/// A rule, and the watched ports that it touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    pub ports: BTreeSet<u16>,
    rule: NatRule,
}

impl NatRule {
    /// Which of `watched` are counted otherwise than one would think.
    pub fn touches(&self, watched: &BTreeSet<u16>) -> Option<Touch> {
        let is_before = |port| self.before.contains(port);
        let is_after = |port| self.after.as_ref().is_some_and(|after| after.contains(port));
        let is_touched = |port: &&u16| match (self.way, &self.after) {
            (Way::ToThisHost | Way::ToAnyHost, Some(_)) => is_before(**port) || is_after(**port),
            (Way::ToAnyHost, None) => is_before(**port),
            // Whatever leaves is no sign of a watched port; one that it is given, or had, is.
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
                "watch the ports before and behind the rule, for the same user: together they are the same with both"
            }
            (Way::ToThisHost | Way::ToAnyHost, None) => "count with eBPF, if what is sent on is to be counted",
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
                "what comes to {before} goes on to {after}; eBPF counts it on {before}, iptables, if it stays on this \
                 host, on {after}"
            ),
            (Way::ToThisHost | Way::ToAnyHost, None) => write!(
                f,
                "what comes to {before} may be sent on to another host; eBPF counts it, iptables counts only what stays"
            ),
            (Way::Out, after) => {
                let after = after.as_ref().unwrap_or(before);
                write!(
                    f,
                    "what goes out from {before} goes out as {after}; eBPF counts it on {after}, iptables, if it began \
                     on this host, on {before}"
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
