//! PURE: NAT rules of native nftables tables, as listed by `nft -j` (libnftables-json(5)).

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::ports::PortSet;
use super::rule::{NatRule, Way};

/// The family and name of every table with a NAT chain, from `nft -j list chains`.
///
/// # Errors
/// When the text is not such a list.
pub fn tables(json: &str) -> Result<BTreeSet<(String, String)>, String> {
    let objects = objects(json)?;
    let chains = objects.iter().filter_map(|object| object.get("chain")).filter(|chain| chain["type"] == "nat");
    Ok(chains.filter_map(|chain| Some((text(&chain["family"])?, text(&chain["table"])?))).collect())
}

/// The rules of one table that change a port or an address, from `nft -j list table`.
///
/// # Errors
/// When the text is not such a list.
pub fn rules(json: &str) -> Result<Vec<NatRule>, String> {
    let objects = objects(json)?;
    let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
    let sets: BTreeMap<&str, PortSet> =
        of("set").filter_map(|set| Some((set["name"].as_str()?, elements(set["elem"].as_array()?)?))).collect();
    // A rule in an output chain changes the destination of what this host sends, which is counted by its source port.
    let outputs: BTreeSet<&str> =
        of("chain").filter(|chain| chain["hook"] == "output").filter_map(|chain| chain["name"].as_str()).collect();
    let rule = |rule: &Value| {
        let chain = rule["chain"].as_str().filter(|chain| !outputs.contains(chain))?;
        let (family, table) = (rule["family"].as_str()?, rule["table"].as_str()?);
        let name = format!("nft rule with handle {} in `{family} {table} {chain}`", rule["handle"]);
        read(rule["expr"].as_array()?, &sets, name)
    };
    Ok(of("rule").filter_map(rule).collect())
}

fn objects(json: &str) -> Result<Vec<Value>, String> {
    #[derive(Deserialize)]
    struct List {
        nftables: Vec<Value>,
    }
    serde_json::from_str(json).map(|list: List| list.nftables).map_err(|error| error.to_string())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(ToOwned::to_owned)
}

fn read(expressions: &[Value], sets: &BTreeMap<&str, PortSet>, name: String) -> Option<NatRule> {
    let statement = |kind: &str| expressions.iter().find_map(|expression| expression.get(kind));
    let (way, statement, field) = [
        ("redirect", Way::ToThisHost, "dport"),
        ("dnat", Way::ToAnyHost, "dport"),
        ("snat", Way::Out, "sport"),
        ("masquerade", Way::Out, "sport"),
    ]
    .into_iter()
    .find_map(|(kind, way, field)| Some((way, statement(kind)?, field)))?;
    let mut before = PortSet::every();
    for matching in expressions.iter().filter_map(|expression| expression.get("match")) {
        if is_for_others(matching) {
            return None;
        }
        if matching["left"]["payload"]["field"] == field {
            before = before.and(&matched(matching, sets));
        }
    }
    // A map looks up the destination by port, so the rule only affects the ports that are keys.
    let mut after = statement.get("port").map(|port| ports(port).unwrap_or_else(PortSet::every));
    for (place, mapped) in ["addr", "port"].map(|place| (place, &statement[place]["map"])) {
        let Some(pairs) = mapped["data"]["set"].as_array() else { continue };
        if mapped["key"]["payload"]["field"] == field {
            let side = |index: usize| elements(&pairs.iter().map(|pair| pair[index].clone()).collect::<Vec<_>>());
            before = before.and(&side(0).unwrap_or_else(PortSet::every));
            if place == "port" {
                after = Some(side(1).unwrap_or_else(PortSet::every));
            }
        }
    }
    Some(NatRule { name, way, before, after })
}

/// Whether the expression selects packets of a protocol without ports.
fn is_for_others(matching: &Value) -> bool {
    let left = &matching["left"];
    let names_protocol = left["meta"]["key"] == "l4proto" || left["payload"]["field"] == "protocol";
    names_protocol && matching["op"] == "==" && matching["right"].as_str().is_some_and(|name| name.contains("icmp"))
}

/// The ports that an expression matches. If it is not understood, that is every port: a superfluous hint is better than
/// a missing one.
fn matched(matching: &Value, sets: &BTreeMap<&str, PortSet>) -> PortSet {
    let right = &matching["right"];
    let named = right.as_str().and_then(|name| sets.get(name.strip_prefix('@')?)).cloned();
    let Some(ports) = named.or_else(|| ports(right)) else { return PortSet::every() };
    let number = right.as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    match matching["op"].as_str() {
        Some("==" | "in") => ports,
        Some("!=") => ports.complement(),
        Some("<") => PortSet::of(number.checked_sub(1).map(|last| (0, last))),
        Some("<=") => PortSet::of([(0, number)]),
        Some(">") => PortSet::of(number.checked_add(1).map(|first| (first, u16::MAX))),
        Some(">=") => PortSet::of([(number, u16::MAX)]),
        _ => PortSet::every(),
    }
}

/// Parses `443`, `{"range": [80, 90]}` or `{"set": […]}`.
fn ports(value: &Value) -> Option<PortSet> {
    match value["set"].as_array() {
        Some(list) => elements(list),
        None => Some(PortSet::of([range(value)?])),
    }
}

fn elements(list: &[Value]) -> Option<PortSet> {
    // An element with a timeout, a counter or a comment is wrapped in an object.
    let bare = |element: &Value| range(element.get("elem").map_or(element, |wrapped| &wrapped["val"]));
    Some(PortSet::of(list.iter().map(bare).collect::<Option<Vec<_>>>()?))
}

fn range(value: &Value) -> Option<(u16, u16)> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    match value["range"].as_array() {
        Some(ends) => Some((port(ends.first()?)?, port(ends.get(1)?)?)),
        None => Some((port(value)?, port(value)?)),
    }
}

#[cfg(test)]
mod tests;
