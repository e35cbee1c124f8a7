//! PURE: the few rules that our chains are made of, written and read exactly.

use std::fmt;

use super::flow::{Direction, FlowClass, Protocol, protocol_word};

/// What a rule of ours says. Its target is another chain of ours, or the way back; the one that refuses what a budget does
/// not allow is the only one that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IptablesRule {
    pub matching: Match,
    pub target: RuleTarget,
}

/// Which packets a rule takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    All,
    /// Those that came in, or go out, through this interface.
    Interface(Direction, String),
    Protocol(Protocol),
    /// Those whose local port is this one.
    Port(FlowClass, u16),
    /// Those whose local port is this one at most.
    UpTo(FlowClass, u16),
    /// Those whose local port is a member of this ipset.
    Member(FlowClass, String),
    /// IPv6: those with a fragment header.
    Fragment,
    /// IPv6: the first of a datagram's fragments.
    FirstFragment,
    /// Those of a socket of this host. It is never asked: that it is there makes the kernel reassemble what comes in.
    Socket,
}

/// Where a packet goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleTarget {
    /// At the next rule: this one only counts.
    Next,
    /// In a chain, and then at the next rule.
    Jump(String),
    /// In a chain, and not back here.
    Goto(String),
    /// Back where the last jump came from.
    Return,
    /// Nowhere.
    Drop,
}

impl IptablesRule {
    /// Counts `matching`, and does nothing else.
    pub fn count(matching: Match) -> Self {
        Self { matching, target: RuleTarget::Next }
    }

    pub fn jump(matching: Match, chain: String) -> Self {
        Self { matching, target: RuleTarget::Jump(chain) }
    }

    pub fn goto(matching: Match, chain: String) -> Self {
        Self { matching, target: RuleTarget::Goto(chain) }
    }

    /// Reads what `iptables-save` prints behind `-A CHAIN`; `None` for what is not exactly one of ours.
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

/// `--dport` of what comes in, `--sport` of what goes out: the local port.
fn port_option(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "--dport",
        Direction::Egress => "--sport",
    }
}

/// The same for an ipset.
fn set_option(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "dst",
        Direction::Egress => "src",
    }
}

impl fmt::Display for IptablesRule {
    /// What stands behind `-A CHAIN`, with a space before every word.
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

/// Whether an interface's name can stand in a rule and mean this interface only: iptables takes a `+` at the end for a
/// wildcard and a `!` for a negation, and reads quotes and backslashes as a shell does.
pub fn can_name(interface: &str) -> bool {
    !interface.is_empty()
        && !interface.starts_with(['-', '!'])
        && !interface.ends_with('+')
        && interface.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP_OUT: FlowClass = FlowClass { protocol: Protocol::Udp, direction: Direction::Egress };
    const TCP_IN: FlowClass = FlowClass { protocol: Protocol::Tcp, direction: Direction::Ingress };

    fn read(text: &str) -> Option<IptablesRule> {
        IptablesRule::read(&text.split_whitespace().collect::<Vec<_>>())
    }

    #[test]
    fn every_rule_reads_back() {
        let targets = [
            RuleTarget::Next,
            RuleTarget::Jump("a".into()),
            RuleTarget::Goto("b".into()),
            RuleTarget::Return,
            RuleTarget::Drop,
        ];
        let matches = [
            Match::All,
            Match::Interface(Direction::Ingress, "eth0".into()),
            Match::Interface(Direction::Egress, "wg-1.5".into()),
            Match::Protocol(Protocol::Tcp),
            Match::Port(TCP_IN, 443),
            Match::Port(UDP_OUT, 65535),
            Match::UpTo(TCP_IN, 4433),
            Match::Member(TCP_IN, "flow-k3v9qa-1h2j4k-ti4".into()),
            Match::Member(UDP_OUT, "flow-k3v9qa-1h2j4k-uo6".into()),
            Match::Fragment,
            Match::FirstFragment,
            Match::Socket,
        ];
        for matching in matches {
            for target in targets.clone() {
                let rule = IptablesRule { matching: matching.clone(), target };
                assert_eq!(read(&rule.to_string()), Some(rule));
            }
        }
    }

    #[test]
    fn a_rule_is_written_as_iptables_save_prints_it() {
        let rule = IptablesRule::goto(Match::UpTo(UDP_OUT, 8191), "x".into());
        assert_eq!(rule.to_string(), " -p udp -m udp --sport 0:8191 -g x");
        let rule = IptablesRule { matching: Match::Member(UDP_OUT, "x".into()), target: RuleTarget::Return };
        assert_eq!(rule.to_string(), " -p udp -m set --match-set x src -j RETURN");
        let rule = IptablesRule { matching: Match::Port(TCP_IN, 443), target: RuleTarget::Return };
        assert_eq!(rule.to_string(), " -p tcp -m tcp --dport 443 -j RETURN");
    }

    #[test]
    fn what_is_nearly_ours_is_not_ours() {
        for text in [
            "-p tcp -m udp --dport 443",
            "-p tcp -m tcp --dport 443 -m comment --comment x -j RETURN",
            "-p tcp -m tcp ! --dport 443",
            "-p tcp -m tcp --dport 1:443",
            "-p tcp -m tcp --dport 70000",
            "-p tcp -m set --match-set x dst,dst",
            "-p tcp -m set ! --match-set x dst",
            "-m set --match-set x dst",
            "-p sctp",
            "-s 10.0.0.0/8",
            "! -i eth0",
            "-i eth0 -p tcp",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn names_with_a_meaning_to_iptables_are_refused() {
        assert!(["eth0", "wg-1.5", "ppp0@x", "a+b"].into_iter().all(can_name));
        assert!(["", "eth+", "!eth0", "-i", "e\"0", "e'0", "e\\0", "e 0", "é"].into_iter().all(|name| !can_name(name)));
    }
}
