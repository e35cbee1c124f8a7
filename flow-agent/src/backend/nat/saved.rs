//! PURE: NAT rules in the output of `iptables-save`, of either variant and family.

use super::ports::PortSet;
use super::rule::{NatRule, Way};
use crate::backend::iptables::saved::error::ParseError;
use crate::backend::iptables::saved::ruleset::parse;

/// The rules of table `nat` that change a port or an address. `what` is the kind of rule in words (`iptables rule`).
///
/// # Errors
/// When the text is not such a dump.
pub fn rules(text: &str, what: &str) -> Result<Vec<NatRule>, ParseError> {
    let tables = parse(text)?;
    let mut rules = Vec::new();
    let chains = tables.get("nat").into_iter().flat_map(|table| &table.chains);
    // The OUTPUT chain changes the destination of what this host sends, which is counted by its source port.
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

/// Parses `80,8000:8010`.
fn list(text: &str) -> Option<PortSet> {
    Some(PortSet::of(text.split(',').map(|part| range(part, ':')).collect::<Option<Vec<_>>>()?))
}

/// Parses `443`, or both ends of a range with `separator` in between.
fn range(text: &str, separator: char) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(separator).unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// The ports in `10.0.0.5:80-90` or `[fd00::5]:443/1000`. `None` for an address without a port.
fn behind_address(text: &str) -> Option<PortSet> {
    let (address, ports) = text.rsplit_once(':')?;
    let is_address = !address.contains(':') || address.ends_with(']');
    let ports = ports.split('/').next().filter(|_| is_address)?;
    Some(PortSet::of([range(ports, '-')?]))
}

#[cfg(test)]
mod tests;
