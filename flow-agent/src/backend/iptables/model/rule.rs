//! PURE: the few kinds of rules in our chains, which are written and parsed exactly.

use std::fmt;

use super::flow::{Direction, FlowClass, Protocol, protocol_word};

/// A rule of ours. Its target is another chain of ours or a return. Only the rule that refuses what a budget does not
/// allow has a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IptablesRule {
    pub matching: Match,
    pub target: RuleTarget,
}

/// Which packets a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    All,
    /// Packets that come in or go out through this interface.
    Interface(Direction, String),
    Protocol(Protocol),
    /// Packets with this local port.
    Port(FlowClass, u16),
    /// Packets whose local port is at most this one.
    UpTo(FlowClass, u16),
    /// Packets whose local port is a member of this ipset.
    Member(FlowClass, String),
    /// IPv6 packets with a fragment header.
    Fragment,
    /// IPv6 packets that are the first fragment of a datagram.
    FirstFragment,
    /// Packets of a socket on this host. The rule is never evaluated; its presence makes the kernel reassemble incoming
    /// packets.
    Socket,
}

/// Where a matching packet continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// At the next rule. This rule only counts.
    Next,
    /// In a chain, and afterwards at the next rule.
    Jump(String),
    /// In a chain, without coming back here.
    Goto(String),
    /// After the last jump.
    Return,
    /// Nowhere: it is dropped.
    Drop,
}

impl IptablesRule {
    /// A rule that counts `matching` and does nothing else.
    pub fn count(matching: Match) -> Self {
        Self { matching, target: RuleTarget::Next }
    }

    pub fn jump(matching: Match, chain: String) -> Self {
        Self { matching, target: RuleTarget::Jump(chain) }
    }

    pub fn goto(matching: Match, chain: String) -> Self {
        Self { matching, target: RuleTarget::Goto(chain) }
    }

    /// Parses what `iptables-save` prints after `-A CHAIN`. `None` if it is not exactly a rule of ours.
    pub fn read<T: AsRef<str>>(words: &[T]) -> Option<Self> {
        let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
        let (matching, target) = match words.as_slice() {
            [matching @ .., "-j", "RETURN"] => (matching, RuleTarget::Return),
            [matching @ .., "-j", "DROP"] => (matching, RuleTarget::Drop),
            [matching @ .., "-j", chain] => (matching, RuleTarget::Jump((*chain).to_owned())),
            [matching @ .., "-g", chain] => (matching, RuleTarget::Goto((*chain).to_owned())),
            matching => (matching, RuleTarget::Next),
        };
        Some(Self { matching: Match::read(matching)?, target })
    }
}

impl Match {
    fn read(words: &[&str]) -> Option<Self> {
        Some(match words {
            [] => Self::All,
            ["-i", interface] => Self::Interface(Direction::Ingress, (*interface).to_owned()),
            ["-o", interface] => Self::Interface(Direction::Egress, (*interface).to_owned()),
            ["-p", protocol] => Self::Protocol(read_protocol(protocol)?),
            ["-p", protocol, "-m", module, option, ports] if protocol == module => {
                let direction = match *option {
                    "--dport" => Direction::Ingress,
                    "--sport" => Direction::Egress,
                    _ => return None,
                };
                let tree = FlowClass { protocol: read_protocol(protocol)?, direction };
                match ports.split_once(':') {
                    None => Self::Port(tree, ports.parse().ok()?),
                    Some(("" | "0", last)) => Self::UpTo(tree, last.parse().ok()?),
                    Some(_) => return None,
                }
            }
            ["-p", protocol, "-m", "set", "--match-set", name, option] => {
                let direction = Direction::BOTH.into_iter().find(|direction| set_option(*direction) == *option)?;
                Self::Member(FlowClass { protocol: read_protocol(protocol)?, direction }, (*name).to_owned())
            }
            ["-m", "ipv6header", "--header", "ipv6-frag", "--soft"] => Self::Fragment,
            ["-m", "frag", "--fragfirst"] => Self::FirstFragment,
            ["-m", "socket"] => Self::Socket,
            _ => return None,
        })
    }
}

fn read_protocol(word: &str) -> Option<Protocol> {
    Protocol::BOTH.into_iter().find(|protocol| protocol_word(*protocol) == word)
}

/// The option for the local port: `--dport` for incoming and `--sport` for outgoing packets.
fn port_option(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "--dport",
        Direction::Egress => "--sport",
    }
}

/// The same for a match with an ipset.
fn set_option(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "dst",
        Direction::Egress => "src",
    }
}

impl fmt::Display for IptablesRule {
    /// Writes what follows `-A CHAIN`, with a space before every word.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.matching {
            Match::All => {}
            Match::Interface(Direction::Ingress, name) => write!(f, " -i {name}")?,
            Match::Interface(Direction::Egress, name) => write!(f, " -o {name}")?,
            Match::Protocol(protocol) => write!(f, " -p {}", protocol_word(*protocol))?,
            Match::Port(FlowClass { protocol, direction }, port) => {
                let (word, option) = (protocol_word(*protocol), port_option(*direction));
                write!(f, " -p {word} -m {word} {option} {port}")?;
            }
            Match::UpTo(FlowClass { protocol, direction }, last) => {
                let (word, option) = (protocol_word(*protocol), port_option(*direction));
                write!(f, " -p {word} -m {word} {option} 0:{last}")?;
            }
            Match::Member(FlowClass { protocol, direction }, name) => {
                write!(f, " -p {} -m set --match-set {name} {}", protocol_word(*protocol), set_option(*direction))?;
            }
            Match::Fragment => f.write_str(" -m ipv6header --header ipv6-frag --soft")?,
            Match::FirstFragment => f.write_str(" -m frag --fragfirst")?,
            Match::Socket => f.write_str(" -m socket")?,
        }
        match &self.target {
            RuleTarget::Next => Ok(()),
            RuleTarget::Jump(chain) => write!(f, " -j {chain}"),
            RuleTarget::Goto(chain) => write!(f, " -g {chain}"),
            RuleTarget::Return => f.write_str(" -j RETURN"),
            RuleTarget::Drop => f.write_str(" -j DROP"),
        }
    }
}

/// Whether this interface name can be written in a rule and matches only this interface. In iptables a `+` at the end
/// is a wildcard, `!` negates, and quotes and backslashes are special as in a shell.
pub fn can_name(interface: &str) -> bool {
    !interface.is_empty()
        && !interface.starts_with(['-', '!'])
        && !interface.ends_with('+')
        && interface.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\'))
}

#[cfg(test)]
mod tests;
