//! The laws that the reader of `iptables-save -c` obeys for every text, and that of `ipset save` for the rest of the
//! text from `create ` on. The fuzzer searches for a text that breaks one, and a test checks all texts in the corpus.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use flow_agent::backend::iptables::model::family::Family;
use flow_agent::backend::iptables::model::flow::Direction;
use flow_agent::backend::iptables::model::ipset::Ipset;
use flow_agent::backend::iptables::model::set_name::RuleSetName;
use flow_agent::backend::iptables::saved::members::{self, Members};
use flow_agent::backend::iptables::saved::ruleset::{SavedRule, Table, parse};
use flow_agent::backend::iptables::saved::sets::{self, Entrance};
use flow_agent::backend::iptables::saved::view::VerifiedSet;

/// Checks the laws, and panics if one is broken.
pub fn hold(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    // iptables never ends lines with a carriage return, which would be lost when they are written again.
    if text.contains('\r') {
        return;
    }
    let (text, ipsets) = text.find("create ").map_or((text, ""), |at| text.split_at(at));
    let Ok(mut tables) = parse(text) else { return };

    // Every chain and every rule of the text is found, and nothing else.
    let lines = |first: char| text.lines().filter(|line| line.starts_with(first)).count();
    assert_eq!(tables.values().map(|table| table.chains.len()).sum::<usize>(), lines(':'));
    assert_eq!(rules(&tables).count(), lines('['));
    // Text that is written from the result gives the same result.
    assert_eq!(parse(&written(&tables)).as_ref(), Ok(&tables));
    // A truncated text is refused, or has complete tables.
    let half = (text.len() / 2..).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    if let Ok(before) = parse(&text[..half]) {
        assert!(before.iter().all(|(name, table)| tables.get(name) == Some(table)));
    }
    // Every rule splits into words, unless a quote is not closed.
    for rule in rules(&tables) {
        assert!(rule.words().is_none_or(|words| words.iter().map(|word| word.len()).sum::<usize>() <= rule.text.len()));
    }
    let ipsets = hold_for_ipsets(ipsets);
    for table in tables.values_mut() {
        table.ipsets.clone_from(&ipsets);
        hold_for_sets(table);
    }
}

/// Checks the laws for every saved ipset. Returns those of ours, in the form in which the agent has them.
fn hold_for_ipsets(text: &str) -> BTreeMap<(RuleSetName, Ipset), Members> {
    let mut ours = BTreeMap::new();
    for saved in text.split("create ").skip(1) {
        let name = saved.split([' ', '\n']).next().unwrap_or_default();
        let Ok(members) = members::parse(&format!("create {saved}"), name) else { continue };
        // Every line except the first is a member.
        assert_eq!(members.len(), saved.lines().count().saturating_sub(1));
        let written: String = members
            .iter()
            .map(|(port, (bytes, packets))| format!("add {name} {port} packets {packets} bytes {bytes}\n"))
            .collect();
        assert_eq!(members::parse(&format!("create {name}\n{written}"), name).as_ref(), Ok(&members));
        ours.extend(RuleSetName::parse_ipset(name, Family::V4).map(|key| (key, members)));
    }
    ours
}

/// Checks the laws for the sets of counters in a table.
fn hold_for_sets(table: &Table<'_>) {
    let of_ipsets: u128 =
        table.ipsets.values().flatten().map(|(_, (bytes, packets))| u128::from(*bytes) + u128::from(*packets)).sum();
    for name in sets::sets(table).into_keys() {
        for direction in Direction::BOTH {
            let entrance = sets::entrance(table, &name, direction);
            assert_eq!(entrance == Entrance::Absent, sets::jumps(table, &name, direction) == 0);
        }
        let remains = sets::remains(table, &name);
        let Ok(view) = VerifiedSet::read(table, Family::V4, &name) else { continue };
        // An intact set has lost nothing, and counts no more than its rules and ipsets contain.
        assert_eq!(view.counters, remains);
        assert_eq!(view.others, sets::remaining_others(table, &name));
        assert!(view.draining.iter().all(|port| view.counters.contains_key(port)));
        let counted: u128 = view.counters.values().flat_map(|counters| counters.to_array()).map(u128::from).sum();
        let of_rules = |rule: &SavedRule<'_>| u128::from(rule.bytes) + u128::from(rule.packets);
        assert!(counted <= of_ipsets + table.chains.values().flatten().map(of_rules).sum::<u128>());
        // It has every chain that we would make.
        for (place, _) in view.layout.chains() {
            assert!(table.chains.contains_key(name.chain(&place).as_str()));
        }
    }
}

fn rules<'t, 'a>(tables: &'t BTreeMap<&str, Table<'a>>) -> impl Iterator<Item = &'t SavedRule<'a>> {
    tables.values().flat_map(|table| table.chains.values()).flatten()
}

/// Formats tables like `iptables-save -c`.
fn written(tables: &BTreeMap<&str, Table<'_>>) -> String {
    let mut text = String::new();
    for (name, table) in tables {
        writeln!(text, "*{name}").expect("writing to a String cannot fail");
        for chain in table.chains.keys() {
            writeln!(text, ":{chain} - [0:0]").expect("writing to a String cannot fail");
        }
        for (chain, rules) in &table.chains {
            for SavedRule { packets, bytes, text: rule } in rules {
                writeln!(text, "[{packets}:{bytes}] -A {chain} {rule}").expect("writing to a String cannot fail");
            }
        }
        text += "COMMIT\n";
    }
    text
}
