//! PURE: the NAT rules of an `iptables-save`, of either variant and family.

use super::ports::PortSet;
use super::rule::{NatRule, Way};
use crate::backend::iptables::saved::error::ParseError;
use crate::backend::iptables::saved::ruleset::parse;

/// The rules of the table `nat` that change a port or an address; `what` they are to a person (`iptables rule`).
///
/// # Errors
/// For what is no such dump.
pub fn rules(text: &str, what: &str) -> Result<Vec<NatRule>, ParseError> {
    let tables = parse(text)?;
    let mut rules = Vec::new();
    let chains = tables.get("nat").into_iter().flat_map(|table| &table.chains);
    // What this host sends is counted by the port that it sends from.
    for (chain, saved) in chains.filter(|(chain, _)| **chain != "OUTPUT") {
        for rule in saved {
            let name = format!("{what} `-t nat -A {chain} {}`", rule.text);
            rules.extend(rule.words().and_then(|words| read(&words, name)));
        }
    }
    Ok(rules)
}

fn read<T: AsRef<str>>(words: &[T], name: String) -> Option<NatRule> {
    let (mut to, mut from) = (PortSet::every(), PortSet::every());
    let (mut way, mut after) = (None, None);
    let mut negated = false;
    let mut words = words.iter().map(AsRef::as_ref);
    while let Some(word) = words.next() {
        let mut set = |ports: &mut PortSet| {
            let named = words.next().and_then(list)?;
            *ports = ports.and(&if negated { named.complement() } else { named });
            Some(())
        };
        match word {
            "!" => {
                negated = true;
                continue;
            }
            "--dport" | "--dports" | "--ports" => set(&mut to)?,
            "--sport" | "--sports" => set(&mut from)?,
            "-p" if !negated && !matches!(words.next()?, "tcp" | "udp" | "all") => return None,
            "-j" => {
                way = Some(match words.next()? {
                    "REDIRECT" => Way::ToThisHost,
                    "DNAT" => Way::ToAnyHost,
                    "SNAT" | "MASQUERADE" => Way::Out,
                    _ => return None,
                });
            }
            "--to-ports" => after = Some(PortSet::of([range(words.next()?, '-')?])),
            "--to-destination" | "--to-source" => after = behind_address(words.next()?),
            _ => {}
        }
        negated = false;
    }
    let way = way?;
    let before = if way == Way::Out { from } else { to };
    Some(NatRule { name, way, before, after })
}

/// `80,8000:8010`.
fn list(text: &str) -> Option<PortSet> {
    Some(PortSet::of(text.split(',').map(|part| range(part, ':')).collect::<Option<Vec<_>>>()?))
}

/// `443`, or both ends with `separator` between.
fn range(text: &str, separator: char) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(separator).unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The ports of `10.0.0.5:80-90` or `[fd00::5]:443/1000`; `None` for an address alone.
fn behind_address(text: &str) -> Option<PortSet> {
    let (address, ports) = text.rsplit_once(':')?;
    let is_address = !address.contains(':') || address.ends_with(']');
    let ports = ports.split('/').next().filter(|_| is_address)?;
    Some(PortSet::of([range(ports, '-')?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4_LEGACY: &str = include_str!("../../../../tests/fixtures/nat/v4-legacy.txt");
    const V4_NFT: &str = include_str!("../../../../tests/fixtures/nat/v4-nft.txt");
    const V6_NFT: &str = include_str!("../../../../tests/fixtures/nat/v6-nft.txt");

    fn shown(text: &str) -> Vec<String> {
        let show = |rule: &NatRule| {
            let after = rule.after.as_ref().map_or("the same".to_owned(), ToString::to_string);
            format!("{:?} {} -> {after}", rule.way, rule.before)
        };
        let mut shown: Vec<_> = rules(text, "rule").unwrap().iter().map(show).collect();
        shown.sort();
        shown
    }

    #[test]
    fn both_variants_are_read_alike() {
        let expected = [
            "Out every port -> ports 8000-8010",
            "Out every port -> the same",
            "Out port 500 -> ports 4500-4510",
            "ToAnyHost port 8443 -> port 443",
            "ToAnyHost ports 0-21,23-65535 -> the same",
            "ToAnyHost ports 8080,9000-9005 -> ports 80-90",
            "ToThisHost ports 20000-20010 -> port 443",
        ];
        assert_eq!(shown(V4_LEGACY), expected);
        assert_eq!(shown(V4_NFT), expected);
        assert_eq!(shown(V6_NFT), ["ToAnyHost port 8443 -> port 443", "ToThisHost ports 20000-20010 -> port 443"]);
    }

    #[test]
    fn a_rule_is_named_as_iptables_shows_it() {
        let all = rules(V4_NFT, "iptables rule").unwrap();
        assert!(all.iter().any(|rule| rule.name
            == "iptables rule `-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8443 -j DNAT --to-destination \
                172.17.0.2:443`"));
    }

    #[test]
    fn an_address_is_told_from_its_port() {
        assert_eq!(behind_address("10.0.0.5"), None);
        assert_eq!(behind_address("fd00::5"), None);
        assert_eq!(behind_address("[fd00::5]"), None);
        let web = Some(PortSet::of([(443, 443)]));
        for text in ["10.0.0.5:443", ":443", "[fd00::5]:443", "10.0.0.1-10.0.0.9:443/7"] {
            assert_eq!(behind_address(text), web, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_never_no_rules() {
        assert!(rules(&V4_NFT[..V4_NFT.len() / 2], "rule").is_err());
        assert_eq!(rules("", "rule").unwrap(), []);
    }
}
