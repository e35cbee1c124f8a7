use serde_json::json;

use super::*;
use crate::backend::iptables::model::flow::Protocol;

const FACTS: TableFacts = TableFacts { handle: 7, is_dormant: false };

fn layout() -> NftLayout {
    NftLayout {
        name: RuleSetName::new("k3v7qa".into(), 0),
        interfaces: vec!["eth0".into()],
        ports: [443].into(),
        draining: BTreeSet::new(),
        size: 64,
        fragments: Fragments::Reassembled,
        can_cut: false,
    }
}

/// The list of a table that contains only `layout`, in the order in which nft prints it.
fn listed(layout: &NftLayout) -> Vec<Value> {
    let mut objects = vec![json!({ "metainfo": { "json_schema_version": 1 } }), json!({ "table": { "handle": 7 } })];
    for set in layout.sets() {
        let size = if set.is_of_ports() { json!(layout.size) } else { Value::Null };
        objects.push(json!({ "set": { "name": layout.set(set), "handle": 1, "size": size } }));
    }
    let mut chains: Vec<_> = layout.chains().into_iter().map(|(chain, rules)| (layout.chain(chain), rules)).collect();
    chains.push((layout.chain(NftChain::Table(7)), Vec::new()));
    for (chain, _) in &chains {
        objects.push(json!({ "chain": { "name": chain } }));
    }
    for direction in Direction::BOTH {
        let hook = base_chain(direction);
        objects.push(json!({ "chain": { "name": hook, "hook": hook, "prio": PRIORITY, "policy": "accept" } }));
        chains.push((hook.to_owned(), layout.entry(direction)));
    }
    for (chain, rules) in chains {
        objects.extend(rules.into_iter().map(|rule| json!({ "rule": { "chain": chain, "expr": rule } })));
    }
    objects
}

fn table(objects: &[Value]) -> ListedTable {
    ListedTable::parse(&json!({ "nftables": objects }).to_string()).unwrap()
}

#[test]
fn a_table_is_found_as_it_was_made() {
    for layout in [
        layout(),
        NftLayout { can_cut: true, fragments: Fragments::Apart, ..layout() },
        NftLayout { draining: [443].into(), fragments: Fragments::Delivered, ..layout() },
    ] {
        let table = table(&listed(&layout));
        assert_eq!(table.verify(FACTS, &layout), Ok(()));
        assert_eq!(table.entrance(&layout), NftEntrance::Whole);
        assert_eq!(
            (table.names(), table.interfaces(&layout.name)),
            ([layout.name.clone()].into(), layout.interfaces.clone())
        );
        let shape = NftLayout { interfaces: vec![], ports: [].into(), draining: [].into(), ..layout.clone() };
        assert_eq!(table.shape(&layout.name), shape);
        assert!(table.is_entered(&layout.name) && !table.is_sealed(&layout.name) && !table.has_foreign_chains());
    }
}

#[test]
fn protocols_may_be_listed_as_numbers() {
    let layout = layout();
    let text = json!({ "nftables": listed(&layout) }).to_string();
    let text = text.replace(r#""right":"tcp""#, r#""right":6"#).replace(r#""right":"udp""#, r#""right":17"#);
    let table = ListedTable::parse(&text).unwrap();
    assert_eq!(table.verify(FACTS, &layout), Ok(()));
    let text = text.replace(r#""right":17"#, r#""right":6"#);
    assert!(ListedTable::parse(&text).unwrap().verify(FACTS, &layout).is_err());
}

#[test]
fn every_part_that_is_gone_or_different_is_named() {
    let layout = layout();
    let objects = listed(&layout);
    for index in 0..objects.len() {
        let mut rest = objects.clone();
        let gone = rest.remove(index);
        let found = table(&rest);
        let is_well = found.verify(FACTS, &layout).is_ok() && found.entrance(&layout) == NftEntrance::Whole;
        assert_eq!(is_well, gone.get("metainfo").is_some() || gone.get("table").is_some(), "{gone}");
    }
    let other_handle = TableFacts { handle: 8, ..FACTS };
    let restored = table(&objects).verify(other_handle, &layout).unwrap_err();
    assert_eq!((restored.why, restored.doubt), ("was deleted and restored", CounterDoubt::All));
    let off = TableFacts { is_dormant: true, ..FACTS };
    assert_eq!(table(&objects).verify(off, &layout).unwrap_err().why, "was switched off");
    let class = FlowClass { protocol: Protocol::Udp, direction: Direction::Egress };
    let of_another_size: Vec<Value> = objects
        .iter()
        .map(|object| match object["set"]["name"] == layout.set(NftSet::Counters(class)) {
            true => json!({ "set": { "name": layout.set(NftSet::Counters(class)), "size": 128 } }),
            false => object.clone(),
        })
        .collect();
    assert_eq!(table(&of_another_size).verify(FACTS, &layout).unwrap_err().doubt, CounterDoubt::All);
}

#[test]
fn a_rule_that_comes_before_ours_is_noticed() {
    let layout = layout();
    let mut objects = listed(&layout);
    objects.push(json!({ "rule": { "chain": "input", "expr": [{ "accept": null }] } }));
    let before = NftEntrance::Changed("another rule came before the counters");
    assert_eq!(table(&objects).entrance(&layout), before);
    let is_entry = |object: &Value| object["rule"]["chain"] == "input";
    let mut in_its_place = listed(&layout);
    in_its_place.iter_mut().filter(|object| is_entry(object)).for_each(|object| object["rule"]["expr"] = json!([]));
    assert_eq!(table(&in_its_place).entrance(&layout), before);
    let without: Vec<Value> = listed(&layout).into_iter().filter(|object| !is_entry(object)).collect();
    let removed = NftEntrance::Changed("somebody removed the rule that leads to the counters");
    assert_eq!(table(&without).entrance(&layout), removed);
    let elsewhere: Vec<Value> = listed(&layout)
        .into_iter()
        .map(|mut object| {
            if object["chain"]["hook"] == "input" {
                object["chain"]["prio"] = 0.into();
            }
            object
        })
        .collect();
    assert_eq!(table(&elsewhere).entrance(&layout), NftEntrance::Absent);
}

#[test]
fn what_is_of_another_set_or_of_somebody_else_is_not_taken_for_ours() {
    let layout = layout();
    let other = RuleSetName::new("k3v7qa".into(), u32::MAX);
    let mut objects = listed(&layout);
    let found = table(&objects);
    assert!(found.is_marked(&layout.name) && !found.is_marked(&other));
    assert!(!found.is_entered(&other) && found.interfaces(&other).is_empty());
    let (chains, sets) = found.parts(&layout.name);
    // With the mark of the table.
    assert_eq!((chains.len(), sets.len()), (layout.chains().len() + 1, layout.sets().len()));
    assert_eq!(found.parts(&other), (Vec::new(), Vec::new()));
    objects.push(json!({ "chain": { "name": layout.chain(NftChain::Sealed) } }));
    let found = table(&objects);
    assert!(found.is_sealed(&layout.name) && !found.is_sealed(&other) && !found.has_foreign_chains());
    objects.push(json!({ "chain": { "name": "forward" } }));
    assert!(table(&objects).has_foreign_chains());
}
